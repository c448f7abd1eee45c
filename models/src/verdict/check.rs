//! Checking a scenario: an exhaustive search, and a verdict on each property beside the expected one.

use crate::{
    claim::property::Property,
    evidence::{
        replay::{Mode, replay_with},
        trace::Trace,
    },
    explore::{
        layers::checkpoint::Checkpoint,
        livelock::Means,
        search::{EngineName, Finding, Findings, Limits, Progress, search, search_by},
    },
    io::{file::FileError, memory, text::grouped},
    model::world::Rules,
    protocol::Protocol,
    verdict::{
        change::Change,
        drawn::Drawn,
        outcome::{Comparison, Expected, Verdict},
        report::{Case, Place},
        row::{self, Subject},
        scenario::Scenario,
    },
};
use serde::Serialize;
use std::{fmt, sync::Arc, time::Instant};

/// The result of a check of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The protocol and the environment that the verdicts are about.
    #[serde(flatten)]
    pub subject: Subject,
    /// The engine that explored the worlds.
    pub engine: &'static str,
    /// The number of threads that explored.
    pub threads: usize,
    /// Every reachable world was visited, of those within the bound if there is one.
    pub complete: bool,
    /// Worlds beyond a bound were left out: every verdict is about the others.
    pub bounded: bool,
    /// The number of distinct worlds that were found.
    pub states: u64,
    /// The number that is expected.
    pub expected_states: Option<u64>,
    /// The line of the scenario that expects it.
    #[serde(skip)]
    pub place_of_states: Option<Place>,
    /// The number of pairs of a world and an action enabled in it.
    pub transitions: u64,
    /// The number of actions to the farthest world. None if the engine does not know it.
    pub depth: Option<usize>,
    /// The number of settled worlds.
    pub settled: u64,
    /// The probability that two worlds were taken for one, because they have the same fingerprint: one was then not visited.
    pub confusion: f64,
    /// The time that the search took, in seconds.
    pub seconds: f64,
    /// The peak memory of the process meanwhile. None if the system does not report it.
    pub peak_rss_bytes: Option<u64>,
    /// A verdict for each property.
    pub properties: Vec<Row>,
}

/// The verdict of an exhaustive search on one property.
pub type Row = row::Row<Verdict, Exact>;

/// The columns that only an exhaustive search has.
#[derive(Clone, Debug, Serialize)]
pub struct Exact {
    /// The number of steps that a shortest counterexample is expected to have.
    pub expected_steps: Option<usize>,
    /// The way in which livelocks were looked for: `proof` or `search`. Left out for other properties.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub means: Option<Means>,
    /// Nothing is expected: any verdict is as expected.
    #[serde(skip)]
    pub is_free: bool,
    /// The condition under which a world exercises the property.
    #[serde(skip)]
    pub exercise: &'static str,
    /// The counterexample, drawn, unless it is an expected one.
    #[serde(skip)]
    pub drawn: Option<Drawn>,
}

