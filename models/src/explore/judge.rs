//! Judging worlds: the same judgement is made once.
//!
//! Worlds differ in much that no property reads, so judgements are remembered for each list of profiles. Most properties
//! compare nodes, two at a time ([`Scope::Pair`]). Far fewer pairs of profiles occur than lists of them, and a new list is
//! mostly made of known pairs.

use crate::{
    claim::property::{Group, Kind, Property, Scope},
    explore::{
        breadth::{Fingerprint, fingerprint},
        visited::scaled,
    },
    model::{
        memo::Handle,
        world::{Rules, Subjects, World},
    },
    protocol::Protocol,
};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// The properties of a search.
pub struct Judged {
    properties: Vec<&'static Property>,
}

/// Remembered judgements: nodes with the same profiles are rarely judged twice.
pub struct Remembered {
    /// The profiles of nodes, as far as they are known. It is faster than the shared tables.
    profiles: Vec<Option<Handle>>,
    /// The latest judgements on lists of nodes, by a fingerprint of everything that was judged. They are as many as stay in a
    /// cache of the processor. Worlds that are judged one after the other have much in common.
    groups: Box<[(Fingerprint, Judgement)]>,
    /// The judgements on pairs of nodes, by what was judged and the profiles of the two.
    pairs: OfPairs,
}

type OfPairs = [FxHashMap<(Handle, Handle), Judgement>; 4];

/// The number of lists of nodes that are remembered.
const GROUPS: usize = 1 << 14;

impl Default for Remembered {
    fn default() -> Self {
        let groups = vec![(0, Judgement::default()); GROUPS].into();
        Self { profiles: vec![], groups, pairs: OfPairs::default() }
    }
}

impl Remembered {
    fn profile<P: Protocol>(&mut self, rules: &Rules<P>, node: Handle) -> Handle {
        let place = node as usize;
        if self.profiles.len() <= place {
            self.profiles.resize(place + 1, None);
        }
        *self.profiles[place].get_or_insert_with(|| rules.parts().profile_of(node))
    }

    /// The judgement on a content, which is made `anew` if it is not remembered.
    fn recall(
        &mut self,
        content: Fingerprint,
        anew: impl FnOnce(&mut OfPairs) -> Judgement,
    ) -> Judgement {
        let (known, judgement) = &mut self.groups[scaled(content, GROUPS)];
        if *known != content {
            (*known, *judgement) = (content, anew(&mut self.pairs));
        }
        *judgement
    }
}

/// The kind of the properties, and whether the nodes can have a leader.
type Manner = (Kind, bool);

/// The kinds of properties that are judged on worlds.
const KINDS: [Kind; 2] = [Kind::Safety, Kind::Settled];

/// The view that properties of each of these kinds have of a world: the nodes, and a fingerprint of their content.
pub(crate) type Seen = [Option<(Subjects, Fingerprint)>; KINDS.len()];

pub(crate) fn seen<P: Protocol>(rules: &Rules<P>, world: &World) -> Seen {
    KINDS.map(|kind| {
        let subjects = rules.judged(world, kind)?;
        let profiles: Profiles = rules.profiles(world, subjects).collect();
        Some((subjects, content((kind, subjects.can_lead()), &profiles)))
    })
}

/// The profiles of some nodes.
type Profiles = SmallVec<[Handle; 8]>;

/// A fingerprint of everything that is judged.
fn content(manner: Manner, profiles: &[Handle]) -> Fingerprint {
    fingerprint(&(manner, profiles))
}

/// The violated and the witnessed properties: a bit for each, in the order in which they were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The violated properties.
    pub violated: u32,
    /// The properties with a witness.
    pub witnessed: u32,
}

impl Judgement {
    /// Adds another judgement.
    pub fn merge(&mut self, other: Self) {
        self.violated |= other.violated;
        self.witnessed |= other.witnessed;
    }
}

