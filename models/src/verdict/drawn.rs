//! Counterexamples that are shown at once, with the reason why they are some.

use crate::{
    claim::property::Property,
    evidence::{
        draw::{self, chart::Chart},
        replay::{Outcome, Replay},
        trace::Trace,
    },
    io::text::printable,
};
use std::fmt;

/// A counterexample, drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The environment, in a line.
    pub environment: String,
    /// The claim of the property, in a sentence.
    pub claim: &'static str,
    /// A sentence for each violation.
    pub complaints: Vec<String>,
    /// The number of steps.
    pub steps: usize,
    /// The run, as a sequence diagram in characters.
    pub diagram: String,
    /// The file that holds it.
    pub file: Option<String>,
}

impl Drawn {
    /// A trace that was replayed exactly, and the property that it violates.
    #[must_use]
    pub fn new(trace: &Trace, property: &Property, replay: &Replay) -> Self {
        let complaints: &[String] = match &replay.outcome {
            Outcome::Violated { complaints, .. } => complaints,
            _ => &[],
        };
        Self {
            environment: trace.environment.to_string(),
            claim: property.claim,
            complaints: complaints.iter().map(|complaint| printable(complaint)).collect(),
            steps: trace.steps.len(),
            diagram: draw::text::draw(&Chart::of(replay)),
            file: None,
        }
    }
}

/// The reason, then the diagram.
impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  It claims: {}", self.claim)?;
        for complaint in &self.complaints {
            writeln!(f, "  Here: {complaint}")?;
        }
        write!(f, "  With {}\n\n{}", self.environment, self.diagram)
    }
}
