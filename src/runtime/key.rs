//! The secret key of a cluster.

use super::private;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

/// The secret that the nodes of a cluster share: 32 random bytes. As text, they are base64.
///
/// A node accepts connections only from nodes with the same key, and the key protects all messages between them. Whoever has
/// it can pass for any node; [`NodeKeys`](super::NodeKeys) prevent that. There is
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
    /// A line of a list of public keys is wrong.
    #[error("{path}:{number}: {problem}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        number: usize,
        /// The reason.
        problem: String,
    },
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
        Ok(Self(random()?))
    }

    /// The key as text, 44 characters. It is a secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        encode(&self.0)
    }

    /// Reads the key in a file. White space around it is ignored. If other users can read the file, that is logged as a
    /// warning.
    ///
    /// # Errors
    /// [`KeyError::File`] if the file cannot be read, [`KeyError::NoKey`] if it does not contain a key: if it is longer than
    /// a key can be, it is not read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        read_secret(path.as_ref(), "").map(Self)
    }

    /// Writes the key to a new file, which only its owner may read, and syncs it.
    ///
    /// # Errors
    /// [`KeyError::Exists`] if the file exists, [`KeyError::File`] if it cannot be written.
    pub fn write_new(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        write_new_secret(path.as_ref(), &self.to_text())
    }
}

/// The most bytes of a file with a key: 44, and some white space.
const MOST_BYTES: u64 = 1024;

pub(super) fn random() -> Result<[u8; 32], KeyError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn encode(bytes: &[u8; 32]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn decode(text: &str) -> Result<[u8; 32], KeyError> {
    let bytes = STANDARD.decode(text.trim()).map_err(|_| KeyError::Malformed)?;
    let bytes = bytes.try_into().map_err(|_| KeyError::Malformed)?;
    if bytes == [0; 32] { Err(KeyError::Zero) } else { Ok(bytes) }
}

/// The bytes of the secret key in a file, where it comes after a prefix that tells its kind.
pub(super) fn read_secret(path: &Path, prefix: &str) -> Result<[u8; 32], KeyError> {
    let no_key = || KeyError::NoKey(path.to_path_buf());
    let opened = File::open(path).map_err(file_error(path))?;
    warn_if_public(path, &opened);
    let mut text = String::new();
    match opened.take(MOST_BYTES + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 <= MOST_BYTES => {
            let text = text.trim().strip_prefix(prefix).ok_or_else(no_key)?;
            decode(text).map_err(|why| {
                let is_zero = matches!(why, KeyError::Zero);
                if is_zero { why } else { no_key() }
            })
        }
        Ok(_) => Err(no_key()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(no_key()),
        Err(error) => Err(file_error(path)(error)),
    }
}

/// Writes a secret to a new file, which only its owner may read, and syncs it.
pub(super) fn write_new_secret(path: &Path, text: &str) -> Result<(), KeyError> {
    let mut new = private::create_new(path).map_err(|error| {
        let exists = error.kind() == io::ErrorKind::AlreadyExists;
        if exists { KeyError::Exists(path.to_path_buf()) } else { file_error(path)(error) }
    })?;
    writeln!(new, "{text}").and_then(|()| new.sync_all()).map_err(file_error(path))
}

#[cfg(unix)]
fn warn_if_public(path: &Path, file: &File) {
    use std::os::unix::fs::MetadataExt;
    if file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o077 != 0) {
        tracing::warn!(?path, "other users of this host can read the key: `chmod 600` the file");
    }
}

/// Other systems have other permissions.
#[cfg(not(unix))]
fn warn_if_public(_: &Path, _: &File) {}

pub(super) fn file_error(path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_path_buf();
    |source| KeyError::File { path, source }
}

/// Parses base64 of 32 bytes. White space around it is ignored.
impl FromStr for ClusterKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(text).map(Self)
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
            let mode = fs::metadata(&path).map_err(file_error(&path))?.permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        fs::remove_file(&path).map_err(file_error(&path))
    }

    #[test]
    fn a_malformed_key_is_refused_and_debug_hides_a_key() {
        for text in ["", "hello", "AAAA", "!"] {
            assert!(matches!(text.parse::<ClusterKey>(), Err(KeyError::Malformed)));
        }
        assert_eq!(format!("{:?}", ClusterKey([7; 32])), "ClusterKey(…)");
    }
}
