//! A replayed run as a chart: lanes, marks on them, and arrows between them. It does not depend on a medium,
//! such as characters or pixels.

use crate::{
    evidence::replay::{End, Replay, Replayed},
    io::text::{plain, printable},
    model::action::Side,
};
use interrex::machine::NodeId;
use serde_json::Value;

/// A run of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// For each node, true if it is up at the beginning.
    pub up: Vec<bool>,
    /// The steps, from the first to the last.
    pub rows: Vec<Row>,
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The number of the step, from 1.
    pub step: usize,
    /// The loop of a livelock begins with this step.
    pub begins_loop: bool,
    /// For each node, its lane while the step is taken.
    pub lanes: Vec<Lane>,
    /// The signal that is delivered or disturbed.
    pub arrow: Option<Arrow>,
    /// The node that takes the step.
    pub mark: Option<NodeId>,
    /// The action, or the signal that the node handles.
    pub note: String,
    /// The effects at the node.
    pub effects: Vec<String>,
    /// The end of the life of the node, if it ends with this step.
    pub end: Option<End>,
}

/// The state of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The node is not up.
    Empty,
    /// The node is up.
    Up,
    /// The node is up, on the side of an open cut that does not hold node 0.
    CutOff,
}

/// A signal on its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrow {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The step in which it was sent; none if it was under way when the run began.
    pub sent: Option<usize>,
    /// It arrives. Otherwise a fault happens to it on its way.
    pub arrives: bool,
    /// A short name of the signal.
    pub label: String,
}

impl Chart {
    /// The chart of a replayed run.
    #[must_use]
    pub fn of(replay: &Replay) -> Self {
        let mut up = replay.up.clone();
        let row = |step| {
            let row = Row::of(step, &up);
            if let Some(NodeId(node)) = row.mark {
                up[usize::from(node)] = row.end.is_none();
            }
            row
        };
        Self { up: replay.up.clone(), rows: replay.steps.iter().map(row).collect() }
    }
}

impl Row {
    fn of(step: &Replayed, up: &[bool]) -> Self {
        let row = Self {
            step: step.step,
            begins_loop: step.begins_loop,
            lanes: lanes(up, step.cut_off),
            arrow: None,
            mark: None,
            note: String::new(),
            effects: vec![],
            end: None,
        };
        if let Some(reason) = &step.left_out {
            // Its nodes may not even exist.
            let left_out = format!("left out: {}: {reason}", step.action);
            return Self { note: printable(&left_out), ..row };
        }
        let (label, content) = step.met.as_ref().map(signal).unwrap_or_default();
        let note = match (step.node, &step.met) {
            (None, _) => format!("{}  {content}", step.action),
            (Some(_), None) => "crash".into(),
            (Some(_), Some(_)) if is_suspicion(step) => step.action.clone(),
            (Some(_), Some(_)) => content,
        };
        Self {
            arrow: step.link.map(|(from, to)| Arrow {
                from,
                to,
                sent: step.sent,
                arrives: step.node.is_some(),
                label,
            }),
            mark: step.node,
            note,
            effects: step.effects.iter().map(plain).collect(),
            end: step.ended,
            ..row
        }
    }
}

fn lanes(up: &[bool], cut_off: Option<Side>) -> Vec<Lane> {
    let lane = |(node, up): (NodeId, &bool)| match cut_off {
        _ if !up => Lane::Empty,
        Some(side) if side.contains(node) => Lane::CutOff,
        _ => Lane::Up,
    };
    (0..).map(NodeId).zip(up).map(lane).collect()
}

/// True for a `Down` that came over no link: a detector errs.
fn is_suspicion(step: &Replayed) -> bool {
    step.link.is_none() && step.met.as_ref().is_some_and(|met| met.get("down").is_some())
}

/// The name of the innermost message, without its wrappers.
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

/// A short name of the input that a node handles, and the input in full.
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
