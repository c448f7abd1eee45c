//! The command line, and what the answers look like.

mod answer;
mod bands;
mod check;
mod choice;
mod chosen;
mod coverage;
mod failover;
mod failure;
mod fuzz;
mod key;
mod list;
mod matrix;
mod node;
mod replay;
mod shrink;
mod size;
mod stop;
mod time;
mod validate;

use anstyle::{AnsiColor, Style};
use clap::{
    Parser, Subcommand, ValueEnum,
    builder::{PathBufValueParser, TypedValueParser},
};
use comfy_table::{ContentArrangement, Table, presets};
use failure::Failure;
use interrex_models::{
    evidence::known::KnownTrace,
    explore::audit::Difference,
    io::{file::shown, text::printable},
    verdict::{outcome::Comparison, scenario::Scenario},
};
use std::{
    env, fmt,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Checks leader election and group membership protocols, reproduces their faults, and runs them
#[derive(Debug, Parser)]
#[command(name = "interrex", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    as expected
  1    not as expected: the help of each command says what that means
  2    bad usage, or a bad scenario, trace, log or key
  3    cut short by a limit, or by Ctrl-C: what was found until then is reported
  141  standard output was closed before the end

With --format json, a command answers with JSON objects, one a line. An error
is one, too, on standard error:
{\"kind\":\"error\",\"error\":…,\"exit\":2}";

/// The exit codes of one command: those of its own, and those that are the same for all.
macro_rules! exit_codes {
    ($($own:literal)*) => {
        concat!("Exit codes:\n", $("  ", $own, "\n",)* "  141  standard output was closed before the end")
    };
}
use exit_codes;

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Matrix(matrix::Show),
    Fuzz(fuzz::Fuzz),
    List(list::List),
    Replay(replay::Replay),
    Shrink(shrink::Shrink),
    Validate(validate::Validate),
    Key(key::Key),
    Node(node::Node),
    Failover(failover::Failover),
}

/// Runs the command that the arguments ask for. If there is no answer, it says why on standard error.
pub(crate) fn main() -> Exit {
    let failure = match Cli::try_parse().map_err(Failure::Arguments).and_then(Cli::run) {
        Ok(exit) => return exit,
        Err(failure) => failure,
    };
    failure.say(failure::Form::of(env::args_os()));
    failure.exit()
}

impl Cli {
    fn run(self) -> Result<Exit, Failure> {
        match self.command {
            Command::Check(check) => check.run(),
            Command::Matrix(matrix) => matrix.run(),
            Command::Fuzz(fuzz) => fuzz.run(),
            Command::List(list) => list.run(),
            Command::Replay(replay) => replay.run(),
            Command::Shrink(shrink) => shrink.run(),
            Command::Validate(validate) => validate.run(),
            Command::Key(key) => key.run(),
            Command::Node(node) => node.run(),
            Command::Failover(failover) => failover.run(),
        }
    }
}

/// The default folders are in the source tree, which a program that was installed elsewhere does not have.
const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
const TRACES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../traces");

/// A folder that exists, or a default one: that may be missing where it is not needed.
fn folder() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        let is_default = [SCENARIOS, TRACES].iter().any(|default| path == Path::new(default));
        if is_default || path.is_dir() {
            Ok(path)
        } else if path.exists() {
            Err("it is not a folder")
        } else {
            Err("there is no such folder")
        }
    })
}

/// The folders of scenarios and known traces.
#[derive(Debug, clap::Args)]
struct Folders {
    /// The folder of scenarios [default: in the source tree that this program was built from]
    #[arg(long, value_name = "DIR", value_parser = folder(), default_value = SCENARIOS, hide_default_value = true)]
    scenarios: PathBuf,
    /// The folder of known traces [default: in the same source tree]
    #[arg(long, value_name = "DIR", value_parser = folder(), default_value = TRACES, hide_default_value = true)]
    traces: PathBuf,
}

impl Folders {
    fn scenarios(&self) -> Result<Vec<Scenario>, Failure> {
        exists(&self.scenarios, "--scenarios")?;
        Ok(Scenario::read_all(&self.scenarios)?)
    }

    fn known_traces(&self) -> Result<Vec<KnownTrace>, Failure> {
        exists(&self.traces, "--traces")?;
        Ok(KnownTrace::read_all(&self.traces)?)
    }
}

/// Refuses a default folder that is needed and not there.
fn exists(folder: &Path, option: &str) -> Result<(), Failure> {
    if folder.exists() {
        return Ok(());
    }
    let folder = folder.display();
    Err(Failure::Usage(format!(
        "{folder}: there is no such folder, which is in the source tree that this program was built from; \
         name another one with `{option} DIR`"
    )))
}

/// The format of lines that are written one by one, as things happen. They are no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LineFormat {
    /// For people
    Text,
    /// For programs: JSON objects, one a line
    Json,
}

/// Exit codes of the command. They are part of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    AsExpected = 0,
    Differs = 1,
    Bad = 2,
    Cut = 3,
    /// Standard output was closed early: the code by which a shell reports the end by SIGPIPE.
    Unread = 141,
}

impl From<Comparison> for Exit {
    fn from(comparison: Comparison) -> Self {
        match comparison {
            Comparison::AsExpected => Self::AsExpected,
            Comparison::Differs => Self::Differs,
            Comparison::Cut => Self::Cut,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
const STRONG: Style = Style::new().bold();
const WEAK: Style = Style::new().dimmed();

/// A text in a style; on anything but a terminal, just the text.
fn styled(style: Style, text: impl fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A table without lines; on a terminal it fits the width.
fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// The first step in which the second run of a machine differs from the first.
fn show_difference(out: &mut dyn Write, difference: &Difference) -> io::Result<()> {
    let said = styled(BAD, "the machine depends on something other than its input");
    writeln!(out, "  {said}. The last of these steps differs in the second run:")?;
    for (step, action) in (1..).zip(&difference.run) {
        writeln!(out, "  {step:>5}  {}", printable(action))?;
    }
    let step = difference.run.len() + 1;
    writeln!(out, "  {step:>5}  {}", styled(STRONG, printable(&difference.action)))?;
    for contrast in &difference.contrasts {
        writeln!(out, "         {contrast}")?;
    }
    Ok(())
}
