//! `interrex replay`.

use super::{
    BAD, Command, DOUBTFUL, Exit, Failure, GOOD, STRONG, WEAK,
    answer::Answer,
    choice::{FormatOr, format_or},
    styled,
};
use crate::{
    claim::property::Property,
    evidence::{
        draw::{
            chart::Chart,
            html::{self, Claim},
            mermaid,
            svg::{self, Caption},
            text,
        },
        replay::{self, Mode, Outcome, Replayed},
        trace::Trace,
    },
    io::{
        file::{FileError, shown},
        text::{counted, plain, printable},
    },
    verdict::{
        outcome::Comparison,
        report::{Case, Format, Place, Section, json::Object},
    },
};
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// Run a trace again and show every step
///
/// Every effect must be as it was recorded: the first step that differs ends the replay. With
/// --schedule-only, effects may differ; the result is whether this run still violates the property. A run that does not
/// says nothing about others: `interrex check` visits them all. Where something is left to do at the end of the trace, a
/// settled property is not judged yet: the run goes on with what is delivered first, and says so.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit_codes! {
    "0    it replays; with --schedule-only, the run does not violate the property"
    "1    it does not replay; with --schedule-only, it still violates the property"
    "2    bad usage, or a bad trace"
    "3    undecided: nothing is violated, but some steps are no longer possible, or"
    "     the run does not come to where the property is judged"
})]
pub(super) struct Replay {
    /// The trace file
    trace: PathBuf,
    /// Run today's protocol with the actions of the trace, without those that are no longer possible; exit
    /// code 0: the run does not violate the property now
    #[arg(long)]
    schedule_only: bool,
    /// Stop after this step; the first is 1
    #[arg(long, value_name = "K")]
    until: Option<NonZeroUsize>,
    /// The format: every step with its effects and changes of state, a drawing, or for programs
    #[arg(long, value_parser = format_or::<Drawing>(), default_value = <&str>::from(Format::Text))]
    format: FormatOr<Drawing>,
}

/// Another way to show a replay to people.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
enum Drawing {
    /// For people: a sequence diagram in characters
    Diagram,
    /// A picture of messages in space and time
    Svg,
    /// A page that steps through the run: one file
    Html,
    /// A sequence diagram for pages in Markdown
    Mermaid,
}

impl Replay {
    pub(super) fn run(&self, of: &Command) -> Result<Exit, Failure> {
        let trace = Trace::read(&self.trace)?;
        let (known, property) =
            of.registry.of(&trace).map_err(|message| FileError::new(&self.trace, message))?;
        let until = self.until_step(trace.steps.len())?;
        let mode = if self.schedule_only { Mode::Schedule } else { Mode::Exact };
        let harness = known.harness(&trace.environment);
        let replay = match (mode, until) {
            (Mode::Schedule, None) => harness.reproduce(&trace, property),
            (Mode::Schedule | Mode::Exact, _) => harness.replay(&trace, property, mode, until),
        };
        let drawing = self.format.own();
        let mut answer = Answer::new(self.format.format());
        let program = of.name;
        answer.add(&Shown {
            path: &self.trace,
            trace,
            property,
            mode,
            replay,
            drawing,
            program,
        })?;
        answer.end()
    }

    /// The step to stop after, of this many. None, if that is the last one.
    fn until_step(&self, steps: usize) -> Result<Option<usize>, Failure> {
        let until = self.until.map(NonZeroUsize::get);
        match until {
            Some(until) if until > steps => {
                Err(Failure::Usage(format!("--until {until}: the trace has {steps} steps")))
            }
            _ => Ok(until.filter(|until| *until < steps)),
        }
    }
}

/// A replayed trace.
struct Shown<'a> {
    path: &'a Path,
    trace: Trace,
    property: &'static Property,
    mode: Mode,
    replay: replay::Replay,
    drawing: Option<Drawing>,
    /// The name of the program.
    program: &'a str,
}

