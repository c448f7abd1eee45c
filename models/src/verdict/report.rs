//! Reports: one model of a result, and the formats in which it is written.
//!
//! A command answers with [`Section`]s: a scenario, a run, the logs of a cluster. Each section presents its
//! results as [`Case`]s. A [`Renderer`] writes sections in one [`Format`]. The shape of answers to programs is described
//! in [`json`].
//!
//! Another format is one more file beside [`text`] and [`json`], with a `Renderer` that writes the cases; a
//! `pub mod` for it here; and one more variant of [`Format`] with its arm in [`Format::renderer`]. Every command
//! that reports (`check`, `matrix`, `fuzz`, `replay`, `validate`, `list`) understands it then.

pub mod json;
pub mod text;

use super::outcome::Comparison;
use crate::io::file;
use json::Object;
use serde::Serialize;
use std::{
    fmt,
    io::{self, Write},
    path::PathBuf,
};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// One thing that was judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Case {
    /// Its context: the name of a scenario, of a trace or of a protocol.
    pub suite: String,
    /// The name of the property, or of another checked item.
    pub name: String,
    /// Comparison of the result with the expectation.
    pub status: Comparison,
    /// The result in words, and the expectation if it differs.
    pub message: String,
    /// The line of a file that states the expectation, or that shows the fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The time that it took, in seconds, if that is known of it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

/// A part of the answer of a command.
pub trait Section {
    /// All that was judged.
    fn cases(&self) -> Vec<Case>;

    /// All that was found, as JSON objects. The renderer adds the cases to the last one.
    fn objects(&self) -> Vec<Object>;

    /// All that was found, for people.
    ///
    /// # Errors
    /// If it cannot be written.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Writes sections in one format.
pub trait Renderer {
    /// Writes a section, or keeps it for [`end`](Self::end).
    ///
    /// # Errors
    /// If it cannot be written.
    fn section(&mut self, out: &mut dyn Write, section: &dyn Section) -> io::Result<()>;

    /// Writes what comes after the last section.
    ///
    /// # Errors
    /// If it cannot be written.
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let _ = out;
        Ok(())
    }
}

/// The formats in which reports are written.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Display, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Format {
    /// For people
    Text,
    /// For programs: JSON objects, one a line
    Json,
}

impl Format {
    /// The renderer of this format.
    #[must_use]
    pub fn renderer(self) -> Box<dyn Renderer> {
        match self {
            Self::Text => Box::new(text::Text),
            Self::Json => Box::new(json::Json),
        }
    }
}

impl Case {
    /// A case that has neither a place nor a time of its own.
    pub fn new(
        suite: impl Into<String>,
        name: impl Into<String>,
        status: Comparison,
        message: impl Into<String>,
    ) -> Self {
        let (suite, name, message) = (suite.into(), name.into(), message.into());
        Self { suite, name, status, message, place: None, seconds: None }
    }

    /// The same, about a line of a file.
    #[must_use]
    pub fn at(self, place: Option<Place>) -> Self {
        Self { place, ..self }
    }
}

impl Place {
    /// A line of a file.
    pub fn new(file: impl Into<PathBuf>, line: usize) -> Self {
        Self { file: file.into(), line }
    }
}

/// `models/scenarios/gms3/joined-3.toml:12`, as seen from the current folder.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", file::shown(&self.file), self.line)
    }
}
