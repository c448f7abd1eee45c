//! Who is at the other end.
//!
//! A Noise handshake (`NNpsk0`: both ends have the cluster's key, and each connection has keys of its own), and then,
//! encrypted, the question of who is there: the one who dials says [`Hello`], the other one [`Answer`]s. Afterwards
//! only the one who dialed writes.
//!
//! Who replays the first message of somebody else gets an answer that it cannot read, and can say no `Hello`.

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

/// The form of what follows the handshake.
const WIRE: u16 = 1;
/// Changes when the handshake itself does: two that differ here cannot even tell each other so.
const PROLOGUE: &[u8] = b"interrex handshake 1";
const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
/// What a message of the handshake takes: a public key and a tag.
const GREETING: usize = 48;

/// A process, and which one of those that claim to be it: two that run at once under the same address differ here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Party {
    pub(super) address: Address,
    pub(super) instance: u64,
}

/// What a node says of itself, and whom it talks to.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) me: Party,
    key: ClusterKey,
    protocol: String,
    configuration: String,
    peers: BTreeSet<NodeId>,
    /// How many without the key were not let in.
    strangers: AtomicU64,
}

/// Says who has dialed, and what it thinks both have in common.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    wire: u16,
    protocol: String,
    configuration: String,
    from: Party,
    to: NodeId,
}

/// What the one who was dialed says to it.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    /// Come in; this is who you have reached.
    Welcome(Party),
    /// Stay out.
    Refusal(Refusal),
}

/// Why a node that has the key is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(super) enum Refusal {
    /// It speaks another version.
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
    /// It meant somebody else.
    #[error("this is {0}, who was not meant")]
    NotMe(NodeId),
    /// A later life of it is known, or another process with the same life.
    #[error("that life is over: life {life} is known here")]
    LifeIsOver {
        /// The number of the known life.
        life: u32,
    },
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The other end says no.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// The other end does not have the key, or replays what somebody else said.
    #[error("it does not have the key ({0})")]
    Stranger(snow::Error),
    /// The other end has the key but makes no sense.
    #[error("it makes no sense ({0})")]
    Garbled(#[from] postcard::Error),
    /// The other end does not wait for its turn.
    #[error("it said more than it was asked")]
    Impatient,
    /// Somebody else answered.
    #[error("{0} answered")]
    Somebody(NodeId),
    /// Who answered is over.
    #[error("{0} answered, whose life is over")]
    Over(Address),
    /// It has hung up.
    #[error("it hung up; it may have another key")]
    HungUp,
    /// The connection does not work.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("it took too long")]
    TimedOut,
    /// There was not room for all strangers at once.
    #[error("too many strangers at once")]
    Crowded,
}

impl Refusal {
    /// The name for counters.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::OtherVersion(_) => "other version",
            Self::OtherProtocol(_) => "other protocol",
            Self::OtherConfiguration => "other configuration",
            Self::NotListed(_) => "not listed",
            Self::NotMe(_) => "not me",
            Self::LifeIsOver { .. } => "life is over",
        }
    }
}

impl HandshakeError {
    /// The name for counters.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::Stranger(_) => "no key",
            Self::Garbled(_) => "garbled",
            Self::Impatient => "impatient",
            Self::Somebody(_) => "somebody else",
            Self::Over(_) => "life is over",
            Self::HungUp => "hung up",
            // The codec says this of frames that are too large.
            Self::Io(error) if error.kind() == io::ErrorKind::InvalidData => "garbled",
            Self::Io(_) => "io",
            Self::TimedOut => "timed out",
            Self::Crowded => "crowded",
        }
    }
}

