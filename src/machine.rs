//! The only interface between a protocol and the code that runs it.
//!
//! A protocol is a [`Machine`]: given its configuration, a state and one [`Event`], it returns the next state and an
//! ordered list of [`Effect`]s. It is total (it never panics and never fails) and deterministic, and it consults nothing
//! but its arguments. The model checker, a replayed trace, or an adapter with sockets drives it: each carries the effects
//! out *in their order* and hands in the events that follow.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{borrow::Cow, fmt, fmt::Debug, hash::Hash, str::FromStr, time::Duration};

/// The traits of all parts of a machine: its values can be compared, hashed, ordered, copied and serialised.
///
/// Derive all of them. A hand-written `Hash` or `Eq` that leaves out a field makes two different worlds look the same to a
/// checker. Implemented for every type that has these traits.
pub trait Value:
    Clone + Debug + Eq + Ord + Hash + Serialize + DeserializeOwned + Send + Sync + 'static
{
}
impl<T> Value for T where
    T: Clone + Debug + Eq + Ord + Hash + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// A place where a process can run, identified by its number. Numbers count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

/// A process: a node in one of its lives (Erlang: a process identifier).
///
/// A message to an address whose life is over is lost, even if the node is up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The node.
    pub node: NodeId,
    /// The number of the life. A later life has a greater number. In the model the first one is 0 and the next ones count
    /// up; a real node may skip numbers.
    pub life: u64,
}

/// The destination of an [`Effect::Send`], or the target of an [`Effect::Monitor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// The process that runs at the node now (Erlang: a registered name).
    Name(NodeId),
    /// One process, in one life of its node (Erlang: a process identifier).
    Process(Address),
}

impl Peer {
    /// The node, in any life.
    #[must_use]
    pub const fn node(self) -> NodeId {
        match self {
            Self::Name(node) => node,
            Self::Process(address) => address.node,
        }
    }
}

impl From<Address> for Peer {
    fn from(address: Address) -> Self {
        Self::Process(address)
    }
}

impl NodeId {
    /// This node in its first life.
    #[must_use]
    pub const fn first_life(self) -> Address {
        Address { node: self, life: 0 }
    }
}

/// An input of a running process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event<Message, Command, Timer> {
    /// A message arrived.
    Message {
        /// The process that sent it.
        from: Address,
        /// The message.
        message: Message,
    },
    /// A monitored process has ended, according to the failure detector. It carries the name of the
    /// [`Effect::Monitor`], and comes once for each.
    Down(Peer),
    /// An armed timer fired; it is no longer armed.
    Timeout(Timer),
    /// A request of the local application.
    Command(Command),
}

/// An output of a step. Effects are carried out in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect<Message, Timer, Stable, Observation> {
    /// Put a message on the link to `to`.
    Send {
        /// The destination.
        to: Peer,
        /// The message.
        message: Message,
    },
    /// Monitor a process: [`Event::Down`] when it has ended, at once if it has ended already.
    Monitor(Peer),
    /// End the monitor of exactly this name, and remove a `Down` of that name that is already under way. A monitor of the
    /// same process under the other kind of name stays as it is.
    Demonitor(Peer),
    /// Arm a timer, or arm it again.
    SetTimer {
        /// The timer.
        timer: Timer,
        /// The time until it fires; in JSON, whole milliseconds. A model knows only that it is armed.
        #[serde(rename = "after_ms", with = "milliseconds")]
        after: Duration,
    },
    /// Disarm a timer.
    CancelTimer(Timer),
    /// Store this, before any later effect is carried out. It replaces what stable storage holds, unless the machine
    /// [says otherwise](Machine::stored).
    Persist(Stable),
    /// Report something to the local application.
    Observe(Observation),
    /// The process ends itself, for a reason that people read. The state that the step returned is dropped, and so are later
    /// effects.
    Stop(Cow<'static, str>),
}

/// The argument of [`Machine::start`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Boot<Stable> {
    /// Its own address, in the life that begins.
    pub me: Address,
    /// The content of stable storage; none if nothing was persisted.
    pub stable: Option<Stable>,
    /// The process to join the group through. Without one, the process founds a group.
    pub contact: Option<Address>,
}

/// The event type of a machine.
pub type EventOf<M> =
    Event<<M as Machine>::Message, <M as Machine>::Command, <M as Machine>::Timer>;

/// The effect type of a machine.
pub type EffectOf<M> = Effect<
    <M as Machine>::Message,
    <M as Machine>::Timer,
    <M as Machine>::Stable,
    <M as Machine>::Observation,
>;

