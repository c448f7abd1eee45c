//! gms2: a group membership service that elects, and forgets what was under way. It shows what gms3's numbers are for.
//!
//! **Source.** The second of the three versions of the course that [gms3](crate::gms3) is the third of: gms3 without
//! numbers, and without what a new leader resends. It is described here as a difference to gms3, whose text is the seed.
//!
//! **Protocol.** As in gms3, but messages and views carry no number, and whatever arrives is taken. When the leader
//! dies, the first of the followers sends its own view and nothing else. A message that the dead leader had sent to some
//! of them only is delivered by these, and never by the others: nobody can tell that it is missing, and nobody has kept
//! it. So survivors can disagree.
//!
//! **Assumptions.** Those of gms3: reliable FIFO links, a detector that never errs, `Down` after the dead process's last
//! message.
//!
//! **Deviations from the seed.** Those of gms3: views are observed, and a process that meets a "strange message" ends.

pub use crate::gms3::{Command, JOIN_TIMEOUT, STOPPED_ON_COMMAND, Timer};

use crate::machine::{self, Address, Boot, Machine, Value};
use im::Vector;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, marker::PhantomData};

/// The protocol; `T` is what the application multicasts.
///
/// # Example
///
/// The first of the followers takes over, and says nothing of what was multicast before:
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

/// What processes send each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message<T> {
    /// From a newcomer to its contact, and on to the leader: this process wants to be a member.
    Join(Address),
    /// From a follower to the leader: multicast this.
    Mcast(T),
    /// From the leader to each follower, who delivers it.
    Msg(T),
    /// From the leader to each follower, who installs it.
    View(View),
}

/// The group, as its leader announces it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct View {
    /// The leader.
    pub leader: Address,
    /// The followers, by seniority. The dead are never taken out.
    pub followers: Vector<Address>,
}

/// What the local application is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation<T> {
    /// The first view has arrived: this process is a member.
    Joined,
    /// A multicast.
    Delivered(T),
    /// A view is in force. Leaders observe their own.
    Installed(View),
    /// The process ends because nobody answered.
    Error(Cow<'static, str>),
}

/// An event of this protocol.
pub type Event<T> = machine::Event<Message<T>, Command<T>, Timer>;
/// An effect of this protocol.
pub type Effect<T> = machine::Effect<Message<T>, Timer, (), Observation<T>>;
/// What a step gives.
type Step<T> = (State<T>, Vec<Effect<T>>);

/// What a process knows; its role decides which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound = "T: Value")]
pub enum State<T> {
    /// Waits for its first view.
    Joining(Joining<T>),
    /// Sends views and messages.
    Leader(Leader),
    /// Takes them as they come.
    Follower(Follower),
}

/// A newcomer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "T: Value")]
pub struct Joining<T> {
    /// Its own address.
    pub me: Address,
    /// What arrived before the first view, as it arrived.
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

    /// The first view: whoever sent it, the process is a follower now, and turns to what waited.
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

    /// Its view, to each follower.
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
            // Somebody else's Down.
            Event::Down(_) | Event::Timeout(Timer::Join) => end(State::Follower(self), STRANGE),
        }
    }

    /// To the leader, whoever that is, alive or not.
    fn forward<T>(self, message: Message<T>) -> Step<T> {
        let effects = vec![send(self.leader, message)];
        (State::Follower(self), effects)
    }

    /// The leader's next view.
    fn install<T>(mut self, view: View) -> Step<T> {
        self.followers = view.followers.clone();
        (State::Follower(self), vec![Effect::Observe(Observation::Installed(view))])
    }

    /// The first view of a new leader.
    fn follow<T>(mut self, view: View) -> Step<T> {
        let mut effects =
            vec![Effect::Demonitor(self.leader.into()), Effect::Monitor(view.leader.into())];
        self.leader = view.leader;
        let (state, installed) = self.install(view);
        effects.extend(installed);
        (state, effects)
    }

    /// The leader is down, and the first of the followers is the next one. It resends nothing.
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

/// To each in order. Between any two the world may crash the sender.
fn bcast<T: Value>(message: &Message<T>, to: &Vector<Address>) -> Vec<Effect<T>> {
    to.iter().map(|&peer| send(peer, message.clone())).collect()
}

/// Why a process ends over an event that it has no clause for.
const STRANGE: &str = "strange message";

/// The process ends; nothing else of the step happens.
fn end<T>(state: State<T>, reason: &'static str) -> Step<T> {
    (state, vec![Effect::Stop(reason.into())])
}
