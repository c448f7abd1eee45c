//! The world that a protocol is checked in: SEMANTICS.md, and nothing else.
//!
//! All meaning of links, crashes, detectors and timers is here. Whoever explores, drives or replays
//! only chooses the next [`Action`]. A [`World`] holds handles to hash-consed [`Parts`]; [`Rules`]
//! say what can happen next and what follows.
//!
//! Not yet in this world, and refused in scenarios: drops, duplicates, overtakes, suspicions and cuts.
//! Each will be one more [`Budget`], one more [`Choice`], and its rule below.

use crate::{
    action::{Action, ActionOf, Choice, ChoiceOf},
    environment::{Budget, Budgets, Environment, Start, Storage, Timers, UNLIMITED},
    parts::{Condition, EMPTY, Handle, Input, Node, Parts, Reach, Step},
    profile::Profile,
    protocol::Protocol,
};
use interrex::machine::{Address, Boot, EffectOf, Event, EventOf, Machine, NodeId, Peer};
use smallvec::SmallVec;

/// A state of the whole system: one handle for each node, one for each link, and what is left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The nodes, then the links, by sender and then by receiver.
    parts: SmallVec<[Handle; 20]>,
    budgets: Budgets,
}

/// An action that is enabled in a world, with the step that it makes its node take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enabled<Timer> {
    /// The action.
    pub action: Action<Timer>,
    /// The step; a crash between steps is none.
    step: Option<Handle>,
}

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
        Self { parts: Parts::new(protocol), environment }
    }

    /// The environment that they are for.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Makes them the rules for another environment of the same size. What is remembered of steps is
    /// the same in both.
    ///
    /// # Panics
    /// If it is of another size: the protocol may have been told that.
    pub fn set_environment(&mut self, environment: Environment) {
        let of_size = |environment: &Environment| (environment.nodes, environment.workers);
        assert_eq!(of_size(&self.environment), of_size(&environment), "another size");
        self.environment = environment;
    }

    /// The protocol that they are for.
    pub fn protocol(&self) -> &P {
        self.parts.protocol()
    }

    /// The world in which every run begins.
    pub fn initial(&self) -> World {
        let size = self.environment.size();
        let nodes = match self.environment.start {
            Start::Joined => self.protocol().joined(size),
            Start::Joining | Start::Idle => self.nodes().map(Node::idle).collect(),
        };
        let handles = nodes.into_iter().map(|node| self.parts.intern_node(node));
        let links = std::iter::repeat_n(EMPTY, usize::from(size) * usize::from(size));
        let mut world =
            World { parts: handles.chain(links).collect(), budgets: self.environment.budgets };
        if self.environment.start == Start::Joining {
            let founder =
                Input::Start(Boot { me: NodeId(0).first_life(), stable: None, contact: None });
            let input = self.parts.input(founder);
            let step = self.parts.step(world.node(NodeId(0)), input);
            self.carry_out(&mut world, NodeId(0), self.parts.step_at(step), None);
        }
        world
    }

    /// The node, in a world.
    pub fn node(&self, world: &World, node: NodeId) -> &Node<P> {
        self.parts.node(world.node(node))
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
        let nodes = &world.parts[..usize::from(self.environment.size())];
        nodes.iter().map(|node| self.parts.profile_of(*node))
    }

    /// Whether a world is one of those that are looked at: the environment's bound, if it has one, is
    /// exceeded at no node that is up.
    pub fn is_within_bound(&self, world: &World) -> bool {
        self.environment.bound.as_ref().is_none_or(|bound| {
            self.nodes().all(|node| self.parts.measured(world.node(node)) <= bound.most)
        })
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
            let handle = world.node(id);
            let node = self.parts.node(handle);
            somebody_idle |= node.condition == Condition::Idle;
            somebody_up |= node.is_up();
            let fires = || node.timers.iter().any(|timer| self.may_fire(world, id, timer));
            let asks = || left(Budget::Commands) && self.parts.command(handle).is_some();
            if node.is_up() && ((left(Budget::Timeouts) && fires()) || asks()) {
                return false;
            }
        }
        let somebody_to_ask = somebody_up || !self.protocol().joins_through_contact();
        !(left(Budget::Starts) && somebody_idle && somebody_to_ask)
    }

    /// Whether an armed timer, whose time has come, may fire. If that costs nothing it must change
    /// something.
    fn may_fire(&self, world: &World, node: NodeId, timer: &P::Timer) -> bool {
        if world.budgets[Budget::Timeouts] != UNLIMITED {
            return true;
        }
        let step = self.parts.step(world.node(node), self.timeout_input(timer));
        let mut next = world.clone();
        self.carry_out(&mut next, node, self.parts.step_at(step), None);
        next != *world
    }

    /// Only nodes that are up have signals on the links to them: an end empties these links, and
    /// nothing is put on them behind it.
    fn is_anything_on_a_link(&self, world: &World) -> bool {
        let links = &world.parts[usize::from(self.environment.size())..];
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
                if let Some(input) = self.parts.command(world.node(node)) {
                    self.offer(world, &Choice::Command { node }, input, actions);
                }
            }
        }
        for from in self.nodes() {
            for to in self.nodes() {
                if let Some((head, _)) = self.parts.pop(world.parts[self.link(from, to)]) {
                    self.offer(world, &Choice::Deliver { from, to }, head, actions);
                }
            }
        }
        let is_time = match self.environment.timers {
            Timers::Late => !self.is_anything_on_a_link(world),
            Timers::Any => true,
        };
        if left(Budget::Timeouts) && is_time {
            self.offer_timeouts(world, actions);
        }
        if left(Budget::Crashes) {
            for node in self.nodes().filter(|node| self.is_up(world, *node)) {
                actions.push(Enabled { action: Choice::Crash { node }.into(), step: None });
            }
        }
        if left(Budget::Restarts) {
            self.offer_restarts(world, actions);
        }
    }

    fn offer_starts(&self, world: &World, actions: &mut Vec<EnabledOf<P>>) {
        for node in self.nodes().filter(|node| self.is_idle(world, *node)) {
            for contact in self.contacts(world) {
                let input = self.boot(world, node, contact);
                self.offer(world, &Choice::Start { node, contact }, input, actions);
            }
        }
    }

    /// A restart is not cut short by a crash.
    fn offer_restarts(&self, world: &World, actions: &mut Vec<EnabledOf<P>>) {
        for node in self.nodes().filter(|node| self.is_crashed(world, *node)) {
            for contact in self.contacts(world) {
                let step = self.parts.step(world.node(node), self.boot(world, node, contact));
                let action = Choice::Restart { node, contact }.into();
                actions.push(Enabled { action, step: Some(step) });
            }
        }
    }

    /// Through whom a node can come up: anybody who is up, or just so where nobody is needed.
    fn contacts(&self, world: &World) -> impl Iterator<Item = Option<NodeId>> {
        let through_contact = self.protocol().joins_through_contact();
        let up = self.nodes().filter(move |node| through_contact && self.is_up(world, *node));
        up.map(Some).chain((!through_contact).then_some(None))
    }

    fn offer_timeouts(&self, world: &World, actions: &mut Vec<EnabledOf<P>>) {
        for node in self.nodes() {
            // The timers of a node that is not up are gone.
            let timers = self.node(world, node).timers.iter();
            for timer in timers.filter(|timer| self.may_fire(world, node, timer)) {
                let input = self.timeout_input(timer);
                let timer = timer.clone();
                self.offer(world, &Choice::Timeout { node, timer }, input, actions);
            }
        }
    }

    /// An action, and the same with a crash behind each effect but the last.
    fn offer(
        &self,
        world: &World,
        choice: &ChoiceOf<P>,
        input: Handle,
        actions: &mut Vec<EnabledOf<P>>,
    ) {
        let step = self.parts.step(world.node(choice.node()), input);
        let offer = |crash_after| Enabled {
            action: Action { choice: choice.clone(), crash_after },
            step: Some(step),
        };
        // First without the crash: of two runs of one length, the search finds the simpler.
        actions.push(offer(None));
        if world.budgets[Budget::Crashes] > 0 {
            let crashes = 1..=self.parts.step_at(step).crashed.len();
            actions.extend(crashes.map(|k| offer(Some(k))));
        }
    }

    /// The action as one that is enabled in a world; otherwise why it is not.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn find(&self, world: &World, action: &ActionOf<P>) -> Result<EnabledOf<P>, String> {
        let mut actions = vec![];
        self.enabled(world, &mut actions);
        if let Some(found) = actions.iter().find(|enabled| enabled.action == *action) {
            return Ok(found.clone());
        }
        let whole = Action::from(action.choice.clone());
        let whole = actions.iter().find(|enabled| enabled.action == whole);
        Err(match (action.crash_after, whole) {
            (Some(_), Some(_)) if world.budgets[Budget::Crashes] == 0 => SPENT.into(),
            (Some(_), Some(_)) if matches!(action.choice, Choice::Restart { .. }) => {
                "a node cannot crash within its restart".into()
            }
            (Some(k), Some(whole)) => {
                let effects = self.effects(whole).len();
                format!("the node cannot crash behind {k} of {effects} effects, only between two")
            }
            _ => self.why_not(world, &action.choice),
        })
    }

    fn why_not(&self, world: &World, choice: &ChoiceOf<P>) -> String {
        let size = self.environment.size();
        if let Some(node) = choice.nodes().into_iter().find(|node| node.0 >= size) {
            let last = NodeId(size - 1);
            return format!("there is no {node}: the nodes are n0 to {last}");
        }
        if choice.budget().is_some_and(|budget| world.budgets[budget] == 0) {
            return SPENT.into();
        }
        match choice {
            Choice::Start { node, .. } if !self.is_idle(world, *node) => {
                format!("{node} has been started before")
            }
            Choice::Restart { node, .. } if !self.is_crashed(world, *node) => {
                format!("{node} has not crashed")
            }
            Choice::Start { contact: None, .. } | Choice::Restart { contact: None, .. } => {
                "it joins through a contact: name a node that is up".into()
            }
            Choice::Start { contact: Some(node), .. }
            | Choice::Restart { contact: Some(node), .. }
            | Choice::Command { node }
            | Choice::Deliver { to: node, .. }
            | Choice::Timeout { node, .. }
            | Choice::Crash { node }
                if !self.is_up(world, *node) =>
            {
                format!("{node} is not up")
            }
            Choice::Start { .. } | Choice::Restart { .. } => {
                "it joins through nobody: leave out the contact".into()
            }
            Choice::Command { .. } | Choice::Crash { .. } => "the machine has no such step".into(),
            Choice::Deliver { from, to } => format!("the link from {from} to {to} is empty"),
            Choice::Timeout { node, timer } if !self.node(world, *node).timers.contains(timer) => {
                "the timer is not armed".into()
            }
            Choice::Timeout { .. } if self.is_anything_on_a_link(world) => {
                "there is still something to deliver".into()
            }
            Choice::Timeout { .. } => "it would change nothing".into(),
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
        if let Some(step) = step {
            let step = self.parts.step_at(*step);
            self.carry_out(&mut next, node, step, action.crash_after);
        } else {
            let crashed = self.parts.crash(next.node(node));
            self.end(&mut next, node, crashed);
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
            Choice::Start { node, contact } | Choice::Restart { node, contact } => {
                Some(self.boot(world, *node, *contact))
            }
            Choice::Command { node } => self.parts.command(world.node(*node)),
            Choice::Deliver { from, to } => {
                let head = self.parts.pop(world.parts[self.link(*from, *to)]);
                head.map(|(signal, _)| signal)
            }
            Choice::Timeout { timer, .. } => Some(self.timeout_input(timer)),
            Choice::Crash { .. } => None,
        };
        input.map(|input| self.parts.input_at(input))
    }

    /// What a node is told when it comes up, for the first time or in a new life.
    fn boot(&self, world: &World, node: NodeId, contact: Option<NodeId>) -> Handle {
        let before = self.node(world, node);
        let lives_before = match before.condition {
            Condition::Idle => 0,
            Condition::Up(_) | Condition::Crashed | Condition::Stopped => before.life + 1,
        };
        let stable = match self.environment.storage {
            Storage::Kept => before.stable.clone(),
            Storage::Lost => None,
        };
        self.parts.input(Input::Start(Boot {
            me: Address { node, life: lives_before },
            stable,
            contact: contact.map(|contact| self.node(world, contact).address()),
        }))
    }

    fn timeout_input(&self, timer: &P::Timer) -> Handle {
        self.parts.input(Input::Event(Event::Timeout(timer.clone())))
    }

    /// Carries out the effects of a step in order: all of them, or the first k before a crash.
    fn carry_out(&self, world: &mut World, me: NodeId, step: &Step<P>, crash_after: Option<usize>) {
        let happening = &step.reach[..crash_after.unwrap_or(step.reach.len())];
        world.parts[usize::from(me.0)] = step.node;
        for reach in happening {
            match *reach {
                Reach::Nowhere => {}
                Reach::Send { to, signal } => {
                    if self.lives(world, to) {
                        self.push(world, me, to.node(), signal);
                    }
                }
                Reach::Monitor(peer) => self.monitor(world, me, peer),
                Reach::Demonitor(peer) => self.demonitor(world, me, peer),
            }
        }
        if step.stops || crash_after.is_some() {
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
                let node = world.node(watcher);
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
        (0..self.environment.size()).map(NodeId)
    }

    fn is_up(&self, world: &World, node: NodeId) -> bool {
        self.parts.life(world.node(node)).is_some()
    }

    fn is_idle(&self, world: &World, node: NodeId) -> bool {
        self.node(world, node).condition == Condition::Idle
    }

    fn is_crashed(&self, world: &World, node: NodeId) -> bool {
        self.node(world, node).condition == Condition::Crashed
    }

    /// Whether somebody lives where a peer points to.
    fn lives(&self, world: &World, peer: Peer) -> bool {
        let life = self.parts.life(world.node(peer.node()));
        match peer {
            Peer::Name(_) => life.is_some(),
            Peer::Process(address) => life == Some(address.life),
        }
    }

    /// The place of a link among the parts of a world.
    fn link(&self, from: NodeId, to: NodeId) -> usize {
        let size = usize::from(self.environment.size());
        size + usize::from(from.0) * size + usize::from(to.0)
    }
}

const SPENT: &str = "the budget for it is spent";

impl World {
    /// What can still happen.
    #[must_use]
    pub fn budgets(&self) -> Budgets {
        self.budgets
    }

    fn node(&self, node: NodeId) -> Handle {
        self.parts[usize::from(node.0)]
    }
}
