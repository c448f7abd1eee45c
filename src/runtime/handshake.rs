//! Handshakes: each side proves that it has the cluster's key, and says which process it is.
//!
//! First comes a Noise handshake (`NNpsk0`: both sides have the cluster's key, and each connection gets keys of its own).
//! Then, encrypted, the node that dials sends a [`Hello`], and the other one an [`Answer`]. After that only the node that
//! has dialed writes.
//!
//! An attacker who replays the first message of a handshake cannot read the answer to it, and cannot send a `Hello`.

use super::{
    config::Config,
    connection::{Incoming, Outgoing},
    frame::{self, CHUNK, TAG, poll_end},
    key::ClusterKey,
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
    sync::atomic::{AtomicU64, Ordering},
    task::Context,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

/// The version of everything after the Noise handshake.
const WIRE: u16 = 1;
/// Changes with the Noise handshake itself: two nodes that differ here cannot even tell each other so.
const PROLOGUE: &[u8] = b"interrex handshake 1";
const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
/// The bytes of a message of the Noise handshake: a public key and a tag.
const NOISE_MESSAGE: usize = 48;

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
    peers: BTreeSet<NodeId>,
    /// The number of inbound connections that failed to prove that they have the key.
    unauthenticated: AtomicU64,
}

/// The process that dials, the node that it means to reach, and what both must have in common.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    wire: u16,
    protocol: String,
    configuration: String,
    from: Party,
    to: NodeId,
}

/// The reply to a [`Hello`].
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// The connection is accepted, by this process.
    Accepted(Party),
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
    #[error("the configuration here is another")]
    OtherConfiguration,
    /// It is not listed.
    #[error("{0} is not among the nodes listed here")]
    NotListed(NodeId),
    /// It meant to reach another node.
    #[error("another node was expected here, and this is {0}")]
    WrongNode(NodeId),
    /// A later life of it is known, or another process with the same life.
    #[error("that life is over: life {life} is known here")]
    LifeIsOver {
        /// The number of the known life.
        life: u32,
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
    /// The other side has closed the connection.
    #[error("it closed the connection; it may have another key")]
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
            Self::OtherConfiguration => "other configuration",
            Self::NotListed(_) => "not listed",
            Self::WrongNode(_) => "wrong node",
            Self::LifeIsOver { .. } => "life is over",
        }
    }
}

impl HandshakeError {
    /// The label of counters.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.label(),
            Self::NoKey(_) => "no key",
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
    pub(super) fn new(config: &Config, me: Address) -> io::Result<Self> {
        let mut instance = [0; 8];
        getrandom::fill(&mut instance).map_err(io::Error::other)?;
        let identity = Self {
            me: Party { address: me, instance: u64::from_ne_bytes(instance) },
            key: config.key.clone(),
            protocol: config.protocol.clone(),
            configuration: config.configuration.clone(),
            peers: config.peers.keys().copied().filter(|peer| *peer != me.node).collect(),
            unauthenticated: AtomicU64::new(0),
        };
        let hello = postcard::to_allocvec(&identity.hello(me.node)).map_err(io::Error::other)?;
        if hello.len() > CHUNK {
            let problem = "`protocol` and `configuration` together are longer than 64 KB";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        Ok(identity)
    }

    /// Counts an inbound connection that was refused, and logs it. Of those without the key, only the first, second,
    /// fourth … is a warning: a flood of them must not fill a disk. One that just closes the connection is none.
    pub(super) fn report_refused(&self, from: &dyn Display, why: &HandshakeError) {
        let has_key = matches!(why, HandshakeError::Refused(_));
        let nth =
            if has_key { 1 } else { self.unauthenticated.fetch_add(1, Ordering::Relaxed) + 1 };
        if matches!(why.label(), "io" | "closed") || !nth.is_power_of_two() {
            tracing::debug!(%from, %why, "refused");
        } else if has_key {
            tracing::warn!(%from, %why, "refused");
        } else {
            tracing::warn!(%from, %why, unauthenticated = nth, "refused");
        }
        metrics::counter!("interrex_refused_total", "reason" => why.label()).increment(1);
    }

    fn hello(&self, to: NodeId) -> Hello {
        Hello {
            wire: WIRE,
            protocol: self.protocol.clone(),
            configuration: self.configuration.clone(),
            from: self.me,
            to,
        }
    }

    /// Checks all that does not depend on the connections that are open.
    fn check(&self, hello: &Hello) -> Result<(), Refusal> {
        let from = hello.from.address.node;
        if hello.wire != WIRE {
            Err(Refusal::OtherVersion(WIRE))
        } else if hello.protocol != self.protocol {
            Err(Refusal::OtherProtocol(self.protocol.clone()))
        } else if hello.configuration != self.configuration {
            Err(Refusal::OtherConfiguration)
        } else if hello.to != self.me.address.node {
            Err(Refusal::WrongNode(self.me.address.node))
        } else if !self.peers.contains(&from) {
            Err(Refusal::NotListed(from))
        } else {
            Ok(())
        }
    }

    fn noise(&self) -> Result<Builder<'_>, HandshakeError> {
        let params = PATTERN.parse().map_err(HandshakeError::NoKey)?;
        let builder = Builder::new(params).prologue(PROLOGUE);
        builder.and_then(|builder| builder.psk(0, &self.key.0)).map_err(HandshakeError::NoKey)
    }
}

