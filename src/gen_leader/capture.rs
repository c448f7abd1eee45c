//! The election of version 1.0 (2003): capture, accept, elect. It is faulty.
//!
//! **Source.** `gen_leader` 1.0, seed 001, as PROTOCOLS.md section 2 has it: each function here is a row
//! of its table.
//!
//! **Protocol.** Every candidate tries to *capture* all others. Whoever is captured by a stronger one
//! *accepts*; whoever holds more than half of the candidates, or all that are not down, is *elected* and
//! says so to everybody, who then surrender. Strength is the number of those captured, then the place in
//! the list.
//!
//! **Assumptions.** Links are reliable and FIFO, and a `Down` is true. It has no terms.
//!
//! **Its faults.** A `Down` that was queued before the other came up counts: so one candidate is elected with
//! all that are not down, and one of those that it takes to be down with a majority. A captured candidate ends
//! itself over any `Down`. Captures that vanish are not repeated. A worker that starts late is never told who
//! leads. The traces show each: `traces/gen_leader_1_0/`.

use super::{
    behaviour::{Behaviour, Info},
    election::{Broadcasts, Census, Died, Election, Newcomer, Roster, Standing, delist},
    turn::Turn,
};
use crate::machine::{Address, NodeId, Peer};
use im::{OrdSet, Vector};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// What a process knows of the election.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Capture {
    me: Address,
    roster: Roster,
    role: Role,
    /// None at a worker.
    iteration: Option<Iteration>,
    leader: Option<Address>,
    leadernode: Option<NodeId>,
    alive: OrdSet<NodeId>,
    down: OrdSet<NodeId>,
    /// Most recently monitored first.
    monitored: Vector<NodeId>,
}

/// What a process is in the election. The first three are in the safe loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It tries to capture the others.
    Candidate,
    /// It has accepted a stronger one.
    Captured,
    /// A worker that has no leader yet.
    WaitingWorker,
    /// It has a leader.
    Surrendered,
    /// It leads.
    Elected,
    /// A worker that has a leader.
    Worker,
}

/// How strong a candidate is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Iteration {
    /// Those it has captured, and those they had.
    pub captured: OrdSet<NodeId>,
    /// How many candidates stand behind it in the list.
    pub position: usize,
}

impl Iteration {
    fn compare(&self, other: &Self) -> Ordering {
        let strength = |iteration: &Self| (iteration.captured.len(), iteration.position);
        strength(self).cmp(&strength(other))
    }
}

/// What processes send each other. Each names its originator: one that was passed on, too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message<S> {
    /// From a candidate to everybody it monitors: accept me, if I am stronger.
    Capture {
        /// The candidate.
        from: Address,
        /// Its strength.
        iteration: Iteration,
    },
    /// From a captured candidate to whom it was captured by; passed on to whoever captured that one.
    Accept {
        /// The captured candidate.
        from: Address,
        /// What it brings along.
        iteration: Iteration,
    },
    /// From a worker to every candidate, when it comes up.
    AddWorker(Address),
    /// From the leader to everybody it monitors, or to one that comes late: surrender.
    Elect {
        /// The leader.
        leader: Address,
        /// Brings the application up to date.
        synch: S,
    },
}

impl Capture {
    /// What the process is in the election.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }
}

impl Election for Capture {
    type Message<S: crate::machine::Value> = Message<S>;
    type Term = ();
    type Stable = ();
    type Variant = ();

    const BROADCASTS: Broadcasts = Broadcasts::Anywhere;

    fn new(me: Address, roster: Roster) -> Self {
        let place = roster.place(me.node);
        let behind = place.map(|place| roster.candidates.len() - place - 1);
        Self {
            me,
            roster,
            role: if place.is_some() { Role::Candidate } else { Role::WaitingWorker },
            iteration: behind.map(|position| Iteration { captured: OrdSet::new(), position }),
            leader: None,
            leadernode: None,
            alive: OrdSet::new(),
            down: OrdSet::new(),
            monitored: Vector::new(),
        }
    }

    fn start<B: Behaviour<Self>>(&mut self, _: Option<()>, turn: &mut Turn<'_, Self, B>) {
        let Some(iteration) = self.iteration.clone() else {
            for candidate in &self.roster.candidates {
                turn.send(Peer::Name(*candidate), Message::AddWorker(self.me));
            }
            return;
        };
        let others: Vec<_> = (self.roster.workers.iter().chain(&self.roster.candidates))
            .copied()
            .filter(|node| *node != self.me.node)
            .collect();
        for node in &others {
            self.monitored.push_front(*node);
            turn.monitor(Peer::Name(*node));
        }
        for node in others {
            let iteration = iteration.clone();
            turn.send(Peer::Name(node), Message::Capture { from: self.me, iteration });
        }
    }

