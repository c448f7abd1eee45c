//! The machine that runs a behaviour over an election.

use super::{
    Bully, Capture, Repairs,
    behaviour::{Behaviour, Call, Caller, Init, Reason},
    election::{Election, Roster, Standing},
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
}

/// What becomes of a `leader_cast`: the seeds describe one thing, and their code does others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderCast {
    /// It is forwarded to the leader, as the seeds describe it.
    Forwarded,
    /// `handle_leader_cast` is called if the local process leads, `handle_info` elsewhere (the code of
    /// 1.0).
    AtLeaderOnly,
    /// `handle_leader_cast` is never called, `handle_info` is (seed 001: "BUG"; the code of 2007).
    NeverCalled,
}

/// Whether a reply that comes later reaches the client of a `leader_call`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateReply {
    /// It does: the server wraps it.
    Wrapped,
    /// Only if the application wraps it itself (seed 001).
    AsGiven,
}

impl<B: Behaviour<Capture>> GenLeader<Capture, B> {
    /// Over the election of version 1.0 (2003).
    pub fn v1_0(behaviour: B, roster: Roster) -> Self {
        Self::new(behaviour, roster, ())
    }
}

impl<B: Behaviour<Bully>> GenLeader<Bully, B> {
    /// Over the election of 2007.
    pub fn v2007(behaviour: B, roster: Roster) -> Self {
        Self::new(behaviour, roster, Repairs::none())
    }

    /// Over the election of 2007 with repairs.
    pub fn repaired(behaviour: B, roster: Roster, repairs: Repairs) -> Self {
        Self::new(behaviour, roster, repairs)
    }
}

impl<E: Election, B: Behaviour<E>> GenLeader<E, B> {
    fn new(behaviour: B, roster: Roster, variant: E::Variant) -> Self {
        let (leader_cast, late_reply) = (LeaderCast::Forwarded, LateReply::Wrapped);
        Self { behaviour, roster, variant, leader_cast, late_reply }
    }

    /// The application.
    pub fn behaviour(&self) -> &B {
        &self.behaviour
    }

    /// Who takes part.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Which variant of the election it is.
    pub fn variant(&self) -> &E::Variant {
        &self.variant
    }

    /// The same, with another fate of leader casts.
    #[must_use]
    pub fn with_leader_cast(self, leader_cast: LeaderCast) -> Self {
        Self { leader_cast, ..self }
    }

    /// The same, with another fate of late replies.
    #[must_use]
    pub fn with_late_reply(self, late_reply: LateReply) -> Self {
        Self { late_reply, ..self }
    }
}

/// What processes send each other. `M`: messages of the election; `R`, `A`, `B`: requests,
/// answers and broadcasts of the application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message<M, R, A, B> {
    /// Of the election.
    Election(M),
    /// From a process whose client calls, to the leader.
    LeaderCall {
        /// What the call is called at the sender.
        reference: u64,
        /// What is asked for.
        request: R,
    },
    /// From the leader, back to the process that sent it the call.
    LeaderReply {
        /// What the call is called at the receiver.
        reference: u64,
        /// The answer, for the client.
        answer: Result<A, CallError>,
    },
    /// A reply that is not wrapped as a leader's: at the receiver it is a message like any other.
    Reply(A),
    /// From a process whose client casts, to the leader.
    LeaderCast(R),
    /// From the leader to every node that it monitors.
    FromLeader(B),
}

/// What the local clients may ask for. A tag names a call at its node; clients choose it, each time another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command<R> {
    /// `call/2,3`: the local process answers.
    Call {
        /// What the call is called.
        tag: u64,
        /// What is asked for.
        request: R,
        /// How long the client waits; for ever if it does not say.
        timeout: Option<Duration>,
    },
    /// `cast/2`: said to the local process.
    Cast(R),
    /// `leader_call/2,3`: the leader answers.
    LeaderCall {
        /// What the call is called.
        tag: u64,
        /// What is asked for.
        request: R,
        /// How long the client waits; for ever if it does not say.
        timeout: Option<Duration>,
    },
    /// `leader_cast/2`: said to the leader.
    LeaderCast(R),
    /// Any other message.
    Info(R),
    /// The code is replaced.
    CodeChange(R),
}

