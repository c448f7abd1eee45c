//! Which schedules there are, and who takes which.

use super::mix::{Mix, mixes};
use crate::model::environment::Environment;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr, time::Duration};

/// Which schedules are taken.
#[derive(Clone, Copy, Debug)]
pub struct Schedules {
    /// Other seeds, other schedules.
    pub seed: u64,
    /// How many there are, in all shards together.
    pub count: u64,
    /// Which of them are taken here.
    pub shard: Shard,
    /// After how many actions the faults stop, at the latest.
    pub steps: usize,
    /// No schedule is begun later than this.
    pub max_time: Option<Duration>,
    /// What they reach of the protocol is counted.
    pub coverage: bool,
    /// Each is run again, by rules that remember nothing, and compared.
    pub twice: bool,
}

/// One of several parts of the same work, which need not know of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which, from 1.
    index: u64,
    /// How many there are.
    of: u64,
}

impl Schedules {
    /// The numbers of those that the shard takes.
    pub(super) fn numbers(self) -> impl Iterator<Item = u64> {
        let Shard { index, of } = self.shard;
        (index - 1..self.count).step_by(usize::try_from(of).unwrap_or(usize::MAX))
    }

    /// How many the shard takes.
    #[must_use]
    pub fn taken(self) -> u64 {
        self.count.saturating_sub(self.shard.index - 1).div_ceil(self.shard.of)
    }

    /// What a schedule is made of, and what it chooses by.
    pub(super) fn draw(self, schedule: u64, environment: &Environment) -> (Mix, TestRng) {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&schedule.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let mix =
            mixes(environment).new_tree(&mut runner).expect("a strategy that rejects nothing");
        (mix.current(), runner.rng().clone())
    }
}

impl Default for Schedules {
    fn default() -> Self {
        Self {
            seed: 0,
            count: 10_000,
            shard: Shard::ALONE,
            steps: 100,
            max_time: None,
            coverage: false,
            twice: false,
        }
    }
}

impl Shard {
    /// All of the work.
    pub const ALONE: Self = Self { index: 1, of: 1 };

    /// The shard of this index, from 1, among so many.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(index: u64, of: u64) -> Result<Self, String> {
        if (1..=of).contains(&index) {
            Ok(Self { index, of })
        } else {
            Err(format!("there is no shard {index} of {of}: expected I/N, with I from 1 to N"))
        }
    }
}

/// `2/8`: the second of eight.
impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, of)| {
            let index = index.parse().ok()?;
            Some((index, of.parse().ok()?))
        });
        let (index, of) = numbers.ok_or_else(|| format!("`{text}` is no shard: expected I/N"))?;
        Self::new(index, of)
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
