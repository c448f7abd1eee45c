//! The reason why a command gives no answer, and the form in which it is said.

use super::Exit;
use crate::{
    io::{file::FileError, text::printable},
    verdict::report::json::Object,
};
use serde_json::json;
use std::{
    ffi::OsString,
    fmt,
    io::{self, Write},
};

/// The reason why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The arguments are not understood, or ask for help.
    Arguments(clap::Error),
    /// The arguments are wrong.
    Usage(String),
    /// A file is not what it should be.
    File(FileError),
    /// A process or a node has ended, or could not be started.
    Ended(String),
    /// The answer could not be written.
    Output(io::Error),
}

impl Failure {
    pub(super) fn exit(&self) -> Exit {
        match self {
            // Help is what was asked for.
            Self::Arguments(error) if !error.use_stderr() => Exit::AsExpected,
            Self::Ended(_) => Exit::Differs,
            // Not a success: what was not written may differ from what is expected.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Unread,
            Self::Arguments(_) | Self::Usage(_) | Self::File(_) | Self::Output(_) => Exit::Bad,
        }
    }

    /// Says it on standard error; help, on standard output.
    pub(super) fn say(&self, form: Form) {
        match self {
            Self::Arguments(error) if form == Form::Text || !error.use_stderr() => {
                // The words of the user can be the name of somebody else's file, as in `replay *`.
                let plain = error.render().to_string();
                let lines: Vec<_> = plain.split('\n').map(printable).collect();
                let clean = lines.join("\n");
                let _ = if clean == plain {
                    error.print()
                } else {
                    write!(anstream::stderr(), "{clean}")
                };
            }
            _ if self.exit() == Exit::Unread => {}
            _ => {
                let _ = write!(anstream::stderr(), "{}", form.line(self));
            }
        }
    }
}

/// The form of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
}

impl Form {
    /// The form that these arguments ask for, even if they are not understood otherwise.
    pub(super) fn of(arguments: &[OsString]) -> Self {
        if asked(arguments, "--format").is_some_and(|it| it == "json") {
            Self::Json
        } else {
            Self::Text
        }
    }

    /// A line about a failure.
    pub(super) fn line(self, failure: &Failure) -> String {
        match self {
            // Names of files and texts in them may contain anything.
            Self::Text => {
                let text = failure.to_string();
                let lines: Vec<_> = text.lines().map(printable).collect();
                format!("error: {}\n", lines.join("\n"))
            }
            Self::Json => {
                let fields = json!({ "error": failure.to_string(), "exit": failure.exit() as u8 });
                format!("{}\n", Object::new("error", fields))
            }
        }
    }
}

/// The value that these arguments give an option, even if they are not understood otherwise.
pub(super) fn asked(arguments: &[OsString], option: &str) -> Option<String> {
    let arguments: Vec<_> = arguments.iter().map(|it| it.to_string_lossy().into_owned()).collect();
    let mut values = (1..=arguments.len()).filter_map(|next| {
        match arguments[next - 1].strip_prefix(option)? {
            "" => arguments.get(next).cloned(),
            value => value.strip_prefix('=').map(String::from),
        }
    });
    values.next()
}

/// The message of an error in the arguments, without the usage of the command.
fn said(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let is_said = |part: &&str| !part.starts_with("Usage:") && !part.starts_with("For more");
    let parts: Vec<_> = text.trim_end().split("\n\n").filter(is_said).collect();
    parts.join("\n")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments(error) => f.write_str(&said(error)),
            Self::Usage(message) | Self::Ended(message) => f.write_str(message),
            Self::File(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write the answer: {error}"),
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::File(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
