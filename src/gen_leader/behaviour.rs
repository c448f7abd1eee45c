//! The behaviour: the callbacks that an application implements. They are pure.

use super::election::{Census, Election, Newcomer};
use crate::machine::{Address, NodeId, Value};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The reason that a process ends.
pub type Reason = Cow<'static, str>;

/// An application over an election: one of several servers, of which one leads.
///
/// Callbacks change the state they are given and use nothing but their arguments. They must not panic. They are
/// called when the seeds call them (`gen_leader`, 2003 and 2007).
///
/// Every callback but `init` and `code_change` gets a [`Context`]. Through it the callback asks about the election,
/// and may [`reply`](Context::reply) to a caller that it has kept.
pub trait Behaviour<E: Election>: Sized + Send + Sync + 'static {
    /// The state of the application.
    type State: Value + Default;
    /// A request of a client, in calls, casts and messages.
    type Request: Value;
    /// A reply to a call.
    type Reply: Value;
    /// A broadcast of the leader to the others.
    type Broadcast: Value;
    /// The data that brings a process up to date when it surrenders to a leader.
    type Synch: Value;

    /// The process starts. By default it takes part, with the default state.
    fn init(&self, _me: Address) -> Init<Self::State> {
        Init::Ok(Self::State::default())
    }

    /// At the leader: it is elected, or another process surrenders to it later. The result goes to those that
    /// surrender.
    fn elected(&self, state: &mut Self::State, context: &mut Context<'_, E, Self>) -> Self::Synch;

    /// At the others: they surrender to a leader.
    fn surrendered(
        &self,
        state: &mut Self::State,
        synch: Self::Synch,
        context: &mut Context<'_, E, Self>,
    );

    /// At the leader: a `leader_call` of a client at any node.
    fn handle_leader_call(
        &self,
        state: &mut Self::State,
        request: Self::Request,
        from: Caller,
        context: &mut Context<'_, E, Self>,
    ) -> Answer<Self::Reply, Self::Broadcast>;

    /// At the others: a broadcast of the leader.
    #[expect(clippy::wrong_self_convention, reason = "the seeds' name")]
    fn from_leader(
        &self,
        state: &mut Self::State,
        broadcast: Self::Broadcast,
        context: &mut Context<'_, E, Self>,
    ) -> Next<Self::Broadcast>;

    /// At the leader: a `leader_cast` of a client at any node. Ignored by default.
    fn handle_leader_cast(
        &self,
        _: &mut Self::State,
        _: Self::Request,
        _: &mut Context<'_, E, Self>,
    ) -> Next<Self::Broadcast> {
        Next::Continue
    }

    /// At any node: a `call` of a local client. Never answered by default.
    fn handle_call(
        &self,
        _: &mut Self::State,
        _: Self::Request,
        _: Caller,
        _: &mut Context<'_, E, Self>,
    ) -> Answer<Self::Reply, Self::Broadcast> {
        Answer::NoReply
    }

    /// At any node: a `cast` of a local client. Ignored by default.
    fn handle_cast(
        &self,
        _: &mut Self::State,
        _: Self::Request,
        _: &mut Context<'_, E, Self>,
    ) -> Next<Self::Broadcast> {
        Next::Continue
    }

    /// At any node: any other message. Ignored by default.
    fn handle_info(
        &self,
        _: &mut Self::State,
        _: Info<Self::Request, Self::Reply>,
        _: &mut Context<'_, E, Self>,
    ) -> Next<Self::Broadcast> {
        Next::Continue
    }

    /// At the leader, in version 1.0 only: a node that it had known as alive is down. Ignored by default.
    fn handle_down(
        &self,
        _: &mut Self::State,
        _: NodeId,
        _: &mut Context<'_, E, Self>,
    ) -> Next<Self::Broadcast> {
        Next::Continue
    }

    /// The process is about to end because a callback asked for it. It may still reply to callers.
    fn terminate(&self, _: &mut Self::State, _: &Reason, _: &mut Context<'_, E, Self>) {}

    /// The code is replaced: the state may change, and newcomers may be added to the election in service. All nodes
    /// need the same lists, so it must happen at each of them. A restarted node has the lists of its configuration.
    fn code_change(&self, _: &mut Self::State, _: Self::Request) -> Vec<Newcomer> {
        vec![]
    }
}

/// The result of `init`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Init<State> {
    /// The process takes part, with this state.
    Ok(State),
    /// The process ends, for this reason.
    Stop(Reason),
    /// The process ends without a reason of its own ("ignore").
    Ignore,
}

