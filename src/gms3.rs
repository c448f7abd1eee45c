//! gms3: a group membership service with atomic multicast, faults included.
//!
//! **Source.** `gms3.erl` of a distributed-systems course, the seed of this project. It is the third of three versions: it
//! elects a new leader, numbers views and messages, and lets a new leader resend the last message or view that it accepted.
//! It is ported as it stands, to be checked and not to be repaired. `traces/README.md` lists the faults that the checker finds.
//!
//! **Protocol.** One process is the *leader*, the others are *followers* (the seed says slave), in order of seniority. A
//! multicast goes to the leader, which numbers it and sends it to the followers one by one. A newcomer sends `join` to any
//! member, which forwards it to the leader, which sends a new *view* of the group the same way. Views and messages share
//! one numbering. Each follower monitors the leader. When the leader dies, the first of the followers takes over: it
//! resends the last message or view that it accepted, then sends its own view.
//!
//! **Assumptions.** Links are reliable and FIFO; the failure detector never errs; `Down` comes after the dead process's
//! last message. The seed promises that under these "messages are reliably delivered". They are not.
//!
//! **Deviations from the seed.** All messages are sent as in the seed, at the same steps. Views are observed, and
//! deliveries with their number, for the properties' sake; the seed reports to its application ("Master") only deliveries
//! and that it has joined. The seed's `crash/2` inside `bcast/3`, a coin that kills the leader between two sends, is the
//! world's fault *crash after k effects*. Where the seed prints "strange message" and does not loop, the port returns
//! [`Effect::Stop`], with reasons of its own. Numbers stop at [`u64::MAX`].

use crate::machine::{self, Address, Boot, Machine, Value};
use im::Vector;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, marker::PhantomData, time::Duration};

/// How long a process waits for its first view: the seed's `?timeout`.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The reason with which a process ends on [`Command::Stop`].
pub const STOPPED_ON_COMMAND: &str = "stop";

/// The protocol. `T` is the type of the application's multicasts.
///
/// # Example
///
/// A founder admits a newcomer:
///
/// ```
/// use interrex::{gms3::*, machine::{Boot, Event, Machine, NodeId}};
///
/// let gms3 = Gms3::<String>::default();
/// let [n0, n1] = [NodeId(0), NodeId(1)].map(NodeId::first_life);
/// let (founder, _) = gms3.start(Boot { me: n0, stable: None, contact: None });
/// let (leader, effects) = gms3.step(founder, Event::Message { from: n1, message: Message::Join(n1) });
///
/// let view = View { number: 1, leader: n0, followers: [n1].into_iter().collect() };
/// assert_eq!(effects[0], Effect::Send { to: n1.into(), message: Message::View(view.clone()) });
/// assert_eq!(effects[1], Effect::Observe(Observation::Installed(view)));
/// assert!(matches!(leader, State::Leader(Leader { next: 2, .. })));
/// ```
#[derive(Clone, Debug)]
pub struct Gms3<T>(PhantomData<T>);

impl<T> Default for Gms3<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// The messages between processes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message<T> {
    /// From a newcomer to its contact, and forwarded to the leader: this process wants to be a member.
    Join(Address),
    /// From a follower to the leader: multicast this.
    Mcast(T),
    /// From the leader to each follower, which delivers it if it is the next in order.
    Msg {
        /// Its place in the order of views and messages.
        number: u64,
        /// The multicast.
        message: T,
    },
    /// From the leader to each follower, which installs it if it is the next in order.
    View(View),
}

/// The group, as its leader announces it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct View {
    /// Its place in the order of views and messages.
    pub number: u64,
    /// The leader.
    pub leader: Address,
    /// The followers, by seniority. The dead are never taken out.
    pub followers: Vector<Address>,
}

/// The requests of the local application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command<T> {
    /// Multicast this to all members.
    Mcast(T),
    /// End this process.
    Stop,
}

/// The timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// Armed by a newcomer until its first view arrives.
    Join,
}

/// The reports to the local application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation<T> {
    /// The first view has arrived: this process is a member.
    Joined,
    /// A multicast is delivered, in the total order.
    Delivered {
        /// Its place in the order of views and messages.
        number: u64,
        /// The multicast.
        message: T,
    },
    /// A view is installed. Leaders observe their own, too.
    Installed(View),
    /// The process ends because its contact did not answer.
    Error(Cow<'static, str>),
}

/// An event of this protocol.
pub type Event<T> = machine::Event<Message<T>, Command<T>, Timer>;
/// An effect of this protocol.
pub type Effect<T> = machine::Effect<Message<T>, Timer, (), Observation<T>>;
/// The result of a step.
type Step<T> = (State<T>, Vec<Effect<T>>);

/// The state of a process, by its role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound = "T: Value")]
pub enum State<T> {
    /// Waits for its first view.
    Joining(Joining<T>),
    /// Numbers the views and messages.
    Leader(Leader),
    /// Delivers and installs them in order.
    Follower(Follower<T>),
}

