//! The environment of a run: how large the group is, how it begins, and how much can happen.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    ops,
};

/// What the environment of a run is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// How many nodes there are.
    pub nodes: u16,
    /// How the group begins.
    pub start: Start,
    /// When timers may fire.
    pub timers: Timers,
    /// How much can happen.
    pub budgets: Budgets,
}

/// How the group begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// The group is formed and has nothing under way.
    Joined,
    /// Node 0 has founded a group; the others are idle, and join through any node that is up.
    Joining,
}

/// When timers may fire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Timers {
    /// Only when there is nothing to deliver: time-outs are long.
    #[default]
    Late,
    /// At any time.
    Any,
}

/// What can happen only so many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
}

/// How often each can still happen; what is not named cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Budget, u8>", into = "BTreeMap<Budget, u8>")]
pub struct Budgets([u8; Budget::ALL.len()]);

impl ops::Index<Budget> for Budgets {
    type Output = u8;
    fn index(&self, budget: Budget) -> &u8 {
        &self.0[budget as usize]
    }
}

impl ops::IndexMut<Budget> for Budgets {
    fn index_mut(&mut self, budget: Budget) -> &mut u8 {
        &mut self.0[budget as usize]
    }
}

impl Budgets {
    pub(crate) fn spend(&mut self, budget: Budget) {
        self[budget] = self[budget].checked_sub(1).expect("an action that is paid for");
    }
}

impl Start {
    fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Joining => "joining",
        }
    }
}

impl From<BTreeMap<Budget, u8>> for Budgets {
    fn from(named: BTreeMap<Budget, u8>) -> Self {
        let mut budgets = Self::default();
        for (budget, times) in named {
            budgets[budget] = times;
        }
        budgets
    }
}

impl From<Budgets> for BTreeMap<Budget, u8> {
    fn from(budgets: Budgets) -> Self {
        Budget::ALL.map(|budget| (budget, budgets[budget])).into()
    }
}

impl Budget {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Starts, Self::Commands, Self::Timeouts, Self::Crashes];
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Starts => "starts",
            Self::Commands => "commands",
            Self::Timeouts => "timeouts",
            Self::Crashes => "crashes",
        })
    }
}

/// Those that are above 0: `commands 2, crashes 1`.
impl fmt::Display for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Budget::ALL.into_iter().filter(|budget| self[*budget] > 0);
        let texts: Vec<_> = named.map(|budget| format!("{budget} {}", self[budget])).collect();
        f.pad(&if texts.is_empty() { "nothing happens".into() } else { texts.join(", ") })
    }
}

impl Environment {
    /// An environment, with the budgets that are given. In a group that is still to be joined each
    /// other node can start once, and each join timer can fire, unless the budgets say otherwise.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn new(
        nodes: u16,
        start: Start,
        timers: Timers,
        given: &BTreeMap<Budget, u8>,
    ) -> Result<Self, String> {
        Self::check_size(nodes)?;
        if start == Start::Joined && given.contains_key(&Budget::Starts) {
            return Err("a joined group has nobody left to start: leave out `starts`".into());
        }
        let mut budgets = Budgets::default();
        if start == Start::Joining {
            let size = u8::try_from(nodes).unwrap_or(u8::MAX);
            budgets[Budget::Starts] = size - 1;
            budgets[Budget::Timeouts] = size;
        }
        for (budget, times) in given {
            budgets[*budget] = *times;
        }
        Ok(Self { nodes, start, timers, budgets })
    }

    /// A short name: `joined-3-commands-2-crashes-1`.
    #[must_use]
    pub fn slug(&self) -> String {
        let mut slug = format!("{}-{}", self.start.name(), self.nodes);
        if self.timers == Timers::Any {
            slug += "-any";
        }
        for budget in Budget::ALL.into_iter().filter(|budget| self.budgets[*budget] > 0) {
            let _ = write!(slug, "-{budget}-{}", self.budgets[budget]);
        }
        slug
    }

    /// More nodes than any search or schedule gets through.
    const MOST_NODES: u16 = 32;

    /// Whether a group can have this size.
    ///
    /// # Errors
    /// A sentence that says which it can have.
    pub fn check_size(nodes: u16) -> Result<(), String> {
        if (1..=Self::MOST_NODES).contains(&nodes) {
            return Ok(());
        }
        Err(format!("{nodes} nodes: expected 1 to {}", Self::MOST_NODES))
    }
}

/// `3 nodes, joined, late timers; commands 2, crashes 1`.
impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.start.name();
        let timers = match self.timers {
            Timers::Late => "late timers",
            Timers::Any => "timers at any time",
        };
        let plural = if self.nodes == 1 { "" } else { "s" };
        write!(f, "{} node{plural}, {start}, {timers}; {}", self.nodes, self.budgets)
    }
}
