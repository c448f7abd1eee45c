//! The ingredients of one schedule.
//!
//! Each schedule draws its own faults and its own weights, some of them zero. If every schedule may do
//! everything, frequent actions crowd out the rest. (Groce, Zhang, Eide, Chen, Regehr: Swarm Testing, ISSTA
//! 2012.)

use crate::model::{
    action::{Action, Choice},
    environment::{Budget, Budgets, Environment},
};
use proptest::{
    collection::vec,
    prop_oneof,
    strategy::{BoxedStrategy, Just, Strategy},
};

/// The faults that a schedule may have, and the weights by which it chooses among enabled actions.
#[derive(Clone, Debug)]
pub(super) struct Mix {
    pub(super) budgets: Budgets,
    pub(super) weights: Weights,
    pub(super) paces: Paces,
}

/// The weight of each link, for choosing among deliveries: many faults appear only with late messages. No
/// weight is zero.
#[derive(Clone, Debug)]
pub(super) struct Paces {
    size: usize,
    of_links: Vec<u32>,
}

/// The weight of each kind of action, for choosing among enabled actions. A kind of weight 0 is never chosen.
#[derive(Clone, Debug)]
pub(super) struct Weights([u32; KINDS]);

/// The number of kinds: one for each budget, for deliveries, for other free actions, and for crashes within a
/// step.
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

    /// The weights of the time without faults.
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
    /// The weight of a delivery's link. Other actions have a weight of their own.
    pub(super) fn of<Timer>(&self, action: &Action<Timer>) -> u32 {
        match action.choice {
            Choice::Deliver { from, to } => {
                self.of_links[usize::from(from.0) * self.size + usize::from(to.0)]
            }
            _ => 1,
        }
    }
}

/// The mixes for an environment. Only the budgets of faults are drawn. All others are used in full, so that a
/// world that is settled for a schedule is settled in its scenario too.
pub(super) fn mixes(environment: &Environment) -> impl Strategy<Value = Mix> + use<> {
    let most = environment.budgets;
    let size = usize::from(environment.size());
    let times = |budget: Budget| -> BoxedStrategy<u32> {
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

/// The number of weights, apart from 0. Weights are powers of two. Faults get light ones only: a fault at the
/// very beginning finds nothing under way that it could break.
fn powers(kind: usize) -> u32 {
    if Weights::calm().of(kind) > 0 { 7 } else { 4 }
}

/// 0, 1, 2, 4, …
fn weight(power: u32) -> u32 {
    (1 << power) >> 1
}
