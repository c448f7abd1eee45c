//! The world that a protocol is checked in: SEMANTICS.md, and nothing else.
//!
//! All meaning of links, crashes, detectors and timers is here. An explorer or a replay only chooses the next
//! [`Action`]. A [`World`] holds handles to hash-consed [`Parts`]; [`Rules`] say what can happen next and
//! what follows.

mod consequence;
mod offer;
pub mod packed;
mod refusal;
mod run;
pub(crate) mod surroundings;
mod tables;

use crate::{
    claim::{
        profile::Profile,
        property::{Group, Kind, Property},
    },
    model::{
        action::{Action, Choice, ChoiceOf, Side},
        environment::{Budget, Budgets, Environment, Start, UNLIMITED},
        memo::Table,
        node::{Condition, Input, Node},
        parts::{EMPTY, Handle, Parts, Taken},
    },
    protocol::Protocol,
};
use interrex::machine::{EffectOf, EventOf, Machine, NodeId};
use smallvec::SmallVec;
use surroundings::{Surroundings, SurroundingsEntry};

/// A state of the whole system: a handle for each of its parts.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The nodes, then the links, by sender and then by receiver; last, the cut and the remaining budgets.
    parts: SmallVec<[Handle; 32]>,
}

/// An action that is enabled in a world, with the step that it makes its node take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enabled<Timer> {
    /// The action.
    pub action: Action<Timer>,
    /// The step, if a node takes one.
    step: Option<Handle>,
}

/// An enabled action of a machine.
pub type EnabledOf<M> = Enabled<<M as Machine>::Timer>;

/// The nodes of a world on which properties of one kind are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subjects {
    /// None for all nodes; or those that one side of a cut contains, or those that it does not contain.
    part: Option<(Side, bool)>,
    /// The nodes that are up can have a leader. Computed for settled properties only, since no other property
    /// asks.
    can_lead: bool,
}

impl Subjects {
    /// True if those of the nodes that are up can have a leader. Only settled properties ask.
    #[must_use]
    pub fn can_lead(self) -> bool {
        self.can_lead
    }
}

/// The rules of one protocol in one environment: which actions are enabled in a world, and the world after
/// each.
pub struct Rules<P: Protocol> {
    parts: Parts<P>,
    /// The cuts and budgets of worlds.
    surroundings: Table<Surroundings, SurroundingsEntry>,
    environment: Environment,
}

impl<P: Protocol> Rules<P> {
    /// The rules for a protocol in an environment.
    pub fn new(protocol: P, environment: Environment) -> Self {
        Self { parts: Parts::new(protocol), surroundings: Table::default(), environment }
    }

    /// The same rules for the same machine, with nothing remembered. The machine computes every step again.
    #[must_use]
    pub fn anew(&self) -> Self {
        self.in_environment(self.environment.clone())
    }

    /// Forgets everything that is remembered. Worlds of before mean nothing any more.
    pub(crate) fn forget(&mut self) {
        self.parts = self.parts.anew();
    }

    /// Rules in another environment for the same machine, with nothing remembered.
    #[must_use]
    pub fn in_environment(&self, environment: Environment) -> Self {
        Self { parts: self.parts.anew(), surroundings: Table::default(), environment }
    }

