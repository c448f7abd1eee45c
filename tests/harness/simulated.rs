//! The adapter in a simulated network: delays, silence, partitions, crashes and restarts, one seed after the other. The
//! logs of every run are validated.
//!
//! Network and time are simulated, and nothing else: the nodes are those that run for real, encryption included. In a
//! process of its own, a seed determines every byte of the logs. Beside other tests it does not: a crash drops the tasks
//! of a node in an order that depends on how many tasks the process has had so far.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed; it prints what it has seen"
)]

use fastrand::Rng;
mod ours;

use interrex::{
    gen_leader::Roster,
    machine::{NodeId, Value},
    runtime::{
        ClusterKey, Config, Heartbeats, Node, Opened, Owner, Storage, StorageError, Transport,
    },
};
use interrex_models::{
    claim::property::{BOUNDED_IDS, Property},
    protocol::registry::{Known, built_in},
    real::{
        application::Application,
        validate::{Carry, Validation, Verdict, validate},
    },
    verdict::{outcome::Expected, scenario::Scenario},
};
use ours::with_machine;
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};
use tempfile::tempdir;
use tokio::time::interval;
use turmoil::{
    Sim,
    net::{TcpListener, TcpStream},
};

const NODES: u16 = 3;
/// The number of runs of each kind.
const SEEDS: u64 = 20;
const TIMEOUT: Duration = Duration::from_millis(500);
/// When a simulation begins.
const EPOCH: Duration = Duration::from_hours(500_000);

/// The sockets of the simulation.
struct Simulated;

impl Transport for Simulated {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn listen(&self, at: &str) -> io::Result<TcpListener> {
        TcpListener::bind(at).await
    }

    fn address(listener: &TcpListener) -> io::Result<SocketAddr> {
        listener.local_addr()
    }

    async fn accept(listener: &mut TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
        listener.accept().await
    }

    async fn connect(&self, to: &str) -> io::Result<TcpStream> {
        TcpStream::connect(to).await
    }
}

/// A disk that survives crashes of its host.
#[derive(Clone)]
struct Disk<Stable>(Arc<Mutex<(u64, Option<Stable>)>>);

impl<Stable: Value> Storage<Stable> for Disk<Stable> {
    fn open(&mut self, _: &Owner) -> Result<Opened<Stable>, StorageError> {
        let mut kept = self.0.lock().unwrap();
        let life = kept.0;
        kept.0 += 1;
        Ok(Opened { life, stable: kept.1.iter().cloned().collect() })
    }

    fn persist(&mut self, _: &Stable, whole: &Stable) -> Result<(), StorageError> {
        self.0.lock().unwrap().1 = Some(whole.clone());
        Ok(())
    }
}

/// The faults of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Faults {
    /// Nodes crash and are restarted.
    Crashes,
    /// Pairs of nodes cannot reach each other, for shorter or longer than the detectors' timeout.
    Cuts,
    /// Both.
    Both,
}

/// The state that the hosts share with the run.
#[derive(Clone, Default)]
struct Stage {
    /// The node to join through.
    contact: Arc<Mutex<Option<NodeId>>>,
    /// True while clients send requests.
    busy: Arc<Mutex<bool>>,
}

fn name(node: NodeId) -> String {
    node.to_string()
}

fn config(node: NodeId, known: Known, stage: &Stage, folder: &Path) -> Config {
    let peers = (0..NODES).map(|peer| (NodeId(peer), format!("{}:7000", name(NodeId(peer)))));
    // Session keys are random all the same, and nothing depends on them.
    let key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".parse::<ClusterKey>().unwrap();
    let mut config = Config::new(node, "0.0.0.0:7000", peers, key, known.name());
    config.log = Some(log(folder, node));
    config.clock = simulated_micros;
    config.configuration = known.configuration(&Roster::new(NODES, 0));
    if known.joins_through_contact() {
        config.contacts.extend(*stage.contact.lock().unwrap());
    }
    config
}