    fn on_message<B: Behaviour<Self>>(
        &mut self,
        _: Address,
        message: Message<B::Synch>,
        turn: &mut Turn<'_, Self, B>,
    ) -> Result<(), Died> {
        match message {
            Message::Capture { from, iteration } => self.on_capture(from, &iteration, turn),
            Message::Accept { from, iteration } => self.on_accept(from, iteration, turn),
            Message::AddWorker(worker) => self.on_add_worker(worker, turn),
            Message::Elect { leader, synch } => self.on_elect(leader, synch, turn),
        }
    }

    fn on_down<B: Behaviour<Self>>(
        &mut self,
        peer: Peer,
        turn: &mut Turn<'_, Self, B>,
    ) -> Result<(), Died> {
        let node = peer.node();
        let was_alive = self.alive.contains(&node);
        self.gone(node)?;
        match self.role {
            Role::Candidate => self.check(turn),
            // There is a clause for "no leader", but a captured one has a leader for ever.
            Role::Captured => return Err(Died("captured: DOWN".into())),
            Role::Surrendered | Role::Elected if self.leader.is_none() => {
                turn.leader_died(self);
                if self.role == Role::Surrendered {
                    self.capture_all(turn);
                    self.check(turn);
                }
            }
            Role::Elected if was_alive => return turn.handle_down(self, node),
            // (A worker has no iteration, and `gone` has ended it.)
            Role::Surrendered | Role::Elected | Role::WaitingWorker | Role::Worker => {}
        }
        Ok(())
    }

    fn on_tau<B: Behaviour<Self>>(&mut self, _: &mut Turn<'_, Self, B>) {
        // This version has no periodic check.
    }

    fn standing(&self) -> Standing {
        match (self.role, self.leader) {
            (Role::Elected, _) => Standing::Leading,
            (Role::Surrendered | Role::Worker, Some(leader)) => Standing::Following(leader),
            (Role::Surrendered | Role::Worker, None)
            | (Role::Candidate | Role::Captured | Role::WaitingWorker, _) => Standing::Electing,
        }
    }

    fn me(&self) -> Address {
        self.me
    }

    fn term(&self) {}

    fn monitored(&self) -> &Vector<NodeId> {
        &self.monitored
    }

    fn roster(&self) -> &Roster {
        &self.roster
    }

    /// A newcomer is known from now on. It is neither monitored nor told anything: a candidate makes
    /// contact itself when it starts, and a worker that starts while somebody leads is heard by nobody.
    fn admit(&mut self, newcomer: Newcomer) {
        if self.roster.admit(newcomer)
            && let (Newcomer::Candidate(_), Some(iteration)) = (newcomer, &mut self.iteration)
        {
            iteration.position += 1;
        }
    }
}

impl Census for Capture {
    fn alive(&self) -> Vec<NodeId> {
        self.alive.iter().copied().collect()
    }

    fn down(&self) -> Vec<NodeId> {
        self.down.iter().copied().collect()
    }
}

impl Capture {
    fn on_capture<B: Behaviour<Self>>(
        &mut self,
        from: Address,
        theirs: &Iteration,
        turn: &mut Turn<'_, Self, B>,
    ) -> Result<(), Died> {
        self.nodeup(from, turn);
        match self.role {
            Role::Candidate => match self.iteration.clone() {
                Some(mine) => match mine.compare(theirs) {
                    Ordering::Less => {
                        turn.send(from, Message::Accept { from: self.me, iteration: mine });
                        self.role = Role::Captured;
                        // The leader's node stays as it was.
                        self.leader = Some(from);
                        Ok(())
                    }
                    // An accept or a Down will come.
                    Ordering::Greater => Ok(()),
                    Ordering::Equal => Err(Died("candidate: capture by an equal".into())),
                },
                None => Err(Died("candidate: no iteration".into())),
            },
            Role::Elected => {
                self.synchronise(from, turn);
                Ok(())
            }
            Role::Captured | Role::WaitingWorker | Role::Surrendered | Role::Worker => Ok(()),
        }
    }

