//! The actions that one can think of in a world, whether they are possible or not.

use crate::{
    model::{
        action::{Choice, ChoiceOf, Side},
        environment::Budget,
        world::{Rules, World},
    },
    protocol::Protocol,
};
use im::OrdSet;
use interrex::machine::{NodeId, Peer};

/// The actions that one can think of at the end of a run through these worlds. A timer is one that its node has had
/// somewhere on the way.
pub(super) fn all<P: Protocol>(rules: &Rules<P>, worlds: &[World]) -> Vec<ChoiceOf<P>> {
    let mut all: Vec<_> = rules.nodes().flat_map(|node| of_node(rules, worlds, node)).collect();
    let between = rules.pairs().filter(|(from, to)| from != to);
    all.extend(between.flat_map(|(from, to)| of_link(from, to)));
    // Where nothing is ever cut, one cut stands for all.
    let sides = Side::all(rules.environment().size());
    let most = if rules.environment().budgets[Budget::Cuts] > 0 { usize::MAX } else { 1 };
    all.extend(sides.take(most).map(|side| Choice::Cut { side }));
    all.push(Choice::Heal);
    all
}

fn of_node<P: Protocol>(rules: &Rules<P>, worlds: &[World], node: NodeId) -> Vec<ChoiceOf<P>> {
    let others: Vec<_> = rules.nodes().filter(|it| *it != node).collect();
    let contacts: Vec<_> = if rules.protocol().joins_through_contact() {
        others.iter().copied().map(Some).collect()
    } else {
        vec![None]
    };
    let armed = worlds.iter().flat_map(|world| rules.node(world, node).timers.iter().cloned());
    let timers: OrdSet<_> = armed.collect();
    let end = &worlds[worlds.len() - 1];
    let monitors = &rules.node(end, node).monitors;
    // As it is monitored, or else by its name.
    let named = |other: &NodeId| {
        let monitored = monitors.iter().copied().find(|peer| peer.node() == *other);
        monitored.unwrap_or(Peer::Name(*other))
    };
    let mut all: Vec<ChoiceOf<P>> = vec![];
    all.extend(contacts.iter().map(|contact| Choice::Start { node, contact: *contact }));
    all.push(Choice::Command { node });
    all.extend(timers.into_iter().map(|timer| Choice::Timeout { node, timer }));
    all.push(Choice::Crash { node });
    all.extend(contacts.iter().map(|contact| Choice::Restart { node, contact: *contact }));
    all.extend(others.iter().map(|it| Choice::Suspect { watcher: node, target: named(it) }));
    all
}

fn of_link<Timer>(from: NodeId, to: NodeId) -> [Choice<Timer>; 4] {
    [
        Choice::Deliver { from, to },
        Choice::Drop { from, to },
        Choice::Duplicate { from, to },
        Choice::Overtake { from, to },
    ]
}
