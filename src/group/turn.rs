//! One step of a process: what every role has in common.

use super::{
    Command, Content, Effect, Event, Group, Message, Multicast, Observation, Role,
    STOPPED_ON_COMMAND, Safeguard, Stable, State, TICK, Term, Timer,
    log::{Entry, Log, Position},
};
use crate::machine::{Address, Boot, NodeId, Peer, Value};
use im::{OrdMap, OrdSet, Vector};

/// A step under way.
pub(super) struct Turn<'a, T> {
    pub(super) group: &'a Group<T>,
    pub(super) state: State<T>,
    effects: Vec<Effect<T>>,
    /// True if what it must not forget has changed.
    changed: bool,
}

impl<'a, T: Value> Turn<'a, T> {
    pub(super) fn new(group: &'a Group<T>, state: State<T>) -> Self {
        Self { group, state, effects: vec![], changed: false }
    }

    /// A process comes up: with its storage, to join through a contact, or to found a group.
    pub(super) fn start(group: &'a Group<T>, boot: Boot<Stable<T>>) -> Self {
        let Boot { me, stable, contact } = boot;
        let (restored, founds) = (stable.is_some(), stable.is_none() && contact.is_none());
        let member = if group.has(Safeguard::Incarnation) { me } else { me.node.first_life() };
        let term = Term { counter: 0, owner: member };
        let state = State {
            me,
            stable: stable.unwrap_or(Stable { member, term, log: Log::default() }),
            contact: contact.map(|contact| contact.node),
            committed: 0,
            role: seeking(),
            suspected: OrdSet::new(),
            watched: OrdSet::new(),
            next: OrdMap::new(),
            issued: 0,
            pending: OrdMap::new(),
            waiting: OrdSet::new(),
        };
        let mut turn = Self { changed: !restored, ..Self::new(group, state) };
        turn.effect(Effect::SetTimer { timer: Timer::Tick, after: TICK });
        turn.observe(Observation::Started(turn.me()));
        if founds {
            turn.found();
        } else if turn.may_lead() {
            let owner = turn.state.stable.term.owner;
            if owner != turn.me() {
                turn.ask_node(owner.node);
            }
        } else if let Some(contact) = contact {
            turn.ask_node(contact.node);
        } else {
            turn.ask();
        }
        turn
    }

    pub(super) fn handle(&mut self, event: Event<T>) {
        match event {
            Event::Message { from, message } => self.receive(from, message),
            Event::Down(peer) => self.suspect(peer),
            Event::Timeout(Timer::Tick) => self.tick(),
            Event::Command(Command::Mcast(message)) => self.mcast(message),
            Event::Command(Command::Stop) => self.effect(Effect::Stop(STOPPED_ON_COMMAND.into())),
        }
    }

    fn receive(&mut self, from: Address, message: Message<T>) {
        self.state.suspected.remove(&from.node);
        match message {
            Message::Prepare { term, committed } => self.prepared(from, term, committed),
            Message::Promise { term, member, last, previous, entries } => {
                self.promised(from.node, term, member, last, previous, entries);
            }
            Message::Refuse { term } => self.refused(from, term),
            Message::Append { term, previous, entries, committed } => {
                self.append_arrived(from, term, previous, &entries, committed);
            }
            Message::Ack { term, member, number } => {
                self.acknowledged(from.node, term, member, number);
            }
            Message::Ask { member, committed } => self.asked(from.node, member, committed),
            Message::Now => self.told_to_ask(from),
            Message::Forward(_) if !self.state.leads() => self.correct(from.node),
            Message::Forward(multicast) => self.propose(multicast),
        }
    }

    /// The next state, and the effects. What must not be forgotten is stored before anything is said.
    pub(super) fn end(mut self) -> (State<T>, Vec<Effect<T>>) {
        self.watch();
        if self.changed {
            let persist = Effect::Persist(self.state.stable.clone());
            let first = if self.group.has(Safeguard::Persistence) { 0 } else { self.effects.len() };
            self.effects.insert(first, persist);
        }
        (self.state, self.effects)
    }

    pub(super) fn effect(&mut self, effect: Effect<T>) {
        self.effects.push(effect);
    }

    pub(super) fn observe(&mut self, observation: Observation<T>) {
        self.effect(Effect::Observe(observation));
    }

    /// Sends to whoever runs at a node now.
    pub(super) fn send(&mut self, to: NodeId, message: Message<T>) {
        self.effect(Effect::Send { to: Peer::Name(to), message });
    }

    pub(super) fn me(&self) -> Address {
        self.state.stable.member
    }

    pub(super) fn log(&self) -> &Log<T> {
        &self.state.stable.log
    }

    /// The last entry that it knows to count.
    pub(super) fn committed(&self) -> Position {
        let number = self.state.committed;
        self.log().position(number).unwrap_or(Position { term: None, number: 0 })
    }

    /// The stable part of the state, to be changed.
    pub(super) fn stable(&mut self) -> &mut Stable<T> {
        self.changed = true;
        &mut self.state.stable
    }

    /// The members of the newest view that it holds, whether it counts or not.
    pub(super) fn newest(&self) -> Vector<Address> {
        self.log().newest_members()
    }

