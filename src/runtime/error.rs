//! How a node ends: its errors, and what each leaves behind.

use super::{component::Component, storage::StorageError};
use crate::machine::{Address, NodeId};
use std::{borrow::Cow, io, path::PathBuf, time::Duration};

/// How a node has ended, if not by an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The machine has stopped, for this reason.
    Stopped(Cow<'static, str>),
    /// The program has shut it down.
    ShutDown,
}

/// Why a node does not start. No task of it is left, it does not listen, and no message of it was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The log cannot be opened. Nothing else was done.
    #[error("the log {path} cannot be written: {source}", path = path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The storage cannot be opened. The stored content is as before. An empty log file may be left.
    #[error("the storage cannot be used: {0}")]
    Storage(#[from] StorageError),
    /// The [`Config`](super::Config) cannot be used. Nothing was done.
    #[error("{0}")]
    Configuration(String),
    /// The transport cannot listen. The number of this life is used up in the storage: the next start has a greater one.
    #[error("cannot listen at {at}: {source}")]
    Listen {
        /// The address.
        at: String,
        /// The transport's reason.
        source: io::Error,
    },
    /// Another node differs in something that must be the same at all nodes, or refuses this one. The number of this life
    /// is used up in the storage. Other nodes may have seen this process come and go.
    #[error("{node} at {at} does not fit: {how}")]
    Differs {
        /// The other node.
        node: NodeId,
        /// Its listed address.
        at: String,
        /// The difference.
        how: String,
    },
    /// Another node knows a later life of this node, and again when this node has taken a later number. The numbers of these
    /// lives are used up in the storage.
    #[error("{by} knows life {life} of this node, which cannot be followed by another one")]
    LifeIsOver {
        /// The other node.
        by: NodeId,
        /// The number of the known life.
        life: u64,
    },
    /// The storage is not the one that this node has used last, but an older copy, or that of another folder: another node
    /// knows a life that is later than the last one of this storage. What the node has promised in that life would be
    /// forgotten, and what was confirmed with it could be lost. What the machine has stored is as before. The number of this
    /// life is used up in the storage.
    #[error(
        "the storage is older than this node: {by} knows life {life} of it, which has not used this storage. Start it with \
         the latest storage, or with none: then it is a node that has lost its storage"
    )]
    OldStorage {
        /// The other node.
        by: NodeId,
        /// The number of the known life.
        life: u64,
    },
    /// This node does not find itself at the address at which the other nodes are to reach it,
    /// [`Config::advertised`](super::Config::advertised). The number of this life is used up in the storage.
    #[error("this node is listed at {at} and does not answer there: {why}")]
    NotAtItsAddress {
        /// The listed address.
        at: String,
        /// The reason.
        why: String,
    },
    /// No contact was reached. The number of this life is used up in the storage. The contacts may have seen attempts to
    /// connect.
    #[error("no node to join through was reached within {within:?}: {nodes}", nodes = listed(contacts))]
    Contact {
        /// The nodes to join through.
        contacts: Vec<NodeId>,
        /// How long it was tried.
        within: Duration,
    },
}

/// The error with which a node has ended. Its connections are closed and its port is free: to the other nodes it has
/// crashed. Its log has no [`End`](super::End), and the storage holds the value that was persisted last.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A value cannot be persisted. The effects before that [`Persist`](crate::machine::Effect::Persist) were carried out,
    /// it and the later ones were not. The storage holds the value before, or the new one.
    #[error("the storage cannot be used: {0}")]
    Storage(#[from] StorageError),
    /// The log cannot be written. The steps that are not in it were not carried out. Its last line may be incomplete; the
    /// next life ends that line.
    #[error("the log cannot be written: {0}")]
    Log(#[from] io::Error),
    /// A later life of this node is known to another node. The steps that are not in the log were not carried out.
    #[error(
        "{me} is over: {by} knows life {life} of that node, which another process has begun. Either the node runs twice, \
         or this process could not ask {by} for the number when it started"
    )]
    Superseded {
        /// The process that is over.
        me: Address,
        /// The node that knows a later life.
        by: NodeId,
        /// The number of the later life.
        life: u64,
    },
    /// A component of the node has panicked. The steps that are not in the log were not carried out; the last steps in it
    /// may have been carried out in part.
    #[error("{component} has panicked: {message}")]
    Panicked {
        /// The component.
        component: Component,
        /// The message of the panic.
        message: String,
    },
    /// The tokio runtime was shut down while the node was running. The steps that are not in the log were not carried
    /// out; the last steps in it may have been carried out in part.
    #[error("the tokio runtime was shut down while the node was running")]
    Cancelled,
}

/// The node has ended. The command was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has ended")]
pub struct Ended;

/// Why a command was not queued. Each returns the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError<Command> {
    /// The queue is full: see [`Limits::max_queued_commands`](super::Limits::max_queued_commands). It can be tried again.
    #[error("the queue of commands is full")]
    Full(Command),
    /// The node has ended.
    #[error("the node has ended")]
    Ended(Command),
}

/// Nodes as a text.
pub(super) fn listed<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
    nodes.into_iter().map(NodeId::to_string).collect::<Vec<_>>().join(", ")
}
