//! The nodes of a page: the state of each, with what its last step has changed.

use super::super::chart::{Chart, Row};
use crate::{
    evidence::replay::Change,
    io::text::{plain, printable, put},
};
use interrex::machine::NodeId;
use maud::{Markup, html};
use serde_json::Value;

pub(super) fn nodes(chart: &Chart) -> Markup {
    html! {
        section {
            h2 { "Nodes" }
            div.nodes { @for node in 0..chart.nodes.len() { (states(chart, node)) } }
        }
    }
}

/// The nodes at the end of the run.
pub(super) fn at_end(chart: &Chart) -> Markup {
    let last = chart.rows.len();
    html! {
        section {
            h2 { "Nodes" }
            div.nodes {
                @for node in 0..chart.nodes.len() {
                    div.node {
                        h3 { "n" (node) }
                        @if let Some((from, state, changes)) = cards(chart, node).pop() {
                            div.fresh[from == last] { (fields(&state, changes)) }
                        }
                    }
                }
            }
        }
    }
}

/// A card for each state of a node.
fn states(chart: &Chart, node: usize) -> Markup {
    let cards = cards(chart, node);
    let ends = cards.iter().skip(1).map(|(from, ..)| *from).chain([chart.rows.len() + 1]);
    html! {
        div.node {
            h3 { "n" (node) }
            @for ((from, state, changes), until) in cards.iter().zip(ends) {
                // The changes are marked while the step that made them is shown.
                div data-from=(from) data-until=(until) data-changed=(from) { (fields(state, changes)) }
            }
        }
    }
}

/// The states of a node, each with the step that led to it, and what that changed.
fn cards(chart: &Chart, node: usize) -> Vec<(usize, Value, &[Change])> {
    let is_here = |row: &&Row| row.mark.is_some_and(|NodeId(mark)| usize::from(mark) == node);
    let mut state = chart.nodes[node].state.clone();
    let mut cards = vec![(0, state.clone(), &[][..])];
    for row in chart.rows.iter().filter(is_here) {
        for Change { what, after, .. } in &row.changes {
            put(&mut state, what, after);
        }
        cards.push((row.step, state.clone(), row.changes.as_slice()));
    }
    cards
}

fn fields(state: &Value, changes: &[Change]) -> Markup {
    let mut fields = vec![];
    flatten("", state, &mut fields);
    html! {
        dl {
            @for (path, value) in fields {
                @let change = changes.iter().find(|change| is_below(&path, &change.what));
                div.changed[change.is_some()] {
                    dt { (printable(&path)) }
                    dd {
                        @if let Some(change) = change.filter(|change| change.what == path) {
                            del { (plain(&change.before)) } " "
                        }
                        (plain(value))
                    }
                }
            }
        }
    }
}

fn is_below(path: &str, changed: &str) -> bool {
    let rest = path.strip_prefix(changed);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The fields of a value that have no fields themselves, each with its path.
fn flatten<'a>(path: &str, value: &'a Value, fields: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(inner) if !inner.is_empty() => {
            for (name, value) in inner {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, fields);
            }
        }
        Value::Array(items) if items.is_empty() => {}
        Value::Null => {}
        _ => fields.push((path.into(), value)),
    }
}
