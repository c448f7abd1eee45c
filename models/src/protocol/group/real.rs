//! group for real nodes: a dictionary of texts, with a copy at every member.

use super::{Checked, Journal, Memory, followers};
use crate::{
    claim::notion::Token,
    model::environment::Environment,
    protocol::gen_leader::{
        Texts,
        real::{answer, looked_up},
    },
    real::{
        application::{self, Application, Client, CommandKind, Replicates, Running},
        line::{Notice, View},
    },
};
use im::{OrdMap, Vector};
use interrex::{
    gen_leader::{Roster, dictionary::Request},
    group::{
        self, Command, GIVES_WAY, Group, LEFT, Observation, Policy, STOPPED_ON_COMMAND, Safeguard,
        Timer, majority,
    },
    machine::{Address, NodeId},
    runtime::{self, Config, Ending, Membership, RunError, Server, SpawnError},
};
use std::{net::SocketAddr, time::Duration};
use tokio::{sync::watch, time::timeout};

/// group with the dictionary.
#[must_use]
pub fn machine(roster: &Roster) -> Group<Texts> {
    Group::new(Texts::default()).among(roster.candidates())
}

/// The same with [`Policy::Any`].
#[must_use]
pub fn of_survivors(roster: &Roster) -> Group<Texts> {
    machine(roster).with_policy(Policy::Any)
}

/// The same without one of its safeguards.
#[must_use]
pub fn without(safeguard: Safeguard, roster: &Roster) -> Group<Texts> {
    machine(roster).without(safeguard)
}

/// The same with another memory.
#[must_use]
pub fn with(memory: Memory, roster: &Roster) -> Group<Texts> {
    memory.of(machine(roster))
}

/// The time limit for the answer to a write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// No scenario uses texts. The sequence number counts within one life, and the token does not contain the life.
impl Checked for Texts {
    fn token(origin: Address, sequence: u64, _: &Request<String, String>) -> Token {
        Token { sender: origin.node, index: u32::try_from(sequence).unwrap_or(u32::MAX) }
    }

    fn copy(dict: &OrdMap<String, String>) -> Option<String> {
        serde_json::to_string(dict).ok()
    }
}

impl Application for Group<Texts> {
    type Model = Group<Journal>;

    fn model(&self, environment: &Environment) -> Group<Journal> {
        let nodes = (0..environment.size()).map(NodeId);
        let group = Group::new(Journal)
            .among(nodes)
            .keeping(self.kept())
            .in_batches_of(self.batch())
            .with_policy(self.policy());
        match self.left_out() {
            Some(safeguard) => group.without(safeguard),
            None => group,
        }
    }

    fn has_roster(&self) -> bool {
        true
    }

    fn command_kind(&self, command: &Self::Command) -> CommandKind {
        match command {
            Command::Mcast(_) => CommandKind::Scripted(None),
            Command::Call { tag, .. } => CommandKind::Scripted(Some(*tag)),
            Command::Query { .. } => CommandKind::Local,
            Command::Leave | Command::HandOver | Command::FoundAnew => CommandKind::Unknown,
            Command::Stop => CommandKind::End,
        }
    }

    fn stamp(&self, observation: &Self::Observation) -> Option<(Address, u64)> {
        match observation {
            Observation::Delivered { origin, sequence, .. } => Some((*origin, *sequence)),
            Observation::Started(_)
            | Observation::Restored { .. }
            | Observation::Elected(_)
            | Observation::Deposed
            | Observation::OtherGroup { .. }
            | Observation::FoundedAnew { .. }
            | Observation::Installed(_)
            | Observation::Replied { .. }
            | Observation::Failed { .. } => None,
        }
    }

    fn is_client_timer(&self, timer: &Timer) -> bool {
        match timer {
            Timer::Tick => false,
            Timer::Call(_) => true,
        }
    }

    fn is_requested_stop(&self, reason: &str) -> bool {
        reason == STOPPED_ON_COMMAND || reason == LEFT
    }

    /// It also gives way to another group, which somebody has founded anew, or by mistake.
    fn is_faultless_stop(&self, reason: &str) -> bool {
        self.is_requested_stop(reason) || reason.starts_with(GIVES_WAY)
    }

