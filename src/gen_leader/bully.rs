//! The election of 2007, after Stoller's bully algorithm with election ids, and its repairs.
//!
//! **Source.** `gen_leader` of 2007, as section 3 of [`protocols`](crate::protocols) has it: each arm of a `match` here
//! is a row of its table. S. D. Stoller, *Leader Election in Asynchronous Distributed Systems*, 2000.
//!
//! **Protocol.** The rank of a candidate is its place in the list. In *stage 1* a candidate waits until all
//! candidates of higher priority are down. In *stage 2* it *halts* those of lower priority, one after the other.
//! Each of them acknowledges, or names the leader that it has, or is down. Then the candidate leads, and says so
//! to those that acknowledged. A leader never steps down. A process that follows it and learns that it is down
//! begins anew. At intervals (timer tau) a leader asks the nodes that it believes down.
//!
//! **Assumptions.** Links are reliable and FIFO. A `Down` is true and arrives after everything that the dead
//! process had sent. Stable storage survives a crash.
//!
//! **Deviations.** None without repairs. The effect of a [`Repair`] of the election is marked `turn.has(…)`;
//! nothing else differs. At the sizes that were searched, three suspicions were not confirmed. A stale `halt`
//! that overwrites a newer allegiance does no lasting harm once leaders ask everybody that has not confirmed. A
//! broadcast needs no election id, since a process leads in one term only. A worker finds its next leader as the
//! version of 2007 has it.

mod message;
mod watch;

pub use message::{ElectionId, Message};

use super::{
    behaviour::Behaviour,
    election::{Broadcasts, Died, Election, Newcomer, Phase, Roster, delist},
    repair::{Repair, Repairs},
    turn::Turn,
};
use crate::machine::{Address, NodeId, Peer, Value};
use im::Vector;
use serde::{Deserialize, Serialize};
use watch::{End, Watch};

/// The state of a process in the election.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bully {
    me: Address,
    roster: Roster,
    role: Role,
    status: Status,
    /// The number of earlier starts of this node.
    incarnation: u64,
    /// The counter of its next election; it stays 0 with [`Repair::OneId`].
    nextel: u64,
    elid: Option<ElectionId>,
    leader: Option<Address>,
    down: Vector<NodeId>,
    /// The candidates that acknowledged, most recent first. By node; by process with [`Repair::TellWhoAcked`].
    acks: Vector<Peer>,
    pendack: Option<NodeId>,
    work_down: Vector<NodeId>,
    /// The seed's `leadernode` and `monitored`.
    watch: Watch,
}

/// The role of a process. The first three are in the safe loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It takes part in an election.
    Candidate,
    /// A worker that has had no leader (the seed's waiting worker of status none).
    NewWorker,
    /// A worker whose leader is down.
    WaitingWorker,
    /// It follows a leader.
    Surrendered,
    /// It leads.
    Elected,
    /// A worker that follows a leader.
    Worker,
}

/// The progress of a candidate's election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// A worker holds no election. Its role says everything.
    None,
    /// Stage 1: it waits for those of higher priority to be down.
    Elec1,
    /// Stage 2: it halts those of lower priority, one after the other.
    Elec2,
    /// It was halted, and waits for the leader.
    Wait,
    /// There is a leader.
    Norm,
}

impl Election for Bully {
    type Message<S: Value> = Message<S>;
    type Term = ElectionId;
    /// The incarnation of the next life.
    type Stable = u64;
    type Variant = Repairs;

    const BROADCASTS: Broadcasts = Broadcasts::WithLeaderReply;

    fn new(me: Address, roster: Roster) -> Self {
        let (role, status) = match roster.place(me.node) {
            Some(_) => (Role::Candidate, Status::Elec1),
            None => (Role::NewWorker, Status::None),
        };
        Self {
            me,
            roster,
            role,
            status,
            incarnation: 0,
            nextel: 0,
            elid: None,
            leader: None,
            down: Vector::new(),
            acks: Vector::new(),
            pendack: None,
            work_down: Vector::new(),
            watch: Watch::default(),
        }
    }

