//! The election of gen_leader 1.0 as a pure machine: PROTOCOLS.md, section 2.

use super::world::{Address, Effect, Event, Lists, Node, Protocol, Stepped, Target};
use std::cmp::Ordering;
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct V1_0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Candidate,
    Captured,
    WaitingWorker,
    Surrendered,
    Elected,
    Worker,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Iteration {
    pub captured: BTreeSet<Node>,
    /// The number of candidates after this one in the list.
    pub pos: u8,
}

impl Iteration {
    fn compare(&self, other: &Iteration) -> Ordering {
        (self.captured.len(), self.pos).cmp(&(other.captured.len(), other.pos))
    }
}

/// The sender is the originator, except of an `Accept`, which may have been passed on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    Capture(Iteration),
    AddWorker,
    Accept { of: Address, iteration: Iteration },
    Elect,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Observation {
    Elected,
    Surrendered(Address),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub role: Role,
    /// A worker has none.
    pub iteration: Option<Iteration>,
    pub leader: Option<Address>,
    pub leadernode: Option<Node>,
    pub alive: BTreeSet<Node>,
    pub down: BTreeSet<Node>,
    /// Most recently monitored first.
    pub monitored: Vec<Node>,
}

type Effects = Vec<Effect<Message, Observation>>;

/// The process has no clause for this.
struct Dies;

impl Protocol for V1_0 {
    type Process = Process;
    type Message = Message;
    type Observation = Observation;

    fn start(lists: Lists, me: Address, _: Option<u8>) -> Stepped<V1_0> {
        let mut own = Process {
            role: Role::WaitingWorker,
            iteration: None,
            leader: None,
            leadernode: None,
            alive: BTreeSet::new(),
            down: BTreeSet::new(),
            monitored: Vec::new(),
        };
        let mut effects = Vec::new();
        if lists.is_candidate(me.node) {
            own.start_candidate(lists, me, &mut effects);
        } else {
            let ask = |node| Effect::Send(Target::Name(node), Message::AddWorker);
            effects.extend(lists.candidates().map(ask));
        }
        (own, effects)
    }

    fn step(lists: Lists, me: Address, own: Process, event: Event<Message>) -> Stepped<V1_0> {
        let mut after = own.clone();
        let mut effects = Vec::new();
        let taken = match event {
            Event::Message { from, msg } => after.message(lists, me, from, msg, &mut effects),
            Event::Down(node) => after.on_down(lists, me, node, &mut effects),
            Event::Tau => unreachable!("1.0 has no timer"),
        };
        match taken {
            Ok(()) => (after, effects),
            Err(Dies) => (own, vec![Effect::Stop]),
        }
    }

    fn counter(_: &Process) -> u8 {
        0
    }

    fn leads(own: &Process) -> bool {
        own.role == Role::Elected
    }

    fn follows(own: &Process) -> Option<Address> {
        match own.role {
            Role::Surrendered | Role::Worker => own.leader,
            Role::Candidate | Role::Captured | Role::WaitingWorker | Role::Elected => None,
        }
    }
}

impl Process {
    fn start_candidate(&mut self, lists: Lists, me: Address, effects: &mut Effects) {
        let pos = lists.candidates - 1 - me.node;
        let iteration = Iteration { captured: BTreeSet::new(), pos };
        let others: Vec<Node> =
            lists.workers().chain(lists.candidates()).filter(|&node| node != me.node).collect();
        for &node in &others {
            self.monitor(node, effects);
        }
        for &node in &others {
            effects.push(Effect::Send(Target::Name(node), Message::Capture(iteration.clone())));
        }
        self.role = Role::Candidate;
        self.iteration = Some(iteration);
    }

    fn monitor(&mut self, node: Node, effects: &mut Effects) {
        effects.push(Effect::Monitor(Target::Name(node)));
        self.monitored.insert(0, node);
    }

    fn nodeup(&mut self, node: Node, effects: &mut Effects) {
        if !self.monitored.contains(&node) {
            self.monitor(node, effects);
            self.down.remove(&node);
        }
        self.alive.insert(node);
    }

    /// Takes the iteration apart first, so a worker dies here.
    fn gone(&mut self, lists: Lists, node: Node) -> Result<(), Dies> {
        let iteration = self.iteration.as_mut().ok_or(Dies)?;
        iteration.captured.remove(&node);
        self.monitored.retain(|&other| other != node);
        self.alive.remove(&node);
        let led = self.leadernode == Some(node);
        if lists.is_candidate(node) || led {
            self.down.insert(node);
        }
        if led {
            self.leader = None;
            self.leadernode = None;
        }
        Ok(())
    }

    fn own_iteration(&self) -> Result<&Iteration, Dies> {
        self.iteration.as_ref().ok_or(Dies)
    }

