//! Random search: schedules are drawn rather than enumerated, for groups that are too large to be explored.
//!
//! A schedule draws its own faults and weights, and takes actions by them. Then the faults stop, and the run
//! goes on until it settles, so that settled properties are judged too. Every world on the way is one of the
//! scenario's own: an exhaustive search, if it is feasible, finds the same violations. A search that finds
//! nothing proves nothing: such a property is *not violated*, and never *holds*. Livelocks are not looked
//! for.
//!
//! The first schedule that violates a property with a [symptom](Symptom) is kept and shrunk: two symptoms may be two
//! defects.
//!
//! A schedule depends on the seed, its number, the environment, and the schedules before it in its shard: it may go on from
//! one of them that reached something new. It is the same on every machine.

mod again;
mod kept;
mod mix;
mod report;
mod schedules;
mod walk;

pub use again::Again;
pub use report::{Report, Row, Sampled, Shown, Verdict};
pub use schedules::{Schedules, Shard};

use crate::{
    claim::property::{Kind, Property},
    evidence::trace::Trace,
    explore::{
        coverage::Coverage,
        judge::{Judged, Remembered},
        shrink::shrink,
        symptom::Symptom,
    },
    model::{
        action::ActionOf,
        environment::{Budgets, Environment},
        memo::Handle,
        world::Rules,
    },
    protocol::Protocol,
    verdict::{row::Subject, scenario::Scenario},
};
use derive_where::derive_where;
use kept::{Kept, Outlines};
use std::time::Instant;
use walk::{End, Violation, Walk};

/// Takes random schedules of a scenario, and judges every property of the protocol on them. `progress` is
/// called with the number of schedules taken so far.
///
/// # Example
///
/// ```
/// use interrex_models::{claim::property, explore::sample::*, model::environment::*, protocol::registry::gms3, verdict::scenario::Scenario};
///
/// let scenario = Scenario::builder()
///     .nodes(5)
///     .start(Start::Joined)
///     .budget(Budget::Commands, 2)
///     .budget(Budget::Crashes, 2)
///     .holds(&property::SINGLE_LEADER)
///     .build()?;
/// let schedules = Schedules { count: 1_000, ..Schedules::default() };
/// let report = fuzz(gms3(), &scenario, schedules, &mut |_| {});
/// let row = |name| report.properties.iter().find(move |row| row.name == name);
/// assert_eq!(row("single-leader").map(|row| row.verdict), Some(Verdict::NotViolated));
/// assert_eq!(row("no-lost-message-validity").map(|row| row.verdict), Some(Verdict::Violated));
/// # Ok::<(), String>(())
/// ```
///
/// # Panics
/// If the environment does not suit the protocol.
pub fn fuzz<P: Protocol>(
    protocol: P,
    scenario: &Scenario,
    schedules: Schedules,
    progress: &mut dyn FnMut(u64),
) -> Report {
    fuzz_with(Rules::new(protocol, scenario.environment.clone()), scenario, schedules, progress)
}

/// The same with given rules. Their environment must be that of the scenario.
///
/// # Panics
/// If the environment does not suit the protocol.
pub fn fuzz_with<P: Protocol>(
    rules: Rules<P>,
    scenario: &Scenario,
    schedules: Schedules,
    progress: &mut dyn FnMut(u64),
) -> Report {
    if let Err(misfit) = rules.protocol().suits(&scenario.environment) {
        panic!("{}: {misfit}", scenario.name);
    }
    let began = Instant::now();
    let mut hunt = Hunt::new(rules, scenario, schedules);
    for schedule in schedules.numbers() {
        if schedules.stop.is_due() {
            break;
        }
        hunt.take(schedule);
        progress(hunt.tally.done);
    }
    // Shrinking takes steps that no schedule has taken.
    let coverage = hunt.coverage();
    let properties = (0..hunt.properties.len()).map(|row| hunt.row(row)).collect();
    let Tally { done, actions, settled, unsettled, beyond } = hunt.tally;
    Report {
        subject: Subject::new(&scenario.name, hunt.tables.rules.protocol(), &scenario.environment),
        seed: schedules.seed,
        shard: schedules.shard,
        steps: schedules.steps,
        schedules: schedules.taken(),
        done,
        complete: done == schedules.taken(),
        actions,
        settled,
        unsettled,
        beyond,
        seconds: began.elapsed().as_secs_f64(),
        properties,
        again: hunt.again,
        coverage,
    }
}

