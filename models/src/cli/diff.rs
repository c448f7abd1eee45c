//! `interrex diff`.

use super::{
    BAD, Command, Exit, Failure,
    answer::Answer,
    broken::{count, list},
    choice::{FormatOr, format_or},
    styled,
};
use crate::{
    io::{
        file::{self, FileError},
        text::{counted, grouped},
    },
    verdict::{
        change::{Change, Trend},
        check::Found,
        outcome::{Comparison, Verdict},
        report::{Case, Section, github::cell, json::Object},
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// Compare what two revisions of a protocol do
///
/// OLD and NEW are what `interrex check --format json` has printed, or programs
/// that print it. The answer is the verdicts that were gained and lost, and the
/// numbers of worlds that differ.
///
///   interrex check gms3 --format json > before.json
///   interrex diff before.json after.json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit_codes! {
    "0    nothing differs"
    "1    something differs"
    "2    bad usage, or a file that is no such report"
    "3    nothing differs, but one of the searches was cut short"
})]
pub(super) struct Diff {
    /// The report of the old revision, or its program
    old: PathBuf,
    /// The report of the new revision, or its program
    new: PathBuf,
    /// The format
    #[arg(long, value_parser = format_or::<Shown>(), default_value = "text")]
    format: FormatOr<Shown>,
}

/// A way to show it that no other command has.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
enum Shown {
    /// A table in Markdown, for a pull request.
    Markdown,
}

impl Diff {
    pub(super) fn run(&self, _: &Command) -> Result<Exit, Failure> {
        let [old, new] = [Revision::read(&self.old)?, Revision::read(&self.new)?];
        let differences = Differences {
            cases: old.cases(&new),
            names: new.0.iter().map(|scenario| scenario.scenario.clone()).collect(),
            is_markdown: self.format.is_own(),
        };
        let mut answer = Answer::new(self.format.format());
        answer.add(&differences)?;
        answer.end()
    }
}

/// The results of a revision.
struct Revision(Vec<Checked>);

/// The result of a scenario, as far as it is compared.
#[derive(Deserialize)]
struct Checked {
    scenario: String,
    complete: bool,
    states: u64,
    properties: Vec<Judged>,
}

#[derive(Deserialize)]
struct Judged {
    name: String,
    verdict: Verdict,
    steps: Option<usize>,
}

impl Revision {
    /// Reads a report, or runs the program that prints one.
    fn read(path: &Path) -> Result<Self, FileError> {
        let text = if is_program(path) { printed(path)? } else { file::read(path)? };
        let mut checked = vec![];
        for (line, number) in text.lines().zip(1..) {
            let wrong = |why: &serde_json::Error| {
                FileError::in_line(path, number, why.column(), "no line of `check --format json`")
            };
            let value: Value = serde_json::from_str(line).map_err(|why| wrong(&why))?;
            if value["kind"] == "scenario" {
                checked.push(serde_json::from_value(value).map_err(|why| wrong(&why))?);
            }
        }
        if checked.is_empty() {
            return Err(FileError::new(
                path,
                "no scenario is in it; `check --format json` prints them",
            ));
        }
        Ok(Self(checked))
    }

    fn cases(&self, new: &Self) -> Vec<Case> {
        let named = |all: &Self, name: &str| all.0.iter().position(|it| it.scenario == name);
        let before = self.0.iter().flat_map(|old| match named(new, &old.scenario) {
            Some(index) => old.cases(&new.0[index]),
            None => vec![differing(&old.scenario, "scenario", None, "no longer checked".into())],
        });
        let added = new.0.iter().filter(|scenario| named(self, &scenario.scenario).is_none());
        let added = added.map(|new| {
            let worlds = grouped(new.states);
            differing(&new.scenario, "scenario", None, format!("new: {worlds} worlds"))
        });
        before.chain(added).collect()
    }
}

