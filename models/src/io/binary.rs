//! Binary files: numbers and values in JSON, one after the other, and last the digest of all of it.
//!
//! A file that was cut short or altered is found before anything of it is used. The digest is no protection against malice.

use super::file::{self, FileError};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::File,
    hash::Hasher,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
    path::Path,
};
use tempfile::NamedTempFile;
use twox_hash::XxHash3_64;

/// Writes a file.
pub(crate) struct Writer<W> {
    out: W,
    digest: XxHash3_64,
}

/// The writer of a whole file.
pub(crate) type ToFile<'a> = Writer<BufWriter<&'a mut NamedTempFile>>;

/// Reads a file.
pub(crate) struct Reader<R> {
    from: R,
}

/// Replaces the content of a file, in a folder that exists, by what `content` writes. After a failure it has the old
/// content.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write(
    path: &Path,
    content: impl FnOnce(&mut ToFile<'_>) -> io::Result<()>,
) -> Result<(), FileError> {
    let written = file::replace(path, |file| {
        let mut writer = Writer { out: BufWriter::new(file), digest: XxHash3_64::with_seed(0) };
        content(&mut writer)?;
        let Writer { mut out, digest } = writer;
        out.write_all(&digest.finish().to_le_bytes())?;
        out.flush()
    });
    written.map_err(|error| FileError::new(path, format!("cannot be written: {error}")))
}

/// Opens a file, and reads it once to see whether it is whole.
///
/// # Errors
/// If it cannot be read, or is not what was written.
pub(crate) fn open(path: &Path) -> Result<Reader<BufReader<File>>, FileError> {
    file::refuse_special(path)?;
    let cannot = |error: io::Error| FileError::new(path, format!("cannot be read: {error}"));
    let mut from = BufReader::new(File::open(path).map_err(cannot)?);
    if !is_whole(&mut from).map_err(cannot)? {
        return Err(FileError::new(path, "not whole: it was cut short or altered"));
    }
    from.rewind().map_err(cannot)?;
    Ok(Reader { from })
}

fn is_whole(from: &mut BufReader<File>) -> io::Result<bool> {
    let mut expected = [0; size_of::<u64>()];
    let Some(length) = from.get_ref().metadata()?.len().checked_sub(expected.len() as u64) else {
        return Ok(false);
    };
    let digest = digest(&mut from.by_ref().take(length))?;
    from.read_exact(&mut expected)?;
    Ok(digest.to_le_bytes() == expected)
}

/// The digest of everything that can be read.
pub(super) fn digest(from: &mut impl Read) -> io::Result<u64> {
    let mut digest = Digest(XxHash3_64::with_seed(0));
    io::copy(from, &mut digest)?;
    Ok(digest.0.finish())
}

/// The digest of all bytes that are written to it.
struct Digest(XxHash3_64);

impl Write for Digest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> Writer<W> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.write(bytes);
        self.out.write_all(bytes)
    }

    pub(crate) fn number(&mut self, number: u64) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    /// A number of 32 bits.
    pub(crate) fn short(&mut self, number: u32) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    /// The number of what follows.
    pub(crate) fn count(&mut self, count: usize) -> io::Result<()> {
        self.number(count as u64)
    }

    /// A list of numbers of 32 bits.
    pub(crate) fn shorts(&mut self, numbers: &[u32]) -> io::Result<()> {
        self.count(numbers.len())?;
        numbers.iter().try_for_each(|number| self.short(*number))
    }

    pub(crate) fn json<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        let json = serde_json::to_vec(value)?;
        self.count(json.len())?;
        self.bytes(&json)
    }
}

impl<R: Read> Reader<R> {
    pub(crate) fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        self.from.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(crate) fn short(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.from.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub(crate) fn count(&mut self) -> io::Result<usize> {
        usize::try_from(self.number()?).map_err(io::Error::other)
    }

    pub(crate) fn shorts(&mut self) -> io::Result<Vec<u32>> {
        (0..self.count()?).map(|_| self.short()).collect()
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let length = self.number()?;
        let mut json = vec![];
        self.from.by_ref().take(length).read_to_end(&mut json)?;
        Ok(serde_json::from_slice(&json)?)
    }
}
