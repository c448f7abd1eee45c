//! A large state: the logs have digests of it, and are judged like any others.

use super::{LONG, PROGRAM, cluster, copy};
use interrex::machine::NodeId;
use interrex_models::real::{failover::Group, line::Notice};
use std::{
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// The number of values, and the length of each.
const VALUES: usize = 60;
const LENGTH: usize = 60_000;

/// Writes the values at a node.
fn put_all(group: &Group, node: NodeId) {
    let process = group.cluster().node(node).expect("it runs");
    for number in 0..VALUES {
        let letter = char::from(b'a' + u8::try_from(number % 26).expect("small")).to_string();
        let put = format!("put key-{number} {}", letter.repeat(LENGTH));
        assert_eq!(process.ask(&put, LONG).expect("an answer"), Notice::Done);
    }
}

/// The exit code of `interrex validate`, and what it prints.
fn validated(logs: &[PathBuf]) -> (i32, String) {
    let output = Command::new(PROGRAM).arg("validate").args(logs).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().expect("it is not killed"), said)
}

/// A group whose state is large. A member comes back with what it had stored, and again without: then it is given the state
/// piece by piece. Returns the member, and the one that the values were written at.
fn large_group() -> (Group, NodeId, NodeId) {
    let mut group = Group::of(cluster(3)).expect("a group");
    let leader = group.agree(LONG).expect("a leader");
    let others: Vec<_> = group.cluster().plan().nodes().filter(|it| *it != leader).collect();
    let [writes, returns] = others[..] else { panic!("three nodes") };
    put_all(&group, writes);
    for forgets in [false, true] {
        group.cluster_mut().kill(returns);
        if forgets {
            group.cluster_mut().erase(returns).expect("a folder");
        }
        group.start(returns, Some(writes)).expect("it starts");
        group.agree(LONG).expect("one group again");
    }
    let until = Instant::now() + LONG;
    while copy(group.cluster().node(returns).expect("it runs")).map(|it| it.len()) != Ok(VALUES) {
        assert!(Instant::now() < until, "{returns} does not get the state");
        thread::sleep(Duration::from_millis(20));
    }
    for (_, process) in group.cluster().running() {
        process.terminate();
        process.ended(LONG).expect("it ends");
    }
    (group, returns, writes)
}

/// The place of the first digest of a message in a log: its line, from 1, and the byte at which the digest begins.
fn received_digest(log: &str) -> (usize, usize) {
    const MESSAGE: &str = r#""message":{"digest":"#;
    const DIGEST: &str = r#""blake2b":""#;
    let begins = |line: &str| line.starts_with(r#"{"step":"#) && !line.contains(r#""command""#);
    let mut from = 0;
    for (number, line) in log.lines().enumerate() {
        let event = line.split(r#""effects":"#).next().filter(|_| begins(line));
        if let Some(at) = event.and_then(|event| event.find(MESSAGE)) {
            let digest = line[at..].find(DIGEST).expect("a digest");
            return (number + 1, from + at + digest + DIGEST.len());
        }
        from += line.len() + 1;
    }
    panic!("no digest of a message")
}

#[test]
fn the_logs_of_a_large_state_are_small_and_all_is_judged() {
    let (group, returns, writes) = large_group();
    let state = (VALUES * LENGTH) as u64;
    for node in group.cluster().plan().nodes() {
        let length = fs::metadata(group.cluster().log(node)).expect("a log").len();
        println!("{node}: a log of {length} bytes, of a state of {state}");
        // Commands are written whole, at the node that gets them.
        let most = if node == writes { state + state / 4 } else { state / 4 };
        assert!(length < most, "{node}: {length} bytes");
    }
    let path = group.cluster().log(returns);
    let log = fs::read_to_string(&path).expect("a log");
    assert!(log.contains(r#""stable":{"digest":"#), "a life that begins with a large state");
    let logs = group.cluster().logs();
    let (code, said) = validated(&logs);
    assert_eq!(code, 0, "{said}");
    println!("{said}");
    // Those that ask for a run that has settled are not judged if a busy machine has kept a message back.
    for property in ["view-order", "total-order-uniform", "total-order-survivors", "no-creation"] {
        let mut rows = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        assert!(rows.any(|row| row == [property, "holds"]), "{property}: {said}");
    }

    let (line, at) = received_digest(&log);
    let other = if log[at..].starts_with('0') { "1" } else { "0" };
    fs::write(&path, [&log[..at], other, &log[at + 1..]].concat()).expect("written");
    let (code, said) = validated(&logs);
    assert_eq!(code, 1, "{said}");
    let place = format!("{}:{line}: a message arrived that was not sent", path.display());
    assert!(said.contains(&place), "{place}: {said}");
    fs::write(&path, &log).expect("written");

    let others: Vec<_> =
        logs.iter().filter(|it| **it != group.cluster().log(writes)).cloned().collect();
    let (code, said) = validated(&others);
    assert_eq!(code, 3, "{said}");
    let untold = format!("no log tells of {}", group.cluster().life(writes).expect("a life"));
    assert!(said.contains("not judged: ") && said.contains(&untold), "{said}");
    assert!(!said.contains("cannot be") && !said.contains("differs"), "{said}");
}
