//! Pins: the expectations of a scenario's file, and their replacement by what was found.

use super::{
    check::{Report, Row},
    outcome::{Comparison, Expected, Verdict},
};
use crate::io::file::{self, FileError};
use serde::Deserialize;
use std::{collections::BTreeMap, ops::Range, path::Path};
use toml::Spanned;

/// The part of a scenario's file that pins something.
#[derive(Deserialize)]
struct Written {
    expect: Pins,
}

#[derive(Deserialize)]
struct Pins {
    states: Spanned<u64>,
    properties: BTreeMap<String, Spanned<Expected>>,
}

/// Replaces, in the file of a scenario, what is not as expected by what a complete search has found. Nothing else changes.
/// Returns the number of values that were replaced.
///
/// # Errors
/// If the file cannot be read or written, or a value stands there in a form that is not replaced.
pub fn bless(path: &Path, report: &Report) -> Result<usize, FileError> {
    if !report.complete {
        return Ok(0);
    }
    let text = file::read(path)?;
    let edits = edits(&parse(path, &text)?, report);
    if edits.is_empty() {
        return Ok(0);
    }
    let mut blessed = text;
    // From the end, so that the other places stay where they are.
    for (place, value) in edits.iter().rev() {
        blessed.replace_range(place.clone(), value);
    }
    let remaining = parse(path, &blessed).map(|pins| self::edits(&pins, report));
    if !remaining.is_ok_and(|remaining| remaining.is_empty()) {
        let message = "an expectation stands on more than one line: write what was found by hand";
        return Err(FileError::new(path, message));
    }
    file::write(path, &blessed)?;
    Ok(edits.len())
}

fn parse(path: &Path, text: &str) -> Result<Pins, FileError> {
    let written = toml::from_str::<Written>(text).map_err(|error| {
        FileError::at(path, text, error.span().unwrap_or_default(), error.message())
    })?;
    Ok(written.expect)
}

/// The values that are not what was found, in the order of their places, and what was found.
fn edits(pins: &Pins, report: &Report) -> Vec<(Range<usize>, String)> {
    let mut edits = vec![];
    if *pins.states.get_ref() != report.states {
        edits.push((pins.states.span(), report.states.to_string()));
    }
    for row in &report.properties {
        if let (Some(found), Some(pin)) = (found(row), pins.properties.get(row.name))
            && *pin.get_ref() != found
        {
            edits.push((pin.span(), written(found)));
        }
    }
    edits.sort_by_key(|(place, _)| place.start);
    edits
}

/// The verdict that was found, if it is not as expected.
fn found(row: &Row) -> Option<Expected> {
    let found = match row.verdict {
        Verdict::Holds => Some(Expected::Holds),
        Verdict::Unwitnessed => Some(Expected::Unwitnessed),
        Verdict::Violated => row.steps.map(Expected::Violated),
        Verdict::Unknown => None,
    };
    found.filter(|_| row.comparison() == Comparison::Differs)
}

fn written(expected: Expected) -> String {
    match expected {
        Expected::Violated(steps) => format!("{{ violated = {steps} }}"),
        Expected::Holds => "\"holds\"".into(),
        Expected::Unwitnessed => "\"unwitnessed\"".into(),
        Expected::Anything => "\"anything\"".into(),
    }
}
