//! `interrex check`.

use super::{BAD, DOUBTFUL, Exit, Failure, Folders, Format, GOOD, STRONG, styled, table};
use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressStyle};
use interrex_models::{
    check::{Comparison, Report, Row, Verdict, check},
    environment::{Bound, Budget, Start, Storage, Timers, Times},
    file,
    property::Property,
    registry::Known,
    scenario::Scenario,
    search::{Limits, Pass, Progress},
    trace::Trace,
    with_protocol,
};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};

/// Explore scenarios exhaustively and judge their properties
///
/// Without patterns: every scenario that is not marked nightly. Or make one on the line:
///
///   interrex check --protocol gms3 --nodes 4 --start joined --budget commands=3,crashes=2
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_help = super::EXIT_CODES)]
pub(super) struct Check {
    /// Only scenarios whose names contain one of these; a whole name means just that one
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Scenarios marked nightly too
    #[arg(long)]
    nightly: bool,
    /// What explores the worlds
    #[arg(long, value_enum, default_value_t = Engine::Stateright)]
    engine: Engine,
    /// How many threads explore; only with one is the depth known
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Write the shortest counterexamples below this folder
    #[arg(long, value_name = "DIR")]
    save_traces: Option<PathBuf>,
    /// Expand at most this many worlds of a scenario
    #[arg(long, value_name = "N")]
    max_states: Option<NonZeroU64>,
    /// Expand no world later than this, in each pass of a search
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    max_seconds: Option<u64>,
    #[command(flatten)]
    folders: Folders,
    #[command(flatten)]
    made: Made,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// Breadth first, in memory
    Stateright,
}

/// A scenario made on the line.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A scenario of your own")]
struct Made {
    /// The protocol, by name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["patterns", "nightly"], requires_all = ["nodes", "start"])]
    protocol: Option<String>,
    /// How many nodes that may lead
    #[arg(long, value_name = "N", requires = "protocol")]
    nodes: Option<u16>,
    /// How many workers come on top: nodes that follow and never lead
    #[arg(long, value_name = "W", requires = "protocol", default_value_t = 0)]
    workers: u16,
    /// How the group begins
    #[arg(long, value_enum, requires = "protocol")]
    start: Option<Start>,
    /// When timers may fire
    #[arg(long, value_enum, requires = "protocol", default_value_t)]
    timers: Timers,
    /// What a node finds in its stable storage when it is restarted
    #[arg(long, value_enum, requires = "protocol", default_value_t)]
    storage: Storage,
    /// What can happen how often: starts, commands, timeouts (a number or unlimited), crashes, restarts
    #[arg(long, value_name = "NAME=N,…", requires = "protocol", value_delimiter = ',', value_parser = parse_budget)]
    budget: Vec<(Budget, Times)>,
    /// Leave out worlds beyond this value of the protocol's measure; every verdict is then called bounded
    #[arg(long, value_name = "NAME=N", requires = "protocol")]
    bound: Option<Bound>,
    /// Only these properties
    #[arg(long, value_name = "NAME,…", requires = "protocol", value_delimiter = ',')]
    property: Vec<String>,
}

