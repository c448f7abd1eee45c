//! `interrex fuzz`.

use super::{
    BAD, Command, DOUBTFUL, Exit, Failure, Folders, GOOD, Places, STRONG,
    answer::{Answer, Remark},
    check::save_traces,
    choice::choice,
    chosen::{Chosen, budgets, of_option, parse_budget},
    coverage::Covered,
    show_difference,
    stop::{NotBegun, stop},
    styled, table,
    time::parse_seconds,
};
use crate::{
    claim::property::Property,
    evidence::{
        known::Status,
        replay::{Mode, Outcome},
        trace::Trace,
    },
    explore::{
        sample::{Again, Report, Row, Schedules, Shard, Verdict},
        stop::Stop,
        symptom::Symptom,
    },
    io::{
        file::{self, FileError, shown},
        text::{counted, printable},
    },
    model::environment::{Budget, Times},
    protocol::registry::{Known, Registry},
    verdict::{
        drawn::Drawn,
        outcome::Comparison,
        report::{Case, Format, Section, json::Object, text::show_places},
        scenario::Scenario,
    },
};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

/// Run random schedules of scenarios, also of groups that are too large to be explored
///
/// The known traces of the protocols are replayed first. One that no longer violates its property is reported as
/// fixed, and that is not as expected until it is removed from the folder of traces. Each schedule then draws its own
/// faults, out of those that the scenario allows, and takes actions at random; after the faults have stopped, it goes on
/// until the protocol has nothing left to do. Half of the schedules go on from an earlier one that has reached something
/// new. The same seed gives the same schedules on every machine.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit_codes! {
    "0    no property is violated but those that are expected to be, and known"
    "     traces still violate theirs"
    "1    another property is violated, or a known trace no longer violates its own"
    "     or is not reproduced; or with --coverage, something is not reached and"
    "     not listed as unreachable; or with --twice, the second run differs from"
    "     the first"
    "2    bad usage, or a bad scenario or trace"
    "3    cut short by a limit"
})]
pub(super) struct Fuzz {
    #[command(flatten)]
    chosen: Chosen,
    /// The number of nodes that may lead, in place of the scenario's
    #[arg(long, value_name = "N")]
    nodes: Option<u16>,
    /// Budgets in place of the scenario's; each schedule draws its own, up to these
    #[arg(long, value_name = "NAME=N,…", value_delimiter = ',', value_parser = parse_budget)]
    budget: Vec<(Budget, Times)>,
    /// The number of schedules of each scenario
    #[arg(long, value_name = "K", default_value_t = Schedules::default().count, value_parser = clap::value_parser!(u64).range(1..))]
    schedules: u64,
    /// Faults stop after this many actions
    #[arg(long, value_name = "L", default_value_t = Schedules::default().steps)]
    steps: usize,
    /// The seed of the random generator
    #[arg(long, value_name = "S", default_value_t = Schedules::default().seed)]
    seed: u64,
    /// Take the I-th, I+N-th, … of the schedules only. Each shard goes on from what its own schedules have reached, so
    /// other shards have other schedules
    #[arg(long, value_name = "I/N", default_value_t = Shard::ALONE)]
    shard: Shard,
    /// Begin no schedule after this time, in seconds: all scenarios together
    #[arg(long, value_name = "S", value_parser = parse_seconds)]
    max_seconds: Option<Duration>,
    /// Count which events, in which roles, and which effects of each protocol are reached. Those that are not
    /// must be listed in <scenarios>/<protocol>/unreachable.toml, with a reason; those that are must not be. That is
    /// judged for a protocol if all its scenarios but the nightly ones are run, unchanged and with all schedules
    #[arg(long)]
    coverage: bool,
    /// Run each schedule twice, and compare: a machine that depends on anything but its input is reported with
    /// the first step that differs. The digest is the same on every computer
    #[arg(long)]
    twice: bool,
    /// The format of the report
    #[arg(long, value_parser = choice::<Format>(), default_value_t = Format::Text)]
    format: Format,
    /// Write the first run that violates a property below this folder, and the first of each other kind (with
    /// another complaint, or after another kind of step): each shrunk, and as it was found
    #[arg(long, value_name = "DIR", default_value = "target/interrex-fuzz")]
    save_traces: PathBuf,
    #[command(flatten)]
    folders: Folders,
}

