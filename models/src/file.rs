//! Files that people write: what is wrong with one, and where.

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
    /// Something is wrong with the whole file.
    pub fn new(path: &Path, message: impl fmt::Display) -> Self {
        Self { path: path.into(), place: None, message: message.to_string() }
    }

    /// Something is wrong at a place in the text.
    pub fn at(path: &Path, text: &str, span: Range<usize>, message: impl fmt::Display) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Self { place: Some((line, column)), ..Self::new(path, message) }
    }

    /// The file is not the JSON that was expected.
    #[must_use]
    pub fn json(path: &Path, error: &serde_json::Error) -> Self {
        let message = error.to_string();
        // The place is said in front.
        let message = message.split(" at line ").next().unwrap_or(&message);
        Self {
            place: (error.line() > 0).then(|| (error.line(), error.column())),
            ..Self::new(path, message)
        }
    }
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
    String::from_utf8(bytes).map_err(|_| FileError::new(path, "not a text: it is not UTF-8"))
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
