//! The messages, requests and observations of a process.

use super::{Part, Position, Term};
use crate::machine::{Address, Value};
use im::Vector;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A message, and the group of the process that sends it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "R: Value, A: Value")]
pub struct Envelope<R, A> {
    /// The group. None from a process that has been in none.
    pub group: Option<Founding>,
    /// The message.
    pub message: Message<R, A>,
}

/// The messages between processes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound = "R: Value, A: Value")]
pub enum Message<R, A> {
    /// From a candidate: promise this term.
    Prepare {
        /// The term that it owns.
        term: Term,
        /// The last entry that it knows to be committed.
        committed: Position,
        /// The entry after which it asks for the receiver's log: the last one that it has of that log, as far as it knows.
        held: Position,
    },
    /// The term is promised.
    Promise {
        /// The promised term.
        term: Term,
        /// The member that promises.
        member: Address,
        /// The end of its log.
        last: Position,
        /// The next batch of its entries: after the one that the candidate asks for, if it holds that; otherwise after
        /// those that the candidate knows to be committed.
        part: Part<R, A>,
    },
    /// A higher term is promised already, or there is no leader that is known here.
    Refuse {
        /// The highest term that is promised here.
        term: Term,
    },
    /// From the leader: the next entries.
    Append {
        /// The leader's term.
        term: Term,
        /// The entries.
        part: Part<R, A>,
        /// The last committed entry.
        committed: u64,
        /// The last entry that all members hold and the leader has forgotten.
        forgotten: u64,
    },
    /// All of the leader's entries up to this number are held.
    Ack {
        /// The leader's term.
        term: Term,
        /// The member that holds them.
        member: Address,
        /// The number of the last one.
        number: u64,
    },
    /// Something is missing, or somebody wants to be a member.
    Ask {
        /// Who asks.
        member: Address,
        /// The last entry that it knows to be committed. A leader that has another one there is none any more.
        committed: Position,
    },
    /// There is a leader, or the leader does not know what the receiver holds: ask again.
    Now,
    /// To a process that gives a summary: the next piece of it.
    More {
        /// The last entry in the summary.
        number: u64,
        /// The number of pieces that have arrived.
        pieces: u64,
    },
    /// A piece of a summary.
    Piece {
        /// The last entry in the summary.
        number: u64,
        /// The number of pieces with this one.
        pieces: u64,
        /// The piece of the application's state.
        piece: A,
        /// No piece comes after it.
        is_last: bool,
    },
    /// The summary of which a piece is asked for is there no more: ask anew.
    Gone {
        /// The last entry in the summary.
        number: u64,
    },
    /// From any process to the leader: multicast this.
    Forward(Multicast<R>),
    /// From a member to the leader: remove it.
    Leave {
        /// The member.
        member: Address,
    },
    /// From the leader to another member: take over.
    TakeOver {
        /// The leader's term.
        term: Term,
    },
}

/// The name of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Founding {
    /// The member that has founded it.
    pub by: Address,
    /// The term in which it was founded anew for the last time. None if it never was.
    pub anew: Option<Term>,
}

/// A multicast, and what tells it from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Multicast<R> {
    /// The process that sends it.
    pub origin: Address,
    /// The number of multicasts that this process has sent before.
    pub sequence: u64,
    /// The message, which the application carries out.
    pub message: R,
}

/// The group, as a majority of it has agreed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct View {
    /// Its place in the order of views and messages.
    pub number: u64,
    /// The leadership in which it was made.
    pub term: Term,
    /// The members, by seniority.
    pub members: Vector<Address>,
}

impl View {
    /// The leader that made it.
    #[must_use]
    pub fn leader(&self) -> Address {
        self.term.owner
    }
}

/// The timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// Always armed.
    Tick,
    /// The time-out of the call with this tag.
    Call(u64),
}

/// The requests of the local application and its clients. A tag names a request at its process; clients choose it, and never
/// the same one twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command<R> {
    /// Multicast this to all members, who carry it out. It is repeated until it is committed.
    Mcast(R),
    /// The same for a client, who gets the reply when it is committed.
    Call {
        /// The name of the call.
        tag: u64,
        /// The request.
        request: R,
        /// The time that the client waits. Without one it waits for ever.
        timeout: Option<Duration>,
    },
    /// Ask the local copy, which may be old at a member that is cut off and does not know it yet. What the request would
    /// change is dropped.
    Query {
        /// The name of the query.
        tag: u64,
        /// The request.
        request: R,
    },
    /// Leave the group, and end when that is committed. A leader hands its leadership over first. The last member just ends.
    Leave,
    /// Hand leadership over to another member, of those that hold most to the most senior one. Without effect at a process that
    /// does not lead.
    HandOver,
    /// Found the group anew, from what this process holds, with itself as the only member. Only for a group that has lost its
    /// majority for good: what only the others hold is lost, though it was confirmed. A process of the former group ends when
    /// it hears of the new one. It keeps its storage, and can join only with an empty one.
    ///
    /// Without effect at a process that knows a leader, has been in no group, or is being given a state.
    FoundAnew,
    /// End the process. It stays a member until the others remove it.
    Stop,
}

/// The reports to the local application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation<R, A, P> {
    /// The process has started, as this member. Everything that is committed is delivered to it, or else restored: also what this
    /// member has delivered in a former life.
    Started(Address),
    /// The application's state is replaced by a copy, in which more has been carried out than was delivered here.
    Restored {
        /// The last entry that was.
        number: u64,
        /// The state.
        state: A,
    },
    /// The process is elected. The term is a fencing token: it increases over the life of the group.
    Elected(Term),
    /// The process no longer leads.
    Deposed,
    /// A process of another group has sent something, for the first time. Only one of the two groups should be there.
    OtherGroup {
        /// That process.
        from: Address,
        /// Its group.
        group: Founding,
    },
    /// The group was [founded anew](Command::FoundAnew) by this process. What others held beyond this is lost.
    FoundedAnew {
        /// The last entry that it holds.
        last: u64,
        /// The last one that was committed, as far as it knew. Those after it were not confirmed to any client here. Now they
        /// are committed.
        committed: u64,
    },
    /// A view is committed.
    Installed(View),
    /// A multicast is committed.
    Delivered {
        /// Its place in the order of views and messages.
        number: u64,
        /// The process that has sent it.
        origin: Address,
        /// The number of multicasts that this process had sent before.
        sequence: u64,
        /// The multicast.
        message: R,
    },
    /// A client's call or query has its reply.
    Replied {
        /// The tag of the request.
        tag: u64,
        /// The reply.
        reply: P,
    },
    /// A client's call has no reply.
    Failed {
        /// The tag of the call.
        tag: u64,
        /// The reason.
        error: CallFailure,
    },
}

/// The reason that a call has no reply.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallFailure {
    /// The client's time-out is over. The call may still take effect, once.
    TimedOut,
    /// Too many multicasts of this process are under way ([`MOST_PENDING`](super::MOST_PENDING)). The call has no effect.
    Busy,
    /// The call has taken effect, once. But this process has missed it, and its reply was not kept.
    ReplyLost,
    /// The local copy may lack what is committed: this process knows no leader, or is not brought up to date yet.
    NotUpToDate,
}
