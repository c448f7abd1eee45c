//! A node that runs: it obeys commands and tells what happens, until somebody ends it.

use super::{
    super::Failure,
    Members,
    input::{self, Asked, Dictionary, Mcast, Own, Typed},
    output::{Output, Unread},
};
use interrex::{
    gen_leader::{
        Election, GenLeader,
        dictionary::{Reply, Request},
    },
    gms3::{Command, Gms3, Observation, View},
    machine::{Address, NodeId},
    runtime::{CallError, Client, Commands, Config, Ending, Node, RunError, Server, SpawnError},
};
use interrex_models::{
    protocol::registry::Known,
    real::{
        line::Said,
        machines::{Multicast, Texts},
    },
};
use std::{cell::RefCell, future, time::Duration};
use tokio::{
    runtime::Handle,
    select,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// What is the same for every protocol.
pub(super) struct Desk<'a> {
    pub(super) output: &'a Output,
    pub(super) protocol: Known,
    pub(super) members: &'a Members,
    pub(super) patience: Duration,
    pub(super) until_eof: bool,
}

/// A machine that can be served.
pub(super) trait Serve {
    /// Runs until somebody, or the machine itself, ends it.
    async fn serve(self, config: Config, desk: Desk<'_>) -> Result<Ending, Failure>;
}

/// Why serving is over.
enum Over {
    /// Somebody wants it.
    Asked,
    /// The node has ended.
    Itself,
}

impl From<Unread> for Over {
    /// A node that nobody hears is shut down. Who closes the output says what went wrong.
    fn from(_: Unread) -> Self {
        Self::Asked
    }
}

impl<E: Election> Serve for GenLeader<E, Texts> {
    async fn serve(self, config: Config, desk: Desk<'_>) -> Result<Ending, Failure> {
        let node = config.node;
        let signals = Signals::new()?;
        let server = Server::spawn(self, config).await.map_err(|error| not_up(node, &error))?;
        let me = server.me();
        let client = server.client();
        let listening = desk.listening(me, server.address());
        let over = match desk.output.say(None, listening).await {
            Ok(()) => {
                let dictionary = Copies { desk: &desk, client, leader: server.leader() };
                select! {
                    over = tell_leaders(server.leader(), desk.output) => over,
                    over = desk.obey(dictionary) => over,
                    () = signals.wait() => Over::Asked,
                    () = desk.output.unread() => Over::Asked,
                }
            }
            Err(unread) => unread.into(),
        };
        let ended = match over {
            Over::Asked => server.shut_down().await,
            Over::Itself => server.ended().await,
        };
        ended.map_err(|error| failed(node, &error))
    }
}

impl Serve for Gms3<Multicast> {
    async fn serve(self, config: Config, desk: Desk<'_>) -> Result<Ending, Failure> {
        let (id, founds) = (config.node, config.contact.is_none());
        let signals = Signals::new()?;
        let mut node = Node::spawn(self, config).await.map_err(|error| not_up(id, &error))?;
        let me = node.me();
        let founded = View { number: 0, leader: me, followers: [].into_iter().collect() };
        let view = RefCell::new(founds.then_some(founded));
        let listening = desk.listening(me, node.address());
        let over = match desk.output.say(None, listening).await {
            Ok(()) => {
                let group = Group { me, commands: node.commands().clone(), view: &view, sent: 0 };
                select! {
                    over = tell_group(&mut node, &view, desk.output) => over,
                    over = desk.obey(group) => over,
                    () = signals.wait() => Over::Asked,
                    () = desk.output.unread() => Over::Asked,
                }
            }
            Err(unread) => unread.into(),
        };
        let ended = match over {
            Over::Asked => node.shut_down().await,
            Over::Itself => node.ended().await,
        };
        ended.map_err(|error| failed(id, &error))
    }
}

/// Whenever another leader is recognised.
async fn tell_leaders(mut leader: watch::Receiver<Option<Address>>, output: &Output) -> Over {
    let mut last = None;
    // It may have been recognised before anybody asked.
    leader.mark_changed();
    while leader.changed().await.is_ok() {
        let now = *leader.borrow_and_update();
        if now == last {
            continue;
        }
        last = now;
        if let Err(unread) = output.say(None, Said::Leader { leader: now }).await {
            return unread.into();
        }
    }
    Over::Itself
}

async fn tell_group(
    node: &mut Node<Gms3<Multicast>>,
    view: &RefCell<Option<View>>,
    output: &Output,
) -> Over {
    while let Some(observation) = node.observation().await {
        let said = match observation {
            Observation::Joined => Said::Joined,
            Observation::Installed(installed) => {
                view.replace(Some(installed.clone()));
                Said::View(installed)
            }
            Observation::Delivered { number, message } => {
                let Multicast { from, index, text } = message;
                Said::Delivered { number, from, index, text }
            }
            Observation::Error(error) => Said::Error { error: error.into() },
        };
        if let Err(unread) = output.say(None, said).await {
            return unread.into();
        }
    }
    Over::Itself
}

/// What can be asked for of a protocol.
trait Application {
    type Own: Own;
    fn leader(&self) -> Option<Address>;
    fn members(&self) -> Said;
    /// None if the node has ended.
    async fn obey(&mut self, command: Self::Own) -> Option<Said>;
}

impl Desk<'_> {
    fn listening(&self, me: Address, address: std::net::SocketAddr) -> Said {
        Said::Listening { me, address, protocol: self.protocol.name().into_owned() }
    }