    /// The nodes in the last view that counts. Whoever leads next knows them, too.
    pub(super) fn known_nodes(&self) -> OrdSet<NodeId> {
        self.state.members().into_iter().map(|member| member.node).collect()
    }

    /// True if it is a member of that view: it may lead.
    pub(super) fn may_lead(&self) -> bool {
        self.newest().contains(&self.me())
    }

    /// Takes on a term and a role. Outsiders that count on the former role learn when there is a leader.
    pub(super) fn enter(&mut self, term: Term, role: Role) {
        if self.state.stable.term != term {
            self.stable().term = term;
        }
        if self.state.leads() && !matches!(role, Role::Leading { .. }) {
            self.observe(Observation::Deposed);
        }
        let left = match std::mem::replace(&mut self.state.role, role) {
            Role::Leading { others } => others.keys().copied().collect(),
            Role::Candidate { promised, invited } => {
                promised.iter().map(|member| member.node).chain(invited).collect()
            }
            Role::Seeking { .. } | Role::Promised { .. } | Role::Following { .. } => OrdSet::new(),
        };
        let outside = left.relative_complement(self.known_nodes()).without(&self.me().node);
        self.state.waiting = self.state.waiting.clone().union(outside);
    }

    /// Monitors whoever matters in its role, and nobody else.
    fn watch(&mut self) {
        let State { role, stable, suspected, contact, .. } = &self.state;
        let wanted: OrdSet<Peer> = match role {
            Role::Leading { others } => others.keys().copied().map(Peer::Name).collect(),
            Role::Promised { to: Some(owner) } | Role::Following { leader: owner, .. } => {
                OrdSet::unit(Peer::Process(*owner))
            }
            Role::Promised { to: None } => OrdSet::unit(Peer::Name(stable.term.owner.node)),
            Role::Seeking { .. } if self.may_lead() => {
                self.successor().map(|successor| Peer::Name(successor.node)).into_iter().collect()
            }
            Role::Seeking { told } => {
                let told = told.iter().copied().map(Peer::Process);
                told.chain(contact.map(Peer::Name)).collect()
            }
            Role::Candidate { .. } => OrdSet::new(),
        };
        let me = self.me().node;
        let is_possible = |peer: &Peer| peer.node() != me && !suspected.contains(&peer.node());
        let wanted: OrdSet<Peer> = wanted.into_iter().filter(is_possible).collect();
        let before = std::mem::replace(&mut self.state.watched, wanted.clone());
        for peer in before.clone().relative_complement(wanted.clone()) {
            self.effect(Effect::Demonitor(peer));
        }
        for peer in wanted.relative_complement(before) {
            self.effect(Effect::Monitor(peer));
        }
    }

    /// A process that it monitors is reported down.
    fn suspect(&mut self, peer: Peer) {
        let node = peer.node();
        self.state.watched.remove(&peer);
        self.state.suspected.insert(node);
        let may_lead = self.may_lead();
        match &mut self.state.role {
            Role::Leading { .. } => self.lost(node),
            Role::Promised { .. } | Role::Following { .. } => self.succeed(node),
            Role::Seeking { .. } if may_lead => self.succeed(node),
            Role::Seeking { told } => {
                *told = told.iter().copied().filter(|process| process.node != node).collect();
            }
            Role::Candidate { .. } => {}
        }
    }

    /// Repeats whatever may have been lost.
    fn tick(&mut self) {
        self.effect(Effect::SetTimer { timer: Timer::Tick, after: TICK });
        match self.state.role.clone() {
            Role::Leading { .. } => self.resend(),
            Role::Candidate { .. } => self.prepare_again(),
            Role::Following { matched, .. } => {
                if matched > self.state.committed {
                    self.acknowledge(matched);
                }
                self.forward_pending();
                if !self.state.is_member() {
                    self.ask();
                }
            }
            Role::Seeking { .. } if self.may_lead() => self.take_over(),
            Role::Seeking { .. } | Role::Promised { to: None } => self.ask(),
            Role::Promised { to: Some(_) } => {}
        }
        if self.state.leader().is_some() {
            self.call_waiting();
        }
    }

    fn mcast(&mut self, message: T) {
        let sequence = self.state.issued;
        self.state.issued += 1;
        self.state.pending.insert(sequence, message.clone());
        self.forward(Multicast { origin: self.state.me, sequence, message });
    }

    fn forward(&mut self, multicast: Multicast<T>) {
        match self.state.role {
            Role::Leading { .. } => self.propose(multicast),
            Role::Following { .. } => {
                let leader = self.state.stable.term.owner.node;
                self.send(leader, Message::Forward(multicast));
            }
            Role::Seeking { .. } | Role::Promised { .. } | Role::Candidate { .. } => {}
        }
    }

    /// Forwards what it has sent and not delivered, in order.
    pub(super) fn forward_pending(&mut self) {
        if !self.group.has(Safeguard::Resend) {
            return;
        }
        for (sequence, message) in self.state.pending.clone() {
            self.forward(Multicast { origin: self.state.me, sequence, message });
        }
    }

