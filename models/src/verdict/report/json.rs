//! Reports for programs.
//!
//! Every command that has `--format json` answers in this shape, also those that report as things happen (`failover`,
//! `node`): one object a line. Its field `kind` says what it is about:
//!
//! | command | kinds |
//! |---|---|
//! | `check` | `scenario`; with `--coverage` also `coverage`, one for each protocol |
//! | `fuzz` | `known_traces`, one for each protocol; then as `check` |
//! | `matrix` | `cell`, one for each verdict; then `matrix` |
//! | `mutants` | `file`, one for each file that is changed; then `mutants` |
//! | `list` | `protocol`, `scenario`, `property`; with `--only words`, `word` |
//! | `diff` | `diff` |
//! | `replay` | `step`; then `replay` |
//! | `validate` | `log`, `difference`, `contradiction`, `lost`, `clocks`, `property`; then `validation`; with `--save-trace` also `trace` or `no_trace` |
//! | `failover` | `round` |
//! | `node` | those of [`Notice`](crate::real::line::Notice), with the time |
//! | all | `error`: why there is no answer, on standard error, with the exit code |
//!
//! The judgements are in `cases`, a list of [`Case`](super::Case)s, of the last object of each section: the worst of
//! their `status` (`as_expected`, `cut`, `differs`) over the whole answer decides the exit code. Further fields may be
//! added.

use super::{Renderer, Section};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{
    fmt,
    io::{self, Write},
};

/// An object of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(Map<String, Value>);

impl Object {
    /// An object of this kind, with the fields of a value.
    ///
    /// # Panics
    /// If the value is not an object in JSON, or has a field `kind` itself.
    pub fn new(kind: &str, fields: impl Serialize) -> Self {
        let Value::Object(fields) = json!(fields) else { panic!("{kind}: not an object") };
        assert!(!fields.contains_key("kind"), "{kind}: two kinds");
        let kind = [("kind".to_string(), kind.into())];
        Self(kind.into_iter().chain(fields).collect())
    }

    /// The same with one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.0.insert(name.into(), json!(value));
        self
    }
}

/// A line.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(&self.0).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

/// Writes each object of a section on a line of its own.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl Renderer for Json {
    fn section(&mut self, out: &mut dyn Write, section: &dyn Section) -> io::Result<()> {
        let (mut objects, cases) = (section.objects(), section.cases());
        if let Some(last) = objects.pop_if(|_| !cases.is_empty()) {
            objects.push(last.with("cases", cases));
        }
        objects.iter().try_for_each(|object| writeln!(out, "{object}"))
    }
}
