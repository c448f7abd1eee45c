//! The schedules, and their division among shards.

use super::mix::{Mix, mixes};
use crate::{explore::stop::Stop, model::environment::Environment};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr};

/// The schedules to take.
#[derive(Clone, Copy, Debug)]
pub struct Schedules {
    /// The seed of the generator. Another seed gives other schedules, and so does another [shard](Self::shard).
    pub seed: u64,
    /// The number of schedules, in all shards together.
    pub count: u64,
    /// The part of them that is taken here.
    pub shard: Shard,
    /// The number of actions after which the faults stop, at the latest.
    pub steps: usize,
    /// When no more schedules are begun.
    pub stop: Stop,
    /// Their coverage of the protocol is counted.
    pub coverage: bool,
    /// Each is run again, by rules that remember nothing, and compared.
    pub twice: bool,
}

/// One of several independent parts of the same work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 1.
    index: u64,
    /// The number of shards.
    of: u64,
}

impl Schedules {
    /// The numbers of the schedules that the shard takes.
    pub(super) fn numbers(self) -> impl Iterator<Item = u64> {
        let Shard { index, of } = self.shard;
        (index - 1..self.count).step_by(usize::try_from(of).unwrap_or(usize::MAX))
    }

    /// The number of schedules that the shard takes.
    #[must_use]
    pub fn taken(self) -> u64 {
        self.count.saturating_sub(self.shard.index - 1).div_ceil(self.shard.of)
    }

    /// The mix of a schedule, and the generator of its choices.
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
            stop: Stop::default(),
            coverage: false,
            twice: false,
        }
    }
}

impl Shard {
    /// The single shard: all of the work.
    pub const ALONE: Self = Self { index: 1, of: 1 };

    /// The shard of this index, from 1, among this many.
    ///
    /// # Errors
    /// If there is no such shard.
    pub fn new(index: u64, of: u64) -> Result<Self, String> {
        if (1..=of).contains(&index) {
            Ok(Self { index, of })
        } else {
            Err(format!("there is no shard {index} of {of}: expected I/N, with I from 1 to N"))
        }
    }
}

impl Shard {
    /// Its form in the names of files: `2-of-8`.
    pub(super) fn in_names(self) -> String {
        format!("{}-of-{}", self.index, self.of)
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
        let (index, of) =
            numbers.ok_or_else(|| format!("`{text}` is not a shard: expected I/N"))?;
        Self::new(index, of)
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
