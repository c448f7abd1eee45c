//! `interrex check`.

use super::{
    BAD, Command, DOUBTFUL, Exit, Failure, Folders, GOOD, STRONG,
    answer::{Answer, Remark},
    choice::choice,
    chosen::{Chosen, budgets, of_option, parse_budget},
    coverage::Covered,
    show_difference,
    size::parse_size,
    stop::{NotBegun, stop},
    styled, table,
    time::parse_seconds,
};
use crate::{
    claim::property::Property,
    evidence::{
        draw::{self, chart::Chart},
        replay::Mode,
        trace::Trace,
    },
    explore::{
        audit::Audit,
        search::{EngineName, Limits, Pass, Progress},
        stop::Stop,
    },
    io::file::{self, FileError, shown},
    model::environment::{Bound, Budget, Start, Storage, Timers, Times},
    protocol::registry::Known,
    verdict::{
        check::{Report, Row},
        outcome::{Comparison, Expected, Verdict},
        report::{Case, Format, Section, json::Object, text::show_places},
        row,
        scenario::Scenario,
    },
};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use indicatif::{DecimalBytes, HumanCount, ProgressBar, ProgressStyle};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};

/// Explore scenarios exhaustively and judge their properties
///
/// Without patterns: every scenario that is not marked nightly. Or describe one
/// in arguments:
///
///   interrex check --protocol gms3 --nodes 4 --start joined \
///       --budget commands=3,crashes=2 --expect none
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit_codes! {
    "0    every verdict and every number of worlds is as expected"
    "1    one is not; with --coverage, something is not reached and not listed as"
    "     unreachable; or with --twice, a step that is computed again differs"
    "2    bad usage, or a bad scenario"
    "3    cut short by a limit"
})]
pub(super) struct Check {
    #[command(flatten)]
    chosen: Chosen,
    /// The engine that explores the worlds
    #[arg(long, value_parser = choice::<EngineName>(), default_value = <&str>::from(EngineName::Layers))]
    engine: EngineName,
    /// The number of threads that explore. The results are the same on any number
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// The format of the report
    #[arg(long, value_parser = choice::<Format>(), default_value_t = Format::Text)]
    format: Format,
    /// Count how often each protocol has handled each kind of event in each role, and emitted each kind of effect.
    /// Those that never occurred must be listed in <scenarios>/<protocol>/unreachable.toml, with a reason; those that did
    /// must not be listed there. That is judged for a protocol if all its scenarios but the nightly ones are run
    #[arg(long)]
    coverage: bool,
    /// Visit everything once more, on one thread, and let the machine compute everything again: one that depends on
    /// anything but its input is reported with the first step that differs. The digest is the same on every computer
    #[arg(long)]
    twice: bool,
    /// Write the shortest counterexamples below this folder
    #[arg(long, value_name = "DIR")]
    save_traces: Option<PathBuf>,
    /// Expand at most this many worlds of a scenario
    #[arg(long, value_name = "N")]
    max_worlds: Option<NonZeroU64>,
    /// Stop a scenario when the program takes more than this memory, as in 500MB or 4GB, and report what was found.
    /// It may take a little more until it stops
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_memory: Option<NonZeroU64>,
    /// Stop after this time, in seconds, and report what was found: all scenarios together
    #[arg(long, value_name = "S", value_parser = parse_seconds)]
    max_seconds: Option<Duration>,
    #[command(flatten)]
    folders: Folders,
    #[command(flatten)]
    made: Made,
}