/// The timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// A leader's periodic check.
    Tau,
    /// How long a local client waits for the call with this tag.
    Call(u64),
}

/// What the local application and its clients are told.
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
        /// To whom.
        leader: machine::Address,
        /// In which term.
        term: T,
    },
    /// `from_leader` was called.
    Followed {
        /// Who had broadcast.
        leader: machine::Address,
    },
    /// The answer to a client's call.
    Replied {
        /// Which call.
        tag: u64,
        /// The reply.
        reply: A,
    },
    /// A client's call has failed.
    Failed {
        /// Which call.
        tag: u64,
        /// Why.
        error: CallError,
    },
    /// The process ends because the application wants it.
    Terminated(Reason),
}

/// Why a call has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallError {
    /// The leader died while the call was out. It may have been carried out.
    LeaderDied,
    /// The client has waited long enough. It may still be carried out.
    TimedOut,
}

/// What a process knows. `E`: of the election; `S`: the application's state; `V`: events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "E: Value, S: Value, V: Value")]
pub struct State<E, S, V> {
    /// The election.
    pub election: E,
    /// What is above it.
    pub server: Server<S>,
    /// What waits until the election is over, as it arrived.
    pub mailbox: Vector<V>,
}

/// What a process keeps above the election.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "S: Value")]
pub struct Server<S> {
    /// The application's state.
    pub application: S,
    /// Calls that are out at the leader, the latest first.
    pub buffered: Vector<Buffered>,
    /// How many calls were sent to a leader: the next one's reference.
    pub references: u64,
    /// The local clients, by the tags of their calls.
    pub clients: OrdMap<u64, Client>,
}

/// A call that was sent to the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Buffered {
    /// What the leader will answer it under.
    pub reference: u64,
    /// Who waits for the answer.
    pub caller: Caller,
}

/// A local client who waits, or has waited long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Client {
    /// For whose answer.
    pub of: Call,
    /// For how long.
    pub patience: Patience,
}

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Patience {
    /// For ever.
    Endless,
    /// Until its timer fires.
    Limited,
    /// No longer: answers that come now go nowhere. Such a client is remembered for ever, as answered calls
    /// are; with [`Repair::AnsweredLeaves`](super::Repair) both are forgotten.
    Exhausted,
}

/// A message between processes.
pub type MessageOf<E, B> = Message<
    <E as Election>::Message<<B as Behaviour<E>>::Synch>,
    <B as Behaviour<E>>::Request,
    <B as Behaviour<E>>::Reply,
    <B as Behaviour<E>>::Broadcast,
>;
/// An event of a process.
pub type Event<E, B> =
    machine::Event<MessageOf<E, B>, Command<<B as Behaviour<E>>::Request>, Timer>;
/// An effect of a step.
pub type Effect<E, B> = machine::Effect<
    MessageOf<E, B>,
    Timer,
    <E as Election>::Stable,
    Observation<<E as Election>::Term, <B as Behaviour<E>>::Reply>,
>;
/// The state of a process.
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
        let server = Server { application, ..Server::default() };
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
        if let Some(event) = turn.meet(&mut election, event) {
            mailbox.push_back(event);
        }
        // What waited is taken before anything new, once the election is over: in the same step, in one
        // list of effects. An end of the process takes back nothing of what was taken before.
        while election.standing() != Standing::Electing && !turn.is_over() {
            let Some(event) = mailbox.pop_front() else { break };
            turn.take(&mut election, event);
        }
        let Turn { server, effects, .. } = turn;
        (State { election, server, mailbox }, effects)
    }
}
