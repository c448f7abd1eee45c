//! The command line, and what the answers look like.
//!
//! It is for the protocols of any [`Registry`]. `interrex` is the command for the built-in ones. Another program gets the same
//! commands for its own protocols with [`command!`](crate::command!).

mod answer;
mod bands;
mod broken;
mod check;
mod choice;
mod chosen;
mod coverage;
mod diff;
mod explore;
mod failover;
mod failure;
mod fuzz;
mod key;
mod list;
mod made;
mod matrix;
mod mutants;
mod new;
mod node;
mod replay;
mod shell;
mod shrink;
mod size;
mod stop;
mod time;
mod validate;

use crate::{
    evidence::known::KnownTrace,
    explore::audit::Difference,
    io::{file::shown, text::printable},
    protocol::registry::{Known, Registry},
    verdict::{outcome::Comparison, scenario::Scenario},
};
use anstyle::{AnsiColor, Style};
use clap::{
    Arg, Args, ColorChoice, CommandFactory, FromArgMatches, Parser, ValueEnum,
    builder::{PathBufValueParser, TypedValueParser},
    value_parser,
};
use comfy_table::{ContentArrangement, Table, presets};
use failure::Failure;
use std::{
    env,
    ffi::OsString,
    fmt,
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

/// The command of a program, with all its subcommands: `check`, `matrix`, `fuzz`, `mutants`, `list`, `replay`, `explore`,
/// `shrink`, `validate`, `node`, `failover`, `key`, `diff`, `completions`, `man`. [`command!`](crate::command!) makes it for
/// the crate in which it is written.
#[derive(Clone, Debug)]
pub struct Command {
    name: &'static str,
    version: &'static str,
    registry: Registry,
    /// The folder of the crate, where the program was built.
    home: PathBuf,
    scenarios: &'static str,
    traces: &'static str,
}

/// The [`Command`](crate::cli::Command) of a program, for the protocols of a registry. Name, version and folder are those of
/// the program in which it is written.
///
/// ```no_run
/// use interrex_models::{protocol::{gms2, registry::Registry}};
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     interrex_models::command!(Registry::new().protocol(gms2::real::machine)).run()
/// }
/// ```
#[macro_export]
macro_rules! command {
    ($registry:expr) => {
        $crate::cli::Command::new(
            option_env!("CARGO_BIN_NAME").unwrap_or(env!("CARGO_PKG_NAME")),
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_MANIFEST_DIR"),
            $registry,
        )
    };
}

impl Command {
    /// A command of this name and version, whose scenarios and traces are in the folders `scenarios` and `traces` of the
    /// current folder, or else of `home`.
    #[must_use]
    pub fn new(
        name: &'static str,
        version: &'static str,
        home: impl Into<PathBuf>,
        registry: Registry,
    ) -> Self {
        let home = home.into();
        Self { name, version, registry, home, scenarios: "scenarios", traces: "traces" }
    }

    /// Other folders of scenarios and traces, below the current folder, or else below `home`, which is seen from the folder
    /// of the crate.
    #[must_use]
    pub fn folders(mut self, home: &str, scenarios: &'static str, traces: &'static str) -> Self {
        self.home.push(home);
        Self { scenarios, traces, ..self }
    }

    /// Does what the arguments of the process ask for, and says how it ended. If there is no answer, it says why on
    /// standard error.
    ///
    /// # Panics
    /// If the registry is empty.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        self.run_with(&env::args_os().collect::<Vec<_>>())
    }

    /// The same with other arguments than those of the process. The first one is the program.
    ///
    /// # Panics
    /// If the registry is empty.
    #[must_use]
    pub fn run_with(&self, arguments: &[OsString]) -> ExitCode {
        let answer = self.answer(arguments).unwrap_or_else(|failure| {
            failure.say(failure::Form::of(arguments));
            failure.exit()
        });
        answer.into()
    }

    fn answer(&self, arguments: &[OsString]) -> Result<Exit, Failure> {
        let color = failure::asked(arguments, "--color");
        let color = color.and_then(|when| ColorChoice::from_str(&when, false).ok());
        let color = color.unwrap_or_default();
        set_color(color);
        let matches = self
            .parser()
            .color(color)
            .try_get_matches_from(arguments)
            .map_err(Failure::Arguments)?;
        if let Some((Self::NEW, arguments)) = matches.subcommand() {
            let new = new::New::from_arg_matches(arguments).map_err(Failure::Arguments)?;
            return new.run();
        }
        let cli = Cli::from_arg_matches(&matches).map_err(Failure::Arguments)?;
        cli.run(self)
    }

    /// The subcommand that only `interrex` has: the command of a crate is there when the crate has been made.
    const NEW: &str = "new";

    /// The parser of arguments: the program has another name, and the first protocol is the default one.
    fn parser(&self) -> clap::Command {
        let first = self.first().name();
        let protocols = |command: clap::Command| {
            let registry = self.registry.clone();
            let named = move |name: &str| registry.named(name);
            command.mut_arg("protocol", |it| {
                it.required(false).default_value(first).value_parser(named)
            })
        };
        let mut parser = Cli::command().name(self.name).version(self.version).arg(color());
        if self.name == OURS {
            parser = parser.subcommand(new::New::augment_args(clap::Command::new(Self::NEW)));
        }
        let parser = parser.mut_subcommand("node", protocols);
        renamed(parser.mut_subcommand("failover", protocols), self.name)
    }

    /// The first of its protocols.
    fn first(&self) -> Known {
        *self.registry.all().first().expect("a command for at least one protocol")
    }

    /// A protocol that is named in arguments.
    fn known(&self, name: &str) -> Result<Known, Failure> {
        self.registry.named(name).map_err(Failure::Usage)
    }
}

