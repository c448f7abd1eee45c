//! The state of a process, and the part of it that is stored.

use super::{Founding, Log, Part, Position, Summary, Term};
use crate::machine::{Address, NodeId, Peer, Value};
use im::{OrdMap, OrdSet, Vector};
use serde::{Deserialize, Serialize};

/// The content of stable storage: all that must not be forgotten, or the part of it that a step has changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "R: Value, A: Value")]
pub struct Stable<R, A> {
    /// Its name as a member.
    pub member: Address,
    /// The highest term that it has promised.
    pub term: Term,
    /// The last entry that it has forgotten.
    pub forgotten: u64,
    /// The entries that it holds; or those that replace all after an entry.
    pub part: Part<R, A>,
}

/// The state of a process. `R`: requests; `A`: the application's state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "R: Value, A: Value")]
pub struct State<R, A> {
    /// Its own address.
    pub me: Address,
    /// Its name as a member. Stable.
    pub member: Address,
    /// The highest term that it has promised. Stable.
    pub term: Term,
    /// The entries that it holds. Stable.
    pub log: Log<R, A>,
    /// The node that it was told to join through.
    pub contact: Option<NodeId>,
    /// The summary of the committed entries, as far as it knows. All of them are delivered.
    pub counted: Summary<A>,
    /// Its role in its term.
    pub role: Role,
    /// The nodes that were reported down, and not heard from since.
    pub suspected: OrdSet<NodeId>,
    /// Its monitors.
    pub watched: OrdSet<Peer>,
    /// The number of multicasts that it has sent.
    pub issued: u64,
    /// Those that it has not delivered yet.
    pub pending: OrdMap<u64, Pending<R>>,
    /// The nodes that will be told when there is a leader, again at each tick, until they are members.
    pub waiting: OrdSet<NodeId>,
    /// It wants to be no member any more.
    pub is_leaving: bool,
    /// The nodes whose processes are in another group, which this is.
    pub foreign: OrdMap<NodeId, Founding>,
    /// The summary that it is being given, piece by piece.
    pub taking: Option<Taking<A>>,
    /// The summaries that it gives to other nodes, piece by piece.
    pub giving: OrdMap<NodeId, Giving<A>>,
}

/// A summary that is on its way to a process, piece by piece.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "A: Value")]
pub struct Taking<A> {
    /// The process that gives it.
    pub from: Address,
    /// The summary, with the pieces of the application's state that have arrived.
    pub summary: Summary<A>,
    /// Their number.
    pub pieces: u64,
}

/// A summary that is on its way from a process, piece by piece.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "A: Value")]
pub struct Giving<A> {
    /// The last entry in the summary.
    pub number: u64,
    /// The number of pieces that were sent.
    pub pieces: u64,
    /// The last one of them.
    pub piece: A,
    /// The part of the application's state that was not sent yet.
    pub rest: Option<A>,
}

/// A multicast under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pending<R> {
    /// The message.
    pub message: R,
    /// The client that waits for the reply.
    pub client: Option<Client>,
}

/// A client that waits for the reply to its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Client {
    /// The tag of the call.
    pub tag: u64,
    /// It waits until a timer fires, and not for ever.
    pub is_limited: bool,
}

/// The role of a process in its term.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It knows nobody who leads or may soon.
    Seeking {
        /// The processes that will tell it when they have a leader.
        told: OrdSet<Address>,
    },
    /// It waits for the owner of its term.
    Promised {
        /// The process that has asked for the promise. None if it has not: then this one asks.
        to: Option<Address>,
    },
    /// It takes entries from the owner of its term.
    Following {
        /// The leader's process.
        leader: Address,
        /// The last entry that it has taken in this term.
        matched: u64,
    },
    /// It asks the others for their promises.
    Candidate {
        /// The members that have given them.
        promised: OrdSet<Address>,
        /// Nodes that it has asked beyond the members: those that have said something of an earlier term, or have asked; from the
        /// first tick on all of the list. They may hold more.
        invited: OrdSet<NodeId>,
        /// The better log that it is taking over, if there is more of it than one batch.
        reading: Option<Reading>,
    },
    /// It leads.
    Leading {
        /// The members, those who want to be, and those who may not know that they are no more; by node.
        others: OrdMap<NodeId, Other>,
        /// The next multicast of each node, as in a [`Summary`]. Those that are not committed yet are included.
        next: OrdMap<NodeId, (Address, u64)>,
    },
}