/// The clock of the simulation.
fn simulated_micros() -> u64 {
    let since_epoch = turmoil::since_epoch().expect("a node runs in a simulation");
    u64::try_from(since_epoch.as_micros()).unwrap()
}

fn log(folder: &Path, node: NodeId) -> PathBuf {
    folder.join(format!("{node}.log"))
}

/// A program with a node, and a client that sends a request now and then.
async fn program<M: Application + Clone>(
    machine: M,
    config: Config,
    disk: Disk<M::Stable>,
    busy: Arc<Mutex<bool>>,
) -> turmoil::Result {
    let detector = Heartbeats::with_timeout(TIMEOUT);
    let client = machine.clone();
    // A newcomer whose contact is down tries again when it is restarted.
    let Ok(mut node) = Node::spawn_with(machine, config, Simulated, detector, disk).await else {
        return Ok(());
    };
    let (me, commands) = (node.me(), node.commands().clone());
    let mut asked = 0;
    let mut pause = interval(Duration::from_millis(7));
    loop {
        tokio::select! {
            biased;
            observation = node.observation() => if observation.is_none() { return Ok(()) },
            _ = pause.tick() => {
                let key = format!("key-{}", asked % 5);
                let write = client.write_of(me, asked, &key, &asked.to_string());
                let write = write.expect("a protocol in which something is written");
                if *busy.lock().unwrap() && commands.try_send(write).is_ok() {
                    asked += 1;
                }
            }
        }
    }
}

/// A run.
struct Play<'a> {
    sim: Sim<'a>,
    stage: Stage,
    chance: Rng,
    /// The nodes that have been started.
    begun: Vec<NodeId>,
    /// The pairs that cannot reach each other. True: their messages are lost rather than delayed.
    cuts: Vec<(NodeId, NodeId, bool)>,
}

impl<'a> Play<'a> {
    /// Starts all nodes, one after the other.
    fn begin<M: Application + Clone>(
        known: Known,
        machine: &'a M,
        seed: u64,
        folder: &'a Path,
    ) -> Self {
        fastrand::seed(seed);
        let sim = turmoil::Builder::new()
            .rng_seed(seed)
            .epoch(UNIX_EPOCH + EPOCH)
            .simulation_duration(Duration::from_mins(10))
            .max_message_latency(Duration::from_millis(20))
            .build();
        let (stage, chance) = (Stage::default(), Rng::with_seed(seed));
        let mut play = Self { sim, stage, chance, begun: vec![], cuts: vec![] };
        for node in nodes() {
            let disk = Disk(Arc::default());
            let stage = play.stage.clone();
            play.sim.host(name(node), move || {
                let (config, busy) = (config(node, known, &stage, folder), &stage.busy);
                program(machine.clone(), config, disk.clone(), Arc::clone(busy))
            });
            play.begun.push(node);
            play.run(200);
            play.find_contact();
        }
        play
    }

    fn run(&mut self, milliseconds: u64) {
        let until = self.sim.elapsed() + Duration::from_millis(milliseconds);
        while self.sim.elapsed() < until {
            self.sim.step().unwrap();
        }
    }

    fn running(&mut self) -> Vec<NodeId> {
        let begun = self.begun.iter().copied();
        begun.filter(|node| self.sim.is_host_running(name(*node))).collect()
    }

    /// Chooses a running node to join through.
    fn find_contact(&mut self) {
        let running = self.running();
        *self.stage.contact.lock().unwrap() = self.chance.choice(running);
    }

    /// Sends requests and injects faults, then repairs everything and waits until nothing happens.
    fn go_on(mut self, faults: Faults) {
        *self.stage.busy.lock().unwrap() = true;
        for _ in 0..30 {
            let pause = self.chance.u64(10..400);
            self.run(pause);
            let cuts = faults == Faults::Cuts || faults == Faults::Both && self.chance.bool();
            if cuts { self.cut_or_heal() } else { self.crash_or_restart() }
        }
        *self.stage.busy.lock().unwrap() = false;
        while !self.cuts.is_empty() {
            self.heal();
        }
        for _ in 0..10 {
            self.run(1500);
            self.restart();
        }
        self.run(3000);
    }

