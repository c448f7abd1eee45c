//! The command `validate`: its answers, and its pages.

use crate::{N0, N1, N2, assert_agrees, gen_leader_nodes, gms3_nodes, interrex, said};
use assert_cmd::Command;
use interrex_models::{
    protocol::registry::built_in,
    real::validate::{Carry, validate},
};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

/// The page that `validate --html` writes of these logs, and the exit code.
fn page(logs: &[PathBuf], more: &[&str]) -> (String, i32) {
    let folder = TempDir::new().expect("a folder");
    let page = folder.path().join("run.html");
    let output =
        interrex().args(logs).args(more).arg("--html").arg(&page).output().expect("it runs");
    let text = fs::read_to_string(page).expect("a page");
    (text, output.status.code().expect("it is not killed"))
}

#[test]
fn a_run_of_real_nodes_is_a_page_with_the_times_of_its_steps() {
    let mut nodes = gms3_nodes(2);
    let leader = nodes.up[&N0].me;
    let (quiet, code) = page(&nodes.save(), &[]);
    assert_eq!(code, 0);
    // Each line is a hundredth of a second after the one before; the first is the start of n0, which is no step.
    for says in [
        "<h1>gms3: a run of real nodes</h1>",
        "<h2>Step 1: start n1, through n0</h2><p class=\"weak\">22:13:20.020000</p>",
        "<h2>Step 2: deliver n1 → n0</h2><p class=\"weak\">22:13:20.030000</p>",
        ">22:13:20.020000</text>",
        ">single-leader is not violated</p>",
    ] {
        assert!(quiet.contains(says), "{says} is not in {quiet}");
    }
    nodes.suspect(N1, leader.into());
    // It takes a step: it was not dead.
    nodes.mcast(N0, 0);
    let (violated, code) = page(&nodes.save(), &[]);
    assert_eq!(code, 1);
    assert!(violated.contains("<h1>gms3 violates single-leader</h1>"), "{violated}");
    assert!(violated.contains("Violated: n0 and n1 both act as leader"), "{violated}");
    // What is allowed is no reason to end the run.
    let (allowed, code) = page(&nodes.save(), &["--allow", "single-leader"]);
    assert_eq!(code, 0);
    assert!(allowed.contains("<h2>Step 4: n1 suspects n0</h2>"), "{allowed}");
}

/// In the harness nobody waits for a node that is not up.
#[test]
fn a_run_that_cannot_be_drawn_is_an_error() {
    let mut nodes = gen_leader_nodes(3);
    nodes.waits = true;
    for node in [N0, N1, N2] {
        nodes.start(node, None);
    }
    nodes.deliver_all();
    assert_agrees(&nodes.validated());
    let logs = nodes.save();
    let page = nodes.folder.path().join("run.html");
    let output = interrex().args(&logs).arg("--html").arg(&page).output().expect("it runs");
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(error.contains("run.html: not written") && error.contains("waited"), "{error}");
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(!page.exists());

    // Without a run, what is missing says how it ends.
    let output = interrex().args(&logs[1..]).arg("--html").arg(&page).output().expect("it runs");
    let error = String::from_utf8(output.stderr).expect("text");
    assert!(error.contains("run.html: not written"), "{error}");
    assert_eq!(output.status.code(), Some(3), "{error}");
}

/// A file may have any name; one that is the name of another node is pointed out.
#[test]
fn a_log_that_is_named_like_that_of_another_node_is_pointed_out() {
    let mut nodes = gms3_nodes(2);
    nodes.mcast(N0, 0);
    nodes.deliver_all();
    let logs = nodes.save();
    let (code, out) = said(&logs, &[]);
    assert_eq!((code, out.contains("name differs")), (0, false), "{out}");
    // Each has the content of the other.
    fs::write(&logs[0], &nodes.logs[&N1]).expect("written");
    fs::write(&logs[1], &nodes.logs[&N0]).expect("written");
    let (code, out) = said(&logs, &[]);
    assert_eq!(code, 0, "{out}");
    for line in ["n0.log is a log of n1", "n1.log is a log of n0"] {
        assert!(out.contains(line), "{out}");
    }
    // Both have the content of one.
    fs::write(&logs[0], &nodes.logs[&N0]).expect("written");
    let error = validate(built_in(), &logs, Carry::Nothing).expect_err("refused").to_string();
    assert!(error.contains("name each log once, and one of each node"), "{error}");
}

#[test]
fn the_command_says_what_it_found() {
    let mut nodes = gms3_nodes(2);
    let leader = nodes.up[&N0].me;
    let quiet = nodes.save();
    let answer = interrex().args(&quiet).assert().code(0).get_output().stdout.clone();
    let answer = String::from_utf8(answer).expect("a text");
    assert!(answer.contains("n1.log") && answer.contains("single-leader"), "{answer}");

    nodes.suspect(N1, leader.into());
    nodes.mcast(N0, 0);
    let paths = nodes.save();
    let trace = nodes.folder.path().join("trace.json");
    let mut command = interrex();
    command.args(&paths).arg("--save-trace").arg(&trace);
    let answer = command.assert().code(1).get_output().stdout.clone();
    let answer = String::from_utf8(answer).expect("a text");
    assert!(answer.contains("n0 and n1 both act as leader"), "{answer}");
    let before = std::fs::read(&paths[0]).expect("a log");
    let error = interrex().args(&paths).arg("--save-trace").arg(&paths[0]).assert().code(2);
    let error = String::from_utf8(error.get_output().stderr.clone()).expect("a text");
    assert!(error.contains("is one of the logs"), "{error}");
    assert_eq!(std::fs::read(&paths[0]).expect("a log"), before);
    Command::cargo_bin("interrex").expect("the command").arg("replay").arg(&trace).assert().code(0);
    Command::cargo_bin("interrex").expect("the command").arg("shrink").arg(&trace).assert().code(0);

    let log =
        Command::cargo_bin("interrex").expect("the command").arg("replay").arg(&paths[0]).assert();
    let error = String::from_utf8(log.code(2).get_output().stderr.clone()).expect("a text");
    assert!(error.contains("the log of a node, not a trace"), "{error}");

    interrex().args(&paths).args(["--allow", "single-leader"]).assert().code(0);
    // Before any log is read.
    let misspelt = interrex().args(["nowhere.log", "--allow", "single-leadr"]).assert().code(2);
    let error = String::from_utf8(misspelt.get_output().stderr.clone()).expect("a text");
    assert!(error.contains("did you mean `single-leader`"), "{error}");
    // gms3 makes no calls.
    interrex().args(&paths).args(["--allow", "no-lost-call"]).assert().code(2);
    let json = interrex()
        .args(&paths)
        .args(["--format", "json"])
        .assert()
        .code(1)
        .get_output()
        .stdout
        .clone();
    let mut cases = vec![];
    for line in String::from_utf8(json).expect("a text").lines() {
        let mut line = serde_json::from_str::<serde_json::Value>(line).expect("JSON");
        cases.extend(line["cases"].as_array_mut().map(std::mem::take).unwrap_or_default());
    }
    let differs = |case: &&serde_json::Value| case["status"] == "differs";
    let differs: Vec<_> = cases.iter().filter(differs).map(|case| &case["name"]).collect();
    assert_eq!(differs, ["single-leader"]);
    interrex().arg(nodes.folder.path().join("nowhere.log")).assert().code(2);
    interrex().assert().code(2);
}
