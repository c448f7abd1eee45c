//! Stable storage: what survives a crash.

use crate::machine::NodeId;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Stable storage: keeps the number of the node's life, and what its machine [persists](crate::machine::Effect).
///
/// Both calls block the node, which sends no heartbeats meanwhile. If one takes longer than the other nodes' detectors
/// allow, they suspect this node. If `persist` panics, the node ends with
/// [`RunError::Panicked`](super::RunError::Panicked).
///
/// [`Directory`] keeps it on a disk. `None::<Directory>` keeps nothing.
///
/// # Example
///
/// Storage that lives as long as the program, so that a node can be ended and started again in it:
///
/// ```
/// use interrex::{machine::NodeId, runtime::{Opened, Storage, StorageError}};
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Clone, Default)]
/// struct Memory(Arc<Mutex<Option<Opened<String>>>>);
///
/// impl Storage<String> for Memory {
///     fn open(&mut self, _: NodeId) -> Result<Opened<String>, StorageError> {
///         let mut kept = self.0.lock().unwrap();
///         let opened = match kept.take() {
///             Some(Opened { life, stable }) => Opened { life: life + 1, stable },
///             None => Opened::anew(),
///         };
///         Ok(kept.insert(opened).clone())
///     }
///
///     fn persist(&mut self, stable: &String) -> Result<(), StorageError> {
///         self.0.lock().unwrap().as_mut().expect("opened").stable = Some(stable.clone());
///         Ok(())
///     }
/// }
///
/// let mut memory = Memory::default();
/// let first = memory.open(NodeId(0))?;
/// memory.persist(&"kept".to_owned())?;
/// let second = memory.clone().open(NodeId(0))?;
/// assert_eq!((first.stable, second.stable), (None, Some("kept".to_owned())));
/// assert!(first.life < second.life);
/// # Ok::<(), StorageError>(())
/// ```
pub trait Storage<Stable>: Send + 'static {
    /// Begins a life of the node. When this returns, the life's number is stored, and it is greater than that of any life
    /// before.
    ///
    /// # Errors
    /// If nothing can be stored, or the stored content cannot be understood. The stored content must stay as it is.
    fn open(&mut self, node: NodeId) -> Result<Opened<Stable>, StorageError>;

    /// Replaces the stored value. When this returns, the value survives a crash of the host.
    ///
    /// # Errors
    /// If it cannot be stored. Either the old or the new value must be stored then. The node ends with
    /// [`RunError::Storage`](super::RunError::Storage).
    fn persist(&mut self, stable: &Stable) -> Result<(), StorageError>;
}

/// The start of a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<Stable> {
    /// The number of this life, greater than that of any life before.
    pub life: u32,
    /// The value that was persisted last, in any life before.
    pub stable: Option<Stable>,
}

impl<Stable> Opened<Stable> {
    /// A life that begins now, without anything stored. Its number is the number of seconds since 2020. So it is greater
    /// than that of any life before, unless the clock was set back or two lives began in the same second. In that case
    /// other nodes refuse it, and it ends with [`RunError::Superseded`](super::RunError::Superseded).
    #[must_use]
    pub fn anew() -> Self {
        const SINCE: Duration = Duration::from_hours(50 * 365 * 24 + 12 * 24);
        let now = SystemTime::now().duration_since(UNIX_EPOCH + SINCE).unwrap_or_default();
        Self { life: u32::try_from(now.as_secs()).unwrap_or(u32::MAX), stable: None }
    }
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
        "{path}: torn or corrupt ({reason}); restore it, or remove it if the node may start as one that has lost its storage",
        path = path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The first thing that is wrong with it.
        reason: String,
    },
    /// The file belongs to another node. It was not changed.
    #[error("{path}: it belongs to {found}, and this is {node}", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The node that it belongs to.
        found: NodeId,
        /// The node that opened it.
        node: NodeId,
    },
}

