//! What processes of this election send each other, and what they call an election.

use crate::machine::Address;
use serde::{Deserialize, Serialize};

/// What an election is called. No two that a node begins are called the same, as long as it keeps its stable
/// storage; with `Repair::OneId`, no two that it begins in different lives.
///
/// Written as three numbers: `[rank, incarnation, counter]`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(from = "[u64; 3]", into = "[u64; 3]")]
pub struct ElectionId {
    /// The place in the list of the candidate that began it; 1 is the highest priority.
    pub rank: u64,
    /// How often that node had started before.
    pub incarnation: u64,
    /// How many elections it had begun before, in that life; 0 with `Repair::OneId`.
    pub counter: u64,
}

impl From<[u64; 3]> for ElectionId {
    fn from([rank, incarnation, counter]: [u64; 3]) -> Self {
        Self { rank, incarnation, counter }
    }
}

impl From<ElectionId> for [u64; 3] {
    fn from(ElectionId { rank, incarnation, counter }: ElectionId) -> Self {
        [rank, incarnation, counter]
    }
}

/// What processes send each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message<S> {
    /// From a candidate in stage 2, to the next of lower priority: wait for me.
    Halt(ElectionId),
    /// The answer of one that was halted.
    AckLeader(ElectionId),
    /// The answer of one that has a leader; passed on to those who were halted before. With
    /// `Repair::AskEverybody` also from whoever surrenders, to its leader, as a confirmation.
    HasLeader {
        /// The leader.
        leader: Address,
        /// Its election.
        elid: ElectionId,
    },
    /// To the leader that `HasLeader` names: are you?
    IsLeader(ElectionId),
    /// The answer of one that is not.
    NotLeader(ElectionId),
    /// From the leader to those who wait for it.
    Ldr {
        /// Brings the application up to date.
        synch: S,
        /// Its election.
        elid: ElectionId,
    },
    /// From the leader to those whom it believes down (with `Repair::AskEverybody`, to those who have not
    /// confirmed), now and then: are you without a leader?
    NormQ(ElectionId),
    /// The answer of one that is.
    NotNorm(ElectionId),
    /// From the leader to workers that it believes down, now and then: are you there?
    WorkerAlive(ElectionId),
    /// The answer of one that is.
    WorkerIsAlive(ElectionId),
    /// From the leader to a worker that has answered.
    ActivateWorker {
        /// Its election.
        elid: ElectionId,
        /// Brings the application up to date.
        synch: S,
    },
}
