//! Real processes of group through outages, while clients write at every node: nothing that was confirmed is lost, all copies
//! are equal afterwards, and the logs are valid in all properties.

#![expect(clippy::print_stdout, reason = "it says what it has measured")]

mod large;
mod network;

use interrex::machine::NodeId;
use interrex_models::{
    protocol::registry::built_in,
    real::{
        failover::Group,
        line::Notice,
        processes::{Cluster, Plan, Process},
    },
};
use network::Network;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_interrex");
/// More than anything takes.
const LONG: Duration = Duration::from_secs(20);
/// The duration of the load before an outage, and after it.
const WHILE: Duration = Duration::from_millis(100);
/// The time without a message after which a node is considered dead.
const TIMEOUT: Duration = Duration::from_millis(300);

/// The writes that were confirmed.
type Confirmed = Arc<Mutex<BTreeMap<String, String>>>;

/// A group under load.
struct Outage {
    group: Group,
    confirmed: Confirmed,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
    /// The number of lives of each node, so that none writes a key twice.
    lives: BTreeMap<NodeId, u64>,
}

impl Outage {
    fn new(nodes: u16) -> Self {
        Self::of(cluster(nodes))
    }

    fn of(cluster: Cluster) -> Self {
        Self {
            group: Group::of(cluster).expect("a group"),
            confirmed: Confirmed::default(),
            stop: Arc::default(),
            writers: vec![],
            lives: BTreeMap::new(),
        }
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.group.cluster().plan().nodes().collect()
    }

    fn process(&self, node: NodeId) -> Arc<Process> {
        Arc::clone(self.group.cluster().node(node).expect("it runs"))
    }

