//! The wording of what is wrong with messages, wherever it is found.

use super::{Where, life::Life};
use crate::real::application::Application;
use interrex::machine::Address;
use std::path::Path;

/// A process has sent a message, and no log tells of it.
pub(super) fn untold(from: Address) -> String {
    format!("no log tells of {from}, which sent it: give the logs of all nodes")
}

/// A message was sent after the last step of its sender.
pub(super) fn too_late<R: Application>(sender: &Life<R>, sent: u64, path: &Path) -> String {
    let (from, steps, path) = (sender.me, sender.steps.len() - 1, path.display());
    format!(
        "a message arrived that {from} sent in its step {sent}, and in {path} it has {steps} steps"
    )
}

/// A message does not come from the step in which it is said to have been sent, or came from it before.
pub(super) fn unsent(before: bool, place: &Where) -> String {
    let what = if before { "arrived twice" } else { "arrived that was not sent" };
    format!("a message {what}: see {place}, where it is said to come from")
}

/// `1st`, `2nd`, `11th`.
pub(super) fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
