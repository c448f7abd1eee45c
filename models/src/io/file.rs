//! Files: reading, replacing, listing, and errors that name the place in a file.

use crate::io::text::printable;
use foldhash::quality::FixedState;
use rustc_hash::FxHashSet;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned},
};
use serde_json::Value;
use std::{
    env, fmt, fs,
    hash::{BuildHasher, Hash},
    io::{self, Read, Write},
    ops::Range,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;
use walkdir::WalkDir;

/// The file of unreachable places, in the folder of a protocol's scenarios.
pub const UNREACHABLE: &str = "unreachable.toml";

/// A fault of a file. Nothing was written, and nothing of the file was used.
#[derive(Debug)]
pub struct FileError {
    path: PathBuf,
    /// Line and column, from 1.
    place: Option<(usize, usize)>,
    message: String,
}

impl FileError {
    /// A fault of the whole file. Control characters in the message are replaced: they could steer a terminal.
    pub fn new(path: &Path, message: impl fmt::Display) -> Self {
        Self { path: path.into(), place: None, message: printable(&message.to_string()) }
    }

    /// A fault at a place in the text.
    pub fn at(path: &Path, text: &str, span: Range<usize>, message: impl fmt::Display) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = line_of(text, span.start);
        let column = before[line_start..].chars().count() + 1;
        Self::in_line(path, line, column, message)
    }

    /// A fault in a line; lines and columns are counted from 1.
    pub fn in_line(path: &Path, line: usize, column: usize, message: impl fmt::Display) -> Self {
        Self { place: Some((line, column)), ..Self::new(path, message) }
    }

    /// The file is not the JSON that was expected.
    #[must_use]
    pub fn json(path: &Path, error: &serde_json::Error) -> Self {
        Self {
            place: (error.line() > 0).then(|| (error.line(), error.column())),
            ..if error.is_eof() {
                Self::new(path, "the file ends too early: it is cut short")
            } else {
                Self::new(path, without_place(error))
            }
        }
    }
}

/// The line of a text, from 1, in which this byte is.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}

/// The message of a JSON error without its place, which is already given before the message.
pub(crate) fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).into()
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for FileError {}

/// The largest file, in bytes. No scenario or trace is as large.
const MOST_BYTES: u64 = 256 << 20;

/// The text of a file.
///
/// # Errors
/// If it cannot be read, is longer than 256 MiB, or is not UTF-8.
pub fn read(path: &Path) -> Result<String, FileError> {
    refuse_special(path)?;
    let mut bytes = vec![];
    let file = fs::File::open(path);
    let length = file.and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    let length = length.map_err(|error| {
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        let hint = if is_missing { similar(path) } else { String::new() };
        FileError::new(path, format!("cannot be read: {error}{hint}"))
    })?;
    if length as u64 > MOST_BYTES {
        return Err(FileError::new(path, "longer than 256 MiB, which no scenario or trace is"));
    }
    text(path, bytes)
}

/// The bytes of a file as text.
///
/// # Errors
/// If they are not UTF-8.
pub fn text(path: &Path, bytes: Vec<u8>) -> Result<String, FileError> {
    String::from_utf8(bytes).map_err(|_| FileError::new(path, "not a text: it is not UTF-8"))
}

/// Parses a JSON text, strictly.
///
/// # Errors
/// If it is not such a value, has a duplicate key, or differs from the form that this program writes. serde
/// alone is laxer: it takes the last of two equal keys, and accepts a list in place of an object.
pub fn json<T: DeserializeOwned + Serialize>(path: &Path, text: &str) -> Result<T, FileError> {
    let wrong = |error| FileError::json(path, &error);
    let read: T = serde_json::from_str(text).map_err(wrong)?;
    let written = serde_json::to_string(&read).map_err(wrong)?;
    let Content(said) = serde_json::from_str(text).map_err(wrong)?;
    let Content(here) = serde_json::from_str(&written).map_err(wrong)?;
    // Two long traces as values would take thirty times the memory of their texts.
    if said == here {
        return Ok(read);
    }
    let [said, here] = [text, &written].map(serde_json::from_str::<Value>);
    match differently(&said.map_err(wrong)?, &here.map_err(wrong)?) {
        Some((place, here)) => {
            Err(FileError::new(path, format!("`{place}` is written as `{here}` here")))
        }
        None => Ok(read),
    }
}

