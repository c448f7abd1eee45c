//! The world that a protocol is checked in: SEMANTICS.md, and nothing else.
//!
//! All meaning of links, crashes, detectors and timers is here. Whoever explores, drives or replays
//! only chooses the next [`Action`]. A [`World`] holds handles to hash-consed [`Parts`]; [`Rules`]
//! say what can happen next and what follows.
//!
//! Not yet in this world, and refused in scenarios: restarts, drops, duplicates, overtakes,
//! suspicions and cuts. Each will be one more [`Budget`], one more [`Choice`], and its rule below.

use crate::{
    parts::{Condition, EMPTY, Handle, Input, Node, Parts, Reach, Step},
    property::Profile,
    protocol::Protocol,
};
use clap::ValueEnum;
use interrex::machine::{Address, Boot, EffectOf, Event, EventOf, Machine, NodeId, Peer};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, ops};

/// What the environment of a run is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// How many nodes there are.
    pub nodes: u16,
    /// How the group begins.
    pub start: Start,
    /// When timers may fire.
    pub timers: Timers,
    /// How much can happen.
    pub budgets: Budgets,
}

/// How the group begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// The group is formed and has nothing under way.
    Joined,
    /// Node 0 has founded a group; the others are idle, and join through any node that is up.
    Joining,
}

/// When timers may fire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Timers {
    /// Only when there is nothing to deliver: time-outs are long.
    #[default]
    Late,
    /// At any time.
    Any,
}

/// What can happen only so many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// First starts of nodes.
    Starts,
    /// Commands of applications.
    Commands,
    /// Timers that fire.
    Timeouts,
    /// Crashes, between steps and within one.
    Crashes,
}

/// How often each can still happen; what is not named cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Budget, u8>", into = "BTreeMap<Budget, u8>")]
pub struct Budgets([u8; Budget::ALL.len()]);

/// A state of the whole system: one handle for each node, one for each link, and what is left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The nodes, then the links, by sender and then by receiver.
    parts: Box<[Handle]>,
    budgets: Budgets,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Action<Timer> {
    /// What happens.
    pub choice: Choice<Timer>,
    /// Only the first k effects of the step happen, and then its node crashes.
    pub crash_after: Option<usize>,
}

/// What the environment may choose to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice<Timer> {
    /// An idle node comes up.
    Start {
        /// Which.
        node: NodeId,
        /// Through whom it joins.
        contact: NodeId,
    },
    /// The application at a node asks for the next thing.
    Command {
        /// Which.
        node: NodeId,
    },
    /// The head of a link arrives.
    Deliver {
        /// Whose signal it is.
        from: NodeId,
        /// Who takes it.
        to: NodeId,
    },
    /// An armed timer fires.
    Timeout {
        /// Whose timer it is.
        node: NodeId,
        /// Which.
        timer: Timer,
    },
    /// A node crashes between two steps.
    Crash {
        /// Which.
        node: NodeId,
    },
}

/// An action that is enabled in a world, with the step that it makes its node take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enabled<Timer> {
    /// The action.
    pub action: Action<Timer>,
    /// The step; a crash between steps is none.
    step: Option<Handle>,
}

/// An action of a machine.
pub type ActionOf<M> = Action<<M as Machine>::Timer>;
/// A choice of a machine.
pub type ChoiceOf<M> = Choice<<M as Machine>::Timer>;
/// An enabled action of a machine.
pub type EnabledOf<M> = Enabled<<M as Machine>::Timer>;

/// How worlds of one protocol in one environment follow each other.
pub struct Rules<P: Protocol> {
    parts: Parts<P>,
    environment: Environment,
}

impl<P: Protocol> Rules<P> {
    /// The rules for a protocol in an environment.
    pub fn new(protocol: P, environment: Environment) -> Self {
        Self {
            parts: Parts::new(protocol),
            environment,
        }
    }

    /// The environment that they are for.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The parts of the worlds that have been met.
    pub fn parts(&self) -> &Parts<P> {
        &self.parts
    }

