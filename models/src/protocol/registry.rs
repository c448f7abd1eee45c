//! Registries: the protocols that a command, the files of scenarios, traces and logs can name.
//!
//! A registry is a value, filled when the program starts. `built_in` is that of this crate, in its feature `built-in`. A
//! program with protocols of its own makes another one, and gives it to [`command!`](crate::command!) and to its tests.
//!
//! # Adding a protocol
//!
//! 1. Its machine: an implementation of [`Machine`](interrex::machine::Machine).
//! 2. What the harness asks of it: an implementation of [`Protocol`].
//! 3. What real nodes ask of it: `impl Plain for …`, an empty implementation of [`Plain`](crate::real::plain::Plain), or an
//!    application of its own, an implementation of [`Application`].
//! 4. A line in a registry: `.protocol(…)`, with the function that makes its machine from a roster.
//! 5. Its scenarios, `scenarios/NAME/*.toml`; its traces, which `check --save-traces traces` writes; and `unreachable.toml`
//!    beside the scenarios, for what they do not reach.
//!
//! The built-in protocols have these places: the machine `src/NAME.rs`; the second step `models/src/protocol/NAME.rs`; the
//! third `models/src/protocol/NAME/real.rs`; the fourth a line in `models/src/protocol/built_in.rs`; and a block for the table
//! in `traces/README.md`.
//!
//! # Example
//!
//! ```
//! use interrex_models::protocol::{gms2, gms3, registry::Registry};
//!
//! let registry = Registry::new().protocol(gms3::real::machine).protocol(gms2::real::machine);
//! assert_eq!(registry["gms3"].name(), "gms3");
//! let error = registry.named("gms4").expect_err("there is none");
//! assert_eq!(error, "there is no protocol `gms4`, did you mean `gms3`? (there are: gms3, gms2)");
//! ```

use crate::{
    claim::property::{self, Property},
    evidence::trace::Trace,
    io::file::{self, FileError},
    model::{
        environment::{Environment, Misfit},
        node::Condition,
        world::Rules,
    },
    protocol::Protocol,
    real::{
        application::{self, AnyClient, AnyRunning, Application, Later, Replicates},
        validate::{self, Logs, Validation},
    },
    verdict::harness::Harness,
};
use interrex::{
    gen_leader::Roster,
    runtime::{Config, SpawnError},
};
use std::{fmt, ops::Index, sync::Arc, time::Duration};

#[cfg(feature = "built-in")]
pub use super::{
    built_in::built_in,
    gen_leader::{gen_leader, gen_leader_1_0},
    gms3::gms3,
};

/// The protocols that have a name.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    listed: Vec<Known>,
    variants: Vec<Known>,
}

impl Registry {
    /// A registry without protocols.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a protocol. The function makes its machine for the nodes of a roster: those of a scenario, or those of a real
    /// cluster. A machine may ignore the roster.
    ///
    /// # Panics
    /// If another protocol has the same name, or another property.
    #[must_use]
    pub fn protocol<A: Application>(
        mut self,
        make: impl Fn(&Roster) -> A + Send + Sync + 'static,
    ) -> Self {
        let known = self.known(make);
        self.listed.push(known);
        self
    }

    /// Adds a protocol that has a name and is not listed, such as one without one of its safeguards: scenarios that name
    /// it show what breaks then. It is left out where every protocol is meant, as in the coverage.
    ///
    /// # Panics
    /// As [`protocol`](Self::protocol).
    #[must_use]
    pub fn variant<A: Application>(
        mut self,
        make: impl Fn(&Roster) -> A + Send + Sync + 'static,
    ) -> Self {
        let known = self.known(make);
        self.variants.push(known);
        self
    }

    /// Registers a protocol. What is registered is there as long as the program runs, so that it can be copied.
    fn known<A: Application>(&self, make: impl Fn(&Roster) -> A + Send + Sync + 'static) -> Known {
        let known = Known(Box::leak(Box::new(Entry::new(self.listed.len(), make))));
        let name = known.name();
        assert!(self.of_name(name).is_none(), "two protocols are called `{name}`");
        let claimed = |own: &&&Property| {
            let mut all = self.properties().into_iter().chain(property::ALL.iter().copied());
            all.any(|other| other.name == own.name && other.claim != own.claim)
        };
        if let Some(own) = known.properties().iter().find(claimed) {
            panic!("`{name}` has a property `{}`, and there is another one of that name", own.name);
        }
        known
    }

    /// The protocols that are listed, in their order.
    #[must_use]
    pub fn all(&self) -> &[Known] {
        &self.listed
    }

    fn of_name(&self, name: &str) -> Option<Known> {
        self.listed.iter().chain(&self.variants).find(|known| known.name() == name).copied()
    }

