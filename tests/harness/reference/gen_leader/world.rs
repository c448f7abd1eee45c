//! The world a protocol runs in: SEMANTICS.md, as far as the two elections need it
//! (every fault; late timers; no commands).

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;

pub type Node = u8;

/// A node in one life of it (Erlang: a process id).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub node: Node,
    pub life: u8,
}

/// The destination of `Send` and `Monitor`: the present process of a node, or one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    Name(Node),
    Process(Address),
}

impl Target {
    pub fn node(self) -> Node {
        match self {
            Target::Name(node) => node,
            Target::Process(address) => address.node,
        }
    }
}

/// The lists of candidates and workers, the same everywhere: candidates come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lists {
    pub candidates: u8,
    pub workers: u8,
}

impl Lists {
    pub fn len(self) -> u8 {
        self.candidates + self.workers
    }

    pub fn candidates(self) -> std::ops::Range<Node> {
        0..self.candidates
    }

    pub fn workers(self) -> std::ops::Range<Node> {
        self.candidates..self.len()
    }

    pub fn is_candidate(self, node: Node) -> bool {
        node < self.candidates
    }
}

/// The events of a running process. A start has no state yet.
#[derive(Clone, Debug)]
pub enum Event<M> {
    Message { from: Address, msg: M },
    Down(Node),
    Tau,
}

#[derive(Clone, Debug)]
pub enum Effect<M, O> {
    Send(Target, M),
    Monitor(Target),
    SetTau,
    Persist(u8),
    Observe(O),
    Stop,
}

/// The next state and the effects, in order. After a `Stop` the state is of no interest.
pub type Stepped<P> =
    (<P as Protocol>::Process, Vec<Effect<<P as Protocol>::Message, <P as Protocol>::Observation>>);

/// A value that can be part of a world.
pub trait Value: Clone + Debug + Eq + Hash {}
impl<T: Clone + Debug + Eq + Hash> Value for T {}

pub trait Protocol: Value {
    type Process: Value;
    type Message: Value;
    type Observation: Value;

    fn start(lists: Lists, me: Address, stable: Option<u8>) -> Stepped<Self>;
    fn step(
        lists: Lists,
        me: Address,
        own: Self::Process,
        event: Event<Self::Message>,
    ) -> Stepped<Self>;

    /// The measure that a bound limits.
    fn counter(own: &Self::Process) -> u8;
    fn leads(own: &Self::Process) -> bool;
    /// The leader it recognises, if it is a surrendered or a worker.
    fn follows(own: &Self::Process) -> Option<Address>;
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition<S> {
    Idle,
    Up(S),
    Crashed,
    Stopped,
}

/// A signal on the link p→q. `Down` is the one of p and names what was monitored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Signal<M> {
    Message { from: Address, msg: M },
    Down(Target),
}

impl<M> Signal<M> {
    fn is_message(&self) -> bool {
        matches!(self, Signal::Message { .. })
    }
}

/// The rest of each budget. `timeouts: None` is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budgets {
    pub starts: u8,
    pub crashes: u8,
    pub restarts: u8,
    pub timeouts: Option<u8>,
    pub drops: u8,
    pub duplicates: u8,
    pub overtakes: u8,
    pub suspicions: u8,
    pub cuts: u8,
}

/// The part without node 0: bit n is set if node n is on it.
pub type Side = u8;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World<P: Protocol> {
    pub conditions: Vec<Condition<P::Process>>,
    pub histories: Vec<Vec<P::Observation>>,
    pub stable: Vec<Option<u8>>,
    /// The number of lives that each node has begun.
    pub lives: Vec<u8>,
    /// The link p→q is at p × nodes + q.
    pub links: Vec<VecDeque<Signal<P::Message>>>,
    /// (watcher, target)
    pub monitors: BTreeSet<(Node, Target)>,
    /// The nodes at which tau is armed.
    pub timers: BTreeSet<Node>,
    /// The cut that is open.
    pub cut: Option<Side>,
    pub budgets: Budgets,
}

/// Why a node takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Start,
    Deliver { from: Node },
    Timeout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Step { node: Node, cause: Cause, crash_after: Option<usize> },
    Crash(Node),
    Restart(Node),
    Drop { from: Node, to: Node },
    Duplicate { from: Node, to: Node },
    Overtake { from: Node, to: Node },
    Suspect { watcher: Node, target: Target },
    Cut(Side),
    Heal,
}

