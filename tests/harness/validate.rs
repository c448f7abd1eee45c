//! Logs of real nodes: the machine is run over them, they are joined and judged, and what violates a property is
//! carried over into the harness.
//!
//! The logs are written by a small cluster inside the test: like a real one, but everything happens when it is told to.

use assert_cmd::Command;
use interrex::{
    gen_leader::{self, Roster, dictionary::Request},
    gms3,
    machine::{Address, Boot, Effect, EffectOf, Event, EventOf, Machine, NodeId, Peer},
    runtime::{Break, CLOSE_TIMEOUT, End, Entry, FORMAT, Start, Step},
};
use interrex_models::{
    evidence::{
        replay::{Mode, Outcome},
        trace::Trace,
    },
    model::environment::Budget,
    protocol::{
        gen_leader as dictionary, gms3 as group, group as our_group, multicast::Multicast,
        registry::built_in,
    },
    real::{
        application,
        validate::{Carried, Carry, Run, Validation, Verdict, validate},
    },
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Nodes that run and write logs.
struct Nodes<M: Machine> {
    machine: M,
    protocol: &'static str,
    configuration: String,
    folder: TempDir,
    now: u64,
    /// The time between two steps, and the time by which the clock of each node is ahead of that of the one before:
    /// in microseconds.
    clocks: (u64, u64),
    /// How far the clocks of some nodes are ahead besides, in microseconds.
    ahead: BTreeMap<NodeId, u64>,
    /// Messages to a node that is not up, and monitors of it, wait until it comes up.
    waits: bool,
    waiting: Vec<(NodeId, Waiting<M>)>,
    up: BTreeMap<NodeId, Node<M>>,
    links: BTreeMap<(NodeId, NodeId), VecDeque<Parcel<M>>>,
    stable: BTreeMap<NodeId, M::Stable>,
    lives: BTreeMap<NodeId, u64>,
    logs: BTreeMap<NodeId, String>,
    /// The nodes that write logs of format 2, without digests.
    old: BTreeSet<NodeId>,
}

struct Node<M: Machine> {
    me: Address,
    state: M::State,
    step: u64,
    monitors: BTreeSet<Peer>,
    timers: BTreeSet<M::Timer>,
}

/// A message or monitor that waits until a node comes up.
enum Waiting<M: Machine> {
    Parcel(NodeId, Parcel<M>),
    Monitor(Peer),
}

/// The content of a link.
enum Parcel<M: Machine> {
    Message { from: Address, sent: u64, message: M::Message },
    Down(Peer),
}

/// The first life of a node that came up long after 2020.
const FIRST_LIFE: u64 = 185_000_000_000;

impl<M: Machine> Nodes<M> {
    fn new(machine: M, protocol: &'static str, configuration: String) -> Self {
        Self {
            machine,
            protocol,
            configuration,
            folder: TempDir::new().expect("a folder"),
            now: 1_700_000_000_000_000,
            clocks: (10_000, 0),
            ahead: BTreeMap::new(),
            waits: false,
            waiting: vec![],
            up: BTreeMap::new(),
            links: BTreeMap::new(),
            stable: BTreeMap::new(),
            lives: BTreeMap::new(),
            logs: BTreeMap::new(),
            old: BTreeSet::new(),
        }
    }

    /// Time passes.
    fn tick(&mut self, node: NodeId) -> u64 {
        let (pause, ahead) = self.clocks;
        self.now += pause;
        let more = self.ahead.get(&node).copied().unwrap_or(0);
        self.now + ahead * u64::from(node.0) + more
    }

    fn write(&mut self, node: NodeId, entry: &impl Serialize) {
        let line = serde_json::to_string(entry).expect("JSON");
        let log = self.logs.entry(node).or_default();
        if !log.is_empty() && !log.ends_with('\n') {
            log.push('\n');
        }
        log.push_str(&line);
        log.push('\n');
    }

    fn start(&mut self, node: NodeId, contact: Option<NodeId>) {
        let at = self.tick(node);
        let life = self.lives.get(&node).map_or(FIRST_LIFE + u64::from(node.0), |life| life + 77);
        self.lives.insert(node, life);
        let me = Address { node, life };
        let contact = contact.map(|contact| self.up[&contact].me);
        let boot = Boot { me, stable: self.stable.get(&node).cloned(), contact };
        let (state, effects) = self.machine.start(boot.clone());
        let (protocol, configuration) = (self.protocol.into(), self.configuration.clone());
        if self.old.contains(&node) {
            let effects = effects.clone();
            let start = Start { format: 2, at, protocol, configuration, boot, effects };
            self.write(node, &Entry::<_, (), _>::Start(start));
        } else {
            let (boot, effects) = (boot.held(), effects.iter().map(Effect::held).collect());
            let start = Start { format: FORMAT, at, protocol, configuration, boot, effects };
            self.write(node, &Entry::<_, (), _>::Start(start));
        }
        self.up.insert(
            node,
            Node { me, state, step: 0, monitors: BTreeSet::new(), timers: BTreeSet::new() },
        );
        self.carry_out(node, effects, None);
        self.end_waiting(node);
    }

    /// Does everything that waited for a node.
    fn end_waiting(&mut self, node: NodeId) {
        for (from, waiting) in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Parcel(to, parcel) if to == node => {
                    self.links.entry((from, to)).or_default().push_back(parcel);
                }
                Waiting::Monitor(peer) if peer.node() == node => {
                    self.up.get_mut(&from).expect("up").monitors.insert(peer);
                }
                other => self.waiting.push((from, other)),
            }
        }
    }

    /// A node meets an event; of what it does, all happens, or the first effects before it is killed.
    fn meet(
        &mut self,
        node: NodeId,
        event: EventOf<M>,
        sent: Option<u64>,
        killed_after: Option<usize>,
    ) {
        let at = self.tick(node);
        let it = self.up.get_mut(&node).expect("a node that is up");
        let (state, effects) = self.machine.step(it.state.clone(), event.clone());
        it.state = state;
        it.step += 1;
        if self.old.contains(&node) {
            let effects = effects.clone();
            let step = Step { at, event, sent, unsynced: false, effects };
            self.write(node, &Entry::<(), _, _>::Step(step));
        } else {
            let (event, effects) = (event.held(), effects.iter().map(Effect::held).collect());
            let step = Step { at, event, sent, unsynced: false, effects };
            self.write(node, &Entry::<(), _, _>::Step(step));
        }
        self.carry_out(node, effects, killed_after);
    }

    fn carry_out(&mut self, me: NodeId, effects: Vec<EffectOf<M>>, killed_after: Option<usize>) {
        let happening = killed_after.unwrap_or(effects.len());
        for effect in effects.into_iter().take(happening) {
            let Node { me: from, step, .. } = self.up[&me];
            match effect {
                Effect::Send { to, message } if self.is_up(to) => {
                    let parcel = Parcel::Message { from, sent: step, message };
                    self.links.entry((me, to.node())).or_default().push_back(parcel);
                }
                Effect::Send { to: Peer::Name(to), message } if self.waits => {
                    let parcel = Parcel::Message { from, sent: step, message };
                    self.waiting.push((me, Waiting::Parcel(to, parcel)));
                }
                Effect::Send { to, .. } => self.note_break(me, to.node()),
                Effect::Monitor(peer @ Peer::Name(_)) if self.waits && !self.is_up(peer) => {
                    self.waiting.push((me, Waiting::Monitor(peer)));
                }
                Effect::Monitor(peer) if self.is_up(peer) => {
                    self.up.get_mut(&me).expect("up").monitors.insert(peer);
                }
                Effect::Monitor(peer) => {
                    self.links.entry((peer.node(), me)).or_default().push_back(Parcel::Down(peer));
                }
                Effect::Demonitor(peer) => {
                    self.up.get_mut(&me).expect("up").monitors.remove(&peer);
                    let is_it = |waiting: &Waiting<M>| matches!(waiting, Waiting::Monitor(it) if *it == peer);
                    self.waiting.retain(|(from, waiting)| *from != me || !is_it(waiting));
                    let link = self.links.entry((peer.node(), me)).or_default();
                    link.retain(|parcel| !matches!(parcel, Parcel::Down(_)));
                }
                Effect::SetTimer { timer, .. } => {
                    self.up.get_mut(&me).expect("up").timers.insert(timer);
                }
                Effect::CancelTimer(timer) => {
                    self.up.get_mut(&me).expect("up").timers.remove(&timer);
                }
                Effect::Persist(persisted) => {
                    let stable = self.machine.stored(self.stable.remove(&me), persisted);
                    self.stable.insert(me, stable);
                }
                Effect::Stop(reason) => {
                    let end = End { at: self.tick(me), stopped: Some(reason.into()) };
                    self.write(me, &Entry::<(), (), ()>::End(end));
                    return self.kill(me);
                }
                Effect::Observe(_) => {}
            }
        }
        if killed_after.is_some() {
            self.kill(me);
        }
    }

    fn is_up(&self, peer: Peer) -> bool {
        self.up.get(&peer.node()).is_some_and(|it| match peer {
            Peer::Name(_) => true,
            Peer::Process(process) => it.me == process,
        })
    }

    fn kill(&mut self, node: NodeId) {
        self.waiting.retain(|(from, _)| *from != node);
        let gone = self.up.remove(&node).expect("a node that is up").me;
        for ((_, to), link) in &mut self.links {
            if *to == node {
                link.clear();
            }
        }
        for (watcher, it) in &mut self.up {
            for peer in [Peer::Name(node), Peer::Process(gone)] {
                if it.monitors.remove(&peer) {
                    self.links.entry((node, *watcher)).or_default().push_back(Parcel::Down(peer));
                }
            }
        }
    }

    fn shut_down(&mut self, node: NodeId) {
        let at = self.tick(node);
        self.write(node, &Entry::<(), (), ()>::End(End { at, stopped: None }));
        self.kill(node);
    }

    fn command(&mut self, node: NodeId, command: M::Command) {
        self.meet(node, Event::Command(command), None, None);
    }

    /// The head of a link arrives, if there is anything.
    fn deliver(&mut self, from: NodeId, to: NodeId) -> bool {
        let Some(parcel) = self.links.get_mut(&(from, to)).and_then(VecDeque::pop_front) else {
            return false;
        };
        match parcel {
            Parcel::Message { from, sent, message } => {
                self.meet(to, Event::Message { from, message }, Some(sent), None);
            }
            Parcel::Down(peer) => self.meet(to, Event::Down(peer), None, None),
        }
        true
    }

    fn deliver_all(&mut self) {
        loop {
            let links: Vec<_> = self.links.keys().copied().collect();
            let mut any = false;
            for (from, to) in links {
                any |= self.deliver(from, to);
            }
            if !any {
                return;
            }
        }
    }

    /// A watcher is told that somebody is down who is up.
    fn suspect(&mut self, watcher: NodeId, target: Peer) {
        assert!(self.up.get_mut(&watcher).expect("up").monitors.remove(&target), "watched");
        self.meet(watcher, Event::Down(target), None, None);
    }

    /// A connection ends: the messages on it are lost, and the sender logs that.
    fn lose(&mut self, from: NodeId, to: NodeId) {
        let link = self.links.get_mut(&(from, to)).expect("a link");
        link.retain(|parcel| matches!(parcel, Parcel::Down(_)));
        // A sender that was killed logs nothing any more.
        if self.up.contains_key(&from) {
            self.note_break(from, to);
        }
    }

    fn note_break(&mut self, node: NodeId, with: NodeId) {
        let it = Break { at: self.tick(node), node: with, dropped: 0, why: "a test".into() };
        self.write(node, &Entry::<(), (), ()>::Break(it));
    }

    fn links_with(&self, what: impl Fn(&VecDeque<Parcel<M>>) -> bool) -> Vec<(NodeId, NodeId)> {
        self.links.iter().filter(|(_, link)| what(link)).map(|(link, _)| *link).collect()
    }

    /// The nodes that are down and have not ended themselves. A node that has does not come back in the harness.
    fn can_start(&self) -> Vec<NodeId> {
        let last = |node: &NodeId| self.logs.get(node).and_then(|log| log.lines().last());
        let stopped = |node: &NodeId| last(node).is_some_and(|line| line.contains("stopped"));
        let down = [N0, N1, N2].into_iter().filter(|node| !self.up.contains_key(node));
        down.filter(|node| !stopped(node)).collect()
    }

    fn save(&self) -> Vec<PathBuf> {
        let save = |(node, text): (&NodeId, &String)| {
            let path = self.folder.path().join(format!("{node}.log"));
            fs::write(&path, text).expect("a log");
            path
        };
        self.logs.iter().map(save).collect()
    }

    fn validated(&self) -> Validation {
        validate(built_in(), &self.save(), Carry::FirstBut(&[])).expect("logs")
    }
}

