//! The behaviour: what an application implements, with pure callbacks.

use super::election::{Census, Election, Newcomer};
use crate::machine::{Address, NodeId, Value};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Why a process ends.
pub type Reason = Cow<'static, str>;

/// An application over an election: a server that is one of many and knows who leads.
///
/// Callbacks change the state they are given and consult nothing else but their arguments; they must not
/// panic. What they are called for, and when, is the seeds' (`gen_leader`, 2003 and 2007).
///
/// Every callback but `init` and `code_change` gets a [`Context`], through which it asks about the election
/// and may [`reply`](Context::reply) to a caller that it kept.
pub trait Behaviour<E: Election>: Sized + Send + Sync + 'static {
    /// What the application keeps.
    type State: Value + Default;
    /// What its clients say, in calls, casts and messages.
    type Request: Value;
    /// What it answers.
    type Reply: Value;
    /// What a leader tells the others.
    type Broadcast: Value;
    /// What a leader hands to those who surrender, to bring them up to date.
    type Synch: Value;

    /// The process comes up; with the default state unless implemented.
    fn init(&self, _me: Address) -> Init<Self::State> {
        Init::Ok(Self::State::default())
    }

    /// On the leader: when it is elected, and each time another process surrenders to it later. What it
    /// returns goes to those who surrender.
    fn elected(&self, state: &mut Self::State, context: &mut Context<'_, E, Self>) -> Self::Synch;

    /// On the others: whenever a leader is recognised.
    fn surrendered(
        &self,
        state: &mut Self::State,
        synch: Self::Synch,
        context: &mut Context<'_, E, Self>,
    );

    /// On the leader: a client anywhere asks for something.
    fn handle_leader_call(
        &self,
        state: &mut Self::State,
        request: Self::Request,
        from: Caller,
        context: &mut Context<'_, E, Self>,
    ) -> Answer<Self::Reply, Self::Broadcast>;

    /// On the others: the leader has broadcast something.
    #[expect(clippy::wrong_self_convention, reason = "the seeds' name")]
    fn from_leader(
        &self,
        state: &mut Self::State,
        broadcast: Self::Broadcast,
        context: &mut Context<'_, E, Self>,
    ) -> Next<Self::Broadcast>;

    /// On the leader: a client anywhere says something. Ignored unless implemented.
    fn handle_leader_cast(
        &self,
        _: &mut Self::State,
        _: Self::Request,
        _: &mut Context<'_, E, Self>,
    ) -> Next<Self::Broadcast> {
        Next::Continue
    }

    /// Anywhere: a local client asks for something. Never answered unless implemented.
    fn handle_call(
        &self,
        _: &mut Self::State,
        _: Self::Request,
        _: Caller,
        _: &mut Context<'_, E, Self>,
    ) -> Answer<Self::Reply, Self::Broadcast> {
        Answer::NoReply
    }

    /// Anywhere: a local client says something. Ignored unless implemented.
    fn handle_cast(
        &self,
        _: &mut Self::State,
        _: Self::Request,
        _: &mut Context<'_, E, Self>,
    ) -> Next<Self::Broadcast> {
        Next::Continue
    }

    /// Anywhere: any other message. Ignored unless implemented.
    fn handle_info(
        &self,
        _: &mut Self::State,
        _: Info<Self::Request, Self::Reply>,
        _: &mut Context<'_, E, Self>,
    ) -> Next<Self::Broadcast> {
        Next::Continue
    }

    /// On the leader, in version 1.0 only: a node that it had known as alive is down. Ignored unless
    /// implemented.
    fn handle_down(
        &self,
        _: &mut Self::State,
        _: NodeId,
        _: &mut Context<'_, E, Self>,
    ) -> Next<Self::Broadcast> {
        Next::Continue
    }

    /// Before the process ends because a callback asked for it. It may still reply to callers.
    fn terminate(&self, _: &mut Self::State, _: &Reason, _: &mut Context<'_, E, Self>) {}

    /// The code is replaced: the state may change, and newcomers be added to the election in service. All
    /// nodes need the same lists, so it must happen at each of them; and a node that restarts has those of its
    /// configuration.
    fn code_change(&self, _: &mut Self::State, _: Self::Request) -> Vec<Newcomer> {
        vec![]
    }
}

/// How a process comes up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Init<State> {
    /// It takes part, with this state.
    Ok(State),
    /// It ends, for this reason.
    Stop(Reason),
    /// It ends without a reason of its own ("ignore").
    Ignore,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<Reply, Broadcast> {
    /// This is the reply.
    Reply(Reply),
    /// This is the reply, and this goes to the others before it.
    ReplyAndBroadcast(Reply, Broadcast),
    /// No reply now; perhaps later, by [`Context::reply`].
    NoReply,
    /// The process ends.
    Stop(Reason),
    /// The process ends, and this is the reply to a `call`. A client of a `leader_call` does not take it
    /// for its answer.
    StopAndReply(Reason, Reply),
}

/// What becomes of anything that needs no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<Broadcast> {
    /// Nothing more.
    Continue,
    /// This goes to the others.
    Broadcast(Broadcast),
    /// The process ends.
    Stop(Reason),
}

