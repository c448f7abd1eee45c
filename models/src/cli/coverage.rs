//! Coverage over all scenarios of a command.

use super::{
    BAD, DOUBTFUL, Failure, GOOD, Places, STRONG, WEAK,
    answer::Answer,
    bands::{banded, width},
    styled, table,
};
use crate::{
    explore::coverage::{Account, Coverage, Entry, Place, Reason, Unreachable},
    protocol::registry::Known,
    verdict::{
        outcome::Comparison,
        report::{Case, Section, json::Object},
        scenario::Scenario,
    },
};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use serde_json::json;
use std::io::{self, Write};

/// The coverage of each protocol so far.
pub(super) struct Covered(Vec<OfProtocol>);

struct OfProtocol {
    reached: Coverage,
    unreachable: Unreachable,
    part: Option<Part>,
}

/// The part of what the list of unreachable places is about: all everyday scenarios, with all their schedules. A part
/// is not judged, because the rest may reach what it does not.
#[derive(Clone)]
struct Part(String);

impl Part {
    /// None if all everyday scenarios of a protocol are among these.
    fn of(known: Known, scenarios: &[Scenario], all: &[Scenario]) -> Option<Self> {
        let everyday: Vec<_> =
            all.iter().filter(|it| it.protocol == Some(known) && !it.nightly).collect();
        let is_here = |it: &&&Scenario| scenarios.iter().any(|here| here.name == it.name);
        let here = everyday.iter().filter(is_here).count();
        let (all, name) = (everyday.len(), known.name());
        (here < all).then(|| Self(format!("{here} of {all} scenarios of {name}")))
    }
}

impl Covered {
    /// Nothing is reached yet. Controls, which lack a repair on purpose, are left out.
    pub(super) fn none(places: &Places<'_>, scenarios: &[Scenario]) -> Result<Self, Failure> {
        let all = places.scenarios()?;
        let mut covered = vec![];
        for known in places.registry.all() {
            let of_it = |scenario: &&Scenario| scenario.protocol == Some(*known);
            let Some(scenario) = scenarios.iter().find(of_it) else { continue };
            let reached = scenario.harness().coverage();
            let unreachable = Unreachable::read(&places.scenarios, &reached)?;
            covered.push(OfProtocol {
                reached,
                unreachable,
                part: Part::of(*known, scenarios, &all),
            });
        }
        if covered.is_empty() {
            let message =
                "--coverage leaves out protocols that lack a repair, and nothing else is chosen";
            return Err(Failure::Usage(message.into()));
        }
        Ok(Self(covered))
    }

    /// Only this part of each scenario is run.
    pub(super) fn part(mut self, what: &str) -> Self {
        for OfProtocol { part, .. } in &mut self.0 {
            part.get_or_insert_with(|| Part(what.into()));
        }
        self
    }

    pub(super) fn add(&mut self, more: Coverage) {
        let its = |it: &&mut OfProtocol| it.reached.protocol() == more.protocol();
        if let Some(known) = self.0.iter_mut().find(its) {
            known.reached.merge(more);
        }
    }

    /// A scenario was not begun: what it reaches is unknown.
    pub(super) fn leave_out(&mut self, scenario: &Scenario) {
        self.add(scenario.harness().coverage().cut_short());
    }

    /// Adds a section for each protocol.
    pub(super) fn add_to(&self, answer: &mut Answer) -> io::Result<()> {
        for OfProtocol { reached, unreachable, part } in &self.0 {
            let (account, part) = (reached.account(unreachable), part.clone());
            answer.add(&Accounted { account, part })?;
        }
        Ok(())
    }
}

/// The coverage of one protocol, beside the list of unreachable places.
struct Accounted {
    account: Account,
    part: Option<Part>,
}

impl Accounted {
    /// The number of places that were reached, and the reason if that is not judged.
    fn said(&self) -> String {
        let Self { account, part } = self;
        let reached = account.entries.iter().filter(|entry| entry.count > 0).count();
        let reached = format!("{reached} of {} reached", account.entries.len());
        match part {
            Some(Part(what)) => format!("{reached}; not judged: {what}"),
            None => reached,
        }
    }

