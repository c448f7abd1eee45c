//! The election on a ring by Chang and Roberts (1979), for nodes that may come up late, crash and come back.
//!
//! A process claims to lead, and its claim goes from node to node. A node passes a greater claim on, and replaces a smaller
//! one by its own. A claim that comes home has met nobody greater: that process leads, and says so once around the ring.

use interrex::{gen_leader::Roster, machine::*};
use interrex_models::{
    claim::{
        profile::Profile,
        property::{self, Kind, Property},
    },
    model::environment::Start,
    protocol::{Fact, Notion, Protocol, Standing, registry::Registry},
    real::plain::Plain,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The protocols of the command.
#[must_use]
pub fn protocols() -> Registry {
    Registry::new().protocol(Ring::new)
}

/// The ring, in the order of the nodes.
#[derive(Clone, Debug)]
pub struct Ring(Vec<NodeId>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct State {
    me: Address,
    leader: Option<Address>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// This process wants to lead.
    Claim(Address),
    /// This process leads. It goes round until it is back where it came from.
    Leads { leader: Address, from: NodeId },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Claim once more.
    Claim,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// Its claim has come home.
    Elected,
    /// It follows this process.
    Follows(Address),
}

impl Ring {
    /// The ring of all nodes of a roster.
    #[must_use]
    pub fn new(roster: &Roster) -> Self {
        Self(roster.candidates().chain(roster.workers()).collect())
    }

    fn send(&self, from: Address, message: Message) -> EffectOf<Self> {
        let place = self.0.iter().position(|node| *node == from.node).unwrap_or(0);
        Effect::Send { to: Peer::Name(self.0[(place + 1) % self.0.len()]), message }
    }
}

impl Machine for Ring {
    type State = State;
    type Message = Message;
    type Command = Command;
    type Timer = ();
    type Stable = ();
    type Observation = Observation;

    fn start(&self, Boot { me, .. }: Boot<()>) -> (State, Vec<EffectOf<Self>>) {
        (State { me, leader: None }, vec![self.send(me, Message::Claim(me))])
    }

    fn step(&self, mut state: State, event: EventOf<Self>) -> (State, Vec<EffectOf<Self>>) {
        let me = state.me;
        let effects = match event {
            Event::Message { message: Message::Claim(claim), .. } => match state.leader {
                _ if claim.node == me.node => {
                    state.leader = Some(me);
                    let leads = Message::Leads { leader: me, from: me.node };
                    vec![Effect::Observe(Observation::Elected), self.send(me, leads)]
                }
                Some(leader) => vec![self.send(me, Message::Leads { leader, from: me.node })],
                None => vec![self.send(me, Message::Claim(claim.max(me)))],
            },
            Event::Message { message: Message::Leads { leader, from }, .. } => {
                // The others may know a former life of this process: it leads again.
                let leader = if leader.node == me.node { me } else { leader };
                let mut effects = vec![];
                if state.leader < Some(leader) {
                    state.leader = Some(leader);
                    if leader != me {
                        effects.push(Effect::Observe(Observation::Follows(leader)));
                        effects.push(Effect::Monitor(leader.into()));
                    }
                }
                if from != me.node {
                    effects.push(self.send(me, Message::Leads { leader, from }));
                }
                effects
            }
            Event::Down(gone) if state.leader.map(Peer::from) == Some(gone) => {
                state.leader = None;
                vec![self.send(me, Message::Claim(me))]
            }
            Event::Down(_) => vec![],
            Event::Command(Command::Claim) => vec![self.send(me, Message::Claim(me))],
            Event::Timeout(()) => vec![],
        };
        (state, effects)
    }
}

impl Protocol for Ring {
    fn name(&self) -> Cow<'static, str> {
        "ring".into()
    }

    fn summary(&self) -> Cow<'static, str> {
        "an election on a ring: the greatest claim comes home".into()
    }

    fn properties(&self) -> &'static [&'static Property] {
        &[&property::SINGLE_LEADER, &property::LEADER_EXISTS, &NO_USURPER, &property::NO_LIVELOCK]
    }

    fn starts(&self) -> &'static [Start] {
        &[Start::Idle]
    }

    fn joins_through_contact(&self) -> bool {
        false
    }

    /// A claim comes home only if all are up.
    fn can_lead(&self, up: &[(NodeId, &State)]) -> bool {
        up.len() == self.0.len()
    }

    fn command(&self, _: NodeId, _: u32) -> Option<Command> {
        Some(Command::Claim)
    }

    fn standing(&self, state: &State) -> Standing {
        match state.leader {
            Some(leader) if leader == state.me => Standing::Leading,
            Some(leader) => Standing::Following(leader),
            None => Standing::Seeking,
        }
    }

    fn notion(&self, observation: &Observation) -> Notion {
        match observation {
            // Its elections have no terms.
            Observation::Elected => Notion::Elected([].into()),
            Observation::Follows(leader) => Notion::Surrendered(*leader),
        }
    }

    fn facts(&self, state: &State) -> Vec<Fact> {
        let leader = state.leader.map(|leader| leader.node);
        leader.into_iter().map(|leader| Fact::new("leader", leader)).collect()
    }

    fn told(&self, observation: &Observation) -> Vec<Fact> {
        match observation {
            Observation::Elected => vec![Fact::new("home", true)],
            Observation::Follows(_) => vec![],
        }
    }
}

/// Real nodes run the machine as it is.
impl Plain for Ring {}

/// The property of this protocol alone.
pub const NO_USURPER: Property = Property::new(
    "no-usurper",
    Kind::Safety,
    "whoever is taken for the leader is a node whose claim has come home",
    "a node takes another one for the leader",
    |group, complain| {
        for node in group.nodes {
            let Some(leader) = node.fact::<NodeId>("leader") else { continue };
            let elected = |other: &&&Profile| {
                other.me.node == leader && other.told::<bool>("home").next().is_some()
            };
            if !group.nodes.iter().any(|other| elected(&other)) {
                complain(format_args!(
                    "{} takes {leader} for the leader, whose claim never came home",
                    node.me
                ));
            }
        }
    },
    |nodes| {
        nodes
            .iter()
            .any(|node| node.fact("leader").is_some_and(|leader: NodeId| leader != node.me.node))
    },
);
