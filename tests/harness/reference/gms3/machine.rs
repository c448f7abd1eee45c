//! gms3 as a pure machine: PROTOCOLS.md, section 1. And gms2, which has neither numbers nor a last
//! message.

pub type Node = u8;

/// A node in one life of it: processes are known by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub node: Node,
    pub life: u8,
}

/// Which stage of the course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// An election, but no numbers and no resend of the last message: survivors can disagree.
    Gms2,
    Gms3,
}

/// Views and messages share one numbering. In gms2 every number is 0, so that each is the one expected.
pub type Number = u8;

impl Version {
    /// The number of a founder's first view or message.
    pub fn first(self) -> Number {
        match self {
            Version::Gms2 => 0,
            Version::Gms3 => 1,
        }
    }

    pub fn next(self, number: Number) -> Number {
        match self {
            Version::Gms2 => number,
            Version::Gms3 => number + 1,
        }
    }

    /// The last view or message, kept for the election.
    pub fn last(self, msg: Message) -> Option<Message> {
        match self {
            Version::Gms2 => None,
            Version::Gms3 => Some(msg),
        }
    }
}

/// An application message: (node, i), i counting from 0 at that node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Payload(pub Node, pub u8);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    pub number: Number,
    pub leader: Address,
    pub followers: Vec<Address>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    Join(Address),
    Mcast(Payload),
    Msg(Payload, Number),
    View(View),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    Join,
}