const N0: NodeId = NodeId(0);
const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

type Gms3Nodes = Nodes<gms3::Gms3<Multicast>>;

/// A joined group.
fn gms3_nodes(size: u16) -> Gms3Nodes {
    gms3_under(size, 10_000, &[])
}

/// A joined group with this time between two steps. The clocks of some nodes are ahead, in microseconds.
fn gms3_under(size: u16, pause: u64, ahead: &[(NodeId, u64)]) -> Gms3Nodes {
    let mut nodes = Nodes::new(
        group::real::machine(&Roster::default()),
        "gms3",
        application::configuration(None),
    );
    nodes.clocks = (pause, 0);
    nodes.ahead = ahead.iter().copied().collect();
    nodes.start(N0, None);
    for node in 1..size {
        nodes.start(NodeId(node), Some(N0));
        nodes.deliver_all();
    }
    nodes
}

impl Gms3Nodes {
    fn mcast(&mut self, node: NodeId, index: u64) {
        self.command(node, mcast(self.up[&node].me, index));
    }
}

fn mcast(from: Address, index: u64) -> gms3::Command<Multicast> {
    gms3::Command::Mcast(Multicast { from, index, text: "the same".into() })
}

fn verdict<'a>(validation: &'a Validation, property: &str) -> &'a Verdict {
    let found = validation.verdicts.iter().find(|(it, _)| it.name == property);
    &found.expect("a property").1
}

