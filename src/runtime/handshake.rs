//! Handshakes: each side proves that it has the cluster's key, and says which process it is.
//!
//! First comes a Noise handshake (`NNpsk0`: both sides have the cluster's key, and each connection gets keys of its own).
//! Then, encrypted, the node that dials sends a [`Hello`], and the other one an [`Answer`]. After that only the node that
//! has dialed writes. A greeting and a probe end with the answer.
//!
//! An attacker who replays the first message of a handshake cannot read the answer to it, and cannot send a `Hello`.

use super::{
    config::Config,
    connection::{Incoming, Outgoing},
    error::listed,
    frame::{self, CHUNK, TAG, poll_end},
    key::ClusterKey,
    repeats::Repeats,
    storage::life_at,
    transport::Transport,
};
use crate::machine::{Address, NodeId};
use bytes::BytesMut;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use snow::{Builder, HandshakeState, TransportState};
use std::{
    collections::BTreeSet,
    fmt::Display,
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    task::Context,
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

/// The version of everything after the Noise handshake.
const WIRE: u16 = 3;
/// Changes with the Noise handshake itself: two nodes that differ here cannot even tell each other so.
const PROLOGUE: &[u8] = b"interrex handshake 1";
const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
/// The bytes of a message of the Noise handshake: a public key and a tag.
const NOISE_MESSAGE: usize = 48;
/// The answer to a first message that was made with another key. Without it, a wrong key looks like a forwarder whose node
/// does not run. It is not encrypted, and proves nothing: whoever can forge it can also cut the connection.
const OTHER_KEY: &[u8] = b"other key";

/// A process. Two that run at once under the same address differ in their random `instance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Party {
    pub(super) address: Address,
    pub(super) instance: u64,
}

/// The identity that this node presents in a handshake, and the identities that it accepts.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) me: Party,
    key: ClusterKey,
    protocol: String,
    configuration: String,
    /// All nodes, this one too.
    nodes: BTreeSet<NodeId>,
    /// How often this node sends heartbeats.
    period: Duration,
    clock: fn() -> u64,
    /// The inbound connections that were refused: how many, by origin and reason.
    refused: Mutex<Repeats<(Option<NodeId>, &'static str)>>,
}

/// The process that dials, the node that it means to reach, and what both must have in common.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    wire: u16,
    protocol: String,
    configuration: String,
    nodes: BTreeSet<NodeId>,
    from: Party,
    period: Duration,
    to: NodeId,
    purpose: Purpose,
}

/// The purpose of a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// A connection for messages.
    Connect {
        /// The process of the other node that was taken for dead, and for how long.
        suspected: Option<(Party, Duration)>,
    },
    /// A process that is about to start finds out whether it fits. No connection is left.
    Greet,
    /// To find out which process listens. No connection is left.
    Probe,
}

/// A day, in milliseconds: clocks may differ by that much.
const CLOCK_TOLERANCE: u64 = 24 * 60 * 60 * 1000;
/// The number of a life that begins in 2026. A clock that shows an earlier time is not set, and judges nobody.
const SANE_CLOCK: u64 = 6 * 365 * CLOCK_TOLERANCE;

/// The reply to a [`Hello`].
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// The connection is accepted, by this process, which sends heartbeats this often.
    Accepted(Party, Duration),
    /// The connection is refused.
    Refused(Refusal),
}

/// Why a node that has the key is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(super) enum Refusal {
    /// It has another version of the wire format.
    #[error("wire version {0} is spoken here")]
    OtherVersion(u16),
    /// It runs another protocol.
    #[error("the protocol here is `{0}`")]
    OtherProtocol(String),
    /// It runs the protocol with another configuration.
    #[error("the configuration here is `{0}`")]
    OtherConfiguration(String),
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
pub(super) enum HandshakeError {
    /// The other side refuses, or is refused.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// The other side does not have the key, or replays somebody else's messages.
    #[error("it does not have the key ({0})")]
    NoKey(snow::Error),
    /// The other side says that it has another key, or runs another version of the Noise handshake.
    #[error("it has another key")]
    OtherKey,
    /// The other side has the key and sends something that cannot be decoded.
    #[error("what it sends cannot be decoded ({0})")]
    Garbled(#[from] postcard::Error),
    /// The other side has sent more than the handshake.
    #[error("it sent more than a handshake")]
    EarlyData,
    /// Another node answered.
    #[error("{0} answered")]
    WrongNode(NodeId),
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

impl Refusal {
    /// The label of counters.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::OtherVersion(_) => "other version",
            Self::OtherProtocol(_) => "other protocol",
            Self::OtherConfiguration(_) => "other configuration",
            Self::OtherNodes(_) => "other nodes",
            Self::FutureLife { .. } => "future life",
            Self::NotAtItsAddress(_) => "not at its address",
            Self::NotReachable { .. } => "not reachable",
            Self::WrongNode(_) => "wrong node",
            Self::LifeIsOver { .. } => "life is over",
        }
    }
}

