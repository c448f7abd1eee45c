//! `interrex fuzz`.

use super::{
    BAD, DOUBTFUL, Exit, Failure, Folders, Format, GOOD, STRONG,
    chosen::{Chosen, budgets, parse_budget},
    coverage::Covered,
    show_difference, shown, styled, table,
};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use interrex_models::{
    evidence::known::KnownTrace,
    explore::sample::{Again, Report, Row, Schedules, Shard, Verdict, fuzz},
    model::environment::{Budget, Times},
    protocol::registry::Known,
    verdict::{check::Comparison, scenario::Scenario},
    with_protocol,
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

/// Take random schedules of scenarios, also of larger groups than can be explored
///
/// The known traces of the protocols come first: one that violates no more is reported as fixed. Then
/// each schedule draws its own faults, out of those that the scenario allows, and takes actions at
/// random; when the faults have stopped, it goes on until the protocol has nothing left to do. The
/// same seed means the same schedules on every machine.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit_codes! {
    "0    nothing is violated that is not expected to be"
    "1    something is, or a known counterexample has vanished;"
    "     or with --coverage, something is not reached and not named as unreachable;"
    "     or with --twice, a machine does something else the second time"
    "2    bad usage, or a bad scenario or trace"
    "3    cut short by a limit"
})]
pub(super) struct Fuzz {
    #[command(flatten)]
    chosen: Chosen,
    /// Another number of nodes than the scenario's
    #[arg(long, value_name = "N")]
    nodes: Option<u16>,
    /// Other budgets than the scenario's; schedules have these at most
    #[arg(long, value_name = "NAME=N,…", value_delimiter = ',', value_parser = parse_budget)]
    budget: Vec<(Budget, Times)>,
    /// How many schedules of each scenario
    #[arg(long, value_name = "K", default_value_t = Schedules::default().count)]
    schedules: u64,
    /// Faults stop behind this many actions
    #[arg(long, value_name = "L", default_value_t = Schedules::default().steps)]
    steps: usize,
    /// Other seeds, other schedules
    #[arg(long, value_name = "S", default_value_t = Schedules::default().seed)]
    seed: u64,
    /// Take the I-th, I+N-th, … of the schedules only
    #[arg(long, value_name = "I/N", default_value_t = Shard::ALONE)]
    shard: Shard,
    /// Begin no schedule of a scenario later than this
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    max_seconds: Option<u64>,
    /// Count what the schedules reach of each protocol: events in roles, and effects. Whatever they do not
    /// must be named, with a reason, in <scenarios>/<protocol>/unreachable.toml, and whatever they do must not
    #[arg(long)]
    coverage: bool,
    /// Run each schedule twice, and compare: a machine that consults anything but its input is reported with
    /// the first step that differs. The digest is the same on every computer
    #[arg(long)]
    twice: bool,
    /// How to answer
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write the first run that violates a property, shrunk, below this folder
    #[arg(long, value_name = "DIR", default_value = "target/interrex-fuzz")]
    save_traces: PathBuf,
    #[command(flatten)]
    folders: Folders,
}

/// An answer for programs: what was found, and what of the known traces of the same protocol.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(flatten)]
    known: &'a Replayed,
}

/// The known traces of one protocol, replayed.
#[derive(Debug, Default, Serialize)]
struct Replayed {
    /// How many there are.
    known_traces: usize,
    /// The names of those that violate no more.
    fixed: Vec<String>,
}