    /// The protocol of a name.
    ///
    /// # Errors
    /// If there is none; the message lists those that there are.
    pub fn named(&self, name: &str) -> Result<Known, String> {
        self.of_name(name).ok_or_else(|| {
            let names: Vec<_> = self.listed.iter().map(|known| known.name()).collect();
            let hint = file::did_you_mean(name, names.iter().copied());
            format!("there is no protocol `{name}`{hint} (there are: {})", names.join(", "))
        })
    }

    /// The protocol of a trace, and the property that the trace violates.
    ///
    /// # Errors
    /// If there is no such protocol or property, or the environment does not suit the protocol.
    pub fn of(&self, trace: &Trace) -> Result<(Known, &'static Property), String> {
        let known = self.named(&trace.protocol)?;
        let property = known.property(&trace.property)?;
        known.suits(&trace.environment).map_err(|misfit| misfit.message)?;
        Ok((known, property))
    }

    /// The properties of its protocols, each once: first those of [`property::ALL`], then the protocols' own.
    #[must_use]
    pub fn properties(&self) -> Vec<&'static Property> {
        let used = self.listed.iter().chain(&self.variants).flat_map(|known| known.properties());
        let used: Vec<_> = used.copied().collect();
        let is_used = |property: &&&Property| used.iter().any(|it| it.name == property.name);
        let mut all: Vec<_> = property::ALL.iter().filter(is_used).copied().collect();
        for own in used {
            if !all.iter().any(|it| it.name == own.name) {
                all.push(own);
            }
        }
        all
    }
}

/// The protocol of a name.
///
/// # Panics
/// If there is none.
impl Index<&str> for Registry {
    type Output = Known;

    fn index(&self, name: &str) -> &Known {
        let mut all = self.listed.iter().chain(&self.variants);
        all.find(|known| known.name() == name)
            .unwrap_or_else(|| panic!("no protocol is called `{name}`"))
    }
}

/// A registered protocol.
#[derive(Clone, Copy)]
pub struct Known(&'static Entry);

/// A protocol, whatever the types of its machine: the answers that are the same for every roster, and its machines.
#[expect(clippy::struct_excessive_bools, reason = "each is an answer of the protocol")]
struct Entry {
    place: usize,
    name: String,
    summary: String,
    properties: &'static [&'static Property],
    joins_through_contact: bool,
    keeps_names: bool,
    has_workers: bool,
    has_roster: bool,
    machines: Box<dyn Machines>,
}

impl Entry {
    fn new<A: Application>(
        place: usize,
        make: impl Fn(&Roster) -> A + Send + Sync + 'static,
    ) -> Self {
        let machine = make(&Roster::new(1, 0)).model(&Environment::SOME);
        Self {
            place,
            name: machine.name().into_owned(),
            summary: machine.summary().into_owned(),
            properties: machine.properties(),
            joins_through_contact: machine.joins_through_contact(),
            keeps_names: machine.keeps_names(),
            has_workers: machine.has_workers(),
            has_roster: make(&Roster::new(1, 0)).has_roster(),
            machines: Box::new(make),
        }
    }
}

/// The answers that need the types of a protocol's machine.
trait Machines: Send + Sync {
    fn can_replace_its_leader(&self, nodes: u16) -> bool;
    fn suits(&self, environment: &Environment) -> Result<(), Misfit>;
    fn harness(&self, environment: &Environment) -> Box<dyn Harness>;
    fn is_requested_stop(&self, reason: &str) -> bool;
    fn write(&self, key: &str, value: &str) -> Option<(String, Replicates)>;
    fn validate(&self, known: Known, logs: &Logs<'_>) -> Result<Validation, FileError>;
    fn spawn(&self, roster: &Roster, config: Config, call_timeout: Duration) -> Later<'_, Started>;
}

/// A running node of some protocol, and its client.
type Started = Result<(Box<dyn AnyRunning>, Box<dyn AnyClient>), SpawnError>;

/// The machine for scenarios in an environment. Only the machine can decide if the environment suits it.
fn model<A: Application>(make: impl Fn(&Roster) -> A, environment: &Environment) -> A::Model {
    make(&Roster::new(environment.nodes, environment.workers)).model(environment)
}

impl<A: Application, F: Fn(&Roster) -> A + Send + Sync> Machines for F {
    fn can_replace_its_leader(&self, nodes: u16) -> bool {
        let protocol = model(self, &Environment { nodes, ..Environment::SOME });
        let Some(group) = protocol.joined(nodes) else { return true };
        let up = group.iter().skip(1).filter_map(|node| match &node.condition {
            Condition::Up(state) => Some((node.id, state)),
            Condition::Idle | Condition::Crashed | Condition::Stopped => None,
        });
        let up: Vec<_> = up.collect();
        protocol.can_lead(&up)
    }

    fn suits(&self, environment: &Environment) -> Result<(), Misfit> {
        model(self, environment).suits(environment)
    }

