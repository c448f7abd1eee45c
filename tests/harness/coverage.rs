//! Coverage: steps that were taken are counted, steps that were only possible are not, and what is not
//! reached must be named.

use assert_cmd::Command;
use interrex::{
    gms3::{Gms3, Timer},
    machine::NodeId,
};
use interrex_models::{
    claim::{notion::Token, property},
    explore::coverage::{Account, Coverage, Unreachable},
    model::{
        action::{Action, Choice},
        environment::{Budget, Environment, Start},
        world::Rules,
    },
    protocol::registry::{built_in, gms3},
    verdict::{outcome::Comparison, scenario::Scenario},
};
use serde_json::Value;
use std::{fs, path::Path};
use tempfile::TempDir;

/// A joined group of two.
fn environment() -> Environment {
    let builder = Scenario::builder()
        .nodes(2)
        .start(Start::Joined)
        .budget(Budget::Commands, 2)
        .budget(Budget::Crashes, 1)
        .property(&property::NO_CREATION);
    builder.build().expect("it fits").environment
}

/// The coverage of a run.
fn covered(run: &[Action<Timer>]) -> Account {
    let rules = Rules::new(gms3(), environment());
    let mut world = rules.initial();
    for action in run {
        let enabled = rules.find(&world, action).expect("it is enabled");
        world = rules.follow(&world, &enabled);
        // To ask what could happen next is not to step.
        rules.enabled(&world, &mut vec![]);
    }
    Coverage::of(&rules).account(&Unreachable::default())
}

fn count(account: &Account, place: &str) -> usize {
    let entry = account.entries.iter().find(|entry| entry.place.to_string() == place);
    entry.unwrap_or_else(|| panic!("no {place}")).count
}

const ASK: Choice<Timer> = Choice::Command { node: NodeId(0) };

#[test]
fn what_was_stepped_is_counted_and_what_only_could_have_been_is_not() {
    let account = covered(&[ASK.into()]);
    assert_eq!(count(&account, "leader × command mcast"), 1);
    assert_eq!(count(&account, "effect send msg"), 1);
    assert_eq!(count(&account, "effect observe delivered"), 1);
    // It waits on the link.
    assert_eq!(count(&account, "follower × message msg"), 0);
    assert_eq!(count(&account, "follower × command mcast"), 0);
    assert_eq!(account.unreached().count(), account.entries.len() - 3);
}

#[test]
fn effects_after_a_crash_did_not_happen() {
    let account = covered(&[Action { choice: ASK, crash_after: Some(1) }]);
    assert_eq!(count(&account, "effect send msg"), 1);
    assert_eq!(count(&account, "effect observe delivered"), 0);
}

#[test]
fn the_same_step_counts_once_in_however_many_runs() {
    let rules = || {
        let rules = Rules::new(gms3(), environment());
        let world = rules.initial();
        let enabled = rules.find(&world, &ASK.into()).expect("it is enabled");
        rules.follow(&world, &enabled);
        rules.follow(&world, &enabled);
        rules
    };
    let mut coverage = Coverage::of(&rules());
    coverage.merge(Coverage::of(&rules()));
    let account = coverage.account(&Unreachable::default());
    assert_eq!(count(&account, "leader × command mcast"), 1);
}

#[test]
fn a_founder_has_started_before_anything_happens() {
    let joining = Environment { start: Start::Joining, ..environment() };
    let rules = Rules::new(gms3(), joining);
    rules.initial();
    let account = Coverage::of(&rules).account(&Unreachable::default());
    assert_eq!(count(&account, "leader × start"), 1);
}

/// Beside the scenarios of gms3, in a folder that vanishes.
fn named(text: &str) -> Result<Unreachable, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("gms3");
    fs::create_dir(&place).expect("a folder");
    let path = place.join("unreachable.toml");
    fs::write(&path, text).expect("a file");
    Unreachable::read(folder.path(), &Coverage::none(&gms3())).map_err(|error| {
        let text = error.to_string();
        text.strip_prefix(&path.display().to_string()).expect("the path comes first").to_string()
    })
}

