//! `interrex mutants`.

use super::{
    BAD, Command, DOUBTFUL, Exit, Failure, GOOD,
    answer::{Answer, Remark},
    choice::choice,
    folder, styled, table,
};
use crate::{
    io::{
        file::{self, FileError, shown},
        text::printable,
    },
    verdict::{
        outcome::Comparison,
        report::{Case, Format, Place, Section, json::Object},
    },
};
use comfy_table::{Cell, CellAlignment, ContentArrangement};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};

/// Change the machine in one place after the other, and tell which changes the scenarios do not notice
///
/// The program cargo-mutants makes the changes: `cargo install --locked cargo-mutants` installs it. Each change is built,
/// and the test that runs the scenarios decides: if it fails, the change is caught. No other test is run: the score is
/// that of the scenarios alone. A change that is missed asks for another scenario or another property, or shows a line
/// that the protocol does not need.
///
/// Run it in the folder of the crate. It takes about a build of the crate for each change.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit_codes! {
    "0    enough changes are caught"
    "1    too few changes are caught"
    "2    bad usage; cargo-mutants is missing or could not begin, or the test fails"
    "     without any change"
    "3    cut short"
})]
pub(super) struct Mutants {
    /// Change files of this pattern only, as `src/lib.rs` or `src/election/**` [default: all of the crate]
    #[arg(long, value_name = "GLOB")]
    file: Vec<String>,
    /// The test that runs the scenarios: a file in `tests`, without `.rs`
    #[arg(long, value_name = "NAME", default_value = "scenarios")]
    test: String,
    /// The share of the changes that must be caught, in percent of those that can be built
    #[arg(long, value_name = "PERCENT", default_value_t = 90, value_parser = clap::value_parser!(u8).range(..=100))]
    at_least: u8,
    /// Write each change, and what the test says of it, below this folder
    #[arg(long, value_name = "DIR", default_value = "target/interrex-mutants")]
    save: PathBuf,
    /// Judge an earlier run, whose results are in this folder, `mutants.out`
    #[arg(long, value_name = "DIR", value_parser = folder(), conflicts_with_all = ["file", "test", "save", "further"])]
    read: Option<PathBuf>,
    /// The format
    #[arg(long, value_parser = choice::<Format>(), default_value_t = Format::Text)]
    format: Format,
    /// Further arguments of `cargo mutants`, as `--jobs 2` or `--shard 0/8`
    #[arg(value_name = "ARGUMENT", last = true)]
    further: Vec<String>,
}

impl Mutants {
    pub(super) fn run(&self, _: &Command) -> Result<Exit, Failure> {
        let (score, folder) = match &self.read {
            Some(folder) => (self.score(folder)?, folder.clone()),
            None => (self.measure()?, self.save.join(RESULTS)),
        };
        let mut answer = Answer::new(self.format);
        answer.add(&score)?;
        answer.add(&score.conclusion(&folder))?;
        answer.end()
    }

    /// Runs cargo-mutants, whose progress goes to standard error.
    fn measure(&self) -> Result<Score, Failure> {
        fs::create_dir_all(&self.save).map_err(|error| FileError::new(&self.save, error))?;
        let results = self.save.join(RESULTS);
        let mut cargo = process::Command::new("cargo");
        // A configuration for other tests would be another score.
        cargo.args(["mutants", "--no-config", "--no-shuffle", "--output"]).arg(&self.save);
        cargo.arg(format!("--cargo-arg=--test={}", self.test));
        cargo.args(self.file.iter().flat_map(|glob| ["--file", glob]));
        cargo.args(&self.further).stdout(io::stderr());
        let cannot = |why: &str| {
            Failure::Usage(format!(
                "cargo mutants: {why}; `cargo install --locked cargo-mutants` installs it"
            ))
        };
        let status = cargo.status().map_err(|error| cannot(&error.to_string()))?;
        match (status.code(), self.score(&results)) {
            // A code of its own, and results: nothing, something, or a time-out was found.
            (Some(0 | 2 | 3) | None, Ok(score)) => Ok(score),
            (Some(4), _) => Err(Failure::Usage(format!(
                "the test `{}` fails without any change: run `cargo test --test {}`",
                self.test, self.test
            ))),
            (Some(101), Err(_)) => Err(cannot("cargo does not know it")),
            (_, _) => Err(Failure::Usage(format!("cargo mutants: {status}, see above"))),
        }
    }

    fn score(&self, folder: &Path) -> Result<Score, FileError> {
        let path = folder.join("outcomes.json");
        let text = file::read(&path)?;
        let results: Results = serde_json::from_str(&text).map_err(|error| {
            let why = format!("not results of cargo-mutants: {error}");
            FileError::in_line(&path, error.line(), error.column(), why)
        })?;
        Ok(Score::new(&results, self.at_least))
    }
}

/// The folder that cargo-mutants writes its results to.
const RESULTS: &str = "mutants.out";

/// The results of cargo-mutants, as far as they count here.
#[derive(Deserialize)]
struct Results {
    outcomes: Vec<Outcome>,
    /// None if it was ended early.
    end_time: Option<String>,
}

#[derive(Deserialize)]
struct Outcome {
    scenario: Subject,
    summary: Summary,
}

