//! The leader: it numbers, commits, and changes the view.

use super::{
    Content, Message, Multicast, Other, Policy, Role, Safeguard, Service, State, Term,
    log::{After, Part, Position},
    turn::{Turn, seeking},
};
use crate::machine::{Address, NodeId};
use im::{OrdMap, Vector};
use std::cmp::Ordering;

impl<S: Service> Turn<'_, S> {
    /// What this leader knows of the others; none if it does not lead.
    pub(super) fn others(&mut self) -> Option<&mut OrdMap<NodeId, Other>> {
        match &mut self.state.role {
            Role::Leading { others, .. } => Some(others),
            Role::Seeking { .. }
            | Role::Promised { .. }
            | Role::Following { .. }
            | Role::Candidate { .. } => None,
        }
    }

    /// The others that can use the next entry: they are not suspected, and not being brought up to date. Those that are
    /// suspected get a sign of life at each tick.
    fn current_nodes(&self) -> Vec<NodeId> {
        let State { role: Role::Leading { others, .. }, suspected, giving, .. } = &self.state
        else {
            return vec![];
        };
        let is_current = |&(node, other): &(&NodeId, &Other)| {
            !suspected.contains(node) && !giving.contains_key(node) && other.catches_up.is_none()
        };
        others.iter().filter(is_current).map(|(node, _)| *node).collect()
    }

    /// Appends a multicast, if it is the next one of its origin. Only a leader does.
    pub(super) fn propose(&mut self, multicast: Multicast<S::Request>) {
        let Multicast { origin, sequence, .. } = multicast;
        let has_filter = self.group.has(Safeguard::Filter);
        let Role::Leading { next, .. } = &mut self.state.role else { return };
        let (process, expected) = next.get(&origin.node).copied().unwrap_or((origin, 0));
        let is_next = match origin.life.cmp(&process.life) {
            Ordering::Less => false,
            Ordering::Equal => sequence == expected,
            Ordering::Greater => sequence == 0,
        };
        if is_next || !has_filter {
            next.insert(origin.node, (origin, sequence + 1));
            self.append(Content::Multicast(multicast));
        }
    }

    /// Appends an entry, and sends it to all.
    fn append(&mut self, content: Content<S::Request>) {
        let before = self.log().len();
        self.push(content);
        for node in self.current_nodes() {
            self.send_after(node, before);
        }
        self.commit();
    }

    /// Sends to each what it may not hold. One that is suspected asks for it, should it be there after all.
    pub(super) fn resend(&mut self) {
        let (last, base) = (self.log().len(), self.log().base().number());
        let Some(others) = self.others() else { return };
        for (node, Other { held, .. }) in others.clone().into_iter().filter(|it| it.1.held < last) {
            if self.state.suspected.contains(&node) {
                self.send_committed(node, last);
            } else if held < base {
                // It needs a summary, or has everything and has not said so: it says which when it asks.
                self.send(node, Message::Now);
            } else {
                self.send_after(node, held);
            }
        }
    }

    /// Sends the entries after a number, possibly none, and what is committed. If there are more than one message carries,
    /// the others follow when these are held.
    fn send_after(&mut self, node: NodeId, number: u64) {
        let part = self.log().batch_after(number, self.group.batch);
        let end = part.last().number;
        let until = (end < self.log().len()).then_some(end);
        if let Some(other) = self.others().and_then(|others| others.get_mut(&node)) {
            other.catches_up = until;
        }
        self.send_append(node, part);
    }

    /// Sends only what is committed, to a process that holds everything up to a number.
    pub(super) fn send_committed(&mut self, node: NodeId, number: u64) {
        match self.log().position(number) {
            Some(position) => {
                let part = Part { after: After::Entry(position), entries: Vector::new() };
                self.send_append(node, part);
            }
            None => self.send_after(node, number),
        }
    }

    fn send_append(&mut self, node: NodeId, part: Part<S::Request, S::State>) {
        let part = self.cut(node, part);
        let (term, committed) = (self.state.term, self.state.counted.number());
        let forgotten = self.log().base().number();
        self.send(node, Message::Append { term, part, committed, forgotten });
    }

    /// A process holds everything up to a number.
    pub(super) fn acknowledged(&mut self, from: NodeId, term: Term, member: Address, number: u64) {
        let is_own = term == self.state.term;
        self.given(from, number);
        let Some(others) = self.others().filter(|_| is_own) else { return self.correct(from) };
        match others.get_mut(&member.node).filter(|other| other.member == member) {
            Some(other) if other.held < number => {
                other.held = number;
                if other.catches_up.is_some_and(|until| until <= number) {
                    self.send_after(member.node, number);
                }
                self.commit();
                self.change();
            }
            // It says so again: it does not know what is committed.
            Some(_) | None => {
                self.send_committed(member.node, number.max(self.log().base().number()));
            }
        }
        self.dismiss(member);
    }

    /// A removed member that holds its removal needs nothing more.
    fn dismiss(&mut self, member: Address) {
        let (view, newest) = self.state.newest_view();
        let is_member = newest.contains(&member);
        let is_committed = view <= self.state.counted.number();
        let Some(others) = self.others() else { return };
        let is_informed =
            |other: &Other| other.member == member && other.joins.is_none() && other.held >= view;
        if !is_member && is_committed && others.get(&member.node).is_some_and(is_informed) {
            others.remove(&member.node);
        }
    }

    /// Counts who holds what. What a majority of the newest view holds is committed, if it is of this term.
    pub(super) fn commit(&mut self) {
        let (me, last, term) = (self.member(), self.log().len(), self.state.term);
        let voters = self.voters();
        let quorum = self.quorum(voters.len());
        let Some(others) = self.others() else { return };
        let mut numbers: Vec<_> =
            voters.iter().map(|member| held_by(others, *member, me, last)).collect();
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        let Some(number) = numbers.get(quorum - 1).copied() else { return };
        if number > self.state.counted.number() && self.is_of(number, term) {
            self.deliver(number);
            for node in self.current_nodes() {
                self.send_committed(node, last);
            }
            self.change();
        }
        self.forget_what_all_hold();
    }

    pub(super) fn is_of(&self, number: u64, term: Term) -> bool {
        self.log().position(number).is_some_and(|position| position.term == Some(term))
    }

    /// Forgets what all members hold, but for the last entries. A member whose acknowledgement has not come yet may hold
    /// less than it is taken to: so it must be an entry of this term.
    fn forget_what_all_hold(&mut self) {
        let (me, last, keep) = (self.member(), self.log().len(), self.group.keep);
        let newest = self.newest();
        let Some(others) = self.others() else { return };
        let held = newest.iter().map(|member| held_by(others, *member, me, last)).min();
        if let Some(number) = held.filter(|number| self.is_of(*number, self.state.term)) {
            self.forget(number.saturating_sub(keep).min(self.promised_to_keep()));
        }
    }

    /// Changes the view by one member, if somebody is to be removed or admitted, and no change is under way.
    pub(super) fn change(&mut self) {
        let (me, committed) = (self.member(), self.state.counted.number());
        let own = self.is_of(committed, self.state.term);
        let (view, mut members) = self.state.newest_view();
        if !own {
            return;
        }
        let counted = self.state.members();
        let suspected = self.state.suspected.clone();
        let Some(others) = self.others() else { return };
        let is_replaced =
            |member: &Address| others.get(&member.node).is_some_and(|it| it.member != *member);
        let leaves = |member: &Address| {
            others.get(&member.node).is_some_and(|it| it.member == *member && it.leaves)
        };
        let is_gone = |member: &Address| {
            *member != me && (suspected.contains(&member.node) || is_replaced(member))
        };
        let is_ready = |other: &&Other| other.joins.is_some_and(|goal| other.held >= goal);
        if view > committed {
            let is_admission = members.len() == counted.len() + 1
                && counted.iter().all(|member| members.contains(member));
            let newcomer = members.iter().find(|member| !counted.contains(*member));
            if !is_admission || !newcomer.is_some_and(is_gone) {
                return;
            }
            members = counted;
        } else if let Some(gone) = members.iter().position(is_gone) {
            members.remove(gone);
        } else if !members.contains(&me) {
            members.push_back(me);
        } else if let Some(ready) = others.values().find(is_ready).copied() {
            others.insert(ready.member.node, Other { joins: None, leaves: false, ..ready });
            members.push_back(ready.member);
        } else if let Some(leaver) = members.iter().position(leaves) {
            // The last of all: without it, everybody in the view is there.
            members.remove(leaver);
        } else {
            return;
        }
        self.append(Content::View(members));
    }

    /// A process waits for this one to lead, and does not follow it. One that is in none of its views learns so. Any other is
    /// sent the last entry until it acknowledges that, though it may have done so before.
    pub(super) fn inform(&mut self, member: Address) {
        let (me, last) = (self.member(), self.log().len());
        let Some(others) = self.others().filter(|_| member.node != me.node) else { return };
        match others.get_mut(&member.node) {
            Some(other) if other.member == member => other.held = other.held.min(last - 1),
            Some(other) if other.member.life > member.life => {}
            Some(_) | None => {
                others.insert(member.node, Other::holding(member, 0));
                self.send_committed(member.node, last);
            }
        }
    }

    /// Somebody asks: it gets what it is missing, and if it is not a member, it becomes one.
    pub(super) fn bring_up(&mut self, member: Address, committed: Position) {
        let newest = self.newest();
        // What is committed elsewhere and is not held here makes this leader a former one: it will be told.
        let is_held = self.log().holds(committed);
        let held = if is_held { committed.number } else { 0 };
        self.given(member.node, held);
        let joins = (!newest.contains(&member)).then_some(self.log().len());
        let base = self.log().base().number();
        let Some(others) = self.others() else { return };
        let before = others.get(&member.node).filter(|other| other.member == member);
        let is_coming = |other: &Other| other.catches_up.is_some() && held == other.held;
        if base <= held && before.is_some_and(is_coming) {
            // What it lacks is on its way, and is sent again if it is lost. A summary would not be. Nor is anything on its way
            // to a member that holds less than a new leader takes it to.
            return;
        }
        // Whoever ran there before is gone for good, and whoever comes from then is late.
        if others.get(&member.node).is_none_or(|other| other.member.life <= member.life) {
            others.insert(member.node, Other { joins, ..Other::holding(member, held) });
            self.send_after(member.node, held);
            self.change();
            self.recount();
        }
    }

    /// A node is down: it is removed. Without a majority this process no longer leads.
    pub(super) fn lost(&mut self, node: NodeId) {
        let Some(others) = self.others() else { return };
        // It may be a former member that does not know: it is still told.
        if let Some(other) = others.get_mut(&node) {
            other.joins = None;
        }
        self.change();
        self.recount();
    }

    /// Somebody is down, or has been replaced. Without a majority of the newest view this process leads no longer. With
    /// [`Policy::Any`] it waits for one less.
    fn recount(&mut self) {
        if self.group.policy == Policy::Any {
            return self.commit();
        }
        let newest = self.newest();
        let there = newest.iter().filter(|member| self.may_answer(**member)).count();
        if self.state.leads() && there < self.quorum(newest.len()) {
            let term = self.state.term;
            self.enter(term, seeking());
        }
    }
}

/// The last entry that a member holds, as far as its leader knows, who is `me` and holds all up to `last`.
pub(super) fn held_by(
    others: &OrdMap<NodeId, Other>,
    member: Address,
    me: Address,
    last: u64,
) -> u64 {
    match others.get(&member.node) {
        _ if member == me => last,
        Some(other) if other.member == member => other.held,
        Some(_) | None => 0,
    }
}
