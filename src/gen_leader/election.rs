//! The interface of the elections: so the behaviour above does not know which one it has.

use super::{behaviour::Behaviour, turn::Turn};
use crate::machine::{Address, NodeId, Peer, Value};
use im::Vector;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What one process knows of an election, and how it takes part.
///
/// The elections of this crate implement it, and no others can: what a [`Turn`] offers is theirs.
///
/// Transitions change it in place and put their effects into the [`Turn`], in order. One that fails
/// with [`Died`] has found no clause for what it met: then nothing of the step happens, and the process
/// ends.
pub trait Election: Value {
    /// What processes send each other; `elect` and its like carry a `Synch` of the application.
    type Message<Synch: Value>: Value;
    /// What tells the terms of leaders apart.
    type Term: Value;
    /// What survives a crash.
    type Stable: Value;
    /// What differs between variants of this election.
    type Variant: Clone + Send + Sync + 'static;

    /// Which callbacks may return a broadcast. Any other attempt ends the process.
    const BROADCASTS: Broadcasts;

    /// A process that has not begun yet.
    fn new(me: Address, roster: Roster) -> Self;

    /// It comes up, and takes part.
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

    /// What was monitored under this name is down.
    ///
    /// # Errors
    /// If there is no clause for it.
    fn on_down<B: Behaviour<Self>>(
        &mut self,
        peer: Peer,
        turn: &mut Turn<'_, Self, B>,
    ) -> Result<(), Died>;

    /// The periodic timer of a leader has fired.
    fn on_tau<B: Behaviour<Self>>(&mut self, turn: &mut Turn<'_, Self, B>);

    /// Where the process stands.
    fn standing(&self) -> Standing;

    /// The process itself.
    fn me(&self) -> Address;

    /// The term of the leader that it has or is.
    fn term(&self) -> Self::Term;

    /// Those to whom a broadcast goes, most recently monitored first.
    fn monitored(&self) -> &Vector<NodeId>;

    /// The candidates and workers that are known.
    fn roster(&self) -> &Roster;

    /// Adds a candidate of the lowest priority, or a worker, in service. Who is listed already stays what
    /// it is.
    fn admit(&mut self, newcomer: Newcomer);

    /// Whether this variant has a repair.
    #[must_use]
    fn has(_: &Self::Variant, _: super::Repair) -> bool {
        false
    }
}

/// An election that can say which nodes run. (The 2007 version cannot.)
pub trait Census: Election {
    /// Nodes where an instance is running, as far as is known.
    fn alive(&self) -> Vec<NodeId>;
    /// Candidates that are down, as far as is known.
    fn down(&self) -> Vec<NodeId>;
}

/// Who takes part: the same lists everywhere, each node in one of them and once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Roster {
    /// Those who may lead, by priority.
    pub(super) candidates: Vector<NodeId>,
    /// Those who only follow.
    pub(super) workers: Vector<NodeId>,
}

impl Roster {
    /// The first nodes as candidates, by priority, and the next ones as workers.
    #[must_use]
    pub fn new(candidates: u16, workers: u16) -> Self {
        let last = candidates.saturating_add(workers);
        Self::of((0..candidates).map(NodeId), (candidates..last).map(NodeId))
    }

    /// These candidates, by priority, and these workers. Who is named again stays what it is.
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

    /// Adds a newcomer at the end of its list; false if it is listed already.
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

    /// Those who may lead, by priority.
    pub fn candidates(&self) -> impl Iterator<Item = NodeId> {
        self.candidates.iter().copied()
    }

    /// Those who only follow.
    pub fn workers(&self) -> impl Iterator<Item = NodeId> {
        self.workers.iter().copied()
    }

    /// The place of a candidate in the list, from 0, where the highest priority is.
    #[must_use]
    pub fn place(&self, node: NodeId) -> Option<usize> {
        self.candidates.index_of(&node)
    }
}

/// A node that is added in service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Newcomer {
    /// It may lead, if nobody else can.
    Candidate(NodeId),
    /// It follows.
    Worker(NodeId),
}

/// Where a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// In the election ("safe loop"): only the election's own messages and `Down` are taken.
    Electing,
    /// It leads.
    Leading,
    /// It has surrendered to this process.
    Following(Address),
}

/// Which callbacks may return a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broadcasts {
    /// Any, on any node.
    Anywhere,
    /// `handle_leader_call` only, with a reply.
    WithLeaderReply,
}

/// There was no clause: the process ends, and nothing else of its step happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Died(pub Cow<'static, str>);

/// Takes a node out of a list.
pub(super) fn delist(list: &mut Vector<NodeId>, node: NodeId) {
    list.retain(|other| *other != node);
}
