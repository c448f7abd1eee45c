//! Node logs: what happened to a node, and what it did.
//!
//! A log is lines of JSON, each an [`Entry`]. A line is written before any effect of it is carried out; so a node that
//! was killed may have done less than its last lines say, and never more. Lives of a node follow each other in one
//! file.

use crate::machine::{Boot, EffectOf, EventOf, Machine};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// The form of logs that this version writes and reads.
pub const FORMAT: u32 = 1;

/// A line of a log: JSON, and behind it a line feed.
///
/// # Example
///
/// ```
/// use interrex::{gms3::Gms3, machine::Event, runtime::{Entry, EntryOf}};
///
/// let line = r#"{"step":{"at":1800000000000000,"event":{"down":"n0#217824391"},"effects":[]}}"#;
/// let Entry::Step(step) = serde_json::from_str::<EntryOf<Gms3<String>>>(line)? else { panic!() };
/// assert!(matches!(step.event, Event::Down(peer) if peer.node().0 == 0));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry<Boot, Event, Effect> {
    /// A life begins: step 0.
    Start(Start<Boot, Effect>),
    /// An event was met: step 1, 2, ….
    Step(Step<Event, Effect>),
    /// The life has ended, and not by a crash.
    End(End),
}

/// The line of a machine.
pub type EntryOf<M> = Entry<Boot<<M as Machine>::Stable>, EventOf<M>, EffectOf<M>>;

/// A life begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start<Boot, Effect> {
    /// [`FORMAT`].
    pub format: u32,
    /// When, by the clock of the host: microseconds since 1970.
    pub at: u64,
    /// As in [`Config`](super::Config).
    pub protocol: String,
    /// As in [`Config`](super::Config).
    pub configuration: String,
    /// What the process was told.
    pub boot: Boot,
    /// What it asked for, in order.
    pub effects: Vec<Effect>,
}

/// An event was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step<Event, Effect> {
    /// When, by the clock of the host: microseconds since 1970.
    pub at: u64,
    /// The event.
    pub event: Event,
    /// Of a message: in which step of its sender's life it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// What the machine asked for, in order.
    pub effects: Vec<Effect>,
}

/// A life has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// When, by the clock of the host: microseconds since 1970.
    pub at: u64,
    /// The reason, if the machine has ended it; otherwise the program did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// Writes a log.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    lines: Vec<u8>,
}

impl Log {
    /// Opens a log to append to. Where a life before was killed within a line, that line is ended.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::options().read(true).append(true).create(true).open(path)?;
        let mut lines = vec![];
        if file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != [b'\n'] {
                lines.push(b'\n');
            }
        }
        Ok(Self { file, lines })
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

/// The clock of the host, in microseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
