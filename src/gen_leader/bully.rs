//! The election of 2007, after Stoller's bully algorithm with election ids, and what repairs it.
//!
//! **Source.** `gen_leader` of 2007, seed 002, as PROTOCOLS.md section 3 has it: each arm of a `match` here
//! is a row of its table. S. D. Stoller, *Leader Election in Asynchronous Distributed Systems*, 2000.
//!
//! **Protocol.** Candidates have a rank, their place in the list. In *stage 1* a candidate waits until all
//! of higher priority are down. In *stage 2* it *halts* those of lower priority, one after the other; each
//! acknowledges, or says who already leads, or is down. Then it leads, and tells those who acknowledged.
//! A leader never steps down; who follows it and learns that it is down begins anew. Now and then a leader
//! asks those whom it believes down (timer tau).
//!
//! **Assumptions.** Links are reliable and FIFO, a `Down` is true and comes behind what the dead process
//! had sent; stable storage survives a crash.
//!
//! A worker that goes down is still listed as monitored, as the original has it: so the end of its second life
//! goes unnoticed, unless lives are kept apart.
//!
//! **Deviations.** None without repairs. With a [`Repair`] in force, what it changes is marked
//! `turn.has(…)`; nothing else differs. What was suspected and not confirmed, at the sizes that were
//! searched: a stale `halt` that overwrites a newer allegiance does no lasting harm once leaders ask everybody
//! who has not confirmed; a broadcast need not carry an election id, since a process leads in one term only;
//! and a worker finds its next leader as the version of 2007 has it.

mod message;

pub use message::{ElectionId, Message};

use super::{
    behaviour::Behaviour,
    election::{Broadcasts, Died, Election, Newcomer, Roster, Standing, delist},
    repair::{Repair, Repairs},
    turn::Turn,
};
use crate::machine::{Address, NodeId, Peer, Value};
use im::{OrdSet, Vector};
use serde::{Deserialize, Serialize};

/// What a process knows of the election.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bully {
    me: Address,
    roster: Roster,
    role: Role,
    status: Status,
    /// How often this node had started before.
    incarnation: u64,
    /// The counter of its next election; it stays 0 with [`Repair::OneId`].
    nextel: u64,
    elid: Option<ElectionId>,
    leader: Option<Address>,
    leadernode: Option<NodeId>,
    down: Vector<NodeId>,
    monitored: Vector<NodeId>,
    /// Most recent first. Named by node; by process with [`Repair::TellWhoAcked`].
    acks: Vector<Peer>,
    pendack: Option<NodeId>,
    work_down: Vector<NodeId>,
    /// In which life the leader's node leads, and what is monitored; kept only by [`Repair::LivesApart`].
    leaderlife: Option<u32>,
    watched: OrdSet<Peer>,
}

/// What a process is in the election. The first two are in the safe loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It takes part in an election.
    Candidate,
    /// A worker that has no leader.
    WaitingWorker,
    /// It has a leader.
    Surrendered,
    /// It leads.
    Elected,
    /// A worker that has a leader.
    Worker,
}

/// How far the election has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// A worker that has just started.
    None,
    /// Stage 1: it waits for those of higher priority to be down.
    Elec1,
    /// Stage 2: it halts those of lower priority, one after the other.
    Elec2,
    /// It was halted, and waits for the leader to be.
    Wait,
    /// There is a leader.
    Norm,
    /// A worker that has a leader.
    Worker,
    /// A worker whose leader is down.
    WaitingWorker,
}

impl Election for Bully {
    type Message<S: Value> = Message<S>;
    type Term = ElectionId;
    /// The incarnation that the next life gets.
    type Stable = u64;
    type Variant = Repairs;

    const BROADCASTS: Broadcasts = Broadcasts::WithLeaderReply;