/// The known traces of one protocol, replayed.
#[derive(Debug, Default)]
struct Replayed {
    /// Their number.
    all: usize,
    /// The names of those that no longer violate their property.
    fixed: Vec<String>,
    /// The names of those of which not every step is possible any more.
    not_reproduced: Vec<String>,
    /// The names of those that end before their property can be judged.
    undecided: Vec<String>,
}

impl Replayed {
    /// The number of those that do not violate their property as before.
    fn changed(&self) -> usize {
        self.fixed.len() + self.not_reproduced.len() + self.undecided.len()
    }
}

/// The known traces of a protocol, replayed.
struct KnownTraces {
    protocol: String,
    replayed: Replayed,
}

/// A scenario of which schedules were taken.
struct Fuzzed<'a> {
    scenario: &'a Scenario,
    report: Report,
    cases: Vec<Case>,
    registry: &'a Registry,
}

impl Fuzz {
    pub(super) fn run(&self, of: &Command) -> Result<Exit, Failure> {
        let places = self.folders.of(of);
        let chosen = self.chosen.among(places.scenarios()?, of)?;
        self.takes_some()?;
        let altered = chosen.into_iter().map(|scenario| self.altered(scenario));
        let scenarios = altered.collect::<Result<Vec<_>, _>>()?;
        // From here on an interrupt ends with a report.
        let stop = stop(self.max_seconds)?;
        let known = replay_known(&places, &scenarios)?;
        let mut answer = Answer::new(self.format);
        for known in &known {
            answer.add(known)?;
        }
        let covered = self.coverage.then(|| Covered::none(&places, &scenarios));
        let mut covered = covered.transpose()?;
        if self.shard != Shard::ALONE {
            let shard = format!("shard {} of the schedules", self.shard);
            covered = covered.map(|covered| covered.part(&shard));
        }
        file::can_hold_files(&self.save_traces)?;
        for scenario in &scenarios {
            if stop.is_due() {
                answer.add(&NotBegun(scenario))?;
                if let Some(covered) = &mut covered {
                    covered.leave_out(scenario);
                }
                continue;
            }
            let mut report = self.fuzz(scenario, stop);
            if let (Some(covered), Some(coverage)) = (&mut covered, report.coverage.take()) {
                covered.add(if report.complete { coverage } else { coverage.cut_short() });
            }
            self.name_traces(&mut report);
            let fuzzed = Fuzzed::new(scenario, report, &of.registry);
            answer.add(&fuzzed)?;
            save_traces(&fuzzed.report.properties, &self.save_traces)?;
            self.save_unshrunk(&fuzzed.report)?;
        }
        if let Some(covered) = covered {
            covered.add_to(&mut answer)?;
        }
        let changed = known.iter().map(|known| known.replayed.changed()).sum();
        answer.add(&conclusion(scenarios.len(), answer.worst(), changed))?;
        answer.end()
    }

