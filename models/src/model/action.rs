//! Actions: the things that can happen next, as schedules and traces name them.

use crate::model::environment::{Budget, Budgets, UNLIMITED};
use interrex::machine::{Machine, NodeId, Peer};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One action of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Action<Timer> {
    /// The choice of the environment.
    pub choice: Choice<Timer>,
    /// The node crashes within the step: only the first k effects happen.
    pub crash_after: Option<usize>,
}

/// A choice of the environment: the next thing to happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Choice<Timer> {
    /// An idle node comes up.
    Start {
        /// The node.
        node: NodeId,
        /// The node it joins through, if the protocol needs one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contact: Option<NodeId>,
    },
    /// The application at a node asks for the next thing.
    Command {
        /// The node.
        node: NodeId,
    },
    /// The head of a link arrives.
    Deliver {
        /// The sender.
        from: NodeId,
        /// The receiver.
        to: NodeId,
    },
    /// An armed timer fires.
    Timeout {
        /// The node of the timer.
        node: NodeId,
        /// The timer.
        timer: Timer,
    },
    /// A node crashes between two steps.
    Crash {
        /// The node.
        node: NodeId,
    },
    /// A crashed node comes up again.
    Restart {
        /// The node.
        node: NodeId,
        /// The node it joins through again, if the protocol needs one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contact: Option<NodeId>,
    },
    /// The message at the head of a link vanishes.
    Drop {
        /// The sender.
        from: NodeId,
        /// The receiver, which does not get it.
        to: NodeId,
    },
    /// The message at the head of a link is copied to its tail.
    Duplicate {
        /// The sender.
        from: NodeId,
        /// The receiver, which gets it twice.
        to: NodeId,
    },
    /// The second message on a link overtakes the first.
    Overtake {
        /// The sender.
        from: NodeId,
        /// The receiver, which gets them in the other order.
        to: NodeId,
    },
    /// A detector errs: it reports a monitored node as dead although that node is up.
    Suspect {
        /// The node that is notified.
        watcher: NodeId,
        /// The suspected node, named as it was monitored.
        target: Peer,
    },
    /// The nodes fall apart into two sides.
    Cut {
        /// The side without node 0.
        side: Side,
    },
    /// The two sides can reach each other again.
    Heal,
}

/// Some of the nodes, without node 0: one side of a cut. The others are the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<NodeId>", into = "Vec<NodeId>")]
pub struct Side(u32);

impl Side {
    /// All possible sides among this many nodes.
    pub fn all(size: u16) -> impl Iterator<Item = Self> {
        (1..1_u64 << size.saturating_sub(1))
            .filter_map(|side| u32::try_from(side << 1).ok().map(Self))
    }

    /// True if the node belongs to this side.
    #[must_use]
    pub fn contains(self, node: NodeId) -> bool {
        1_u32.checked_shl(node.0.into()).is_some_and(|bit| self.0 & bit != 0)
    }

    /// The sides with one node less.
    pub fn smaller(self) -> impl Iterator<Item = Self> {
        let without = move |node: NodeId| Self(self.0 & !(1 << node.0));
        self.nodes().map(without).filter(|side| side.0 != 0)
    }

    /// Its nodes, in order.
    pub fn nodes(self) -> impl Iterator<Item = NodeId> {
        (0..32).map(NodeId).filter(move |node| self.contains(*node))
    }
}

impl TryFrom<Vec<NodeId>> for Side {
    type Error = &'static str;
    fn try_from(nodes: Vec<NodeId>) -> Result<Self, &'static str> {
        let in_order = nodes.windows(2).all(|pair| pair[0] < pair[1]);
        let possible = |node: &NodeId| (1..32).contains(&node.0);
        if nodes.is_empty() || !in_order || !nodes.iter().all(possible) {
            return Err("a side of a cut names nodes in order, at least one, and not n0");
        }
        Ok(Self(nodes.iter().map(|node| 1 << node.0).sum()))
    }
}

impl From<Side> for Vec<NodeId> {
    fn from(side: Side) -> Self {
        side.nodes().collect()
    }
}

/// `n1, n2`.
impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<_> = self.nodes().map(|node| node.to_string()).collect();
        f.write_str(&nodes.join(", "))
    }
}

