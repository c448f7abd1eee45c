//! The machine that runs a behaviour over an election.

use super::{
    Bully, Capture, Repair, Repairs,
    behaviour::{Behaviour, Call, Caller, Init, Reason},
    election::{Election, Phase, Roster},
    turn::Turn,
};
use crate::machine::{self, Boot, Machine, Value};
use im::{OrdMap, Vector};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The period of the leader's check, in the 2007 version.
pub const TAU: Duration = Duration::from_millis(250);

/// A behaviour over an election, for the nodes of a roster.
#[derive(Clone, Debug)]
pub struct GenLeader<E: Election, B> {
    pub(super) behaviour: B,
    pub(super) roster: Roster,
    pub(super) variant: E::Variant,
    pub(super) leader_cast: LeaderCast,
    pub(super) late_reply: LateReply,
    /// [`Repair::CallsFail`]; version 1.0 has it of its own.
    pub(super) calls_fail: bool,
    /// [`Repair::AnsweredLeaves`].
    pub(super) answered_leave: bool,
    /// [`Repair::OwnLeader`].
    pub(super) own_leader_only: bool,
}

/// The handling of a `leader_cast`. The seeds describe one way, and their code has two others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderCast {
    /// It is forwarded to the leader, as the seeds describe it.
    Forwarded,
    /// `handle_leader_cast` is called if the local process leads, and `handle_info` elsewhere (the code of 1.0).
    AtLeaderOnly,
    /// `handle_leader_cast` is never called, but `handle_info` (1.0 calls that a "BUG"; the code of 2007).
    NeverCalled,
}

/// The handling of a reply to a `leader_call` that the application gives later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateReply {
    /// It reaches the client: the behaviour wraps it.
    Wrapped,
    /// It reaches the client only if the application wraps it itself (1.0).
    AsGiven,
}

impl<B: Behaviour<Capture>> GenLeader<Capture, B> {
    /// The historical version 1.0, of 2003. Its election is faulty.
    pub fn v2003(behaviour: B, roster: Roster) -> Self {
        Self { calls_fail: true, ..Self::over(behaviour, roster, ()) }
    }
}

impl<B: Behaviour<Bully>> GenLeader<Bully, B> {
    /// The version of 2007 with all repairs. This is the one to use.
    pub fn new(behaviour: B, roster: Roster) -> Self {
        Self::v2007(behaviour, roster).with_repairs(Repairs::all())
    }

    /// The historical version of 2007, without repairs.
    pub fn v2007(behaviour: B, roster: Roster) -> Self {
        Self::over(behaviour, roster, Repairs::none())
    }

    /// The same with exactly these repairs.
    #[must_use]
    pub fn with_repairs(self, repairs: Repairs) -> Self {
        Self {
            calls_fail: repairs.has(Repair::CallsFail),
            answered_leave: repairs.has(Repair::AnsweredLeaves),
            own_leader_only: repairs.has(Repair::OwnLeader),
            variant: repairs,
            ..self
        }
    }
}

impl<E: Election, B: Behaviour<E>> GenLeader<E, B> {
    fn over(behaviour: B, roster: Roster, variant: E::Variant) -> Self {
        Self {
            behaviour,
            roster,
            variant,
            leader_cast: LeaderCast::Forwarded,
            late_reply: LateReply::Wrapped,
            calls_fail: false,
            answered_leave: false,
            own_leader_only: false,
        }
    }

    /// The application.
    pub fn behaviour(&self) -> &B {
        &self.behaviour
    }

    /// The participants.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The variant of the election.
    pub fn variant(&self) -> &E::Variant {
        &self.variant
    }

    /// The same with another handling of leader casts.
    #[must_use]
    pub fn with_leader_cast(self, leader_cast: LeaderCast) -> Self {
        Self { leader_cast, ..self }
    }

    /// The same with another handling of late replies.
    #[must_use]
    pub fn with_late_reply(self, late_reply: LateReply) -> Self {
        Self { late_reply, ..self }
    }
}

/// A message between processes. `M`: messages of the election; `R`, `A`, `B`: requests, replies and broadcasts of
/// the application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message<M, R, A, B> {
    /// From any process: a message of the election, which handles it.
    Election(M),
    /// From a process whose client calls, to the leader. The leader answers under the same reference.
    LeaderCall {
        /// The name of the call at the sender.
        reference: u64,
        /// The request.
        request: R,
    },
    /// From the leader, back to the process that forwarded the call. That process hands it to the client.
    LeaderReply {
        /// The name of the call at the receiver.
        reference: u64,
        /// The answer, for the client.
        answer: Result<A, CallFailure>,
    },
    /// From the leader: a reply that is not wrapped as a leader's. The receiver hands it to `handle_info`.
    Reply(A),
    /// From a process whose client casts, to the leader. The leader calls `handle_leader_cast`.
    LeaderCast(R),
    /// A broadcast: from the leader to every node that it monitors. The receiver calls `from_leader`.
    FromLeader(B),
}

/// A request of a local client. A tag names a call at its node; clients choose it, and never the same one twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command<R> {
    /// `call/2,3`: a call to the local process.
    Call {
        /// The name of the call.
        tag: u64,
        /// The request.
        request: R,
        /// The time that the client waits. Without one it waits for ever.
        timeout: Option<Duration>,
    },
    /// `cast/2`: a request to the local process that needs no answer.
    Cast(R),
    /// `leader_call/2,3`: a call to the leader.
    LeaderCall {
        /// The name of the call.
        tag: u64,
        /// The request.
        request: R,
        /// The time that the client waits. Without one it waits for ever.
        timeout: Option<Duration>,
    },
    /// `leader_cast/2`: a request to the leader that needs no answer.
    LeaderCast(R),
    /// Any other message.
    Info(R),
    /// The code is replaced.
    CodeChange(R),
}

