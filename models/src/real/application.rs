//! The interface of a protocol that real nodes run, in addition to the one that the harness needs of every protocol.

use super::line::Notice;
use crate::{model::environment::Environment, protocol::Protocol};
use interrex::{
    gen_leader::Roster,
    machine::Address,
    runtime::{Config, Ending, RunError, SpawnError},
};
use std::{net::SocketAddr, pin::Pin, time::Duration};

/// A protocol with a useful application. `interrex node` runs it, and its logs are validated against it.
pub trait Application: Protocol {
    /// The same protocol with the application that scenarios use.
    type Model: Protocol<Timer = Self::Timer>;

    /// The model for an environment.
    fn model(&self, environment: &Environment) -> Self::Model;

    /// True if the machine depends on the roster, which then must be the same at all nodes.
    fn has_roster(&self) -> bool;

    /// In a log: the kind of command that this is in the harness.
    fn command_kind(&self, command: &Self::Command) -> CommandKind;

    /// In a log: the process that multicast a delivered message, and the number of messages it had multicast before.
    fn stamp(&self, _observation: &Self::Observation) -> Option<(Address, u64)> {
        None
    }

    /// In a log: true if a timer belongs to a local client and its expiry affects no other process.
    fn is_client_timer(&self, _timer: &Self::Timer) -> bool {
        false
    }

    /// In a log: true if this reason means that the application requested the end of the process.
    fn is_requested_stop(&self, _reason: &str) -> bool {
        false
    }

    /// In a log: true if it is no fault of the protocol that a process ended itself for this reason. Default: if that was
    /// requested.
    fn is_faultless_stop(&self, reason: &str) -> bool {
        self.is_requested_stop(reason)
    }

    /// The requests on standard input that only this protocol has.
    type Request: Request;
    /// A running node.
    type Running: Running + 'static;
    /// The client of that node.
    type Client: Client<Request = Self::Request> + 'static;

    /// Starts a node. `call_timeout` limits the time that its client waits for an answer.
    fn spawn(
        self,
        config: Config,
        call_timeout: Duration,
    ) -> impl Future<Output = Result<(Self::Running, Self::Client), SpawnError>>;

    /// The input line that makes a value known at all nodes, and the data that shows it. None if there is no such command.
    fn write(&self, _key: &str, _value: &str) -> Option<(String, Replicates)> {
        None
    }

    /// The same as a command of a process that has issued `issued` commands before.
    fn write_of(
        &self,
        _: Address,
        _issued: u64,
        _key: &str,
        _value: &str,
    ) -> Option<Self::Command> {
        None
    }
}

/// The kind of command that a command of a real application is in the harness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// The next scripted command of the node; for a call, with its tag.
    Scripted(Option<u64>),
    /// A command that affects only the application and its process. The harness has no counterpart.
    Local,
    /// The command that ends the process.
    End,
    /// A command that affects other processes and has no counterpart in the harness.
    Unknown,
}

/// A request to a node, written in one line.
pub trait Request: Sized {
    /// The syntax of each request, and its meaning.
    const USAGE: &'static [(&'static str, &'static str)];

    /// Parses a request from its name and the rest of the line.
    fn parse(name: &str, rest: &str) -> Option<Self>;
}

/// A running node.
pub trait Running {
    /// The process.
    fn me(&self) -> Address;

    /// The address that it listens on.
    fn address(&self) -> SocketAddr;

    /// The next notice that no request caused; none when the node has ended.
    fn notice(&mut self) -> impl Future<Output = Option<Notice>>;

    /// Shuts it down.
    fn shut_down(self) -> impl Future<Output = Result<Ending, RunError>>;

    /// Waits until it ends.
    fn ended(self) -> impl Future<Output = Result<Ending, RunError>>;
}

/// Sends requests to a running node.
pub trait Client {
    /// Its requests.
    type Request: Request;

    /// The leader, as far as the node knows.
    fn leader(&self) -> Option<Address>;

    /// The members.
    fn members(&self) -> Notice;

    /// The answer to a request; none if the node has ended. The next request need not wait for it.
    fn ask(
        &mut self,
        request: Self::Request,
    ) -> impl Future<Output = Option<Notice>> + Send + use<Self> + 'static;
}

/// A result that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A result that comes later, in any task.
pub type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A [`Running`] node of any protocol.
pub trait AnyRunning {
    /// As [`Running::me`].
    fn me(&self) -> Address;
    /// As [`Running::address`].
    fn address(&self) -> SocketAddr;
    /// As [`Running::notice`].
    fn notice(&mut self) -> Later<'_, Option<Notice>>;
    /// As [`Running::shut_down`].
    fn shut_down(self: Box<Self>) -> Later<'static, Result<Ending, RunError>>;
    /// As [`Running::ended`].
    fn ended(self: Box<Self>) -> Later<'static, Result<Ending, RunError>>;
}

impl<R: Running + 'static> AnyRunning for R {
    fn me(&self) -> Address {
        Running::me(self)
    }

    fn address(&self) -> SocketAddr {
        Running::address(self)
    }

    fn notice(&mut self) -> Later<'_, Option<Notice>> {
        Box::pin(Running::notice(self))
    }

    fn shut_down(self: Box<Self>) -> Later<'static, Result<Ending, RunError>> {
        Box::pin(Running::shut_down(*self))
    }

    fn ended(self: Box<Self>) -> Later<'static, Result<Ending, RunError>> {
        Box::pin(Running::ended(*self))
    }
}

/// A [`Client`] of any protocol.
pub trait AnyClient {
    /// As [`Client::leader`].
    fn leader(&self) -> Option<Address>;
    /// As [`Client::members`].
    fn members(&self) -> Notice;
    /// As [`Request::USAGE`].
    fn usage(&self) -> &'static [(&'static str, &'static str)];
    /// As [`Client::ask`], from the name of a request and the rest of its line. None if that is not one of its requests.
    fn ask(&mut self, name: &str, rest: &str) -> Option<Answer<Option<Notice>>>;
}

impl<C: Client> AnyClient for C {
    fn leader(&self) -> Option<Address> {
        Client::leader(self)
    }

    fn members(&self) -> Notice {
        Client::members(self)
    }

    fn usage(&self) -> &'static [(&'static str, &'static str)] {
        C::Request::USAGE
    }

    fn ask(&mut self, name: &str, rest: &str) -> Option<Answer<Option<Notice>>> {
        let request = C::Request::parse(name, rest)?;
        Some(Box::pin(Client::ask(self, request)))
    }
}

/// The data that all nodes of a protocol have copies of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicates {
    /// Messages: each node [reports](Notice::Delivered) each delivery once.
    Messages,
    /// A dictionary: each node [prints](Notice::Dumped) its copy on `dump`.
    Dictionary,
}

/// The configuration that must be the same at all nodes, as it is written in their logs: the roster, or nothing.
///
/// # Panics
/// If a roster cannot be written as JSON, which does not happen.
#[must_use]
pub fn configuration(roster: Option<&Roster>) -> String {
    roster
        .map_or_else(String::new, |roster| serde_json::to_string(roster).expect("a roster is JSON"))
}

/// The roster in a configuration; none if the configuration is empty.
///
/// # Errors
/// If it is not the JSON of a roster.
pub fn roster(configuration: &str) -> Result<Option<Roster>, serde_json::Error> {
    if configuration.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(configuration).map(Some)
}
