//! Checking a scenario: what the search found, as verdicts, beside what was expected.

use crate::{
    claim::property::{Kind, Property},
    evidence::trace::Trace,
    explore::{
        audit::Audit,
        engine::Engine,
        search::{Finding, Findings, Limits, Progress, search, search_by},
    },
    io::memory,
    model::{
        environment::{Bound, Budgets, Environment, Start, Storage, Timers},
        world::Rules,
    },
    protocol::Protocol,
    verdict::scenario::{Expected, Scenario},
};
use serde::Serialize;
use std::{fmt, sync::Arc, time::Instant};

/// What was found out about a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The search ran to its end, no world violates it, and in one it was at stake, if it is of a
    /// kind that needs that.
    Holds,
    /// A world violates it, or a run that goes round for ever.
    Violated,
    /// The search ran to its end, but the property was never at stake.
    Unwitnessed,
    /// A limit cut the search before anything was found.
    Unknown,
}

/// How a report compares with what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    /// Everything that was expected came true.
    AsExpected,
    /// A limit cut the search short; nothing that it found contradicts.
    Cut,
    /// A verdict, a number of steps or the number of worlds is another.
    Differs,
}

/// What a check found out about a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// The protocol's name.
    pub protocol: String,
    /// How many nodes there are that may lead.
    pub nodes: u16,
    /// How many come on top that never do.
    pub workers: u16,
    /// The environment that the verdicts are about.
    pub environment: ReportedEnvironment,
    /// What explored the worlds.
    pub engine: &'static str,
    /// On how many threads.
    pub threads: usize,
    /// Every reachable world was visited, of those within the bound if there is one.
    pub complete: bool,
    /// Worlds beyond a bound were left out: every verdict is about the others.
    pub bounded: bool,
    /// How many distinct worlds were met.
    pub states: u64,
    /// How many there should be.
    pub expected_states: Option<u64>,
    /// How many pairs of a world and an action enabled in it.
    pub transitions: u64,
    /// Actions on the way to the farthest world; known on one thread only.
    pub depth: Option<usize>,
    /// How many worlds were settled.
    pub settled: u64,
    /// How long it took.
    pub seconds: f64,
    /// The most memory the process held meanwhile; null where the system does not tell.
    pub peak_rss_bytes: Option<u64>,
    /// A verdict for each property.
    pub properties: Vec<Row>,
    /// What running everything twice has shown, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
}

/// The environment as reports have it, its budgets side by side with the rest.
#[derive(Clone, Debug, Serialize)]
pub struct ReportedEnvironment {
    start: Start,
    timers: Timers,
    storage: Storage,
    bound: Option<Bound>,
    #[serde(flatten)]
    budgets: Budgets,
}

/// The verdict on one property.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The property's name.
    pub name: &'static str,
    /// When it is judged.
    pub kind: Kind,
    /// What was found out.
    pub verdict: Verdict,
    /// What should have been.
    pub expected: Option<Verdict>,
    /// The actions in a shortest counterexample; in that of a livelock, stem and loop together.
    pub steps: Option<usize>,
    /// How many they should have been.
    pub expected_steps: Option<usize>,
    /// The file that holds the counterexample.
    pub trace: Option<String>,
    /// The counterexample.
    #[serde(skip)]
    pub counterexample: Option<Trace>,
    /// What a world would have shown in which the property was at stake.
    #[serde(skip)]
    pub at_stake: &'static str,
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
    check_with(&rules, scenario, limits, progress)
}

