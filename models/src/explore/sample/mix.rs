//! What one schedule is made of.
//!
//! Each draws its own faults and its own weights, some of them zero: what all schedules are allowed to
//! do, most do too much of. (Groce, Zhang, Eide, Chen, Regehr: Swarm Testing, ISSTA 2012.)

use crate::model::{
    action::{Action, Choice},
    environment::{Budget, Budgets, Environment},
};
use proptest::{
    collection::vec,
    prop_oneof,
    strategy::{BoxedStrategy, Just, Strategy},
};

/// The faults that a schedule may have, and how it chooses among what is enabled.
#[derive(Clone, Debug)]
pub(super) struct Mix {
    pub(super) budgets: Budgets,
    pub(super) weights: Weights,
    pub(super) paces: Paces,
}

/// How often each link is chosen where something is to be delivered on others, too: much is shown only
/// by what comes late. None is never chosen.
#[derive(Clone, Debug)]
pub(super) struct Paces {
    size: usize,
    of_links: Vec<u32>,
}

/// How often each kind of action is chosen where others are enabled, too. A kind of weight 0 never is.
#[derive(Clone, Debug)]
pub(super) struct Weights([u32; KINDS]);

/// A kind for each budget, for deliveries, for what else is free, and for crashes within a step.
pub(super) const KINDS: usize = Budget::ALL.len() + 3;
const DELIVERY: usize = Budget::ALL.len();
const OTHER: usize = DELIVERY + 1;
const CRASH_WITHIN: usize = OTHER + 1;

/// The kind of an action, as a place among the weights.
pub(super) fn kind_of<Timer>(action: &Action<Timer>) -> usize {
    match (action.crash_after, action.choice.budget()) {
        (Some(_), _) => CRASH_WITHIN,
        (None, Some(budget)) => budget as usize,
        (None, None) if action.choice.link().is_some() => DELIVERY,
        (None, None) => OTHER,
    }
}

impl Weights {
    pub(super) fn of(&self, kind: usize) -> u32 {
        self.0[kind]
    }

    /// Those of a time without faults.
    pub(super) fn calm() -> Self {
        let mut weights = [1; KINDS];
        for budget in Budget::FAULTS {
            weights[*budget as usize] = 0;
        }
        weights[CRASH_WITHIN] = 0;
        Self(weights)
    }
}

impl Paces {
    /// That of a delivery's link; what is no delivery has one of its own.
    pub(super) fn of<Timer>(&self, action: &Action<Timer>) -> u32 {
        match action.choice {
            Choice::Deliver { from, to } => {
                self.of_links[usize::from(from.0) * self.size + usize::from(to.0)]
            }
            _ => 1,
        }
    }
}

/// The mixes for an environment. Only the budgets of faults are drawn: of all others the whole is spent,
/// so that every world that a schedule meets is one of its scenario's, and settled there, too.
pub(super) fn mixes(environment: &Environment) -> impl Strategy<Value = Mix> + use<> {
    let most = environment.budgets;
    let size = usize::from(environment.size());
    let times = |budget: Budget| -> BoxedStrategy<u8> {
        let most = most[budget];
        if Budget::FAULTS.contains(&budget) && most > 0 {
            prop_oneof![Just(0), 1..=most].boxed()
        } else {
            Just(most).boxed()
        }
    };
    let budgets = Budget::ALL.map(times).to_vec();
    let weights: Vec<_> = (0..KINDS).map(|kind| 0..=powers(kind)).collect();
    let paces = vec(1..=powers(DELIVERY), size * size);
    (budgets, weights, paces).prop_map(move |(times, weights, paces)| {
        let mut mix = Mix {
            budgets: Budgets::NONE,
            weights: Weights([0; KINDS]),
            paces: Paces { size, of_links: paces.into_iter().map(weight).collect() },
        };
        for (budget, times) in Budget::ALL.into_iter().zip(times) {
            mix.budgets[budget] = times;
        }
        for (kind, power) in weights.into_iter().enumerate() {
            mix.weights.0[kind] = weight(power);
        }
        mix
    })
}

/// Weights are powers of two, and there are so many, apart from 0. Faults get light ones only: where
/// they come at once, nothing is under way that they could break.
fn powers(kind: usize) -> u32 {
    if Weights::calm().of(kind) > 0 { 7 } else { 4 }
}

/// 0, 1, 2, 4, …
fn weight(power: u32) -> u32 {
    (1 << power) >> 1
}