    fn start<B: Behaviour<Self>>(&mut self, stable: Option<u64>, turn: &mut Turn<'_, Self, B>) {
        if self.role == Role::Candidate {
            self.incarnation = stable.unwrap_or(0);
            turn.persist(self.incarnation.saturating_add(1));
            self.stage1(turn);
            if turn.has(Repair::LoneLeads) {
                self.become_leader(turn);
            }
        }
    }

    fn on_message<B: Behaviour<Self>>(
        &mut self,
        from: Address,
        message: Message<B::Synch>,
        turn: &mut Turn<'_, Self, B>,
    ) -> Result<(), Died> {
        match self.role {
            Role::Candidate | Role::NewWorker | Role::WaitingWorker => {
                self.on_message_in_safe_loop(from, message, turn);
            }
            Role::Surrendered | Role::Elected | Role::Worker => {
                self.on_message_in_loop(from, message, turn);
            }
        }
        Ok(())
    }

    fn on_down<B: Behaviour<Self>>(
        &mut self,
        peer: Peer,
        turn: &mut Turn<'_, Self, B>,
    ) -> Result<(), Died> {
        let (node, is_leader) = (peer.node(), self.watch.is_leader(peer));
        match self.watch.on_down(peer, self.me, turn) {
            End::Unwatched => {}
            End::OfALife => self.on_end_of_a_life(node, is_leader, turn),
            End::OfANode => match self.role {
                Role::Candidate => return self.on_down_in_safe_loop(node, is_leader, turn),
                Role::NewWorker | Role::WaitingWorker | Role::Worker if is_leader => {
                    self.lose_leader(turn);
                }
                Role::NewWorker | Role::WaitingWorker | Role::Worker => {}
                Role::Surrendered | Role::Elected => self.on_down_in_loop(node, is_leader, turn),
            },
        }
        Ok(())
    }

    fn on_tau<B: Behaviour<Self>>(&mut self, turn: &mut Turn<'_, Self, B>) {
        let (Role::Elected, Some(elid)) = (self.role, self.elid) else { return };
        for node in &self.down {
            let is_first = self.roster.candidates.front() == Some(node);
            if !is_first || turn.has(Repair::AskEverybody) {
                turn.send(Peer::Name(*node), Message::NormQ(elid));
            }
        }
        for node in &self.work_down {
            turn.send(Peer::Name(*node), Message::WorkerAlive(elid));
        }
        turn.set_tau();
    }

    fn phase(&self) -> Phase {
        match (self.role, self.leader) {
            (Role::Elected, _) => Phase::Leading,
            (Role::Surrendered | Role::Worker, Some(leader)) => Phase::Following(leader),
            (Role::Surrendered | Role::Worker, None)
            | (Role::Candidate | Role::NewWorker | Role::WaitingWorker, _) => Phase::Electing,
        }
    }

    fn me(&self) -> Address {
        self.me
    }

    fn term(&self) -> ElectionId {
        self.elid.unwrap_or_default()
    }

    fn monitored(&self) -> &Vector<NodeId> {
        self.watch.monitored()
    }

    fn roster(&self) -> &Roster {
        &self.roster
    }

    /// A leader asks the newcomer at its next check.
    fn admit(&mut self, newcomer: Newcomer) {
        if self.roster.admit(newcomer) {
            match newcomer {
                Newcomer::Candidate(node) => self.down.push_front(node),
                Newcomer::Worker(node) => self.work_down.push_front(node),
            }
        }
    }
}

impl Bully {
    /// The number of elections that the process has begun in this life, under ids of their own.
    #[must_use]
    pub fn elections(&self) -> u64 {
        self.nextel
    }

    /// The role of the process.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }
}

impl<B: Behaviour<Bully>> Turn<'_, Bully, B> {
    /// True if a repair is in force.
    fn has(&self, repair: Repair) -> bool {
        self.machine.variant.has(repair)
    }
}

