//! Protocols: what the harness needs to know beyond a [`Machine`].

#[cfg(feature = "built-in")]
mod built_in;
#[cfg(feature = "built-in")]
pub mod gen_leader;
#[cfg(feature = "built-in")]
pub mod gms2;
#[cfg(feature = "built-in")]
pub mod gms3;
#[cfg(feature = "built-in")]
pub mod group;
#[cfg(feature = "built-in")]
pub mod multicast;
pub mod registry;
mod vocabulary;

#[doc(no_inline)]
pub use crate::claim::fact::Fact;
#[doc(no_inline)]
pub use crate::claim::notion::{Notion, Standing, Term, Token, View};
pub use vocabulary::{Names, Vocabulary};

use crate::{
    claim::{
        profile::{Presence, Profile},
        property::Property,
    },
    model::{
        environment::{Environment, Key, Misfit, Start},
        node::{Condition, Node},
    },
};
use interrex::machine::{Machine, NodeId};
use rustc_hash::FxHashSet;
use std::borrow::Cow;

/// A machine that can be checked. It says how its scenarios begin, which commands its users issue, and what
/// its states and observations mean in the field's notions.
pub trait Protocol: Machine + Send + Sync + Sized + 'static {
    /// Its name on the command line, in scenarios and in traces.
    fn name(&self) -> Cow<'static, str>;

    /// A description, in a line.
    fn summary(&self) -> Cow<'static, str>;

    /// The properties that have a meaning for it.
    fn properties(&self) -> &'static [&'static Property];

    /// The possible beginnings of its groups.
    fn starts(&self) -> &'static [Start];

    /// True if a node that comes up joins through one that is up.
    fn joins_through_contact(&self) -> bool;

    /// True if views name a restarted process by its first life with the same storage.
    fn keeps_names(&self) -> bool {
        false
    }

    /// True if its groups can have workers: nodes that never lead.
    fn has_workers(&self) -> bool {
        false
    }

    /// True if a node may ever lead.
    fn may_lead(&self, _node: NodeId) -> bool {
        true
    }

    /// True if these nodes can have a leader. They are the nodes that are up and can reach each other, with
    /// their states. If it is false, settled properties ask nothing of them.
    ///
    /// One member that [may lead](Self::may_lead) is enough by default. A protocol with quorums needs a
    /// majority. One that elects on demand needs a request.
    fn can_lead(&self, up: &[(NodeId, &Self::State)]) -> bool {
        let is_candidate = |(node, state): &(NodeId, &Self::State)| {
            self.may_lead(*node) && self.standing(state) != Standing::Outsider
        };
        up.iter().any(is_candidate)
    }

    /// The name of its measure: a quantity of a state that can grow without limit, on which a scenario can
    /// put a bound. None if there is no such quantity.
    fn measure(&self) -> Option<&'static str> {
        None
    }

    /// The value of the measure in a state.
    fn measured(&self, _state: &Self::State) -> u64 {
        0
    }

    /// The next command of the application at `node`, after `issued` earlier ones.
    fn command(&self, node: NodeId, issued: u32) -> Option<Self::Command>;

    /// The nodes of a formed group of `size`, workers included, with nothing under way. None if the harness
    /// is to form the group: all nodes come up in turn, without faults. Called only if `joined` is among the
    /// [starts](Self::starts).
    fn joined(&self, _size: u16) -> Option<Vec<Node<Self>>> {
        None
    }

    /// The standing of a process in its group.
    fn standing(&self, state: &Self::State) -> Standing;

    /// The tags of the calls to the leader among the first `issued` commands of a node.
    fn calls(&self, _node: NodeId, _issued: u32) -> Vec<u64> {
        vec![]
    }

    /// The tags of the calls whose local clients still wait for the leader's answer, as far as the process
    /// knows.
    fn waiting(&self, _: &Self::State) -> Vec<u64> {
        vec![]
    }

    /// The process's copy of the replicated application state, as text. None before the first change.
    fn replica(&self, _: &Self::State) -> Option<String> {
        None
    }

    /// The meaning of an observation.
    fn notion(&self, observation: &Self::Observation) -> Notion;

    /// Facts about a state that have no notion, for [properties of its own](Property::new). They are part of the node's
    /// profile while it runs.
    fn facts(&self, _state: &Self::State) -> Vec<Fact> {
        vec![]
    }

    /// Facts that an observation tells and that have no notion, for properties of its own. The profile of a node keeps them
    /// in order, and through all its lives.
    fn told(&self, _observation: &Self::Observation) -> Vec<Fact> {
        vec![]
    }

    /// Checks that an environment suits it: one of its starts, workers only if it has them, and a bound only
    /// on its measure.
    ///
    /// # Errors
    /// The part of the environment that does not fit, and a sentence that says what would fit.
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
            let message = format!("{name} has no workers: leave them out");
            return Err(Misfit::new(Key::Workers, message));
        }
        match (bound, self.measure()) {
            (Some(bound), None) => {
                let message = format!(
                    "{name} has nothing that can be bounded: leave out the bound `{bound}`"
                );
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

    /// The names of its roles, messages and so on. Without them there is no
    /// [coverage](crate::explore::coverage).
    fn vocabulary(&self) -> Option<Vocabulary<Self>> {
        None
    }
}

/// The profile of a node: its view for the properties.
pub fn profile<P: Protocol>(protocol: &P, node: &Node<P>) -> Profile {
    profile_from(protocol, None, node)
}

/// The same, if the profile of the same process is known at an earlier moment: only what was observed since is read. In a
/// long run each step would read the whole history.
pub(crate) fn profile_from<P: Protocol>(
    protocol: &P,
    earlier: Option<(&Node<P>, &Profile)>,
    node: &Node<P>,
) -> Profile {
    let (known, profile) = match earlier {
        Some((before, profile)) => (before.history.len(), profile.clone()),
        None => (0, Profile::idle(node.address())),
    };
    let mut profile = Profile {
        presence: match &node.condition {
            Condition::Idle => Presence::Idle,
            Condition::Up(state) => Presence::Up(protocol.standing(state)),
            Condition::Crashed => Presence::Crashed,
            Condition::Stopped => Presence::Stopped,
        },
        issued: node.issued,
        waiting: vec![],
        ids: 0,
        replica: None,
        facts: vec![],
        ..profile
    };
    for observation in (known..node.history.len()).filter_map(|at| node.history.get(at)) {
        profile.read(protocol.notion(observation));
        profile.told.extend(protocol.told(observation));
    }
    if let Condition::Up(state) = &node.condition {
        // In its first life a node must get an answer to every call that it has issued. In a later life only
        // the process knows its calls: `issued` counts those of earlier lives too.
        profile.waiting = match node.life {
            0 => protocol.calls(node.id, node.issued),
            _ => protocol.waiting(state),
        };
        let answered: FxHashSet<u64> = profile.answers.iter().copied().collect();
        profile.waiting.retain(|tag| !answered.contains(tag));
        profile.ids = protocol.measured(state);
        profile.replica = protocol.replica(state);
        profile.facts = protocol.facts(state);
    }
    profile
}
