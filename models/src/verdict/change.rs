//! Changes: what was expected, what is there now, and whether that is worse.

use super::{
    check::{Exact, Found, Row},
    outcome::{Comparison, Verdict},
};
use strum::Display;

/// A result that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The direction of a verdict. A number of worlds or of steps has none.
    pub trend: Option<Trend>,
    /// Before and after: `holds → violated in 4 steps`, `violated in 6 → 4 steps`.
    pub said: String,
}

/// The direction in which a verdict has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display)]
#[strum(serialize_all = "lowercase")]
pub enum Trend {
    /// It is violated, and was not.
    Worse,
    /// It is no longer violated, or is exercised at last.
    Better,
    /// Nothing exercises it any more: there is no verdict.
    Gone,
}

impl Row {
    /// The change of the verdict, if it is not as expected.
    #[must_use]
    pub fn change(&self) -> Option<Change> {
        let Exact { expected_steps, .. } = self.more;
        let before = self.expected.map(|verdict| Found(verdict, expected_steps));
        let change = Change::between(before, Found(self.verdict, self.steps));
        (self.comparison() == Comparison::Differs).then_some(change)
    }
}

impl Change {
    /// The change from one verdict to another, or to one that was not expected.
    pub(crate) fn between(before: Option<Found>, now: Found) -> Self {
        let said = match (before, now) {
            (
                Some(Found(Verdict::Violated, Some(before))),
                Found(Verdict::Violated, Some(after)),
            ) => {
                format!("violated in {before} → {after} steps")
            }
            (Some(before), now) => format!("{before} → {now}"),
            (None, now) => format!("{now}; not expected"),
        };
        let trend = match (before, now) {
            // Nothing was expected; or a longer run violates it as much as a shorter one.
            (None, _) | (Some(Found(Verdict::Violated, _)), Found(Verdict::Violated, _)) => None,
            (_, Found(Verdict::Violated, _)) => Some(Trend::Worse),
            (_, Found(Verdict::Unwitnessed | Verdict::Unknown, _)) => Some(Trend::Gone),
            (_, Found(Verdict::Holds, _)) => Some(Trend::Better),
        };
        Self { trend, said }
    }
}
