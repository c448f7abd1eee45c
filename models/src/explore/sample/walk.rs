//! One schedule, walked and judged.

use super::{
    Tables,
    kept::{Kept, Outlines},
    mix::{KINDS, Mix, Weights, kind_of},
};
use crate::{
    claim::property::Property,
    explore::{
        judge::{Judged, Remembered, Seen, seen},
        symptom::Symptom,
    },
    model::{
        action::ActionOf,
        memo::Handle,
        world::{EnabledOf, Rules, World},
    },
    protocol::Protocol,
};
use proptest::{prelude::Rng, test_runner::TestRng};

/// The end of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The protocol has nothing left to do.
    Settled,
    /// The protocol did not settle.
    Unsettled,
    /// The next world is beyond the environment's bound.
    Beyond,
}

/// A run that is chosen at random, with the judgements on it.
pub(super) struct Walk<'a, P: Protocol> {
    rules: &'a Rules<P>,
    judged: &'a Judged,
    remembered: &'a mut Remembered,
    mix: &'a Mix,
    rng: TestRng,
    kept: &'a mut Kept<P>,
    outlines: &'a mut Outlines,
    world: World,
    enabled: Vec<EnabledOf<P>>,
    /// The view of the properties of the world that was judged last.
    seen: Seen,
    /// The number of actions before the last world that looked like none before in any schedule.
    pub(super) newest: usize,
    /// The actions so far.
    pub(super) run: Vec<ActionOf<P>>,
    /// The first violation of each property that is violated.
    pub(super) violations: Vec<Violation>,
    /// A bit for each property that was exercised.
    pub(super) witnessed: u32,
    /// The largest handle of a profile so far.
    pub(super) latest_profile: Handle,
}

/// The first violation of a property.
pub(super) struct Violation {
    /// The place of the property among those of the protocol.
    pub(super) row: usize,
    /// The number of actions before it.
    pub(super) steps: usize,
    /// The symptom.
    pub(super) symptom: Symptom,
}

/// A protocol that has not settled after this many actions without faults is assumed to never settle.
const PATIENCE: usize = 4096;

impl<'a, P: Protocol> Walk<'a, P> {
    pub(super) fn new(
        tables: &'a mut Tables<P>,
        kept: &'a mut Kept<P>,
        mix: &'a Mix,
        rng: TestRng,
    ) -> Self {
        let Tables { rules, judged, remembered, outlines, .. } = tables;
        let mut walk = Self {
            rules,
            judged,
            remembered,
            mix,
            rng,
            kept,
            outlines,
            world: rules.initial(),
            enabled: vec![],
            seen: [None, None],
            newest: 0,
            run: vec![],
            violations: vec![],
            witnessed: 0,
            latest_profile: 0,
        };
        walk.judge(None);
        walk
    }

    /// Takes actions by the weights of a mix, until there are this many. Then faults stop.
    pub(super) fn take(&mut self, steps: usize) -> End {
        let more = steps.saturating_sub(self.run.len());
        let within = self.go(&self.mix.weights, more) && self.go(&Weights::calm(), PATIENCE);
        match within {
            false => End::Beyond,
            true if self.rules.is_settled(&self.world) => End::Settled,
            true => End::Unsettled,
        }
    }

    /// Takes up to this many actions, while one can be chosen. True if the bound was kept.
    fn go(&mut self, weights: &Weights, steps: usize) -> bool {
        for _ in 0..steps {
            let Some(chosen) = self.choose(weights) else { break };
            let next = self.rules.follow(&self.world, &chosen);
            if !self.rules.is_within_bound(&next) {
                return false;
            }
            self.enter(&chosen, next);
            let outline = self.outlines.of(self.rules, &self.world);
            if self.kept.note(outline) {
                self.newest = self.run.len();
            }
        }
        true
    }

    /// Takes the actions of a kept run.
    pub(super) fn repeat(&mut self, run: &[ActionOf<P>]) {
        for action in run {
            let taken = self.rules.take(&self.world, action);
            let (enabled, next) = taken.expect("a run of the same scenario");
            self.enter(&enabled, next);
        }
    }

    fn enter(&mut self, taken: &EnabledOf<P>, next: World) {
        self.world = next;
        self.run.push(taken.action.clone());
        self.judge(Some(taken));
    }

    /// Chooses an enabled action: first a kind by the weights, then one of that kind by the paces.
    fn choose(&mut self, weights: &Weights) -> Option<EnabledOf<P>> {
        self.enabled.clear();
        self.rules.enabled(&self.world, &mut self.enabled);
        let mut kinds = [0; KINDS];
        for enabled in &self.enabled {
            let kind = kind_of(&enabled.action);
            kinds[kind] = weights.of(kind);
        }
        let kind = draw(&mut self.rng, kinds)?;
        let of_kind = |enabled: &EnabledOf<P>| kind_of(&enabled.action) == kind;
        self.enabled.retain(of_kind);
        let paces = self.enabled.iter().map(|enabled| self.mix.paces.of(&enabled.action));
        let place = draw(&mut self.rng, paces)?;
        Some(self.enabled.swap_remove(place))
    }

    /// Judges the world after a step, unless the properties saw the same in the world before.
    fn judge(&mut self, step: Option<&EnabledOf<P>>) {
        let seen = seen(self.rules, &self.world);
        if seen == self.seen {
            return;
        }
        for (subjects, _) in seen.iter().flatten() {
            let profiles = self.rules.profiles(&self.world, *subjects);
            self.latest_profile = profiles.fold(self.latest_profile, Handle::max);
        }
        let judgement = self.judged.seen(self.rules, &self.world, &seen, self.remembered);
        self.seen = seen;
        self.witnessed |= judgement.witnessed;
        let before = self.violations.iter().fold(0, |all, violation| all | 1 << violation.row);
        let new = judgement.violated & !before;
        if new == 0 {
            return;
        }
        let properties = self.rules.protocol().properties().iter().enumerate();
        let violated = properties.filter(|(row, _)| new & (1 << row) != 0);
        let violation = |(row, property): (usize, &&'static Property)| {
            let symptom = Symptom::of(self.rules, property, step, &self.world)?;
            Some(Violation { row, steps: self.run.len(), symptom })
        };
        self.violations.extend(violated.filter_map(violation));
    }
}

/// Draws an index with a probability proportional to its weight. None if all weights are 0.
fn draw(
    rng: &mut TestRng,
    weights: impl IntoIterator<Item = u32, IntoIter: Clone>,
) -> Option<usize> {
    let weights = weights.into_iter();
    let total: u32 = weights.clone().sum();
    // Nearly uniform below the total, and the same on every machine.
    let scaled = (u64::from(rng.next_u32()) * u64::from(total)) >> u32::BITS;
    let mut sums = weights.scan(0, |sum, weight| {
        *sum += u64::from(weight);
        Some(*sum)
    });
    sums.position(|sum| scaled < sum)
}