/// The first place where a value differs from the form that this program writes, and that form. Extra keys
/// are not compared: the type must refuse unknown keys.
fn differently<'a>(said: &Value, here: &'a Value) -> Option<(String, &'a Value)> {
    match (said, here) {
        (Value::Object(said), Value::Object(here)) => here.iter().find_map(|(key, here)| {
            let (place, here) = differently(said.get(key).unwrap_or(&Value::Null), here)?;
            Some((format!(".{key}{place}"), here))
        }),
        (Value::Array(said), Value::Array(here)) if said.len() == here.len() => {
            said.iter().zip(here).enumerate().find_map(|(at, (said, here))| {
                let (place, here) = differently(said, here)?;
                Some((format!("[{at}]{place}"), here))
            })
        }
        _ => (said != here).then(|| (String::new(), here)),
    }
}

/// A digest of a value without duplicate keys. It does not depend on the order of keys, or on keys without a value.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Content(u64);

impl Content {
    const NOTHING: Self = Self(0);

    fn of(part: impl Hash) -> Self {
        Self(FixedState::default().hash_one(part))
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self::NOTHING)
    }
}

impl<'de> de::Visitor<'de> for Content {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, said: bool) -> Result<Self, E> {
        Ok(Self::of(said))
    }

    fn visit_i64<E>(self, said: i64) -> Result<Self, E> {
        Ok(Self::of(said))
    }

    fn visit_u64<E>(self, said: u64) -> Result<Self, E> {
        Ok(Self::of(said))
    }

    fn visit_f64<E>(self, said: f64) -> Result<Self, E> {
        Ok(Self::of(("a number", said.to_bits())))
    }

    fn visit_str<E>(self, said: &str) -> Result<Self, E> {
        Ok(Self::of(said))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        let mut said = Self::of("a list");
        while let Some(Self(item)) = items.next_element()? {
            said = Self::of((said.0, item));
        }
        Ok(said)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        let (Self(mut said), mut keys) = (Self::of("an object"), FxHashSet::default());
        while let Some((key, value)) = entries.next_entry::<String, Self>()? {
            if value != Self::NOTHING {
                said = said.wrapping_add(Self::of((&key, value.0)).0);
            }
            if let Some(key) = keys.replace(key) {
                return Err(de::Error::custom(format!("the key `{key}` is there twice")));
            }
        }
        Ok(Self(said))
    }
}

/// Replaces the content of a file. After a failure, even a power failure, it has either the old content or
/// the new. A terminal or a pipe is written to directly.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), FileError> {
    let written = match fs::metadata(path) {
        Ok(known) if !known.is_file() => fs::write(path, text),
        _ => replace(path, |file| file.write_all(text.as_bytes())),
    };
    written.map_err(|error| FileError::new(path, format!("cannot be written: {error}")))
}

/// Makes sure, before long work, that files can be written below a folder. It need not exist yet.
///
/// # Errors
/// If they cannot.
pub fn can_hold_files(folder: &Path) -> Result<(), FileError> {
    let exists = folder.ancestors().find(|path| path.exists());
    let nearest = exists.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wrong = |error: io::Error| {
        FileError::new(folder, format!("no file can be written there: {}", error.kind()))
    };
    new_file(nearest).map(drop).map_err(wrong)
}

/// Makes sure, before long work, that a file can be written. A terminal or a pipe is not tried.
///
/// # Errors
/// If it cannot.
pub fn can_be_written(path: &Path) -> Result<(), FileError> {
    if path.is_dir() {
        return Err(FileError::new(path, "a folder, not a file"));
    }
    let is_special = path.exists() && !path.is_file();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    if !folder.exists() {
        let message =
            format!("no file can be written there: there is no folder {}", folder.display());
        return Err(FileError::new(path, message));
    }
    if is_special { Ok(()) } else { can_hold_files(folder) }
}