    fn on_accept<B: Behaviour<Self>>(
        &mut self,
        from: Address,
        theirs: Iteration,
        turn: &mut Turn<'_, Self, B>,
    ) -> Result<(), Died> {
        match self.role {
            Role::Candidate => {
                self.nodeup(from, turn);
                if let Some(mine) = &mut self.iteration {
                    mine.captured.insert(from.node);
                    mine.captured.extend(theirs.captured);
                }
                self.check(turn);
            }
            Role::Captured => {
                if let Some(leader) = self.leader {
                    turn.send(leader, Message::Accept { from, iteration: theirs });
                }
                self.nodeup(from, turn);
            }
            Role::WaitingWorker => return Err(Died("waiting_worker: accept".into())),
            Role::Elected => {
                self.nodeup(from, turn);
                self.synchronise(from, turn);
            }
            Role::Surrendered | Role::Worker => self.nodeup(from, turn),
        }
        Ok(())
    }

    fn on_add_worker<B: Behaviour<Self>>(
        &mut self,
        worker: Address,
        turn: &mut Turn<'_, Self, B>,
    ) -> Result<(), Died> {
        match self.role {
            Role::Candidate | Role::Captured | Role::WaitingWorker => {
                self.nodeup(worker, turn);
                Ok(())
            }
            // Not an election message here: the worker never learns who leads.
            Role::Surrendered | Role::Elected | Role::Worker => {
                turn.handle_info(self, Info::Worker(worker))
            }
        }
    }

    fn on_elect<B: Behaviour<Self>>(
        &mut self,
        leader: Address,
        synch: B::Synch,
        turn: &mut Turn<'_, Self, B>,
    ) -> Result<(), Died> {
        self.role = match self.role {
            Role::Elected => return Err(Died("elected: elect".into())),
            Role::WaitingWorker | Role::Worker => Role::Worker,
            Role::Candidate | Role::Captured | Role::Surrendered => Role::Surrendered,
        };
        self.leader = Some(leader);
        self.leadernode = Some(leader.node);
        self.nodeup(leader, turn);
        if let Some(iteration) = &mut self.iteration {
            iteration.captured.clear();
        }
        turn.surrendered(self, leader, synch);
        Ok(())
    }

    /// A node is there.
    fn nodeup<B: Behaviour<Self>>(&mut self, process: Address, turn: &mut Turn<'_, Self, B>) {
        let node = process.node;
        if !self.monitored.contains(&node) {
            self.monitored.push_front(node);
            turn.monitor(Peer::Name(node));
            self.down.remove(&node);
        }
        self.alive.insert(node);
    }

    /// A node is gone. A worker has no iteration to take it out of, and dies.
    fn gone(&mut self, node: NodeId) -> Result<(), Died> {
        let Some(iteration) = &mut self.iteration else {
            return Err(Died("worker: DOWN".into()));
        };
        iteration.captured.remove(&node);
        delist(&mut self.monitored, node);
        self.alive.remove(&node);
        let was_leader = self.leadernode == Some(node);
        if was_leader || self.roster.place(node).is_some() {
            self.down.insert(node);
        }
        if was_leader {
            (self.leader, self.leadernode) = (None, None);
        }
        Ok(())
    }

    /// Elected with more than half of the candidates, or with all that are not down.
    fn check<B: Behaviour<Self>>(&mut self, turn: &mut Turn<'_, Self, B>) {
        let candidates = self.roster.candidates.len();
        let captured = self.iteration.as_ref().map_or(0, |iteration| iteration.captured.len());
        let accepted = captured + 1;
        if accepted * 2 > candidates || accepted + self.down.len() == candidates {
            self.leader = Some(self.me);
            self.role = Role::Elected;
            let synch = turn.elected(self);
            for node in &self.monitored {
                let (leader, synch) = (self.me, synch.clone());
                turn.send(Peer::Name(*node), Message::Elect { leader, synch });
            }
        } else {
            self.role = Role::Candidate;
        }
    }

    /// Somebody surrenders late.
    fn synchronise<B: Behaviour<Self>>(&mut self, to: Address, turn: &mut Turn<'_, Self, B>) {
        let synch = turn.elected(self);
        turn.send(to, Message::Elect { leader: self.me, synch });
    }

    fn capture_all<B: Behaviour<Self>>(&mut self, turn: &mut Turn<'_, Self, B>) {
        if let Some(iteration) = &self.iteration {
            for node in &self.monitored {
                let (from, iteration) = (self.me, iteration.clone());
                turn.send(Peer::Name(*node), Message::Capture { from, iteration });
            }
        }
    }
}
