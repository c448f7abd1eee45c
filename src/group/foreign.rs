//! Processes of another group, and of a former one.

use super::{Founding, GIVES_WAY, Message, Observation, Service, Summary, Term, turn::Turn};
use crate::machine::{Address, Effect};
use im::OrdMap;

impl<S: Service> Turn<'_, S> {
    /// A process of another group has sent something. It learns so, unless this process gives way.
    pub(super) fn meet_another_group(
        &mut self,
        from: Address,
        own: Founding,
        other: Founding,
        message: &Message<S::Request, S::State>,
    ) {
        if self.state.foreign.insert(from.node, other) != Some(other) {
            self.observe(Observation::OtherGroup { from, group: other });
        }
        if let Some(why) = self.gives_way(from, own, other) {
            return self.effect(Effect::Stop(why.into()));
        }
        let is_later = age(other) < age(own);
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

    /// The reason to end for the other group, if there is one.
    ///
    /// Two groups with different founders are a mistake: a node has founded one although there was one. The later one gives
    /// way while its founder is alone in it. Of two with the same founder, the one that was founded anew later replaces the
    /// other.
    fn gives_way(&self, from: Address, own: Founding, other: Founding) -> Option<String> {
        let node = from.node;
        if let Some(Term { owner, .. }) = other.anew.filter(|_| own.by == other.by)
            && other.anew > own.anew
        {
            return Some(format!(
                "{GIVES_WAY}: this one was founded anew by {owner}, without this process; what is stored here belongs to the \
                 former group: join the new one with an empty storage"
            ));
        }
        let is_alone = self.newest().iter().all(|member| *member == self.member());
        (own.by != other.by && age(other) < age(own) && is_alone).then(|| {
            format!(
                "{GIVES_WAY}: {node} is in one that {} has founded before this one: join that one, with an empty storage",
                other.by
            )
        })
    }

    /// Founds the group anew. All that this process holds is committed by that.
    pub(super) fn found_anew(&mut self) {
        let Some(group) = self.state.group() else { return };
        if self.state.leader().is_some() || self.state.taking.is_some() {
            return;
        }
        let (last, committed) = (self.log().len(), self.state.counted.number());
        self.observe(Observation::FoundedAnew { last, committed });
        self.deliver(last);
        let counter = self.state.term.counter.saturating_add(1);
        let term = Term { counter, owner: self.member() };
        let base = Summary {
            group: Some(Founding { anew: Some(term), ..group }),
            ..self.state.counted.clone()
        };
        self.begin_after(base);
        self.state.giving = OrdMap::new();
        self.found(term);
    }
}

/// Groups by their age.
fn age(group: Founding) -> impl Ord {
    (group.by.life, group.by.node, std::cmp::Reverse(group.anew))
}
