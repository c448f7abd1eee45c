//! The protocols that can be chosen by name. Nothing else needs to know which there are.

use crate::{
    environment::{Budgets, Environment, Misfit, Start, Storage, Timers},
    file,
    profile::Token,
    property::Property,
    protocol::Protocol,
};
use interrex::gms3::Gms3;
use std::{borrow::Cow, str::FromStr};

/// A protocol that has a name on the command line, in scenarios and in traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// [`Gms3`].
    Gms3,
}

/// Evaluates an expression with the machine that a name stands for, as it is in an environment: some
/// are told how many nodes there are. There is one for every environment that passes
/// [`Environment::check`]; only the machine can say whether the environment suits it.
#[macro_export]
macro_rules! with_protocol {
    ($known:expr, $environment:expr, $protocol:ident => $body:expr) => {{
        let environment: &$crate::environment::Environment = $environment;
        match $known {
            $crate::registry::Known::Gms3 => {
                // The same in every environment.
                let _ = environment;
                let $protocol = $crate::registry::gms3();
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

impl Known {
    /// All there are.
    pub const ALL: [Self; 1] = [Self::Gms3];

    /// Its name.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        with_protocol!(self, &SOME, protocol => protocol.name())
    }

    /// What it is, in a line.
    #[must_use]
    pub fn summary(self) -> Cow<'static, str> {
        with_protocol!(self, &SOME, protocol => protocol.summary())
    }

    /// The properties it has the notion for.
    #[must_use]
    pub fn properties(self) -> &'static [&'static Property] {
        with_protocol!(self, &SOME, protocol => protocol.properties())
    }

    /// Whether an environment is one for it.
    ///
    /// # Errors
    /// What does not fit.
    pub fn suits(self, environment: &Environment) -> Result<(), Misfit> {
        environment.check()?;
        with_protocol!(self, environment, protocol => environment.suits(&protocol))
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

/// An environment for what a protocol says of itself in each.
const SOME: Environment = Environment {
    nodes: 1,
    workers: 0,
    start: Start::Joined,
    timers: Timers::Late,
    storage: Storage::Kept,
    budgets: Budgets::NONE,
    bound: None,
};

impl FromStr for Known {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            let hint = file::did_you_mean(name, names.iter().map(AsRef::as_ref));
            format!("there is no protocol `{name}`{hint} (there is: {})", names.join(", "))
        })
    }
}