/// A scenario that is described in arguments.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A scenario of your own")]
struct Made {
    /// The protocol, by name
    #[arg(long, value_name = "NAME", conflicts_with_all = ["patterns", "nightly"], requires_all = ["nodes", "start"])]
    protocol: Option<String>,
    /// The number of nodes that may lead
    #[arg(long, value_name = "N", requires = "protocol")]
    nodes: Option<u16>,
    /// The number of workers: further nodes, which follow and never lead
    #[arg(long, value_name = "W", requires = "protocol", default_value_t = 0)]
    workers: u16,
    /// The beginning of the group
    #[arg(long, value_parser = choice::<Start>(), requires = "protocol")]
    start: Option<Start>,
    /// When timers may fire
    #[arg(long, value_parser = choice::<Timers>(), requires = "protocol", default_value_t)]
    timers: Timers,
    /// The stable storage of a restarted node
    #[arg(long, value_parser = choice::<Storage>(), requires = "protocol", default_value_t)]
    storage: Storage,
    /// How often each of these can happen: starts, commands, timeouts (a number or unlimited), crashes, restarts,
    /// drops, duplicates, overtakes, suspicions, cuts
    #[arg(long, value_name = "NAME=N,…", requires = "protocol", value_delimiter = ',', value_parser = parse_budget)]
    budget: Vec<(Budget, Times)>,
    /// Leave out worlds beyond this value of the protocol's measure; every verdict is then called bounded
    #[arg(long, value_name = "NAME=N", requires = "protocol")]
    bound: Option<Bound>,
    /// Only these properties
    #[arg(long, value_name = "NAME,…", requires = "protocol", value_delimiter = ',')]
    property: Vec<String>,
    /// The expected verdicts: NAME=holds, NAME=unwitnessed, NAME=violated:STEPS, NAME=anything; or just none, if nothing
    /// is expected of any property. Without it, a violation is not as expected
    #[arg(long, value_name = "NAME=VERDICT,…", requires = "protocol", value_delimiter = ',', value_parser = parse_expectation)]
    expect: Vec<Expectation>,
}

/// A part of `--expect`.
#[derive(Clone, Debug)]
enum Expectation {
    /// `none`.
    Nothing,
    /// `NAME=VERDICT`.
    Of(String, Expected),
}

fn parse_expectation(text: &str) -> Result<Expectation, String> {
    if text == "none" {
        return Ok(Expectation::Nothing);
    }
    let form = "expected NAME=holds, NAME=unwitnessed, NAME=violated:STEPS, NAME=anything, or none";
    let (name, verdict) = text.split_once('=').ok_or(form)?;
    let expected = match (verdict, verdict.strip_prefix("violated:")) {
        ("holds", _) => Expected::Holds,
        ("unwitnessed", _) => Expected::Unwitnessed,
        ("anything", _) => Expected::Anything,
        (_, Some(steps)) => Expected::Violated(steps.parse().map_err(|_| form)?),
        _ => return Err(form.into()),
    };
    Ok(Expectation::Of(name.into(), expected))
}

impl Check {
    pub(super) fn run(&self, of: &Command) -> Result<Exit, Failure> {
        let places = self.folders.of(of);
        let scenarios = match &self.made.protocol {
            Some(protocol) => vec![self.made.scenario(of.known(protocol)?)?],
            None => self.chosen.among(places.scenarios()?, of)?,
        };
        if let Some(folder) = &self.save_traces {
            file::can_hold_files(folder)?;
        }
        let mut answer = Answer::new(self.format);
        let covered = self.coverage.then(|| Covered::none(&places, &scenarios));
        let mut covered = covered.transpose()?;
        let stop = stop(self.max_seconds)?;
        for scenario in &scenarios {
            if stop.is_due() {
                answer.add(&NotBegun(scenario))?;
                if let Some(covered) = &mut covered {
                    covered.leave_out(scenario);
                }
                continue;
            }
            let mut checked = self.check(scenario, covered.as_mut(), stop);
            name_traces(&mut checked.report, self.save_traces.as_deref(), &places.traces);
            answer.add(&checked)?;
            if self.made.protocol.is_some() {
                for remark in [idle(&checked.report), shortest(&checked, of)].into_iter().flatten()
                {
                    answer.add(&remark)?;
                }
            }
            if let Some(folder) = &self.save_traces {
                save_traces(&checked.report.properties, folder)?;
            }
        }
        if let Some(covered) = covered {
            covered.add_to(&mut answer)?;
        }
        let made = self.made.protocol.is_some();
        answer.add(&conclusion(scenarios.len(), answer.worst(), made))?;
        answer.end()
    }

    fn check<'a>(
        &self,
        scenario: &'a Scenario,
        covered: Option<&mut Covered>,
        stop: Stop,
    ) -> Checked<'a> {
        let limits = Limits {
            threads: self.threads.into(),
            max_states: self.max_worlds,
            max_memory: self.max_memory,
            stop,
        };
        let bar = progress_bar(scenario);
        let mut progress = |now: Progress| match now.pass {
            Pass::Exploring => bar.set_position(now.states),
            Pass::Shortening => bar.set_message("shortening counterexamples"),
            Pass::Livelocks => bar.set_message("looking for livelocks"),
        };
        let harness = scenario.harness();
        let report = harness.check(scenario, Some(self.engine), limits, &mut progress);
        let audit = self.twice.then(|| {
            bar.set_message("running everything twice");
            harness.audit(limits, &mut |states| bar.set_position(states))
        });
        bar.finish_and_clear();
        if let Some(covered) = covered {
            let coverage = harness.coverage();
            covered.add(if report.complete { coverage } else { coverage.cut_short() });
        }
        Checked { scenario, report, audit }
    }
}