impl Judged {
    /// Takes these properties.
    ///
    /// # Panics
    /// If there are more than 32, the bits of a [`Judgement`].
    #[must_use]
    pub fn new(properties: &[&'static Property]) -> Self {
        assert!(properties.len() <= 32, "more properties than a judgement has bits");
        Self { properties: properties.to_vec() }
    }

    /// The names of the properties.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.properties.iter().map(|property| property.name)
    }

    /// True if one of the properties is of this kind.
    pub(crate) fn asks_about(&self, kind: Kind) -> bool {
        self.properties.iter().any(|property| property.kind == kind)
    }

    /// Judges a world. The flag is true if the world is settled.
    pub fn world<P: Protocol>(
        &self,
        rules: &Rules<P>,
        world: &World,
        remembered: &mut Remembered,
    ) -> (Judgement, bool) {
        let (mut judgement, mut is_settled) = (Judgement::default(), false);
        for kind in KINDS {
            if let Some(subjects) = rules.judged(world, kind) {
                is_settled |= kind == Kind::Settled && rules.cut(world).is_none();
                if self.asks_about(kind) {
                    let nodes = rules.judged_nodes(world, subjects);
                    let profiles: Profiles =
                        nodes.map(|node| remembered.profile(rules, node)).collect();
                    let manner = (kind, subjects.can_lead());
                    let content = content(manner, &profiles);
                    let anew = |pairs: &mut _| self.anew(rules, manner, &profiles, pairs);
                    judgement.merge(remembered.recall(content, anew));
                }
            }
        }
        (judgement, is_settled)
    }

    /// Judges what was seen of a world.
    pub(crate) fn seen<P: Protocol>(
        &self,
        rules: &Rules<P>,
        world: &World,
        seen: &Seen,
        remembered: &mut Remembered,
    ) -> Judgement {
        let mut judgement = Judgement::default();
        for (kind, seen) in KINDS.into_iter().zip(seen) {
            if let Some((subjects, content)) = *seen {
                let manner = (kind, subjects.can_lead());
                judgement.merge(remembered.recall(content, |pairs| {
                    let profiles: Profiles = rules.profiles(world, subjects).collect();
                    self.anew(rules, manner, &profiles, pairs)
                }));
            }
        }
        judgement
    }

    /// Judges nodes with these profiles, pair by pair where that is enough.
    fn anew<P: Protocol>(
        &self,
        rules: &Rules<P>,
        manner: Manner,
        profiles: &[Handle],
        pairs: &mut OfPairs,
    ) -> Judgement {
        let judge = |scope, profiles: &[Handle]| {
            let profiles = profiles.iter().map(|profile| rules.profile(*profile));
            let nodes: SmallVec<[_; 8]> = profiles.collect();
            self.of_scope(manner.0, scope, Group { nodes: &nodes, can_lead: manner.1 })
        };
        let pairs = &mut pairs[usize::from(manner.0 == Kind::Settled) * 2 + usize::from(manner.1)];
        let mut judgement = judge(Scope::Group, profiles);
        if profiles.len() < 2 {
            judgement.merge(judge(Scope::Pair, profiles));
        }
        for (at, one) in profiles.iter().enumerate() {
            for other in &profiles[at + 1..] {
                let known = pairs.get(&(*one, *other)).copied();
                judgement.merge(known.unwrap_or_else(|| {
                    let made = judge(Scope::Pair, &[*one, *other]);
                    pairs.insert((*one, *other), made);
                    made
                }));
            }
        }
        judgement
    }

    fn of_scope(&self, kind: Kind, scope: Scope, group: Group<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        let rows = self.properties.iter().enumerate();
        for (row, property) in rows.filter(|(_, it)| (it.kind, it.scope) == (kind, scope)) {
            judgement.violated |= u32::from(property.is_violated(group)) << row;
            judgement.witnessed |= u32::from(property.is_witnessed(group.nodes)) << row;
        }
        judgement
    }
}
