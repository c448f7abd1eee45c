//! What is told of random schedules.

use super::{again::Again, schedules::Shard};
use crate::{
    claim::property::Kind,
    evidence::trace::Trace,
    explore::coverage::Coverage,
    verdict::check::{self, Comparison, ReportedEnvironment},
};
use serde::Serialize;
use std::fmt;

/// What random schedules of a scenario have shown.
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
    /// The environment; a schedule has some of its faults.
    pub environment: ReportedEnvironment,
    /// The seed.
    pub seed: u64,
    /// The shard.
    pub shard: Shard,
    /// After how many actions the faults stopped, at the latest.
    pub steps: usize,
    /// How many schedules the shard has.
    pub schedules: u64,
    /// How many of them were taken.
    pub done: u64,
    /// All were.
    pub complete: bool,
    /// How many actions they had together.
    pub actions: u64,
    /// How many schedules ended where the protocol had nothing left to do.
    pub settled: u64,
    /// How many did not come there: settled properties were not judged at their ends.
    pub unsettled: u64,
    /// How many came to a bound, and ended there.
    pub beyond: u64,
    /// How long it took.
    pub seconds: f64,
    /// A row for each property of the protocol.
    pub properties: Vec<Row>,
    /// What was found by running each of them again, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again: Option<Again>,
    /// What they reached of the protocol, where that was asked for.
    #[serde(skip)]
    pub coverage: Option<Coverage>,
}

/// What random schedules have shown of one property.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The property's name.
    pub name: &'static str,
    /// When it is judged.
    pub kind: Kind,
    /// What was found out.
    pub verdict: Verdict,
    /// What the exhaustive search of the scenario is expected to find out.
    pub expected: Option<check::Verdict>,
    /// How many schedules violate it.
    pub violations: u64,
    /// Some schedule shows that it was at stake.
    pub witnessed: bool,
    /// The first schedule that violates it, from 0.
    pub schedule: Option<u64>,
    /// Behind how many actions that schedule violates it.
    pub raw_steps: Option<usize>,
    /// How many actions were left when that run was shrunk.
    pub steps: Option<usize>,
    /// The file that holds the shrunk run.
    pub trace: Option<String>,
    /// The shrunk run.
    #[serde(skip)]
    pub counterexample: Option<Trace>,
}

/// What random schedules can say of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A schedule violates it.
    Violated,
    /// No schedule that was taken does.
    NotViolated,
    /// It is about runs as a whole, which no schedule shows.
    NotJudged,
}

impl Report {
    /// How it compares with what was expected.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        let rows = self.properties.iter().map(Row::comparison);
        let again = self.again.as_ref().map(Again::comparison);
        let cut = if self.complete { Comparison::AsExpected } else { Comparison::Cut };
        rows.chain(again).fold(cut, Comparison::max)
    }
}

impl Row {
    /// A violation that the scenario does not expect is news; that nothing was found is none.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        match (self.verdict, self.expected) {
            (Verdict::Violated, Some(check::Verdict::Violated))
            | (Verdict::NotViolated | Verdict::NotJudged, _) => Comparison::AsExpected,
            (Verdict::Violated, _) => Comparison::Differs,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Violated => "violated",
            Self::NotViolated => "not violated",
            Self::NotJudged => "not judged",
        })
    }
}
