//! The standard output of a node: one line for each event, for people or for programs.

use crate::io::text::{plain, printable};
use interrex::{
    machine::{Address, NodeId},
    runtime::unix_micros,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, fmt, net::SocketAddr};

/// A line; for programs, one JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The time of the event, by the clock of the host: microseconds since 1970.
    pub at: u64,
    /// For an answer: the number of the command's line on standard input, from 1. A program may send several commands
    /// before it reads the first answer. A command that takes long is answered after later ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<u64>,
    /// The event.
    #[serde(flatten)]
    pub said: Notice,
}

/// An event at a node, or its answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Notice {
    /// In a group: the node waits until it has reached one of these nodes, to join through it.
    Waiting {
        /// The nodes. The first one that is reached counts.
        contacts: Vec<NodeId>,
    },
    /// The node is up.
    Listening {
        /// The process.
        me: Address,
        /// The address that it listens on.
        address: SocketAddr,
        /// The protocol.
        protocol: String,
    },
    /// The leader, as far as this node knows.
    Leader {
        /// The leader; none before the first one is recognised, and from its end until the next one is.
        leader: Option<Address>,
    },
    /// `gen_leader`: the members.
    Members {
        /// The candidates, by priority.
        candidates: Vec<NodeId>,
        /// The nodes that never lead.
        workers: Vec<NodeId>,
        /// The leader.
        leader: Option<Address>,
    },
    /// In a group: this node has become a member.
    Joined,
    /// In a group: a view has been installed.
    View(View),
    /// In a group: a multicast has been delivered.
    Delivered {
        /// Its place in the common order, if the protocol numbers messages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<u64>,
        /// The process that multicast it.
        from: Address,
        /// The number of messages that this process had multicast before.
        index: u64,
        /// The text.
        text: String,
    },
    /// Something else has been observed.
    Observed {
        /// The observation, as in a log.
        observation: Value,
    },
    /// The request has succeeded. A multicast has been sent, and may not have been delivered yet.
    Done,
    /// `gen_leader`: the value stored under a key.
    Found {
        /// The key.
        key: String,
        /// The value, if there is one.
        value: Option<String>,
    },
    /// `gen_leader`: all stored entries.
    Dumped {
        /// Values by their keys.
        entries: BTreeMap<String, String>,
    },
    /// The request is invalid, or has failed.
    Error {
        /// The reason.
        error: String,
    },
    /// The number of tasks in the process.
    Tasks {
        /// The number.
        count: usize,
    },
    /// The list of commands.
    Help {
        /// One command per line.
        commands: Vec<String>,
    },
    /// Lines were dropped here: nobody read them, or they could not be written.
    Dropped {
        /// The number of lines.
        lines: u64,
    },
    /// The node has ended.
    Ended {
        /// The reason, if its machine has ended it.
        stopped: Option<String>,
    },
}

/// The members of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Its place in the order of views and messages, if the protocol numbers them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The leader.
    pub leader: Address,
    /// The others, by seniority.
    pub followers: Vec<Address>,
}

impl Line {
    /// A line with the current time.
    #[must_use]
    pub fn now(answers: Option<u64>, said: Notice) -> Self {
        Self { at: unix_micros(), answers, said }
    }
}

/// For people. It names nodes instead of processes, since the numbers of lives are large.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { contacts } => write!(f, "waiting for{}", listed(contacts, None)),
            Self::Listening { me, address, .. } => write!(f, "listening {} at {address}", me.node),
            Self::Leader { leader: Some(leader) } => write!(f, "leader {}", leader.node),
            Self::Leader { leader: None } => f.write_str("no leader"),
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
            Self::Observed { observation } => write!(f, "observed {}", plain(observation)),
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
            Self::Dropped { lines } => {
                write!(f, "{lines} lines were dropped here: they could not be written")
            }
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
