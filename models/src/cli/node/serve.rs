//! A node that runs: it obeys commands and tells what happens, until somebody ends it.

use super::{
    super::Failure,
    input::{self, Asked, Typed},
    output::{Output, Unread},
};
use interrex::{
    machine::{Address, NodeId},
    runtime::{Config, Ending, RunError, SpawnError},
};
use interrex_models::{
    protocol::registry::Known,
    real::{
        application::{Application, Client, Running},
        line::Said,
    },
};
use std::{future, time::Duration};
use tokio::{
    runtime::Handle,
    select,
    signal::unix::{SignalKind, signal},
};

/// What is the same for every protocol.
pub(super) struct Desk<'a> {
    pub(super) output: &'a Output,
    pub(super) protocol: Known,
    pub(super) patience: Duration,
    pub(super) until_eof: bool,
}

/// Why serving is over.
enum Over {
    /// Somebody wants it.
    Asked,
    /// The node has ended.
    Itself,
}

impl From<Unread> for Over {
    /// A node that nobody hears is shut down. Who closes the output says what went wrong.
    fn from(_: Unread) -> Self {
        Self::Asked
    }
}

/// Runs a node until somebody, or the machine itself, ends it.
pub(super) async fn serve(
    application: impl Application,
    config: Config,
    desk: Desk<'_>,
) -> Result<Ending, Failure> {
    let id = config.node;
    let signals = Signals::new()?;
    let spawned = application.spawn(config, desk.patience).await;
    let (mut node, client) = spawned.map_err(|error| not_up(id, &error))?;
    let listening = desk.listening(node.me(), node.address());
    let over = match desk.output.say(None, listening).await {
        Ok(()) => select! {
            over = tell(&mut node, desk.output) => over,
            over = desk.obey(client) => over,
            () = signals.wait() => Over::Asked,
            () = desk.output.unread() => Over::Asked,
        },
        Err(unread) => unread.into(),
    };
    let ended = match over {
        Over::Asked => node.shut_down().await,
        Over::Itself => node.ended().await,
    };
    ended.map_err(|error| failed(id, &error))
}

/// Whatever the node says by itself.
async fn tell(node: &mut impl Running, output: &Output) -> Over {
    while let Some(said) = node.said().await {
        if let Err(unread) = output.say(None, said).await {
            return unread.into();
        }
    }
    Over::Itself
}

impl Desk<'_> {
    fn listening(&self, me: Address, address: std::net::SocketAddr) -> Said {
        Said::Listening { me, address, protocol: self.protocol.name().into_owned() }
    }

    /// One command after the other.
    async fn obey(&self, mut client: impl Client) -> Over {
        let mut lines = input::lines();
        while let Some(typed) = lines.recv().await {
            let number = typed.number;
            match self.answer(typed, &mut client).await {
                Ok(None) => {}
                Ok(Some(said)) => {
                    if let Err(unread) = self.output.say(Some(number), said).await {
                        return unread.into();
                    }
                }
                Err(over) => return over,
            }
        }
        if self.until_eof { Over::Asked } else { future::pending().await }
    }

    async fn answer<C: Client>(&self, typed: Typed, client: &mut C) -> Result<Option<Said>, Over> {
        let asked = match typed.text.and_then(|text| Asked::<C::Request>::parse(&text)) {
            Ok(Some(asked)) => asked,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(Said::Error { error })),
        };
        Ok(Some(match asked {
            Asked::Leader => Said::Leader { leader: client.leader() },
            Asked::Members => client.members(),
            Asked::Tasks => {
                let count = Handle::current().metrics().num_alive_tasks();
                Said::Tasks { count }
            }
            Asked::Help => Said::Help { commands: Asked::<C::Request>::help() },
            Asked::Quit => return Err(Over::Asked),
            Asked::Own(request) => match client.ask(request).await {
                Some(said) => said,
                // Whoever tells what happens finds out that it has ended, after all that it has to tell.
                None => future::pending().await,
            },
        }))
    }
}

/// What asks a program to end.
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

    async fn wait(mut self) {
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
