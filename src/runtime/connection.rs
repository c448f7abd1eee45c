//! Frames on one connection.
//!
//! Outside, frames of at most 64 KB, each a Noise message. What those carry, one behind the other, is a stream of
//! bytes again, and on it are frames of any length: messages. So a large message takes several Noise messages, and
//! many small ones share one.

use super::frame::{self, CHUNK, TAG, poll_end};
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

/// How much is read at once, at most.
const READ: usize = 64 << 10;
/// The length before a message.
const HEAD: usize = 4;
/// An empty frame.
const SIGN_OF_LIFE: [u8; HEAD] = [0; HEAD];
/// How long to look at the sockets once more before a deadline is believed.
const GLANCE: Duration = Duration::from_millis(1);

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// The other end has closed it, or the system says that it is broken.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came cannot be decrypted.
    #[error("what came is not what was sent ({0})")]
    Forged(#[from] snow::Error),
    /// What came is no message.
    #[error("what came is no message ({0})")]
    Garbled(#[from] postcard::Error),
    /// The other end is silent.
    #[error("silent for too long")]
    Silent,
    /// The other end takes nothing any more.
    #[error("takes nothing for too long")]
    Stalled,
    /// Somebody else took its place.
    #[error("a later connection takes its place")]
    Replaced,
    /// A later life of the process is known.
    #[error("a later life is known")]
    LifeIsOver,
}

impl Ended {
    /// The name for counters.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            // Codecs say this of frames that are too large, and `poll_end` of those that should not be.
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

/// A time limit for somebody else. It is believed when it has passed twice, with a look at the sockets in between:
/// who was asleep itself must not accuse others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    doubted: bool,
}

impl Deadline {
    pub(super) fn new(at: Instant) -> Self {
        Self { at, doubted: false }
    }

    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Whether it has passed. Asked when the sockets have been looked at.
    pub(super) fn has_passed(&mut self, now: Instant) -> bool {
        let passed = self.at <= now;
        if passed && !self.doubted {
            *self = Self { at: now + GLANCE, doubted: true };
            return false;
        }
        passed
    }
}

/// A connection on which the other end writes.
#[derive(Debug)]
pub(super) struct Incoming<S> {
    stream: S,
    noise: TransportState,
    /// What is still to be said before the other end begins.
    welcome: BytesMut,
    outer: LengthDelimitedCodec,
    sealed: BytesMut,
    inner: LengthDelimitedCodec,
    plain: BytesMut,
    heard: bool,
    taken: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Incoming<S> {
    pub(super) fn new(stream: S, noise: TransportState, welcome: &[u8], message: usize) -> Self {
        let inner = LengthDelimitedCodec::builder()
            .length_field_length(HEAD)
            .max_frame_length(message)
            .new_codec();
        Self {
            stream,
            noise,
            welcome: welcome.into(),
            outer: frame::codec(CHUNK + TAG),
            sealed: BytesMut::new(),
            inner,
            plain: BytesMut::new(),
            heard: false,
            taken: 0,
        }
    }

    /// Says welcome, once.
    pub(super) fn poll_welcome(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_write_all(&mut self.stream, cx, &mut self.welcome)
    }

    /// The next message, which is empty if it is only a sign of life.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<BytesMut, Ended>> {
        loop {
            if let Some(frame) = self.inner.decode(&mut self.plain)? {
                return Poll::Ready(Ok(frame));
            }
            if let Some(sealed) = self.outer.decode(&mut self.sealed)? {
                self.open(&sealed)?;
                continue;
            }
            self.sealed.reserve(READ);
            let read = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.sealed))?;
            if read == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
            }
            self.taken = self.taken.saturating_add(read);
        }
    }

    fn open(&mut self, sealed: &[u8]) -> Result<(), Ended> {
        let start = self.plain.len();
        self.plain.resize(start + sealed.len(), 0);
        let length = self.noise.read_message(sealed, &mut self.plain[start..])?;
        self.plain.truncate(start + length);
        self.heard = true;
        Ok(())
    }

    /// Whether anything was heard since this was asked last.
    pub(super) fn heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// How many bytes were read.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }
}

