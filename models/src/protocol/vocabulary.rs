//! The names of a protocol's roles, messages and so on, for coverage.

use derive_where::derive_where;
use interrex::machine::Machine;

/// The names of a protocol's roles, and of the variants of its events and effects.
///
/// They are listed by [`names!`](crate::names) and not taken from serde: the harness must also know names
/// that never occur, and serde does not list them.
#[derive_where(Clone, Debug)]
pub struct Vocabulary<M: Machine> {
    /// The role that a process has in a state.
    pub roles: Names<M::State>,
    /// Its messages.
    pub messages: Names<M::Message>,
    /// Its commands.
    pub commands: Names<M::Command>,
    /// Its timers.
    pub timers: Names<M::Timer>,
    /// Its observations.
    pub observations: Names<M::Observation>,
}

/// A name for each variant of a type. Only [`names!`](crate::names) makes them.
#[derive_where(Clone, Debug)]
pub struct Names<T> {
    all: Vec<&'static str>,
    of: fn(&T) -> &'static str,
}

impl<T> Names<T> {
    #[doc(hidden)]
    #[must_use]
    pub fn new(all: Vec<&'static str>, of: fn(&T) -> &'static str) -> Self {
        Self { all, of }
    }

    /// All of them, in the order given.
    #[must_use]
    pub fn all(&self) -> &[&'static str] {
        &self.all
    }

    /// The name of a value's variant: one of [all](Self::all).
    pub fn of(&self, value: &T) -> &'static str {
        (self.of)(value)
    }
}

/// Makes [`Names`] of patterns and their names. The list of names and the match over the values are
/// made from the same lines: so none can be missing from the list, and a new variant breaks the build.
/// Leave out wildcard patterns, which would spoil that.
///
/// # Example
///
/// ```
/// use interrex_models::{names, protocol::Names};
///
/// enum Message { Join, Mcast(u32) }
/// let names: Names<Message> = names!(Message::Join => "join", Message::Mcast(_) => "mcast");
/// assert_eq!(names.all(), ["join", "mcast"]);
/// assert_eq!(names.of(&Message::Mcast(7)), "mcast");
///
/// // What is wrapped has the names of what is inside, behind the others.
/// enum Frame { Hello, Message(Message) }
/// fn names_of_messages() -> Names<Message> {
///     names!(Message::Join => "join", Message::Mcast(_) => "mcast")
/// }
/// let names: Names<Frame> = names!(
///     Frame::Hello => "hello";
///     Frame::Message(message) => (names_of_messages()) of message
/// );
/// assert_eq!(names.all(), ["hello", "join", "mcast"]);
/// assert_eq!(names.of(&Frame::Message(Message::Join)), "join");
/// ```
#[macro_export]
macro_rules! names {
    ($($variant:pat => $name:literal),* $(,)? $(; $wrap:pat => ($names:expr) of $inner:expr)?) => {
        $crate::protocol::Names::new(
            [&[$($name),*][..] $(, $names.all())?].concat(),
            |value| match value { $($variant => $name,)* $($wrap => $names.of($inner),)? },
        )
    };
}
