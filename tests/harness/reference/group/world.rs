//! The world that processes live in: SEMANTICS.md.

use super::{
    part::{Address, Effect, Envelope, Event, Node, Observation, Peer, Stable, State, Token},
    process::{Boot, Stepped, start, step},
};
use std::{
    collections::{BTreeSet, VecDeque},
    rc::Rc,
};

/// The rest of each budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budgets {
    pub starts: u8,
    pub commands: u8,
    /// None: no limit.
    pub timeouts: Option<u8>,
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
    Up(Box<State>),
    Crashed,
}

/// A signal on the link p→q. `Down` is the one of p and names what was monitored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    Message { from: Address, message: Envelope },
    Down(Peer),
}

impl Signal {
    fn is_message(&self) -> bool {
        matches!(self, Signal::Message { .. })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub condition: Condition,
    pub history: Vec<Observation>,
    /// The number of lives that the node has begun.
    pub lives: u8,
    pub stable: Option<Stable>,
    /// The number of commands that the node has issued.
    pub issued: u8,
    /// The tick is armed.
    pub timer: bool,
    pub monitors: BTreeSet<Peer>,
}

/// The part without node 0: bit n is set if node n is on it.
pub type Side = u8;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The same in every world of a group: nothing survives a crash.
    pub lost: bool,
    pub places: Vec<Rc<Place>>,
    /// The link p→q is at p × nodes + q.
    pub links: Vec<VecDeque<Signal>>,
    /// The cut that is open.
    pub cut: Option<Side>,
    pub budgets: Budgets,
}

/// Why a node takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Start { contact: Option<Node> },
    Command,
    Deliver { from: Node },
    Timeout,
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
        contact: Option<Node>,
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
        target: Peer,
    },
    Cut(Side),
    Heal,
}

impl Action {
    /// A Deliver or Timeout: what a settled world has none of.
    pub fn is_left_to_do(&self) -> bool {
        matches!(self, Action::Step { cause: Cause::Deliver { .. } | Cause::Timeout, .. })
    }
}

impl Place {
    pub fn idle() -> Place {
        Place {
            condition: Condition::Idle,
            history: vec![],
            lives: 0,
            stable: None,
            issued: 0,
            timer: false,
            monitors: BTreeSet::new(),
        }
    }
}

