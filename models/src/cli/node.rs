//! `interrex node`.

mod input;
mod output;
mod serve;

use super::{
    Command, Exit, Failure, LineFormat,
    failure::Form,
    of_command,
    time::{milliseconds_in, parse_seconds},
};
use crate::{protocol::registry::Known, real::line::Notice};
use interrex::{
    gen_leader::Roster,
    machine::NodeId,
    runtime::{ClusterKey, Config, Directory, Ending, Heartbeats, KeyError, NodeKeys},
};
use output::{Errors, Output};
use serve::Console;
use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Those of the other commands, except 141: a node goes on if standard output is closed.
const EXIT_CODES: &str = "\
Exit codes:
  0    shut down: by `quit` or `leave`, by a signal, or by the end of its input
       with --until-eof
  1    the node did not start, has failed, or was ended by its protocol
  2    bad usage, or a bad key";

/// Run one node of a cluster, over TCP
///
/// The node reads commands from standard input, one per line of at most 64 KiB;
/// `help` lists them.
/// It prints answers and events on standard output, one per line. Commands are
/// carried out in order. One that has no answer after a second, as a put without
/// a majority, no longer holds up the next ones: its answer comes later, and
/// names the command. With --format json every answer has the number of the line
/// that it `answers`. The node keeps running when standard input ends: end it
/// with `quit` or a signal. Output that nobody reads, or that cannot be written,
/// is dropped and counted: it never ends or delays the node.
///
///   interrex key cluster.key
///   interrex node --id n0 --peers n0=127.0.0.1:7000,n1=127.0.0.1:7001 \
///       --key-file cluster.key --data-dir n0.data --found
#[derive(Debug, clap::Args)]
#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
#[command(verbatim_doc_comment, after_help = EXIT_CODES)]
pub(super) struct Node {
    /// The id of this node: n0, n1, …
    #[arg(long, value_name = "NODE")]
    id: NodeId,
    /// The address to listen on [default: the one of this node in --peers]
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_place)]
    listen: Option<String>,
    /// All nodes of the cluster, including this one, with their addresses; the same at every node
    #[arg(long, required = true, value_name = "NODE=HOST:PORT,…", value_delimiter = ',', value_parser = parse_peer)]
    peers: Vec<(NodeId, String)>,
    /// The key of the cluster, made by `interrex key`
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The secret key of this node, made by `interrex key --node`. Without it, whoever has the key of the cluster can pass for
    /// any node. All nodes have one, or none
    #[arg(long = "node-key", value_name = "FILE", requires = "public_keys")]
    own_key: Option<PathBuf>,
    /// The public keys of all nodes: a line for each, as `interrex key --node` prints it
    #[arg(long, value_name = "FILE", requires = "own_key")]
    public_keys: Option<PathBuf>,
    /// The name of the cluster, the same at every node: data and nodes of another one are refused
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    cluster: String,
    /// Start even if this node does not reach itself at its address in --peers: for a router that does not forward from its
    /// own side. If the others cannot reach it either, it may lead alone
    #[arg(long)]
    unchecked_address: bool,
    /// The folder for this node's data that survives a crash: the number of its life, and what its protocol stores.
    /// With group, that is everything: a restarted node is the member that it was. With gen_leader, the entries of the
    /// dictionary are not in it: they live in the memory of the nodes
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The protocol, one of those that `interrex list` shows
    #[arg(long, value_name = "NAME", value_parser = of_command)]
    protocol: Known,
    /// In an election (gen_leader): a node that never leads; the same workers at every node
    #[arg(long, value_name = "NODE")]
    worker: Vec<NodeId>,
    /// In a group (group, group_any, gms2, gms3): join the group of the first of these nodes that is reached. A node of group whose
    /// --data-dir has its group does not need it
    #[arg(long, value_name = "NODE,…", value_delimiter = ',')]
    contact: Vec<NodeId>,
    /// The time, in seconds, that the start waits for one of --contact; without one, the node does not start
    #[arg(long, value_name = "S", default_value = "10", value_parser = parse_seconds)]
    contact_seconds: Duration,
    /// In a group (group, group_any, gms2, gms3): start a new group. It is for exactly one node, and for its first start: later starts
    /// with the same --data-dir join again, with group by what is stored there, otherwise through --contact. A node that has
    /// lost its --data-dir must join through --contact
    #[arg(long)]
    found: bool,
    /// Append events and effects to this file, for `interrex validate`. Of messages, stored values and observations that are
    /// longer than 16 KiB it gets a digest; commands are written whole
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The time without a message, in milliseconds, after which a node is considered dead
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = milliseconds_in(10..=3_600_000))]
    timeout: Duration,
    /// The time limit, in milliseconds, for the answer to a command that needs the other nodes: put, delete, hand over,
    /// leave; with gen_leader also get and dump
    #[arg(long, value_name = "MS", default_value = "5000", value_parser = milliseconds_in(1..=3_600_000))]
    call_timeout: Duration,
    /// The format of the output; the lines for programs also contain the time
    #[arg(long, value_enum, default_value_t = LineFormat::Text)]
    format: LineFormat,
    /// Shut down when standard input ends, so that the node does not outlive its parent process
    #[arg(long)]
    until_eof: bool,
    /// Log more on standard error, up to three times [default: warnings, or the level in RUST_LOG]
    #[arg(long, short, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Node {
    pub(super) fn run(&self, of: &Command) -> Result<Exit, Failure> {
        let peers = self.peers()?;
        let roster = self.roster(&peers)?;
        let errors = Errors::open();
        self.start_tracing(errors.clone())?;
        let config = self.config(&peers, of.name)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Ended(format!("no runtime: {error}")))?;
        runtime.block_on(async {
            let served = Box::pin(self.serve(config, &roster)).await;
            // Written here, and for a limited time: standard error may be a pipe that nobody reads.
            errors.conclude(served.as_ref().err().map(|failure| self.form().line(failure))).await;
            Ok(served.map_or_else(|failure| failure.exit(), |()| Exit::AsExpected))
        })
    }

    async fn serve(&self, config: Config, roster: &Roster) -> Result<(), Failure> {
        let output = Output::open(self.format);
        let console = Console {
            output: &output,
            protocol: self.protocol.name(),
            until_eof: self.until_eof,
            founded: self.founded().filter(|_| self.founds_now()),
        };
        let started = self.protocol.spawn(roster, config.clone(), self.call_timeout);
        let served = serve::serve(started, &config, console).await;
        let (stopped, result) = match served {
            Ok(Ending::Stopped(reason)) if self.protocol.is_requested_stop(&reason) => {
                (Some(Some(reason.to_string())), Ok(()))
            }
            Ok(Ending::Stopped(reason)) => {
                let me = self.id;
                let message = format!("{me}: the protocol has ended this node: {reason}");
                (Some(Some(reason.to_string())), Err(Failure::Ended(message)))
            }
            Ok(Ending::ShutDown) => (Some(None), Ok(())),
            Err(failure) => (None, Err(failure)),
        };
        if let Some(stopped) = stopped {
            output.event(Notice::Ended { stopped });
        }
        output.finish().await;
        result
    }

    /// The form of errors.
    fn form(&self) -> Form {
        match self.format {
            LineFormat::Text => Form::Text,
            LineFormat::Json => Form::Json,
        }
    }

    fn config(&self, peers: &BTreeMap<NodeId, String>, program: &str) -> Result<Config, Failure> {
        let key = ClusterKey::read(&self.key_file).map_err(|error| no_key(&error, program))?;
        let keys = self.own_key.as_ref().zip(self.public_keys.as_ref());
        let keys = keys.map(|(own, list)| NodeKeys::read(own, list)).transpose();
        let keys = keys.map_err(|error| no_key(&error, program))?;
        if let Some(file) = self.data_dir.as_ref().filter(|it| it.exists() && !it.is_dir()) {
            let file = file.display();
            return Err(Failure::Usage(format!("{file}: is not a folder, as --data-dir needs it")));
        }
        let listen = self.listen.as_ref().unwrap_or(&peers[&self.id]);
        let protocol = self.protocol.name();
        let mut config = Config::new(self.id, listen, peers.clone(), key, protocol);
        if !self.founds_now() {
            config.contacts.clone_from(&self.contact);
        }
        config.keys = keys;
        config.cluster.clone_from(&self.cluster);
        if self.unchecked_address {
            config.advertised = None;
        }
        config.limits.contact_timeout = self.contact_seconds;
        config.data.clone_from(&self.data_dir);
        config.log.clone_from(&self.log);
        config.heartbeats = Heartbeats::with_timeout(self.timeout);
        Ok(config)
    }

    fn peers(&self) -> Result<BTreeMap<NodeId, String>, Failure> {
        let mut peers = BTreeMap::new();
        for (node, place) in &self.peers {
            if peers.insert(*node, place.clone()).is_some() {
                return Err(Failure::Usage(format!("--peers names {node} twice")));
            }
        }
        if !peers.contains_key(&self.id) {
            let message =
                format!("{} is not in --peers: all nodes are listed, this one too", self.id);
            return Err(Failure::Usage(message));
        }
        Ok(peers)
    }

    /// The roster: candidates by number, then workers. Options that do not fit the protocol are refused.
    fn roster(&self, peers: &BTreeMap<NodeId, String>) -> Result<Roster, Failure> {
        let (protocol, name) = (self.protocol, self.protocol.name());
        let contact = |wrong: &dyn Fn(&NodeId) -> bool| self.contact.iter().find(|it| wrong(it));
        let refused = if !protocol.joins_through_contact() {
            let given = self.found || !self.contact.is_empty();
            given.then(|| format!("{name} has no groups: leave out --found and --contact"))
        } else if let Some(contact) = contact(&|contact| *contact == self.id) {
            let both = if self.found { " (and --found is given, too: leave out one)" } else { "" };
            Some(format!("--contact {contact}: a node does not join through itself{both}"))
        } else if let Some(contact) = contact(&|contact| !peers.contains_key(contact)) {
            Some(format!("--contact {contact} is not in --peers"))
        } else {
            self.refused_founding()
        };
        let refused = refused.or_else(|| {
            if !protocol.has_workers() && !self.worker.is_empty() {
                return Some(format!("{name} has no workers: leave out --worker"));
            }
            let unlisted = self.worker.iter().find(|worker| !peers.contains_key(worker));
            unlisted.map(|worker| format!("--worker {worker} is not in --peers"))
        });
        if let Some(message) = refused {
            return Err(Failure::Usage(message));
        }
        let (workers, candidates): (Vec<_>, Vec<_>) =
            peers.keys().partition::<Vec<NodeId>, _>(|node| self.worker.contains(node));
        if candidates.is_empty() {
            return Err(Failure::Usage("all nodes are workers: nobody could ever lead".into()));
        }
        Ok(Roster::of(candidates, workers))
    }

    /// Why it cannot be told whether to found a group or to join one.
    fn refused_founding(&self) -> Option<String> {
        match (self.found, self.contact.is_empty(), self.founded()) {
            _ if self.has_stored_group() => None,
            (false, true, _) => Some(
                "give --found to found a group, or --contact NODE to join the group of that node"
                    .into(),
            ),
            (true, false, None) => Some(
                "--found with --contact needs --data-dir, which records that the group was founded"
                    .into(),
            ),
            (true, true, Some(mark)) if mark.exists() => Some(format!(
                "{}: this node has founded its group already; give --contact NODE to join it again, or remove that file \
                 if no node of the group runs",
                mark.display()
            )),
            _ => None,
        }
    }

    /// The file that says that this node has founded its group.
    fn founded(&self) -> Option<PathBuf> {
        Some(self.data_dir.as_ref()?.join("founded"))
    }

    /// True if what this node has stored says what its group is.
    fn has_stored_group(&self) -> bool {
        let is_stored = |folder: &PathBuf| Directory::new(folder).is_used();
        self.protocol.keeps_names() && self.data_dir.as_ref().is_some_and(is_stored)
    }

    fn founds_now(&self) -> bool {
        self.found && !self.has_stored_group() && !self.founded().is_some_and(|mark| mark.exists())
    }

    fn start_tracing(&self, errors: Errors) -> Result<(), Failure> {
        let level = [LevelFilter::WARN, LevelFilter::INFO, LevelFilter::DEBUG, LevelFilter::TRACE]
            [usize::from(self.verbose.min(3))];
        let filter = EnvFilter::builder().with_default_directive(level.into());
        let filter = if self.verbose == 0 {
            filter.try_from_env().or_else(|error| {
                match std::env::var_os(EnvFilter::DEFAULT_ENV) {
                    Some(_) => Err(Failure::Usage(format!("RUST_LOG: {error}"))),
                    None => Ok(EnvFilter::default().add_directive(level.into())),
                }
            })?
        } else {
            filter.parse_lossy("")
        };
        let colours = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(colours)
            .with_writer(errors)
            .init();
        Ok(())
    }
}

/// A key that cannot be read, and what to do about it.
fn no_key(error: &KeyError, program: &str) -> Failure {
    let advice = advice(error, program).map_or(String::new(), |advice| format!(" ({advice})"));
    Failure::Usage(format!("{error}{advice}"))
}

/// The advice about a key that cannot be read.
fn advice(error: &KeyError, program: &str) -> Option<String> {
    let make = Some(format!("`{program} key` makes one"));
    match error {
        KeyError::File { source, .. } => match source.kind() {
            io::ErrorKind::IsADirectory => Some("name the file in it, not the folder".into()),
            io::ErrorKind::NotFound => make,
            _ => None,
        },
        KeyError::Line { .. } => None,
        _ => make,
    }
}

fn parse_peer(text: &str) -> Result<(NodeId, String), String> {
    let (node, place) =
        text.split_once('=').ok_or("expected NODE=HOST:PORT, as in n1=127.0.0.1:7001")?;
    let node = node.parse().map_err(|error| format!("{error}"))?;
    Ok((node, parse_place(place)?))
}

fn parse_place(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err(format!("`{text}` is not HOST:PORT, as in 127.0.0.1:7000"));
    }
    Ok(text.into())
}
