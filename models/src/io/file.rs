//! Files that people write: what is wrong with one, and where.

use crate::io::text::printable;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned},
};
use serde_json::{Map, Value};
use std::{
    fmt, fs,
    io::Read,
    ops::Range,
    path::{Path, PathBuf},
};

/// What is wrong with a file. Nothing was written, and nothing of the file was used.
#[derive(Debug)]
pub struct FileError {
    path: PathBuf,
    /// Line and column, from 1.
    place: Option<(usize, usize)>,
    message: String,
}

impl FileError {
    /// Something is wrong with the whole file. What the message repeats of it does not steer a terminal.
    pub fn new(path: &Path, message: impl fmt::Display) -> Self {
        Self { path: path.into(), place: None, message: printable(&message.to_string()) }
    }

    /// Something is wrong at a place in the text.
    pub fn at(path: &Path, text: &str, span: Range<usize>, message: impl fmt::Display) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Self::in_line(path, line, column, message)
    }

    /// Something is wrong with a line; lines and columns are counted from 1.
    pub fn in_line(path: &Path, line: usize, column: usize, message: impl fmt::Display) -> Self {
        Self { place: Some((line, column)), ..Self::new(path, message) }
    }

    /// The file is not the JSON that was expected.
    #[must_use]
    pub fn json(path: &Path, error: &serde_json::Error) -> Self {
        Self {
            place: (error.line() > 0).then(|| (error.line(), error.column())),
            ..Self::new(path, without_place(error))
        }
    }
}

/// What an error of JSON says, without its place: that is said in front.
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

/// More than any scenario or trace has, in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// The text of a file.
///
/// # Errors
/// If it cannot be read, is longer than 64 MiB, or is not UTF-8.
pub fn read(path: &Path) -> Result<String, FileError> {
    let mut bytes = vec![];
    let file = fs::File::open(path);
    let length = file.and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    let length =
        length.map_err(|error| FileError::new(path, format!("cannot be read: {error}")))?;
    if length as u64 > MOST_BYTES {
        return Err(FileError::new(path, "longer than 64 MiB, which no scenario or trace is"));
    }
    text(path, bytes)
}

/// The text that the bytes of a file are.
///
/// # Errors
/// If they are not UTF-8.
pub fn text(path: &Path, bytes: Vec<u8>) -> Result<String, FileError> {
    String::from_utf8(bytes).map_err(|_| FileError::new(path, "not a text: it is not UTF-8"))
}

/// What the text of a file says in JSON.
///
/// # Errors
/// If it is something else, has a key twice, or is not written as it would be here: serde takes the last of
/// two keys, and a list where names belong.
pub fn json<T: DeserializeOwned + Serialize>(path: &Path, text: &str) -> Result<T, FileError> {
    let wrong = |error| FileError::json(path, &error);
    let read: T = serde_json::from_str(text).map_err(wrong)?;
    let Distinct(said) = serde_json::from_str(text).map_err(wrong)?;
    let here = serde_json::to_value(&read).map_err(wrong)?;
    match differently(&said, &here) {
        Some((place, here)) => {
            Err(FileError::new(path, format!("`{place}` is written as `{here}` here")))
        }
        None => Ok(read),
    }
}

/// Where a value is not written as it is here, and how it is. It may say more: that nothing is lost of that, it
/// is for the type to see to.
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

/// A value in which no key is there twice.
struct Distinct(Value);

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self(Value::Null))
    }
}

impl<'de> de::Visitor<'de> for Distinct {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, said: bool) -> Result<Self, E> {
        Ok(Self(said.into()))
    }

    fn visit_i64<E>(self, said: i64) -> Result<Self, E> {
        Ok(Self(said.into()))
    }

    fn visit_u64<E>(self, said: u64) -> Result<Self, E> {
        Ok(Self(said.into()))
    }

    fn visit_f64<E>(self, said: f64) -> Result<Self, E> {
        Ok(Self(said.into()))
    }

    fn visit_str<E>(self, said: &str) -> Result<Self, E> {
        Ok(Self(said.into()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        let mut said = vec![];
        while let Some(Self(item)) = items.next_element()? {
            said.push(item);
        }
        Ok(Self(said.into()))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        let mut said = Map::new();
        while let Some((key, Self(value))) = entries.next_entry::<String, Self>()? {
            if said.contains_key(&key) {
                return Err(de::Error::custom(format!("the key `{key}` is there twice")));
            }
            said.insert(key, value);
        }
        Ok(Self(said.into()))
    }
}

/// Replaces the content of a file: whatever fails, either the old content is there or the new. What is
/// no plain file (a terminal, a pipe) is written to as it is.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), FileError> {
    let cannot = |error| FileError::new(path, format!("cannot be written: {error}"));
    if fs::metadata(path).is_ok_and(|known| !known.is_file()) {
        return fs::write(path, text).map_err(cannot);
    }
    // Where a link leads, so that the link stays.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let mut beside = target.clone().into_os_string();
    beside.push(format!(".{}.new", std::process::id()));
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &target));
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        cannot(error)
    })
}

/// `, did you mean …?` if a name is close to a known one.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let distance = |other: &&str| strsim::damerau_levenshtein(name, other);
    match known.into_iter().min_by_key(distance) {
        Some(closest) if distance(&closest) <= closest.len().div_ceil(3) => {
            format!(", did you mean `{closest}`?")
        }
        _ => String::new(),
    }
}
