//! What a property is, and what properties of all families use.

use super::profile::{Process, Profile};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::{fmt, hash::Hash};

/// One thing that is claimed of a protocol.
#[derive(Debug)]
pub struct Property {
    /// Its name in scenarios, reports and traces.
    pub name: &'static str,
    /// When it is judged.
    pub kind: Kind,
    /// The claim, in a sentence.
    pub claim: &'static str,
    /// What its witness shows, in a sentence.
    pub at_stake: &'static str,
    pub(super) complain: fn(Group<'_>, Complaints<'_>),
    pub(super) witness: fn(&[&Profile]) -> bool,
}

/// The nodes that a property is judged on.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// What is to be seen of each.
    pub nodes: &'a [&'a Profile],
    /// The protocol says that a leader can be had among those that are up
    /// ([`Protocol::can_lead`](crate::protocol::Protocol::can_lead)).
    pub can_lead: bool,
}

/// Where complaints go. They are formatted only if somebody reads them.
pub(super) type Complaints<'a> = &'a mut dyn FnMut(fmt::Arguments<'_>);

/// When a property is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// In every world.
    Safety,
    /// In every world in which the protocol has nothing left to do.
    Settled,
    /// On every fair run, as a whole: on cycles, since budgets end all others.
    Fair,
}

impl Kind {
    /// Whether such a property holds only if a world shows that it was at stake. What is claimed of
    /// runs is at stake on every one: there a complete search is enough.
    #[must_use]
    pub fn needs_witness(self) -> bool {
        match self {
            Self::Safety | Self::Settled => true,
            Self::Fair => false,
        }
    }
}

impl Property {
    /// Whether the property is violated in a world with these nodes (in a settled world, if it is of
    /// that kind).
    #[must_use]
    pub fn is_violated(&self, group: Group<'_>) -> bool {
        let mut violated = false;
        (self.complain)(group, &mut |_| violated = true);
        violated
    }

    /// What is wrong in a world with these nodes, a sentence for each violation.
    #[must_use]
    pub fn complaints(&self, group: Group<'_>) -> Vec<String> {
        let mut complaints = vec![];
        (self.complain)(group, &mut |complaint| {
            complaints.push(complaint.to_string());
        });
        complaints
    }

    /// The first complaints only, and how many there are in all.
    #[must_use]
    pub fn first_complaints(&self, group: Group<'_>, most: usize) -> (Vec<String>, usize) {
        let (mut complaints, mut count) = (vec![], 0);
        (self.complain)(group, &mut |complaint| {
            count += 1;
            if count <= most {
                complaints.push(complaint.to_string());
            }
        });
        (complaints, count)
    }

    /// Whether a world with these nodes shows that the property was exercised.
    #[must_use]
    pub fn is_witnessed(&self, nodes: &[&Profile]) -> bool {
        (self.witness)(nodes)
    }
}

/// Every life of every node.
pub(super) fn all_processes<'a>(nodes: &[&'a Profile]) -> Vec<Process<'a>> {
    nodes.iter().flat_map(|node| node.processes()).collect()
}

/// The present lives of the members. A restarted node that has not joined yet has delivered
/// nothing in its present life.
pub(super) fn present_processes<'a>(nodes: &[&'a Profile]) -> Vec<Process<'a>> {
    let members = nodes.iter().filter(|node| node.is_member());
    members.filter_map(|node| node.processes().next_back()).collect()
}

pub(super) fn survivors<'a>(nodes: &[&'a Profile]) -> Vec<&'a Profile> {
    nodes.iter().copied().filter(|node| node.is_up()).collect()
}

/// For binary searches: real nodes deliver very many messages. The few of a world need no allocation.
pub(super) fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> SmallVec<[T; 8]> {
    let mut items: SmallVec<_> = items.collect();
    items.sort_unstable();
    items
}

/// What is there more than once: each item as often as an equal one follows it.
pub(super) fn repeated<T: Copy + Ord + Hash>(
    list: impl Iterator<Item = T> + Clone,
) -> impl Iterator<Item = T> {
    let mut left = FxHashMap::<T, usize>::default();
    // Almost never.
    if sorted(list.clone()).windows(2).any(|two| two[0] == two[1]) {
        for item in list.clone() {
            *left.entry(item).or_default() += 1;
        }
    }
    list.flat_map(move |item| {
        let later = left.get_mut(&item).map_or(0, |left| {
            *left -= 1;
            *left
        });
        std::iter::repeat_n(item, later)
    })
}

/// Every two of a list, in order.
pub(super) fn pairs<T>(list: &[T]) -> impl Iterator<Item = (&T, &T)> {
    let later = |(at, first)| list[at + 1..].iter().map(move |second| (first, second));
    list.iter().enumerate().flat_map(later)
}

/// The members that are up, where a leader can be had: otherwise nothing is asked of them.
pub(super) fn members_with_leader(group: Group<'_>) -> Option<Vec<&Profile>> {
    let members = group.nodes.iter().copied().filter(|node| node.is_member());
    group.can_lead.then(|| members.collect())
}
