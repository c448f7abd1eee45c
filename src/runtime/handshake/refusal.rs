//! Why a handshake fails.

use crate::{
    machine::{Address, NodeId},
    runtime::error::listed,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, io};

/// Why a node that has the key is refused. The first reason keeps its place: nodes of other versions read it, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(in crate::runtime) enum Refusal {
    /// It has another version of the wire format.
    #[error("wire version {0} is spoken here")]
    OtherVersion(u16),
    /// It runs another protocol.
    #[error("the protocol here is `{0}`")]
    OtherProtocol(String),
    /// It runs the protocol with another configuration.
    #[error("the configuration here is `{0}`")]
    OtherConfiguration(String),
    /// It is of another cluster.
    #[error("the cluster here is `{0}`")]
    OtherCluster(String),
    /// It lists other nodes.
    #[error("the nodes here are {}", listed(.0))]
    OtherNodes(BTreeSet<NodeId>),
    /// Its life is numbered far beyond the clock of the node that refuses it.
    #[error("its life {life} was numbered by a clock {days} days ahead of the one here")]
    FutureLife {
        /// The number of the life.
        life: u64,
        /// The difference of the clocks.
        days: u64,
    },
    /// Its node key is not the one that is listed for it.
    #[error("the public key of {0} that is listed here is another one")]
    OtherNodeKey(NodeId),
    /// Another process of that node answers at its listed address.
    #[error("another process of {0} answers at its listed address")]
    NotAtItsAddress(NodeId),
    /// It cannot be connected to at its listed address.
    #[error("{node} cannot be reached at its listed address {at}: {why}")]
    NotReachable {
        /// The node.
        node: NodeId,
        /// The address.
        at: String,
        /// The reason.
        why: String,
    },
    /// It meant to reach another node.
    #[error("another node was expected here, and this is {0}")]
    WrongNode(NodeId),
    /// A later life of it is known, or another process with the same life.
    #[error("that life is over: life {life} is known here")]
    LifeIsOver {
        /// The number of the known life.
        life: u64,
    },
}

/// Why a handshake has failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::runtime) enum HandshakeError {
    /// The other side refuses, or is refused.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// The other side does not have the key, or replays somebody else's messages.
    #[error("it does not have the key ({0})")]
    NoKey(snow::Error),
    /// The other side says that it has another key, or runs another version of the Noise handshake.
    #[error("it has another key")]
    OtherKey,
    /// One of the two uses node keys, the other one does not.
    #[error("{}", if *.there { "it uses node keys" } else { "it does not use node keys" })]
    NodeKeys {
        /// True if the other side uses them.
        there: bool,
    },
    /// The other side has the key and sends something that cannot be decoded.
    #[error("what it sends cannot be decoded ({0})")]
    Garbled(#[from] postcard::Error),
    /// The other side has sent more than the handshake.
    #[error("it sent more than a handshake")]
    EarlyData,
    /// Another node answered.
    #[error("{0} answered")]
    WrongNode(NodeId),
    /// The other side says that a life of this node is over, by one that no clock has numbered.
    #[error("it knows life {0} of this node, which lies in the future")]
    FutureLife(u64),
    /// The process that answered is known to be over.
    #[error("{0} answered, whose life is over")]
    LifeIsOver(Address),
    /// The other side has closed the connection. It may be a forwarder whose node does not run.
    #[error("it closed the connection at once: no node runs there, or another program")]
    Closed,
    /// The system reports an error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("it took too long")]
    TimedOut,
    /// It had to make room for newer connections.
    #[error("too many pending handshakes")]
    Crowded,
}

/// The most characters of a text of another node that are repeated.
const MOST_REPEATED: usize = 200;

/// A text of another node, for a terminal or a log: it may be long, and contain control characters.
fn printable(text: &str) -> String {
    let escaped = text.chars().take(MOST_REPEATED).flat_map(char::escape_debug);
    escaped.chain(text.chars().nth(MOST_REPEATED).map(|_| '…')).collect()
}

impl Refusal {
    /// The same with texts that can be shown.
    pub(in crate::runtime) fn printable(self) -> Self {
        match self {
            Self::OtherProtocol(text) => Self::OtherProtocol(printable(&text)),
            Self::OtherConfiguration(text) => Self::OtherConfiguration(printable(&text)),
            Self::OtherCluster(text) => Self::OtherCluster(printable(&text)),
            Self::NotReachable { node, at, why } => {
                Self::NotReachable { node, at: printable(&at), why: printable(&why) }
            }
            Self::OtherVersion(_)
            | Self::OtherNodes(_)
            | Self::FutureLife { .. }
            | Self::OtherNodeKey(_)
            | Self::NotAtItsAddress(_)
            | Self::WrongNode(_)
            | Self::LifeIsOver { .. } => self,
        }
    }

    /// The label of counters.
    pub(in crate::runtime) fn label(&self) -> &'static str {
        match self {
            Self::OtherVersion(_) => "other version",
            Self::OtherProtocol(_) => "other protocol",
            Self::OtherConfiguration(_) => "other configuration",
            Self::OtherCluster(_) => "other cluster",
            Self::OtherNodes(_) => "other nodes",
            Self::FutureLife { .. } => "future life",
            Self::OtherNodeKey(_) => "other node key",
            Self::NotAtItsAddress(_) => "not at its address",
            Self::NotReachable { .. } => "not reachable",
            Self::WrongNode(_) => "wrong node",
            Self::LifeIsOver { .. } => "life is over",
        }
    }
}

impl HandshakeError {
    /// True if it may have another cause than a difference between the nodes, which may be over the next time.
    pub(in crate::runtime) fn may_pass(&self) -> bool {
        match self {
            Self::NoKey(_)
            | Self::OtherKey
            | Self::NodeKeys { .. }
            | Self::Closed
            | Self::Refused(Refusal::NotReachable { .. }) => true,
            Self::Io(error) => error.kind() == io::ErrorKind::ConnectionReset,
            Self::Refused(_)
            | Self::Garbled(_)
            | Self::EarlyData
            | Self::WrongNode(_)
            | Self::FutureLife(_)
            | Self::LifeIsOver(_)
            | Self::TimedOut
            | Self::Crowded => false,
        }
    }

    /// True if whoever answered has not shown that it has the key: that may be anybody.
    pub(in crate::runtime) fn is_unproved(&self) -> bool {
        matches!(self, Self::NoKey(_) | Self::OtherKey | Self::NodeKeys { .. })
    }

    /// The label of counters.
    pub(in crate::runtime) fn label(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.label(),
            Self::NoKey(_) | Self::OtherKey => "no key",
            Self::NodeKeys { .. } => "node keys",
            Self::Garbled(_) => "garbled",
            Self::EarlyData => "early data",
            Self::WrongNode(_) => "wrong node",
            Self::FutureLife(_) => "future life",
            Self::LifeIsOver(_) => "life is over",
            Self::Closed => "closed",
            // The codec reports a frame that is too large this way.
            Self::Io(error) if error.kind() == io::ErrorKind::InvalidData => "garbled",
            Self::Io(_) => "io",
            Self::TimedOut => "timed out",
            Self::Crowded => "crowded",
        }
    }
}