    fn harness(&self, environment: &Environment) -> Box<dyn Harness> {
        Box::new(Arc::new(Rules::new(model(self, environment), environment.clone())))
    }

    fn is_requested_stop(&self, reason: &str) -> bool {
        self(&Roster::new(1, 0)).is_requested_stop(reason)
    }

    fn write(&self, key: &str, value: &str) -> Option<(String, Replicates)> {
        self(&Roster::new(1, 0)).write(key, value)
    }

    fn validate(&self, known: Known, logs: &Logs<'_>) -> Result<Validation, FileError> {
        let roster = logs.roster.clone().unwrap_or_default();
        validate::of_machine(&self(&roster), known, logs)
    }

    fn spawn(&self, roster: &Roster, config: Config, call_timeout: Duration) -> Later<'_, Started> {
        let machine = self(roster);
        Box::pin(async move {
            let (running, client) = machine.spawn(config, call_timeout).await?;
            Ok((Box::new(running) as Box<dyn AnyRunning>, Box::new(client) as Box<dyn AnyClient>))
        })
    }
}

impl Known {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        &self.0.name
    }

    /// Its place in the list of its registry.
    pub(crate) fn place(self) -> usize {
        self.0.place
    }

    /// A one-line summary.
    #[must_use]
    pub fn summary(self) -> &'static str {
        &self.0.summary
    }

    /// The properties by which it is judged.
    #[must_use]
    pub fn properties(self) -> &'static [&'static Property] {
        self.0.properties
    }

    /// True if a starting node joins through a node that is up.
    #[must_use]
    pub fn joins_through_contact(self) -> bool {
        self.0.joins_through_contact
    }

    /// True if views name a restarted process by its first life with the same storage.
    #[must_use]
    pub fn keeps_names(self) -> bool {
        self.0.keeps_names
    }

    /// True if a group of this many nodes can have another leader when its first one is down. A protocol whose groups are
    /// not written down needs no majority.
    #[must_use]
    pub fn can_replace_its_leader(self, nodes: u16) -> bool {
        self.0.machines.can_replace_its_leader(nodes)
    }

    /// True if its groups can have nodes that never lead.
    #[must_use]
    pub fn has_workers(self) -> bool {
        self.0.has_workers
    }

    /// The configuration for a roster. It must be the same at all nodes.
    #[must_use]
    pub fn configuration(self, roster: &Roster) -> String {
        application::configuration(self.0.has_roster.then_some(roster))
    }

    /// True if its machine depends on the roster.
    pub(crate) fn has_roster(self) -> bool {
        self.0.has_roster
    }

    /// The data that its real nodes have copies of. None if no command writes any.
    #[must_use]
    pub fn replicates(self) -> Option<Replicates> {
        self.write("", "").map(|(_, replicates)| replicates)
    }

    /// True if this reason means that a client has asked a real node to end.
    #[must_use]
    pub fn is_requested_stop(self, reason: &str) -> bool {
        self.0.machines.is_requested_stop(reason)
    }

    /// The input line that makes a value known at all its real nodes, and the data that shows it. None if there is no such
    /// command.
    #[must_use]
    pub fn write(self, key: &str, value: &str) -> Option<(String, Replicates)> {
        self.0.machines.write(key, value)
    }

    /// Checks that an environment suits it.
    ///
    /// # Errors
    /// If it does not: the misfit.
    pub fn suits(self, environment: &Environment) -> Result<(), Misfit> {
        environment.check()?;
        self.0.machines.suits(environment)
    }

    /// Its harness in an environment that [suits](Self::suits) it.
    #[must_use]
    pub fn harness(self, environment: &Environment) -> Box<dyn Harness> {
        self.0.machines.harness(environment)
    }

    /// Validates logs of its nodes.
    pub(crate) fn validate(self, logs: &Logs<'_>) -> Result<Validation, FileError> {
        self.0.machines.validate(self, logs)
    }

    /// Starts a real node, one of those of a roster.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn spawn(
        self,
        roster: &Roster,
        mut config: Config,
        call_timeout: Duration,
    ) -> Started {
        config.configuration = self.configuration(roster);
        self.0.machines.spawn(roster, config, call_timeout).await
    }

    /// One of its properties, by name.
    ///
    /// # Errors
    /// If it has no such property; the message lists its properties.
    pub fn property(self, name: &str) -> Result<&'static Property, String> {
        let properties = self.properties();
        let found = properties.iter().find(|property| property.name == name);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = properties.iter().map(|property| property.name).collect();
            let hint = file::did_you_mean(name, names.iter().copied());
            let (protocol, names) = (self.name(), names.join(", "));
            format!("{protocol} has no property `{name}`{hint} (it has: {names})")
        })
    }
}

/// Names tell the protocols of a registry apart.
impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Known {}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Known({})", self.name())
    }
}
