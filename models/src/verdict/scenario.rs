//! Scenarios: a protocol, an environment, and the expected verdicts.
//!
//! The project's own scenarios are TOML files. Each is named after its path:
//!
//! ```toml
//! summary = "three members; two multicasts and two crashes"
//! protocol = "gms3"
//! nodes = 3
//! workers = 0                               # nodes on top that never lead
//! start = "joined"                          # or "joining", "idle"
//! timers = "late"                           # or "any"; late if left out
//! storage = "kept"                          # or "lost": a restarted node has no disk
//! budgets = { commands = 2, crashes = 2 }   # and starts, timeouts (or "unlimited"), restarts, drops,
//!                                           # duplicates, overtakes, suspicions, cuts
//! # bound = { elections = 2 }               # leave out worlds beyond this value of a measure
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
//!
//! A test writes the same with a [builder](Scenario::builder).

use crate::{
    claim::property::Property,
    io::file::{self, FileError},
    model::environment::{
        Bound, Budget, Environment, Key, Misfit, Start, Storage, Timers, Times, UNLIMITED,
    },
    protocol::registry::{Known, Registry},
    verdict::{outcome::Expected, report::Place},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};
use toml::Spanned;

/// A protocol in an environment, and what is expected of it.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name: for a file, its path below the folder of scenarios.
    pub name: String,
    /// The protocol, if it is registered. A test of another machine gives the machine itself.
    pub protocol: Option<Known>,
    /// A description, in a line.
    pub summary: String,
    /// It takes too long for the daily checks.
    pub nightly: bool,
    /// The environment.
    pub environment: Environment,
    /// The expected number of distinct worlds.
    pub states: Option<u64>,
    /// The properties that are checked, each with its expected verdict.
    pub properties: Vec<(&'static Property, Option<Expected>)>,
    /// The file that it was read from.
    pub source: Option<Source>,
}

/// The file of a scenario, and the lines of its expectations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// The line of the number of worlds.
    pub states: usize,
    /// The line of each property, by its name.
    pub properties: BTreeMap<String, usize>,
}

/// A scenario as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    summary: String,
    protocol: Spanned<String>,
    nodes: Spanned<u16>,
    workers: Option<Spanned<u16>>,
    start: Spanned<Start>,
    #[serde(default)]
    timers: Timers,
    #[serde(default)]
    storage: Storage,
    #[serde(default)]
    nightly: bool,
    budgets: Spanned<BTreeMap<Budget, Times>>,
    bound: Option<Spanned<Bound>>,
    expect: WrittenExpectation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenExpectation {
    states: Spanned<u64>,
    properties: Spanned<BTreeMap<Spanned<String>, Expected>>,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// If it cannot be read or is not understood, or the registry has no such protocol: the place, and the correct form.
    pub fn read(registry: &Registry, path: &Path, name: &str) -> Result<Self, FileError> {
        Self::parse(registry, path, name, &file::read(path)?)
    }

    /// Parses the text of a scenario file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(
        registry: &Registry,
        path: &Path,
        name: &str,
        text: &str,
    ) -> Result<Self, FileError> {
        let written: Written = toml::from_str(text).map_err(|error| {
            FileError::at(path, text, error.span().unwrap_or_default(), error.message())
        })?;
        let wrong = |span, message: String| FileError::at(path, text, span, message);

        let known = (registry.named(written.protocol.get_ref()))
            .map_err(|message| wrong(written.protocol.span(), message))?;
        let mut expected = vec![];
        for (name, expectation) in written.expect.properties.get_ref() {
            let property =
                known.property(name.get_ref()).map_err(|message| wrong(name.span(), message))?;
            expected.push((property, *expectation));
        }
        let place =
            |property: &Property| known.properties().iter().position(|p| p.name == property.name);
        expected.sort_by_key(|(property, _)| place(property));
        let mut builder = written.builder(name, known, &expected);
        builder.scenario.source = Some(written.expect.source(path, text));
        builder.try_build().map_err(|Misfit { key, message }| wrong(written.span(key), message))
    }

    /// Reads every scenario below a folder, in the order of their names.
    ///
    /// # Errors
    /// If the folder or one of them cannot be read, or there is none.
    pub fn read_all(registry: &Registry, folder: &Path) -> Result<Vec<Self>, FileError> {
        let mut paths = file::files_below(folder, "toml")?;
        paths.retain(|path| path.file_name().is_none_or(|name| name != file::UNREACHABLE));
        if paths.is_empty() {
            return Err(FileError::new(folder, "there are no scenarios here"));
        }
        let name = |path: &Path| file::name_below(folder, &path.with_extension(""));
        let mut named: Vec<_> = paths.iter().map(|path| (name(path), path)).collect();
        named.sort();
        named.iter().map(|(name, path)| Self::read(registry, path, name)).collect()
    }

    /// The expected verdict on a property.
    #[must_use]
    pub fn expected(&self, property: &Property) -> Option<Expected> {
        let row = self.properties.iter().find(|(named, _)| named.name == property.name);
        row.and_then(|(_, expected)| *expected)
    }

    /// The names of its protocol's properties that it does not judge.
    #[must_use]
    pub fn unjudged(&self) -> Vec<&'static str> {
        let all = self.protocol.map_or(&[][..], Known::properties);
        let is_judged = |name: &str| self.properties.iter().any(|(it, _)| it.name == name);
        all.iter().map(|it| it.name).filter(|name| !is_judged(name)).collect()
    }

    /// The line that states the expected verdict on a property.
    #[must_use]
    pub fn place(&self, property: &Property) -> Option<Place> {
        let source = self.source.as_ref()?;
        Some(Place::new(&source.file, *source.properties.get(property.name)?))
    }

    /// The line that states the expected number of worlds.
    #[must_use]
    pub fn place_of_states(&self) -> Option<Place> {
        let source = self.source.as_ref()?;
        Some(Place::new(&source.file, source.states))
    }

    /// The same with another number of nodes that may lead and with these budgets. Budgets that are not given
    /// stay as they are, except those that follow from the size of the group. The new name says how the
    /// environment differs.
    ///
    /// # Errors
    /// The part of the environment that does not fit.
    pub fn resized(mut self, nodes: u16, given: &BTreeMap<Budget, u32>) -> Result<Self, Misfit> {
        let environment = self.environment;
        let by_size = environment.clone().with_budgets(&BTreeMap::new())?.budgets;
        let own = Budget::ALL.map(|budget| (budget, environment.budgets[budget]));
        let mut budgets: BTreeMap<_, _> =
            own.into_iter().filter(|(budget, times)| *times != by_size[*budget]).collect();
        budgets.extend(given);
        let other = Environment { nodes, ..environment.clone() }.with_budgets(&budgets)?;
        if other != environment {
            self.name = format!("{}.{}", self.name, other.slug());
        }
        self.environment = other;
        Ok(self)
    }
}

