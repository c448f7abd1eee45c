//! Stable storage in a folder.

use super::{
    private,
    storage::{Opened, Owner, Storage, StorageError},
};
use crate::machine::NodeId;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Stable storage in a folder: a lock, and a file to which changes are appended and synced.
///
/// The file is a list of records, each with its length and checksums. A crash can only tear the record that was written
/// last: it is cut off when the file is opened again, with a warning. Any other damage is refused. When the appended
/// records have outgrown the rest, the file is replaced by one with the whole content, atomically.
#[derive(Debug)]
pub struct Directory {
    folder: PathBuf,
    /// The lock, held as long as the folder is used.
    lock: Option<File>,
    header: Header,
    file: Option<Appended>,
}

/// The file, since it was replaced.
#[derive(Debug)]
struct Appended {
    file: File,
    /// Its length then, in bytes.
    first: usize,
    /// The bytes that were appended since.
    since: usize,
}

/// The first record, after the version of the form. The others are what the machine has persisted.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Header {
    cluster: String,
    protocol: String,
    node: NodeId,
    life: u64,
    /// The number of records that the file had when it was replaced, without this one. They were synced all together.
    complete: u64,
}

/// The only form that is read.
const FORMAT: u16 = 4;
const FILE: &str = "stable";

/// The file is not replaced before this many bytes were appended.
const LEAST: usize = 1 << 20;

