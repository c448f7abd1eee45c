//! With a leader: what it appends, who acknowledges it, and what is committed.

use super::{
    part::{
        Address, Content, Entry, Message, Multicast, Node, Observation, Other, Part, Position,
        Role, Term, View,
    },
    process::{Step, is_majority, known},
};
use std::collections::{BTreeMap, BTreeSet};

// The leader.
impl Step {
    pub fn has_leader(&self) -> bool {
        matches!(self.state.role, Role::Leading { .. } | Role::Following { .. })
    }

    fn others(&self) -> BTreeMap<Node, Other> {
        match &self.state.role {
            Role::Leading { others, .. } => others.clone(),
            Role::Seeking { .. }
            | Role::Promised { .. }
            | Role::Following { .. }
            | Role::Candidate { .. } => BTreeMap::new(),
        }
    }

    /// Whoever was a member once may not know that it is none. Of members it takes for granted what is committed, of
    /// others nothing, whatever they have promised.
    pub fn lead(&mut self, promised: &BTreeSet<Address>) {
        let uncommitted = &self.state.log[self.committed()..];
        let mut next = self.state.counted.next.clone();
        for entry in uncommitted {
            if let Content::Multicast(multicast) = &entry.content {
                next.insert(multicast.origin.node, (multicast.origin, multicast.sequence + 1));
            }
        }
        let mut all = self.state.counted.known.clone();
        all.extend(known(uncommitted));
        all.remove(&self.state.me.node);
        let mut view = self.newest_view();
        let other = |(node, member)| {
            let held = if view.contains(&member) { self.committed() } else { 0 };
            (node, Other { member, held, joins: None })
        };
        let others = all.into_iter().map(other).collect();
        self.state.role = Role::Leading { others, next };
        self.observe(Observation::Elected(self.state.term));
        if view.is_empty() {
            view.push(self.state.member);
        }
        self.begin(view);
        let me = self.state.member;
        promised.iter().filter(|member| **member != me).for_each(|member| self.meet(*member));
        self.advance();
        for multicast in self.own_pending() {
            self.on_forward(self.state.me, multicast);
        }
        self.tell_waiting();
    }

    /// Its first entry is its newest view again.
    fn begin(&mut self, view: Vec<Address>) {
        self.state.log.push(Entry { term: self.state.term, content: Content::View(view) });
        self.repeat_entries(self.others());
    }

    /// Suspected processes are told where the log ends.
    pub fn repeat_entries(&mut self, others: BTreeMap<Node, Other>) {
        for (node, other) in others {
            if other.held < self.length() {
                let after = if self.is_suspected(node) { self.length() } else { other.held };
                self.give(node, after);
            }
        }
    }

    pub fn give(&mut self, to: Node, after: usize) {
        let (term, committed, part) = (self.state.term, self.committed(), self.part_after(after));
        self.send(to, Message::Append { term, part, committed });
    }

    fn give_all(&mut self, after: usize) {
        for node in self.others().into_keys() {
            if !self.is_suspected(node) {
                self.give(node, after);
            }
        }
    }

    fn append(&mut self, content: Content) {
        let before = self.length();
        self.state.log.push(Entry { term: self.state.term, content });
        self.give_all(before);
    }

    /// Commits what a majority holds, and changes the view where that is due. Without a majority it leads no more.
    pub fn advance(&mut self) {
        loop {
            let number = self.held_by_majority();
            if number > self.committed() {
                self.commit(number);
                self.give_all(self.length());
            }
            let Some(view) = self.next_view() else { break };
            if let Role::Leading { others, .. } = &mut self.state.role {
                let admitted = |other: &&mut Other| view.contains(&other.member);
                others.values_mut().filter(admitted).for_each(|other| other.joins = None);
            }
            self.append(Content::View(view));
        }
        let view = self.newest_view();
        let left = view.iter().filter(|member| !self.is_gone(member)).count();
        if !is_majority(left, view.len()) {
            self.observe(Observation::Deposed);
            self.keep_asked_waiting();
            self.seek();
        }
    }

    /// A member is suspected, or another one has come to its node.
    fn is_gone(&self, member: &Address) -> bool {
        let other = self.others().remove(&member.node);
        self.is_suspected(member.node) || other.is_some_and(|other| other.member != *member)
    }