    /// The world in which every run begins.
    pub fn initial(&self) -> World {
        let size = self.environment.nodes;
        let nodes = match self.environment.start {
            Start::Joined => self.parts.protocol().joined(size),
            Start::Joining => (0..size).map(|id| Node::idle(NodeId(id))).collect(),
        };
        let handles = nodes.into_iter().map(|node| self.parts.intern_node(node));
        let links = std::iter::repeat_n(EMPTY, usize::from(size) * usize::from(size));
        let mut world = World {
            parts: handles.chain(links).collect(),
            budgets: self.environment.budgets,
        };
        if self.environment.start == Start::Joining {
            let founder = Input::Start(Boot {
                me: NodeId(0).first_life(),
                stable: None,
                contact: None,
            });
            let input = self.parts.input(founder);
            let step = self.parts.step(self.node_handle(&world, NodeId(0)), input);
            self.carry_out(&mut world, NodeId(0), self.parts.step_at(step), None);
        }
        world
    }

    /// The node, in a world.
    pub fn node(&self, world: &World, node: NodeId) -> &Node<P> {
        self.parts.node(self.node_handle(world, node))
    }

    /// What is on a link in a world, its head first.
    pub fn signals(&self, world: &World, from: NodeId, to: NodeId) -> Vec<&EventOf<P>> {
        let link = world.parts[self.link(from, to)];
        let signals = self.parts.signals(link).iter();
        let event = |signal: &Handle| match self.parts.input_at(*signal) {
            Input::Event(event) => Some(event),
            Input::Start(_) => None,
        };
        signals.filter_map(event).collect()
    }

    /// What the properties see of a world: handles of profiles, equal for equal profiles.
    pub fn profile_handles(&self, world: &World) -> impl DoubleEndedIterator<Item = Handle> {
        let nodes = &world.parts[..usize::from(self.environment.nodes)];
        nodes.iter().map(|node| self.parts.profile_of(*node))
    }

    /// What the properties see of a world.
    pub fn profiles(&self, world: &World) -> Vec<&Profile> {
        let handles = self.profile_handles(world);
        handles.map(|profile| self.parts.profile(profile)).collect()
    }

    /// Whether the protocol has nothing left to do: no start, command, delivery or time-out is
    /// enabled.
    pub fn is_settled(&self, world: &World) -> bool {
        if self.is_anything_on_a_link(world) {
            return false;
        }
        let left = |budget| world.budgets[budget] > 0;
        let (mut somebody_up, mut somebody_idle) = (false, false);
        for id in self.nodes() {
            let handle = self.node_handle(world, id);
            let node = self.parts.node(handle);
            somebody_idle |= node.condition == Condition::Idle;
            somebody_up |= node.is_up();
            let fires = left(Budget::Timeouts) && !node.timers.is_empty();
            let asks = left(Budget::Commands) && self.parts.command(handle).is_some();
            if node.is_up() && (fires || asks) {
                return false;
            }
        }
        !(left(Budget::Starts) && somebody_idle && somebody_up)
    }

    /// Only nodes that are up have signals on the links to them: an end empties these links, and
    /// nothing is put on them behind it.
    fn is_anything_on_a_link(&self, world: &World) -> bool {
        let links = &world.parts[usize::from(self.environment.nodes)..];
        links.iter().any(|link| *link != EMPTY)
    }

    /// Adds every action that is enabled in a world, in a fixed order.
    pub fn enabled(&self, world: &World, actions: &mut Vec<EnabledOf<P>>) {
        let left = |budget| world.budgets[budget] > 0;
        if left(Budget::Starts) {
            self.offer_starts(world, actions);
        }
        if left(Budget::Commands) {
            for node in self.nodes().filter(|node| self.is_up(world, *node)) {
                if let Some(input) = self.parts.command(self.node_handle(world, node)) {
                    self.offer(world, Choice::Command { node }, node, input, actions);
                }
            }
        }
        for from in self.nodes() {
            for to in self.nodes() {
                if let Some((head, _)) = self.parts.pop(world.parts[self.link(from, to)]) {
                    self.offer(world, Choice::Deliver { from, to }, to, head, actions);
                }
            }
        }
        let may_fire = match self.environment.timers {
            Timers::Late => !self.is_anything_on_a_link(world),
            Timers::Any => true,
        };
        if left(Budget::Timeouts) && may_fire {
            self.offer_timeouts(world, actions);
        }
        if left(Budget::Crashes) {
            for node in self.nodes().filter(|node| self.is_up(world, *node)) {
                actions.push(Enabled {
                    action: Choice::Crash { node }.into(),
                    step: None,
                });
            }
        }
    }

