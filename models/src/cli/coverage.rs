//! What is covered, over all scenarios of a command.

use super::{BAD, DOUBTFUL, Failure, Format, GOOD, STRONG, styled, table};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table};
use interrex_models::{
    explore::coverage::{Account, Coverage, Entry, Place, Reason, Unreachable},
    protocol::registry::Known,
    verdict::{check::Comparison, scenario::Scenario},
    with_protocol,
};
use std::{
    io::{self, Write},
    path::Path,
};

/// What was reached so far, for each protocol, and what cannot be.
pub(super) struct Covered(Vec<(Coverage, Unreachable)>);

impl Covered {
    /// Nothing is reached yet. Controls, which lack a repair on purpose, are left out.
    pub(super) fn none(folder: &Path, scenarios: &[Scenario]) -> Result<Self, Failure> {
        let mut covered = vec![];
        for known in Known::ALL {
            let of_it = |scenario: &&Scenario| scenario.protocol == known.name();
            let Some(scenario) = scenarios.iter().find(of_it) else { continue };
            let coverage = with_protocol!(known, &scenario.environment, protocol =>
                Coverage::none(&protocol));
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

    /// Shows it, and says how it compares with what is named as unreachable.
    pub(super) fn show(&self, out: &mut impl Write, format: Format) -> io::Result<Comparison> {
        let mut worst = Comparison::AsExpected;
        for (coverage, unreachable) in &self.0 {
            let account = coverage.account(unreachable);
            worst = worst.max(account.comparison());
            match format {
                Format::Text => show(out, &account)?,
                Format::Json => {
                    serde_json::to_writer(&mut *out, &account)?;
                    writeln!(out)?;
                }
            }
        }
        Ok(worst)
    }
}

fn show(out: &mut impl Write, account: &Account) -> io::Result<()> {
    let title = styled(STRONG, format!("coverage of {}", account.protocol));
    if account.entries.is_empty() {
        return writeln!(out, "{title}: it names no roles\n");
    }
    writeln!(out, "{title}  distinct steps; – cannot be reached\n{}", steps(account).trim_fmt())?;
    writeln!(out, "{}", effects(account).trim_fmt())?;
    conclude(out, account)
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

fn conclude(out: &mut impl Write, account: &Account) -> io::Result<()> {
    for entry in account.unreached() {
        writeln!(out, "  {} {}", styled(BAD, "unreached:"), entry.place)?;
    }
    for entry in account.stale() {
        let reason = entry.unreachable.as_ref().map_or("", Reason::text);
        writeln!(out, "  {} {}, although: {reason}", styled(BAD, "reached:"), entry.place)?;
    }
    let all = account.entries.len();
    let reached = account.entries.iter().filter(|entry| entry.count > 0).count();
    let end = match account.comparison() {
        Comparison::AsExpected => {
            styled(GOOD, "everything else cannot be, for reasons that are named")
        }
        Comparison::Cut => styled(DOUBTFUL, "a limit has cut the search short"),
        Comparison::Differs => styled(BAD, "not as expected"),
    };
    writeln!(out, "  {reached} of {all} reached: {end}\n")
}