/// Schedules that are being taken.
struct Hunt<'a, P: Protocol> {
    scenario: &'a Scenario,
    schedules: Schedules,
    properties: &'static [&'static Property],
    tables: Tables<P>,
    tally: Tally,
    found: Vec<Found<P>>,
    again: Option<Again>,
    kept: Kept<P>,
    /// The coverage of earlier tables.
    reached: Option<Coverage>,
}

/// The tables that schedules share. They only make the schedules faster.
struct Tables<P: Protocol> {
    rules: Rules<P>,
    judged: Judged,
    remembered: Remembered,
    outlines: Outlines,
    /// The number of actions that were taken with them.
    actions: u64,
    /// The approximate number of profiles.
    profiles: Handle,
}

/// The tally of all schedules.
#[derive(Default)]
struct Tally {
    done: u64,
    actions: u64,
    settled: u64,
    unsettled: u64,
    beyond: u64,
}

/// The findings on one property.
#[derive_where(Default)]
struct Found<P: Protocol> {
    violations: u64,
    witnessed: bool,
    /// The first schedule with each symptom, in the order of schedules.
    firsts: Vec<First<P>>,
}

/// The first schedule that violates a property with some symptom.
struct First<P: Protocol> {
    symptom: Symptom,
    schedule: u64,
    run: Vec<ActionOf<P>>,
    /// The number of schedules with that symptom.
    violations: u64,
}

/// The number of symptoms of a property that are told apart. Later ones are counted only.
const MOST_SYMPTOMS: usize = 8;

impl<'a, P: Protocol> Hunt<'a, P> {
    fn new(rules: Rules<P>, scenario: &'a Scenario, schedules: Schedules) -> Self {
        let properties = rules.protocol().properties();
        Self {
            scenario,
            schedules,
            properties,
            reached: schedules.coverage.then(|| Coverage::none(rules.protocol())),
            tables: Tables::of(rules),
            tally: Tally::default(),
            found: properties.iter().map(|_| Found::default()).collect(),
            again: schedules.twice.then(Again::default),
            kept: Kept::default(),
        }
    }

    /// Takes one schedule.
    fn take(&mut self, schedule: u64) {
        if self.tables.are_full() {
            self.reached = self.coverage();
            self.tables = Tables::of(self.tables.rules.anew());
        }
        let (mix, mut rng) = self.schedules.draw(schedule, &self.scenario.environment);
        let beginning = self.kept.draw(&mut rng).map(<[_]>::to_vec);
        // A kept run may have other faults than the mix.
        let all = self.scenario.environment.budgets;
        self.restrict(if beginning.is_some() { all } else { mix.budgets });
        let mut walk = Walk::new(&mut self.tables, &mut self.kept, &mix, rng);
        walk.repeat(&beginning.unwrap_or_default());
        match walk.take(self.schedules.steps) {
            End::Settled => self.tally.settled += 1,
            End::Unsettled => self.tally.unsettled += 1,
            End::Beyond => self.tally.beyond += 1,
        }
        let Walk { run, newest, violations, witnessed, latest_profile, .. } = walk;
        if newest > 0 {
            self.kept.keep(&run[..newest.min(self.schedules.steps)]);
        }
        for (row, found) in self.found.iter_mut().enumerate() {
            found.witnessed |= witnessed & (1 << row) != 0;
            if let Some(violation) = violations.iter().find(|it| it.row == row) {
                found.note(schedule, &run, violation);
            }
        }
        if let Some(again) = &mut self.again {
            again.take(&self.tables.rules, schedule, &run);
        }
        self.tables.actions += run.len() as u64;
        self.tables.profiles = self.tables.profiles.max(latest_profile);
        self.tally.actions += run.len() as u64;
        self.tally.done += 1;
    }

    /// The coverage so far, if that is counted.
    fn coverage(&mut self) -> Option<Coverage> {
        let mut reached = self.reached.take()?;
        reached.merge(Coverage::of(&self.tables.rules));
        Some(reached)
    }