impl Written {
    fn builder(
        &self,
        name: &str,
        known: Known,
        expected: &[(&'static Property, Expected)],
    ) -> Builder {
        let mut builder = Scenario::builder()
            .name(name)
            .protocol(known)
            .summary(&self.summary)
            .nodes(*self.nodes.get_ref())
            .workers(self.workers.as_ref().map_or(0, |workers| *workers.get_ref()))
            .start(*self.start.get_ref())
            .timers(self.timers)
            .storage(self.storage)
            .states(*self.expect.states.get_ref());
        builder.scenario.nightly = self.nightly;
        for (budget, times) in self.budgets.get_ref() {
            builder = builder.budget(*budget, times.0);
        }
        if let Some(bound) = &self.bound {
            let Bound { measure, most } = bound.get_ref();
            builder = builder.bound(measure, *most);
        }
        for (property, expected) in expected {
            builder = builder.expect(property, *expected);
        }
        builder
    }

    /// The place of a key.
    fn span(&self, key: Key) -> Range<usize> {
        let nodes = self.nodes.span();
        match key {
            Key::Protocol => self.protocol.span(),
            Key::Nodes => nodes,
            Key::Workers => self.workers.as_ref().map_or(nodes, Spanned::span),
            Key::Start => self.start.span(),
            Key::Budgets => self.budgets.span(),
            Key::Bound => self.bound.as_ref().map_or(nodes, Spanned::span),
            Key::Properties => self.expect.properties.span(),
        }
    }
}

impl WrittenExpectation {
    fn source(&self, path: &Path, text: &str) -> Source {
        let line = |span: Range<usize>| file::line_of(text, span.start);
        let property = |name: &Spanned<String>| (name.get_ref().clone(), line(name.span()));
        Source {
            file: path.into(),
            states: line(self.states.span()),
            properties: self.properties.get_ref().keys().map(property).collect(),
        }
    }
}

/// A builder of scenarios.
///
/// # Example
///
/// ```
/// use interrex_models::{claim::property, model::environment::*, protocol::registry::built_in, verdict::scenario::Scenario};
///
/// let scenario = Scenario::builder()
///     .protocol(built_in()["gms3"])
///     .nodes(3)
///     .start(Start::Joined)
///     .budget(Budget::Commands, 2)
///     .budget(Budget::Crashes, 2)
///     .states(4335)
///     .holds(&property::SINGLE_LEADER)
///     .violated(&property::NOBODY_STOPPED, 6)
///     .build()?;
/// assert_eq!(scenario.name, "joined-3-commands-2-crashes-2");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    scenario: Scenario,
    start: Option<Start>,
    budgets: BTreeMap<Budget, u32>,
}

impl Scenario {
    /// Begins to write a scenario. It needs a number of nodes, a start and a property.
    pub fn builder() -> Builder {
        let environment = Environment { nodes: 0, ..Environment::SOME };
        let scenario = Self {
            name: String::new(),
            protocol: None,
            summary: String::new(),
            nightly: false,
            environment,
            states: None,
            properties: vec![],
            source: None,
        };
        Builder { scenario, start: None, budgets: BTreeMap::new() }
    }
}

impl Builder {
    /// Its name; by default, it is named after its environment.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.scenario.name = name.into();
        self
    }

