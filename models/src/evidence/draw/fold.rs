//! Long runs, folded: steps that do not matter share a line.

use super::chart::{Chart, Kind, Row};
use crate::{
    claim::notion::{Standing, Token},
    evidence::replay::Beginning,
};

/// Runs of up to this many steps are drawn whole.
const SHORT: usize = 60;

/// Fewer quiet steps in a row are not worth a fold.
const FEWEST: usize = 3;

/// The number of steps before the violation that are always drawn.
const BEFORE_VIOLATION: usize = 5;

/// A line of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A step.
    Step(&'a Row),
    /// Steps that do not matter, at least one.
    Folded(&'a [Row]),
}

impl<'a> Line<'a> {
    /// The steps in it.
    #[must_use]
    pub fn rows(self) -> &'a [Row] {
        match self {
            Self::Step(row) => std::slice::from_ref(row),
            Self::Folded(rows) => rows,
        }
    }
}

/// The lines of a picture of the whole run: one for each step.
#[must_use]
pub fn whole(chart: &Chart) -> Vec<Line<'_>> {
    chart.rows.iter().map(Line::Step).collect()
}

/// The lines of a picture that folds what does not matter, if the run is long.
///
/// These steps matter: faults; beginnings and ends of lives; a change of a node's standing, view or term; whatever tells of
/// a message that a complaint names; the beginning of a loop; and the last steps before the violation.
#[must_use]
pub fn folded(chart: &Chart) -> Vec<Line<'_>> {
    if chart.rows.len() <= SHORT {
        return whole(chart);
    }
    let matters = matters(chart);
    let mut lines = vec![];
    let mut rows = chart.rows.as_slice();
    while let Some(first) = rows.first() {
        let quiet = rows.iter().take_while(|row| !matters[row.step - 1]).count();
        if quiet >= FEWEST {
            let (fold, rest) = rows.split_at(quiet);
            lines.push(Line::Folded(fold));
            rows = rest;
        } else {
            lines.push(Line::Step(first));
            rows = &rows[1..];
        }
    }
    lines
}

/// For each step, whether it matters.
fn matters(chart: &Chart) -> Vec<bool> {
    let (violated, complaints) = match &chart.violated {
        Some((after, complaints)) => (*after, complaints.as_slice()),
        None => (chart.rows.len(), &[][..]),
    };
    let named: Vec<_> = complaints.iter().flat_map(|complaint| messages(complaint)).collect();
    let tells = |text: &String| messages(text).any(|message| named.contains(&message));
    let begin = |node: &Beginning| node.announced.standing;
    let mut standings: Vec<Option<Standing>> = chart.nodes.iter().map(begin).collect();
    let matters = |row: &Row| {
        let moved = row.mark.is_some_and(|node| {
            let known = &mut standings[usize::from(node.0)];
            std::mem::replace(known, row.announced.standing) != row.announced.standing
        });
        let is_near = (violated.saturating_sub(BEFORE_VIOLATION)..=violated).contains(&row.step);
        row.kind != Kind::Handled
            || row.end.is_some()
            || row.begins_loop
            || row.announced.news.is_some()
            || moved
            || is_near
            || tells(&row.note)
            || row.effects.iter().any(tells)
    };
    chart.rows.iter().map(matters).collect()
}

/// The words of a text that name a message, such as `n1.0`.
fn messages(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !(letter.is_alphanumeric() || letter == '.'));
    words
        .map(|word| word.trim_matches('.'))
        .filter(|word| word.starts_with('n') && word.parse::<Token>().is_ok())
}
