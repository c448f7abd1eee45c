//! Runs the machine on all logs: where a log has only the digest of a message, the message is that of the run on the log
//! of its sender.
//!
//! The log whose next line is the earliest goes on first. A log that needs what another one has not come to yet waits for
//! it. If all logs that are not at their ends wait, [`Execution`] says why.

use super::{
    Contradiction, Gap,
    adapter::OTHER_STORED,
    log::Common,
    run::{Replayed, Run},
    supply::{Supply, Wanted},
    wording,
};
use crate::{io::file::FileError, real::application::Application};
use interrex::machine::Address;
use std::path::PathBuf;

/// The runs of the machine on logs.
pub(super) struct Execution<R: Application> {
    /// In the order of the logs.
    pub replayed: Vec<Replayed<R>>,
    /// The values that no log has. Without them some logs could not be run to their ends.
    pub gaps: Vec<Gap>,
    /// All logs were run to their ends.
    pub is_complete: bool,
}

/// Runs a machine on logs; on each, up to a number of lines.
pub(super) fn execute<R: Application>(
    machine: &R,
    common: &Common,
    paths: &[PathBuf],
    most_lines: impl Fn(usize) -> usize,
) -> Result<Execution<R>, FileError> {
    let paths = paths.iter().enumerate();
    let runs =
        paths.map(|(file, path)| Run::begin(machine, common, (file, path), most_lines(file)));
    let mut runs = runs.collect::<Result<Vec<_>, _>>()?;
    let mut supply = Supply::new();
    let earliest = |runs: &[Run<'_, R>]| {
        (0..runs.len()).filter(|at| runs[*at].is_ready()).min_by_key(|at| runs[*at].at())
    };
    while let Some(at) = earliest(&runs) {
        if runs[at].advance(&mut supply)? {
            runs.iter_mut().for_each(Run::try_again);
        }
    }
    Ok(conclude(runs, &supply))
}

/// The contradiction of logs that wait for each other.
pub(super) const WAIT: &str =
    "the logs wait for each other from here on: each was told something that the other did later";

/// Ends the runs. Of those that wait, it finds out why.
fn conclude<R: Application>(mut runs: Vec<Run<'_, R>>, supply: &Supply<R>) -> Execution<R> {
    let is_complete = runs.iter().all(Run::is_complete);
    let waiting: Vec<_> = (0..runs.len()).filter(|at| runs[*at].wanted().is_some()).collect();
    let mut is_explained = runs.iter().any(|run| run.replayed.difference.is_some());
    let mut gaps = vec![];
    for at in &waiting {
        let place = runs[*at].lines.place();
        match why(&runs, *at, supply) {
            Some(Why::Gap(message)) => gaps.push(Gap { place, message }),
            Some(Why::Fault(message)) => {
                runs[*at].replayed.broken.push(Contradiction { place, message });
            }
            None => continue,
        }
        is_explained = true;
    }
    if let (false, Some(at)) = (is_explained, waiting.first()) {
        let (place, message) = (runs[*at].lines.place(), WAIT.into());
        runs[*at].replayed.broken.push(Contradiction { place, message });
    }
    Execution { replayed: runs.into_iter().map(Run::end).collect(), gaps, is_complete }
}

/// The reason why a run cannot go on.
enum Why {
    /// No log has what it needs.
    Gap(String),
    /// The value that it needs never existed.
    Fault(String),
}

/// The reason why a run cannot go on; none if it is only that another one does not.
fn why<R: Application>(runs: &[Run<'_, R>], at: usize, supply: &Supply<R>) -> Option<Why> {
    let others = || runs.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, run)| run);
    match runs[at].wanted()? {
        Wanted::Message { from, sent, to, digest } => {
            let step = (*from, *sent);
            let had = supply.had(step, *to, digest);
            unsent(runs, step, had)
        }
        Wanted::Stored { me } => {
            if runs[at].has_stored() {
                return Some(Why::Fault(OTHER_STORED.into()));
            }
            let comes = others().any(|run| !run.is_complete() && run.is_of(me.node));
            (!comes).then(|| {
                Why::Gap(format!(
                    "{me} begins with what was stored, here is only its digest, and no log tells of the life that stored \
                     it: give all logs of {}",
                    me.node
                ))
            })
        }
    }
}

/// The reason why a message is not there; none if the log of its sender could not be run that far.
fn unsent<R: Application>(
    runs: &[Run<'_, R>],
    (from, sent): (Address, u64),
    had: bool,
) -> Option<Why> {
    let Some((run, life)) = runs.iter().find_map(|run| Some((run, run.life(from)?))) else {
        let comes = runs.iter().any(|run| !run.is_complete() && run.is_of(from.node));
        let untold = wording::untold(from);
        return (!comes).then(|| {
            Why::Gap(format!("a message arrives, here is only its digest, and {untold}"))
        });
    };
    if let Some(step) = run.agreed(life, sent) {
        return Some(Why::Fault(wording::unsent(had, &run.lines.at(step.line))));
    }
    let is_over = !run.is_running(from);
    is_over.then(|| Why::Fault(wording::too_late(life, sent, &run.lines.place().path)))
}
