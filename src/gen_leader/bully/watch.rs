//! The leader that a process waits for or has, and the nodes that it monitors.
//!
//! The version of 2007 keeps nodes and ignores their lives. All of [`Repair::LivesApart`] is here; only
//! `Bully::on_end_of_a_life` says what an [`End::OfALife`] means for the election.

use super::{super::election::delist, Behaviour, Bully, Repair, Turn};
use crate::machine::{Address, NodeId, Peer};
use im::{OrdSet, Vector};
use serde::{Deserialize, Serialize};

/// The watched nodes and processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Watch {
    /// The node of the leader, or of the process that will lead.
    leadernode: Option<NodeId>,
    /// The life in which that node leads. Only [`Repair::LivesApart`] keeps it.
    leaderlife: Option<u64>,
    /// The monitored nodes, most recently monitored first.
    monitored: Vector<NodeId>,
    /// The monitors that have not reported yet. Only [`Repair::LivesApart`] keeps them.
    watched: OrdSet<Peer>,
}

/// The meaning of a `Down`.
pub(super) enum End {
    /// Nothing: that process is not watched any more.
    Unwatched,
    /// The end of one life of a node, while the node lives on.
    OfALife,
    /// The end of a node.
    OfANode,
}

impl Watch {
    /// The monitored nodes, most recently monitored first.
    pub(super) fn monitored(&self) -> &Vector<NodeId> {
        &self.monitored
    }

    /// True if there is no leader, and no process that will lead.
    pub(super) fn has_no_leader(&self) -> bool {
        self.leadernode.is_none()
    }

    /// This process leads, or will lead.
    pub(super) fn look_to<B: Behaviour<Bully>>(
        &mut self,
        process: Address,
        turn: &Turn<'_, Bully, B>,
    ) {
        self.leadernode = Some(process.node);
        self.leaderlife = turn.has(Repair::LivesApart).then_some(process.life);
    }

    /// True if this name or address is the leader's.
    pub(super) fn is_leader(&self, peer: Peer) -> bool {
        let is_life = match (self.leaderlife, peer) {
            (None, _) => true,
            (Some(life), Peer::Process(address)) => address.life == life,
            // The leader's process is monitored, too, and its own `Down` arrives.
            (Some(_), Peer::Name(_)) => false,
        };
        is_life && self.leadernode == Some(peer.node())
    }

    /// Monitors a peer. A node that is monitored already is not monitored again, in whichever life, unless lives are
    /// kept apart.
    pub(super) fn monitor<B: Behaviour<Bully>>(
        &mut self,
        peer: impl Into<Peer>,
        turn: &mut Turn<'_, Bully, B>,
    ) {
        let peer = peer.into();
        let node = peer.node();
        let is_listed = self.monitored.contains(&node);
        let is_watched = match peer {
            _ if !turn.has(Repair::LivesApart) => is_listed,
            Peer::Name(node) => self.is_watched(node),
            Peer::Process(_) => self.watched.contains(&peer),
        };
        if !is_listed {
            self.monitored.push_front(node);
        }
        if !is_watched {
            if turn.has(Repair::LivesApart) {
                self.watched.insert(peer);
            }
            turn.monitor(peer);
        }
    }

    /// Takes a node out of the monitored ones.
    pub(super) fn forget(&mut self, node: NodeId) {
        delist(&mut self.monitored, node);
    }

    /// A monitor of the process `me` reports. It will not report again.
    pub(super) fn on_down<B: Behaviour<Bully>>(
        &mut self,
        peer: Peer,
        me: Address,
        turn: &Turn<'_, Bully, B>,
    ) -> End {
        if !turn.has(Repair::LivesApart) {
            End::OfANode
        } else if self.watched.remove(&peer).is_none() {
            End::Unwatched
        } else if self.is_watched(peer.node()) || peer.node() == me.node {
            End::OfALife
        } else {
            End::OfANode
        }
    }

    /// True if any life of a node is watched.
    fn is_watched(&self, node: NodeId) -> bool {
        self.watched.iter().any(|peer| peer.node() == node)
    }
}