impl HandshakeError {
    /// True if it may have another cause than a difference between the nodes, which may be over the next time.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::NoKey(_)
            | Self::OtherKey
            | Self::Closed
            | Self::Refused(Refusal::NotReachable { .. }) => true,
            Self::Io(error) => error.kind() == io::ErrorKind::ConnectionReset,
            Self::Refused(_)
            | Self::Garbled(_)
            | Self::EarlyData
            | Self::WrongNode(_)
            | Self::LifeIsOver(_)
            | Self::TimedOut
            | Self::Crowded => false,
        }
    }

    /// The label of counters.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.label(),
            Self::NoKey(_) | Self::OtherKey => "no key",
            Self::Garbled(_) => "garbled",
            Self::EarlyData => "early data",
            Self::WrongNode(_) => "wrong node",
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

impl Identity {
    /// The identity that this node presents.
    ///
    /// # Errors
    /// If the system has no random numbers, or the configuration does not fit a message.
    pub(super) fn new(config: &Config, me: Address, period: Duration) -> io::Result<Self> {
        let mut instance = [0; 8];
        getrandom::fill(&mut instance).map_err(io::Error::other)?;
        let identity = Self {
            me: Party { address: me, instance: u64::from_ne_bytes(instance) },
            key: config.key.clone(),
            protocol: config.protocol.clone(),
            configuration: config.configuration.clone(),
            nodes: config.peers.keys().copied().chain([me.node]).collect(),
            period,
            clock: config.clock,
            refused: Mutex::new(Repeats::new()),
        };
        let hello = identity.hello(me.node, Purpose::Probe);
        let hello = postcard::to_allocvec(&hello).map_err(io::Error::other)?;
        // Another purpose takes a few bytes more.
        if hello.len() > CHUNK - 64 {
            let problem = "`protocol` and `configuration` together are longer than 64 KB";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        Ok(identity)
    }

    /// Counts an inbound connection that was refused, and logs it. Of one origin and reason, only the first, second,
    /// fourth … is a warning: a flood of them must not fill a disk. Closing the connection is no warning.
    pub(super) fn report_refused(
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

    fn hello(&self, to: NodeId, purpose: Purpose) -> Hello {
        Hello {
            wire: WIRE,
            protocol: self.protocol.clone(),
            configuration: self.configuration.clone(),
            nodes: self.nodes.clone(),
            from: self.me,
            period: self.period,
            to,
            purpose,
        }
    }

    fn acceptance(&self) -> Answer {
        Answer::Accepted(self.me, self.period)
    }

    /// Checks all that does not depend on the connections that are open.
    fn check(&self, hello: &Hello) -> Result<(), Refusal> {
        if hello.wire != WIRE {
            Err(Refusal::OtherVersion(WIRE))
        } else if hello.protocol != self.protocol {
            Err(Refusal::OtherProtocol(self.protocol.clone()))
        } else if hello.to != self.me.address.node {
            Err(Refusal::WrongNode(self.me.address.node))
        } else if hello.nodes != self.nodes {
            Err(Refusal::OtherNodes(self.nodes.clone()))
        } else if hello.configuration != self.configuration {
            Err(Refusal::OtherConfiguration(self.configuration.clone()))
        } else {
            self.check_clock(hello.from.address.life)
        }
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
    pub(super) fn difference(&self, why: &HandshakeError) -> Option<String> {
        match why {
            HandshakeError::Refused(refusal) => self.refused_difference(refusal),
            HandshakeError::WrongNode(other) => Some(format!("{other} answers there")),
            HandshakeError::NoKey(_) | HandshakeError::OtherKey => {
                Some("it has another key".into())
            }
            HandshakeError::Closed
            | HandshakeError::Garbled(_)
            | HandshakeError::EarlyData
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
            Refusal::OtherNodes(there) => {
                format!("its nodes are {}, this node's are {}", listed(there), listed(&self.nodes))
            }
            Refusal::WrongNode(other) => format!("{other} answers there"),
            Refusal::FutureLife { .. }
            | Refusal::NotAtItsAddress(_)
            | Refusal::NotReachable { .. } => format!("it refuses this node: {refusal}"),
            Refusal::LifeIsOver { .. } => return None,
        })
    }

    fn noise(&self) -> Result<Builder<'_>, HandshakeError> {
        let params = PATTERN.parse().map_err(HandshakeError::NoKey)?;
        let builder = Builder::new(params).prologue(PROLOGUE);
        builder.and_then(|builder| builder.psk(0, &self.key.0)).map_err(HandshakeError::NoKey)
    }
}

/// A connection that was dialed and accepted.
#[derive(Debug)]
pub(super) struct Reached<S> {
    pub(super) outgoing: Outgoing<S>,
    /// The process that has accepted it.
    pub(super) party: Party,
    /// How often that process sends heartbeats.
    pub(super) period: Duration,
}

/// Connects to a node and completes the handshake.
pub(super) async fn dial<T: Transport>(
    transport: &T,
    at: &str,
    to: NodeId,
    identity: &Identity,
    purpose: Purpose,
) -> Result<Reached<T::Stream>, HandshakeError> {
    let mut wire = Wire::new(transport.connect(at).await?);
    let mut noise = identity.noise()?.build_initiator().map_err(HandshakeError::NoKey)?;
    wire.write(&write_noise(&mut noise)?).await?;
    let answer = wire.read().await?;
    if &answer[..] == OTHER_KEY {
        return Err(HandshakeError::OtherKey);
    }
    let noise = read_noise(noise, &answer)?;
    let mut noise = noise.into_transport_mode().map_err(HandshakeError::NoKey)?;
    wire.allow(CHUNK + TAG);
    wire.write(&seal(&mut noise, &identity.hello(to, purpose))?).await?;
    match open(&mut noise, &wire.read().await?)? {
        Answer::Refused(refusal) => Err(refusal.into()),
        Answer::Accepted(party, period) if party.address.node == to => {
            let outgoing = Outgoing::new(wire.into_stream()?, noise);
            Ok(Reached { outgoing, party, period })
        }
        Answer::Accepted(party, _) => Err(HandshakeError::WrongNode(party.address.node)),
    }
}

/// Authenticates an inbound connection and reads its [`Hello`]. One that could never be accepted is refused at once;
/// about the others the owner of the open connections decides. A probe is answered; none is left of it.
pub(super) async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    from: SocketAddr,
    identity: &Identity,
) -> Result<Option<Authenticated<S>>, Rejected> {
    let mut wire = Wire::new(stream);
    let noise = identity.noise()?.build_responder().map_err(HandshakeError::NoKey)?;
    let mut noise = match read_noise(noise, &wire.read().await?) {
        Ok(noise) => noise,
        Err(why) => {
            wire.write(OTHER_KEY).await?;
            wire.stream.shutdown().await.map_err(HandshakeError::from)?;
            return Err(why.into());
        }
    };
    wire.write(&write_noise(&mut noise)?).await?;
    let mut noise = noise.into_transport_mode().map_err(HandshakeError::NoKey)?;
    wire.allow(CHUNK + TAG);
    let hello: Hello = open(&mut noise, &wire.read().await?)?;
    let (party, period) = (hello.from, hello.period);
    let by = |why: HandshakeError| Rejected { node: Some(party.address.node), why };
    let inbound = Authenticated { party, period, purpose: hello.purpose, from, wire, noise };
    if let Err(refusal) = identity.check(&hello) {
        inbound.refuse(&refusal).await.map_err(by)?;
        return Err(by(refusal.into()));
    }
    if hello.purpose == Purpose::Probe {
        inbound.present(identity).await.map_err(by)?;
        return Ok(None);
    }
    Ok(Some(inbound))
}

