//! The notions in which properties are worded: standings, views, terms, messages, and the meaning of
//! observations.

use interrex::machine::{Address, NodeId};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::{fmt, str::FromStr};

/// The standing of a process in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is not a member yet.
    Outsider,
    /// It is a member and acts as leader.
    Leading,
    /// It is a member and takes this process for its leader.
    Following(Address),
    /// It is a member and knows no leader.
    Seeking,
}

/// The meaning of an observation, in the notions of the properties.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Notion {
    /// The process has joined a group: the next view that it installs is its first.
    Joined,
    /// The process has started, as the member of this name in views. It delivers everything from the beginning,
    /// whatever it did in a former life.
    Started(Address),
    /// The process has taken over the state of another one, in which everything up to this number is carried out. It
    /// goes on from there.
    Restored {
        /// The last view or message in it.
        number: u64,
        /// The messages in it, as far as the state tells.
        messages: Vec<Token>,
    },
    /// A view is in force.
    Installed(View),
    /// A message was handed to the application.
    Delivered {
        /// Its place in the order of views and messages; 0 where these have no numbers.
        number: u64,
        /// The message.
        message: Token,
    },
    /// The process was elected.
    Elected(Term),
    /// The process takes this one for its leader.
    Surrendered(Address),
    /// The process carries out a broadcast of this leader.
    Served(Address),
    /// A call was answered, or has failed.
    Answered(u64),
    /// The process reports an error and gives up.
    Failed,
    /// No property reads it.
    Unremarked,
}

/// A group, as one of its members knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Its number, which is also the term of its leader; 0 where views have no numbers.
    pub number: u64,
    /// The leader.
    pub leader: Address,
    /// The others, in the protocol's order.
    pub followers: Vec<Address>,
}

impl View {
    /// True if a process is named in it, as leader or as follower.
    #[must_use]
    pub fn names(&self, process: Address) -> bool {
        self.leader == process || self.followers.contains(&process)
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, leader, .. } = self;
        let followers: Vec<_> = self.followers.iter().map(Address::to_string).collect();
        let number = if *number == 0 { String::new() } else { format!(" {number}") };
        write!(f, "view{number} ({leader}, [{}])", followers.join(", "))
    }
}

/// A term: the number that distinguishes successive leaderships. It is a view's number, or another counter of
/// the protocol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(SmallVec<[u64; 3]>);

impl<const N: usize> From<[u64; N]> for Term {
    fn from(numbers: [u64; N]) -> Self {
        Self(numbers.into_iter().collect())
    }
}

/// `3`, or `1.0.2`.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.0.iter().map(u64::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

/// The identity of a message in a scenario: the i-th message that a node sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// The sender.
    pub sender: NodeId,
    /// The number of messages that the sender had sent before.
    pub index: u32,
}

/// `n1.0`: the first message of node 1.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.sender, self.index)
    }
}

impl FromStr for Token {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('.').and_then(|(sender, index)| {
            let sender = sender.parse().ok()?;
            Some((sender, index.parse().ok()?))
        });
        let (sender, index) =
            parts.ok_or_else(|| format!("`{text}` is not a message: expected `n1.0`"))?;
        Ok(Self { sender, index })
    }
}

impl Serialize for Token {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