    /// Refuses a shard without schedules, of which nothing could be said.
    fn takes_some(&self) -> Result<(), Failure> {
        let (count, shard) = (self.schedules, self.shard);
        if (Schedules { count, shard, ..Schedules::default() }).taken() > 0 {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "--shard {shard} takes none of {count} schedules: give more --schedules, or fewer shards"
        )))
    }

    /// A scenario of the size and with the budgets that are asked for.
    fn altered(&self, scenario: Scenario) -> Result<Scenario, Failure> {
        let name = scenario.name.clone();
        let wrong = |misfit| Failure::Usage(format!("{name}: {}", of_option(&misfit)));
        let protocol = scenario.protocol;
        let nodes = self.nodes.unwrap_or(scenario.environment.nodes);
        let altered = scenario.resized(nodes, &budgets(&self.budget)?);
        let altered = altered.map_err(wrong)?;
        if let Some(known) = protocol {
            known.suits(&altered.environment).map_err(wrong)?;
        }
        Ok(altered)
    }

    fn fuzz(&self, scenario: &Scenario, stop: Stop) -> Report {
        let schedules = Schedules {
            seed: self.seed,
            count: self.schedules,
            shard: self.shard,
            steps: self.steps,
            stop,
            coverage: self.coverage,
            twice: self.twice,
        };
        let bar = progress_bar(scenario, schedules.taken());
        let mut progress = |done| bar.set_position(done);
        let report = scenario.harness().fuzz(scenario, schedules, &mut progress);
        bar.finish_and_clear();
        report
    }

    /// A minimal run may have lost what made the first one remarkable.
    fn save_unshrunk(&self, report: &Report) -> Result<(), FileError> {
        let unshrunk = report.properties.iter().filter_map(|row| row.more.unshrunk.as_ref());
        let others = report.properties.iter().flat_map(|row| &row.more.others);
        let others =
            others.flat_map(|other| [Some(&other.counterexample), other.unshrunk.as_ref()]);
        let mut traces = unshrunk.chain(others.flatten());
        traces.try_for_each(|trace| trace.save(&self.save_traces.join(trace.file_name())))
    }

    fn name_traces(&self, report: &mut Report) {
        let name = |trace: &Trace| shown(&self.save_traces.join(trace.file_name()));
        for row in &mut report.properties {
            row.trace = row.counterexample.as_ref().map(name);
            for other in &mut row.more.others {
                other.trace = Some(name(&other.counterexample));
            }
        }
    }
}

/// Replays the known traces of the protocols of these scenarios.
fn replay_known(places: &Places<'_>, scenarios: &[Scenario]) -> Result<Vec<KnownTraces>, Failure> {
    let protocols = scenarios.iter().filter_map(|scenario| scenario.protocol);
    let mut all: BTreeMap<_, _> =
        protocols.map(|known| (known.name().to_owned(), Replayed::default())).collect();
    for known in places.known_traces()? {
        if let Some(replayed) = all.get_mut(&known.trace.protocol) {
            replayed.all += 1;
            match known.status(places.registry).map_err(Failure::Usage)? {
                Status::Violated => {}
                Status::Fixed => replayed.fixed.push(known.name),
                Status::NotReproduced => replayed.not_reproduced.push(known.name),
                Status::Undecided => replayed.undecided.push(known.name),
            }
        }
    }
    let known = |(protocol, replayed)| KnownTraces { protocol, replayed };
    Ok(all.into_iter().map(known).collect())
}

/// Written to standard error, and only if that is a terminal.
fn progress_bar(scenario: &Scenario, schedules: u64) -> ProgressBar {
    let template = "{prefix} [{bar:30}] {human_pos} of {human_len} schedules, {elapsed}";
    let style = ProgressStyle::with_template(template).expect("a template that indicatif knows");
    ProgressBar::new(schedules).with_style(style).with_prefix(scenario.name.clone())
}

impl Section for KnownTraces {
    fn cases(&self) -> Vec<Case> {
        let Replayed { all, fixed, not_reproduced, undecided } = &self.replayed;
        let as_before = self.replayed.changed() == 0;
        let status = if as_before { Comparison::AsExpected } else { Comparison::Differs };
        let [fixed, not_reproduced, undecided] = [fixed, not_reproduced, undecided].map(Vec::len);
        let said = format!(
            "{all} replayed, {fixed} fixed, {not_reproduced} not reproduced, {undecided} undecided"
        );
        vec![Case::new(&self.protocol, "known traces", status, said)]
    }

