//! The properties, written once for all protocols.
//!
//! A property reads [`Profile`]s: for each node whether it is up and where it stands, and what its
//! history says in the field's notions. It complains of what is wrong, in sentences; no complaint, no
//! violation. Beside each stands its *witness*, a world in which it was at stake: a property that was
//! never at stake holds for no reason.

use super::{
    notion::{Standing, Token, View},
    profile::{Delivery, Presence, Process, Profile},
};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::{fmt, hash::Hash};

/// One thing that is claimed of a protocol.
#[derive(Debug)]
pub struct Property {
    /// Its name in scenarios, reports and traces.
    pub name: &'static str,
    /// When it is judged.
    pub kind: Kind,
    /// The claim, in a sentence.
    pub claim: &'static str,
    /// What its witness shows, in a sentence.
    pub at_stake: &'static str,
    complain: fn(&[&Profile], Complaints<'_>),
    witness: fn(&[&Profile]) -> bool,
}

/// Where complaints go. They are formatted only if somebody reads them.
type Complaints<'a> = &'a mut dyn FnMut(fmt::Arguments<'_>);

/// When a property is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// In every world.
    Safety,
    /// In every world in which the protocol has nothing left to do.
    Settled,
    /// On every fair run, as a whole: on cycles, since budgets end all others.
    Fair,
}

impl Kind {
    /// Whether such a property holds only if a world shows that it was at stake. What is claimed of
    /// runs is at stake on every one: there a complete search is enough.
    #[must_use]
    pub fn needs_witness(self) -> bool {
        match self {
            Self::Safety | Self::Settled => true,
            Self::Fair => false,
        }
    }
}

impl Property {
    /// Whether the property is violated in a world with these nodes (in a settled world, if it is of
    /// that kind).
    #[must_use]
    pub fn is_violated(&self, nodes: &[&Profile]) -> bool {
        let mut violated = false;
        (self.complain)(nodes, &mut |_| violated = true);
        violated
    }

    /// What is wrong in a world with these nodes, a sentence for each violation.
    #[must_use]
    pub fn complaints(&self, nodes: &[&Profile]) -> Vec<String> {
        let mut complaints = vec![];
        (self.complain)(nodes, &mut |complaint| {
            complaints.push(complaint.to_string());
        });
        complaints
    }

    /// The same, but of many complaints only the first are worded; and how many there are in all.
    #[must_use]
    pub fn first_complaints(&self, nodes: &[&Profile], most: usize) -> (Vec<String>, usize) {
        let (mut complaints, mut count) = (vec![], 0);
        (self.complain)(nodes, &mut |complaint| {
            count += 1;
            if count <= most {
                complaints.push(complaint.to_string());
            }
        });
        (complaints, count)
    }

