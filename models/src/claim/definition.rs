//! The definition of a property, and the parts that all families of properties share.

use super::profile::{Process, Profile};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::{fmt, hash::Hash};

/// A claim about a protocol.
#[derive(Debug)]
pub struct Property {
    /// Its name in scenarios, reports and traces.
    pub name: &'static str,
    /// When it is judged.
    pub kind: Kind,
    /// The nodes on which it is decided.
    pub scope: Scope,
    /// The claim, in a sentence.
    pub claim: &'static str,
    /// The condition under which a world exercises it, in a sentence.
    pub exercised_when: &'static str,
    pub(super) complain: fn(Group<'_>, Complaints<'_>),
    pub(super) witness: fn(&[&Profile]) -> bool,
}

/// The nodes that a property is judged on.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// Their profiles.
    pub nodes: &'a [&'a Profile],
    /// The nodes that are up can have a leader, as the protocol says
    /// ([`Protocol::can_lead`](crate::protocol::Protocol::can_lead)).
    pub can_lead: bool,
}

/// The receiver of complaints, a sentence each. It formats them only if they are read.
pub type Complaints<'a> = &'a mut dyn FnMut(fmt::Arguments<'_>);

/// When a property is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// In every world.
    Safety,
    /// In every settled world: the protocol has nothing left to do.
    Settled,
    /// On whole fair runs. Only cycles matter, because budgets end all other runs.
    Fair,
}

/// The nodes on which a property is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All nodes together. This is right for any property.
    #[default]
    Group,
    /// Two nodes at a time: a group violates it if two of its nodes alone violate it, and not otherwise; and likewise
    /// with its witness. Such a property is judged much faster.
    Pair,
}

impl Kind {
    /// True if such a property holds only when some world exercised it. Every run exercises a claim about
    /// runs, so a complete search is enough there.
    #[must_use]
    pub fn needs_witness(self) -> bool {
        match self {
            Self::Safety | Self::Settled => true,
            Self::Fair => false,
        }
    }
}

impl Property {
    /// A property of a protocol's own.
    ///
    /// `complain` makes a complaint for each violation, and `witness` says if a world exercises the property: without a
    /// witness a property could hold because nothing ever happens. Both read [`Profile`]s: what all protocols have in
    /// common, and the [facts](crate::protocol::Protocol::facts) that a protocol has of its own.
    ///
    /// ```
    /// use interrex_models::claim::property::{Kind, Property};
    ///
    /// const FEW_ROUNDS: Property = Property::new(
    ///     "few-rounds",
    ///     Kind::Safety,
    ///     "no node begins a fourth round",
    ///     "a node has begun a round",
    ///     |group, complain| {
    ///         for node in group.nodes {
    ///             let rounds: u64 = node.fact("rounds").unwrap_or(0);
    ///             if rounds > 3 {
    ///                 complain(format_args!("{} has begun {rounds} rounds", node.me));
    ///             }
    ///         }
    ///     },
    ///     |nodes| nodes.iter().any(|node| node.fact::<u64>("rounds") > Some(0)),
    /// );
    /// ```
    ///
    /// # Panics
    /// If it is a [fair](Kind::Fair) one: runs as a whole are judged by `no-livelock` alone. If a sentence is empty. In a
    /// constant, either is an error of the compiler.
    #[must_use]
    pub const fn new(
        name: &'static str,
        kind: Kind,
        claim: &'static str,
        exercised_when: &'static str,
        complain: fn(Group<'_>, Complaints<'_>),
        witness: fn(&[&Profile]) -> bool,
    ) -> Self {
        assert!(!matches!(kind, Kind::Fair), "runs as a whole are judged by `no-livelock` alone");
        assert!(!name.is_empty() && !claim.is_empty(), "a property has a name and a claim");
        assert!(!exercised_when.is_empty(), "a property says what exercises it");
        let scope = Scope::Group;
        Self { name, kind, scope, claim, exercised_when, complain, witness }
    }

    /// The same for a property that is decided on two nodes at a time: see [`Scope::Pair`].
    #[must_use]
    pub const fn on_pairs(self) -> Self {
        Self { scope: Scope::Pair, ..self }
    }

    /// True if the property is violated in a world with these nodes (in a settled world, if it is of that
    /// kind).
    #[must_use]
    pub fn is_violated(&self, group: Group<'_>) -> bool {
        let mut violated = false;
        (self.complain)(group, &mut |_| violated = true);
        violated
    }

    /// The violations in a world with these nodes, a sentence for each.
    #[must_use]
    pub fn complaints(&self, group: Group<'_>) -> Vec<String> {
        let mut complaints = vec![];
        (self.complain)(group, &mut |complaint| {
            complaints.push(complaint.to_string());
        });
        complaints
    }

    /// The first complaints only, and the number of all.
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

    /// True if a world with these nodes exercises the property.
    #[must_use]
    pub fn is_witnessed(&self, nodes: &[&Profile]) -> bool {
        (self.witness)(nodes)
    }
}

/// Every life of every node.
pub(super) fn all_processes<'a>(nodes: &[&'a Profile]) -> SmallVec<[Process<'a>; 8]> {
    nodes.iter().flat_map(|node| node.processes()).collect()
}

/// The present lives of the members. A restarted node that has not joined yet has delivered
/// nothing in its present life.
pub(super) fn present_processes<'a>(nodes: &[&'a Profile]) -> SmallVec<[Process<'a>; 8]> {
    let members = nodes.iter().filter(|node| node.is_member());
    members.filter_map(|node| node.processes().next_back()).collect()
}

pub(super) fn survivors<'a>(nodes: &[&'a Profile]) -> SmallVec<[&'a Profile; 8]> {
    nodes.iter().copied().filter(|node| node.is_up()).collect()
}

/// For binary searches: real nodes deliver very many messages. The few of a world need no allocation.
pub(super) fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> SmallVec<[T; 8]> {
    let mut items: SmallVec<_> = items.collect();
    items.sort_unstable();
    items
}

/// The repeated items: each occurs here as often as an equal one follows it.
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

/// The members that are up, if a leader is possible. Otherwise none, because nothing is asked of them.
pub(super) fn members_with_leader(group: Group<'_>) -> Option<SmallVec<[&Profile; 8]>> {
    let members = group.nodes.iter().copied().filter(|node| node.is_member());
    group.can_lead.then(|| members.collect())
}
