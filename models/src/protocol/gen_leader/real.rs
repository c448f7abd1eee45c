//! `gen_leader` for real nodes: a dictionary of texts, replicated at every node.

use super::{Checked, Texts, Writes};
use crate::{
    model::environment::Environment,
    real::{
        application::{self, Application, CommandKind, Replicates, Running},
        line::Notice,
    },
};
use interrex::{
    gen_leader::{
        Bully, Capture, Command, GenLeader, Repair, Repairs, Roster, Timer,
        dictionary::{Reply, Request},
    },
    machine::Address,
    runtime::{self, CallError, Config, Ending, Leader, RunError, Server, SpawnError},
};
use std::{net::SocketAddr, time::Duration};
use tokio::sync::watch;

/// The dictionary on the election of 2003.
#[must_use]
pub fn of_2003(roster: &Roster) -> GenLeader<Capture, Texts> {
    Capture::under(Texts::default(), roster.clone(), ())
}

/// The dictionary on the election of 2007.
#[must_use]
pub fn of_2007(roster: &Roster) -> GenLeader<Bully, Texts> {
    with(Repairs::none(), roster)
}

/// The dictionary on the election of 2007, repaired.
#[must_use]
pub fn repaired(roster: &Roster) -> GenLeader<Bully, Texts> {
    with(Repairs::all(), roster)
}

/// The dictionary on the election of 2007, repaired except for one repair.
#[must_use]
pub fn without(repair: Repair, roster: &Roster) -> GenLeader<Bully, Texts> {
    with(Repairs::all().without(repair), roster)
}

/// The time limit for the answer to a write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

fn with(repairs: Repairs, roster: &Roster) -> GenLeader<Bully, Texts> {
    Bully::under(Texts::default(), roster.clone(), repairs)
}

impl<E: Checked> Application for GenLeader<E, Texts> {
    type Model = GenLeader<E, Writes>;

    fn model(&self, environment: &Environment) -> GenLeader<E, Writes> {
        E::under(Writes::default(), super::roster(environment), self.variant().clone())
    }

    fn has_roster(&self) -> bool {
        true
    }

    fn command_kind(&self, command: &Self::Command) -> CommandKind {
        match command {
            Command::LeaderCall { tag, .. } => CommandKind::Scripted(Some(*tag)),
            // The dictionary ignores these or answers them locally.
            Command::Call { .. } | Command::Cast(_) | Command::Info(_) => CommandKind::Local,
            Command::LeaderCast(_) | Command::CodeChange(_) => CommandKind::Unknown,
        }
    }

    fn is_client_timer(&self, timer: &Timer) -> bool {
        match timer {
            Timer::Tau => false,
            Timer::Call(_) => true,
        }
    }

    type Request = Request<String, String>;
    type Running = Member<E>;
    type Client = Client<E>;

    async fn spawn(
        self,
        config: Config,
        call_timeout: Duration,
    ) -> Result<(Member<E>, Client<E>), SpawnError> {
        let roster = self.roster().clone();
        let server = Server::spawn(self, config).await?;
        let (dictionary, mut leader) = (server.client(), server.leader());
        let client = Client { dictionary, leader: leader.clone(), roster, call_timeout };
        // A leader may have been recognised already.
        leader.mark_changed();
        Ok((Member { server, leader, last: None }, client))
    }

    fn write(&self, key: &str, value: &str) -> Option<(String, Replicates)> {
        Some((format!("put {key} {value}"), Replicates::Dictionary))
    }

    fn write_of(&self, _: Address, issued: u64, key: &str, value: &str) -> Option<Self::Command> {
        let request = Request::Store(key.into(), value.into());
        Some(Command::LeaderCall { tag: issued, request, timeout: Some(WRITE_TIMEOUT) })
    }
}

