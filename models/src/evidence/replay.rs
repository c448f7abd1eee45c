//! Replaying a trace: exactly, or its schedule only.
//!
//! An exact replay checks that today's protocol has the recorded effects: the first difference ends it. A
//! replay of the schedule runs today's protocol with the recorded actions, leaves out those that are no
//! longer possible, and checks whether the property is still violated.

mod ending;
mod journeys;

use crate::{
    claim::{
        notion::{Notion, Standing},
        property::{Kind, Property},
    },
    evidence::trace::{Trace, TraceStep, to_value},
    explore::livelock::Cycle,
    io::text::differences,
    model::{
        action::Side,
        node::{Condition, Input, Node},
        view::describe,
        world::{Enabled, EnabledOf, Rules, World},
    },
    protocol::Protocol,
};
pub use ending::gone_on;
use interrex::machine::NodeId;
use journeys::Journeys;
pub use journeys::{Fate, Journey};
use serde::Serialize;
use serde_json::{Value, json};
use strum::Display;

/// The mode of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every effect must be as it was recorded.
    Exact,
    /// Only the actions count.
    Schedule,
}

/// The result of a replay.
#[derive(Clone, Debug, Serialize)]
pub struct Replay {
    /// Each node at the beginning.
    pub nodes: Vec<Beginning>,
    /// The steps, one for each action that was replayed.
    pub steps: Vec<Replayed>,
    /// The journeys of all signals, in the order in which they began.
    pub journeys: Vec<Journey>,
    /// The outcome.
    pub outcome: Outcome,
}

/// A node at the beginning of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Beginning {
    /// Its state, without its history.
    pub state: Value,
    /// Its announcements.
    #[serde(skip)]
    pub announced: Announced,
}

/// The part of a node in the group, as it announces it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Its standing; none if it is not up.
    pub standing: Option<Standing>,
    /// The view that it has installed or the term that it was elected for, if it has just been.
    pub news: Option<String>,
}

/// One action, replayed.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// Its place in the trace, from 1.
    pub step: usize,
    /// The action.
    pub action: String,
    /// The node that took a step or crashed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The link on which it happened: sender and receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<(NodeId, NodeId)>,
    /// The step in which the signal of that link was sent; none if it was under way at the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<usize>,
    /// The input of the node: an event, or its start. None in a crash. For a fault of a message on its way,
    /// that message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met: Option<Value>,
    /// The effects that happened, in order.
    pub effects: Vec<Value>,
    /// The changes of the node.
    pub changes: Vec<Change>,
    /// The announcements of the node after it.
    #[serde(skip)]
    pub announced: Announced,
    /// The complaints about the world after it.
    #[serde(skip)]
    pub complaints: Vec<String>,
    /// The end of the life of the node, if it ended in this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<End>,
    /// The nodes that are cut off from the others after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<Side>,
    /// The reason why it was left out, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// The loop of a livelock begins with this step.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub begins_loop: bool,
}

/// The end of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum End {
    /// The environment ended it. The node can be restarted.
    Crashed,
    /// The node ended it by itself.
    Stopped,
}

/// A change at a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The path of the changed value.
    pub what: String,
    /// The value before.
    pub before: Value,
    /// The value after.
    pub after: Value,
}

/// The outcome of a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The property is violated.
    Violated {
        /// The first step after which it is violated.
        after: usize,
        /// A sentence for each violation.
        complaints: Vec<String>,
    },
    /// The property is not violated anywhere on the way.
    NotViolated,
    /// Nothing is violated on the way, but something is left to do at its end. So the run does not tell whether its property
    /// holds: a settled one is judged where nothing is left to do, and a fair one could still be violated by how it goes on.
    Unsettled,
    /// Some actions were not possible and were left out; with the others, the property is not violated. That says nothing
    /// about the run that was recorded.
    NotReproduced,
    /// The protocol did not do what was recorded.
    Diverged {
        /// The first step that differs.
        step: usize,
        /// The effects in the trace.
        recorded: Vec<Value>,
        /// The effects now.
        now: Vec<Value>,
    },
    /// An action is not possible.
    Impossible {
        /// The step.
        step: usize,
        /// The reason.
        reason: String,
    },
    /// Only the first steps were replayed, as requested, and nothing was wrong with them.
    Partial,
}