impl Checked {
    fn cases(&self, new: &Self) -> Vec<Case> {
        let suite = &self.scenario;
        let mut cases = vec![];
        if !self.complete || !new.complete {
            let said = "one of the two searches was cut short";
            cases.push(Case::new(suite, "states", Comparison::Cut, said));
        } else if self.states != new.states {
            let [before, after] = [self.states, new.states].map(grouped);
            cases.push(differing(suite, "states", None, format!("{before} → {after} worlds")));
        }
        for old in &self.properties {
            let Some(new) = new.properties.iter().find(|it| it.name == old.name) else {
                cases.push(differing(suite, &old.name, None, "no longer judged".into()));
                continue;
            };
            let [before, after] = [old, new].map(|it| Found(it.verdict, it.steps));
            if before != after && new.verdict != Verdict::Unknown && old.verdict != Verdict::Unknown
            {
                let change = Change::between(Some(before), after);
                cases.push(differing(suite, &old.name, change.trend, change.said));
            }
        }
        let is_added = |it: &&Judged| self.properties.iter().all(|old| old.name != it.name);
        cases.extend(new.properties.iter().filter(is_added).map(|it| {
            let found = Found(it.verdict, it.steps);
            differing(suite, &it.name, None, format!("new: {found}"))
        }));
        cases
    }
}

fn differing(suite: &str, name: &str, trend: Option<Trend>, said: String) -> Case {
    let change = Some(Change { trend, said: said.clone() });
    Case { change, ..Case::new(suite, name, Comparison::Differs, said) }
}

/// True if it is to be run rather than read.
fn is_program(path: &Path) -> bool {
    #[cfg(unix)]
    let is_executable = std::os::unix::fs::PermissionsExt::mode;
    #[cfg(unix)]
    return path
        .metadata()
        .is_ok_and(|it| it.is_file() && is_executable(&it.permissions()) & 0o111 != 0);
    #[cfg(not(unix))]
    return path.extension().is_some_and(|it| it == "exe");
}

/// The output of a program. Its exit code says whether all was as expected, which does not count here.
fn printed(path: &Path) -> Result<String, FileError> {
    let program = path.canonicalize().unwrap_or_else(|_| path.into());
    let output = process::Command::new(program).args(["check", "--format", "json"]).output();
    let cannot = |error: io::Error| FileError::new(path, format!("cannot be run: {error}"));
    let output = output.map_err(cannot)?;
    if output.stdout.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().next().unwrap_or_default();
        return Err(FileError::new(path, format!("has no report: {said}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// All that differs.
struct Differences {
    cases: Vec<Case>,
    /// The scenarios of the new revision.
    names: Vec<String>,
    is_markdown: bool,
}

impl Differences {
    fn count(&self, differing: &[&Case]) -> String {
        let names: Vec<_> = self.names.iter().map(String::as_str).collect();
        count(&names, differing)
    }
}

impl Section for Differences {
    fn cases(&self) -> Vec<Case> {
        self.cases.clone()
    }

    fn objects(&self) -> Vec<Object> {
        vec![Object::new("diff", json!({ "scenarios": self.names.len() }))]
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let differing: Vec<_> =
            self.cases.iter().filter(|case| case.status == Comparison::Differs).collect();
        let cut = self.cases.len() - differing.len();
        if cut > 0 {
            writeln!(out, "{cut} cut short by a limit, and compared only as far as they went")?;
        }
        if differing.is_empty() {
            return writeln!(out, "nothing differs in {}", counted(self.names.len(), "scenario"));
        }
        if self.is_markdown {
            return self.markdown(out, &differing);
        }
        writeln!(out, "{}", styled(BAD, self.count(&differing)))?;
        let mut lines = String::new();
        list(&mut lines, &differing).map_err(io::Error::other)?;
        write!(out, "{lines}")
    }
}

impl Differences {
    fn markdown(&self, out: &mut dyn Write, differing: &[&Case]) -> io::Result<()> {
        writeln!(out, "**{}**\n", self.count(differing))?;
        writeln!(out, "| scenario | result | | before → after |\n|---|---|---|---|")?;
        for case in differing {
            let trend = case.trend().map_or(String::new(), |trend| trend.to_string());
            let [suite, name, said] = [&case.suite, &case.name, case.said()].map(cell);
            writeln!(out, "| {suite} | {name} | {trend} | {said} |")?;
        }
        Ok(())
    }
}
