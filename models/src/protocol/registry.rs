//! The list of protocols: from it follow their names, the machines that scenarios check, and those that real nodes run.
//!
//! # Adding a protocol
//!
//! 1. Its machine, `src/NAME.rs`: an implementation of [`Machine`](interrex::machine::Machine).
//! 2. What the harness asks of it, `models/src/protocol/NAME.rs`: an implementation of [`Protocol`].
//! 3. What real nodes ask of it, `models/src/protocol/NAME/real.rs`: an implementation of [`Application`].
//! 4. A line in the list below, and a `pub mod` for each new file.
//! 5. Its scenarios, `models/scenarios/NAME/*.toml`; its traces, which `check --save-traces traces` writes; a block for its
//!    table in `traces/README.md`; and `unreachable.toml` beside the scenarios, for what they do not reach.

use crate::{
    claim::property::Property,
    evidence::trace::Trace,
    io::file,
    model::{
        environment::{Environment, Misfit},
        node::Condition,
    },
    protocol::Protocol,
    real::application::{self, Application, Replicates},
};
use interrex::{
    gen_leader::{Repair, Roster},
    group::Safeguard,
};
use std::{borrow::Cow, str::FromStr};

pub use super::{
    gen_leader::{gen_leader, gen_leader_1_0},
    gms3::gms3,
    group::Memory,
};

/// The list. Each line is a protocol: its variant of [`Known`], and the function in [`protocol`](crate::protocol) that
/// makes the machine of real nodes from the roster. Everything else follows from that machine, an [`Application`].
///
/// The list is passed to the named macro.
#[doc(hidden)]
#[macro_export]
macro_rules! protocols {
    ([$($then:tt)+], $with:tt) => {
        $($then)+! {
            $with
            [
                /// Our own group membership, with a majority: [`interrex::group`].
                Group => group::real::machine;
                /// Group membership with numbered messages: [`interrex::gms3`].
                Gms3 => gms3::real::machine;
                /// Group membership without numbers: [`interrex::gms2`].
                Gms2 => gms2::real::machine;
                /// The election of 2003: [`Capture`](interrex::gen_leader::Capture).
                GenLeader1_0 => gen_leader::real::of_2003;
                /// The election of 2007, as it was: [`Bully`](interrex::gen_leader::Bully) without repairs.
                GenLeader2007 => gen_leader::real::of_2007;
                /// The election of 2007, repaired.
                GenLeader => gen_leader::real::repaired;
            ]
            // These have names, too, but are not in `Known::ALL`.
            [
                /// Our own group without one of its safeguards.
                GroupWithout(safeguard: Safeguard) => group::real::without;
                /// Our own group with another memory than real nodes have.
                GroupWith(memory: Memory) => group::real::with;
                /// The repaired election without one of its repairs.
                GenLeaderWithout(repair: Repair) => gen_leader::real::without;
            ]
        }
    };
}

