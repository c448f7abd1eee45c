//! The key of a cluster.

use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    str::FromStr,
};

/// What the nodes of a cluster have in common and nobody else has: 32 random bytes. As text, base64 of them.
///
/// There is no `Display`: a key is written down where that was asked for, and nowhere by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey(pub(super) [u8; 32]);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not a key.
    #[error(
        "this is not a key: a key is base64 of 32 bytes, 44 characters; make a new one, or copy it again"
    )]
    Malformed,
    /// The file does not hold a key.
    #[error("{path}: no key in it: a key is base64 of 32 bytes, 44 characters; copy the file again", path = .0.display())]
    NoKey(PathBuf),
    /// The file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is there already.
    #[error("{path}: is there already, and a key is not replaced by accident; remove it first", path = .0.display())]
    Exists(PathBuf),
    /// The system has no randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

impl ClusterKey {
    /// A new key.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The key as text: a secret.
    #[must_use]
    pub fn to_text(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// The key that a file holds.
    ///
    /// # Errors
    /// If the file cannot be read or does not hold a key.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(file(path))?;
        text.parse().map_err(|_| KeyError::NoKey(path.to_path_buf()))
    }

    /// Writes the key to a new file, which only its owner may read.
    ///
    /// # Errors
    /// If the file is there already, or cannot be written.
    pub fn write_new(&self, path: impl AsRef<Path>) -> Result<(), KeyError> {
        let path = path.as_ref();
        let mut new = create_private(path).map_err(|error| {
            let exists = error.kind() == io::ErrorKind::AlreadyExists;
            if exists { KeyError::Exists(path.to_path_buf()) } else { file(path)(error) }
        })?;
        writeln!(new, "{}", self.to_text()).and_then(|()| new.sync_all()).map_err(file(path))
    }
}

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

/// Base64 of 32 bytes; white space around it does not matter.
impl FromStr for ClusterKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| KeyError::Malformed)?;
        bytes.try_into().map(Self).map_err(|_| KeyError::Malformed)
    }
}

/// Says nothing about the key: logs are read by many.
impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_is_no_key_is_refused_and_no_key_is_shown() {
        for text in ["", "hello", "AAAA", "!"] {
            assert!(matches!(text.parse::<ClusterKey>(), Err(KeyError::Malformed)));
        }
        assert_eq!(format!("{:?}", ClusterKey([7; 32])), "ClusterKey(…)");
    }
}
