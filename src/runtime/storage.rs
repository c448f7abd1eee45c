//! Stable storage: what survives a crash.

use super::{config::Config, log::unix_micros};
use crate::machine::NodeId;
use std::{fmt, io, path::PathBuf};

/// Stable storage: keeps the number of the node's life, and what its machine [persists](crate::machine::Effect).
///
/// All calls block the node, which sends no heartbeats meanwhile. If one takes longer than the other nodes' detectors
/// allow, they suspect this node. If `persist` or `sync` panics, the node ends with
/// [`RunError::Panicked`](super::RunError::Panicked).
///
/// [`Directory`](super::Directory) keeps it on a disk. `None` keeps nothing.
///
/// # Example
///
/// Storage that lives as long as the program, so that a node can be ended and started again in it:
///
/// ```
/// use interrex::{machine::NodeId, runtime::{Opened, Owner, Storage, StorageError}};
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Clone, Default)]
/// struct Memory(Arc<Mutex<Option<Opened<String>>>>);
///
/// impl Storage<String> for Memory {
///     fn open(&mut self, owner: &Owner) -> Result<Opened<String>, StorageError> {
///         let mut kept = self.0.lock().unwrap();
///         let opened = match kept.take() {
///             Some(Opened { life, stable }) => Opened { life: (life + 1).max(owner.least_life), stable },
///             None => Opened::anew(owner),
///         };
///         Ok(kept.insert(opened).clone())
///     }
///
///     fn persist(&mut self, _: &String, whole: &String) -> Result<(), StorageError> {
///         self.0.lock().unwrap().as_mut().expect("opened").stable = vec![whole.clone()];
///         Ok(())
///     }
/// }
///
/// let owner = Owner::new(NodeId(0), "an example");
/// let mut memory = Memory::default();
/// let first = memory.open(&owner)?;
/// memory.persist(&"kept".to_owned(), &"kept".to_owned())?;
/// let second = memory.clone().open(&owner)?;
/// assert_eq!((first.stable, second.stable), (vec![], vec!["kept".to_owned()]));
/// assert!(first.life < second.life);
/// # Ok::<(), StorageError>(())
/// ```
pub trait Storage<Stable>: Send + 'static {
    /// Begins a life of the node. When this returns, the life's number is stored. It is greater than that of any life
    /// before, and at least [`least_life`](Owner::least_life).
    ///
    /// Other nodes refuse a number that is more than a day beyond their clocks, in milliseconds since 2020: it would lock out
    /// all later lives. So count up from what is stored, and take the clock only where nothing is stored.
    ///
    /// It is called again, with a greater `least_life`, if another node knows a life with that number already.
    ///
    /// # Errors
    /// If nothing can be stored, or the stored content cannot be understood or belongs to another node. The stored content
    /// must stay as it is.
    fn open(&mut self, owner: &Owner) -> Result<Opened<Stable>, StorageError>;

    /// Stores what a machine persists: either adds the change to what is stored, or puts the whole content in its place,
    /// which already has the change in it. For most machines the two are equal; see
    /// [`Machine::stored`](crate::machine::Machine::stored).
    ///
    /// Until the next [`sync`](Self::sync), a crash of the host may lose it, with all that was persisted after it.
    ///
    /// # Errors
    /// If it cannot be stored. Either the content before or the one after must be stored then. The node ends with
    /// [`RunError::Storage`](super::RunError::Storage).
    fn persist(&mut self, change: &Stable, whole: &Stable) -> Result<(), StorageError>;

    /// When this returns, all that was persisted survives a crash of the host. It serves many steps: nothing that a step sends
    /// or observes after it has persisted something leaves the node before this. Default: does nothing, for storage whose
    /// `persist` does it all.
    ///
    /// # Errors
    /// If that is not certain. The node ends with [`RunError::Storage`](super::RunError::Storage).
    fn sync(&mut self) -> Result<(), StorageError> {
        Ok(())
    }

    /// False if it keeps nothing. Then [`persist`](Self::persist) is not called, and the node does not hold a second copy of
    /// what its machine persists. Default: true.
    fn keeps(&self) -> bool {
        true
    }
}

