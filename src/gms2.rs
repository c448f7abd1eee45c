//! gms2: a group membership service that elects a new leader, but loses messages in transit. It shows why gms3 needs
//! numbers.
//!
//! **Source.** The second of the three versions in the course; [gms3](crate::gms3) is the third. gms2 is gms3 without
//! numbers and without the resending by a new leader. It is described here by its differences to gms3, which has the
//! text of the seed.
//!
//! **Protocol.** As in gms3, but messages and views have no numbers, and a follower accepts all of them. When the
//! leader crashes, the first follower sends its own view and nothing else. A message that the old leader had sent to
//! only some followers is delivered by these and never by the others: no process detects the loss, and none has kept
//! the message. So survivors can disagree.
//!
//! **Assumptions.** Those of gms3: reliable FIFO links, a perfect failure detector, and `Down` after the last message
//! of the crashed process.
//!
//! **Deviations from the seed.** Those of gms3: views are observed, and a process that receives a "strange message"
//! ends.

pub use crate::gms3::{Command, JOIN_TIMEOUT, STOPPED_ON_COMMAND, Timer};

use crate::machine::{self, Address, Boot, Machine, Value};
use im::Vector;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, marker::PhantomData};

/// The protocol; `T` is the type of the multicast messages.
///
/// # Example
///
/// The first follower becomes the leader, and does not resend the last message:
///
/// ```
/// use interrex::{gms2::*, machine::{Event, Machine, NodeId}};
///
/// let gms2 = Gms2::<String>::default();
/// let [n0, n1, n2] = [0, 1, 2].map(|node| NodeId(node).first_life());
/// let follower = Follower { me: n1, leader: n0, followers: [n1, n2].into_iter().collect() };
/// let (follower, _) = gms2.step(
///     State::Follower(follower),
///     Event::Message { from: n0, message: Message::Msg("hello".into()) },
/// );
/// let (_, effects) = gms2.step(follower, Event::Down(n0.into()));
///
/// let view = View { leader: n1, followers: [n2].into_iter().collect() };
/// assert_eq!(effects, [
///     Effect::Send { to: n2.into(), message: Message::View(view.clone()) },
///     Effect::Observe(Observation::Installed(view)),
/// ]);
/// ```
#[derive(Clone, Debug)]
pub struct Gms2<T>(PhantomData<T>);

impl<T> Default for Gms2<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// The messages between processes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message<T> {
    /// From a newcomer to its contact, which forwards it to the leader: a request to join.
    Join(Address),
    /// From a follower to the leader: a request to multicast.
    Mcast(T),
    /// From the leader to each follower, which delivers it.
    Msg(T),
    /// From the leader to each follower, which installs it.
    View(View),
}

/// The membership of the group, announced by its leader.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct View {
    /// The leader.
    pub leader: Address,
    /// The followers, by seniority. Crashed followers are never removed.
    pub followers: Vector<Address>,
}

/// The observations emitted to the local application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation<T> {
    /// The first view has arrived: this process is a member.
    Joined,
    /// A multicast was delivered.
    Delivered(T),
    /// A view was installed. Leaders observe their own views.
    Installed(View),
    /// The process ends because it received no view in time.
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
    /// Sends views and messages.
    Leader(Leader),
    /// Accepts them in the order of arrival.
    Follower(Follower),
}

/// A newcomer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "T: Value")]
pub struct Joining<T> {
    /// Its own address.
    pub me: Address,
    /// The events before the first view, in the order of arrival.
    pub deferred: Vector<Event<T>>,
}

/// The leader.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Leader {
    /// Its own address.
    pub me: Address,
    /// The others, by seniority.
    pub followers: Vector<Address>,
}

/// A follower (the seed's slave).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Follower {
    /// Its own address.
    pub me: Address,
    /// The leader, which it monitors.
    pub leader: Address,
    /// The followers of the current view, itself among them, by seniority.
    pub followers: Vector<Address>,
}

impl<T: Value> Machine for Gms2<T> {
    type State = State<T>;
    type Message = Message<T>;
    type Command = Command<T>;
    type Timer = Timer;
    type Stable = ();
    type Observation = Observation<T>;

