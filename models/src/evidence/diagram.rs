//! A replayed run as a sequence diagram, in text.

use crate::{
    evidence::replay::Replayed,
    io::text::{plain, printable},
    model::action::Side,
};
use interrex::machine::NodeId;
use serde_json::Value;
use std::fmt::Write;

/// Where the first lifeline stands, and how far apart they are.
const MARGIN: usize = 8;
const DISTANCE: usize = 12;

/// Draws a run of a group in which the nodes of `up` run at the beginning.
///
/// Time goes down; a column is a node. `●` is a step: an arrow to it is the signal that it took, which
/// may have been sent much earlier. Beside it stands what was met, and below what was done. `○` instead
/// of a tip: something happens to the message on its way. `✕` is the end of a life, `┊` a node that is
/// cut off, and `⟲` stands where what could go round for ever begins.
#[must_use]
pub fn draw(up: &[bool], steps: &[Replayed]) -> String {
    let mut drawing = Drawing { up: up.to_vec(), cut_off: None, text: String::new() };
    drawing.heading();
    for step in steps {
        drawing.step(step);
    }
    drawing.text
}

/// Where what could go round for ever begins.
pub const LOOP: &str = "⟲";

struct Drawing {
    up: Vec<bool>,
    cut_off: Option<Side>,
    text: String,
}

impl Drawing {
    fn heading(&mut self) {
        let mut line = self.blank();
        for node in 0..self.up.len() {
            let name = format!("n{node}");
            put(&mut line, column(node), &name);
        }
        self.write(&line, "");
        let lifelines = self.lifelines();
        self.write(&lifelines, "");
    }

    fn step(&mut self, step: &Replayed) {
        self.cut_off = step.cut_off;
        if step.begins_loop {
            let mut line = self.lifelines();
            put(&mut line, 4, LOOP);
            self.write(&line, "from here, for ever");
        }
        let mut line = self.lifelines();
        put(&mut line, 2, &format!("{:>3}", step.step));
        if let Some(reason) = &step.left_out {
            // Even its nodes may not exist.
            let left_out = format!("left out: {}: {reason}", step.action);
            return self.write(&line, &printable(&left_out));
        }
        let (label, content) = step.met.as_ref().map(signal).unwrap_or_default();
        if let Some((NodeId(from), NodeId(to))) = step.link {
            let tips = if step.node.is_some() { ["◄", "►"] } else { ["○", "○"] };
            arrow(&mut line, usize::from(from), usize::from(to), tips, &label);
        }
        let Some(NodeId(node)) = step.node else {
            return self.write(&line, format!("{}  {content}", step.action).trim_end());
        };
        let node = usize::from(node);
        put(&mut line, column(node), "●");
        let beside = match &step.met {
            None => "crash",
            Some(_) if is_suspicion(step) => &step.action,
            Some(_) => &content,
        };
        self.write(&line, beside);

        for effect in &step.effects {
            let lifelines = self.lifelines();
            self.write(&lifelines, &format!("  {}", plain(effect)));
        }
        let condition = step.changes.iter().find(|change| change.what == "state");
        match condition.and_then(|change| change.after.as_str()) {
            Some(end) => self.end(node, end),
            None => self.up[node] = true,
        }
    }

    fn end(&mut self, node: usize, condition: &str) {
        let mut line = self.lifelines();
        put(&mut line, column(node), "✕");
        self.write(&line, &format!("  {condition}"));
        self.up[node] = false;
    }

    fn blank(&self) -> Vec<char> {
        vec![' '; column(self.up.len())]
    }

    fn lifelines(&self) -> Vec<char> {
        let mut line = self.blank();
        let up = (0..).map(NodeId).zip(&self.up).filter(|(_, up)| **up);
        for (node, _) in up {
            let is_cut_off = self.cut_off.is_some_and(|side| side.contains(node));
            put(&mut line, column(node.0.into()), if is_cut_off { "┊" } else { "│" });
        }
        line
    }

    fn write(&mut self, line: &[char], note: &str) {
        let line: String = line.iter().collect();
        let _ = writeln!(self.text, "{}", format!("{line}{note}").trim_end());
    }
}

fn column(node: usize) -> usize {
    MARGIN + node * DISTANCE
}

fn put(line: &mut [char], at: usize, text: &str) {
    for (place, letter) in line.iter_mut().skip(at).zip(text.chars()) {
        *place = letter;
    }
}

fn arrow(line: &mut [char], from: usize, to: usize, [to_left, to_right]: [&str; 2], label: &str) {
    if from == to {
        put(line, column(to) + 1, &format!("{to_left} {label}"));
        return;
    }
    let (left, right) = (column(from.min(to)), column(from.max(to)));
    for place in &mut line[left + 1..right] {
        *place = if matches!(*place, '│' | '┊') { '┼' } else { '─' };
    }
    let tip = if from < to { (right - 1, to_right) } else { (left + 1, to_left) };
    put(line, tip.0, tip.1);
    // Beside the receiver, so that it never hides a lifeline that is crossed.
    let width = label.chars().count().min(DISTANCE - 4);
    let start = if from < to { right - 2 - width } else { left + 3 };
    put(&mut line[..start + width], start, label);
}

/// A `Down` that came over no link: a detector errs.
fn is_suspicion(step: &Replayed) -> bool {
    step.link.is_none() && step.met.as_ref().is_some_and(|met| met.get("down").is_some())
}

/// The name of a message, without the names of what it is wrapped in.
fn innermost(message: &Value) -> String {
    let mut name = String::new();
    let mut content = message;
    while let Some((variant, inside)) = content
        .as_object()
        .filter(|fields| fields.len() == 1)
        .and_then(|fields| fields.iter().next())
    {
        name.clone_from(variant);
        content = inside;
    }
    name
}

/// A short name of what a node meets, and all of it.
fn signal(met: &Value) -> (String, String) {
    let inner = |value: &Value| value.as_object().and_then(|object| object.keys().next().cloned());
    match met.get("message") {
        Some(message) => {
            let content = &message["message"];
            (innermost(content), plain(content))
        }
        None => (inner(met).unwrap_or_default(), plain(met)),
    }
}
