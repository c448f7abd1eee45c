//! `interrex validate`.

use super::{
    BAD, Command, DOUBTFUL, Exit, Failure, STRONG,
    answer::{Answer, Remark},
    choice::choice,
    failure, styled, table,
    time::{milliseconds, milliseconds_in},
};
use crate::{
    claim::property::Property,
    evidence::{
        draw::{
            chart::Chart,
            html::{self, Claim},
            svg::Caption,
        },
        replay::Mode,
        trace::Trace,
    },
    io::{
        file::{self, FileError, did_you_mean, shown},
        text::printable,
    },
    protocol::registry::Registry,
    real::validate::{Carried, Carry, Run, Validation, Verdict, Where, validate_with},
    verdict::{
        outcome::Comparison,
        report::{Case, Format, Place, Section, json::Object},
    },
};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use serde_json::json;
use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// Validate the logs of real nodes: run the machine on each log, and judge the properties on the whole run
///
/// Every effect must be as it was logged. The logs are merged into one run in which every message is sent before it
/// arrives, and the properties of the protocol are judged on it. Name the logs of all nodes of a cluster. A run that
/// violates a property can be saved as a trace, for `interrex replay` and `interrex shrink`.
///
/// Logs have only digests of messages, stored values and observations that are longer than 16 KiB. What a node has received
/// or stored is taken from the run of the machine on the log of its sender, or on that of the node's life before. Without
/// that log, nothing is judged.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit_codes! {
    "0    the machine does what the logs say, and no property is violated but"
    "     those of --allow"
    "1    it does something else, the logs contradict each other, another"
    "     property is violated, or the page of --html cannot be drawn"
    "2    bad usage, or a bad log"
    "3    nothing was judged: a log is missing, or a part of one"
})]
pub(super) struct Validate {
    /// The logs of all nodes; there may be several of one node
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// A property that may be violated; can be given more than once
    #[arg(long, value_name = "PROPERTY")]
    allow: Vec<String>,
    /// Write the run that violates a property to this file, as a trace. If several are violated, it is
    /// the run of the first that --allow does not name
    #[arg(long, value_name = "FILE")]
    save_trace: Option<PathBuf>,
    /// Write a page to this file that steps through the run: the run that violates a property, as for --save-trace, or
    /// else the whole run
    #[arg(long, value_name = "FILE", conflicts_with = "save_trace")]
    html: Option<PathBuf>,
    /// The largest difference of the hosts' clocks, in milliseconds, unless the messages in the logs show a larger one
    #[arg(long, value_name = "MS", default_value = "5", value_parser = milliseconds_in(0..=u64::from(u32::MAX)))]
    skew: Duration,
    /// The format of the report
    #[arg(long, value_parser = choice::<Format>(), default_value_t = Format::Text)]
    format: Format,
}

/// True if both paths lead to one file.
fn is_same(one: &Path, other: &Path) -> bool {
    fs::canonicalize(one).is_ok_and(|one| fs::canonicalize(other).is_ok_and(|it| it == one))
}

/// The number of contradictions that are shown to people: one missing log makes very many.
const SHOWN: usize = 10;

impl Validate {
    pub(super) fn run(&self, of: &Command) -> Result<Exit, Failure> {
        // Before the logs, which may take long.
        self.check_allowed(&of.registry)?;
        let written = self.save_trace.as_ref().or(self.html.as_ref());
        written.map_or(Ok(()), |path| file::can_be_written(path))?;
        if let Some(log) = written.and_then(|path| self.logs.iter().find(|log| is_same(log, path)))
        {
            return Err(FileError::new(log, "is one of the logs: it would be replaced").into());
        }
        let carry = match (&self.save_trace, &self.html) {
            (Some(_), _) => Carry::FirstBut(&self.allow),
            (None, Some(_)) => Carry::Any(&self.allow),
            (None, None) => Carry::Nothing,
        };
        let validation = validate_with(&of.registry, &self.logs, carry, self.skew)
            .map_err(|error| self.trace(of.name).unwrap_or_else(|| error.into()))?;
        for name in &self.allow {
            validation.protocol.property(name).map_err(Failure::Usage)?;
        }
        let mut answer = Answer::new(self.format);
        answer.add(&Validated { validation: &validation, allowed: &self.allow })?;
        let form = if self.html.is_some() { Form::Page } else { Form::Trace };
        match (written, &validation.carried) {
            (Some(path), Some(carried)) => {
                if let Ok(run) = &carried.outcome {
                    match form {
                        Form::Trace => run.trace.save(path)?,
                        Form::Page => file::write(path, &page(&validation, carried.property, run))?,
                    }
                }
                answer.add(&Saved { path, form, carried })?;
            }
            (Some(_), None) if self.html.is_none() => answer.add(&Remark(NO_TRACE.into()))?,
            (Some(_) | None, _) => {}
        }
        let exit = answer.end()?;
        match self.without_page(&validation) {
            Some(failure) if exit == Exit::AsExpected => Err(failure),
            Some(failure) => {
                failure.say(failure::Form::of(&env::args_os().collect::<Vec<_>>()));
                Ok(exit)
            }
            None => Ok(exit),
        }
    }