impl Fuzz {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let chosen = self.chosen.among(Scenario::read_all(&self.folders.scenarios)?)?;
        let altered = chosen.into_iter().map(|scenario| self.altered(scenario));
        let scenarios = altered.collect::<Result<Vec<_>, _>>()?;
        let known = self.replay_known(&scenarios)?;
        let mut out = anstream::stdout().lock();
        let fixed: Vec<_> = known.values().flat_map(|replayed| &replayed.fixed).collect();
        if self.format == Format::Text {
            for name in &fixed {
                writeln!(out, "{} {name}", styled(BAD, "fixed:"))?;
            }
        }
        let nothing_fixed = fixed.is_empty();
        let mut worst = if nothing_fixed { Comparison::AsExpected } else { Comparison::Differs };
        let covered = self.coverage.then(|| Covered::none(&self.folders.scenarios, &scenarios));
        let mut covered = covered.transpose()?;
        for scenario in &scenarios {
            let mut report = self.fuzz(scenario)?;
            worst = worst.max(report.comparison());
            self.save_traces(&mut report)?;
            if let (Some(covered), Some(coverage)) = (&mut covered, report.coverage.take()) {
                covered.add(if report.complete { coverage } else { coverage.cut_short() });
            }
            match self.format {
                Format::Text => show(&mut out, scenario, &report)?,
                Format::Json => {
                    let answer = Answer { report: &report, known: &known[&scenario.protocol] };
                    serde_json::to_writer(&mut out, &answer).map_err(io::Error::from)?;
                    writeln!(out)?;
                }
            }
        }
        if let Some(covered) = covered {
            worst = worst.max(covered.show(&mut out, self.format)?);
        }
        if self.format == Format::Text {
            conclude(&mut out, scenarios.len(), worst)?;
        }
        Ok(worst.into())
    }

    /// A scenario of the size and with the budgets that are asked for.
    fn altered(&self, scenario: Scenario) -> Result<Scenario, Failure> {
        let name = scenario.name.clone();
        let wrong = |message: String| Failure::Usage(format!("{name}: {message}"));
        let known: Known = scenario.protocol.parse().map_err(wrong)?;
        let nodes = self.nodes.unwrap_or(scenario.environment.nodes);
        let altered = scenario.resized(nodes, &budgets(&self.budget)?);
        let altered = altered.map_err(|misfit| wrong(misfit.to_string()))?;
        known.suits(&altered.environment).map_err(|misfit| wrong(misfit.to_string()))?;
        Ok(altered)
    }

    /// Replays the known traces of the protocols that are meant, by protocol.
    fn replay_known(&self, scenarios: &[Scenario]) -> Result<BTreeMap<String, Replayed>, Failure> {
        let protocols = scenarios.iter().map(|scenario| scenario.protocol.clone());
        let mut all: BTreeMap<_, _> =
            protocols.map(|protocol| (protocol, Replayed::default())).collect();
        for known in KnownTrace::read_all(&self.folders.traces)? {
            if let Some(replayed) = all.get_mut(&known.trace.protocol) {
                replayed.known_traces += 1;
                if known.is_fixed().map_err(Failure::Usage)? {
                    replayed.fixed.push(known.name);
                }
            }
        }
        Ok(all)
    }

    fn fuzz(&self, scenario: &Scenario) -> Result<Report, Failure> {
        let schedules = Schedules {
            seed: self.seed,
            count: self.schedules,
            shard: self.shard,
            steps: self.steps,
            max_time: self.max_seconds.map(Duration::from_secs),
            coverage: self.coverage,
            twice: self.twice,
        };
        let known: Known = scenario.protocol.parse().map_err(Failure::Usage)?;
        let bar = progress_bar(scenario, schedules.taken());
        let report = with_protocol!(known, &scenario.environment, protocol =>
            fuzz(protocol, scenario, schedules, &mut |done| bar.set_position(done)));
        bar.finish_and_clear();
        Ok(report)
    }

    fn save_traces(&self, report: &mut Report) -> Result<(), Failure> {
        for row in &mut report.properties {
            if let Some(trace) = &row.counterexample {
                let path = self.save_traces.join(trace.file_name());
                trace.save(&path)?;
                row.trace = Some(shown(&path));
            }
        }
        Ok(())
    }
}

/// Written to standard error, and only if that is a terminal.
fn progress_bar(scenario: &Scenario, schedules: u64) -> ProgressBar {
    let template = "{prefix} [{bar:30}] {human_pos} of {human_len} schedules, {elapsed}";
    let style = ProgressStyle::with_template(template).expect("a template that indicatif knows");
    ProgressBar::new(schedules).with_style(style).with_prefix(scenario.name.clone())
}