    /// One node stays up: an empty group cannot be joined.
    fn crash_or_restart(&mut self) {
        let running = self.running();
        if running.len() > 1 && self.chance.bool() {
            let victim = self.chance.choice(running).unwrap();
            self.sim.crash(name(victim));
            self.find_contact();
        } else {
            self.restart();
        }
    }

    fn restart(&mut self) {
        let running = self.running();
        let down: Vec<_> = nodes().filter(|node| !running.contains(node)).collect();
        if let (Some(node), false) = (self.chance.choice(down), running.is_empty()) {
            self.find_contact();
            self.sim.bounce(name(node));
        }
    }

    /// Messages across a cut are lost, or delayed.
    fn cut_or_heal(&mut self) {
        if !self.cuts.is_empty() && self.chance.bool() {
            return self.heal();
        }
        let pairs = nodes().flat_map(|p| nodes().map(move |q| (p, q)));
        let pairs: Vec<_> = pairs.filter(|(p, q)| p < q).collect();
        let (p, q) = self.chance.choice(pairs).unwrap();
        if self.cuts.iter().any(|(a, b, _)| (*a, *b) == (p, q)) {
            return;
        }
        let lost = self.chance.bool();
        if lost {
            self.sim.partition(name(p), name(q));
        } else {
            self.sim.hold(name(p), name(q));
        }
        self.cuts.push((p, q, lost));
    }

    fn heal(&mut self) {
        let Some((p, q, lost)) = self.cuts.pop() else { return };
        if lost {
            self.sim.repair(name(p), name(q));
        } else {
            self.sim.release(name(p), name(q));
        }
    }
}

fn nodes() -> impl Iterator<Item = NodeId> {
    (0..NODES).map(NodeId)
}

/// Runs a seed, and returns the logs.
fn run(known: Known, faults: Faults, seed: u64, folder: &Path) -> Vec<PathBuf> {
    let roster = Roster::new(NODES, 0);
    with_machine!(known, &roster, machine => {
        Play::begin(known, &machine, seed, folder).go_on(faults);
    });
    nodes().map(|node| log(folder, node)).collect()
}

/// Runs a seed and validates its logs. The matrix foresees every violation.
fn play(known: Known, faults: Faults, seed: u64) -> Validation {
    let folder = tempdir().unwrap();
    let logs = run(known, faults, seed, folder.path());
    let validation = validate(built_in(), &logs, Carry::Nothing).unwrap();
    let foreseen = foreseen(known, faults);
    let unforeseen = violated(&validation).any(|name| !foreseen.contains(&name));
    let disagree = !validation.differences.is_empty() || !validation.contradictions.is_empty();
    if unforeseen || disagree {
        let kept = folder.keep();
        panic!("{known:?}, {faults:?}, seed {seed}, logs in {}: {validation:#?}", kept.display());
    }
    validation
}

fn violated(validation: &Validation) -> impl Iterator<Item = &'static str> {
    let verdicts = validation.verdicts.iter();
    verdicts.filter(|(_, verdict)| matches!(verdict, Verdict::Violated { .. })).map(|it| it.0.name)
}

/// The violations that the matrix foresees under such faults: none for group, which is not in it. To the world of the harness, a cut link is a detector that
/// errs, messages that are lost, and a partition.
fn foreseen(known: Known, faults: Faults) -> BTreeSet<&'static str> {
    if known == built_in()["group"] {
        return BTreeSet::new();
    }
    let crashes = ["crash-stop", "crash-recovery"].as_slice();
    let cuts = ["suspicious", "partition", "lossy"].as_slice();
    let classes = match faults {
        Faults::Crashes => vec![crashes],
        Faults::Cuts => vec![cuts],
        Faults::Both => vec![crashes, cuts, &["everything"]],
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(known.name());
    let scenarios = classes.into_iter().flatten().map(|class| {
        Scenario::read(built_in(), &folder.join(format!("{class}.toml")), class)
            .expect("a cell of the matrix")
    });
    // Where ids are bounded in the search, it does not say that they are.
    let foreseen = |(property, expected): (&'static Property, _), bounded| {
        let violated = matches!(expected, Some(Expected::Violated(_)));
        (violated || bounded && property.name == BOUNDED_IDS.name).then_some(property.name)
    };
    let of_scenario = |scenario: Scenario| {
        let bounded = scenario.environment.bound.is_some();
        scenario.properties.into_iter().filter_map(move |it| foreseen(it, bounded))
    };
    scenarios.flat_map(of_scenario).collect()
}

