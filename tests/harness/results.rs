//! The tables of `traces/README.md` say what the scenarios expect. With `UPDATE_TABLES=1` this test writes them.

use interrex_models::{
    protocol::registry::{Known, built_in},
    verdict::{
        matrix::{Matrix, class_of},
        outcome::Expected,
        scenario::Scenario,
    },
};
use std::{env, fmt::Write, fs, path::Path};

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_tables_of_results_say_what_the_scenarios_expect() {
    let scenarios = Scenario::read_all(built_in(), &folder().join("scenarios"))
        .expect("scenarios that can be read");
    let path = folder().join("../traces/README.md");
    let stored = fs::read_to_string(&path).expect("a text");
    let mut text = with_block(&stored, "matrix", &Matrix::pinned(&scenarios).to_markdown("."));
    for known in built_in().all().iter().copied() {
        text = with_block(&text, known.name(), &table(known, known.name(), &scenarios));
    }
    let short = table(built_in()["group"], "group/short-memory", &scenarios);
    text = with_block(&text, "group with short memory", &short);
    text = with_block(&text, "controls", &controls(&scenarios, "gen_leader"));
    text = with_block(&text, "group controls", &controls(&scenarios, "group"));
    if env::var_os("UPDATE_TABLES").is_some() {
        fs::write(&path, &text).expect("a file that can be written");
    } else {
        assert!(
            text == stored,
            "another table: `UPDATE_TABLES=1 cargo test --test results` writes it"
        );
    }
}

/// The text with another block between the two comments that bear a name.
fn with_block(text: &str, name: &str, block: &str) -> String {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let (before, rest) = text.split_once(&begin).expect(&begin);
    let (_, after) = rest.split_once(&end).expect(&end);
    format!("{before}{begin}\n{}\n\n{end}{after}", block.trim_end())
}

/// The scenarios in a protocol's folder that are not columns of the matrix, beside each other.
fn table(known: Known, folder: &str, scenarios: &[Scenario]) -> String {
    let prefix = format!("{folder}/");
    let is_own = |scenario: &&Scenario| {
        let name = scenario.name.strip_prefix(&prefix);
        name.is_some_and(|name| !name.contains('/')) && class_of(scenario).is_none()
    };
    let columns: Vec<_> = scenarios.iter().filter(is_own).collect();
    let mut text = String::from("| property |");
    for scenario in &columns {
        let _ = write!(text, " `{}` |", &scenario.name[prefix.len()..]);
    }
    let _ = write!(text, "\n|---|{}", ":-:|".repeat(columns.len()));
    for property in known.properties() {
        let _ = write!(text, "\n| `{}` |", property.name);
        for scenario in &columns {
            let judged = scenario.properties.iter().find(|(it, _)| it.name == property.name);
            let _ = write!(
                text,
                " {} |",
                cell(scenario, judged.and_then(|(_, it)| *it), property.name)
            );
        }
    }
    text += "\n| *distinct worlds* |";
    for scenario in &columns {
        let _ = write!(text, " {} |", scenario.states.map_or("?".into(), thousands));
    }
    text
}

fn cell(scenario: &Scenario, expected: Option<Expected>, property: &str) -> String {
    match expected {
        Some(Expected::Holds) => "✓".into(),
        Some(Expected::Violated(steps)) => {
            let (folder, name) = scenario.name.rsplit_once('/').expect("a folder");
            format!("[✗ {steps}](./{folder}/{property}.{name}.json)")
        }
        Some(Expected::Unwitnessed | Expected::Anything) | None => "–".into(),
    }
}

/// The table of a protocol's controls: each lacks one of its repairs or safeguards.
fn controls(scenarios: &[Scenario], protocol: &str) -> String {
    let folder = format!("{protocol}/controls/");
    let mut text = String::from("| without | what happens | |\n|---|---|---|");
    for scenario in scenarios {
        let Some(repair) = scenario.name.strip_prefix(&folder) else { continue };
        for (property, expected) in &scenario.properties {
            let (name, summary) = (property.name, &scenario.summary);
            let cell = cell(scenario, *expected, name);
            let _ = write!(text, "\n| `{repair}` | {summary} | `{name}` {cell} |");
        }
    }
    text
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
