//! group: membership and atomic multicast with a majority, for programs to embed. It is this project's own protocol.
//!
//! Each member has a copy of an application, a [`Service`]. A client at any member makes a [call](Command::Call); all copies
//! carry the requests out in the same order, and the client gets the reply. What was replied once is not lost while a
//! majority of the members has its storage, or keeps running. [`Server`](crate::runtime::Server) runs it.
//!
//! **Idea.** As in [`gms3`](crate::gms3), views and messages share one numbered sequence, and one leader numbers them. The
//! sequence is a [`Log`] that every process keeps. An entry is *committed* once a majority of the newest view in the
//! leader's log holds it. Only then is it delivered and carried out. If the leader is down, the most senior member tries to
//! lead first. A new leader asks a majority what they hold and adopts the best of it. So whatever was committed once is
//! never lost, whoever leads.
//!
//! # What it survives, and what it does not promise
//!
//! * **The group shrinks** by each member that is suspected. The next majority is one of the smaller view. So of three
//!   members two may crash one after the other, and the last one goes on alone; of members that crash at the same time,
//!   fewer than half may. What the last one confirms is in its storage only. From then on the group needs that member:
//!   those that left the view before it wait for it, or [found the group anew](Command::FoundAnew) without it.
//! * **Two processes can believe that they lead**: one that was paused or cut off learns late that it leads no more. It
//!   commits nothing meanwhile. A resource outside of the group must compare the [term](Term), a fencing token.
//! * **A [query](Command::Query) may be old**; a [call](Command::Call) that looks something up is not.
//! * **The nodes are a fixed list.** Members come and go among them. Another list needs a restart of all nodes with it.
//!
//! # Processes, members, terms
//!
//! A *member* is a process together with what it has promised. Its name is the [`Address`] of its first life. A node that
//! restarts with its storage is the same member in a later life. A node that has lost its storage is another member, and
//! can never vote for the former one. A process that is in none of the views it knows is an *outsider*.
//!
//! The *newest view* of a process is the last one in its log, committed or not. Its *last committed view* is the last one
//! that it knows to be committed. A process may lead if it is in its newest view.
//!
//! A node is *suspected* by a process from the `Down` that its monitor reports until the next message from that node, or
//! until the process follows a leader.
//!
//! A [`Term`] is a counter and the member that owns it, who is its only possible leader. A higher counter is a later term;
//! of equal counters, the term of the greater owner is later. A process promises a term by storing it as its own before it
//! answers, and refuses earlier ones for ever.
//!
//! A *group* is named by the member that has founded it, and by the term in which it was founded anew, if it was. What a
//! process of another group sends is answered with `Refuse`; a leader takes that node for down. If a node founds a second
//! group by mistake, because it has lost its storage, it stops when it hears from the older group, if it is still its only
//! member. Two groups of several members both go on, and say so.
//!
//! # Messages
//!
//! | message | from, to | what the receiver does |
//! |---|---|---|
//! | [`Prepare`](Message::Prepare) | a candidate, to the members of its newest view and of its last committed one | *Later term, or its own again:* promises it, and answers with what it holds, unless it follows that candidate already. *Earlier term:* a leader sends the candidate what it lacks, a candidate its own `Prepare`, others `Refuse`. *Later term, but it has another leader and is a member, and the candidate is in none of its views:* it takes the message for an `Ask`; if it leads itself, it begins a still later term, since the candidate listens to no earlier one |
//! | [`Promise`](Message::Promise) | the answer | adopts the log if it is better than its own, batch by batch. With the promises of a majority of the newest view in that log it leads. A leader repeats its last entry at each tick until that member acknowledges it: it does not follow yet, or no more |
//! | [`Refuse`](Message::Refuse) | a process that does not lead, to one that takes it for the leader or comes with an earlier term | a candidate or former leader takes on the later term, and asks its owner, unless it suspects that one; a follower does, if its leader says so. In the follower's own term it means that this leader leads no more; in an earlier one, that nobody owns the term that it waits for. Who seeks a leader does not ask the sender again; an outsider does after `Now` |
//! | [`Append`](Message::Append) | the leader, to all members and newcomers | follows. Takes the entries, if it holds the one before them; otherwise asks. Of its own log it drops only what contradicts them: an old message cuts nothing off. Delivers what is committed, as far as this message goes, and forgets what all members hold |
//! | [`Ack`](Message::Ack) | the answer | notes what the member holds. If a majority of the newest view holds an entry of its own term, that and all before it are committed |
//! | [`Ask`](Message::Ask) | a process that is behind or outside, to the leader or to others who may know it | the leader sends what is missing, and admits an outsider that has everything. A follower forwards it, unless its own leader asks, who therefore leads no more. A candidate answers with `Prepare`, others with `Refuse`, also to who has forwarded it |
//! | [`Now`](Message::Now) | a process that has refused an outsider, once it has a leader; a founder, to all nodes; a leader that has forgotten what the receiver may lack | asks the sender, unless it leads itself |
//! | [`More`](Message::More) | a process that is being given a summary, to the giver | sends the next piece, or [`Gone`](Message::Gone) |
//! | [`Piece`](Message::Piece) | the giver, in answer | adds it to the others. With the last one it has the summary, and asks for the entries after it |
//! | [`Gone`](Message::Gone) | a giver that no longer knows the summary | asks anew |
//! | [`Forward`](Message::Forward) | a process, to the leader | appends the multicast, unless it did so before |
//! | [`Leave`](Message::Leave) | a member, to the leader | removes it |
//! | [`TakeOver`](Message::TakeOver) | the leader, to another member | becomes a candidate, although its leader is up |
//!
//! One timer repeats whatever may have been lost: a leader's entries to those who have not acknowledged them, a candidate's
//! `Prepare` (then to all nodes of the list: its views may be old), a follower's acknowledgement of what is not committed
//! yet, a question without an answer, multicasts that are not delivered. A follower also asks if it holds entries that its
//! leader has not sent it: in a former life it may have acknowledged its removal, and then the leader has forgotten it. (Found
//! with two nodes, in 15 steps.)
//!
//! # Rules
//!
//! * *Log order.* Of two logs the one is better whose last entry has the later term; of equal terms the longer one.
//! * *Commitment.* A leader counts majorities only for entries of its own term; those before are committed with them. Its
//!   first entry is its newest view again, so that there is one.
//! * *Views.* A leader changes the view by one member at a time, and only once the previous change and an entry of its own
//!   term are both committed. What comes first: to remove a member; to admit itself, if it is none; to admit a newcomer, as
//!   the least senior; to let a member go. An admission that is not committed yet is taken back if the newcomer is gone:
//!   without it there may be no majority.
//! * *Newcomers.* One is admitted when it holds all entries that were there when it asked.
//! * *Removal.* A leader removes a member that it suspects, and a former life of a node that asks under a new name.
//! * *Leaving.* A member that wants to leave asks until its removal is committed, and then ends. A leader first has another
//!   member take over.
//! * *Return.* A member that finds itself removed asks to be admitted again, at each tick until it is in its last committed view,
//!   and is brought up to date first.
//! * *Monitors.* A leader monitors all that it sends to; a follower its leader; a process without a leader the most senior
//!   member that it does not suspect; a candidate the members of its newest view; a process that is being given a summary
//!   the giver.
//! * *Succession.* If the leader is down, the most senior member that is not suspected takes over at once. Any other waits
//!   for the next tick, and takes over if nobody has; until then it asks whoever is down, in case its detector erred. A
//!   candidate goes on until it leads or hears of a later term; then it takes that term on, and asks its owner instead. There is
//!   no vote before the vote: one member that errs ends the term of a healthy leader, and a new one is found at once.
//! * *Prospects.* A member that suspects so many that the others are no majority of its newest view does not take over, and does
//!   not lead, whatever they have promised. As a candidate it gives up at the next tick. Then it asks all nodes, so that who has
//!   promised it something no longer waits, and goes on to ask at each tick. So a minority does not raise terms, and of
//!   five members of which only one reaches all, that one leads, or follows a leader with whom it is a majority.
//! * *Minority.* A leader that suspects a member, or learns of another one at its node, first removes it, if no other change
//!   is under way. If then no majority of the newest view is left, it no longer leads.
//! * *Waiting.* Who asks or comes as a candidate, is no member, and is refused, will be told with `Now` when there is a leader,
//!   again at each tick until it is a member. A follower that forwards an `Ask` still tells its sender: its leader may be gone
//!   before it answers. (Without this a newcomer waited for ever: 18 steps, three nodes, [`Policy::Any`].)
//! * *Policy.* All of this is about [`Policy::Majority`]. With [`Policy::Any`] the members that count are those of the newest view
//!   that are not suspected and not replaced, and all of them are needed. A leader that suspects a member goes on without it,
//!   however few are left.
//! * *Stale leaders.* An `Ask` names the last entry that its sender knows to be committed, and so acknowledges it. But a
//!   leader that lacks that entry, or has another one there, is a former leader, and must not take it for an
//!   acknowledgement. (Found by random schedules of five nodes, in 39 steps.)
//! * *Founding anew.* On [command](Command::FoundAnew), a process that knows no leader takes all that it holds for committed,
//!   names its group anew after a term of its own, and leads it alone. A process of the former group ends when it hears of the
//!   new name. If the former group has its majority after all, there are two groups until then: the command is for a group
//!   that has lost it for good.
//! * *Duplicates.* The multicasts of one process are appended in the order of their sequence numbers, each once.
//! * *Suspected processes* are sent no entries. At each tick they are told where the leader's log ends: one that is up
//!   after all asks for what it lacks.
//! * *Memory.* Of the committed entries that all members hold, the leader keeps the last [`KEPT`] ones. It forgets those
//!   before, and tells the others with its next message. A [`Summary`] remains: the last view, the next multicast of each
//!   node, and the application's state. A process that lacks entries which the sender has forgotten is given the summary
//!   instead.
//! * *Transfer.* A state that is more than one [piece](Service::split) is given piece by piece, each when the receiver asks
//!   for it; other messages pass between them. The giver keeps the state as it was when the transfer began, and a leader
//!   does not forget the entries after it: its log grows as long as the transfer takes. Nothing of the summary is used
//!   before the last piece. Until then the receiver asks nobody for anything else, and begins no second transfer. It gives up
//!   if the giver is down or answers `Gone`, as a new leader does, which forgets its transfers; then it asks again, from the
//!   beginning. A promise that begins with such a summary is void: the candidate takes the summary, and then asks for the
//!   promise again.
//! * *Batches.* An `Append` or a `Promise` carries no more entries than a [batch](Group::in_batches_of). After an `Append` the
//!   next batch follows when this one is acknowledged. After a `Promise` the candidate asks for it: its `Prepare` names the
//!   entry after which the batch begins. A candidate puts each batch of a better log into its own log at once. This is safe:
//!   an entry that it drops contradicts a log that ends with a later term. The leader of that term held all that was committed
//!   before it, so the dropped entry was not, and no majority can commit it any more. A candidate takes one log over at a
//!   time, monitors its process, and turns to another log only if that is better still. A promise counts once the candidate's
//!   log is at least as good as that member's.
//! * *Repeating.* At each tick a follower forwards again no more than a batch of its multicasts, and a leader sends each
//!   member no more than a batch. So what is repeated does not delay what is new for long.
//! * *Storage.* A step persists the entries that it has changed, and what it has forgotten: see [`Stable`].
//!
//! # Calls
//!
//! A call is a multicast with a client that waits. It is forwarded again until it is committed, whoever leads, and is carried
//! out once. Its reply comes from the copy at the client's own process. A call can fail ([`CallFailure`]): it then says
//! whether it has taken effect, may still, or has not. A minority never replies, so its clients need time-outs. A
//! [query](Command::Query) is answered at once by the local copy. It fails where the process knows that its copy may lack
//! something.
//!
//! # What it does not do yet
//!
//! There are no members that do not vote, and no least size below which a group does not shrink. A summary that was taken is
//! stored in one record. Without storage, two lives of a node that begin in the same millisecond have one name.
//!
//! # Sources
//!
//! Terms that their candidates own, and a new leader that adopts the best log of a majority: Paxos (Lamport, The Part-Time
//! Parliament, 1998) and Viewstamped Replication Revisited (Liskov, Cowling 2012), §4.2, where the next primary follows from
//! the view's number. Log order, commitment, one change at a time: In Search of an Understandable Consensus Algorithm
//! (Ongaro, Ousterhout 2014), §5, and Ongaro's thesis, chapter 4, with the correction of 2015 that an entry of the leader's
//! own term must be committed before a change. Views and messages in one order: virtual synchrony (Birman, Joseph 1987).
//! Seniority: gms3.
//!
//! It differs from Raft: a candidate with a shorter log can win, since it adopts the longer one first; terms have owners, so
//! that no two candidates share one; there are no random time-outs; and the view follows the failure detector.