impl Shown<'_> {
    /// The claim of the run: the property is violated, or was when the run was recorded.
    fn title(&self) -> String {
        let Trace { protocol, property, .. } = &self.trace;
        match self.replay.outcome {
            Outcome::Violated { .. } => self.trace.title(),
            _ if !self.trace.violates => {
                format!("a run of {protocol} that was recorded without a violation of {property}")
            }
            _ => format!("a run of {protocol} that was recorded because it violated {property}"),
        }
    }

    fn caption(&self, chart: &Chart) -> Caption {
        let Trace { scenario, environment, cause, .. } = &self.trace;
        let source = format!("Found in {scenario}: {environment}. {cause}");
        let sentence = chart.violation().unwrap_or_else(|| self.said());
        Caption {
            title: self.title(),
            source: printable(&source),
            sentences: [printable(&sentence)].into_iter().chain(self.added()).collect(),
        }
    }

    /// The document of a drawing.
    fn drawn(&self, drawing: Drawing) -> String {
        let chart = Chart::of(&self.replay);
        match drawing {
            Drawing::Diagram => text::draw(&chart),
            Drawing::Svg => svg::draw(&chart, &self.caption(&chart)),
            Drawing::Html => html::draw(&chart, &self.caption(&chart), Claim::of(self.property)),
            Drawing::Mermaid => mermaid::draw(&chart, &self.title()),
        }
    }

    /// An exact replay is to show what was recorded: a violation, or none. That of a schedule, that there is none now.
    fn status(&self) -> Comparison {
        match (&self.replay.outcome, self.mode) {
            (Outcome::Violated { .. }, Mode::Exact) if self.trace.violates => {
                Comparison::AsExpected
            }
            (Outcome::NotViolated | Outcome::Unsettled, Mode::Exact) if !self.trace.violates => {
                Comparison::AsExpected
            }
            (Outcome::NotViolated, Mode::Schedule) | (Outcome::Partial, _) => {
                Comparison::AsExpected
            }
            (Outcome::NotReproduced | Outcome::Unsettled, _) => Comparison::Cut,
            _ => Comparison::Differs,
        }
    }

    fn stopped(&self) -> String {
        let (after, all) = (self.replay.steps.len(), self.trace.steps.len());
        format!("stopped after step {after} of {all} (--until)")
    }

    /// How the run went on after the trace, if it did.
    fn added(&self) -> Option<String> {
        let (taken, recorded) = (self.replay.steps.len(), self.trace.steps.len());
        let more = taken.checked_sub(recorded).filter(|more| *more > 0)?;
        let recorded = counted(recorded, "step");
        let lead = if more == 1 { "leads" } else { "lead" };
        Some(format!("the trace has {recorded}; {more} more {lead} to where nothing is left to do"))
    }

    fn message(&self) -> String {
        let said = self.said();
        self.added().map_or(said.clone(), |added| format!("{said} ({added})"))
    }

    fn said(&self) -> String {
        match &self.replay.outcome {
            Outcome::Violated { after, complaints } => {
                format!("violated after step {after}: {}", complaints.join("; "))
            }
            Outcome::NotViolated => "not violated in this run".into(),
            Outcome::Unsettled => format!("undecided: {UNSETTLED}"),
            Outcome::NotReproduced => format!("not reproduced: {}", left_out(&self.replay)),
            Outcome::Diverged { step, .. } => format!("step {step} differs from the trace"),
            Outcome::Impossible { step, reason } => {
                format!("step {step} is not possible: {reason}")
            }
            Outcome::Partial => self.stopped(),
        }
    }
}

impl Section for Shown<'_> {
    fn cases(&self) -> Vec<Case> {
        let case = Case::new(shown(self.path), self.property.name, self.status(), self.message());
        vec![case.at(Some(Place::new(self.path, 1)))]
    }

    /// An object for each step, then one for the end.
    fn objects(&self) -> Vec<Object> {
        let (property, outcome) = (self.property.name, &self.replay.outcome);
        let left_out = self.replay.left_out();
        let end = json!({ "property": property, "outcome": outcome, "left_out": left_out });
        let steps = self.replay.steps.iter().map(|step| Object::new("step", step));
        steps.chain([Object::new("replay", end)]).collect()
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.drawing {
            None => {
                self.heading(out)?;
                self.replay.steps.iter().try_for_each(|step| show(out, step))?;
                self.conclude(out)
            }
            Some(Drawing::Diagram) => {
                self.heading(out)?;
                writeln!(out, "\n{}", self.drawn(Drawing::Diagram))?;
                self.conclude(out)
            }
            Some(drawing @ (Drawing::Svg | Drawing::Html | Drawing::Mermaid)) => {
                write!(out, "{}", self.drawn(drawing))
            }
        }
    }
}

/// Why a run that violates nothing does not say that its property holds.
const UNSETTLED: &str = "the run ends where something is left to do";