/// Any other message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Info<Request, Reply> {
    /// From a local client.
    Request(Request),
    /// Version 1.0: a worker that started after the election says that it is there.
    Worker(Address),
    /// A `leader_cast`, where the variant does not hand it to `handle_leader_cast`.
    LeaderCast(Request),
    /// A reply to a `leader_call` that was not wrapped as one.
    Reply(Reply),
}

/// Who waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Caller {
    /// The process that the call came from.
    pub process: Address,
    /// What the call is called there.
    pub tag: u64,
    /// Whether the client waits for the answer of the leader, or of its own process.
    pub of: Call,
}

/// The two kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// To the local process.
    Local,
    /// To the leader.
    Leader,
}

/// What a callback may ask about the election, and the replies that it gives.
pub struct Context<'a, E: Election, B: Behaviour<E>> {
    election: &'a E,
    pub(super) replies: Vec<(Caller, B::Reply, Wrapping)>,
}

/// Whether a reply to a `leader_call` says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// As the machine's variant has it.
    Usual,
    /// By the application, which knows the seed's `{leader, reply, Reply}`.
    Leader,
}

impl<'a, E: Election, B: Behaviour<E>> Context<'a, E, B> {
    pub(super) fn new(election: &'a E) -> Self {
        Self { election, replies: vec![] }
    }

    /// This process.
    #[must_use]
    pub fn me(&self) -> Address {
        self.election.me()
    }

    /// The leader, if one is recognised.
    #[must_use]
    pub fn leader(&self) -> Option<Address> {
        match self.election.standing() {
            super::Standing::Electing => None,
            super::Standing::Leading => Some(self.election.me()),
            super::Standing::Following(leader) => Some(leader),
        }
    }

    /// The candidates that are known, by priority.
    #[must_use]
    pub fn candidates(&self) -> Vec<NodeId> {
        self.election.roster().candidates.iter().copied().collect()
    }

    /// The workers that are known.
    #[must_use]
    pub fn workers(&self) -> Vec<NodeId> {
        self.election.roster().workers.iter().copied().collect()
    }

    /// Replies to a caller, before what the callback returns is done.
    ///
    /// In the seeds' own variant ([`LateReply::AsGiven`](super::LateReply)) such a reply does not reach the
    /// client of a `leader_call`.
    pub fn reply(&mut self, to: Caller, reply: B::Reply) {
        self.replies.push((to, reply, Wrapping::Usual));
    }

    /// The same, wrapped as the answer of a leader: the seed's `reply(From, {leader, reply, Reply})`. Whoever
    /// waits for its own process only gets it plain.
    pub fn leader_reply(&mut self, to: Caller, reply: B::Reply) {
        self.replies.push((to, reply, Wrapping::Leader));
    }
}

impl<E: Census, B: Behaviour<E>> Context<'_, E, B> {
    /// Nodes where an instance is running, as far as is known (1.0 only).
    #[must_use]
    pub fn alive(&self) -> Vec<NodeId> {
        self.election.alive()
    }

    /// Nodes that are down, as far as is known (1.0 only).
    #[must_use]
    pub fn down(&self) -> Vec<NodeId> {
        self.election.down()
    }
}
