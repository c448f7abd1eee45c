//! Scenario files: what is wrong with one is said with its place, and with what would have been right.

use interrex_models::{
    environment::{Budget, Start, Timers},
    scenario::{Expected, Scenario},
};
use proptest::prelude::*;
use std::fs;

const RIGHT: &str = r#"summary = "three members"
protocol = "gms3"
nodes = 3
start = "joined"
budgets = { commands = 2, crashes = 1 }

[expect]
states = 10

[expect.properties]
nobody-stopped = { violated = 6 }
single-leader = "holds"
"#;

/// What reading a text says; the path is left out.
fn read(text: impl AsRef<[u8]>) -> Result<Scenario, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.toml");
    fs::write(&path, text).expect("a file");
    Scenario::read(&path, "a").map_err(|error| {
        let text = error.to_string();
        let path = path.display().to_string();
        text.strip_prefix(&path).expect("the path comes first").to_string()
    })
}

fn error_with(right: &str, wrong: &str) -> String {
    assert!(RIGHT.contains(right));
    read(RIGHT.replace(right, wrong)).expect_err("a scenario that is wrong")
}

#[test]
fn a_scenario_is_read_as_it_is_written() {
    let scenario = read(RIGHT).expect("a scenario");
    assert_eq!((scenario.environment.nodes, scenario.environment.start), (3, Start::Joined));
    assert_eq!(scenario.environment.timers, Timers::Late);
    assert_eq!(scenario.environment.budgets[Budget::Crashes], 1);
    assert_eq!((scenario.states, scenario.nightly), (Some(10), false));
    let properties: Vec<_> =
        scenario.properties.iter().map(|(property, expected)| (property.name, *expected)).collect();
    // In the order of reports.
    let expected =
        [("single-leader", Some(Expected::Holds)), ("nobody-stopped", Some(Expected::Violated(6)))];
    assert_eq!(properties, expected);
}

#[test]
fn a_joining_group_can_start_each_newcomer_once_and_every_join_timer_can_fire() {
    let scenario = read(RIGHT.replace("joined", "joining")).expect("a scenario");
    let budgets = scenario.environment.budgets;
    assert_eq!((budgets[Budget::Starts], budgets[Budget::Timeouts]), (2, 3));
}

#[test]
fn a_misspelt_key_is_named_with_its_place_and_the_right_ones() {
    let error = error_with("nodes = 3", "nods = 3");
    assert!(error.starts_with(":3:1: unknown field `nods`, expected one of"), "{error}");
    assert!(error.contains("`nodes`"), "{error}");
    let error = error_with("crashes = 1", "crash = 1");
    assert!(error.starts_with(":5:27: unknown variant `crash`, expected one of"), "{error}");
    let error = error_with("states = 10", "sates = 10");
    assert!(error.starts_with(":8:1: unknown field `sates`, expected"), "{error}");
}

#[test]
fn a_misspelt_value_is_named_with_its_place_and_the_right_ones() {
    let error = error_with("\"joined\"", "\"joint\"");
    assert_eq!(error, ":4:9: unknown variant `joint`, expected one of `joined`, `joining`, `idle`");
    let error = error_with("\"holds\"", "\"held\"");
    assert!(
        error.starts_with(":12:17: unknown variant `held`, expected one of `holds`"),
        "{error}"
    );
    let error = error_with("\"gms3\"", "\"gsm3\"");
    assert_eq!(error, ":2:12: there is no protocol `gsm3`, did you mean `gms3`? (there is: gms3)");
}

#[test]
fn a_misspelt_property_is_an_error_and_not_a_pass() {
    let error = error_with("single-leader", "single-leadr");
    let start =
        ":12:1: gms3 has no property `single-leadr`, did you mean `single-leader`? (it has: ";
    assert!(error.starts_with(start), "{error}");
}

#[test]
fn a_scenario_without_properties_is_an_error_and_not_a_pass() {
    let none = RIGHT.split("nobody-stopped").next().expect("the beginning");
    assert_eq!(
        read(none).expect_err("nothing to check"),
        ":10:1: no properties: nothing would be checked"
    );
}

#[test]
fn what_is_left_out_is_named() {
    assert!(error_with("nodes = 3\n", "").contains("missing field `nodes`"));
    assert!(error_with("states = 10\n", "").contains("missing field `states`"));
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    assert_eq!(error_with("nodes = 3", "nodes = 0"), ":3:9: 0 nodes: expected 1 to 32");
    assert_eq!(error_with("nodes = 3", "nodes = 33"), ":3:9: 33 nodes: expected 1 to 32");
    assert!(error_with("commands = 2", "commands = -1").starts_with(":5:24: invalid value"));
    assert!(error_with("commands = 2", "commands = 256").starts_with(":5:24: invalid value"));
    assert!(error_with("violated = 6", "violated = -6").starts_with(":11:31: invalid value"));
    let error = error_with("commands = 2", "starts = 2");
    assert_eq!(error, ":5:11: a joined group has nobody left to start: leave out `starts`");
}

#[test]
fn what_is_no_text_is_refused() {
    assert_eq!(read([0xff, 0xfe, 0x00]).expect_err("no text"), ": not a text: it is not UTF-8");
    assert!(read("").expect_err("nothing").contains("missing field"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// Whatever a slip of the finger makes of it: an error or a scenario, no panic.
    #[test]
    fn a_mangled_scenario_is_an_error_or_a_scenario(at in 0..RIGHT.len(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut text = RIGHT.as_bytes().to_vec();
        text[at] = byte;
        if cut {
            text.truncate(at);
        }
        let _ = read(text);
    }
}
