//! One step of a process: what every role has in common.

use super::{
    Command, Content, Envelope, Group, LONGEST_LOG, Log, Message, MessageOf, Multicast,
    Observation, ObservationOf, Pending, Role, STOPPED_ON_COMMAND, Safeguard, Service, Stable,
    StableOf, State, StateOf, TICK, Term, Timer, View,
    log::{After, Entry, Part, Position},
    size,
    summary::Summary,
};
use crate::machine::{Address, Boot, Effect, EffectOf, Event, EventOf, NodeId, Peer};
use im::{OrdMap, OrdSet, Vector};

/// A step under way.
pub(super) struct Turn<'a, S: Service> {
    pub(super) group: &'a Group<S>,
    pub(super) state: StateOf<S>,
    effects: Vec<EffectOf<Group<S>>>,
    /// What must be persisted, if anything: the entries after this one.
    unsaved: Option<u64>,
}

impl<'a, S: Service> Turn<'a, S> {
    pub(super) fn new(group: &'a Group<S>, state: StateOf<S>) -> Self {
        Self { group, state, effects: vec![], unsaved: None }
    }

    /// A process comes up: with its storage, to join through a contact, or to found a group.
    pub(super) fn start(group: &'a Group<S>, boot: Boot<StableOf<S>>) -> Self {
        let Boot { me, stable, contact } = boot;
        let (is_new, founds) = (stable.is_none(), stable.is_none() && contact.is_none());
        let member = if group.has(Safeguard::Incarnation) { me } else { me.node.first_life() };
        let Stable { member, term, part, .. } = stable.unwrap_or(Stable {
            member,
            term: Term { counter: 0, owner: member },
            forgotten: 0,
            part: Log::default().whole(),
        });
        let log = Log::from(part);
        let state = State {
            me,
            member,
            term,
            contact: contact.map(|contact| contact.node),
            counted: log.base().clone(),
            log,
            role: seeking(),
            suspected: OrdSet::new(),
            watched: OrdSet::new(),
            issued: 0,
            pending: OrdMap::new(),
            waiting: OrdSet::new(),
            is_leaving: false,
            foreign: OrdMap::new(),
            taking: None,
            giving: OrdMap::new(),
        };
        let mut turn = Self { unsaved: is_new.then_some(0), ..Self::new(group, state) };
        turn.effect(Effect::SetTimer { timer: Timer::Tick, after: TICK });
        turn.observe(Observation::Started(turn.member()));
        if turn.state.counted.number() > 0 {
            turn.report_restored();
        }
        if founds {
            turn.found(Term { counter: 1, owner: member });
        } else if turn.may_lead() {
            let owner = turn.state.term.owner;
            if owner != turn.member() {
                turn.ask_node(owner.node);
            }
        } else if let Some(contact) = contact {
            turn.ask_node(contact.node);
        } else {
            turn.ask();
        }
        turn
    }

    pub(super) fn handle(&mut self, event: EventOf<Group<S>>) {
        match event {
            Event::Message { from, message } => self.receive(from, message),
            Event::Down(peer) => self.suspect(peer),
            Event::Timeout(Timer::Tick) => self.tick(),
            Event::Timeout(Timer::Call(tag)) => self.give_up(tag),
            Event::Command(Command::Mcast(message)) => self.mcast(message, None),
            Event::Command(Command::Call { tag, request, timeout }) => {
                self.call(tag, request, timeout);
            }
            Event::Command(Command::Query { tag, request }) => self.query(tag, request),
            Event::Command(Command::Leave) => self.leave(),
            Event::Command(Command::HandOver) => self.hand_over(),
            Event::Command(Command::FoundAnew) => self.found_anew(),
            Event::Command(Command::Stop) => self.effect(Effect::Stop(STOPPED_ON_COMMAND.into())),
        }
    }

