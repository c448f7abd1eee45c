//! The hash-consed parts of worlds, and the remembered results about them.
//!
//! In millions of worlds only hundreds of different nodes and link contents occur. So each different one is
//! kept once, in a table, and worlds hold its [`Handle`]; equal handles mean equal parts. Machines are pure:
//! the result of a step is a function of two handles, a node and an input. So it is computed once.

pub(super) mod tables;

pub use super::memo::Handle;

use super::{
    environment::Storage,
    memo::{Table, Tree, narrow},
    node::{Condition, Input, Node},
};
use crate::{
    claim::profile::Profile,
    protocol::{Protocol, profile_from},
};
use derive_where::derive_where;
use interrex::machine::{Address, Boot, Effect, EffectOf, Event, Machine, Peer};
use smallvec::SmallVec;
use std::{
    borrow::Borrow,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// The link with nothing on it.
pub const EMPTY: Handle = 0;

/// The result of one step, independent of the world in which it is taken.
#[derive_where(Debug)]
pub struct Step<M: Machine> {
    /// The node before the step.
    pub before: Handle,
    /// The input that it handles.
    pub input: Handle,
    /// The effects of the machine, in order.
    pub effects: Vec<EffectOf<M>>,
    /// The reach of each effect beyond the node.
    pub reach: Vec<Reach>,
    /// The node after the step. Its monitors are not updated yet: they depend on the world, and on the order
    /// of effects.
    pub node: Handle,
    /// At index k − 1: the node after a crash that follows the first k effects. Computed on demand.
    crashed: Box<[OnceLock<Handle>]>,
    /// The step ends the node.
    pub stops: bool,
    /// The node can come back to what it was: the step adds nothing to its history and does not end it.
    pub recurs: bool,
    /// 0 for a step that was never taken. Otherwise 1 plus the largest number of its effects that have
    /// happened.
    taken: AtomicUsize,
}

impl<M: Machine> Step<M> {
    /// The largest k for which a crash can follow the first k effects. Every smaller k from 1 is possible
    /// too.
    pub fn crashes(&self) -> usize {
        self.crashed.len()
    }

    /// True if the step was taken and no crash cut it short, at least once.
    pub(crate) fn was_taken_whole(&self) -> bool {
        self.taken.load(Relaxed) > self.effects.len()
    }
}

/// A step that was taken.
#[derive_where(Debug)]
pub struct Taken<'a, M: Machine> {
    /// The node before the step.
    pub node: &'a Node<M>,
    /// The input that it handled.
    pub input: &'a Input<M>,
    /// The effects that happened. If the step was taken several times and sometimes cut short by a crash, the
    /// longest list.
    pub effects: &'a [EffectOf<M>],
}

/// A process that can be monitored, with the handle of the [`Input`] that reports its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The process, or the name.
    pub peer: Peer,
    /// Its `Down`. Equal handles mean equal peers.
    pub down: Handle,
}

/// The reach of an effect beyond the node that caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing: a timer, an observation, storage.
    Nowhere,
    /// A signal is put on a link.
    Send {
        /// The destination.
        to: Peer,
        /// The handle of the [`Input`] that it becomes on arrival.
        signal: Handle,
    },
    /// A monitor is asked for.
    Monitor(Target),
    /// A monitor is given up.
    Demonitor(Target),
}

/// All known nodes, links, inputs and steps of one protocol.
///
/// Shared by all worlds of a search and by its threads; it only grows.
pub struct Parts<P: Protocol> {
    protocol: Arc<P>,
    nodes: Table<Node<P>, NodeEntry<P>>,
    links: Table<Signals, LinkEntry>,
    inputs: Table<Input<P>>,
    profiles: Table<Profile>,
    steps: boxcar::Vec<Step<P>>,
}

/// The data that is read in every world, and what follows from the node: each is computed once, on demand. It
/// is kept together, apart from the node itself, to be fast.
struct NodeEntry<P: Machine> {
    node: Box<Node<P>>,
    /// The life it is up in.
    up: Option<u64>,
    /// The protocol's measure at a node that is up.
    measured: u64,
    /// The steps of its inputs.
    steps: Tree<Handle>,
    /// Many nodes exist only within a step and are never judged.
    profile: OnceLock<Handle>,
    /// The same process before a step that has led here.
    before: OnceLock<Handle>,
    crashed: OnceLock<Handle>,
    command: OnceLock<Option<Handle>>,
    /// The inputs of its timers, in their order.
    timeouts: OnceLock<Box<[Handle]>>,
    /// Its monitors, in their order.
    monitors: OnceLock<Box<[Target]>>,
    /// The ways in which others can monitor it.
    names: OnceLock<[Target; 2]>,
    /// The node with one monitor more or less, by the monitor's `Down`.
    watching: Tree<Handle>,
    unwatched: Tree<Handle>,
    /// The inputs with which it can come up, by its contact's `Down`: with its storage, and without.
    boots: [Tree<Handle>; 2],
}

