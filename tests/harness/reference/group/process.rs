//! A process in a step: its log, its effects, its events.

use super::part::{
    Address, Content, Effect, Entry, Envelope, Event, Message, Multicast, Node, Observation, Part,
    Peer, Position, Role, Stable, State, Summary, Term, Token,
};
use std::collections::{BTreeMap, BTreeSet};

pub type Stepped = (State, Vec<Effect>);

/// What a process comes up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    pub me: Address,
    pub stable: Option<Stable>,
    pub contact: Option<Address>,
}

/// `nodes`: the length of the list of nodes.
pub fn start(nodes: u8, Boot { me, stable, contact }: Boot) -> Stepped {
    let stored = stable.clone();
    let nothing = Stable { member: me, term: Term { counter: 0, owner: me }, log: vec![] };
    let Stable { member, term, log } = stable.unwrap_or(nothing);
    let state = State {
        me,
        member,
        term,
        log,
        contact: contact.map(|contact| contact.node),
        counted: Summary::default(),
        role: Role::seeking(),
        suspected: BTreeSet::new(),
        watched: BTreeSet::new(),
        issued: 0,
        pending: BTreeMap::new(),
        waiting: BTreeSet::new(),
    };
    let mut step = Step { nodes, state, effects: vec![Effect::SetTimer] };
    step.observe(Observation::Started(member));
    if step.state.log.is_empty() && contact.is_none() {
        step.found();
    } else {
        step.seek();
    }
    step.end(stored)
}

pub fn step(nodes: u8, state: State, event: Event) -> Stepped {
    let stored = stable(&state);
    let mut step = Step { nodes, state, effects: vec![] };
    match event {
        Event::Message { from, message } => step.on_message(from, message.message),
        Event::Down(peer) => step.on_down(peer),
        Event::Timeout => step.on_tick(),
        Event::Command(tag, message) => step.on_call(tag, message),
    }
    step.end(Some(stored))
}

fn stable(State { member, term, log, .. }: &State) -> Stable {
    Stable { member: *member, term: *term, log: log.clone() }
}

pub fn is_majority(some: usize, of: usize) -> bool {
    2 * some > of
}

pub struct Step {
    nodes: u8,
    pub state: State,
    effects: Vec<Effect>,
}

// The log, and who is who in it.
impl Step {
    pub fn length(&self) -> usize {
        self.state.log.len()
    }

    pub fn position(&self, number: usize) -> Position {
        let term = number.checked_sub(1).map(|before| self.state.log[before].term);
        Position { term, number }
    }

    pub fn last(&self) -> Position {
        self.position(self.length())
    }

    pub fn holds(&self, position: Position) -> bool {
        position.number <= self.length() && self.position(position.number) == position
    }

    /// All entries after a number: a batch is never full.
    pub fn part_after(&self, number: usize) -> Part {
        let number = number.min(self.length());
        Part { after: self.position(number), entries: self.state.log[number..].to_vec() }
    }

    /// Replaces what contradicts the part, and nothing else.
    pub fn take(&mut self, part: Part) {
        for (at, entry) in (part.after.number..).zip(part.entries) {
            if self.state.log.get(at) != Some(&entry) {
                self.state.log.truncate(at);
                self.state.log.push(entry);
            }
        }
    }

    pub fn committed(&self) -> usize {
        self.state.counted.number
    }

    /// The views in the log with their numbers, the newest first.
    pub fn views(&self) -> impl Iterator<Item = (usize, &Vec<Address>)> {
        let numbers = (1..=self.length()).rev();
        numbers.filter_map(|number| match &self.state.log[number - 1].content {
            Content::View(members) => Some((number, members)),
            Content::Multicast(_) => None,
        })
    }

    pub fn newest_view(&self) -> Vec<Address> {
        self.views().next().map(|(_, members)| members.clone()).unwrap_or_default()
    }

    pub fn newest_view_number(&self) -> usize {
        self.views().next().map_or(0, |(number, _)| number)
    }

    pub fn committed_view(&self) -> Vec<Address> {
        self.state.counted.view.as_ref().map(|view| view.members.clone()).unwrap_or_default()
    }

    /// The members of its newest view and of its last committed one.
    pub fn members(&self) -> Vec<Address> {
        let mut members = self.newest_view();
        members.extend(self.committed_view());
        members
    }

