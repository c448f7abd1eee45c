//! Reports for programs.

use super::{Renderer, Section};
use std::io::{self, Write};

/// Writes each object of a section on a line of its own.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl Renderer for Json {
    fn section(&mut self, out: &mut dyn Write, section: &dyn Section) -> io::Result<()> {
        for object in section.objects() {
            writeln!(out, "{object}")?;
        }
        Ok(())
    }
}
