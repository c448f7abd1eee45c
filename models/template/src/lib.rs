//! An election: of the nodes that are up, the first one leads.
//!
//! A node that comes up claims to lead. A later node says yes, and leads only when the claimant is down. An earlier node
//! lets the claimant wait. So the node leads for which all others have said yes, or are down.
//!
//! It is wrong in one place. `cargo run -- check` finds it.

use interrex::{gen_leader::Roster, machine::*};
use interrex_models::{
    claim::property::{LEADER_EXISTS, NO_LIVELOCK, Property, SINGLE_LEADER},
    model::environment::Start,
    protocol::{Notion, Protocol, Standing, registry::Registry},
    real::plain::Plain,
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap};

/// The protocols of the command and of the tests.
#[must_use]
pub fn protocols() -> Registry {
    Registry::new().protocol(Election::new)
}

/// The machine: a node, in terms of what it is told and what it does.
#[derive(Clone, Debug)]
pub struct Election {
    nodes: Vec<NodeId>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct State {
    me: Address,
    /// The nodes that it waits for, with their processes where it knows them.
    waits: BTreeMap<NodeId, Option<Address>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// From a node that comes up, to all others: it wants to lead.
    Claim,
    /// From a later node: it leads only when the claimant is down.
    Yes,
    /// From an earlier node: the claimant leads only when that node is down.
    Wait,
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    Leads,
    Follows(Address),
}

impl Election {
    #[must_use]
    pub fn new(roster: &Roster) -> Self {
        Self { nodes: roster.candidates().collect() }
    }
}

impl State {
    /// The leader, as far as the node knows.
    fn leader(&self) -> Option<Address> {
        match self.waits.first_key_value() {
            None => Some(self.me),
            Some((first, process)) if *first < self.me.node => *process,
            Some(_) => None,
        }
    }
}

impl Machine for Election {
    type State = State;
    type Message = Message;
    type Command = ();
    type Timer = ();
    type Stable = ();
    type Observation = Observation;

    fn start(&self, Boot { me, .. }: Boot<()>) -> (State, Vec<EffectOf<Self>>) {
        let others = self.nodes.iter().filter(|node| **node != me.node);
        let state = State { me, waits: others.map(|node| (*node, None)).collect() };
        let claim = |node: &NodeId| {
            let to = Peer::Name(*node);
            [Effect::Monitor(to), Effect::Send { to, message: Message::Claim }]
        };
        let effects = state.waits.keys().flat_map(claim).collect();
        (state, effects)
    }

    fn step(&self, mut state: State, event: EventOf<Self>) -> (State, Vec<EffectOf<Self>>) {
        let before = state.leader();
        let mut effects = vec![];
        match event {
            Event::Message { from, message: Message::Claim } if from.node < state.me.node => {
                state.waits.insert(from.node, Some(from));
                effects.push(Effect::Send { to: from.into(), message: Message::Yes });
            }
            Event::Message { from, message: Message::Claim } => {
                effects.push(Effect::Send { to: from.into(), message: Message::Wait });
            }
            Event::Message { from, message: Message::Wait } => {
                state.waits.insert(from.node, Some(from));
            }
            Event::Message { from, message: Message::Yes } => {
                state.waits.remove(&from.node);
            }
            Event::Down(gone) => {
                state.waits.remove(&gone.node());
            }
            Event::Command(()) | Event::Timeout(()) => {}
        }
        match state.leader() {
            leader if leader == before => {}
            Some(leader) if leader == state.me => effects.push(Effect::Observe(Observation::Leads)),
            Some(leader) => effects.push(Effect::Observe(Observation::Follows(leader))),
            None => {}
        }
        (state, effects)
    }
}

/// What the harness asks: how groups begin, and what states and observations mean to the properties.
impl Protocol for Election {
    fn name(&self) -> Cow<'static, str> {
        "election".into()
    }

    fn summary(&self) -> Cow<'static, str> {
        "of the nodes that are up, the first one leads".into()
    }

    fn properties(&self) -> &'static [&'static Property] {
        &[&SINGLE_LEADER, &LEADER_EXISTS, &NO_LIVELOCK]
    }

    fn starts(&self) -> &'static [Start] {
        &[Start::Idle]
    }

    fn joins_through_contact(&self) -> bool {
        false
    }

    fn command(&self, _: NodeId, _: u32) -> Option<()> {
        None
    }

    fn standing(&self, state: &State) -> Standing {
        match state.leader() {
            Some(leader) if leader == state.me => Standing::Leading,
            Some(leader) => Standing::Following(leader),
            None => Standing::Seeking,
        }
    }

    fn notion(&self, observation: &Observation) -> Notion {
        match observation {
            // Its elections have no terms.
            Observation::Leads => Notion::Elected([].into()),
            Observation::Follows(leader) => Notion::Surrendered(*leader),
        }
    }
}

/// Real nodes run the machine as it is.
impl Plain for Election {}