    /// May it lead?
    pub fn is_eligible(&self) -> bool {
        self.newest_view().contains(&self.state.member)
    }

    /// Are those that it does not suspect enough to lead?
    pub fn may_win(&self) -> bool {
        let view = self.newest_view();
        let some = view.iter().filter(|member| !self.is_suspected(member.node)).count();
        is_majority(some, view.len())
    }

    pub fn is_member(&self) -> bool {
        self.committed_view().contains(&self.state.member)
    }

    pub fn is_suspected(&self, node: Node) -> bool {
        self.state.suspected.contains(&node)
    }

    pub fn most_senior(&self) -> Option<Address> {
        self.newest_view().into_iter().find(|member| !self.is_suspected(member.node))
    }

    /// All nodes but its own.
    pub fn other_nodes(&self) -> Vec<Node> {
        (0..self.nodes).map(Node).filter(|node| *node != self.state.me.node).collect()
    }

    pub fn all_nodes(&self) -> BTreeSet<Node> {
        (0..self.nodes).map(Node).collect()
    }
}

// Effects.
impl Step {
    pub fn observe(&mut self, what: Observation) {
        self.effects.push(Effect::Observe(what));
    }

    /// To whoever runs there. The group is named by the owner of the first term.
    pub fn send(&mut self, to: Node, message: Message) {
        let group = self.state.log.first().map(|entry| entry.term.owner);
        self.effects.push(Effect::Send { to, message: Envelope { group, message } });
    }

    pub fn ask(&mut self, to: Node) {
        let committed = self.position(self.committed());
        self.send(to, Message::Ask { member: self.state.member, committed });
    }

    /// Refuses, and will tell when there is a leader, which knows its members by itself.
    pub fn refuse(&mut self, to: Node) {
        self.keep_waiting(to);
        self.send(to, Message::Refuse { term: self.state.term });
    }

    pub fn keep_waiting(&mut self, node: Node) {
        if !self.committed_view().iter().any(|member| member.node == node) {
            self.state.waiting.insert(node);
        }
    }

    /// To those who still wait, and are no members yet.
    pub fn tell_waiting(&mut self) {
        let members: Vec<_> = self.committed_view().iter().map(|member| member.node).collect();
        self.state.waiting.retain(|node| !members.contains(node));
        for node in self.state.waiting.clone() {
            self.send(node, Message::Now);
        }
    }

    /// Answers one that has an earlier term, or takes this process for the leader.
    pub fn correct(&mut self, node: Node) {
        match self.state.role {
            Role::Leading { .. } => self.give(node, self.length()),
            Role::Candidate { .. } => self.invite(node),
            Role::Seeking { .. } | Role::Promised { .. } | Role::Following { .. } => {
                self.refuse(node);
            }
        }
    }

    /// What must not be forgotten is stored before anything else happens. Monitors come last.
    fn end(mut self, stored: Option<Stable>) -> Stepped {
        let watched = self.watched();
        let gone = self.state.watched.difference(&watched).copied();
        let new = watched.difference(&self.state.watched).copied();
        self.effects.extend(gone.map(Effect::Demonitor).chain(new.map(Effect::Monitor)));
        self.state.watched = watched;
        let now = stable(&self.state);
        if stored.as_ref() != Some(&now) {
            self.effects.insert(0, Effect::Persist(now));
        }
        (self.state, self.effects)
    }

    /// Whom it watches in its role: a leader and a candidate as a process, all others by name.
    fn watched(&self) -> BTreeSet<Peer> {
        match &self.state.role {
            Role::Leading { others, .. } => {
                let others = others.keys().copied().filter(|node| !self.is_suspected(*node));
                others.map(Peer::Name).collect()
            }
            Role::Following { leader, .. } => [Peer::Process(*leader)].into(),
            Role::Promised { to: Some(candidate) } => [Peer::Process(*candidate)].into(),
            Role::Promised { to: None } => [Peer::Name(self.state.term.owner.node)].into(),
            Role::Candidate { .. } => {
                let others = self.newest_view().into_iter().map(|member| member.node);
                let others = others.filter(|node| *node != self.state.me.node);
                others.filter(|node| !self.is_suspected(*node)).map(Peer::Name).collect()
            }
            Role::Seeking { told } => {
                let senior = self.most_senior().map(|senior| senior.node);
                let hope = if self.is_eligible() { senior } else { self.state.contact };
                let is_other = |node: &Node| *node != self.state.me.node;
                let hope = hope.filter(|node| is_other(node) && !self.is_suspected(*node));
                let told = told.iter().filter(|_| !self.is_eligible());
                let told = told.copied().map(Peer::Process);
                hope.map(Peer::Name).into_iter().chain(told).collect()
            }
        }
    }
}

