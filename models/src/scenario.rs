//! Scenarios: a protocol, an environment, and what is expected of them.
//!
//! Those that the project pins are TOML files, one for each, named after their place:
//!
//! ```toml
//! summary = "three members; two multicasts and two crashes"
//! protocol = "gms3"
//! nodes = 3
//! start = "joined"                          # or "joining"
//! timers = "late"                           # or "any"; late if left out
//! budgets = { commands = 2, crashes = 2 }   # and starts, timeouts
//! nightly = false                           # true: too long for every day
//!
//! [expect]
//! states = 4335                             # distinct worlds
//!
//! [expect.properties]                       # those that are not named are not checked
//! single-leader = "holds"
//! nobody-stopped = { violated = 6 }         # the steps of a shortest counterexample
//! no-livelock = "holds"                     # what settled properties depend on
//! ```

use crate::{
    environment::{Budget, Environment, Start, Timers},
    file::{self, FileError},
    property::Property,
    registry::Known,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};
use toml::Spanned;

/// A protocol in an environment, and what is expected of it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name: for a file, its place below the folder of scenarios.
    pub name: String,
    /// The name of the protocol.
    pub protocol: String,
    /// What it is, in a line.
    pub summary: String,
    /// It takes too long for every day.
    pub nightly: bool,
    /// What the environment is like.
    pub environment: Environment,
    /// How many distinct worlds there should be, if that is known.
    pub states: Option<u64>,
    /// The properties that are checked, and what is expected of each.
    pub properties: Vec<(&'static Property, Option<Expected>)>,
}

/// What is expected of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// It holds in every world, and was at stake in one.
    Holds,
    /// It holds in every world, but was never at stake.
    Unwitnessed,
    /// A shortest run that violates it has this many steps.
    Violated(usize),
}

/// A scenario as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    summary: String,
    protocol: Spanned<String>,
    nodes: Spanned<u16>,
    start: Start,
    #[serde(default)]
    timers: Timers,
    #[serde(default)]
    nightly: bool,
    budgets: Spanned<BTreeMap<Budget, u8>>,
    expect: WrittenExpectation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenExpectation {
    states: u64,
    properties: Spanned<BTreeMap<Spanned<String>, Expected>>,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// If it cannot be read, or says something that is not understood: the place, and what would have
    /// been right.
    pub fn read(path: &Path, name: &str) -> Result<Self, FileError> {
        let text = file::read(path)?;
        let written: Written = toml::from_str(&text).map_err(|error| {
            FileError::at(path, &text, error.span().unwrap_or_default(), error.message())
        })?;
        let wrong = |span, message: String| FileError::at(path, &text, span, message);

        let known: Known = (written.protocol.get_ref().parse())
            .map_err(|message| wrong(written.protocol.span(), message))?;
        let Written { nodes, start, timers, budgets, .. } = written;
        Environment::check_size(*nodes.get_ref())
            .map_err(|message| wrong(nodes.span(), message))?;
        let environment = Environment::new(*nodes.get_ref(), start, timers, budgets.get_ref())
            .map_err(|message| wrong(budgets.span(), message))?;

        let expectations = &written.expect.properties;
        if expectations.get_ref().is_empty() {
            let message = "no properties: nothing would be checked".into();
            return Err(wrong(expectations.span(), message));
        }
        let mut properties = vec![];
        for (name, expected) in expectations.get_ref() {
            let property =
                known.property(name.get_ref()).map_err(|message| wrong(name.span(), message))?;
            properties.push((property, Some(*expected)));
        }
        let place =
            |property: &Property| known.properties().iter().position(|p| p.name == property.name);
        properties.sort_by_key(|(property, _)| place(property));
        Ok(Self {
            name: name.into(),
            protocol: written.protocol.into_inner(),
            summary: written.summary,
            nightly: written.nightly,
            environment,
            states: Some(written.expect.states),
            properties,
        })
    }

    /// Reads every scenario below a folder, in the order of their names.
    ///
    /// # Errors
    /// If the folder or one of them cannot be read, or there is none.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>, FileError> {
        let mut paths = vec![];
        files_below(folder, "toml", &mut paths)?;
        if paths.is_empty() {
            return Err(FileError::new(folder, "there are no scenarios here"));
        }
        let name = |path: &Path| {
            let place = path.strip_prefix(folder).unwrap_or(path).with_extension("");
            place.to_string_lossy().replace('\\', "/")
        };
        let mut named: Vec<_> = paths.iter().map(|path| (name(path), path)).collect();
        named.sort();
        named.iter().map(|(name, path)| Self::read(path, name)).collect()
    }
}

/// Adds the files below a folder that have this extension.
///
/// # Errors
/// If a folder cannot be read.
pub fn files_below(
    folder: &Path,
    extension: &str,
    paths: &mut Vec<PathBuf>,
) -> Result<(), FileError> {
    let cannot = |error| FileError::new(folder, format!("cannot be read: {error}"));
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let path = entry.path();
        // Links are not followed: they may lead back here.
        if entry.file_type().map_err(cannot)?.is_dir() {
            files_below(&path, extension, paths)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
    Ok(())
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => f.write_str("holds"),
            Self::Unwitnessed => f.write_str("unwitnessed"),
            Self::Violated(steps) => write!(f, "violated in {steps} steps"),
        }
    }
}
