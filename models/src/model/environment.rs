//! The environment of a run: the size of the group, its beginning, and the budgets of what can happen.

mod budget;
mod class;

pub use budget::{Budget, Budgets, Times, UNLIMITED};
pub use class::Class;

use crate::io::text::counted;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    str::FromStr,
};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// The environment of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The number of nodes that may lead.
    pub nodes: u16,
    /// The number of workers: further nodes that never lead. They have the highest numbers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub workers: u16,
    /// The beginning of the group.
    pub start: Start,
    /// When timers may fire.
    pub timers: Timers,
    /// The stable storage that a crash leaves.
    #[serde(default, skip_serializing_if = "Storage::is_kept")]
    pub storage: Storage,
    /// The budgets: how often each thing can happen.
    pub budgets: Budgets,
    /// The bound: worlds beyond it are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

/// The beginning of the group.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Start {
    /// The group is formed and has nothing under way.
    Joined,
    /// Node 0 has founded a group; the others are idle, and join through any node that is up.
    Joining,
    /// Every node is idle, and can come up at any time.
    Idle,
}

/// When timers may fire.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Timers {
    /// Only when there is nothing to deliver: time-outs are long.
    #[default]
    Late,
    /// At any time.
    Any,
}

/// The stable storage that a restarted node finds.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Storage {
    /// Its content is kept.
    #[default]
    Kept,
    /// Nothing: it has no disk.
    Lost,
}

/// A limit on a measure of the protocol, at each node that is up. Worlds beyond it are neither counted nor
/// expanded, so the results of such a search are bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, u64>", into = "BTreeMap<String, u64>")]
pub struct Bound {
    /// The name of the measure.
    pub measure: String,
    /// The largest value that is looked at.
    pub most: u64,
}

impl Start {
    /// Its name in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl Storage {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn is_kept(&self) -> bool {
        *self == Self::Kept
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &u16) -> bool {
    *count == 0
}

impl TryFrom<BTreeMap<String, u64>> for Bound {
    type Error = &'static str;
    fn try_from(named: BTreeMap<String, u64>) -> Result<Self, &'static str> {
        let mut named = named.into_iter();
        match (named.next(), named.next()) {
            (Some((measure, most)), None) => Ok(Self { measure, most }),
            _ => Err("a bound is on one measure, as in `{ elections = 2 }`"),
        }
    }
}

impl From<Bound> for BTreeMap<String, u64> {
    fn from(Bound { measure, most }: Bound) -> Self {
        Self::from([(measure, most)])
    }
}

impl FromStr for Bound {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (measure, most) = text.split_once('=').ok_or("expected NAME=N, as in `elections=2`")?;
        let most = most.parse().map_err(|_| format!("`{most}` is not a number"))?;
        Ok(Self { measure: measure.into(), most })
    }
}

/// `elections=2`.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.measure, self.most)
    }
}

/// The reason why an environment is invalid, or does not suit a protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The part of the scenario that does not fit.
    pub key: Key,
    /// A sentence that says what would fit.
    pub message: String,
}

/// A part of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the keys of scenario files")]
pub enum Key {
    Protocol,
    Nodes,
    Workers,
    Start,
    Budgets,
    Bound,
    Properties,
}