impl World {
    fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        (0..self.size()).map(Node)
    }

    fn size(&self) -> u8 {
        self.places.len() as u8
    }

    fn place(&self, node: Node) -> &Place {
        &self.places[node.0 as usize]
    }

    fn place_mut(&mut self, node: Node) -> &mut Place {
        Rc::make_mut(&mut self.places[node.0 as usize])
    }

    fn state(&self, node: Node) -> Option<&State> {
        match &self.place(node).condition {
            Condition::Up(state) => Some(state),
            Condition::Idle | Condition::Crashed => None,
        }
    }

    fn is_up(&self, node: Node) -> bool {
        self.state(node).is_some()
    }

    /// The address of the present life.
    fn address(&self, node: Node) -> Address {
        Address { node, life: self.place(node).lives.saturating_sub(1) }
    }

    fn is_apart(&self, one: Node, other: Node) -> bool {
        self.cut.is_some_and(|side| across(side, one, other))
    }

    /// "An address whose life is over is like a node that is not Up." A name means whoever lives there now.
    fn reaches(&self, me: Node, whom: Peer) -> bool {
        let lives = match whom {
            Peer::Name(_) => true,
            Peer::Process(address) => self.address(address.node) == address,
        };
        lives && self.is_up(whom.node()) && !self.is_apart(me, whom.node())
    }

    fn index(&self, from: Node, to: Node) -> usize {
        from.0 as usize * self.places.len() + to.0 as usize
    }

    fn link(&mut self, from: Node, to: Node) -> &mut VecDeque<Signal> {
        let index = self.index(from, to);
        &mut self.links[index]
    }

    fn is_deliverable(&self, from: Node, to: Node) -> bool {
        self.is_up(to) && !self.links[self.index(from, to)].is_empty()
    }

    /// The result of a step. The world is not changed.
    fn outcome(&self, node: Node, cause: Cause) -> Stepped {
        let issued = self.place(node).issued;
        let event = match cause {
            Cause::Start { contact } => return self.start(node, contact),
            Cause::Command => Event::Command(issued, Token(node, issued)),
            Cause::Timeout => Event::Timeout,
            Cause::Deliver { from } => match self.links[self.index(from, node)][0].clone() {
                Signal::Down(whom) => Event::Down(whom),
                Signal::Message { from, message } => Event::Message { from, message },
            },
        };
        self.react(node, event)
    }

    fn start(&self, node: Node, contact: Option<Node>) -> Stepped {
        let boot = Boot {
            me: Address { node, life: self.place(node).lives },
            stable: self.kept(node),
            contact: contact.map(|contact| self.address(contact)),
        };
        start(self.size(), boot)
    }

    /// What a restarted node finds in its storage.
    fn kept(&self, node: Node) -> Option<Stable> {
        self.place(node).stable.clone().filter(|_| !self.lost)
    }

    fn react(&self, node: Node, event: Event) -> Stepped {
        let state = self.state(node).expect("only Up nodes act");
        step(self.size(), state.clone(), event)
    }

    /// Uses up what the step is caused by: budget, signal, armed timer.
    fn spend(&mut self, node: Node, cause: Cause) {
        match cause {
            Cause::Start { .. } => {
                self.budgets.starts -= 1;
                self.place_mut(node).lives += 1;
            }
            Cause::Command => {
                self.budgets.commands -= 1;
                self.place_mut(node).issued += 1;
            }
            Cause::Deliver { from } => {
                self.link(from, node).pop_front();
            }
            Cause::Timeout => {
                if let Some(timeouts) = &mut self.budgets.timeouts {
                    *timeouts -= 1;
                }
                self.place_mut(node).timer = false;
            }
        }
    }

    fn carry_out(&mut self, me: Node, effect: Effect) {
        match effect {
            Effect::Send { to, message } => {
                if self.reaches(me, Peer::Name(to)) {
                    let from = self.address(me);
                    self.link(me, to).push_back(Signal::Message { from, message });
                }
            }
            Effect::Monitor(target) => {
                if self.place(me).monitors.contains(&target) {
                    // Registered already.
                } else if self.reaches(me, target) {
                    self.place_mut(me).monitors.insert(target);
                } else {
                    self.link(target.node(), me).push_back(Signal::Down(target));
                }
            }
            Effect::Demonitor(target) => {
                self.place_mut(me).monitors.remove(&target);
                let forgotten = Signal::Down(target);
                self.link(target.node(), me).retain(|signal| *signal != forgotten);
            }
            Effect::SetTimer => self.place_mut(me).timer = true,
            Effect::Persist(stable) => self.place_mut(me).stable = Some(stable),
            Effect::Observe(what) => self.place_mut(me).history.push(what),
        }
    }

    /// Links from the node keep what is on them.
    fn crash(&mut self, node: Node) {
        self.budgets.crashes -= 1;
        let place = self.place_mut(node);
        place.condition = Condition::Crashed;
        place.timer = false;
        place.monitors.clear();
        for other in self.nodes() {
            self.link(other, node).clear();
        }
        self.fire(|_, target| target == node);
    }

    /// Consumes the registrations of these (watcher, target) and appends their Downs.
    fn fire(&mut self, these: impl Fn(Node, Node) -> bool) {
        for watcher in self.nodes() {
            for target in self.place(watcher).monitors.clone() {
                if these(watcher, target.node()) {
                    self.place_mut(watcher).monitors.remove(&target);
                    self.link(target.node(), watcher).push_back(Signal::Down(target));
                }
            }
        }
    }

    fn restart(&mut self, node: Node, contact: Option<Node>) {
        let stepped = self.start(node, contact);
        self.budgets.restarts -= 1;
        let stable = self.kept(node);
        let place = self.place_mut(node);
        place.lives += 1;
        place.stable = stable;
        self.take(node, stepped);
    }

    /// The registration is consumed and Down is handed over now. What is on the links stays there.
    fn suspect(&mut self, watcher: Node, target: Peer) {
        let stepped = self.react(watcher, Event::Down(target));
        self.budgets.suspicions -= 1;
        self.place_mut(watcher).monitors.remove(&target);
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
        self.fire(|watcher, target| across(side, watcher, target));
    }

    /// Every action that is enabled.
    pub fn actions(&self) -> Vec<Action> {
        let mut actions = vec![];
        for node in self.nodes() {
            match self.place(node).condition {
                Condition::Idle => self.add_starts(node, &mut actions),
                Condition::Up(_) => self.add_steps(node, &mut actions),
                Condition::Crashed => self.add_restarts(node, &mut actions),
            }
        }
        self.add_faults(&mut actions);
        actions
    }

    fn contacts(&self) -> impl Iterator<Item = Option<Node>> {
        self.nodes().filter(|&contact| self.is_up(contact)).map(Some)
    }

    fn add_starts(&self, node: Node, actions: &mut Vec<Action>) {
        if self.budgets.starts > 0 {
            for contact in self.contacts() {
                self.add(node, Cause::Start { contact }, actions);
            }
        }
    }

    /// A process that has a group in its storage needs no contact.
    fn add_restarts(&self, node: Node, actions: &mut Vec<Action>) {
        if self.budgets.restarts > 0 {
            let finds_its_group = self.kept(node).is_some_and(|stable| !stable.log.is_empty());
            if finds_its_group {
                actions.push(Action::Restart { node, contact: None });
            } else {
                actions.extend(self.contacts().map(|contact| Action::Restart { node, contact }));
            }
        }
    }

    fn add_steps(&self, node: Node, actions: &mut Vec<Action>) {
        if self.budgets.commands > 0 {
            self.add(node, Cause::Command, actions);
        }
        for from in self.nodes().filter(|&from| self.is_deliverable(from, node)) {
            self.add(node, Cause::Deliver { from }, actions);
        }
        if self.place(node).timer && self.is_time(node) {
            self.add(node, Cause::Timeout, actions);
        }
        if self.budgets.crashes > 0 {
            actions.push(Action::Crash(node));
        }
    }

    /// Time-outs are long: nothing is left to deliver. Without a limit a tick must also change something.
    fn is_time(&self, node: Node) -> bool {
        let is_quiet = |from| self.nodes().all(|to| !self.is_deliverable(from, to));
        if self.budgets.timeouts == Some(0) || !self.nodes().all(is_quiet) {
            return false;
        }
        let changes = || {
            let mut next = self.clone();
            next.spend(node, Cause::Timeout);
            next.take(node, self.outcome(node, Cause::Timeout));
            next != *self
        };
        self.budgets.timeouts.is_some() || changes()
    }

    /// The faults of messages, monitors and the network.
    fn add_faults(&self, actions: &mut Vec<Action>) {
        for from in self.nodes() {
            for to in self.nodes() {
                self.add_link_faults(from, to, actions);
            }
        }
        if self.budgets.suspicions > 0 {
            for watcher in self.nodes() {
                let targets = self.place(watcher).monitors.iter();
                actions.extend(targets.map(|&target| Action::Suspect { watcher, target }));
            }
        }
        match self.cut {
            Some(_) => actions.push(Action::Heal),
            None if self.budgets.cuts > 0 => {
                let all: Side = (1 << self.size()) - 1;
                actions.extend((2..=all).step_by(2).map(Action::Cut));
            }
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

    /// The step, and the step cut short by a crash after each of its effects but the last.
    fn add(&self, node: Node, cause: Cause, actions: &mut Vec<Action>) {
        let stepped = Rc::new(self.outcome(node, cause));
        let effects = stepped.1.len();
        let step = |stepped, crash_after| Action::Step { node, cause, stepped, crash_after };
        if self.budgets.crashes > 0 {
            actions.extend((1..effects).map(|k| step(Rc::clone(&stepped), Some(k))));
        }
        actions.push(step(stepped, None));
    }

    pub fn after(&self, action: Action) -> World {
        let mut next = self.clone();
        match action {
            Action::Step { node, cause, stepped, crash_after } => {
                next.spend(node, cause);
                match crash_after {
                    None => next.take(node, Rc::unwrap_or_clone(stepped)),
                    Some(k) => {
                        let (state, effects) = &*stepped;
                        next.take(node, (state.clone(), effects[..k].to_vec()));
                        next.crash(node);
                    }
                }
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

    pub fn take(&mut self, node: Node, (state, effects): Stepped) {
        self.place_mut(node).condition = Condition::Up(Box::new(state));
        for effect in effects {
            self.carry_out(node, effect);
        }
    }
}

fn across(side: Side, one: Node, other: Node) -> bool {
    (side >> one.0 ^ side >> other.0) & 1 == 1
}