    /// Writes at a node, one after the other, until it ends.
    fn write_at(&mut self, node: NodeId) {
        let life = self.lives.entry(node).or_default();
        *life += 1;
        let prefix = format!("{node}-{life}");
        let (process, stop) = (self.process(node), Arc::clone(&self.stop));
        let confirmed = Arc::clone(&self.confirmed);
        self.writers.push(thread::spawn(move || {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let (key, value) = (format!("{prefix}-{number}"), number.to_string());
                match process.ask(&format!("put {key} {value}"), LONG) {
                    Ok(Notice::Done) => {
                        confirmed.lock().expect("no panic").insert(key, value);
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
                thread::sleep(Duration::from_millis(2));
            }
        }));
    }

    /// Starts a node as the member that it was, or anew.
    fn start(&mut self, node: NodeId) {
        let contact = self.group.cluster().running().map(|(other, _)| other).next();
        self.group.start(node, contact).expect("it starts");
        self.write_at(node);
    }

    /// One round: load, the outage, load, and then the judgement.
    fn round(&mut self, outage: impl FnOnce(&mut Self)) {
        self.nodes().into_iter().for_each(|node| self.write_at(node));
        thread::sleep(WHILE);
        outage(self);
        self.group.agree(LONG).expect("one group again");
        thread::sleep(WHILE);
        self.stop.store(true, Ordering::Relaxed);
        self.writers.drain(..).for_each(|writer| writer.join().expect("no panic"));
        self.stop.store(false, Ordering::Relaxed);
        self.assert_nothing_is_lost();
    }

    fn assert_nothing_is_lost(&self) {
        let confirmed = self.confirmed.lock().expect("no panic").clone();
        let until = Instant::now() + LONG;
        loop {
            let copies: BTreeSet<_> =
                self.group.cluster().running().map(|(_, it)| copy(it)).collect();
            if copies.len() == 1
                && let Some(Ok(copy)) = copies.first()
            {
                let lost = confirmed.iter().filter(|(key, value)| copy.get(*key) != Some(value));
                let lost: Vec<_> = lost.collect();
                assert!(lost.is_empty(), "confirmed and lost: {lost:?}");
                return;
            }
            assert!(Instant::now() < until, "the copies differ: {copies:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Judges the logs.
    fn end(self, what: &str) {
        let output =
            Command::new(PROGRAM).arg("validate").args(self.group.cluster().logs()).output();
        let output = output.expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let unjudged: Vec<_> = said.lines().filter(|line| line.contains("not judged")).collect();
        let confirmed = self.confirmed.lock().expect("no panic").len();
        println!("{what}: {confirmed} confirmed writes, none lost; {unjudged:#?}");
    }
}

fn cluster(nodes: u16) -> Cluster {
    // A node that is cut off answers its clients within this time.
    let call_timeout = Duration::from_secs(1);
    let plan =
        Plan { timeout: TIMEOUT, call_timeout, ..Plan::new(PROGRAM, built_in()["group"], nodes) };
    Cluster::new(plan).expect("a cluster")
}

/// The copy of a node. An error says that it may not be up to date: on a busy machine, nodes are suspected at any time.
fn copy(process: &Arc<Process>) -> Result<BTreeMap<String, String>, String> {
    match process.ask("dump", LONG).expect("an answer") {
        Notice::Dumped { entries } => Ok(entries),
        other => Err(other.to_string()),
    }
}

/// Kills leaders with -9. Every other one has lost what it had stored.
fn kill_leaders(rounds: u32) {
    let mut outage = Outage::new(3);
    for round in 0..rounds {
        outage.round(|it| {
            let leader = it.group.agree(LONG).expect("a leader");
            it.group.cluster_mut().kill(leader);
            if round % 2 == 1 {
                it.group.cluster_mut().erase(leader).expect("a folder");
            }
            it.start(leader);
        });
    }
    outage.end("leaders killed");
}

/// Stops leaders for longer than the time-out. They come back as members, in the same process.
fn pause_leaders(rounds: u32, pause: Duration) {
    let mut outage = Outage::new(3);
    for _ in 0..rounds {
        outage.round(|it| {
            let leader = it.group.agree(LONG).expect("a leader");
            it.process(leader).stop();
            thread::sleep(pause);
            it.process(leader).resume();
        });
    }
    outage.end("leaders paused");
}

/// Cuts the leader off, in one direction or both, from one other node or all, and heals the network again.
fn partition(nodes: u16, rounds: u32) {
    let mut cluster = cluster(nodes);
    let network = Network::between(&mut cluster);
    let mut outage = Outage::of(cluster);
    for round in 0..rounds {
        outage.round(|it| {
            let leader = it.group.agree(LONG).expect("a leader");
            let others: Vec<_> = it.nodes().into_iter().filter(|node| *node != leader).collect();
            let some = if round % 2 == 0 { &others[..] } else { &others[..1] };
            let out = some.iter().map(|other| (leader, *other));
            let back = some.iter().map(|other| (*other, leader));
            match round % 3 {
                0 => network.swallow(out.chain(back)),
                1 => network.swallow(out),
                _ => network.swallow(back),
            }
            thread::sleep(TIMEOUT * (1 + round % 4));
            network.swallow([]);
        });
    }
    outage.end("leaders cut off");
}

/// Cuts all ways but those of one member, which does not lead. It takes over; or the former leader has removed the others one
/// by one before it found a majority down, and goes on with this one.
fn leave_one_that_reaches_all(rounds: u32) {
    let mut cluster = cluster(5);
    let network = Network::between(&mut cluster);
    let mut outage = Outage::of(cluster);
    for _ in 0..rounds {
        outage.round(|it| {
            let leader = it.group.agree(LONG).expect("a leader");
            let hub = it.nodes().into_iter().find(|node| *node != leader).expect("another");
            let spokes: Vec<_> = it.nodes().into_iter().filter(|node| *node != hub).collect();
            let all = |from: NodeId| spokes.iter().map(move |to| (from, *to));
            network.swallow(spokes.iter().copied().flat_map(all));
            let view = |node| match it.process(node).ask("members", LONG) {
                Ok(Notice::View(view)) => Some(view),
                _ => None,
            };
            let leads = || view(hub).filter(|said| view(said.leader.node).as_ref() == Some(said));
            let until = Instant::now() + LONG;
            // Nobody ends it again.
            while leads().is_none_or(|before| {
                thread::sleep(4 * TIMEOUT);
                leads() != Some(before)
            }) {
                assert!(Instant::now() < until, "nobody leads whom {hub} reaches");
                thread::sleep(Duration::from_millis(20));
            }
            let done = it.process(hub).ask("put hub 1", LONG).expect("an answer");
            assert_eq!(done, Notice::Done);
            network.swallow([]);
        });
    }
    outage.end("one member left that reaches all");
}

/// Cuts ways at random, each by itself, and others a moment later, again and again. A seed gives the same cuts.
fn cut_at_random(nodes: u16, rounds: u32) {
    let mut cluster = cluster(nodes);
    let network = Network::between(&mut cluster);
    let mut outage = Outage::of(cluster);
    let mut chance = fastrand::Rng::with_seed(nodes.into());
    for _ in 0..rounds {
        outage.round(|it| {
            let all = it.nodes();
            let ways = all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to)));
            let ways: Vec<_> = ways.collect();
            for _ in 0..chance.u8(2..6) {
                let of_ten = chance.u8(1..6);
                network.swallow(ways.iter().copied().filter(|_| chance.u8(0..10) < of_ten));
                thread::sleep(TIMEOUT * chance.u32(1..30) / 10);
            }
            network.swallow([]);
        });
    }
    outage.end("ways cut at random");
}

/// Kills all nodes at once, and starts them again with what they have stored.
fn cut_the_power(rounds: u32) {
    let mut outage = Outage::new(3);
    for round in 0..rounds {
        outage.round(|it| {
            let mut nodes = it.nodes();
            for node in &nodes {
                it.group.cluster_mut().kill(*node);
            }
            nodes.rotate_left(round as usize % 3);
            for node in nodes {
                let command = it.group.cluster().command(node, None);
                it.group.cluster_mut().start_with(node, command).expect("it starts");
                it.write_at(node);
            }
        });
    }
    outage.end("power cuts");
}

/// Of five members, kills the leader and another one 5 ms later.
fn kill_two_of_five(rounds: u32) {
    let mut outage = Outage::new(5);
    for _ in 0..rounds {
        outage.round(|it| {
            let leader = it.group.agree(LONG).expect("a leader");
            let other = it.nodes().into_iter().find(|node| *node != leader).expect("another");
            it.group.cluster_mut().kill(leader);
            thread::sleep(Duration::from_millis(5));
            it.group.cluster_mut().kill(other);
            thread::sleep(WHILE);
            it.start(leader);
            it.start(other);
        });
    }
    outage.end("two of five killed");
}

#[test]
fn no_confirmed_write_is_lost_when_leaders_are_killed() {
    kill_leaders(3);
}

#[test]
fn no_confirmed_write_is_lost_when_leaders_pause() {
    pause_leaders(2, 3 * TIMEOUT);
}

#[test]
fn no_confirmed_write_is_lost_when_leaders_are_cut_off() {
    partition(3, 6);
}

#[test]
fn the_only_member_that_reaches_all_has_a_leader() {
    leave_one_that_reaches_all(1);
}

#[test]
fn no_confirmed_write_is_lost_when_ways_are_cut_at_random() {
    cut_at_random(3, 2);
}

#[test]
fn no_confirmed_write_is_lost_in_a_power_cut() {
    cut_the_power(2);
}

#[test]
fn no_confirmed_write_is_lost_when_two_of_five_are_killed() {
    kill_two_of_five(2);
}

/// All are started as the first time, and the founder's folder is gone. It must not begin a group that swallows the others.
#[test]
fn a_founder_that_has_lost_its_storage_loses_nobody_elses() {
    let mut outage = Outage::new(3);
    outage.round(|_| {});
    let nodes = outage.nodes();
    for node in &nodes {
        outage.group.cluster_mut().kill(*node);
    }
    outage.group.cluster_mut().erase(nodes[0]).expect("a folder");
    // Without storage, and without another node that knows better, lives are numbered by seconds.
    thread::sleep(Duration::from_millis(1100));
    for node in &nodes {
        let command = outage.group.cluster().command(*node, None);
        outage.group.cluster_mut().start_with(*node, command).expect("it starts");
    }
    let founder = outage.process(nodes[0]);
    founder.ended(LONG).expect("it gives way to the older group");
    let said = founder.lines(0);
    let why = |said: &Notice| match said {
        Notice::Ended { stopped: Some(why) } => why.contains("has founded before this one"),
        _ => false,
    };
    assert!(said.iter().any(|line| why(&line.said)), "{said:?}");
    outage.group.cluster_mut().reap();
    outage.group.cluster_mut().erase(nodes[0]).expect("a folder");
    outage.group.start(nodes[0], Some(nodes[1])).expect("it joins");
    outage.group.agree(LONG).expect("one group again");
    outage.assert_nothing_is_lost();
}

/// Two of three are gone for good: the third one goes on with all that it holds. One of them comes back after all, and ends.
#[test]
fn a_survivor_goes_on_without_a_majority_on_command() {
    let mut outage = Outage::new(3);
    outage.round(|_| {});
    let [gone, survivor] = [0, 2].map(NodeId);
    let refused = outage.process(survivor).ask("found anew", LONG).expect("an answer");
    assert!(matches!(refused, Notice::Error { .. }), "a leader is there: {refused}");
    for node in [gone, NodeId(1)] {
        outage.group.cluster_mut().kill(node);
    }
    let process = outage.process(survivor);
    let no_leader = |said: &Notice| matches!(said, Notice::Error { .. });
    let until = Instant::now() + LONG;
    while !no_leader(&process.ask("members", LONG).expect("an answer")) {
        assert!(Instant::now() < until, "it has not noticed");
        thread::sleep(WHILE);
    }
    let done = process.ask("found anew", LONG).expect("an answer");
    assert_eq!(done, Notice::Done);
    assert_eq!(process.ask("put after 1", LONG).expect("an answer"), Notice::Done);
    outage.assert_nothing_is_lost();

    let command = outage.group.cluster().command(gone, Some(survivor));
    outage.group.cluster_mut().start_with(gone, command).expect("it starts");
    let former = outage.process(gone);
    former.ended(LONG).expect("it ends");
    let why = |said: &Notice| match said {
        Notice::Ended { stopped: Some(why) } => why.contains("founded anew"),
        _ => false,
    };
    assert!(former.lines(0).iter().any(|line| why(&line.said)), "{:?}", former.lines(0));
}

#[test]
#[ignore = "nightly: a hundred rounds"]
fn a_hundred_leaders_are_killed() {
    kill_leaders(100);
}

#[test]
#[ignore = "nightly: a hundred rounds"]
fn a_hundred_leaders_pause_for_three_seconds() {
    pause_leaders(100, Duration::from_secs(3));
}

#[test]
#[ignore = "nightly: a hundred rounds"]
fn a_hundred_leaders_are_cut_off() {
    partition(3, 100);
}

#[test]
#[ignore = "nightly: a hundred rounds"]
fn a_hundred_leaders_of_five_are_cut_off() {
    partition(5, 100);
}

#[test]
#[ignore = "nightly: a hundred rounds"]
fn the_only_member_that_reaches_all_has_a_leader_a_hundred_times() {
    leave_one_that_reaches_all(100);
}

#[test]
#[ignore = "nightly: a hundred rounds"]
fn ways_of_three_are_cut_at_random_a_hundred_times() {
    cut_at_random(3, 100);
}

#[test]
#[ignore = "nightly: a hundred rounds"]
fn ways_of_five_are_cut_at_random_a_hundred_times() {
    cut_at_random(5, 100);
}

#[test]
#[ignore = "nightly: a hundred rounds"]
fn a_hundred_power_cuts() {
    cut_the_power(100);
}

#[test]
#[ignore = "nightly: a hundred rounds"]
fn two_of_five_are_killed_a_hundred_times() {
    kill_two_of_five(100);
}
