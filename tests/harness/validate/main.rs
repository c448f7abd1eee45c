//! Logs of real nodes: the machine is run over them, they are joined and judged, and what violates a property is
//! carried over into the harness.
//!
//! The logs are written by a small cluster inside the test: like a real one, but everything happens when it is told to.

mod carried;
mod command;
mod digests;
mod judged;

use assert_cmd::Command;
use interrex::{
    gen_leader::{self, Roster},
    gms3,
    machine::{Address, Boot, Effect, EffectOf, Event, EventOf, Machine, NodeId, Peer},
    runtime::{Break, End, Entry, FORMAT, Start, Step},
};
use interrex_models::{
    evidence::{
        replay::{Mode, Outcome},
        trace::Trace,
    },
    protocol::{gen_leader as dictionary, gms3 as group, multicast::Multicast, registry::built_in},
    real::{
        application,
        validate::{Carried, Carry, Validation, Verdict, validate},
    },
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::PathBuf,
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

fn interrex() -> Command {
    let mut command = Command::cargo_bin("interrex").expect("the command");
    command.arg("validate");
    command
}

/// The exit code of `interrex validate` on logs, and what it prints.
fn said(logs: &[PathBuf], more: &[&str]) -> (i32, String) {
    let output = interrex().args(logs).args(more).output().expect("it runs");
    let out = String::from_utf8(output.stdout).expect("text");
    (output.status.code().expect("it ends"), out)
}

type Texts = gen_leader::GenLeader<gen_leader::Bully, dictionary::Texts>;

fn gen_leader_nodes(size: u16) -> Nodes<Texts> {
    let roster = Roster::new(size, 0);
    let configuration = application::configuration(Some(&roster));
    let machine = dictionary::real::repaired(&roster);
    Nodes::new(machine, "gen_leader", configuration)
}

/// No property was judged, because of a gap.
fn assert_not_judged(validation: &Validation) {
    let [gap, ..] = &validation.gaps[..] else { panic!("no gap") };
    for (property, verdict) in &validation.verdicts {
        assert_eq!(*verdict, Verdict::NotJudged(gap.to_string()), "{}", property.name);
    }
}
