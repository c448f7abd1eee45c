//! Attributes a panic in a node's task to the component that has panicked.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

/// A component of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Component {
    /// The [`Machine`](crate::machine::Machine).
    Machine,
    /// A stream of the [`Transport`](super::Transport).
    Transport,
    /// The [`Detector`](super::Detector).
    Detector,
    /// The [`Storage`](super::Storage).
    Storage,
    /// The adapter itself, or a trait of the machine's types, such as `Serialize` or `Clone`.
    Adapter,
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "the machine",
            Self::Transport => "the transport",
            Self::Detector => "the failure detector",
            Self::Storage => "the storage",
            Self::Adapter => "the adapter",
        })
    }
}

/// The payload of a panic whose component is known.
struct Attributed {
    component: Component,
    message: String,
}

impl Component {
    /// Runs code of this component. A panic in it goes on, with a payload that names the component.
    pub(super) fn run<R>(self, code: impl FnOnce() -> R) -> R {
        catch_unwind(AssertUnwindSafe(code)).unwrap_or_else(|payload| {
            let message = message(&*payload);
            resume_unwind(Box::new(Attributed { component: self, message }))
        })
    }

    /// The component that has panicked, and its message.
    pub(super) fn of_panic(payload: Box<dyn Any + Send>) -> (Self, String) {
        match payload.downcast::<Attributed>() {
            Ok(attributed) => (attributed.component, attributed.message),
            Err(payload) => (Self::Adapter, message(&*payload)),
        }
    }
}

/// The message of `panic!`, which is one of two types.
fn message(payload: &(dyn Any + Send)) -> String {
    let literal = payload.downcast_ref::<&str>().map(ToString::to_string);
    let formatted = || payload.downcast_ref::<String>().cloned();
    literal.or_else(formatted).unwrap_or_else(|| "no message".into())
}
