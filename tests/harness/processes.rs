//! Real processes: the command `interrex node`, over TCP, killed with -9 while everybody works, started again with
//! what they had stored and without. What they did is judged from what they said, and from their logs.

#![expect(clippy::print_stdout, reason = "it says what it has measured")]

use interrex::machine::{Address, NodeId};
use interrex_models::{
    protocol::registry::{Known, built_in},
    real::{
        failover::{Fault, Group},
        line::{Line, Notice},
        processes::{Plan, Process},
    },
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_interrex");
/// More than anything takes.
const LONG: Duration = Duration::from_secs(20);
/// The duration of the load before a fault, and after it.
const WHILE: Duration = Duration::from_millis(100);

fn group(protocol: Known, candidates: u16, workers: u16) -> Group {
    Group::form(Plan { workers, ..Plan::new(PROGRAM, protocol, candidates) }).expect("a group")
}

/// Commands, one after the other, until it is stopped: a thread for each node.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Done>>,
}

/// The results of the commands of one process.
struct Done {
    node: NodeId,
    answers: BTreeMap<String, u64>,
    /// The process has ended before it answered, or did not answer in time.
    unanswered: Option<String>,
}

impl Load {
    fn new() -> Self {
        Self { stop: Arc::default(), threads: vec![] }
    }

    fn add(&mut self, process: &Arc<Process>, command: impl Fn(u64) -> String + Send + 'static) {
        let (process, stop) = (Arc::clone(process), Arc::clone(&self.stop));
        self.threads.push(thread::spawn(move || {
            let mut done =
                Done { node: process.node(), answers: BTreeMap::new(), unanswered: None };
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                match process.ask(&command(number), LONG) {
                    Ok(Notice::Error { error }) => *done.answers.entry(error).or_default() += 1,
                    Ok(_) => *done.answers.entry("answered".into()).or_default() += 1,
                    Err(trouble) => {
                        done.unanswered = Some(trouble.to_string());
                        break;
                    }
                }
                // Otherwise nothing but the speed of pipes is put to the test.
                thread::sleep(Duration::from_millis(1));
            }
            done
        }));
    }

    fn end(mut self) -> Vec<Done> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.drain(..).map(|thread| thread.join().expect("no panic")).collect()
    }
}

/// A test that fails must not wait for its load.
impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn eventually<T: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let until = Instant::now() + LONG;
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(Instant::now() < until, "not {what}: {why}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The exit code and the answer of `interrex validate` on the logs.
fn validated(logs: &[PathBuf], more: &[&str]) -> (i32, Vec<Value>) {
    let output = Command::new(PROGRAM)
        .arg("validate")
        .args(logs)
        .args(["--format", "json"])
        .args(more)
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors, "");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (output.status.code().expect("it is not killed"), lines)
}

/// Judges the logs of a group that rests.
fn assert_valid(group: &Group, allowed: &[&str]) {
    let allow: Vec<_> = allowed.iter().flat_map(|name| ["--allow", name]).collect();
    let (code, lines) = validated(&group.cluster().logs(), &allow);
    let bad: Vec<_> = (lines.iter())
        .filter(|line| {
            line["verdict"].get("violated").is_some()
                || line["kind"] == "difference"
                || line["kind"] == "contradiction"
        })
        .collect();
    assert_eq!(code, 0, "{bad:#?}");
}

#[test]
fn leaders_of_gen_leader_are_killed_under_load() {
    kill_leaders_of_gen_leader(5);
}

#[test]
#[ignore = "nightly: a hundred leaders are killed"]
fn a_hundred_leaders_of_gen_leader_are_killed_under_load() {
    kill_leaders_of_gen_leader(100);
}

fn kill_leaders_of_gen_leader(rounds: u32) {
    let mut group = group(built_in()["gen_leader"], 3, 1);
    let (mut candidates, mut worker): (Vec<u64>, Vec<u64>) = (vec![], vec![]);
    for round in 0..rounds {
        let victim = group.agree(LONG).expect("a leader");
        let mut load = Load::new();
        for (node, process) in group.cluster().running() {
            load.add(process, writes(node));
        }
        thread::sleep(WHILE);
        let takeover = group.fail(victim, Fault::Kill).expect("a leader again");
        assert!(takeover.leader().is_some(), "round {round}: {takeover:?}");
        let mut took = takeover.took();
        worker.extend(took.remove(&WORKER));
        candidates.extend(took.values().max());
        // Every other time it has lost what it had stored.
        if round % 2 == 1 {
            group.cluster_mut().erase(victim).expect("a folder");
        }
        group.start(victim, None).expect("it comes back");
        load.add(group.cluster().node(victim).expect("it runs"), writes(victim));
        group.agree(LONG).expect("a group, while all write");
        thread::sleep(WHILE);
        for done in load.end() {
            // The first load of the victim ends with it.
            assert!(done.unanswered.is_none() || done.node == victim, "{:?}", done.unanswered);
            let unusual: Vec<_> = (done.answers.keys())
                .filter(|answer| !["answered", DIED, LATE].contains(&answer.as_str()))
                .collect();
            assert!(unusual.is_empty(), "round {round}, {}: {unusual:?}", done.node);
        }
        group.agree(LONG).expect("a group");
        assert_equal_copies(&group);
    }
    tell("all candidates that survived", &mut candidates);
    tell("the worker", &mut worker);
    assert_valid(&group, &[]);
}

