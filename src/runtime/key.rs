//! The secret key of a cluster.

use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

/// The secret that the nodes of a cluster share: 32 random bytes. As text, they are base64.
///
/// A node accepts connections only from nodes with the same key, and the key protects all messages between them. There is
/// no `Display`, and `Debug` hides the bytes, so that a key does not get into a log by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey(pub(super) [u8; 32]);

/// Why a key cannot be made, read or written. None of these changes a file that existed before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not a key.
    #[error(
        "this is not a key: a key is base64 of 32 bytes, 44 characters; make a new one, or copy it again"
    )]
    Malformed,
    /// All bytes are zero: a key that anybody would guess.
    #[error("this key is all zeros, which anybody would guess; make a new one")]
    Zero,
    /// The file does not contain a key.
    #[error("{path}: no key in it: a key is base64 of 32 bytes, 44 characters; copy the file again", path = .0.display())]
    NoKey(PathBuf),
    /// The file cannot be read or written. If writing has failed, an incomplete new file may be left.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file exists already. Nothing was written.
    #[error("{path}: already exists, and a key is not replaced by accident; remove it first", path = .0.display())]
    Exists(PathBuf),
    /// The system has no random numbers. No key was made.
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

impl ClusterKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`KeyError::Random`] if the system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The key as text, 44 characters. It is a secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads the key in a file. White space around it is ignored. If other users can read the file, that is logged as a
    /// warning.
    ///
    /// # Errors
    /// [`KeyError::File`] if the file cannot be read, [`KeyError::NoKey`] if it does not contain a key: if it is longer than
    /// a key can be, it is not read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        let no_key = || KeyError::NoKey(path.to_path_buf());
        let opened = File::open(path).map_err(file(path))?;
        warn_if_public(path, &opened);
        let mut text = String::new();
        let read = opened.take(MOST_BYTES + 1).read_to_string(&mut text);
        match read {
            Ok(length) if length as u64 <= MOST_BYTES => text.parse().map_err(|why| {
                let is_zero = matches!(why, KeyError::Zero);
                if is_zero { why } else { no_key() }
            }),
            Ok(_) => Err(no_key()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(no_key()),
            Err(error) => Err(file(path)(error)),
        }
    }

    /// Writes the key to a new file, which only its owner may read, and syncs it.
    ///
    /// # Errors
    /// [`KeyError::Exists`] if the file exists, [`KeyError::File`] if it cannot be written.
    pub fn write_new(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        let path = path.as_ref();
        let mut new = create_private(path).map_err(|error| {
            let exists = error.kind() == io::ErrorKind::AlreadyExists;
            if exists { KeyError::Exists(path.to_path_buf()) } else { file(path)(error) }
        })?;
        writeln!(new, "{}", self.to_text()).and_then(|()| new.sync_all()).map_err(file(path))
    }
}

/// The most bytes of a file with a key: 44, and some white space.
const MOST_BYTES: u64 = 1024;

#[cfg(unix)]
fn warn_if_public(path: &Path, file: &File) {
    use std::os::unix::fs::MetadataExt;
    if file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o077 != 0) {
        tracing::warn!(path = %path.display(), "other users of this host can read the key: `chmod 600` the file");
    }
}

/// Other systems have other permissions.
#[cfg(not(unix))]
fn warn_if_public(_: &Path, _: &File) {}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_path_buf();
    |source| KeyError::File { path, source }
}

/// Parses base64 of 32 bytes. White space around it is ignored.
impl FromStr for ClusterKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| KeyError::Malformed)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Malformed)?;
        if bytes == [0; 32] { Err(KeyError::Zero) } else { Ok(Self(bytes)) }
    }
}

/// Hides the key: logs have many readers.
impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_key_is_the_same_after_it_was_written_and_read() -> Result<(), KeyError> {
        let path = std::env::temp_dir().join(format!("interrex-key-{}", std::process::id()));
        let key = ClusterKey::generate()?;
        key.write_new(&path)?;
        assert_eq!(ClusterKey::read(&path)?, key);
        assert!(matches!(key.write_new(&path), Err(KeyError::Exists(_))));
        assert_eq!(format!(" {}\n", key.to_text()).parse::<ClusterKey>()?, key);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).map_err(file(&path))?.permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::remove_file(&path).map_err(file(&path))
    }

    #[test]
    fn a_malformed_key_is_refused_and_debug_hides_a_key() {
        for text in ["", "hello", "AAAA", "!"] {
            assert!(matches!(text.parse::<ClusterKey>(), Err(KeyError::Malformed)));
        }
        assert_eq!(format!("{:?}", ClusterKey([7; 32])), "ClusterKey(…)");
    }
}
