//! What validation asks of a machine of real nodes, beyond what the harness asks of every protocol.

use crate::{
    claim::notion::Token,
    model::environment::Environment,
    protocol::{
        Protocol,
        gen_leader::{Checked, Writes},
        registry,
    },
    real::machines::{Multicast, Texts},
};
use interrex::{
    gen_leader::{Bully, Capture, Command, GenLeader, Roster, Timer},
    gms3::{self, Gms3},
    machine::Address,
};

/// A machine that real nodes run, with the one that stands for it in the harness.
pub trait Real: Protocol {
    /// The same protocol, asked for what scenarios ask for.
    type Model: Protocol<Timer = Self::Timer>;

    /// That one, in an environment.
    fn model(&self, environment: &Environment) -> Self::Model;

    /// Who takes part, if that is the same at all nodes and known beforehand.
    fn roster(&self) -> Option<&Roster>;

    /// What a command is in the harness.
    fn asked(&self, command: &Self::Command) -> Asked;

    /// Of a message that is delivered: who multicast it, and how many it had multicast before.
    fn stamp(&self, observation: &Self::Observation) -> Option<(Address, u64)>;

    /// Whether a timer belongs to a local client, and nobody else learns of it.
    fn is_of_client(&self, timer: &Self::Timer) -> bool;

    /// Whether a process that ends for this reason does as its application wished.
    fn is_wish(&self, reason: &str) -> bool;
}

/// What a command of a real application is in the harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The next command of the node, as scenarios have it; if it is a call, with its tag.
    Scripted(Option<u64>),
    /// Something that stays between the application and its process: the harness has nothing like it.
    Local,
    /// The end of the process.
    End,
    /// Something that reaches others, and that the harness has nothing like.
    Unknown,
}

impl Real for Gms3<Multicast> {
    type Model = Gms3<Token>;

    fn model(&self, _: &Environment) -> Gms3<Token> {
        registry::gms3()
    }

    fn roster(&self) -> Option<&Roster> {
        None
    }

    fn asked(&self, command: &gms3::Command<Multicast>) -> Asked {
        match command {
            gms3::Command::Mcast(_) => Asked::Scripted(None),
            gms3::Command::Stop => Asked::End,
        }
    }

    fn stamp(&self, observation: &gms3::Observation<Multicast>) -> Option<(Address, u64)> {
        match observation {
            gms3::Observation::Delivered { message, .. } => Some((message.from, message.index)),
            gms3::Observation::Joined
            | gms3::Observation::Installed(_)
            | gms3::Observation::Error(_) => None,
        }
    }

    fn is_of_client(&self, timer: &gms3::Timer) -> bool {
        match timer {
            gms3::Timer::Join => false,
        }
    }

    fn is_wish(&self, reason: &str) -> bool {
        reason == gms3::STOPPED_ON_COMMAND
    }
}

/// An election whose machine in the harness is known.
pub trait Modelled: Checked {
    /// The dictionary of scenarios over it.
    fn model(variant: &Self::Variant, environment: &Environment) -> GenLeader<Self, Writes>;
}

impl Modelled for Bully {
    fn model(variant: &Self::Variant, environment: &Environment) -> GenLeader<Self, Writes> {
        registry::gen_leader(variant.clone(), environment)
    }
}

impl Modelled for Capture {
    fn model((): &(), environment: &Environment) -> GenLeader<Self, Writes> {
        registry::gen_leader_1_0(environment)
    }
}

impl<E: Modelled> Real for GenLeader<E, Texts> {
    type Model = GenLeader<E, Writes>;

    fn model(&self, environment: &Environment) -> GenLeader<E, Writes> {
        E::model(self.variant(), environment)
    }

    fn roster(&self) -> Option<&Roster> {
        Some(self.roster())
    }

    fn asked(&self, command: &Self::Command) -> Asked {
        match command {
            Command::LeaderCall { tag, .. } => Asked::Scripted(Some(*tag)),
            // The dictionary does nothing about them, or answers.
            Command::Call { .. } | Command::Cast(_) | Command::Info(_) => Asked::Local,
            Command::LeaderCast(_) | Command::CodeChange(_) => Asked::Unknown,
        }
    }

    fn stamp(&self, _: &Self::Observation) -> Option<(Address, u64)> {
        None
    }

    fn is_of_client(&self, timer: &Timer) -> bool {
        match timer {
            Timer::Tau => false,
            Timer::Call(_) => true,
        }
    }

    fn is_wish(&self, _: &str) -> bool {
        false
    }
}
