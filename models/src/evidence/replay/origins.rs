//! For each signal on a link, the step in which it was sent.

use crate::{
    model::{
        action::{Choice, ChoiceOf},
        world::{Rules, World},
    },
    protocol::Protocol,
};
use interrex::machine::{EventOf, NodeId};
use std::collections::BTreeMap;

type Link = (NodeId, NodeId);

/// The signals of a link, its head first, each with the step in which it was sent. None for a signal that was
/// there from the beginning.
type Queue<P> = Vec<(EventOf<P>, Option<usize>)>;

/// The origins of all signals of a world.
pub(super) struct Origins<P: Protocol>(BTreeMap<Link, Queue<P>>);

impl<P: Protocol> Origins<P> {
    /// The origins in the world in which a run begins.
    pub(super) fn new(rules: &Rules<P>, world: &World) -> Self {
        let queue = |link: Link| {
            let signals = rules.signals(world, link.0, link.1).into_iter();
            (link, signals.map(|signal| (signal.clone(), None)).collect())
        };
        Self(links(rules).map(queue).collect())
    }

    /// The step that sent the signal which this choice delivers or disturbs.
    pub(super) fn of(&self, choice: &ChoiceOf<P>) -> Option<usize> {
        let at = usize::from(matches!(choice, Choice::Overtake { .. }));
        self.0[&choice.link()?].get(at)?.1
    }

    /// Updates the origins after a step, which leads to this world.
    pub(super) fn follow(
        &mut self,
        rules: &Rules<P>,
        step: usize,
        choice: &ChoiceOf<P>,
        after: &World,
    ) {
        if let Some(queue) = choice.link().and_then(|link| self.0.get_mut(&link)) {
            disturb::<P>(queue, choice);
        }
        for link in links(rules) {
            let queue = self.0.remove(&link).unwrap_or_default();
            let signals = rules.signals(after, link.0, link.1);
            self.0.insert(link, carried_over::<P>(queue, &signals, step));
        }
    }
}

fn links<P: Protocol>(rules: &Rules<P>) -> impl Iterator<Item = Link> + use<P> {
    let size = rules.environment().size();
    (0..size).flat_map(move |from| (0..size).map(move |to| (NodeId(from), NodeId(to))))
}

/// Applies a choice to the queue of its link.
fn disturb<P: Protocol>(queue: &mut Queue<P>, choice: &ChoiceOf<P>) {
    match choice {
        Choice::Deliver { .. } | Choice::Drop { .. } => {
            queue.remove(0);
        }
        Choice::Duplicate { .. } => queue.push(queue[0].clone()),
        Choice::Overtake { .. } => queue.swap(0, 1),
        _ => {}
    }
}

/// The queue with these signals: first the earlier signals that are still there, in order, then those that
/// this step has sent. A link loses signals when a life ends, a cut opens, or a monitor is given up. It gains
/// signals at its tail only.
fn carried_over<P: Protocol>(before: Queue<P>, signals: &[&EventOf<P>], step: usize) -> Queue<P> {
    let mut before = before.into_iter();
    let carry = |signal: &&EventOf<P>| {
        let known = before.find(|(known, _)| known == *signal);
        known.unwrap_or_else(|| ((*signal).clone(), Some(step)))
    };
    signals.iter().map(carry).collect()
}
