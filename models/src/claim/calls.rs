//! Calls to the leader, and the state that is replicated.

use super::{
    definition::{Group, Kind, Property, Scope, members_with_leader, pairs, repeated, survivors},
    notion::Standing,
    profile::{Presence, Profile},
};
use std::fmt;

/// Members agree on the view, and on the replicated state.
pub const AGREEMENT: Property = Property {
    name: "agreement",
    kind: Kind::Settled,
    scope: Scope::Pair,
    claim: "if the protocol can have a leader, all members that are up have installed the same view last and have the same replicated state",
    exercised_when: "two members have both moved on from their first view, or a write has reached both",
    complain: |group, complain| {
        let Some(members) = members_with_leader(group) else { return };
        for (p, q) in pairs(&members) {
            if p.views.last() != q.views.last() {
                let (of_p, of_q) = (LastView(p), LastView(q));
                complain(format_args!("{} is in {of_p}, and {} in {of_q}", p.me, q.me));
            }
            if p.replica != q.replica {
                let (of_p, of_q) = (Replica(p), Replica(q));
                complain(format_args!("{} has {of_p}, and {} has {of_q}", p.me, q.me));
            }
        }
    },
    witness: |nodes| {
        let moved =
            |node: &&&Profile| node.is_member() && (node.views.len() > 1 || node.replica.is_some());
        nodes.iter().filter(moved).count() > 1
    },
};

/// Every call ends.
pub const NO_LOST_CALL: Property = Property {
    name: "no-lost-call",
    kind: Kind::Settled,
    scope: Scope::Pair,
    claim: "if the protocol can have a leader, every call has ended in one reply or one error, unless the caller's node went down",
    exercised_when: "a call at a node that does not lead has been answered",
    complain: |Group { nodes, can_lead }, complain| {
        for node in survivors(nodes) {
            // If no leader is possible, a call may wait.
            for tag in node.waiting.iter().filter(|_| can_lead) {
                complain(format_args!("{} still waits for the answer to call {tag}", node.me));
            }
            for tag in repeated(node.answers.iter().copied()) {
                complain(format_args!("{} got two answers to call {tag}", node.me));
            }
        }
    },
    witness: |nodes| {
        let answered = |node: &&Profile| {
            !node.answers.is_empty()
                && matches!(node.presence, Presence::Up(Standing::Following(_)))
        };
        nodes.iter().any(answered)
    },
};

/// A process obeys only the leader it has surrendered to.
pub const SURRENDERED_BEFORE_SERVED: Property = Property {
    name: "surrendered-before-served",
    kind: Kind::Safety,
    scope: Scope::Pair,
    claim: "a node carries out only broadcasts of the leader it accepted last",
    exercised_when: "a node has carried out a broadcast",
    complain: |Group { nodes, .. }, complain| {
        for node in nodes {
            if let Some(leader) = node.strayed {
                let me = node.me;
                complain(format_args!("{me} obeyed {leader}, to which it had not surrendered"));
            }
        }
    },
    witness: |nodes| nodes.iter().any(|node| node.served),
};

struct LastView<'a>(&'a Profile);

impl fmt::Display for LastView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.views.last() {
            Some(view) => view.fmt(f),
            None => f.write_str("no view"),
        }
    }
}

/// The replicated state of a node.
struct Replica<'a>(&'a Profile);

impl fmt::Display for Replica<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.replica.as_deref().unwrap_or("nothing"))
    }
}