/// The stages of an election.
impl Bully {
    /// This candidate begins an election, and waits for all of higher priority to be down.
    fn stage1<B: Behaviour<Self>>(&mut self, turn: &mut Turn<'_, Self, B>) {
        self.role = Role::Candidate;
        let place = self.place(self.me.node);
        self.elid = Some(ElectionId {
            rank: place as u64 + 1,
            incarnation: self.incarnation,
            counter: self.nextel,
        });
        if !turn.has(Repair::OneId) {
            self.nextel = self.nextel.saturating_add(1);
        }
        self.down.clear();
        self.status = Status::Elec1;
        if place == 0 {
            return self.stage2(turn);
        }
        for node in self.higher() {
            self.watch.monitor(Peer::Name(node), turn);
        }
    }

    /// All of higher priority are down: it halts the others, one after the other.
    fn stage2<B: Behaviour<Self>>(&mut self, turn: &mut Turn<'_, Self, B>) {
        self.status = Status::Elec2;
        self.acks.clear();
        self.pendack = Some(self.me.node);
        self.proceed(turn);
    }

    /// The seed's "continue": it halts the next candidate, or leads if there is none.
    fn proceed<B: Behaviour<Self>>(&mut self, turn: &mut Turn<'_, Self, B>) {
        let place = self.pendack.map_or(0, |node| self.place(node));
        if let (Some(next), Some(elid)) =
            (self.roster.candidates.get(place + 1).copied(), self.elid)
        {
            self.pendack = Some(next);
            self.watch.monitor(Peer::Name(next), turn);
            turn.send(Peer::Name(next), Message::Halt(elid));
        } else {
            self.leader = Some(self.me);
            self.watch.look_to(self.me, turn);
            self.status = Status::Norm;
        }
    }

    /// The seed's "become": all have answered or are down, so it leads.
    fn become_leader<B: Behaviour<Self>>(&mut self, turn: &mut Turn<'_, Self, B>) {
        if self.status != Status::Norm || self.leader != Some(self.me) {
            return;
        }
        self.role = Role::Elected;
        let synch = turn.elected(self);
        let elid = self.term();
        for peer in &self.acks {
            turn.send(*peer, Message::Ldr { synch: synch.clone(), elid });
        }
        self.work_down = self.roster.workers.clone();
        if turn.has(Repair::AskEverybody) {
            self.down = self.roster.candidates.clone();
            delist(&mut self.down, self.me.node);
        }
        turn.set_tau();
    }

    /// Another candidate's election takes precedence.
    fn halting<B: Behaviour<Self>>(
        &mut self,
        elid: ElectionId,
        from: Address,
        turn: &mut Turn<'_, Self, B>,
    ) {
        self.watch.monitor(from, turn);
        self.elid = Some(elid);
        self.status = Status::Wait;
        self.watch.look_to(from, turn);
        delist(&mut self.down, from.node);
    }

    /// The place of a candidate in the list. A worker comes after all candidates.
    fn place(&self, node: NodeId) -> usize {
        self.roster.place(node).unwrap_or(self.roster.candidates.len())
    }

    fn higher(&self) -> Vec<NodeId> {
        self.roster.candidates.iter().copied().take(self.place(self.me.node)).collect()
    }
}