/// A parser whose help calls the program by this name.
fn renamed(mut parser: clap::Command, name: &str) -> clap::Command {
    let another = |text: &clap::builder::StyledStr| {
        let quoted = text.ansi().to_string().replace("`interrex ", &format!("`{name} "));
        // As in an example.
        quoted.replace("  interrex ", &format!("  {name} "))
    };
    if name == OURS {
        return parser;
    }
    if let Some(about) = parser.get_long_about().map(another) {
        parser = parser.long_about(about);
    }
    parser = parser.mut_args(|argument| {
        let help = argument.get_help().map(another);
        let argument = match argument.get_long_help().map(another) {
            Some(help) => argument.long_help(help),
            None => argument,
        };
        match help {
            Some(help) => argument.help(help),
            None => argument,
        }
    });
    parser.mut_subcommands(|command| renamed(command, name))
}

/// The name by which the help calls the program.
const OURS: &str = "interrex";

/// Checks leader election and group membership protocols, reproduces their faults, and runs them
#[derive(Debug, Parser)]
#[command(name = OURS, version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Subcommand,
}

/// The option for colours. It is read before the other arguments are: their errors have colours, too.
fn color() -> Arg {
    Arg::new("color")
        .long("color")
        .value_name("WHEN")
        .value_parser(value_parser!(ColorChoice))
        .default_value("auto")
        .global(true)
        .hide_possible_values(true)
        .hide_default_value(true)
        .help("Colours: always, never, or auto: on a terminal [default: auto]")
}

/// Decides whether the output has colours from now on.
fn set_color(choice: ColorChoice) {
    match choice {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

const EXIT_CODES: &str = "\
Exit codes:
  0    as expected
  1    not as expected: the help of each command says what that means
  2    bad usage, or a bad scenario, trace, log or key
  3    undecided: a limit or Ctrl-C cut it short (what was found until then is
       reported), or a trace can no longer tell
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

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    Check(check::Check),
    Matrix(matrix::Show),
    Fuzz(fuzz::Fuzz),
    Mutants(mutants::Mutants),
    List(list::List),
    Diff(diff::Diff),
    Replay(replay::Replay),
    Explore(explore::Explore),
    Shrink(shrink::Shrink),
    Validate(validate::Validate),
    Key(key::Key),
    Node(node::Node),
    Failover(failover::Failover),
    Completions(shell::Completions),
    Man(shell::Man),
}

impl Cli {
    fn run(self, of: &Command) -> Result<Exit, Failure> {
        match self.command {
            Subcommand::Check(check) => check.run(of),
            Subcommand::Matrix(matrix) => matrix.run(of),
            Subcommand::Fuzz(fuzz) => fuzz.run(of),
            Subcommand::Mutants(mutants) => mutants.run(of),
            Subcommand::List(list) => list.run(of),
            Subcommand::Diff(diff) => diff.run(of),
            Subcommand::Replay(replay) => replay.run(of),
            Subcommand::Explore(explore) => explore.run(of),
            Subcommand::Shrink(shrink) => shrink.run(of),
            Subcommand::Validate(validate) => validate.run(of),
            Subcommand::Key(key) => key.run(of),
            Subcommand::Node(node) => node.run(of),
            Subcommand::Failover(failover) => failover.run(of),
            Subcommand::Completions(completions) => completions.run(of),
            Subcommand::Man(man) => man.run(of),
        }
    }
}

/// A folder that exists.
fn folder() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        if path.is_dir() {
            Ok(path)
        } else if path.exists() {
            Err("it is not a folder")
        } else {
            Err("there is no such folder")
        }
    })
}

/// The folders of scenarios and known traces that are asked for.
#[derive(Debug, clap::Args)]
struct Folders {
    /// The folder of scenarios [default: that in the current folder, or else that in the source tree that this program was
    /// built from]
    #[arg(long, value_name = "DIR", value_parser = folder())]
    scenarios: Option<PathBuf>,
    /// The folder of known traces [default: that beside the default scenarios]
    #[arg(long, value_name = "DIR", value_parser = folder())]
    traces: Option<PathBuf>,
}

/// The folders of scenarios and known traces. Default ones may be missing where they are not needed.
struct Places<'a> {
    registry: &'a Registry,
    scenarios: PathBuf,
    traces: PathBuf,
}

impl Folders {
    /// A source tree in the current folder comes first: what was built elsewhere may have been moved.
    fn of<'a>(&self, of: &'a Command) -> Places<'a> {
        let here = Path::new(of.scenarios).is_dir();
        let home = if here { Path::new("") } else { &of.home };
        let place = |given: &Option<PathBuf>, default| given.clone().unwrap_or(home.join(default));
        Places {
            registry: &of.registry,
            scenarios: place(&self.scenarios, of.scenarios),
            traces: place(&self.traces, of.traces),
        }
    }
}

impl Places<'_> {
    fn scenarios(&self) -> Result<Vec<Scenario>, Failure> {
        if !self.scenarios.exists() {
            let folder = self.scenarios.display();
            return Err(Failure::Usage(format!(
                "{folder}: there is no such folder, neither here nor in the source tree that this program was built \
                 from; name another one with `--scenarios DIR`"
            )));
        }
        Ok(Scenario::read_all(self.registry, &self.scenarios)?)
    }

    /// None where no trace has been kept yet.
    fn known_traces(&self) -> Result<Vec<KnownTrace>, Failure> {
        if !self.traces.exists() {
            return Ok(vec![]);
        }
        Ok(KnownTrace::read_all(&self.traces)?)
    }
}

/// In place of the parser that knows the [`Command`]'s protocols.
fn of_command(_: &str) -> Result<Known, &'static str> {
    Err("the protocols are not known here")
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
enum Exit {
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

/// The number of cores, as far as it is known.
fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

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
