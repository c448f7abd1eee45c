//! Engines: an engine visits every world that the rules allow, and judges each.
//!
//! An engine counts, and says which properties are violated and which are witnessed. Everything else is
//! [`search`](crate::explore::search)'s: shortest counterexamples that the engine does not know, livelocks,
//! verdicts. An engine in other processes or on other machines sends worlds as
//! [`Portable`](crate::model::view::Portable)s, and divides them by their portable fingerprints
//! ([`Digests`](crate::model::view::Digests)). `--engine` offers the variants of [`EngineName`](crate::explore::search::EngineName). There are two: [`Serial`](crate::explore::serial::Serial), which uses one thread, and
//! [`Stateright`](crate::explore::stateright::Stateright), which uses several.

use crate::{
    claim::property::{Group, Kind, Property},
    explore::{breadth::Fingerprint, stop::Stop},
    model::{
        action::ActionOf,
        world::{Rules, Subjects, World},
    },
    protocol::Protocol,
};
use derive_where::derive_where;
use rustc_hash::FxHashMap;
use std::{collections::BTreeMap, num::NonZeroU64, sync::Arc};

/// Visits every world.
pub trait Engine {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// Visits every world that the rules allow, up to the limits, and judges each once.
    fn explore<P: Protocol>(
        &self,
        rules: &Arc<Rules<P>>,
        judged: &Arc<Judged>,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Explored<P>;
}

/// The results of an engine.
#[derive_where(Debug)]
pub struct Explored<P: Protocol> {
    /// Every reachable world has been visited.
    pub complete: bool,
    /// The number of different worlds.
    pub states: u64,
    /// The number of pairs of a world and an action enabled in it.
    pub transitions: u64,
    /// The number of actions to the farthest world; none if the engine does not know it.
    pub depth: Option<usize>,
    /// The number of settled worlds.
    pub settled: u64,
    /// The properties that some world violates, and those that some world witnesses.
    pub judgement: Judgement,
    /// Shortest runs to a violation, by the place of the property. An engine need not know any.
    pub shortest: BTreeMap<usize, Vec<ActionOf<P>>>,
    /// The worlds reached by a step that [can recur](Rules::can_recur) and leads no farther from the initial
    /// world. Every cycle passes through one of them. None if the engine does not know them.
    pub returns: Option<Vec<World>>,
}

/// Limits of a search. Without a limit it runs to its end.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The number of threads; at least one. Counterexamples are looked for on one.
    pub threads: usize,
    /// The number of worlds that are expanded at most, in each pass.
    pub max_states: Option<NonZeroU64>,
    /// The time or interrupt that ends it, in any pass.
    pub stop: Stop,
}

impl Limits {
    /// True if they forbid to expand another world after this many.
    pub(crate) fn forbid(&self, expanded: u64) -> bool {
        let too_many = self.max_states.is_some_and(|most| expanded >= most.get());
        too_many || self.stop.is_due_after(expanded)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { threads: 1, max_states: None, stop: Stop::default() }
    }
}

/// The part of its limits that a pass on one thread has used.
pub(crate) struct Meter {
    limits: Limits,
    expanded: u64,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, expanded: 0 }
    }

    /// The number of worlds that were expanded.
    pub(crate) fn expanded(&self) -> u64 {
        self.expanded
    }

    /// Counts one more world to expand. False if the limits forbid it.
    pub(crate) fn allows_another(&mut self) -> bool {
        let before = self.expanded;
        self.expanded += 1;
        !self.limits.forbid(before)
    }
}

/// The progress of a search, reported while it runs.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The number of different worlds so far.
    pub states: u64,
    /// The present part of the search.
    pub pass: Pass,
}

/// The parts of a search, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Visiting every world.
    Exploring,
    /// Looking for shortest counterexamples that the engine does not know.
    Shortening,
    /// Looking for livelocks.
    Livelocks,
}

/// The properties of a search.
pub struct Judged {
    properties: Vec<&'static Property>,
}

/// Remembered judgements, by a fingerprint of what was judged: nodes with the same profiles are judged once.
pub type Remembered = FxHashMap<Fingerprint, Judgement>;

/// The kinds of properties that are judged on worlds.
const KINDS: [Kind; 2] = [Kind::Safety, Kind::Settled];

/// The view that properties of each of these kinds have of a world: the nodes, and a fingerprint of their content.
pub(crate) type Seen = [Option<(Subjects, Fingerprint)>; KINDS.len()];

pub(crate) fn seen<P: Protocol>(rules: &Rules<P>, world: &World) -> Seen {
    KINDS.map(|kind| {
        let subjects = rules.judged(world, kind)?;
        Some((subjects, rules.judged_content(world, kind, subjects)))
    })
}

/// The violated and the witnessed properties: a bit for each, in the order in which they were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
                is_settled |= kind == Kind::Settled && world.cut().is_none();
                if self.asks_about(kind) {
                    let content = rules.judged_content(world, kind, subjects);
                    judgement.merge(self.judge(
                        rules,
                        world,
                        kind,
                        (subjects, content),
                        remembered,
                    ));
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
            if let Some(seen) = *seen {
                judgement.merge(self.judge(rules, world, kind, seen, remembered));
            }
        }
        judgement
    }

    fn judge<P: Protocol>(
        &self,
        rules: &Rules<P>,
        world: &World,
        kind: Kind,
        (subjects, content): (Subjects, Fingerprint),
        remembered: &mut Remembered,
    ) -> Judgement {
        let anew = |group: Group<'_>| {
            let mut judgement = Judgement::default();
            let rows = self.properties.iter().enumerate();
            for (row, property) in rows.filter(|(_, property)| property.kind == kind) {
                judgement.violated |= u32::from(property.is_violated(group)) << row;
                judgement.witnessed |= u32::from(property.is_witnessed(group.nodes)) << row;
            }
            judgement
        };
        *remembered.entry(content).or_insert_with(|| rules.group(world, subjects, anew))
    }
}