    fn check(&mut self, lists: Lists, me: Address, effects: &mut Effects) -> Result<(), Dies> {
        let accepted = self.own_iteration()?.captured.len() + 1;
        let candidates = lists.candidates as usize;
        if 2 * accepted <= candidates && accepted + self.down.len() != candidates {
            self.role = Role::Candidate;
            return Ok(());
        }
        self.leader = Some(me);
        effects.push(Effect::Observe(Observation::Elected));
        for &node in &self.monitored {
            effects.push(Effect::Send(Target::Name(node), Message::Elect));
        }
        self.role = Role::Elected;
        Ok(())
    }

    fn message(
        &mut self,
        lists: Lists,
        me: Address,
        from: Address,
        msg: Message,
        effects: &mut Effects,
    ) -> Result<(), Dies> {
        match msg {
            Message::Capture(iteration) => self.on_capture(me, from, iteration, effects),
            Message::AddWorker => {
                self.on_add_worker(from, effects);
                Ok(())
            }
            Message::Accept { of, iteration } => self.on_accept(lists, me, of, iteration, effects),
            Message::Elect => self.on_elect(from, effects),
        }
    }

    fn on_capture(
        &mut self,
        me: Address,
        from: Address,
        theirs: Iteration,
        effects: &mut Effects,
    ) -> Result<(), Dies> {
        self.nodeup(from.node, effects);
        match self.role {
            Role::Candidate => {
                let mine = self.own_iteration()?.clone();
                match mine.compare(&theirs) {
                    Ordering::Less => {
                        let accept = Message::Accept { of: me, iteration: mine };
                        effects.push(Effect::Send(Target::Process(from), accept));
                        self.role = Role::Captured;
                        self.leader = Some(from);
                    }
                    Ordering::Greater => {}
                    Ordering::Equal => return Err(Dies),
                }
            }
            Role::Captured | Role::WaitingWorker | Role::Surrendered | Role::Worker => {}
            Role::Elected => elect_one(from, effects),
        }
        Ok(())
    }

    fn on_add_worker(&mut self, from: Address, effects: &mut Effects) {
        match self.role {
            Role::Candidate | Role::Captured | Role::WaitingWorker => {
                self.nodeup(from.node, effects);
            }
            // Not an election message here.
            Role::Surrendered | Role::Elected | Role::Worker => {}
        }
    }

    fn on_accept(
        &mut self,
        lists: Lists,
        me: Address,
        of: Address,
        theirs: Iteration,
        effects: &mut Effects,
    ) -> Result<(), Dies> {
        match self.role {
            Role::Candidate => {
                self.nodeup(of.node, effects);
                let mine = self.iteration.as_mut().ok_or(Dies)?;
                mine.captured.insert(of.node);
                mine.captured.extend(theirs.captured);
                self.check(lists, me, effects)
            }
            Role::Captured => {
                let leader = self.leader.expect("a captured one has a leader");
                let accept = Message::Accept { of, iteration: theirs };
                effects.push(Effect::Send(Target::Process(leader), accept));
                self.nodeup(of.node, effects);
                Ok(())
            }
            Role::WaitingWorker => Err(Dies),
            Role::Surrendered | Role::Worker => {
                self.nodeup(of.node, effects);
                Ok(())
            }
            Role::Elected => {
                self.nodeup(of.node, effects);
                elect_one(of, effects);
                Ok(())
            }
        }
    }

    fn on_elect(&mut self, from: Address, effects: &mut Effects) -> Result<(), Dies> {
        if self.role == Role::Elected {
            return Err(Dies);
        }
        self.leader = Some(from);
        self.leadernode = Some(from.node);
        self.nodeup(from.node, effects);
        if let Some(iteration) = &mut self.iteration {
            iteration.captured.clear();
        }
        effects.push(Effect::Observe(Observation::Surrendered(from)));
        self.role = match self.role {
            Role::WaitingWorker | Role::Worker => Role::Worker,
            Role::Candidate | Role::Captured | Role::Surrendered => Role::Surrendered,
            Role::Elected => unreachable!("died above"),
        };
        Ok(())
    }

    fn on_down(
        &mut self,
        lists: Lists,
        me: Address,
        node: Node,
        effects: &mut Effects,
    ) -> Result<(), Dies> {
        match self.role {
            Role::Captured | Role::WaitingWorker => return Err(Dies),
            Role::Candidate | Role::Surrendered | Role::Elected | Role::Worker => {}
        }
        self.gone(lists, node)?;
        match self.role {
            Role::Candidate => self.check(lists, me, effects),
            Role::Surrendered if self.leader.is_none() => {
                let iteration = self.own_iteration()?;
                for &other in &self.monitored {
                    let capture = Message::Capture(iteration.clone());
                    effects.push(Effect::Send(Target::Name(other), capture));
                }
                self.check(lists, me, effects)
            }
            // `handle_DOWN` is not observed.
            Role::Surrendered | Role::Elected => Ok(()),
            Role::Captured | Role::WaitingWorker | Role::Worker => unreachable!("died above"),
        }
    }
}

/// A leader answers one who comes late.
fn elect_one(to: Address, effects: &mut Effects) {
    effects.push(Effect::Observe(Observation::Elected));
    effects.push(Effect::Send(Target::Process(to), Message::Elect));
}