/// A newcomer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "T: Value")]
pub struct Joining<T> {
    /// Its own address.
    pub me: Address,
    /// The events before the first view, in order: Erlang's selective receive leaves them in the mailbox.
    pub deferred: Vector<Event<T>>,
}

/// The leader.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Leader {
    /// Its own address.
    pub me: Address,
    /// The others, by seniority.
    pub followers: Vector<Address>,
    /// The number that the next view or message gets.
    pub next: u64,
}

/// A follower (the seed's slave).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Follower<T> {
    /// Its own address.
    pub me: Address,
    /// The leader that it follows and monitors.
    pub leader: Address,
    /// The followers of the current view, itself among them, by seniority.
    pub followers: Vector<Address>,
    /// The number that it expects next.
    pub next: u64,
    /// The last view or message that it accepted, to be resent if it is elected.
    pub last: Message<T>,
}

impl<T: Value> Machine for Gms3<T> {
    type State = State<T>;
    type Message = Message<T>;
    type Command = Command<T>;
    type Timer = Timer;
    type Stable = ();
    type Observation = Observation<T>;

    /// `start/1` without a contact, `start/2` with one.
    fn start(&self, boot: Boot<()>) -> Step<T> {
        let me = boot.me;
        let Some(contact) = boot.contact else {
            let founder = Leader { me, followers: Vector::new(), next: 1 };
            return (State::Leader(founder), vec![]);
        };
        let newcomer = Joining { me, deferred: Vector::new() };
        let effects = vec![
            send(contact, Message::Join(me)),
            Effect::SetTimer { timer: Timer::Join, after: JOIN_TIMEOUT },
        ];
        (State::Joining(newcomer), effects)
    }

    fn step(&self, state: State<T>, event: Event<T>) -> Step<T> {
        state.step(event)
    }
}

impl<T: Value> State<T> {
    fn step(self, event: Event<T>) -> Step<T> {
        match self {
            Self::Joining(newcomer) => newcomer.step(event),
            Self::Leader(leader) => leader.step(event),
            Self::Follower(follower) => follower.step(event),
        }
    }
}

/// The `receive` of `init/3`.
impl<T: Value> Joining<T> {
    fn step(self, event: Event<T>) -> Step<T> {
        match event {
            Event::Message { message: Message::View(view), .. } => self.join(view),
            Event::Timeout(Timer::Join) => self.give_up(),
            other @ (Event::Message {
                message: Message::Join(_) | Message::Mcast(_) | Message::Msg { .. },
                ..
            }
            | Event::Down(_)
            | Event::Command(_)) => self.defer(other),
        }
    }

    /// The first view, from any sender: the process becomes a follower and handles the deferred events.
    fn join(self, view: View) -> Step<T> {
        let mut effects = vec![
            Effect::CancelTimer(Timer::Join),
            Effect::Observe(Observation::Joined),
            Effect::Monitor(view.leader.into()),
            Effect::Observe(Observation::Installed(view.clone())),
        ];
        let mut state = State::Follower(Follower {
            me: self.me,
            leader: view.leader,
            followers: view.followers.clone(),
            next: after(view.number),
            last: Message::View(view),
        });
        for event in self.deferred {
            let (next_state, more) = state.step(event);
            state = next_state;
            effects.extend(more);
            if matches!(effects.last(), Some(Effect::Stop(_))) {
                break;
            }
        }
        (state, effects)
    }

    fn give_up(self) -> Step<T> {
        let reason = "no reply from leader";
        let effects =
            vec![Effect::Observe(Observation::Error(reason.into())), Effect::Stop(reason.into())];
        (State::Joining(self), effects)
    }

    fn defer(mut self, event: Event<T>) -> Step<T> {
        self.deferred.push_back(event);
        (State::Joining(self), vec![])
    }
}

/// `leader/4`.
impl Leader {
    fn step<T: Value>(self, event: Event<T>) -> Step<T> {
        match event {
            Event::Command(Command::Mcast(message))
            | Event::Message { message: Message::Mcast(message), .. } => self.mcast(message),
            Event::Message { message: Message::Join(peer), .. } => self.admit(peer),
            Event::Command(Command::Stop) => end(State::Leader(self), STOPPED_ON_COMMAND),
            Event::Message { message: Message::Msg { .. } | Message::View(_), .. }
            | Event::Down(_)
            | Event::Timeout(Timer::Join) => end(State::Leader(self), STRANGE),
        }
    }

    fn mcast<T: Value>(mut self, message: T) -> Step<T> {
        let number = self.next;
        self.next = after(self.next);
        let msg = Message::Msg { number, message: message.clone() };
        let mut effects = bcast(&msg, &self.followers);
        effects.push(Effect::Observe(Observation::Delivered { number, message }));
        (State::Leader(self), effects)
    }

