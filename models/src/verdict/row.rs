//! The common part of the reports of exhaustive and of random search.

use super::{outcome::Verdict, report::Place, scenario::Scenario};
use crate::{
    claim::property::{Kind, Property},
    evidence::trace::Trace,
    model::environment::{Bound, Budgets, Environment, Start, Storage, Timers},
    protocol::Protocol,
};
use serde::Serialize;

/// The subject of a report: a protocol in an environment.
#[derive(Clone, Debug, Serialize)]
pub struct Subject {
    /// The scenario's name.
    pub scenario: String,
    /// The protocol's name.
    pub protocol: String,
    /// The number of nodes that may lead.
    pub nodes: u16,
    /// The number of workers: further nodes, which never lead.
    pub workers: u16,
    /// The environment.
    pub environment: ReportedEnvironment,
}

/// The environment in the form of reports: its budgets are fields beside the others.
#[derive(Clone, Debug, Serialize)]
pub struct ReportedEnvironment {
    start: Start,
    timers: Timers,
    storage: Storage,
    bound: Option<Bound>,
    #[serde(flatten)]
    budgets: Budgets,
}

/// The verdict on one property, with the columns that only one kind of search has.
#[derive(Clone, Debug, Serialize)]
pub struct Row<Verdict, More> {
    /// The property's name.
    pub name: &'static str,
    /// The kind of the property.
    pub kind: Kind,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict that an exhaustive search is expected to give.
    pub expected: Option<self::Verdict>,
    /// The line of the scenario that expects it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The number of steps of the counterexample; in that of a livelock, stem and loop together.
    pub steps: Option<usize>,
    /// The file that holds the counterexample.
    pub trace: Option<String>,
    /// The counterexample.
    #[serde(skip)]
    pub counterexample: Option<Trace>,
    /// The columns that only this kind of search has.
    #[serde(flatten)]
    pub more: More,
}

impl Subject {
    /// A protocol in an environment.
    pub fn new<P: Protocol>(scenario: &str, protocol: &P, environment: &Environment) -> Self {
        Self {
            scenario: scenario.into(),
            protocol: protocol.name().into_owned(),
            nodes: environment.nodes,
            workers: environment.workers,
            environment: environment.into(),
        }
    }
}

impl<V, More> Row<V, More> {
    /// A property in a scenario: the verdict on it, and the run that shows it.
    pub fn new(
        property: &'static Property,
        scenario: &Scenario,
        verdict: V,
        counterexample: Option<Trace>,
        more: More,
    ) -> Self {
        Self {
            name: property.name,
            kind: property.kind,
            verdict,
            expected: scenario.expected(property).and_then(super::outcome::Expected::verdict),
            place: scenario.place(property),
            steps: counterexample.as_ref().map(|trace| trace.steps.len()),
            trace: None,
            counterexample,
            more,
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