impl Identity {
    /// What a node says of itself.
    ///
    /// # Errors
    /// If there are no random numbers, or the configuration is too long to be told.
    pub(super) fn new(config: &Config, me: Address) -> io::Result<Self> {
        let mut instance = [0; 8];
        getrandom::fill(&mut instance).map_err(io::Error::other)?;
        let identity = Self {
            me: Party { address: me, instance: u64::from_ne_bytes(instance) },
            key: config.key.clone(),
            protocol: config.protocol.clone(),
            configuration: config.configuration.clone(),
            peers: config.peers.keys().copied().filter(|peer| *peer != me.node).collect(),
            strangers: AtomicU64::new(0),
        };
        let hello = postcard::to_allocvec(&identity.hello(me.node)).map_err(io::Error::other)?;
        if hello.len() > CHUNK {
            let problem = "`protocol` and `configuration` together are longer than 64 KB";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        Ok(identity)
    }

    /// Counts somebody who was not let in, and says so. Of strangers, the first, the second, the fourth …: a crowd of them
    /// must not fill a disk. Whoever leaves without a word has not done anything.
    pub(super) fn refused(&self, who: &dyn Display, why: &HandshakeError) {
        let has_key = matches!(why, HandshakeError::Refused(_));
        let nth = if has_key { 1 } else { self.strangers.fetch_add(1, Ordering::Relaxed) + 1 };
        if matches!(why.reason(), "io" | "hung up") || !nth.is_power_of_two() {
            tracing::debug!(%who, %why, "refused");
        } else if has_key {
            tracing::warn!(%who, %why, "refused");
        } else {
            tracing::warn!(%who, %why, strangers = nth, "refused");
        }
        metrics::counter!("interrex_refused_total", "reason" => why.reason()).increment(1);
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

    /// Everything that can be said without knowing who is there already.
    fn check(&self, hello: &Hello) -> Result<(), Refusal> {
        let from = hello.from.address.node;
        if hello.wire != WIRE {
            Err(Refusal::OtherVersion(WIRE))
        } else if hello.protocol != self.protocol {
            Err(Refusal::OtherProtocol(self.protocol.clone()))
        } else if hello.configuration != self.configuration {
            Err(Refusal::OtherConfiguration)
        } else if hello.to != self.me.address.node {
            Err(Refusal::NotMe(self.me.address.node))
        } else if !self.peers.contains(&from) {
            Err(Refusal::NotListed(from))
        } else {
            Ok(())
        }
    }

    fn noise(&self) -> Result<Builder<'_>, HandshakeError> {
        let params = PATTERN.parse().map_err(HandshakeError::Stranger)?;
        let builder = Builder::new(params).prologue(PROLOGUE);
        builder.and_then(|builder| builder.psk(0, &self.key.0)).map_err(HandshakeError::Stranger)
    }
}

/// Dials a node and says who is there.
pub(super) async fn dial<T: Transport>(
    transport: &T,
    at: &str,
    to: NodeId,
    identity: &Identity,
) -> Result<(Outgoing<T::Stream>, Party), HandshakeError> {
    let mut wire = Wire::new(transport.connect(at).await?);
    let mut noise = identity.noise()?.build_initiator().map_err(HandshakeError::Stranger)?;
    wire.write(&greeting(&mut noise)?).await?;
    let noise = greeted(noise, &wire.read().await?)?;
    let mut noise = noise.into_transport_mode().map_err(HandshakeError::Stranger)?;
    wire.allow(CHUNK + TAG);
    wire.write(&seal(&mut noise, &identity.hello(to))?).await?;
    match open(&mut noise, &wire.read().await?)? {
        Answer::Refusal(refusal) => Err(refusal.into()),
        Answer::Welcome(party) if party.address.node == to => {
            Ok((Outgoing::new(wire.into_stream()?, noise), party))
        }
        Answer::Welcome(party) => Err(HandshakeError::Somebody(party.address.node)),
    }
}

/// Asks who has dialed. Whether it may come in is up to whoever knows who is there already; except where that does
/// not matter: then it is refused at once.
pub(super) async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    from: SocketAddr,
    identity: &Identity,
) -> Result<Guest<S>, HandshakeError> {
    let mut wire = Wire::new(stream);
    let noise = identity.noise()?.build_responder().map_err(HandshakeError::Stranger)?;
    let mut noise = greeted(noise, &wire.read().await?)?;
    wire.write(&greeting(&mut noise)?).await?;
    let mut noise = noise.into_transport_mode().map_err(HandshakeError::Stranger)?;
    wire.allow(CHUNK + TAG);
    let hello: Hello = open(&mut noise, &wire.read().await?)?;
    let guest = Guest { party: hello.from, from, wire, noise };
    match identity.check(&hello) {
        Ok(()) => Ok(guest),
        Err(refusal) => {
            guest.refuse(&refusal).await?;
            Err(refusal.into())
        }
    }
}

