//! The application of a protocol that has none of its own: real nodes run the machine as scenarios do.
//!
//! Its commands are typed as traces write them, and its observations are printed as traces write them. What an observation
//! means for a group (a view, a leader) is printed instead, so that a failover can be watched.

use super::{
    application::{self, Application, CommandKind, Request},
    line::{Notice, View},
};
use crate::{
    model::environment::Environment,
    protocol::{Notion, Protocol},
};
use interrex::{
    machine::{Address, Machine, NodeId},
    runtime::{Commands, Config, Ending, Node, RunError, SpawnError},
};
use serde_json::Value;
use std::{collections::BTreeSet, net::SocketAddr, time::Duration};
use tokio::sync::watch;

/// A protocol without an application of its own: `impl Plain for Ring {}` is enough to run it for real.
///
/// Its machine is [made](crate::protocol::registry::Registry::protocol) from the roster, which is the same at all nodes.
pub trait Plain: Protocol + Clone {}

impl<P: Plain> Application for P {
    type Model = P;

    fn model(&self, _: &Environment) -> P {
        self.clone()
    }

    fn has_roster(&self) -> bool {
        true
    }

    fn command_kind(&self, _: &P::Command) -> CommandKind {
        CommandKind::Scripted(None)
    }

    type Request = Typed<P>;
    type Running = Running<P>;
    type Client = Client<P>;

    async fn spawn(
        self,
        config: Config,
        _: Duration,
    ) -> Result<(Running<P>, Client<P>), SpawnError> {
        // The same list at every node, whether or not its own entry is left out.
        let nodes: BTreeSet<_> = config.peers.keys().copied().chain([config.node]).collect();
        let node = Node::spawn(self.clone(), config).await?;
        let (known, seen) = watch::channel(Seen::default());
        let nodes = nodes.into_iter().collect();
        let client = Client { nodes, commands: node.commands().clone(), seen };
        Ok((Running { protocol: self, node, known }, client))
    }
}

/// The group, as a node has told of it.
#[derive(Clone, Debug, Default)]
struct Seen {
    leader: Option<Address>,
    view: Option<View>,
}

/// A command as it is typed, or the reason why it is none.
pub struct Typed<M: Machine>(Result<M::Command, String>);

impl<M: Machine> Request for Typed<M> {
    const USAGE: &'static [(&'static str, &'static str)] = &[(
        "command JSON",
        "hand the machine a command, written as in a log; quotes around a word can be left out",
    )];

    fn parse(name: &str, rest: &str) -> Option<Self> {
        let text = rest.trim();
        if name != "command" || text.is_empty() {
            return None;
        }
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
        let command = serde_json::from_value(value);
        Some(Self(command.map_err(|error| format!("the machine has no such command: {error}"))))
    }
}

/// A running node.
pub struct Running<P: Protocol> {
    protocol: P,
    node: Node<P>,
    known: watch::Sender<Seen>,
}

impl<P: Protocol> Running<P> {
    /// The notice of an observation.
    fn read(&self, observation: &P::Observation) -> Notice {
        let leads = |leader: Address| {
            self.known.send_modify(|seen| seen.leader = Some(leader));
            Notice::Leader { leader: Some(leader) }
        };
        match self.protocol.notion(observation) {
            Notion::Joined => Notice::Joined,
            Notion::Elected(_) => leads(self.node.me()),
            Notion::Surrendered(leader) => leads(leader),
            Notion::Installed(view) => {
                let (number, leader) = (Some(view.number), view.leader);
                let view = View { number, leader, followers: view.followers };
                let (leader, shown) = (Some(leader), Some(view.clone()));
                self.known.send_replace(Seen { leader, view: shown });
                Notice::View(view)
            }
            Notion::Started(_)
            | Notion::Restored { .. }
            | Notion::Delivered { .. }
            | Notion::Served(_)
            | Notion::Answered(_)
            | Notion::Failed
            | Notion::Unremarked => {
                let observation = serde_json::to_value(observation);
                Notice::Observed { observation: observation.unwrap_or_default() }
            }
        }
    }
}

impl<P: Protocol> application::Running for Running<P> {
    fn me(&self) -> Address {
        self.node.me()
    }

    fn address(&self) -> SocketAddr {
        self.node.address()
    }

    async fn notice(&mut self) -> Option<Notice> {
        let observation = self.node.observation().await?;
        Some(self.read(&observation))
    }

    async fn shut_down(self) -> Result<Ending, RunError> {
        self.node.shut_down().await
    }

    async fn ended(self) -> Result<Ending, RunError> {
        self.node.ended().await
    }
}

/// Hands a node commands.
pub struct Client<P: Protocol> {
    nodes: Vec<NodeId>,
    commands: Commands<P>,
    seen: watch::Receiver<Seen>,
}

impl<P: Protocol> application::Client for Client<P> {
    type Request = Typed<P>;

    fn leader(&self) -> Option<Address> {
        self.seen.borrow().leader
    }

    fn members(&self) -> Notice {
        let Seen { leader, view } = self.seen.borrow().clone();
        view.map_or_else(
            || Notice::Members { candidates: self.nodes.clone(), workers: vec![], leader },
            Notice::View,
        )
    }

    fn ask(
        &mut self,
        Typed(command): Typed<P>,
    ) -> impl Future<Output = Option<Notice>> + Send + use<P> + 'static {
        let commands = self.commands.clone();
        async move {
            match command {
                Ok(command) => commands.send(command).await.is_ok().then_some(Notice::Done),
                Err(error) => Some(Notice::Error { error }),
            }
        }
    }
}
