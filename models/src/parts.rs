//! The hash-consed parts of worlds, and what is remembered about them.
//!
//! In millions of worlds only hundreds of different nodes and link contents occur. So each different
//! one is kept once, in a table, and worlds hold its [`Handle`]; equal handles mean equal parts.
//! Since machines are pure, what a step does to a node is a function of two handles and is computed
//! once.

pub use crate::memo::Handle;

use crate::{
    memo::{Chain, Memo, Table, narrow, remember},
    profile::Profile,
    protocol::Protocol,
};
use derive_where::derive_where;
use im::{OrdSet, Vector};
use interrex::machine::{Address, Boot, Effect, EffectOf, Event, EventOf, Machine, NodeId, Peer};
use std::sync::OnceLock;

/// The link with nothing on it.
pub const EMPTY: Handle = 0;

/// Whether a node runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition<State> {
    /// Never started.
    Idle,
    /// Running; only such a node acts.
    Up(State),
    /// Ended by the environment; it may come back.
    Crashed,
    /// Ended by itself, for whatever reason.
    Stopped,
}

/// All of a world that belongs to one node.
#[derive_where(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node<M: Machine> {
    /// Which node this is.
    pub id: NodeId,
    /// The number of its life: the present one, or the last (0 for a node that is idle).
    pub life: u32,
    /// Whether it runs, and with which state.
    pub condition: Condition<M::State>,
    /// What it observed, in all its lives. The properties read it; nothing erases it.
    pub history: Vector<M::Observation>,
    /// What stable storage holds.
    pub stable: Option<M::Stable>,
    /// How many commands it has issued; nothing erases this either.
    pub issued: u32,
    /// The armed timers.
    pub timers: OrdSet<M::Timer>,
    /// Whom it monitors.
    pub monitors: OrdSet<Peer>,
}

/// What a node is handed in one step.
#[derive_where(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input<M: Machine> {
    /// It comes up.
    Start(Boot<M::Stable>),
    /// It meets an event.
    Event(EventOf<M>),
}

/// What one step does, apart from where the world takes it.
#[derive_where(Debug)]
pub struct Step<M: Machine> {
    /// What the machine asked for, in order.
    pub effects: Vec<EffectOf<M>>,
    /// What of it reaches beyond the node: one entry for each effect.
    pub reach: Vec<Reach>,
    /// The node afterwards. Whom it monitors is still to be worked out, in the order of effects.
    pub node: Handle,
    /// The node afterwards if it crashed behind its first k effects, at index k − 1.
    pub crashed: Vec<Handle>,
    /// The step ends the node.
    pub stops: bool,
}

/// What an effect does beyond the node that caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing: a timer, an observation, storage.
    Nowhere,
    /// A signal is put on a link.
    Send {
        /// Whom it is for.
        to: Peer,
        /// The handle of the [`Input`] that it will be.
        signal: Handle,
    },
    /// A monitor is asked for.
    Monitor(Peer),
    /// A monitor is given up.
    Demonitor(Peer),
}

/// Everything that is known about nodes, links, inputs and steps of one protocol.
///
/// Shared by all worlds of a search and by its threads; it only grows.
pub struct Parts<P: Protocol> {
    protocol: P,
    nodes: Table<Node<P>, NodeEntry<P>>,
    links: Table<Vec<Handle>, LinkEntry>,
    inputs: Table<Input<P>>,
    profiles: Table<Profile>,
    steps: boxcar::Vec<Step<P>>,
    pushed: Memo<(Handle, Handle), Handle>,
    watching: Memo<(Handle, Peer), Handle>,
    unwatched: Memo<(Handle, Peer), Handle>,
}

/// What is asked for in every world is kept together, apart from the node itself.
struct NodeEntry<P: Machine> {
    node: Box<Node<P>>,
    /// The life it is up in.
    up: Option<u32>,
    /// What its inputs do to it: few, so that looking through them is quick.
    steps: Chain<Handle, Handle>,
    profile: Handle,
    /// What a bound is on, at a node that is up.
    measured: u64,
    crashed: OnceLock<Handle>,
    command: OnceLock<Option<Handle>>,
}

#[derive(Default)]
struct LinkEntry {
    signals: Vec<Handle>,
    rest: OnceLock<Handle>,
    flushed: OnceLock<Handle>,
}

impl<P: Protocol> Parts<P> {
    /// Tables that hold no part yet but the empty link.
    pub fn new(protocol: P) -> Self {
        let parts = Self {
            protocol,
            nodes: Table::default(),
            links: Table::default(),
            inputs: Table::default(),
            profiles: Table::default(),
            steps: boxcar::Vec::new(),
            pushed: Memo::default(),
            watching: Memo::default(),
            unwatched: Memo::default(),
        };
        parts.intern_link(vec![]);
        parts
    }