/// Replaces a file, whose permissions stay, by one with what `content` writes.
pub(super) fn replace(
    path: &Path,
    content: impl FnOnce(&mut NamedTempFile) -> io::Result<()>,
) -> io::Result<()> {
    // The target of a symbolic link, so that the link itself stays.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    let mut file = new_file(folder)?;
    content(&mut file)?;
    if let Ok(known) = fs::metadata(&target) {
        file.as_file().set_permissions(known.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&target)?;
    sync(folder)
}

/// Writes the names of new files to the disk.
#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// This system cannot open folders, and writes names by itself.
#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A temporary file, with the permissions of any new file. It is deleted unless it is given its name.
#[cfg(unix)]
fn new_file(folder: &Path) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = fs::Permissions::from_mode(0o666);
    tempfile::Builder::new().permissions(permissions).tempfile_in(folder)
}

/// A temporary file. It is deleted unless it is given its name.
#[cfg(not(unix))]
fn new_file(folder: &Path) -> io::Result<NamedTempFile> {
    NamedTempFile::new_in(folder)
}

/// The files below a folder that have this extension. Links to folders are not followed, because they may
/// form a cycle.
///
/// # Errors
/// If a folder cannot be read.
pub fn files_below(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, FileError> {
    let cannot = |folder: &Path, reason: &dyn fmt::Display| {
        FileError::new(folder, format!("cannot be read: {reason}"))
    };
    // Without this, a plain file would count as a folder with one file.
    fs::read_dir(folder).map_err(|error| cannot(folder, &error))?;
    let mut paths = vec![];
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            let place = error.path().unwrap_or(folder).to_path_buf();
            match error.io_error() {
                Some(reason) => cannot(&place, reason),
                None => cannot(&place, &error),
            }
        })?;
        let path = entry.path();
        let is_folder = entry.file_type().is_dir();
        if !is_folder && path.extension().is_some_and(|found| found == extension) {
            paths.push(path.to_path_buf());
        }
    }
    Ok(paths)
}

/// The name of a file below a folder: its relative path, with `/` on every system.
#[must_use]
pub fn name_below(folder: &Path, path: &Path) -> String {
    printable(&path.strip_prefix(folder).unwrap_or(path).to_string_lossy().replace('\\', "/"))
}

/// A path as seen from the current folder, if it is below that.
#[must_use]
pub fn shown(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let here = env::current_dir().and_then(fs::canonicalize);
    let below = here.ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    printable(&below.unwrap_or(path).display().to_string())
}

/// `, did you mean …?` if a name is close to a known one, or to the last part of a known path. The part is then what is meant.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let close = |whole: &'a str| {
        let last = whole.rsplit('/').next().unwrap_or(whole);
        let distances = [whole, last].map(|form| (strsim::damerau_levenshtein(name, form), form));
        let (distance, form) = distances.into_iter().min()?;
        (distance <= form.len().div_ceil(3)).then_some((distance, form))
    };
    let closest = known.into_iter().filter_map(close).min_by_key(|(distance, _)| *distance);
    closest.map_or(String::new(), |(_, form)| format!(", did you mean `{form}`?"))
}

/// A hint at a file of a similar name in the same folder.
fn similar(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten().flatten();
    let mut names: Vec<_> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    did_you_mean(&name, names.iter().map(String::as_str))
}

/// An error for a path that is no regular file: a pipe may never be written to, and a device may never end.
///
/// # Errors
/// If it is something else. A path that does not exist is none.
pub(crate) fn refuse_special(path: &Path) -> Result<(), FileError> {
    match fs::metadata(path) {
        Ok(file) if !file.is_file() && !file.is_dir() => {
            Err(FileError::new(path, "a pipe or device, not a file: save it first"))
        }
        _ => Ok(()),
    }
}
