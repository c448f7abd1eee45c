//! A running node: it executes commands and prints events until it is ended.

use super::{
    super::Failure,
    input::{self, InputLine, Query},
    output::Output,
};
use interrex::{
    machine::{Address, NodeId},
    runtime::{Config, Ending, RunError, SpawnError},
};
use interrex_models::{
    io::file,
    protocol::registry::Known,
    real::{
        application::{Application, Client, Running},
        line::Notice,
    },
};
use std::{future, path::PathBuf, time::Duration};
use tokio::{
    runtime::Handle,
    select,
    signal::unix::{SignalKind, signal},
};

/// The part of a running node that is independent of the protocol.
pub(super) struct Console<'a> {
    pub(super) output: &'a Output,
    pub(super) protocol: Known,
    pub(super) call_timeout: Duration,
    pub(super) until_eof: bool,
    /// The file to make when this node has founded a group.
    pub(super) founded: Option<PathBuf>,
}

/// The reason why a node ends.
enum Cause {
    /// Requested by a command, by a signal, or by the end of the input.
    Requested,
    /// The node has ended by itself.
    Ended,
}

/// Runs a node until it is shut down or its machine ends it.
pub(super) async fn serve(
    application: impl Application,
    config: Config,
    console: Console<'_>,
) -> Result<Ending, Failure> {
    let id = config.node;
    let mut signals = Signals::new()?;
    if !config.contacts.is_empty() {
        console.output.event(Notice::Waiting { contacts: config.contacts.clone() });
    }
    let spawned = select! {
        spawned = application.spawn(config, console.call_timeout) => spawned,
        () = signals.wait() => return Ok(Ending::ShutDown),
    };
    let (mut node, client) = spawned.map_err(|error| not_up(id, &error))?;
    if let Some(mark) = &console.founded {
        file::write(mark, "This node has founded its group.\n")?;
    }
    console.output.event(console.listening(node.me(), node.address()));
    let cause = select! {
        cause = report(&mut node, console.output) => cause,
        cause = console.run_commands(client) => cause,
        () = signals.wait() => Cause::Requested,
    };
    let ended = match cause {
        Cause::Requested => node.shut_down().await,
        Cause::Ended => node.ended().await,
    };
    ended.map_err(|error| failed(id, &error))
}

/// Prints the output of the node that no command caused.
async fn report(node: &mut impl Running, output: &Output) -> Cause {
    while let Some(said) = node.notice().await {
        output.event(said);
    }
    Cause::Ended
}

impl Console<'_> {
    fn listening(&self, me: Address, address: std::net::SocketAddr) -> Notice {
        Notice::Listening { me, address, protocol: self.protocol.name().into_owned() }
    }

    /// Executes commands one after the other.
    async fn run_commands(&self, mut client: impl Client) -> Cause {
        let mut lines = input::lines();
        while let Some(line) = lines.recv().await {
            let number = line.number;
            match self.answer(line, &mut client).await {
                Ok(None) => {}
                Ok(Some(said)) => self.output.answer(number, said).await,
                Err(cause) => return cause,
            }
        }
        if self.until_eof { Cause::Requested } else { future::pending().await }
    }

    async fn answer<C: Client>(
        &self,
        line: InputLine,
        client: &mut C,
    ) -> Result<Option<Notice>, Cause> {
        let query = match line.text.and_then(|text| Query::<C::Request>::parse(&text)) {
            Ok(Some(query)) => query,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(Notice::Error { error })),
        };
        Ok(Some(match query {
            Query::Leader => Notice::Leader { leader: client.leader() },
            Query::Members => client.members(),
            Query::Tasks => {
                let count = Handle::current().metrics().num_alive_tasks();
                Notice::Tasks { count }
            }
            Query::Help => Notice::Help { commands: Query::<C::Request>::help() },
            Query::Quit => return Err(Cause::Requested),
            Query::Own(request) => match client.ask(request).await {
                Some(said) => said,
                // The node has ended. `report` returns after it has printed all its events.
                None => future::pending().await,
            },
        }))
    }
}

/// The signals that request the end of the program.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::Ended(format!("no signals: {error}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn not_up(node: NodeId, error: &SpawnError) -> Failure {
    Failure::Ended(format!("{node} does not come up: {error}"))
}

fn failed(node: NodeId, error: &RunError) -> Failure {
    Failure::Ended(format!("{node} has failed: {error}"))
}
