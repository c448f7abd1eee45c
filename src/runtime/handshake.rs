//! Handshakes: each side proves that it has the cluster's key, and says which process it is.
//!
//! First comes a Noise handshake, in which each connection gets keys of its own. It is `NNpsk0` if the nodes share the
//! cluster's key and nothing else, and `IKpsk0` if each has a key of its own, too: then each side proves that it has the key
//! that is listed for its node.
//! Then, encrypted, the node that dials sends its version of the wire format and a [`Hello`], and the other one an
//! [`Answer`]. After that only the node that has dialed writes. A greeting and a probe end with the answer.
//!
//! An attacker who replays the first message of a handshake cannot read the answer to it, and cannot send a `Hello`.

mod identity;
mod refusal;
#[cfg(test)]
mod tests;
mod wire;

pub(super) use self::{
    identity::Identity,
    refusal::{HandshakeError, Refusal},
};

use self::{
    identity::{Answer, Hello, NO_NODE_KEYS, NODE_KEYS, OTHER_KEY, WIRE},
    wire::{Wire, framed, open, read_noise, seal, unseal, write_noise},
};
use super::{
    connection::{Incoming, Outgoing},
    detector::Timing,
    frame::{CHUNK, TAG, poll_end},
    transport::Transport,
};
use crate::machine::{Address, NodeId};
use serde::{Deserialize, Serialize};
use snow::TransportState;
use std::{net::SocketAddr, task::Context, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// A process. Two that run at once under the same address differ in their random `instance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Party {
    pub(super) address: Address,
    pub(super) instance: u64,
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

/// A connection that was dialed and accepted.
#[derive(Debug)]
pub(super) struct Reached<S> {
    pub(super) outgoing: Outgoing<S>,
    /// The process that has accepted it.
    pub(super) party: Party,
    /// The timing of its heartbeats.
    pub(super) timing: Timing,
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
    let mut noise = identity.initiator(to)?;
    wire.write(&write_noise(&mut noise)?).await?;
    let answer = wire.read().await?;
    let noise = match &answer[..] {
        OTHER_KEY => return Err(HandshakeError::OtherKey),
        NODE_KEYS => return Err(HandshakeError::NodeKeys { there: true }),
        NO_NODE_KEYS => return Err(HandshakeError::NodeKeys { there: false }),
        answer => read_noise(noise, answer)?,
    };
    let mut noise = noise.into_transport_mode().map_err(HandshakeError::NoKey)?;
    wire.allow(CHUNK + TAG);
    wire.write(&seal(&mut noise, &(WIRE, identity.hello(to, purpose)))?).await?;
    match open(&mut noise, &wire.read().await?)? {
        Answer::Refused(refusal) => Err(identity.believe(refusal.printable())),
        Answer::Accepted(party, timing) if party.address.node == to => {
            let outgoing = Outgoing::new(wire.into_stream()?, noise);
            Ok(Reached { outgoing, party, timing })
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
    let first = wire.read().await?;
    let mut noise = match read_noise(identity.responder()?, &first) {
        Ok(noise) => noise,
        Err(why) => {
            wire.write(identity.not_understood(&first)).await?;
            wire.stream.shutdown().await.map_err(HandshakeError::from)?;
            return Err(why.into());
        }
    };
    wire.write(&write_noise(&mut noise)?).await?;
    let mut noise = noise.into_transport_mode().map_err(HandshakeError::NoKey)?;
    wire.allow(CHUNK + TAG);
    let hello = unseal(&mut noise, &wire.read().await?)?;
    let (version, hello) =
        postcard::take_from_bytes::<u16>(&hello).map_err(HandshakeError::from)?;
    if version != WIRE {
        let refusal = Refusal::OtherVersion(WIRE);
        refuse(&mut wire, &mut noise, &refusal).await?;
        return Err(HandshakeError::from(refusal).into());
    }
    let hello: Hello = postcard::from_bytes(hello).map_err(HandshakeError::from)?;
    let Hello { from: party, timing, purpose, .. } = hello;
    // A number that is only claimed would make every refusal look like the first one.
    let node = identity.is_proved(party.address.node, noise.get_remote_static());
    let node = node.then_some(party.address.node);
    let by = |why: HandshakeError| Rejected { node, why };
    let checked = identity.check(&hello, noise.get_remote_static());
    let inbound = Authenticated { party, timing, purpose, from, wire, noise };
    if let Err(refusal) = checked {
        inbound.refuse(&refusal).await.map_err(by)?;
        return Err(by(refusal.into()));
    }
    if purpose == Purpose::Probe {
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
    /// The timing of its heartbeats.
    pub(super) timing: Timing,
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
        refuse(&mut self.wire, &mut self.noise, why).await
    }
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    noise: &mut TransportState,
    why: &Refusal,
) -> Result<(), HandshakeError> {
    wire.write(&seal(noise, &Answer::Refused(why.clone()))?).await?;
    Ok(wire.stream.shutdown().await?)
}