/// The safe loop: there is no leader.
impl Bully {
    fn on_message_in_safe_loop<B: Behaviour<Self>>(
        &mut self,
        from: Address,
        message: Message<B::Synch>,
        turn: &mut Turn<'_, Self, B>,
    ) {
        let waits_for = |elid| self.status == Status::Wait && self.elid == Some(elid);
        match message {
            Message::Halt(elid) => {
                self.halting(elid, from, turn);
                turn.send(from, Message::AckLeader(elid));
            }
            Message::HasLeader { leader, elid } => self.on_has_leader(leader, elid, turn),
            Message::IsLeader(elid) => turn.send(from, Message::NotLeader(elid)),
            Message::NotLeader(elid) if waits_for(elid) && self.role == Role::Candidate => {
                self.stage1(turn);
            }
            Message::AckLeader(elid) => self.on_ack(from, elid, turn),
            Message::Ldr { synch, elid } if waits_for(elid) => {
                self.watch.monitor(from, turn);
                self.leader = Some(from);
                self.watch.look_to(from, turn);
                self.status = Status::Norm;
                self.role = Role::Surrendered;
                turn.surrendered(self, from, synch);
                if turn.has(Repair::AskEverybody) {
                    turn.send(from, Message::HasLeader { leader: from, elid });
                }
            }
            Message::NormQ(elid)
                if self.status == Status::Elec1
                    || waits_for(elid)
                    || (self.status == Status::Wait && turn.has(Repair::AnswerInWait)) =>
            {
                self.halting(elid, from, turn);
                turn.send(from, Message::NotNorm(elid));
            }
            Message::WorkerAlive(elid) if self.watch.has_no_leader() => {
                self.watch.monitor(from, turn);
                self.watch.look_to(from, turn);
                self.elid = Some(elid);
                turn.send(from, Message::WorkerIsAlive(elid));
            }
            Message::ActivateWorker { elid, synch }
                if self.elid == Some(elid) && self.watch.is_leader(from.into()) =>
            {
                self.leader = Some(from);
                self.role = Role::Worker;
                turn.surrendered(self, from, synch);
            }
            // They belong to another election, or come too late.
            Message::NotLeader(_)
            | Message::Ldr { .. }
            | Message::NormQ(_)
            | Message::NotNorm(_)
            | Message::WorkerAlive(_)
            | Message::WorkerIsAlive(_)
            | Message::ActivateWorker { .. } => {}
        }
    }

    /// The sender has a leader. Ask that leader, and pass the news on to those that wait for this election.
    fn on_has_leader<B: Behaviour<Self>>(
        &mut self,
        leader: Address,
        elid: ElectionId,
        turn: &mut Turn<'_, Self, B>,
    ) {
        self.watch.monitor(leader, turn);
        if self.status == Status::Elec2 {
            for peer in &self.acks {
                turn.send(*peer, Message::HasLeader { leader, elid });
            }
        }
        self.elid = Some(elid);
        self.status = Status::Wait;
        self.watch.look_to(leader, turn);
        delist(&mut self.down, leader.node);
        self.acks.clear();
        turn.send(leader, Message::IsLeader(elid));
    }

    fn on_ack<B: Behaviour<Self>>(
        &mut self,
        from: Address,
        elid: ElectionId,
        turn: &mut Turn<'_, Self, B>,
    ) {
        let is_due = self.elid == Some(elid) && self.pendack == Some(from.node);
        if self.status == Status::Elec2 && is_due {
            let by_process = turn.has(Repair::TellWhoAcked);
            self.acks.push_front(if by_process { from.into() } else { Peer::Name(from.node) });
            self.proceed(turn);
        }
        self.become_leader(turn);
    }

    fn on_down_in_safe_loop<B: Behaviour<Self>>(
        &mut self,
        node: NodeId,
        is_leader: bool,
        turn: &mut Turn<'_, Self, B>,
    ) -> Result<(), Died> {
        let Some(place) = self.roster.place(node) else {
            return Err(Died("candidate: DOWN of a worker".into()));
        };
        self.watch.forget(node);
        self.down.push_front(node);
        let higher = self.higher();
        match self.status {
            // Of any priority. It may be an earlier life of this node, which with LivesApart is an `End::OfALife`.
            Status::Wait if is_leader => self.stage1(turn),
            Status::Elec1
                if place < higher.len() && higher.iter().all(|node| self.down.contains(node)) =>
            {
                self.down = higher.into_iter().collect();
                self.stage2(turn);
            }
            Status::Elec2 if self.pendack == Some(node) => self.proceed(turn),
            Status::None | Status::Elec1 | Status::Elec2 | Status::Wait | Status::Norm => {}
        }
        self.become_leader(turn);
        Ok(())
    }