// Events.
impl Step {
    fn on_message(&mut self, from: Address, message: Message) {
        self.state.suspected.remove(&from.node);
        match message {
            Message::Prepare { term, committed, held } => {
                self.on_prepare(from, term, committed, held);
            }
            Message::Promise { term, member, last, part } => {
                self.on_promise(from, term, member, last, part);
            }
            Message::Refuse { term } => self.on_refuse(from, term),
            Message::Append { term, part, committed } => {
                self.on_append(from, term, part, committed);
            }
            Message::Ack { term, member, number } => self.on_ack(from, term, member, number),
            Message::Ask { member, committed } => self.on_ask(from, member, committed),
            Message::Now => self.on_now(from),
            Message::Forward(multicast) => self.on_forward(from, multicast),
        }
    }

    fn on_down(&mut self, peer: Peer) {
        self.state.watched.remove(&peer);
        let node = peer.node();
        self.state.suspected.insert(node);
        let is_eligible = self.is_eligible();
        match &mut self.state.role {
            Role::Leading { others, .. } => {
                if let Some(other) = others.get_mut(&node) {
                    other.joins = None;
                }
                self.advance();
            }
            Role::Seeking { told } if !is_eligible => {
                told.retain(|process| process.node != node);
            }
            Role::Seeking { .. } => {
                self.state.role = Role::seeking();
                if self.most_senior() == Some(self.state.member) && self.may_win() {
                    self.campaign();
                } else {
                    self.ask(node);
                }
            }
            Role::Promised { .. } | Role::Following { .. } => {
                if self.most_senior() == Some(self.state.member) && self.may_win() {
                    self.campaign();
                } else {
                    self.seek();
                }
            }
            Role::Candidate { .. } => {}
        }
    }

    fn on_call(&mut self, tag: u8, message: Token) {
        let sequence = self.state.issued;
        self.state.issued += 1;
        self.state.pending.insert(sequence, (tag, message));
        let multicast = Multicast { origin: self.state.me, sequence, message };
        match self.state.role {
            Role::Leading { .. } => self.on_forward(self.state.me, multicast),
            Role::Following { leader, .. } => self.send(leader.node, Message::Forward(multicast)),
            Role::Seeking { .. } | Role::Promised { .. } | Role::Candidate { .. } => {}
        }
    }

    fn on_tick(&mut self) {
        self.effects.push(Effect::SetTimer);
        match self.state.role.clone() {
            Role::Leading { others, .. } => self.repeat_entries(others),
            Role::Following { leader, matched } => self.repeat_to(leader.node, matched),
            Role::Candidate { promised, .. } if self.may_win() => self.invite_all(&promised),
            Role::Candidate { .. } => {
                self.yield_to(self.state.term, Role::seeking());
                self.other_nodes().into_iter().for_each(|node| self.ask(node));
            }
            Role::Promised { to: Some(_) } => {}
            Role::Promised { to: None } => self.ask(self.state.term.owner.node),
            Role::Seeking { .. } if self.is_eligible() && self.may_win() => self.campaign(),
            Role::Seeking { told } => {
                let told: Vec<_> = told.iter().map(|process| process.node).collect();
                for node in self.other_nodes().into_iter().filter(|node| !told.contains(node)) {
                    self.ask(node);
                }
            }
        }
        if self.has_leader() {
            self.tell_waiting();
        }
    }
}

impl Role {
    pub fn seeking() -> Role {
        Role::Seeking { told: BTreeSet::new() }
    }
}

/// The last member of each node in these entries.
pub fn known(entries: &[Entry]) -> impl Iterator<Item = (Node, Address)> {
    let views = entries.iter().filter_map(|entry| match &entry.content {
        Content::View(members) => Some(members),
        Content::Multicast(_) => None,
    });
    views.flatten().map(|member| (member.node, *member))
}
