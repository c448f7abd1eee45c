//! `interrex matrix`.

use super::{
    BAD, Command, DOUBTFUL, Exit, Failure, Folders, GOOD, Places,
    answer::Answer,
    bands::{banded, width},
    check::{name_traces, save_traces},
    choice::{FormatOr, format_or},
    cores,
    stop::stop,
    styled, table,
    time::parse_seconds,
};
use crate::{
    explore::search::Limits,
    io::{
        file,
        text::{counted, wrapped},
    },
    model::environment::{Budget, Class},
    protocol::registry::Known,
    verdict::{
        check::Report,
        matrix::{Entry, Matrix, class_of},
        outcome::{Comparison, Verdict},
        report::{Case, Format, Section, json::Object, text::show_places},
        scenario::Scenario,
    },
};
use comfy_table::{Attribute, Cell, CellAlignment, Color, Table};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;
use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::PathBuf,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// Show which property of which protocol holds under which faults
///
/// Explores the scenarios that are named after a class of environments,
/// `<protocol>/<class>`, and sets their verdicts side by side. Each class has
/// one kind of fault, the last one all of them. Nightly scenarios are explored,
/// too: all of it takes minutes and several gigabytes of memory. Fewer --jobs
/// take less memory.
///
///   ✓ 4,335    holds in all of that many worlds (≤: of those within the
///              scenario's bound)
///   ✗ 6        violated; the shortest run has that many steps and is kept in
///              the folder of traces, as PROTOCOL/PROPERTY.CLASS.json
///   –          not judged: the scenario does not name the property, or there is
///              no such scenario; or nothing exercised it
///   ?          a limit cut the search
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit_codes! {
    "0    every verdict and every number of worlds is as expected"
    "1    one is not"
    "2    bad usage, or a bad scenario"
    "3    cut short by a limit"
})]
pub(super) struct Show {
    /// Only these protocols; without it, all that have such scenarios
    #[arg(value_name = "PROTOCOL")]
    protocols: Vec<String>,
    /// The format of the table; for programs, a JSON object for each cell and one for all
    #[arg(long, value_parser = format_or::<Markup>(), default_value = <&str>::from(Format::Text))]
    format: FormatOr<Markup>,
    /// The number of scenarios that are explored at the same time [default: one for each core]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Write the shortest counterexamples below this folder
    #[arg(long, value_name = "DIR")]
    save_traces: Option<PathBuf>,
    /// Stop after this time, in seconds, and report what was found: all scenarios together
    #[arg(long, value_name = "S", value_parser = parse_seconds)]
    max_seconds: Option<Duration>,
    #[command(flatten)]
    folders: Folders,
}

/// Another way to write the table.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
enum Markup {
    /// A table with links to the traces
    Markdown,
}

/// The matrix that was found.
struct Found<'a> {
    scenarios: &'a [Scenario],
    reports: &'a [Report],
    matrix: Matrix,
    seconds: f64,
    markdown: bool,
}

impl Section for Found<'_> {
    fn cases(&self) -> Vec<Case> {
        self.reports.iter().flat_map(Report::cases).collect()
    }

    fn objects(&self) -> Vec<Object> {
        let cells = self.matrix.cells().map(|cell| Object::new("cell", cell));
        let fields = json!({ "scenarios": self.reports.len(), "seconds": self.seconds });
        cells.chain([Object::new("matrix", fields)]).collect()
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.markdown {
            return write!(out, "{}", self.matrix.to_markdown("traces"));
        }
        writeln!(out, "{}\n", drawn(&self.matrix))?;
        writeln!(out, "{}\n", environments(self.scenarios).trim_fmt())?;
        self.explain_gaps(out)?;
        self.conclude(out)
    }
}

