//! Handshakes without a network.

use super::{
    Answer, HandshakeError, Identity, Refusal, WIRE, authenticate,
    wire::{Wire, open, read_noise, seal, write_noise},
};
use crate::{
    machine::{Address, NodeId},
    runtime::{
        ClusterKey, Config, Heartbeats,
        detector::Timing,
        frame::{CHUNK, TAG},
    },
};
use std::error::Error;

fn identity(node: NodeId) -> std::io::Result<Identity> {
    let peers = [0, 1].map(|node| (NodeId(node), String::new()));
    let config = Config::new(node, "", peers, ClusterKey([7; 32]), "test");
    Identity::new(&config, Address { node, life: 0 }, Timing::of(&Heartbeats::default()))
}

/// A later version of the wire format may say anything after its number.
#[tokio::test]
async fn a_node_of_another_version_is_told_which_one_is_spoken() -> Result<(), Box<dyn Error>> {
    let (dialing, dialed) = (identity(NodeId(0))?, identity(NodeId(1))?);
    let (near, far) = tokio::io::duplex(1 << 16);
    let from = ([127, 0, 0, 1], 1).into();
    let answering = tokio::spawn(async move { authenticate(far, from, &dialed).await.map(|_| ()) });

    let mut wire = Wire::new(near);
    let mut noise = dialing.initiator(NodeId(1))?;
    wire.write(&write_noise(&mut noise)?).await?;
    let noise = read_noise(noise, &wire.read().await?)?;
    let mut noise = noise.into_transport_mode()?;
    wire.allow(CHUNK + TAG);
    wire.write(&seal(&mut noise, &(WIRE + 1, "and something else"))?).await?;
    let answer: Answer = open(&mut noise, &wire.read().await?)?;

    assert!(matches!(answer, Answer::Refused(Refusal::OtherVersion(WIRE))), "{answer:?}");
    let refused = answering.await?.map_err(|rejected| rejected.why);
    assert!(matches!(refused, Err(HandshakeError::Refused(Refusal::OtherVersion(WIRE)))));
    Ok(())
}
