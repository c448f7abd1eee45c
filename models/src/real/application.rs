//! What the command needs of a protocol that real nodes run, beyond what the harness asks of every protocol.

use super::line::Said;
use crate::{model::environment::Environment, protocol::Protocol};
use interrex::{
    gen_leader::Roster,
    machine::Address,
    runtime::{Config, Ending, RunError, SpawnError},
};
use std::{net::SocketAddr, time::Duration};

/// A protocol with an application that is of use: what `interrex node` runs, and what logs of it are validated against.
pub trait Application: Protocol {
    /// The same protocol with the application of scenarios.
    type Model: Protocol<Timer = Self::Timer>;

    /// That one, in an environment.
    fn model(&self, environment: &Environment) -> Self::Model;

    /// Who takes part, if that is the same at all nodes and known beforehand.
    fn roster(&self) -> Option<&Roster> {
        None
    }

    /// In a log: what a command is in the harness.
    fn asked(&self, command: &Self::Command) -> Asked;

    /// In a log: of a message that is delivered, who multicast it, and how many it had multicast before.
    fn stamp(&self, _observation: &Self::Observation) -> Option<(Address, u64)> {
        None
    }

    /// In a log: whether a timer belongs to a local client, and nobody else learns of it.
    fn is_of_client(&self, _timer: &Self::Timer) -> bool {
        false
    }

    /// In a log: whether a process that ends for this reason does as its application wished.
    fn is_wish(&self, _reason: &str) -> bool {
        false
    }

    /// What its node can be asked for on standard input, beside what any node can.
    type Request: Request;
    /// A node that runs it.
    type Running: Running;
    /// The client of that node.
    type Client: Client<Request = Self::Request>;

    /// Runs a node. Its client waits for an answer as long as this.
    fn spawn(
        self,
        config: Config,
        patience: Duration,
    ) -> impl Future<Output = Result<(Self::Running, Self::Client), SpawnError>>;

    /// The line that makes a value known at all nodes.
    fn write(&self, key: &str, value: &str) -> String;

    /// The same as a command of a process that has issued so many before.
    fn write_of(&self, me: Address, issued: u64, key: &str, value: &str) -> Self::Command;

    /// What all nodes have copies of: so one sees whether they have what was written.
    fn replicates(&self) -> Replicates;
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

/// What a node can be asked for, written in a line.
pub trait Request: Sized {
    /// How requests are written, and what they do.
    const USAGE: &'static [(&'static str, &'static str)];

    /// By name, with the rest of the line.
    fn parse(name: &str, rest: &str) -> Option<Self>;
}

/// A node that runs.
pub trait Running {
    /// The process.
    fn me(&self) -> Address;

    /// Where it listens.
    fn address(&self) -> SocketAddr;

    /// The next thing that it says without being asked; none when it has ended.
    fn said(&mut self) -> impl Future<Output = Option<Said>>;

    /// Ends it.
    fn shut_down(self) -> impl Future<Output = Result<Ending, RunError>>;

    /// Waits until it ends.
    fn ended(self) -> impl Future<Output = Result<Ending, RunError>>;
}

/// Asks a node that runs.
pub trait Client {
    /// What it can ask for.
    type Request: Request;

    /// Who leads, as far as the node knows.
    fn leader(&self) -> Option<Address>;

    /// Who takes part.
    fn members(&self) -> Said;

    /// The answer to a request; none if the node has ended.
    fn ask(&mut self, request: Self::Request) -> impl Future<Output = Option<Said>>;
}

/// What all nodes of a protocol have copies of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicates {
    /// Messages: each node [says](Said::Delivered) once that it delivers one.
    Messages,
    /// A dictionary: each node [shows](Said::Dumped) its copy when it is asked to `dump` it.
    Dictionary,
}

/// What must be the same at all nodes beside the protocol, as their configuration and their logs say it: the roster,
/// or nothing.
///
/// # Panics
/// If a roster cannot be written as JSON; it can.
#[must_use]
pub fn configuration(roster: Option<&Roster>) -> String {
    roster
        .map_or_else(String::new, |roster| serde_json::to_string(roster).expect("a roster is JSON"))
}

/// The roster that a configuration says; the empty one where there is none.
///
/// # Errors
/// If it is not the JSON of a roster.
pub fn roster(configuration: &str) -> Result<Roster, serde_json::Error> {
    if configuration.is_empty() {
        return Ok(Roster::default());
    }
    serde_json::from_str(configuration)
}
