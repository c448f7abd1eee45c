//! Searches that end before they are done: what was found until then is reported and kept.

use assert_cmd::Command;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Child, Command as Process, Output, Stdio},
    time::Duration,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_interrex");

/// A search that takes longer than any test.
const LONG: [&str; 3] = ["check", "gen_leader/everything", "--format=json"];

fn start(arguments: &[&str]) -> Child {
    let mut command = Process::new(PROGRAM);
    command
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a number")).expect("not 0");
    kill_process(pid, signal).expect("it runs");
}

/// Interrupts a search after a while.
fn interrupted(arguments: &[&str], signal: Signal) -> Output {
    let child = start(arguments);
    std::thread::sleep(Duration::from_millis(700));
    send(&child, signal);
    child.wait_with_output().expect("it ends")
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("it writes text");
    text.lines().map(|line| line.parse().expect("JSON")).collect()
}

#[test]
fn an_interrupted_check_reports_what_it_has_found() {
    for signal in [Signal::INT, Signal::TERM] {
        let output = interrupted(&[&LONG as &[_], &["gms3/joined-3"]].concat(), signal);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let [large, small] = &lines(&output)[..] else { panic!("two scenarios") };
        // The smaller one comes later by its name.
        assert_eq!(large["complete"], false);
        assert!(large["states"].as_u64() > Some(1), "{large}");
        let rows = large["properties"].as_array().expect("rows");
        assert!(rows.iter().all(|row| row["verdict"] == "unknown" || row["verdict"] == "violated"));
        assert_eq!(small["scenario"], "gms3/joined-3");
        assert_eq!(small["cases"][0]["message"], "not begun");
    }
}

#[test]
fn a_second_interrupt_ends_a_search_at_once() {
    // A search for a livelock ends with the first one, too. So both come before anything is looked at.
    let child = start(&LONG);
    std::thread::sleep(Duration::from_millis(300));
    send(&child, Signal::STOP);
    send(&child, Signal::INT);
    send(&child, Signal::TERM);
    send(&child, Signal::CONT);
    let code = child.wait_with_output().expect("it ends").status.code();
    assert!(matches!(code, Some(130 | 143)), "{code:?}");
}

#[test]
fn an_interrupted_matrix_says_of_nothing_unfinished_that_it_holds() {
    let output = interrupted(&["matrix", "gen_leader", "--format", "json"], Signal::INT);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("it writes text");
    assert!(text.contains("unknown"), "{text}");
}

#[test]
fn an_interrupted_fuzz_keeps_the_runs_that_it_has_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let saved = folder.path().to_str().expect("a path that is text");
    let fuzz = ["fuzz", "gms3/joined-3", "--schedules=1000000000", "--save-traces", saved];
    let output = interrupted(&fuzz, Signal::INT);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("violated"), "{output:?}");
    assert!(fs::read_dir(folder.path().join("gms3")).expect("a folder").next().is_some());
}

#[test]
fn a_time_is_for_everything_together_and_may_have_a_fraction() {
    let seconds = ["--max-seconds", "0.05"];
    let output = start(&[&LONG as &[_], &["gen_leader/lossy", "--nightly"], &seconds].concat());
    let output = output.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let reports = lines(&output);
    assert_eq!(reports.len(), 2);
    assert_eq!(reports[1]["cases"][0]["message"], "not begun");

    for wrong in ["0", "-1", "soon", "1e400"] {
        let output = start(&["check", &format!("--max-seconds={wrong}")]);
        let output = output.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}

/// The largest search that a machine has the memory for is cut short, not killed.
#[test]
fn memory_ends_a_search_and_what_was_found_until_then_is_reported() {
    for engine in ["layers", "stateright"] {
        let limits = ["--max-memory", "60MB", "--engine", engine];
        let output = start(&[&LONG as &[_], &["gms3/joined-3"], &limits].concat());
        let output = output.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let large = &lines(&output)[0];
        assert_eq!(large["complete"], false);
        assert!(large["states"].as_u64() > Some(10_000), "{large}");
        assert!(large["peak_rss_bytes"].as_u64() < Some(90_000_000), "{large}");
        let rows = large["properties"].as_array().expect("rows");
        assert!(rows.iter().all(|row| row["verdict"] == "unknown" || row["verdict"] == "violated"));
    }
    for wrong in ["0MB", "-1GB", "60", "much", "99999999999GB"] {
        let output = start(&["check", &format!("--max-memory={wrong}")]);
        let output = output.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_to_is_noticed_before_the_search() {
    for command in [&LONG as &[_], &["matrix"], &["fuzz", "--schedules=1000000000"]] {
        let mut program = Command::new(PROGRAM);
        program.args(command).arg("--save-traces=/proc/nowhere").timeout(Duration::from_mins(1));
        let output = program.output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{command:?}: {output:?}");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(err.contains("/proc/nowhere: no file can be written there"), "{err}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_noticed_before_the_work() {
    let trace = concat!(env!("CARGO_MANIFEST_DIR"), "/../traces/gms3/nobody-stopped.joined-3.json");
    for (arguments, says) in [
        (["shrink", trace, "--output", "/proc/nowhere/a.json"], "no file can be written there"),
        (["shrink", trace, "--output", "/proc"], "a folder, not a file"),
        (["validate", "no.log", "--save-trace", "/proc/nowhere/a.json"], "no file can be written"),
    ] {
        let output = start(&arguments).wait_with_output().expect("it ends");
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &[] as &[u8]));
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(err.contains(says), "{err}");
    }
}

/// A report does not wait for the files.
#[test]
fn a_report_comes_before_the_traces_that_cannot_be_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("gms3"), "in the way").expect("a file");
    let saved = folder.path().to_str().expect("a path that is text");
    let output = start(&["check", "gms3/joined-3", "--save-traces", saved]);
    let output = output.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stdout).contains("4,335 worlds"), "{output:?}");
    assert!(Path::new(saved).join("gms3").is_file());
}

#[test]
fn a_violation_that_nobody_expects_is_not_as_expected() {
    let check = |more: &[&str]| {
        let made = ["check", "--protocol=gms3", "--nodes=2", "--start=joined"];
        let budget = ["--budget=commands=1,crashes=1", "--property=no-lost-message-validity"];
        let child = start(&[&made as &[_], &budget, more].concat());
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8(output.stdout).expect("it writes text");
        (output.status.code().expect("it is not killed"), text)
    };
    let (code, text) = check(&[]);
    assert_eq!(code, 1, "{text}");
    let drawn =
        text.find("the shortest run that violates no-lost-message-validity").expect("drawn");
    assert!(text[drawn..].contains("n0") && text[drawn..].contains("`--save-traces DIR` keeps it"));

    let named = |verdict: &str| check(&[&format!("--expect=no-lost-message-validity={verdict}")]).0;
    let steps = text[..drawn].lines().find(|line| line.contains("no-lost-message-validity"));
    let steps = steps.expect("a row").split_whitespace().nth(3).expect("a number");
    assert_eq!(named(&format!("violated:{steps}")), 0);
    assert_eq!([named("violated:99"), named("holds"), named("unwitnessed")], [1, 1, 1]);
    assert_eq!([named("anything"), check(&["--expect=none"]).0], [0, 0]);
    assert_eq!([named("perhaps"), check(&["--expect=nothing=holds"]).0], [2, 2]);
}