    /// The reason why there is no page, though one was asked for.
    fn without_page(&self, validation: &Validation) -> Option<Failure> {
        let page = self.html.as_ref()?;
        let why = match &validation.carried {
            Some(carried) => carried.outcome.as_ref().err()?.to_string(),
            None => "the logs are not joined to one run".into(),
        };
        let page = shown(page);
        Some(Failure::Ended(format!(
            "{page}: not written, for it is drawn from a run in the harness: {why}"
        )))
    }

    /// The failure, if one of the files is a trace.
    fn trace(&self, program: &str) -> Option<Failure> {
        let path = self.logs.iter().find(|path| Trace::read(path).is_ok())?.display();
        let advice = format!("`{program} replay {path}` runs it again");
        Some(Failure::Usage(format!("{path}: a trace, not the log of a node: {advice}")))
    }

    /// Which protocol ran is only known from the logs; a name that no protocol has is wrong already.
    fn check_allowed(&self, registry: &Registry) -> Result<(), Failure> {
        let all = registry.properties();
        let names = || all.iter().map(|property| property.name);
        for name in &self.allow {
            if !names().any(|known| known == name) {
                let hint = did_you_mean(name, names());
                let all = names().collect::<Vec<_>>().join(", ");
                return Err(Failure::Usage(format!(
                    "there is no property `{name}`{hint} (there are: {all})"
                )));
            }
        }
        Ok(())
    }
}

/// The result of a validation.
struct Validated<'a> {
    validation: &'a Validation,
    /// The names of the properties that may be violated.
    allowed: &'a [String],
}

impl Validated<'_> {
    fn is_allowed(&self, property: &Property) -> bool {
        self.allowed.iter().any(|name| name == property.name)
    }

    fn case(&self, property: &Property, verdict: &Verdict) -> Case {
        let (status, place) = match verdict {
            Verdict::Violated { place, .. } if !self.is_allowed(property) => {
                (Comparison::Differs, place.as_ref())
            }
            Verdict::Violated { place, .. } => (Comparison::AsExpected, place.as_ref()),
            Verdict::Holds | Verdict::Unwitnessed | Verdict::NotJudged(_) => {
                (Comparison::AsExpected, None)
            }
        };
        let (said, why) = said(verdict);
        let message = if why.is_empty() { said.into() } else { format!("{said}: {why}") };
        let protocol = self.validation.protocol.name();
        Case::new(protocol, property.name, status, message).at(place.map(place_of))
    }

    /// The reason why no property was judged, if it is the same for all.
    fn common_reason(&self) -> Option<&str> {
        let mut reasons = self.validation.verdicts.iter().map(|(_, verdict)| match verdict {
            Verdict::NotJudged(why) => Some(why.as_str()),
            Verdict::Holds | Verdict::Unwitnessed | Verdict::Violated { .. } => None,
        });
        let first = reasons.next().flatten()?;
        reasons.all(|why| why == Some(first)).then_some(first)
    }

    fn logs(&self) -> Table {
        let mut logs = table();
        // A path that is broken into lines cannot be copied.
        logs.set_content_arrangement(ContentArrangement::Disabled);
        let counted = ["lives", "steps", "ended", "crashed"].map(number);
        logs.set_header([["log", "node"].map(Cell::new).to_vec(), counted.to_vec()].concat());
        for log in &self.validation.logs {
            let node = log.node.map_or_else(|| "-".into(), |node| node.to_string());
            let counts = [log.lives, log.steps, log.ends, log.crashes];
            let counts = counts.map(|count| number(&count.to_string()));
            logs.add_row(
                [vec![Cell::new(shown(&log.path)), Cell::new(node)], counts.to_vec()].concat(),
            );
        }
        logs
    }

    fn verdicts(&self) -> Table {
        let mut verdicts = table();
        verdicts.set_header(["property", "verdict", ""]);
        for (property, verdict) in &self.validation.verdicts {
            let colour = match verdict {
                Verdict::Holds => Color::Green,
                Verdict::Unwitnessed | Verdict::NotJudged(_) => Color::DarkGrey,
                Verdict::Violated { .. } if self.is_allowed(property) => Color::Yellow,
                Verdict::Violated { .. } => Color::Red,
            };
            let (said, why) = said(verdict);
            let [name, said, why] = [property.name, said, &printable(&why)].map(Cell::new);
            verdicts.add_row([name, said.fg(colour), why]);
        }
        verdicts
    }
}

