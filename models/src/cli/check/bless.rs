//! `--bless`: what was found becomes what is expected.

use super::table::Checked;
use crate::{
    evidence::{
        replay::{Mode, Outcome},
        trace::Trace,
    },
    io::file::{self, FileError, shown},
    verdict::{
        outcome::{Comparison, Verdict},
        pins,
        scenario::Scenario,
    },
};
use std::{fmt, path::Path};

/// The files that were written, and those to be removed by hand: a line each.
#[derive(Debug, Default)]
pub(super) struct Blessed {
    lines: Vec<String>,
    /// A run is among them.
    has_run: bool,
}

impl Blessed {
    /// Makes sure, before long work, that the files can be written.
    pub(super) fn of(scenarios: &[Scenario], traces: &Path) -> Result<Self, FileError> {
        let mut sources = scenarios.iter().filter_map(|scenario| scenario.source.as_ref());
        sources.try_for_each(|source| file::can_be_written(&source.file))?;
        file::can_hold_files(traces)?;
        Ok(Self::default())
    }

    /// Writes what is not as expected: into the file of the scenario, and below the folder of known traces each new run, and
    /// those in which the protocol now does something else.
    pub(super) fn write(&mut self, checked: &Checked<'_>, traces: &Path) -> Result<(), FileError> {
        let Checked { scenario, report, .. } = checked;
        let Some(source) = &scenario.source else { return Ok(()) };
        let name = &scenario.name;
        if !report.complete {
            self.lines.push(format!("{name}: cut short by a limit, so nothing was written"));
            return Ok(());
        }
        match pins::bless(&source.file, report)? {
            0 => {}
            1 => self.lines.push(format!("{}: a value", shown(&source.file))),
            values => self.lines.push(format!("{}: {values} values", shown(&source.file))),
        }
        for row in &report.properties {
            let differs = row.comparison() == Comparison::Differs;
            if let Some(trace) = &row.counterexample {
                let path = traces.join(trace.file_name());
                if differs || has_other_effects(scenario, &path) {
                    trace.save(&path)?;
                    self.lines.push(format!("{}: a run", shown(&path)));
                    self.has_run = true;
                }
            } else if differs && row.expected == Some(Verdict::Violated) {
                let path = Trace::path(&report.subject.protocol, name, row.name);
                let path = traces.join(path);
                if path.exists() {
                    let path = shown(&path);
                    self.lines.push(format!("{path}: no longer violates its property; remove it"));
                }
            }
        }
        Ok(())
    }
}

/// True if a known trace is not what the protocol does now.
fn has_other_effects(scenario: &Scenario, path: &Path) -> bool {
    let Ok(trace) = Trace::read(path) else { return false };
    let property = scenario.protocol.and_then(|protocol| protocol.property(&trace.property).ok());
    property.is_some_and(|property| {
        let replay = scenario.harness().replay(&trace, property, Mode::Exact, None);
        !matches!(replay.outcome, Outcome::Violated { .. })
    })
}

/// A line for each file.
impl fmt::Display for Blessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lines.is_empty() {
            return writeln!(f, "nothing to bless\n");
        }
        writeln!(f, "blessed; to be reviewed, as with `git diff`:")?;
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        if self.has_run {
            writeln!(
                f,
                "say in the `cause` of each run which rule of the protocol makes it possible"
            )?;
        }
        writeln!(f)
    }
}
