//! The clocks of the hosts, compared by the messages in the logs: each arrives after it was sent.

use interrex::machine::NodeId;
use serde::Serialize;
use std::collections::BTreeMap;

/// The clocks of the hosts, as far as the messages in the logs tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Clocks {
    /// The time, in microseconds, by which the clock of each node is ahead of that of the first one. It is subtracted from
    /// the times in the log. Empty if no message shows that the clocks differ.
    pub ahead: BTreeMap<NodeId, i64>,
    /// The largest difference that two clocks may still have, in microseconds.
    pub uncertainty: u64,
    /// A lower limit, in microseconds, of the change if a clock was set while the nodes ran: no constant difference of the
    /// clocks explains the messages.
    pub jump: Option<u64>,
}

/// For pairs of nodes: the least time, in microseconds, that a message of the first one took to the second one, by their
/// clocks. The clock of the second one is ahead by this at most.
#[derive(Debug, Default)]
pub(super) struct Bounds(BTreeMap<(NodeId, NodeId), i64>);

impl Bounds {
    /// A message that was sent and has arrived.
    pub(super) fn add(&mut self, (from, sent): (NodeId, u64), (to, arrived): (NodeId, u64)) {
        let took = difference(arrived, sent);
        let least = self.0.entry((from, to)).or_insert(took);
        *least = took.min(*least);
    }

    /// The clocks, if they are assumed to differ by `skew` at most unless messages show otherwise.
    pub(super) fn clocks(&self, nodes: &[NodeId], skew: u64) -> Clocks {
        if self.0.values().all(|least| *least >= 0) {
            return Clocks { uncertainty: skew, ..Clocks::default() };
        }
        let bounds = self.along_paths(nodes);
        if (0..nodes.len()).any(|node| bounds[node][node].is_some_and(|bound| bound < 0)) {
            let there_and_back = self.0.iter().map(|((one, other), there)| {
                there.saturating_add(self.0.get(&(*other, *one)).copied().unwrap_or(0))
            });
            let jump = there_and_back.min().unwrap_or(0).min(0).unsigned_abs();
            let uncertainty = skew.max(jump);
            return Clocks { uncertainty, jump: Some(jump), ..Clocks::default() };
        }
        let ahead: BTreeMap<_, _> = (0..nodes.len())
            .map(|node| (nodes[node], ahead_of_first(bounds[0][node], bounds[node][0])))
            .collect();
        let pairs = (0..nodes.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
        let widths = pairs.map(|(one, other)| match (bounds[one][other], bounds[other][one]) {
            (Some(there), Some(back)) => (there + back).unsigned_abs().div_ceil(2),
            _ => skew.saturating_add(ahead[&nodes[one]].abs_diff(ahead[&nodes[other]])),
        });
        let uncertainty = widths.max().unwrap_or(skew);
        Clocks { ahead, uncertainty, jump: None }
    }

    /// The bounds between all nodes, by way of others too (Floyd and Warshall). None: there is no bound.
    fn along_paths(&self, nodes: &[NodeId]) -> Vec<Vec<Option<i64>>> {
        let direct = |from: &NodeId, to: &NodeId| self.0.get(&(*from, *to)).copied();
        let row = |from| nodes.iter().map(|to| direct(from, to)).collect();
        let mut bounds: Vec<Vec<Option<i64>>> = nodes.iter().map(row).collect();
        for via in 0..nodes.len() {
            for from in 0..nodes.len() {
                for to in 0..nodes.len() {
                    let (Some(there), Some(on)) = (bounds[from][via], bounds[via][to]) else {
                        continue;
                    };
                    let known = bounds[from][to].unwrap_or(i64::MAX);
                    bounds[from][to] = Some(known.min(there.saturating_add(on)));
                }
            }
        }
        bounds
    }
}

/// The lead of a node's clock over the first one's, from the bounds to it and back: the middle of the possible values, or
/// the value nearest to 0 if they are unlimited in one direction.
fn ahead_of_first(there: Option<i64>, back: Option<i64>) -> i64 {
    match (back.map(i64::saturating_neg), there) {
        (Some(least), Some(most)) => i64::midpoint(least, most),
        (Some(least), None) => least.max(0),
        (None, Some(most)) => most.min(0),
        (None, None) => 0,
    }
}

/// The difference of two times.
fn difference(later: u64, earlier: u64) -> i64 {
    let signed = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
    signed(later).saturating_sub(signed(earlier))
}

impl Clocks {
    /// A time by the clock of a node, as the first node's clock would show it.
    pub(super) fn corrected(&self, node: NodeId, time: u64) -> u64 {
        let ahead = self.ahead.get(&node).copied().unwrap_or(0);
        time.saturating_add_signed(ahead.saturating_neg())
    }
}
