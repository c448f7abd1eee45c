//! The world a protocol runs in: SEMANTICS.md, as far as gms3 needs it (no stable storage, one timer,
//! one command).

use super::machine::{
    Address, Effect, Event, Message, Node, Observation, Payload, Process, Stepped, Timer, Version,
};
use super::machine::{start, step};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

/// The rest of each budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budgets {
    pub starts: u8,
    pub commands: u8,
    pub timeouts: u8,
    pub crashes: u8,
    pub restarts: u8,
    pub drops: u8,
    pub duplicates: u8,
    pub overtakes: u8,
    pub suspicions: u8,
    pub cuts: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    Idle,
    Up(Process),
    Crashed,
    Stopped,
}

/// A signal on the link p→q. `Down` is the one of p and names what was monitored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    Message { from: Address, msg: Message },
    Down(Address),
}

impl Signal {
    fn is_message(&self) -> bool {
        matches!(self, Signal::Message { .. })
    }
}

/// The part without node 0: bit n is set if node n is on it.
pub type Side = u8;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The same in every world of a group.
    pub version: Version,
    pub conditions: Vec<Condition>,
    pub histories: Vec<Vec<Observation>>,
    /// The number of lives that each node has begun.
    pub lives: Vec<u8>,
    /// The link p→q is at p × nodes + q.
    pub links: Vec<VecDeque<Signal>>,
    /// (watcher, target)
    pub monitors: BTreeSet<(Node, Address)>,
    pub timers: BTreeSet<(Node, Timer)>,
    /// The cut that is open.
    pub cut: Option<Side>,
    /// The number of commands that each node has issued.
    pub issued: Vec<u8>,
    pub budgets: Budgets,
}

/// Why a node takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Start { contact: Node },
    Command,
    Deliver { from: Node },
    Timeout(Timer),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The step is computed once and shared by all its crashing variants.
    Step {
        node: Node,
        cause: Cause,
        stepped: Rc<Stepped>,
        crash_after: Option<usize>,
    },
    Crash(Node),
    Restart {
        node: Node,
        contact: Node,
    },
    Drop {
        from: Node,
        to: Node,
    },
    Duplicate {
        from: Node,
        to: Node,
    },
    Overtake {
        from: Node,
        to: Node,
    },
    Suspect {
        watcher: Node,
        target: Address,
    },
    Cut(Side),
    Heal,
}

impl Action {
    /// A Deliver or Timeout: what a settled world has none of. Starts and commands are what the
    /// surroundings may do; a step that is cut short is only there where it is whole too.
    pub(crate) fn is_left_to_do(&self) -> bool {
        matches!(self, Action::Step { cause: Cause::Deliver { .. } | Cause::Timeout(_), .. })
    }
}