impl Section for Validated<'_> {
    fn cases(&self) -> Vec<Case> {
        let wrong = |name: &str, place: &Where, said: String| {
            let protocol = self.validation.protocol.name();
            Case::new(protocol, name, Comparison::Differs, said).at(Some(place_of(place)))
        };
        let differences = (self.validation.differences.iter())
            .map(|it| wrong("machine agrees", &it.place, it.to_string()));
        let contradictions = (self.validation.contradictions.iter())
            .map(|it| wrong("logs agree", &it.place, it.to_string()));
        let gaps = self.validation.gaps.iter().map(|it| {
            let said = format!("not judged: {}", it.message);
            let protocol = self.validation.protocol.name();
            Case::new(protocol, "logs are complete", Comparison::Cut, said)
                .at(Some(place_of(&it.place)))
        });
        let verdicts = self.validation.verdicts.iter();
        let verdicts = verdicts.map(|(property, verdict)| self.case(property, verdict));
        differences.chain(contradictions).chain(gaps).chain(verdicts).collect()
    }

    fn objects(&self) -> Vec<Object> {
        let Validation {
            protocol,
            logs,
            differences,
            contradictions,
            gaps,
            lost,
            verdicts,
            clocks,
            ..
        } = self.validation;
        let mut objects: Vec<_> = logs.iter().map(|log| Object::new("log", log)).collect();
        objects.extend(differences.iter().map(|it| Object::new("difference", it)));
        objects.extend(contradictions.iter().map(|it| Object::new("contradiction", it)));
        objects.extend(gaps.iter().map(|it| Object::new("gap", it)));
        objects.push(Object::new("lost", json!({ "messages": lost })));
        objects.push(Object::new("clocks", clocks));
        objects.extend(verdicts.iter().map(|(property, verdict)| {
            let allowed = self.is_allowed(property);
            let fields =
                json!({ "property": property.name, "verdict": verdict, "allowed": allowed });
            Object::new("property", fields)
        }));
        objects.push(Object::new("validation", json!({ "protocol": protocol.name() })));
        objects
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Validation { protocol, differences, contradictions, gaps, lost, clocks, .. } =
            self.validation;
        writeln!(out, "{}", styled(STRONG, protocol.name()))?;
        writeln!(out, "{}\n", self.logs().trim_fmt())?;
        for (log, node) in
            self.validation.logs.iter().filter_map(|log| Some((log, log.misnamed()?)))
        {
            let said = styled(DOUBTFUL, "name differs:");
            writeln!(out, "{said} {} is a log of {node}", shown(&log.path))?;
        }
        for difference in differences {
            writeln!(out, "{} {}", styled(BAD, "differs:"), printable(&difference.to_string()))?;
        }
        for contradiction in contradictions.iter().take(SHOWN) {
            let said = printable(&contradiction.to_string());
            writeln!(out, "{} {said}", styled(BAD, "cannot be:"))?;
        }
        if let Some(more) = contradictions.len().checked_sub(SHOWN + 1) {
            writeln!(out, "and {} more that cannot be", more + 1)?;
        }
        for gap in gaps.iter().take(SHOWN) {
            writeln!(out, "{} {}", styled(DOUBTFUL, "not judged:"), printable(&gap.to_string()))?;
        }
        if *lost > 0 {
            let lost = styled(DOUBTFUL, format!("lost: {lost}"));
            writeln!(
                out,
                "{lost} messages that never arrived, though later ones did: a connection had ended"
            )?;
        }
        for (node, ahead) in clocks.ahead.iter().filter(|(_, ahead)| **ahead != 0) {
            let side = if *ahead > 0 { "ahead" } else { "behind" };
            let said = styled(DOUBTFUL, "clocks differ:");
            let (ahead, within) = (milliseconds(ahead.unsigned_abs()), clocks.uncertainty);
            let within = milliseconds(within);
            writeln!(
                out,
                "{said} that of {node} is {ahead} ms {side}, and was corrected to ±{within} ms"
            )?;
        }
        match self.common_reason() {
            // It is said already.
            Some(_) if !gaps.is_empty() => Ok(()),
            Some(why) => writeln!(out, "{} {}", styled(DOUBTFUL, "not judged:"), printable(why)),
            None => writeln!(out, "{}", self.verdicts().trim_fmt()),
        }
    }
}