    /// The protocol whose parts these are.
    pub fn protocol(&self) -> &P {
        &self.protocol
    }

    /// The node of a handle.
    pub fn node(&self, node: Handle) -> &Node<P> {
        &self.nodes.get(node).node
    }

    /// What the properties see of a node: equal handles for equal profiles.
    pub fn profile_of(&self, node: Handle) -> Handle {
        self.nodes.get(node).profile
    }

    /// The profile of a handle.
    pub fn profile(&self, profile: Handle) -> &Profile {
        self.profiles.get(profile)
    }

    /// The handle of a node.
    pub fn intern_node(&self, node: Node<P>) -> Handle {
        self.nodes.intern(node, |node| NodeEntry {
            profile: self.profiles.intern(Profile::of(&self.protocol, &node), |profile| profile),
            up: node.is_up().then_some(node.life),
            measured: match &node.condition {
                Condition::Up(state) => self.protocol.measured(state),
                Condition::Idle | Condition::Crashed | Condition::Stopped => 0,
            },
            steps: Chain::default(),
            node: Box::new(node),
            crashed: OnceLock::new(),
            command: OnceLock::new(),
        })
    }

    /// The life that a node is up in, if it is up.
    pub fn life(&self, node: Handle) -> Option<u32> {
        self.nodes.get(node).up
    }

    /// How large the protocol's measure is at a node; 0 if it is not up.
    pub fn measured(&self, node: Handle) -> u64 {
        self.nodes.get(node).measured
    }

    /// The node, crashed.
    pub fn crash(&self, node: Handle) -> Handle {
        let entry = self.nodes.get(node);
        let crashed = || self.intern_node(entry.node.clone().end(Condition::Crashed));
        *entry.crashed.get_or_init(crashed)
    }

    /// The node, with one more monitor.
    pub fn watch(&self, node: Handle, peer: Peer) -> Handle {
        remember(&self.watching, (node, peer), || {
            let mut watching = self.node(node).clone();
            watching.monitors.insert(peer);
            self.intern_node(watching)
        })
    }

    /// The node, without a monitor.
    pub fn unwatch(&self, node: Handle, peer: Peer) -> Handle {
        remember(&self.unwatched, (node, peer), || {
            let mut unwatched = self.node(node).clone();
            unwatched.monitors.remove(&peer);
            self.intern_node(unwatched)
        })
    }

    /// The next command of a node that is up, as an input; some machines have none to give.
    pub fn command(&self, node: Handle) -> Option<Handle> {
        let entry = self.nodes.get(node);
        *entry.command.get_or_init(|| {
            let command = self.protocol.command(entry.node.id, entry.node.issued)?;
            Some(self.input(Input::Event(Event::Command(command))))
        })
    }

    /// The handle of an input.
    pub fn input(&self, input: Input<P>) -> Handle {
        self.inputs.intern(input, |input| input)
    }

    /// The input of a handle.
    pub fn input_at(&self, input: Handle) -> &Input<P> {
        self.inputs.get(input)
    }

    /// What is on a link, its head first.
    pub fn signals(&self, link: Handle) -> &[Handle] {
        &self.links.get(link).signals
    }

    /// The link with a signal at its tail.
    pub fn push(&self, link: Handle, signal: Handle) -> Handle {
        remember(&self.pushed, (link, signal), || {
            let mut signals = self.signals(link).to_vec();
            signals.push(signal);
            self.intern_link(signals)
        })
    }

    /// The head of a link, and the link without it.
    pub fn pop(&self, link: Handle) -> Option<(Handle, Handle)> {
        if link == EMPTY {
            return None;
        }
        let entry = self.links.get(link);
        let (&head, rest) = entry.signals.split_first()?;
        let rest = entry.rest.get_or_init(|| self.intern_link(rest.to_vec()));
        Some((head, *rest))
    }

    /// The link without any `Down`.
    pub fn flush(&self, link: Handle) -> Handle {
        let entry = self.links.get(link);
        *entry.flushed.get_or_init(|| {
            let is_down =
                |signal: &Handle| matches!(self.input_at(*signal), Input::Event(Event::Down(_)));
            let kept = entry.signals.iter().filter(|signal| !is_down(signal));
            self.intern_link(kept.copied().collect())
        })
    }

    fn intern_link(&self, signals: Vec<Handle>) -> Handle {
        self.links.intern(signals, |signals| LinkEntry { signals, ..LinkEntry::default() })
    }