fn assert_agrees(validation: &Validation) {
    assert!(validation.differences.is_empty(), "{:?}", validation.differences);
    assert!(validation.contradictions.is_empty(), "{:?}", validation.contradictions);
}

/// Nothing is violated, and everything was judged that can be.
fn assert_holds(validation: &Validation) {
    assert_agrees(validation);
    for (property, verdict) in &validation.verdicts {
        match verdict {
            Verdict::Holds | Verdict::Unwitnessed => {}
            Verdict::NotJudged(_) if property.name == "no-livelock" => {}
            other => panic!("{}: {other:?}", property.name),
        }
    }
}

fn violated(validation: &Validation) -> Vec<&'static str> {
    let violated = validation.verdicts.iter();
    let violated = violated.filter(|(_, verdict)| matches!(verdict, Verdict::Violated { .. }));
    violated.map(|(property, _)| property.name).collect()
}

/// The run in the harness; it replays, and is returned as it is shrunk, too.
fn carried(validation: &Validation) -> (Trace, Trace) {
    let Some(Carried { property, outcome }) = &validation.carried else {
        panic!("nothing is violated")
    };
    let trace = match outcome {
        Ok(run) => &run.trace,
        Err(why) => panic!("{}: {why}", property.name),
    };
    let (known, property) = built_in().of(trace).expect("a trace of a known protocol");
    let harness = known.harness(&trace.environment);
    let outcome = harness.replay(trace, property, Mode::Exact, None).outcome;
    assert!(matches!(outcome, Outcome::Violated { .. }), "{outcome:?}");
    let shrunk = harness.shrink(trace, property);
    (trace.clone(), shrunk.expect("a violation"))
}