/// A scenario that was explored.
struct Checked<'a> {
    scenario: &'a Scenario,
    report: Report,
    audit: Option<Audit>,
}

impl Section for Checked<'_> {
    fn cases(&self) -> Vec<Case> {
        let suite = &self.scenario.name;
        let audited = |audit: &Audit| Case {
            seconds: Some(audit.seconds),
            ..Case::new(suite, "determinism", audit.comparison(), said(audit))
        };
        let audited = self.audit.as_ref().map(audited);
        self.report.cases().into_iter().chain(audited).collect()
    }

    fn objects(&self) -> Vec<Object> {
        let object = Object::new("scenario", &self.report);
        vec![match &self.audit {
            Some(audit) => object.with("audit", audit),
            None => object,
        }]
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { scenario, report, audit } = self;
        writeln!(out, "{}  {}", styled(STRONG, &scenario.name), scenario.summary)?;
        writeln!(out, "  {}", scenario.environment)?;
        show_search(out, report)?;
        if report.states_comparison() == Comparison::Differs {
            let expected = HumanCount(report.expected_states.unwrap_or_default());
            writeln!(out, "  {}", styled(BAD, format!("expected {expected} worlds")))?;
        }
        writeln!(out, "{}", verdicts(report).trim_fmt())?;
        show_places(out, &report.cases())?;
        if let Some(audit) = audit {
            show_audit(out, audit)?;
        }
        writeln!(out)
    }
}

/// The remedy for a scenario in which nothing happens.
fn idle(report: &Report) -> Option<Remark> {
    let said = "nothing can happen: give it a budget, as in --budget commands=1,crashes=1\n";
    (report.complete && report.states == 1).then(|| Remark(said.into()))
}

/// The shortest counterexample of a scenario that nobody knows yet, drawn, and how to keep it.
fn shortest(checked: &Checked<'_>, of: &Command) -> Option<Remark> {
    let rows = checked.report.properties.iter();
    let found = rows.filter_map(|row| Some((row, row.counterexample.as_ref()?)));
    let (row, trace) = found.min_by_key(|(_, trace)| trace.steps.len())?;
    let (known, property) = of.registry.of(trace).ok()?;
    let harness = known.harness(&trace.environment);
    let chart = Chart::of(&harness.replay(trace, property, Mode::Exact, None));
    let title = styled(STRONG, format!("the shortest run that violates {}", row.name));
    let program = of.name;
    let next = match &row.trace {
        Some(path) => format!("`{program} replay {path}` shows each step"),
        None => {
            format!("`--save-traces DIR` keeps it, and `{program} replay` then shows each step")
        }
    };
    Some(Remark(format!("{title}\n\n{}\n{next}\n", draw::text::draw(&chart))))
}

/// Names the file of each counterexample: the one that is written, or the known one.
pub(super) fn name_traces(report: &mut Report, save_below: Option<&Path>, known_below: &Path) {
    for row in &mut report.properties {
        let Some(trace) = &row.counterexample else {
            continue;
        };
        row.trace = if let Some(folder) = save_below {
            Some(shown(&folder.join(trace.file_name())))
        } else {
            let path = known_below.join(trace.file_name());
            let known = Trace::read(&path).is_ok_and(|known| known.has_run_of(trace));
            known.then(|| shown(&path))
        };
    }
}

