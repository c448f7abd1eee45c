//! The identity of a node: what it presents in a handshake, and what it demands of others.

use super::{HandshakeError, Party, Purpose, Refusal};
use crate::{
    machine::{Address, NodeId},
    runtime::{
        config::Config, detector::Timing, error::listed, key::ClusterKey, node_key::NodeKeys,
        repeats::Repeats, storage::life_at,
    },
};
use serde::{Deserialize, Serialize};
use snow::{Builder, HandshakeState};
use std::{
    collections::BTreeSet,
    fmt::Display,
    io,
    sync::{Mutex, PoisonError},
};

/// The version of everything after the Noise handshake. It is the first value that the dialing node sends.
pub(super) const WIRE: u16 = 5;
/// Changes with the Noise handshake itself: two nodes that differ here cannot even tell each other so.
const PROLOGUE: &[u8] = b"interrex handshake 1";
/// The Noise handshake of nodes that have the cluster's key and no keys of their own, and the length of its first message: a
/// public key and a tag.
const SHARED: (&str, usize) = ("Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s", 48);
/// The Noise handshake of nodes that have keys of their own, too, and the length of its first message: two public keys and
/// two tags.
const OWN: (&str, usize) = ("Noise_IKpsk0_25519_ChaChaPoly_BLAKE2s", 96);

/// The answers to a first message that cannot be read. Without them, a wrong key looks like a forwarder whose node does not
/// run. They are not encrypted, and prove nothing: whoever can forge them can also cut the connection.
pub(super) const OTHER_KEY: &[u8] = b"other key";
pub(super) const NODE_KEYS: &[u8] = b"node keys";
pub(super) const NO_NODE_KEYS: &[u8] = b"no node keys";

/// The identity that this node presents in a handshake, and the identities that it accepts.
#[derive(Debug)]
pub(in crate::runtime) struct Identity {
    pub(in crate::runtime) me: Party,
    key: ClusterKey,
    keys: Option<NodeKeys>,
    cluster: String,
    protocol: String,
    configuration: String,
    /// All nodes, this one too.
    nodes: BTreeSet<NodeId>,
    /// The timing of this node's heartbeats.
    pub(in crate::runtime) timing: Timing,
    clock: fn() -> u64,
    /// The inbound connections that were refused: how many, by origin and reason.
    refused: Mutex<Repeats<(Option<NodeId>, &'static str)>>,
}

/// The process that dials, the node that it means to reach, and what both must have in common.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    cluster: String,
    protocol: String,
    configuration: String,
    nodes: BTreeSet<NodeId>,
    pub(super) from: Party,
    pub(super) timing: Timing,
    to: NodeId,
    pub(super) purpose: Purpose,
}

/// A day, in milliseconds: clocks may differ by that much.
const CLOCK_TOLERANCE: u64 = 24 * 60 * 60 * 1000;
/// The number of a life that begins in 2026. A clock that shows an earlier time is not set, and judges nobody.
const SANE_CLOCK: u64 = 6 * 365 * CLOCK_TOLERANCE;

/// The reply to a [`Hello`]. Its form does not change: nodes of other versions read a refusal, too.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The connection is accepted, by this process, with these heartbeats.
    Accepted(Party, Timing),
    /// The connection is refused.
    Refused(Refusal),
}