    /// The steps of all runs so far, each once: those that were [followed](Self::follow), or that begin
    /// every run.
    pub fn taken(&self) -> impl Iterator<Item = Taken<'_, P>> {
        self.parts.taken()
    }

    /// The tables of parts that worlds refer to.
    pub fn parts(&self) -> &Parts<P> {
        &self.parts
    }

    /// The environment.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Changes the environment to another of the same size. Remembered steps stay valid.
    ///
    /// # Panics
    /// If it is of another size: the protocol may depend on the size.
    pub fn set_environment(&mut self, environment: Environment) {
        let of_size = |environment: &Environment| (environment.nodes, environment.workers);
        assert_eq!(of_size(&self.environment), of_size(&environment), "another size");
        self.environment = environment;
    }

    /// The protocol.
    pub fn protocol(&self) -> &P {
        self.parts.protocol()
    }

    /// The world in which every run begins.
    pub fn initial(&self) -> World {
        let idle = self.nodes().map(Node::idle).collect();
        match self.environment.start {
            Start::Idle => self.begin(idle),
            Start::Joining => {
                let mut world = self.begin(idle);
                self.found(&mut world, NodeId(0));
                world
            }
            Start::Joined => match self.protocol().joined(self.environment.size()) {
                Some(nodes) => self.begin(nodes),
                None => self.form(self.begin(idle)),
            },
        }
    }

    /// The world with these nodes in which nothing has happened yet.
    fn begin(&self, nodes: Vec<Node<P>>) -> World {
        let size = usize::from(self.environment.size());
        let handles = nodes.into_iter().map(|node| self.parts.intern_node(node));
        let links = std::iter::repeat_n(EMPTY, size * size);
        self.world(
            handles.chain(links),
            Surroundings { cut: None, budgets: self.environment.budgets },
        )
    }

    /// Starts a node without a contact and without using a budget.
    fn found(&self, world: &mut World, node: NodeId) {
        let step = self.parts.step(world.node(node), self.boot(world, node, None));
        let step = self.parts.step_at(step);
        self.parts.mark(step, None);
        self.carry_out(world, node, step, None);
    }

    /// Forms a group: the nodes come up one after the other, each when the others have nothing left to do. In
    /// between, the first enabled action is always taken.
    ///
    /// # Panics
    /// If forming never settles: such a protocol has no joined group.
    fn form(&self, mut world: World) -> World {
        let mut budgets = Budgets::NONE;
        budgets[Budget::Timeouts] = UNLIMITED;
        self.surround(&mut world, Surroundings { cut: None, budgets });
        let mut actions = vec![];
        for node in self.nodes() {
            self.found(&mut world, node);
            for turn in 0.. {
                actions.clear();
                self.enabled(&world, &mut actions);
                let Some(first) = actions.first() else {
                    break;
                };
                assert!(
                    turn < 10_000,
                    "a group that does not settle when its nodes come up in turn"
                );
                world = self.follow(&world, first);
            }
        }
        self.surround(&mut world, Surroundings { cut: None, budgets: self.environment.budgets });
        world
    }

    /// The node, in a world.
    pub fn node(&self, world: &World, node: NodeId) -> &Node<P> {
        self.parts.node(world.node(node))
    }

    /// The signals on a link in a world, its head first.
    pub fn signals(&self, world: &World, from: NodeId, to: NodeId) -> Vec<&EventOf<P>> {
        let link = world.parts[self.link(from, to)];
        let signals = self.parts.signals(link).iter();
        let event = |signal: &Handle| match self.parts.input_at(*signal) {
            Input::Event(event) => Some(event),
            Input::Start(_) => None,
        };
        signals.filter_map(event).collect()
    }

    /// The nodes on which a property of this kind is judged in a world. None if it is not judged there. A
    /// safety property is judged on all nodes, in every world. A settled property is judged on all nodes of a
    /// settled world. If only an open cut keeps a world from being settled, it is judged on the majority's
    /// side alone.
    pub fn judged(&self, world: &World, kind: Kind) -> Option<Subjects> {
        match (kind, self.cut(world)) {
            (Kind::Settled, _) if !self.is_quiet(world) => None,
            (Kind::Safety, _) => Some(Subjects { part: None, can_lead: false }),
            (Kind::Settled, None) => Some(self.judged_settled(world, None)),
            (Kind::Settled, Some(side)) => {
                Some(self.judged_settled(world, Some((side, self.majority(side)?))))
            }
            // Judged on runs, not on worlds.
            (Kind::Fair, _) => None,
        }
    }

    fn judged_settled(&self, world: &World, part: Option<(Side, bool)>) -> Subjects {
        let subjects = Subjects { part, can_lead: false };
        let state = |node: NodeId| Some((node, self.node(world, node).state()?));
        let up: SmallVec<[_; 8]> = self.subjects(subjects).filter_map(state).collect();
        Subjects { can_lead: self.protocol().can_lead(&up), ..subjects }
    }

    fn subjects(&self, Subjects { part, .. }: Subjects) -> impl Iterator<Item = NodeId> + use<P> {
        self.nodes()
            .filter(move |node| part.is_none_or(|(side, inside)| side.contains(*node) == inside))
    }

    /// The profiles of the judged nodes of a world, by their handles.
    pub fn profiles(&self, world: &World, subjects: Subjects) -> impl Iterator<Item = Handle> {
        self.judged_nodes(world, subjects).map(|node| self.parts.profile_of(node))
    }

    /// The judged nodes of a world.
    pub(crate) fn judged_nodes(
        &self,
        world: &World,
        subjects: Subjects,
    ) -> impl Iterator<Item = Handle> {
        self.subjects(subjects).map(|node| world.node(node))
    }

    /// True if this side of a cut holds more than half of the nodes that may lead, false if the other side
    /// does. None if neither does.
    fn majority(&self, side: Side) -> Option<bool> {
        let candidates = usize::from(self.environment.nodes);
        let inside = side.nodes().filter(|node| node.0 < self.environment.nodes).count();
        let [inside, outside] = [inside, candidates - inside].map(|count| 2 * count > candidates);
        (inside || outside).then_some(inside)
    }

    /// The profile of a handle.
    pub fn profile(&self, profile: Handle) -> &Profile {
        self.parts.profile(profile)
    }

    /// The violations of a property in a world, a sentence for each.
    pub fn complaints(&self, world: &World, property: &Property) -> Vec<String> {
        self.with_judged(world, property.kind, |group| property.complaints(group))
    }

    /// True if a property is violated in a world.
    pub fn is_violated(&self, world: &World, property: &Property) -> bool {
        self.with_judged(world, property.kind, |group| property.is_violated(group))
    }

    /// Asks about the nodes on which a property is judged. If it is not judged in this world, nothing is
    /// violated.
    fn with_judged<T: Default>(
        &self,
        world: &World,
        kind: Kind,
        ask: impl FnOnce(Group<'_>) -> T,
    ) -> T {
        let judged = self.judged(world, kind);
        judged.map(|subjects| self.group(world, subjects, ask)).unwrap_or_default()
    }

    /// Hands the judged nodes over in the form that properties take.
    pub(crate) fn group<T>(
        &self,
        world: &World,
        subjects: Subjects,
        ask: impl FnOnce(Group<'_>) -> T,
    ) -> T {
        let profiles = self.profiles(world, subjects).map(|profile| self.profile(profile));
        let nodes: SmallVec<[_; 8]> = profiles.collect();
        ask(Group { nodes: &nodes, can_lead: subjects.can_lead })
    }

    /// True if no node that is up exceeds the environment's bound. Other worlds are left out.
    pub fn is_within_bound(&self, world: &World) -> bool {
        self.environment.bound.as_ref().is_none_or(|bound| {
            self.nodes().all(|node| self.parts.measured(world.node(node)) <= bound.most)
        })
    }

    /// True if the protocol has nothing left to do: no delivery and no time-out is enabled, and no cut is
    /// open. Starts, commands and faults may still be possible, but nothing forces them to happen.
    pub fn is_settled(&self, world: &World) -> bool {
        self.cut(world).is_none() && self.is_quiet(world)
    }

    /// True if no delivery and no time-out is enabled.
    fn is_quiet(&self, world: &World) -> bool {
        if self.is_anything_on_a_link(world) {
            return false;
        }
        // The timers of a node that is not up are gone.
        let fires = |node: NodeId| {
            let mut timeouts = self.parts.timeouts(world.node(node)).iter();
            timeouts.any(|input| self.may_fire(world, node, *input))
        };
        self.budgets(world)[Budget::Timeouts] == 0 || !self.nodes().any(fires)
    }

    /// True if a due timer may fire. With an unlimited budget it must also change something.
    fn may_fire(&self, world: &World, node: NodeId, timeout: Handle) -> bool {
        if self.budgets(world)[Budget::Timeouts] != UNLIMITED {
            return true;
        }
        let step = self.parts.step(world.node(node), timeout);
        let mut next = world.clone();
        self.carry_out(&mut next, node, self.parts.step_at(step), None);
        next != *world
    }

    /// Only nodes that are up have signals on the links to them: an end empties these links, and nothing is
    /// put on them afterwards.
    fn is_anything_on_a_link(&self, world: &World) -> bool {
        world.links(self.environment.size()).iter().any(|link| *link != EMPTY)
    }

    /// The world that follows.
    ///
    /// # Panics
    /// If the action is not enabled in this world.
    pub fn follow(&self, world: &World, enabled: &EnabledOf<P>) -> World {
        let mut next = world.clone();
        self.advance(&mut next, enabled);
        next
    }

    /// Makes the world that follows of a world.
    pub(crate) fn advance(&self, world: &mut World, Enabled { action, step }: &EnabledOf<P>) {
        if let Some(budget) = action.choice.budget() {
            self.spend(world, budget);
        }
        if action.crash_after.is_some() {
            self.spend(world, Budget::Crashes);
        }
        match &action.choice {
            Choice::Deliver { from, to } | Choice::Drop { from, to } => {
                let rest = |link| self.parts.pop(link).map(|(_, rest)| rest);
                self.change_link(world, *from, *to, rest);
            }
            Choice::Duplicate { from, to } => {
                self.change_link(world, *from, *to, |link| self.parts.double(link));
            }
            Choice::Overtake { from, to } => {
                self.change_link(world, *from, *to, |link| self.parts.overtake(link));
            }
            Choice::Crash { node } => {
                let crashed = self.parts.crash(world.node(*node));
                self.end(world, *node, crashed);
            }
            Choice::Cut { side } => self.open_cut(world, *side),
            Choice::Heal => self.set_cut(world, None),
            // The step is the whole consequence of these.
            Choice::Start { .. }
            | Choice::Command { .. }
            | Choice::Timeout { .. }
            | Choice::Restart { .. }
            | Choice::Suspect { .. } => {}
        }
        if let (Some(node), Some(step)) = (action.choice.node(), step) {
            let step = self.parts.step_at(*step);
            self.parts.mark(step, action.crash_after);
            self.carry_out(world, node, step, action.crash_after);
        }
    }

    /// True if an enabled action can be part of a cycle: it costs nothing, adds nothing to a history and ends
    /// nothing. So a run can come back to the world before it.
    pub fn can_recur(&self, world: &World, enabled: &EnabledOf<P>) -> bool {
        // Only time-outs can be unlimited, and a cut that heals has cost one.
        let choice = &enabled.action.choice;
        let is_free = choice.budget().is_none_or(|budget| self.budgets(world)[budget] == UNLIMITED)
            && *choice != Choice::Heal;
        let recurs = |step: Handle| self.parts.step_at(step).recurs;
        is_free && enabled.action.crash_after.is_none() && enabled.step.is_none_or(recurs)
    }

    /// The effects of an enabled action that happen: all effects of the step, or the first k before a crash.
    pub fn effects(&self, Enabled { action, step }: &EnabledOf<P>) -> &[EffectOf<P>] {
        let effects = step.map_or(&[][..], |step| &self.parts.step_at(step).effects);
        &effects[..action.crash_after.unwrap_or(effects.len())]
    }

    /// The input that an enabled choice hands to its node, if any. For a fault of a message, that message.
    pub fn met(&self, world: &World, choice: &ChoiceOf<P>) -> Option<&Input<P>> {
        let input = match choice {
            Choice::Start { node, contact } | Choice::Restart { node, contact } => {
                Some(self.boot(world, *node, *contact))
            }
            Choice::Command { node } => self.parts.command(world.node(*node)),
            Choice::Deliver { from, to }
            | Choice::Drop { from, to }
            | Choice::Duplicate { from, to } => {
                self.parts.signals(world.parts[self.link(*from, *to)]).first().copied()
            }
            Choice::Overtake { from, to } => {
                self.parts.signals(world.parts[self.link(*from, *to)]).get(1).copied()
            }
            Choice::Timeout { node, timer } => self.timeout(world, *node, timer),
            Choice::Suspect { watcher, target } => {
                let monitors = self.parts.monitors(world.node(*watcher)).iter();
                monitors.filter(|watched| watched.peer == *target).map(|it| it.down).next()
            }
            Choice::Crash { .. } | Choice::Cut { .. } | Choice::Heal => None,
        };
        input.map(|input| self.parts.input_at(input))
    }

    /// The input with which a node comes up, for the first time or in a new life.
    fn boot(&self, world: &World, node: NodeId, contact: Option<NodeId>) -> Handle {
        let contact = contact.map(|contact| world.node(contact));
        self.parts.boot(world.node(node), self.environment.storage, contact)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeId> + use<P> {
        (0..self.environment.size()).map(NodeId)
    }

    /// The input of an armed timer.
    fn timeout(&self, world: &World, node: NodeId, timer: &P::Timer) -> Option<Handle> {
        let place = self.node(world, node).timers.iter().position(|armed| armed == timer)?;
        self.parts.timeouts(world.node(node)).get(place).copied()
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

    /// The place of a link among the parts of a world.
    fn link(&self, from: NodeId, to: NodeId) -> usize {
        let size = usize::from(self.environment.size());
        size + usize::from(from.0) * size + usize::from(to.0)
    }
}

impl<Timer> Enabled<Timer> {
    /// The step that its node takes.
    pub(crate) fn step(&self) -> Option<Handle> {
        self.step
    }
}

/// As derived, but for speed: numbers are copied as a block.
impl Clone for World {
    fn clone(&self) -> Self {
        Self { parts: SmallVec::from_slice(&self.parts) }
    }

    fn clone_from(&mut self, other: &Self) {
        self.parts.clear();
        self.parts.extend_from_slice(&other.parts);
    }
}

impl World {
    /// The nodes, in a system of this size.
    pub(crate) fn nodes(&self, size: u16) -> &[Handle] {
        &self.parts[..usize::from(size)]
    }

    /// The links, in a system of this size, by sender and then by receiver.
    pub(crate) fn links(&self, size: u16) -> &[Handle] {
        &self.parts[usize::from(size)..self.parts.len() - 1]
    }

    fn node(&self, node: NodeId) -> Handle {
        self.parts[usize::from(node.0)]
    }
}
