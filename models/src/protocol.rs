//! What the harness asks of a protocol, beyond being a [`Machine`].

pub mod gen_leader;
pub mod gms2;
pub mod gms3;
pub mod multicast;
pub mod registry;
mod vocabulary;

pub use vocabulary::{Names, Vocabulary};

use crate::{
    claim::{
        profile::{Term, Token},
        property::Property,
    },
    model::{environment::Start, parts::Node},
};
use interrex::machine::{Address, Machine, NodeId};
use std::{borrow::Cow, fmt};

/// A machine that can be checked: how its scenarios begin, what its users ask for, and how its states
/// and observations read in the field's notions.
pub trait Protocol: Machine + Send + Sync + Sized + 'static {
    /// Its name on the command line, in scenarios and in traces.
    fn name(&self) -> Cow<'static, str>;

    /// What it is, in a line.
    fn summary(&self) -> Cow<'static, str>;

    /// The properties it has the notion for.
    fn properties(&self) -> &'static [&'static Property];

    /// How its groups can begin.
    fn starts(&self) -> &'static [Start];

    /// Whether a node that comes up joins through one that is up.
    fn joins_through_contact(&self) -> bool;

    /// Whether its groups can have nodes that never lead.
    fn has_workers(&self) -> bool {
        false
    }

    /// Whether a node may ever lead.
    fn may_lead(&self, _node: NodeId) -> bool {
        true
    }

    /// What of a state can grow for ever, if anything can: what a bound is on.
    fn measure(&self) -> Option<&'static str> {
        None
    }

    /// How large that is in a state.
    fn measured(&self, _state: &Self::State) -> u64 {
        0
    }

    /// What the application at `node` asks for when it has asked `issued` times before.
    fn command(&self, node: NodeId, issued: u32) -> Option<Self::Command>;

    /// The nodes of a group of `size`, workers included, that is already formed and has nothing under
    /// way; none if it is what comes of it when all nodes come up in turn and nothing goes wrong.
    /// Asked for only where it is among the [starts](Self::starts).
    fn joined(&self, _size: u16) -> Option<Vec<Node<Self>>> {
        None
    }

    /// Where a process stands in its group.
    fn standing(&self, state: &Self::State) -> Standing;

    /// The calls to the leader among the first commands that a node issues, by their tags.
    fn calls(&self, _node: NodeId, _issued: u32) -> Vec<u64> {
        vec![]
    }

    /// The calls whose local clients still wait for the leader's answer, as far as the process knows.
    fn waiting(&self, _: &Self::State) -> Vec<u64> {
        vec![]
    }

    /// The process's copy of the replicated application state, as text; none while nothing has changed it.
    fn replica(&self, _: &Self::State) -> Option<String> {
        None
    }

    /// What an observation says.
    fn notion(&self, observation: &Self::Observation) -> Notion;

    /// The names of its roles, messages and so on; without them, nothing is known of what is
    /// [covered](crate::explore::coverage).
    fn vocabulary(&self) -> Option<Vocabulary<Self>> {
        None
    }
}

/// Where a process stands in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is no member yet.
    Outsider,
    /// It is a member and acts as leader.
    Leading,
    /// It is a member and takes this process for its leader.
    Following(Address),
    /// It is a member and knows no leader.
    Seeking,
}

/// What an observation says, in the notions of the properties.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Notion {
    /// The process has joined a group: what it installs next is its first view.
    Joined,
    /// A view is in force.
    Installed(View),
    /// A message was handed to the application.
    Delivered {
        /// Its place in the order of views and messages; 0 where these have none.
        number: u64,
        /// Which message.
        message: Token,
    },
    /// The process was elected.
    Elected(Term),
    /// The process takes this one for its leader.
    Surrendered(Address),
    /// The process carries out what this one has broadcast.
    Served(Address),
    /// A call was answered, or has failed.
    Answered(u64),
    /// The process gives up, and says so.
    Failed,
    /// Nothing that a property reads.
    Unremarked,
}

/// A group, as one of its members knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Its number, which is also the term of its leader; 0 where views have none.
    pub number: u64,
    /// Who leads it.
    pub leader: Address,
    /// The others, in the protocol's order.
    pub followers: Vec<Address>,
}

impl View {
    /// Whether a process is named in it, as leader or as follower.
    #[must_use]
    pub fn names(&self, process: Address) -> bool {
        self.leader == process || self.followers.contains(&process)
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, leader, .. } = self;
        let followers: Vec<_> = self.followers.iter().map(Address::to_string).collect();
        let number = if *number == 0 { String::new() } else { format!(" {number}") };
        write!(f, "view{number} ({leader}, [{}])", followers.join(", "))
    }
}