    /// Whether a world with these nodes shows that the property was at stake.
    #[must_use]
    pub fn is_witnessed(&self, nodes: &[&Profile]) -> bool {
        (self.witness)(nodes)
    }
}

/// Every property there is, in the order of reports.
pub const ALL: &[&Property] = &[
    &SINGLE_LEADER,
    &ONE_LEADER_PER_TERM,
    &VIEW_ORDER,
    &TOTAL_ORDER_UNIFORM,
    &TOTAL_ORDER_SURVIVORS,
    &NO_CREATION,
    &NO_DUPLICATE,
    &VALIDITY,
    &UNIFORM_AGREEMENT,
    &SURVIVORS_AGREEMENT,
    &LEADER_EXISTS,
    &AGREEMENT,
    &NO_LOST_CALL,
    &NOBODY_STOPPED,
    &SURRENDERED_BEFORE_SERVED,
    &BOUNDED_IDS,
    &NO_LIVELOCK,
];

/// Those of group membership.
pub const OF_GROUPS: &[&Property] = &[
    &SINGLE_LEADER,
    &ONE_LEADER_PER_TERM,
    &VIEW_ORDER,
    &TOTAL_ORDER_UNIFORM,
    &TOTAL_ORDER_SURVIVORS,
    &NO_CREATION,
    &NO_DUPLICATE,
    &VALIDITY,
    &UNIFORM_AGREEMENT,
    &SURVIVORS_AGREEMENT,
    &LEADER_EXISTS,
    &AGREEMENT,
    &NOBODY_STOPPED,
    &NO_LIVELOCK,
];

/// Those of leader election.
pub const OF_ELECTIONS: &[&Property] = &[
    &SINGLE_LEADER,
    &ONE_LEADER_PER_TERM,
    &LEADER_EXISTS,
    &AGREEMENT,
    &NO_LOST_CALL,
    &NOBODY_STOPPED,
    &SURRENDERED_BEFORE_SERVED,
    &BOUNDED_IDS,
    &NO_LIVELOCK,
];

/// The same where there are no terms, and elections are not counted.
pub const OF_ELECTIONS_WITHOUT_TERMS: &[&Property] = &[
    &SINGLE_LEADER,
    &LEADER_EXISTS,
    &AGREEMENT,
    &NO_LOST_CALL,
    &NOBODY_STOPPED,
    &SURRENDERED_BEFORE_SERVED,
    &NO_LIVELOCK,
];

/// No two nodes lead at the same time.
pub const SINGLE_LEADER: Property = Property {
    name: "single-leader",
    kind: Kind::Safety,
    claim: "no two nodes that are up act as leader at the same time",
    at_stake: "a node has become leader that was none at the beginning",
    complain: |nodes, complain| {
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
    // Of views, each is a term of its leader's, also one that only admits a member.
    claim: "no two nodes, crashed ones included, were ever leader in the same term",
    at_stake: "two nodes have been elected, one after the other",
    complain: |nodes, complain| {
        let terms: Vec<_> = nodes.iter().map(|node| sorted(node.terms())).collect();
        let nodes: Vec<_> = nodes.iter().zip(&terms).collect();
        for ((p, _), (q, of_q)) in pairs(&nodes) {
            for term in p.terms().filter(|term| of_q.binary_search(term).is_ok()) {
                complain(format_args!("{} and {} were both leader in term {term}", p.me, q.me));
            }
        }
    },
    witness: |nodes| nodes.iter().filter(|node| node.terms().next().is_some()).count() > 1,
};

/// Views come in one order.
pub const VIEW_ORDER: Property = Property {
    name: "view-order",
    kind: Kind::Safety,
    claim: "each node installs views in increasing order, and a view of one number is the same everywhere",
    at_stake: "two nodes have installed two views each",
    // That any two nodes order the views they share alike follows from these two. Followers are
    // compared with their order, which decides who leads next.
    complain: |nodes, complain| {
        for node in nodes {
            for (earlier, later) in node.views.iter().zip(node.views.iter().skip(1)) {
                if earlier.number >= later.number {
                    complain(format_args!("{} installed {later} behind {earlier}", node.me));
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
    claim: "of any two nodes, crashed ones included, one delivered a prefix of what the other did, in the same views",
    at_stake: "a node that is up and one that is down have delivered two messages each that both owe",
    complain: |nodes, complain| total_order(&all_processes(nodes), complain),
    witness: |nodes| {
        let processes = all_processes(nodes);
        let pairs = order_at_stake(&processes);
        pairs.into_iter().any(|(p, q)| p.of.is_up() != q.of.is_up())
    },
};

/// Deliveries come in one order at the nodes that are up.
pub const TOTAL_ORDER_SURVIVORS: Property = Property {
    name: "total-order-survivors",
    kind: Kind::Safety,
    claim: "of any two nodes that are up, one delivered a prefix of what the other did, in the same views",
    at_stake: "two nodes that are up have delivered two messages each that both owe",
    complain: |nodes, complain| total_order(&present_processes(nodes), complain),
    witness: |nodes| !order_at_stake(&present_processes(nodes)).is_empty(),
};

/// Only what was sent is delivered.
pub const NO_CREATION: Property = Property {
    name: "no-creation",
    kind: Kind::Safety,
    claim: "what is delivered was sent",
    at_stake: "a message has been delivered at a node that did not send it",
    complain: |nodes, complain| {
        for node in nodes {
            for Delivery { message, .. } in &node.deliveries {
                let sender = nodes.iter().find(|other| other.me.node == message.sender);
                if sender.is_none_or(|sender| message.index >= sender.issued) {
                    complain(format_args!("{} delivered {message}, which nobody sent", node.me));
                }
            }
        }
    },
    witness: |nodes| {
        let foreign = |node: &&Profile| {
            let sent_elsewhere = |delivery: &Delivery| delivery.message.sender != node.me.node;
            node.deliveries.iter().any(sent_elsewhere)
        };
        nodes.iter().any(foreign)
    },
};

/// What is delivered is delivered once.
pub const NO_DUPLICATE: Property = Property {
    name: "no-duplicate",
    kind: Kind::Safety,
    claim: "no node delivers a message twice",
    at_stake: "a node has delivered a message and then taken another leader, who might repeat it",
    complain: |nodes, complain| {
        for node in nodes {
            for message in repeated(node.deliveries.iter().map(|delivery| delivery.message)) {
                complain(format_args!("{} delivered {message} twice", node.me));
            }
        }
    },
    witness: |nodes| {
        let follows_another = |node: &&Profile| {
            let last = node.views.last().map(|view| view.leader);
            let before = |delivery: &Delivery| node.view_of(delivery).map(|view| view.leader);
            let other = |delivery| before(delivery).is_some_and(|leader| Some(leader) != last);
            last != Some(node.me) && node.deliveries.iter().any(other)
        };
        nodes.iter().any(follows_another)
    },
};

/// A sender delivers its own messages.
pub const VALIDITY: Property = Property {
    name: "no-lost-message-validity",
    kind: Kind::Settled,
    // What a former life sent was another process's; how much that was, a world does not say.
    claim: "a sender that is up, and has never crashed, has itself delivered what it sent",
    at_stake: "a follower has delivered its own message",
    complain: |nodes, complain| {
        for node in survivors(nodes).into_iter().filter(|node| node.me.life == 0) {
            let delivered = messages(node);
            for index in 0..node.issued {
                let sender = node.me.node;
                let message = Token { sender, index };
                if delivered.binary_search(&message).is_err() {
                    complain(format_args!("{} sent {message} and never delivered it", node.me));
                }
            }
        }
    },
    witness: |nodes| {
        let own = |node: &&Profile| {
            let follows = matches!(node.presence, Presence::Up(Standing::Following(_)));
            let sent = |delivery: &Delivery| delivery.message.sender == node.me.node;
            follows && node.deliveries.iter().any(sent)
        };
        nodes.iter().any(own)
    },
};

/// What anybody delivered, all who owe it delivered.
pub const UNIFORM_AGREEMENT: Property = Property {
    name: "no-lost-message-uniform-agreement",
    kind: Kind::Settled,
    claim: "what any node delivered, also one that crashed, has been delivered by all who owe it",
    at_stake: "a node that is down had delivered a message that a member has delivered too",
    complain: |nodes, complain| agreement_on_messages(&all_processes(nodes), nodes, complain),
    witness: |nodes| {
        let fallen = nodes.iter().filter(|node| !node.is_up());
        let mut deliveries = fallen.flat_map(|node| &node.deliveries);
        deliveries.any(|delivery| {
            let members = nodes.iter().filter(|node| node.is_member());
            members.into_iter().any(|node| node.has_delivered(delivery.message))
        })
    },
};

/// What a survivor delivered, all who owe it delivered.
pub const SURVIVORS_AGREEMENT: Property = Property {
    name: "no-lost-message-survivors-agreement",
    kind: Kind::Settled,
    claim: "what any node that is up delivered has been delivered by all who owe it",
    at_stake: "two members have delivered a message in a view later than their first",
    complain: |nodes, complain| agreement_on_messages(&present_processes(nodes), nodes, complain),
    witness: |nodes| {
        let late = |node: &&&Profile| {
            let later = |delivery: &Delivery| delivery.view.is_some_and(|view| view > 0);
            node.is_member() && node.deliveries.iter().any(later)
        };
        nodes.iter().filter(late).count() > 1
    },
};

/// There is a leader, and everybody knows it.
pub const LEADER_EXISTS: Property = Property {
    name: "leader-exists",
    kind: Kind::Settled,
    claim: "if a member that may lead is up, exactly one node leads, and every member that is up knows it",
    at_stake: "a node has become leader, and another member follows it",
    complain: |nodes, complain| {
        let Some(members) = members_with_a_candidate(nodes) else { return };
        let leads = |node: &&&&Profile| node.presence == Presence::Up(Standing::Leading);
        let leaders: Vec<_> = members.iter().filter(leads).map(|node| node.me).collect();
        match leaders[..] {
            [] => complain(format_args!("nobody leads, and {} is up", members[0].me)),
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
            let follows = Presence::Up(Standing::Following(leader.me));
            nodes.iter().any(|node| node.presence == follows)
        };
        nodes.iter().filter(|node| node.rose()).any(|leader| followed(&leader))
    },
};

/// Members agree on the view, and on what they replicate.
pub const AGREEMENT: Property = Property {
    name: "agreement",
    kind: Kind::Settled,
    claim: "if a member that may lead is up, all members that are up have installed the same view last and have the same replicated state",
    at_stake: "two members have both moved on from their first view, or a write has reached both",
    complain: |nodes, complain| {
        let Some(members) = members_with_a_candidate(nodes) else { return };
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
    claim: "if a member that may lead is up, every leader_call has ended in one reply or one error, unless the caller's node went down",
    at_stake: "a call at a node that does not lead has been answered",
    complain: |nodes, complain| {
        // Without a candidate no leader can be found, and until then a call rightly waits.
        let may_wait = members_with_a_candidate(nodes).is_none();
        for node in survivors(nodes) {
            for tag in node.waiting.iter().filter(|_| !may_wait) {
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

/// Nobody ends itself over a message.
pub const NOBODY_STOPPED: Property = Property {
    name: "nobody-stopped",
    kind: Kind::Safety,
    claim: "no node ended itself over a message that it did not expect",
    at_stake: "a node has followed one leader after another, or has surrendered to its first",
    complain: |nodes, complain| {
        for node in nodes {
            if node.presence == Presence::Stopped && !node.failed {
                complain(format_args!("{} ended itself over a message", node.me));
            }
        }
    },
    witness: |nodes| {
        let surrendered = |node: &&Profile| node.allegiances.iter().any(|to| *to != node.me);
        nodes.iter().any(|node| node.changed_allegiance() || surrendered(node))
    },
};

/// Only a leader that one has surrendered to is obeyed.
pub const SURRENDERED_BEFORE_SERVED: Property = Property {
    name: "surrendered-before-served",
    kind: Kind::Safety,
    claim: "a node carries out broadcasts of the leader only that it has surrendered to last",
    at_stake: "a node has carried out a broadcast",
    complain: |nodes, complain| {
        for node in nodes {
            if let Some(leader) = node.strayed {
                let me = node.me;
                complain(format_args!("{me} obeyed {leader}, to which it had not surrendered"));
            }
        }
    },
    witness: |nodes| nodes.iter().any(|node| node.served),
};

/// Election ids do not count up for ever.
pub const BOUNDED_IDS: Property = Property {
    name: "bounded-ids",
    kind: Kind::Safety,
    claim: "no node uses up more election ids in one life than twice the number of nodes",
    at_stake: "a node has had one leader after another",
    complain: |nodes, complain| {
        for node in nodes.iter().filter(|node| node.ids > 2 * nodes.len() as u64) {
            complain(format_args!("{} has used up {} election ids", node.me, node.ids));
        }
    },
    witness: |nodes| nodes.iter().any(|node| node.changed_allegiance()),
};

/// The members that are up, if one of them may lead: otherwise nobody can be asked for a leader.
fn members_with_a_candidate<'a>(nodes: &'a [&'a Profile]) -> Option<Vec<&'a &'a Profile>> {
    let members: Vec<_> = nodes.iter().filter(|node| node.is_member()).collect();
    members.iter().any(|node| node.may_lead).then_some(members)
}

/// Every fair run settles. Settled properties depend on it: they say nothing of a run that never does.
pub const NO_LIVELOCK: Property = Property {
    name: "no-livelock",
    kind: Kind::Fair,
    claim: "no fair run goes round for ever",
    at_stake: "nothing: a complete search is enough",
    // No world shows it, and none is a witness: see `lasso`.
    complain: |_, _| {},
    witness: |_| false,
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

/// Two processes that have delivered two messages each that are compared.
fn order_at_stake<'a>(processes: &'a [Process<'a>]) -> Vec<(&'a Process<'a>, &'a Process<'a>)> {
    let at_stake = |(p, q): &(&Process<'_>, &Process<'_>)| {
        compared(p, q).into_iter().all(|mut deliveries| deliveries.nth(1).is_some())
    };
    pairs(processes).filter(at_stake).collect()
}

/// What two processes delivered behind the first view of both: a newcomer owes nothing older. (A founder's
/// first view counts as well as none would: whoever else is there installed a later one.)
fn compared<'a>(
    p: &Process<'a>,
    q: &Process<'a>,
) -> [impl Iterator<Item = &'a Delivery> + use<'a>; 2] {
    let start = p.first_number.max(q.first_number);
    let behind = |process: &Process<'a>| {
        process.deliveries.iter().filter(move |delivery| delivery.number > start)
    };
    [p, q].map(behind)
}

/// Every life of every node.
fn all_processes<'a>(nodes: &[&'a Profile]) -> Vec<Process<'a>> {
    nodes.iter().flat_map(|node| node.processes()).collect()
}

/// The present lives of the members. Whoever has come back and not joined yet has delivered nothing in its
/// present life.
fn present_processes<'a>(nodes: &[&'a Profile]) -> Vec<Process<'a>> {
    let members = nodes.iter().filter(|node| node.is_member());
    members.filter_map(|node| node.processes().next_back()).collect()
}

/// A delivery is owed by every member that is up and named in the view it was delivered in.
fn agreement_on_messages(delivered: &[Process<'_>], owing: &[&Profile], complain: Complaints<'_>) {
    let members = owing.iter().filter(|other| other.is_member());
    let members: Vec<_> = members.map(|other| (other, messages(other))).collect();
    for process in delivered {
        for delivery in process.deliveries {
            let message = delivery.message;
            // Before its first view a founder is alone.
            let owes = |other: &Profile| match process.of.view_of(delivery) {
                Some(view) => view.names(other.me),
                None => !process.is_over && other.me == process.of.me,
            };
            for (other, messages) in &members {
                if owes(other) && messages.binary_search(&message).is_err() {
                    let me = other.me;
                    complain(format_args!("{process} delivered {message}, and {me} never did"));
                }
            }
        }
    }
}

fn survivors<'a>(nodes: &[&'a Profile]) -> Vec<&'a Profile> {
    nodes.iter().copied().filter(|node| node.is_up()).collect()
}

/// To be looked up by halving: real nodes deliver very many messages. The few of a world need no allocation.
fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> SmallVec<[T; 8]> {
    let mut items: SmallVec<_> = items.collect();
    items.sort_unstable();
    items
}

/// The messages that a node delivered.
fn messages(node: &Profile) -> SmallVec<[Token; 8]> {
    sorted(node.deliveries.iter().map(|delivery| delivery.message))
}

/// Views by their numbers; those of one number as they come.
fn by_number(views: &[View]) -> SmallVec<[&View; 8]> {
    let mut views: SmallVec<_> = views.iter().collect();
    views.sort_by_key(|view: &&View| view.number);
    views
}

/// What is there twice: once for each two of a list that are equal, in the order of the first of the two.
fn repeated<T: Copy + Ord + Hash>(
    list: impl Iterator<Item = T> + Clone,
) -> impl Iterator<Item = T> {
    let mut left = FxHashMap::<T, usize>::default();
    // Almost never.
    if sorted(list.clone()).windows(2).any(|two| two[0] == two[1]) {
        for item in list.clone() {
            *left.entry(item).or_default() += 1;
        }
    }
    list.flat_map(move |item| {
        let behind = left.get_mut(&item).map_or(0, |left| {
            *left -= 1;
            *left
        });
        std::iter::repeat_n(item, behind)
    })
}

/// Every two of a list, in order.
fn pairs<T>(list: &[T]) -> impl Iterator<Item = (&T, &T)> {
    let behind = |(at, first)| list[at + 1..].iter().map(move |second| (first, second));
    list.iter().enumerate().flat_map(behind)
}

struct LastView<'a>(&'a Profile);

/// What a node has replicated.
struct Replica<'a>(&'a Profile);

impl fmt::Display for Replica<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.replica.as_deref().unwrap_or("nothing"))
    }
}

impl fmt::Display for LastView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.views.last() {
            Some(view) => view.fmt(f),
            None => f.write_str("no view"),
        }
    }
}