    /// The protocol, which it must suit. Without one, [`check`](crate::verdict::check::check) tests that it suits the
    /// machine.
    pub fn protocol(mut self, known: Known) -> Self {
        self.scenario.protocol = Some(known);
        self
    }

    /// A description, in a line.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.scenario.summary = summary.into();
        self
    }

    /// The number of nodes that may lead.
    pub fn nodes(mut self, nodes: u16) -> Self {
        self.scenario.environment.nodes = nodes;
        self
    }

    /// The number of workers: further nodes, which never lead.
    pub fn workers(mut self, workers: u16) -> Self {
        self.scenario.environment.workers = workers;
        self
    }

    /// The beginning of the group.
    pub fn start(mut self, start: Start) -> Self {
        self.start = Some(start);
        self
    }

    /// The time at which timers may fire; late by default.
    pub fn timers(mut self, timers: Timers) -> Self {
        self.scenario.environment.timers = timers;
        self
    }

    /// The stable storage of a restarted node; by default, all of it is kept.
    pub fn storage(mut self, storage: Storage) -> Self {
        self.scenario.environment.storage = storage;
        self
    }

    /// The number of times that something can happen.
    pub fn budget(mut self, budget: Budget, times: u32) -> Self {
        self.budgets.insert(budget, times);
        self
    }

    /// Timers may fire without limit, while that changes anything.
    pub fn unlimited_timeouts(self) -> Self {
        self.budget(Budget::Timeouts, UNLIMITED)
    }

    /// Leaves out the worlds in which a measure of the protocol is larger than this.
    pub fn bound(mut self, measure: impl Into<String>, most: u64) -> Self {
        self.scenario.environment.bound = Some(Bound { measure: measure.into(), most });
        self
    }

    /// The expected number of distinct worlds.
    pub fn states(mut self, states: u64) -> Self {
        self.scenario.states = Some(states);
        self
    }

    /// Expects a property to hold.
    pub fn holds(self, property: &'static Property) -> Self {
        self.expect(property, Expected::Holds)
    }

    /// Expects a property to be violated, by a shortest run of this many steps.
    pub fn violated(self, property: &'static Property, steps: usize) -> Self {
        self.expect(property, Expected::Violated(steps))
    }

    /// Expects a verdict on a property.
    pub fn expect(mut self, property: &'static Property, expected: Expected) -> Self {
        self.scenario.properties.push((property, Some(expected)));
        self
    }

    /// Checks a property without an expectation.
    pub fn property(mut self, property: &'static Property) -> Self {
        self.scenario.properties.push((property, None));
        self
    }

    /// The scenario.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn build(self) -> Result<Scenario, String> {
        self.try_build().map_err(|misfit| misfit.message)
    }

    /// The same, with the part that does not fit.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn try_build(self) -> Result<Scenario, Misfit> {
        let Self { mut scenario, start, budgets } = self;
        let Some(start) = start else {
            return Err(Misfit::new(Key::Start, "`start` is missing: how the group begins"));
        };
        scenario.environment.start = start;
        scenario.environment = scenario.environment.with_budgets(&budgets)?;
        if scenario.properties.is_empty() {
            return Err(Misfit::new(Key::Properties, "no properties: nothing would be checked"));
        }
        if let Some(known) = scenario.protocol {
            known.suits(&scenario.environment)?;
            for (property, _) in &scenario.properties {
                let property = known.property(property.name);
                property.map_err(|message| Misfit::new(Key::Properties, message))?;
            }
        }
        if scenario.name.is_empty() {
            scenario.name = scenario.environment.slug();
        }
        Ok(scenario)
    }
}
