//! What a node says on its standard output: a line for everything that happens, for people or for programs.

use crate::io::text::printable;
use interrex::{
    machine::{Address, NodeId},
    runtime::unix_micros,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, net::SocketAddr};

/// A line; for programs, one object of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When it happened, by the clock of the host: microseconds since 1970.
    pub at: u64,
    /// If it answers a command: which line of the standard input, from 1. A program may send several commands
    /// before it reads the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<u64>,
    /// What happened.
    #[serde(flatten)]
    pub said: Said,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Said {
    /// The node is up.
    Listening {
        /// Which process.
        me: Address,
        /// Where it listens.
        address: SocketAddr,
        /// What runs.
        protocol: String,
    },
    /// Who leads, as far as this node knows.
    Leader {
        /// Nobody has led so far, if nobody is named.
        leader: Option<Address>,
    },
    /// `gen_leader`: who takes part.
    Members {
        /// Those who may lead, by priority.
        candidates: Vec<NodeId>,
        /// Those who only follow.
        workers: Vec<NodeId>,
        /// Who leads.
        leader: Option<Address>,
    },
    /// Of a group: this node is a member now.
    Joined,
    /// Of a group: a view is in force.
    View(View),
    /// Of a group: a multicast, in the common order.
    Delivered {
        /// Its place in the order, if the protocol counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        /// Who multicast it.
        from: Address,
        /// How many that process had multicast before.
        index: u64,
        /// What was multicast.
        text: String,
    },
    /// What was asked for is done. (A multicast is on its way.)
    Done,
    /// `gen_leader`: what is stored under a key.
    Found {
        /// The key.
        key: String,
        /// The value, if there is one.
        value: Option<String>,
    },
    /// `gen_leader`: everything that is stored.
    Dumped {
        /// Values by their keys.
        entries: BTreeMap<String, String>,
    },
    /// What was asked for makes no sense, or was not done.
    Error {
        /// Why.
        error: String,
    },
    /// How many tasks run in the process.
    Tasks {
        /// So many.
        count: usize,
    },
    /// What can be asked for.
    Help {
        /// A command a line.
        commands: Vec<String>,
    },
    /// The node has ended.
    Ended {
        /// Why, if its machine has ended it.
        stopped: Option<String>,
    },
}

/// The members of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Its place in the order of views and messages, if the protocol counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Who leads.
    pub leader: Address,
    /// The others, by seniority.
    pub followers: Vec<Address>,
}

impl Line {
    /// It happens now.
    #[must_use]
    pub fn now(answers: Option<u64>, said: Said) -> Self {
        Self { at: unix_micros(), answers, said }
    }
}

/// As people read it, with nodes instead of processes: their lives are large numbers.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { me, address, .. } => write!(f, "listening {} at {address}", me.node),
            Self::Leader { leader: Some(leader) } => write!(f, "leader {}", leader.node),
            Self::Leader { leader: None } => f.write_str("no leader yet"),
            Self::Members { candidates, workers, leader } => {
                let leader = leader.map(|leader| leader.node);
                write!(f, "candidates{}", listed(candidates, leader))?;
                if workers.is_empty() {
                    return Ok(());
                }
                write!(f, ", workers{}", listed(workers, leader))
            }
            Self::Tasks { count } => write!(f, "{count} tasks"),
            Self::Joined => f.write_str("joined"),
            Self::View(View { number, leader, followers }) => {
                let followers: Vec<_> = followers.iter().map(|follower| follower.node).collect();
                let followers = listed(&followers, None);
                let number = Number(*number);
                write!(f, "view{number}: leader {}, followers{followers}", leader.node)
            }
            Self::Delivered { number, from, text, .. } => {
                let number = Number(*number);
                write!(f, "delivered{number} from {}: {}", from.node, printable(text))
            }
            Self::Done => f.write_str("ok"),
            Self::Found { key, value: Some(value) } => {
                write!(f, "{} = {}", printable(key), printable(value))
            }
            Self::Found { key, value: None } => write!(f, "{} is not there", printable(key)),
            Self::Dumped { entries } => {
                let plural = if entries.len() == 1 { "entry" } else { "entries" };
                write!(f, "{} {plural}", entries.len())?;
                entries.iter().try_for_each(|(key, value)| {
                    write!(f, "\n  {} = {}", printable(key), printable(value))
                })
            }
            Self::Error { error } => write!(f, "error: {}", printable(error)),
            Self::Help { commands } => f.write_str(&commands.join("\n")),
            Self::Ended { stopped: Some(reason) } => write!(f, "stopped: {}", printable(reason)),
            Self::Ended { stopped: None } => f.write_str("shut down"),
        }
    }
}

/// A number, if there is one.
struct Number(Option<u64>);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |number| write!(f, " {number}"))
    }
}

fn listed(nodes: &[NodeId], leader: Option<NodeId>) -> String {
    if nodes.is_empty() {
        return " none".into();
    }
    let mark = |node: &NodeId| if Some(*node) == leader { " (leader)" } else { "" };
    let nodes: Vec<_> = nodes.iter().map(|node| format!(" {node}{}", mark(node))).collect();
    nodes.concat()
}
