//! The election of gen_leader 2007 as a pure machine: PROTOCOLS.md, section 3.

use super::world::{Address, Effect, Event, Lists, Node, Protocol, Stepped, Target};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct V2007;

/// (rank, incarnation, counter)
pub type ElectionId = (u8, u8, u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Candidate,
    WaitingWorker,
    Surrendered,
    Elected,
    Worker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    None,
    Elec1,
    Elec2,
    Wait,
    Norm,
    Worker,
    WaitingWorker,
}

/// T is an election id, l a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    Halt(ElectionId),
    AckLeader(ElectionId),
    HasLeader(Address, ElectionId),
    IsLeader(ElectionId),
    NotLeader(ElectionId),
    Ldr(ElectionId),
    NormQ(ElectionId),
    NotNorm(ElectionId),
    WorkerAlive(ElectionId),
    WorkerIsAlive(ElectionId),
    ActivateWorker(ElectionId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Observation {
    Elected(ElectionId),
    Surrendered(Address, ElectionId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub role: Role,
    pub status: Status,
    pub incarnation: u8,
    pub elid: Option<ElectionId>,
    pub nextel: u8,
    pub leader: Option<Address>,
    pub leadernode: Option<Node>,
    /// These four are lists, most recent first (but see stage 2 and become).
    pub down: Vec<Node>,
    pub monitored: Vec<Node>,
    pub acks: Vec<Node>,
    pub work_down: Vec<Node>,
    pub pendack: Option<Node>,
}

type Effects = Vec<Effect<Message, Observation>>;

impl Protocol for V2007 {
    type Process = Process;
    type Message = Message;
    type Observation = Observation;

    fn start(lists: Lists, me: Address, stable: Option<u8>) -> Stepped<V2007> {
        let mut own = Process {
            role: Role::WaitingWorker,
            status: Status::None,
            incarnation: 0,
            elid: None,
            nextel: 0,
            leader: None,
            leadernode: None,
            down: Vec::new(),
            monitored: Vec::new(),
            acks: Vec::new(),
            work_down: Vec::new(),
            pendack: None,
        };
        let mut effects = Vec::new();
        if lists.is_candidate(me.node) {
            own.role = Role::Candidate;
            own.incarnation = stable.unwrap_or(0);
            effects.push(Effect::Persist(own.incarnation + 1));
            own.stage_1(lists, me, &mut effects);
        }
        (own, effects)
    }

    fn step(lists: Lists, me: Address, mut own: Process, event: Event<Message>) -> Stepped<V2007> {
        let mut effects = Vec::new();
        let safe = match own.role {
            Role::Candidate | Role::WaitingWorker => true,
            Role::Surrendered | Role::Elected | Role::Worker => false,
        };
        match event {
            Event::Message { from, msg } if safe => {
                own.safe_message(lists, me, from, msg, &mut effects);
            }
            Event::Message { from, msg } => own.loop_message(me, from, msg, &mut effects),
            Event::Down(node) if safe => own.safe_down(lists, me, node, &mut effects),
            Event::Down(node) => own.loop_down(lists, me, node, &mut effects),
            Event::Tau if safe => {}
            Event::Tau => own.loop_tau(me, &mut effects),
        }
        (own, effects)
    }

    fn counter(own: &Process) -> u8 {
        own.nextel
    }

    fn leads(own: &Process) -> bool {
        own.role == Role::Elected
    }

    fn follows(own: &Process) -> Option<Address> {
        match own.role {
            Role::Surrendered | Role::Worker => own.leader,
            Role::Candidate | Role::WaitingWorker | Role::Elected => None,
        }
    }
}

impl Process {
    /// Whichever way it was monitored before: not again.
    fn monitor(&mut self, target: Target, effects: &mut Effects) {
        if !self.monitored.contains(&target.node()) {
            effects.push(Effect::Monitor(target));
            self.monitored.insert(0, target.node());
        }
    }

    fn current(&self) -> ElectionId {
        self.elid.expect("a candidate has an election id from its start on")
    }

    fn leading(&self, me: Address) -> bool {
        self.leader == Some(me)
    }

    fn waits_in(&self, term: ElectionId) -> bool {
        self.status == Status::Wait && self.elid == Some(term)
    }

    // The named parts of the protocol.

    fn stage_1(&mut self, lists: Lists, me: Address, effects: &mut Effects) {
        self.elid = Some((me.node + 1, self.incarnation, self.nextel));
        self.nextel += 1;
        self.down.clear();
        self.status = Status::Elec1;
        if me.node == 0 {
            self.stage_2(lists, me, effects);
        } else {
            for higher in 0..me.node {
                self.monitor(Target::Name(higher), effects);
            }
        }
    }

    fn stage_2(&mut self, lists: Lists, me: Address, effects: &mut Effects) {
        self.status = Status::Elec2;
        self.acks.clear();
        self.pendack = Some(me.node);
        self.proceed(lists, me, effects);
    }

    /// *continue*
    fn proceed(&mut self, lists: Lists, me: Address, effects: &mut Effects) {
        let next = self.pendack.expect("stage 2 has set it") + 1;
        if lists.is_candidate(next) {
            self.pendack = Some(next);
            self.monitor(Target::Name(next), effects);
            effects.push(Effect::Send(Target::Name(next), Message::Halt(self.current())));
        } else {
            self.leader = Some(me);
            self.leadernode = Some(me.node);
            self.status = Status::Norm;
        }
    }

    fn become_leader(&mut self, lists: Lists, me: Address, effects: &mut Effects) {
        if self.status != Status::Norm || !self.leading(me) {
            return;
        }
        let term = self.current();
        effects.push(Effect::Observe(Observation::Elected(term)));
        for &ack in &self.acks {
            effects.push(Effect::Send(Target::Name(ack), Message::Ldr(term)));
        }
        self.work_down = lists.workers().collect();
        effects.push(Effect::SetTau);
        self.role = Role::Elected;
    }

    fn halting(&mut self, term: ElectionId, from: Address, effects: &mut Effects) {
        self.monitor(Target::Process(from), effects);
        self.elid = Some(term);
        self.status = Status::Wait;
        self.leadernode = Some(from.node);
        remove(&mut self.down, from.node);
    }

    // In the safe loop: candidate, waiting_worker.

    fn safe_message(
        &mut self,
        lists: Lists,
        me: Address,
        from: Address,
        msg: Message,
        effects: &mut Effects,
    ) {
        match msg {
            Message::Halt(term) => {
                self.halting(term, from, effects);
                effects.push(reply(from, Message::AckLeader(term)));
            }
            Message::HasLeader(leader, term) => self.has_leader(leader, term, effects),
            Message::IsLeader(term) => effects.push(reply(from, Message::NotLeader(term))),
            Message::NotLeader(term) => {
                if self.waits_in(term) {
                    self.stage_1(lists, me, effects);
                }
            }
            Message::AckLeader(term) => {
                let expected = self.pendack == Some(from.node) && self.elid == Some(term);
                if self.status == Status::Elec2 && expected {
                    self.acks.insert(0, from.node);
                    self.proceed(lists, me, effects);
                }
                self.become_leader(lists, me, effects);
            }
            Message::Ldr(term) => {
                if self.waits_in(term) {
                    self.monitor(Target::Process(from), effects);
                    self.leader = Some(from);
                    self.leadernode = Some(from.node);
                    self.status = Status::Norm;
                    effects.push(Effect::Observe(Observation::Surrendered(from, term)));
                    self.role = Role::Surrendered;
                }
            }
            Message::NormQ(term) => {
                if self.status == Status::Elec1 || self.waits_in(term) {
                    self.halting(term, from, effects);
                    effects.push(reply(from, Message::NotNorm(term)));
                }
            }
            Message::WorkerAlive(term) => {
                if self.leadernode.is_none() {
                    self.monitor(Target::Process(from), effects);
                    self.leadernode = Some(from.node);
                    self.elid = Some(term);
                    effects.push(reply(from, Message::WorkerIsAlive(term)));
                }
            }
            Message::ActivateWorker(term) => {
                if self.elid == Some(term) && self.leadernode == Some(from.node) {
                    self.leader = Some(from);
                    self.status = Status::Worker;
                    effects.push(Effect::Observe(Observation::Surrendered(from, term)));
                    self.role = Role::Worker;
                }
            }
            Message::NotNorm(_) | Message::WorkerIsAlive(_) => {}
        }
    }

    fn has_leader(&mut self, leader: Address, term: ElectionId, effects: &mut Effects) {
        self.monitor(Target::Process(leader), effects);
        if self.status == Status::Elec2 {
            for &ack in &self.acks {
                effects.push(Effect::Send(Target::Name(ack), Message::HasLeader(leader, term)));
            }
        }
        self.elid = Some(term);
        self.status = Status::Wait;
        self.leadernode = Some(leader.node);
        remove(&mut self.down, leader.node);
        self.acks.clear();
        effects.push(reply(leader, Message::IsLeader(term)));
    }

    fn safe_down(&mut self, lists: Lists, me: Address, node: Node, effects: &mut Effects) {
        if self.role == Role::WaitingWorker {
            self.worker_down(node);
            return;
        }
        if !lists.is_candidate(node) {
            effects.push(Effect::Stop);
            return;
        }
        remove(&mut self.monitored, node);
        self.down.insert(0, node);
        let waited_for = self.status == Status::Wait && self.leadernode == Some(node);
        if node < me.node {
            if waited_for {
                self.stage_1(lists, me, effects);
            } else if self.status == Status::Elec1 && self.all_higher_down(me) {
                self.down = (0..me.node).collect();
                self.stage_2(lists, me, effects);
            }
        } else {
            // Lower, or an earlier life of this node.
            if self.status == Status::Elec2 && self.pendack == Some(node) {
                self.proceed(lists, me, effects);
            } else if waited_for {
                self.stage_1(lists, me, effects);
            }
        }
        self.become_leader(lists, me, effects);
    }

    fn all_higher_down(&self, me: Address) -> bool {
        (0..me.node).all(|higher| self.down.contains(&higher))
    }

    /// A worker, active or waiting. It keeps its election id.
    fn worker_down(&mut self, node: Node) {
        if self.leadernode == Some(node) {
            self.leader = None;
            self.leadernode = None;
            self.monitored.clear();
            self.status = Status::WaitingWorker;
            self.role = Role::WaitingWorker;
        }
    }

    // In the loop: surrendered, elected, worker.

    fn loop_message(&mut self, me: Address, from: Address, msg: Message, effects: &mut Effects) {
        match msg {
            Message::Halt(_) => {
                let leader = self.leader.expect("in the loop there is a leader");
                effects.push(reply(from, Message::HasLeader(leader, self.current())));
            }
            Message::IsLeader(term) => {
                if self.leading(me) {
                    self.take_in(from, effects);
                } else {
                    effects.push(reply(from, Message::NotLeader(term)));
                }
            }
            Message::NotNorm(term) => {
                if self.leading(me) && self.elid == Some(term) {
                    self.take_in(from, effects);
                }
            }
            Message::WorkerIsAlive(term) => {
                if self.leading(me) && self.elid == Some(term) {
                    self.monitor(Target::Process(from), effects);
                    remove(&mut self.work_down, from.node);
                    effects.push(Effect::Observe(Observation::Elected(self.current())));
                    effects.push(reply(from, Message::ActivateWorker(term)));
                }
            }
            Message::HasLeader(..)
            | Message::AckLeader(_)
            | Message::NotLeader(_)
            | Message::Ldr(_)
            | Message::NormQ(_)
            | Message::WorkerAlive(_)
            | Message::ActivateWorker(_) => {}
        }
    }

    /// The leader takes in a candidate that comes late.
    fn take_in(&mut self, from: Address, effects: &mut Effects) {
        self.monitor(Target::Process(from), effects);
        remove(&mut self.down, from.node);
        effects.push(Effect::Observe(Observation::Elected(self.current())));
        effects.push(reply(from, Message::Ldr(self.current())));
    }

    fn loop_tau(&mut self, me: Address, effects: &mut Effects) {
        if !self.leading(me) {
            return;
        }
        let term = self.current();
        for &node in self.down.iter().filter(|&&node| node != 0) {
            effects.push(Effect::Send(Target::Name(node), Message::NormQ(term)));
        }
        for &node in &self.work_down {
            effects.push(Effect::Send(Target::Name(node), Message::WorkerAlive(term)));
        }
        effects.push(Effect::SetTau);
    }

    fn loop_down(&mut self, lists: Lists, me: Address, node: Node, effects: &mut Effects) {
        if self.role == Role::Worker {
            self.worker_down(node);
        } else if lists.is_candidate(node) {
            remove(&mut self.monitored, node);
            self.down.insert(0, node);
            if self.leadernode == Some(node) {
                self.stage_1(lists, me, effects);
                self.role = Role::Candidate;
            }
        } else {
            remove(&mut self.monitored, node);
            remove(&mut self.work_down, node);
            self.work_down.insert(0, node);
        }
    }
}

/// To the process, not to whoever lives there now.
fn reply(to: Address, msg: Message) -> Effect<Message, Observation> {
    Effect::Send(Target::Process(to), msg)
}

/// Erlang's `--`: the first occurrence.
fn remove(list: &mut Vec<Node>, node: Node) {
    if let Some(at) = list.iter().position(|&other| other == node) {
        list.remove(at);
    }
}