    /// The scenario's environment, with the budgets of one schedule.
    fn restrict(&mut self, budgets: Budgets) {
        let environment = Environment { budgets, ..self.scenario.environment.clone() };
        self.tables.rules.set_environment(environment);
    }

    /// The report on a property.
    fn row(&mut self, row: usize) -> Row {
        let property = self.properties[row];
        let Found { violations, witnessed, firsts } = std::mem::take(&mut self.found[row]);
        let mut shown = firsts.into_iter().map(|first| self.show(property, first));
        let first = shown.next();
        let others: Vec<_> = shown.collect();
        let verdict = match (property.kind, &first) {
            (Kind::Fair, _) => Verdict::NotJudged,
            (Kind::Safety | Kind::Settled, Some(_)) => Verdict::Violated,
            (Kind::Safety | Kind::Settled, None) => Verdict::NotViolated,
        };
        let counterexample = first.as_ref().map(|first| first.counterexample.clone());
        let sampled = Sampled {
            violations,
            witnessed,
            symptom: first.as_ref().map(|first| first.symptom.clone()),
            schedule: first.as_ref().map(|first| first.schedule),
            raw_steps: first.as_ref().map(|first| first.raw_steps),
            unshrunk: first.and_then(|first| first.unshrunk),
            others,
        };
        Row::new(property, self.scenario, verdict, counterexample, sampled)
    }

    /// The first run with some symptom, and the same shrunk.
    fn show(&mut self, property: &'static Property, first: First<P>) -> Shown {
        let raw = self.record(property, &first);
        let counterexample = self.shrunk(property, &raw);
        let (raw_steps, steps) = (raw.steps.len(), counterexample.steps.len());
        let scenario = format!("{}.unshrunk", raw.scenario);
        Shown {
            symptom: first.symptom,
            violations: first.violations,
            schedule: first.schedule,
            raw_steps,
            steps,
            trace: None,
            unshrunk: (steps < raw_steps).then_some(Trace { scenario, ..raw }),
            counterexample,
        }
    }

    /// The run of a schedule as a trace. Its name has the seed, the shard and the number that reproduce it.
    fn record(&mut self, property: &'static Property, first: &First<P>) -> Trace {
        self.restrict(self.scenario.environment.budgets);
        let (Schedules { seed, steps, shard, .. }, schedule) = (self.schedules, first.schedule);
        let scenario = &self.scenario.name;
        let shard = if shard == Shard::ALONE {
            String::new()
        } else {
            format!(".shard-{}", shard.in_names())
        };
        let name = format!("{scenario}.seed-{seed}.steps-{steps}{shard}.schedule-{schedule}");
        Trace::record(&self.tables.rules, &name, property.name, &first.run)
    }

    /// The same, shrunk. Of the kinds of faults that it has, shrinking may use as many as the scenario allows.
    fn shrunk(&mut self, property: &'static Property, unshrunk: &Trace) -> Trace {
        let shrunk = shrink(&mut self.tables.rules, unshrunk, property);
        shrunk.unwrap_or_else(|| unshrunk.clone())
    }
}

impl<P: Protocol> Found<P> {
    /// Notes a violation, and its run if it is the first with its symptom.
    fn note(&mut self, schedule: u64, run: &[ActionOf<P>], violation: &Violation) {
        self.violations += 1;
        let Violation { symptom, steps, .. } = violation;
        if let Some(known) = self.firsts.iter_mut().find(|first| first.symptom == *symptom) {
            known.violations += 1;
        } else if self.firsts.len() < MOST_SYMPTOMS {
            let (symptom, run) = (symptom.clone(), run[..*steps].to_vec());
            self.firsts.push(First { symptom, schedule, run, violations: 1 });
        }
    }
}

impl<P: Protocol> Tables<P> {
    fn of(rules: Rules<P>) -> Self {
        let judged = Judged::new(rules.protocol().properties());
        Self {
            rules,
            judged,
            remembered: Remembered::default(),
            outlines: Outlines::default(),
            actions: 0,
            profiles: 0,
        }
    }

    /// The tables only grow. Beyond this size they no longer help: parts that recur are in them by then, and
    /// if few recur they take gigabytes.
    fn are_full(&self) -> bool {
        self.actions > 1 << 19 || self.profiles > 1 << 16
    }
}