impl Check {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let scenarios = match &self.made.protocol {
            Some(protocol) => vec![self.made.scenario(protocol)?],
            None => self.chosen(Scenario::read_all(&self.folders.scenarios)?)?,
        };
        let mut out = anstream::stdout().lock();
        let mut worst = Comparison::AsExpected;
        for scenario in &scenarios {
            let mut report = self.check(scenario)?;
            worst = worst.max(report.comparison());
            self.name_traces(&mut report)?;
            match self.format {
                Format::Human => show(&mut out, scenario, &report)?,
                Format::Json => {
                    serde_json::to_writer(&mut out, &report).map_err(io::Error::from)?;
                    writeln!(out)?;
                }
            }
        }
        if self.format == Format::Human {
            let made = self.made.protocol.is_some();
            conclude(&mut out, scenarios.len(), worst, made)?;
        }
        Ok(match worst {
            Comparison::AsExpected => Exit::AsExpected,
            Comparison::Differs => Exit::Differs,
            Comparison::Cut => Exit::Cut,
        })
    }

    /// The scenarios that the patterns choose: a whole name chooses just that one, even if it is
    /// nightly.
    fn chosen(&self, scenarios: Vec<Scenario>) -> Result<Vec<Scenario>, Failure> {
        let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
        for pattern in &self.patterns {
            if !names.iter().any(|name| name.contains(pattern.as_str())) {
                let hint = file::did_you_mean(pattern, names.iter().map(String::as_str));
                let names = names.join(", ");
                let message =
                    format!("no scenario is named like `{pattern}`{hint} (there are: {names})");
                return Err(Failure::Usage(message));
            }
        }
        let chosen = |scenario: &Scenario| {
            let whole = |pattern: &String| *pattern == scenario.name;
            let part = |pattern: &String| {
                scenario.name.contains(pattern.as_str()) && !names.contains(pattern)
            };
            let wanted = self.patterns.is_empty() || self.patterns.iter().any(part);
            self.patterns.iter().any(whole) || (wanted && (self.nightly || !scenario.nightly))
        };
        let chosen: Vec<_> = scenarios.into_iter().filter(chosen).collect();
        if chosen.is_empty() {
            let message = "only nightly scenarios are named like this: add --nightly".into();
            return Err(Failure::Usage(message));
        }
        Ok(chosen)
    }

    fn check(&self, scenario: &Scenario) -> Result<Report, Failure> {
        let Engine::Stateright = self.engine;
        let limits = Limits {
            threads: self.threads.into(),
            max_states: self.max_states,
            max_time: self.max_seconds.map(Duration::from_secs),
        };
        let known: Known = scenario.protocol.parse().map_err(Failure::Usage)?;
        let bar = progress_bar(scenario);
        let mut progress = |now: Progress| match now.pass {
            Pass::Exploring => bar.set_position(now.states),
            Pass::Shortening => bar.set_message("shortening counterexamples"),
            Pass::GoingRound => bar.set_message("looking for livelocks"),
        };
        let report = with_protocol!(known, &scenario.environment, protocol =>
            check(protocol, scenario, limits, &mut progress));
        bar.finish_and_clear();
        Ok(report)
    }

    /// Names the file of each counterexample: the one that is written, or the one that is known.
    fn name_traces(&self, report: &mut Report) -> Result<(), Failure> {
        for row in &mut report.properties {
            let Some(trace) = &row.counterexample else {
                continue;
            };
            row.trace = if let Some(folder) = &self.save_traces {
                let path = folder.join(trace.file_name());
                trace.save(&path)?;
                Some(shown(&path))
            } else {
                let path = self.folders.traces.join(trace.file_name());
                let known = Trace::read(&path).is_ok_and(|known| known.has_run_of(trace));
                known.then(|| shown(&path))
            };
        }
        Ok(())
    }
}

/// A path as seen from here, if it is below.
fn shown(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let here = std::env::current_dir().and_then(fs::canonicalize);
    let below = here.ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    below.unwrap_or(path).display().to_string()
}

fn progress_bar(scenario: &Scenario) -> ProgressBar {
    // Written to standard error, and only if that is a terminal.
    let (bar, template) = match scenario.states {
        Some(states) => (
            ProgressBar::new(states),
            "{prefix} [{bar:30}] {human_pos} of {human_len} worlds, {elapsed} {msg}",
        ),
        None => {
            (ProgressBar::new_spinner(), "{prefix} {spinner} {human_pos} worlds, {elapsed} {msg}")
        }
    };
    let style = ProgressStyle::with_template(template).expect("a template that indicatif knows");
    bar.with_style(style).with_prefix(scenario.name.clone())
}

impl Made {
    fn scenario(&self, protocol: &str) -> Result<Scenario, Failure> {
        let known: Known = protocol.parse().map_err(Failure::Usage)?;
        let (Some(nodes), Some(start)) = (self.nodes, self.start) else {
            return Err(Failure::Usage("--protocol needs --nodes and --start".into()));
        };
        let mut builder = Scenario::builder()
            .protocol(protocol)
            .summary("made on the command line")
            .nodes(nodes)
            .workers(self.workers)
            .start(start)
            .timers(self.timers)
            .storage(self.storage);
        let mut given = BTreeSet::new();
        for (budget, times) in &self.budget {
            if !given.insert(*budget) {
                return Err(Failure::Usage(format!("the budget `{budget}` is given twice")));
            }
            builder = builder.budget(*budget, times.0);
        }
        if let Some(Bound { measure, most }) = &self.bound {
            builder = builder.bound(measure, *most);
        }
        for property in self.properties(known)? {
            builder = builder.property(property);
        }
        let mut scenario = builder.build().map_err(Failure::Usage)?;
        scenario.name = format!("{protocol}/{}", scenario.name);
        Ok(scenario)
    }