    fn new(me: Address, roster: Roster) -> Self {
        let (role, status) = match roster.place(me.node) {
            Some(_) => (Role::Candidate, Status::Elec1),
            None => (Role::WaitingWorker, Status::None),
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
            leadernode: None,
            down: Vector::new(),
            monitored: Vector::new(),
            acks: Vector::new(),
            pendack: None,
            work_down: Vector::new(),
            leaderlife: None,
            watched: OrdSet::new(),
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
            Role::Candidate | Role::WaitingWorker => {
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
        let is_leader = self.is_leader(peer);
        if turn.has(Repair::LivesApart) {
            if self.watched.remove(&peer).is_none() {
                return Ok(());
            }
            if self.is_watched(peer.node()) || peer.node() == self.me.node {
                self.on_end_of_a_life(peer.node(), is_leader, turn);
                return Ok(());
            }
        }
        match self.role {
            Role::Candidate => return self.on_down_in_safe_loop(peer.node(), is_leader, turn),
            Role::WaitingWorker | Role::Worker if is_leader => self.lose_leader(turn),
            Role::WaitingWorker | Role::Worker => {}
            Role::Surrendered | Role::Elected => self.on_down_in_loop(peer.node(), is_leader, turn),
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

    fn standing(&self) -> Standing {
        match (self.role, self.leader) {
            (Role::Elected, _) => Standing::Leading,
            (Role::Surrendered | Role::Worker, Some(leader)) => Standing::Following(leader),
            (Role::Surrendered | Role::Worker, None)
            | (Role::Candidate | Role::WaitingWorker, _) => Standing::Electing,
        }
    }

    fn me(&self) -> Address {
        self.me
    }

    fn term(&self) -> ElectionId {
        self.elid.unwrap_or_default()
    }

    fn monitored(&self) -> &Vector<NodeId> {
        &self.monitored
    }

    fn roster(&self) -> &Roster {
        &self.roster
    }

    /// A leader asks the newcomer with its next check.
    fn admit(&mut self, newcomer: Newcomer) {
        if self.roster.admit(newcomer) {
            match newcomer {
                Newcomer::Candidate(node) => self.down.push_front(node),
                Newcomer::Worker(node) => self.work_down.push_front(node),
            }
        }
    }

    fn has(repairs: &Repairs, repair: Repair) -> bool {
        repairs.has(repair)
    }
}

impl Bully {
    /// How many elections it has begun in this life, under ids of their own.
    #[must_use]
    pub fn elections(&self) -> u64 {
        self.nextel
    }

    /// What the process is in the election.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }
}

/// The stages of an election.
impl Bully {
    /// This candidate begins an election, and waits for those of higher priority to be down.
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
            self.monitor(Peer::Name(node), turn);
        }
    }

    /// Nobody of higher priority is left: it halts the others, one after the other.
    fn stage2<B: Behaviour<Self>>(&mut self, turn: &mut Turn<'_, Self, B>) {
        self.status = Status::Elec2;
        self.acks.clear();
        self.pendack = Some(self.me.node);
        self.proceed(turn);
    }

    /// ("continue", which is a word of Rust's own.)
    fn proceed<B: Behaviour<Self>>(&mut self, turn: &mut Turn<'_, Self, B>) {
        let place = self.pendack.map_or(0, |node| self.place(node));
        if let (Some(next), Some(elid)) =
            (self.roster.candidates.get(place + 1).copied(), self.elid)
        {
            self.pendack = Some(next);
            self.monitor(Peer::Name(next), turn);
            turn.send(Peer::Name(next), Message::Halt(elid));
        } else {
            self.leader = Some(self.me);
            self.look_to(self.me, turn);
            self.status = Status::Norm;
        }
    }

    /// Everybody has answered or is down: it leads.
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
        self.monitor(from, turn);
        self.elid = Some(elid);
        self.status = Status::Wait;
        self.look_to(from, turn);
        delist(&mut self.down, from.node);
    }

    /// This is the leader, or will be.
    fn look_to<B: Behaviour<Self>>(&mut self, process: Address, turn: &mut Turn<'_, Self, B>) {
        self.leadernode = Some(process.node);
        self.leaderlife = turn.has(Repair::LivesApart).then_some(process.life);
    }

    /// Whether it is the leader that a name or an address means.
    fn is_leader(&self, peer: Peer) -> bool {
        let is_life = match (self.leaderlife, peer) {
            (None, _) => true,
            (Some(life), Peer::Process(address)) => address.life == life,
            // The process is monitored, too.
            (Some(_), Peer::Name(_)) => false,
        };
        is_life && self.leadernode == Some(peer.node())
    }

    /// A node that is monitored is not monitored again, whichever life was meant; unless lives are kept
    /// apart.
    fn monitor<B: Behaviour<Self>>(&mut self, peer: impl Into<Peer>, turn: &mut Turn<'_, Self, B>) {
        let peer = peer.into();
        let node = peer.node();
        let is_listed = self.monitored.contains(&node);
        let is_watched = match peer {
            _ if !turn.has(Repair::LivesApart) => is_listed,
            Peer::Name(node) => self.is_watched(node),
            Peer::Process(_) => self.watched.contains(&peer),
        };
        if !is_listed {
            self.monitored.push_front(node);
        }
        if !is_watched {
            if turn.has(Repair::LivesApart) {
                self.watched.insert(peer);
            }
            turn.monitor(peer);
        }
    }

    /// Whether any life of a node is monitored.
    fn is_watched(&self, node: NodeId) -> bool {
        self.watched.iter().any(|peer| peer.node() == node)
    }

    /// The place of a candidate in the list; behind all of them for anybody else.
    fn place(&self, node: NodeId) -> usize {
        self.roster.place(node).unwrap_or(self.roster.candidates.len())
    }

    fn higher(&self) -> Vec<NodeId> {
        self.roster.candidates.iter().copied().take(self.place(self.me.node)).collect()
    }
}

/// Until there is a leader.
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
                self.monitor(from, turn);
                self.leader = Some(from);
                self.look_to(from, turn);
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
            Message::WorkerAlive(elid) if self.leadernode.is_none() => {
                self.monitor(from, turn);
                self.look_to(from, turn);
                self.elid = Some(elid);
                turn.send(from, Message::WorkerIsAlive(elid));
            }
            Message::ActivateWorker { elid, synch }
                if self.elid == Some(elid) && self.is_leader(from.into()) =>
            {
                self.leader = Some(from);
                self.status = Status::Worker;
                self.role = Role::Worker;
                turn.surrendered(self, from, synch);
            }
            // Of another election, or too late.
            Message::NotLeader(_)
            | Message::Ldr { .. }
            | Message::NormQ(_)
            | Message::NotNorm(_)
            | Message::WorkerAlive(_)
            | Message::WorkerIsAlive(_)
            | Message::ActivateWorker { .. } => {}
        }
    }

    /// Somebody knows a leader: ask that one, and tell those who wait for this election.
    fn on_has_leader<B: Behaviour<Self>>(
        &mut self,
        leader: Address,
        elid: ElectionId,
        turn: &mut Turn<'_, Self, B>,
    ) {
        self.monitor(leader, turn);
        if self.status == Status::Elec2 {
            for peer in &self.acks {
                turn.send(*peer, Message::HasLeader { leader, elid });
            }
        }
        self.elid = Some(elid);
        self.status = Status::Wait;
        self.look_to(leader, turn);
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
        delist(&mut self.monitored, node);
        self.down.push_front(node);
        let was_leader = self.status == Status::Wait && is_leader;
        let higher = self.higher();
        if place < higher.len() {
            if was_leader {
                self.stage1(turn);
            } else if self.status == Status::Elec1
                && higher.iter().all(|node| self.down.contains(node))
            {
                self.down = higher.into_iter().collect();
                self.stage2(turn);
            }
        } else if place > higher.len() {
            if self.status == Status::Elec2 && self.pendack == Some(node) {
                self.proceed(turn);
            } else if was_leader {
                self.stage1(turn);
            }
        }
        self.become_leader(turn);
        Ok(())
    }

    /// A process is down whose node lives on: only those who wait for that very process care.
    fn on_end_of_a_life<B: Behaviour<Self>>(
        &mut self,
        node: NodeId,
        is_leader: bool,
        turn: &mut Turn<'_, Self, B>,
    ) {
        match self.role {
            Role::Candidate if self.status == Status::Wait && is_leader => self.stage1(turn),
            // The halt may have been for that life.
            Role::Candidate if self.status == Status::Elec2 && self.pendack == Some(node) => {
                self.proceed(turn);
                self.become_leader(turn);
            }
            Role::WaitingWorker | Role::Worker | Role::Surrendered if is_leader => {
                self.lose_leader(turn);
            }
            Role::Candidate
            | Role::WaitingWorker
            | Role::Worker
            | Role::Surrendered
            | Role::Elected => {}
        }
    }
}

