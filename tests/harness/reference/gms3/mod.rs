//! A plain explicit-state model of gms3, written from SEMANTICS.md and PROTOCOLS.md section 1 by
//! somebody who had not seen the one in `src/` and `models/`, and kept apart from it on purpose: its
//! counts check ours, and its speed is what hash-consing is measured against. gms2 is a variant of it.
//!
//! The world is one ordinary struct. It is cloned whole for each transition.
//!
//! # Where the documents leave a choice
//!
//! In brackets, the worlds of one environment with the choice that was made, and with the other one
//! (an environment's budgets are 1 unless said otherwise). Where nothing is said, none of those tried
//! differ.
//!
//! Lives:
//! * How many lives a node has begun is part of the world, also while it is not up.
//! * A message carries its sender's life, also where the receiver does not read it (3 joined, a command,
//!   a crash, a restart: 1126, and 1122).
//! * Views, `join` and Down name addresses, messages of the application name nodes: i goes on counting
//!   after a restart.
//! * A restart is a start: its step is never cut short, and it costs neither `starts` nor a crash. It is
//!   enabled for node 0 too, which joins then like everybody.
//!
//! Faults:
//! * A Down on a link is neither dropped nor copied nor overtaken, and keeps what is behind it from all
//!   three.
//! * A link from a node to itself has the same faults as others (2 joining, a command, all five faults:
//!   3776, and 3271).
//! * Two equal messages may change places, which costs an overtake (3 joined, a command, a copy, an
//!   overtake: 161, and 100).
//! * Suspect consumes the registration before the watcher takes its step, which may monitor again.
//!   That step is never cut short by a crash.
//! * A side may hold nodes that are not up, or all but node 0.
//! * A contact may be on the other side (2 joined, a command, a timeout, a crash, a restart, a cut: 643,
//!   and 613): the `join` vanishes.
//! * Heal gives nothing back: no registration, no Down.
//!
//! Judging:
//! * A world under an open cut is not counted as settled, also if its majority is judged.
//! * The majority is one of all nodes, also those that are not up. Only nodes of that side are looked at,
//!   as if there were no others: one that follows somebody beyond the cut is a violation.
//! * leader-exists: a leader can be had where a member is up on the side that is judged. Joining nodes
//!   are no members.

pub mod machine;
pub mod world;

pub use machine::Version;

