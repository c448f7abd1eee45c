//! Engines: an engine visits every world that the rules allow, and judges each.
//!
//! An engine counts, and says which properties are violated and which are witnessed. Everything else is
//! [`search`](crate::explore::search)'s: shortest counterexamples that the engine does not know, livelocks,
//! verdicts. An engine in other processes or on other machines sends worlds as
//! [`Portable`](crate::model::view::Portable)s, and divides them by their portable fingerprints
//! ([`Digests`](crate::model::view::Digests)). `--engine` offers the variants of
//! [`EngineName`](crate::explore::search::EngineName). There are two: our own [`Layers`](crate::explore::layers::Layers),
//! and [`Stateright`](crate::explore::stateright::Stateright), an independent witness.

use crate::{
    explore::{
        judge::{Judged, Judgement},
        stop::Stop,
    },
    io::memory,
    model::{
        action::ActionOf,
        world::{Rules, packed::Packed},
    },
    protocol::Protocol,
};
use derive_where::derive_where;
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
    /// world, or enough of them: every cycle passes through one of these. None if the engine does not know them.
    pub returns: Option<Packed>,
}

/// Limits of a search. Without a limit it runs to its end.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The number of threads; at least one. Livelocks are looked for on one.
    pub threads: usize,
    /// The number of worlds that are expanded at most, in each pass.
    pub max_states: Option<NonZeroU64>,
    /// The memory of the process, in bytes, beyond which no more worlds are expanded, in any pass. Looked at every few
    /// thousand worlds; unknown, and so without effect, on systems other than Linux.
    pub max_memory: Option<NonZeroU64>,
    /// The time or interrupt that ends it, in any pass.
    pub stop: Stop,
}

/// The number of worlds between two looks at the memory.
const LOOK_AT_MEMORY: u64 = 1 << 12;

impl Limits {
    /// True if they forbid to expand another world after this many.
    pub(crate) fn forbid(&self, expanded: u64) -> bool {
        let too_many = self.max_states.is_some_and(|most| expanded >= most.get());
        too_many || self.end_after(expanded)
    }

    /// True if a time, an interrupt or the memory ends the search after this many.
    pub(crate) fn end_after(&self, expanded: u64) -> bool {
        let is_too_large = |most: NonZeroU64| memory::now().is_some_and(|now| now > most.get());
        let looks = expanded.is_multiple_of(LOOK_AT_MEMORY);
        self.stop.is_due_after(expanded) || (looks && self.max_memory.is_some_and(is_too_large))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { threads: 1, max_states: None, max_memory: None, stop: Stop::default() }
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