/// A log on its way to a candidate, batch by batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reading {
    /// The process that holds it.
    pub from: Address,
    /// Its end.
    pub last: Position,
    /// The end of what has arrived.
    pub held: Position,
}

/// The knowledge that a leader has of another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Other {
    /// Its name as a member.
    pub member: Address,
    /// The last entry that it holds, as far as it has said.
    pub held: u64,
    /// It is no member, and wants to be one: once it holds the entries up to this number, which were there when it asked.
    pub joins: Option<u64>,
    /// It is a member, and wants to be none.
    pub leaves: bool,
    /// It lacks more entries than one message carries: once it has said that it holds this one, the next are sent.
    pub catches_up: Option<u64>,
}

impl<A: Value> Taking<A> {
    /// True if it is the summary up to this number, from this process.
    pub(super) fn is_of(&self, from: Address, number: u64) -> bool {
        self.from == from && self.summary.number() == number
    }
}

impl Reading {
    /// True if this is the next part of that log, or the first one of a still better log.
    pub(super) fn is_continued_by<R: Value, A: Value>(
        &self,
        from: Address,
        last: Position,
        part: &Part<R, A>,
    ) -> bool {
        if from == self.from { part.after.last() == self.held } else { last > self.last }
    }
}

impl Other {
    /// A process that is taken to hold everything up to a number.
    #[must_use]
    pub fn holding(member: Address, held: u64) -> Self {
        Self { member, held, joins: None, leaves: false, catches_up: None }
    }
}

impl<R: Value, A: Value + Default> Stable<R, A> {
    /// True if it has been in a group, of which it may be a member.
    #[must_use]
    pub fn has_group(&self) -> bool {
        let log = Log::from(self.part.clone());
        log.base().view.is_some() || log.newest_view_after(0).is_some()
    }
}

impl<R: Value, A: Value + Default> State<R, A> {
    /// The application's state, in which everything has been carried out that is committed, as far as this process knows.
    #[must_use]
    pub fn application(&self) -> &A {
        &self.counted.application
    }

    /// Its group. None if it has been in none.
    #[must_use]
    pub fn group(&self) -> Option<Founding> {
        let first = || Some(Founding { by: self.log.get(1)?.term.owner, anew: None });
        self.counted.group.or(self.log.base().group).or_else(first)
    }

    /// The members of the last committed view, as far as it knows.
    #[must_use]
    pub fn members(&self) -> Vector<Address> {
        self.counted.members()
    }

    /// The number and the members of the newest view that it holds, committed or not.
    #[must_use]
    pub fn newest_view(&self) -> (u64, Vector<Address>) {
        match self.log.newest_view_after(self.counted.number()) {
            Some((number, members)) => (number, members.clone()),
            None => (self.counted.view_number(), self.counted.members()),
        }
    }

    /// True if it waits for a process of this node to lead, or takes it for the leader.
    pub(super) fn relies_on(&self, node: NodeId) -> bool {
        match self.role {
            Role::Following { leader: process, .. } | Role::Promised { to: Some(process) } => {
                process.node == node
            }
            Role::Promised { to: None }
            | Role::Seeking { .. }
            | Role::Candidate { .. }
            | Role::Leading { .. } => false,
        }
    }

    /// The log that it is taking over as a candidate.
    pub(super) fn reading(&self) -> Option<Reading> {
        match self.role {
            Role::Candidate { reading, .. } => reading,
            Role::Seeking { .. }
            | Role::Promised { .. }
            | Role::Following { .. }
            | Role::Leading { .. } => None,
        }
    }

    /// True if it is a member of the last committed view, as far as it knows.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.members().contains(&self.member)
    }

    /// True if it leads.
    #[must_use]
    pub fn leads(&self) -> bool {
        matches!(self.role, Role::Leading { .. })
    }

    /// The leader, as far as it knows.
    #[must_use]
    pub fn leader(&self) -> Option<Address> {
        match self.role {
            Role::Leading { .. } | Role::Following { .. } => Some(self.term.owner),
            Role::Seeking { .. } | Role::Promised { .. } | Role::Candidate { .. } => None,
        }
    }
}