    /// The last entry of its own term that a majority of the newest view holds.
    fn held_by_majority(&self) -> usize {
        let (others, view) = (self.others(), self.newest_view());
        let holds = |member: &&Address, number| {
            let holds = |other: &Other| other.member == **member && other.held >= number;
            **member == self.state.member || others.get(&member.node).is_some_and(holds)
        };
        let is_held = |number: &usize| {
            let some = view.iter().filter(|member| holds(member, *number)).count();
            is_majority(some, view.len())
        };
        let is_own = |number: &usize| self.position(*number).term == Some(self.state.term);
        (1..=self.length()).rev().filter(is_own).find(is_held).unwrap_or(0)
    }

    /// The change of the view that is due. It removes the most senior of those that are gone, and admits the newcomer of
    /// the first node.
    fn next_view(&self) -> Option<Vec<Address>> {
        let mut view = self.newest_view();
        let own_term = Some(self.state.term);
        let is_committed = self.newest_view_number() <= self.committed();
        if !is_committed || self.position(self.committed()).term != own_term {
            return self.without_newcomer();
        }
        if let Some(gone) = view.iter().position(|member| self.is_gone(member)) {
            view.remove(gone);
        } else if !view.contains(&self.state.member) {
            view.push(self.state.member);
        } else {
            let others = self.others();
            let is_ready = |other: &&Other| other.joins.is_some_and(|number| other.held >= number);
            view.push(others.values().find(is_ready)?.member);
        }
        Some(view)
    }

    /// An admission that is not committed is taken back if the newcomer is gone.
    fn without_newcomer(&self) -> Option<Vec<Address>> {
        let mut views = self.views();
        let ((_, view), (before, members)) = (views.next()?, views.next()?);
        let newcomer = view.last()?;
        let is_admission = view.split_last()?.1 == &members[..] && before <= self.committed();
        (is_admission && self.is_gone(newcomer)).then(|| members.clone())
    }

    /// Takes note of a process that has promised, if its node was known by another member: it is told where the log
    /// ends, so that it asks. One that was known has to acknowledge the last entry once more.
    pub fn meet(&mut self, member: Address) {
        let length = self.length();
        let Role::Leading { others, .. } = &mut self.state.role else { return };
        match others.get_mut(&member.node) {
            Some(other) if other.member == member => other.held = other.held.min(length - 1),
            _ => {
                others.insert(member.node, Other { member, held: 0, joins: None });
                self.give(member.node, length);
            }
        }
    }

    /// What says nothing new is answered, as its sender may not know what is committed.
    pub fn on_ack(&mut self, from: Address, term: Term, member: Address, number: usize) {
        let Role::Leading { others, .. } = &mut self.state.role else {
            return self.correct(from.node);
        };
        if term < self.state.term {
            return self.correct(from.node);
        }
        match others.get_mut(&member.node) {
            Some(other) if other.member == member && number > other.held => other.held = number,
            _ => {
                let part = Part { after: self.position(number), entries: vec![] };
                let committed = self.committed();
                self.send(from.node, Message::Append { term, part, committed });
            }
        }
        self.let_go(member);
        self.advance();
    }

    /// A process that is no member and knows that, since it holds the view, is let go. The view is committed.
    fn let_go(&mut self, member: Address) {
        let (members, view) = (self.members(), self.newest_view_number());
        let is_committed = view <= self.committed();
        let is_over = |other: &Other| {
            other.joins.is_none() && other.held >= view && !members.contains(&other.member)
        };
        if let Role::Leading { others, .. } = &mut self.state.role
            && is_committed
            && others.get(&member.node).is_some_and(is_over)
        {
            others.remove(&member.node);
        }
    }

    /// Of one that has something else committed nothing is known. A former member of a node is over.
    pub fn answer(&mut self, member: Address, committed: Position) {
        let held = if self.holds(committed) { committed.number } else { 0 };
        let is_member = self.newest_view().contains(&member);
        let end = self.length();
        let Role::Leading { others, .. } = &mut self.state.role else { return };
        let known = others.get(&member.node);
        if known.is_some_and(|other| other.member > member) {
            return;
        }
        let joins = known.and_then(|other| other.joins);
        let joins = if is_member { joins } else { Some(end) };
        others.insert(member.node, Other { member, held, joins });
        self.give(member.node, held);
        self.advance();
    }

    pub fn on_forward(&mut self, from: Address, multicast: Multicast) {
        if matches!(self.state.role, Role::Leading { .. }) {
            self.add(multicast);
            self.advance();
        } else {
            self.correct(from.node);
        }
    }

