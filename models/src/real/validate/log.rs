//! Reads logs, line by line.

use super::Where;
use crate::io::file::{FileError, refuse_special, without_place};
use interrex::runtime::{Entry, FORMAT, Start};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::error::Category;
use std::{
    fmt::Display,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// A limit, in bytes, that no line exceeds: a message has 1 GiB at most by default, and is longer as JSON.
const MOST_BYTES: u64 = 8 << 30;

/// The oldest format that is read. It is the same as [`FORMAT`], and has no digests.
pub(super) const WITHOUT_DIGESTS: u32 = 2;

/// A log, line by line.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: Vec<u8>,
    number: usize,
}

/// The content of a line.
pub(super) enum Line<T> {
    /// An entry.
    Entry(T),
    /// A part of an entry: the node was killed while it wrote the line.
    Torn,
}

/// The part of a log that is the same at all nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Common {
    pub protocol: String,
    pub configuration: String,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let cannot = |error| FileError::new(path, format!("cannot be read: {error}"));
        refuse_special(path)?;
        let reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(cannot)?);
        Ok(Self { path: path.into(), reader, line: vec![], number: 0 })
    }

    /// The next line.
    pub(super) fn next<T: for<'de> Deserialize<'de>>(
        &mut self,
    ) -> Result<Option<Line<T>>, FileError> {
        self.line.clear();
        let mut limited = (&mut self.reader).take(MOST_BYTES);
        let length = limited.read_until(b'\n', &mut self.line);
        let length = length
            .map_err(|error| FileError::new(&self.path, format!("cannot be read: {error}")))?;
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        if length as u64 == MOST_BYTES && self.line.last() != Some(&b'\n') {
            return Err(self.error("longer than 8 GiB, which no line of a log is"));
        }
        // The next life ends a line that was cut short.
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        match serde_json::from_slice(line) {
            Ok(entry) => Ok(Some(Line::Entry(entry))),
            Err(error) if error.classify() == Category::Eof => Ok(Some(Line::Torn)),
            Err(error) => {
                let message = format!("not a line of a log: {}", without_place(&error));
                Err(FileError::in_line(&self.path, self.number, error.column().max(1), message))
            }
        }
    }

    /// The number of the current line, from 1; 0 before the first one.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// The place of the current line.
    pub(super) fn place(&self) -> Where {
        self.at(self.number)
    }

    /// The place of a line.
    pub(super) fn at(&self, line: usize) -> Where {
        Where { path: self.path.clone(), line }
    }

    /// Checks the format of the life that begins with the current line.
    pub(super) fn check_format(&self, format: u32) -> Result<(), FileError> {
        if (WITHOUT_DIGESTS..=FORMAT).contains(&format) {
            return Ok(());
        }
        Err(self.error(format_args!(
            "format {format}: this version reads formats {WITHOUT_DIGESTS} to {FORMAT}"
        )))
    }

    /// An error in the current line.
    pub(super) fn error(&self, message: impl Display) -> FileError {
        self.error_at(self.number.max(1), message)
    }

    /// An error in a line.
    pub(super) fn error_at(&self, line: usize, message: impl Display) -> FileError {
        FileError::in_line(&self.path, line, 1, message)
    }
}

/// The common part, from the first life of a log; none if the log contains no life.
pub(super) fn common(path: &Path) -> Result<Option<Common>, FileError> {
    type Plain = Entry<IgnoredAny, IgnoredAny, IgnoredAny>;
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next::<Plain>()? {
        match line {
            // A node that was killed while it started.
            Line::Torn => {}
            Line::Entry(Entry::Start(Start { format, protocol, configuration, .. })) => {
                lines.check_format(format)?;
                return Ok(Some(Common { protocol, configuration }));
            }
            Line::Entry(Entry::Step(_) | Entry::Break(_) | Entry::End(_)) => {
                return Err(lines.error(NO_START));
            }
        }
    }
    Ok(None)
}

pub(super) const NO_START: &str = "no life has begun: expected a line `{\"start\":…}`";

/// A message about the difference to another life or log.
pub(super) fn differing(common: &Common, other: &Common) -> String {
    if common.protocol == other.protocol {
        let (one, other) = (&common.configuration, &other.configuration);
        format!(
            "the configuration is `{other}`, and `{one}` elsewhere: expected the logs of one cluster"
        )
    } else {
        let (one, other) = (&common.protocol, &other.protocol);
        format!("the protocol is {other}, and {one} elsewhere: expected the logs of one cluster")
    }
}