    /// What an input does to a node, as a step.
    ///
    /// # Panics
    /// If an event is handed to a node that is not up: the world never does.
    pub fn step(&self, node: Handle, input: Handle) -> Handle {
        let entry = self.nodes.get(node);
        entry.steps.remember(input, || {
            let step = self.take_step(&entry.node, self.input_at(input));
            narrow(self.steps.push(step))
        })
    }

    /// The step of a handle.
    pub fn step_at(&self, step: Handle) -> &Step<P> {
        &self.steps[step as usize]
    }

    fn take_step(&self, node: &Node<P>, input: &Input<P>) -> Step<P> {
        let (mut node, mut effects) = node.clone().meet(&self.protocol, input.clone());
        let is_stop = |effect: &EffectOf<P>| matches!(effect, Effect::Stop(_));
        let stop = effects.iter().position(is_stop);
        // Nothing behind a stop is carried out, nor counted.
        effects.truncate(stop.map_or(effects.len(), |stop| stop + 1));

        let mut crashed = vec![];
        for effect in &effects {
            node.note(effect);
            crashed.push(self.intern_node(node.clone().end(Condition::Crashed)));
        }
        // Behind the last effect it is a crash between steps.
        crashed.pop();
        if stop.is_some() {
            node = node.end(Condition::Stopped);
        }
        Step {
            reach: effects.iter().map(|effect| self.reach(node.address(), effect)).collect(),
            effects,
            node: self.intern_node(node),
            crashed,
            stops: stop.is_some(),
        }
    }

    fn reach(&self, from: Address, effect: &EffectOf<P>) -> Reach {
        match effect {
            Effect::Send { to, message } => {
                let message = message.clone();
                let signal = self.input(Input::Event(Event::Message { from, message }));
                Reach::Send { to: *to, signal }
            }
            Effect::Monitor(peer) => Reach::Monitor(*peer),
            Effect::Demonitor(peer) => Reach::Demonitor(*peer),
            Effect::SetTimer { .. }
            | Effect::CancelTimer(_)
            | Effect::Persist(_)
            | Effect::Observe(_)
            | Effect::Stop(_) => Reach::Nowhere,
        }
    }
}

impl<M: Machine> Node<M> {
    /// A node that was never started.
    #[must_use]
    pub fn idle(id: NodeId) -> Self {
        Self {
            id,
            life: 0,
            condition: Condition::Idle,
            history: Vector::new(),
            stable: None,
            issued: 0,
            timers: OrdSet::new(),
            monitors: OrdSet::new(),
        }
    }

    /// The node in its present life.
    pub fn address(&self) -> Address {
        Address { node: self.id, life: self.life }
    }

    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        matches!(self.condition, Condition::Up(_))
    }

    /// Hands the machine an input; the effects are still to be carried out.
    fn meet(mut self, machine: &M, input: Input<M>) -> (Self, Vec<EffectOf<M>>) {
        let (state, effects) = match (input, self.condition) {
            (Input::Start(boot), Condition::Idle | Condition::Crashed) => {
                self.life = boot.me.life;
                // What a crash has destroyed is gone for good.
                self.stable.clone_from(&boot.stable);
                machine.start(boot)
            }
            (Input::Event(event), Condition::Up(state)) => {
                match &event {
                    Event::Timeout(timer) => drop(self.timers.remove(timer)),
                    Event::Command(_) => self.issued += 1,
                    Event::Message { .. } | Event::Down(_) => {}
                }
                machine.step(state, event)
            }
            (input, _) => panic!("{} is not in the condition for {input:?}", self.id),
        };
        self.condition = Condition::Up(state);
        (self, effects)
    }

    /// Carries out what an effect does at the node itself.
    fn note(&mut self, effect: &EffectOf<M>) {
        match effect {
            Effect::SetTimer { timer, .. } => drop(self.timers.insert(timer.clone())),
            Effect::CancelTimer(timer) => drop(self.timers.remove(timer)),
            Effect::Persist(stable) => self.stable = Some(stable.clone()),
            Effect::Observe(observation) => self.history.push_back(observation.clone()),
            // These reach beyond the node, or end it.
            Effect::Send { .. } | Effect::Monitor(_) | Effect::Demonitor(_) | Effect::Stop(_) => {}
        }
    }

    /// The node at the end of a life: its state, its timers and its monitors are gone.
    fn end(mut self, condition: Condition<M::State>) -> Self {
        self.condition = condition;
        self.timers = OrdSet::new();
        self.monitors = OrdSet::new();
        self
    }
}