impl Action {
    /// A Deliver or Timeout: what a settled world has none of. Starts are what the surroundings may do;
    /// a step that is cut short is only there where it is whole too.
    pub fn is_left_to_do(self) -> bool {
        matches!(self, Action::Step { cause: Cause::Deliver { .. } | Cause::Timeout, .. })
    }
}

impl<P: Protocol> World<P> {
    pub fn idle(nodes: usize, budgets: Budgets) -> World<P> {
        World {
            conditions: vec![Condition::Idle; nodes],
            histories: vec![Vec::new(); nodes],
            stable: vec![None; nodes],
            lives: vec![0; nodes],
            links: vec![VecDeque::new(); nodes * nodes],
            monitors: BTreeSet::new(),
            timers: BTreeSet::new(),
            cut: None,
            budgets,
        }
    }

    pub fn nodes(&self) -> std::ops::Range<Node> {
        0..self.conditions.len() as Node
    }

    pub fn up(&self, node: Node) -> Option<&P::Process> {
        match &self.conditions[node as usize] {
            Condition::Up(process) => Some(process),
            Condition::Idle | Condition::Crashed | Condition::Stopped => None,
        }
    }

    /// The processes that are up, with their addresses.
    pub fn processes(&self) -> impl Iterator<Item = (Address, &P::Process)> {
        self.nodes().filter_map(|node| Some((self.address(node), self.up(node)?)))
    }

    /// The address of the present life.
    pub fn address(&self, node: Node) -> Address {
        Address { node, life: self.lives[node as usize].saturating_sub(1) }
    }

    /// Is somebody there? An address whose life is over is like a node that is not up.
    fn lives(&self, target: Target) -> bool {
        let present = match target {
            Target::Name(_) => true,
            Target::Process(address) => address == self.address(address.node),
        };
        present && self.up(target.node()).is_some()
    }

    /// Are the two on different sides of an open cut?
    pub fn separated(&self, one: Node, other: Node) -> bool {
        self.cut.is_some_and(|side| across(side, one, other))
    }

    /// Does what is sent arrive on the link, and what is monitored get registered?
    fn reaches(&self, me: Node, target: Target) -> bool {
        self.lives(target) && !self.separated(me, target.node())
    }

    fn index(&self, from: Node, to: Node) -> usize {
        from as usize * self.conditions.len() + to as usize
    }

    pub fn link(&mut self, from: Node, to: Node) -> &mut VecDeque<Signal<P::Message>> {
        let index = self.index(from, to);
        &mut self.links[index]
    }

    pub fn head(&self, from: Node, to: Node) -> Option<&Signal<P::Message>> {
        self.links[self.index(from, to)].front()
    }

    fn deliverable(&self, from: Node, to: Node) -> bool {
        self.up(to).is_some() && self.head(from, to).is_some()
    }

    fn some_deliverable(&self) -> bool {
        self.nodes().any(|from| self.nodes().any(|to| self.deliverable(from, to)))
    }

    /// Every action that is enabled here.
    pub fn actions(&self, lists: Lists) -> Vec<Action> {
        let mut actions = Vec::new();
        let hold_timers = self.some_deliverable();
        for node in self.nodes() {
            match &self.conditions[node as usize] {
                Condition::Idle => {
                    if self.budgets.starts > 0 {
                        self.add(lists, node, Cause::Start, &mut actions);
                    }
                }
                Condition::Up(_) => self.add_steps(lists, node, hold_timers, &mut actions),
                Condition::Crashed => {
                    if self.budgets.restarts > 0 {
                        actions.push(Action::Restart(node));
                    }
                }
                Condition::Stopped => {}
            }
        }
        self.add_faults(&mut actions);
        actions
    }

    /// The actions of a node that is up.
    fn add_steps(&self, lists: Lists, node: Node, hold_timers: bool, actions: &mut Vec<Action>) {
        for from in self.nodes().filter(|&from| self.deliverable(from, node)) {
            self.add(lists, node, Cause::Deliver { from }, actions);
        }
        if !hold_timers && self.timers.contains(&node) && self.may_time_out(lists, node) {
            self.add(lists, node, Cause::Timeout, actions);
        }
        if self.budgets.crashes > 0 {
            actions.push(Action::Crash(node));
        }
    }