impl World {
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        0..self.conditions.len() as Node
    }

    pub(crate) fn process(&self, node: Node) -> Option<&Process> {
        match &self.conditions[node as usize] {
            Condition::Up(process) => Some(process),
            Condition::Idle | Condition::Crashed | Condition::Stopped => None,
        }
    }

    fn up(&self, node: Node) -> bool {
        self.process(node).is_some()
    }

    /// The address of the present life.
    pub(crate) fn address(&self, node: Node) -> Address {
        Address { node, life: self.lives[node as usize].saturating_sub(1) }
    }

    /// "An address whose life is over is like a node that is not Up."
    fn alive(&self, whom: Address) -> bool {
        self.up(whom.node) && self.address(whom.node) == whom
    }

    /// Are the two on different sides of an open cut?
    pub(crate) fn separated(&self, one: Node, other: Node) -> bool {
        self.cut.is_some_and(|side| across(side, one, other))
    }

    /// Does what is sent arrive on the link, and what is monitored get registered?
    fn reaches(&self, me: Node, whom: Address) -> bool {
        self.alive(whom) && !self.separated(me, whom.node)
    }

    fn index(&self, from: Node, to: Node) -> usize {
        from as usize * self.conditions.len() + to as usize
    }

    fn link(&mut self, from: Node, to: Node) -> &mut VecDeque<Signal> {
        let index = self.index(from, to);
        &mut self.links[index]
    }

    fn deliverable(&self, from: Node, to: Node) -> bool {
        self.up(to) && !self.links[self.index(from, to)].is_empty()
    }

    pub(crate) fn some_deliverable(&self) -> bool {
        let to_any = |from| self.nodes().any(|to| self.deliverable(from, to));
        self.nodes().any(to_any)
    }

    /// The result of a step. The world is not changed.
    fn outcome(&self, node: Node, cause: Cause) -> Stepped {
        let event = match cause {
            Cause::Start { contact } => return self.start(node, contact),
            Cause::Command => Event::Command(Payload(node, self.issued[node as usize])),
            Cause::Timeout(timer) => Event::Timeout(timer),
            Cause::Deliver { from } => match self.links[self.index(from, node)][0].clone() {
                Signal::Down(whom) => Event::Down(whom),
                Signal::Message { from, msg } => Event::Message { from, msg },
            },
        };
        self.react(node, event)
    }

    /// Every start of a node begins a new life of it.
    fn start(&self, node: Node, contact: Node) -> Stepped {
        start(Address { node, life: self.lives[node as usize] }, self.address(contact))
    }

    fn react(&self, node: Node, event: Event) -> Stepped {
        let process = self.process(node).expect("only Up nodes act").clone();
        step(self.version, self.address(node), process, event)
    }

    /// Uses up what the step is caused by: budget, signal, armed timer.
    fn spend(&mut self, node: Node, cause: Cause) {
        match cause {
            Cause::Start { .. } => {
                self.budgets.starts -= 1;
                self.lives[node as usize] += 1;
            }
            Cause::Command => {
                self.budgets.commands -= 1;
                self.issued[node as usize] += 1;
            }
            Cause::Deliver { from } => {
                self.link(from, node).pop_front();
            }
            Cause::Timeout(timer) => {
                self.budgets.timeouts -= 1;
                self.timers.remove(&(node, timer));
            }
        }
    }

    fn carry_out(&mut self, me: Node, effect: Effect) {
        match effect {
            Effect::Send(to, msg) => {
                if self.reaches(me, to) {
                    let from = self.address(me);
                    self.link(me, to.node).push_back(Signal::Message { from, msg });
                }
            }
            Effect::Monitor(target) => {
                if self.monitors.contains(&(me, target)) {
                    // Registered already.
                } else if self.reaches(me, target) {
                    self.monitors.insert((me, target));
                } else {
                    self.link(target.node, me).push_back(Signal::Down(target));
                }
            }
            Effect::Demonitor(target) => {
                self.monitors.remove(&(me, target));
                let forgotten = Signal::Down(target);
                self.link(target.node, me).retain(|signal| *signal != forgotten);
            }
            Effect::SetTimer(timer) => {
                self.timers.insert((me, timer));
            }
            Effect::CancelTimer(timer) => {
                self.timers.remove(&(me, timer));
            }
            Effect::Observe(what) => self.histories[me as usize].push(what),
            Effect::Stop => self.end(me, Condition::Stopped),
        }
    }

    /// A crash or a stop. Links from the node keep what is on them.
    fn end(&mut self, node: Node, condition: Condition) {
        self.conditions[node as usize] = condition;
        self.timers.retain(|&(owner, _)| owner != node);
        self.monitors.retain(|&(watcher, _)| watcher != node);
        for other in self.nodes() {
            self.link(other, node).clear();
        }
        self.fire(|_, target| target.node == node);
    }

    /// Consumes the registrations of these (watcher, target) and appends their Downs.
    fn fire(&mut self, these: impl Fn(Node, Address) -> bool) {
        let fired: Vec<_> = self.monitors.iter().copied().filter(|&(w, t)| these(w, t)).collect();
        for (watcher, target) in fired {
            self.monitors.remove(&(watcher, target));
            self.link(target.node, watcher).push_back(Signal::Down(target));
        }
    }

    fn crash(&mut self, node: Node) {
        self.budgets.crashes -= 1;
        self.end(node, Condition::Crashed);
    }

    /// Comes up with nothing, and joins anew. It has crashed: nothing is left on the links to it.
    fn restart(&mut self, node: Node, contact: Node) {
        let stepped = self.start(node, contact);
        self.budgets.restarts -= 1;
        self.lives[node as usize] += 1;
        self.take(node, stepped);
    }

    /// The registration is consumed and Down is handed over now. What is on the links stays there.
    fn suspect(&mut self, watcher: Node, target: Address) {
        let stepped = self.react(watcher, Event::Down(target));
        self.budgets.suspicions -= 1;
        self.monitors.remove(&(watcher, target));
        self.take(watcher, stepped);
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
        self.fire(|watcher, target| across(side, watcher, target.node));
    }

    /// With nobody up there is no start.
    pub(crate) fn add_starts(&self, node: Node, actions: &mut Vec<Action>) {
        if self.budgets.starts == 0 {
            return;
        }
        for contact in self.nodes().filter(|&contact| self.up(contact)) {
            self.add(node, Cause::Start { contact }, actions);
        }
    }

    /// A contact as for a start.
    pub(crate) fn add_restarts(&self, node: Node, actions: &mut Vec<Action>) {
        if self.budgets.restarts == 0 {
            return;
        }
        let contacts = self.nodes().filter(|&contact| self.up(contact));
        actions.extend(contacts.map(|contact| Action::Restart { node, contact }));
    }

    /// The actions of a node that is up.
    pub(crate) fn add_steps(&self, node: Node, timeouts: bool, actions: &mut Vec<Action>) {
        if self.budgets.commands > 0 {
            self.add(node, Cause::Command, actions);
        }
        for from in self.nodes().filter(|&from| self.deliverable(from, node)) {
            self.add(node, Cause::Deliver { from }, actions);
        }
        if timeouts && self.timers.contains(&(node, Timer::Join)) {
            self.add(node, Cause::Timeout(Timer::Join), actions);
        }
        if self.budgets.crashes > 0 {
            actions.push(Action::Crash(node));
        }
    }

    /// The faults of messages, monitors and the network.
    pub(crate) fn add_faults(&self, actions: &mut Vec<Action>) {
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
    fn sides(&self) -> impl Iterator<Item = Side> + use<> {
        let all: Side = (1 << self.conditions.len()) - 1;
        (2..=all).step_by(2)
    }

    /// The step, and the step cut short by a crash after each of its effects but the last.
    fn add(&self, node: Node, cause: Cause, actions: &mut Vec<Action>) {
        let stepped = Rc::new(self.outcome(node, cause));
        let effects = stepped.1.len();
        let step = |stepped, crash_after| Action::Step { node, cause, stepped, crash_after };
        if self.budgets.crashes > 0 {
            actions.extend((1..effects).map(|k| step(Rc::clone(&stepped), Some(k))));
        }
        // Last, so that it owns what it shared.
        actions.push(step(stepped, None));
    }

    pub(crate) fn after(&self, action: Action) -> World {
        let mut next = self.clone();
        match action {
            Action::Step { node, cause, stepped, crash_after: None } => {
                next.spend(node, cause);
                next.take(node, Rc::unwrap_or_clone(stepped));
            }
            Action::Step { node, cause, stepped, crash_after: Some(k) } => {
                next.spend(node, cause);
                next.take_first(node, &stepped, k);
            }
            Action::Crash(node) => next.crash(node),
            Action::Restart { node, contact } => next.restart(node, contact),
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
            Action::Suspect { watcher, target } => next.suspect(watcher, target),
            Action::Cut(side) => next.open_cut(side),
            Action::Heal => next.cut = None,
        }
        next
    }

    /// Takes a step whole.
    fn take(&mut self, node: Node, (process, effects): Stepped) {
        self.conditions[node as usize] = Condition::Up(process);
        for effect in effects {
            self.carry_out(node, effect);
        }
    }

    /// Takes the first k effects of a step, and crashes.
    fn take_first(&mut self, node: Node, (process, effects): &Stepped, k: usize) {
        self.conditions[node as usize] = Condition::Up(process.clone());
        for effect in &effects[..k] {
            self.carry_out(node, effect.clone());
        }
        self.crash(node);
    }
}

fn across(side: Side, one: Node, other: Node) -> bool {
    (side >> one ^ side >> other) & 1 == 1
}