    fn objects(&self) -> Vec<Object> {
        let Replayed { all, fixed, not_reproduced, undecided } = &self.replayed;
        let fields = json!({
            "protocol": self.protocol, "replayed": all, "fixed": fixed, "not_reproduced": not_reproduced,
            "undecided": undecided,
        });
        vec![Object::new("known_traces", fields)]
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for name in &self.replayed.fixed {
            let advice = "its run no longer violates its property; if that is intended, remove it";
            writeln!(out, "{} {name}: {advice}", styled(BAD, "fixed:"))?;
        }
        for name in &self.replayed.not_reproduced {
            let title = styled(BAD, "not reproduced, a step is not possible any more:");
            writeln!(out, "{title} {name}")?;
        }
        for name in &self.replayed.undecided {
            let title = styled(BAD, "undecided, its run ends before its property is judged:");
            writeln!(out, "{title} {name}")?;
        }
        Ok(())
    }
}

impl Section for Fuzzed<'_> {
    fn cases(&self) -> Vec<Case> {
        self.cases.clone()
    }

    fn objects(&self) -> Vec<Object> {
        vec![Object::new("scenario", &self.report)]
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { scenario, report, cases, registry } = self;
        writeln!(out, "{}  {}", styled(STRONG, &scenario.name), scenario.summary)?;
        writeln!(out, "  {}; each schedule draws budgets up to these", scenario.environment)?;
        show_schedules(out, report)?;
        writeln!(out, "{}", verdicts(report, registry).trim_fmt())?;
        show_places(out, cases)?;
        if let Some(again) = &report.again {
            show_again(out, again)?;
        }
        writeln!(out)
    }
}

impl<'a> Fuzzed<'a> {
    fn new(scenario: &'a Scenario, report: Report, registry: &'a Registry) -> Self {
        let drawn = |case: Case| Case { drawn: drawn(&report, registry, &case), ..case };
        let cases = report.cases().into_iter().map(drawn).collect();
        Self { scenario, report, cases, registry }
    }
}

/// The run that violates a property, if nobody expects that.
fn drawn(report: &Report, registry: &Registry, case: &Case) -> Option<Drawn> {
    let row = report.properties.iter().find(|row| row.name == case.name)?;
    let trace = row.counterexample.as_ref().filter(|_| case.status == Comparison::Differs)?;
    let (known, property) = registry.of(trace).ok()?;
    let replay = known.harness(&trace.environment).replay(trace, property, Mode::Exact, None);
    Some(Drawn { file: row.trace.clone(), ..Drawn::new(trace, property, &replay) })
}

fn show_schedules(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let Report { seed, shard, .. } = report;
    let [done, actions, settled, unsettled, beyond] =
        [report.done, report.actions, report.settled, report.unsettled, report.beyond]
            .map(HumanCount);
    let cut = if report.complete {
        String::new()
    } else {
        let all = HumanCount(report.schedules);
        styled(DOUBTFUL, format!(" of {all}, cut short by the time limit"))
    };
    writeln!(
        out,
        "  seed {seed}, shard {shard}: {done} schedules{cut}, {actions} actions in {:.2} s; \
         {settled} settled, {unsettled} did not, {beyond} reached the bound",
        report.seconds,
    )
}

fn show_again(out: &mut dyn Write, again: &Again) -> io::Result<()> {
    let (Some(difference), Some(schedule)) = (&again.difference, again.schedule) else {
        let end = styled(GOOD, "everything is the same");
        return writeln!(out, "  twice: {end}; digest {:016x}", again.digest);
    };
    writeln!(out, "  twice: the second run of schedule {} differs", HumanCount(schedule))?;
    show_difference(out, difference)
}