impl Found<'_> {
    /// The gaps of the table, and the reason for them.
    fn explain_gaps(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut said = vec![];
        if self.matrix.has_gaps() {
            let gap = "–: not judged, because the scenario does not name the property or there is no such \
                       scenario; or not exercised. It says nothing about the property.";
            said.push(gap.to_string());
        }
        let missing = self.matrix.missing();
        if !missing.is_empty() {
            let missing = missing.iter().map(|(known, class)| lacking(known.name(), *class));
            let missing: Vec<_> = missing.collect();
            said.push(format!(
                "No scenario (with these faults and no others): {}.",
                missing.join(", ")
            ));
        }
        for line in said.iter().flat_map(|it| wrapped(it, width().into())) {
            writeln!(out, "{line}")?;
        }
        if said.is_empty() { Ok(()) } else { writeln!(out) }
    }

    fn conclude(&self, out: &mut dyn Write) -> io::Result<()> {
        let worlds = HumanCount(self.reports.iter().map(|report| report.states).sum());
        let (scenarios, seconds) = (counted(self.reports.len(), "scenario"), self.seconds);
        writeln!(out, "{scenarios}, {worlds} worlds, in {seconds:.0} s")?;
        let mut all_as_expected = true;
        for report in self.reports {
            let (style, end) = match report.comparison() {
                Comparison::AsExpected => continue,
                Comparison::Differs => (BAD, "not as expected"),
                Comparison::Cut => (DOUBTFUL, "cut short by a limit"),
            };
            all_as_expected = false;
            let scenario = &report.subject.scenario;
            writeln!(out, "{}", styled(style, format!("{scenario}: {end}")))?;
            show_places(out, &report.cases())?;
        }
        if all_as_expected {
            writeln!(out, "{}", styled(GOOD, "as expected"))?;
        }
        Ok(())
    }
}

impl Show {
    pub(super) fn run(&self, of: &Command) -> Result<Exit, Failure> {
        let places = self.folders.of(of);
        let scenarios = self.chosen(&places, of)?;
        if let Some(folder) = &self.save_traces {
            file::can_hold_files(folder)?;
        }
        let began = Instant::now();
        let mut reports = self.explore_all(&scenarios)?;
        let seconds = began.elapsed().as_secs_f64();
        for report in &mut reports {
            name_traces(report, self.save_traces.as_deref(), &places.traces);
        }
        let matrix = Matrix::found(scenarios.iter().zip(&reports));
        let (scenarios, reports, markdown) = (&scenarios, &reports, self.format.is_own());
        let mut answer = Answer::new(self.format.format());
        answer.add(&Found { scenarios, reports, matrix, seconds, markdown })?;
        let exit = answer.end()?;
        for report in reports {
            if let Some(folder) = &self.save_traces {
                save_traces(&report.properties, folder)?;
            }
        }
        Ok(exit)
    }

    /// The scenarios of the protocols that are asked for, one for each class.
    fn chosen(&self, places: &Places<'_>, of: &Command) -> Result<Vec<Scenario>, Failure> {
        let scenarios = places.scenarios()?;
        let named: Result<Vec<_>, _> = self.protocols.iter().map(|name| of.known(name)).collect();
        let mut wanted = named?;
        let has_a_class = |known: &Known| {
            scenarios.iter().any(|it| it.protocol == Some(*known) && class_of(it).is_some())
        };
        let shown: Vec<_> = of.registry.all().iter().copied().filter(has_a_class).collect();
        if shown.is_empty() {
            return Err(nothing_to_show(of.first()));
        }
        if let Some(absent) = wanted.iter().find(|known| !shown.contains(known)) {
            return Err(not_shown(*absent, &shown, of.name));
        }
        if wanted.is_empty() {
            wanted = shown;
        }
        let mut chosen: Vec<Scenario> = vec![];
        for known in wanted {
            for class in Class::ALL {
                let here = |scenario: &&Scenario| {
                    scenario.protocol == Some(known) && class_of(scenario) == Some(class)
                };
                chosen.extend(scenarios.iter().find(here).cloned());
            }
        }
        Ok(chosen)
    }