/// A protocol, as the behaviour of one process.
///
/// Starting is a function of its own rather than an event. So there is no state "not started yet" in which every protocol
/// would have to define every event.
///
/// # Example
///
/// A machine that adds up the numbers that it gets, and answers with the sum:
///
/// ```
/// use interrex::machine::*;
///
/// struct Counter;
/// impl Machine for Counter {
///     type State = u32;
///     type Message = u32;
///     type Command = ();
///     type Timer = ();
///     type Stable = ();
///     type Observation = ();
///
///     fn start(&self, _: Boot<()>) -> (u32, Vec<EffectOf<Self>>) {
///         (0, vec![])
///     }
///     fn step(&self, count: u32, event: EventOf<Self>) -> (u32, Vec<EffectOf<Self>>) {
///         match event {
///             Event::Message { from, message } => {
///                 let count = count + message;
///                 (count, vec![Effect::Send { to: from.into(), message: count }])
///             }
///             Event::Down(_) | Event::Timeout(()) | Event::Command(()) => (count, vec![]),
///         }
///     }
/// }
///
/// let from = NodeId(1).first_life();
/// let (state, effects) = Counter.step(40, Event::Message { from, message: 2 });
/// assert_eq!(state, 42);
/// assert_eq!(serde_json::to_string(&effects)?, r#"[{"send":{"to":"n1","message":42}}]"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub trait Machine {
    /// The state of a running process.
    type State: Value;
    /// The messages between processes.
    type Message: Value;
    /// The requests of the local application.
    type Command: Value;
    /// The names of the timers.
    type Timer: Value;
    /// The value that survives a crash.
    type Stable: Value;
    /// The reports to the local application.
    type Observation: Value;

    /// Starts a process: its first state, and its first effects.
    fn start(&self, boot: Boot<Self::Stable>) -> (Self::State, Vec<EffectOf<Self>>);

    /// Handles one event: the next state, and the effects.
    fn step(&self, state: Self::State, event: EventOf<Self>) -> (Self::State, Vec<EffectOf<Self>>);

    /// The content of stable storage after an [`Effect::Persist`]. By default the persisted value replaces it.
    ///
    /// A machine that stores much persists only changes. This function applies a change to the content before. The result
    /// is complete: applied to empty storage, it gives itself. Like the other functions of a machine, this one is
    /// deterministic and never panics.
    fn stored(&self, _before: Option<Self::Stable>, persisted: Self::Stable) -> Self::Stable {
        persisted
    }

    /// True if a process that starts with this in its storage finds its group by itself. It is started without a
    /// [contact](Boot::contact) then.
    fn finds_its_group(&self, _stored: &Self::Stable) -> bool {
        false
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("n{}", self.0))
    }
}

/// `n1` in life 0, `n1#1` in life 1.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.life {
            0 => write!(f, "{}", self.node),
            life => write!(f, "{}#{life}", self.node),
        }
    }
}

/// An address as `n1#1`, a name as `@n1`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(node) => write!(f, "@{node}"),
            Self::Process(address) => write!(f, "{address}"),
        }
    }
}

/// A text that is not a node, an address or a peer. Each has exactly one text: `n01` is not a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    text: String,
    /// The expected form.
    expected: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, expected } = self;
        write!(f, "`{text}` is not a node: expected {expected}")
    }
}

impl std::error::Error for ParseError {}

impl FromStr for NodeId {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let number = text.strip_prefix('n').and_then(|digits| digits.parse().ok());
        let node = number.map(Self).filter(|node| node.to_string() == text);
        node.ok_or_else(|| ParseError { text: text.into(), expected: "`n0`, `n1`, …" })
    }
}

impl FromStr for Address {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (node, life) = text.split_once('#').unwrap_or((text, "0"));
        let address = node.parse().ok().zip(life.parse().ok());
        let address = address.map(|(node, life)| Self { node, life });
        address.filter(|address| address.to_string() == text).ok_or_else(|| ParseError {
            text: text.into(),
            expected: "`n0`, or `n1#2` (in its life 2)",
        })
    }
}

impl FromStr for Peer {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let peer = match text.strip_prefix('@') {
            Some(name) => name.parse().map(Self::Name),
            None => text.parse().map(Self::Process),
        };
        peer.map_err(|_| ParseError {
            text: text.into(),
            expected: "`n0`, `n1#2` (in its life 2) or `@n1` (by name)",
        })
    }
}

mod milliseconds {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(super) fn serialize<S: Serializer>(after: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(after.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

/// Text in human-readable formats (JSON, TOML), numbers in binary ones.
macro_rules! serde_as_text {
    ($($name:ident as $numbers:ty { $from:expr, $into:expr })*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    let into: fn($name) -> $numbers = $into;
                    into(*self).serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = String::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    let from: fn($numbers) -> $name = $from;
                    <$numbers>::deserialize(deserializer).map(from)
                }
            }
        }
    )*};
}

serde_as_text! {
    NodeId as u16 { NodeId, |id| id.0 }
    Address as (u16, u64) {
        |(node, life)| Address { node: NodeId(node), life },
        |address| (address.node.0, address.life)
    }
    Peer as (u16, Option<u64>) {
        |(node, life)| match life {
            Some(life) => Peer::Process(Address { node: NodeId(node), life }),
            None => Peer::Name(NodeId(node)),
        },
        |peer| match peer {
            Peer::Name(node) => (node.0, None),
            Peer::Process(address) => (address.node.0, Some(address.life)),
        }
    }
}