impl Misfit {
    pub(crate) fn new(key: Key, message: impl Into<String>) -> Self {
        Self { key, message: message.into() }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Environment {
    /// An environment without workers or a bound, that keeps stable storage, with the budgets that are
    /// [given](Self::with_budgets).
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn new(
        nodes: u16,
        start: Start,
        timers: Timers,
        given: &BTreeMap<Budget, u32>,
    ) -> Result<Self, String> {
        let (storage, budgets) = (Storage::Kept, Budgets::default());
        let plain = Self { nodes, workers: 0, start, timers, storage, budgets, bound: None };
        plain.with_budgets(given).map_err(|misfit| misfit.message)
    }

    /// The same environment with other budgets. By default each idle node can start once. In a group that is
    /// still to be joined, each join timer can fire once.
    ///
    /// # Errors
    /// The part that does not fit.
    pub fn with_budgets(mut self, given: &BTreeMap<Budget, u32>) -> Result<Self, Misfit> {
        // First, because the computations below rely on a valid size.
        self.check()?;
        if self.start == Start::Joined && given.contains_key(&Budget::Starts) {
            let message = "a joined group has nobody left to start: leave out `starts`";
            return Err(Misfit::new(Key::Budgets, message));
        }
        let size = u32::from(self.size());
        self.budgets = match self.start {
            Start::Joined => Budgets::default(),
            Start::Joining => {
                BTreeMap::from([(Budget::Starts, size - 1), (Budget::Timeouts, size)]).into()
            }
            Start::Idle => BTreeMap::from([(Budget::Starts, size)]).into(),
        };
        for (budget, times) in given {
            self.budgets[*budget] = *times;
        }
        self.check()?;
        Ok(self)
    }

    /// One node and no budgets: for questions whose answer is the same in every environment.
    pub(crate) const SOME: Self = Self {
        nodes: 1,
        workers: 0,
        start: Start::Joined,
        timers: Timers::Late,
        storage: Storage::Kept,
        budgets: Budgets::NONE,
        bound: None,
    };

    /// Its class: the faults that can happen in it, if that combination has a name.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        let can_happen = |budget: &&Budget| self.budgets[**budget] > 0;
        let faults: Vec<_> = Budget::FAULTS.iter().filter(can_happen).copied().collect();
        Class::ALL.into_iter().find(|class| class.faults() == faults)
    }

    /// The number of nodes, workers included.
    #[must_use]
    pub fn size(&self) -> u16 {
        self.nodes.saturating_add(self.workers)
    }

    /// A short name: `joined-3-commands-2-crashes-1`.
    #[must_use]
    pub fn slug(&self) -> String {
        let mut slug = format!("{}-{}", self.start.name(), self.nodes);
        if self.workers > 0 {
            let _ = write!(slug, "-workers-{}", self.workers);
        }
        if self.timers == Timers::Any {
            slug += "-any";
        }
        if self.storage == Storage::Lost {
            slug += "-lost";
        }
        for (budget, times) in self.budgets.above_0() {
            let _ = write!(slug, "-{budget}-{times}");
        }
        if let Some(Bound { measure, most }) = &self.bound {
            let _ = write!(slug, "-{measure}-{most}");
        }
        slug
    }

    /// The largest size. No search or schedule gets through more nodes.
    pub(crate) const MOST_NODES: u16 = 32;

    /// The largest size with cuts. A cut chooses among all sides: twelve nodes have 2047 of them.
    const MOST_NODES_TO_CUT: u16 = 12;

    /// Checks that it is a valid environment for any protocol.
    ///
    /// # Errors
    /// The part that does not fit.
    pub fn check(&self) -> Result<(), Misfit> {
        let Self { nodes, workers, budgets, .. } = self;
        let most = Self::MOST_NODES;
        if !(1..=most).contains(nodes) {
            return Err(Misfit::new(Key::Nodes, format!("{nodes} nodes: expected 1 to {most}")));
        }
        if self.size() > most {
            let message = format!("{workers} workers and {nodes} nodes: expected {most} at most");
            return Err(Misfit::new(Key::Workers, message));
        }
        let most = Self::MOST_NODES_TO_CUT;
        if budgets[Budget::Cuts] > 0 && self.size() > most {
            let message = format!("cuts of {} nodes: expected {most} at most", self.size());
            return Err(Misfit::new(Key::Budgets, message));
        }
        let unlimited = |budget: &Budget| budgets[*budget] == UNLIMITED;
        let limited = |budget: &Budget| *budget != Budget::Timeouts;
        if let Some(budget) = Budget::ALL.into_iter().filter(limited).find(unlimited) {
            let message = format!("{budget} cannot be unlimited, only timeouts can: give a number");
            return Err(Misfit::new(Key::Budgets, message));
        }
        if unlimited(&Budget::Timeouts) && self.timers == Timers::Any {
            let message = "unlimited timeouts need late timers: give a number, or make timers late";
            return Err(Misfit::new(Key::Budgets, message));
        }
        Ok(())
    }
}

/// `3 nodes, joined, late timers; commands 2, crashes 1`.
impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", counted(self.nodes.into(), "node"))?;
        if self.workers > 0 {
            write!(f, " and {}", counted(self.workers.into(), "worker"))?;
        }
        let timers = match self.timers {
            Timers::Late => "late timers",
            Timers::Any => "timers at any time",
        };
        let storage = match self.storage {
            Storage::Kept => "",
            Storage::Lost => ", storage lost",
        };
        write!(f, ", {}, {timers}{storage}; {}", self.start.name(), self.budgets)?;
        if let Some(Bound { measure, most }) = &self.bound {
            write!(f, "; {measure} up to {most}")?;
        }
        Ok(())
    }
}