/// A cluster of three candidates and a worker.
const WORKER: NodeId = NodeId(3);

/// Microseconds, over all rounds.
fn tell(who: &str, took: &mut [u64]) {
    took.sort_unstable();
    let [least, median, most] = [0, took.len() / 2, took.len() - 1].map(|at| took[at]);
    println!(
        "{who} had the next leader after {least} µs (least), {median} (median), {most} (most)"
    );
}

const DIED: &str = "the leader died during the call: the request may have taken effect";
const LATE: &str = "no answer in time: the request may still take effect";

/// Writes, reads and deletes of a few keys that belong to the node.
fn writes(node: NodeId) -> impl Fn(u64) -> String + Send + 'static {
    move |number| {
        let key = format!("{node}-{}", number % 7);
        match number % 5 {
            0..3 => format!("put {key} {number}"),
            3 => format!("get {key}"),
            _ => format!("delete {key}"),
        }
    }
}

fn assert_equal_copies(group: &Group) {
    eventually("equal copies", || {
        let dump = |(node, process): (NodeId, &Arc<Process>)| {
            (process.ask("dump", LONG).expect("a dump"), node)
        };
        let copies: BTreeSet<_> = group
            .cluster()
            .running()
            .map(dump)
            .map(|(said, node)| (said.to_string(), node))
            .collect();
        let distinct: BTreeSet<_> = copies.iter().map(|(copy, _)| copy).collect();
        if distinct.len() == 1 { Ok(()) } else { Err(format!("{copies:?}")) }
    });
}

#[test]
fn leaders_of_gms3_are_killed_under_load() {
    kill_leaders_of_gms3(5);
}

#[test]
#[ignore = "nightly: a hundred leaders are killed"]
fn a_hundred_leaders_of_gms3_are_killed_under_load() {
    kill_leaders_of_gms3(100);
}

fn kill_leaders_of_gms3(rounds: u32) {
    let mut group = group(built_in()["gms3"], 3, 0);
    let mut took: Vec<u64> = vec![];
    let (mut sent, mut ended) = (BTreeMap::new(), 0);
    for round in 0..rounds {
        let victim = group.agree(LONG).expect("a leader");
        let mut load = Load::new();
        for (_, process) in group.cluster().running() {
            load.add(process, move |number| format!("mcast {round}-{number}"));
        }
        thread::sleep(WHILE);
        let takeover = group.fail(victim, Fault::Kill).expect("a leader again");
        let leader = takeover.leader();
        let leader = leader.unwrap_or_else(|| panic!("round {round}: {takeover:?}"));
        took.extend(takeover.took().values().max());
        if round % 2 == 1 {
            group.cluster_mut().erase(victim).expect("a folder");
        }
        group.start(victim, Some(leader)).expect("it joins, while all multicast");
        thread::sleep(WHILE);
        // Later, too, somebody may be ended by what arrives late.
        let mut gone = takeover.ended;
        let later = group.cluster_mut().reap();
        for done in load.end() {
            let may_end =
                done.node == victim || gone.contains(&done.node) || later.contains(&done.node);
            assert!(done.unanswered.is_none() || may_end, "{:?}", done.unanswered);
            let unusual = done.answers.keys().find(|answer| *answer != "answered");
            assert_eq!(unusual, None, "round {round}, {}", done.node);
        }
        gone.extend(later);
        gone.extend(group.cluster_mut().reap());
        ended += gone.len();
        for node in gone {
            let contact = group.cluster().running().map(|(node, _)| node).next();
            group.start(node, contact).expect("it joins");
        }
        group.agree(LONG).expect("a group");
        // Of those that live until the end of a round, the last count.
        sent.extend(eventually("the same deliveries", || deliveries_agree(&group)));
    }
    tell("all members that survived", &mut took);
    println!("{ended} members were ended by the protocol: {CAUSE}");
    let all: usize = sent.values().map(|sent| sent.all).sum();
    let lost: usize = sent.values().map(|sent| sent.lost).sum();
    println!("{lost} of {all} messages were lost that {} survivors had sent", sent.len());
    assert_valid(&group, &LOSSES);
}

/// From traces/gms3/nobody-stopped.joined-3.json, which real nodes run into as well.
const CAUSE: &str = "what a new leader sends overtakes what the dead one has sent";