/// An inbound connection that was refused.
#[derive(Debug)]
pub(super) struct Rejected {
    /// The node, if it has said that.
    pub(super) node: Option<NodeId>,
    pub(super) why: HandshakeError,
}

impl From<HandshakeError> for Rejected {
    fn from(why: HandshakeError) -> Self {
        Self { node: None, why }
    }
}

/// An inbound connection whose process is authenticated and waits for the [`Answer`].
#[derive(Debug)]
pub(super) struct Authenticated<S> {
    /// The process that has dialed.
    pub(super) party: Party,
    /// How often that process sends heartbeats.
    pub(super) period: Duration,
    pub(super) purpose: Purpose,
    /// Its network address.
    pub(super) from: SocketAddr,
    wire: Wire<S>,
    noise: TransportState,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Authenticated<S> {
    /// True if the other side has closed the connection, or has sent something before its turn.
    pub(super) fn has_closed(&mut self, cx: &mut Context<'_>) -> bool {
        poll_end(&mut self.wire.stream, cx).is_ready()
    }

    /// Accepts the connection.
    pub(super) fn accept(
        mut self,
        identity: &Identity,
        max_message_bytes: usize,
    ) -> Result<Incoming<S>, HandshakeError> {
        let acceptance = framed(&seal(&mut self.noise, &identity.acceptance())?)?;
        Ok(Incoming::new(self.wire.into_stream()?, self.noise, &acceptance, max_message_bytes))
    }

    /// Says which process listens here, and ends the connection.
    pub(super) async fn present(mut self, identity: &Identity) -> Result<(), HandshakeError> {
        self.wire.write(&seal(&mut self.noise, &identity.acceptance())?).await?;
        Ok(self.wire.stream.shutdown().await?)
    }

    /// Refuses the connection, with the reason.
    pub(super) async fn refuse(mut self, why: &Refusal) -> Result<(), HandshakeError> {
        self.wire.write(&seal(&mut self.noise, &Answer::Refused(why.clone()))?).await?;
        Ok(self.wire.stream.shutdown().await?)
    }
}

/// The stream during a handshake, frame by frame.
#[derive(Debug)]
struct Wire<S> {
    stream: S,
    codec: LengthDelimitedCodec,
    arrived: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn new(stream: S) -> Self {
        Self { stream, codec: frame::codec(NOISE_MESSAGE), arrived: BytesMut::new() }
    }