/// Writes each counterexample below a folder.
pub(super) fn save_traces<V, More>(
    rows: &[row::Row<V, More>],
    below: &Path,
) -> Result<(), FileError> {
    let mut traces = rows.iter().filter_map(|row| row.counterexample.as_ref());
    traces.try_for_each(|trace| trace.save(&below.join(trace.file_name())))
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
    fn scenario(&self, known: Known) -> Result<Scenario, Failure> {
        let (Some(nodes), Some(start)) = (self.nodes, self.start) else {
            return Err(Failure::Usage("--protocol needs --nodes and --start".into()));
        };
        let mut builder = Scenario::builder()
            .protocol(known)
            .summary("described on the command line")
            .nodes(nodes)
            .workers(self.workers)
            .start(start)
            .timers(self.timers)
            .storage(self.storage);
        for (budget, times) in budgets(&self.budget)? {
            builder = builder.budget(budget, times);
        }
        if let Some(Bound { measure, most }) = &self.bound {
            builder = builder.bound(measure, *most);
        }
        let expected = self.expected(known)?;
        for property in self.properties(known)? {
            builder = match expected(property) {
                Some(expected) => builder.expect(property, expected),
                None => builder.property(property),
            };
        }
        let mut scenario =
            builder.try_build().map_err(|misfit| Failure::Usage(of_option(&misfit)))?;
        scenario.name = format!("{}/{}", known.name(), scenario.name);
        Ok(scenario)
    }

    /// The expectation of each property.
    fn expected(&self, known: Known) -> Result<impl Fn(&Property) -> Option<Expected>, Failure> {
        let mut named = BTreeMap::new();
        let mut rest = None;
        for expectation in &self.expect {
            match expectation {
                Expectation::Nothing => rest = Some(Expected::Anything),
                Expectation::Of(name, expected) => {
                    let property = known.property(name).map_err(Failure::Usage)?;
                    named.insert(property.name, *expected);
                }
            }
        }
        Ok(move |property: &Property| named.get(property.name).copied().or(rest))
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

fn show_search(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let [states, settled, transitions] =
        [report.states, report.settled, report.transitions].map(HumanCount);
    let end = if report.complete { "complete" } else { "cut short by a limit" };
    let depth = report.depth.map(|depth| format!("; depth {depth}"));
    let memory =
        report.peak_rss_bytes.map(|bytes| format!(", peak memory {}", DecimalBytes(bytes)));
    writeln!(
        out,
        "  {states} worlds, {settled} settled; {transitions} transitions{}; {end} in {:.2} s{}",
        depth.unwrap_or_default(),
        report.seconds,
        memory.unwrap_or_default(),
    )
}

fn show_audit(out: &mut dyn Write, audit: &Audit) -> io::Result<()> {
    let style = match audit.comparison() {
        Comparison::AsExpected => GOOD,
        Comparison::Cut => DOUBTFUL,
        Comparison::Differs => BAD,
    };
    let end = styled(style, said(audit));
    let Some(difference) = &audit.difference else {
        let [states, transitions] = [audit.states, audit.transitions].map(HumanCount);
        let seconds = audit.seconds;
        return writeln!(
            out,
            "  twice: {end}: {states} worlds, {transitions} transitions in {seconds:.2} s; digest {}",
            audit.digest
        );
    };
    writeln!(out, "  twice: {end}")?;
    show_difference(out, difference)
}

fn said(audit: &Audit) -> &'static str {
    match audit.comparison() {
        Comparison::AsExpected => "everything is the same",
        Comparison::Cut => "cut short by a limit; what was compared is the same",
        Comparison::Differs => "not everything is the same",
    }
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
    match (row.comparison(), row.expected, row.more.expected_steps) {
        (Comparison::Differs, Some(expected), Some(steps)) => {
            Cell::new(format!("expected: {expected} in {steps} steps")).fg(Color::Red)
        }
        (Comparison::Differs, Some(expected), None) => {
            Cell::new(format!("expected: {expected}")).fg(Color::Red)
        }
        _ if row.verdict == Verdict::Unwitnessed => {
            Cell::new(format!("not exercised; in no world: {}", row.more.exercise))
        }
        _ => Cell::new(row.trace.as_deref().unwrap_or_default()),
    }
}

fn conclusion(scenarios: usize, worst: Comparison, made: bool) -> Remark {
    let plural = if scenarios == 1 { "" } else { "s" };
    let end = match worst {
        Comparison::AsExpected if made => styled(GOOD, "complete, and as expected"),
        Comparison::AsExpected => styled(GOOD, "as expected"),
        Comparison::Cut => {
            styled(DOUBTFUL, "cut short by a limit: what is not violated is unknown")
        }
        Comparison::Differs => styled(BAD, "not as expected"),
    };
    Remark(format!("{scenarios} scenario{plural}: {end}"))
}
