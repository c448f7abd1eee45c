//! The interface between the behaviour and its election. The behaviour does not know which election it has.

use super::{behaviour::Behaviour, turn::Turn};
use crate::machine::{Address, NodeId, Peer, Value};
use im::Vector;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The state of one process in an election, and its part in it.
///
/// The trait is sealed: only the elections of this crate implement it.
///
/// Transitions change the state in place and put their effects into the [`Turn`], in order. A transition that
/// fails with [`Died`] has found no clause for its event. Then nothing of the step happens, and the process ends.
pub trait Election: Value + sealed::Sealed {
    /// The messages of the election. Some carry a `Synch` of the application.
    type Message<Synch: Value>: Value;
    /// Tells the terms of leaders apart.
    type Term: Value;
    /// The part of the state that survives a crash.
    type Stable: Value;
    /// The variant of this election.
    type Variant: Clone + Send + Sync + 'static;

    /// The callbacks that may return a broadcast. Any other attempt ends the process.
    const BROADCASTS: Broadcasts;

    /// The state of a process that has not started yet.
    fn new(me: Address, roster: Roster) -> Self;

    /// The process starts, and takes part in the election.
    fn start<B: Behaviour<Self>>(
        &mut self,
        stable: Option<Self::Stable>,
        turn: &mut Turn<'_, Self, B>,
    );

    /// A message of the election arrives.
    ///
    /// # Errors
    /// If there is no clause for it.
    fn on_message<B: Behaviour<Self>>(
        &mut self,
        from: Address,
        message: Self::Message<B::Synch>,
        turn: &mut Turn<'_, Self, B>,
    ) -> Result<(), Died>;

    /// A monitored peer is down. It was monitored under this name or address.
    ///
    /// # Errors
    /// If there is no clause for it.
    fn on_down<B: Behaviour<Self>>(
        &mut self,
        peer: Peer,
        turn: &mut Turn<'_, Self, B>,
    ) -> Result<(), Died>;

    /// The periodic timer of a leader fires.
    fn on_tau<B: Behaviour<Self>>(&mut self, turn: &mut Turn<'_, Self, B>);

    /// The phase that the process is in.
    fn phase(&self) -> Phase;

    /// The address of the process.
    fn me(&self) -> Address;

    /// The term of the leader that the process follows, or its own term as leader.
    fn term(&self) -> Self::Term;

    /// The destinations of a broadcast, most recently monitored first.
    fn monitored(&self) -> &Vector<NodeId>;

    /// The candidates and workers.
    fn roster(&self) -> &Roster;

    /// Adds a candidate of the lowest priority, or a worker, in service. A node that is listed already keeps its
    /// place.
    fn admit(&mut self, newcomer: Newcomer);
}

/// Makes [`Election`] impossible to implement elsewhere.
mod sealed {
    use crate::gen_leader::{Bully, Capture};

    pub trait Sealed {}
    impl Sealed for Bully {}
    impl Sealed for Capture {}
}

/// An election that knows which nodes run. (That of 2007 does not.)
pub trait Census: Election {
    /// The nodes on which a process runs, as far as this process knows.
    fn alive(&self) -> Vec<NodeId>;
    /// The nodes that are down, as far as this process knows.
    fn down(&self) -> Vec<NodeId>;
}

/// The participants. All nodes have the same lists; a node is in one of them, and once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Roster {
    /// The nodes that may lead, by priority.
    pub(super) candidates: Vector<NodeId>,
    /// The nodes that only follow.
    pub(super) workers: Vector<NodeId>,
}

impl Roster {
    /// The first nodes are the candidates, by priority; the next ones are the workers.
    #[must_use]
    pub fn new(candidates: u16, workers: u16) -> Self {
        let last = candidates.saturating_add(workers);
        Self::of((0..candidates).map(NodeId), (candidates..last).map(NodeId))
    }

    /// These candidates, by priority, and these workers. Of a node that is named twice, the first mention counts.
    #[must_use]
    pub fn of(
        candidates: impl IntoIterator<Item = NodeId>,
        workers: impl IntoIterator<Item = NodeId>,
    ) -> Self {
        let mut roster = Self::default();
        let candidates = candidates.into_iter().map(Newcomer::Candidate);
        for newcomer in candidates.chain(workers.into_iter().map(Newcomer::Worker)) {
            roster.admit(newcomer);
        }
        roster
    }

    /// Adds a newcomer at the end of its list. False if the node is listed already.
    pub(super) fn admit(&mut self, newcomer: Newcomer) -> bool {
        let (Newcomer::Candidate(node) | Newcomer::Worker(node)) = newcomer;
        if self.candidates.contains(&node) || self.workers.contains(&node) {
            return false;
        }
        match newcomer {
            Newcomer::Candidate(node) => self.candidates.push_back(node),
            Newcomer::Worker(node) => self.workers.push_back(node),
        }
        true
    }

    /// The candidates, by priority.
    pub fn candidates(&self) -> impl Iterator<Item = NodeId> {
        self.candidates.iter().copied()
    }

    /// The workers.
    pub fn workers(&self) -> impl Iterator<Item = NodeId> {
        self.workers.iter().copied()
    }

    /// The place of a candidate in the list. Place 0 has the highest priority.
    #[must_use]
    pub fn place(&self, node: NodeId) -> Option<usize> {
        self.candidates.index_of(&node)
    }
}

/// A node that is added in service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Newcomer {
    /// It may lead, with the lowest priority.
    Candidate(NodeId),
    /// It only follows.
    Worker(NodeId),
}

/// The phase of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// It has no leader (the seeds' "safe loop"). It takes only messages of the election, `Down`s and timers.
    Electing,
    /// It leads.
    Leading,
    /// It has surrendered to this process.
    Following(Address),
}

/// The callbacks that may return a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broadcasts {
    /// Every callback, on every node.
    Anywhere,
    /// Only `handle_leader_call`, with a reply.
    WithLeaderReply,
}

/// There was no clause for the event: the process ends, and nothing else of its step happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Died(pub Cow<'static, str>);

/// Takes the first occurrence of a node out of a list, as the seeds do. A second one stays.
pub(super) fn delist(list: &mut Vector<NodeId>, node: NodeId) {
    if let Some(place) = list.index_of(&node) {
        list.remove(place);
    }
}
