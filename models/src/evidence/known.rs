//! Known traces: the counterexamples that are kept.
//!
//! They are replayed before any search. So after a fault is fixed, the traces that no longer violate their
//! property are reported first.

use crate::{
    evidence::{replay::Outcome, trace::Trace},
    io::{
        file::{self, FileError},
        text::printable,
    },
    protocol::registry::Registry,
};
use std::path::{Path, PathBuf};

/// A trace that is kept, and its place below the folder of traces.
#[derive(Clone, Debug)]
pub struct KnownTrace {
    /// Its name: its place, as `gms3/view-order.joining-4.json`.
    pub name: String,
    /// The run.
    pub trace: Trace,
}

impl KnownTrace {
    /// Reads every trace below a folder, in the order of their names.
    ///
    /// # Errors
    /// If the folder or one of them cannot be read.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>, FileError> {
        let read = |path: PathBuf| {
            let (name, trace) = (file::name_below(folder, &path), Trace::read(&path)?);
            Ok(Self { name, trace })
        };
        let paths = file::files_below(folder, "json")?;
        let mut known: Vec<_> = paths.into_iter().map(read).collect::<Result<_, _>>()?;
        known.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(known)
    }

    /// The result of a replay of its actions with today's protocol.
    ///
    /// # Errors
    /// If there is no such protocol or property, or the environment does not suit the protocol.
    pub fn status(&self, registry: &Registry) -> Result<Status, String> {
        let Self { name, trace } = self;
        let named = registry.of(trace);
        let (known, property) =
            named.map_err(|message| format!("{name}: {}", printable(&message)))?;
        let replay = known.harness(&trace.environment).reproduce(trace, property);
        Ok(match replay.outcome {
            Outcome::Violated { .. } => Status::Violated,
            Outcome::Unsettled => Status::Undecided,
            _ if replay.left_out() > 0 => Status::NotReproduced,
            _ => Status::Fixed,
        })
    }
}

/// The status of a known trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its actions still violate the property.
    Violated,
    /// Its actions are all possible, and no longer violate the property.
    Fixed,
    /// Some of its actions are not possible any more, and the others do not violate the property.
    NotReproduced,
    /// Its actions are all possible, but its property is not judged where they end, or where they lead in many steps.
    Undecided,
}