/// A timer of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// A leader's periodic check.
    Tau,
    /// The time-out of the local call with this tag.
    Call(u64),
}

/// An observation of the local application and its clients.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation<T, A> {
    /// `elected` was called.
    Elected {
        /// The term.
        term: T,
    },
    /// `surrendered` was called.
    Surrendered {
        /// The leader.
        leader: machine::Address,
        /// Its term.
        term: T,
    },
    /// `from_leader` was called.
    Followed {
        /// The sender of the broadcast.
        leader: machine::Address,
    },
    /// A client's call has its reply.
    Replied {
        /// The tag of the call.
        tag: u64,
        /// The reply.
        reply: A,
    },
    /// A client's call has failed.
    Failed {
        /// The tag of the call.
        tag: u64,
        /// The reason.
        error: CallFailure,
    },
    /// The application ends the process.
    Terminated(Reason),
}

/// The reason that a call has no reply.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallFailure {
    /// The leader died while the call was out. The call may have been carried out.
    LeaderDied,
    /// The client's time-out is over. The call may still be carried out.
    TimedOut,
}

/// The state of a process. `E`: that of the election; `S`: that of the application; `V`: events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "E: Value, S: Value, V: Value")]
pub struct State<E, S, V> {
    /// The state of the election.
    pub election: E,
    /// The state of the behaviour and its application.
    pub server: ServerState<S>,
    /// The events that wait for a leader, in order of arrival.
    pub mailbox: Vector<V>,
}

/// The state of a process above the election.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "S: Value")]
pub struct ServerState<S> {
    /// The application's state.
    pub application: S,
    /// The calls that were forwarded to a leader, the latest first.
    pub buffered: Vector<Buffered>,
    /// The number of calls forwarded so far, which is the reference of the next one.
    pub references: u64,
    /// The local clients, by the tags of their calls.
    pub clients: OrdMap<u64, Waiter>,
}

/// A call that was forwarded to a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Buffered {
    /// The name of the call at this process, under which the leader answers.
    pub reference: u64,
    /// The caller, who waits for the answer.
    pub caller: Caller,
}

/// A local client that waits for an answer, or has given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Waiter {
    /// The kind of its call.
    pub of: Call,
    /// The time that it waits.
    pub wait: Wait,
}

/// The time that a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// For ever.
    Unlimited,
    /// Until its timer fires.
    Limited,
    /// It has given up: an answer that comes now is dropped. Such a client is remembered for ever, as answered calls
    /// are. With [`Repair::AnsweredLeaves`] both are forgotten.
    GivenUp,
}

/// A message between processes of a behaviour over an election.
pub type MessageOf<E, B> = Message<
    <E as Election>::Message<<B as Behaviour<E>>::Synch>,
    <B as Behaviour<E>>::Request,
    <B as Behaviour<E>>::Reply,
    <B as Behaviour<E>>::Broadcast,
>;
/// An event of a process of a behaviour over an election.
pub type Event<E, B> =
    machine::Event<MessageOf<E, B>, Command<<B as Behaviour<E>>::Request>, Timer>;
/// An effect of a step of a behaviour over an election.
pub type Effect<E, B> = machine::Effect<
    MessageOf<E, B>,
    Timer,
    <E as Election>::Stable,
    Observation<<E as Election>::Term, <B as Behaviour<E>>::Reply>,
>;
/// The state of a process of a behaviour over an election.
pub type StateOf<E, B> = State<E, <B as Behaviour<E>>::State, Event<E, B>>;
type Step<E, B> = (StateOf<E, B>, Vec<Effect<E, B>>);

impl<E: Election, B: Behaviour<E>> Machine for GenLeader<E, B> {
    type State = StateOf<E, B>;
    type Message = MessageOf<E, B>;
    type Command = Command<B::Request>;
    type Timer = Timer;
    type Stable = E::Stable;
    type Observation = Observation<E::Term, B::Reply>;

    fn start(&self, boot: Boot<E::Stable>) -> Step<E, B> {
        let (application, end) = match self.behaviour.init(boot.me) {
            Init::Ok(state) => (state, None),
            Init::Stop(reason) => (B::State::default(), Some(reason)),
            Init::Ignore => (B::State::default(), Some("ignore".into())),
        };
        let server = ServerState { application, ..ServerState::default() };
        let mut turn = Turn::new(self, server);
        let mut election = E::new(boot.me, self.roster.clone());
        match end {
            Some(reason) => turn.end(reason),
            None => election.start(boot.stable, &mut turn),
        }
        let Turn { server, effects, .. } = turn;
        (State { election, server, mailbox: Vector::new() }, effects)
    }

    fn step(&self, state: StateOf<E, B>, event: Event<E, B>) -> Step<E, B> {
        let State { mut election, server, mut mailbox } = state;
        let mut turn = Turn::new(self, server);
        if let Some(event) = turn.receive(&mut election, event) {
            mailbox.push_back(event);
        }
        // As soon as there is a leader, the mailbox is emptied before any new event: in the same step, in one list of
        // effects. If the process ends over one of its events, the effects of those before stay.
        while election.phase() != Phase::Electing && !turn.is_over() {
            let Some(event) = mailbox.pop_front() else { break };
            turn.dispatch(&mut election, event);
        }
        let Turn { server, effects, .. } = turn;
        (State { election, server, mailbox }, effects)
    }
}