    /// The faults of messages, monitors and the network.
    fn add_faults(&self, actions: &mut Vec<Action>) {
        for from in self.nodes() {
            for to in self.nodes() {
                self.add_link_faults(from, to, actions);
            }
        }
        if self.budgets.suspicions > 0 {
            let suspect = |&(watcher, target)| Action::Suspect { watcher, target };
            actions.extend(self.monitors.iter().map(suspect));
        }
        match self.cut {
            Some(_) => actions.push(Action::Heal),
            None if self.budgets.cuts > 0 => actions.extend(self.sides().map(Action::Cut)),
            None => {}
        }
    }

    fn add_link_faults(&self, from: Node, to: Node, actions: &mut Vec<Action>) {
        let link = &self.links[self.index(from, to)];
        let messages = link.iter().take(2).take_while(|signal| signal.is_message()).count();
        if messages >= 1 && self.budgets.drops > 0 {
            actions.push(Action::Drop { from, to });
        }
        if messages >= 1 && self.budgets.duplicates > 0 {
            actions.push(Action::Duplicate { from, to });
        }
        if messages == 2 && self.budgets.overtakes > 0 {
            actions.push(Action::Overtake { from, to });
        }
    }

    /// Every set of nodes that is not empty and does not hold node 0.
    fn sides(&self) -> impl Iterator<Item = Side> + use<P> {
        let all: Side = (1 << self.conditions.len()) - 1;
        (2..=all).step_by(2)
    }

    /// With no limit a timeout that changes nothing does not count as enabled.
    fn may_time_out(&self, lists: Lists, node: Node) -> bool {
        match self.budgets.timeouts {
            Some(left) => left > 0,
            None => {
                let fires = Action::Step { node, cause: Cause::Timeout, crash_after: None };
                self.after(lists, fires, false) != *self
            }
        }
    }

    /// The step, and the step cut short by a crash after each of its effects but the last.
    fn add(&self, lists: Lists, node: Node, cause: Cause, actions: &mut Vec<Action>) {
        actions.push(Action::Step { node, cause, crash_after: None });
        if self.budgets.crashes > 0 {
            let effects = self.clone().outcome(lists, node, cause).1.len();
            let cut_short = |k| Action::Step { node, cause, crash_after: Some(k) };
            actions.extend((1..effects).map(cut_short));
        }
    }

    /// The world after the action. `lost`: a restart gets no stable storage.
    pub fn after(&self, lists: Lists, action: Action, lost: bool) -> World<P> {
        let mut next = self.clone();
        match action {
            Action::Crash(node) => next.crash(node),
            Action::Restart(node) => {
                next.budgets.restarts -= 1;
                let stable = if lost { None } else { next.stable[node as usize] };
                let stepped = next.begin_life(lists, node, stable);
                next.take(node, stepped, None);
            }
            Action::Step { node, cause, crash_after } => {
                let stepped = next.outcome(lists, node, cause);
                next.take(node, stepped, crash_after);
            }
            Action::Drop { from, to } => {
                next.budgets.drops -= 1;
                next.link(from, to).pop_front();
            }
            Action::Duplicate { from, to } => {
                next.budgets.duplicates -= 1;
                let head = next.link(from, to)[0].clone();
                next.link(from, to).push_back(head);
            }
            Action::Overtake { from, to } => {
                next.budgets.overtakes -= 1;
                next.link(from, to).swap(0, 1);
            }
            Action::Suspect { watcher, target } => next.suspect(lists, watcher, target),
            Action::Cut(side) => next.open_cut(side),
            Action::Heal => next.cut = None,
        }
        next
    }

    fn begin_life(&mut self, lists: Lists, node: Node, stable: Option<u8>) -> Stepped<P> {
        self.lives[node as usize] += 1;
        P::start(lists, self.address(node), stable)
    }

