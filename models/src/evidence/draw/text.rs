//! A chart as a sequence diagram, in characters.

use super::chart::{Arrow, Chart, Lane, Row};
use crate::evidence::replay::Beginning;
use interrex::machine::NodeId;
use std::fmt::Write;

/// The column of the first lane, and the distance between two lanes.
const MARGIN: usize = 8;
const DISTANCE: usize = 12;

/// The beginning of the loop of a livelock.
pub const LOOP: &str = "⟲";

/// Draws a chart.
///
/// Time goes down; a column is a node. `●` is a step. An arrow to it is the signal that the node handles,
/// which may have been sent much earlier. The input stands beside the step, and the effects below it. `○`
/// instead of a tip: a fault happens to the message on its way. `✕` is the end of a life, `┊` a node that is
/// cut off, and `⟲` the beginning of the loop of a livelock.
#[must_use]
pub fn draw(chart: &Chart) -> String {
    let mut drawing = Drawing(String::new());
    drawing.heading(&chart.nodes.iter().map(Beginning::is_up).collect::<Vec<_>>());
    for row in &chart.rows {
        drawing.row(row);
    }
    drawing.0
}

/// The lines so far.
struct Drawing(String);

impl Drawing {
    fn heading(&mut self, up: &[bool]) {
        let mut names = blank(up.len());
        for node in 0..up.len() {
            put(&mut names, column(node), &format!("n{node}"));
        }
        self.write(&names, "");
        let lane = |up: &bool| if *up { Lane::Up } else { Lane::Empty };
        let lanes: Vec<_> = up.iter().map(lane).collect();
        self.write(&lifelines(&lanes), "");
    }

    fn row(&mut self, row: &Row) {
        if row.begins_loop {
            let mut line = lifelines(&row.lanes);
            put(&mut line, 4, LOOP);
            self.write(&line, "from here, for ever");
        }
        let mut line = lifelines(&row.lanes);
        put(&mut line, 2, &format!("{:>3}", row.step));
        if let Some(arrow) = &row.arrow {
            draw_arrow(&mut line, arrow);
        }
        if let Some(node) = row.mark {
            put(&mut line, column_of(node), "●");
        }
        self.write(&line, &row.note);
        for effect in &row.effects {
            self.write(&lifelines(&row.lanes), &format!("  {effect}"));
        }
        if let (Some(node), Some(end)) = (row.mark, row.end) {
            let mut line = lifelines(&row.lanes);
            put(&mut line, column_of(node), "✕");
            self.write(&line, &format!("  {end}"));
        }
    }

    fn write(&mut self, line: &[char], note: &str) {
        let line: String = line.iter().collect();
        let _ = writeln!(self.0, "{}", format!("{line}{note}").trim_end());
    }
}

fn blank(nodes: usize) -> Vec<char> {
    vec![' '; column(nodes)]
}

fn lifelines(lanes: &[Lane]) -> Vec<char> {
    let mut line = blank(lanes.len());
    for (node, lane) in lanes.iter().enumerate() {
        line[column(node)] = match lane {
            Lane::Empty => ' ',
            Lane::Up => '│',
            Lane::CutOff => '┊',
        };
    }
    line
}

fn column(node: usize) -> usize {
    MARGIN + node * DISTANCE
}

fn column_of(NodeId(node): NodeId) -> usize {
    column(node.into())
}

fn put(line: &mut [char], at: usize, text: &str) {
    for (place, letter) in line.iter_mut().skip(at).zip(text.chars()) {
        *place = letter;
    }
}

fn draw_arrow(line: &mut [char], arrow: &Arrow) {
    let [from, to] = [arrow.from, arrow.to].map(column_of);
    let [to_left, to_right] = if arrow.arrives { ["◄", "►"] } else { ["○", "○"] };
    if from == to {
        put(line, to + 1, &format!("{to_left} {}", arrow.label));
        return;
    }
    let (left, right) = (from.min(to), from.max(to));
    for place in &mut line[left + 1..right] {
        *place = if matches!(*place, '│' | '┊') { '┼' } else { '─' };
    }
    let tip = if from < to { (right - 1, to_right) } else { (left + 1, to_left) };
    put(line, tip.0, tip.1);
    // Beside the receiver, so that the label never hides a lane that the arrow crosses.
    let width = arrow.label.chars().count().min(DISTANCE - 4);
    let start = if from < to { right - 2 - width } else { left + 3 };
    put(&mut line[..start + width], start, &arrow.label);
}