    type Request = Ask;
    type Running = Member;
    type Client = Dictionary;

    async fn spawn(
        self,
        config: Config,
        call_timeout: Duration,
    ) -> Result<(Member, Dictionary), SpawnError> {
        let policy = self.policy();
        let server = Server::spawn(self, config).await?;
        let mut membership = server.membership();
        let dictionary = Dictionary {
            me: server.me().node,
            client: server.client(),
            membership: membership.clone(),
            call_timeout,
            policy,
        };
        // It may know of a view already.
        membership.mark_changed();
        let last = Membership::default();
        Ok((Member { server, membership, last, next: None }, dictionary))
    }

    fn write(&self, key: &str, value: &str) -> Option<(String, Replicates)> {
        Some((format!("put {key} {value}"), Replicates::Dictionary))
    }

    fn write_of(&self, _: Address, issued: u64, key: &str, value: &str) -> Option<Self::Command> {
        let request = Request::Store(key.into(), value.into());
        Some(Command::Call { tag: issued, request, timeout: Some(WRITE_TIMEOUT) })
    }
}

/// A running node. It reports each view that it installs, and that it knows no leader.
pub struct Member {
    server: Server<Group<Texts>>,
    membership: watch::Receiver<Membership>,
    last: Membership,
    /// The view that has made it a member, which comes after that notice.
    next: Option<Notice>,
}

impl Member {
    /// The change since the last report.
    fn change(&mut self) -> Option<Notice> {
        let now = self.membership.borrow_and_update().clone();
        let before = std::mem::replace(&mut self.last, now.clone());
        if let Some(view) = now.view.filter(|view| Some(view) != before.view.as_ref()) {
            let me = self.server.me().node;
            let names = |view: &group::View| view.members.iter().any(|member| member.node == me);
            let joins = names(&view) && !before.view.is_some_and(|view| names(&view));
            let said = notice(&view);
            if joins {
                self.next = Some(said);
                return Some(Notice::Joined);
            }
            return Some(said);
        }
        let comes_up = before.newest.is_empty()
            && now.newest.iter().any(|member| member.node == self.server.me().node);
        let is_news = now.leader.is_none() && (before.leader.is_some() || comes_up);
        is_news.then_some(Notice::Leader { leader: None })
    }
}