    /// Uses up what the step is caused by (budget, signal, armed timer) and computes the step.
    fn outcome(&mut self, lists: Lists, node: Node, cause: Cause) -> Stepped<P> {
        let event = match cause {
            Cause::Start => {
                self.budgets.starts -= 1;
                return self.begin_life(lists, node, None);
            }
            Cause::Deliver { from } => {
                match self.link(from, node).pop_front().expect("the link is not empty") {
                    Signal::Message { from, msg } => Event::Message { from, msg },
                    Signal::Down(target) => Event::Down(target.node()),
                }
            }
            Cause::Timeout => {
                self.budgets.timeouts = self.budgets.timeouts.map(|left| left - 1);
                self.timers.remove(&node);
                Event::Tau
            }
        };
        self.react(lists, node, event)
    }

    fn react(&self, lists: Lists, node: Node, event: Event<P::Message>) -> Stepped<P> {
        let process = self.up(node).expect("only Up nodes act").clone();
        P::step(lists, self.address(node), process, event)
    }

    /// The registration is consumed and Down is handed over now. What is on the links stays there.
    fn suspect(&mut self, lists: Lists, watcher: Node, target: Target) {
        self.budgets.suspicions -= 1;
        self.monitors.remove(&(watcher, target));
        let stepped = self.react(lists, watcher, Event::Down(target.node()));
        self.take(watcher, stepped, None);
    }

    /// Links across lose their messages and keep their Downs. Then monitors across fire as if the other
    /// end had crashed.
    fn open_cut(&mut self, side: Side) {
        self.budgets.cuts -= 1;
        self.cut = Some(side);
        for from in self.nodes() {
            for to in self.nodes().filter(|&to| across(side, from, to)) {
                self.link(from, to).retain(|signal| !signal.is_message());
            }
        }
        self.fire(|watcher, target| across(side, watcher, target));
    }

    /// Takes a step whole, or its first k effects and then a crash.
    fn take(&mut self, node: Node, (process, effects): Stepped<P>, crash_after: Option<usize>) {
        self.conditions[node as usize] = Condition::Up(process);
        let whole = effects.len();
        for effect in effects.into_iter().take(crash_after.unwrap_or(whole)) {
            self.carry_out(node, effect);
        }
        if crash_after.is_some() {
            self.crash(node);
        }
    }

    fn carry_out(&mut self, me: Node, effect: Effect<P::Message, P::Observation>) {
        match effect {
            Effect::Send(to, msg) => {
                if self.reaches(me, to) {
                    let from = self.address(me);
                    self.link(me, to.node()).push_back(Signal::Message { from, msg });
                }
            }
            Effect::Monitor(target) => {
                if self.monitors.contains(&(me, target)) {
                    // Registered already.
                } else if self.reaches(me, target) {
                    self.monitors.insert((me, target));
                } else {
                    self.link(target.node(), me).push_back(Signal::Down(target));
                }
            }
            Effect::SetTau => {
                self.timers.insert(me);
            }
            Effect::Persist(value) => self.stable[me as usize] = Some(value),
            Effect::Observe(what) => self.histories[me as usize].push(what),
            Effect::Stop => self.end(me, Condition::Stopped),
        }
    }

    fn crash(&mut self, node: Node) {
        self.budgets.crashes -= 1;
        self.end(node, Condition::Crashed);
    }

    /// A crash or a stop. Links from the node keep what is on them.
    fn end(&mut self, node: Node, condition: Condition<P::Process>) {
        self.conditions[node as usize] = condition;
        self.timers.remove(&node);
        self.monitors.retain(|&(watcher, _)| watcher != node);
        for other in self.nodes() {
            self.link(other, node).clear();
        }
        self.fire(|_, target| target == node);
    }

    /// Consumes the registrations of these (watcher, target) and appends their Downs: where a watcher
    /// has two for one node, that by name first.
    fn fire(&mut self, these: impl Fn(Node, Node) -> bool) {
        let fires = |&(watcher, target): &(Node, Target)| these(watcher, target.node());
        let fired: Vec<_> = self.monitors.iter().copied().filter(fires).collect();
        for (watcher, target) in fired {
            self.monitors.remove(&(watcher, target));
            self.link(target.node(), watcher).push_back(Signal::Down(target));
        }
    }
}

fn across(side: Side, one: Node, other: Node) -> bool {
    (side >> one ^ side >> other) & 1 == 1
}
