//! Properties of leadership: one leader, known to all, and elections that end.

use super::{
    definition::{Group, Kind, Property, Scope, members_with_leader, pairs, sorted},
    notion::Standing,
    profile::{Presence, Profile},
};
use smallvec::SmallVec;

/// No two nodes lead at the same time.
pub const SINGLE_LEADER: Property = Property {
    name: "single-leader",
    kind: Kind::Safety,
    scope: Scope::Pair,
    claim: "no two nodes that are up act as leader at the same time",
    exercised_when: "a node has become leader that was none at the beginning",
    complain: |Group { nodes, .. }, complain| {
        let leads = |node: &&&Profile| node.presence == Presence::Up(Standing::Leading);
        let leaders: Vec<_> = nodes.iter().filter(leads).collect();
        for (p, q) in pairs(&leaders) {
            complain(format_args!("{} and {} both act as leader", p.me, q.me));
        }
    },
    witness: |nodes| nodes.iter().any(|node| node.rose()),
};

/// No two nodes are elected in the same term.
pub const ONE_LEADER_PER_TERM: Property = Property {
    name: "one-leader-per-term",
    kind: Kind::Safety,
    scope: Scope::Pair,
    // Every view is a term of its leader, even one that only admits a member.
    claim: "no two nodes, crashed ones included, were ever leader in the same term",
    exercised_when: "two nodes have been elected, one after the other",
    complain: |Group { nodes, .. }, complain| {
        let with_terms = nodes.iter().map(|node| (node, sorted(node.terms())));
        let nodes: SmallVec<[_; 8]> = with_terms.collect();
        for ((p, _), (q, of_q)) in pairs(&nodes) {
            for term in p.terms().filter(|term| of_q.binary_search(term).is_ok()) {
                complain(format_args!("{} and {} were both leader in term {term}", p.me, q.me));
            }
        }
    },
    witness: |nodes| nodes.iter().filter(|node| node.terms().next().is_some()).count() > 1,
};

/// There is a leader, and everybody knows it.
pub const LEADER_EXISTS: Property = Property {
    name: "leader-exists",
    kind: Kind::Settled,
    scope: Scope::Group,
    claim: "if the protocol can have a leader, exactly one node leads, and every member that is up knows it",
    exercised_when: "a node has become leader, and another member follows it",
    complain: |group, complain| {
        let Some(members) = members_with_leader(group) else { return };
        let leads = |node: &&&Profile| node.presence == Presence::Up(Standing::Leading);
        let leaders: Vec<_> = members.iter().filter(leads).map(|node| node.member).collect();
        match leaders[..] {
            [] => match members.first() {
                Some(member) => complain(format_args!("nobody leads, and {} is up", member.me)),
                None => complain(format_args!("nobody leads, and no member is up")),
            },
            [leader] => {
                for node in members {
                    match node.presence {
                        Presence::Up(Standing::Following(other)) if other != leader => {
                            let me = node.me;
                            complain(format_args!("{leader} leads, and {me} follows {other}"));
                        }
                        Presence::Up(Standing::Seeking) => {
                            complain(format_args!("{leader} leads, and {} does not know", node.me));
                        }
                        _ => {}
                    }
                }
            }
            [first, second, ..] => complain(format_args!("{first} and {second} both lead")),
        }
    },
    witness: |nodes| {
        let followed = |leader: &&&Profile| {
            let follows = Presence::Up(Standing::Following(leader.member));
            nodes.iter().any(|node| node.presence == follows)
        };
        nodes.iter().filter(|node| node.rose()).any(|leader| followed(&leader))
    },
};

/// Everybody who is up becomes a member.
pub const ALL_JOINED: Property = Property {
    name: "all-joined",
    kind: Kind::Settled,
    scope: Scope::Pair,
    claim: "if the protocol can have a leader, every node that is up is a member",
    exercised_when: "a node has joined a group that was there before, or joined again",
    complain: |Group { nodes, can_lead }, complain| {
        let outside = |node: &&&Profile| node.presence == Presence::Up(Standing::Outsider);
        for node in nodes.iter().filter(|_| can_lead).filter(outside) {
            complain(format_args!("{} is up and no member", node.me));
        }
    },
    witness: |nodes| {
        let grew = |node: &&Profile| {
            let pairs = node.views.iter().zip(node.views.iter().skip(1));
            let mut pairs =
                pairs.map(|(one, next)| (one.names(node.member), next.names(node.member)));
            node.is_member() && pairs.any(|pair| pair == (false, true))
        };
        nodes.iter().any(grew)
    },
};

/// No node stops itself because of a message.
pub const NOBODY_STOPPED: Property = Property {
    name: "nobody-stopped",
    kind: Kind::Safety,
    scope: Scope::Pair,
    claim: "no node ended itself over a message that it did not expect",
    exercised_when: "a node has followed one leader after another, or has surrendered to its first",
    complain: |Group { nodes, .. }, complain| {
        for node in nodes {
            if node.presence == Presence::Stopped && !node.failed {
                complain(format_args!("{} ended itself over a message", node.me));
            }
        }
    },
    witness: |nodes| {
        let surrendered = |node: &&Profile| node.allegiances.iter().any(|to| *to != node.member);
        nodes.iter().any(|node| node.changed_allegiance() || surrendered(node))
    },
};

/// Election ids stay bounded.
pub const BOUNDED_IDS: Property = Property {
    name: "bounded-ids",
    kind: Kind::Safety,
    scope: Scope::Group,
    claim: "no node uses up more election ids in one life than twice the number of nodes",
    exercised_when: "a node has had one leader after another",
    complain: |Group { nodes, .. }, complain| {
        for node in nodes.iter().filter(|node| node.ids > 2 * nodes.len() as u64) {
            complain(format_args!("{} has used up {} election ids", node.me, node.ids));
        }
    },
    witness: |nodes| nodes.iter().any(|node| node.changed_allegiance()),
};

/// Every fair run settles. Settled properties depend on it: they say nothing of a run that never does.
pub const NO_LIVELOCK: Property = Property {
    name: "no-livelock",
    kind: Kind::Fair,
    scope: Scope::Group,
    claim: "no fair run goes round for ever",
    exercised_when: "nothing: a complete search is enough",
    // Judged on runs, not on worlds: see `explore/livelock.rs`.
    complain: |_, _| {},
    witness: |_| false,
};
