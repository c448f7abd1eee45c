//! What a leader does: numbers, counts, and changes the view.

use super::{
    Content, Message, Multicast, Other, Role, Safeguard, Term,
    log::{Entry, Position},
    turn::{Turn, seeking},
};
use crate::machine::{Address, NodeId, Value};
use im::{OrdMap, Vector};
use std::cmp::Ordering;

impl<T: Value> Turn<'_, T> {
    /// What this leader knows of the others; none if it does not lead.
    fn others(&mut self) -> Option<&mut OrdMap<NodeId, Other>> {
        match &mut self.state.role {
            Role::Leading { others } => Some(others),
            Role::Seeking { .. }
            | Role::Promised { .. }
            | Role::Following { .. }
            | Role::Candidate { .. } => None,
        }
    }

    fn other_nodes(&mut self) -> Vec<NodeId> {
        self.others().map_or_else(Vec::new, |others| others.keys().copied().collect())
    }

    /// Appends a multicast, if it is the next one of its origin. Only a leader does.
    pub(super) fn propose(&mut self, multicast: Multicast<T>) {
        let Multicast { origin, sequence, .. } = multicast;
        if !self.state.leads() {
            return;
        }
        let (life, next) = self.next_of(origin.node);
        let is_next = match origin.life.cmp(&life) {
            Ordering::Less => false,
            Ordering::Equal => sequence == next,
            Ordering::Greater => sequence == 0,
        };
        if is_next || !self.group.has(Safeguard::Filter) {
            self.append(Content::Multicast(multicast));
        }
    }

    /// The next multicast of a node: its life, and its sequence number. What does not count yet is included.
    fn next_of(&self, node: NodeId) -> (u32, u64) {
        let tail = self.log().after(self.state.committed);
        let of_node = tail.iter().rev().find_map(|entry| match &entry.content {
            Content::Multicast(Multicast { origin, sequence, .. }) if origin.node == node => {
                Some((origin.life, sequence + 1))
            }
            Content::Multicast(_) | Content::View(_) => None,
        });
        of_node.or_else(|| self.state.next.get(&node).copied()).unwrap_or((0, 0))
    }

    /// Appends an entry, and sends it to all.
    fn append(&mut self, content: Content<T>) {
        let before = self.log().len();
        let term = self.state.stable.term;
        self.stable().log.push(Entry { term, content });
        for node in self.other_nodes() {
            self.send_after(node, before);
        }
        self.commit();
    }

    /// Sends to each what it may not hold.
    pub(super) fn resend(&mut self) {
        let last = self.log().len();
        let Some(others) = self.others() else { return };
        for (node, Other { held, .. }) in others.clone().into_iter().filter(|it| it.1.held < last) {
            self.send_after(node, held);
        }
    }

    /// Sends all entries after a number, possibly none, and which entries count.
    fn send_after(&mut self, node: NodeId, number: u64) {
        self.send_append(node, number, self.log().after(number));
    }

    /// Sends only which entries count, to a process that holds everything up to a number.
    pub(super) fn send_committed(&mut self, node: NodeId, number: u64) {
        self.send_append(node, number, Vector::new());
    }

    fn send_append(&mut self, node: NodeId, number: u64, entries: Vector<Entry<T>>) {
        let Some(previous) = self.log().position(number) else { return };
        let (term, committed) = (self.state.stable.term, self.state.committed);
        self.send(node, Message::Append { term, previous, entries, committed });
    }

    /// A process holds everything up to a number.
    pub(super) fn acknowledged(&mut self, from: NodeId, term: Term, member: Address, number: u64) {
        let is_own = term == self.state.stable.term;
        let Some(others) = self.others().filter(|_| is_own) else { return self.correct(from) };
        match others.get_mut(&member.node).filter(|other| other.member == member) {
            Some(other) if other.held < number => {
                other.held = number;
                self.commit();
                self.change();
            }
            // It says so again: it does not know what counts.
            Some(_) | None => self.send_committed(member.node, number),
        }
        self.dismiss(member);
    }

    /// A removed member that holds its removal needs nothing more.
    fn dismiss(&mut self, member: Address) {
        let view = self.log().last_view(self.log().len());
        let is_member = self.newest().contains(&member);
        let counts = view <= self.state.committed;
        let Some(others) = self.others() else { return };
        let is_informed = |other: &Other| !other.joins && other.held >= view;
        if !is_member && counts && others.get(&member.node).is_some_and(is_informed) {
            others.remove(&member.node);
        }
    }

    /// Counts who holds what. What a majority of the newest view holds counts, if it is of this term.
    pub(super) fn commit(&mut self) {
        let (me, last, term) = (self.me(), self.log().len(), self.state.stable.term);
        let newest = self.newest();
        let quorum = self.quorum(newest.len());
        let Some(others) = self.others() else { return };
        let holds = |member: &Address| match others.get(&member.node) {
            _ if *member == me => last,
            Some(other) if other.member == *member => other.held,
            Some(_) | None => 0,
        };
        let mut numbers: Vec<_> = newest.iter().map(holds).collect();
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        let Some(number) = numbers.get(quorum - 1).copied() else { return };
        if number > self.state.committed && self.is_of(number, term) {
            self.deliver(number);
            for node in self.other_nodes() {
                self.send_committed(node, last);
            }
            self.change();
        }
    }

    fn is_of(&self, number: u64, term: Term) -> bool {
        self.log().get(number).is_some_and(|entry| entry.term == term)
    }

    /// Changes the view by one member, if somebody is to be removed or admitted, and no change is under way.
    fn change(&mut self) {
        let (me, last, committed) = (self.me(), self.log().len(), self.state.committed);
        let own = self.is_of(committed, self.state.stable.term);
        if !own || self.log().last_view(last) > committed {
            return;
        }
        let mut members = self.newest();
        let suspected = self.state.suspected.clone();
        let Some(others) = self.others() else { return };
        let is_replaced =
            |member: &Address| others.get(&member.node).is_some_and(|it| it.member != *member);
        let is_gone = |member: &Address| {
            *member != me && (suspected.contains(&member.node) || is_replaced(member))
        };
        let is_ready = |other: &&Other| other.joins && other.held == last;
        if let Some(gone) = members.iter().position(is_gone) {
            members.remove(gone);
        } else if !members.contains(&me) {
            members.push_back(me);
        } else if let Some(ready) = others.values().find(is_ready).copied() {
            others.insert(ready.member.node, Other { joins: false, ..ready });
            members.push_back(ready.member);
        } else {
            return;
        }
        self.append(Content::View(members));
    }

    /// A process waits for this one to lead, and is in none of its views: it learns so.
    pub(super) fn inform(&mut self, member: Address) {
        let (me, last) = (self.me(), self.log().len());
        let Some(others) = self.others().filter(|_| member.node != me.node) else { return };
        if others.get(&member.node).is_none_or(|other| other.member.life < member.life) {
            others.insert(member.node, Other { member, held: 0, joins: false });
            self.send_committed(member.node, last);
        }
    }

    /// Somebody asks: it gets what it is missing, and if it is not a member, it becomes one.
    pub(super) fn bring_up(&mut self, member: Address, committed: Position) {
        let newest = self.newest();
        // What counts elsewhere and is not held here makes this leader a former one: it will be told.
        let is_held = self.log().position(committed.number) == Some(committed);
        let held = if is_held { committed.number } else { 0 };
        let joins = !newest.contains(&member);
        let Some(others) = self.others() else { return };
        // Whoever ran there before is gone for good, and whoever comes from then is late.
        if others.get(&member.node).is_none_or(|other| other.member.life <= member.life) {
            others.insert(member.node, Other { member, held, joins });
            self.send_after(member.node, held);
            self.change();
            self.check_majority();
        }
    }

    /// A node is down: it is removed. Without a majority this process no longer leads.
    pub(super) fn lost(&mut self, node: NodeId) {
        let Some(others) = self.others() else { return };
        // It may be a former member that does not know: it is still told.
        if let Some(other) = others.get_mut(&node) {
            other.joins = false;
        }
        self.change();
        self.check_majority();
    }

    /// Leads no longer if a majority of the newest view is down, or has been replaced.
    fn check_majority(&mut self) {
        let (me, newest, suspected) = (self.me(), self.newest(), self.state.suspected.clone());
        let Some(others) = self.others() else { return };
        let may_answer = |member: &&Address| {
            let is_there = others.get(&member.node).is_some_and(|other| other.member == **member);
            **member == me || is_there && !suspected.contains(&member.node)
        };
        if newest.iter().filter(may_answer).count() < self.quorum(newest.len()) {
            let term = self.state.stable.term;
            self.enter(term, seeking());
        }
    }
}
