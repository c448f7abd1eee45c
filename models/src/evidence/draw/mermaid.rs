//! A chart as a sequence diagram of [Mermaid](https://mermaid.js.org), which pages in Markdown show as a picture.

use super::{
    chart::{Chart, Kind, Passage, Row},
    fold::{self, Line},
};
use crate::{evidence::replay::Fate, io::text::clipped};
use std::fmt::Write;

/// The ground of the violating step: readable on light and on dark pages.
const VIOLATING: &str = "rgba(230, 60, 60, 0.25)";

/// The longest note of a node, in characters: a longer one would push the nodes apart.
const LONGEST: usize = 80;

/// Draws a chart; a long run is folded.
///
/// A signal is an arrow where it arrives, with a cross where it is lost. What else happens is a note.
#[must_use]
pub fn draw(chart: &Chart, title: &str) -> String {
    let mut drawing = Drawing { text: "sequenceDiagram\n".into(), chart };
    drawing.line(&format!("title {}", escaped(title)));
    for node in 0..chart.nodes.len() {
        drawing.line(&format!("participant n{node}"));
    }
    for line in fold::folded(chart) {
        match line {
            Line::Step(row) => drawing.step(row),
            Line::Folded(rows) => drawing.fold(rows),
        }
    }
    for complaint in chart.violated.iter().flat_map(|(_, complaints)| complaints) {
        drawing.over_all(complaint);
    }
    drawing.text
}

struct Drawing<'a> {
    text: String,
    chart: &'a Chart,
}

impl Drawing<'_> {
    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "    {line}");
    }

    fn over_all(&mut self, note: &str) {
        let nodes = match self.chart.nodes.len() {
            1 => "n0".into(),
            count => format!("n0,n{}", count - 1),
        };
        self.line(&format!("Note over {nodes}: {}", escaped(note)));
    }

    fn fold(&mut self, rows: &[Row]) {
        if let [first, .., last] = rows {
            self.over_all(&format!("{}–{}: {} quiet steps", first.step, last.step, rows.len()));
        }
    }

    fn step(&mut self, row: &Row) {
        let is_violating =
            self.chart.violated.as_ref().is_some_and(|(after, _)| *after == row.step);
        if row.begins_loop {
            self.over_all("from here, for ever");
        }
        if is_violating {
            self.line(&format!("rect {VIOLATING}"));
        }
        let says = format!("{} {}", row.step, clipped(&row.brief, LONGEST));
        match (&row.arrow, row.mark) {
            (Some(arrow), Some(_)) => {
                let tip = if arrow.is_message { "->>" } else { "-->>" };
                self.line(&format!("{}{tip}{}: {}", arrow.from, arrow.to, escaped(&says)));
            }
            (Some(arrow), None) => {
                self.line(&format!("Note over {},{}: {}", arrow.from, arrow.to, escaped(&says)));
            }
            (None, Some(node)) => self.line(&format!("Note over {node}: {}", escaped(&says))),
            (None, None) => self.over_all(&says),
        }
        if let Some(node) = row.mark {
            for report in &row.reports {
                self.line(&format!("Note over {node}: {}", escaped(&clipped(report, LONGEST))));
            }
            if let Some(end) = row.end.filter(|_| row.kind != Kind::Crash) {
                self.line(&format!("Note over {node}: {end}"));
            }
        }
        self.losses(row.step);
        if is_violating {
            self.line("end");
        }
    }

    /// The messages that are lost in a step.
    fn losses(&mut self, step: usize) {
        let chart = self.chart;
        let is_lost = |it: &&Passage| it.is_message && it.end == Some((step, Fate::Lost));
        for Passage { from, to, sent, label, .. } in chart.journeys.iter().filter(is_lost) {
            let sent = if *sent == step { String::new() } else { format!(", sent in step {sent}") };
            self.line(&format!("{from}-x{to}: {}{sent}: lost", escaped(label)));
        }
    }
}

/// A text in which nothing has a meaning to Mermaid.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        if letter.is_alphanumeric() || " ()[],.:-_@→–…".contains(letter) {
            escaped.push(letter);
        } else {
            let _ = write!(escaped, "#{};", u32::from(letter));
        }
    }
    escaped
}