    /// Those that are asked for, or all.
    fn properties(&self, known: Known) -> Result<Vec<&'static Property>, Failure> {
        if self.property.is_empty() {
            return Ok(known.properties().to_vec());
        }
        if let Some(twice) = first_repeated(&self.property) {
            return Err(Failure::Usage(format!("the property `{twice}` is given twice")));
        }
        let named: Result<_, _> = self.property.iter().map(|name| known.property(name)).collect();
        named.map_err(Failure::Usage)
    }
}

fn first_repeated(names: &[String]) -> Option<&String> {
    names.iter().enumerate().find_map(|(at, name)| names[..at].contains(name).then_some(name))
}

fn parse_budget(text: &str) -> Result<(Budget, Times), String> {
    let names = || Budget::ALL.map(|budget| budget.to_string()).join(", ");
    let (name, times) = text
        .split_once('=')
        .ok_or_else(|| format!("expected NAME=N, where NAME is one of: {}", names()))?;
    let budget = Budget::ALL.into_iter().find(|budget| budget.to_string() == name);
    let budget =
        budget.ok_or_else(|| format!("there is no budget `{name}` (there are: {})", names()))?;
    Ok((budget, times.parse()?))
}

fn show(out: &mut impl Write, scenario: &Scenario, report: &Report) -> io::Result<()> {
    writeln!(out, "{}  {}", styled(STRONG, &scenario.name), scenario.summary)?;
    writeln!(out, "  {}", scenario.environment)?;
    let [states, settled, transitions] =
        [report.states, report.settled, report.transitions].map(HumanCount);
    let end = if report.complete { "complete" } else { "cut short by a limit" };
    let depth = report.depth.map(|depth| format!("; depth {depth}"));
    let memory =
        report.peak_rss_bytes.map(|bytes| format!(", process peak {}", DecimalBytes(bytes)));
    writeln!(
        out,
        "  {states} worlds, {settled} settled; {transitions} transitions{}; {end} in {:.2} s{}",
        depth.unwrap_or_default(),
        report.seconds,
        memory.unwrap_or_default(),
    )?;
    if report.states_comparison() == Comparison::Differs {
        let expected = HumanCount(report.expected_states.unwrap_or_default());
        writeln!(out, "  {}", styled(BAD, format!("expected {expected} worlds")))?;
    }
    writeln!(out, "{}\n", verdicts(report).trim_fmt())
}

fn verdicts(report: &Report) -> Table {
    let mut table = table();
    // A path that is broken into lines cannot be copied.
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([" property", "kind", "verdict", "steps", ""]);
    let bounded = if report.bounded { ", bounded" } else { "" };
    for row in &report.properties {
        let steps = row.steps.map_or(String::new(), |steps| steps.to_string());
        table.add_row([
            Cell::new(format!(" {}", row.name)),
            Cell::new(format!("{:?}", row.kind).to_lowercase()),
            Cell::new(format!("{}{bounded}", row.verdict)).fg(colour(row)),
            Cell::new(steps).set_alignment(CellAlignment::Right),
            remark(row),
        ]);
    }
    table
}

/// A violation that is expected is no alarm.
fn colour(row: &Row) -> Color {
    match (row.comparison(), row.verdict) {
        (Comparison::Differs, _) => Color::Red,
        (Comparison::Cut, _) | (_, Verdict::Violated | Verdict::Unwitnessed | Verdict::Unknown) => {
            Color::Yellow
        }
        (Comparison::AsExpected, Verdict::Holds) => Color::Green,
    }
}

fn remark(row: &Row) -> Cell {
    match (row.comparison(), row.expected, row.expected_steps) {
        (Comparison::Differs, Some(expected), Some(steps)) => {
            Cell::new(format!("expected: {expected} in {steps} steps")).fg(Color::Red)
        }
        (Comparison::Differs, Some(expected), None) => {
            Cell::new(format!("expected: {expected}")).fg(Color::Red)
        }
        _ if row.verdict == Verdict::Unwitnessed => {
            Cell::new(format!("in no world: {}", row.at_stake))
        }
        _ => Cell::new(row.trace.as_deref().unwrap_or_default()),
    }
}

fn conclude(
    out: &mut impl Write,
    scenarios: usize,
    worst: Comparison,
    made: bool,
) -> io::Result<()> {
    let plural = if scenarios == 1 { "" } else { "s" };
    let end = match worst {
        Comparison::AsExpected if made => "complete; nothing was expected of it".into(),
        Comparison::AsExpected => styled(GOOD, "as expected"),
        Comparison::Cut => {
            styled(DOUBTFUL, "cut short by a limit: what is not violated is unknown")
        }
        Comparison::Differs => styled(BAD, "not as expected"),
    };
    writeln!(out, "{scenarios} scenario{plural}: {end}")
}