/// The result of a callback that answers a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<Reply, Broadcast> {
    /// The reply.
    Reply(Reply),
    /// The reply, and a broadcast that goes out before it.
    ReplyAndBroadcast(Reply, Broadcast),
    /// No reply now. It may come later, by [`Context::reply`].
    NoReply,
    /// The process ends.
    Stop(Reason),
    /// The process ends, after this reply to a `call`. The client of a `leader_call` does not take it for its answer.
    StopAndReply(Reason, Reply),
}

/// The result of a callback that answers no call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<Broadcast> {
    /// The process goes on.
    Continue,
    /// The process goes on, after this broadcast.
    Broadcast(Broadcast),
    /// The process ends.
    Stop(Reason),
}

/// A message that is neither a call, a cast nor a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Info<Request, Reply> {
    /// A request of a local client.
    Request(Request),
    /// Version 1.0: the announcement of a worker that started after the election.
    Worker(Address),
    /// A `leader_cast` that the variant does not hand to `handle_leader_cast`.
    LeaderCast(Request),
    /// A reply to a `leader_call` that was not wrapped as one.
    Reply(Reply),
}

/// A caller, which waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Caller {
    /// The process from which the call came.
    pub process: Address,
    /// The name of the call there.
    pub tag: u64,
    /// The kind of the call.
    pub of: Call,
}

/// The kind of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// To the local process.
    Local,
    /// To the leader.
    Leader,
}

/// The election as a callback sees it, and the replies of the callback.
pub struct Context<'a, E: Election, B: Behaviour<E>> {
    election: &'a E,
    pub(super) replies: Vec<(Caller, B::Reply, Wrapping)>,
}

/// The wrapping of a reply to a `leader_call`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// As the variant has it.
    Usual,
    /// Wrapped by the application: the seed's `{leader, reply, Reply}`.
    Leader,
}

impl<'a, E: Election, B: Behaviour<E>> Context<'a, E, B> {
    pub(super) fn new(election: &'a E) -> Self {
        Self { election, replies: vec![] }
    }

    /// The address of this process.
    #[must_use]
    pub fn me(&self) -> Address {
        self.election.me()
    }

    /// The leader, if there is one.
    #[must_use]
    pub fn leader(&self) -> Option<Address> {
        match self.election.phase() {
            super::Phase::Electing => None,
            super::Phase::Leading => Some(self.election.me()),
            super::Phase::Following(leader) => Some(leader),
        }
    }

    /// The candidates, by priority.
    #[must_use]
    pub fn candidates(&self) -> Vec<NodeId> {
        self.election.roster().candidates.iter().copied().collect()
    }

    /// The workers.
    #[must_use]
    pub fn workers(&self) -> Vec<NodeId> {
        self.election.roster().workers.iter().copied().collect()
    }

    /// Replies to a caller. The reply is sent before the result of the callback is carried out.
    ///
    /// In the seeds' own variant ([`LateReply::AsGiven`](super::LateReply)) such a reply does not reach the
    /// client of a `leader_call`.
    pub fn reply(&mut self, to: Caller, reply: B::Reply) {
        self.replies.push((to, reply, Wrapping::Usual));
    }

    /// The same, wrapped as the answer of a leader: the seed's `reply(From, {leader, reply, Reply})`. The client of a
    /// local call gets it unwrapped.
    pub fn leader_reply(&mut self, to: Caller, reply: B::Reply) {
        self.replies.push((to, reply, Wrapping::Leader));
    }
}

impl<E: Census, B: Behaviour<E>> Context<'_, E, B> {
    /// The nodes on which a process runs, as far as this process knows (1.0 only).
    #[must_use]
    pub fn alive(&self) -> Vec<NodeId> {
        self.election.alive()
    }

    /// The nodes that are down, as far as this process knows (1.0 only).
    #[must_use]
    pub fn down(&self) -> Vec<NodeId> {
        self.election.down()
    }
}
