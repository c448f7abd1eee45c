//! The protocols that can be chosen by name. Nothing else needs to know which there are.

use crate::{file, profile::Token, property::Property, protocol::Protocol};
use interrex::gms3::Gms3;
use std::str::FromStr;

/// A protocol that has a name on the command line, in scenarios and in traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// [`Gms3`].
    Gms3,
}

/// Evaluates an expression with the machine that a name stands for.
#[macro_export]
macro_rules! with_protocol {
    ($known:expr, $protocol:ident => $body:expr) => {
        match $known {
            $crate::registry::Known::Gms3 => {
                let $protocol = $crate::registry::gms3();
                $body
            }
        }
    };
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
    pub fn name(self) -> &'static str {
        with_protocol!(self, protocol => name_of(&protocol))
    }

    /// What it is, in a line.
    #[must_use]
    pub fn summary(self) -> &'static str {
        with_protocol!(self, protocol => summary_of(&protocol))
    }

    /// The properties it has the notion for.
    #[must_use]
    pub fn properties(self) -> &'static [&'static Property] {
        with_protocol!(self, protocol => properties_of(&protocol))
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

fn name_of<P: Protocol>(_: &P) -> &'static str {
    P::NAME
}

fn summary_of<P: Protocol>(_: &P) -> &'static str {
    P::SUMMARY
}

fn properties_of<P: Protocol>(_: &P) -> &'static [&'static Property] {
    P::PROPERTIES
}

impl FromStr for Known {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            let hint = file::did_you_mean(name, names);
            format!("there is no protocol `{name}`{hint} (there is: {})", names.join(", "))
        })
    }
}