    fn offer_starts(&self, world: &World, actions: &mut Vec<EnabledOf<P>>) {
        for node in self.nodes() {
            if self.node(world, node).condition == Condition::Idle {
                for contact in self.nodes().filter(|contact| self.is_up(world, *contact)) {
                    let input = self.start_input(world, node, contact);
                    let choice = Choice::Start { node, contact };
                    self.offer(world, choice, node, input, actions);
                }
            }
        }
    }

    fn offer_timeouts(&self, world: &World, actions: &mut Vec<EnabledOf<P>>) {
        for id in self.nodes() {
            // The timers of a node that is not up are gone.
            for timer in &self.node(world, id).timers {
                let input = self.timeout_input(timer);
                let timer = timer.clone();
                self.offer(
                    world,
                    Choice::Timeout { node: id, timer },
                    id,
                    input,
                    actions,
                );
            }
        }
    }

    /// An action, and the same with a crash behind each effect but the last.
    fn offer(
        &self,
        world: &World,
        choice: ChoiceOf<P>,
        node: NodeId,
        input: Handle,
        actions: &mut Vec<EnabledOf<P>>,
    ) {
        let step = self.parts.step(self.node_handle(world, node), input);
        let offer = |choice, crash_after| Enabled {
            action: Action {
                choice,
                crash_after,
            },
            step: Some(step),
        };
        if world.budgets[Budget::Crashes] > 0 {
            let crashes = 1..=self.parts.step_at(step).crashed.len();
            actions.extend(crashes.map(|k| offer(choice.clone(), Some(k))));
        }
        actions.push(offer(choice, None));
    }

