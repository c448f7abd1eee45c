//! A replayed run as a chart: lanes, marks on them, and arrows between them. It does not depend on a medium,
//! such as characters or pixels.

use crate::{
    evidence::replay::{
        Announced, Beginning, Change, End, Fate, Journey, Outcome, Replay, Replayed,
    },
    io::text::{plain, printable},
    model::action::Side,
};
use interrex::machine::{NodeId, Peer};
use serde::Deserialize;
use serde_json::Value;

/// More complaints than this are counted.
const MOST_COMPLAINTS: usize = 3;

/// A run of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// The nodes at the beginning.
    pub nodes: Vec<Beginning>,
    /// The steps, from the first to the last.
    pub rows: Vec<Row>,
    /// The journeys of all signals.
    pub journeys: Vec<Passage>,
    /// The step after which the property is violated, 0 for the beginning, and the first complaints.
    pub violated: Option<(usize, Vec<String>)>,
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The number of the step, from 1.
    pub step: usize,
    /// Its time in a run of real nodes, in microseconds since 1970, if it is known.
    pub time: Option<u64>,
    /// The loop of a livelock begins with this step.
    pub begins_loop: bool,
    /// For each node, its lane while the step is taken.
    pub lanes: Vec<Lane>,
    /// The signal that is delivered or disturbed.
    pub arrow: Option<Arrow>,
    /// The node that takes the step.
    pub mark: Option<NodeId>,
    /// The kind of step.
    pub kind: Kind,
    /// The action.
    pub action: String,
    /// The action, or the signal that the node handles.
    pub note: String,
    /// The same without the envelope of a message, for where there is little room.
    pub brief: String,
    /// The effects at the node.
    pub effects: Vec<String>,
    /// The effects that no mark of a picture shows: reports to the application, and the reason for a stop.
    pub reports: Vec<String>,
    /// The changes of the node.
    pub changes: Vec<Change>,
    /// The announcements of the node after it.
    pub announced: Announced,
    /// The first complaints about the world after it.
    pub complaints: Vec<String>,
    /// The nodes that are cut off from the others after it.
    pub cut_off: Option<Side>,
    /// The end of the life of the node, if it ends with this step.
    pub end: Option<End>,
}

/// A kind of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A node handles a signal, a time-out or a request, or comes up.
    Handled,
    /// A node crashes between two steps.
    Crash,
    /// A detector errs about this node.
    Suspicion(NodeId),
    /// A fault happens to a message on its way.
    Fault,
    /// A cut opens or closes.
    Cut,
    /// It was left out: it is not possible.
    LeftOut,
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
    /// A message, not a `Down`.
    pub is_message: bool,
    /// It arrives. Otherwise a fault happens to it on its way.
    pub arrives: bool,
    /// A short name of the signal.
    pub label: String,
}

/// The journey of a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The sender.
    pub from: NodeId,
    /// The receiver.
    pub to: NodeId,
    /// The step in which it was sent, 0 if it was under way when the run began.
    pub sent: usize,
    /// The step in which its journey ended, and how.
    pub end: Option<(usize, Fate)>,
    /// A message, not a `Down`.
    pub is_message: bool,
    /// A short name of the signal.
    pub label: String,
    /// The signal in full.
    pub content: String,
}

impl Chart {
    /// The chart of a replayed run.
    #[must_use]
    pub fn of(replay: &Replay) -> Self {
        let mut up: Vec<bool> = replay.nodes.iter().map(Beginning::is_up).collect();
        let row = |step| {
            let row = Row::of(step, &up);
            if let Some(NodeId(node)) = row.mark {
                up[usize::from(node)] = row.end.is_none();
            }
            row
        };
        let rows = replay.steps.iter().map(row).collect();
        let violated = match &replay.outcome {
            Outcome::Violated { after, complaints } => Some((*after, first(complaints))),
            Outcome::NotViolated
            | Outcome::Unsettled
            | Outcome::NotReproduced
            | Outcome::Diverged { .. }
            | Outcome::Impossible { .. }
            | Outcome::Partial => None,
        };
        let journeys = replay.journeys.iter().map(Passage::of).collect();
        Self { nodes: replay.nodes.clone(), rows, journeys, violated }
    }

    /// `violated after step 4: …`, if the property is violated.
    #[must_use]
    pub fn violation(&self) -> Option<String> {
        let (after, complaints) = self.violated.as_ref()?;
        Some(format!("violated after step {after}: {}", complaints.join("; ")))
    }

    /// The same with the times of its steps.
    #[must_use]
    pub fn at_times(mut self, times: &[Option<u64>]) -> Self {
        for (row, time) in self.rows.iter_mut().zip(times) {
            row.time = *time;
        }
        self
    }
}

