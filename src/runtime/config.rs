//! The configuration of a node.

use super::{
    detector::Heartbeats, error::listed, frame::CHUNK, key::ClusterKey, log::unix_micros,
    node_key::NodeKeys,
};
use crate::machine::NodeId;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// The configuration of a node. Make one with [`new`](Self::new), then change its fields.
///
/// # Example
///
/// ```
/// use interrex::{machine::NodeId, runtime::{ClusterKey, Config, Heartbeats}};
/// use std::time::Duration;
///
/// let peers = [0, 1, 2].map(|node| (NodeId(node), format!("10.0.0.{node}:7000")));
/// let mut config = Config::new(NodeId(0), "0.0.0.0:7000", peers, ClusterKey::generate()?, "gms3");
/// config.data = Some("/var/lib/interrex".into());
/// config.heartbeats = Heartbeats::with_timeout(Duration::from_secs(3));
/// config.limits.max_message_bytes = 1 << 20;
/// # Ok::<(), interrex::runtime::KeyError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The number of this node.
    pub node: NodeId,
    /// The address to listen at, `host:port`. Port 0 means any free port.
    pub listen: String,
    /// The addresses of the other nodes, `host:port`. All nodes must list the same nodes; nodes that do not are refused. An
    /// entry for this node is ignored. A process is accepted only if it answers at its listed address.
    pub peers: BTreeMap<NodeId, String>,
    /// The address at which the other nodes reach this one, `host:port`. Default: its own entry among the peers, if there is
    /// one. When the node starts, it dials that address and must find itself there: a node that can dial the others, and
    /// that they cannot dial, would lead alone. None: that is not checked, as is right behind a router that does not
    /// forward from its own side.
    pub advertised: Option<String>,
    /// The secret of the cluster. Nodes with another one are refused.
    pub key: ClusterKey,
    /// The key of this node, and the public keys of all nodes. Default: none, and whoever has the key of the cluster can
    /// pass for any node. All nodes have keys, or none.
    pub keys: Option<NodeKeys>,
    /// The name of the cluster. Default: empty. Nodes with another one are refused, and so is what a node of another cluster
    /// has stored.
    pub cluster: String,
    /// The name of the protocol. Nodes with another one are refused.
    pub protocol: String,
    /// Anything else that must be the same at all nodes, as text. Default: empty; for a [`Server`](super::Server), its
    /// roster. Nodes with another one are refused. Together with `cluster`, `protocol` and the nodes it must be shorter than
    /// 60 KB, or the node does not start.
    pub configuration: String,
    /// The nodes to join through, if the protocol needs one. Default: none. The node waits at its start until it has reached
    /// one of them, at most [`Limits::contact_timeout`], and gives its address to the machine as
    /// [`Boot::contact`](crate::machine::Boot). If several can be reached, it is the first one in this order. A contact that
    /// is not in `peers` is never reached. A node that finds its group in its storage does not wait, and gets no contact.
    pub contacts: Vec<NodeId>,
    /// The folder for stable storage. Default: none. Without one nothing survives the end of the node, and its lives are
    /// numbered by the clock: see [`Opened::anew`](super::Opened::anew).
    pub data: Option<PathBuf>,
    /// The file to append the [log](super::Entry) to. Default: none, and no log. It grows without a limit, mostly by the
    /// commands: of other large values it gets only [digests](super::Held).
    pub log: Option<PathBuf>,
    /// The clock of the log's entries, in microseconds since 1970. Default: [`unix_micros`]. It also tells if a life of
    /// another node was numbered by a clock that is more than a day ahead; such a life is refused. Nothing else depends on
    /// it.
    pub clock: fn() -> u64,
    /// The failure detector. Default: [`Heartbeats::default`].
    pub heartbeats: Heartbeats,
    /// Limits of memory and time. Default: [`Limits::default`].
    pub limits: Limits,
}