fn actions(trace: &Trace) -> String {
    let action = |step: &interrex_models::evidence::trace::TraceStep| {
        step.action::<serde_json::Value>().expect("an action").to_string()
    };
    trace.steps.iter().map(action).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_quiet_group_holds_everything() {
    let mut nodes = gms3_nodes(3);
    for round in 0..3 {
        for node in [N0, N1, N2] {
            nodes.mcast(node, round);
        }
        nodes.deliver_all();
    }
    let validation = nodes.validated();
    assert_holds(&validation);
    assert!(validation.carried.is_none());
    let logs: Vec<_> = validation.logs.iter().map(|log| (log.node, log.lives, log.ends)).collect();
    assert_eq!(logs, [(Some(N0), 1, 0), (Some(N1), 1, 0), (Some(N2), 1, 0)]);
}

#[test]
fn an_altered_effect_is_found_at_its_line() {
    let mut nodes = gms3_nodes(2);
    nodes.mcast(N0, 0);
    nodes.deliver_all();
    let paths = nodes.save();
    let text = fs::read_to_string(&paths[0]).expect("a log");
    let altered =
        |line: &str| line.replacen(r#""delivered":{"number":2"#, r#""delivered":{"number":3"#, 1);
    let lines: Vec<_> = text.lines().map(altered).collect();
    let at = lines.iter().zip(text.lines()).position(|(new, old)| new != old).expect("altered");
    fs::write(&paths[0], lines.join("\n")).expect("written");
    let validation = validate(built_in(), &paths, Carry::Nothing).expect("logs");
    let [difference] = &validation.differences[..] else { panic!("{:?}", validation.differences) };
    assert_eq!((&difference.place.path, difference.place.line), (&paths[0], at + 1));
    assert_eq!(difference.effect, Some(1), "{difference}");
    let said = difference.to_string();
    assert!(said.contains("number: 3") && said.contains("number: 2"), "{said}");
    assert!(matches!(verdict(&validation, "single-leader"), Verdict::NotJudged(_)));
}

#[test]
fn a_last_line_that_is_cut_short_is_that_of_a_killed_node() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N2, 0);
    nodes.deliver_all();
    nodes.kill(N2);
    let log = nodes.logs.get_mut(&N2).expect("a log");
    log.push_str(r#"{"step":{"at":17,"event":{"comm"#);
    nodes.mcast(N0, 0);
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_holds(&validation);

    // The next life begins a new line.
    nodes.start(N2, Some(N0));
    nodes.deliver_all();
    nodes.mcast(N2, 0);
    nodes.deliver_all();
    assert_holds(&nodes.validated());
}

#[test]
fn a_corrupt_line_is_refused_with_its_place() {
    let nodes = gms3_nodes(2);
    let refused = |alter: &dyn Fn(&mut Vec<String>)| {
        let paths = nodes.save();
        let text = fs::read_to_string(&paths[1]).expect("a log");
        let mut lines: Vec<_> = text.lines().map(String::from).collect();
        alter(&mut lines);
        fs::write(&paths[1], lines.join("\n") + "\n").expect("written");
        let error = validate(built_in(), &paths, Carry::Nothing).expect_err("refused").to_string();
        assert!(error.starts_with(&paths[1].display().to_string()), "{error}");
        error.rsplit("n1.log").next().expect("a place").to_string()
    };
    let error = refused(&|lines| lines[0].insert(1, '?'));
    assert!(error.starts_with(":1:2: not a line of a log"), "{error}");
    let error = refused(&|lines| {
        let line = lines[0].clone();
        lines[0].truncate(20);
        lines.push(line);
    });
    assert!(error.starts_with(":2:1: no life has begun"), "{error}");
    let error = refused(&|lines| {
        lines[1].truncate(20);
        lines.push(lines[1].clone());
    });
    assert!(error.starts_with(":2:1: the line is cut short"), "{error}");
    let error = refused(&|lines| lines.push(lines[0].clone()));
    assert!(error.contains(":3:1: life 185000000001 follows life 185000000001"), "{error}");
    let error = refused(&|lines| lines[0] = lines[0].replace(r#""format":3"#, r#""format":9"#));
    assert!(error.contains(":1:1: format 9: this version reads formats 2 to 3"), "{error}");
    let error = refused(&|lines| lines[0] = lines[0].replace("gms3", "gms4"));
    assert!(error.contains("protocol is gms4, and gms3 elsewhere"), "{error}");
    let error = refused(&|lines| {
        lines[1] = r#"{"step":{"at":1,"event":{"down":"m0"},"effects":[]}}"#.into();
    });
    assert!(error.starts_with(":2:") && error.contains("`m0` is not a node"), "{error}");
}

#[test]
fn logs_that_are_not_those_of_one_cluster_are_refused() {
    let refused = |paths: &[PathBuf]| {
        validate(built_in(), paths, Carry::Nothing).expect_err("logs of two clusters").to_string()
    };
    let nodes = gms3_nodes(2);
    let group = nodes.save();
    let twice = [group[0].clone(), group[0].clone()];
    assert!(refused(&twice).contains(": name each log once"), "{}", refused(&twice));

    let [two, three] = [2, 3].map(|size| {
        let mut nodes = gen_leader_nodes(size);
        nodes.start(N0, None);
        nodes
    });
    for other in [&group, &two.save()] {
        let paths = [three.save(), other.clone()].concat();
        assert!(
            refused(&paths).ends_with("expected the logs of one cluster"),
            "{}",
            refused(&paths)
        );
    }
    assert!(refused(&[]).contains("nothing to validate"), "{}", refused(&[]));
}

#[test]
fn lives_with_large_numbers_are_told_apart() {
    let mut nodes = gms3_nodes(3);
    for round in 0..3 {
        nodes.mcast(N2, 0);
        nodes.mcast(N2, 1);
        nodes.deliver_all();
        if round == 1 {
            nodes.shut_down(N2);
        } else {
            nodes.kill(N2);
        }
        nodes.start(N2, Some(N1));
        nodes.deliver_all();
    }
    nodes.mcast(N2, 0);
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_holds(&validation);
    let log = &validation.logs[2];
    assert_eq!((log.lives, log.ends, log.crashes), (4, 1, 2));
    let (_, out) = said(&nodes.save(), &[]);
    let row = out.lines().find(|line| line.contains("n2.log")).expect("a row");
    let counts: Vec<_> = row.split_whitespace().rev().take(4).collect();
    assert_eq!([counts[0], counts[1], counts[3]], ["2", "1", "4"], "{out}");
}

/// A node that ends is down to the others up to `CLOSE_TIMEOUT` before its log has the end; later than that, it was
/// suspected while it was up.
#[test]
fn the_end_of_a_log_may_be_as_late_as_a_node_may_take_to_close() {
    let is_suspicion = |micros_after_down: u64| {
        let mut nodes = gms3_nodes(3);
        let leader = nodes.up[&N0].me;
        nodes.suspect(N1, leader.into());
        nodes.now += micros_after_down - nodes.clocks.0;
        nodes.shut_down(N0);
        violated(&nodes.validated()).contains(&"single-leader")
    };
    let close = u64::try_from(CLOSE_TIMEOUT.as_micros()).expect("short");
    assert!(!is_suspicion(close));
    assert!(is_suspicion(close + 100_000));
}

#[test]
fn a_leader_that_is_suspected_and_goes_on_is_one_of_two() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    nodes.deliver_all();
    let leader = nodes.up[&N0].me;
    nodes.suspect(N1, leader.into());
    nodes.mcast(N0, 0);
    let validation = nodes.validated();
    assert_agrees(&validation);
    assert_eq!(violated(&validation)[0], "single-leader");
    let Verdict::Violated { complaints, place, .. } = verdict(&validation, "single-leader") else {
        panic!("violated")
    };
    assert_eq!(complaints, &["n0 and n1 both act as leader"]);
    let lines = nodes.logs[&N1].lines().count();
    assert_eq!(place.as_ref().expect("a place").line, lines);
    let (_, shrunk) = carried(&validation);
    let known =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/gms3/single-leader.suspicious.json");
    let known = Trace::read(&known).expect("a trace");
    assert_eq!(shrunk.steps.len(), 4);
    assert_eq!(actions(&shrunk), actions(&known));
}

#[test]
fn a_leader_that_is_killed_is_followed_by_the_next() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    nodes.deliver_all();
    nodes.kill(N0);
    nodes.deliver_all();
    nodes.mcast(N2, 0);
    nodes.deliver_all();
    assert_holds(&nodes.validated());
}

/// By its clock, the dead leader does more after its death: messages show that the clock is ahead.
#[test]
fn a_clock_that_is_ahead_makes_no_second_leader() {
    let mut nodes = gms3_under(3, 100, &[(N0, 8_000)]);
    for round in 0..3 {
        nodes.mcast(N1, round);
        nodes.deliver_all();
    }
    nodes.mcast(N0, 0);
    nodes.kill(N0);
    nodes.deliver_all();
    nodes.mcast(N2, 0);
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_agrees(&validation);
    assert_eq!(*verdict(&validation, "single-leader"), Verdict::Holds);
    let behind = -validation.clocks.ahead[&N1];
    assert!((7_500..8_500).contains(&behind), "{:?}", validation.clocks);
}

/// By its clock, the leader that was suspected did nothing after that.
#[test]
fn a_clock_that_is_behind_hides_no_second_leader() {
    let mut nodes = gms3_under(3, 1_000, &[(N1, 2_500_000), (N2, 2_500_000)]);
    for round in 0..3 {
        nodes.mcast(N1, round);
        nodes.deliver_all();
    }
    let leader = nodes.up[&N0].me;
    nodes.suspect(N1, leader.into());
    for round in 0..20 {
        nodes.mcast(N0, round);
    }
    let validation = nodes.validated();
    assert_eq!(violated(&validation)[0], "single-leader");
    let (code, out) = said(&nodes.save(), &[]);
    assert_eq!(code, 1);
    assert!(out.contains("clocks differ: that of n1 is 2"), "{out}");
}

#[test]
fn a_clock_that_is_set_while_the_nodes_run_decides_nothing() {
    let mut nodes = gms3_nodes(2);
    nodes.mcast(N1, 0);
    nodes.deliver_all();
    nodes.ahead.insert(N1, 3_000_000);
    nodes.mcast(N1, 1);
    nodes.deliver_all();
    let Verdict::NotJudged(why) = verdict(&nodes.validated(), "single-leader").clone() else {
        panic!("judged");
    };
    assert!(why.starts_with("a clock was set while the nodes ran, by 29"), "{why}");
}

/// Two groups, one after the other, or at the same time for a moment: nothing but the clocks tells.
#[test]
fn what_only_clocks_tell_is_not_judged_if_they_may_differ_by_more() {
    let mut nodes = Nodes::new(group::real::machine(&Roster::default()), "gms3", String::new());
    nodes.clocks = (1_000, 0);
    nodes.start(N0, None);
    nodes.shut_down(N0);
    nodes.start(N1, None);
    let Verdict::NotJudged(why) = verdict(&nodes.validated(), "single-leader").clone() else {
        panic!("judged");
    };
    assert!(why.starts_with("it rests on clocks that may differ by 5 ms: n0 leads from"), "{why}");
    let (_, out) = said(&nodes.save(), &["--skew", "0"]);
    assert!(
        out.lines().any(|line| line.contains("single-leader") && line.contains("unwitnessed")),
        "{out}"
    );
}

/// One after the other, as an operator does it: the others elect once more before their turn comes.
#[test]
fn a_clean_shutdown_is_judged_like_a_run_that_goes_on() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    nodes.deliver_all();
    let judged = |validation: &Validation| {
        let verdicts = validation.verdicts.iter();
        verdicts.filter(|(_, verdict)| !matches!(verdict, Verdict::NotJudged(_))).count()
    };
    let running = nodes.validated();
    assert_holds(&running);
    for node in [N0, N1, N2] {
        nodes.shut_down(node);
        nodes.deliver_all();
    }
    let ended = nodes.validated();
    assert_agrees(&ended);
    assert_eq!(judged(&ended), judged(&running), "{:?}", ended.verdicts);
}

/// A connection loses the last messages when it ends, and none otherwise.
#[test]
fn a_message_that_is_missing_without_a_reason_is_found() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    nodes.lose(N1, N0);
    nodes.mcast(N1, 1);
    nodes.deliver_all();
    let explained = nodes.validated();
    assert!(explained.contradictions.is_empty(), "{:?}", explained.contradictions);
    let log = nodes.logs.get_mut(&N1).expect("a log");
    let kept = log.lines().filter(|line| !line.contains("break"));
    *log = kept.fold(String::new(), |log, line| log + line + "\n");
    let [found] = &nodes.validated().contradictions[..] else { panic!("one contradiction") };
    let sends = |line: &str| line.contains("\"command\"");
    let sent = nodes.logs[&N1].lines().position(sends).expect("a multicast");
    assert_eq!(found.place.line, sent + 1);
    assert!(found.message.ends_with("later ones did, and no connection had ended"), "{found}");
}