use machine::{Address, Follower, Message, Node, Observation, Process, View};
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use world::{Action, Budgets, Condition, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Joined,
    Joining,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timers {
    Late,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub version: Version,
    pub nodes: usize,
    pub start: Start,
    pub timers: Timers,
    pub starts: u8,
    pub commands: u8,
    pub timeouts: u8,
    pub crashes: u8,
    pub restarts: u8,
    pub drops: u8,
    pub duplicates: u8,
    pub overtakes: u8,
    pub suspicions: u8,
    pub cuts: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Distinct worlds.
    pub states: usize,
    /// Pairs of a world and an action enabled in it.
    pub transitions: usize,
    /// Actions on the way to the farthest world.
    pub depth: usize,
    /// Worlds where no Deliver and no Timeout is enabled and no cut is open.
    pub settled: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Findings {
    pub counts: Counts,
    /// For each of the properties the actions on the shortest way to a violation.
    pub violations: [Option<usize>; 2],
}

pub const PROPERTIES: [&str; 2] = ["single-leader", "leader-exists"];

impl Group {
    pub fn joined(nodes: usize, commands: u8, crashes: u8) -> Group {
        Group {
            version: Version::Gms3,
            nodes,
            start: Start::Joined,
            timers: Timers::Late,
            starts: 0,
            commands,
            timeouts: 0,
            crashes,
            restarts: 0,
            drops: 0,
            duplicates: 0,
            overtakes: 0,
            suspicions: 0,
            cuts: 0,
        }
    }

    pub fn joining(nodes: usize, commands: u8, crashes: u8) -> Group {
        Group {
            start: Start::Joining,
            starts: nodes as u8 - 1,
            timeouts: nodes as u8,
            ..Group::joined(nodes, commands, crashes)
        }
    }

    /// Explores the whole reachable set.
    pub fn explore(self) -> Counts {
        self.find().counts
    }

    /// Explores the whole reachable set, level by level, and judges every world in it.
    pub fn find(self) -> Findings {
        let counts = Counts { states: 1, transitions: 0, depth: 0, settled: 0 };
        let mut findings = Findings { counts, violations: [None; 2] };
        let initial = self.initial_world();
        let mut met = HashSet::from([fingerprint(&initial)]);
        let mut level = vec![initial];
        while !level.is_empty() {
            let mut next_level = Vec::new();
            for world in level {
                let actions = self.actions(&world);
                findings.counts.transitions += actions.len();
                let at_rest = !actions.iter().any(Action::is_left_to_do);
                judge(&world, at_rest, &mut findings);
                for action in actions {
                    let next = world.after(action);
                    if met.insert(fingerprint(&next)) {
                        findings.counts.states += 1;
                        next_level.push(next);
                    }
                }
            }
            level = next_level;
            findings.counts.depth += usize::from(!level.is_empty());
        }
        findings
    }

    /// Every action that is enabled in this world.
    fn actions(&self, world: &World) -> Vec<Action> {
        let mut actions = Vec::new();
        let timeouts = self.timeouts_enabled(world);
        for node in world.nodes() {
            match &world.conditions[node as usize] {
                Condition::Idle => world.add_starts(node, &mut actions),
                Condition::Up(_) => world.add_steps(node, timeouts, &mut actions),
                Condition::Crashed => world.add_restarts(node, &mut actions),
                Condition::Stopped => {}
            }
        }
        world.add_faults(&mut actions);
        actions
    }

    fn initial_world(&self) -> World {
        match self.start {
            Start::Joined => self.joined_world(),
            Start::Joining => self.joining_world(),
        }
    }

    fn idle_world(&self) -> World {
        World {
            version: self.version,
            conditions: vec![Condition::Idle; self.nodes],
            histories: vec![Vec::new(); self.nodes],
            lives: vec![0; self.nodes],
            links: vec![VecDeque::new(); self.nodes * self.nodes],
            monitors: BTreeSet::new(),
            timers: BTreeSet::new(),
            cut: None,
            issued: vec![0; self.nodes],
            budgets: Budgets {
                starts: self.starts,
                commands: self.commands,
                timeouts: self.timeouts,
                crashes: self.crashes,
                restarts: self.restarts,
                drops: self.drops,
                duplicates: self.duplicates,
                overtakes: self.overtakes,
                suspicions: self.suspicions,
                cuts: self.cuts,
            },
        }
    }

    /// Node 0 leads all the others, and everybody has seen that view.
    fn joined_world(&self) -> World {
        let first_life = |node| Address { node, life: 0 };
        let leader = first_life(0);
        let others: Vec<Address> = (1..self.nodes as Node).map(first_life).collect();
        let number = self.version.first();
        let next = self.version.next(number);
        let view = View { number, leader, followers: others.clone() };
        let mut world = self.idle_world();
        world.lives.fill(1);
        world.conditions.fill(Condition::Up(Process::Follower(Follower {
            leader,
            followers: others.clone(),
            next,
            last: self.version.last(Message::View(view.clone())),
        })));
        world.conditions[0] = Condition::Up(Process::Leader { followers: others.clone(), next });
        world.histories.fill(vec![Observation::Installed(view)]);
        world.monitors = others.into_iter().map(|other| (other.node, leader)).collect();
        world
    }

    /// Node 0 is up as a founder, the others are idle.
    fn joining_world(&self) -> World {
        let mut world = self.idle_world();
        world.lives[0] = 1;
        let next = self.version.first();
        world.conditions[0] = Condition::Up(Process::Leader { followers: Vec::new(), next });
        world
    }

    /// May an armed timer fire?
    fn timeouts_enabled(&self, world: &World) -> bool {
        let held_back = self.timers == Timers::Late && world.some_deliverable();
        world.budgets.timeouts > 0 && !world.timers.is_empty() && !held_back
    }
}

/// `at_rest`: no Deliver and no Timeout is enabled.
fn judge(world: &World, at_rest: bool, findings: &mut Findings) {
    findings.counts.settled += usize::from(at_rest && world.cut.is_none());
    let all: Vec<Node> = world.nodes().collect();
    let holds = [
        leaders(world, &all).len() <= 1,
        !at_rest || majority(world).is_none_or(|side| leader_exists(world, &side)),
    ];
    for (found, holds) in findings.violations.iter_mut().zip(holds) {
        if !holds && found.is_none() {
            *found = Some(findings.counts.depth);
        }
    }
}

/// The side that holds more than half of the nodes, up or not. Without a cut that is all of them.
fn majority(world: &World) -> Option<Vec<Node>> {
    let (there, here): (Vec<_>, Vec<_>) = world.nodes().partition(|&node| world.separated(0, node));
    [here, there].into_iter().find(|side| 2 * side.len() > world.conditions.len())
}

/// Those of the nodes that are up and lead.
fn leaders(world: &World, nodes: &[Node]) -> Vec<Address> {
    let leads = |&node: &Node| matches!(world.process(node), Some(Process::Leader { .. }));
    nodes.iter().copied().filter(leads).map(|node| world.address(node)).collect()
}

/// If there is an Up member among these nodes, exactly one of them leads, and every member follows it.
fn leader_exists(world: &World, nodes: &[Node]) -> bool {
    let followers: Vec<_> =
        nodes.iter().filter_map(|&node| world.process(node)?.follows()).collect();
    match leaders(world, nodes)[..] {
        [] => followers.is_empty(),
        [leader] => followers.iter().all(|&followed| followed == leader),
        _ => false,
    }
}

/// Worlds are told apart by 64 bits of hash, as stateright does.
fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}