    /// Raises the limit of a frame. Before the other side is authenticated, it gets no more memory than a Noise message
    /// takes.
    fn allow(&mut self, frame: usize) {
        self.codec.set_max_frame_length(frame);
    }

    /// The stream, if nothing has arrived beyond the handshake.
    fn into_stream(self) -> Result<S, HandshakeError> {
        if self.arrived.is_empty() { Ok(self.stream) } else { Err(HandshakeError::EarlyData) }
    }

    async fn read(&mut self) -> Result<BytesMut, HandshakeError> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.arrived)? {
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.arrived).await? == 0 {
                return Err(HandshakeError::Closed);
            }
        }
    }

    async fn write(&mut self, frame: &[u8]) -> Result<(), HandshakeError> {
        Ok(self.stream.write_all(&framed(frame)?).await?)
    }
}

/// A frame after its length, as [`frame::codec`] takes it.
fn framed(frame: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    Ok([&frame::header(frame.len())?, frame].concat())
}

fn write_noise(noise: &mut HandshakeState) -> Result<[u8; NOISE_MESSAGE], HandshakeError> {
    let mut message = [0; NOISE_MESSAGE];
    noise.write_message(&[], &mut message).map_err(HandshakeError::NoKey)?;
    Ok(message)
}

fn read_noise(mut noise: HandshakeState, message: &[u8]) -> Result<HandshakeState, HandshakeError> {
    let mut nothing = [0; NOISE_MESSAGE];
    noise.read_message(message, &mut nothing).map_err(HandshakeError::NoKey)?;
    Ok(noise)
}

fn seal(noise: &mut TransportState, value: &impl Serialize) -> Result<Vec<u8>, HandshakeError> {
    let plain = postcard::to_allocvec(value)?;
    let mut sealed = vec![0; plain.len() + TAG];
    noise.write_message(&plain, &mut sealed).map_err(HandshakeError::NoKey)?;
    Ok(sealed)
}

fn open<V: DeserializeOwned>(
    noise: &mut TransportState,
    sealed: &[u8],
) -> Result<V, HandshakeError> {
    let mut plain = vec![0; sealed.len()];
    let length = noise.read_message(sealed, &mut plain).map_err(HandshakeError::NoKey)?;
    Ok(postcard::from_bytes(&plain[..length])?)
}