/// The exit code of `interrex validate` on logs, and what it prints.
fn said(logs: &[PathBuf], more: &[&str]) -> (i32, String) {
    let output = interrex().args(logs).args(more).output().expect("it runs");
    let out = String::from_utf8(output.stdout).expect("text");
    (output.status.code().expect("it ends"), out)
}

/// What a node has sent whose log is missing looks like something that nobody sent.
#[test]
fn without_the_log_of_a_sender_nothing_is_judged() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    nodes.deliver_all();
    let mut logs = nodes.save();
    assert!(violated(&validate(built_in(), &logs, Carry::FirstBut(&[])).expect("logs")).is_empty());
    // That of the leader, who has sent everything on.
    logs.remove(0);
    let validation = validate(built_in(), &logs, Carry::FirstBut(&[])).expect("logs");
    assert!(validation.contradictions.is_empty(), "{:?}", validation.contradictions);
    let [gap] = &validation.gaps[..] else { panic!("{:?}", validation.gaps) };
    assert_eq!((&gap.place.path, gap.place.line), (&logs[0], 2), "{gap}");
    assert!(gap.message.contains("no log tells of n0#185000000000"), "{gap}");
    assert_not_judged(&validation);
    let (code, out) = said(&logs, &[]);
    assert_eq!(code, 3, "{out}");
    // Once, and not for each property.
    assert_eq!(out.matches("no log tells of n0").count(), 1, "{out}");
    assert_eq!(out.matches("not judged").count(), 1, "{out}");
}

/// No property was judged, because of a gap.
fn assert_not_judged(validation: &Validation) {
    let [gap, ..] = &validation.gaps[..] else { panic!("no gap") };
    for (property, verdict) in &validation.verdicts {
        assert_eq!(*verdict, Verdict::NotJudged(gap.to_string()), "{}", property.name);
    }
}

#[test]
fn a_lost_message_is_a_drop() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    nodes.lose(N1, N0);
    nodes.mcast(N1, 1);
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_agrees(&validation);
    assert_eq!(violated(&validation), ["no-lost-message-validity"]);
    let (trace, _) = carried(&validation);
    assert!(actions(&trace).contains("drop n1 → n0"), "{}", actions(&trace));
}

#[test]
fn a_run_with_hundreds_of_commands_becomes_a_trace() {
    let mut nodes = gms3_nodes(3);
    for index in 0..300 {
        nodes.mcast(N1, index);
        nodes.deliver_all();
    }
    nodes.mcast(N1, 300);
    nodes.lose(N1, N0);
    nodes.mcast(N1, 301);
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_eq!(violated(&validation), ["no-lost-message-validity"]);
    let (trace, shrunk) = carried(&validation);
    assert_eq!(trace.environment.budgets[Budget::Commands], 302);
    assert_eq!(actions(&shrunk), "start n1, through n0; command at n1; drop n1 → n0");
}

#[test]
fn who_is_killed_within_a_broadcast_has_done_the_first_part_of_it() {
    let mut nodes = gms3_nodes(3);
    let leader = nodes.up[&N0].me;
    // n1 gets it, n2 does not, and the leader has not delivered it.
    nodes.meet(N0, Event::Command(mcast(leader, 0)), None, Some(1));
    nodes.deliver(N0, N1);
    nodes.deliver_all();
    assert_holds(&nodes.validated());

    // n1 has it, and n0 too, as it seems; n1 is killed before it tells anybody.
    let mut nodes = gms3_nodes(4);
    let leader = nodes.up[&N0].me;
    nodes.meet(N0, Event::Command(mcast(leader, 0)), None, Some(1));
    nodes.deliver(N0, N1);
    nodes.kill(N1);
    nodes.deliver_all();
    nodes.mcast(N2, 0);
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_agrees(&validation);
    assert_eq!(violated(&validation), ["total-order-uniform", "no-lost-message-uniform-agreement"]);
    let (trace, _) = carried(&validation);
    assert!(actions(&trace).contains("command at n0, crash after 1 effect"), "{}", actions(&trace));
}

#[test]
fn what_is_under_way_is_not_judged() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    let validation = nodes.validated();
    assert_agrees(&validation);
    let Verdict::NotJudged(why) = verdict(&validation, "no-lost-message-validity") else {
        panic!("not judged")
    };
    let expected = format!("a message to n0#{FIRST_LIFE} (1st life) has not arrived: ");
    assert!(why.starts_with(&expected), "{why}");
    assert!(why.ends_with("n1.log:4"), "{why}");
    assert_eq!(*verdict(&validation, "single-leader"), Verdict::Unwitnessed);

    nodes.deliver_all();
    nodes.kill(N0);
    // Its log does not say so; but n2 is told.
    nodes.deliver(N0, N2);
    let validation = nodes.validated();
    let Verdict::NotJudged(why) = verdict(&validation, "agreement") else { panic!("not judged") };
    assert!(why.starts_with("n1 is still to be told that "), "{why}");
    // n1 is told, too, and tells n2 that it leads.
    nodes.deliver(N0, N1);
    let validation = nodes.validated();
    let Verdict::NotJudged(why) = verdict(&validation, "agreement") else { panic!("not judged") };
    assert!(why.starts_with("a message to n2"), "{why}");
}

