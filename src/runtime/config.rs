//! What a node is told about itself and the others.

use super::{detector::Heartbeats, key::ClusterKey};
use crate::machine::NodeId;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// What a node is told about itself and the others.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which node it is.
    pub node: NodeId,
    /// Where it listens, as `host:port`; port 0 takes any that is free.
    pub listen: String,
    /// Where the other nodes listen, as `host:port`. A node that is not listed may not connect.
    pub peers: BTreeMap<NodeId, String>,
    /// Who has it may join.
    pub key: ClusterKey,
    /// The protocol that runs. Only nodes with the same one talk to each other.
    pub protocol: String,
    /// Whatever else must be the same at all nodes, as text: a roster, for example.
    pub configuration: String,
    /// The node to join through, where the protocol joins through somebody: its address, in the life it has then, is
    /// the machine's [contact](crate::machine::Boot).
    pub contact: Option<NodeId>,
    /// The folder of its stable storage and its lives; without one, both end with the program.
    pub data: Option<PathBuf>,
    /// The file to append its events and effects to.
    pub log: Option<PathBuf>,
    /// When to think that a silent node is down.
    pub heartbeats: Heartbeats,
    /// How much of everything there may be.
    pub limits: Limits,
}

/// How much of everything there may be. Where one is reached, whoever comes next waits, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Commands that the node has not taken yet.
    pub commands: usize,
    /// Observations that the program has not taken yet. A node whose observations nobody takes stands still.
    pub observations: usize,
    /// Messages that have arrived and were not taken yet; 64 times as many while nothing can be written.
    pub arrivals: usize,
    /// Messages to one node that wait until it is connected.
    pub waiting: usize,
    /// The bytes of a message. A larger one is dropped where it is sent, visibly, and ends the connection where it arrives.
    /// To the protocol, that is a link that loses messages.
    pub message: usize,
    /// Strangers who are asked for the key at the same time. The one who has had most time has to go.
    pub strangers: usize,
    /// How long a connection may take to be made, and a stranger to say the right thing.
    pub handshake: Duration,
    /// How long the contact may take to be reached.
    pub contact: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            commands: 1024,
            observations: 1024,
            arrivals: 1024,
            waiting: 4096,
            message: 16 << 20,
            strangers: 128,
            handshake: Duration::from_secs(1),
            contact: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// A node with the usual limits, which keeps nothing, writes no log and has no contact.
    #[must_use]
    pub fn new(
        node: NodeId,
        listen: impl Into<String>,
        peers: impl IntoIterator<Item = (NodeId, String)>,
        key: ClusterKey,
        protocol: impl Into<String>,
    ) -> Self {
        Self {
            node,
            listen: listen.into(),
            peers: peers.into_iter().filter(|(peer, _)| *peer != node).collect(),
            key,
            protocol: protocol.into(),
            configuration: String::new(),
            contact: None,
            data: None,
            log: None,
            heartbeats: Heartbeats::default(),
            limits: Limits::default(),
        }
    }
}
