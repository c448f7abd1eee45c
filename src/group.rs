//! group: membership and atomic multicast with a majority. It is this project's own protocol, meant for programs to embed once it
//! does [more](#what-it-does-not-do-yet).
//!
//! **Idea.** As in [`gms3`](crate::gms3), views and messages share one numbered sequence, one leader numbers them, and
//! seniority decides who leads next. The sequence is a [`Log`] that every process keeps. An entry *counts*, and only then is
//! delivered, once a majority of the newest view in the leader's log holds it. A new leader first asks a majority what
//! they hold and adopts the best of it. So whatever counted once is never lost, whoever leads.
//!
//! # Processes, members, terms
//!
//! A *member* is a process together with what it has promised. Its name is the [`Address`] of its first life. A node that
//! restarts with its storage is the same member in a later life. A node that has lost its storage is another member, and
//! can never vote for the former one.
//!
//! A [`Term`] is a counter and the member that owns it, who is its only possible leader. A process promises a term by taking
//! it on: it stores it before it answers, and refuses lower ones for ever.
//!
//! # Messages
//!
//! | message | from, to | what the receiver does |
//! |---|---|---|
//! | [`Prepare`](Message::Prepare) | a candidate, to the members of its newest view | promises the term, if it is higher than its own, and answers with what it holds; otherwise refuses. If it has a leader and the candidate is in none of its views, it takes the message for an `Ask`; a leader then begins a higher term, since the candidate listens to no other |
//! | [`Promise`](Message::Promise) | the answer | adopts the log if it is better than its own. With a majority of the newest view in that log it leads |
//! | [`Refuse`](Message::Refuse) | whoever does not lead, to whoever takes it for the leader or comes with a lower term | a candidate or former leader takes on the higher term, and asks its owner. An outsider stops asking until `Now` |
//! | [`Append`](Message::Append) | the leader, to all members and newcomers | follows. Takes the entries, if it holds the one before them; otherwise asks. Delivers what counts |
//! | [`Ack`](Message::Ack) | the answer | counts. What a majority of the newest view holds, up to an entry of its own term, is delivered |
//! | [`Ask`](Message::Ask) | whoever is behind or outside, to the leader or to others who may know it | the leader sends what is missing, and admits an outsider that has everything. A follower forwards it. A candidate answers with `Prepare`, others with `Refuse` |
//! | [`Now`](Message::Now) | whoever has refused an outsider, once it has a leader | asks again |
//! | [`Forward`](Message::Forward) | a process, to the leader | appends the multicast, unless it did so before |
//!
//! One timer repeats whatever may have been lost. It does nothing where nothing is outstanding.
//!
//! # Rules
//!
//! * *Log order.* Of two logs the better one ends with the higher term; of equal terms the longer one.
//! * *Commitment.* A leader counts majorities only for entries of its own term; those before count with them.
//! * *Views* change by one member at a time, once the change before counts and an entry of the leader's own term does.
//! * *Removal.* A leader removes a member that it suspects, and a former life of a node that asks under a new name.
//! * *Return.* A member that finds itself removed asks to be admitted again, and is brought up to date first.
//! * *Succession.* If its leader is down, a member waits for the most senior member that it does not suspect. It takes over
//!   at once if that is itself, and at the next tick if nobody has.
//! * *Minority.* A leader that suspects so many that no majority of the newest view is left no longer leads.
//! * *Stale leaders.* Whoever asks says up to where it knows entries to count. A leader that holds another entry there is a
//!   former one, and must not take this for an acknowledgement. (Found by random schedules of five nodes, in 39 steps.)
//! * *Duplicates.* The multicasts of one process are appended in the order of their sequence numbers, each once.
//!
//! # What it does not do yet
//!
//! The log is kept from its beginning: it is not forgotten, newcomers get all of it, and `Persist` stores all of it at each
//! change. Nobody can leave, hand leadership over, or found a group anew that has lost its majority. There are no workers. A
//! multicast is retried until it counts and never fails with an error. So it is not what programs should embed today.
//!
//! # Sources
//!
//! Take-over by anybody, with the log adopted: Viewstamped Replication Revisited (Liskov, Cowling 2012), §4.2, where
//! the best log is chosen among a majority. Log order, commitment, one change at a time: In Search of an Understandable
//! Consensus Algorithm (Ongaro, Ousterhout 2014), §5, and Ongaro's thesis, chapter 4, with the correction of 2015 that an
//! entry of the leader's own term must count before a change. Views and messages in one order: virtual synchrony (Birman,
//! Joseph 1987). Seniority: gms3. It differs from Raft in that a shorter log is no reason against a candidate.

mod election;
mod leader;
mod log;
mod turn;

pub use log::{Content, Entry, Log, Position};

use self::turn::Turn;
use crate::machine::{self, Address, Boot, Machine, NodeId, Peer, Value};
use im::{OrdMap, OrdSet, Vector};
use serde::{Deserialize, Serialize};
use std::{marker::PhantomData, time::Duration};

