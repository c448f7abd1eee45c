//! The result of a scenario as text: in full, or in a line.

use crate::{
    cli::{BAD, DOUBTFUL, GOOD, STRONG, WEAK, show_difference, styled, table},
    explore::audit::Audit,
    io::text::{grouped, wrapped},
    verdict::{
        check::{Report, Row},
        outcome::{Comparison, Verdict},
        report::{Case, Section, json::Object},
        scenario::Scenario,
    },
};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use indicatif::{DecimalBytes, HumanCount};
use std::io::{self, Write};

/// A scenario that was explored.
pub(super) struct Checked<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) report: Report,
    pub(super) audit: Option<Audit>,
    pub(super) extent: Extent,
}

/// The extent to which a scenario is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extent {
    /// In full: it is the only one.
    Whole,
    /// A line. The name takes this many columns, so that lines stand below each other.
    Line(usize),
}

impl Extent {
    /// In full if there is one scenario, otherwise in a line.
    pub(super) fn of(scenarios: &[Scenario]) -> Self {
        let names = scenarios.iter().map(|scenario| scenario.name.chars().count());
        if scenarios.len() == 1 { Self::Whole } else { Self::Line(names.max().unwrap_or_default()) }
    }
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
        let Self { scenario, report, audit, extent } = self;
        match extent {
            Extent::Whole => show_all(out, scenario, report)?,
            Extent::Line(width) => show_line(out, report, *width)?,
        }
        if let Some(audit) = audit {
            show_audit(out, audit)?;
        }
        match extent {
            Extent::Whole => writeln!(out),
            Extent::Line(_) => Ok(()),
        }
    }
}

fn show_all(out: &mut dyn Write, scenario: &Scenario, report: &Report) -> io::Result<()> {
    writeln!(out, "{}  {}", styled(STRONG, &scenario.name), scenario.summary)?;
    writeln!(out, "  {}", scenario.environment)?;
    show_search(out, report)?;
    writeln!(out, "{}", verdicts(report).trim_fmt())?;
    show_unjudged(out, scenario)
}

/// Names the properties of the protocol that the scenario does not judge.
fn show_unjudged(out: &mut dyn Write, scenario: &Scenario) -> io::Result<()> {
    let unjudged = scenario.unjudged();
    if unjudged.is_empty() {
        return Ok(());
    }
    let said =
        format!("not judged, because the scenario does not name them: {}", unjudged.join(", "));
    for line in wrapped(&said, 78) {
        writeln!(out, "  {}", styled(WEAK, line))?;
    }
    Ok(())
}

/// `gms3/joined-3    4,335 worlds  10/14 hold     0.0 s`. Where something is not as expected, that stands in place of the
/// time.
fn show_line(out: &mut dyn Write, report: &Report, width: usize) -> io::Result<()> {
    let holds = report.properties.iter().filter(|row| row.verdict == Verdict::Holds).count();
    let end = match report.comparison() {
        Comparison::AsExpected => format!("{:>6.1} s", report.seconds),
        Comparison::Cut => styled(DOUBTFUL, " cut"),
        Comparison::Differs => styled(BAD, " differs"),
    };
    writeln!(
        out,
        "{:width$}  {:>7} worlds  {holds:>2}/{:<2} hold {end}",
        report.subject.scenario,
        grouped(report.states),
        report.properties.len(),
    )
}

/// A probability that people would want to know of: that of more than six million worlds.
const WORTH_MENTION: f64 = 1e-6;

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
    )?;
    if report.confusion > WORTH_MENTION {
        writeln!(
            out,
            "  two worlds were taken for one, and so one was missed, with a probability of {:.0e}",
            report.confusion
        )?;
    }
    Ok(())
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
    if row.verdict == Verdict::Unwitnessed {
        return Cell::new(format!("not exercised; in no world: {}", row.more.exercise));
    }
    Cell::new(match (&row.trace, row.more.means) {
        (Some(trace), _) => trace.clone(),
        (None, Some(means)) if row.verdict == Verdict::Holds => format!("by {means}"),
        (None, _) => String::new(),
    })
}
