//! What broke, at a glance: a line for each scenario, then what differs, and the shortest run that shows it.

use super::{interrex, words};
use interrex_models::evidence::trace::Trace;
use std::{fs, path::Path};
use tempfile::TempDir;

/// Scenarios of gms3 that do not expect what is so: `wrong` of each kind, `right` of none.
pub(super) fn wrong() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/gms3/joined-3.toml");
    let right = fs::read_to_string(known).expect("a scenario");
    let mut wrong = right.clone();
    for (is, expected) in [
        ("states = 4335", "states = 4000"),
        ("single-leader = \"holds\"", "single-leader = { violated = 4 }"),
        ("view-order = \"holds\"", "view-order = \"unwitnessed\""),
        ("total-order-uniform = { violated = 6 }", "total-order-uniform = { violated = 9 }"),
        ("no-lost-message-validity = { violated = 4 }", "no-lost-message-validity = \"holds\""),
        ("nobody-stopped = { violated = 6 }", "nobody-stopped = { violated = 5 }"),
    ] {
        assert_eq!(wrong.matches(is).count(), 1, "{is}");
        wrong = wrong.replace(is, expected);
    }
    for (name, text) in [("right.toml", right), ("wrong.toml", wrong)] {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

/// The lines that begin with the number of a line of the file.
fn listed(out: &str) -> Vec<Vec<&str>> {
    let is_listed = |line: &&str| {
        let words = words(line);
        words.len() > 3 && ["worse", "better", "gone", "differs"].contains(&words[1])
    };
    out.lines().filter(is_listed).map(words).collect()
}

#[test]
fn what_broke_is_a_line_each_with_the_place_the_direction_and_before_and_after() {
    let folder = wrong();
    let path = folder.path().to_str().expect("text");
    let (code, out, _) = interrex(["check", "--scenarios", path]);
    assert_eq!(code, 1, "{out}");
    let count = "\n1 of 2 scenarios differs: 1 verdict worse, 2 better; 3 other differences\n";
    assert!(out.contains(count), "{out}");
    let expected = [
        "9 differs states 4,000 → 4,335 worlds",
        "12 better single-leader violated in 4 steps → holds",
        "14 better view-order unwitnessed → holds",
        "15 differs total-order-uniform violated in 9 → 6 steps",
        "19 worse no-lost-message-validity holds → violated in 4 steps",
        "24 differs nobody-stopped violated in 5 → 6 steps",
    ];
    assert_eq!(listed(&out), expected.map(words), "{out}");
    assert!(out.ends_with("\n2 scenarios: not as expected\n"), "{out}");
}

#[test]
fn the_shortest_run_that_is_worse_is_drawn_with_the_reason() {
    let folder = wrong();
    let path = folder.path().to_str().expect("text");
    let (_, out, _) = interrex(["check", "--scenarios", path]);
    let title = "\nthe shortest run that violates no-lost-message-validity in wrong\n";
    let (_, drawn) = out.split_once(title).expect("a run");
    assert!(drawn.contains("  Here: n1 sent n1.0 and never delivered it\n"), "{drawn}");
    let last = "    4               │           ●           crash\n";
    assert!(
        drawn.contains("        n0          n1          n2\n") && drawn.contains(last),
        "{drawn}"
    );
    assert_eq!(out.matches("the shortest run").count(), 1, "{out}");
}

#[test]
fn several_scenarios_are_a_line_each_and_one_is_shown_in_full() {
    let (code, out, _) = interrex(["check", "gms3/joined-3-calm", "gms2/joined-3"]);
    assert_eq!((code, out.lines().count()), (0, 3), "{out}");
    let lines: Vec<_> = out.lines().map(words).collect();
    assert_eq!(lines[0][..5], ["gms2/joined-3", "4,705", "worlds", "6/10", "hold"]);
    assert_eq!(lines[1][..5], ["gms3/joined-3-calm", "757", "worlds", "4/4", "hold"]);
    assert_eq!(out.lines().last(), Some("2 scenarios: as expected"));
    let (_, out, _) = interrex(["check", "gms3/joined-3-calm"]);
    assert!(out.contains("  property ") && out.contains("  no-creation "), "{out}");
}

#[test]
fn quiet_says_only_what_broke_and_the_end() {
    let (code, out, _) = interrex(words("check gms3/joined-3-calm gms2/joined-3 --quiet"));
    assert_eq!((code, out.as_str()), (0, "2 scenarios: as expected\n"));
    let folder = wrong();
    let path = folder.path().to_str().expect("text");
    let (code, out, _) = interrex(["check", "--scenarios", path, "--quiet"]);
    assert_eq!(code, 1);
    assert!(out.starts_with("\n1 of 2 scenarios differs: ") && listed(&out).len() == 6, "{out}");
    // A program that asks for all of it gets it.
    let line = "check gms3/joined-3-calm gms2/joined-3 --quiet --format json";
    assert_eq!(interrex(words(line)).1.lines().count(), 2);
}

/// What a limit cut is unknown, and no difference.
#[test]
fn what_a_limit_cut_short_did_not_break() {
    let (code, out, _) = interrex(words("check gms3/joined-3 gms3/joined-3-busy --max-worlds 300"));
    assert_eq!((code, listed(&out).len()), (3, 0), "{out}");
    assert!(out.lines().next().is_some_and(|line| line.ends_with(" hold  cut")), "{out}");
}

#[test]
fn bless_writes_what_differs_and_nothing_else() {
    let (folder, traces) = (wrong(), tempfile::tempdir().expect("a folder"));
    let [path, known] = [&folder, &traces].map(|folder| folder.path().to_str().expect("text"));
    let file = |name: &str| folder.path().join(name);
    let read = |name: &str| fs::read_to_string(file(name)).expect("a file");
    let remark = "# A remark.\r\nno-creation";
    let wrong = read("wrong.toml").replace("no-creation", remark).replace("= 4000", "=  4000 # !");
    fs::write(file("wrong.toml"), &wrong).expect("a file");
    // It violates nothing any more.
    let stale = traces.path().join("gms3/single-leader.wrong.json");
    fs::create_dir(traces.path().join("gms3")).expect("a folder");
    fs::write(&stale, "").expect("a file");
    let line = ["check", "--scenarios", path, "--traces", known, "--quiet"];

    let cut = [&line as &[_], &["--bless", "--max-worlds", "300"]].concat();
    let (code, out, _) = interrex(cut);
    assert!(code == 1 && out.contains("wrong: cut short by a limit, so nothing was"), "{out}");
    assert_eq!(read("wrong.toml"), wrong);

    let (code, out, _) = interrex(line.into_iter().chain(["--bless"]));
    assert_eq!(code, 1, "{out}");
    let right = read("right.toml");
    let right = right.replace("no-creation", remark).replace("= 4335", "=  4335 # !");
    assert_eq!(read("wrong.toml"), right);
    let run = traces.path().join("gms3/no-lost-message-validity.wrong.json");
    for says in [
        format!("{}: 6 values\n", file("wrong.toml").display()),
        format!("{}: a run\n", run.display()),
        format!("{}: no longer violates its property; remove it\n", stale.display()),
    ] {
        assert!(out.contains(&says), "{says}: {out}");
    }
    assert_eq!(super::replay(&run, &[]).0, 0);
    let (code, out, _) = interrex(line.into_iter().chain(["--bless"]));
    assert_eq!((code, out.as_str()), (0, "nothing to bless\n\n2 scenarios: as expected\n"));

    // A run in which the protocol did something else, once.
    let text = fs::read_to_string(&run).expect("a trace");
    let mut trace = Trace::parse(&run, &text).expect("a trace");
    trace.steps[0].effects.clear();
    fs::write(&run, trace.to_json()).expect("a file");
    let (code, out, _) = interrex(line.into_iter().chain(["--bless"]));
    assert!(code == 0 && out.contains("no-lost-message-validity.wrong.json: a run\n"), "{out}");
    assert_eq!(fs::read_to_string(&run).expect("a trace"), text);
}

/// A value that cannot be replaced as it stands is left to people, and the file is not touched.
#[test]
fn bless_does_not_spoil_a_file() {
    let folder = wrong();
    let file = folder.path().join("wrong.toml");
    let wrong = fs::read_to_string(&file).expect("a file");
    let (before, after) = wrong.split_once("nobody-stopped = { violated = 5 }\n").expect("a pin");
    let table = "[expect.properties.nobody-stopped]\nviolated = 5\n";
    let wrong = format!("{before}{after}\n{table}");
    fs::write(&file, &wrong).expect("a file");
    let path = folder.path().to_str().expect("text");
    let (code, out, err) =
        interrex(["check", "--scenarios", path, "--traces", path, "--bless", "--quiet"]);
    let now = fs::read_to_string(&file).expect("a file");
    match code {
        2 => assert!(now == wrong && err.contains("wrong.toml: an expectation"), "{err}{out}"),
        _ => panic!("{code}: {out}{now}"),
    }
}
