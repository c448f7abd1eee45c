//! `--bless`: what was found becomes what is expected.

use super::table::Checked;
use crate::{
    evidence::trace::Trace,
    io::file::{self, FileError, shown},
    verdict::{
        check::Row,
        outcome::{Comparison, Verdict},
        pins,
        scenario::Scenario,
    },
};
use std::{fmt, path::Path};

/// The files that were written, and those to be removed by hand: a line each.
#[derive(Debug, Default)]
pub(super) struct Blessed(Vec<String>);

impl Blessed {
    /// Makes sure, before long work, that the files can be written.
    pub(super) fn of(scenarios: &[Scenario], traces: &Path) -> Result<Self, FileError> {
        let mut sources = scenarios.iter().filter_map(|scenario| scenario.source.as_ref());
        sources.try_for_each(|source| file::can_be_written(&source.file))?;
        file::can_hold_files(traces)?;
        Ok(Self::default())
    }

    /// Writes what is not as expected: into the file of the scenario, and each new run below the folder of known traces.
    pub(super) fn write(&mut self, checked: &Checked<'_>, traces: &Path) -> Result<(), FileError> {
        let Checked { scenario, report, .. } = checked;
        let Some(source) = &scenario.source else { return Ok(()) };
        let name = &scenario.name;
        if !report.complete {
            self.0.push(format!("{name}: cut short by a limit, so nothing was written"));
            return Ok(());
        }
        match pins::bless(&source.file, report)? {
            0 => return Ok(()),
            1 => self.0.push(format!("{}: a value", shown(&source.file))),
            values => self.0.push(format!("{}: {values} values", shown(&source.file))),
        }
        let differs = |row: &&Row| row.comparison() == Comparison::Differs;
        for row in report.properties.iter().filter(differs) {
            if let Some(trace) = &row.counterexample {
                let path = traces.join(trace.file_name());
                trace.save(&path)?;
                let advice = "say in its `cause` which rule of the protocol makes it possible";
                self.0.push(format!("{}: a run; {advice}", shown(&path)));
            } else if row.expected == Some(Verdict::Violated) {
                let path = Trace::path(&report.subject.protocol, name, row.name);
                let path = traces.join(path);
                if path.exists() {
                    let path = shown(&path);
                    self.0.push(format!("{path}: no longer violates its property; remove it"));
                }
            }
        }
        Ok(())
    }
}

/// A line for each file.
impl fmt::Display for Blessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(f, "nothing to bless\n");
        }
        writeln!(f, "blessed; to be reviewed, as with `git diff`:")?;
        self.0.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        writeln!(f)
    }
}
