//! The steps that can be part of a cycle of worlds: often there are none, and that proves that no run goes round for ever.
//!
//! Every step of a run through a complete exploration is remembered there once, however many worlds it is taken in. What
//! follows looks at these steps only. Consider a cycle of worlds.
//!
//! * Nothing in it uses a budget, adds to a history or ends a node, because none of that is ever undone; nor does it heal
//!   a cut, which cost a budget to open. Only deliveries and, if they are unlimited, time-outs are left
//!   ([`Rules::can_recur`]). So nodes, lives and the cut stay: nobody comes up, ends, or is cut off.
//! * So a signal that is delivered to a node was put on its link within the cycle: on no link are there fewer of it when
//!   the cycle closes. A message was sent by a step of the cycle. A `Down` was put there by the step of the watcher that
//!   asked for a monitor of somebody who is not there: all other ways to it are ends of nodes, cuts and suspicions.
//! * A time-out comes from the node itself: its timers are part of its state. But an unlimited time-out must change
//!   something. If it does not change its node, it sends a message that arrives. So a step of the cycle takes that message.
//! * A node is changed by its own steps only, from state to state and back to the first. Only its monitors may change
//!   besides, as the others are there or not. So each step lies within a strongly connected component of the states of
//!   its node, with those that differ in a monitor held together.
//!
//! The steps that may recur are the largest set in which all this is true of each. It holds the steps of every cycle. It may
//! hold others, too: they would need nodes in states that never occur together. Then the worlds are searched.

use crate::{
    model::{
        environment::{Budget, UNLIMITED},
        node::Input,
        parts::{Handle, Parts, Reach, Step},
        world::Rules,
    },
    protocol::Protocol,
};
use interrex::machine::{Event, NodeId};
use petgraph::{algo::kosaraju_scc, graph::DiGraph};
use rustc_hash::FxHashSet;

/// The steps that may be part of a cycle, of those that were taken.
pub(crate) struct Recurring(FxHashSet<Handle>);

/// A signal on its way to a node.
type Token = (Handle, NodeId);

/// A step that is not excluded yet.
struct Candidate {
    step: Handle,
    /// The state of its node before and after it.
    way: [Handle; 2],
    /// The signal that it handles. None for a time-out.
    takes: Option<Token>,
    /// The signals that it can put on links.
    gives: Vec<Token>,
    /// It leaves its node as it is.
    is_idle: bool,
}

impl Recurring {
    /// Looks at all steps that were taken so far.
    pub(crate) fn of<P: Protocol>(rules: &Rules<P>) -> Self {
        let mut candidates = exchanging(rules);
        loop {
            let before = candidates.len();
            go_round(rules.parts(), &mut candidates);
            if candidates.len() == before {
                return Self(candidates.iter().map(|it| it.step).collect());
            }
            exchange(&mut candidates);
        }
    }

    /// True if there is no such step, and so no cycle.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if a step may be part of a cycle.
    pub(crate) fn contains(&self, step: Handle) -> bool {
        self.0.contains(&step)
    }
}

/// False if the signals alone show that no step that was taken so far can be part of a cycle.
pub(crate) fn may_recur<P: Protocol>(rules: &Rules<P>) -> bool {
    !exchanging(rules).is_empty()
}

/// The steps that were taken and are not excluded by the signals that they need.
fn exchanging<P: Protocol>(rules: &Rules<P>) -> Vec<Candidate> {
    let parts = rules.parts();
    let with_time = rules.environment().budgets[Budget::Timeouts] == UNLIMITED;
    let taken = parts.steps().filter(|(_, step)| step.recurs && step.was_taken_whole());
    let candidates = taken.filter_map(|(at, step)| candidate(parts, at, step, with_time));
    let mut candidates = candidates.collect();
    exchange(&mut candidates);
    candidates
}

fn candidate<P: Protocol>(
    parts: &Parts<P>,
    at: Handle,
    step: &Step<P>,
    with_time: bool,
) -> Option<Candidate> {
    let me = parts.node(step.before).id;
    let takes = match parts.input_at(step.input) {
        Input::Event(Event::Message { .. } | Event::Down(_)) => Some((step.input, me)),
        Input::Event(Event::Timeout(_)) if with_time => None,
        Input::Start(_) | Input::Event(Event::Timeout(_) | Event::Command(_)) => return None,
    };
    let gives = step.reach.iter().filter_map(|reach| match *reach {
        Reach::Send { to, signal } => Some((signal, to.node())),
        Reach::Monitor(target) => Some((target.down, me)),
        Reach::Demonitor(_) | Reach::Nowhere => None,
    });
    let is_outward = |reach: &Reach| matches!(reach, Reach::Send { .. } | Reach::Nowhere);
    Some(Candidate {
        step: at,
        way: [step.before, step.node],
        takes,
        gives: gives.collect(),
        is_idle: step.before == step.node && step.reach.iter().all(is_outward),
    })
}

/// Keeps the steps whose signal another one gives, and the idle time-outs of which another one takes a signal.
fn exchange(candidates: &mut Vec<Candidate>) {
    loop {
        let before = candidates.len();
        let given: FxHashSet<_> =
            candidates.iter().flat_map(|it| it.gives.iter().copied()).collect();
        let heard: FxHashSet<_> = candidates.iter().filter_map(|it| it.takes).collect();
        candidates.retain(|it| match it.takes {
            Some(token) => given.contains(&token),
            None => !it.is_idle || it.gives.iter().any(|token| heard.contains(token)),
        });
        if candidates.len() == before {
            return;
        }
    }
}

/// Keeps the steps after which others lead their node back.
fn go_round<P: Protocol>(parts: &Parts<P>, candidates: &mut Vec<Candidate>) {
    if candidates.is_empty() {
        return;
    }
    let steps = candidates.iter().map(|it| (it.way[0], it.way[1]));
    let monitors =
        parts.differing_in_monitors().flat_map(|(one, other)| [(one, other), (other, one)]);
    let states = DiGraph::<(), ()>::from_edges(steps.chain(monitors));
    let mut component = vec![0; states.node_count()];
    for (nth, members) in kosaraju_scc(&states).iter().enumerate() {
        for member in members {
            component[member.index()] = nth;
        }
    }
    candidates.retain(|it| component[it.way[0] as usize] == component[it.way[1] as usize]);
}