impl Running for Member {
    fn me(&self) -> Address {
        self.server.me()
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    async fn notice(&mut self) -> Option<Notice> {
        loop {
            if let Some(said) = self.next.take() {
                return Some(said);
            }
            self.membership.changed().await.ok()?;
            if let Some(said) = self.change() {
                return Some(said);
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

fn notice(view: &group::View) -> Notice {
    Notice::View(View {
        number: Some(view.number),
        leader: view.leader(),
        followers: followers(view).collect(),
    })
}

/// Reads and writes the dictionary through a member.
#[derive(Clone)]
pub struct Dictionary {
    me: NodeId,
    client: runtime::Client<Group<Texts>>,
    membership: watch::Receiver<Membership>,
    call_timeout: Duration,
    policy: Policy,
}

/// A request to a member.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask {
    /// About the dictionary.
    Dictionary(Request<String, String>),
    /// Leave the group.
    Leave,
    /// Hand leadership over.
    HandOver,
    /// Found the group anew.
    FoundAnew,
}

impl application::Request for Ask {
    const USAGE: &'static [(&'static str, &'static str)] = &[
        ("put KEY VALUE", "store a value at all members; a key has no spaces, a value may have"),
        ("get KEY", "look up a value in the copy of this node, which may be old"),
        ("delete KEY", "delete a value at all members"),
        ("dump", "list all entries in the copy of this node"),
        ("hand over", "have another member lead, if this one does; `ok` once it leads"),
        ("leave", "leave the group; the end of the node is the answer"),
        (
            "found anew",
            "go on alone, when most members are gone for good: what only they held is lost",
        ),
    ];

    fn parse(name: &str, rest: &str) -> Option<Self> {
        match (name, rest.trim()) {
            ("hand", "over") => Some(Self::HandOver),
            ("found", "anew") => Some(Self::FoundAnew),
            ("leave", "") => Some(Self::Leave),
            _ => <Request<String, String>>::parse(name, rest).map(Self::Dictionary),
        }
    }
}

impl Client for Dictionary {
    type Request = Ask;

    fn leader(&self) -> Option<Address> {
        self.membership.borrow().leader.map(|leader| leader.address)
    }

    fn members(&self) -> Notice {
        let now = self.membership.borrow();
        match (&now.view, now.leader) {
            (Some(view), Some(_)) => notice(view),
            _ => Notice::Error { error: leaderless(&now.newest, self.policy) },
        }
    }

    fn ask(&mut self, ask: Ask) -> impl Future<Output = Option<Notice>> + Send + use<> + 'static {
        let asked = self.clone();
        async move {
            match ask {
                Ask::Dictionary(request) => asked.call(request).await,
                Ask::Leave => asked.leave().await,
                Ask::HandOver => asked.hand_over().await,
                Ask::FoundAnew => asked.found_anew().await,
            }
        }
    }
}

impl Dictionary {
    async fn call(self, request: Request<String, String>) -> Option<Notice> {
        let key = looked_up(&request);
        let reply = match request {
            Request::Store(..) | Request::Delete(_) => {
                self.client.call(request, Some(self.call_timeout)).await
            }
            Request::Lookup(_) | Request::Dump => self.client.query(request).await,
        };
        answer(key, reply)
    }

    /// True if this node is the only member, as far as it knows.
    fn is_alone(&self) -> bool {
        self.membership.borrow().view.as_ref().is_some_and(|view| view.members.len() == 1)
    }

    /// The end of the node is the answer.
    async fn leave(mut self) -> Option<Notice> {
        if self.is_alone() {
            let error = "this node is the only member: without it, and what it has stored, there is no group; `quit` ends it";
            return Some(Notice::Error { error: error.into() });
        }
        self.client.leave().await.ok()?;
        let ended = self.membership.wait_for(|_| false);
        match timeout(self.call_timeout, ended).await {
            Ok(_) => None,
            Err(_) => Some(not_yet("is still a member", self.call_timeout)),
        }
    }

    /// It is done when this node leads.
    async fn found_anew(mut self) -> Option<Notice> {
        if let Some(leader) = self.leader() {
            let error = format!("{leader} leads: the group needs no second founding");
            return Some(Notice::Error { error });
        }
        self.client.found_anew().await.ok()?;
        let (me, membership) = (self.me, &mut self.membership);
        let leads = |now: &Membership| now.leader.is_some_and(|it| it.address.node == me);
        match timeout(self.call_timeout, membership.wait_for(leads)).await {
            Ok(changed) => changed.is_ok().then_some(Notice::Done),
            Err(_) => Some(Notice::Error {
                error: "this node has been in no group yet, or is being given its state".into(),
            }),
        }
    }

    /// It is done when another member leads.
    async fn hand_over(mut self) -> Option<Notice> {
        if self.leader().map(|leader| leader.node) != Some(self.me) {
            return Some(Notice::Error { error: "this node does not lead".into() });
        }
        if self.is_alone() {
            let error = "this node is the only member: nobody can take over";
            return Some(Notice::Error { error: error.into() });
        }
        self.client.hand_over().await.ok()?;
        let (me, membership) = (self.me, &mut self.membership);
        let another = |now: &Membership| now.leader.is_some_and(|it| it.address.node != me);
        match timeout(self.call_timeout, membership.wait_for(another)).await {
            Ok(changed) => changed.is_ok().then_some(Notice::Done),
            Err(_) => Some(not_yet("has no successor that leads", self.call_timeout)),
        }
    }
}

/// The answer of a node that knows no leader.
fn leaderless(newest: &Vector<Address>, policy: Policy) -> String {
    if newest.is_empty() {
        return "this node is no member yet".into();
    }
    let members: Vec<_> = newest.iter().map(|member| member.node.to_string()).collect();
    let needed = match policy {
        Policy::Majority => majority(members.len()).to_string(),
        Policy::Any => "those that are up".into(),
    };
    format!("this node knows no leader; {needed} of {} must find each other", members.join(", "))
}

/// The answer to a departure that the others have not agreed to in time.
fn not_yet(what: &str, within: Duration) -> Notice {
    let error =
        format!("this node {what} after {within:?}: it has asked, and the others may yet agree");
    Notice::Error { error }
}
