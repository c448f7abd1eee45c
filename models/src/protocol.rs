//! What the harness asks of a protocol, beyond being a [`Machine`].

pub mod gen_leader;
pub mod gms2;
pub mod gms3;
pub mod multicast;
pub mod registry;
mod vocabulary;

#[doc(no_inline)]
pub use crate::claim::notion::{Notion, Standing, Term, Token, View};
pub use vocabulary::{Names, Vocabulary};

use crate::claim::profile::Presence;
use crate::{
    claim::{profile::Profile, property::Property},
    model::{
        environment::{Environment, Key, Misfit, Start},
        node::{Condition, Node},
    },
};
use interrex::machine::{Machine, NodeId};
use std::borrow::Cow;

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

    /// Whether a leader can be had among these nodes: those that are up and can reach each other, with
    /// their states. `leader-exists`, `agreement` and `no-lost-call` ask nothing where it cannot.
    ///
    /// By default one member that [may lead](Self::may_lead) is enough. A protocol with quorums asks for
    /// a majority; one that elects on demand, for a request.
    fn can_lead(&self, up: &[(NodeId, &Self::State)]) -> bool {
        let is_candidate = |(node, state): &(NodeId, &Self::State)| {
            self.may_lead(*node) && self.standing(state) != Standing::Outsider
        };
        up.iter().any(is_candidate)
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

    /// Whether an environment is one for it: one of its starts, workers only where it has them, and a
    /// bound only on what it measures.
    ///
    /// # Errors
    /// The part of the environment that does not fit, and what would.
    fn suits(&self, environment: &Environment) -> Result<(), Misfit> {
        environment.check()?;
        let name = self.name();
        let Environment { start, workers, bound, .. } = environment;
        let starts = self.starts();
        if !starts.contains(start) {
            let can: Vec<_> = starts.iter().map(|start| start.name()).collect();
            let (start_name, can) = (start.name(), can.join(" or "));
            let reason = if *start == Start::Idle && self.joins_through_contact() {
                ": its nodes join through one that is up, and nobody could be the first contact"
            } else {
                ""
            };
            let message = format!("{name} cannot start {start_name}{reason} (it can start {can})");
            return Err(Misfit::new(Key::Start, message));
        }
        if *workers > 0 && !self.has_workers() {
            let message = format!("{name} has no workers: leave out `workers`");
            return Err(Misfit::new(Key::Workers, message));
        }
        match (bound, self.measure()) {
            (Some(bound), None) => {
                let message = format!("{name} names no measure: leave out the bound `{bound}`");
                Err(Misfit::new(Key::Bound, message))
            }
            (Some(bound), Some(measure)) if bound.measure != measure => {
                let given = &bound.measure;
                let message = format!("{name} does not measure `{given}`, only `{measure}`");
                Err(Misfit::new(Key::Bound, message))
            }
            _ => Ok(()),
        }
    }

    /// The names of its roles, messages and so on; without them, nothing is known of what is
    /// [covered](crate::explore::coverage).
    fn vocabulary(&self) -> Option<Vocabulary<Self>> {
        None
    }
}

/// What the properties see of a node.
pub fn profile<P: Protocol>(protocol: &P, node: &Node<P>) -> Profile {
    let mut profile = Profile {
        presence: match &node.condition {
            Condition::Idle => Presence::Idle,
            Condition::Up(state) => Presence::Up(protocol.standing(state)),
            Condition::Crashed => Presence::Crashed,
            Condition::Stopped => Presence::Stopped,
        },
        issued: node.issued,
        ..Profile::idle(node.address())
    };
    for observation in &node.history {
        profile.read(protocol.notion(observation));
    }
    if let Condition::Up(state) = &node.condition {
        // In its first life a node owes an answer to every call that it has issued. In a later one the
        // world does not tell which calls its earlier lives issued, so the process is asked.
        profile.waiting = match node.life {
            0 => protocol.calls(node.id, node.issued),
            _ => protocol.waiting(state),
        };
        profile.waiting.retain(|tag| !profile.answers.contains(tag));
        profile.ids = protocol.measured(state);
        profile.replica = protocol.replica(state);
    }
    profile
}
