//! `interrex check`.

mod bless;
mod interrupted;
mod table;

use super::{
    BAD, Command, DOUBTFUL, Exit, Failure, Folders, GOOD,
    answer::{Answer, Remark},
    broken::Broken,
    choice::choice,
    chosen::Chosen,
    cores,
    coverage::Covered,
    made::{Expectations, Made},
    size::parse_size,
    stop::{NotBegun, stop},
    styled,
    time::parse_seconds,
};
use crate::{
    evidence::trace::Trace,
    explore::{
        search::{EngineName, Limits, Pass, Progress},
        stop::Stop,
    },
    io::{
        file::{self, FileError, shown},
        text::counted,
    },
    verdict::{check::Report, outcome::Comparison, report::Format, row, scenario::Scenario},
};
use bless::Blessed;
use indicatif::{ProgressBar, ProgressStyle};
use interrupted::Interrupted;
use std::{
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};
use table::{Checked, Extent};

/// Explore scenarios exhaustively and judge their properties
///
/// Without patterns: every scenario that is not marked nightly. One scenario is
/// shown in full, of several each is a line. What is not as expected comes last,
/// with the shortest run that shows it. Or describe a scenario in arguments:
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
    /// The number of threads that explore; if not given, one for each core. The results are the same on any number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// The format of the report
    #[arg(long, value_parser = choice::<Format>(), default_value_t = Format::Text)]
    format: Format,
    /// Print only the results that are not as expected, and the conclusion
    #[arg(long)]
    quiet: bool,
    /// Count how often each protocol has handled each kind of event in each role, and emitted each kind of effect.
    /// Those that never occurred must be listed in <scenarios>/<protocol>/unreachable.toml, with a reason; those that did
    /// must not be listed there. That is judged for a protocol if all its scenarios but the nightly ones are run
    #[arg(long)]
    coverage: bool,
    /// Visit everything once more, on one thread, and let the machine compute everything again: one that depends on
    /// anything but its input is reported with the first step that differs. The digest is the same on every computer
    #[arg(long)]
    twice: bool,
    #[command(flatten)]
    kept: Kept,
    #[command(flatten)]
    interrupted: Interrupted,
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
    #[command(flatten)]
    expectations: Expectations,
}

/// The files to write.
#[derive(Debug, clap::Args)]
struct Kept {
    /// Write the shortest counterexamples below this folder
    #[arg(long, value_name = "DIR")]
    save_traces: Option<PathBuf>,
    /// Write what was found into the files of the scenarios, in place of what differs, and the new runs into the folder
    /// of known traces; and say what to review. The next check is then as expected
    #[arg(long, conflicts_with = "protocol")]
    bless: bool,
}

impl Check {
    pub(super) fn run(&self, of: &Command) -> Result<Exit, Failure> {
        let places = self.folders.of(of);
        let scenarios = match &self.made.protocol {
            Some(protocol) => vec![self.made.scenario(of.known(protocol)?, &self.expectations)?],
            None => self.chosen.among(places.scenarios()?, of)?,
        };
        if self.made.protocol.is_none()
            && let Some(refused) = self.made.refused(&scenarios)
        {
            return Err(refused);
        }
        if let Some(folder) = &self.kept.save_traces {
            file::can_hold_files(folder)?;
        }
        self.interrupted.prepare(&scenarios, self.engine)?;
        let mut answer = Answer::new(self.format);
        if self.quiet {
            answer = answer.quiet();
        }
        let extent = Extent::of(&scenarios);
        let blessed = self.kept.bless.then(|| Blessed::of(&scenarios, &places.traces));
        let mut blessed = blessed.transpose()?;
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
            let mut checked = self.check(scenario, covered.as_mut(), stop, extent)?;
            name_traces(&mut checked.report, self.kept.save_traces.as_deref(), &places.traces);
            answer.add(&checked)?;
            if self.made.protocol.is_some()
                && let Some(remedy) = idle(&checked.report)
            {
                answer.add(&remedy)?;
            }
            if let Some(folder) = &self.kept.save_traces {
                save_traces(&checked.report.properties, folder)?;
            }
            if let Some(blessed) = &mut blessed {
                blessed.write(&checked, &places.traces)?;
            }
        }
        if let Some(covered) = covered {
            covered.add_to(&mut answer)?;
        }
        let made = self.made.protocol.is_some();
        let broken = Broken { scenarios: &scenarios, cases: answer.noted(), program: of.name };
        let blessed = blessed.map_or(String::new(), |blessed| blessed.to_string());
        let end = conclusion(scenarios.len(), answer.worst(), made);
        let rest = self.interrupted.rest(answer.worst());
        answer.add(&Remark(format!("{broken}{blessed}{end}{rest}")))?;
        answer.end()
    }

    fn threads(&self) -> usize {
        self.threads.map_or_else(cores, usize::from)
    }

    fn check<'a>(
        &self,
        scenario: &'a Scenario,
        covered: Option<&mut Covered>,
        stop: Stop,
        extent: Extent,
    ) -> Result<Checked<'a>, Failure> {
        let limits = Limits {
            threads: self.threads(),
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
        let report = match self.interrupted.checkpoint(scenario) {
            None => harness.check(scenario, Some(self.engine), limits, &mut progress),
            Some(checkpoint) => {
                let report = harness.check_kept(scenario, &checkpoint, limits, &mut progress)?;
                interrupted::warn(&checkpoint);
                report
            }
        };
        let audit = self.twice.then(|| {
            bar.set_message("running everything twice");
            harness.audit(limits, &mut |states| bar.set_position(states))
        });
        bar.finish_and_clear();
        if let Some(covered) = covered {
            let coverage = harness.coverage();
            covered.add(if report.complete { coverage } else { coverage.cut_short() });
        }
        Ok(Checked { scenario, report, audit, extent })
    }
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

/// The remedy for a scenario in which nothing happens.
fn idle(report: &Report) -> Option<Remark> {
    let said = "nothing can happen: give it a budget, as in --budget commands=1,crashes=1\n";
    (report.complete && report.states == 1).then(|| Remark(said.into()))
}

fn conclusion(scenarios: usize, worst: Comparison, made: bool) -> String {
    let scenarios = counted(scenarios, "scenario");
    let end = match worst {
        Comparison::AsExpected if made => {
            styled(GOOD, "complete; nothing contradicts what was expected")
        }
        Comparison::AsExpected => styled(GOOD, "as expected"),
        Comparison::Cut => {
            styled(DOUBTFUL, "cut short by a limit: what is not violated is unknown")
        }
        Comparison::Differs => styled(BAD, "not as expected"),
    };
    format!("{scenarios}: {end}")
}
