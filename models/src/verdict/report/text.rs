//! Reports for people.

use super::{Case, Renderer, Section};
use crate::{io::text::printable, verdict::outcome::Comparison};
use anstyle::{AnsiColor, Style};
use std::io::{self, Write};

/// Writes the text of each section.
#[derive(Clone, Copy, Debug)]
pub struct Text;

impl Renderer for Text {
    fn section(&mut self, out: &mut dyn Write, section: &dyn Section) -> io::Result<()> {
        section.text(out)
    }
}

const BAD: Style = AnsiColor::Red.on_default();

/// Writes the place and the message of each case that is not as expected and has a place.
///
/// # Errors
/// If it cannot be written.
pub fn show_places(out: &mut dyn Write, cases: &[Case]) -> io::Result<()> {
    for case in cases {
        if let (Comparison::Differs, Some(place)) = (case.status, &case.place) {
            let said = printable(&format!("{}: {}", case.name, case.message));
            writeln!(out, "  {BAD}{place}:{BAD:#} {said}")?;
        }
    }
    Ok(())
}

/// The message of a case, and the run that shows it.
#[must_use]
pub fn with_run(case: &Case) -> String {
    match &case.drawn {
        Some(drawn) => format!("{}\n\n{drawn}", case.message),
        None => case.message.clone(),
    }
}