#[test]
fn what_is_named_is_not_missed_and_must_not_be_reached() {
    let rules = Rules::<Gms3<Token>>::new(gms3(), environment());
    let coverage = Coverage::of(&rules);
    let all = "\"* × *\" = \"nothing has happened\"\n\"effect *\" = \"nothing has happened\"";
    let all = named(all).expect("it is understood");
    assert_eq!(coverage.account(&all).comparison(), Comparison::AsExpected);

    let world = rules.initial();
    rules.follow(&world, &rules.find(&world, &ASK.into()).expect("it is enabled"));
    let account = Coverage::of(&rules).account(&all);
    let stale: Vec<_> = account.stale().map(|entry| entry.place.to_string()).collect();
    let reached = ["leader × command mcast", "effect send msg", "effect observe delivered"];
    assert_eq!(stale, reached);
    assert_eq!(account.comparison(), Comparison::Differs);
}

#[test]
fn what_a_cut_search_has_not_reached_is_not_known() {
    let coverage = Coverage::none(&gms3());
    let nothing = Unreachable::default();
    assert_eq!(coverage.account(&nothing).comparison(), Comparison::Differs);
    assert_eq!(coverage.cut_short().account(&nothing).comparison(), Comparison::Cut);
}

#[test]
fn a_name_that_means_nothing_is_refused_with_what_would_have_been_right() {
    for (text, says) in [
        (
            "\"folower × down\" = \"why\"",
            ":1:1: there is no role `folower`, did you mean `follower`? (there are: follower, joining, leader)",
        ),
        (
            "\"* × message down\" = \"why\"",
            ":1:1: there is no event `message down`, did you mean `message join`?",
        ),
        (
            "\n\"effect send veiw\" = \"why\"",
            ":2:1: there is no effect `send veiw`, did you mean `send view`?",
        ),
        ("\"down\" = \"why\"", ":1:1: `down` is neither `<role> × <event>` nor `effect <effect>`"),
        ("\"effect stop\" = \" \"", ":1:17: a reason is missing"),
        ("\"effect stop\" = 7", ":1:17: expected a reason, or `{ nightly = <reason> }`"),
    ] {
        let error = named(text).expect_err("it is refused");
        assert!(error.starts_with(says), "{error}");
    }
}

#[test]
fn every_known_protocol_names_its_roles() {
    for known in built_in().all().iter().copied() {
        let coverage = known.harness(&environment()).coverage();
        assert!(!coverage.account(&Unreachable::default()).entries.is_empty(), "{}", known.name());
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        Unreachable::read(&folder, &coverage).expect("what is named means something");
    }
}

fn check(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interrex"));
    let output = command.arg("check").args(arguments).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("it writes text");
    (output.status.code().expect("it is not killed"), text)
}

/// A few of the scenarios; `check --coverage` looks at all. What is left is reached where nodes fall apart and
/// two lead, in worlds that are too large for every day's tests.
#[test]
fn the_scenarios_reach_everything_that_is_not_named() {
    let (code, out) = check(&[
        "gms3/joining-3",
        "gms3/joined-3-busy",
        "gen_leader_1_0/idle-3",
        "gen_leader_1_0/worker",
        "gen_leader_1_0/idle-3-restart",
        "gen_leader_1_0/suspicious",
        "gen_leader_2007/worker",
        "gen_leader_2007/idle-3",
        "gen_leader_2007/idle-3-restart",
        "gen_leader_2007/suspicious",
        "gen_leader/worker",
        "gen_leader/idle-3",
        "gen_leader/alone",
        "gen_leader/suspicious",
        "--coverage",
        "--threads=2",
    ]);
    let conclusions: Vec<_> =
        out.lines().filter(|line| line.contains(" reached; not judged: ")).collect();
    assert_eq!((code, conclusions.len()), (0, 4));
    let unreached: Vec<_> =
        out.lines().filter_map(|line| line.strip_prefix("  unreached: ")).collect();
    let where_two_lead = [
        "captured × message leader_reply",
        "elected × message from_leader",
        "elected × message from_leader",
        "elected × message ldr",
    ];
    assert_eq!(unreached, where_two_lead);
    assert!(!out.contains("although"), "{conclusions:#?}");
    let row = out.lines().find(|line| line.starts_with("  timeout join ")).expect("a row");
    assert_eq!(row.split_whitespace().skip(3).collect::<Vec<_>>(), ["–", "–"]);
}