/// The same by rules that are there already, and that remember afterwards which steps were taken. The rules,
/// not the scenario, say what the environment is.
///
/// # Panics
/// As [`check`].
pub fn check_with<P: Protocol>(
    rules: &Arc<Rules<P>>,
    scenario: &Scenario,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Report {
    report(rules, scenario, limits, |properties| search(rules, properties, limits, progress))
}

/// The same by a given engine, whatever the number of threads.
///
/// # Panics
/// As [`check`].
pub fn check_by<P: Protocol>(
    engine: &impl Engine,
    rules: &Arc<Rules<P>>,
    scenario: &Scenario,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Report {
    let search = |properties: &_| search_by(engine, rules, properties, limits, progress);
    report(rules, scenario, limits, search)
}

fn report<P: Protocol>(
    rules: &Rules<P>,
    scenario: &Scenario,
    limits: Limits,
    search: impl FnOnce(&[&'static Property]) -> Findings<P>,
) -> Report {
    assert!(!scenario.properties.is_empty(), "a scenario without properties checks nothing");
    if let Err(misfit) = rules.environment().suits(rules.protocol()) {
        panic!("{}: {misfit}", scenario.name);
    }
    let properties: Vec<_> = scenario.properties.iter().map(|(property, _)| *property).collect();
    memory::forget_peak();
    let began = Instant::now();
    let findings = search(&properties);
    let seconds = began.elapsed().as_secs_f64();

    let row = |(finding, (_, expected)): (&Finding<P>, &(_, Option<Expected>))| {
        let counterexample = finding
            .counterexample
            .as_ref()
            .map(|run| Trace::record(rules, &scenario.name, finding.property.name, run))
            .map(|trace| Trace { loop_from: finding.loop_from, ..trace });
        Row {
            name: finding.property.name,
            kind: finding.property.kind,
            verdict: verdict(finding),
            expected: expected.map(Expected::verdict),
            steps: counterexample.as_ref().map(|trace| trace.steps.len()),
            expected_steps: expected.and_then(Expected::steps),
            trace: None,
            counterexample,
            at_stake: finding.property.at_stake,
        }
    };
    let environment = rules.environment();
    Report {
        scenario: scenario.name.clone(),
        protocol: rules.protocol().name().into_owned(),
        nodes: environment.nodes,
        workers: environment.workers,
        bounded: environment.bound.is_some(),
        environment: environment.into(),
        engine: findings.engine,
        threads: limits.threads,
        complete: findings.complete,
        states: findings.states,
        expected_states: scenario.states,
        transitions: findings.transitions,
        depth: findings.depth,
        settled: findings.settled,
        seconds,
        peak_rss_bytes: memory::peak(),
        properties: findings.properties.iter().zip(&scenario.properties).map(row).collect(),
        audit: None,
    }
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
    /// How it compares with what was expected.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        let rows = self.properties.iter().map(Row::comparison);
        let audit = self.audit.as_ref().map(Audit::comparison);
        let rest = audit.into_iter().chain([self.states_comparison()]);
        rows.chain(rest).max().unwrap_or(Comparison::AsExpected)
    }

    /// How the number of worlds compares with what was expected.
    #[must_use]
    pub fn states_comparison(&self) -> Comparison {
        match self.expected_states {
            // Of too many, no limit takes any back.
            Some(expected) if self.states > expected => Comparison::Differs,
            _ if !self.complete => Comparison::Cut,
            Some(expected) if self.states < expected => Comparison::Differs,
            _ => Comparison::AsExpected,
        }
    }

    /// For tests.
    ///
    /// # Panics
    /// If anything differs from what was expected, or the search was cut short: with the difference.
    pub fn assert_as_expected(&self) {
        let rows = self.properties.iter().filter(|row| row.comparison() != Comparison::AsExpected);
        let mut wrong: Vec<_> = rows.map(Row::to_string).collect();
        if self.states_comparison() != Comparison::AsExpected {
            let Self { states, complete, expected_states, .. } = self;
            wrong.push(format!(
                "{states} worlds (complete: {complete}), expected {expected_states:?}"
            ));
        }
        assert!(wrong.is_empty(), "{}:\n  {}", self.scenario, wrong.join("\n  "));
    }
}

impl Row {
    /// How it compares with what was expected.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        match (self.verdict, self.expected) {
            (Verdict::Unknown, _) => Comparison::Cut,
            // The run to it was not found before the limit.
            (Verdict::Violated, Some(Verdict::Violated) | None) if self.steps.is_none() => {
                Comparison::Cut
            }
            (verdict, Some(expected)) if verdict != expected => Comparison::Differs,
            (_, Some(_)) if self.steps != self.expected_steps => Comparison::Differs,
            _ => Comparison::AsExpected,
        }
    }
}

impl From<&Environment> for ReportedEnvironment {
    fn from(environment: &Environment) -> Self {
        let Environment { nodes: _, workers: _, start, timers, storage, budgets, bound } =
            environment.clone();
        Self { start, timers, storage, bound, budgets }
    }
}

impl Expected {
    /// The verdict that is expected.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Holds => Verdict::Holds,
            Self::Unwitnessed => Verdict::Unwitnessed,
            Self::Violated(_) => Verdict::Violated,
        }
    }

    pub(crate) fn steps(self) -> Option<usize> {
        match self {
            Self::Violated(steps) => Some(steps),
            Self::Holds | Self::Unwitnessed => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Holds => "holds",
            Self::Violated => "violated",
            Self::Unwitnessed => "unwitnessed",
            Self::Unknown => "unknown",
        })
    }
}

/// `single-leader: violated in 3 steps, expected holds`.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |verdict: Verdict, steps: Option<usize>| match steps {
            Some(steps) => format!("{verdict} in {steps} steps"),
            None => verdict.to_string(),
        };
        write!(f, "{}: {}", self.name, said(self.verdict, self.steps))?;
        match self.expected {
            Some(expected) => write!(f, ", expected {}", said(expected, self.expected_steps)),
            None => Ok(()),
        }
    }
}
