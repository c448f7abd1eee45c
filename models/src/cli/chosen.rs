//! The choice of scenarios, and changes of their budgets.

use super::{Command, Failure};
use crate::{
    io::file,
    model::environment::{Budget, Key, Misfit, Times},
    verdict::scenario::Scenario,
};
use std::collections::BTreeMap;

/// The scenarios that are chosen.
#[derive(Debug, clap::Args)]
pub(super) struct Chosen {
    /// Only scenarios whose names contain one of these; a whole name means just that one
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Also scenarios that are marked nightly
    #[arg(long)]
    nightly: bool,
}

impl Chosen {
    /// The patterns.
    pub(super) fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// The scenarios that the patterns choose: a whole name chooses just that one, even if it is
    /// nightly.
    pub(super) fn among(
        &self,
        scenarios: Vec<Scenario>,
        of: &Command,
    ) -> Result<Vec<Scenario>, Failure> {
        let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
        for pattern in &self.patterns {
            if !names.iter().any(|name| name.contains(pattern.as_str())) {
                let hint = file::did_you_mean(pattern, names.iter().map(String::as_str));
                let (program, all) = (of.name, names.len());
                let message = format!(
                    "no scenario is named like `{pattern}`{hint} (`{program} list` shows all {all})"
                );
                return Err(Failure::Usage(message));
            }
        }
        let chosen = |scenario: &Scenario| {
            let by_name = self.patterns.contains(&scenario.name);
            let wanted =
                self.patterns.is_empty() || is_chosen(&scenario.name, &self.patterns, &names);
            by_name || (wanted && (self.nightly || !scenario.nightly))
        };
        let chosen: Vec<_> = scenarios.into_iter().filter(chosen).collect();
        if chosen.is_empty() {
            let message = "only nightly scenarios are named like this: add --nightly".into();
            return Err(Failure::Usage(message));
        }
        Ok(chosen)
    }
}

/// A misfit, after the option that gave it.
pub(super) fn of_option(misfit: &Misfit) -> String {
    let option = match misfit.key {
        Key::Protocol => "--protocol",
        Key::Nodes => "--nodes",
        Key::Workers => "--workers",
        Key::Start => "--start",
        Key::Budgets => "--budget",
        Key::Bound => "--bound",
        Key::Properties => "--property",
    };
    format!("{option}: {misfit}")
}

/// True if a pattern chooses this one of the names. A whole name chooses just that one, anything else every name that
/// contains it.
pub(super) fn is_chosen(name: &str, patterns: &[String], names: &[String]) -> bool {
    patterns.iter().any(|pattern| {
        if names.contains(pattern) { name == pattern } else { name.contains(pattern.as_str()) }
    })
}

pub(super) fn parse_budget(text: &str) -> Result<(Budget, Times), String> {
    let names = || Budget::ALL.map(|budget| budget.to_string()).join(", ");
    let (name, times) = text
        .split_once('=')
        .ok_or_else(|| format!("expected NAME=N, where NAME is one of: {}", names()))?;
    let budget = name.parse::<Budget>().map_err(|_| {
        let all = Budget::ALL.map(|budget| budget.to_string());
        let hint = file::did_you_mean(name, all.iter().map(String::as_str));
        format!("there is no budget `{name}`{hint} (there are: {})", names())
    })?;
    Ok((budget, times.parse()?))
}

/// The budgets that are given in arguments, each once.
pub(super) fn budgets(given: &[(Budget, Times)]) -> Result<BTreeMap<Budget, u32>, Failure> {
    let mut budgets = BTreeMap::new();
    for (budget, times) in given {
        if budgets.insert(*budget, times.0).is_some() {
            return Err(Failure::Usage(format!("the budget `{budget}` is given twice")));
        }
    }
    Ok(budgets)
}
