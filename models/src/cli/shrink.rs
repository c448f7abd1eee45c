//! `interrex shrink`.

use super::{Command, Exit, Failure};
use crate::{
    evidence::trace::Trace,
    io::{
        file::{self, FileError},
        text::printable,
    },
};
use std::{io::Write, path::PathBuf};

/// Make a trace minimal: leave out everything that the violation does not need
///
/// The trace may have been edited: only its actions count, the effects are recorded anew. In the
/// result no action can be left out and no fault weakened, and its last step violates the same property.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit_codes! {
    "0    the result is minimal"
    "1    the trace does not violate its property"
    "2    bad usage, or a bad trace"
})]
pub(super) struct Shrink {
    /// The trace file
    trace: PathBuf,
    /// Write the minimal trace to this file, which may be the same one [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Shrink {
    pub(super) fn run(&self, of: &Command) -> Result<Exit, Failure> {
        let trace = Trace::read(&self.trace)?;
        if let Some(path) = &self.output {
            file::can_be_written(path)?;
        }
        let (known, property) =
            of.registry.of(&trace).map_err(|message| FileError::new(&self.trace, message))?;
        let shrunk = known.harness(&trace.environment).shrink(&trace, property);

        let mut err = anstream::stderr().lock();
        let Some(shrunk) = shrunk else {
            let (name, path) = (property.name, printable(&self.trace.display().to_string()));
            writeln!(
                err,
                "{path}: the run does not violate {name}, so there is nothing to shrink"
            )?;
            writeln!(err, "`{} replay --schedule-only {path}` shows it", of.name)?;
            return Ok(Exit::Differs);
        };
        match &self.output {
            Some(path) => shrunk.save(path)?,
            None => write!(anstream::stdout().lock(), "{}", shrunk.to_json())?,
        }
        let steps = |trace: &Trace| match trace.steps.len() {
            1 => "1 step".into(),
            count => format!("{count} steps"),
        };
        writeln!(err, "{} → {}", steps(&trace), steps(&shrunk))?;
        Ok(Exit::AsExpected)
    }
}
