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
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Stable storage in a folder: a lock, and a file to which changes are appended, and synced together.
///
/// The file is a list of records, each with its length and checksums. A crash can only tear the records that were written
/// since the last sync: they are cut off when the file is opened again, with a warning. Any other damage is refused. When the
/// appended records have outgrown the rest, the file is replaced by one with the whole content, atomically.
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
    /// Some of them are not synced yet.
    is_unsynced: bool,
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
const FORMAT: u16 = 5;
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

    /// True if the machine of a node has stored something there, or if there is a file that cannot be read. False if no
    /// more than the number of a life is there: that node did not start.
    #[must_use]
    pub fn is_used(&self) -> bool {
        match self.has_more_than_a_header() {
            Ok(has_more) => has_more,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    fn has_more_than_a_header(&self) -> io::Result<bool> {
        let path = self.folder.join(FILE);
        private::refuse_special(&path)?;
        let mut file = File::open(&path)?;
        let mut head = [0; Head::LENGTH];
        file.read_exact(&mut head)?;
        let header = Head::read(&head).map_or(0, |head| Head::LENGTH + head.length);
        Ok(file.metadata()?.len() > header as u64)
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
        let mut records = Records { file: &bytes, at: 0 };
        let header = match records.take() {
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
            match records.take() {
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
                    let (path, bytes) = (path.display(), records.rest().len());
                    tracing::warn!(%path, bytes, "a crash has torn the last records: they are cut off");
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
        let mut bytes = self.record(&(FORMAT, &self.header), true)?;
        for value in stable {
            bytes.extend(self.record(value, true)?);
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
        self.file = Some(Appended { file, first: bytes.len(), since: 0, is_unsynced: false });
        Ok(())
    }

    /// A record with this content.
    fn record(
        &self,
        content: &impl Serialize,
        begins_batch: bool,
    ) -> Result<Vec<u8>, StorageError> {
        let corrupt =
            |reason: String| StorageError::Corrupt { path: self.folder.join(FILE), reason };
        let content = postcard::to_allocvec(content).map_err(|error| corrupt(error.to_string()))?;
        let head = Head::of(&content, begins_batch)
            .ok_or_else(|| corrupt(format!("a value of {} bytes is too large", content.len())))?;
        Ok([&head[..], &content].concat())
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
        let begins_batch = self.file.as_ref().is_none_or(|file| !file.is_unsynced);
        let record = self.record(change, begins_batch)?;
        match &mut self.file {
            Some(appended) if appended.since + record.len() < LEAST.max(appended.first) => {
                let path = self.folder.join(FILE);
                appended.file.write_all(&record).map_err(disk(&path))?;
                appended.since += record.len();
                appended.is_unsynced = true;
                Ok(())
            }
            Some(_) | None => self.replace(&[whole]),
        }
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        let Some(appended) = self.file.as_mut().filter(|file| file.is_unsynced) else {
            return Ok(());
        };
        appended.file.sync_data().map_err(disk(&self.folder.join(FILE)))?;
        appended.is_unsynced = false;
        Ok(())
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

/// The head of a record: the length of its content, its place in a batch, a checksum of these, and one of the content.
#[derive(Clone, Copy, Debug)]
struct Head {
    length: usize,
    /// Everything before it was synced when it was written.
    begins_batch: bool,
    checksum: u32,
}

impl Head {
    const LENGTH: usize = 13;

    fn of(content: &[u8], begins_batch: bool) -> Option<[u8; Self::LENGTH]> {
        let mut head = [0; Self::LENGTH];
        head[..4].copy_from_slice(&u32::try_from(content.len()).ok()?.to_le_bytes());
        head[4] = begins_batch.into();
        let checksum = CRC.checksum(&head[..5]);
        head[5..9].copy_from_slice(&checksum.to_le_bytes());
        head[9..].copy_from_slice(&CRC.checksum(content).to_le_bytes());
        Some(head)
    }

    /// None if its checksum is wrong.
    fn read(head: &[u8; Self::LENGTH]) -> Option<Self> {
        let number = |at: usize| head[at..].first_chunk().map_or(0, |it| u32::from_le_bytes(*it));
        let is_right = CRC.checksum(&head[..5]) == number(5);
        let length = usize::try_from(number(0)).ok()?;
        is_right.then_some(Self { length, begins_batch: head[4] != 0, checksum: number(9) })
    }
}

/// The records of a file.
struct Records<'a> {
    file: &'a [u8],
    /// The place of the next one.
    at: usize,
}

impl<'a> Records<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.file[self.at..]
    }

    /// Takes the content of the next one; none at the end.
    fn take(&mut self) -> Result<Option<&'a [u8]>, Damage> {
        if self.rest().is_empty() {
            return Ok(None);
        }
        let Some((head, rest)) = self.rest().split_first_chunk::<{ Head::LENGTH }>() else {
            return Err(Damage::Torn);
        };
        let Some(head) = Head::read(head) else { return Err(self.damage(Head::LENGTH)) };
        let Some(content) = rest.get(..head.length) else { return Err(Damage::Torn) };
        let length = Head::LENGTH + head.length;
        if CRC.checksum(content) != head.checksum {
            return Err(self.damage(length));
        }
        self.at += length;
        Ok(Some(content))
    }

    /// The damage of the next record, of which this many bytes are known. A disk writes sectors, in any order, until it has
    /// synced them: those that were not written are missing or zero, from the end of what was there before. But nothing was
    /// torn that was followed by a sync.
    fn damage(&self, length: usize) -> Damage {
        let sectors = self.at / SECTOR..=(self.at + length - 1) / SECTOR;
        let mut pieces = sectors.map(|sector| {
            let (begin, end) = (sector * SECTOR, (sector + 1) * SECTOR);
            &self.file[begin.max(self.at)..end.min(self.file.len())]
        });
        let is_unwritten = |piece: &[u8]| piece.iter().all(|byte| *byte == 0);
        // Or the last byte of a head's own checksum is missing, and all that comes after it.
        let has_gap = pieces.any(is_unwritten) || self.rest().get(8..).is_some_and(is_unwritten);
        if has_gap && !self.is_followed_by_a_sync() { Damage::Torn } else { Damage::Altered }
    }

    /// True if a record that begins a batch stands anywhere after the next one.
    fn is_followed_by_a_sync(&self) -> bool {
        let begins = |at: usize| {
            let (head, rest) = self.file[at..].split_first_chunk()?;
            let head = Head::read(head).filter(|head| head.begins_batch)?;
            Some(CRC.checksum(rest.get(..head.length)?) == head.checksum)
        };
        (self.at + 1..self.file.len()).any(|at| begins(at) == Some(true))
    }
}

/// The bytes that every disk writes at once.
const SECTOR: usize = 512;

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

fn disk(path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let path = path.to_path_buf();
    |source| StorageError::Disk { path, source }
}