/// The properties that gms3 is known to violate when leaders crash: traces/gms3/*.crash-recovery.json.
const LOSSES: [&str; 5] = [
    "total-order-uniform",
    "no-lost-message-validity",
    "no-lost-message-uniform-agreement",
    "no-lost-message-survivors-agreement",
    "nobody-stopped",
];

/// The multicasts of a process.
#[derive(Debug)]
struct Sent {
    all: usize,
    /// It has not delivered them itself.
    lost: usize,
}

/// Under one number everybody who lives has taken the same, nobody has a gap, and all are equally far. Gives what each
/// has sent.
fn deliveries_agree(group: &Group) -> Result<BTreeMap<Address, Sent>, String> {
    let mut common: BTreeMap<u64, String> = BTreeMap::new();
    let mut last = BTreeSet::new();
    let mut sent = BTreeMap::new();
    for (node, process) in group.cluster().running() {
        let lines = process.lines(0);
        let mut next = None;
        for (number, content) in lines.iter().filter_map(numbered) {
            assert!(next.is_none_or(|next| next == number), "{node}: {number} instead of {next:?}");
            next = Some(number + 1);
            let others = common.entry(number).or_insert_with(|| content.clone());
            assert_eq!(*others, content, "{node} has something else as number {number}");
        }
        last.insert(next);
        let me = group.cluster().life(node).expect("it has been up");
        sent.insert(me, of(&lines, me));
    }
    if last.len() == 1 { Ok(sent) } else { Err(format!("the numbers after the last: {last:?}")) }
}

/// The output lines that have a place in the common order. Answers repeat them.
fn numbered(line: &Line) -> Option<(u64, String)> {
    match &line.said {
        Notice::Delivered { number, from, index, text } => {
            Some(((*number)?, format!("{from} {index} {text}")))
        }
        Notice::View(view) if line.answers.is_none() => Some((view.number?, format!("{view:?}"))),
        _ => None,
    }
}

/// The multicasts of a process that it has not delivered.
fn of(lines: &[Line], me: Address) -> Sent {
    let all = lines.iter().filter(|line| line.said == Notice::Done).count();
    let own = |line: &&Line| matches!(&line.said, Notice::Delivered { from, .. } if *from == me);
    Sent { all, lost: all.saturating_sub(lines.iter().filter(own).count()) }
}

/// The bridge to the model: what the checker found under a detector that errs happens to real processes, and the run
/// that their logs tell is one of the model's.
#[test]
fn a_leader_of_gms3_that_was_stopped_comes_back_and_there_are_two() {
    let plan =
        Plan { timeout: Duration::from_millis(300), ..Plan::new(PROGRAM, built_in()["gms3"], 3) };
    let mut group = Group::form(plan).expect("a group");
    let old = group.agree(LONG).expect("a leader");
    group.write(old, "before", "all").expect("all have it");
    let takeover = group.fail(old, Fault::Stop).expect("a leader again");
    let new = takeover.leader().expect("one new leader");
    let running = |node| Arc::clone(group.cluster().node(node).expect("it runs"));
    let (old, new) = (running(old), running(new));
    old.resume();
    for process in [&old, &new] {
        let said = process.ask("leader", LONG).expect("an answer");
        assert_eq!(said, Notice::Leader { leader: group.cluster().life(process.node()) });
    }
    // It still delivers what it multicasts. (To the others that is a strange message, which may end them.)
    let from = old.line_count();
    old.ask("mcast from one of two", LONG).expect("an answer");
    let delivers = |line: &Line| matches!(line.said, Notice::Delivered { .. }).then_some(());
    old.wait(from, LONG, delivers).expect("its own delivery");

    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("two-leaders.json");
    let (code, lines) =
        validated(&group.cluster().logs(), &["--save-trace", trace.to_str().expect("text")]);
    assert_eq!(code, 1, "{lines:#?}");
    let verdict = lines.iter().find(|line| line["property"] == "single-leader").expect("a line");
    assert!(verdict["verdict"].get("violated").is_some(), "{verdict}");
    assert!(replays(&trace), "the model does not know this run");
}

fn replays(trace: &Path) -> bool {
    Command::new(PROGRAM).arg("replay").arg(trace).output().expect("it runs").status.success()
}

#[test]
fn nobody_survives_the_end_of_a_cluster() {
    let survivors = thread::spawn(|| {
        let group = group(built_in()["gen_leader"], 2, 0);
        let processes: Vec<_> =
            group.cluster().running().map(|(_, process)| Arc::clone(process)).collect();
        processes[0].stop();
        let panics = thread::spawn(move || {
            let _group = group;
            panic!("this test fails on purpose");
        });
        assert!(panics.join().is_err());
        processes.iter().filter(|process| process.runs()).count()
    });
    assert_eq!(survivors.join().expect("no panic"), 0);
}
