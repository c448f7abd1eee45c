//! One connection after its handshake: frames of messages, and the heartbeats between them.
//!
//! The outer frames are Noise messages of at most 64 KB. Their contents, joined, are a stream of bytes again. The inner
//! frames on that stream are the messages, of any length. So a large message takes several Noise messages, and many
//! small ones share one.

use super::{
    component::Component,
    frame::{self, CHUNK, TAG, poll_end},
};
use bytes::BytesMut;
use serde::{Serialize, de::DeserializeOwned};
use snow::TransportState;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tokio_util::{
    codec::{Decoder, LengthDelimitedCodec},
    io::poll_read_buf,
};

/// The most bytes that one read takes.
const READ: usize = 64 << 10;
/// The bytes of the length before a message.
const HEADER: usize = 4;
/// A heartbeat is an empty inner frame.
const HEARTBEAT: [u8; HEADER] = [0; HEADER];
/// How long a deadline that has passed is extended, once, so that the sockets are polled again before it counts.
const GRACE: Duration = Duration::from_millis(1);

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum CloseReason {
    /// The other node has closed it, or the system reports an error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A Noise message cannot be decrypted.
    #[error("a frame cannot be decrypted ({0})")]
    Forged(#[from] snow::Error),
    /// A decrypted frame is not a message.
    #[error("a frame is not a message ({0})")]
    Garbled(#[from] postcard::Error),
    /// The other node has sent nothing, not even a heartbeat.
    #[error("silent for too long")]
    Silent,
    /// The other node has read nothing.
    #[error("has read nothing for too long")]
    Stalled,
    /// The same process has opened a newer connection.
    #[error("replaced by a newer connection")]
    Replaced,
    /// A later life of the node is known.
    #[error("a later life is known")]
    LifeIsOver,
}

impl CloseReason {
    /// The label of counters.
    pub(super) fn label(&self) -> &'static str {
        match self {
            // The codec reports a frame that is too large this way, and `poll_end` unexpected bytes.
            Self::Io(error) if error.kind() == io::ErrorKind::InvalidData => "garbled",
            Self::Io(_) => "closed",
            Self::Forged(_) => "forged",
            Self::Garbled(_) => "garbled",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Replaced => "replaced",
            Self::LifeIsOver => "life is over",
        }
    }
}

/// A time limit for another node. When it has passed, it is extended once, so that the sockets are polled before it
/// counts: a process that was suspended itself must not suspect the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    extended: bool,
}

impl Deadline {
    pub(super) fn new(at: Instant) -> Self {
        Self { at, extended: false }
    }

    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// True if it has passed, the extension included. Call it after the sockets were polled.
    pub(super) fn has_passed(&mut self, now: Instant) -> bool {
        let passed = self.at <= now;
        if passed && !self.extended {
            *self = Self { at: now + GRACE, extended: true };
            return false;
        }
        passed
    }
}

/// A connection on which the other node writes.
#[derive(Debug)]
pub(super) struct Incoming<S> {
    stream: S,
    noise: TransportState,
    /// The rest of the handshake's last message, still to be written.
    acceptance: BytesMut,
    outer: LengthDelimitedCodec,
    sealed: BytesMut,
    inner: LengthDelimitedCodec,
    plain: BytesMut,
    heard: bool,
    bytes_read: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Incoming<S> {
    pub(super) fn new(
        stream: S,
        noise: TransportState,
        acceptance: &[u8],
        max_message_bytes: usize,
    ) -> Self {
        let inner = LengthDelimitedCodec::builder()
            .length_field_length(HEADER)
            .max_frame_length(max_message_bytes)
            .new_codec();
        Self {
            stream,
            noise,
            acceptance: acceptance.into(),
            outer: frame::codec(CHUNK + TAG),
            sealed: BytesMut::new(),
            inner,
            plain: BytesMut::new(),
            heard: false,
            bytes_read: 0,
        }
    }

    /// Writes the rest of the handshake.
    pub(super) fn poll_acceptance(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_write_all(&mut self.stream, cx, &mut self.acceptance)
    }

    /// The next message. An empty one is a heartbeat.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BytesMut, CloseReason>> {
        loop {
            if let Some(frame) = self.inner.decode(&mut self.plain)? {
                return Poll::Ready(Ok(frame));
            }
            if let Some(sealed) = self.outer.decode(&mut self.sealed)? {
                self.open(&sealed)?;
                continue;
            }
            self.sealed.reserve(READ);
            let (stream, sealed) = (Pin::new(&mut self.stream), &mut self.sealed);
            let read = ready!(Component::Transport.run(|| poll_read_buf(stream, cx, sealed)))?;
            if read == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
            }
            self.bytes_read = self.bytes_read.saturating_add(read);
        }
    }

    fn open(&mut self, sealed: &[u8]) -> Result<(), CloseReason> {
        let start = self.plain.len();
        self.plain.resize(start + sealed.len(), 0);
        let length = self.noise.read_message(sealed, &mut self.plain[start..])?;
        self.plain.truncate(start + length);
        self.heard = true;
        Ok(())
    }

    /// True if anything was read since the last call.
    pub(super) fn heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// The number of bytes read so far.
    pub(super) fn bytes_read(&self) -> usize {
        self.bytes_read
    }
}

