//! The places of everything in a picture, in pixels.

use super::super::{
    chart::{Chart, Passage, Row},
    fold::Line,
};
use crate::{claim::notion::Standing, evidence::replay::Fate, io::text::clipped};
use interrex::machine::NodeId;

/// The distance between two lines of text.
pub(super) const TEXT_HEIGHT: usize = 17;
/// The distance from an arrow's tip or a mark to its label.
pub(super) const LABEL_GAP: usize = 11;

/// The place of the first lane without times, and the distance between two lanes.
const MARGIN: usize = 92;
/// The room for the time of a step.
const TIMES_WIDTH: usize = 110;
const DISTANCE: usize = 122;
/// The height of a line without anything that needs more.
const LINE_HEIGHT: usize = 28;
/// The place of a step in its line.
const MIDDLE: usize = 15;
/// The place of the first line.
const TOP: usize = 30;
/// The room for a view or a term beside the last lane.
const NEWS_WIDTH: usize = 95;
/// The longest note, in characters, and its room.
const LONGEST: usize = 58;
const NOTES_WIDTH: usize = 430;
/// The room for the legend.
const LEGEND_WIDTH: usize = 790;
/// The most reports that are written below a step.
const MOST_REPORTS: usize = 3;
/// The distance between the ends of signals that go the same way and are lost together.
const APART: usize = 13;

/// The places of the lines of a chart.
pub(super) struct Layout<'a> {
    pub chart: &'a Chart,
    pub lines: Vec<Placed<'a>>,
    /// The place of each step, from 0, the beginning.
    steps: Vec<usize>,
    /// The number of the line of each step.
    line_of: Vec<usize>,
    /// The end of the run.
    pub bottom: usize,
    pub width: usize,
    /// The place of the first lane.
    margin: usize,
    /// For each signal that ends on its way: the number of those before it that go the same way.
    nth: Vec<usize>,
}

/// A line and its place.
pub(super) struct Placed<'a> {
    pub line: Line<'a>,
    pub top: usize,
    pub height: usize,
    /// The place of its step.
    pub y: usize,
}

/// The way of a signal.
pub(super) struct Path {
    pub from: (usize, usize),
    pub to: (usize, usize),
    /// It ends where it begins: nobody could receive it, or it is still under way.
    pub is_stub: bool,
}

