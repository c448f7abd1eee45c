//! `interrex validate`.

use super::{BAD, DOUBTFUL, Exit, Failure, Format, STRONG, shown, styled, table};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement};
use interrex_models::{
    claim::property::Property,
    evidence::trace::Trace,
    io::text::printable,
    real::validate::{Carried, Carry, NotCarried, Validation, Verdict, validate},
};
use serde_json::json;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Judge the logs of real nodes: run the machine over each, join them, and judge the properties
///
/// Every effect must be as it was logged. The logs are joined to one run, causes before effects, and
/// the protocol's properties are judged on it. Give the logs of all nodes of a cluster. A run that
/// violates a property can be saved as a trace, for `interrex replay` and `interrex shrink`.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit_codes! {
    "0    the machine does what the logs say, and they violate nothing that is not allowed"
    "1    it does something else, the logs contradict each other, or a property is violated"
    "2    bad usage, or a bad log"
})]
pub(super) struct Validate {
    /// The logs, one of each node or several
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// A property that may be violated; can be given more than once
    #[arg(long, value_name = "PROPERTY")]
    allow: Vec<String>,
    /// Write the run that violates a property to this file, as a trace. Of several properties, that is
    /// the first that may not be violated
    #[arg(long, value_name = "FILE")]
    save_trace: Option<PathBuf>,
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How many contradictions people are shown: one missing log makes very many.
const SHOWN: usize = 10;

impl Validate {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let carry =
            if self.save_trace.is_some() { Carry::FirstBut(&self.allow) } else { Carry::Nothing };
        let validation = validate(&self.logs, carry)?;
        for name in &self.allow {
            validation.protocol.property(name).map_err(Failure::Usage)?;
        }
        let mut out = anstream::stdout().lock();
        match self.format {
            Format::Text => self.show(&mut out, &validation)?,
            Format::Json => self.tell(&mut out, &validation)?,
        }
        match (&self.save_trace, &validation.carried) {
            (Some(path), Some(carried)) => self.save(&mut out, path, carried)?,
            (Some(_), None) if self.format == Format::Text => {
                writeln!(out, "no trace: nothing is violated that may not be")?;
            }
            _ => {}
        }
        Ok(self.exit(&validation))
    }

    fn is_allowed(&self, property: &Property) -> bool {
        self.allow.iter().any(|name| name == property.name)
    }

    fn exit(&self, validation: &Validation) -> Exit {
        let is_bad = |(property, verdict): &(&Property, Verdict)| {
            matches!(verdict, Verdict::Violated { .. }) && !self.is_allowed(property)
        };
        let agrees = validation.differences.is_empty() && validation.contradictions.is_empty();
        if agrees && !validation.verdicts.iter().any(is_bad) {
            Exit::AsExpected
        } else {
            Exit::Differs
        }
    }

    fn show(&self, out: &mut impl Write, validation: &Validation) -> io::Result<()> {
        writeln!(out, "{}", styled(STRONG, validation.protocol.name()))?;
        let mut logs = table();
        // A path that is broken into lines cannot be copied.
        logs.set_content_arrangement(ContentArrangement::Disabled);
        let counted = ["lives", "steps", "ended"].map(number);
        logs.set_header([["log", "node"].map(Cell::new).to_vec(), counted.to_vec()].concat());
        for log in &validation.logs {
            let node = log.node.map_or_else(|| "-".into(), |node| node.to_string());
            let counts = [log.lives, log.steps, log.ends].map(|count| number(&count.to_string()));
            logs.add_row(
                [vec![Cell::new(shown(&log.path)), Cell::new(node)], counts.to_vec()].concat(),
            );
        }
        writeln!(out, "{}\n", logs.trim_fmt())?;
        for difference in &validation.differences {
            writeln!(out, "{} {}", styled(BAD, "differs:"), printable(&difference.to_string()))?;
        }
        for contradiction in validation.contradictions.iter().take(SHOWN) {
            let said = printable(&contradiction.to_string());
            writeln!(out, "{} {said}", styled(BAD, "cannot be:"))?;
        }
        if let Some(more) = validation.contradictions.len().checked_sub(SHOWN + 1) {
            writeln!(out, "and {} more that cannot be", more + 1)?;
        }
        if validation.lost > 0 {
            let lost = styled(DOUBTFUL, format!("lost: {}", validation.lost));
            writeln!(out, "{lost} messages that never arrived, though later ones did")?;
        }
        let mut verdicts = table();
        verdicts.set_header(["property", "verdict", ""]);
        for (property, verdict) in &validation.verdicts {
            verdicts.add_row(self.row(property, verdict));
        }
        writeln!(out, "{}", verdicts.trim_fmt())
    }

    fn row(&self, property: &Property, verdict: &Verdict) -> [Cell; 3] {
        let (colour, said, why) = match verdict {
            Verdict::Holds => (Color::Green, "holds", String::new()),
            Verdict::NotJudged(why) => (Color::DarkGrey, "not judged", why.clone()),
            Verdict::Violated { complaints, count, place } => {
                let colour = if self.is_allowed(property) { Color::Yellow } else { Color::Red };
                let first = complaints.first().map_or("", String::as_str);
                let more =
                    if *count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
                let place =
                    place.as_ref().map(|place| format!(", first at {place}")).unwrap_or_default();
                (colour, "violated", format!("{first}{more}{place}"))
            }
        };
        [Cell::new(property.name), Cell::new(said).fg(colour), Cell::new(printable(&why))]
    }

    fn tell(&self, out: &mut impl Write, validation: &Validation) -> io::Result<()> {
        for log in &validation.logs {
            writeln!(out, "{}", json!({ "log": log }))?;
        }
        for difference in &validation.differences {
            writeln!(out, "{}", json!({ "differs": difference }))?;
        }
        for contradiction in &validation.contradictions {
            writeln!(out, "{}", json!({ "cannot_be": contradiction }))?;
        }
        if validation.lost > 0 {
            writeln!(out, "{}", json!({ "lost": validation.lost }))?;
        }
        for (property, verdict) in &validation.verdicts {
            let allowed = self.is_allowed(property);
            let verdict =
                json!({ "property": property.name, "verdict": verdict, "allowed": allowed });
            writeln!(out, "{verdict}")?;
        }
        Ok(())
    }

    fn save(&self, out: &mut impl Write, path: &Path, carried: &Carried) -> Result<(), Failure> {
        let name = carried.property.name;
        let said = match &carried.outcome {
            Ok((trace, left_out)) => {
                trace.save(path)?;
                self.saved(path, name, trace, left_out)
            }
            Err(why) => self.not_saved(name, why),
        };
        writeln!(out, "{said}")?;
        Ok(())
    }

    fn saved(&self, path: &Path, property: &str, trace: &Trace, left_out: &[String]) -> String {
        let steps = trace.steps.len();
        if self.format == Format::Json {
            return json!({ "trace": path, "property": property, "steps": steps, "left_out": left_out })
                .to_string();
        }
        let without = if left_out.is_empty() {
            String::new()
        } else {
            format!("; left out: {}", left_out.join(", "))
        };
        let path = path.display();
        format!(
            "{path}: the run that violates {property}, {steps} {}{without}",
            if steps == 1 { "step" } else { "steps" }
        )
    }

    fn not_saved(&self, property: &str, why: &NotCarried) -> String {
        if self.format == Format::Json {
            let place = &why.place;
            return json!({ "no_trace": why.reason, "property": property, "place": place })
                .to_string();
        }
        let said = styled(DOUBTFUL, format!("no trace of {property}:"));
        format!("{said} {}", printable(&why.to_string()))
    }
}

fn number(text: &str) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