/// The node that opens its storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owner {
    /// The node.
    pub node: NodeId,
    /// [`Config::cluster`](super::Config::cluster).
    pub cluster: String,
    /// [`Config::protocol`](super::Config::protocol).
    pub protocol: String,
    /// The least number that the life may have: other nodes know lives below it. At first 0.
    pub least_life: u64,
}

impl Owner {
    /// A node whose lives nobody knows, of a cluster without a name.
    #[must_use]
    pub fn new(node: NodeId, protocol: impl Into<String>) -> Self {
        Self { node, cluster: String::new(), protocol: protocol.into(), least_life: 0 }
    }

    pub(super) fn of(config: &Config) -> Self {
        Self { cluster: config.cluster.clone(), ..Self::new(config.node, &config.protocol) }
    }
}

/// `n0 of gms3`, `n0 of gms3 in cluster blue`.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.node, self.protocol)?;
        if self.cluster.is_empty() { Ok(()) } else { write!(f, " in cluster {}", self.cluster) }
    }
}

/// The start of a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<Stable> {
    /// The number of this life, greater than that of any life before.
    pub life: u64,
    /// What was stored in the lives before: a whole content, and then the changes that were added to it.
    pub stable: Vec<Stable>,
}

impl<Stable> Opened<Stable> {
    /// A life that begins now, without anything stored. Its number is the number of milliseconds since 2020, or
    /// `least_life` if that is greater. So it is greater than that of any life that another node knows. If no other node could be asked,
    /// and the clock was set back or two lives began in the same millisecond, the other nodes refuse it later, and it ends with
    /// [`RunError::Superseded`](super::RunError::Superseded).
    #[must_use]
    pub fn anew(owner: &Owner) -> Self {
        Self { life: life_at(unix_micros()).max(owner.least_life), stable: vec![] }
    }
}

/// The number of a life that begins at this time, in microseconds since 1970: the milliseconds since 2020.
pub(super) fn life_at(micros: u64) -> u64 {
    const SINCE: u64 = (50 * 365 + 12) * 24 * 60 * 60 * 1000;
    (micros / 1000).saturating_sub(SINCE)
}

/// Why stable storage cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The system reports an error. The file holds the value before or the new one, complete.
    #[error("{path}: {source}", path = path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process uses the folder. Nothing in it was changed.
    #[error("{path}: another process uses it; a folder belongs to one node", path = .0.display())]
    InUse(PathBuf),
    /// The file is torn or corrupt. It was not changed.
    #[error(
        "{path}: torn or corrupt ({reason}); remove it, and the node starts as one that has lost its storage. An older copy must not take its place: what the node has promised since would be forgotten",
        path = path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The first thing that is wrong with it.
        reason: String,
    },
    /// The file was written by another version of interrex. It was not changed.
    #[error(
        "{path}: another version of interrex has written it (form {found}, this one reads {read}); use that version, or \
         remove the file if the node may start as one that has lost its storage",
        path = path.display()
    )]
    OtherForm {
        /// The file.
        path: PathBuf,
        /// The form of the file.
        found: u16,
        /// The form that this version reads.
        read: u16,
    },
    /// The file belongs to another node, protocol or cluster. It was not changed.
    #[error("{path}: it belongs to {found}, and this is {owner}", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The node that it belongs to.
        found: Box<Owner>,
        /// The node that opened it.
        owner: Box<Owner>,
    },
}

/// `None` stores nothing: each life begins without a stable value.
impl<Stable, S: Storage<Stable>> Storage<Stable> for Option<S> {
    fn open(&mut self, owner: &Owner) -> Result<Opened<Stable>, StorageError> {
        match self {
            Some(storage) => storage.open(owner),
            None => Ok(Opened::anew(owner)),
        }
    }

    fn persist(&mut self, change: &Stable, whole: &Stable) -> Result<(), StorageError> {
        self.as_mut().map_or(Ok(()), |storage| storage.persist(change, whole))
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.as_mut().map_or(Ok(()), S::sync)
    }

    fn keeps(&self) -> bool {
        self.as_ref().is_some_and(S::keeps)
    }
}
