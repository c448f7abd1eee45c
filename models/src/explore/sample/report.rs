//! Reports of random schedules.

use super::{again::Again, schedules::Shard};
use crate::{
    evidence::trace::Trace,
    explore::{coverage::Coverage, symptom::Symptom},
    io::text::grouped,
    verdict::{
        outcome::{self, Comparison},
        report::Case,
        row::{self, Subject},
    },
};
use serde::Serialize;
use strum::{Display, IntoStaticStr};

/// The result of random schedules of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The protocol and the environment; each schedule has some of the faults of the environment.
    #[serde(flatten)]
    pub subject: Subject,
    /// The seed.
    pub seed: u64,
    /// The shard.
    pub shard: Shard,
    /// The number of actions after which the faults stopped, at the latest.
    pub steps: usize,
    /// The number of schedules in the shard.
    pub schedules: u64,
    /// The number of them that were taken.
    pub done: u64,
    /// All of them were taken.
    pub complete: bool,
    /// The number of actions in all of them together.
    pub actions: u64,
    /// The number of schedules that ended where the protocol had nothing left to do.
    pub settled: u64,
    /// The number that ended earlier: settled properties were not judged at their ends.
    pub unsettled: u64,
    /// The number of schedules that ended at the bound.
    pub beyond: u64,
    /// The time that it took, in seconds.
    pub seconds: f64,
    /// A row for each property of the protocol.
    pub properties: Vec<Row>,
    /// The result of running each of them again, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again: Option<Again>,
    /// The coverage of the protocol, if that was asked for.
    #[serde(skip)]
    pub coverage: Option<Coverage>,
}

/// The verdict of random schedules on one property.
pub type Row = row::Row<Verdict, Sampled>;

/// The columns that only random schedules have.
#[derive(Clone, Debug, Serialize)]
pub struct Sampled {
    /// The number of schedules that violate it.
    pub violations: u64,
    /// Some schedule exercises it.
    pub witnessed: bool,
    /// The symptom of the first violation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symptom: Option<Symptom>,
    /// The first schedule that violates it, from 0.
    pub schedule: Option<u64>,
    /// The number of actions after which that schedule violates it, before it is shrunk.
    pub raw_steps: Option<usize>,
    /// The run of that schedule, if the counterexample is another one.
    #[serde(skip)]
    pub unshrunk: Option<Trace>,
    /// The first schedules that violate it with other symptoms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Shown>,
}

/// The first schedule that violates a property with some symptom.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// The symptom.
    pub symptom: Symptom,
    /// The number of schedules with that symptom.
    pub violations: u64,
    /// The schedule, from 0.
    pub schedule: u64,
    /// The number of actions after which it violates the property.
    pub raw_steps: usize,
    /// The number of steps of the counterexample.
    pub steps: usize,
    /// The file that holds the counterexample.
    pub trace: Option<String>,
    /// The counterexample: the run of the schedule, shrunk.
    #[serde(skip)]
    pub counterexample: Trace,
    /// The run of the schedule, if the counterexample is another one.
    #[serde(skip)]
    pub unshrunk: Option<Trace>,
}

/// The verdict of random schedules on a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Display, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A schedule violates it.
    #[strum(to_string = "violated")]
    Violated,
    /// No schedule that was taken does.
    #[strum(to_string = "not violated")]
    NotViolated,
    /// It is about whole runs, which a schedule does not show.
    #[strum(to_string = "not judged")]
    NotJudged,
}

impl Report {
    /// Comparison with the expectation: the worst of all rows.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        let rows = self.properties.iter().map(Row::comparison);
        let again = self.again.as_ref().map(Again::comparison);
        let cut = if self.complete { Comparison::AsExpected } else { Comparison::Cut };
        rows.chain(again).fold(cut, Comparison::max)
    }

    /// Asserts in a test that everything is as expected. The command `fuzz` shows the runs, too.
    ///
    /// # Panics
    /// If a schedule violates a property and the scenario does not expect that, or a limit ended the schedules.
    pub fn assert_as_expected(&self) {
        Case::assert_as_expected(self.cases());
    }

    /// A case for each property, and one for the second run.
    #[must_use]
    pub fn cases(&self) -> Vec<Case> {
        let suite = &self.subject.scenario;
        let row = |row: &Row| {
            Case::new(suite, row.name, row.comparison(), row.said()).at(row.place.clone())
        };
        let cut = if self.complete { Comparison::AsExpected } else { Comparison::Cut };
        let said = format!("{} of {} taken", grouped(self.done), grouped(self.schedules));
        let taken =
            Case { seconds: Some(self.seconds), ..Case::new(suite, "schedules", cut, said) };
        let again = self
            .again
            .as_ref()
            .map(|again| Case::new(suite, "determinism", again.comparison(), again.said()));
        [taken].into_iter().chain(self.properties.iter().map(row)).chain(again).collect()
    }
}

impl Row {
    /// As expected, unless a schedule violates it and the scenario does not expect that. A schedule without a
    /// violation contradicts no expectation.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        match (self.verdict, self.expected) {
            (Verdict::Violated, Some(outcome::Verdict::Violated))
            | (Verdict::NotViolated | Verdict::NotJudged, _) => Comparison::AsExpected,
            (Verdict::Violated, _) => Comparison::Differs,
        }
    }

    /// `violated by 3 schedules; expected: holds`.
    fn said(&self) -> String {
        let Sampled { violations, .. } = self.more;
        let found = match self.verdict {
            Verdict::Violated => format!("violated by {} schedules", grouped(violations)),
            other => other.to_string(),
        };
        match (self.comparison(), self.expected) {
            (Comparison::Differs, Some(expected)) => format!("{found}; expected: {expected}"),
            (Comparison::Differs, None) => format!("{found}; not expected"),
            _ => found,
        }
    }
}
