//! Node logs: the events of a node, and their effects.
//!
//! A log is lines of JSON, each an [`Entry`]. A line is written before any effect in it is carried out. So a node that was
//! killed may have done less than its last lines say, and never more. All lives of a node are in one file, in order.
//! Large values that can be had again are [`Held`]: a log has only their digests.

use super::{digest::Held, private};
use crate::machine::{Address, Boot, Effect, Event, Machine, NodeId};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// The version of the log format that is written. Format 2 is the same without [digests](super::Digest): it can be read as
/// this one.
pub const FORMAT: u32 = 3;

/// A line of a log: JSON, then a line feed.
///
/// # Example
///
/// A step, and one that has received a large message: the log has its sender, the step in which it was sent, and its digest.
///
/// ```
/// use interrex::{gms3::Gms3, machine::Event, runtime::{Entry, EntryOf, Held}};
///
/// let line = r#"{"step":{"at":1800000000000000,"event":{"down":"n0#217824391"},"effects":[]}}"#;
/// let Entry::Step(step) = serde_json::from_str::<EntryOf<Gms3<String>>>(line)? else { panic!() };
/// assert!(matches!(step.event, Event::Down(peer) if peer.node().0 == 0));
///
/// let line = r#"{"step":{"at":1800000000000000,"event":{"message":{"from":"n0#217824391","message":
///     {"digest":{"bytes":60060,"blake2b":"eb1a81ed4a2a8e6b79e0fc2bd6e2ea0ca3a7fbfb6ba2b5a4fef4d3ca63d0ad4f"}}}},
///     "sent":57,"effects":[]}}"#;
/// let Entry::Step(step) = serde_json::from_str::<EntryOf<Gms3<String>>>(line)? else { panic!() };
/// let Event::Message { from, message: Held::Digest(digest) } = step.event else { panic!() };
/// assert_eq!((from.node.0, step.sent, digest.bytes), (0, Some(57), 60060));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry<Boot, Event, Effect> {
    /// The start of a life: step 0.
    Start(Start<Boot, Effect>),
    /// An event and its effects: step 1, 2, ….
    Step(Step<Event, Effect>),
    /// Messages may have been lost since the line before.
    Break(Break),
    /// The end of a life, unless it was a crash.
    End(End),
}

/// The entries of a machine's log.
pub type EntryOf<M> = Entry<HeldBootOf<M>, HeldEventOf<M>, HeldEffectOf<M>>;

/// The argument of [`Machine::start`] in a machine's log.
pub type HeldBootOf<M> = Boot<Held<<M as Machine>::Stable>>;

/// An event in a machine's log.
pub type HeldEventOf<M> =
    Event<Held<<M as Machine>::Message>, <M as Machine>::Command, <M as Machine>::Timer>;

/// An effect in a machine's log.
pub type HeldEffectOf<M> = Effect<
    Held<<M as Machine>::Message>,
    <M as Machine>::Timer,
    Held<<M as Machine>::Stable>,
    Held<<M as Machine>::Observation>,
>;

/// The start of a life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start<Boot, Effect> {
    /// [`FORMAT`].
    pub format: u32,
    /// The time by [`Config::clock`](super::Config::clock), in microseconds since 1970.
    pub at: u64,
    /// [`Config::protocol`](super::Config::protocol).
    pub protocol: String,
    /// [`Config::configuration`](super::Config::configuration).
    pub configuration: String,
    /// The argument of [`Machine::start`].
    pub boot: Boot,
    /// The effects, in order.
    pub effects: Vec<Effect>,
}

/// A step of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step<Event, Effect> {
    /// The time by [`Config::clock`](super::Config::clock), in microseconds since 1970.
    pub at: u64,
    /// The event.
    pub event: Event,
    /// If the event is a message: the step of the sender's life in which it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// Something that an earlier step has persisted was not synced yet: a crash of the host loses it, with all after it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsynced: bool,
    /// The effects, in order.
    pub effects: Vec<Effect>,
}

/// A connection with another node has ended, or messages to it were dropped. Without such a line at either node, a message
/// that is missing in the logs, before one that arrived, was lost by a fault of the adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Break {
    /// The time by [`Config::clock`](super::Config::clock), in microseconds since 1970.
    pub at: u64,
    /// The other node.
    pub node: NodeId,
    /// The number of messages that were dropped here. More may have been lost on their way.
    pub dropped: u64,
    /// The reason.
    pub why: String,
}

/// The end of a life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// The time by [`Config::clock`](super::Config::clock), in microseconds since 1970.
    pub at: u64,
    /// The machine's reason, if it has stopped; none if the program has shut the node down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// Writes a log.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    clock: fn() -> u64,
    lines: Vec<u8>,
}

impl Log {
    /// Opens a log to append to. If the last line is incomplete, because the node was killed, it is ended first. A file that
    /// is something else is left alone.
    pub(super) fn open(path: &Path, node: NodeId, clock: fn() -> u64) -> io::Result<Self> {
        private::refuse_pipe(path)?;
        let mut file = private::open(path, File::options().read(true).append(true).create(true))?;
        let metadata = file.metadata()?;
        if metadata.is_file() {
            lock(&file)?;
        }
        let mut lines = vec![];
        if metadata.len() > 0 {
            refuse_other(&file, node)?;
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != [b'\n'] {
                lines.push(b'\n');
            }
        }
        Ok(Self { file, clock, lines })
    }

    /// The time for an entry.
    pub(super) fn now(&self) -> u64 {
        (self.clock)()
    }

    /// Adds a line, which is not written yet.
    pub(super) fn add(&mut self, entry: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.lines, entry)?;
        self.lines.push(b'\n');
        Ok(())
    }

    /// Writes the lines that were added.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.lines);
        self.lines.clear();
        written
    }
}

/// Two nodes that append to one file would mix their lines.
fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(invalid("another process writes to it".into())),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// How a log begins, and what comes before the name of the process. A stored state may follow, in format 2 of any length.
const BEGIN: &str = r#"{"start":{"format":"#;
const BOOT: &str = r#""boot":{"me":""#;
/// More than comes before the name of the process.
const PREFIX: u64 = 1 << 16;

/// An error for a file that is not the log of this node.
fn refuse_other(file: &File, node: NodeId) -> io::Result<()> {
    let mut prefix = vec![];
    file.take(PREFIX).read_to_end(&mut prefix)?;
    let prefix = String::from_utf8_lossy(&prefix);
    if !prefix.starts_with(BEGIN) {
        return Err(invalid("it has other content than the log of a node".into()));
    }
    let named = prefix.split_once(BOOT).and_then(|(_, rest)| rest.split('"').next());
    match named.and_then(|name| name.parse::<Address>().ok()) {
        Some(process) if process.node != node => {
            Err(invalid(format!("it is the log of {}", process.node)))
        }
        _ => Ok(()),
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// The clock of the host, in microseconds since 1970. A clock before 1970 reads 0.
#[must_use]
pub fn unix_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
