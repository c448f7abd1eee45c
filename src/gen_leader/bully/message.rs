//! The messages of this election, and its election ids.

use crate::machine::Address;
use serde::{Deserialize, Serialize};

/// The id of an election. A node never begins two elections under the same id, as long as it keeps its stable
/// storage. With `Repair::OneId` that is so only for elections of different lives.
///
/// Written as three numbers: `[rank, incarnation, counter]`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(from = "[u64; 3]", into = "[u64; 3]")]
pub struct ElectionId {
    /// The place in the list of the candidate that began it; 1 is the highest priority.
    pub rank: u64,
    /// The number of earlier starts of that node.
    pub incarnation: u64,
    /// The number of elections that it had begun before in that life; 0 with `Repair::OneId`.
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

/// A message between processes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message<S> {
    /// From a candidate in stage 2, to the next of lower priority. The receiver waits for the sender to lead and
    /// acknowledges, or names its leader.
    Halt(ElectionId),
    /// The answer of a candidate that was halted. The receiver halts the next one, or leads.
    AckLeader(ElectionId),
    /// The answer to a `Halt` of a process that has a leader. The receiver passes it on to those that it has halted,
    /// and asks that leader. With `Repair::AskEverybody` it is also sent to the leader by a candidate that
    /// surrenders, as a confirmation.
    HasLeader {
        /// The leader.
        leader: Address,
        /// Its election.
        elid: ElectionId,
    },
    /// To the leader that `HasLeader` names: do you lead? The receiver answers with `Ldr` or `NotLeader`.
    IsLeader(ElectionId),
    /// The answer of a process that does not lead. The receiver begins a new election.
    NotLeader(ElectionId),
    /// From the leader to the candidates that wait for it. The receiver surrenders.
    Ldr {
        /// Brings the application up to date.
        synch: S,
        /// Its election.
        elid: ElectionId,
    },
    /// From the leader, at intervals, to the candidates that it believes down: are you without a leader? With
    /// `Repair::AskEverybody` it goes to those that have not confirmed.
    NormQ(ElectionId),
    /// The answer of a candidate that has no leader. The receiver answers with `Ldr`.
    NotNorm(ElectionId),
    /// From the leader, at intervals, to the workers that it believes down: do you run?
    WorkerAlive(ElectionId),
    /// The answer of a worker that has no leader. The receiver activates it.
    WorkerIsAlive(ElectionId),
    /// From the leader to a worker that has answered. The receiver follows it.
    ActivateWorker {
        /// Its election.
        elid: ElectionId,
        /// Brings the application up to date.
        synch: S,
    },
}
