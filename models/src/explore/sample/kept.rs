//! Runs that have reached something new, from which later schedules go on.
//!
//! Schedules that all begin at the beginning seldom get to where several faults have met. So a run is kept up to its last
//! world that looked like none before, and half of the schedules go on from a kept run or from a part of one. (Böhme, Pham,
//! Roychoudhury: Coverage-based Greybox Fuzzing as Markov Chain, CCS 2016. Ecoffet, Huizinga, Lehman, Stanley, Clune: First
//! Return, Then Explore, Nature 590, 2021.)
//!
//! Worlds look alike if they have the same *outline*: what the properties read, but of long lists only whether they are long,
//! and what was spent of the budgets. There are far fewer outlines than worlds.

use crate::{
    claim::{profile::Profile, property::Kind},
    explore::{
        breadth::{Fingerprint, fingerprint},
        visited::scaled,
    },
    model::{
        action::ActionOf,
        environment::Budget,
        memo::Handle,
        world::{Rules, World},
    },
    protocol::Protocol,
};
use derive_where::derive_where;
use proptest::{prelude::Rng, test_runner::TestRng};
use rustc_hash::FxHashSet;
use smallvec::SmallVec;
use std::collections::VecDeque;

/// The kept runs, and what has been seen so far.
#[derive_where(Default)]
pub(super) struct Kept<P: Protocol> {
    runs: VecDeque<Vec<ActionOf<P>>>,
    outlines: FxHashSet<Fingerprint>,
}

/// The number of runs that are kept: the latest.
const MOST_RUNS: usize = 1 << 14;

/// The number of outlines that are remembered, in some 60 MB. Beyond it, nothing is new any more.
const MOST_OUTLINES: usize = 1 << 22;

/// Half of the schedules that go on do so from one of so many runs that were kept last.
const LATEST: usize = 64;

/// The length at which a list is long.
const LONG: usize = 4;

impl<P: Protocol> Kept<P> {
    /// The run from which a schedule goes on. None if it begins at the beginning.
    pub(super) fn draw(&self, rng: &mut TestRng) -> Option<&[ActionOf<P>]> {
        let is_one_of_two = |rng: &mut TestRng| rng.next_u32().is_multiple_of(2);
        if self.runs.is_empty() || is_one_of_two(rng) {
            return None;
        }
        let many = self.runs.len();
        let among = if is_one_of_two(rng) { many } else { many.min(LATEST) };
        let run = &self.runs[many - 1 - scaled(rng.next_u64(), among)];
        let length =
            if is_one_of_two(rng) { run.len() } else { scaled(rng.next_u64(), run.len() + 1) };
        Some(&run[..length])
    }

    /// Notes the outline of a world. True if there was none like it before.
    pub(super) fn note(&mut self, outline: Fingerprint) -> bool {
        self.outlines.len() < MOST_OUTLINES && self.outlines.insert(outline)
    }

    /// Keeps a run.
    pub(super) fn keep(&mut self, run: &[ActionOf<P>]) {
        if self.runs.len() == MOST_RUNS {
            self.runs.pop_front();
        }
        self.runs.push_back(run.to_vec());
    }
}

/// Outlines of worlds of the same rules. That of each profile is computed once.
#[derive(Default)]
pub(super) struct Outlines(Vec<Option<Fingerprint>>);

impl Outlines {
    /// The outline of a world.
    pub(super) fn of<P: Protocol>(&mut self, rules: &Rules<P>, world: &World) -> Fingerprint {
        let subjects = rules.judged(world, Kind::Safety);
        let profiles = subjects.into_iter().flat_map(|subjects| rules.profiles(world, subjects));
        let outlines: SmallVec<[_; 8]> =
            profiles.map(|profile| self.of_profile(rules, profile)).collect();
        let (given, left) = (rules.environment().budgets, rules.budgets(world));
        let spent = Budget::ALL.map(|budget| given[budget] - left[budget]);
        fingerprint(&(outlines, spent))
    }

    fn of_profile<P: Protocol>(&mut self, rules: &Rules<P>, profile: Handle) -> Fingerprint {
        let place = profile as usize;
        if self.0.len() <= place {
            self.0.resize(place + 1, None);
        }
        *self.0[place].get_or_insert_with(|| outline(rules.profile(profile)))
    }
}

fn outline(profile: &Profile) -> Fingerprint {
    let Profile { presence, failed, views, deliveries, elections, .. } = profile;
    let Profile { former, answers, waiting, .. } = profile;
    let of_views = [views.len(), deliveries.len(), elections.len(), former.len()];
    let of_calls = [answers.len(), waiting.len()];
    let lengths = of_views.into_iter().chain(of_calls).map(|length| length.min(LONG));
    fingerprint(&(presence, failed, lengths.collect::<Vec<_>>()))
}