    /// A process is down, but its node lives on. It matters only to those that wait for that process.
    fn on_end_of_a_life<B: Behaviour<Self>>(
        &mut self,
        node: NodeId,
        is_leader: bool,
        turn: &mut Turn<'_, Self, B>,
    ) {
        match self.role {
            Role::Candidate if self.status == Status::Wait && is_leader => self.stage1(turn),
            // Perhaps that life got the halt, and will not answer.
            Role::Candidate if self.status == Status::Elec2 && self.pendack == Some(node) => {
                self.proceed(turn);
                self.become_leader(turn);
            }
            Role::NewWorker | Role::WaitingWorker | Role::Worker | Role::Surrendered
                if is_leader =>
            {
                self.lose_leader(turn);
            }
            Role::Candidate
            | Role::NewWorker
            | Role::WaitingWorker
            | Role::Worker
            | Role::Surrendered
            | Role::Elected => {}
        }
    }
}

/// The loop: there is a leader.
impl Bully {
    #[expect(clippy::needless_pass_by_value, reason = "as in the safe loop")]
    fn on_message_in_loop<B: Behaviour<Self>>(
        &mut self,
        from: Address,
        message: Message<B::Synch>,
        turn: &mut Turn<'_, Self, B>,
    ) {
        let leads = self.role == Role::Elected;
        let leads_in = |elid| leads && self.elid == Some(elid);
        match message {
            Message::Halt(_) => {
                if let (Some(leader), Some(elid)) = (self.leader, self.elid) {
                    turn.send(from, Message::HasLeader { leader, elid });
                }
            }
            Message::IsLeader(_) if leads => self.synchronise(from, turn),
            Message::IsLeader(elid) => turn.send(from, Message::NotLeader(elid)),
            Message::NotNorm(elid) if leads_in(elid) => self.synchronise(from, turn),
            Message::WorkerIsAlive(elid) if leads_in(elid) => {
                self.watch.monitor(from, turn);
                delist(&mut self.work_down, from.node);
                let synch = turn.elected(self);
                turn.send(from, Message::ActivateWorker { elid, synch });
            }
            Message::HasLeader { elid, .. } if leads_in(elid) && turn.has(Repair::AskEverybody) => {
                delist(&mut self.down, from.node);
            }
            // They belong to another election, or come too late.
            Message::NotNorm(_)
            | Message::WorkerIsAlive(_)
            | Message::HasLeader { .. }
            | Message::AckLeader(_)
            | Message::NotLeader(_)
            | Message::Ldr { .. }
            | Message::NormQ(_)
            | Message::WorkerAlive(_)
            | Message::ActivateWorker { .. } => {}
        }
    }

    /// A candidate surrenders late.
    fn synchronise<B: Behaviour<Self>>(&mut self, to: Address, turn: &mut Turn<'_, Self, B>) {
        self.watch.monitor(to, turn);
        if !turn.has(Repair::AskEverybody) {
            delist(&mut self.down, to.node);
        }
        let synch = turn.elected(self);
        turn.send(to, Message::Ldr { synch, elid: self.term() });
    }

    fn on_down_in_loop<B: Behaviour<Self>>(
        &mut self,
        node: NodeId,
        is_leader: bool,
        turn: &mut Turn<'_, Self, B>,
    ) {
        self.watch.forget(node);
        if self.roster.place(node).is_none() {
            if !self.work_down.contains(&node) {
                self.work_down.push_front(node);
            }
            return;
        }
        if !(turn.has(Repair::AskEverybody) && self.down.contains(&node)) {
            self.down.push_front(node);
        }
        if is_leader {
            self.lose_leader(turn);
        }
    }

    /// The leader is down: a candidate begins anew, a worker waits for the next leader.
    fn lose_leader<B: Behaviour<Self>>(&mut self, turn: &mut Turn<'_, Self, B>) {
        turn.leader_died(self);
        match self.role {
            Role::Candidate | Role::Surrendered | Role::Elected => self.stage1(turn),
            Role::NewWorker | Role::WaitingWorker | Role::Worker => {
                self.leader = None;
                self.watch = Watch::default();
                self.role = Role::WaitingWorker;
            }
        }
    }
}
