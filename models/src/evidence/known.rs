//! Known traces: the counterexamples that are kept.
//!
//! They are run again before anything else is looked for: whoever has mended something learns first
//! that it is mended, and which traces go.

use crate::{
    evidence::{
        replay::{Mode, Outcome, replay},
        trace::Trace,
    },
    io::{file::FileError, text::printable},
    protocol::registry::Known,
    verdict::scenario::files_below,
    with_protocol,
};
use std::path::Path;

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
        let mut paths = vec![];
        files_below(folder, "json", &mut paths)?;
        let name = |path: &Path| {
            let place = path.strip_prefix(folder).unwrap_or(path);
            place.to_string_lossy().replace('\\', "/")
        };
        let read = |path| Ok(Self { name: name(path), trace: Trace::read(path)? });
        let mut known: Vec<_> = paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
        known.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(known)
    }

    /// Whether today's protocol, under the actions of this trace, violates its property no more.
    ///
    /// # Errors
    /// If there is no such protocol or property, or the environment does not suit the protocol.
    pub fn is_fixed(&self) -> Result<bool, String> {
        let Self { name, trace } = self;
        let named = Known::of(trace);
        let (known, property) =
            named.map_err(|message| format!("{name}: {}", printable(&message)))?;
        let replay = with_protocol!(known, &trace.environment, protocol =>
            replay(protocol, trace, property, Mode::Schedule, None));
        Ok(!matches!(replay.outcome, Outcome::Violated { .. }))
    }
}