fn verdicts(report: &Report, registry: &Registry) -> Table {
    let mut table = table();
    // A path that is broken into lines cannot be copied.
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([" property", "kind", "verdict", "schedules", "first", "steps", "shrunk", ""]);
    let number = |number: Option<u64>| {
        let text = number.map_or(String::new(), |number| HumanCount(number).to_string());
        Cell::new(text).set_alignment(CellAlignment::Right)
    };
    for row in &report.properties {
        table.add_row([
            Cell::new(format!(" {}", row.name)),
            Cell::new(format!("{:?}", row.kind).to_lowercase()),
            Cell::new(row.verdict).fg(colour(row)),
            number((row.more.violations > 0).then_some(row.more.violations)),
            number(row.more.schedule),
            number(row.more.raw_steps.map(|steps| steps as u64)),
            number(row.steps.map(|steps| steps as u64)),
            remark(row, registry),
        ]);
        for other in &row.more.others {
            let path = other.trace.as_deref().unwrap_or_default();
            let said = with_complaint(registry, path, &other.counterexample, &other.symptom);
            table.add_row([
                Cell::new(""),
                Cell::new(""),
                Cell::new("another kind").fg(colour(row)),
                number(Some(other.violations)),
                number(Some(other.schedule)),
                number(Some(other.raw_steps as u64)),
                number(Some(other.steps as u64)),
                Cell::new(said),
            ]);
        }
    }
    table
}

/// A violation that is expected is no alarm.
fn colour(row: &Row) -> Color {
    match (row.comparison(), row.verdict) {
        (Comparison::Differs, _) => Color::Red,
        (_, Verdict::NotViolated) if row.more.witnessed => Color::Green,
        _ => Color::Yellow,
    }
}

/// The name of the file of a counterexample, its complaint, and the kind of step after which it complains.
fn with_complaint(registry: &Registry, path: &str, trace: &Trace, symptom: &Symptom) -> String {
    let replay = |(known, property): (Known, &'static Property)| {
        known.harness(&trace.environment).replay(trace, property, Mode::Exact, None).outcome
    };
    let complaint = match registry.of(trace).map(replay) {
        Ok(Outcome::Violated { complaints, .. }) => complaints.into_iter().next(),
        Ok(_) | Err(_) => None,
    };
    // The symptom has no names and numbers.
    let complaint = complaint.unwrap_or_else(|| symptom.complaint.clone());
    let after = symptom.after.map_or(String::new(), |ending| format!(", after {ending}"));
    format!("{path}  {}{after}", printable(&complaint))
}

fn remark(row: &Row, registry: &Registry) -> Cell {
    let trace = row.trace.as_deref().unwrap_or_default();
    // Of one kind, the name of the property says enough.
    let symptom = row.more.symptom.as_ref().filter(|_| !row.more.others.is_empty());
    let trace = match (symptom, &row.counterexample) {
        (Some(symptom), Some(run)) => with_complaint(registry, trace, run, symptom),
        (None, _) | (_, None) => trace.into(),
    };
    match (row.comparison(), row.expected, row.verdict) {
        (Comparison::Differs, Some(expected), _) => {
            Cell::new(format!("{trace}  expected: {expected}")).fg(Color::Red)
        }
        (Comparison::Differs, None, _) => {
            Cell::new(format!("{trace}  not expected")).fg(Color::Red)
        }
        (_, _, Verdict::NotViolated) if !row.more.witnessed => Cell::new("never exercised"),
        _ => Cell::new(trace),
    }
}

/// `changed` is the number of known traces that do not violate their property as before.
fn conclusion(scenarios: usize, worst: Comparison, changed: usize) -> Remark {
    let scenarios = counted(scenarios, "scenario");
    let end = match worst {
        Comparison::AsExpected => styled(GOOD, "no unexpected violation"),
        Comparison::Cut => styled(DOUBTFUL, "cut short; no unexpected violation so far"),
        Comparison::Differs if changed > 0 => {
            let traces = if changed == 1 {
                "a known trace".into()
            } else {
                format!("{changed} known traces")
            };
            styled(BAD, format!("not as expected: {traces} fixed or not reproduced, see above"))
        }
        Comparison::Differs => styled(BAD, "not as expected"),
    };
    Remark(format!("{scenarios}: {end}"))
}
