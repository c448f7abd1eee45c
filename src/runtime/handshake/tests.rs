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

/// A node that may claim any number could use all of them up.
#[test]
fn a_life_that_no_clock_has_numbered_is_not_believed() -> Result<(), Box<dyn Error>> {
    let identity = identity(NodeId(0))?;
    let believed = |life| identity.believe(Refusal::LifeIsOver { life });
    let future = believed(u64::MAX - 1);
    assert!(matches!(future, HandshakeError::FutureLife(_)), "{future}");
    assert_eq!(identity.difference(&future), None);
    let past = believed(17);
    assert!(matches!(past, HandshakeError::Refused(Refusal::LifeIsOver { life: 17 })), "{past}");
    Ok(())
}

/// A refusal ends in logs and on terminals.
#[test]
fn texts_of_others_are_short_and_have_no_control_characters() {
    let refusal =
        Refusal::OtherProtocol(format!("\u{1b}]0;title\u{7}\nERROR{}", "x".repeat(60_000)));
    let shown = refusal.printable().to_string();
    assert!(shown.chars().all(|letter| !letter.is_control()) && shown.len() < 300, "{shown}");
    assert!(shown.contains("title") && shown.ends_with("…`"), "{shown}");
}

#[test]
fn a_number_that_is_only_claimed_is_not_told_apart() -> Result<(), Box<dyn Error>> {
    let identity = identity(NodeId(0))?;
    assert!(identity.is_proved(NodeId(1), None) && !identity.is_proved(NodeId(9), None));
    Ok(())
}
