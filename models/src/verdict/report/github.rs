//! Reports for GitHub's workflows: the text, an annotation at the line of each expectation that is not met, and a summary
//! of the job with each counterexample that nobody expects.

use super::{Case, Renderer, Section};
use crate::{
    io::text::counted,
    verdict::{drawn::Drawn, outcome::Comparison},
};
use std::{
    env,
    fmt::Write as _,
    fs::OpenOptions,
    io::{self, Write},
    path::PathBuf,
};

/// The most that is put into a summary. GitHub refuses one of more than a mebibyte.
const MOST_BYTES: usize = 1_000_000;

/// Writes the text of each section; at the end, annotations, and the summary to a file, or behind them.
#[derive(Clone, Debug, Default)]
pub struct Github {
    cases: Vec<Case>,
    summary: Option<PathBuf>,
}

impl Github {
    /// For the job that this process is a step of, if it is one: its environment names the file of the summary.
    #[must_use]
    pub fn here() -> Self {
        Self { cases: vec![], summary: env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from) }
    }
}

impl Renderer for Github {
    fn section(&mut self, out: &mut dyn Write, section: &dyn Section) -> io::Result<()> {
        self.cases.extend(section.cases());
        section.text(out)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        for case in &self.cases {
            if let Some(annotation) = annotation(case) {
                writeln!(out, "{annotation}")?;
            }
        }
        let summary = summary(&self.cases);
        match &self.summary {
            Some(file) => {
                let mut file = OpenOptions::new().create(true).append(true).open(file)?;
                file.write_all(summary.as_bytes())
            }
            None => write!(out, "\n{summary}"),
        }
    }
}

/// `::error file=models/scenarios/gms3/joined-3.toml,line=19,title=…::violated in 4 steps; expected: holds`.
fn annotation(case: &Case) -> Option<String> {
    let level = match case.status {
        Comparison::AsExpected => return None,
        Comparison::Cut => "warning",
        Comparison::Differs => "error",
    };
    let place = case.place.as_ref().map_or(String::new(), |place| {
        format!("file={},line={},", property(&place.in_repository()), place.line)
    });
    let title = property(&format!("{}: {}", case.suite, case.name));
    let complaints = case.drawn.iter().flat_map(|drawn| &drawn.complaints);
    let said = complaints.fold(case.message.clone(), |said, it| format!("{said}\nHere: {it}"));
    Some(format!("::{level} {place}title={title}::{}", data(&said)))
}

/// The text of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a parameter of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// All cases, in Markdown: a table of those that differ, then each counterexample, the shortest first.
fn summary(cases: &[Case]) -> String {
    let count = |status| cases.iter().filter(|case| case.status == status).count();
    let (all, cut) = (cases.len(), count(Comparison::Cut));
    let results = counted(all, "result");
    let end = match (count(Comparison::Differs), cut) {
        (0, 0) => format!("As expected: {results}"),
        (0, cut) => format!("Undecided: {cut} of {results}"),
        (some, _) => format!("Not as expected: {some} of {results}"),
    };
    let mut text = format!("## interrex\n\n**{end}**\n\n");
    let differing: Vec<_> =
        cases.iter().filter(|case| case.status == Comparison::Differs).collect();
    if !differing.is_empty() {
        text += "| scenario | result | | before → after | expected in |\n|---|---|---|---|---|\n";
        text.extend(differing.iter().map(|case| row(case)));
        text += &next(&differing);
    }
    let mut drawn: Vec<_> =
        differing.iter().filter_map(|case| Some((*case, case.drawn.as_ref()?))).collect();
    drawn.sort_by_key(|(_, drawn)| drawn.steps);
    if !drawn.is_empty() {
        text += LEGEND;
    }
    for (nth, (case, run)) in drawn.iter().enumerate() {
        let shown = counterexample(case, run);
        if text.len() + shown.len() > MOST_BYTES {
            let _ = writeln!(text, "\n{} more are too long to be shown here.", drawn.len() - nth);
            break;
        }
        text += &shown;
    }
    text
}

/// The most scenarios that are named in a command.
const MOST_NAMED: usize = 5;

/// What to do about expectations of files that an exhaustive search did not meet.
fn next(differing: &[&Case]) -> String {
    let is_pinned = |case: &&&Case| case.place.is_some() && case.change.is_some();
    let mut suites: Vec<_> = differing.iter().filter(is_pinned).map(|case| &*case.suite).collect();
    suites.dedup();
    if suites.is_empty() {
        return String::new();
    }
    suites.truncate(MOST_NAMED);
    let check = format!("cargo run -- check {}", suites.join(" "));
    format!(
        "\n### What to do next\n\n\
         * See it on your own machine: `{check}`\n\
         * If it is a fault, mend it. If the change is meant: `{check} --bless` writes what was found into the files, and \
         says what to review. Commit that.\n\
         * Where the workflow or action of interrex was used, the artifact `interrex-traces-…` of this run has the new runs \
         as files. `cargo run -- replay FILE` shows each step of one.\n"
    )
}

const LEGEND: &str = "
In the runs below each column is a node, time goes down, and each number is one step, `●`. An arrow is a message or a \
signal that arrives, `○` one that a fault happens to. `✕` is the end of a life, `┊` a node that is cut off, `⟲` the \
beginning of a loop.
";

fn row(case: &Case) -> String {
    let trend = case.trend().map_or(String::new(), |trend| trend.to_string());
    let place = case
        .place
        .as_ref()
        .map_or(String::new(), |place| format!("{}:{}", place.in_repository(), place.line));
    let [suite, name, said, place] = [&case.suite, &case.name, case.said(), &place].map(cell);
    format!("| {suite} | {name} | {trend} | {said} | {place} |\n")
}

fn counterexample(case: &Case, run: &Drawn) -> String {
    let (name, suite) = (cell(&case.name), cell(&case.suite));
    let mut text = format!("\n### {name} is violated in {suite}, in {} steps\n\n", run.steps);
    let _ = writeln!(text, "* It claims: {}", cell(run.claim));
    for complaint in &run.complaints {
        let _ = writeln!(text, "* Here: {}", cell(complaint));
    }
    let _ = writeln!(text, "* With {}", cell(&run.environment));
    let _ = writeln!(text, "\n````text\n{}````\n", run.diagram);
    let _ = match &run.file {
        Some(file) => writeln!(text, "`replay {file}` shows each step."),
        None => writeln!(
            text,
            "`check {} --save-traces DIR` keeps the run, and `replay` then shows each step.",
            case.suite
        ),
    };
    text
}

/// The text without what means something in a table of Markdown.
pub(crate) fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}