/// Writes go to the leader, reads to the local copy.
impl application::Request for Request<String, String> {
    const USAGE: &'static [(&'static str, &'static str)] = &[
        ("put KEY VALUE", "store a value at all nodes; a key has no spaces, a value may have"),
        ("get KEY", "look up a value in the copy of this node"),
        ("delete KEY", "delete a value at all nodes"),
        ("dump", "list all entries in the copy of this node"),
    ];

    fn parse(name: &str, rest: &str) -> Option<Self> {
        let word = || Some(rest.trim()).filter(|word| !word.is_empty() && !word.contains(' '));
        Some(match name {
            "put" => {
                let (key, value) = rest.trim_start().split_once(' ')?;
                Self::Store(key.into(), value.into())
            }
            "get" => Self::Lookup(word()?.into()),
            "delete" => Self::Delete(word()?.into()),
            "dump" if rest.trim().is_empty() => Self::Dump,
            _ => return None,
        })
    }
}

/// A running node. It reports each leader that it recognises, and that it recognises none.
pub struct Member<E: Checked> {
    server: Server<GenLeader<E, Texts>>,
    leader: watch::Receiver<Option<Leader<E::Term>>>,
    last: Option<Address>,
}

impl<E: Checked> Running for Member<E> {
    fn me(&self) -> Address {
        self.server.me()
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The next recognition of another leader.
    async fn notice(&mut self) -> Option<Notice> {
        loop {
            self.leader.changed().await.ok()?;
            let leader = address(self.leader.borrow_and_update().as_ref());
            if leader != self.last {
                self.last = leader;
                return Some(Notice::Leader { leader });
            }
        }
    }

    async fn shut_down(self) -> Result<Ending, RunError> {
        self.server.shut_down().await
    }

    async fn ended(self) -> Result<Ending, RunError> {
        self.server.ended().await
    }
}

fn address<T>(leader: Option<&Leader<T>>) -> Option<Address> {
    leader.map(|leader| leader.address)
}

/// Reads and writes the dictionary through a node.
pub struct Client<E: Checked> {
    dictionary: runtime::Client<GenLeader<E, Texts>>,
    leader: watch::Receiver<Option<Leader<E::Term>>>,
    roster: Roster,
    call_timeout: Duration,
}

impl<E: Checked> application::Client for Client<E> {
    type Request = Request<String, String>;

    fn leader(&self) -> Option<Address> {
        address(self.leader.borrow().as_ref())
    }

    fn members(&self) -> Notice {
        let (candidates, workers) = (self.roster.candidates(), self.roster.workers());
        Notice::Members {
            candidates: candidates.collect(),
            workers: workers.collect(),
            leader: self.leader(),
        }
    }

    fn ask(
        &mut self,
        request: Request<String, String>,
    ) -> impl Future<Output = Option<Notice>> + Send + use<E> + 'static {
        let (dictionary, call_timeout) = (self.dictionary.clone(), Some(self.call_timeout));
        async move {
            let key = looked_up(&request);
            let reply = if let Request::Store(..) | Request::Delete(_) = request {
                dictionary.leader_call(request, call_timeout).await
            } else {
                dictionary.call(request, call_timeout).await
            };
            answer(key, reply)
        }
    }
}

/// The key that a request looks up; otherwise empty.
pub(in crate::protocol) fn looked_up(request: &Request<String, String>) -> String {
    match request {
        Request::Lookup(key) => key.clone(),
        Request::Store(..) | Request::Delete(_) | Request::Dump => String::new(),
    }
}

/// The answer to a request about a key. None if the node has ended.
pub(in crate::protocol) fn answer(
    key: String,
    reply: Result<Reply<String, String>, CallError>,
) -> Option<Notice> {
    Some(match reply {
        Ok(Reply::Ok) => Notice::Done,
        Ok(Reply::Found(value)) => Notice::Found { key, value },
        Ok(Reply::Dumped(entries)) => Notice::Dumped { entries: entries.into_iter().collect() },
        Err(CallError::Ended) => return None,
        Err(error) => Notice::Error { error: error.to_string() },
    })
}