    fn start(&self, boot: Boot<()>) -> Step<T> {
        let me = boot.me;
        let Some(contact) = boot.contact else {
            return (State::Leader(Leader { me, followers: Vector::new() }), vec![]);
        };
        let effects = vec![
            send(contact, Message::Join(me)),
            Effect::SetTimer { timer: Timer::Join, after: JOIN_TIMEOUT },
        ];
        (State::Joining(Joining { me, deferred: Vector::new() }), effects)
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

impl<T: Value> Joining<T> {
    fn step(self, event: Event<T>) -> Step<T> {
        match event {
            Event::Message { message: Message::View(view), .. } => self.join(view),
            Event::Timeout(Timer::Join) => self.give_up(),
            other @ (Event::Message {
                message: Message::Join(_) | Message::Mcast(_) | Message::Msg(_),
                ..
            }
            | Event::Down(_)
            | Event::Command(_)) => self.defer(other),
        }
    }

    /// Handles the first view: the process becomes a follower, and handles the deferred events.
    fn join(self, view: View) -> Step<T> {
        let mut effects = vec![
            Effect::CancelTimer(Timer::Join),
            Effect::Observe(Observation::Joined),
            Effect::Monitor(view.leader.into()),
            Effect::Observe(Observation::Installed(view.clone())),
        ];
        let View { leader, followers } = view;
        let mut state = State::Follower(Follower { me: self.me, leader, followers });
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

impl Leader {
    fn step<T: Value>(self, event: Event<T>) -> Step<T> {
        match event {
            Event::Command(Command::Mcast(message))
            | Event::Message { message: Message::Mcast(message), .. } => self.mcast(message),
            Event::Message { message: Message::Join(peer), .. } => self.admit(peer),
            Event::Command(Command::Stop) => end(State::Leader(self), STOPPED_ON_COMMAND),
            Event::Message { message: Message::Msg(_) | Message::View(_), .. }
            | Event::Down(_)
            | Event::Timeout(Timer::Join) => end(State::Leader(self), STRANGE),
        }
    }

    fn mcast<T: Value>(self, message: T) -> Step<T> {
        let mut effects = bcast(&Message::Msg(message.clone()), &self.followers);
        effects.push(Effect::Observe(Observation::Delivered(message)));
        (State::Leader(self), effects)
    }

    fn admit<T: Value>(mut self, peer: Address) -> Step<T> {
        self.followers.push_back(peer);
        self.announce()
    }

    /// Sends its view to each follower.
    fn announce<T: Value>(self) -> Step<T> {
        let view = View { leader: self.me, followers: self.followers.clone() };
        let mut effects = bcast(&Message::View(view.clone()), &self.followers);
        effects.push(Effect::Observe(Observation::Installed(view)));
        (State::Leader(self), effects)
    }
}

impl Follower {
    fn step<T: Value>(self, event: Event<T>) -> Step<T> {
        match event {
            Event::Command(Command::Mcast(message))
            | Event::Message { message: Message::Mcast(message), .. } => {
                self.forward(Message::Mcast(message))
            }
            Event::Message { message: message @ Message::Join(_), .. } => self.forward(message),
            Event::Message { message: Message::Msg(message), .. } => {
                let delivered = Effect::Observe(Observation::Delivered(message));
                (State::Follower(self), vec![delivered])
            }
            Event::Message { message: Message::View(view), .. } if view.leader == self.leader => {
                self.install(view)
            }
            Event::Message { message: Message::View(view), .. } => self.follow(view),
            Event::Down(peer) if peer == self.leader.into() => self.election(),
            Event::Command(Command::Stop) => end(State::Follower(self), STOPPED_ON_COMMAND),
            // A Down of another process than the leader.
            Event::Down(_) | Event::Timeout(Timer::Join) => end(State::Follower(self), STRANGE),
        }
    }

    /// Forwards to the current leader, which may have crashed.
    fn forward<T>(self, message: Message<T>) -> Step<T> {
        let effects = vec![send(self.leader, message)];
        (State::Follower(self), effects)
    }

    /// Installs the next view of the leader.
    fn install<T>(mut self, view: View) -> Step<T> {
        self.followers = view.followers.clone();
        (State::Follower(self), vec![Effect::Observe(Observation::Installed(view))])
    }

    /// Installs the first view of a new leader.
    fn follow<T>(mut self, view: View) -> Step<T> {
        let mut effects =
            vec![Effect::Demonitor(self.leader.into()), Effect::Monitor(view.leader.into())];
        self.leader = view.leader;
        let (state, installed) = self.install(view);
        effects.extend(installed);
        (state, effects)
    }

    /// Handles the `Down` of the leader. The first follower is the next leader, and resends nothing.
    fn election<T: Value>(mut self) -> Step<T> {
        match self.followers.pop_front() {
            Some(first) if first == self.me => {
                Leader { me: self.me, followers: self.followers }.announce()
            }
            Some(first) => {
                self.leader = first;
                (State::Follower(self), vec![Effect::Monitor(first.into())])
            }
            None => end(State::Follower(self), "election: no followers"),
        }
    }
}

fn send<T>(to: Address, message: Message<T>) -> Effect<T> {
    Effect::Send { to: to.into(), message }
}

/// Sends to each in order. The sender may crash between any two sends.
fn bcast<T: Value>(message: &Message<T>, to: &Vector<Address>) -> Vec<Effect<T>> {
    to.iter().map(|&peer| send(peer, message.clone())).collect()
}

/// The reason for ending on an unexpected event.
const STRANGE: &str = "strange message";

/// Ends the process. The step has no other effect.
fn end<T>(state: State<T>, reason: &'static str) -> Step<T> {
    (state, vec![Effect::Stop(reason.into())])
}