    /// A report for each scenario; those that take longest begin first.
    fn explore_all(&self, scenarios: &[Scenario]) -> Result<Vec<Report>, Failure> {
        let limits = Limits { stop: stop(self.max_seconds)?, ..Limits::default() };
        let mut order: Vec<_> = (0..scenarios.len()).collect();
        order.sort_by_key(|at| scenarios[*at].states);
        let waiting = Mutex::new(order);
        let bar = progress_bar(scenarios.len());
        let worker = || {
            let mut done = vec![];
            loop {
                // The lock is not held while a scenario is explored.
                let next = waiting.lock().ok().and_then(|mut waiting| waiting.pop());
                let Some(at) = next else {
                    return Ok(done);
                };
                bar.set_message(scenarios[at].name.clone());
                done.push((at, explore(&scenarios[at], limits, &bar)));
                bar.inc(1);
            }
        };
        let jobs = self.jobs.map_or_else(cores, NonZeroUsize::get);
        let jobs = jobs.min(scenarios.len());
        let done: Result<Vec<_>, Failure> = thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().expect("a search does not panic"))
                .collect()
        });
        bar.finish_and_clear();
        let mut done: Vec<_> = done?.into_iter().flatten().collect();
        done.sort_by_key(|(at, _)| *at);
        Ok(done.into_iter().map(|(_, report)| report).collect())
    }
}

/// The protocol has none of the scenarios of the matrix, as these have.
fn not_shown(known: Known, shown: &[Known], program: &str) -> Failure {
    let name = known.name();
    let shown: Vec<_> = shown.iter().map(|known| known.name()).collect();
    Failure::Usage(format!(
        "{name} has no scenarios for the matrix; these protocols have: {} (`{program} check {name}` explores its own)",
        shown.join(", ")
    ))
}

/// No protocol has a scenario of the matrix.
fn nothing_to_show(known: Known) -> Failure {
    let names: Vec<_> =
        Class::ALL.iter().map(|class| format!("{}/{}", known.name(), class.name())).collect();
    Failure::Usage(format!(
        "the matrix is empty: there are no scenarios for it, which are called PROTOCOL/CLASS, as {}",
        names.join(", ")
    ))
}

/// The scenario that an empty column of a protocol lacks, and its faults: `group/crash-recovery (crashes, restarts)`.
fn lacking(protocol: &str, class: Class) -> String {
    let faults: Vec<_> = class.faults().iter().map(Budget::to_string).collect();
    format!("{protocol}/{} ({})", class.name(), faults.join(", "))
}

fn explore(scenario: &Scenario, limits: Limits, bar: &ProgressBar) -> Report {
    scenario.harness().check(scenario, None, limits, &mut |_| bar.tick())
}

fn progress_bar(scenarios: usize) -> ProgressBar {
    let template = "{spinner} [{bar:30}] {pos} of {len} scenarios, {elapsed} {msg}";
    let style = ProgressStyle::with_template(template).expect("a template that indicatif knows");
    ProgressBar::new(scenarios as u64).with_style(style)
}

fn drawn(matrix: &Matrix) -> String {
    let classes =
        Class::ALL.map(|class| Cell::new(class.name()).set_alignment(CellAlignment::Right));
    let header: Vec<_> = [Cell::new("")].into_iter().chain(classes).collect();
    let mut rows = vec![];
    for row in matrix.rows() {
        let is_protocol = row.entries.iter().any(|entry| matches!(entry, Entry::Environment(_)));
        if is_protocol {
            rows.push(vec![Cell::new("")]);
            rows.push(vec![Cell::new(&row.name).add_attribute(Attribute::Bold)]);
        } else {
            let name = Cell::new(format!("  {}", row.name));
            rows.push([name].into_iter().chain(row.entries.iter().map(cell)).collect());
        }
    }
    banded(&header, &rows, width())
}

/// A verdict is about its environment and about nothing else.
fn environments(scenarios: &[Scenario]) -> Table {
    let mut table = table();
    table.set_width(width());
    for scenario in scenarios {
        table.add_row([format!(" {}", scenario.name), scenario.environment.to_string()]);
    }
    table
}

fn cell(entry: &Entry) -> Cell {
    let cell = Cell::new(entry).set_alignment(CellAlignment::Right);
    match entry {
        Entry::Environment(_) | Entry::Verdict(None) => cell,
        Entry::Verdict(Some(known)) => match known.verdict {
            Verdict::Holds => cell.fg(Color::Green),
            Verdict::Violated => cell.fg(Color::Yellow),
            Verdict::Unwitnessed => cell,
            Verdict::Unknown => cell.fg(Color::Red),
        },
    }
}
