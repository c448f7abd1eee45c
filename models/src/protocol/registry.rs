//! The protocols that can be chosen by name. Nothing else needs to know which there are.

use crate::{
    claim::{notion::Token, property::Property},
    evidence::trace::Trace,
    io::file,
    model::environment::{Environment, Misfit},
    protocol::{Protocol, gen_leader::Writes},
};
use interrex::{
    gen_leader::{Bully, Capture, GenLeader, Repair, Repairs, Roster},
    gms3::Gms3,
};
use std::{borrow::Cow, str::FromStr};

/// A protocol that has a name on the command line, in scenarios and in traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// [`Gms3`].
    Gms3,
    /// The election of 2003, [`Capture`].
    GenLeader1_0,
    /// The election of 2007, [`Bully`] without repairs.
    GenLeader2007,
    /// The repaired election.
    GenLeader,
    /// The repaired election without one of its repairs.
    GenLeaderWithout(Repair),
}

/// Evaluates an expression with the machine that a name stands for, as it is in an environment: some
/// are told how many nodes there are. There is one for every environment that passes
/// [`Environment::check`]; only the machine can say whether the environment suits it.
#[macro_export]
macro_rules! with_protocol {
    ($known:expr, $environment:expr, $protocol:ident => $body:expr) => {{
        let environment: &$crate::model::environment::Environment = $environment;
        let known: $crate::protocol::registry::Known = $known;
        match known {
            $crate::protocol::registry::Known::GenLeader1_0 => {
                let $protocol = $crate::protocol::registry::gen_leader_1_0(environment);
                $body
            }
            $crate::protocol::registry::Known::GenLeader2007
            | $crate::protocol::registry::Known::GenLeader
            | $crate::protocol::registry::Known::GenLeaderWithout(_) => {
                let $protocol =
                    $crate::protocol::registry::gen_leader(known.repairs(), environment);
                $body
            }
            $crate::protocol::registry::Known::Gms3 => {
                // The same in every environment.
                let _ = environment;
                let $protocol = $crate::protocol::registry::gms3();
                $body
            }
        }
    }};
}

/// gms3, multicasting the messages of scenarios.
#[must_use]
pub fn gms3() -> Gms3<Token> {
    Gms3::default()
}

/// The dictionary over the election of 2003.
#[must_use]
pub fn gen_leader_1_0(environment: &Environment) -> GenLeader<Capture, Writes> {
    GenLeader::v2003(Writes::default(), roster(environment))
}

/// The dictionary over the election of 2007, with repairs.
#[must_use]
pub fn gen_leader(repairs: Repairs, environment: &Environment) -> GenLeader<Bully, Writes> {
    GenLeader::new(Writes::default(), roster(environment)).with_repairs(repairs)
}

fn roster(environment: &Environment) -> Roster {
    Roster::new(environment.nodes, environment.workers)
}

impl Known {
    /// All there are, but for those that lack a repair.
    pub const ALL: [Self; 4] =
        [Self::Gms3, Self::GenLeader1_0, Self::GenLeader2007, Self::GenLeader];

    /// The repairs that it has.
    #[must_use]
    pub fn repairs(self) -> Repairs {
        match self {
            Self::Gms3 | Self::GenLeader1_0 | Self::GenLeader2007 => Repairs::none(),
            Self::GenLeader => Repairs::all(),
            Self::GenLeaderWithout(repair) => Repairs::all().without(repair),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        with_protocol!(self, &Environment::SOME, protocol => protocol.name())
    }

    /// What it is, in a line.
    #[must_use]
    pub fn summary(self) -> Cow<'static, str> {
        with_protocol!(self, &Environment::SOME, protocol => protocol.summary())
    }

    /// The properties it has the notion for.
    #[must_use]
    pub fn properties(self) -> &'static [&'static Property] {
        with_protocol!(self, &Environment::SOME, protocol => protocol.properties())
    }

    /// Whether an environment is one for it.
    ///
    /// # Errors
    /// What does not fit.
    pub fn suits(self, environment: &Environment) -> Result<(), Misfit> {
        environment.check()?;
        with_protocol!(self, environment, protocol => protocol.suits(environment))
    }

    /// The protocol that a trace is of, and the property that it violates.
    ///
    /// # Errors
    /// If there is no such protocol or property, or the environment does not suit the protocol.
    pub fn of(trace: &Trace) -> Result<(Self, &'static Property), String> {
        let known: Self = trace.protocol.parse()?;
        let property = known.property(&trace.property)?;
        known.suits(&trace.environment).map_err(|misfit| misfit.message)?;
        Ok((known, property))
    }

    /// One of its properties, by name.
    ///
    /// # Errors
    /// If it has no such property: which it has.
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

impl FromStr for Known {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let incomplete = Repair::ALL.map(Self::GenLeaderWithout);
        let found = Self::ALL.into_iter().chain(incomplete).find(|known| known.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            let hint = file::did_you_mean(name, names.iter().map(AsRef::as_ref));
            format!("there is no protocol `{name}`{hint} (there are: {})", names.join(", "))
        })
    }
}
