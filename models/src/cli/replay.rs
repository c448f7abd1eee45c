//! `interrex replay`.

use super::{BAD, Exit, Failure, GOOD, STRONG, WEAK, styled};
use clap::ValueEnum;
use interrex_models::{
    claim::property::Property,
    evidence::{
        diagram,
        replay::{Mode, Outcome, Replayed, replay},
        trace::Trace,
    },
    io::{
        file::FileError,
        text::{plain, printable},
    },
    protocol::registry::Known,
    with_protocol,
};
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// Run a trace again and show every step
///
/// Every effect must be as it was recorded: the first step that differs ends the replay. With
/// --schedule-only just the actions count, and the question is whether the property holds now.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit_codes! {
    "0    it replays; with --schedule-only, the property is not violated any more"
    "1    it does not replay; with --schedule-only, the property is still violated"
    "2    bad usage, or a bad trace"
})]
pub(super) struct Replay {
    /// The trace file
    trace: PathBuf,
    /// Run today's protocol under the trace's actions; leave out what is not possible any more
    #[arg(long)]
    schedule_only: bool,
    /// Stop behind this step
    #[arg(long, value_name = "K")]
    until: Option<usize>,
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Every step: action, effects, what changed at the node
    Text,
    /// A sequence diagram
    Diagram,
    /// A JSON object for each step, then one for the end
    Json,
}

impl Replay {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let trace = Trace::read(&self.trace)?;
        let (known, property) =
            Known::of(&trace).map_err(|message| FileError::new(&self.trace, message))?;
        let until = self.until.filter(|until| *until < trace.steps.len());
        let mode = if self.schedule_only { Mode::Schedule } else { Mode::Exact };
        let replay = with_protocol!(known, &trace.environment, protocol => replay(protocol, &trace, property, mode, until));

        let mut out = anstream::stdout().lock();
        match self.format {
            Format::Text => {
                heading(&mut out, &trace)?;
                for step in &replay.steps {
                    show(&mut out, step)?;
                }
                conclude(&mut out, &replay.outcome, property, mode)?;
            }
            Format::Diagram => {
                heading(&mut out, &trace)?;
                writeln!(out, "\n{}", diagram::draw(&replay.up, &replay.steps))?;
                conclude(&mut out, &replay.outcome, property, mode)?;
            }
            Format::Json => {
                for step in &replay.steps {
                    writeln!(out, "{}", json!(step))?;
                }
                let end = json!({ "property": property.name, "outcome": replay.outcome });
                writeln!(out, "{end}")?;
            }
        }
        Ok(exit(&replay.outcome, mode))
    }
}

/// An exact replay expects the violation that was recorded; a schedule, that it is gone.
fn exit(outcome: &Outcome, mode: Mode) -> Exit {
    match (outcome, mode) {
        (Outcome::Violated { .. }, Mode::Exact)
        | (Outcome::NotViolated, Mode::Schedule)
        | (Outcome::Partial, _) => Exit::AsExpected,
        _ => Exit::Differs,
    }
}

fn heading(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    let Trace { protocol, scenario, environment, property, cause, .. } = trace;
    let title = format!("{protocol} violates {property}");
    writeln!(out, "{}", styled(STRONG, title))?;
    writeln!(out, "  found in {}: {environment}", printable(scenario))?;
    if !cause.is_empty() {
        writeln!(out, "  {}", printable(cause))?;
    }
    Ok(())
}

fn show(out: &mut impl Write, step: &Replayed) -> io::Result<()> {
    if step.begins_loop {
        writeln!(out, "\n  {}  from here, for ever", diagram::LOOP)?;
    }
    let action = styled(STRONG, printable(&step.action));
    writeln!(out, "\n{:>3}  {action}", step.step)?;
    if let Some(reason) = &step.left_out {
        return writeln!(out, "     left out: {}", printable(reason));
    }
    if let Some(met) = &step.met {
        let content = plain(met.get("message").map_or(met, |message| &message["message"]));
        match step.node {
            Some(node) => writeln!(out, "     {node} meets {content}")?,
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

fn effects(out: &mut impl Write, effects: &[Value]) -> io::Result<()> {
    for effect in effects {
        writeln!(out, "     → {}", plain(effect))?;
    }
    Ok(())
}

fn conclude(
    out: &mut impl Write,
    outcome: &Outcome,
    property: &Property,
    mode: Mode,
) -> io::Result<()> {
    writeln!(out)?;
    let Property { name, claim, .. } = property;
    match outcome {
        Outcome::Violated { after, complaints } => {
            let still = if mode == Mode::Schedule { "still " } else { "" };
            let title = format!("{name} is {still}violated after step {after}:");
            writeln!(out, "{} {claim}, but", styled(BAD, title))?;
            for complaint in complaints {
                writeln!(out, "  {complaint}")?;
            }
        }
        Outcome::NotViolated => {
            let style = if mode == Mode::Schedule { GOOD } else { BAD };
            writeln!(out, "{}", styled(style, format!("{name} is not violated in this run")))?;
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
        Outcome::Partial => writeln!(out, "stopped there, as asked")?,
    }
    Ok(())
}