/// The events of a running process. A start has no state yet: see [`start`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Message { from: Address, msg: Message },
    Down(Address),
    Timeout(Timer),
    Command(Payload),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Observation {
    Joined,
    Installed(View),
    Delivered(Payload),
    NoReplyFromLeader,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    Send(Address, Message),
    Monitor(Address),
    Demonitor(Address),
    SetTimer(Timer),
    CancelTimer(Timer),
    Observe(Observation),
    Stop,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Follower {
    pub leader: Address,
    pub followers: Vec<Address>,
    /// The number expected next.
    pub next: Number,
    /// The last view or message taken, verbatim. gms2 keeps none.
    pub last: Option<Message>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Process {
    Joining { deferred: Vec<Event> },
    Leader { followers: Vec<Address>, next: Number },
    Follower(Follower),
}

impl Process {
    /// The leader of a follower.
    pub fn follows(&self) -> Option<Address> {
        match self {
            Process::Follower(own) => Some(own.leader),
            Process::Joining { .. } | Process::Leader { .. } => None,
        }
    }
}

/// The next state and the effects, in order. After a `Stop` the state is of no interest.
pub type Stepped = (Process, Vec<Effect>);

/// Comes up and joins through a contact.
pub fn start(me: Address, contact: Address) -> Stepped {
    let ask = Effect::Send(contact, Message::Join(me));
    let deferred = Vec::new();
    let effects = vec![ask, Effect::SetTimer(Timer::Join)];
    (Process::Joining { deferred }, effects)
}

/// One step of a running process.
pub fn step(version: Version, me: Address, process: Process, event: Event) -> Stepped {
    match process {
        Process::Joining { deferred } => joining(version, me, deferred, event),
        Process::Leader { followers, next } => leader(version, me, followers, next, event),
        Process::Follower(own) => follower(version, me, own, event),
    }
}

fn joining(version: Version, me: Address, mut deferred: Vec<Event>, event: Event) -> Stepped {
    match event {
        Event::Message { msg: Message::View(view), .. } => enter(version, me, view, deferred),
        Event::Timeout(Timer::Join) => {
            let error = Effect::Observe(Observation::NoReplyFromLeader);
            (Process::Joining { deferred }, vec![error, Effect::Stop])
        }
        other => {
            deferred.push(other);
            (Process::Joining { deferred }, Vec::new())
        }
    }
}

/// The first view: become a follower, then take what was deferred in the same step.
fn enter(version: Version, me: Address, view: View, deferred: Vec<Event>) -> Stepped {
    let mut effects = vec![
        Effect::CancelTimer(Timer::Join),
        Effect::Observe(Observation::Joined),
        Effect::Monitor(view.leader),
        Effect::Observe(Observation::Installed(view.clone())),
    ];
    let mut process = Process::Follower(Follower {
        leader: view.leader,
        followers: view.followers.clone(),
        next: version.next(view.number),
        last: version.last(Message::View(view)),
    });
    for event in deferred {
        let (after, more) = step(version, me, process, event);
        process = after;
        effects.extend(more);
        if effects.last() == Some(&Effect::Stop) {
            break;
        }
    }
    (process, effects)
}

fn leader(
    version: Version,
    me: Address,
    mut followers: Vec<Address>,
    next: Number,
    event: Event,
) -> Stepped {
    let (msg, seen) = match event {
        Event::Command(payload) | Event::Message { msg: Message::Mcast(payload), .. } => {
            (Message::Msg(payload, next), Observation::Delivered(payload))
        }
        Event::Message { msg: Message::Join(peer), .. } => {
            followers.push(peer);
            let view = View { number: next, leader: me, followers: followers.clone() };
            (Message::View(view.clone()), Observation::Installed(view))
        }
        _ => return dies(Process::Leader { followers, next }),
    };
    let mut effects = Vec::with_capacity(followers.len() + 1);
    effects.extend(to_each(&followers, &msg));
    effects.push(Effect::Observe(seen));
    let next = version.next(next);
    (Process::Leader { followers, next }, effects)
}

fn follower(version: Version, me: Address, own: Follower, event: Event) -> Stepped {
    match event {
        Event::Command(payload) => pass_on(own, Message::Mcast(payload)),
        Event::Message { msg, .. } => match msg {
            Message::Mcast(_) | Message::Join(_) => pass_on(own, msg),
            Message::Msg(_, number) | Message::View(View { number, .. }) if number < own.next => {
                (Process::Follower(own), Vec::new())
            }
            Message::Msg(payload, number) if number == own.next => deliver(version, own, payload),
            Message::View(view) if view.number == own.next => install(version, own, view),
            Message::Msg(..) | Message::View(_) => dies(Process::Follower(own)),
        },
        Event::Down(peer) if peer == own.leader => election(version, me, own),
        Event::Down(_) | Event::Timeout(_) => dies(Process::Follower(own)),
    }
}

/// Sends a request on to the leader, alive or not.
fn pass_on(own: Follower, msg: Message) -> Stepped {
    let effects = vec![Effect::Send(own.leader, msg)];
    (Process::Follower(own), effects)
}

fn deliver(version: Version, mut own: Follower, payload: Payload) -> Stepped {
    own.last = version.last(Message::Msg(payload, own.next));
    own.next = version.next(own.next);
    let effects = vec![Effect::Observe(Observation::Delivered(payload))];
    (Process::Follower(own), effects)
}

fn install(version: Version, mut own: Follower, view: View) -> Stepped {
    let mut effects = Vec::new();
    if view.leader != own.leader {
        effects.push(Effect::Demonitor(own.leader));
        effects.push(Effect::Monitor(view.leader));
        own.leader = view.leader;
    }
    effects.push(Effect::Observe(Observation::Installed(view.clone())));
    own.followers.clone_from(&view.followers);
    own.next = version.next(own.next);
    own.last = version.last(Message::View(view));
    (Process::Follower(own), effects)
}

/// The leader is down: the first of the followers leads.
fn election(version: Version, me: Address, mut own: Follower) -> Stepped {
    if own.followers.is_empty() {
        return dies(Process::Follower(own));
    }
    let first = own.followers.remove(0);
    if first != me {
        own.leader = first;
        return (Process::Follower(own), vec![Effect::Monitor(first)]);
    }
    let followers = own.followers;
    let view = View { number: own.next, leader: me, followers: followers.clone() };
    let announce = Message::View(view.clone());
    let mut effects = Vec::with_capacity(2 * followers.len() + 1);
    effects.extend(own.last.iter().flat_map(|last| to_each(&followers, last)));
    effects.extend(to_each(&followers, &announce));
    effects.push(Effect::Observe(Observation::Installed(view)));
    let next = version.next(own.next);
    (Process::Leader { followers, next }, effects)
}

fn to_each(those: &[Address], msg: &Message) -> impl Iterator<Item = Effect> {
    those.iter().map(|&to| Effect::Send(to, msg.clone()))
}

/// A strange message: the single effect is `Stop`.
fn dies(process: Process) -> Stepped {
    (process, vec![Effect::Stop])
}
