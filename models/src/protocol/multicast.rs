//! The common part of the protocols whose members multicast to each other: the payload, in scenarios and at real nodes,
//! and the interface of a program to its member.

use crate::{
    claim::notion::Token,
    real::{
        application::{Client, CommandKind, Request, Running},
        line::{Notice, View},
    },
};
use interrex::{
    gms3::Command,
    machine::{Address, Machine, Value},
    runtime::{Commands, Config, Ending, Node, RunError, SpawnError},
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use tokio::sync::watch;

/// The payload of a multicast.
pub trait Payload: Value {
    /// The identity of the message, for the properties.
    fn token(&self) -> Token;

    /// The scripted message with this token, for a payload that scenarios multicast.
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

/// A text with a unique stamp: the same text sent twice is two messages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Multicast {
    /// The process that sends it.
    pub from: Address,
    /// The number of messages that this process has multicast before, in this life.
    pub index: u64,
    /// The text.
    pub text: String,
}

/// No scenario multicasts texts. The index counts within one life, and the token does not contain the life.
impl Payload for Multicast {
    fn token(&self) -> Token {
        let index = u32::try_from(self.index).unwrap_or(u32::MAX);
        Token { sender: self.from.node, index }
    }
}

/// A protocol whose members multicast texts.
pub trait Group: Machine<Command = Command<Multicast>> + Send + Sync + 'static {
    /// The number of the first view of a founder, if views have numbers.
    const FOUNDED: Option<u64>;

    /// The notice that a node prints of an observation.
    fn notice(observation: Self::Observation) -> Notice;
}

/// The meaning of a command in the harness.
pub(super) fn command_kind(command: &Command<Multicast>) -> CommandKind {
    match command {
        Command::Mcast(_) => CommandKind::Scripted(None),
        Command::Stop => CommandKind::End,
    }
}

/// The line that multicasts a value under a key.
pub(super) fn write(key: &str, value: &str) -> String {
    format!("mcast {key} {value}")
}

/// The command of that line, at a process that has multicast `issued` messages before.
pub(super) fn write_of(me: Address, issued: u64, key: &str, value: &str) -> Command<Multicast> {
    Command::Mcast(Multicast { from: me, index: issued, text: format!("{key} {value}") })
}

/// A request to multicast a text.
#[derive(Debug, PartialEq, Eq)]
pub struct Mcast(String);

impl Request for Mcast {
    const USAGE: &'static [(&'static str, &'static str)] =
        &[("mcast TEXT", "multicast a text to all members of the group")];

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

/// The client of a member.
#[derive(Debug)]
pub struct Sender<M: Group> {
    me: Address,
    commands: Commands<M>,
    view: watch::Receiver<Option<View>>,
    sent: u64,
}

/// Starts a node of a group.
///
/// # Errors
/// If it does not start.
pub async fn spawn<M: Group>(
    machine: M,
    config: Config,
) -> Result<(Member<M>, Sender<M>), SpawnError> {
    let founds = config.contacts.is_empty();
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

    async fn notice(&mut self) -> Option<Notice> {
        let said = M::notice(self.node.observation().await?);
        if let Notice::View(view) = &said {
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

    fn members(&self) -> Notice {
        match &*self.view.borrow() {
            Some(view) => Notice::View(view.clone()),
            None => Notice::Error { error: "this node is not a member yet".into() },
        }
    }

    fn ask(
        &mut self,
        Mcast(text): Mcast,
    ) -> impl Future<Output = Option<Notice>> + Send + use<M> + 'static {
        let message = Multicast { from: self.me, index: self.sent, text };
        self.sent += 1;
        let commands = self.commands.clone();
        async move { commands.send(Command::Mcast(message)).await.is_ok().then_some(Notice::Done) }
    }
}