impl<P: Machine> Borrow<Node<P>> for NodeEntry<P> {
    fn borrow(&self) -> &Node<P> {
        &self.node
    }
}

impl Borrow<Signals> for LinkEntry {
    fn borrow(&self) -> &Signals {
        &self.signals
    }
}

/// The signals on a link, its head first: few, mostly.
type Signals = SmallVec<[Handle; 4]>;

#[derive(Default)]
struct LinkEntry {
    signals: Signals,
    /// The number of messages among the first two signals, up to the first that is no message.
    messages_ahead: usize,
    rest: OnceLock<Handle>,
    downs: OnceLock<Handle>,
    /// None unless messages are at the head.
    doubled: OnceLock<Option<Handle>>,
    overtaken: OnceLock<Option<Handle>>,
    /// The link with one signal more at its tail.
    pushed: Tree<Handle>,
    /// The link without the `Down`s of one peer.
    without_down: Tree<Handle>,
}

impl<P: Protocol> Parts<P> {
    /// Tables that hold only the empty link.
    pub fn new(protocol: P) -> Self {
        Self::of(Arc::new(protocol))
    }

    /// New tables for the same machine, with nothing remembered.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self::of(Arc::clone(&self.protocol))
    }

    fn of(protocol: Arc<P>) -> Self {
        let parts = Self {
            protocol,
            nodes: Table::default(),
            links: Table::default(),
            inputs: Table::default(),
            profiles: Table::default(),
            steps: boxcar::Vec::new(),
        };
        parts.intern_link(Signals::new());
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

    /// The handle of a node's profile, its view for the properties. Equal profiles have equal handles.
    pub fn profile_of(&self, node: Handle) -> Handle {
        let entry = self.nodes.get(node);
        let earlier = entry.before.get().and_then(|before| {
            let before = self.nodes.get(*before);
            Some((&*before.node, self.profile(*before.profile.get()?)))
        });
        let profile = || profile_from(&*self.protocol, earlier, &entry.node);
        *entry.profile.get_or_init(|| self.profiles.intern(profile(), |profile| profile))
    }

    /// The profile of a handle.
    pub fn profile(&self, profile: Handle) -> &Profile {
        self.profiles.get(profile)
    }

    /// The handle of a node.
    pub fn intern_node(&self, node: Node<P>) -> Handle {
        self.nodes.intern(node, |node| NodeEntry {
            profile: OnceLock::new(),
            before: OnceLock::new(),
            up: node.is_up().then_some(node.life),
            measured: match &node.condition {
                Condition::Up(state) => self.protocol.measured(state),
                Condition::Idle | Condition::Crashed | Condition::Stopped => 0,
            },
            steps: Tree::default(),
            node: Box::new(node),
            crashed: OnceLock::new(),
            command: OnceLock::new(),
            timeouts: OnceLock::new(),
            monitors: OnceLock::new(),
            names: OnceLock::new(),
            watching: Tree::default(),
            unwatched: Tree::default(),
            boots: Default::default(),
        })
    }

    /// The life that a node is up in, if it is up.
    pub fn life(&self, node: Handle) -> Option<u64> {
        self.nodes.get(node).up
    }

    /// The value of the protocol's measure at a node; 0 if it is not up.
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
    pub fn watch(&self, node: Handle, target: Target) -> Handle {
        let entry = self.nodes.get(node);
        entry.watching.remember(target.down, || {
            let mut watching = (*entry.node).clone();
            watching.monitors.insert(target.peer);
            self.intern_node(watching)
        })
    }

    /// The node, without a monitor.
    pub fn unwatch(&self, node: Handle, target: Target) -> Handle {
        let entry = self.nodes.get(node);
        entry.unwatched.remember(target.down, || {
            let mut unwatched = (*entry.node).clone();
            unwatched.monitors.remove(&target.peer);
            self.intern_node(unwatched)
        })
    }

    /// A peer as a target.
    fn target(&self, peer: Peer) -> Target {
        Target { peer, down: self.input(Input::Event(Event::Down(peer))) }
    }

    /// The ways in which others can monitor a node in its present life: by its name, and as this process.
    pub fn names(&self, node: Handle) -> [Target; 2] {
        let entry = self.nodes.get(node);
        *entry.names.get_or_init(|| {
            let address = entry.node.address();
            [Peer::Name(address.node), Peer::Process(address)].map(|peer| self.target(peer))
        })
    }

    /// The monitors of a node, in their order.
    pub fn monitors(&self, node: Handle) -> &[Target] {
        let entry = self.nodes.get(node);
        let targets = || entry.node.monitors.iter().map(|peer| self.target(*peer)).collect();
        entry.monitors.get_or_init(targets)
    }

    /// The inputs of the timers of a node, in their order.
    pub fn timeouts(&self, node: Handle) -> &[Handle] {
        let entry = self.nodes.get(node);
        let timeout = |timer: &P::Timer| self.input(Input::Event(Event::Timeout(timer.clone())));
        entry.timeouts.get_or_init(|| entry.node.timers.iter().map(timeout).collect())
    }

    /// The input with which a node comes up, for the first time or in a new life, through the contact that
    /// this is a node of.
    pub fn boot(&self, node: Handle, storage: Storage, contact: Option<Handle>) -> Handle {
        let entry = self.nodes.get(node);
        // No input has this handle.
        let key = contact.map_or(Handle::MAX, |contact| self.names(contact)[1].down);
        entry.boots[usize::from(storage == Storage::Lost)].remember(key, || {
            let life = match entry.node.condition {
                Condition::Idle => 0,
                Condition::Up(_) | Condition::Crashed | Condition::Stopped => entry.node.life + 1,
            };
            self.input(Input::Start(Boot {
                me: Address { node: entry.node.id, life },
                stable: entry.node.kept(storage).cloned(),
                contact: contact.map(|contact| self.node(contact).address()),
            }))
        })
    }

    /// The next command of a node that is up, as an input. None if the protocol has no more.
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

    /// The signals on a link, its head first.
    pub fn signals(&self, link: Handle) -> &[Handle] {
        &self.links.get(link).signals
    }

    /// The link with a signal at its tail.
    pub fn push(&self, link: Handle, signal: Handle) -> Handle {
        let entry = self.links.get(link);
        entry.pushed.remember(signal, || {
            let mut signals = entry.signals.clone();
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
        let rest = entry.rest.get_or_init(|| self.intern_link(Signals::from_slice(rest)));
        Some((head, *rest))
    }

    /// The link with its first message copied to the tail; none if its head is no message.
    pub fn double(&self, link: Handle) -> Option<Handle> {
        let entry = self.links.get(link);
        *entry.doubled.get_or_init(|| {
            let head = entry.signals.first().filter(|head| self.is_message(**head))?;
            Some(self.push(link, *head))
        })
    }

    /// The link with its first two signals in the other order, if both are messages.
    pub fn overtake(&self, link: Handle) -> Option<Handle> {
        let entry = self.links.get(link);
        *entry.overtaken.get_or_init(|| {
            let first_two = entry.signals.first_chunk::<2>()?;
            first_two.iter().all(|signal| self.is_message(*signal)).then(|| {
                let mut signals = entry.signals.clone();
                signals.swap(0, 1);
                self.intern_link(signals)
            })
        })
    }

    /// The link without any `Down` that names this peer.
    pub fn without_down(&self, link: Handle, Target { down, .. }: Target) -> Handle {
        if link == EMPTY {
            return EMPTY;
        }
        let entry = self.links.get(link);
        entry.without_down.remember(down, || {
            let kept = entry.signals.iter().filter(|signal| **signal != down);
            self.intern_link(kept.copied().collect())
        })
    }

    /// The link without its messages.
    pub fn without_messages(&self, link: Handle) -> Handle {
        let entry = self.links.get(link);
        *entry.downs.get_or_init(|| {
            let kept = entry.signals.iter().filter(|signal| !self.is_message(**signal));
            self.intern_link(kept.copied().collect())
        })
    }

    /// The number of messages among the first two signals on a link, counted up to the first that is no
    /// message.
    pub fn messages_ahead(&self, link: Handle) -> usize {
        if link == EMPTY {
            return 0;
        }
        self.links.get(link).messages_ahead
    }

    /// True for a message. Every other signal on a link is a `Down`.
    fn is_message(&self, signal: Handle) -> bool {
        matches!(self.input_at(signal), Input::Event(Event::Message { .. }))
    }

    /// The link with these signals on it, its head first.
    pub(crate) fn link_of(&self, signals: impl Iterator<Item = Handle>) -> Handle {
        self.intern_link(signals.collect())
    }

    fn intern_link(&self, signals: Signals) -> Handle {
        self.links.intern(signals, |signals| {
            let ahead = signals.iter().take(2).take_while(|signal| self.is_message(**signal));
            LinkEntry { messages_ahead: ahead.count(), signals, ..LinkEntry::default() }
        })
    }

    /// The step in which a node handles an input.
    ///
    /// # Panics
    /// If an event is handed to a node that is not up: the world never does.
    pub fn step(&self, node: Handle, input: Handle) -> Handle {
        let entry = self.nodes.get(node);
        entry.steps.remember(input, || narrow(self.steps.push(self.take_step(node, input))))
    }

    /// All steps so far, in the order in which they were first needed.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (Handle, &Step<P>)> {
        self.steps.iter().map(|(place, step)| (narrow(place), step))
    }

    /// All nodes so far, in the order in which they were first needed.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Handle> {
        self.nodes.handles()
    }

    /// All pairs of nodes so far of which one has become the other by a change of its monitors.
    pub(crate) fn differing_in_monitors(&self) -> impl Iterator<Item = (Handle, Handle)> {
        self.nodes().flat_map(|node| {
            let entry = self.nodes.get(node);
            let changed = entry.watching.values().chain(entry.unwatched.values());
            changed.map(move |other| (node, other))
        })
    }

    /// The step of a handle.
    pub fn step_at(&self, step: Handle) -> &Step<P> {
        &self.steps[step as usize]
    }

    /// Marks a step as taken: all of its effects have happened, or the first k.
    pub fn mark(&self, step: &Step<P>, crash_after: Option<usize>) {
        let taken = 1 + crash_after.unwrap_or(step.effects.len());
        // Nearly always it is marked already, and reading is free.
        if step.taken.load(Relaxed) < taken {
            step.taken.fetch_max(taken, Relaxed);
        }
    }

    /// The steps that were taken, each once. Enabled steps that were never taken are left out.
    pub fn taken(&self) -> impl Iterator<Item = Taken<'_, P>> {
        self.steps.iter().filter_map(|(_, step)| {
            let happened = step.taken.load(Relaxed).checked_sub(1)?;
            Some(Taken {
                node: self.node(step.before),
                input: self.input_at(step.input),
                effects: &step.effects[..happened],
            })
        })
    }

    fn take_step(&self, before: Handle, input: Handle) -> Step<P> {
        let meeting = self.node(before).clone().take(&*self.protocol, self.input_at(input).clone());
        let (mut node, mut effects) = meeting;
        let is_stop = |effect: &EffectOf<P>| matches!(effect, Effect::Stop(_));
        let stop = effects.iter().position(is_stop);
        // No effect after a stop is carried out or counted.
        effects.truncate(stop.map_or(effects.len(), |stop| stop + 1));

        for effect in &effects {
            node.note(&*self.protocol, effect);
        }
        // A crash after the last effect is a crash between steps.
        let crashes = effects.len().saturating_sub(1);
        if stop.is_some() {
            node = node.end(Condition::Stopped);
        }
        let is_observation = |effect: &EffectOf<P>| matches!(effect, Effect::Observe(_));
        let reach = effects.iter().map(|effect| self.reach(node.address(), effect)).collect();
        let is_same_life = node.life == self.node(before).life;
        let node = self.intern_node(node);
        if is_same_life && node != before {
            self.nodes.get(node).before.get_or_init(|| before);
        }
        Step {
            before,
            input,
            recurs: stop.is_none() && !effects.iter().any(is_observation),
            reach,
            effects,
            node,
            crashed: (0..crashes).map(|_| OnceLock::new()).collect(),
            stops: stop.is_some(),
            taken: AtomicUsize::new(0),
        }
    }

    /// The node after a step that a crash ends after its first k effects.
    pub(crate) fn crashed_within(&self, step: &Step<P>, k: usize) -> Handle {
        *step.crashed[k - 1].get_or_init(|| {
            let mut node = self.node(step.before).clone();
            node.prepare(self.input_at(step.input));
            for effect in &step.effects[..k] {
                node.note(&*self.protocol, effect);
            }
            self.intern_node(node.end(Condition::Crashed))
        })
    }

    fn reach(&self, from: Address, effect: &EffectOf<P>) -> Reach {
        match effect {
            Effect::Send { to, message } => {
                let message = message.clone();
                let signal = self.input(Input::Event(Event::Message { from, message }));
                Reach::Send { to: *to, signal }
            }
            Effect::Monitor(peer) => Reach::Monitor(self.target(*peer)),
            Effect::Demonitor(peer) => Reach::Demonitor(self.target(*peer)),
            Effect::SetTimer { .. }
            | Effect::CancelTimer(_)
            | Effect::Persist(_)
            | Effect::Observe(_)
            | Effect::Stop(_) => Reach::Nowhere,
        }
    }
}