/// While there is a leader.
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
                self.monitor(from, turn);
                delist(&mut self.work_down, from.node);
                let synch = turn.elected(self);
                turn.send(from, Message::ActivateWorker { elid, synch });
            }
            Message::HasLeader { elid, .. } if leads_in(elid) && turn.has(Repair::AskEverybody) => {
                delist(&mut self.down, from.node);
            }
            // Of another election, or too late.
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
        self.monitor(to, turn);
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
        if self.roster.place(node).is_none() {
            if !self.work_down.contains(&node) {
                self.work_down.push_front(node);
            }
            return;
        }
        delist(&mut self.monitored, node);
        if !(turn.has(Repair::AskEverybody) && self.down.contains(&node)) {
            self.down.push_front(node);
        }
        if is_leader {
            self.lose_leader(turn);
        }
    }

    /// The leader is down: a candidate begins anew, a worker waits for the next one.
    fn lose_leader<B: Behaviour<Self>>(&mut self, turn: &mut Turn<'_, Self, B>) {
        if turn.has(Repair::CallsFail) {
            turn.leader_died(self);
        }
        match self.role {
            Role::Candidate | Role::Surrendered | Role::Elected => self.stage1(turn),
            Role::WaitingWorker | Role::Worker => {
                (self.leader, self.leadernode, self.leaderlife) = (None, None, None);
                self.monitored.clear();
                self.watched.clear();
                self.status = Status::WaitingWorker;
                self.role = Role::WaitingWorker;
            }
        }
    }
}
