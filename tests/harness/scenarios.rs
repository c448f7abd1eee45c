//! Scenario files: what is wrong with one is said with its place, and with what would have been right.

use interrex_models::{
    claim::property,
    model::environment::{Bound, Budget, Budgets, Environment, Start, Storage, Timers, UNLIMITED},
    protocol::registry::built_in,
    verdict::{
        outcome::Expected,
        scenario::{Builder, Scenario},
    },
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

/// The result of reading a text. The path is left out of errors.
fn read(text: impl AsRef<[u8]>) -> Result<Scenario, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.toml");
    fs::write(&path, text).expect("a file");
    Scenario::read(built_in(), &path, "a").map_err(|error| {
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
fn in_an_idle_group_each_node_can_start_once_workers_too() {
    let idle = Environment {
        nodes: 2,
        workers: 3,
        start: Start::Idle,
        timers: Timers::Late,
        storage: Storage::Lost,
        budgets: Budgets::NONE,
        bound: Some(Bound { measure: "elections".into(), most: 2 }),
    };
    let given = [(Budget::Crashes, 1), (Budget::Timeouts, UNLIMITED)].into();
    let environment = idle.with_budgets(&given).expect("it fits");
    assert_eq!((environment.size(), environment.budgets[Budget::Starts]), (5, 5));
    let text = "2 nodes and 3 workers, idle, late timers, storage lost; \
        starts 5, timeouts unlimited, crashes 1; elections up to 2";
    assert_eq!(environment.to_string(), text);
    let slug = "idle-2-workers-3-lost-starts-5-timeouts-unlimited-crashes-1-elections-2";
    assert_eq!(environment.slug(), slug);
    let json = r#"{"nodes":2,"workers":3,"start":"idle","timers":"late","storage":"lost","#;
    let json = format!(
        r#"{json}"budgets":{{"starts":5,"timeouts":"unlimited","crashes":1}},"bound":{{"elections":2}}}}"#
    );
    assert_eq!(serde_json::to_string(&environment).expect("JSON"), json);
    assert_eq!(serde_json::from_str::<Environment>(&json).expect("an environment"), environment);
}

#[test]
fn what_is_as_usual_is_not_written() {
    let given = [(Budget::Crashes, 1)].into();
    let plain = Environment::new(3, Start::Joined, Timers::Late, &given).expect("it fits");
    let json = r#"{"nodes":3,"start":"joined","timers":"late","budgets":{"crashes":1}}"#;
    assert_eq!(serde_json::to_string(&plain).expect("JSON"), json);
}

#[test]
fn timeouts_may_be_unlimited_nodes_restart_and_storage_be_lost() {
    let more =
        "storage = \"lost\"\nbudgets = { timeouts = \"unlimited\", restarts = 2, crashes = 1 }";
    let text = RIGHT.replace("budgets = { commands = 2, crashes = 1 }", more);
    let environment = read(text).expect("a scenario").environment;
    assert_eq!(environment.storage, Storage::Lost);
    let budgets = [Budget::Timeouts, Budget::Restarts].map(|budget| environment.budgets[budget]);
    assert_eq!(budgets, [UNLIMITED, 2]);
}

#[test]
fn messages_may_be_disturbed_detectors_err_and_nodes_fall_apart() {
    let more = "drops = 1, duplicates = 2, overtakes = 3, suspicions = 4, cuts = 5";
    let text = RIGHT.replace("commands = 2, crashes = 1", more);
    let environment = read(text).expect("a scenario").environment;
    let budgets = Budget::ALL.map(|budget| environment.budgets[budget]);
    assert_eq!(budgets, [0, 0, 0, 0, 0, 1, 2, 3, 4, 5]);
    let said =
        "3 nodes, joined, late timers; drops 1, duplicates 2, overtakes 3, suspicions 4, cuts 5";
    assert_eq!(environment.to_string(), said);
    let slug = "joined-3-drops-1-duplicates-2-overtakes-3-suspicions-4-cuts-5";
    assert_eq!(environment.slug(), slug);
    let json = serde_json::to_string(&environment).expect("JSON");
    assert!(
        json.contains(
            r#""budgets":{"drops":1,"duplicates":2,"overtakes":3,"suspicions":4,"cuts":5}"#
        )
    );
    assert_eq!(serde_json::from_str::<Environment>(&json).expect("an environment"), environment);
}

#[test]
fn only_a_small_group_falls_apart_and_nothing_goes_wrong_without_limit() {
    let faults =
        [Budget::Drops, Budget::Duplicates, Budget::Overtakes, Budget::Suspicions, Budget::Cuts];
    let environment = |nodes, workers, budget, times| {
        let of_size = Environment {
            nodes,
            workers,
            start: Start::Joined,
            timers: Timers::Late,
            storage: Storage::Kept,
            budgets: Budgets::NONE,
            bound: None,
        };
        of_size.with_budgets(&[(budget, times)].into()).map_err(|misfit| misfit.message)
    };
    for budget in faults {
        assert!(environment(12, 0, budget, 254).is_ok());
        let unlimited = format!("{budget} cannot be unlimited, only timeouts can: give a number");
        assert_eq!(environment(12, 0, budget, UNLIMITED), Err(unlimited));
        let many =
            [(13, 0), (10, 3)].map(|(nodes, workers)| environment(nodes, workers, budget, 1));
        let too_many = "cuts of 13 nodes: expected 12 at most".to_string();
        for refused in many {
            assert_eq!(refused.err(), (budget == Budget::Cuts).then_some(too_many.clone()));
        }
    }
    let many = RIGHT.replace("nodes = 3", "nodes = 13").replace("crashes", "cuts");
    assert_eq!(read(many).expect_err("too many"), ":5:11: cuts of 13 nodes: expected 12 at most");
}

#[test]
fn what_does_not_suit_the_protocol_is_refused_with_the_reason() {
    let error = error_with("\"joined\"", "\"idle\"");
    let reason = "its nodes join through one that is up, and nobody could be the first contact";
    assert_eq!(
        error,
        format!(":4:9: gms3 cannot start idle: {reason} (it can start joined or joining)")
    );
    let error = error_with("nodes = 3", "nodes = 3\nworkers = 2");
    assert_eq!(error, ":4:11: gms3 has no workers: leave them out");
    let error = error_with("nodes = 3", "nodes = 3\nbound = { elections = 2 }");
    assert_eq!(
        error,
        ":4:9: gms3 has nothing that can be bounded: leave out the bound `elections=2`"
    );
}

#[test]
fn a_test_builds_what_a_file_says() {
    let read = read(RIGHT).expect("a scenario");
    let builder = || {
        let begun = Scenario::builder().name("a").summary("three members").nodes(3).states(10);
        begun.budget(Budget::Commands, 2).budget(Budget::Crashes, 1)
    };
    let whole = builder()
        .protocol(built_in()["gms3"])
        .start(Start::Joined)
        .holds(&property::SINGLE_LEADER)
        .violated(&property::NOBODY_STOPPED, 6);
    let said = |scenario: Scenario| {
        let rows = scenario.properties.into_iter();
        let rows: Vec<_> = rows.map(|(property, expected)| (property.name, expected)).collect();
        let names = (scenario.name, scenario.protocol, scenario.summary, scenario.nightly);
        (names, scenario.environment, scenario.states, rows)
    };
    assert_eq!(said(whole.build().expect("it fits")), said(read));

    let error = |builder: Builder| builder.build().expect_err("a scenario that is wrong");
    assert!(error(builder()).contains("`start`"));
    let begun = builder().start(Start::Joined);
    assert!(error(begun.clone()).contains("no properties"));
    let begun = begun.property(&property::AGREEMENT);
    assert!(error(begun.clone().protocol(built_in()["gms3"]).workers(1)).contains("no workers"));
    assert!(error(begun.timers(Timers::Any).unlimited_timeouts()).contains("late timers"));
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
    let error = error_with("crashes = 1", "timeouts = \"often\"");
    let expected = "a number from 0 to 4294967294, or (for timeouts) `unlimited`";
    assert_eq!(error, format!(":5:38: invalid value: string \"often\", expected {expected}"));
    let error = error_with("nodes = 3", "nodes = 3\nbound = {}");
    assert_eq!(error, ":4:9: a bound is on one measure, as in `{ elections = 2 }`");
    let error = error_with("\"gms3\"", "\"gsm3\"");
    let names: Vec<_> = built_in().all().iter().map(|known| known.name()).collect();
    let names = names.join(", ");
    let hint = "there is no protocol `gsm3`, did you mean `gms3`?";
    assert_eq!(error, format!(":2:12: {hint} (there are: {names})"));
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
    assert!(
        error_with("commands = 2", "commands = 4294967295").starts_with(":5:24: invalid value")
    );
    let error = error_with("nodes = 3", "nodes = 3\nworkers = 30");
    assert_eq!(error, ":4:11: 30 workers and 3 nodes: expected 32 at most");
    let error = error_with("commands = 2", "commands = \"unlimited\"");
    let only = "commands cannot be unlimited, only timeouts can: give a number";
    assert_eq!(error, format!(":5:11: {only}"));
    let any = "timers = \"any\"\nbudgets = { timeouts = \"unlimited\", ";
    let error = error_with("budgets = { commands = 2, ", any);
    assert!(error.starts_with(":6:11: unlimited timeouts need late timers"), "{error}");
    assert!(error_with("violated = 6", "violated = -6").starts_with(":11:31: invalid value"));
    let error = error_with("commands = 2", "starts = 2");
    assert_eq!(error, ":5:11: a joined group has nobody left to start: leave out `starts`");
}

#[test]
fn what_an_error_repeats_does_not_steer_the_terminal() {
    let error = error_with("\"gms3\"", "\"gms3\\u001b[2J\\n\"");
    assert!(error.starts_with(":2:12: there is no protocol `gms3\u{fffd}[2J\u{fffd}`"), "{error}");
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
