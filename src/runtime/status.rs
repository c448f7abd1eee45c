//! What a node knows of the other nodes.

use crate::machine::{Address, NodeId};
use std::{collections::BTreeMap, time::Duration};

/// What a node knows of another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Its connected process. None: it is down, or cannot be reached.
    pub connected: Option<Address>,
    /// How often it has taken this process for dead, wrongly, since this process started. It may have elected another
    /// leader each time, or acted without this process in another way.
    pub suspicions: u64,
    /// How long the last of these suspicions lasted.
    pub last_suspicion: Option<Duration>,
}

/// What a node knows of each other one that is listed.
pub type Peers = BTreeMap<NodeId, PeerStatus>;
