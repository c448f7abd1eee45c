//! What can happen next, as schedules and traces name it.

use crate::environment::Budget;
use interrex::machine::{Machine, NodeId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Action<Timer> {
    /// What happens.
    pub choice: Choice<Timer>,
    /// Only the first k effects of the step happen, and then its node crashes.
    pub crash_after: Option<usize>,
}

/// What the environment may choose to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice<Timer> {
    /// An idle node comes up.
    Start {
        /// Which.
        node: NodeId,
        /// Through whom it joins, where the protocol joins through somebody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contact: Option<NodeId>,
    },
    /// The application at a node asks for the next thing.
    Command {
        /// Which.
        node: NodeId,
    },
    /// The head of a link arrives.
    Deliver {
        /// Whose signal it is.
        from: NodeId,
        /// Who takes it.
        to: NodeId,
    },
    /// An armed timer fires.
    Timeout {
        /// Whose timer it is.
        node: NodeId,
        /// Which.
        timer: Timer,
    },
    /// A node crashes between two steps.
    Crash {
        /// Which.
        node: NodeId,
    },
    /// A crashed node comes up again.
    Restart {
        /// Which.
        node: NodeId,
        /// Through whom it joins anew, where the protocol joins through somebody.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contact: Option<NodeId>,
    },
}

/// An action of a machine.
pub type ActionOf<M> = Action<<M as Machine>::Timer>;
/// A choice of a machine.
pub type ChoiceOf<M> = Choice<<M as Machine>::Timer>;

impl<Timer> Choice<Timer> {
    /// The node at which it happens.
    pub fn node(&self) -> NodeId {
        match self {
            Self::Start { node, .. }
            | Self::Command { node }
            | Self::Deliver { to: node, .. }
            | Self::Timeout { node, .. }
            | Self::Crash { node }
            | Self::Restart { node, .. } => *node,
        }
    }

    /// Whose signal it delivers, if it does.
    pub fn sender(&self) -> Option<NodeId> {
        match self {
            Self::Deliver { from, .. } => Some(*from),
            Self::Start { .. }
            | Self::Command { .. }
            | Self::Timeout { .. }
            | Self::Crash { .. }
            | Self::Restart { .. } => None,
        }
    }

    /// The same, with its timer written in another way.
    ///
    /// # Errors
    /// What `timer` fails with.
    pub fn try_map_timer<T, E>(
        self,
        timer: impl FnOnce(Timer) -> Result<T, E>,
    ) -> Result<Choice<T>, E> {
        Ok(match self {
            Self::Start { node, contact } => Choice::Start { node, contact },
            Self::Command { node } => Choice::Command { node },
            Self::Deliver { from, to } => Choice::Deliver { from, to },
            Self::Timeout { node, timer: name } => Choice::Timeout { node, timer: timer(name)? },
            Self::Crash { node } => Choice::Crash { node },
            Self::Restart { node, contact } => Choice::Restart { node, contact },
        })
    }

    /// All nodes that it names.
    pub fn nodes(&self) -> Vec<NodeId> {
        match self {
            Self::Start { node, contact } | Self::Restart { node, contact } => {
                [*node].into_iter().chain(*contact).collect()
            }
            Self::Deliver { from, to } => vec![*from, *to],
            Self::Command { node } | Self::Timeout { node, .. } | Self::Crash { node } => {
                vec![*node]
            }
        }
    }

    /// What it is paid from; deliveries are free.
    pub fn budget(&self) -> Option<Budget> {
        match self {
            Self::Start { .. } => Some(Budget::Starts),
            Self::Command { .. } => Some(Budget::Commands),
            Self::Deliver { .. } => None,
            Self::Timeout { .. } => Some(Budget::Timeouts),
            Self::Crash { .. } => Some(Budget::Crashes),
            Self::Restart { .. } => Some(Budget::Restarts),
        }
    }
}

impl<Timer> From<Choice<Timer>> for Action<Timer> {
    fn from(choice: Choice<Timer>) -> Self {
        Self { choice, crash_after: None }
    }
}

impl<Timer: fmt::Debug> fmt::Display for Action<Timer> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.choice {
            Choice::Start { node, contact } => come_up(f, "start", *node, *contact)?,
            Choice::Command { node } => write!(f, "command at {node}")?,
            Choice::Deliver { from, to } => write!(f, "deliver {from} → {to}")?,
            Choice::Timeout { node, timer } => write!(f, "time-out {timer:?} at {node}")?,
            Choice::Crash { node } => write!(f, "crash {node}")?,
            Choice::Restart { node, contact } => come_up(f, "restart", *node, *contact)?,
        }
        match self.crash_after {
            None => Ok(()),
            Some(1) => f.write_str(", crash after 1 effect"),
            Some(k) => write!(f, ", crash after {k} effects"),
        }
    }
}

fn come_up(
    f: &mut fmt::Formatter<'_>,
    how: &str,
    node: NodeId,
    contact: Option<NodeId>,
) -> fmt::Result {
    match contact {
        Some(contact) => write!(f, "{how} {node}, through {contact}"),
        None => write!(f, "{how} {node}"),
    }
}
