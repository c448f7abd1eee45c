//! Budgets: the number of times that each kind of action can still happen.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{collections::BTreeMap, fmt, ops, str::FromStr};
use strum::{Display, EnumCount, EnumString, VariantArray};

/// A kind of action that can happen only a limited number of times.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumCount,
    EnumString,
    VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// First starts of nodes.
    Starts,
    /// Commands of applications.
    Commands,
    /// Timers that fire.
    Timeouts,
    /// Crashes, between steps and within one.
    Crashes,
    /// Restarts of crashed nodes.
    Restarts,
    /// Messages that vanish.
    Drops,
    /// Messages that arrive once more, later.
    Duplicates,
    /// Messages that overtake the one before them.
    Overtakes,
    /// Wrong reports of detectors: the reported node is up.
    Suspicions,
    /// Partitions of the nodes into two sides.
    Cuts,
}

impl Budget {
    /// All budgets, in the order in which they are written.
    pub const ALL: [Self; Self::COUNT] =
        *Self::VARIANTS.first_chunk().expect("as many variants as there are");

    /// The budgets of faults: all but the first three, which belong to normal operation.
    pub const FAULTS: &[Self] = Self::ALL.split_at(3).1;
}

/// The value of an unlimited budget. Only time-outs may be unlimited.
pub const UNLIMITED: u32 = u32::MAX;

/// A budget as files and the command line write it: a number, or `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times(pub u32);

/// The remaining budgets. A budget that is not named is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Budget, Times>", into = "BTreeMap<Budget, Times>")]
pub struct Budgets([u32; Budget::ALL.len()]);

impl ops::Index<Budget> for Budgets {
    type Output = u32;
    fn index(&self, budget: Budget) -> &u32 {
        &self.0[budget as usize]
    }
}

impl ops::IndexMut<Budget> for Budgets {
    fn index_mut(&mut self, budget: Budget) -> &mut u32 {
        &mut self.0[budget as usize]
    }
}

impl Budgets {
    /// No budgets: only deliveries can happen.
    pub const NONE: Self = Self([0; Budget::ALL.len()]);

    pub(crate) fn spend(&mut self, budget: Budget) {
        if self[budget] != UNLIMITED {
            self[budget] = self[budget].checked_sub(1).expect("an action that is paid for");
        }
    }

    /// The budgets above 0.
    pub(super) fn above_0(self) -> impl Iterator<Item = (Budget, Times)> {
        let all = Budget::ALL.into_iter().map(move |budget| (budget, Times(self[budget])));
        all.filter(|(_, times)| times.0 > 0)
    }
}

impl From<BTreeMap<Budget, u32>> for Budgets {
    fn from(named: BTreeMap<Budget, u32>) -> Self {
        let mut budgets = Self::default();
        for (budget, times) in named {
            budgets[budget] = times;
        }
        budgets
    }
}

impl From<BTreeMap<Budget, Times>> for Budgets {
    fn from(named: BTreeMap<Budget, Times>) -> Self {
        let numbers = named.into_iter().map(|(budget, times)| (budget, times.0));
        numbers.collect::<BTreeMap<_, _>>().into()
    }
}

impl From<Budgets> for BTreeMap<Budget, Times> {
    fn from(budgets: Budgets) -> Self {
        budgets.above_0().collect()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            UNLIMITED => f.write_str("unlimited"),
            times => write!(f, "{times}"),
        }
    }
}

impl FromStr for Times {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = || text.parse().ok().filter(|times| *times < UNLIMITED);
        let times = if text == "unlimited" { Some(UNLIMITED) } else { number() };
        times.map(Self).ok_or_else(|| format!("`{text}` is not {TIMES}"))
    }
}

const TIMES: &str = "a number from 0 to 4294967294, or (for timeouts) `unlimited`";

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            UNLIMITED => serializer.collect_str(self),
            times => serializer.serialize_u32(times),
        }
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimesVisitor)
    }
}

struct TimesVisitor;

impl de::Visitor<'_> for TimesVisitor {
    type Value = Times;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TIMES)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Times, E> {
        let times = u32::try_from(number).ok().filter(|times| *times < UNLIMITED);
        times.map(Times).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Times, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Times, E> {
        // A number is not accepted as a text here.
        if text == "unlimited" {
            return Ok(Times(UNLIMITED));
        }
        Err(E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// The budgets above 0: `commands 2, crashes 1`.
impl fmt::Display for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> =
            self.above_0().map(|(budget, times)| format!("{budget} {times}")).collect();
        f.pad(&if texts.is_empty() { "nothing happens".into() } else { texts.join(", ") })
    }
}