/// Somebody who has dialed, has the key, and waits for the answer.
#[derive(Debug)]
pub(super) struct Guest<S> {
    /// Who it is.
    pub(super) party: Party,
    /// Where it comes from.
    pub(super) from: SocketAddr,
    wire: Wire<S>,
    noise: TransportState,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guest<S> {
    /// Whether it has lost patience: whoever waits for an answer is silent.
    pub(super) fn has_left(&mut self, cx: &mut Context<'_>) -> bool {
        poll_end(&mut self.wire.stream, cx).is_ready()
    }

    /// Lets it in.
    pub(super) fn welcome(
        mut self,
        me: Party,
        message: usize,
    ) -> Result<Incoming<S>, HandshakeError> {
        let welcome = framed(&seal(&mut self.noise, &Answer::Welcome(me))?)?;
        Ok(Incoming::new(self.wire.into_stream()?, self.noise, &welcome, message))
    }

    /// Keeps it out, and says why.
    pub(super) async fn refuse(mut self, why: &Refusal) -> Result<(), HandshakeError> {
        self.wire.write(&seal(&mut self.noise, &Answer::Refusal(why.clone()))?).await?;
        Ok(self.wire.stream.shutdown().await?)
    }
}

/// Frames, as long as each is waited for.
#[derive(Debug)]
struct Wire<S> {
    stream: S,
    codec: LengthDelimitedCodec,
    arrived: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn new(stream: S) -> Self {
        Self { stream, codec: frame::codec(GREETING), arrived: BytesMut::new() }
    }

    /// From now on frames may be so large. A stranger is not given more room than a greeting takes.
    fn allow(&mut self, frame: usize) {
        self.codec.set_max_frame_length(frame);
    }

    /// The stream, on which nothing may have come that was not waited for.
    fn into_stream(self) -> Result<S, HandshakeError> {
        if self.arrived.is_empty() { Ok(self.stream) } else { Err(HandshakeError::Impatient) }
    }

    async fn read(&mut self) -> Result<BytesMut, HandshakeError> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.arrived)? {
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.arrived).await? == 0 {
                return Err(HandshakeError::HungUp);
            }
        }
    }

    async fn write(&mut self, frame: &[u8]) -> Result<(), HandshakeError> {
        Ok(self.stream.write_all(&framed(frame)?).await?)
    }
}

/// A frame with its length before it, as [`frame::codec`] takes it.
fn framed(frame: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    Ok([&frame::header(frame.len())?, frame].concat())
}

fn greeting(noise: &mut HandshakeState) -> Result<[u8; GREETING], HandshakeError> {
    let mut message = [0; GREETING];
    noise.write_message(&[], &mut message).map_err(HandshakeError::Stranger)?;
    Ok(message)
}

fn greeted(mut noise: HandshakeState, message: &[u8]) -> Result<HandshakeState, HandshakeError> {
    let mut nothing = [0; GREETING];
    noise.read_message(message, &mut nothing).map_err(HandshakeError::Stranger)?;
    Ok(noise)
}

fn seal(noise: &mut TransportState, value: &impl Serialize) -> Result<Vec<u8>, HandshakeError> {
    let plain = postcard::to_allocvec(value)?;
    let mut sealed = vec![0; plain.len() + TAG];
    noise.write_message(&plain, &mut sealed).map_err(HandshakeError::Stranger)?;
    Ok(sealed)
}

fn open<V: DeserializeOwned>(
    noise: &mut TransportState,
    sealed: &[u8],
) -> Result<V, HandshakeError> {
    let mut plain = vec![0; sealed.len()];
    let length = noise.read_message(sealed, &mut plain).map_err(HandshakeError::Stranger)?;
    Ok(postcard::from_bytes(&plain[..length])?)
}