#[test]
fn what_was_not_sent_cannot_arrive() {
    let mut nodes = gms3_nodes(2);
    nodes.mcast(N0, 0);
    nodes.deliver_all();
    let paths = nodes.save();
    let text = fs::read_to_string(&paths[1]).expect("a log");
    // The same message once more: the machine takes it for an old one, and does nothing.
    let last = text.lines().last().expect("a line").to_string();
    let again =
        last.split(r#""effects""#).next().expect("a beginning").to_string() + r#""effects":[]}}"#;
    fs::write(&paths[1], text.clone() + &again + "\n").expect("written");
    let validation = validate(built_in(), &paths, Carry::Nothing).expect("logs");
    assert!(validation.differences.is_empty());
    let [contradiction] = &validation.contradictions[..] else {
        panic!("{:?}", validation.contradictions)
    };
    assert_eq!(contradiction.place.line, text.lines().count() + 1);
    assert!(contradiction.message.contains("arrived twice"), "{contradiction}");
}

type Texts = gen_leader::GenLeader<gen_leader::Bully, dictionary::Texts>;

fn gen_leader_nodes(size: u16) -> Nodes<Texts> {
    let roster = Roster::new(size, 0);
    let configuration = application::configuration(Some(&roster));
    let machine = dictionary::real::repaired(&roster);
    Nodes::new(machine, "gen_leader", configuration)
}

fn store(tag: u64, value: &str) -> gen_leader::Command<Request<String, String>> {
    let request = Request::Store("key".into(), value.into());
    gen_leader::Command::LeaderCall { tag, request, timeout: None }
}

fn look_up(tag: u64) -> gen_leader::Command<Request<String, String>> {
    gen_leader::Command::Call { tag, request: Request::Lookup("key".into()), timeout: None }
}

#[test]
fn an_elected_dictionary_survives_a_kill_and_a_restart() {
    let mut nodes = gen_leader_nodes(3);
    for node in [N0, N1, N2] {
        nodes.start(node, None);
        nodes.deliver_all();
    }
    nodes.command(N1, store(1, "one"));
    nodes.command(N2, look_up(2));
    nodes.deliver_all();
    nodes.kill(N0);
    nodes.deliver_all();
    nodes.command(N2, store(3, "two"));
    nodes.deliver_all();
    nodes.start(N0, None);
    nodes.deliver_all();
    nodes.command(N0, store(1, "three"));
    nodes.command(N0, look_up(2));
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_holds(&validation);
    assert_eq!(validation.logs[0].lives, 2);
}

/// Each is possible only if the adapter breaks a promise: the machine does what it must, and the line is named.
#[test]
fn what_the_adapter_must_not_do_is_found_at_its_line() {
    type Harm = fn(&mut Nodes<Texts>);
    let harms: [(Harm, &str); 4] = [
        (
            |nodes| nodes.meet(N1, Event::Timeout(gen_leader::Timer::Call(9)), None, None),
            "the timer Call(9) fires, and is not armed",
        ),
        (
            |nodes| nodes.meet(N1, Event::Down(Peer::Name(NodeId(7))), None, None),
            "a Down of @n7, which is not monitored",
        ),
        (
            |nodes| {
                nodes.now -= 1_000_000;
                nodes.command(N1, look_up(9));
            },
            "the clock of its host has run backwards, by 990 ms",
        ),
        (
            |nodes| {
                nodes.kill(N1);
                nodes.stable.insert(N1, 77);
                nodes.start(N1, None);
            },
            "it begins with a stored value that is not the one persisted last",
        ),
    ];
    for (harm, message) in harms {
        let mut nodes = gen_leader_nodes(2);
        for node in [N0, N1] {
            nodes.start(node, None);
            nodes.deliver_all();
        }
        nodes.command(N1, look_up(1));
        let before = nodes.logs[&N1].lines().count();
        harm(&mut nodes);
        let validation = nodes.validated();
        assert!(validation.differences.is_empty(), "{:?}", validation.differences);
        let found = &validation.contradictions[0];
        assert_eq!((found.place.line, found.message.as_str()), (before + 1, message));
    }
}

/// A storage that is gone is no fault of the adapter: the node starts as one that has lost it.
#[test]
fn a_lost_storage_is_no_contradiction() {
    let mut nodes = gen_leader_nodes(2);
    for node in [N0, N1] {
        nodes.start(node, None);
        nodes.deliver_all();
    }
    nodes.kill(N1);
    nodes.stable.remove(&N1);
    nodes.deliver_all();
    nodes.start(N1, None);
    nodes.deliver_all();
    assert_agrees(&nodes.validated());
}

#[test]
fn a_suspected_leader_of_a_dictionary_is_carried_over_without_the_local_calls() {
    let mut nodes = gen_leader_nodes(3);
    for node in [N0, N1, N2] {
        nodes.start(node, None);
        nodes.deliver_all();
    }
    nodes.command(N1, store(1, "one"));
    nodes.command(N1, look_up(2));
    nodes.deliver_all();
    let target = *nodes.up[&N1].monitors.iter().find(|peer| peer.node() == N0).expect("watched");
    nodes.suspect(N1, target);
    nodes.deliver_all();
    nodes.command(N0, look_up(7));
    let validation = nodes.validated();
    assert_agrees(&validation);
    assert_eq!(violated(&validation)[0], "single-leader");
    let (trace, _) = carried(&validation);
    assert!(actions(&trace).contains("n1 suspects"), "{}", actions(&trace));
    let Some(Carried { outcome: Ok(Run { left_out, .. }), .. }) = &validation.carried else {
        panic!("carried over")
    };
    assert_eq!(left_out, &["calls that an application makes to its own process only (1)"]);
}

/// Whatever happens to the nodes of the test happens in the harness, too: no log of them contradicts another, and what
/// violates a property there does so in the harness.
#[test]
fn what_happens_at_random_in_gms3_is_carried_over() {
    let mut violations = 0;
    for seed in 0..RUNS {
        let mut random = Random(seed);
        let mut nodes = gms3_nodes(3);
        let mut indices = BTreeMap::<Address, u64>::new();
        let command = |_: &mut Random, nodes: &Gms3Nodes, node: NodeId| {
            let me = nodes.up[&node].me;
            let index = indices.entry(me).or_default();
            *index += 1;
            mcast(me, *index - 1)
        };
        random.happen(&mut nodes, true, command);
        violations += u64::from(is_carried_over(&nodes, seed));
    }
    assert!(violations > RUNS / 8, "{violations}");
}

#[test]
fn what_happens_at_random_in_gen_leader_is_carried_over() {
    let mut violations = 0;
    for seed in 0..RUNS {
        violations += u64::from(is_carried_over(&at_random(gen_leader_nodes(3), seed), seed));
    }
    assert!(violations > RUNS / 50, "{violations}");
}

/// Clocks that differ a little make a run another one, but not one that cannot be.
#[test]
fn what_happens_under_clocks_that_differ_is_carried_over() {
    for seed in 0..RUNS {
        let mut nodes = gen_leader_nodes(3);
        nodes.clocks = (1_000, 2_000);
        is_carried_over(&at_random(nodes, seed), seed);
    }
}

/// In the harness nobody waits for a node that is not up: there it came up earlier. Two that waited for each other cannot
/// both have done so.
#[test]
fn who_was_waited_for_came_up_earlier_in_the_harness() {
    let mut earlier = 0;
    for seed in 0..RUNS {
        let mut nodes = gen_leader_nodes(3);
        nodes.start(N0, None);
        nodes.waits = true;
        nodes.deliver_all();
        assert_eq!(nodes.waiting.len(), 2, "n0 watches n2 and has sent it something");
        let validation = at_random(nodes, seed).validated();
        assert_agrees(&validation);
        match &validation.carried {
            None => {}
            Some(Carried { outcome: Ok(Run { trace, .. }), .. }) => {
                let actions = actions(trace);
                earlier += usize::from(actions.starts_with("start n0; start n2; deliver n1 → n0;"));
            }
            Some(Carried { outcome: Err(why), .. }) => {
                assert!(why.reason.ends_with("two waited for each other"), "seed {seed}: {why}");
            }
        }
    }
    assert!(earlier > 0);
}

fn at_random(mut nodes: Nodes<Texts>, seed: u64) -> Nodes<Texts> {
    if nodes.up.is_empty() {
        nodes.start(N0, None);
    }
    let mut tag = 0;
    let command = |random: &mut Random, _: &Nodes<Texts>, _: NodeId| {
        tag += 1;
        if random.below(4) == 0 { look_up(tag) } else { store(tag, "text") }
    };
    Random(seed).happen(&mut nodes, false, command);
    nodes
}

const RUNS: u64 = 1000;

/// True if there is a violation. It is then carried over.
fn is_carried_over<M: Machine>(nodes: &Nodes<M>, seed: u64) -> bool {
    let validation = nodes.validated();
    assert_agrees(&validation);
    match &validation.carried {
        None => false,
        Some(Carried { outcome: Ok(_), .. }) => true,
        Some(Carried { property, outcome: Err(why) }) => {
            panic!("seed {seed}: {}: {why}", property.name)
        }
    }
}

/// Random numbers, the same ones for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("small") % most
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.below(of.len())].clone())
    }

    /// Many things happen.
    fn happen<M: Machine>(
        &mut self,
        nodes: &mut Nodes<M>,
        joins: bool,
        mut command: impl FnMut(&mut Self, &Nodes<M>, NodeId) -> M::Command,
    ) {
        for _ in 0..self.below(40) {
            let up: Vec<_> = nodes.up.keys().copied().collect();
            let Some(node) = self.one(&up) else { break };
            match self.below(24) {
                0..5 => {
                    let event = Event::Command(command(self, nodes, node));
                    let killed = (self.below(5) == 0).then(|| self.below(3));
                    nodes.meet(node, event, None, killed);
                }
                5 => {
                    let armed: Vec<_> = nodes.up[&node].timers.iter().cloned().collect();
                    if let Some(timer) = self.one(&armed) {
                        nodes.up.get_mut(&node).expect("up").timers.remove(&timer);
                        nodes.meet(node, Event::Timeout(timer), None, None);
                    }
                }
                6 if up.len() > 1 => nodes.kill(node),
                7 if up.len() > 1 => nodes.shut_down(node),
                8..10 => {
                    if let Some(down) = self.one(&nodes.can_start()) {
                        nodes.start(down, joins.then_some(node));
                    }
                }
                10 => {
                    let watched: Vec<_> = nodes.up[&node].monitors.iter().copied().collect();
                    if let Some(target) = self.one(&watched) {
                        nodes.suspect(node, target);
                    }
                }
                11 => {
                    let message = |link: &VecDeque<Parcel<M>>| {
                        matches!(link.front(), Some(Parcel::Message { .. }))
                    };
                    if let Some((from, to)) = self.one(&nodes.links_with(message)) {
                        nodes.lose(from, to);
                    }
                }
                _ => {
                    if let Some((from, to)) = self.one(&nodes.links_with(|link| !link.is_empty())) {
                        nodes.deliver(from, to);
                    }
                }
            }
        }
        if self.below(2) == 0 {
            nodes.deliver_all();
        }
    }
}