/// Limits of memory and time of a node. A count of 0 means 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most commands that wait for the machine. Default: 1024. At the limit, [`send`](super::Commands::send) waits and
    /// [`try_send`](super::Commands::try_send) returns the command.
    pub max_queued_commands: usize,
    /// The most observations that wait for the program. Default: 1024. At the limit the machine stands still until the
    /// program reads one; heartbeats go on. See [`Node`](super::Node).
    pub max_queued_observations: usize,
    /// The most messages that have arrived and wait for the machine. Default: 1024. At the limit nothing more is read, so
    /// that the senders' kernels, and then the senders, wait. While this node cannot write either, the limit is 64 times
    /// as high, so that two nodes that flood each other do not block each other.
    pub max_queued_arrivals: usize,
    /// The most messages that wait for a connection to one node. Default: 4096. At the limit the machine stands still until
    /// the dial has succeeded or failed, at most [`handshake_timeout`](Self::handshake_timeout).
    pub max_queued_per_peer: usize,
    /// The largest message, in bytes. Default: 1 GiB. A larger one is dropped by its sender, counted, and logged as a
    /// warning: to the protocol, the link loses it. If one arrives all the same, since the limits of the nodes differ, the
    /// connection is closed. A large message is written in pieces of 64 KB, each of which is a sign of life; but it takes its
    /// size in memory at both ends, and later messages wait for it. In `gen_leader`, the state that a newcomer gets is one
    /// message; in `group`, a state may have any size.
    pub max_message_bytes: usize,
    /// The largest request of a [`Client`](super::Client), in bytes. Default: 1 MiB. A larger one is refused with
    /// [`CallError::TooLarge`](super::CallError::TooLarge). In `group`, up to 256 requests travel in one message, and the
    /// entries that a process remembers for others ([`KEPT`](crate::group::KEPT)) in the messages of an election.
    pub max_request_bytes: usize,
    /// The most inbound connections that have not proved yet that they have the key. Default: 128. At the limit, the oldest
    /// one is closed when another one arrives.
    pub max_pending_handshakes: usize,
    /// How long it may take to connect and authenticate, in either direction. Default: 1 s. After that an outbound attempt
    /// has failed, and the other node is down; an inbound connection is closed.
    pub handshake_timeout: Duration,
    /// How long the start waits for a [contact](Config::contacts). Default: 10 s. After that it fails with
    /// [`SpawnError::Contact`](super::SpawnError::Contact).
    pub contact_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_queued_commands: 1024,
            max_queued_observations: 1024,
            max_queued_arrivals: 1024,
            max_queued_per_peer: 4096,
            max_message_bytes: 1 << 30,
            max_request_bytes: 1 << 20,
            max_pending_handshakes: 128,
            handshake_timeout: Duration::from_secs(1),
            contact_timeout: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// A configuration with the default limits and failure detector, without storage, log and contact.
    ///
    /// `listen` is the address to listen at, `peers` the addresses of all nodes (that of this one becomes
    /// [`advertised`](Self::advertised)), and `protocol` a name that the nodes compare.
    #[must_use]
    pub fn new(
        node: NodeId,
        listen: impl Into<String>,
        peers: impl IntoIterator<Item = (NodeId, String)>,
        key: ClusterKey,
        protocol: impl Into<String>,
    ) -> Self {
        let mut peers: BTreeMap<_, _> = peers.into_iter().collect();
        Self {
            node,
            listen: listen.into(),
            advertised: peers.remove(&node),
            peers,
            key,
            keys: None,
            cluster: String::new(),
            protocol: protocol.into(),
            configuration: String::new(),
            contacts: vec![],
            data: None,
            log: None,
            clock: unix_micros,
            heartbeats: Heartbeats::default(),
            limits: Limits::default(),
        }
    }

    /// All nodes, this one too.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.peers.keys().copied().filter(|peer| *peer != self.node).chain([self.node])
    }

    /// The reason why this configuration cannot be used, if there is one.
    pub(super) fn problem(&self) -> Option<String> {
        let text = self.cluster.len() + self.protocol.len() + self.configuration.len();
        // A number takes at most three bytes; the rest of a greeting is small.
        if text + 3 * self.peers.len() > CHUNK - 512 {
            let text = "`cluster`, `protocol` and `configuration` together are longer than 60 KB";
            return Some(text.into());
        }
        let keys = self.keys.as_ref()?;
        let without: Vec<_> = self.nodes().filter(|node| keys.of(*node).is_none()).collect();
        if !without.is_empty() {
            return Some(format!("no public key is listed for {}", listed(&without)));
        }
        let mut by_key: BTreeMap<_, NodeId> = BTreeMap::new();
        for node in self.nodes() {
            if let Some(other) = by_key.insert(keys.of(node), node) {
                return Some(format!("{other} and {node} are listed with one public key"));
            }
        }
        let is_mine = keys.are(self.node, Some(&keys.public().0));
        (!is_mine).then(|| {
            format!(
                "the public key that is listed for {} does not belong to the key of this node, which is {}",
                self.node,
                keys.public()
            )
        })
    }
}
