//! `interrex shrink`.

use super::{Exit, Failure};
use interrex_models::{
    evidence::trace::Trace, explore::shrink::shrink, io::file::FileError, model::world::Rules,
    protocol::registry::Known, with_protocol,
};
use std::{io::Write, path::PathBuf};

/// Make a trace minimal: leave out what the violation does not need
///
/// Any trace will do, also one that was edited: the actions count, the effects are recorded anew. No
/// action of the result can be left out, no fault weakened, and it violates the same property with its
/// last step.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit_codes! {
    "0    the trace is minimal now"
    "1    it violates nothing"
    "2    bad usage, or a bad trace"
})]
pub(super) struct Shrink {
    /// The trace file
    trace: PathBuf,
    /// Write the minimal trace to this file, the same one too [default: to standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Shrink {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let trace = Trace::read(&self.trace)?;
        let (known, property) =
            Known::of(&trace).map_err(|message| FileError::new(&self.trace, message))?;
        let environment = trace.environment.clone();
        let shrunk = with_protocol!(known, &trace.environment, protocol => {
            shrink(&mut Rules::new(protocol, environment), &trace, property)
        });

        let mut err = anstream::stderr().lock();
        let Some(shrunk) = shrunk else {
            let (name, path) = (property.name, self.trace.display());
            writeln!(
                err,
                "{path}: the run does not violate {name}, so there is nothing to shrink"
            )?;
            writeln!(err, "`interrex replay --schedule-only {path}` shows it")?;
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