mod call;
mod departure;
mod election;
mod foreign;
mod leader;
mod log;
mod message;
mod service;
mod size;
mod state;
mod summary;
mod transfer;
mod turn;

pub use log::{After, Content, Entry, Log, Part, Position};
pub use message::{
    CallFailure, Command, Envelope, Founding, Message, Multicast, Observation, Timer, View,
};
pub use service::{Messages, Service};
pub use state::{Client, Giving, Other, Pending, Reading, Role, Stable, State, Taking};
pub use summary::Summary;

use self::turn::Turn;
use crate::machine::{self, Address, Boot, Machine, NodeId};
use im::OrdSet;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub use crate::gms3::STOPPED_ON_COMMAND;

/// The reason of a process that ends because it has left its group.
pub const LEFT: &str = "left the group";

/// How the reason of a process begins that ends because another group is the right one.
pub const GIVES_WAY: &str = "gives way to another group";

/// The interval at which a process repeats what may have been lost.
pub const TICK: Duration = Duration::from_millis(250);

/// The number of entries that a log keeps, unless [`Group::keeping`] says otherwise, although all members hold them.
pub const KEPT: u64 = 4096;

/// The size of a batch in bytes, unless [`Group::in_batches_of`] says otherwise.
pub const BATCH: u64 = 1 << 20;