fn show(out: &mut impl Write, scenario: &Scenario, report: &Report) -> io::Result<()> {
    writeln!(out, "{}  {}", styled(STRONG, &scenario.name), scenario.summary)?;
    writeln!(out, "  at most {}", scenario.environment)?;
    let Report { seed, shard, .. } = report;
    let [done, actions, settled, unsettled, beyond] =
        [report.done, report.actions, report.settled, report.unsettled, report.beyond]
            .map(HumanCount);
    let cut = if report.complete {
        String::new()
    } else {
        styled(DOUBTFUL, format!(", cut short of {}", HumanCount(report.schedules)))
    };
    writeln!(
        out,
        "  seed {seed}, shard {shard}: {done} schedules{cut}, {actions} actions in {:.2} s; \
         {settled} settled, {unsettled} did not, {beyond} came to the bound",
        report.seconds,
    )?;
    writeln!(out, "{}", verdicts(report).trim_fmt())?;
    if let Some(again) = &report.again {
        show_again(out, again)?;
    }
    writeln!(out)
}

fn show_again(out: &mut impl Write, again: &Again) -> io::Result<()> {
    let (Some(difference), Some(schedule)) = (&again.difference, again.schedule) else {
        let end = styled(GOOD, "everything is the same");
        return writeln!(out, "  twice: {end}; digest {:016x}", again.digest);
    };
    writeln!(out, "  twice: schedule {} goes otherwise the second time", HumanCount(schedule))?;
    show_difference(out, difference)
}

fn verdicts(report: &Report) -> Table {
    let mut table = table();
    // A path that is broken into lines cannot be copied.
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([" property", "kind", "verdict", "schedules", "first", "steps", "shrunk", ""]);
    for row in &report.properties {
        let number = |number: Option<u64>| {
            let text = number.map_or(String::new(), |number| HumanCount(number).to_string());
            Cell::new(text).set_alignment(CellAlignment::Right)
        };
        table.add_row([
            Cell::new(format!(" {}", row.name)),
            Cell::new(format!("{:?}", row.kind).to_lowercase()),
            Cell::new(row.verdict).fg(colour(row)),
            number((row.violations > 0).then_some(row.violations)),
            number(row.schedule),
            number(row.raw_steps.map(|steps| steps as u64)),
            number(row.steps.map(|steps| steps as u64)),
            remark(row),
        ]);
    }
    table
}

/// A violation that is expected is no alarm.
fn colour(row: &Row) -> Color {
    match (row.comparison(), row.verdict) {
        (Comparison::Differs, _) => Color::Red,
        (_, Verdict::NotViolated) if row.witnessed => Color::Green,
        _ => Color::Yellow,
    }
}

fn remark(row: &Row) -> Cell {
    let trace = row.trace.as_deref().unwrap_or_default();
    match (row.comparison(), row.expected, row.verdict) {
        (Comparison::Differs, Some(expected), _) => {
            Cell::new(format!("{trace}  expected: {expected}")).fg(Color::Red)
        }
        (Comparison::Differs, None, _) => {
            Cell::new(format!("{trace}  not expected")).fg(Color::Red)
        }
        (_, _, Verdict::NotViolated) if !row.witnessed => Cell::new("never at stake"),
        _ => Cell::new(trace),
    }
}

fn conclude(out: &mut impl Write, scenarios: usize, worst: Comparison) -> io::Result<()> {
    let plural = if scenarios == 1 { "" } else { "s" };
    let end = match worst {
        Comparison::AsExpected => styled(GOOD, "nothing that is not expected"),
        Comparison::Cut => styled(DOUBTFUL, "cut short; nothing that is not expected so far"),
        Comparison::Differs => styled(BAD, "not as expected"),
    };
    writeln!(out, "{scenarios} scenario{plural}: {end}")
}