/// Explores a scenario exhaustively and judges its properties.
///
/// # Example
///
/// ```
/// use interrex_models::{claim::property, explore::search::Limits, model::environment::*, protocol::registry::gms3, verdict::{check::check, scenario::Scenario}};
///
/// let scenario = Scenario::builder()
///     .nodes(3)
///     .start(Start::Joined)
///     .budget(Budget::Commands, 1)
///     .budget(Budget::Crashes, 1)
///     .holds(&property::SINGLE_LEADER)
///     // What is forwarded to a leader that dies is lost; the rest is what settles the group.
///     .violated(&property::VALIDITY, 5)
///     .build()?;
/// check(gms3(), &scenario, Limits::default(), &mut |_| {}).assert_as_expected();
/// # Ok::<(), String>(())
/// ```
///
/// # Panics
/// If the scenario has no properties or more than 32, its environment does not suit the protocol, or the
/// limits allow no thread.
pub fn check<P: Protocol>(
    protocol: P,
    scenario: &Scenario,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Report {
    let rules = Arc::new(Rules::new(protocol, scenario.environment.clone()));
    check_with(&rules, scenario, None, limits, progress)
}

/// The same with given rules, which remember the steps that were taken, and perhaps a given engine. The environment
/// is that of the rules, not that of the scenario.
///
/// # Panics
/// As [`check`].
pub fn check_with<P: Protocol>(
    rules: &Arc<Rules<P>>,
    scenario: &Scenario,
    engine: Option<EngineName>,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Report {
    report(rules, scenario, limits, |properties| {
        search(rules, properties, engine, limits, progress)
    })
}

/// The same with given rules, which are new, and a search that is written down now and then. If the file of the
/// checkpoint is there, the search goes on from it.
///
/// # Errors
/// If the search cannot go on from the file: see [`Checkpoint`]. If it cannot be written, that is no error here:
/// [`Checkpoint::failure`] tells it.
///
/// # Panics
/// As [`check`].
pub fn check_kept<P: Protocol>(
    rules: &Arc<Rules<P>>,
    scenario: &Scenario,
    checkpoint: &Checkpoint,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, FileError> {
    checkpoint.resume(rules, &properties(scenario))?;
    Ok(report(rules, scenario, limits, |properties| {
        search_by(checkpoint, rules, properties, limits, progress)
    }))
}

fn properties(scenario: &Scenario) -> Vec<&'static Property> {
    scenario.properties.iter().map(|(property, _)| *property).collect()
}

/// Lets a search run, and judges what it finds.
fn report<P: Protocol>(
    rules: &Arc<Rules<P>>,
    scenario: &Scenario,
    limits: Limits,
    search: impl FnOnce(&[&'static Property]) -> Findings<P>,
) -> Report {
    assert!(!scenario.properties.is_empty(), "a scenario without properties checks nothing");
    if let Err(misfit) = rules.protocol().suits(rules.environment()) {
        panic!("{}: {misfit}", scenario.name);
    }
    memory::forget_peak();
    let began = Instant::now();
    let findings = search(&properties(scenario));
    let seconds = began.elapsed().as_secs_f64();

    let row = |finding: &Finding<P>| {
        let counterexample = finding
            .counterexample
            .as_ref()
            .map(|run| Trace::record(rules, &scenario.name, finding.property.name, run))
            .map(|trace| Trace { loop_from: finding.loop_from, ..trace });
        let exact = Exact {
            expected_steps: scenario.expected(finding.property).and_then(Expected::steps),
            means: finding.means,
            is_free: scenario.expected(finding.property) == Some(Expected::Anything),
            exercise: finding.property.exercised_when,
            drawn: None,
        };
        let row = Row::new(finding.property, scenario, verdict(finding), counterexample, exact);
        let drawn = row.unknown_run().map(|trace| {
            let replay = replay_with(rules, trace, finding.property, Mode::Exact, None);
            Drawn::new(trace, finding.property, &replay)
        });
        Row { more: Exact { drawn, ..row.more }, ..row }
    };
    Report {
        subject: Subject::new(&scenario.name, rules.protocol(), rules.environment()),
        engine: findings.engine,
        threads: limits.threads,
        complete: findings.complete,
        bounded: rules.environment().bound.is_some(),
        states: findings.states,
        expected_states: scenario.states,
        place_of_states: scenario.place_of_states(),
        transitions: findings.transitions,
        depth: findings.depth,
        settled: findings.settled,
        confusion: confusion(findings.states),
        seconds,
        peak_rss_bytes: memory::peak(),
        properties: findings.properties.iter().map(row).collect(),
    }
}

/// The probability that two of so many worlds have the same fingerprint, as long as it is small.
#[expect(clippy::cast_precision_loss, reason = "a probability is told in a few digits")]
fn confusion(worlds: u64) -> f64 {
    let pairs = worlds as f64 * worlds.saturating_sub(1) as f64 / 2.0;
    pairs / 2_f64.powi(64)
}

fn verdict<P: Protocol>(finding: &Finding<P>) -> Verdict {
    if finding.violated {
        Verdict::Violated
    } else if !finding.complete {
        Verdict::Unknown
    } else if finding.witnessed || !finding.property.kind.needs_witness() {
        Verdict::Holds
    } else {
        Verdict::Unwitnessed
    }
}

impl Report {
    /// Comparison with the expectation: the worst of all rows and of the number of worlds.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        let rows = self.properties.iter().map(Row::comparison);
        rows.chain([self.states_comparison()]).max().unwrap_or(Comparison::AsExpected)
    }

    /// The number of worlds, and each property.
    #[must_use]
    pub fn cases(&self) -> Vec<Case> {
        let suite = &self.subject.scenario;
        let states = Case {
            seconds: Some(self.seconds),
            change: self.change_of_states(),
            ..Case::new(suite, "states", self.states_comparison(), self.said_of_states())
                .at(self.place_of_states.clone())
        };
        let row = |row: &Row| Case {
            change: row.change(),
            drawn: row.more.drawn.clone().map(|drawn| Drawn { file: row.trace.clone(), ..drawn }),
            ..Case::new(suite, row.name, row.comparison(), row.said()).at(row.place.clone())
        };
        [states].into_iter().chain(self.properties.iter().map(row)).collect()
    }

    fn said_of_states(&self) -> String {
        let found = grouped(self.states);
        let cut = if self.complete { "" } else { ", cut short by a limit" };
        match self.expected_states.filter(|expected| *expected != self.states) {
            Some(expected) => format!("{found} worlds{cut}; expected {}", grouped(expected)),
            None => format!("{found} worlds{cut}"),
        }
    }

    fn change_of_states(&self) -> Option<Change> {
        let (before, after) = (self.expected_states?, self.states);
        let said = format!("{} → {} worlds", grouped(before), grouped(after));
        (self.states_comparison() == Comparison::Differs).then_some(Change { trend: None, said })
    }

    /// Comparison of the number of worlds with the expected one.
    #[must_use]
    pub fn states_comparison(&self) -> Comparison {
        match self.expected_states {
            // Too many worlds are a difference even if a limit cut the search short.
            Some(expected) if self.states > expected => Comparison::Differs,
            _ if !self.complete => Comparison::Cut,
            Some(expected) if self.states < expected => Comparison::Differs,
            _ => Comparison::AsExpected,
        }
    }

    /// Asserts in a test that everything is as expected.
    ///
    /// # Panics
    /// If anything differs from the expectation, or the search was cut short. The message has the differences, and the
    /// shortest run that nobody expects.
    pub fn assert_as_expected(&self) {
        Case::assert_as_expected(self.cases());
    }
}

impl Row {
    /// Comparison of the verdict with the expected one.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        match (self.verdict, self.expected) {
            (Verdict::Unknown, _) => Comparison::Cut,
            _ if self.more.is_free => Comparison::AsExpected,
            (Verdict::Violated, None) => Comparison::Differs,
            // A limit ended the search for the shortest run, so its number of steps is unknown.
            (Verdict::Violated, Some(Verdict::Violated)) if self.steps.is_none() => Comparison::Cut,
            (verdict, Some(expected)) if verdict != expected => Comparison::Differs,
            (_, Some(_)) if self.steps != self.more.expected_steps => Comparison::Differs,
            _ => Comparison::AsExpected,
        }
    }

    /// The counterexample, unless it is an expected one.
    fn unknown_run(&self) -> Option<&Trace> {
        let is_unknown = self.more.is_free || self.comparison() == Comparison::Differs;
        self.counterexample.as_ref().filter(|_| is_unknown)
    }

    /// `violated in 3 steps; expected: holds`.
    fn said(&self) -> String {
        let Exact { expected_steps, .. } = self.more;
        let found = Found(self.verdict, self.steps);
        match self.expected {
            Some(expected) if self.comparison() != Comparison::AsExpected => {
                format!("{found}; expected: {}", Found(expected, expected_steps))
            }
            None if self.comparison() == Comparison::Differs => format!("{found}; not expected"),
            _ => found.to_string(),
        }
    }
}

/// `single-leader: violated in 3 steps; expected: holds`.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.said())
    }
}

/// `violated in 3 steps`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found(pub(crate) Verdict, pub(crate) Option<usize>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(verdict, Some(steps)) => write!(f, "{verdict} in {steps} steps"),
            Self(verdict, None) => verdict.fmt(f),
        }
    }
}