    /// Asks for what is missing: the owner of its term if it waits for that one, otherwise all who may know a leader.
    pub(super) fn ask(&mut self) {
        let me = self.me().node;
        let targets: OrdSet<NodeId> = match &self.state.role {
            Role::Following { .. } | Role::Promised { .. } => {
                OrdSet::unit(self.state.stable.term.owner.node)
            }
            Role::Seeking { told } => {
                let told: OrdSet<NodeId> = told.iter().map(|process| process.node).collect();
                let members = self.newest().into_iter().map(|member| member.node);
                let known = members.chain(self.state.contact).chain(self.group.nodes.clone());
                known.filter(|node| *node != me && !told.contains(node)).collect()
            }
            Role::Candidate { .. } | Role::Leading { .. } => OrdSet::new(),
        };
        for node in targets {
            self.ask_node(node);
        }
    }

    pub(super) fn ask_node(&mut self, node: NodeId) {
        let (member, committed) = (self.me(), self.committed());
        self.send(node, Message::Ask { member, committed });
    }

    /// Somebody asks. The leader answers; without one, the answer has to wait. A follower that has forwarded this learns that
    /// its leader leads no more.
    pub(super) fn asked(&mut self, from: NodeId, member: Address, committed: Position) {
        let node = member.node;
        self.state.waiting.remove(&node);
        match self.state.role {
            Role::Leading { .. } => self.bring_up(member, committed),
            Role::Following { .. } => {
                let leader = self.state.stable.term.owner.node;
                if leader != node {
                    self.send(leader, Message::Ask { member, committed });
                }
            }
            Role::Candidate { .. } => self.correct(node),
            Role::Seeking { .. } | Role::Promised { .. } => {
                self.state.waiting.insert(node);
                for to in OrdSet::from_iter([from, node]) {
                    self.refuse(to);
                }
            }
        }
    }

    /// There is a leader: all who wait for one may ask again. They are told until they do.
    pub(super) fn call_waiting(&mut self) {
        // Members hear of it anyway.
        self.state.waiting = self.state.waiting.clone().relative_complement(self.known_nodes());
        for node in self.state.waiting.clone() {
            self.send(node, Message::Now);
        }
    }

    /// There is a leader, though not the one that this process has promised to follow.
    fn told_to_ask(&mut self, from: Address) {
        let is_outside = !self.may_lead();
        match &mut self.state.role {
            Role::Seeking { told } => drop(told.remove(&from)),
            Role::Promised { to: Some(owner) } if *owner == from && is_outside => {
                self.state.role = seeking();
            }
            Role::Promised { .. }
            | Role::Following { .. }
            | Role::Candidate { .. }
            | Role::Leading { .. } => {}
        }
        self.ask_node(from.node);
    }

    /// The leader sends entries.
    fn append_arrived(
        &mut self,
        from: Address,
        term: Term,
        previous: Position,
        entries: &Vector<Entry<T>>,
        committed: u64,
    ) {
        let promised = self.state.stable.term;
        if term < promised && self.group.has(Safeguard::Fence) {
            return self.correct(from.node);
        }
        if term != promised || !matches!(self.state.role, Role::Following { .. }) {
            self.follow(term, from);
        }
        if self.log().position(previous.number) != Some(previous) {
            return self.ask_node(from.node);
        }
        let number = previous.number + entries.len() as u64;
        let is_new = !entries.is_empty();
        self.changed |= self.state.stable.log.take(previous.number, entries);
        if let Role::Following { matched, .. } = &mut self.state.role {
            *matched = number.max(*matched);
        }
        let was_member = self.state.is_member();
        self.deliver(committed.min(number));
        if is_new {
            self.acknowledge(number);
        }
        if was_member && !self.state.is_member() {
            self.ask_node(from.node);
        }
    }

    fn follow(&mut self, term: Term, leader: Address) {
        self.enter(term, Role::Following { leader, matched: 0 });
        self.state.waiting.remove(&leader.node);
        self.forward_pending();
        self.call_waiting();
    }

    fn acknowledge(&mut self, number: u64) {
        let Term { owner, .. } = self.state.stable.term;
        let (term, member) = (self.state.stable.term, self.me());
        self.send(owner.node, Message::Ack { term, member, number });
    }

    /// Delivers everything up to a number.
    pub(super) fn deliver(&mut self, committed: u64) {
        while self.state.committed < committed {
            let number = self.state.committed + 1;
            self.state.committed = number;
            let Some(entry) = self.log().get(number).cloned() else { return };
            match entry.content {
                Content::View(members) => {
                    let view = super::View { number, leader: entry.term.owner, members };
                    self.observe(Observation::Installed(view));
                }
                Content::Multicast(Multicast { origin, sequence, message }) => {
                    self.state.next.insert(origin.node, (origin.life, sequence + 1));
                    if origin == self.state.me {
                        self.state.pending.remove(&sequence);
                    }
                    self.observe(Observation::Delivered { number, message });
                }
            }
        }
    }
}

/// It knows nobody.
pub(super) fn seeking() -> Role {
    Role::Seeking { told: OrdSet::new() }
}
