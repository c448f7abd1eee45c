//! Stable storage: what survives a crash.

use super::log::unix_micros;
use crate::machine::NodeId;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
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
///     fn persist(&mut self, stable: &String) -> Result<(), StorageError> {
///         self.0.lock().unwrap().as_mut().expect("opened").stable = Some(stable.clone());
///         Ok(())
///     }
/// }
///
/// let owner = Owner::new(NodeId(0), "an example");
/// let mut memory = Memory::default();
/// let first = memory.open(&owner)?;
/// memory.persist(&"kept".to_owned())?;
/// let second = memory.clone().open(&owner)?;
/// assert_eq!((first.stable, second.stable), (None, Some("kept".to_owned())));
/// assert!(first.life < second.life);
/// # Ok::<(), StorageError>(())
/// ```
pub trait Storage<Stable>: Send + 'static {
    /// Begins a life of the node. When this returns, the life's number is stored. It is greater than that of any life
    /// before, and at least [`least_life`](Owner::least_life).
    ///
    /// Other nodes refuse a number that is more than a day beyond their clocks, in seconds since 2020: it would lock out
    /// all later lives. So count up from what is stored, and take the clock only where nothing is stored.
    ///
    /// It is called again, with a greater `least_life`, if another node knows a life with that number already.
    ///
    /// # Errors
    /// If nothing can be stored, or the stored content cannot be understood or belongs to another node. The stored content
    /// must stay as it is.
    fn open(&mut self, owner: &Owner) -> Result<Opened<Stable>, StorageError>;

    /// Replaces the stored value. When this returns, the value survives a crash of the host.
    ///
    /// # Errors
    /// If it cannot be stored. Either the old or the new value must be stored then. The node ends with
    /// [`RunError::Storage`](super::RunError::Storage).
    fn persist(&mut self, stable: &Stable) -> Result<(), StorageError>;
}

/// The node that opens its storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owner {
    /// The node.
    pub node: NodeId,
    /// [`Config::protocol`](super::Config::protocol).
    pub protocol: String,
    /// The least number that the life may have: other nodes know lives below it. At first 0.
    pub least_life: u32,
}

impl Owner {
    /// A node whose lives nobody knows.
    #[must_use]
    pub fn new(node: NodeId, protocol: impl Into<String>) -> Self {
        Self { node, protocol: protocol.into(), least_life: 0 }
    }
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
    /// A life that begins now, without anything stored. Its number is the number of seconds since 2020, or `least_life`
    /// if that is greater. So it is greater than that of any life that another node knows. If no other node could be asked,
    /// and the clock was set back or two lives began in the same second, the other nodes refuse it later, and it ends with
    /// [`RunError::Superseded`](super::RunError::Superseded).
    #[must_use]
    pub fn anew(owner: &Owner) -> Self {
        Self { life: life_at(unix_micros()).max(owner.least_life), stable: None }
    }
}

/// The number of a life that begins at this time, in microseconds since 1970: the seconds since 2020.
pub(super) fn life_at(micros: u64) -> u32 {
    const SINCE: u64 = (50 * 365 + 12) * 24 * 60 * 60;
    u32::try_from((micros / 1_000_000).saturating_sub(SINCE)).unwrap_or(u32::MAX)
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
    /// The file belongs to another node or another protocol. It was not changed.
    #[error("{path}: it belongs to {found} of {found_protocol}, and this is {node} of {protocol}", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The node that it belongs to.
        found: NodeId,
        /// The protocol of that node.
        found_protocol: String,
        /// The node that opened it.
        node: NodeId,
        /// The protocol of the node that opened it.
        protocol: String,
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
    header: Header,
}

/// The beginning of the file. The stable value follows, and then a checksum of all.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Header {
    /// The version of this form.
    format: u16,
    protocol: String,
    node: NodeId,
    life: u32,
}

/// The only form that is read.
const FORMAT: u16 = 2;
const FILE: &str = "stable";

impl Directory {
    /// Uses this folder, which is created when the storage is opened.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let header = Header { format: FORMAT, protocol: String::new(), node: NodeId(0), life: 0 };
        Self { folder: folder.into(), lock: None, header }
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

    /// The stored header and value.
    fn read<Stable: DeserializeOwned>(
        &self,
        owner: &Owner,
    ) -> Result<Option<(Header, Option<Stable>)>, StorageError> {
        let path = self.folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StorageError::Disk { path, source }),
        };
        let corrupt = |reason: &dyn fmt::Display| StorageError::Corrupt {
            path: path.clone(),
            reason: reason.to_string(),
        };
        let (body, checksum) = bytes.split_last_chunk().ok_or_else(|| corrupt(&"too short"))?;
        if CRC.checksum(body) != u32::from_le_bytes(*checksum) {
            return Err(corrupt(&"the checksum is wrong"));
        }
        let header = postcard::take_from_bytes::<Header>(body);
        let (header, value) = header.map_err(|error| corrupt(&error))?;
        if header.format != FORMAT {
            return Err(corrupt(&format_args!("form {}, not {FORMAT}", header.format)));
        }
        if header.node != owner.node || header.protocol != owner.protocol {
            let Header { node: found, protocol: found_protocol, .. } = header;
            let Owner { node, protocol, .. } = owner.clone();
            return Err(StorageError::Foreign { path, found, found_protocol, node, protocol });
        }
        match postcard::take_from_bytes(value) {
            Ok((stable, [])) => Ok(Some((header, stable))),
            Ok(_) | Err(_) => Err(corrupt(&format_args!(
                "its value is none of this version of {}",
                owner.protocol
            ))),
        }
    }

    /// Write, sync, rename, sync of the folder: at any moment the file is the old one or the new one.
    fn replace<Stable: Serialize>(&self, stable: Option<&Stable>) -> Result<(), StorageError> {
        let [path, new] = [FILE, "stable.new"].map(|name| self.folder.join(name));
        let bytes = postcard::to_allocvec_crc32(&(&self.header, stable), CRC.digest());
        let bytes = bytes.map_err(|error| StorageError::Corrupt {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        let mut file = File::create(&new).map_err(disk(&new))?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(disk(&new))?;
        fs::rename(&new, &path).map_err(disk(&path))?;
        let folder = File::open(&self.folder).map_err(disk(&self.folder))?;
        folder.sync_all().map_err(disk(&self.folder))
    }
}

impl<Stable: Serialize + DeserializeOwned> Storage<Stable> for Directory {
    fn open(&mut self, owner: &Owner) -> Result<Opened<Stable>, StorageError> {
        if self.lock.is_none() {
            self.lock = Some(self.lock()?);
        }
        let kept = self.read::<Stable>(owner)?;
        // What is stored is trusted before the clock, which may be wrong now, or may have been then.
        let life = match &kept {
            Some((header, _)) => header.life.saturating_add(1).max(owner.least_life),
            None => Opened::<Stable>::anew(owner).life,
        };
        let Owner { node, protocol, .. } = owner.clone();
        self.header = Header { format: FORMAT, protocol, node, life };
        let stable = kept.and_then(|(_, stable)| stable);
        self.replace(stable.as_ref())?;
        Ok(Opened { life, stable })
    }

    fn persist(&mut self, stable: &Stable) -> Result<(), StorageError> {
        self.replace(Some(stable))
    }
}

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

fn disk(path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path = path.to_path_buf();
    |source| StorageError::Disk { path, source }
}
