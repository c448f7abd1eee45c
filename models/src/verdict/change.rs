//! Changes: what was expected, what is there now, and whether that is worse.

use super::{
    check::{Exact, Found, Row},
    outcome::{Comparison, Verdict},
};
use strum::Display;

/// A result that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The direction of a verdict. A number of worlds has none.
    pub trend: Option<Trend>,
    /// Before and after: `holds → violated in 4 steps`, `violated in 6 → 4 steps`.
    pub said: String,
}

/// The direction in which a verdict has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display)]
#[strum(serialize_all = "lowercase")]
pub enum Trend {
    /// It is violated, and was not; or the shortest run that violates it has fewer steps.
    Worse,
    /// It is no longer violated, or is exercised at last; or the shortest run that violates it has more steps.
    Better,
    /// Nothing exercises it any more: there is no verdict.
    Gone,
}

impl Row {
    /// The change of the verdict, if it is not as expected.
    #[must_use]
    pub fn change(&self) -> Option<Change> {
        let Exact { expected_steps, .. } = self.more;
        let now = Found(self.verdict, self.steps);
        let said = match (self.expected, expected_steps, self.steps) {
            (Some(Verdict::Violated), Some(before), Some(after))
                if self.verdict == Verdict::Violated =>
            {
                format!("violated in {before} → {after} steps")
            }
            (Some(before), ..) => format!("{} → {now}", Found(before, expected_steps)),
            (None, ..) => format!("{now}; not expected"),
        };
        let change = Change { trend: Some(self.trend()), said };
        (self.comparison() == Comparison::Differs).then_some(change)
    }

    fn trend(&self) -> Trend {
        match (self.expected, self.verdict) {
            (Some(Verdict::Violated), Verdict::Violated)
                if self.steps > self.more.expected_steps =>
            {
                Trend::Better
            }
            (_, Verdict::Violated) => Trend::Worse,
            (_, Verdict::Unwitnessed | Verdict::Unknown) => Trend::Gone,
            (_, Verdict::Holds) => Trend::Better,
        }
    }
}