    fn admit<T: Value>(mut self, peer: Address) -> Step<T> {
        self.followers.push_back(peer);
        let view = self.view();
        self.next = after(self.next);
        let mut effects = bcast(&Message::View(view.clone()), &self.followers);
        effects.push(Effect::Observe(Observation::Installed(view)));
        (State::Leader(self), effects)
    }

    /// The group as it is, under the next number.
    fn view(&self) -> View {
        View { number: self.next, leader: self.me, followers: self.followers.clone() }
    }
}

/// `slave/7`.
impl<T: Value> Follower<T> {
    fn step(self, event: Event<T>) -> Step<T> {
        match event {
            Event::Command(Command::Mcast(message))
            | Event::Message { message: Message::Mcast(message), .. } => {
                self.forward(Message::Mcast(message))
            }
            Event::Message { message: message @ Message::Join(_), .. } => self.forward(message),
            Event::Message {
                message: Message::Msg { number, .. } | Message::View(View { number, .. }),
                ..
            } if number < self.next => (State::Follower(self), vec![]),
            Event::Message { message: Message::Msg { number, message }, .. }
                if number == self.next =>
            {
                self.deliver(message)
            }
            Event::Message { message: Message::View(view), .. }
                if view.number == self.next && view.leader == self.leader =>
            {
                self.install(view)
            }
            Event::Message { message: Message::View(view), .. } if view.number == self.next => {
                self.follow(view)
            }
            Event::Down(peer) if peer == self.leader.into() => self.election(),
            Event::Command(Command::Stop) => end(State::Follower(self), STOPPED_ON_COMMAND),
            // A number greater than the next, or the Down of another process.
            Event::Message { message: Message::Msg { .. } | Message::View(_), .. }
            | Event::Down(_)
            | Event::Timeout(Timer::Join) => end(State::Follower(self), STRANGE),
        }
    }

    /// Forwards to the leader, alive or not.
    fn forward(self, message: Message<T>) -> Step<T> {
        let effects = vec![send(self.leader, message)];
        (State::Follower(self), effects)
    }

    fn deliver(mut self, message: T) -> Step<T> {
        let number = self.next;
        self.next = after(self.next);
        self.last = Message::Msg { number, message: message.clone() };
        let delivered = Observation::Delivered { number, message };
        (State::Follower(self), vec![Effect::Observe(delivered)])
    }

    /// The leader's next view.
    fn install(mut self, view: View) -> Step<T> {
        self.followers = view.followers.clone();
        self.next = after(self.next);
        self.last = Message::View(view.clone());
        let installed = Observation::Installed(view);
        (State::Follower(self), vec![Effect::Observe(installed)])
    }

    /// The first view of a new leader.
    fn follow(mut self, view: View) -> Step<T> {
        let mut effects =
            vec![Effect::Demonitor(self.leader.into()), Effect::Monitor(view.leader.into())];
        self.leader = view.leader;
        let (state, installed) = self.install(view);
        effects.extend(installed);
        (state, effects)
    }

    /// `election/5`: the leader is down, and the first of the followers is the next one.
    fn election(mut self) -> Step<T> {
        match self.followers.pop_front() {
            Some(first) if first == self.me => self.become_leader(),
            Some(first) => {
                self.leader = first;
                (State::Follower(self), vec![Effect::Monitor(first.into())])
            }
            None => end(State::Follower(self), "election: no followers"),
        }
    }

    /// Resends the last message or view, for the followers that the dead leader did not reach, then sends its own view.
    fn become_leader(self) -> Step<T> {
        let mut leader = Leader { me: self.me, followers: self.followers, next: self.next };
        let view = leader.view();
        leader.next = after(leader.next);
        let mut effects = bcast(&self.last, &leader.followers);
        effects.extend(bcast(&Message::View(view.clone()), &leader.followers));
        effects.push(Effect::Observe(Observation::Installed(view)));
        (State::Leader(leader), effects)
    }
}

/// The next number. The greatest one is its own successor, so that no number can make a step fail.
fn after(number: u64) -> u64 {
    number.saturating_add(1)
}

fn send<T>(to: Address, message: Message<T>) -> Effect<T> {
    Effect::Send { to: to.into(), message }
}

/// `bcast/3`: to each destination in order. The world may crash the sender between any two of them.
fn bcast<T: Value>(message: &Message<T>, to: &Vector<Address>) -> Vec<Effect<T>> {
    to.iter().map(|&peer| send(peer, message.clone())).collect()
}

/// The reason of the seed's last clause, `Error`: it prints "strange message" and does not loop.
const STRANGE: &str = "strange message";

/// The process ends; nothing else of the step happens.
fn end<T>(state: State<T>, reason: &'static str) -> Step<T> {
    (state, vec![Effect::Stop(reason.into())])
}
