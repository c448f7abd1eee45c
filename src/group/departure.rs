//! Leaving the group, and handing leadership over.

use super::{LEFT, Message, Role, Service, Term, leader::held_by, turn::Turn};
use crate::machine::{Address, Effect};

impl<S: Service> Turn<'_, S> {
    /// Asks to be removed, and ends once that is committed. A leader has another member take over first.
    pub(super) fn leave(&mut self) {
        self.state.is_leaving = true;
        let (member, leader) = (self.member(), self.state.term.owner.node);
        let is_last = self.state.leads() && self.newest().iter().all(|other| *other == member);
        if is_last || !self.state.is_member() && !self.may_lead() {
            return self.effect(Effect::Stop(LEFT.into()));
        }
        match self.state.role {
            Role::Leading { .. } => self.hand_over(),
            Role::Following { .. } => self.send(leader, Message::Leave { member }),
            Role::Seeking { .. } | Role::Promised { .. } | Role::Candidate { .. } => {}
        }
    }

    /// A member wants to be removed.
    pub(super) fn let_go(&mut self, member: Address) {
        let Some(others) = self.others() else { return };
        if let Some(other) = others.get_mut(&member.node).filter(|other| other.member == member) {
            other.leaves = true;
            self.change();
        }
    }

    /// Has another member take over, which this leader learns from its candidacy.
    pub(super) fn hand_over(&mut self) {
        let (newest, last, term) = (self.newest(), self.log().len(), self.state.term);
        let me = self.member();
        let suspected = self.state.suspected.clone();
        let Some(others) = self.others() else { return };
        let is_ready = |member: &&Address| {
            let other = others.get(&member.node).filter(|other| other.member == **member);
            other.is_some_and(|other| !other.leaves) && !suspected.contains(&member.node)
        };
        let held = |member: &&Address| held_by(others, **member, me, last);
        // Of those that hold equally much, the most senior one.
        if let Some(next) = newest.iter().rev().filter(is_ready).max_by_key(held) {
            self.send(next.node, Message::TakeOver { term });
        }
    }

    /// The leader hands over.
    pub(super) fn told_to_take_over(&mut self, term: Term) {
        let follows = matches!(self.state.role, Role::Following { .. });
        if follows && term == self.state.term && self.may_lead() {
            self.take_over();
        }
    }
}
