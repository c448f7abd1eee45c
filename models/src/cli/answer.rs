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
    renderer: Box<dyn Renderer>,
    worst: Comparison,
}

impl Answer {
    pub(super) fn new(format: Format) -> Self {
        let (out, renderer) = (anstream::stdout().lock(), format.renderer());
        Self { out, renderer, worst: Comparison::AsExpected }
    }

    /// Adds a section.
    pub(super) fn add(&mut self, section: &dyn Section) -> io::Result<()> {
        let status = section.cases().iter().map(|case| case.status).max();
        self.worst = self.worst.max(status.unwrap_or(Comparison::AsExpected));
        self.renderer.section(&mut self.out, section)
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