/// `None` stores nothing: each life begins without a stable value.
impl<Stable, S: Storage<Stable>> Storage<Stable> for Option<S> {
    fn open(&mut self, node: NodeId) -> Result<Opened<Stable>, StorageError> {
        match self {
            Some(storage) => storage.open(node),
            None => Ok(Opened::anew()),
        }
    }

    fn persist(&mut self, stable: &Stable) -> Result<(), StorageError> {
        self.as_mut().map_or(Ok(()), |storage| storage.persist(stable))
    }
}

/// Stable storage in a folder: one file, which is replaced atomically and synced, and a lock.
#[derive(Debug)]
pub struct Directory {
    folder: PathBuf,
    /// The lock, held as long as the folder is used.
    lock: Option<File>,
    node: NodeId,
    life: u32,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
struct Kept<Stable> {
    node: NodeId,
    life: u32,
    stable: Option<Stable>,
}

const FILE: &str = "stable";

impl Directory {
    /// Uses this folder, which is created when the storage is opened.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), lock: None, node: NodeId(0), life: 0 }
    }

    fn lock(&self) -> Result<File, StorageError> {
        fs::create_dir_all(&self.folder).map_err(disk(&self.folder))?;
        let path = self.folder.join("lock");
        let file = File::create(&path).map_err(disk(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StorageError::InUse(self.folder.clone())),
            Err(TryLockError::Error(source)) => Err(StorageError::Disk { path, source }),
        }
    }

    fn read<Stable: DeserializeOwned>(&self) -> Result<Option<Kept<Stable>>, StorageError> {
        let path = self.folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StorageError::Disk { path, source }),
        };
        match postcard::take_from_bytes_crc32(&bytes, CRC.digest()) {
            Ok((kept, [])) => Ok(Some(kept)),
            Ok((_, rest)) => {
                let reason = format!("{} bytes too many", rest.len());
                Err(StorageError::Corrupt { path, reason })
            }
            Err(error) => Err(StorageError::Corrupt { path, reason: error.to_string() }),
        }
    }

    /// Write, sync, rename, sync of the folder: at any moment the file is the old one or the new one.
    fn replace<Stable: Serialize>(&self, kept: &Kept<&Stable>) -> Result<(), StorageError> {
        let [path, new] = [FILE, "stable.new"].map(|name| self.folder.join(name));
        let bytes = postcard::to_allocvec_crc32(kept, CRC.digest()).map_err(|error| {
            StorageError::Corrupt { path: path.clone(), reason: error.to_string() }
        })?;
        let mut file = File::create(&new).map_err(disk(&new))?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(disk(&new))?;
        fs::rename(&new, &path).map_err(disk(&path))?;
        let folder = File::open(&self.folder).map_err(disk(&self.folder))?;
        folder.sync_all().map_err(disk(&self.folder))
    }
}

impl<Stable: Serialize + DeserializeOwned> Storage<Stable> for Directory {
    fn open(&mut self, node: NodeId) -> Result<Opened<Stable>, StorageError> {
        self.lock = Some(self.lock()?);
        self.node = node;
        let kept = self.read::<Stable>()?;
        if let Some(found) = kept.as_ref().map(|kept| kept.node).filter(|found| *found != node) {
            return Err(StorageError::Foreign { path: self.folder.join(FILE), found, node });
        }
        let after = kept.as_ref().map_or(0, |kept| kept.life.saturating_add(1));
        self.life = after.max(Opened::<Stable>::anew().life);
        let stable = kept.and_then(|kept| kept.stable);
        self.replace(&Kept { node, life: self.life, stable: stable.as_ref() })?;
        Ok(Opened { life: self.life, stable })
    }

    fn persist(&mut self, stable: &Stable) -> Result<(), StorageError> {
        self.replace(&Kept { node: self.node, life: self.life, stable: Some(stable) })
    }
}

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

fn disk(path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path = path.to_path_buf();
    |source| StorageError::Disk { path, source }
}