/// The page of a run.
fn page(validation: &Validation, property: &'static Property, run: &Run) -> String {
    let Run { trace, left_out, times } = run;
    let harness = validation.protocol.harness(&trace.environment);
    let replay = harness.replay(trace, property, Mode::Exact, None);
    let chart = Chart::of(&replay).at_times(times);
    let logs: Vec<_> = validation.logs.iter().map(|log| shown(&log.path)).collect();
    let (title, sentence) = match chart.violation() {
        Some(violation) => (trace.title(), violation),
        None => (
            format!("{}: a run of real nodes", trace.protocol),
            format!("{} is not violated", property.name),
        ),
    };
    let source = format!(
        "From {}. Times are UTC, with clocks corrected{}",
        logs.join(", "),
        without(left_out)
    );
    let caption =
        Caption { title, source: printable(&source), sentences: vec![printable(&sentence)] };
    html::draw(&chart, &caption, Claim::of(property))
}

/// `; left out: time-outs of local clients (2)`.
fn without(left_out: &[String]) -> String {
    if left_out.is_empty() { String::new() } else { format!("; left out: {}", left_out.join(", ")) }
}

/// The form in which a run is written.
#[derive(Clone, Copy)]
enum Form {
    Trace,
    Page,
}

impl Form {
    /// Its names in JSON: where it is written, and where it is not.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Trace => ["trace", "no_trace"],
            Self::Page => ["page", "no_page"],
        }
    }
}

const NO_TRACE: &str = "no trace: no property is violated but those of --allow";

/// A run, written to a file, or the reason why it is not.
struct Saved<'a> {
    path: &'a Path,
    form: Form,
    carried: &'a Carried,
}

impl Section for Saved<'_> {
    fn cases(&self) -> Vec<Case> {
        vec![]
    }

    fn objects(&self) -> Vec<Object> {
        let (path, property) = (self.path, self.carried.property.name);
        let [name, no_name] = self.form.names();
        vec![match &self.carried.outcome {
            Ok(Run { trace, left_out, .. }) => {
                let steps = trace.steps.len();
                let fields = json!({ "path": path, "property": property, "steps": steps, "left_out": left_out });
                Object::new(name, fields)
            }
            Err(why) => {
                let fields =
                    json!({ "reason": why.reason, "property": property, "place": why.place });
                Object::new(no_name, fields)
            }
        }]
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let path = printable(&self.path.display().to_string());
        let property = self.carried.property.name;
        match (&self.carried.outcome, self.form) {
            (Ok(Run { trace, left_out, .. }), form) => {
                let run = match form {
                    Form::Trace => format!("the run that violates {property}"),
                    Form::Page => "the run as a page".into(),
                };
                let steps = match trace.steps.len() {
                    1 => "1 step".into(),
                    count => format!("{count} steps"),
                };
                writeln!(out, "{path}: {run}, {steps}{}", without(left_out))
            }
            (Err(why), Form::Trace) => {
                let what = styled(DOUBTFUL, format!("no trace of {property}:"));
                writeln!(out, "{what} {}", printable(&why.to_string()))
            }
            // The command says it as an error.
            (Err(_), Form::Page) => Ok(()),
        }
    }
}

/// A verdict, and the reason for it.
fn said(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Holds => ("holds", String::new()),
        Verdict::Unwitnessed => ("unwitnessed", "nothing in these logs exercises it".into()),
        Verdict::NotJudged(why) => ("not judged", why.clone()),
        Verdict::Violated { complaints, count, place } => {
            let first = complaints.first().map_or("", String::as_str);
            let more =
                if *count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
            let place = place.as_ref().map(|place| format!(", first at {place}"));
            ("violated", format!("{first}{more}{}", place.unwrap_or_default()))
        }
    }
}

fn place_of(place: &Where) -> Place {
    Place::new(&place.path, place.line)
}

fn number(text: &str) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