    /// Roles side by side, events one below the other.
    fn steps(&self) -> String {
        let mut lines: Vec<(String, Vec<Cell>)> = vec![];
        let mut header = vec![Cell::new(" event")];
        for entry in &self.account.entries {
            let Place::Step { role, event } = entry.place else { continue };
            let event = event.to_string();
            match lines.last_mut() {
                Some((last, cells)) if *last == event => cells.push(self.count(entry)),
                _ => lines.push((event, vec![self.count(entry)])),
            }
            if lines.len() == 1 {
                header.push(Cell::new(role).set_alignment(CellAlignment::Right));
            }
        }
        let row = |(event, cells): (String, Vec<Cell>)| {
            [Cell::new(format!(" {event}"))].into_iter().chain(cells).collect()
        };
        let rows: Vec<_> = lines.into_iter().map(row).collect();
        banded(&header, &rows, width())
    }

    fn effects(&self) -> Table {
        let mut table = table();
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header([" effect", ""]);
        for entry in &self.account.entries {
            if let Place::Effect(effect) = entry.place {
                table.add_row([Cell::new(format!(" {effect}")), self.count(entry)]);
            }
        }
        table
    }

    fn count(&self, entry: &Entry) -> Cell {
        let alarm = |text: &str| match self.part {
            Some(_) => Cell::new(text),
            None => Cell::new(text).fg(Color::Red),
        };
        let cell = match (entry.count, &entry.unreachable) {
            (0, None) => alarm("unreached"),
            (0, Some(_)) => Cell::new("–"),
            (count, _) if entry.is_stale() => alarm(&format!("{count} after all")),
            (count, _) => Cell::new(count),
        };
        cell.set_alignment(CellAlignment::Right)
    }

    fn conclude(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { account, part } = self;
        let style = if part.is_some() { WEAK } else { BAD };
        for entry in account.unreached() {
            writeln!(out, "  {} {}", styled(style, "unreached:"), entry.place)?;
        }
        for entry in account.stale() {
            let (place, reason) = (entry.place, reason(entry));
            writeln!(out, "  {} {place}, although: {reason}", styled(style, "reached:"))?;
        }
        let said = self.said();
        if part.is_some() {
            return writeln!(out, "  {said}\n");
        }
        let end = match account.comparison() {
            Comparison::AsExpected => {
                styled(GOOD, "everything else is listed as unreachable, with a reason")
            }
            Comparison::Cut => styled(DOUBTFUL, "a limit has cut the search short"),
            Comparison::Differs => styled(BAD, "not as expected"),
        };
        writeln!(out, "  {said}: {end}\n")
    }
}

impl Section for Accounted {
    /// One for each place that is not as expected, and one for all others. For a part, just one.
    fn cases(&self) -> Vec<Case> {
        let Self { account, part } = self;
        if part.is_some() {
            let status = Comparison::AsExpected;
            return vec![Case::new(&account.protocol, "coverage", status, self.said())];
        }
        let case = |entry: &Entry, status, said: String| {
            Case::new(&account.protocol, format!("coverage: {}", entry.place), status, said)
        };
        let missed = if account.complete { Comparison::Differs } else { Comparison::Cut };
        let unreached = account.unreached().map(|entry| case(entry, missed, "unreached".into()));
        let stale = account.stale().map(|entry| {
            let said = format!("reached, although listed as unreachable: {}", reason(entry));
            case(entry, Comparison::Differs, said)
        });
        let all = Case::new(&account.protocol, "coverage", account.comparison(), self.said());
        unreached.chain(stale).chain([all]).collect()
    }

    fn objects(&self) -> Vec<Object> {
        let Account { protocol, complete, entries } = &self.account;
        let part = self.part.as_ref().map(|Part(what)| what);
        let fields = json!({ "protocol": protocol, "complete": complete, "part": part });
        vec![Object::new("coverage", fields).with("entries", entries)]
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { account, .. } = self;
        let title = styled(STRONG, format!("coverage of {}", account.protocol));
        if account.entries.is_empty() {
            return writeln!(out, "{title}: it names no roles\n");
        }
        writeln!(out, "{title}  distinct steps; – cannot be reached\n{}", self.steps())?;
        writeln!(out, "{}", self.effects().trim_fmt())?;
        self.conclude(out)
    }
}

fn reason(entry: &Entry) -> &str {
    entry.unreachable.as_ref().map_or("", Reason::text)
}
