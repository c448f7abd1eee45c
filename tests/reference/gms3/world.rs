//! The world a protocol runs in: SEMANTICS.md, as far as gms3 without restarts needs it.

use super::machine::{Effect, Event, Message, Node, Observation, Payload, Process, Stepped, Timer};
use super::machine::{start, step};
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

/// What is still left of each budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budgets {
    pub starts: u8,
    pub commands: u8,
    pub timeouts: u8,
    pub crashes: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    Idle,
    Up(Process),
    Crashed,
    Stopped,
}

/// A signal on the link p→q. `Down` is the one of p.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    Message(Message),
    Down,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub conditions: Vec<Condition>,
    pub histories: Vec<Vec<Observation>>,
    /// The link p→q is at p × nodes + q.
    pub links: Vec<VecDeque<Signal>>,
    /// (watcher, target)
    pub monitors: BTreeSet<(Node, Node)>,
    pub timers: BTreeSet<(Node, Timer)>,
    /// How many commands each node has issued.
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
}

impl World {
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        0..self.conditions.len() as Node
    }

    fn up(&self, node: Node) -> bool {
        matches!(self.conditions[node as usize], Condition::Up(_))
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

    /// What the step does. The world is not touched.
    fn outcome(&self, node: Node, cause: Cause) -> Stepped {
        let event = match cause {
            Cause::Start { contact } => return start(node, contact),
            Cause::Command => Event::Command(Payload(node, self.issued[node as usize])),
            Cause::Timeout(timer) => Event::Timeout(timer),
            Cause::Deliver { from } => match &self.links[self.index(from, node)][0] {
                Signal::Down => Event::Down(from),
                Signal::Message(msg) => Event::Message { from, msg: msg.clone() },
            },
        };
        let Condition::Up(process) = &self.conditions[node as usize] else {
            unreachable!("only Up nodes act");
        };
        step(node, process.clone(), event)
    }

    /// Uses up what the step is caused by: budget, signal, armed timer.
    fn spend(&mut self, node: Node, cause: Cause) {
        match cause {
            Cause::Start { .. } => self.budgets.starts -= 1,
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
                if self.up(to) {
                    self.link(me, to).push_back(Signal::Message(msg));
                }
            }
            Effect::Monitor(target) => {
                if self.up(target) {
                    self.monitors.insert((me, target));
                } else if !self.monitors.contains(&(me, target)) {
                    self.link(target, me).push_back(Signal::Down);
                }
            }
            Effect::Demonitor(target) => {
                self.monitors.remove(&(me, target));
                self.link(target, me).retain(|signal| *signal != Signal::Down);
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
            if self.monitors.remove(&(other, node)) {
                self.link(node, other).push_back(Signal::Down);
            }
        }
    }

    fn crash(&mut self, node: Node) {
        self.budgets.crashes -= 1;
        self.end(node, Condition::Crashed);
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

    /// What a node that is up can do next.
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
            Action::Crash(node) => next.crash(node),
            Action::Step { node, cause, stepped, crash_after } => {
                next.spend(node, cause);
                next.take(node, stepped, crash_after);
            }
        }
        next
    }

    /// Takes a step whole, or its first k effects and then a crash.
    fn take(&mut self, node: Node, stepped: Rc<Stepped>, crash_after: Option<usize>) {
        let up = &mut self.conditions[node as usize];
        if let Some(k) = crash_after {
            *up = Condition::Up(stepped.0.clone());
            for effect in &stepped.1[..k] {
                self.carry_out(node, effect.clone());
            }
            self.crash(node);
        } else {
            let (process, effects) = Rc::unwrap_or_clone(stepped);
            *up = Condition::Up(process);
            for effect in effects {
                self.carry_out(node, effect);
            }
        }
    }
}