    /// The action as one that is enabled in a world; otherwise why it is not.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn find(&self, world: &World, action: &ActionOf<P>) -> Result<EnabledOf<P>, String> {
        let mut actions = vec![];
        self.enabled(world, &mut actions);
        let whole = Action::from(action.choice.clone());
        let could_be_whole = actions.iter().any(|enabled| enabled.action == whole);
        let found = actions
            .into_iter()
            .find(|enabled| enabled.action == *action);
        found.ok_or_else(|| match action.crash_after {
            Some(k) if could_be_whole => {
                format!("the node cannot crash behind {k} effects of this step")
            }
            _ => self.why_not(world, &action.choice),
        })
    }

    fn why_not(&self, world: &World, choice: &ChoiceOf<P>) -> String {
        let absent = |node: NodeId| node.0 >= self.environment.nodes;
        if let Some(node) = choice.nodes().into_iter().find(|node| absent(*node)) {
            let last = NodeId(self.environment.nodes - 1);
            return format!("there is no {node}: the nodes are n0 to {last}");
        }
        if choice
            .budget()
            .is_some_and(|budget| world.budgets[budget] == 0)
        {
            return "the budget for it is spent".into();
        }
        match choice {
            Choice::Start { node, .. } if !self.is_idle(world, *node) => {
                format!("{node} has been started before")
            }
            Choice::Start { contact: node, .. }
            | Choice::Command { node }
            | Choice::Deliver { to: node, .. }
            | Choice::Timeout { node, .. }
            | Choice::Crash { node }
                if !self.is_up(world, *node) =>
            {
                format!("{node} is not up")
            }
            Choice::Start { .. } | Choice::Command { .. } | Choice::Crash { .. } => {
                "the machine has no such step".into()
            }
            Choice::Deliver { from, to } => format!("the link from {from} to {to} is empty"),
            Choice::Timeout { node, timer } if self.node(world, *node).timers.contains(timer) => {
                "there is still something to deliver".into()
            }
            Choice::Timeout { .. } => "the timer is not armed".into(),
        }
    }

    /// The world that follows.
    ///
    /// # Panics
    /// If the action is not enabled in this world.
    pub fn follow(&self, world: &World, Enabled { action, step }: &EnabledOf<P>) -> World {
        let mut next = world.clone();
        if let Some(budget) = action.choice.budget() {
            next.budgets.spend(budget);
        }
        if action.crash_after.is_some() {
            next.budgets.spend(Budget::Crashes);
        }
        if let Choice::Deliver { from, to } = action.choice {
            let link = &mut next.parts[self.link(from, to)];
            let (_, rest) = self.parts.pop(*link).expect("a signal on the link");
            *link = rest;
        }
        let node = action.choice.node();
        match step {
            Some(step) => {
                let step = self.parts.step_at(*step);
                self.carry_out(&mut next, node, step, action.crash_after);
            }
            None => {
                let crashed = self.parts.crash(self.node_handle(&next, node));
                self.end(&mut next, node, crashed);
            }
        }
        next
    }

    /// The effects of an enabled action that happen: all that the machine asks for, or the first k.
    pub fn effects(&self, Enabled { action, step }: &EnabledOf<P>) -> &[EffectOf<P>] {
        let effects = step.map_or(&[][..], |step| &self.parts.step_at(step).effects);
        &effects[..action.crash_after.unwrap_or(effects.len())]
    }

    /// What an enabled choice hands to its node; a crash hands it nothing.
    pub fn input(&self, world: &World, choice: &ChoiceOf<P>) -> Option<&Input<P>> {
        let input = match choice {
            Choice::Start { node, contact } => Some(self.start_input(world, *node, *contact)),
            Choice::Command { node } => self.parts.command(self.node_handle(world, *node)),
            Choice::Deliver { from, to } => {
                let head = self.parts.pop(world.parts[self.link(*from, *to)]);
                head.map(|(signal, _)| signal)
            }
            Choice::Timeout { timer, .. } => Some(self.timeout_input(timer)),
            Choice::Crash { .. } => None,
        };
        input.map(|input| self.parts.input_at(input))
    }

    fn start_input(&self, world: &World, node: NodeId, contact: NodeId) -> Handle {
        self.parts.input(Input::Start(Boot {
            me: node.first_life(),
            stable: None,
            contact: Some(self.node(world, contact).address()),
        }))
    }

    fn timeout_input(&self, timer: &P::Timer) -> Handle {
        self.parts
            .input(Input::Event(Event::Timeout(timer.clone())))
    }

    /// Carries out the effects of a step in order: all of them, or the first k before a crash.
    fn carry_out(&self, world: &mut World, me: NodeId, step: &Step<P>, crash_after: Option<usize>) {
        let happening = &step.reach[..crash_after.unwrap_or(step.reach.len())];
        let ends = step.stops || crash_after.is_some();
        if !ends {
            world.parts[usize::from(me.0)] = step.node;
        }
        for reach in happening {
            match *reach {
                Reach::Nowhere => {}
                Reach::Send { to, signal } => {
                    if self.lives(world, to) {
                        self.push(world, me, to.node(), signal);
                    }
                }
                // With the node go its monitors, and what is on the links to it.
                Reach::Monitor(_) | Reach::Demonitor(_) if ends => {}
                Reach::Monitor(peer) => self.monitor(world, me, peer),
                Reach::Demonitor(peer) => self.demonitor(world, me, peer),
            }
        }
        if ends {
            let node = crash_after.map_or(step.node, |k| step.crashed[k - 1]);
            self.end(world, me, node);
        }
    }

    fn monitor(&self, world: &mut World, me: NodeId, peer: Peer) {
        if self.lives(world, peer) {
            let node = &mut world.parts[usize::from(me.0)];
            *node = self.parts.watch(*node, peer);
        } else {
            self.push_down(world, peer, me);
        }
    }

    fn demonitor(&self, world: &mut World, me: NodeId, peer: Peer) {
        let node = &mut world.parts[usize::from(me.0)];
        *node = self.parts.unwatch(*node, peer);
        let link = &mut world.parts[self.link(peer.node(), me)];
        *link = self.parts.flush(*link);
    }

    /// A node's life ends: what is on its way to it is lost, and those who monitor it are told,
    /// behind all that it had sent.
    fn end(&self, world: &mut World, me: NodeId, ended: Handle) {
        let gone = self.node(world, me).address();
        world.parts[usize::from(me.0)] = ended;
        for other in self.nodes() {
            world.parts[self.link(other, me)] = EMPTY;
        }
        for watcher in self.nodes() {
            for peer in [Peer::Name(me), Peer::Process(gone)] {
                let node = self.node_handle(world, watcher);
                if self.parts.node(node).monitors.contains(&peer) {
                    world.parts[usize::from(watcher.0)] = self.parts.unwatch(node, peer);
                    self.push_down(world, peer, watcher);
                }
            }
        }
    }

    fn push_down(&self, world: &mut World, gone: Peer, watcher: NodeId) {
        let down = self.parts.input(Input::Event(Event::Down(gone)));
        self.push(world, gone.node(), watcher, down);
    }

    fn push(&self, world: &mut World, from: NodeId, to: NodeId, signal: Handle) {
        let link = &mut world.parts[self.link(from, to)];
        *link = self.parts.push(*link, signal);
    }

    fn nodes(&self) -> impl Iterator<Item = NodeId> + use<P> {
        (0..self.environment.nodes).map(NodeId)
    }

    fn node_handle(&self, world: &World, node: NodeId) -> Handle {
        world.parts[usize::from(node.0)]
    }

    fn is_up(&self, world: &World, node: NodeId) -> bool {
        self.node(world, node).is_up()
    }

    fn is_idle(&self, world: &World, node: NodeId) -> bool {
        self.node(world, node).condition == Condition::Idle
    }

    /// Whether somebody lives where a peer points to.
    fn lives(&self, world: &World, peer: Peer) -> bool {
        let node = self.node(world, peer.node());
        match peer {
            Peer::Name(_) => node.is_up(),
            Peer::Process(Address { life, .. }) => node.is_up() && node.life == life,
        }
    }

    /// The place of a link among the parts of a world.
    fn link(&self, from: NodeId, to: NodeId) -> usize {
        let size = usize::from(self.environment.nodes);
        size + usize::from(from.0) * size + usize::from(to.0)
    }
}

