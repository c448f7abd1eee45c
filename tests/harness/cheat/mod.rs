//! A machine that consults something else than its input.

use interrex::{
    gms3::{Gms3, Message, Observation, State, Timer},
    machine::{Boot, Effect, EffectOf, EventOf, Machine, NodeId},
};
use interrex_models::{
    claim::{
        notion::Token,
        property::{self, Property},
    },
    model::{environment::Start, node::Node},
    protocol::{Notion, Protocol, Standing, registry::gms3},
};
use std::{
    borrow::Cow,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

pub(crate) type Step = (State<Token>, Vec<EffectOf<Gms3<Token>>>);

/// gms3, whose steps are altered by something that is not their input.
pub(crate) struct Cheat {
    pub(crate) steps: AtomicU32,
    pub(crate) alter: fn(&Self, Step) -> Step,
    /// Every second group begins with an armed timer.
    pub(crate) begins_otherwise: bool,
    /// No two commands are the same.
    pub(crate) commands_otherwise: bool,
}

impl Cheat {
    pub(crate) fn by(alter: fn(&Self, Step) -> Step) -> Self {
        Self { steps: AtomicU32::new(0), alter, begins_otherwise: false, commands_otherwise: false }
    }
}

impl Machine for Cheat {
    type State = State<Token>;
    type Message = Message<Token>;
    type Command = <Gms3<Token> as Machine>::Command;
    type Timer = Timer;
    type Stable = ();
    type Observation = Observation<Token>;

    fn start(&self, boot: Boot<()>) -> Step {
        gms3().start(boot)
    }

    fn step(&self, state: State<Token>, event: EventOf<Self>) -> Step {
        (self.alter)(self, gms3().step(state, event))
    }
}

impl Protocol for Cheat {
    fn name(&self) -> Cow<'static, str> {
        "a cheat".into()
    }

    fn summary(&self) -> Cow<'static, str> {
        "gms3, which consults something else than its input".into()
    }

    fn properties(&self) -> &'static [&'static Property] {
        property::OF_GROUPS
    }

    fn starts(&self) -> &'static [Start] {
        &[Start::Joined]
    }

    fn joins_through_contact(&self) -> bool {
        true
    }

    fn command(&self, node: NodeId, issued: u32) -> Option<Self::Command> {
        let another = self.commands_otherwise.then(|| self.steps.fetch_add(1, Relaxed));
        gms3().command(node, another.unwrap_or(issued))
    }

    fn joined(&self, size: u16) -> Option<Vec<Node<Self>>> {
        let odd = self.begins_otherwise && self.steps.fetch_add(1, Relaxed) % 2 == 1;
        let armed = odd.then_some(Timer::Join);
        let member = |node: Node<Gms3<Token>>| Node {
            condition: node.condition,
            history: node.history,
            timers: armed.into_iter().collect(),
            monitors: node.monitors,
            ..Node::idle(node.id)
        };
        let members = gms3().joined(size)?;
        Some(members.into_iter().map(member).collect())
    }

    fn standing(&self, state: &State<Token>) -> Standing {
        gms3().standing(state)
    }

    fn notion(&self, observation: &Observation<Token>) -> Notion {
        gms3().notion(observation)
    }
}

/// The step says that it delivered another message.
pub(crate) fn garble((state, mut effects): Step, by: u64) -> Step {
    for effect in &mut effects {
        if let Effect::Observe(Observation::Delivered { message, .. }) = effect {
            message.index = u32::try_from(by % 1_000_003).expect("it is small");
        }
    }
    (state, effects)
}