pub use crate::gms3::{Command, STOPPED_ON_COMMAND};

/// How often a process repeats what may have been lost.
pub const TICK: Duration = Duration::from_millis(250);

/// The protocol. `T` is the type of the application's multicasts.
///
/// # Example
///
/// A founder is alone: what it multicasts counts at once.
///
/// ```
/// use interrex::{group::*, machine::{Boot, Effect, Event, Machine, NodeId}};
///
/// let group = Group::<String>::default();
/// let me = NodeId(0).first_life();
/// let (founder, _) = group.start(Boot { me, stable: None, contact: None });
/// assert!(founder.leads());
///
/// let (_, effects) = group.step(founder, Event::Command(Command::Mcast("hello".into())));
/// assert!(matches!(effects[0], Effect::Persist(_)));
/// let delivered = Observation::Delivered { number: 2, message: "hello".into() };
/// assert_eq!(effects[1], Effect::Observe(delivered));
/// ```
#[derive(Clone, Debug)]
pub struct Group<T> {
    /// The nodes that a newcomer asks if it does not reach its contact.
    nodes: OrdSet<NodeId>,
    /// The safeguard that is left out, to show what it is for.
    without: Option<Safeguard>,
    messages: PhantomData<T>,
}

/// A mechanism that can be left out, to see what it prevents. A group without one must not be used for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safeguard {
    /// An entry counts, and a candidate leads, only with a majority. Without it, one process is enough.
    Majority,
    /// A candidate adopts the best log of a majority. Without it, it keeps its own.
    Flush,
    /// A node without its storage is another member. Without it, it answers for the former one.
    Incarnation,
    /// A multicast is appended once, however often it is forwarded.
    Filter,
    /// A process forwards its multicasts again, until they are delivered.
    Resend,
    /// Lower terms are refused.
    Fence,
    /// The stable part of the state is stored before anything is sent. Without it, after.
    Persistence,
}

impl Safeguard {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Majority,
        Self::Flush,
        Self::Incarnation,
        Self::Filter,
        Self::Resend,
        Self::Fence,
        Self::Persistence,
    ];

    /// Its name: `majority`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::Flush => "flush",
            Self::Incarnation => "incarnation",
            Self::Filter => "filter",
            Self::Resend => "resend",
            Self::Fence => "fence",
            Self::Persistence => "persistence",
        }
    }
}

impl<T> Default for Group<T> {
    fn default() -> Self {
        Self { nodes: OrdSet::new(), without: None, messages: PhantomData }
    }
}

impl<T> Group<T> {
    /// The protocol for these nodes. A newcomer asks any of them if it does not reach its contact.
    #[must_use]
    pub fn among(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        Self { nodes: nodes.into_iter().collect(), ..Self::default() }
    }

    /// The same without one of its safeguards.
    #[must_use]
    pub fn without(self, safeguard: Safeguard) -> Self {
        Self { without: Some(safeguard), ..self }
    }

    /// The safeguard that is left out.
    #[must_use]
    pub fn left_out(&self) -> Option<Safeguard> {
        self.without
    }

    fn has(&self, safeguard: Safeguard) -> bool {
        self.without != Some(safeguard)
    }
}

/// A leadership: its owner is the only process that may lead in it. A higher counter is a later term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Term {
    /// Counts up.
    pub counter: u64,
    /// The member that may lead.
    pub owner: Address,
}

/// The messages between processes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound = "T: Value")]
pub enum Message<T> {
    /// From a candidate: promise this term.
    Prepare {
        /// The term that it owns.
        term: Term,
        /// The last entry that it knows to count.
        committed: Position,
    },
    /// The term is promised.
    Promise {
        /// The promised term.
        term: Term,
        /// The member that promises.
        member: Address,
        /// The end of its log.
        last: Position,
        /// The number of the entry before the first of `entries`.
        previous: u64,
        /// The entries after that.
        entries: Vector<Entry<T>>,
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
        /// The entry before the first of `entries`.
        previous: Position,
        /// Possibly none.
        entries: Vector<Entry<T>>,
        /// The last entry that counts.
        committed: u64,
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
        /// The last entry that it knows to count. A leader that has another one there is none any more.
        committed: Position,
    },
    /// There is a leader: ask again.
    Now,
    /// From any process to the leader: multicast this.
    Forward(Multicast<T>),
}

/// A multicast, and what tells it from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Multicast<T> {
    /// The process that sends it.
    pub origin: Address,
    /// The number of multicasts that this process has sent before.
    pub sequence: u64,
    /// The message.
    pub message: T,
}

/// The group, as a majority of it has agreed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct View {
    /// Its place in the order of views and messages.
    pub number: u64,
    /// The leader that made it.
    pub leader: Address,
    /// The members, by seniority.
    pub members: Vector<Address>,
}