impl World {
    /// What can still happen.
    #[must_use]
    pub fn budgets(&self) -> Budgets {
        self.budgets
    }
}

impl<Timer> Choice<Timer> {
    /// The node at which it happens.
    pub fn node(&self) -> NodeId {
        match self {
            Self::Start { node, .. }
            | Self::Command { node }
            | Self::Deliver { to: node, .. }
            | Self::Timeout { node, .. }
            | Self::Crash { node } => *node,
        }
    }

    /// Whose signal it delivers, if it does.
    pub fn sender(&self) -> Option<NodeId> {
        match self {
            Self::Deliver { from, .. } => Some(*from),
            Self::Start { .. }
            | Self::Command { .. }
            | Self::Timeout { .. }
            | Self::Crash { .. } => None,
        }
    }

    /// The same, with its timer written in another way.
    ///
    /// # Errors
    /// What `timer` fails with.
    pub fn try_map_timer<T, E>(
        self,
        timer: impl FnOnce(Timer) -> Result<T, E>,
    ) -> Result<Choice<T>, E> {
        Ok(match self {
            Self::Start { node, contact } => Choice::Start { node, contact },
            Self::Command { node } => Choice::Command { node },
            Self::Deliver { from, to } => Choice::Deliver { from, to },
            Self::Timeout { node, timer: name } => Choice::Timeout {
                node,
                timer: timer(name)?,
            },
            Self::Crash { node } => Choice::Crash { node },
        })
    }

    /// All nodes that it names.
    fn nodes(&self) -> Vec<NodeId> {
        match self {
            Self::Start { node, contact } => vec![*node, *contact],
            Self::Deliver { from, to } => vec![*from, *to],
            Self::Command { node } | Self::Timeout { node, .. } | Self::Crash { node } => {
                vec![*node]
            }
        }
    }

    /// What it is paid from; deliveries are free.
    fn budget(&self) -> Option<Budget> {
        match self {
            Self::Start { .. } => Some(Budget::Starts),
            Self::Command { .. } => Some(Budget::Commands),
            Self::Deliver { .. } => None,
            Self::Timeout { .. } => Some(Budget::Timeouts),
            Self::Crash { .. } => Some(Budget::Crashes),
        }
    }
}

impl<Timer> From<Choice<Timer>> for Action<Timer> {
    fn from(choice: Choice<Timer>) -> Self {
        Self {
            choice,
            crash_after: None,
        }
    }
}

impl<Timer: fmt::Debug> fmt::Display for Action<Timer> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.choice {
            Choice::Start { node, contact } => write!(f, "start {node}, through {contact}")?,
            Choice::Command { node } => write!(f, "command at {node}")?,
            Choice::Deliver { from, to } => write!(f, "deliver {from} → {to}")?,
            Choice::Timeout { node, timer } => write!(f, "time-out {timer:?} at {node}")?,
            Choice::Crash { node } => write!(f, "crash {node}")?,
        }
        match self.crash_after {
            None => Ok(()),
            Some(1) => f.write_str(", crash after 1 effect"),
            Some(k) => write!(f, ", crash after {k} effects"),
        }
    }
}

