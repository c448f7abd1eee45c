//! Verdicts, expectations, and the comparison of the two.

use serde::{Deserialize, Serialize};
use std::fmt;
use strum::{Display, IntoStaticStr};

/// The verdict of an exhaustive search on a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Display, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Verdict {
    /// The search was complete, no world violates the property, and some world exercises it (if its kind
    /// needs a witness).
    Holds,
    /// A world violates it, or a livelock does.
    Violated,
    /// The search was complete and found no violation, but no world exercises the property.
    Unwitnessed,
    /// A limit cut the search short before a violation was found.
    Unknown,
}

/// The expected verdict on a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// It holds in every world, and some world exercises it.
    Holds,
    /// No world violates it, and none exercises it.
    Unwitnessed,
    /// A shortest run that violates it has this many steps.
    Violated(usize),
    /// It is checked, and any verdict is as expected.
    Anything,
}

/// Comparison of a result with the expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Everything is as expected.
    AsExpected,
    /// A limit cut the search short; nothing that it found contradicts the expectation.
    Cut,
    /// A verdict, a number of steps or the number of worlds differs.
    Differs,
}

impl Expected {
    /// The verdict that is expected, if one is.
    #[must_use]
    pub fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Holds => Some(Verdict::Holds),
            Self::Unwitnessed => Some(Verdict::Unwitnessed),
            Self::Violated(_) => Some(Verdict::Violated),
            Self::Anything => None,
        }
    }

    pub(crate) fn steps(self) -> Option<usize> {
        match self {
            Self::Violated(steps) => Some(steps),
            Self::Holds | Self::Unwitnessed | Self::Anything => None,
        }
    }
}

/// `holds`, `violated in 6 steps`.
impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violated(steps) => write!(f, "violated in {steps} steps"),
            Self::Holds => Verdict::Holds.fmt(f),
            Self::Unwitnessed => Verdict::Unwitnessed.fmt(f),
            Self::Anything => f.write_str("anything"),
        }
    }
}