/// A connection on which this end writes.
#[derive(Debug)]
pub(super) struct Outgoing<S> {
    stream: S,
    noise: TransportState,
    /// What was encrypted and not taken by the kernel yet.
    sealed: BytesMut,
    /// When to give up, if the kernel takes nothing.
    stall: Option<Deadline>,
    /// How long the kernel may take nothing.
    patience: Duration,
    /// Whether the kernel was asked to hold small writes back.
    held: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Outgoing<S> {
    pub(super) fn new(stream: S, noise: TransportState) -> Self {
        Self {
            stream,
            noise,
            sealed: BytesMut::new(),
            stall: None,
            patience: Duration::MAX,
            held: false,
        }
    }

    /// From now on the kernel may take nothing for so long.
    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Notes whether small writes are held back; the stream, if that has changed.
    pub(super) fn hold(&mut self, hold: bool) -> Option<&S> {
        (std::mem::replace(&mut self.held, hold) != hold).then_some(&self.stream)
    }

    /// Whether something was encrypted that the kernel has not taken.
    pub(super) fn is_half_written(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// When to give up, where the kernel takes nothing.
    pub(super) fn stall(&mut self) -> Option<&mut Deadline> {
        self.stall.as_mut()
    }

    /// Writes what was encrypted.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let before = self.sealed.len();
        let drained = poll_write_all(&mut self.stream, cx, &mut self.sealed);
        if self.sealed.len() < before {
            self.stall = None;
        }
        if drained.is_pending() && self.stall.is_none() {
            self.stall = Instant::now().checked_add(self.patience).map(Deadline::new);
        }
        drained
    }

    /// Encrypts and writes bytes, and moves `done` on. Nothing is encrypted before what was encrypted is written.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        done: &mut usize,
    ) -> Poll<Result<(), Ended>> {
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

    /// Gives a sign of life. Asked for between messages only.
    pub(super) fn poll_sign_of_life(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        self.seal(&SIGN_OF_LIFE)?;
        self.poll_drain(cx).map_err(Ended::Io)
    }

    /// Encrypts at most [`CHUNK`] bytes.
    fn seal(&mut self, plain: &[u8]) -> Result<(), Ended> {
        let start = self.sealed.len();
        let length = plain.len() + TAG;
        self.sealed.extend_from_slice(&frame::header(length)?);
        self.sealed.resize(start + frame::HEADER + length, 0);
        self.noise.write_message(plain, &mut self.sealed[start + frame::HEADER..])?;
        Ok(())
    }

    /// Notices that the other end has ended it.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        poll_end(&mut self.stream, cx).map(Ended::Io)
    }

    /// Says that nothing more will come.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

fn poll_write_all<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    bytes: &mut BytesMut,
) -> Poll<io::Result<()>> {
    while !bytes.is_empty() {
        let written = ready!(Pin::new(&mut *stream).poll_write(cx, bytes))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        bytes::Buf::advance(bytes, written);
    }
    Poll::Ready(Ok(()))
}

/// Why a message cannot be sent to anybody.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsendable {
    /// It has no form.
    #[error("it cannot be encoded ({0})")]
    Formless(#[from] postcard::Error),
    /// It is too large.
    #[error("its {0} bytes are more than the limit")]
    TooLarge(usize),
}

impl Unsendable {
    /// The name for counters.
    pub(super) fn why(&self) -> &'static str {
        match self {
            Self::Formless(_) => "not encodable",
            Self::TooLarge(_) => "too large",
        }
    }
}

/// Appends a message to bytes, or leaves them as they are.
pub(super) fn encode(
    value: &impl Serialize,
    limit: usize,
    into: &mut Vec<u8>,
) -> Result<(), Unsendable> {
    let start = into.len();
    into.extend_from_slice(&[0; HEAD]);
    let encoded = postcard::serialize_with_flavor(value, Append(into)).map_err(Unsendable::from);
    let length = into.len() - start - HEAD;
    let head = u32::try_from(length).ok().filter(|_| length <= limit);
    match encoded.and(head.ok_or(Unsendable::TooLarge(length))) {
        Ok(head) => {
            into[start..start + HEAD].copy_from_slice(&head.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            into.truncate(start);
            Err(error)
        }
    }
}

/// A message out of its frame.
pub(super) fn decode<V: DeserializeOwned>(frame: &[u8]) -> Result<V, postcard::Error> {
    match postcard::take_from_bytes(frame)? {
        (value, []) => Ok(value),
        (_, [_, ..]) => Err(postcard::Error::DeserializeBadEncoding),
    }
}

/// Appends what is encoded: postcard's own ways take the bytes with them if something cannot be encoded.
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
