//! The answer of a command, on standard output.

use super::{Exit, Failure};
use crate::verdict::{
    outcome::Comparison,
    report::{Case, Format, Renderer, Section, json::Object},
};
use std::io::{self, Write};

/// An answer that is being written.
pub(super) struct Answer {
    out: anstream::AutoStream<io::StdoutLock<'static>>,
    format: Format,
    renderer: Box<dyn Renderer>,
    is_quiet: bool,
    worst: Comparison,
    noted: Vec<Case>,
}

impl Answer {
    pub(super) fn new(format: Format) -> Self {
        let (out, renderer) = (anstream::stdout().lock(), format.renderer());
        let worst = Comparison::AsExpected;
        Self { out, format, renderer, is_quiet: false, worst, noted: vec![] }
    }

    /// The same, but as text it leaves out the sections that judge something: a remark at the end has their results.
    pub(super) fn quiet(self) -> Self {
        Self { is_quiet: self.format == Format::Text, ..self }
    }

    /// Adds a section.
    pub(super) fn add(&mut self, section: &dyn Section) -> io::Result<()> {
        let mut cases = section.cases();
        let is_left_out = self.is_quiet && !cases.is_empty();
        let status = cases.iter().map(|case| case.status).max();
        self.worst = self.worst.max(status.unwrap_or(Comparison::AsExpected));
        cases.retain(|case| case.status == Comparison::Differs || case.drawn.is_some());
        self.noted.append(&mut cases);
        if is_left_out { Ok(()) } else { self.renderer.section(&mut self.out, section) }
    }

    /// The cases so far that are not as expected, or have a run that nobody knows yet.
    pub(super) fn noted(&self) -> &[Case] {
        &self.noted
    }

    /// The worst status of all cases so far.
    pub(super) fn worst(&self) -> Comparison {
        self.worst
    }

    /// Ends it. All cases together say how the command ends.
    pub(super) fn end(mut self) -> Result<Exit, Failure> {
        self.renderer.end(&mut self.out)?;
        self.out.flush()?;
        Ok(self.worst.into())
    }
}

/// A sentence for people, which programs do without.
pub(super) struct Remark(pub(super) String);

impl Section for Remark {
    fn cases(&self) -> Vec<Case> {
        vec![]
    }

    fn objects(&self) -> Vec<Object> {
        vec![]
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.0)
    }
}