/// Connects to a node and completes the handshake.
pub(super) async fn dial<T: Transport>(
    transport: &T,
    at: &str,
    to: NodeId,
    identity: &Identity,
) -> Result<(Outgoing<T::Stream>, Party), HandshakeError> {
    let mut wire = Wire::new(transport.connect(at).await?);
    let mut noise = identity.noise()?.build_initiator().map_err(HandshakeError::NoKey)?;
    wire.write(&write_noise(&mut noise)?).await?;
    let noise = read_noise(noise, &wire.read().await?)?;
    let mut noise = noise.into_transport_mode().map_err(HandshakeError::NoKey)?;
    wire.allow(CHUNK + TAG);
    wire.write(&seal(&mut noise, &identity.hello(to))?).await?;
    match open(&mut noise, &wire.read().await?)? {
        Answer::Refused(refusal) => Err(refusal.into()),
        Answer::Accepted(party) if party.address.node == to => {
            Ok((Outgoing::new(wire.into_stream()?, noise), party))
        }
        Answer::Accepted(party) => Err(HandshakeError::WrongNode(party.address.node)),
    }
}

/// Authenticates an inbound connection and reads its [`Hello`]. One that could never be accepted is refused at once;
/// about the others the owner of the open connections decides.
pub(super) async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    from: SocketAddr,
    identity: &Identity,
) -> Result<Authenticated<S>, HandshakeError> {
    let mut wire = Wire::new(stream);
    let noise = identity.noise()?.build_responder().map_err(HandshakeError::NoKey)?;
    let mut noise = read_noise(noise, &wire.read().await?)?;
    wire.write(&write_noise(&mut noise)?).await?;
    let mut noise = noise.into_transport_mode().map_err(HandshakeError::NoKey)?;
    wire.allow(CHUNK + TAG);
    let hello: Hello = open(&mut noise, &wire.read().await?)?;
    let inbound = Authenticated { party: hello.from, from, wire, noise };
    match identity.check(&hello) {
        Ok(()) => Ok(inbound),
        Err(refusal) => {
            inbound.refuse(&refusal).await?;
            Err(refusal.into())
        }
    }
}

/// An inbound connection whose process is authenticated and waits for the [`Answer`].
#[derive(Debug)]
pub(super) struct Authenticated<S> {
    /// The process that has dialed.
    pub(super) party: Party,
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
        me: Party,
        max_message_bytes: usize,
    ) -> Result<Incoming<S>, HandshakeError> {
        let acceptance = framed(&seal(&mut self.noise, &Answer::Accepted(me))?)?;
        Ok(Incoming::new(self.wire.into_stream()?, self.noise, &acceptance, max_message_bytes))
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