fn interrex() -> Command {
    let mut command = Command::cargo_bin("interrex").expect("the command");
    command.arg("validate");
    command
}

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

/// Two processes that both take themselves for one node, on two hosts.
#[test]
fn two_lives_of_a_node_at_once_are_found() {
    let mut nodes = gms3_nodes(2);
    let first = nodes.logs[&N1].clone();
    nodes.kill(N1);
    nodes.deliver_all();
    nodes.start(N1, Some(N0));
    nodes.deliver_all();
    let mut logs = nodes.save();
    let second = nodes.logs[&N1].strip_prefix(&first).expect("the second life").to_owned();
    fs::write(&logs[1], &first).expect("written");
    logs.push(nodes.folder.path().join("n1.second.log"));
    fs::write(&logs[2], &second).expect("written");
    assert_holds(&validate(built_in(), &logs, Carry::Nothing).expect("logs"));

    let begins = second.split(r#""at":"#).nth(1).and_then(|rest| rest.split(',').next());
    let begins = begins.expect("a time");
    let earlier = nodes.now - 1_000_000;
    fs::write(&logs[2], second.replacen(begins, &earlier.to_string(), 1)).expect("written");
    let validation = validate(built_in(), &logs, Carry::Nothing).expect("logs");
    let found = validation.contradictions.iter().find(|it| it.place.path == logs[2]);
    let found = found.expect("a contradiction").to_string();
    assert!(found.contains("two processes were n1 at once"), "{found}");
}

/// It starts without a contact, and is not taken for one that founds another group.
#[test]
fn a_member_that_finds_its_group_in_its_storage_comes_back_in_the_harness_too() {
    let roster = Roster::new(2, 0);
    let mut nodes = Nodes::new(
        our_group::real::machine(&roster),
        "group",
        application::configuration(Some(&roster)),
    );
    nodes.start(N0, None);
    nodes.start(N1, Some(N0));
    nodes.deliver_all();
    nodes.kill(N1);
    nodes.deliver_all();
    nodes.start(N1, None);
    nodes.deliver_all();
    let validation = validate(built_in(), &nodes.save(), Carry::Any(&[])).expect("logs");
    assert_agrees(&validation);
    let carried = validation.carried.expect("a run");
    let run = carried.outcome.unwrap_or_else(|why| panic!("{why}"));
    assert!(actions(&run.trace).contains("restart n1"), "{}", actions(&run.trace));
    assert_eq!(run.times.len(), run.trace.steps.len());
}

type GroupNodes = Nodes<interrex::group::Group<dictionary::Texts>>;

/// A joined group of three with a few large values. Then n2 comes back with what it had stored, and again without.
fn group_with_large_values(old: &[NodeId]) -> GroupNodes {
    let roster = Roster::new(3, 0);
    let mut nodes = Nodes::new(
        our_group::real::machine(&roster),
        "group",
        application::configuration(Some(&roster)),
    );
    nodes.old = old.iter().copied().collect();
    nodes.start(N0, None);
    for node in [N1, N2] {
        nodes.start(node, Some(N0));
        nodes.deliver_all();
    }
    for (key, letter) in ["a", "b", "c"].into_iter().zip(["x", "y", "z"]) {
        let put = Request::Store(key.into(), letter.repeat(20_000));
        nodes.command(N1, interrex::group::Command::Mcast(put));
        nodes.deliver_all();
    }
    nodes.kill(N2);
    nodes.deliver_all();
    nodes.start(N2, None);
    nodes.deliver_all();
    nodes.kill(N2);
    nodes.deliver_all();
    nodes.stable.remove(&N2);
    nodes.start(N2, Some(N0));
    nodes.deliver_all();
    nodes
}

/// The commands are in the log of the node that got them, and nowhere else.
#[test]
fn large_values_are_digests_in_logs_and_all_is_judged() {
    let nodes = group_with_large_values(&[]);
    for (node, log) in &nodes.logs {
        assert!(log.contains(r#"{"digest":{"bytes":"#), "{node}");
        let whole = log.matches(&"x".repeat(20_000)).count();
        assert_eq!(whole, usize::from(*node == N1), "{node}");
    }
    let boots = nodes.logs[&N2].lines().filter(|line| line.starts_with(r#"{"start""#));
    let boots: Vec<_> = boots.map(|line| line.contains(r#""stable":{"digest":"#)).collect();
    assert_eq!(boots, [false, true, false]);
    assert_holds(&nodes.validated());
}

/// The leader has forgotten the first entries. It gives a member that has lost its storage the state, piece by piece.
#[test]
fn a_state_that_is_given_in_pieces_is_judged_too() {
    let mut nodes = group_with_large_values(&[]);
    for number in 0..interrex::group::KEPT + 100 {
        // More than a piece.
        let value = if number < 60 { "v".repeat(20_000) } else { "v".into() };
        let put = Request::Store(format!("key-{number}"), value);
        nodes.command(N1, interrex::group::Command::Mcast(put));
        nodes.deliver_all();
    }
    nodes.kill(N2);
    nodes.deliver_all();
    nodes.stable.remove(&N2);
    let before = nodes.logs[&N2].len();
    nodes.start(N2, Some(N0));
    nodes.deliver_all();
    let life = &nodes.logs[&N2][before..];
    let pieces = life.lines().filter(|line| line.contains(r#""more":{"#)).count();
    assert!(pieces > 3, "{pieces} pieces were asked for");
    assert!(!life.contains(&"v".repeat(1_000)), "a value is whole");
    assert_holds(&nodes.validated());
}

/// Each of them is compared with what the machine does, or with what it is said to be.
#[test]
fn a_digest_that_is_another_one_is_a_fault_at_its_line() {
    const DIGEST: &str = r#""blake2b":""#;
    let nodes = group_with_large_values(&[]);
    let (mut differ, mut cannot_be) = (0, BTreeSet::new());
    for (node, log) in &nodes.logs {
        for (at, _) in log.match_indices(DIGEST) {
            let paths = nodes.save();
            let (before, after) = log.split_at(at + DIGEST.len());
            let other = if after.starts_with('0') { "1" } else { "0" };
            let path = nodes.folder.path().join(format!("{node}.log"));
            fs::write(&path, [before, other, &after[1..]].concat()).expect("written");
            let found = validate(built_in(), &paths, Carry::Nothing).expect("logs");
            let (place, said) = match (&found.differences[..], &found.contradictions[..]) {
                ([difference], []) => (&difference.place, difference.to_string()),
                ([], [contradiction]) => (&contradiction.place, contradiction.to_string()),
                other => panic!("{other:?}"),
            };
            let line = before.lines().count();
            assert_eq!((&place.path, place.line), (&path, line), "{said}");
            assert!(found.gaps.is_empty(), "{:?}", found.gaps);
            let judged = |(_, it): &&(_, Verdict)| !matches!(it, Verdict::NotJudged(_));
            assert_eq!(found.verdicts.iter().filter(judged).count(), 0);
            differ += found.differences.len();
            let messages = found.contradictions.into_iter().map(|it| it.message);
            cannot_be.extend(messages.map(|it| it.split(':').next().expect("a text").to_owned()));
        }
    }
    assert!(differ > 10, "{differ}");
    let expected = [
        "a message arrived that was not sent",
        "it begins with a stored value that is not the one persisted last",
    ];
    assert_eq!(cannot_be, expected.map(String::from).into());
}

#[test]
fn without_the_log_that_has_a_large_message_nothing_is_judged() {
    let nodes = group_with_large_values(&[]);
    let mut logs = nodes.save();
    // That of the leader.
    logs.remove(0);
    let validation = validate(built_in(), &logs, Carry::Any(&[])).expect("logs");
    assert_agrees(&validation);
    let digest = |line: &str| line.contains(r#""from":"n0#185000000000","message":{"digest""#);
    let gaps = validation.gaps.iter().map(|gap| (gap.place.path.clone(), gap.place.line));
    let expected = [(N1, &logs[0]), (N2, &logs[1])].map(|(node, path)| {
        (path.clone(), nodes.logs[&node].lines().position(digest).expect("a digest") + 1)
    });
    assert_eq!(gaps.collect::<Vec<_>>(), expected);
    assert_not_judged(&validation);
    let (code, out) = said(&logs, &[]);
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("not judged: ") && out.contains("give the logs of all nodes"), "{out}");
}

/// A log may be continued in another file.
#[test]
fn a_life_that_begins_with_a_digest_needs_the_life_before() {
    let nodes = group_with_large_values(&[]);
    let mut logs = nodes.save();
    let log = &nodes.logs[&N2];
    let (at, _) = log.match_indices("{\"start\"").nth(1).expect("a second life");
    let (first, later) = log.split_at(at);
    fs::write(&logs[2], later).expect("written");
    let validation = validate(built_in(), &logs, Carry::Nothing).expect("logs");
    assert_agrees(&validation);
    let [gap] = &validation.gaps[..] else { panic!("{:?}", validation.gaps) };
    assert_eq!((&gap.place.path, gap.place.line), (&logs[2], 1));
    assert!(gap.message.ends_with("give all logs of n2"), "{gap}");
    assert_not_judged(&validation);

    logs.push(nodes.folder.path().join("n2.first.log"));
    fs::write(&logs[3], first).expect("written");
    assert_holds(&validate(built_in(), &logs, Carry::Nothing).expect("logs"));
}

/// While a cluster is brought to a new version, node by node, its logs are of both formats.
#[test]
fn logs_of_the_format_before_digests_are_read_too() {
    for old in [&[N0, N1, N2][..], &[N0], &[N1, N2]] {
        assert_holds(&group_with_large_values(old).validated());
    }
}

/// The message is said to come from a step that only came after its answer.
#[test]
fn logs_that_wait_for_each_other_are_a_fault() {
    let mut nodes = group_with_large_values(&[]);
    let from_n1 = r#""from":"n1#185000000001","message":{"digest""#;
    let log = nodes.logs.get_mut(&N0).expect("a log");
    let line = log.lines().find(|line| line.contains(from_n1)).expect("a large message").to_owned();
    let sent = line.split(r#""sent":"#).nth(1).and_then(|rest| rest.split(',').next());
    let sent: u64 = sent.and_then(|number| number.parse().ok()).expect("a number");
    let later = line.replace(&format!(r#""sent":{sent}"#), &format!(r#""sent":{}"#, sent + 4));
    *log = log.replace(&line, &later);
    let validation = nodes.validated();
    let [found] = &validation.contradictions[..] else { panic!("{:?}", validation.contradictions) };
    assert!(found.message.starts_with("the logs wait for each other"), "{found}");
    assert!(validation.gaps.is_empty(), "{:?}", validation.gaps);
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

/// Logs of real nodes are long. `cargo test --release -p interrex-models --test validate -- --ignored --nocapture`
#[test]
#[ignore = "takes long, and is about time"]
#[allow(clippy::print_stdout, reason = "how long it takes is for people to see")]
fn half_a_million_steps_are_validated_in_seconds() {
    let (mut nodes, mut since) = (gms3_nodes(3), 0);
    for index in 0..62_500 {
        nodes.mcast(N1, index);
        nodes.mcast(N2, index - since);
        nodes.deliver_all();
        if index % 10_000 == 0 {
            nodes.kill(N2);
            nodes.start(N2, Some(N0));
            nodes.deliver_all();
            since = index + 1;
        }
    }
    let paths = nodes.save();
    let bytes: usize = nodes.logs.values().map(String::len).sum();
    let begun = Instant::now();
    let validation = validate(built_in(), &paths, Carry::FirstBut(&[])).expect("logs");
    let steps: usize = validation.logs.iter().map(|log| log.steps).sum();
    println!("{steps} steps, {bytes} bytes: {:?}", begun.elapsed());
    assert_holds(&validation);
    assert!(steps > 500_000);
    assert!(begun.elapsed() < Duration::from_mins(2));
}