impl ops::Index<Budget> for Budgets {
    type Output = u8;
    fn index(&self, budget: Budget) -> &u8 {
        &self.0[budget as usize]
    }
}

impl ops::IndexMut<Budget> for Budgets {
    fn index_mut(&mut self, budget: Budget) -> &mut u8 {
        &mut self.0[budget as usize]
    }
}

impl Budgets {
    fn spend(&mut self, budget: Budget) {
        self[budget] = self[budget]
            .checked_sub(1)
            .expect("an action that is paid for");
    }
}

impl Start {
    fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Joining => "joining",
        }
    }
}

impl From<BTreeMap<Budget, u8>> for Budgets {
    fn from(named: BTreeMap<Budget, u8>) -> Self {
        let mut budgets = Self::default();
        for (budget, times) in named {
            budgets[budget] = times;
        }
        budgets
    }
}

impl From<Budgets> for BTreeMap<Budget, u8> {
    fn from(budgets: Budgets) -> Self {
        Budget::ALL.map(|budget| (budget, budgets[budget])).into()
    }
}

impl Budget {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Starts, Self::Commands, Self::Timeouts, Self::Crashes];
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starts => "starts",
            Self::Commands => "commands",
            Self::Timeouts => "timeouts",
            Self::Crashes => "crashes",
        })
    }
}

/// Those that are above 0: `commands 2, crashes 1`.
impl fmt::Display for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Budget::ALL.into_iter().filter(|budget| self[*budget] > 0);
        let texts: Vec<_> = named
            .map(|budget| format!("{budget} {}", self[budget]))
            .collect();
        f.pad(&if texts.is_empty() {
            "nothing happens".into()
        } else {
            texts.join(", ")
        })
    }
}

impl Environment {
    /// An environment, with the budgets that are given. In a group that is still to be joined each
    /// other node can start once, and each join timer can fire, unless the budgets say otherwise.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn new(
        nodes: u16,
        start: Start,
        timers: Timers,
        given: &BTreeMap<Budget, u8>,
    ) -> Result<Self, String> {
        Self::check_size(nodes)?;
        if start == Start::Joined && given.contains_key(&Budget::Starts) {
            return Err("a joined group has nobody left to start: leave out `starts`".into());
        }
        let mut budgets = Budgets::default();
        if start == Start::Joining {
            let size = u8::try_from(nodes).expect("few nodes");
            budgets[Budget::Starts] = size - 1;
            budgets[Budget::Timeouts] = size;
        }
        for (budget, times) in given {
            budgets[*budget] = *times;
        }
        Ok(Self {
            nodes,
            start,
            timers,
            budgets,
        })
    }

    /// A short name: `joined-3-commands-2-crashes-1`.
    #[must_use]
    pub fn slug(&self) -> String {
        let mut slug = format!("{}-{}", self.start.name(), self.nodes);
        if self.timers == Timers::Any {
            slug += "-any";
        }
        for budget in Budget::ALL
            .into_iter()
            .filter(|budget| self.budgets[*budget] > 0)
        {
            slug += &format!("-{budget}-{}", self.budgets[budget]);
        }
        slug
    }

    /// More nodes than any search or schedule gets through.
    const MOST_NODES: u16 = 32;

    /// Whether a group can have this size.
    ///
    /// # Errors
    /// A sentence that says which it can have.
    pub fn check_size(nodes: u16) -> Result<(), String> {
        if (1..=Self::MOST_NODES).contains(&nodes) {
            return Ok(());
        }
        Err(format!("{nodes} nodes: expected 1 to {}", Self::MOST_NODES))
    }
}

/// `3 nodes, joined, late timers; commands 2, crashes 1`.
impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.start.name();
        let timers = match self.timers {
            Timers::Late => "late timers",
            Timers::Any => "timers at any time",
        };
        let plural = if self.nodes == 1 { "" } else { "s" };
        write!(
            f,
            "{} node{plural}, {start}, {timers}; {}",
            self.nodes, self.budgets
        )
    }
}