    fn receive(&mut self, from: Address, Envelope { group, message }: MessageOf<S>) {
        if let (Some(own), Some(other)) = (self.state.group(), group)
            && own != other
        {
            return self.meet_another_group(from, own, other, &message);
        }
        self.state.suspected.remove(&from.node);
        self.state.foreign.remove(&from.node);
        match message {
            Message::Prepare { term, committed, held } => {
                self.prepared(from, term, committed, held);
            }
            Message::Promise { term, member, last, part } => {
                self.promised(from, term, member, last, part);
            }
            Message::Refuse { term } => self.refused(from, term),
            Message::Append { term, part, committed, forgotten } => {
                self.append_arrived(from, term, part, committed, forgotten);
            }
            Message::Ack { term, member, number } => {
                self.acknowledged(from.node, term, member, number);
            }
            Message::Ask { member, committed } => self.asked(from.node, member, committed),
            Message::Now => self.told_to_ask(from),
            Message::More { number, pieces } => self.asked_for_more(from.node, number, pieces),
            Message::Piece { number, pieces, piece, is_last } => {
                self.piece_arrived(from, number, pieces, piece, is_last);
            }
            Message::Gone { number } => self.gone(from, number),
            Message::Forward(_) if !self.state.leads() => self.correct(from.node),
            Message::Forward(multicast) => self.propose(multicast),
            Message::Leave { member } => self.let_go(member),
            Message::TakeOver { term } => self.told_to_take_over(term),
        }
    }

    /// The next state, and the effects. What must not be forgotten is stored before anything is said.
    pub(super) fn end(mut self) -> (StateOf<S>, Vec<EffectOf<Group<S>>>) {
        self.watch();
        if let Some(number) = self.unsaved {
            let State { member, term, log, .. } = &self.state;
            let (member, term, forgotten) = (*member, *term, log.base().number());
            let part = log.part_after(number);
            let persist = Effect::Persist(Stable { member, term, forgotten, part });
            let first = if self.group.has(Safeguard::Persistence) { 0 } else { self.effects.len() };
            self.effects.insert(first, persist);
        }
        (self.state, self.effects)
    }

    pub(super) fn effect(&mut self, effect: EffectOf<Group<S>>) {
        self.effects.push(effect);
    }

    pub(super) fn observe(&mut self, observation: ObservationOf<S>) {
        self.effect(Effect::Observe(observation));
    }

    /// Sends to whoever runs at a node now.
    pub(super) fn send(&mut self, to: NodeId, message: Message<S::Request, S::State>) {
        let message = Envelope { group: self.state.group(), message };
        self.effect(Effect::Send { to: Peer::Name(to), message });
    }

    pub(super) fn member(&self) -> Address {
        self.state.member
    }

    pub(super) fn log(&self) -> &Log<S::Request, S::State> {
        &self.state.log
    }

    /// The last entry that it knows to be committed.
    pub(super) fn committed(&self) -> Position {
        self.state.counted.last
    }

    /// What it must not forget has changed: the term, or the entries after this one.
    pub(super) fn changed(&mut self, number: u64) {
        self.unsaved = Some(self.unsaved.map_or(number, |before| before.min(number)));
    }

    /// Appends an entry to its log.
    pub(super) fn push(&mut self, content: Content<S::Request>) {
        self.changed(self.log().len());
        let term = self.state.term;
        self.state.log.push(Entry { term, content });
    }

    /// Takes over a part of a log that is better than its own. False if it lacks the entry before that, or if no log can be
    /// that long: a summary with such a number would be stored, and no number would be left.
    pub(super) fn take(&mut self, from: Address, part: Part<S::Request, S::State>) -> bool {
        if part.last().number > LONGEST_LOG {
            return false;
        }
        let previous = match part.after {
            After::Entry(previous) => previous,
            After::Beginning(base) => {
                self.begin_taking(from, base);
                return false;
            }
            After::Summary(base) => {
                let previous = base.last;
                if !self.log().holds(previous) {
                    self.restore(base);
                }
                previous
            }
        };
        let is_held = self.log().holds(previous);
        if is_held && let Some(number) = self.state.log.take(previous.number, &part.entries) {
            self.changed(number);
        }
        is_held
    }