impl<'a> Layout<'a> {
    pub(super) fn new(chart: &'a Chart, lines: &[Line<'a>]) -> Self {
        let mut stubs = vec![0; chart.rows.len() + 1];
        for passage in chart.journeys.iter().filter(|it| is_stub(it)) {
            stubs[passage.sent] += 1;
        }
        let (mut bottom, mut placed) = (TOP + APART * stubs[0], vec![]);
        let (mut steps, mut line_of) = (vec![TOP], vec![0]);
        for (at, line) in lines.iter().enumerate() {
            let height = match line {
                Line::Step(row) => height(row, stubs[row.step]),
                Line::Folded(_) => LINE_HEIGHT,
            };
            let (top, y) = (bottom, bottom + MIDDLE);
            steps.extend(line.rows().iter().map(|_| y));
            line_of.extend(line.rows().iter().map(|_| at + 1));
            placed.push(Placed { line: *line, top, height, y });
            bottom += height;
        }
        let across = chart.nodes.len().saturating_sub(1) * DISTANCE;
        let has_times = chart.rows.iter().any(|row| row.time.is_some());
        let margin = if has_times { MARGIN + TIMES_WIDTH } else { MARGIN };
        let width = margin + across + LABEL_GAP + NEWS_WIDTH + NOTES_WIDTH;
        let width = width.max(LEGEND_WIDTH);
        let nth = nth(chart);
        Self { chart, lines: placed, steps, line_of, bottom: bottom + 12, width, margin, nth }
    }

    /// The place of a lane.
    pub(super) fn x(&self, node: usize) -> usize {
        self.margin + node * DISTANCE
    }

    pub(super) fn lanes_width(&self) -> usize {
        self.chart.nodes.len().saturating_sub(1) * DISTANCE
    }

    /// The place of the notes.
    pub(super) fn notes(&self) -> usize {
        self.width - NOTES_WIDTH
    }

    /// The number of characters that fit into a line of text.
    pub(super) fn columns(&self) -> usize {
        (self.width - 32) * 10 / 74
    }

    /// The standings of a node, from top to bottom.
    pub(super) fn bands(&self, node: usize) -> Vec<(usize, usize, Standing)> {
        let mut bands = vec![];
        let mut now = (TOP - 6, self.chart.nodes[node].announced.standing);
        let is_here = |row: &&Row| row.mark.is_some_and(|NodeId(mark)| usize::from(mark) == node);
        for row in self.chart.rows.iter().filter(is_here) {
            let next = row.announced.standing;
            if next != now.1 {
                let y = self.steps[row.step];
                bands.push((now.0, y, now.1));
                now = (y, next);
            }
        }
        bands.push((now.0, self.bottom - 12, now.1));
        let with_standing =
            |(top, bottom, standing): (_, _, Option<_>)| Some((top, bottom, standing?));
        bands.into_iter().filter_map(with_standing).collect()
    }

    /// The cuts, from top to bottom, with what they cut off.
    pub(super) fn cuts(&self) -> Vec<(usize, usize, String)> {
        let mut cuts = vec![];
        let mut open: Option<(usize, String)> = None;
        for row in &self.chart.rows {
            let y = self.steps[row.step];
            match (row.cut_off, &open) {
                (Some(side), None) => open = Some((y, format!("{side} cut off"))),
                (None, Some(_)) => cuts.extend(open.take().map(|(top, says)| (top, y, says))),
                _ => {}
            }
        }
        cuts.extend(open.map(|(top, says)| (top, self.bottom - 12, says)));
        cuts
    }

    /// The way of the signal of this number; none if it is not drawn. A `Down` is drawn only if it arrives.
    pub(super) fn path(&self, at: usize) -> Option<Path> {
        let passage = &self.chart.journeys[at];
        let [from, to] = [passage.from, passage.to].map(|NodeId(node)| self.x(node.into()));
        let begin = (from, self.steps[passage.sent]);
        let nth = self.nth[at];
        if is_stub(passage) {
            let folded = self.is_folded(passage.sent);
            let end = if from == to { from + 40 } else { between(from, to, 2, 5) };
            let to = (end, begin.1 + APART * (nth + 1));
            return (passage.is_message && !folded).then_some(Path {
                from: begin,
                to,
                is_stub: true,
            });
        }
        let (end, fate) = passage.end?;
        if self.line_of[passage.sent] == self.line_of[end] {
            return None;
        }
        let y = self.steps[end];
        let to = match fate {
            Fate::Arrived if from == to => (to + 6, y),
            Fate::Arrived if from < to => (to - 6, y),
            Fate::Arrived => (to + 6, y),
            Fate::Lost if !passage.is_message => return None,
            Fate::Lost => {
                // A signal that arrives in the same step has its label there.
                let nth = nth + usize::from(self.chart.rows[end - 1].arrow.is_some());
                (between(from, to, 5, 6), y.saturating_sub(APART * nth).max(begin.1 + 4))
            }
        };
        Some(Path { from: begin, to, is_stub: false })
    }

    fn is_folded(&self, step: usize) -> bool {
        let line = self.line_of[step].checked_sub(1).map(|at| self.lines[at].line);
        matches!(line, Some(Line::Folded(_)))
    }
}

/// True for a message that does not get away from its sender, or not in this run.
fn is_stub(passage: &Passage) -> bool {
    passage.is_message && passage.end.is_none_or(|(end, _)| end == passage.sent)
}

/// For each signal, the number of those before it that end in the same way at the same place.
fn nth(chart: &Chart) -> Vec<usize> {
    let place = |passage: &Passage| match passage.end {
        _ if is_stub(passage) => Some((passage.sent, None)),
        Some((end, Fate::Lost)) if passage.is_message => Some((end, Some(passage.to))),
        _ => None,
    };
    let mut count = std::collections::BTreeMap::new();
    let mut nth = |passage: &Passage| {
        let Some(place) = place(passage) else { return 0 };
        let count = count.entry(place).or_insert(0);
        *count += 1;
        *count - 1
    };
    chart.journeys.iter().map(&mut nth).collect()
}

fn height(row: &Row, stubs: usize) -> usize {
    let text = LINE_HEIGHT + TEXT_HEIGHT * reports(row).count();
    let news = LINE_HEIGHT + if row.announced.news.is_some() { 18 } else { 0 };
    let end = LINE_HEIGHT + if row.end.is_some() { 8 } else { 0 };
    text.max(news).max(end).max(LINE_HEIGHT + APART * stubs)
}

/// The reports that are written below a step.
pub(super) fn reports(row: &Row) -> impl Iterator<Item = String> {
    let more = row.reports.len().saturating_sub(MOST_REPORTS);
    let shown = if more > 0 { MOST_REPORTS - 1 } else { MOST_REPORTS };
    let rest = (more > 0).then(|| format!("and {} more", more + 1));
    row.reports.iter().take(shown).cloned().chain(rest)
}

/// A text that fits beside the lanes.
pub(super) fn fitted(text: &str) -> String {
    clipped(text, LONGEST)
}

/// The place this part of the way from one place to another.
pub(super) fn between(from: usize, to: usize, part: usize, of: usize) -> usize {
    (from * (of - part) + to * part) / of
}
