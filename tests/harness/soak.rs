//! A cluster that lives on while nodes are killed at random and come back: nothing grows.
//!
//! `cargo test --release -p interrex-models --test soak -- --ignored --nocapture`, half an hour; or as many minutes as
//! `INTERREX_SOAK_MINUTES` says.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed; it says what it has measured"
)]

use fastrand::Rng;
use interrex::machine::NodeId;
use interrex_models::{
    protocol::registry::built_in,
    real::{
        failover::Group,
        line::Notice,
        processes::{Plan, Process},
        validate::{Carry, Verdict, validate},
    },
};
use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_interrex");
const PATIENCE: Duration = Duration::from_secs(20);
/// Three candidates and a worker. The last candidate and the worker are never killed: they see everything.
const KILLED: [NodeId; 2] = [NodeId(0), NodeId(1)];
const SPARED: [NodeId; 2] = [NodeId(2), NodeId(3)];

/// The resources of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Taken {
    /// Memory that is there, in KiB.
    memory: u64,
    descriptors: u64,
    threads: u64,
    tasks: u64,
}

impl Taken {
    fn by(process: &Process) -> Self {
        let of = |name: &str| format!("/proc/{}/{name}", process.id());
        let status = fs::read_to_string(of("status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let (memory, threads) = (number("VmRSS:"), number("Threads:"));
        let descriptors = fs::read_dir(of("fd")).unwrap().count() as u64;
        let tasks = match process.ask("tasks", PATIENCE).unwrap() {
            Notice::Tasks { count } => count as u64,
            other => panic!("{other:?}"),
        };
        Self { memory, descriptors, threads, tasks }
    }
}

/// A client of a node, until it is stopped or the node ends.
fn client(process: Arc<Process>, stop: Arc<AtomicBool>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for number in 0_u64.. {
            let key = number % 50;
            let asked = process.ask(&format!("put {}-{key} {number}", process.node()), PATIENCE);
            if stop.load(Ordering::Relaxed) || asked.is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    })
}

fn minutes() -> u64 {
    let said = std::env::var("INTERREX_SOAK_MINUTES").ok();
    said.map_or(30, |minutes| minutes.parse().expect("a number of minutes"))
}

#[test]
#[ignore = "nightly: half an hour"]
fn nothing_grows_while_nodes_are_killed_at_random() {
    let end = Duration::from_secs(60 * minutes());
    let mut chance = Rng::with_seed(5);
    let mut group =
        Group::form(Plan { workers: 1, ..Plan::new(PROGRAM, built_in()["gen_leader"], 3) })
            .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients: Vec<_> = (group.cluster().running())
        .map(|(_, process)| client(Arc::clone(process), Arc::clone(&stop)))
        .collect();
    let begun = Instant::now();
    let mut taken = BTreeMap::<NodeId, Vec<(Duration, Taken)>>::new();
    let mut kills = 0;
    while begun.elapsed() < end {
        thread::sleep(Duration::from_millis(chance.u64(500..8000)));
        let victim = KILLED[chance.usize(..KILLED.len())];
        for (node, process) in group.cluster().running() {
            let taken = taken.entry(node).or_default();
            taken.push((begun.elapsed(), Taken::by(process)));
        }
        group.cluster_mut().kill(victim);
        kills += 1;
        thread::sleep(Duration::from_millis(chance.u64(0..2000)));
        if chance.bool() {
            group.cluster_mut().erase(victim).unwrap();
        }
        group.start(victim, None).unwrap();
        clients.push(client(group.cluster().node(victim).unwrap().clone(), Arc::clone(&stop)));
        clients.retain(|client| !client.is_finished());
        group.agree(PATIENCE).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    println!("{kills} kills in {:?}", begun.elapsed());
    assert_equal_copies(&group);
    for (node, taken) in &taken {
        assert_flat(*node, taken, end);
    }
    assert_valid(&group);
}

/// After a sixth of the time, memory stays within a tenth of its size, and nothing else grows.
fn assert_flat(node: NodeId, taken: &[(Duration, Taken)], end: Duration) {
    let later: Vec<_> = taken.iter().filter(|(at, _)| *at >= end / 6).map(|it| it.1).collect();
    let first = later.first().expect("a sample");
    let range = |of: fn(&Taken) -> u64| {
        (later.iter().map(of).min().unwrap(), later.iter().map(of).max().unwrap())
    };
    let memory = range(|it| it.memory);
    let [descriptors, threads, tasks] =
        [|it: &Taken| it.descriptors, |it: &Taken| it.threads, |it: &Taken| it.tasks].map(range);
    println!(
        "{node}: memory {} KiB, then {memory:?}; descriptors {descriptors:?}; threads {threads:?}; tasks {tasks:?}",
        first.memory
    );
    // A node that is killed has lives of all ages.
    if SPARED.contains(&node) {
        let tenth = first.memory / 10;
        assert!(memory.0 + tenth >= first.memory && memory.1 <= first.memory + tenth, "{node}");
    }
    // Two with each other node, one that listens, and those that come and go with a handshake.
    let last = later.last().expect("a sample");
    assert!(last.descriptors <= first.descriptors + 3, "{node}: {first:?}, {last:?}");
    assert!(last.threads <= first.threads + 1, "{node}: {first:?}, {last:?}");
    assert!(last.tasks <= first.tasks + 3, "{node}: {first:?}, {last:?}");
}

fn assert_equal_copies(group: &Group) {
    let until = Instant::now() + PATIENCE;
    loop {
        let copies: Vec<Notice> = (group.cluster().running())
            .map(|(_, process)| process.ask("dump", PATIENCE).unwrap())
            .collect();
        if copies.windows(2).all(|pair| pair[0] == pair[1]) {
            return;
        }
        assert!(Instant::now() < until, "{copies:#?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn assert_valid(group: &Group) {
    let validation = validate(built_in(), &group.cluster().logs(), Carry::Nothing).unwrap();
    assert!(validation.differences.is_empty(), "{:#?}", validation.differences);
    assert!(validation.contradictions.is_empty(), "{:#?}", validation.contradictions);
    for (property, verdict) in &validation.verdicts {
        println!("{}: {verdict:?}", property.name);
        assert!(!matches!(verdict, Verdict::Violated { .. }), "{}", property.name);
    }
}