    /// Begins with what others have forgotten. All of that is committed, and is more than is committed here.
    pub(super) fn restore(&mut self, base: Summary<S::State>) {
        self.begin_after(base);
        self.report_restored();
        self.forget_answered();
    }

    /// Holds a summary, and no entry after it.
    pub(super) fn begin_after(&mut self, base: Summary<S::State>) {
        self.changed(0);
        self.state.counted = base.clone();
        self.state.log = Log::from(Part { after: After::Summary(base), entries: Vector::new() });
    }

    fn report_restored(&mut self) {
        let Summary { last, view, application, .. } = self.state.counted.clone();
        self.observe(Observation::Restored { number: last.number, state: application });
        if let Some(view) = view {
            self.observe(Observation::Installed(view));
        }
    }

    /// Forgets the entries up to a number, as far as they are committed.
    pub(super) fn forget(&mut self, number: u64) {
        let number = number.min(self.state.counted.number());
        // What is stored may remember more: the next change that is persisted says what is forgotten.
        self.state.log.forget(&self.group.service, number);
    }

    /// The members of the newest view that it holds, committed or not.
    pub(super) fn newest(&self) -> Vector<Address> {
        self.state.newest_view().1
    }

    /// The nodes in the last committed view. Whoever leads next knows them, too.
    pub(super) fn known_nodes(&self) -> OrdSet<NodeId> {
        self.state.members().into_iter().map(|member| member.node).collect()
    }

    /// True if it is a member of that view: it may lead.
    pub(super) fn may_lead(&self) -> bool {
        self.newest().contains(&self.member())
    }

    /// Takes on a term and a role. Outsiders that rely on the former role learn when there is a leader.
    pub(super) fn enter(&mut self, term: Term, role: Role) {
        let asked: OrdSet<NodeId> = self.asked_for_promises().map(|member| member.node).collect();
        if self.state.term != term {
            self.changed(self.log().len());
            self.state.term = term;
        }
        if self.state.leads() && !matches!(role, Role::Leading { .. }) {
            self.observe(Observation::Deposed);
        }
        let left = match std::mem::replace(&mut self.state.role, role) {
            Role::Leading { others, .. } => others.keys().copied().collect(),
            Role::Candidate { promised, invited, .. } => {
                promised.iter().map(|member| member.node).chain(invited).chain(asked).collect()
            }
            Role::Seeking { .. } | Role::Promised { .. } | Role::Following { .. } => OrdSet::new(),
        };
        let outside = left.relative_complement(self.known_nodes()).without(&self.member().node);
        self.state.waiting = self.state.waiting.clone().union(outside);
    }

    /// Monitors whoever matters in its role, and nobody else.
    fn watch(&mut self) {
        let State { role, term, suspected, contact, taking, .. } = &self.state;
        let giver = taking.as_ref().map(|taking| Peer::Process(taking.from));
        let wanted: OrdSet<Peer> = match role {
            Role::Leading { others, .. } => others.keys().copied().map(Peer::Name).collect(),
            Role::Promised { to: Some(owner) } | Role::Following { leader: owner, .. } => {
                OrdSet::unit(Peer::Process(*owner))
            }
            Role::Promised { to: None } => OrdSet::unit(Peer::Name(term.owner.node)),
            Role::Seeking { .. } if self.may_lead() => {
                self.successor().map(|successor| Peer::Name(successor.node)).into_iter().collect()
            }
            Role::Seeking { told } => {
                let told = told.iter().copied().map(Peer::Process);
                told.chain(contact.map(Peer::Name)).collect()
            }
            Role::Candidate { reading, .. } => {
                let read = reading.iter().map(|reading| Peer::Process(reading.from));
                let voters = self.voters().into_iter().map(|member| Peer::Name(member.node));
                read.chain(voters).collect()
            }
        };
        let me = self.member().node;
        let is_possible = |peer: &Peer| peer.node() != me && !suspected.contains(&peer.node());
        let wanted: OrdSet<Peer> = wanted.into_iter().chain(giver).filter(is_possible).collect();
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
        self.state.giving.remove(&node);
        self.state.taking.take_if(|taking| taking.from.node == node);
        let may_lead = self.may_lead();
        match &mut self.state.role {
            Role::Leading { .. } => self.lost(node),
            Role::Promised { .. } | Role::Following { .. } => self.succeed(node),
            Role::Seeking { .. } if may_lead => self.succeed(node),
            Role::Seeking { told } => {
                *told = told.iter().copied().filter(|process| process.node != node).collect();
            }
            Role::Candidate { reading, .. } => {
                reading.take_if(|reading| reading.from.node == node);
                self.count_promises();
            }
        }
    }