    /// One command after the other.
    async fn obey(&self, mut application: impl Application) -> Over {
        let mut lines = input::lines();
        while let Some(typed) = lines.recv().await {
            let number = typed.number;
            match self.answer(typed, &mut application).await {
                Ok(None) => {}
                Ok(Some(said)) => {
                    if let Err(unread) = self.output.say(Some(number), said).await {
                        return unread.into();
                    }
                }
                Err(over) => return over,
            }
        }
        if self.until_eof { Over::Asked } else { future::pending().await }
    }

    async fn answer<A: Application>(
        &self,
        typed: Typed,
        application: &mut A,
    ) -> Result<Option<Said>, Over> {
        let asked = match typed.text.and_then(|text| Asked::<A::Own>::parse(&text)) {
            Ok(Some(asked)) => asked,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(Said::Error { error })),
        };
        Ok(Some(match asked {
            Asked::Leader => Said::Leader { leader: application.leader() },
            Asked::Members => application.members(),
            Asked::Tasks => {
                let count = Handle::current().metrics().num_alive_tasks();
                Said::Tasks { count }
            }
            Asked::Help => Said::Help { commands: Asked::<A::Own>::help() },
            Asked::Quit => return Err(Over::Asked),
            Asked::Own(command) => match application.obey(command).await {
                Some(said) => said,
                // Whoever tells what happens finds out that it has ended, after all that it has to tell.
                None => future::pending().await,
            },
        }))
    }
}

/// The dictionary, of which every node has a copy.
struct Copies<'a, E: Election> {
    desk: &'a Desk<'a>,
    client: Client<E, Texts>,
    leader: watch::Receiver<Option<Address>>,
}

impl<E: Election> Application for Copies<'_, E> {
    type Own = Dictionary;

    fn leader(&self) -> Option<Address> {
        *self.leader.borrow()
    }

    fn members(&self) -> Said {
        let Members { candidates, workers } = self.desk.members.clone();
        Said::Members { candidates, workers, leader: self.leader() }
    }

    async fn obey(&mut self, Dictionary(request): Dictionary) -> Option<Said> {
        let patience = self.desk.patience;
        let key = match &request {
            Request::Lookup(key) => key.clone(),
            Request::Store(..) | Request::Delete(_) | Request::Dump => String::new(),
        };
        let reply = if let Request::Store(..) | Request::Delete(_) = request {
            self.client.leader_call(request, Some(patience)).await
        } else {
            self.client.call(request, Some(patience)).await
        };
        Some(match reply {
            Ok(Reply::Ok) => Said::Done,
            Ok(Reply::Found(value)) => Said::Found { key, value },
            Ok(Reply::Dumped(entries)) => Said::Dumped { entries: entries.into_iter().collect() },
            Err(CallError::Ended) => return None,
            Err(error) => Said::Error { error: error.to_string() },
        })
    }
}

/// A group, and what this member multicasts.
struct Group<'a> {
    me: Address,
    commands: Commands<Gms3<Multicast>>,
    view: &'a RefCell<Option<View>>,
    sent: u64,
}

impl Application for Group<'_> {
    type Own = Mcast;

    fn leader(&self) -> Option<Address> {
        self.view.borrow().as_ref().map(|view| view.leader)
    }

    fn members(&self) -> Said {
        match &*self.view.borrow() {
            Some(view) => Said::View(view.clone()),
            None => Said::Error { error: "this node is not a member yet".into() },
        }
    }

    async fn obey(&mut self, Mcast(text): Mcast) -> Option<Said> {
        let message = Multicast { from: self.me, index: self.sent, text };
        self.sent += 1;
        self.commands.send(Command::Mcast(message)).await.is_ok().then_some(Said::Done)
    }
}

/// What asks a program to end.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::Ended(format!("no signals: {error}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn wait(mut self) {
        select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn not_up(node: NodeId, error: &SpawnError) -> Failure {
    Failure::Ended(format!("{node} does not come up: {error}"))
}

fn failed(node: NodeId, error: &RunError) -> Failure {
    Failure::Ended(format!("{node} has failed: {error}"))
}