#[derive(Deserialize)]
enum Subject {
    /// The crate without any change.
    Baseline,
    Mutant(Mutant),
}

#[derive(Deserialize)]
enum Summary {
    Success,
    CaughtMutant,
    MissedMutant,
    Unviable,
    Failure,
    Timeout,
}

#[derive(Clone, Deserialize)]
struct Mutant {
    /// `src/lib.rs:53:24: replace < with <= in Ring::meet`
    name: String,
    file: PathBuf,
    span: Span,
}

#[derive(Clone, Deserialize)]
struct Span {
    start: Start,
}

#[derive(Clone, Deserialize)]
struct Start {
    line: usize,
}

/// The number of changes that were caught, by file.
struct Score {
    files: BTreeMap<PathBuf, Counts>,
    missed: Vec<Mutant>,
    complete: bool,
    at_least: u8,
}

#[derive(Clone, Copy, Default, Serialize)]
struct Counts {
    /// The test fails.
    caught: usize,
    /// The test does not end: it is caught, too.
    timed_out: usize,
    missed: usize,
    /// It cannot be built.
    unviable: usize,
}

impl Counts {
    fn viable(self) -> usize {
        self.caught + self.timed_out + self.missed
    }

    /// In percent of those that can be built, rounded down; 100 if there are none.
    fn percent(self) -> usize {
        (100 * (self.viable() - self.missed)).checked_div(self.viable()).unwrap_or(100)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            caught: self.caught + other.caught,
            timed_out: self.timed_out + other.timed_out,
            missed: self.missed + other.missed,
            unviable: self.unviable + other.unviable,
        }
    }
}

impl Score {
    fn new(results: &Results, at_least: u8) -> Self {
        let mut files = BTreeMap::<_, Counts>::new();
        let mut missed = vec![];
        for Outcome { scenario, summary } in &results.outcomes {
            let Subject::Mutant(mutant) = scenario else { continue };
            let counts = files.entry(mutant.file.clone()).or_default();
            match summary {
                Summary::CaughtMutant => counts.caught += 1,
                Summary::Timeout => counts.timed_out += 1,
                Summary::Unviable => counts.unviable += 1,
                Summary::MissedMutant => {
                    counts.missed += 1;
                    missed.push(mutant.clone());
                }
                // Of the unchanged crate, or of one that was built only.
                Summary::Success | Summary::Failure => {}
            }
        }
        Self { files, missed, complete: results.end_time.is_some(), at_least }
    }

    fn total(&self) -> Counts {
        self.files.values().fold(Counts::default(), |total, counts| total.plus(*counts))
    }

    fn status(&self) -> Comparison {
        let total = self.total();
        match total.percent() >= self.at_least.into() {
            _ if !self.complete => Comparison::Cut,
            true if total.viable() > 0 => Comparison::AsExpected,
            _ => Comparison::Differs,
        }
    }

    fn said(&self) -> String {
        let total = self.total();
        let cut = if self.complete { "" } else { "; cut short" };
        let (viable, caught) = (total.viable(), total.viable() - total.missed);
        match viable {
            0 => format!("no change could be built{cut}"),
            _ => format!(
                "{caught} of {viable} changes caught, {} %; at least {} % are asked for{cut}",
                total.percent(),
                self.at_least
            ),
        }
    }

    fn conclusion(&self, folder: &Path) -> Remark {
        let style = match self.status() {
            Comparison::AsExpected => GOOD,
            Comparison::Differs => BAD,
            Comparison::Cut => DOUBTFUL,
        };
        let said = styled(style, self.said());
        Remark(format!("{said}\neach change, and what the test says of it: {}", shown(folder)))
    }
}

impl Section for Score {
    fn cases(&self) -> Vec<Case> {
        let missed = self.missed.iter().map(|mutant| {
            let place = Place::new(&mutant.file, mutant.span.start.line);
            Case::new("mutants", &mutant.name, Comparison::AsExpected, "missed").at(Some(place))
        });
        missed.chain([Case::new("mutants", "score", self.status(), self.said())]).collect()
    }

    fn objects(&self) -> Vec<Object> {
        let file = |(file, counts): (&PathBuf, &Counts)| {
            Object::new("file", counts).with("file", file).with("percent", counts.percent())
        };
        let total = Object::new("mutants", self.total()).with("complete", self.complete);
        self.files.iter().map(file).chain([total.with("percent", self.total().percent())]).collect()
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for mutant in &self.missed {
            writeln!(out, "{} {}", styled(BAD, "missed:"), printable(&mutant.name))?;
        }
        let mut table = table();
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["file", "caught", "timed out", "missed", "not built", "score"]);
        let number = |it: String| Cell::new(it).set_alignment(CellAlignment::Right);
        for (file, counts) in &self.files {
            let Counts { caught, timed_out, missed, unviable } = *counts;
            let counted = [caught, timed_out, missed, unviable].map(|it| number(it.to_string()));
            let score = match counts.viable() {
                0 => number("–".into()),
                _ => number(format!("{} %", counts.percent())),
            };
            let name = Cell::new(printable(&file.display().to_string()));
            table.add_row([name].into_iter().chain(counted).chain([score]));
        }
        writeln!(out, "{}", table.trim_fmt())
    }
}
