//! Properties of order: views and messages come in one order.

use super::{
    definition::{
        Complaints, Group, Kind, Property, Scope, all_processes, pairs, present_processes,
    },
    notion::View,
    profile::{Delivery, Process},
};
use smallvec::SmallVec;

/// Views come in one order.
pub const VIEW_ORDER: Property = Property {
    name: "view-order",
    kind: Kind::Safety,
    scope: Scope::Pair,
    claim: "each node installs views in increasing order, and a view of one number is the same everywhere",
    exercised_when: "two nodes have installed two views each",
    // These two checks imply that any two nodes order their common views alike. The order of followers is
    // compared too, because it decides the next leader.
    complain: |Group { nodes, .. }, complain| {
        for node in nodes {
            for (earlier, later) in node.own_views().iter().zip(node.own_views().iter().skip(1)) {
                if earlier.number >= later.number {
                    complain(format_args!("{} installed {later} after {earlier}", node.me));
                }
            }
        }
        let numbered: Vec<_> = nodes.iter().map(|node| (node, by_number(&node.views))).collect();
        for ((p, _), (q, of_q)) in pairs(&numbered) {
            for view in &p.views {
                let first = of_q.partition_point(|other| other.number < view.number);
                let same_number = of_q[first..].iter().take_while(|it| it.number == view.number);
                for other in same_number.filter(|other| **other != view) {
                    complain(format_args!("{} installed {view}, and {} {other}", p.me, q.me));
                }
            }
        }
    },
    witness: |nodes| nodes.iter().filter(|node| node.views.len() > 1).count() > 1,
};

/// Deliveries come in one order, at crashed nodes too.
pub const TOTAL_ORDER_UNIFORM: Property = Property {
    name: "total-order-uniform",
    kind: Kind::Safety,
    scope: Scope::Pair,
    claim: "of any two nodes, crashed ones included, one delivered a prefix of what the other did, in the same views",
    exercised_when: "a node that is up and one that is down have delivered two messages each that both had to deliver",
    complain: |Group { nodes, .. }, complain| total_order(&all_processes(nodes), complain),
    witness: |nodes| {
        let processes = all_processes(nodes);
        pairs_that_exercise_order(&processes).any(|(p, q)| p.of.is_up() != q.of.is_up())
    },
};

/// Deliveries come in one order at the nodes that are up.
pub const TOTAL_ORDER_SURVIVORS: Property = Property {
    name: "total-order-survivors",
    kind: Kind::Safety,
    scope: Scope::Pair,
    claim: "of any two nodes that are up, one delivered a prefix of what the other did, in the same views",
    exercised_when: "two nodes that are up have delivered two messages each that both had to deliver",
    complain: |Group { nodes, .. }, complain| total_order(&present_processes(nodes), complain),
    witness: |nodes| pairs_that_exercise_order(&present_processes(nodes)).next().is_some(),
};

fn total_order(processes: &[Process<'_>], complain: Complaints<'_>) {
    for (p, q) in pairs(processes) {
        let [by_p, by_q] = compared(p, q);
        for (of_p, of_q) in by_p.zip(by_q) {
            let (m, n) = (of_p.message, of_q.message);
            if m != n {
                complain(format_args!("where {p} delivered {m}, {q} delivered {n}"));
                break;
            }
            if p.of.view_of(of_p) != q.of.view_of(of_q) {
                complain(format_args!("{p} and {q} delivered {m} in different views"));
            }
        }
    }
}

/// The pairs of processes for which the order is exercised: each has delivered at least two comparable
/// messages.
fn pairs_that_exercise_order<'a>(
    processes: &'a [Process<'a>],
) -> impl Iterator<Item = (&'a Process<'a>, &'a Process<'a>)> {
    let exercise = |(p, q): &(&Process<'_>, &Process<'_>)| {
        compared(p, q).into_iter().all(|mut deliveries| deliveries.nth(1).is_some())
    };
    pairs(processes).filter(exercise)
}

/// The deliveries of two processes after the first views of both: a newcomer owes nothing older. (A founder's
/// first view makes no difference: every other process installed a later one.)
fn compared<'a>(
    p: &Process<'a>,
    q: &Process<'a>,
) -> [impl Iterator<Item = &'a Delivery> + use<'a>; 2] {
    let start = p.first_number.max(q.first_number);
    let later = |process: &Process<'a>| {
        process.deliveries.iter().filter(move |delivery| delivery.number > start)
    };
    [p, q].map(later)
}

/// Sorts views by number. Views with the same number keep their order.
fn by_number(views: &[View]) -> SmallVec<[&View; 8]> {
    let mut views: SmallVec<_> = views.iter().collect();
    views.sort_by_key(|view: &&View| view.number);
    views
}
