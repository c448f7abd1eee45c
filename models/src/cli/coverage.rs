//! Coverage over all scenarios of a command.

use super::{BAD, DOUBTFUL, Failure, GOOD, STRONG, answer::Answer, styled, table};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use interrex_models::{
    explore::coverage::{Account, Coverage, Entry, Place, Reason, Unreachable},
    protocol::registry::Known,
    verdict::{
        outcome::Comparison,
        report::{Case, Section},
        scenario::Scenario,
    },
};
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    path::Path,
};

/// For each protocol, what was reached so far, and what is listed as unreachable.
pub(super) struct Covered(Vec<(Coverage, Unreachable)>);

impl Covered {
    /// Nothing is reached yet. Controls, which lack a repair on purpose, are left out.
    pub(super) fn none(folder: &Path, scenarios: &[Scenario]) -> Result<Self, Failure> {
        let mut covered = vec![];
        for known in Known::ALL {
            let of_it = |scenario: &&Scenario| scenario.protocol == Some(known);
            let Some(scenario) = scenarios.iter().find(of_it) else { continue };
            let coverage = scenario.harness().coverage();
            let unreachable = Unreachable::read(folder, &coverage)?;
            covered.push((coverage, unreachable));
        }
        if covered.is_empty() {
            let message =
                "--coverage leaves out protocols that lack a repair, and nothing else is chosen";
            return Err(Failure::Usage(message.into()));
        }
        Ok(Self(covered))
    }

    pub(super) fn add(&mut self, more: Coverage) {
        let its = |(known, _): &&mut (Coverage, _)| known.protocol() == more.protocol();
        if let Some((known, _)) = self.0.iter_mut().find(its) {
            known.merge(more);
        }
    }

    /// Adds a section for each protocol.
    pub(super) fn add_to(&self, answer: &mut Answer) -> io::Result<()> {
        for (coverage, unreachable) in &self.0 {
            answer.add(&Accounted(coverage.account(unreachable)))?;
        }
        Ok(())
    }
}

/// The coverage of one protocol, beside the list of unreachable places.
struct Accounted(Account);

impl Section for Accounted {
    /// One for each place that is not as expected, and one for all others.
    fn cases(&self) -> Vec<Case> {
        let Self(account) = self;
        let case = |entry: &Entry, status, said: String| {
            Case::new(&account.protocol, format!("coverage: {}", entry.place), status, said)
        };
        let missed = if account.complete { Comparison::Differs } else { Comparison::Cut };
        let unreached = account.unreached().map(|entry| case(entry, missed, "unreached".into()));
        let stale = account.stale().map(|entry| {
            let said = format!("reached, although listed as unreachable: {}", reason(entry));
            case(entry, Comparison::Differs, said)
        });
        let all = Case::new(
            &account.protocol,
            "coverage",
            account.comparison(),
            format!("{} of {} reached", reached(account), account.entries.len()),
        );
        unreached.chain(stale).chain([all]).collect()
    }

    fn objects(&self) -> Vec<Value> {
        vec![json!(self.0)]
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self(account) = self;
        let title = styled(STRONG, format!("coverage of {}", account.protocol));
        if account.entries.is_empty() {
            return writeln!(out, "{title}: it names no roles\n");
        }
        writeln!(
            out,
            "{title}  distinct steps; – cannot be reached\n{}",
            steps(account).trim_fmt()
        )?;
        writeln!(out, "{}", effects(account).trim_fmt())?;
        conclude(out, account)
    }
}

fn reached(account: &Account) -> usize {
    account.entries.iter().filter(|entry| entry.count > 0).count()
}

fn reason(entry: &Entry) -> &str {
    entry.unreachable.as_ref().map_or("", Reason::text)
}

/// Roles side by side, events one below the other.
fn steps(account: &Account) -> Table {
    let mut table = plain_table();
    let mut lines: Vec<(String, Vec<Cell>)> = vec![];
    let mut header = vec![Cell::new(" event")];
    for entry in &account.entries {
        let Place::Step { role, event } = entry.place else { continue };
        let event = event.to_string();
        match lines.last_mut() {
            Some((last, cells)) if *last == event => cells.push(count(entry)),
            _ => lines.push((event, vec![count(entry)])),
        }
        if lines.len() == 1 {
            header.push(Cell::new(role).set_alignment(CellAlignment::Right));
        }
    }
    table.set_header(header);
    for (event, cells) in lines {
        table.add_row([Cell::new(format!(" {event}"))].into_iter().chain(cells));
    }
    table
}

fn effects(account: &Account) -> Table {
    let mut table = plain_table();
    table.set_header([" effect", ""]);
    for entry in &account.entries {
        if let Place::Effect(effect) = entry.place {
            table.add_row([Cell::new(format!(" {effect}")), count(entry)]);
        }
    }
    table
}

fn plain_table() -> Table {
    let mut table = table();
    table.set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn count(entry: &Entry) -> Cell {
    let cell = match (entry.count, &entry.unreachable) {
        (0, None) => Cell::new("unreached").fg(Color::Red),
        (0, Some(_)) => Cell::new("–"),
        (count, _) if entry.is_stale() => Cell::new(format!("{count} after all")).fg(Color::Red),
        (count, _) => Cell::new(count),
    };
    cell.set_alignment(CellAlignment::Right)
}

fn conclude(out: &mut dyn Write, account: &Account) -> io::Result<()> {
    for entry in account.unreached() {
        writeln!(out, "  {} {}", styled(BAD, "unreached:"), entry.place)?;
    }
    for entry in account.stale() {
        let (place, reason) = (entry.place, reason(entry));
        writeln!(out, "  {} {place}, although: {reason}", styled(BAD, "reached:"))?;
    }
    let end = match account.comparison() {
        Comparison::AsExpected => {
            styled(GOOD, "everything else is listed as unreachable, with a reason")
        }
        Comparison::Cut => styled(DOUBTFUL, "a limit has cut the search short"),
        Comparison::Differs => styled(BAD, "not as expected"),
    };
    writeln!(out, "  {} of {} reached: {end}\n", reached(account), account.entries.len())
}
