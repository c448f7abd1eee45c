//! The bytes of a handshake: frames, Noise messages, and the values in them.

use super::HandshakeError;
use crate::runtime::frame::{self, TAG};
use bytes::BytesMut;
use serde::{Serialize, de::DeserializeOwned};
use snow::{HandshakeState, TransportState};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

/// The most bytes of a message of the Noise handshake: two public keys and two tags.
const LONGEST_NOISE_MESSAGE: usize = 96;

/// The stream during a handshake, frame by frame.
#[derive(Debug)]
pub(super) struct Wire<S> {
    pub(super) stream: S,
    codec: LengthDelimitedCodec,
    arrived: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, codec: frame::codec(LONGEST_NOISE_MESSAGE), arrived: BytesMut::new() }
    }

    /// Raises the limit of a frame. Before the other side is authenticated, it gets no more memory than a Noise message
    /// takes.
    pub(super) fn allow(&mut self, frame: usize) {
        self.codec.set_max_frame_length(frame);
    }

    /// The stream, if nothing has arrived beyond the handshake.
    pub(super) fn into_stream(self) -> Result<S, HandshakeError> {
        if self.arrived.is_empty() { Ok(self.stream) } else { Err(HandshakeError::EarlyData) }
    }

    pub(super) async fn read(&mut self) -> Result<BytesMut, HandshakeError> {
        loop {
            if let Some(frame) = self.codec.decode(&mut self.arrived)? {
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.arrived).await? == 0 {
                return Err(HandshakeError::Closed);
            }
        }
    }

    pub(super) async fn write(&mut self, frame: &[u8]) -> Result<(), HandshakeError> {
        Ok(self.stream.write_all(&framed(frame)?).await?)
    }
}

/// A frame after its length, as [`frame::codec`] takes it.
pub(super) fn framed(frame: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    Ok([&frame::header(frame.len())?, frame].concat())
}

pub(super) fn write_noise(noise: &mut HandshakeState) -> Result<Vec<u8>, HandshakeError> {
    let mut message = vec![0; LONGEST_NOISE_MESSAGE];
    let length = noise.write_message(&[], &mut message).map_err(HandshakeError::NoKey)?;
    message.truncate(length);
    Ok(message)
}

pub(super) fn read_noise(
    mut noise: HandshakeState,
    message: &[u8],
) -> Result<HandshakeState, HandshakeError> {
    let mut nothing = [0; LONGEST_NOISE_MESSAGE];
    noise.read_message(message, &mut nothing).map_err(HandshakeError::NoKey)?;
    Ok(noise)
}

pub(super) fn seal(
    noise: &mut TransportState,
    value: &impl Serialize,
) -> Result<Vec<u8>, HandshakeError> {
    let plain = postcard::to_allocvec(value)?;
    let mut sealed = vec![0; plain.len() + TAG];
    noise.write_message(&plain, &mut sealed).map_err(HandshakeError::NoKey)?;
    Ok(sealed)
}

pub(super) fn open<V: DeserializeOwned>(
    noise: &mut TransportState,
    sealed: &[u8],
) -> Result<V, HandshakeError> {
    Ok(postcard::from_bytes(&unseal(noise, sealed)?)?)
}

/// The bytes that were sealed.
pub(super) fn unseal(noise: &mut TransportState, sealed: &[u8]) -> Result<Vec<u8>, HandshakeError> {
    let mut plain = vec![0; sealed.len()];
    let length = noise.read_message(sealed, &mut plain).map_err(HandshakeError::NoKey)?;
    plain.truncate(length);
    Ok(plain)
}