/// The number of entries that no log reaches: a billion a second would take 146 years.
const LONGEST_LOG: u64 = 1 << 62;

/// The number of multicasts of one process that may be under way. Beyond it a [`Command::Call`] fails at once.
pub const MOST_PENDING: usize = 10_000;

/// The protocol, with an application of which each member has a copy.
///
/// # Example
///
/// A founder is alone: what it is asked to do is committed at once.
///
/// ```
/// use interrex::{gen_leader::{Dictionary, dictionary::{Reply, Request}}, group::*};
/// use interrex::machine::{Boot, Effect, Event, Machine, NodeId};
///
/// let group = Group::new(Dictionary::<String, u32>::default());
/// let me = NodeId(0).first_life();
/// let (founder, _) = group.start(Boot { me, stable: None, contact: None });
/// assert!(founder.leads());
///
/// let request = Request::Store("answer".into(), 42);
/// let call = Command::Call { tag: 7, request, timeout: None };
/// let (founder, effects) = group.step(founder, Event::Command(call));
/// assert!(matches!(effects[0], Effect::Persist(_)));
/// assert!(effects.contains(&Effect::Observe(Observation::Replied { tag: 7, reply: Reply::Ok })));
/// assert_eq!(founder.application().get("answer"), Some(&42));
/// ```
#[derive(Clone, Debug)]
pub struct Group<S> {
    service: S,
    /// The nodes that a newcomer asks if it does not reach its contact.
    nodes: OrdSet<NodeId>,
    /// The number of entries that are kept although all members hold them.
    keep: u64,
    /// The size of a batch in bytes.
    batch: u64,
    /// The members that must hold an entry before it is committed.
    policy: Policy,
    /// The safeguard that is left out, to show what it is for.
    without: Option<Safeguard>,
}

