//! The names of a protocol's roles, messages, commands, timers and observations, which coverage counts.

use derive_where::derive_where;
use interrex::machine::Machine;

/// The names of a protocol's roles, messages, commands, timers and observations.
///
/// They are listed by [`names!`](crate::names) and not taken from serde: coverage must also know the names that never
/// occur, and serde does not list these.
#[derive_where(Clone, Debug)]
pub struct Vocabulary<M: Machine> {
    /// The role of a process in a state.
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

    /// All names, in the given order.
    #[must_use]
    pub fn all(&self) -> &[&'static str] {
        &self.all
    }

    /// The name of a value's variant: one of [all](Self::all).
    pub fn of(&self, value: &T) -> &'static str {
        (self.of)(value)
    }
}

/// Makes [`Names`] from patterns and their names. The list of names and the match on the values come
/// from the same lines. So no name is missing from the list, and a new variant breaks the build. Do
/// not use wildcard patterns: they would defeat this check.
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
/// // A wrapped type contributes its names after the others.
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
