//! Processes of another group.

use super::{Message, Observation, Service, turn::Turn};
use crate::machine::{Address, Effect};

impl<S: Service> Turn<'_, S> {
    /// A process of another group has sent something. Two groups among the same nodes are a mistake: a node has founded one
    /// although there was one. The later one gives way while its founder is alone in it.
    pub(super) fn meet_another_group(
        &mut self,
        from: Address,
        own: Address,
        other: Address,
        message: &Message<S::Request, S::State>,
    ) {
        if self.state.foreign.insert(from.node, other) != Some(other) {
            self.observe(Observation::OtherGroup { from, founder: other });
        }
        let age = |founder: Address| (founder.life, founder.node);
        let is_later = age(other) < age(own);
        if is_later && self.newest().iter().all(|member| *member == self.member()) {
            let why = format!(
                "{} is in a group that {other} has founded before this one: join that one, with an empty storage",
                from.node
            );
            return self.effect(Effect::Stop(why.into()));
        }
        if !is_later && !matches!(message, Message::Refuse { .. }) {
            let term = self.state.term;
            self.send(from.node, Message::Refuse { term });
        }
        // No member of this group runs there.
        if self.state.leads() {
            self.state.suspected.insert(from.node);
            self.lost(from.node);
        }
    }
}