/// The members that must hold an entry before it is committed, and promise a term before its owner leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// More than a half of the newest view.
    #[default]
    Majority,
    /// All that are not suspected, be it a single one. So the group goes on as long as any member is up, as that of
    /// [`gms3`](crate::gms3) does. This is right only if nobody is ever suspected by mistake, and nobody comes back: members that
    /// suspect each other go on as two groups, and both confirm calls.
    Any,
}

/// A mechanism that can be left out, to see what it prevents. A group without one must not be used for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safeguard {
    /// An entry is committed, and a candidate leads, only with a majority. Without it, one process is enough.
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

impl<S: Service> Group<S> {
    /// The protocol with this application.
    #[must_use]
    pub fn new(service: S) -> Self {
        Self {
            service,
            nodes: OrdSet::new(),
            keep: KEPT,
            batch: BATCH,
            policy: Policy::Majority,
            without: None,
        }
    }

    /// The same for these nodes. A newcomer asks any of them if it does not reach its contact.
    #[must_use]
    pub fn among(self, nodes: impl IntoIterator<Item = NodeId>) -> Self {
        Self { nodes: nodes.into_iter().collect(), ..self }
    }

    /// The same with another number of entries that are kept although all members hold them. A member that comes back after
    /// a while gets these. One that lacks more gets the whole state of the application.
    #[must_use]
    pub fn keeping(self, entries: u64) -> Self {
        Self { keep: entries, ..self }
    }