impl Directory {
    /// Uses this folder, which is created when the storage is opened.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let header = Header {
            cluster: String::new(),
            protocol: String::new(),
            node: NodeId(0),
            life: 0,
            complete: 0,
        };
        Self { folder: folder.into(), lock: None, header, file: None }
    }

    /// True if a node has stored something there.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.folder.join(FILE).exists()
    }

    fn lock(&self) -> Result<File, StorageError> {
        private::create_folder(&self.folder).map_err(disk(&self.folder))?;
        let path = self.folder.join("lock");
        // It may be a link, by somebody who wants another file to be emptied.
        let options = &mut File::options();
        let options = options.write(true).create(true).truncate(false);
        let opened = private::refuse_special(&path).and_then(|()| private::open(&path, options));
        let file = opened.map_err(disk(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(StorageError::InUse(self.folder.clone())),
            Err(TryLockError::Error(source)) => Err(StorageError::Disk { path, source }),
        }
    }

    /// The number of the last life, and what was persisted. None without a file.
    fn read<Stable: DeserializeOwned>(
        &self,
        owner: &Owner,
    ) -> Result<Option<(u64, Vec<Stable>)>, StorageError> {
        let path = self.folder.join(FILE);
        let bytes = match private::refuse_special(&path).and_then(|()| fs::read(&path)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StorageError::Disk { path, source }),
        };
        let corrupt = |reason: &dyn fmt::Display| StorageError::Corrupt {
            path: path.clone(),
            reason: reason.to_string(),
        };
        let mut rest = &bytes[..];
        let header = match take_record(&mut rest) {
            Ok(Some(header)) => header,
            Ok(None) => return Err(corrupt(&"it is empty")),
            Err(damage) => return Err(corrupt(&damage)),
        };
        let (found, header) =
            postcard::take_from_bytes::<u16>(header).map_err(|error| corrupt(&error))?;
        if found != FORMAT {
            return Err(StorageError::OtherForm { path, found, read: FORMAT });
        }
        let header = postcard::from_bytes::<Header>(header).map_err(|error| corrupt(&error))?;
        let found = Owner {
            node: header.node,
            cluster: header.cluster,
            protocol: header.protocol,
            least_life: owner.least_life,
        };
        if found != *owner {
            let (found, owner) = (found.into(), owner.clone().into());
            return Err(StorageError::Foreign { path, found, owner });
        }
        let mut stable = vec![];
        loop {
            let is_complete = stable.len() as u64 >= header.complete;
            match take_record(&mut rest) {
                Ok(Some(record)) => {
                    let value = postcard::from_bytes(record).map_err(|_| {
                        corrupt(&format_args!(
                            "its value is none of this version of {}",
                            owner.protocol
                        ))
                    })?;
                    stable.push(value);
                }
                Ok(None) if is_complete => break,
                Err(Damage::Torn) if is_complete => {
                    let (path, bytes) = (path.display(), rest.len());
                    tracing::warn!(%path, bytes, "a crash has torn the last record: it is cut off");
                    break;
                }
                Ok(None) => return Err(corrupt(&Damage::Torn)),
                Err(damage) => return Err(corrupt(&damage)),
            }
        }
        Ok(Some((header.life, stable)))
    }

    /// Write, sync, rename, sync of the folder: at any moment the file is the old one or the new one.
    fn replace<Stable: Serialize>(&mut self, stable: &[&Stable]) -> Result<(), StorageError> {
        self.header.complete = stable.len() as u64;
        let mut bytes = self.record(&(FORMAT, &self.header))?;
        for value in stable {
            bytes.extend(self.record(value)?);
        }
        let [path, new] = [FILE, "stable.new"].map(|name| self.folder.join(name));
        // One of an earlier attempt.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(disk(&new)(error)),
            _ => {}
        }
        let mut file = private::create_new(&new).map_err(disk(&new))?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(disk(&new))?;
        fs::rename(&new, &path).map_err(disk(&path))?;
        let folder = File::open(&self.folder).map_err(disk(&self.folder))?;
        folder.sync_all().map_err(disk(&self.folder))?;
        self.file = Some(Appended { file, first: bytes.len(), since: 0 });
        Ok(())
    }

    /// A record with this content.
    fn record(&self, content: &impl Serialize) -> Result<Vec<u8>, StorageError> {
        let corrupt =
            |reason: String| StorageError::Corrupt { path: self.folder.join(FILE), reason };
        let content = postcard::to_allocvec(content).map_err(|error| corrupt(error.to_string()))?;
        let length = u32::try_from(content.len())
            .map_err(|_| corrupt(format!("a value of {} bytes is too large", content.len())))?;
        let length = length.to_le_bytes();
        let checksums = [CRC.checksum(&length), CRC.checksum(&content)].map(u32::to_le_bytes);
        Ok([&length[..], &checksums[0], &checksums[1], &content].concat())
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
            Some((life, _)) => life.saturating_add(1).max(owner.least_life),
            None => Opened::<Stable>::anew(owner).life,
        };
        let Owner { node, cluster, protocol, .. } = owner.clone();
        self.header = Header { cluster, protocol, node, life, complete: 0 };
        let stable = kept.map_or_else(Vec::new, |(_, stable)| stable);
        self.replace(&stable.iter().collect::<Vec<_>>())?;
        Ok(Opened { life, stable })
    }

    fn persist(&mut self, change: &Stable, whole: &Stable) -> Result<(), StorageError> {
        let record = self.record(change)?;
        match &mut self.file {
            Some(Appended { file, first, since }) if *since + record.len() < LEAST.max(*first) => {
                let path = self.folder.join(FILE);
                file.write_all(&record).and_then(|()| file.sync_data()).map_err(disk(&path))?;
                *since += record.len();
                Ok(())
            }
            Some(_) | None => self.replace(&[whole]),
        }
    }
}

/// The reason that there is no record.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// It was not written to its end.
    Torn,
    /// A checksum is wrong.
    Altered,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Torn => "a record is incomplete",
            Self::Altered => "a checksum is wrong",
        })
    }
}

/// Takes the content of the first record off; none at the end. A disk writes sectors, in any order: what was not written is
/// missing or zero.
fn take_record<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Damage> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let Some((head, rest)) = bytes.split_first_chunk::<12>() else { return Err(Damage::Torn) };
    let number = |at: usize| head[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if CRC.checksum(&head[..4]) != number(4) {
        let is_unwritten = bytes[7..].iter().all(|byte| *byte == 0);
        return Err(if is_unwritten { Damage::Torn } else { Damage::Altered });
    }
    let Some((content, rest)) = rest.split_at_checked(number(0) as usize) else {
        return Err(Damage::Torn);
    };
    if CRC.checksum(content) != number(8) {
        let has_gap = content.chunks(SECTOR).any(|sector| sector.iter().all(|byte| *byte == 0));
        return Err(if rest.is_empty() && has_gap { Damage::Torn } else { Damage::Altered });
    }
    *bytes = rest;
    Ok(Some(content))
}

/// The bytes that every disk writes at once.
const SECTOR: usize = 512;

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

fn disk(path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path = path.to_path_buf();
    |source| StorageError::Disk { path, source }
}
