//! The outer frames of a connection: a length of two bytes, then a Noise message.
//!
//! The handshake and the connection after it share this form.

use super::component::Component;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::codec::LengthDelimitedCodec;

/// The bytes of the length before a Noise message.
pub(super) const HEADER: usize = 2;
/// The bytes of the tag that authenticates a Noise message.
pub(super) const TAG: usize = 16;
/// The most plain bytes that a Noise message carries.
pub(super) const CHUNK: usize = 65535 - TAG;

/// Decodes Noise messages of at most `max_bytes`; a longer one is an error of kind [`io::ErrorKind::InvalidData`].
pub(super) fn codec(max_bytes: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder()
        .length_field_length(HEADER)
        .max_frame_length(max_bytes)
        .new_codec()
}

/// The length that goes before a Noise message, as [`codec`] reads it.
///
/// # Errors
/// If the message is longer than two bytes can say.
pub(super) fn header(message_bytes: usize) -> io::Result<[u8; HEADER]> {
    u16::try_from(message_bytes).map(u16::to_be_bytes).map_err(io::Error::other)
}

/// Waits for the end of a stream on which the other side must not write. Bytes that do arrive are an error, too.
pub(super) fn poll_end<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
) -> Poll<io::Error> {
    let mut byte = [0];
    let mut byte = ReadBuf::new(&mut byte);
    Component::Transport.run(|| Pin::new(stream).poll_read(cx, &mut byte)).map(|read| match read {
        Err(error) => error,
        Ok(()) if byte.filled().is_empty() => io::ErrorKind::UnexpectedEof.into(),
        Ok(()) => io::Error::new(io::ErrorKind::InvalidData, "unexpected bytes"),
    })
}