impl Identity {
    /// The identity that this node presents.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(in crate::runtime) fn new(
        config: &Config,
        me: Address,
        timing: Timing,
    ) -> io::Result<Self> {
        let mut instance = [0; 8];
        getrandom::fill(&mut instance).map_err(io::Error::other)?;
        Ok(Self {
            me: Party { address: me, instance: u64::from_ne_bytes(instance) },
            key: config.key.clone(),
            keys: config.keys.clone(),
            cluster: config.cluster.clone(),
            protocol: config.protocol.clone(),
            configuration: config.configuration.clone(),
            nodes: config.nodes().collect(),
            timing,
            clock: config.clock,
            refused: Mutex::new(Repeats::new()),
        })
    }

    /// Counts an inbound connection that was refused, and logs it. Of one origin and reason, only the first, second,
    /// fourth … is a warning: a flood of them must not fill a disk. Closing the connection is no warning.
    pub(in crate::runtime) fn report_refused(
        &self,
        node: Option<NodeId>,
        from: &dyn Display,
        why: &HandshakeError,
    ) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.count((node, why.label())) {
            Some(times) if !matches!(why.label(), "io" | "closed") => {
                tracing::warn!(%from, %why, times, "refused");
            }
            _ => tracing::debug!(%from, %why, "refused"),
        }
        metrics::counter!("interrex_refused_total", "reason" => why.label()).increment(1);
    }

    pub(super) fn hello(&self, to: NodeId, purpose: Purpose) -> Hello {
        Hello {
            cluster: self.cluster.clone(),
            protocol: self.protocol.clone(),
            configuration: self.configuration.clone(),
            nodes: self.nodes.clone(),
            from: self.me,
            timing: self.timing,
            to,
            purpose,
        }
    }

    pub(super) fn acceptance(&self) -> Answer {
        Answer::Accepted(self.me, self.timing)
    }

    /// Checks all that does not depend on the connections that are open. `key` is the public key of the other side, if it has
    /// shown one.
    pub(super) fn check(&self, hello: &Hello, key: Option<&[u8]>) -> Result<(), Refusal> {
        let from = hello.from.address;
        if self.keys.as_ref().is_some_and(|keys| !keys.are(from.node, key)) {
            Err(Refusal::OtherNodeKey(from.node))
        } else if hello.cluster != self.cluster {
            Err(Refusal::OtherCluster(self.cluster.clone()))
        } else if hello.protocol != self.protocol {
            Err(Refusal::OtherProtocol(self.protocol.clone()))
        } else if hello.to != self.me.address.node {
            Err(Refusal::WrongNode(self.me.address.node))
        } else if hello.nodes != self.nodes {
            Err(Refusal::OtherNodes(self.nodes.clone()))
        } else if hello.configuration != self.configuration {
            Err(Refusal::OtherConfiguration(self.configuration.clone()))
        } else if hello.from == self.me {
            // It finds itself, even by a clock that was set back.
            Ok(())
        } else {
            self.check_clock(from.life)
        }
    }

    /// Whether a node is listed, and has shown the key that is listed for it, if there are such keys.
    pub(super) fn is_proved(&self, node: NodeId, key: Option<&[u8]>) -> bool {
        let has_key = self.keys.as_ref().is_none_or(|keys| keys.are(node, key));
        has_key && self.nodes.contains(&node)
    }

    /// A refusal as it may be believed: a life that no clock has numbered would use up all numbers.
    pub(super) fn believe(&self, refusal: Refusal) -> HandshakeError {
        if let Refusal::LifeIsOver { life } = refusal
            && self.check_clock(life).is_err()
        {
            return HandshakeError::FutureLife(life);
        }
        refusal.into()
    }

    /// A life that was numbered by a clock far ahead would lock out all that are numbered rightly.
    fn check_clock(&self, life: u64) -> Result<(), Refusal> {
        let now = life_at((self.clock)());
        if now < SANE_CLOCK || life.saturating_sub(now) <= CLOCK_TOLERANCE {
            return Ok(());
        }
        Err(Refusal::FutureLife { life, days: (life - now) / CLOCK_TOLERANCE })
    }

    /// How another node differs, from the refusal of either; none if it differs in nothing that must be the same.
    pub(in crate::runtime) fn difference(&self, why: &HandshakeError) -> Option<String> {
        match why {
            HandshakeError::Refused(refusal) => self.refused_difference(refusal),
            HandshakeError::WrongNode(other) => Some(format!("{other} answers there")),
            HandshakeError::NoKey(_) | HandshakeError::OtherKey => Some(self.other_key().into()),
            HandshakeError::NodeKeys { there: true } => {
                Some("it says that it uses node keys, and this node does not".into())
            }
            HandshakeError::NodeKeys { there: false } => {
                Some("it says that it does not use node keys, and this node does".into())
            }
            HandshakeError::Closed
            | HandshakeError::Garbled(_)
            | HandshakeError::EarlyData
            | HandshakeError::FutureLife(_)
            | HandshakeError::LifeIsOver(_)
            | HandshakeError::Io(_)
            | HandshakeError::TimedOut
            | HandshakeError::Crowded => None,
        }
    }

    fn refused_difference(&self, refusal: &Refusal) -> Option<String> {
        Some(match refusal {
            Refusal::OtherVersion(there) => {
                format!("it speaks version {there} of the wire format, this node version {WIRE}")
            }
            Refusal::OtherProtocol(there) => {
                format!("its protocol is `{there}`, this node's is `{}`", self.protocol)
            }
            Refusal::OtherConfiguration(there) => {
                format!("its configuration is `{there}`, this node's is `{}`", self.configuration)
            }
            Refusal::OtherCluster(there) => {
                format!("its cluster is `{there}`, this node's is `{}`", self.cluster)
            }
            Refusal::OtherNodes(there) => {
                format!("its nodes are {}, this node's are {}", listed(there), listed(&self.nodes))
            }
            Refusal::WrongNode(other) => format!("{other} answers there"),
            Refusal::FutureLife { .. }
            | Refusal::OtherNodeKey(_)
            | Refusal::NotAtItsAddress(_)
            | Refusal::NotReachable { .. } => format!("it refuses this node: {refusal}"),
            Refusal::LifeIsOver { .. } => return None,
        })
    }

    fn other_key(&self) -> &'static str {
        if self.keys.is_some() {
            "it has another cluster key, or its node key is not the one that is listed here"
        } else {
            "it has another key"
        }
    }

    /// The handshake of the side that dials this node.
    pub(super) fn initiator(&self, to: NodeId) -> Result<HandshakeState, HandshakeError> {
        let mut builder = self.noise()?;
        if let Some(theirs) = self.keys.as_ref().and_then(|keys| keys.of(to)) {
            builder = builder.remote_public_key(&theirs.0).map_err(HandshakeError::NoKey)?;
        }
        builder.build_initiator().map_err(HandshakeError::NoKey)
    }

    /// The handshake of the side that was dialed.
    pub(super) fn responder(&self) -> Result<HandshakeState, HandshakeError> {
        self.noise()?.build_responder().map_err(HandshakeError::NoKey)
    }

    fn noise(&self) -> Result<Builder<'_>, HandshakeError> {
        let params = self.pattern().0.parse().map_err(HandshakeError::NoKey)?;
        let builder = Builder::new(params).prologue(PROLOGUE);
        let builder = builder.and_then(|builder| builder.psk(0, &self.key.0));
        let builder = builder.and_then(|builder| match &self.keys {
            Some(keys) => builder.local_private_key(keys.secret()),
            None => Ok(builder),
        });
        builder.map_err(HandshakeError::NoKey)
    }

    fn pattern(&self) -> (&'static str, usize) {
        if self.keys.is_some() { OWN } else { SHARED }
    }

    /// The answer to a first message that cannot be read.
    pub(super) fn not_understood(&self, first: &[u8]) -> &'static [u8] {
        match (&self.keys, first.len() == self.pattern().1) {
            (_, true) => OTHER_KEY,
            (Some(_), false) => NODE_KEYS,
            (None, false) => NO_NODE_KEYS,
        }
    }
}
