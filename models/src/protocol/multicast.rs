//! The common part of multicast protocols: the messages, in scenarios and in real nodes, and the way a
//! program takes part.

use crate::{
    claim::notion::Token,
    real::{
        application::{Client, Request, Running},
        line::{Said, View},
    },
};
use interrex::{
    machine::{Address, Machine, Value},
    runtime::{Commands, Config, Ending, Node, RunError, SpawnError},
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use tokio::sync::watch;

/// The content of a multicast, as the properties read it.
pub trait Payload: Value {
    /// The identity of the message.
    fn token(&self) -> Token;

    /// The message with this identity, if scenarios multicast this type.
    #[must_use]
    fn scripted(_: Token) -> Option<Self> {
        None
    }
}

impl Payload for Token {
    fn token(&self) -> Token {
        *self
    }

    fn scripted(token: Token) -> Option<Self> {
        Some(token)
    }
}

/// A text with a stamp of the sending program, so that the same text sent twice is two messages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Multicast {
    /// The process that sends it.
    pub from: Address,
    /// The number of messages that this process has multicast before.
    pub index: u64,
    /// The text.
    pub text: String,
}

/// No scenario multicasts texts. The index counts within one life, and a token does not say which life.
impl Payload for Multicast {
    fn token(&self) -> Token {
        let index = u32::try_from(self.index).unwrap_or(u32::MAX);
        Token { sender: self.from.node, index }
    }
}

/// A protocol whose members multicast texts.
pub trait Group: Machine + Send + Sync + 'static {
    /// The number of the view of a founder that is alone, if views have numbers.
    const FOUNDED: Option<u64>;

    /// The command that multicasts a text.
    fn mcast(message: Multicast) -> Self::Command;

    /// The line that a node prints for an observation.
    fn said(observation: Self::Observation) -> Said;
}

/// A text to be multicast.
#[derive(Debug, PartialEq, Eq)]
pub struct Mcast(String);

impl Request for Mcast {
    const USAGE: &'static [(&'static str, &'static str)] =
        &[("mcast TEXT", "deliver a text at every member, in the same order everywhere")];

    fn parse(name: &str, rest: &str) -> Option<Self> {
        (name == "mcast" && !rest.is_empty()).then(|| Self(rest.into()))
    }
}

/// A node of a group.
#[derive(Debug)]
pub struct Member<M: Group> {
    node: Node<M>,
    view: watch::Sender<Option<View>>,
}

/// A handle that multicasts through a member.
#[derive(Debug)]
pub struct Sender<M: Group> {
    me: Address,
    commands: Commands<M>,
    view: watch::Receiver<Option<View>>,
    sent: u64,
}

/// Runs a node of a group.
///
/// # Errors
/// If it does not come up.
pub async fn spawn<M: Group>(
    machine: M,
    config: Config,
) -> Result<(Member<M>, Sender<M>), SpawnError> {
    let founds = config.contact.is_none();
    let node = Node::spawn(machine, config).await?;
    let me = node.me();
    let alone = View { number: M::FOUNDED, leader: me, followers: vec![] };
    let (view, seen) = watch::channel(founds.then_some(alone));
    let sender = Sender { me, commands: node.commands().clone(), view: seen, sent: 0 };
    Ok((Member { node, view }, sender))
}

impl<M: Group> Running for Member<M> {
    fn me(&self) -> Address {
        self.node.me()
    }

    fn address(&self) -> SocketAddr {
        self.node.address()
    }

    async fn said(&mut self) -> Option<Said> {
        let said = M::said(self.node.observation().await?);
        if let Said::View(view) = &said {
            self.view.send_replace(Some(view.clone()));
        }
        Some(said)
    }

    async fn shut_down(self) -> Result<Ending, RunError> {
        self.node.shut_down().await
    }

    async fn ended(self) -> Result<Ending, RunError> {
        self.node.ended().await
    }
}

impl<M: Group> Client for Sender<M> {
    type Request = Mcast;

    fn leader(&self) -> Option<Address> {
        self.view.borrow().as_ref().map(|view| view.leader)
    }

    fn members(&self) -> Said {
        match &*self.view.borrow() {
            Some(view) => Said::View(view.clone()),
            None => Said::Error { error: "this node is not a member yet".into() },
        }
    }

    async fn ask(&mut self, Mcast(text): Mcast) -> Option<Said> {
        let message = Multicast { from: self.me, index: self.sent, text };
        self.sent += 1;
        self.commands.send(M::mcast(message)).await.is_ok().then_some(Said::Done)
    }
}