/// Replays a trace, up to step `until` if that is given.
pub fn replay<P: Protocol>(
    protocol: P,
    trace: &Trace,
    property: &Property,
    mode: Mode,
    until: Option<usize>,
) -> Replay {
    replay_with(&Rules::new(protocol, trace.environment.clone()), trace, property, mode, until)
}

/// The same with given rules. The environment is that of the rules, not that of the trace.
pub fn replay_with<P: Protocol>(
    rules: &Rules<P>,
    trace: &Trace,
    property: &Property,
    mode: Mode,
    until: Option<usize>,
) -> Replay {
    let mut replay = run(rules, trace, property, mode, until);
    if let Some(first) = trace.loop_from.and_then(|first| replay.steps.get_mut(first)) {
        first.begins_loop = true;
    }
    replay
}

fn run<P: Protocol>(
    rules: &Rules<P>,
    trace: &Trace,
    property: &Property,
    mode: Mode,
    until: Option<usize>,
) -> Replay {
    // A run may be as long as production runs. What its steps were is not needed again.
    let mut rules = rules.anew();
    let mut world = rules.initial();
    let mut replay = Replay::begin(&rules, &world);
    let mut journeys = Journeys::new(&rules, &world);
    let mut violated = violation(0, &rules.complaints(&world, property));
    let mut cycle = None;
    let count = until.unwrap_or(trace.steps.len());
    for (recorded, step) in trace.steps.iter().zip(1..=count) {
        let action = recorded.action();
        let (enabled, next) = match action.and_then(|action| rules.take(&world, &action)) {
            Ok(taken) => taken,
            Err(reason) if mode == Mode::Schedule => {
                replay.steps.push(left_out(step, recorded, rules.cut(&world), reason));
                continue;
            }
            Err(reason) => {
                let outcome = Outcome::Impossible { step, reason };
                return Replay { outcome, journeys: journeys.all(), ..replay };
            }
        };
        let replayed = Replayed {
            sent: journeys.origin(&enabled.action.choice),
            complaints: rules.complaints(&next, property),
            ..show(&rules, step, &world, &enabled, &next)
        };
        journeys.follow(&rules, step, &enabled, &next);
        violated = violated.or_else(|| violation(step, &replayed.complaints));
        let now = replayed.effects.clone();
        replay.steps.push(replayed);
        if mode == Mode::Exact && now != recorded.effects {
            let recorded = recorded.effects.clone();
            let outcome = Outcome::Diverged { step, recorded, now };
            return Replay { outcome, journeys: journeys.all(), ..replay };
        }
        if trace.loop_from == Some(step - 1) {
            cycle = Some(Cycle::begin(&rules, &world));
        }
        if let Some(cycle) = &mut cycle {
            cycle.take(&rules, &enabled.action.choice, &next);
        }
        // A cycle is compared with the world in which it began.
        world = if cycle.is_some() { next } else { rules.forget_at(step, next) };
    }
    let whole = count >= trace.steps.len();
    let complete = replay.left_out() == 0;
    if property.kind == Kind::Fair && whole && complete {
        let closed = cycle.filter(|cycle| cycle.closes_in(&world));
        violated = closed.and(trace.loop_from).map(|first| livelock(first, trace.steps.len()));
    }
    let not_violated = match (whole, complete) {
        (false, _) => Outcome::Partial,
        (true, false) => Outcome::NotReproduced,
        (true, true) if is_decided(&rules, &world, property.kind) => Outcome::NotViolated,
        (true, true) => Outcome::Unsettled,
    };
    let outcome = violated.unwrap_or(not_violated);
    Replay { outcome, journeys: journeys.all(), ..replay }
}

impl Replay {
    /// A replay without steps, which begins in this world.
    fn begin<P: Protocol>(rules: &Rules<P>, world: &World) -> Self {
        let beginning = |node| Beginning {
            state: describe(rules.node(world, node)),
            announced: Announced::of(rules.protocol(), rules.node(world, node), 0),
        };
        let nodes = (0..rules.environment().size()).map(NodeId).map(beginning).collect();
        Self { nodes, steps: vec![], journeys: vec![], outcome: Outcome::Partial }
    }

    /// The number of steps that were left out, because they are not possible.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.steps.iter().filter(|step| step.left_out.is_some()).count()
    }
}