/// The timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// Always armed.
    Tick,
}

/// The reports to the local application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation<T> {
    /// The process has started, as this member. Everything that counts is delivered to it, from the first entry on: also
    /// what this member has delivered in a former life.
    Started(Address),
    /// The process is elected. The term is a fencing token: it increases over the life of the group.
    Elected(Term),
    /// The process no longer leads.
    Deposed,
    /// A view counts.
    Installed(View),
    /// A multicast counts.
    Delivered {
        /// Its place in the order of views and messages.
        number: u64,
        /// The multicast.
        message: T,
    },
}

/// The content of stable storage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "T: Value")]
pub struct Stable<T> {
    /// Its name as a member.
    pub member: Address,
    /// The highest term that it has promised.
    pub term: Term,
    /// The entries that it holds.
    pub log: Log<T>,
}

/// The state of a process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "T: Value")]
pub struct State<T> {
    /// Its own address.
    pub me: Address,
    /// The part of the state that is also in stable storage.
    pub stable: Stable<T>,
    /// The node that it was told to join through.
    pub contact: Option<NodeId>,
    /// The last entry that counts, as far as it knows. All up to it are delivered.
    pub committed: u64,
    /// What it does in its term.
    pub role: Role,
    /// The nodes that were reported down, and not heard from since.
    pub suspected: OrdSet<NodeId>,
    /// Whom it monitors.
    pub watched: OrdSet<Peer>,
    /// The next multicast of each node that counts: its life, and its sequence number.
    pub next: OrdMap<NodeId, (u32, u64)>,
    /// The number of multicasts that it has sent.
    pub issued: u64,
    /// Those that it has not delivered yet.
    pub pending: OrdMap<u64, T>,
    /// The nodes that were told to wait for a leader.
    pub waiting: OrdSet<NodeId>,
}

/// What a process does in its term.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It knows nobody who leads or may soon.
    Seeking {
        /// The processes that will tell it when they have a leader.
        told: OrdSet<Address>,
    },
    /// It waits for the owner of its term.
    Promised {
        /// The process that has asked for the promise. None if it has not: then this one asks.
        to: Option<Address>,
    },
    /// It takes entries from the owner of its term.
    Following {
        /// The leader's process.
        leader: Address,
        /// The last entry that it has taken in this term.
        matched: u64,
    },
    /// It asks the others for their promises.
    Candidate {
        /// The members that have given them.
        promised: OrdSet<Address>,
        /// Nodes that are in none of its views and may hold more. They are asked, too.
        invited: OrdSet<NodeId>,
    },
    /// It leads.
    Leading {
        /// The members, those who want to be, and those who may not know that they are no more; by node.
        others: OrdMap<NodeId, Other>,
    },
}

/// What a leader knows of another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Other {
    /// Its name as a member.
    pub member: Address,
    /// The last entry that it holds, as far as it has said.
    pub held: u64,
    /// It is no member, and wants to be one.
    pub joins: bool,
}

/// An event of this protocol.
pub type Event<T> = machine::Event<Message<T>, Command<T>, Timer>;
/// An effect of this protocol.
pub type Effect<T> = machine::Effect<Message<T>, Timer, Stable<T>, Observation<T>>;

impl<T: Value> Machine for Group<T> {
    type State = State<T>;
    type Message = Message<T>;
    type Command = Command<T>;
    type Timer = Timer;
    type Stable = Stable<T>;
    type Observation = Observation<T>;

    fn start(&self, boot: Boot<Stable<T>>) -> (State<T>, Vec<Effect<T>>) {
        Turn::start(self, boot).end()
    }

    fn step(&self, state: State<T>, event: Event<T>) -> (State<T>, Vec<Effect<T>>) {
        let mut turn = Turn::new(self, state);
        turn.handle(event);
        turn.end()
    }
}

impl<T: Value> State<T> {
    /// Its name as a member.
    #[must_use]
    pub fn member(&self) -> Address {
        self.stable.member
    }

    /// The members of the last view that counts, as far as it knows.
    #[must_use]
    pub fn members(&self) -> Vector<Address> {
        self.stable.log.members(self.committed)
    }

    /// True if it is a member of that view.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.members().contains(&self.member())
    }

    /// True if it leads.
    #[must_use]
    pub fn leads(&self) -> bool {
        matches!(self.role, Role::Leading { .. })
    }

    /// The leader, as far as it knows.
    #[must_use]
    pub fn leader(&self) -> Option<Address> {
        match self.role {
            Role::Leading { .. } | Role::Following { .. } => Some(self.stable.term.owner),
            Role::Seeking { .. } | Role::Promised { .. } | Role::Candidate { .. } => None,
        }
    }
}

/// More than a half.
#[must_use]
pub fn majority(members: usize) -> usize {
    members / 2 + 1
}