impl Passage {
    fn of(journey: &Journey) -> Self {
        let Journey { from, to, signal, sent, end } = journey;
        let is_message = is_message(signal);
        let (label, content) = self::signal(signal);
        let sent = sent.unwrap_or_default();
        Self { from: *from, to: *to, sent, end: *end, is_message, label, content }
    }
}

impl Row {
    fn of(step: &Replayed, up: &[bool]) -> Self {
        let row = Self {
            step: step.step,
            time: None,
            begins_loop: step.begins_loop,
            lanes: lanes(up, step.cut_off),
            arrow: None,
            mark: None,
            kind: Kind::of(step),
            action: printable(&step.action),
            note: String::new(),
            brief: String::new(),
            effects: vec![],
            reports: vec![],
            changes: step.changes.clone(),
            announced: step.announced.clone(),
            complaints: first(&step.complaints),
            cut_off: step.cut_off,
            end: None,
        };
        if let Some(reason) = &step.left_out {
            // Its nodes may not even exist.
            let left_out = format!("left out: {}: {reason}", step.action);
            let note = printable(&left_out);
            return Self { brief: note.clone(), note, ..row };
        }
        let (label, content) = step.met.as_ref().map(signal).unwrap_or_default();
        let inside = step.met.as_ref().and_then(|met| met.get("message"));
        let inside = inside.map(|message| plain(opened(&message["message"])));
        let note = match (step.node, &step.met) {
            (None, _) => format!("{}  {content}", step.action),
            (Some(_), None) => "crash".into(),
            (Some(_), Some(_)) if suspected(step).is_some() => step.action.clone(),
            (Some(_), Some(_)) => content,
        };
        Self {
            arrow: step.link.map(|(from, to)| Arrow {
                from,
                to,
                sent: step.sent,
                is_message: step.met.as_ref().is_some_and(is_message),
                arrives: step.node.is_some(),
                label,
            }),
            mark: step.node,
            brief: inside.filter(|_| step.node.is_some()).unwrap_or_else(|| note.clone()),
            note,
            effects: step.effects.iter().map(plain).collect(),
            reports: step.effects.iter().filter_map(report).collect(),
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

impl Kind {
    fn of(step: &Replayed) -> Self {
        match (step.node, step.link) {
            _ if step.left_out.is_some() => Self::LeftOut,
            (None, Some(_)) => Self::Fault,
            (None, None) => Self::Cut,
            (Some(_), _) if step.met.is_none() => Self::Crash,
            (Some(_), _) => suspected(step).map_or(Self::Handled, Self::Suspicion),
        }
    }
}

/// The node that a detector errs about: that of a `Down` that came over no link.
fn suspected(step: &Replayed) -> Option<NodeId> {
    let down = step.met.as_ref()?.get("down").filter(|_| step.link.is_none())?;
    Peer::deserialize(down).ok().map(Peer::node)
}

/// The report of a node to its application, or the reason for its stop.
fn report(effect: &Value) -> Option<String> {
    let stops = || effect.get("stop").map(|why| format!("stops: {}", plain(why)));
    effect.get("observe").map(plain).or_else(stops)
}

/// The first complaints, and the number of the others.
fn first(complaints: &[String]) -> Vec<String> {
    let more = complaints.len().saturating_sub(MOST_COMPLAINTS);
    let rest = (more > 0).then(|| format!("and {more} more"));
    complaints.iter().take(MOST_COMPLAINTS).cloned().chain(rest).collect()
}

fn is_message(signal: &Value) -> bool {
    signal.get("message").is_some()
}

/// The message inside an envelope, which is a record that holds it beside other fields.
fn opened(message: &Value) -> &Value {
    let fields = message.as_object().filter(|fields| fields.len() > 1);
    let inside = fields.and_then(|fields| fields.get("message"));
    inside.filter(|inside| inside.is_object()).unwrap_or(message)
}

/// The name of the innermost message, without its wrappers.
fn innermost(message: &Value) -> String {
    let mut name = String::new();
    let mut content = opened(message);
    while let Some((variant, inside)) = content
        .as_object()
        .filter(|fields| fields.len() == 1)
        .and_then(|fields| fields.iter().next())
    {
        name.clone_from(variant);
        content = opened(inside);
    }
    // A variant without content is its name, and no object.
    match content.as_str() {
        Some(variant) if name.is_empty() => variant.into(),
        _ => name,
    }
}

/// A short name of the input that a node handles, and the input in full.
fn signal(met: &Value) -> (String, String) {
    let inner = |value: &Value| value.as_object().and_then(|object| object.keys().next().cloned());
    match met.get("message") {
        Some(message) => {
            let content = &message["message"];
            (printable(&innermost(content)), plain(content))
        }
        None => (printable(&inner(met).unwrap_or_default()), plain(met)),
    }
}