macro_rules! known {
    (
        {}
        [$($(#[$doc:meta])* $name:ident => $($_:ident)::+;)*]
        [$($(#[$more:meta])* $variant:ident($part:ident: $parts:ty) => $($__:ident)::+;)*]
    ) => {
        /// A protocol of the list, as named on the command line, in a scenario or in a trace.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Known {
            $($(#[$doc])* $name,)*
            $($(#[$more])* $variant($parts),)*
        }

        impl Known {
            /// All protocols, except those that lack a repair.
            pub const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];

            /// All protocols that have a name.
            fn named() -> impl Iterator<Item = Self> {
                Self::ALL.into_iter()$(.chain(<$parts>::ALL.map(Self::$variant)))*
            }
        }
    };
}
protocols!([known], {});

/// Evaluates an expression with the machine of a protocol for real nodes and a roster. Some machines ignore the roster.
#[macro_export]
macro_rules! with_machine {
    ($known:expr, $roster:expr, $machine:ident => $body:expr) => {
        $crate::protocols!(
            [$crate::with_one_of_the_machines],
            { $known, $roster, $machine => $body }
        )
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! with_one_of_the_machines {
    (
        { $known:expr, $roster:expr, $machine:ident => $body:expr }
        [$($(#[$doc:meta])* $name:ident => $($make:ident)::+;)*]
        [$($(#[$more:meta])* $variant:ident($part:ident: $parts:ty) => $($vary:ident)::+;)*]
    ) => {{
        let roster: &interrex::gen_leader::Roster = $roster;
        let known: $crate::protocol::registry::Known = $known;
        match known {
            $($crate::protocol::registry::Known::$name => {
                let $machine = $crate::protocol::$($make)::+(roster);
                $body
            })*
            $($crate::protocol::registry::Known::$variant($part) => {
                let $machine = $crate::protocol::$($vary)::+($part, roster);
                $body
            })*
        }
    }};
}

/// Evaluates an expression with the machine of a protocol for scenarios in an environment: some machines need the
/// number of nodes. A machine exists for every environment that passes [`Environment::check`]. Only the machine can
/// decide if the environment suits it.
#[macro_export]
macro_rules! with_protocol {
    ($known:expr, $environment:expr, $protocol:ident => $body:expr) => {{
        let environment: &$crate::model::environment::Environment = $environment;
        // The environment defines the roster.
        let roster = interrex::gen_leader::Roster::default();
        $crate::with_machine!($known, &roster, machine => {
            let $protocol = $crate::real::application::Application::model(&machine, environment);
            $body
        })
    }};
}

impl Known {
    /// Its name.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        with_protocol!(self, &Environment::SOME, protocol => protocol.name())
    }

    /// A one-line summary.
    #[must_use]
    pub fn summary(self) -> Cow<'static, str> {
        with_protocol!(self, &Environment::SOME, protocol => protocol.summary())
    }

    /// The properties by which it is judged.
    #[must_use]
    pub fn properties(self) -> &'static [&'static Property] {
        with_protocol!(self, &Environment::SOME, protocol => protocol.properties())
    }

    /// True if a starting node joins through a node that is up.
    #[must_use]
    pub fn joins_through_contact(self) -> bool {
        with_protocol!(self, &Environment::SOME, protocol => protocol.joins_through_contact())
    }

    /// True if views name a restarted process by its first life with the same storage.
    #[must_use]
    pub fn keeps_names(self) -> bool {
        with_protocol!(self, &Environment::SOME, protocol => protocol.keeps_names())
    }

    /// True if a group of this many nodes can have another leader when its first one is down. A protocol whose groups are
    /// not written down needs no majority.
    #[must_use]
    pub fn can_replace_its_leader(self, nodes: u16) -> bool {
        with_protocol!(self, &Environment { nodes, ..Environment::SOME }, protocol => {
            let Some(group) = protocol.joined(nodes) else { return true };
            let up = group.iter().skip(1).filter_map(|node| match &node.condition {
                Condition::Up(state) => Some((node.id, state)),
                Condition::Idle | Condition::Crashed | Condition::Stopped => None,
            });
            let up: Vec<_> = up.collect();
            protocol.can_lead(&up)
        })
    }

    /// True if its groups can have nodes that never lead.
    #[must_use]
    pub fn has_workers(self) -> bool {
        with_protocol!(self, &Environment::SOME, protocol => protocol.has_workers())
    }

    /// The configuration for a roster. It must be the same at all nodes.
    #[must_use]
    pub fn configuration(self, roster: &Roster) -> String {
        with_machine!(self, roster, machine => application::configuration(Application::roster(&machine).as_ref()))
    }

    /// The data that its real nodes have copies of.
    #[must_use]
    pub fn replicates(self) -> Replicates {
        with_machine!(self, &Roster::default(), machine => machine.replicates())
    }

    /// True if this reason means that a client has asked a real node to end.
    #[must_use]
    pub fn is_requested_stop(self, reason: &str) -> bool {
        with_machine!(self, &Roster::default(), machine => machine.is_requested_stop(reason))
    }

    /// The input line that makes a value known at all its real nodes.
    #[must_use]
    pub fn write(self, key: &str, value: &str) -> String {
        with_machine!(self, &Roster::default(), machine => machine.write(key, value))
    }

    /// Checks that an environment suits it.
    ///
    /// # Errors
    /// If it does not: the misfit.
    pub fn suits(self, environment: &Environment) -> Result<(), Misfit> {
        environment.check()?;
        with_protocol!(self, environment, protocol => protocol.suits(environment))
    }

    /// The protocol of a trace, and the property that the trace violates.
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

impl FromStr for Known {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        Self::named().find(|known| known.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            let hint = file::did_you_mean(name, names.iter().map(AsRef::as_ref));
            format!("there is no protocol `{name}`{hint} (there are: {})", names.join(", "))
        })
    }
}