/// True if a run that ends in this world, and violates nothing, does not violate a property of this kind.
fn is_decided<P: Protocol>(rules: &Rules<P>, end: &World, kind: Kind) -> bool {
    match kind {
        Kind::Safety => true,
        Kind::Settled => rules.judged(end, kind).is_some(),
        Kind::Fair => rules.is_settled(end),
    }
}

/// The violation of a loop between these steps.
pub(super) fn livelock(first: usize, last: usize) -> Outcome {
    let place = match first {
        0 => "where it began".into(),
        first => format!("where it was after step {first}"),
    };
    let complaint = format!(
        "the run comes back to {place}, and would go round for ever, and no message or timer waits \
         through the whole loop"
    );
    Outcome::Violated { after: last, complaints: vec![complaint] }
}

fn violation(after: usize, complaints: &[String]) -> Option<Outcome> {
    let complaints = complaints.to_vec();
    (!complaints.is_empty()).then_some(Outcome::Violated { after, complaints })
}

impl Beginning {
    /// True if the node is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.announced.standing.is_some()
    }
}

impl Announced {
    /// The announcements of a node: its standing, and the last news after the first `known` observations.
    fn of<P: Protocol>(protocol: &P, node: &Node<P>, known: usize) -> Self {
        let standing = match &node.condition {
            Condition::Up(state) => Some(protocol.standing(state)),
            Condition::Idle | Condition::Crashed | Condition::Stopped => None,
        };
        let since = (known..node.history.len()).rev().filter_map(|at| node.history.get(at));
        let news = since.map(|observation| protocol.notion(observation)).find_map(|it| match it {
            Notion::Installed(view) if view.number == 0 => Some(format!("view of {}", view.leader)),
            Notion::Installed(view) => Some(format!("view {} of {}", view.number, view.leader)),
            // Where elections are not counted, a term has no numbers.
            Notion::Elected(term) => {
                let term = term.to_string();
                (!term.is_empty()).then(|| format!("term {term}"))
            }
            _ => None,
        });
        Self { standing, news: news.filter(|_| standing.is_some()) }
    }
}

fn show<P: Protocol>(
    rules: &Rules<P>,
    step: usize,
    before: &World,
    enabled: &EnabledOf<P>,
    after: &World,
) -> Replayed {
    let Enabled { action, .. } = enabled;
    let node = action.choice.node();
    let changes = node.map_or(vec![], |node| {
        let [old, new] = [before, after].map(|world| describe(rules.node(world, node)));
        differences(&old, &new)
    });
    let announced = node.map(|node| {
        let known = rules.node(before, node).history.len();
        Announced::of(rules.protocol(), rules.node(after, node), known)
    });
    Replayed {
        step,
        action: action.to_string(),
        node,
        link: action.choice.link(),
        sent: None,
        met: rules.met(before, &action.choice).map(|input| match input {
            Input::Start(boot) => json!({ "start": boot }),
            Input::Event(event) => to_value(event),
        }),
        effects: rules.effects(enabled).iter().map(to_value).collect(),
        changes: (changes.into_iter())
            .map(|(what, before, after)| Change { what, before, after })
            .collect(),
        announced: announced.unwrap_or_default(),
        complaints: vec![],
        ended: node.and_then(|node| End::of(rules.node(after, node))),
        cut_off: rules.cut(after),
        left_out: None,
        begins_loop: false,
    }
}

fn left_out(step: usize, recorded: &TraceStep, cut_off: Option<Side>, reason: String) -> Replayed {
    let action = recorded.action::<Value>().map(|action| action.to_string());
    Replayed {
        step,
        action: action.unwrap_or_default(),
        node: recorded.action.node(),
        link: None,
        sent: None,
        met: None,
        effects: vec![],
        changes: vec![],
        announced: Announced::default(),
        complaints: vec![],
        ended: None,
        cut_off,
        left_out: Some(reason),
        begins_loop: false,
    }
}

impl End {
    fn of<P: Protocol>(node: &Node<P>) -> Option<Self> {
        match node.condition {
            Condition::Idle | Condition::Up(_) => None,
            Condition::Crashed => Some(Self::Crashed),
            Condition::Stopped => Some(Self::Stopped),
        }
    }
}