fn all() -> [Known; 5] {
    ["group", "gms3", "gen_leader", "gen_leader_2007", "gen_leader_1_0"]
        .map(|name| built_in()[name])
}

/// Runs of group are long: its members go on while others are away.
fn seeds(known: Known) -> u64 {
    if known == built_in()["group"] { SEEDS / 4 } else { SEEDS }
}

fn play_all(known: Known, faults: Faults, seeds: Range<u64>) {
    let mut seen = BTreeMap::<_, u64>::new();
    let (mut lives, mut steps) = (0, 0);
    for seed in seeds.clone() {
        let validation = play(known, faults, seed);
        lives += validation.logs.iter().map(|log| log.lives).sum::<usize>();
        steps += validation.logs.iter().map(|log| log.steps).sum::<usize>();
        for name in violated(&validation) {
            *seen.entry(name).or_default() += 1;
        }
    }
    println!("{known:?}, {faults:?}, {seeds:?}: {lives} lives, {steps} steps; violated {seen:?}");
}

#[test]
fn violations_under_crashes_are_foreseen() {
    all().into_par_iter().for_each(|known| play_all(known, Faults::Crashes, 0..seeds(known)));
}

#[test]
fn violations_under_cuts_are_foreseen() {
    all().into_par_iter().for_each(|known| play_all(known, Faults::Cuts, 0..seeds(known)));
}

#[test]
fn violations_under_crashes_and_cuts_are_foreseen() {
    all().into_par_iter().for_each(|known| play_all(known, Faults::Both, 0..seeds(known)));
}

/// The run of a process of its own: the protocol, the seed, and the folder for the logs.
const ALONE: &str = "INTERREX_SIMULATED";

#[test]
#[ignore = "it is a process of its own, which the next test runs"]
fn one_run() {
    let alone = std::env::var(ALONE).expect("a protocol, a seed and a folder");
    let [known, seed, folder] = alone.split(' ').collect::<Vec<_>>()[..] else { panic!("{alone}") };
    run(built_in()[known], Faults::Both, seed.parse().unwrap(), Path::new(folder));
}

fn run_alone(known: Known, seed: u64, folder: &Path) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["one_run", "--exact", "--ignored"])
        .env(ALONE, format!("{} {seed} {}", known.name(), folder.display()))
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

#[test]
fn a_seed_determines_every_byte_of_the_logs() {
    for known in all() {
        for seed in 0..3 {
            let [first, second] = [(); 2].map(|()| {
                let folder = tempdir().unwrap();
                run_alone(known, seed, folder.path());
                let logs = nodes().map(|node| log(folder.path(), node));
                logs.map(|log| fs::read_to_string(log).unwrap()).collect::<Vec<_>>()
            });
            for (first, second) in first.iter().zip(&second) {
                let lines = first.lines().zip(second.lines()).enumerate();
                let differs = lines.into_iter().find(|(_, (first, second))| first != second);
                assert_eq!(differs, None, "{known:?}, seed {seed}");
                assert_eq!(first.len(), second.len(), "{known:?}, seed {seed}");
            }
        }
    }
}

#[test]
#[ignore = "nightly: minutes"]
fn violations_in_many_more_runs_are_foreseen() {
    for faults in [Faults::Crashes, Faults::Cuts, Faults::Both] {
        for known in all() {
            play_all(known, faults, SEEDS..10 * SEEDS);
        }
    }
}