/// An action of a machine.
pub type ActionOf<M> = Action<<M as Machine>::Timer>;
/// A choice of a machine.
pub type ChoiceOf<M> = Choice<<M as Machine>::Timer>;

impl<Timer> Choice<Timer> {
    /// The node that takes a step or ends. None for an action on a link or for a cut.
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Self::Start { node, .. }
            | Self::Command { node }
            | Self::Deliver { to: node, .. }
            | Self::Timeout { node, .. }
            | Self::Crash { node }
            | Self::Restart { node, .. }
            | Self::Suspect { watcher: node, .. } => Some(*node),
            Self::Drop { .. }
            | Self::Duplicate { .. }
            | Self::Overtake { .. }
            | Self::Cut { .. }
            | Self::Heal => None,
        }
    }

    /// The link from which it takes a signal, or which it disturbs.
    pub fn link(&self) -> Option<(NodeId, NodeId)> {
        match self {
            Self::Deliver { from, to }
            | Self::Drop { from, to }
            | Self::Duplicate { from, to }
            | Self::Overtake { from, to } => Some((*from, *to)),
            Self::Start { .. }
            | Self::Command { .. }
            | Self::Timeout { .. }
            | Self::Crash { .. }
            | Self::Restart { .. }
            | Self::Suspect { .. }
            | Self::Cut { .. }
            | Self::Heal => None,
        }
    }

    /// The same, with its timer written in another way.
    ///
    /// # Errors
    /// The error of `timer`.
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
            Self::Drop { from, to } => Choice::Drop { from, to },
            Self::Duplicate { from, to } => Choice::Duplicate { from, to },
            Self::Overtake { from, to } => Choice::Overtake { from, to },
            Self::Suspect { watcher, target } => Choice::Suspect { watcher, target },
            Self::Cut { side } => Choice::Cut { side },
            Self::Heal => Choice::Heal,
        })
    }

    /// All nodes named in the action.
    pub fn nodes(&self) -> Vec<NodeId> {
        match self {
            Self::Start { node, contact } | Self::Restart { node, contact } => {
                [*node].into_iter().chain(*contact).collect()
            }
            Self::Deliver { from, to }
            | Self::Drop { from, to }
            | Self::Duplicate { from, to }
            | Self::Overtake { from, to } => vec![*from, *to],
            Self::Suspect { watcher, target } => vec![*watcher, target.node()],
            Self::Cut { side } => side.nodes().collect(),
            Self::Heal => vec![],
            Self::Command { node } | Self::Timeout { node, .. } | Self::Crash { node } => {
                vec![*node]
            }
        }
    }

    /// The budget that it uses. Deliveries and the end of a cut are free.
    pub fn budget(&self) -> Option<Budget> {
        match self {
            Self::Start { .. } => Some(Budget::Starts),
            Self::Command { .. } => Some(Budget::Commands),
            Self::Deliver { .. } | Self::Heal => None,
            Self::Timeout { .. } => Some(Budget::Timeouts),
            Self::Crash { .. } => Some(Budget::Crashes),
            Self::Restart { .. } => Some(Budget::Restarts),
            Self::Drop { .. } => Some(Budget::Drops),
            Self::Duplicate { .. } => Some(Budget::Duplicates),
            Self::Overtake { .. } => Some(Budget::Overtakes),
            Self::Suspect { .. } => Some(Budget::Suspicions),
            Self::Cut { .. } => Some(Budget::Cuts),
        }
    }
}

/// The budgets that a run spends.
pub(crate) fn spent<Timer>(actions: &[Action<Timer>]) -> Budgets {
    let mut budgets = Budgets::NONE;
    for action in actions {
        let crash = action.crash_after.map(|_| Budget::Crashes);
        for budget in action.choice.budget().into_iter().chain(crash) {
            budgets[budget] = budgets[budget].saturating_add(1).min(UNLIMITED - 1);
        }
    }
    budgets
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
            Choice::Drop { from, to } => write!(f, "drop {from} → {to}")?,
            Choice::Duplicate { from, to } => write!(f, "duplicate {from} → {to}")?,
            Choice::Overtake { from, to } => write!(f, "overtake {from} → {to}")?,
            Choice::Suspect { watcher, target } => write!(f, "{watcher} suspects {target}")?,
            Choice::Cut { side } => write!(f, "cut {side} off")?,
            Choice::Heal => f.write_str("heal")?,
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
