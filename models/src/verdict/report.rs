//! Reports: one model of a result, and the formats in which it is written.
//!
//! A command answers with [`Section`]s: a scenario, a run, the logs of a cluster. Each section presents its
//! results as [`Case`]s. A [`Renderer`] writes sections in one [`Format`]. The shape of answers to programs is described
//! in [`json`].
//!
//! Another format is one more file beside these, with a `Renderer` that writes the cases; a
//! `pub mod` for it here; and one more variant of [`Format`] with its arm in [`Format::renderer`]. Every command
//! that reports (`check`, `matrix`, `fuzz`, `replay`, `validate`, `list`) understands it then.

pub mod github;
pub mod json;
pub mod junit;
pub mod sarif;
pub mod text;

use super::{
    change::{Change, Trend},
    drawn::Drawn,
    outcome::Comparison,
};
use crate::io::file;
use json::Object;
use serde::Serialize;
use std::{
    env, fmt, fs,
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
    /// Before and after, of a result that an exhaustive search found not to be as expected.
    #[serde(skip)]
    pub change: Option<Change>,
    /// The counterexample, unless it is an expected one.
    #[serde(skip)]
    pub drawn: Option<Drawn>,
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

/// Keeps all cases, and writes them at the end, as one document.
struct AtEnd {
    cases: Vec<Case>,
    write: fn(&[Case], &mut dyn Write) -> io::Result<()>,
}

impl Renderer for AtEnd {
    fn section(&mut self, _: &mut dyn Write, section: &dyn Section) -> io::Result<()> {
        self.cases.extend(section.cases());
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        (self.write)(&self.cases, out)
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
    /// For continuous integration: XML, a suite for each scenario
    Junit,
    /// For code scanning: SARIF, a result for each line that is not as expected
    Sarif,
    /// For GitHub's workflows: text, annotations, and a summary of the job with each new counterexample
    Github,
}

impl Format {
    /// The renderer of this format.
    #[must_use]
    pub fn renderer(self) -> Box<dyn Renderer> {
        match self {
            Self::Text => Box::new(text::Text),
            Self::Json => Box::new(json::Json),
            Self::Junit => Box::new(AtEnd { cases: vec![], write: junit::write }),
            Self::Sarif => Box::new(AtEnd { cases: vec![], write: sarif::write }),
            Self::Github => Box::new(github::Github::here()),
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
        Self { suite, name, status, message, place: None, seconds: None, change: None, drawn: None }
    }

    /// The same, about a line of a file.
    #[must_use]
    pub fn at(self, place: Option<Place>) -> Self {
        Self { place, ..self }
    }

    /// The direction in which a verdict has changed.
    #[must_use]
    pub fn trend(&self) -> Option<Trend> {
        self.change.as_ref()?.trend
    }

    /// Before and after, or else the message.
    #[must_use]
    pub fn said(&self) -> &str {
        self.change.as_ref().map_or(&self.message, |change| &change.said)
    }

    /// Asserts in a test that all are as expected.
    pub(crate) fn assert_as_expected(mut cases: Vec<Self>) {
        cases.retain(|case| case.status != Comparison::AsExpected);
        let Some(first) = cases.first() else { return };
        let said: Vec<_> =
            cases.iter().map(|case| format!("  {}: {}\n", case.name, case.message)).collect();
        let run = Self::shortest_run(&cases).map_or(String::new(), |(case, drawn)| {
            format!("\nthe shortest run that violates {}\n{drawn}", case.name)
        });
        panic!("{}:\n{}{run}", first.suite, said.concat());
    }

    /// The shortest counterexample of these: one of a verdict that is worse, if there is any.
    pub(crate) fn shortest_run<'a>(
        cases: impl IntoIterator<Item = &'a Self>,
    ) -> Option<(&'a Self, &'a Drawn)> {
        let drawn = cases.into_iter().filter_map(|case| Some((case, case.drawn.as_ref()?)));
        drawn.min_by_key(|(case, drawn)| (case.trend() != Some(Trend::Worse), drawn.steps))
    }
}

impl Place {
    /// A line of a file.
    pub fn new(file: impl Into<PathBuf>, line: usize) -> Self {
        Self { file: file.into(), line }
    }

    /// The file as seen from the root of the repository: the workspace of a job on GitHub, or else the current folder.
    #[must_use]
    pub fn in_repository(&self) -> String {
        let root = env::var_os("GITHUB_WORKSPACE").and_then(|root| fs::canonicalize(root).ok());
        let path = fs::canonicalize(&self.file).ok();
        match (root, path) {
            (Some(root), Some(path)) if path.starts_with(&root) => file::name_below(&root, &path),
            _ => file::shown(&self.file).replace('\\', "/"),
        }
    }
}

/// `models/scenarios/gms3/joined-3.toml:12`, as seen from the current folder.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", file::shown(&self.file), self.line)
    }
}