    /// Repeats whatever may have been lost.
    fn tick(&mut self) {
        self.effect(Effect::SetTimer { timer: Timer::Tick, after: TICK });
        self.ask_for_more();
        match self.state.role.clone() {
            Role::Leading { .. } => self.resend(),
            Role::Candidate { .. } if self.may_win() => self.prepare_again(),
            Role::Candidate { .. } => self.give_up_candidacy(),
            Role::Following { matched, .. } => {
                if matched > self.state.counted.number() {
                    self.acknowledge(matched);
                }
                self.forward_first(self.group.batch);
                // In a former life it may have acknowledged its removal, and its leader has forgotten it.
                let has_held_more = matched < self.log().len();
                if has_held_more || !self.state.is_member() && !self.state.is_leaving {
                    self.ask();
                }
            }
            Role::Seeking { .. } if self.may_lead() && self.may_win() => self.take_over(),
            Role::Seeking { .. } | Role::Promised { to: None } => self.ask(),
            Role::Promised { to: Some(_) } => {}
        }
        if self.state.leader().is_some() {
            self.call_waiting();
        }
        if self.state.is_leaving {
            self.leave();
        }
    }

    pub(super) fn forward(&mut self, multicast: Multicast<S::Request>) {
        match self.state.role {
            Role::Leading { .. } => self.propose(multicast),
            Role::Following { .. } => {
                let leader = self.state.term.owner.node;
                self.send(leader, Message::Forward(multicast));
            }
            Role::Seeking { .. } | Role::Promised { .. } | Role::Candidate { .. } => {}
        }
    }

    /// Forwards what it has sent and not delivered, in order.
    pub(super) fn forward_pending(&mut self) {
        self.forward_first(u64::MAX);
    }

    /// The same, but only the first ones: as many as are this large in bytes, and one at least. The others are of no use before
    /// those.
    fn forward_first(&mut self, most: u64) {
        if !self.group.has(Safeguard::Resend) {
            return;
        }
        let pending = self.state.pending.clone();
        let messages =
            pending.iter().map(|(sequence, Pending { message, .. })| (*sequence, message));
        for (sequence, message) in size::first(messages, most) {
            let (origin, message) = (self.state.me, message.clone());
            self.forward(Multicast { origin, sequence, message });
        }
    }

