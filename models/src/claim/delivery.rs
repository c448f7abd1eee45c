//! Properties of delivery: no message is invented, repeated or lost.

use super::{
    definition::{
        Complaints, Group, Kind, Property, Scope, all_processes, members_with_leader,
        present_processes, repeated, sorted, survivors,
    },
    notion::{Standing, Token},
    profile::{Delivery, Presence, Process, Profile},
};
use smallvec::SmallVec;

/// Only sent messages are delivered.
pub const NO_CREATION: Property = Property {
    name: "no-creation",
    kind: Kind::Safety,
    scope: Scope::Group,
    claim: "what is delivered was sent",
    exercised_when: "a message has been delivered at a node that did not send it",
    complain: |Group { nodes, .. }, complain| {
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

/// No message is delivered twice.
pub const NO_DUPLICATE: Property = Property {
    name: "no-duplicate",
    kind: Kind::Safety,
    scope: Scope::Pair,
    claim: "no node delivers a message twice",
    exercised_when: "a node has delivered a message and then taken another leader, who might repeat it",
    complain: |Group { nodes, .. }, complain| {
        for node in nodes {
            for message in repeated(node.own_deliveries().iter().map(|delivery| delivery.message)) {
                complain(format_args!("{} delivered {message} twice", node.me));
            }
        }
    },
    witness: |nodes| {
        let follows_another = |node: &&Profile| {
            let last = node.views.last().map(|view| view.leader);
            let before = |delivery: &Delivery| node.view_of(delivery).map(|view| view.leader);
            let other = |delivery| before(delivery).is_some_and(|leader| Some(leader) != last);
            last != Some(node.member) && node.deliveries.iter().any(other)
        };
        nodes.iter().any(follows_another)
    },
};

/// A sender delivers its own messages.
pub const VALIDITY: Property = Property {
    name: "no-lost-message-validity",
    kind: Kind::Settled,
    scope: Scope::Group,
    // A former life was another process, and a world does not say how much that one sent.
    claim: "if the protocol can have a leader, a sender that is up, and has never crashed, has itself delivered what it sent",
    exercised_when: "a follower has delivered its own message",
    complain: |Group { nodes, can_lead }, complain| {
        let owe = survivors(nodes).into_iter().filter(|node| can_lead && node.me.life == 0);
        for node in owe {
            let delivered = messages(node);
            for index in 0..node.issued {
                let sender = node.me.node;
                let message = Token { sender, index };
                let is_lost = delivered.binary_search(&message).is_err();
                if is_lost && !is_restored(node, message, nodes) {
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

/// If any process delivered a message, every process that owes it delivered it too.
pub const UNIFORM_AGREEMENT: Property = Property {
    name: "no-lost-message-uniform-agreement",
    kind: Kind::Settled,
    scope: Scope::Pair,
    claim: "if the protocol can have a leader, what any node delivered, also one that crashed, has been delivered by every member of the view it was delivered in that is still up",
    exercised_when: "a node that is down had delivered a message that a member has delivered too",
    complain: |group, complain| {
        agreement_on_messages(&all_processes(group.nodes), group, complain);
    },
    witness: |nodes| {
        let fallen = nodes.iter().filter(|node| !node.is_up());
        let mut deliveries = fallen.flat_map(|node| &node.deliveries);
        deliveries.any(|delivery| {
            let members = nodes.iter().filter(|node| node.is_member());
            members.into_iter().any(|node| node.has_delivered(delivery.message))
        })
    },
};

/// If a survivor delivered a message, every process that owes it delivered it too.
pub const SURVIVORS_AGREEMENT: Property = Property {
    name: "no-lost-message-survivors-agreement",
    kind: Kind::Settled,
    scope: Scope::Pair,
    claim: "if the protocol can have a leader, what any node that is up delivered has been delivered by every member of the view it was delivered in that is still up",
    exercised_when: "two members have delivered a message in a view later than their first",
    complain: |group, complain| {
        agreement_on_messages(&present_processes(group.nodes), group, complain);
    },
    witness: |nodes| {
        let late = |node: &&&Profile| {
            let later = |delivery: &Delivery| delivery.view.is_some_and(|view| view > 0);
            node.is_member() && node.deliveries.iter().any(later)
        };
        nodes.iter().filter(late).count() > 1
    },
};

/// A delivery is owed by every member that is up and named in the view it was delivered in.
fn agreement_on_messages(delivered: &[Process<'_>], group: Group<'_>, complain: Complaints<'_>) {
    let Some(members) = members_with_leader(group) else { return };
    let members: Vec<_> = members.into_iter().map(|other| (other, messages(other))).collect();
    for process in delivered {
        for delivery in process.deliveries {
            let message = delivery.message;
            // Before its first view a founder is alone.
            let owes = |other: &Profile| match process.of.view_of(delivery) {
                Some(view) => view.names(other.member),
                None => !process.is_over && other.me == process.of.me,
            };
            for (other, messages) in &members {
                let has_it = other.restored.is_some_and(|number| delivery.number <= number)
                    || messages.binary_search(&message).is_ok();
                if owes(other) && !has_it {
                    let me = other.me;
                    complain(format_args!("{process} delivered {message}, and {me} never did"));
                }
            }
        }
    }
}

/// True if a message came with the state that a node took over. Where the state does not tell, somebody has delivered it
/// before.
fn is_restored(node: &Profile, message: Token, nodes: &[&Profile]) -> bool {
    if node.restored_messages.contains(&message) {
        return true;
    }
    let Some(number) = node.restored else { return false };
    let mut all = nodes.iter().flat_map(|other| &other.deliveries);
    all.any(|delivery| delivery.message == message && delivery.number <= number)
}

/// The messages that a node delivered.
fn messages(node: &Profile) -> SmallVec<[Token; 8]> {
    sorted(node.own_deliveries().iter().map(|delivery| delivery.message))
}