    /// The same with batches of another size. Entries are sent in batches of that many bytes; the last one of a batch may go
    /// beyond it. The next batch is sent when the one before is acknowledged. A larger one is better for long distances. A
    /// smaller one delays other messages less.
    #[must_use]
    pub fn in_batches_of(self, bytes: u64) -> Self {
        Self { batch: bytes, ..self }
    }

    /// The same with another policy. All members must have the same one.
    #[must_use]
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// The same without one of its safeguards.
    #[must_use]
    pub fn without(self, safeguard: Safeguard) -> Self {
        Self { without: Some(safeguard), ..self }
    }

    /// The nodes that a newcomer may ask.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().copied()
    }

    /// The application.
    #[must_use]
    pub fn service(&self) -> &S {
        &self.service
    }

    /// The number of entries that are kept although all members hold them.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.keep
    }

    /// The size of a batch in bytes.
    #[must_use]
    pub fn batch(&self) -> u64 {
        self.batch
    }

    /// The members that must hold an entry before it is committed.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
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

/// The state of a process.
pub type StateOf<S> = State<<S as Service>::Request, <S as Service>::State>;
/// A message between processes, with the group of its sender.
pub type MessageOf<S> = Envelope<<S as Service>::Request, <S as Service>::State>;
/// The persisted value.
pub type StableOf<S> = Stable<<S as Service>::Request, <S as Service>::State>;
/// A report to the local application.
pub type ObservationOf<S> =
    Observation<<S as Service>::Request, <S as Service>::State, <S as Service>::Reply>;
/// An event of this protocol.
pub type Event<S> = machine::Event<MessageOf<S>, Command<<S as Service>::Request>, Timer>;
/// An effect of this protocol.
pub type Effect<S> = machine::Effect<MessageOf<S>, Timer, StableOf<S>, ObservationOf<S>>;

impl<S: Service> Machine for Group<S> {
    type State = StateOf<S>;
    type Message = MessageOf<S>;
    type Command = Command<S::Request>;
    type Timer = Timer;
    type Stable = StableOf<S>;
    type Observation = ObservationOf<S>;

    fn start(&self, boot: Boot<StableOf<S>>) -> (StateOf<S>, Vec<Effect<S>>) {
        Turn::start(self, boot).end()
    }

    fn step(&self, state: StateOf<S>, event: Event<S>) -> (StateOf<S>, Vec<Effect<S>>) {
        let mut turn = Turn::new(self, state);
        turn.handle(event);
        turn.end()
    }

    fn stored(&self, before: Option<StableOf<S>>, change: StableOf<S>) -> StableOf<S> {
        let before = before.map(|stable| stable.part);
        let part = Log::changed(before, change.part, &self.service, change.forgotten);
        Stable { part, ..change }
    }

    fn finds_its_group(&self, stored: &StableOf<S>) -> bool {
        stored.has_group()
    }
}

/// More than a half.
#[must_use]
pub fn majority(members: usize) -> usize {
    members / 2 + 1
}
