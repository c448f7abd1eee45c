//! A running node: it executes commands and prints events until it is ended.

use super::{
    super::{Failure, stop::Signals},
    input::{self, InputLine, Query},
    output::Output,
};
use crate::{
    io::file,
    real::{
        application::{Answer, AnyClient, AnyRunning},
        line::Notice,
    },
};
use interrex::{
    machine::{Address, NodeId},
    runtime::{Config, Ending, RunError, SpawnError},
};
use std::{future, path::PathBuf, pin::pin, time::Duration};
use tokio::{
    runtime::Handle,
    select,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// The part of a running node that is independent of the protocol.
pub(super) struct Console<'a> {
    pub(super) output: &'a Output,
    pub(super) protocol: &'static str,
    pub(super) until_eof: bool,
    /// The file to make when this node has founded a group.
    pub(super) founded: Option<PathBuf>,
}

/// A node that has started, and its client.
type Started = Result<(Box<dyn AnyRunning>, Box<dyn AnyClient>), SpawnError>;

/// The reason why a node ends.
enum Cause {
    /// Requested by a command, by a signal, or by the end of the input.
    Requested,
    /// The node has ended by itself.
    Ended,
}

/// Runs a node until it is shut down or its machine ends it.
pub(super) async fn serve(
    starting: impl Future<Output = Started>,
    config: &Config,
    console: Console<'_>,
) -> Result<Ending, Failure> {
    let id = config.node;
    let mut signals = Signals::new()?;
    let spawning = announced(starting, || {
        if !config.contacts.is_empty() {
            console.output.event(Notice::Waiting { contacts: config.contacts.clone() });
        }
    });
    let spawned = select! {
        spawned = spawning => spawned,
        () = signals.wait() => return Ok(Ending::ShutDown),
    };
    let (mut node, client) = spawned.map_err(|error| not_up(id, &error))?;
    if let Some(mark) = &console.founded {
        file::write(mark, "This node has founded its group.\n")?;
    }
    console.output.event(console.listening(node.me(), node.address()));
    let cause = select! {
        cause = report(&mut *node, console.output) => cause,
        cause = console.run_commands(client) => cause,
        () = signals.wait() => Cause::Requested,
    };
    let ended = match cause {
        Cause::Requested => node.shut_down().await,
        Cause::Ended => node.ended().await,
    };
    ended.map_err(|error| failed(id, &error))
}

/// The output of a start that says so if it takes time. Its first step opens the log and locks the data folder: what is
/// wrong with these is said first.
async fn announced<T>(start: impl Future<Output = T>, say: impl FnOnce()) -> T {
    let mut start = pin!(start);
    select! {
        biased;
        started = &mut start => return started,
        () = future::ready(()) => say(),
    }
    start.await
}

/// Prints the output of the node that no command caused.
async fn report(node: &mut dyn AnyRunning, output: &Output) -> Cause {
    while let Some(said) = node.notice().await {
        output.event(said);
    }
    Cause::Ended
}

impl Console<'_> {
    fn listening(&self, me: Address, address: std::net::SocketAddr) -> Notice {
        Notice::Listening { me, address, protocol: self.protocol.into() }
    }

    /// Executes commands in order. One that has no answer after a moment is late, and the next ones do not wait for it.
    async fn run_commands(&self, mut client: Box<dyn AnyClient>) -> Cause {
        let mut lines = input::lines();
        let mut asked = JoinSet::new();
        // The command that the next ones wait for.
        let mut waits: Option<(u64, Instant)> = None;
        let mut is_over = false;
        while !(is_over && asked.is_empty()) {
            select! {
                biased;
                Some(answered) = asked.join_next() => {
                    let (number, command, said): Answered = answered.expect("an answer does not panic");
                    // The node has ended. `report` returns after it has printed all its events.
                    let Some(said) = said else { return future::pending().await };
                    let is_late = waits.is_none_or(|(waited, _)| waited != number);
                    waits = waits.filter(|_| is_late);
                    self.output.answer(number, is_late.then_some(command.as_str()), said).await;
                }
                () = until(waits) => waits = None,
                line = lines.recv(), if waits.is_none() && !is_over => match line {
                    Some(InputLine { number, text }) => match reply(text, &mut *client) {
                        Ok(Reply::Nothing) => {}
                        Ok(Reply::Now(said)) => self.output.answer(number, None, said).await,
                        Ok(Reply::Later(command, answer)) => {
                            asked.spawn(async move { (number, command, answer.await) });
                            waits = Some((number, Instant::now() + PATIENCE));
                        }
                        Err(cause) => return cause,
                    },
                    None => is_over = true,
                },
            }
        }
        if self.until_eof { Cause::Requested } else { future::pending().await }
    }
}

/// The time that the next commands wait for an answer. A write in a group that has a majority takes much less, so that
/// what is read after it is what was written.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most characters of a command that its late answer repeats.
const MOST_NAMED: usize = 60;

/// The number of a line, its command, and the answer to it.
type Answered = (u64, String, Option<Notice>);

/// The reply to a line: none, the answer, or the command and its answer in the future.
enum Reply {
    Nothing,
    Now(Notice),
    Later(String, Answer<Option<Notice>>),
}

/// The reply to a line.
fn reply(text: Result<String, String>, client: &mut dyn AnyClient) -> Result<Reply, Cause> {
    let said = |said| Ok(Reply::Now(said));
    let (text, query) = match text.and_then(|text| Ok((Query::parse(&text, client)?, text))) {
        Ok((Some(query), text)) => (text, query),
        Ok((None, _)) => return Ok(Reply::Nothing),
        Err(error) => return said(Notice::Error { error }),
    };
    match query {
        Query::Leader => said(Notice::Leader { leader: client.leader() }),
        Query::Members => said(client.members()),
        Query::Tasks => {
            let count = Handle::current().metrics().num_alive_tasks();
            said(Notice::Tasks { count })
        }
        Query::Help => said(Notice::Help { commands: Query::help(client) }),
        Query::Quit => Err(Cause::Requested),
        Query::Own(answer) => {
            let command = text.chars().take(MOST_NAMED).collect();
            Ok(Reply::Later(command, answer))
        }
    }
}

/// The end of the time that is waited for a command; never, without one.
async fn until(waits: Option<(u64, Instant)>) {
    match waits {
        Some((_, end)) => sleep_until(end).await,
        None => future::pending().await,
    }
}

fn not_up(node: NodeId, error: &SpawnError) -> Failure {
    Failure::Ended(format!("{node} did not start: {error}"))
}

fn failed(node: NodeId, error: &RunError) -> Failure {
    Failure::Ended(format!("{node} has failed: {error}"))
}
