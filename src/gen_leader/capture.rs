//! The election of version 1.0 (2003): capture, accept, elect. It is faulty.
//!
//! **Source.** `gen_leader` 1.0, as section 2 of [`protocols`](crate::protocols) has it: each function here is a row
//! of its table.
//!
//! **Protocol.** Every candidate tries to *capture* all others. A candidate that is captured by a stronger one
//! *accepts*. A candidate that has captured more than half of all, or all that are not down, is *elected*. It says
//! so to all, who then surrender. Strength is the number of captured candidates, then the place in the list.
//!
//! **Assumptions.** Links are reliable and FIFO, and a `Down` is true. The election has no terms.
//!
//! **Faults.** A `Down` that was queued before the other process came up still counts. So one candidate can be
//! elected with all that are not down, and one that it believes down with a majority. A captured candidate ends
//! itself over any `Down`. A capture that vanishes is not repeated. A worker that starts late never learns the
//! leader. There is a trace of each in `traces/gen_leader_1_0/`.

use super::{
    behaviour::{Behaviour, Info},
    election::{Broadcasts, Census, Died, Election, Newcomer, Phase, Roster, delist},
    turn::Turn,
};
use crate::machine::{Address, NodeId, Peer};
use im::{OrdSet, Vector};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// The state of a process in the election.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Capture {
    me: Address,
    roster: Roster,
    role: Role,
    /// A worker has none.
    iteration: Option<Iteration>,
    leader: Option<Address>,
    leadernode: Option<NodeId>,
    alive: OrdSet<NodeId>,
    down: OrdSet<NodeId>,
    /// Most recently monitored first.
    monitored: Vector<NodeId>,
}

/// The role of a process. The first three are in the safe loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It tries to capture the others.
    Candidate,
    /// It has accepted a stronger candidate.
    Captured,
    /// A worker that has no leader yet.
    WaitingWorker,
    /// It follows a leader.
    Surrendered,
    /// It leads.
    Elected,
    /// A worker that follows a leader.
    Worker,
}

/// The strength of a candidate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Iteration {
    /// The candidates that it has captured, and those that they had captured.
    pub captured: OrdSet<NodeId>,
    /// The number of candidates after it in the list.
    pub position: usize,
}

impl Iteration {
    fn compare(&self, other: &Self) -> Ordering {
        let strength = |iteration: &Self| (iteration.captured.len(), iteration.position);
        strength(self).cmp(&strength(other))
    }
}

/// A message between processes. Each names its originator, also if it was passed on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message<S> {
    /// From a candidate to every node that it monitors. A weaker candidate accepts.
    Capture {
        /// The candidate.
        from: Address,
        /// Its strength.
        iteration: Iteration,
    },
    /// From a captured candidate to the one that captured it. A receiver that is captured itself passes it on to its
    /// own.
    Accept {
        /// The captured candidate.
        from: Address,
        /// Its strength.
        iteration: Iteration,
    },
    /// From a worker to every candidate, when it starts. The receiver monitors it.
    AddWorker(Address),
    /// From the leader to every node that it monitors, or to a process that comes late. The receiver surrenders.
    Elect {
        /// The leader.
        leader: Address,
        /// Brings the application up to date.
        synch: S,
    },
}

impl Capture {
    /// The role of the process.
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
        let after = place.map(|place| roster.candidates.len() - place - 1);
        Self {
            me,
            roster,
            role: if place.is_some() { Role::Candidate } else { Role::WaitingWorker },
            iteration: after.map(|position| Iteration { captured: OrdSet::new(), position }),
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
            // There is a clause for "no leader", but a captured candidate has a leader for ever.
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

    fn phase(&self) -> Phase {
        match (self.role, self.leader) {
            (Role::Elected, _) => Phase::Leading,
            (Role::Surrendered | Role::Worker, Some(leader)) => Phase::Following(leader),
            (Role::Surrendered | Role::Worker, None)
            | (Role::Candidate | Role::Captured | Role::WaitingWorker, _) => Phase::Electing,
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

    /// The newcomer is listed. It is neither monitored nor sent anything: a candidate makes contact itself when it
    /// starts, and a worker that starts while there is a leader never learns the leader.
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
            // Not a message of the election here: the worker never learns the leader.
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

    /// The seed's "nodeup": a process runs on the node.
    fn nodeup<B: Behaviour<Self>>(&mut self, process: Address, turn: &mut Turn<'_, Self, B>) {
        let node = process.node;
        if !self.monitored.contains(&node) {
            self.monitored.push_front(node);
            turn.monitor(Peer::Name(node));
            self.down.remove(&node);
        }
        self.alive.insert(node);
    }

    /// The seed's "gone": a node is down. A worker has no iteration to take it out of, and dies.
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

    /// The seed's "check": it is elected with more than half of the candidates, or with all that are not down.
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

    /// A process surrenders late.
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