fn show(out: &mut dyn Write, step: &Replayed) -> io::Result<()> {
    if step.begins_loop {
        writeln!(out, "\n  {}  from here, for ever", text::LOOP)?;
    }
    let action = styled(STRONG, printable(&step.action));
    writeln!(out, "\n{:>3}  {action}", step.step)?;
    if let Some(reason) = &step.left_out {
        return writeln!(out, "     left out: {}", printable(reason));
    }
    if let Some(met) = &step.met {
        let content = plain(met.get("message").map_or(met, |message| &message["message"]));
        match step.node {
            Some(node) => writeln!(out, "     {node} handles {content}")?,
            None => writeln!(out, "     the message: {content}")?,
        }
    }
    effects(out, &step.effects)?;
    for change in &step.changes {
        let before = styled(WEAK, plain(&change.before));
        writeln!(out, "     {}: {before} ⇒ {}", change.what, plain(&change.after))?;
    }
    Ok(())
}

fn effects(out: &mut dyn Write, effects: &[Value]) -> io::Result<()> {
    for effect in effects {
        writeln!(out, "     → {}", plain(effect))?;
    }
    Ok(())
}

/// `2 of 5 steps are not possible and were left out`.
fn left_out(replay: &replay::Replay) -> String {
    let (left_out, all) = (replay.left_out(), replay.steps.len());
    let are = if left_out == 1 { "is not possible and was" } else { "are not possible and were" };
    format!("{left_out} of {all} steps {are} left out")
}

impl Shown<'_> {
    fn heading(&self, out: &mut dyn Write) -> io::Result<()> {
        let Trace { scenario, environment, cause, .. } = &self.trace;
        writeln!(out, "{}", styled(STRONG, self.title()))?;
        writeln!(out, "  found in {}: {environment}", printable(scenario))?;
        if !cause.is_empty() {
            writeln!(out, "  {}", printable(cause))?;
        }
        Ok(())
    }

    /// The outcome, for people.
    fn conclude(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out)?;
        let Self { replay, mode, .. } = self;
        let Property { name, claim, .. } = self.property;
        match &replay.outcome {
            Outcome::Violated { after, complaints } => {
                let still = if *mode == Mode::Schedule { "still " } else { "" };
                let title = format!("{name} is {still}violated after step {after}");
                writeln!(out, "{}", styled(BAD, title))?;
                writeln!(out, "  It claims: {claim}")?;
                for complaint in complaints {
                    writeln!(out, "  Here: {complaint}")?;
                }
                if replay.left_out() > 0 {
                    writeln!(out, "{}", left_out(replay))?;
                }
            }
            Outcome::NotViolated => {
                let style = if self.status() == Comparison::AsExpected { GOOD } else { BAD };
                writeln!(out, "{}", styled(style, format!("{name} is not violated in this run")))?;
            }
            Outcome::Unsettled if self.status() == Comparison::AsExpected => {
                let title = format!("{name} is not violated so far: {UNSETTLED}");
                writeln!(out, "{}", styled(GOOD, title))?;
            }
            Outcome::Unsettled => {
                let title = format!("{name} is undecided: {UNSETTLED}");
                writeln!(out, "{}", styled(DOUBTFUL, title))?;
                writeln!(out, "  {}", Claim::of(self.property).judged)?;
                writeln!(out, "  `{} check` explores how it goes on, and decides", self.program)?;
            }
            Outcome::NotReproduced => {
                let said = format!("not reproduced: {}", left_out(replay));
                writeln!(out, "{}", styled(DOUBTFUL, said))?;
                writeln!(
                    out,
                    "without them {name} is not violated, which says nothing about the whole run"
                )?;
            }
            Outcome::Diverged { step, recorded, now } => {
                writeln!(out, "{}", styled(BAD, format!("step {step} differs from the trace")))?;
                writeln!(out, "  recorded:")?;
                effects(out, recorded)?;
                writeln!(out, "  now:")?;
                effects(out, now)?;
            }
            Outcome::Impossible { step, reason } => {
                let title = format!("step {step} is not possible:");
                writeln!(out, "{} {}", styled(BAD, title), printable(reason))?;
            }
            Outcome::Partial => writeln!(out, "{}", self.stopped())?,
        }
        self.added().map_or(Ok(()), |added| writeln!(out, "  {added}"))
    }
}