#[test]
fn what_only_nightly_scenarios_reach_may_be_reached_or_not() {
    let all = named("\"* × command mcast\" = { nightly = \"why\" }").expect("it is understood");
    for run in [&[][..], &[ASK.into()]] {
        let rules = Rules::new(gms3(), environment());
        let mut world = rules.initial();
        for action in run {
            world = rules.follow(&world, &rules.find(&world, action).expect("it is enabled"));
        }
        let account = Coverage::of(&rules).account(&all);
        let mut doubtful = account.unreached().chain(account.stale());
        assert!(doubtful.all(|entry| !entry.place.to_string().ends_with("command mcast")));
    }
}

#[test]
fn a_part_of_the_scenarios_is_shown_and_not_judged() {
    let (code, out) = check(&["gms3/joined-3", "--coverage", "--format", "json"]);
    assert_eq!(code, 0);
    let lines: Vec<Value> = out.lines().map(|line| line.parse().expect("JSON")).collect();
    assert_eq!((lines.len(), &lines[1]["kind"]), (2, &"coverage".into()));
    assert_eq!(lines[1]["protocol"], "gms3");
    assert_eq!(lines[1]["complete"], true);
    let part = lines[1]["part"].as_str().expect("a part");
    assert!(part.starts_with("1 of ") && part.ends_with(" scenarios of gms3"), "{part}");
    let entries = lines[1]["entries"].as_array().expect("entries");
    let entry =
        |place: &str| entries.iter().find(|entry| entry["place"] == place).expect("a place");
    assert_eq!(entry("joining × message view")["count"], 0);
    assert_eq!(entry("joining × down")["unreachable"], "a newcomer monitors nobody");
    assert!(entry("follower × down")["count"].as_u64() > Some(0));

    let (code, out) = check(&["gms3/joined-3", "--coverage"]);
    assert!(code == 0 && out.contains("  unreached: joining × message view\n"), "{out}");
    assert!(out.contains(&format!(" reached; not judged: {part}\n")), "{out}");
}

/// A scenario and a nightly one, alone in a folder.
fn two_scenarios() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/gms3");
    let place = folder.path().join("gms3");
    fs::create_dir(&place).expect("a folder");
    for (from, to) in [("joined-3.toml", "everyday.toml"), ("unreachable.toml", "unreachable.toml")]
    {
        fs::copy(own.join(from), place.join(to)).expect("a file");
    }
    let text = fs::read_to_string(own.join("joined-3.toml")).expect("a file");
    let nightly = text.replacen("start", "nightly = true\nstart", 1);
    fs::write(place.join("nightly.toml"), nightly).expect("a file");
    folder
}

/// Those that every day's run explores say what is reached, with the nightly ones or without.
#[test]
fn coverage_is_judged_where_all_everyday_scenarios_are_in_the_run() {
    let folder = two_scenarios();
    let path = folder.path().to_str().expect("a path that is text");
    for (more, code, says) in [
        (&[][..], 1, " reached: not as expected"),
        (&["--nightly"], 1, " reached: not as expected"),
        (&["gms3/nightly"], 0, " reached; not judged: 0 of 1 scenarios of gms3"),
        // What is not begun may reach the rest.
        (&["--max-seconds", "0.000000001"], 3, " reached: a limit has cut the search short"),
    ] {
        let (ended, out) = check(&[more, &["--scenarios", path, "--coverage"]].concat());
        assert!(ended == code && out.contains(says), "{ended}: {out}");
    }
}
