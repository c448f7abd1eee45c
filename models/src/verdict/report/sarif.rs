//! Reports for code scanning: SARIF 2.1.0, a result for each case that is not as expected.

use super::{Case, Place, text::with_run};
use crate::verdict::outcome::Comparison;
use serde_sarif::sarif::{
    ArtifactLocation, Location, LogicalLocation, Message, PhysicalLocation, Region,
    ReportingDescriptor, Result as Finding, ResultLevel, Run, SCHEMA_URL, Sarif, Tool,
    ToolComponent,
};
use std::{
    collections::BTreeSet,
    io::{self, Write},
};

/// Writes a result for each case that is not as expected.
///
/// # Errors
/// If they cannot be written.
pub fn write(cases: &[Case], out: &mut dyn Write) -> io::Result<()> {
    let rules: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    let rule = |name: &String| ReportingDescriptor::builder().id(name).build();
    let driver = ToolComponent::builder()
        .name("interrex")
        .version(env!("CARGO_PKG_VERSION"))
        .rules(rules.into_iter().map(rule).collect::<Vec<_>>())
        .build();
    let run = Run::builder()
        .tool(Tool::builder().driver(driver).build())
        .results(cases.iter().filter_map(finding).collect::<Vec<_>>())
        .build();
    let report = Sarif::builder().schema(SCHEMA_URL).version("2.1.0").runs(vec![run]).build();
    serde_json::to_writer_pretty(&mut *out, &report)?;
    writeln!(out)
}

fn finding(case: &Case) -> Option<Finding> {
    let level = match case.status {
        Comparison::AsExpected => return None,
        Comparison::Cut => ResultLevel::Warning,
        Comparison::Differs => ResultLevel::Error,
    };
    let suite = LogicalLocation::builder().fully_qualified_name(&case.suite).build();
    let mut location = Location::builder().logical_locations(vec![suite]).build();
    location.physical_location = case.place.as_ref().map(physical);
    let message = Message::builder().text(format!("{}: {}", case.suite, with_run(case))).build();
    let finding = Finding::builder()
        .rule_id(&case.name)
        .level(level)
        .message(message)
        .locations(vec![location])
        .build();
    Some(finding)
}

fn physical(place: &Place) -> PhysicalLocation {
    let file = ArtifactLocation::builder().uri(uri(&place.in_repository())).build();
    let line = i64::try_from(place.line).unwrap_or(i64::MAX);
    let region = Region::builder().start_line(line).build();
    PhysicalLocation::builder().artifact_location(file).region(region).build()
}

/// A path as a relative reference: all but the most common characters are escaped.
fn uri(path: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(escaped).collect()
}