    /// Appends a multicast, unless it did so before. Those of a process come in order.
    fn add(&mut self, multicast: Multicast) {
        let Role::Leading { next, .. } = &mut self.state.role else { return };
        let Multicast { origin, sequence, .. } = multicast;
        let expected = match next.get(&origin.node) {
            Some((process, number)) if *process == origin => Some(*number),
            Some((process, _)) if *process > origin => None,
            Some(_) | None => Some(0),
        };
        if expected == Some(sequence) {
            next.insert(origin.node, (origin, sequence + 1));
            self.append(Content::Multicast(multicast));
        }
    }
}

// Followers, and what is committed.
impl Step {
    pub fn on_append(&mut self, from: Address, term: Term, part: Part, committed: usize) {
        if term < self.state.term {
            return self.correct(from.node);
        }
        self.follow(from, term);
        if !self.holds(part.after) {
            return self.ask(from.node);
        }
        let (last, has_news) = (part.last().number, !part.entries.is_empty());
        self.take(part);
        if let Role::Following { matched, .. } = &mut self.state.role {
            *matched = last.max(*matched);
        }
        let was_member = self.is_member();
        self.commit(committed.min(last));
        if has_news {
            let member = self.state.member;
            self.send(from.node, Message::Ack { term, member, number: last });
        }
        if was_member && !self.is_member() {
            self.ask(from.node);
        }
    }

    fn follow(&mut self, from: Address, term: Term) {
        match self.state.role {
            Role::Following { leader, .. } if leader == from && term == self.state.term => {}
            _ => {
                self.yield_to(term, Role::Following { leader: from, matched: 0 });
                self.state.suspected.clear();
                self.state.waiting.remove(&from.node);
                self.forward_to(from.node);
                self.tell_waiting();
            }
        }
    }

    fn forward_to(&mut self, leader: Node) {
        for multicast in self.own_pending() {
            self.send(leader, Message::Forward(multicast));
        }
    }

    fn own_pending(&self) -> Vec<Multicast> {
        let origin = self.state.me;
        let pending = self.state.pending.clone().into_iter();
        pending.map(|(sequence, (_, message))| Multicast { origin, sequence, message }).collect()
    }

    /// At a tick.
    pub fn repeat_to(&mut self, leader: Node, matched: usize) {
        if matched > self.committed() {
            let (term, member) = (self.state.term, self.state.member);
            self.send(leader, Message::Ack { term, member, number: matched });
        }
        self.forward_to(leader);
        if !self.is_member() || self.length() > matched {
            self.ask(leader);
        }
    }

    /// A process that asks whom it leads, or wants to lead, leads no more.
    pub fn on_ask(&mut self, from: Address, member: Address, committed: Position) {
        if !matches!(self.state.role, Role::Following { .. }) {
            self.state.waiting.remove(&member.node);
        }
        match self.state.role {
            Role::Leading { .. } => return self.answer(member, committed),
            Role::Candidate { .. } => return self.invite(member.node),
            Role::Following { leader, .. } if leader.node != member.node => {
                return self.send(leader.node, Message::Ask { member, committed });
            }
            Role::Promised { to: Some(candidate) } if candidate.node != member.node => {}
            Role::Promised { to: None } | Role::Seeking { .. } => {}
            Role::Following { .. } | Role::Promised { to: Some(_) } => {
                self.state.role = Role::seeking();
            }
        }
        self.state.waiting.insert(member.node);
        for to in BTreeSet::from([from.node, member.node]) {
            self.refuse(to);
        }
    }

    /// Delivers the entries up to this one.
    fn commit(&mut self, number: usize) {
        for number in self.committed() + 1..=number {
            let Entry { term, content } = self.state.log[number - 1].clone();
            let counted = &mut self.state.counted;
            counted.number = number;
            counted.group.get_or_insert(term.owner);
            match content {
                Content::View(members) => {
                    counted.known.extend(members.iter().map(|member| (member.node, *member)));
                    let view = View { number, term, members };
                    counted.view = Some(view.clone());
                    self.observe(Observation::Installed(view));
                }
                Content::Multicast(multicast) => self.deliver(number, multicast),
            }
        }
    }

    fn deliver(&mut self, number: usize, Multicast { origin, sequence, message }: Multicast) {
        self.state.counted.next.insert(origin.node, (origin, sequence + 1));
        self.state.counted.application.push(message);
        self.observe(Observation::Delivered { number, origin, sequence, message });
        if origin == self.state.me
            && let Some((tag, _)) = self.state.pending.remove(&sequence)
        {
            self.observe(Observation::Replied { tag });
        }
    }
}