    /// Asks for what is missing: the owner of its term if it waits for that one, otherwise all who may know a leader.
    pub(super) fn ask(&mut self) {
        let me = self.member().node;
        let targets: OrdSet<NodeId> = match &self.state.role {
            Role::Following { .. } | Role::Promised { .. } => {
                OrdSet::unit(self.state.term.owner.node)
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

    /// One that is being given a summary asks when it has all of it: the answer would begin another one.
    pub(super) fn ask_node(&mut self, node: NodeId) {
        if self.state.taking.is_some() {
            return;
        }
        let (member, committed) = (self.member(), self.committed());
        self.send(node, Message::Ask { member, committed });
    }

    /// Somebody asks. The leader answers; without one, the answer has to wait. A follower that has forwarded this learns that
    /// its leader leads no more. Whoever was told to wait is still told when there is another leader: what is forwarded to
    /// this one may be in vain.
    pub(super) fn asked(&mut self, from: NodeId, member: Address, committed: Position) {
        let node = member.node;
        if !matches!(self.state.role, Role::Following { .. }) {
            self.state.waiting.remove(&node);
        }
        if self.state.relies_on(node) {
            // A leader or candidate asks nobody: it is none any more.
            self.state.role = seeking();
        }
        match self.state.role {
            Role::Leading { .. } => self.bring_up(member, committed),
            Role::Following { .. } => {
                let leader = self.state.term.owner.node;
                self.send(leader, Message::Ask { member, committed });
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
        if self.state.taking.as_ref().is_some_and(|taking| taking.from == from) {
            return self.ask_for_more();
        }
        let is_outside = !self.may_lead();
        match &mut self.state.role {
            // It knows better; and a follower that its leader asks leaves it.
            Role::Leading { .. } => return,
            Role::Seeking { told } => drop(told.remove(&from)),
            Role::Promised { to: Some(owner) } if *owner == from && is_outside => {
                self.state.role = seeking();
            }
            Role::Promised { .. } | Role::Following { .. } | Role::Candidate { .. } => {}
        }
        self.ask_node(from.node);
    }

    /// The leader sends entries.
    fn append_arrived(
        &mut self,
        from: Address,
        term: Term,
        part: Part<S::Request, S::State>,
        committed: u64,
        forgotten: u64,
    ) {
        let promised = self.state.term;
        if term < promised && self.group.has(Safeguard::Fence) {
            return self.correct(from.node);
        }
        if term != promised || !matches!(self.state.role, Role::Following { .. }) {
            self.follow(term, from);
        }
        let was_member = self.state.is_member();
        let (number, is_new) = (part.last().number, part.has_news());
        if !self.take(from, part) {
            return self.ask_node(from.node);
        }
        if let Role::Following { matched, .. } = &mut self.state.role {
            *matched = number.max(*matched);
        }
        self.deliver(committed.min(number));
        self.forget(forgotten);
        if is_new {
            self.acknowledge(number);
        }
        if was_member && !self.state.is_member() {
            if self.state.is_leaving {
                self.leave();
            } else {
                self.ask_node(from.node);
            }
        }
    }

    fn follow(&mut self, term: Term, leader: Address) {
        self.enter(term, Role::Following { leader, matched: 0 });
        // From now on the leader watches the others. What this process believes of them would grow old.
        self.state.suspected = OrdSet::new();
        self.state.waiting.remove(&leader.node);
        self.forward_pending();
        if self.state.is_leaving {
            // It must know before it hands over to this one.
            self.leave();
        }
        self.call_waiting();
    }

    fn acknowledge(&mut self, number: u64) {
        let Term { owner, .. } = self.state.term;
        let (term, member) = (self.state.term, self.member());
        self.send(owner.node, Message::Ack { term, member, number });
    }

    /// Delivers everything up to a number.
    pub(super) fn deliver(&mut self, committed: u64) {
        while self.state.counted.number() < committed {
            let number = self.state.counted.number() + 1;
            let Some(entry) = self.log().get(number).cloned() else { return };
            let reply = self.state.counted.add(&self.group.service, &entry);
            match entry.content {
                Content::View(members) => {
                    let view = View { number, term: entry.term, members };
                    self.observe(Observation::Installed(view));
                }
                Content::Multicast(Multicast { origin, sequence, message }) => {
                    self.observe(Observation::Delivered { number, origin, sequence, message });
                    if origin == self.state.me {
                        self.answer(sequence, reply);
                    }
                }
            }
        }
    }
}

/// It knows nobody.
pub(super) fn seeking() -> Role {
    Role::Seeking { told: OrdSet::new() }
}