/// A connection on which this node writes.
#[derive(Debug)]
pub(super) struct Outgoing<S> {
    stream: S,
    noise: TransportState,
    /// Encrypted bytes that the kernel has not taken yet.
    sealed: BytesMut,
    /// When to close the connection, unless the kernel takes something before.
    stall: Option<Deadline>,
    /// How long the kernel may take nothing.
    stall_timeout: Duration,
    /// True while the kernel holds small writes back.
    held: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Outgoing<S> {
    pub(super) fn new(stream: S, noise: TransportState) -> Self {
        Self {
            stream,
            noise,
            sealed: BytesMut::new(),
            stall: None,
            stall_timeout: Duration::MAX,
            held: false,
        }
    }

    /// Sets how long the kernel may take nothing.
    pub(super) fn set_stall_timeout(&mut self, stall_timeout: Duration) {
        self.stall_timeout = stall_timeout;
    }

    /// Notes that small writes are held back, or no longer. Returns the stream if that is a change.
    pub(super) fn hold(&mut self, hold: bool) -> Option<&S> {
        (std::mem::replace(&mut self.held, hold) != hold).then_some(&self.stream)
    }

    /// True if the kernel has not taken all that was encrypted.
    pub(super) fn is_half_written(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// When to close the connection, if the kernel takes nothing now.
    pub(super) fn stall(&mut self) -> Option<&mut Deadline> {
        self.stall.as_mut()
    }

    /// Writes the encrypted bytes.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.sealed.len();
        let drained = poll_write_all(&mut self.stream, cx, &mut self.sealed);
        if self.sealed.len() < before {
            self.stall = None;
        }
        if drained.is_pending() && self.stall.is_none() {
            self.stall = Instant::now().checked_add(self.stall_timeout).map(Deadline::new);
        }
        drained
    }

    /// Encrypts and writes `bytes` from `done` on, which counts what is encrypted. A chunk is encrypted only when the
    /// one before it is written.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        done: &mut usize,
    ) -> Poll<Result<(), CloseReason>> {
        loop {
            ready!(self.poll_drain(cx))?;
            if *done == bytes.len() {
                return Poll::Ready(Ok(()));
            }
            let chunk = *done..bytes.len().min(*done + CHUNK);
            *done = chunk.end;
            self.seal(&bytes[chunk])?;
        }
    }

    /// Sends a heartbeat. Call it between messages only.
    pub(super) fn poll_heartbeat(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        self.seal(&HEARTBEAT)?;
        self.poll_drain(cx).map_err(CloseReason::Io)
    }

    /// Encrypts at most [`CHUNK`] bytes.
    fn seal(&mut self, plain: &[u8]) -> Result<(), CloseReason> {
        let start = self.sealed.len();
        let length = plain.len() + TAG;
        self.sealed.extend_from_slice(&frame::header(length)?);
        self.sealed.resize(start + frame::HEADER + length, 0);
        self.noise.write_message(plain, &mut self.sealed[start + frame::HEADER..])?;
        Ok(())
    }

    /// Waits until the other node closes the connection.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        poll_end(&mut self.stream, cx).map(CloseReason::Io)
    }

    /// Closes this direction: nothing more is written.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Component::Transport.run(|| Pin::new(&mut self.stream).poll_shutdown(cx))
    }
}

fn poll_write_all<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    bytes: &mut BytesMut,
) -> Poll<io::Result<()>> {
    while !bytes.is_empty() {
        let stream = Pin::new(&mut *stream);
        let written = ready!(Component::Transport.run(|| stream.poll_write(cx, bytes)))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        bytes::Buf::advance(bytes, written);
    }
    Poll::Ready(Ok(()))
}

/// Why a message cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeError {
    /// Its type cannot be serialised.
    #[error("it cannot be encoded ({0})")]
    NotEncodable(#[from] postcard::Error),
    /// It is too large.
    #[error("its {0} bytes are more than the limit")]
    TooLarge(usize),
}

impl EncodeError {
    /// The label of counters.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::NotEncodable(_) => "not encodable",
            Self::TooLarge(_) => "too large",
        }
    }
}

/// Appends the frame of a message to `into`, which stays as it is on an error.
pub(super) fn encode(
    value: &impl Serialize,
    limit: usize,
    into: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = into.len();
    into.extend_from_slice(&[0; HEADER]);
    let encoded = postcard::serialize_with_flavor(value, Append(into)).map_err(EncodeError::from);
    let length = into.len() - start - HEADER;
    let header = u32::try_from(length).ok().filter(|_| length <= limit);
    match encoded.and(header.ok_or(EncodeError::TooLarge(length))) {
        Ok(header) => {
            into[start..start + HEADER].copy_from_slice(&header.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            into.truncate(start);
            Err(error)
        }
    }
}

/// The message in a frame.
pub(super) fn decode<V: DeserializeOwned>(frame: &[u8]) -> Result<V, postcard::Error> {
    match postcard::take_from_bytes(frame)? {
        (value, []) => Ok(value),
        (_, [_, ..]) => Err(postcard::Error::DeserializeBadEncoding),
    }
}

/// Appends encoded bytes. Postcard's own flavors consume the buffer if a value cannot be encoded.
struct Append<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
