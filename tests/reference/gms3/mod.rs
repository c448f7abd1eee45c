//! A plain explicit-state model of gms3, written from SEMANTICS.md and PROTOCOLS.md section 1 by
//! somebody who had not seen the one in `src/` and `models/`, and kept apart from it on purpose: its
//! counts check ours, and its speed is what hash-consing is measured against.
//!
//! The world is one ordinary struct. It is cloned whole for each transition.
//! Nothing restarts here, so an address is just a node, and there is no stable storage.

pub mod machine;
pub mod world;

use machine::{Follower, Message, Node, Observation, Process, View};
use stateright::{Checker, Model, Property};
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
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
    pub nodes: usize,
    pub start: Start,
    pub timers: Timers,
    pub starts: u8,
    pub commands: u8,
    pub timeouts: u8,
    pub crashes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Distinct worlds.
    pub states: usize,
    /// Pairs of a world and an action enabled in it.
    pub transitions: usize,
    /// Actions on the way to the farthest world.
    pub depth: usize,
    /// Worlds where no Start, Command, Deliver or Timeout is enabled.
    pub settled: usize,
}

impl Group {
    pub fn joined(nodes: usize, commands: u8, crashes: u8) -> Group {
        Group {
            nodes,
            start: Start::Joined,
            timers: Timers::Late,
            starts: 0,
            commands,
            timeouts: 0,
            crashes,
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

    /// Explores the whole reachable set, breadth first, in one thread.
    pub fn explore(self) -> Counts {
        let census = Census { group: self, settled: AtomicUsize::new(0) };
        let checker = census.checker().threads(1).spawn_bfs().join();
        // stateright counts the initial world as generated and as depth 1.
        Counts {
            states: checker.unique_state_count(),
            transitions: checker.state_count() - 1,
            depth: checker.max_depth() - 1,
            settled: checker.model().settled.load(Ordering::Relaxed),
        }
    }

    fn idle_world(&self) -> World {
        World {
            conditions: vec![Condition::Idle; self.nodes],
            histories: vec![Vec::new(); self.nodes],
            links: vec![VecDeque::new(); self.nodes * self.nodes],
            monitors: BTreeSet::new(),
            timers: BTreeSet::new(),
            issued: vec![0; self.nodes],
            budgets: Budgets {
                starts: self.starts,
                commands: self.commands,
                timeouts: self.timeouts,
                crashes: self.crashes,
            },
        }
    }

    /// Node 0 leads all the others, and everybody has seen that view.
    fn joined_world(&self) -> World {
        let others: Vec<Node> = (1..self.nodes as Node).collect();
        let view = View { number: 1, leader: 0, followers: others.clone() };
        let mut world = self.idle_world();
        world.conditions.fill(Condition::Up(Process::Follower(Follower {
            leader: 0,
            followers: others.clone(),
            next: 2,
            last: Message::View(view.clone()),
        })));
        world.conditions[0] = Condition::Up(Process::Leader { followers: others.clone(), next: 2 });
        world.histories.fill(vec![Observation::Installed(view)]);
        world.monitors = others.into_iter().map(|node| (node, 0)).collect();
        world
    }

    /// Node 0 is up as a founder, the others are idle.
    fn joining_world(&self) -> World {
        let mut world = self.idle_world();
        world.conditions[0] = Condition::Up(Process::Leader { followers: Vec::new(), next: 1 });
        world
    }

    /// May an armed timer fire?
    fn timeouts_enabled(&self, world: &World) -> bool {
        let held_back = self.timers == Timers::Late && world.some_deliverable();
        world.budgets.timeouts > 0 && !world.timers.is_empty() && !held_back
    }
}

impl Model for Group {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![match self.start {
            Start::Joined => self.joined_world(),
            Start::Joining => self.joining_world(),
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        let timeouts = self.timeouts_enabled(world);
        for node in world.nodes() {
            match &world.conditions[node as usize] {
                Condition::Idle => world.add_starts(node, actions),
                Condition::Up(_) => world.add_steps(node, timeouts, actions),
                Condition::Crashed | Condition::Stopped => {}
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        Some(world.after(action))
    }

    /// Without a property that stays open stateright would stop early.
    fn properties(&self) -> Vec<Property<Group>> {
        vec![Property::always("explored", |_, _| true)]
    }
}

/// The group, counting its settled worlds while it is explored.
struct Census {
    group: Group,
    settled: AtomicUsize,
}

impl Model for Census {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        self.group.init_states()
    }

    /// stateright asks for the actions of each distinct world exactly once.
    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.group.actions(world, actions);
        if actions.iter().all(|a| matches!(a, Action::Crash(_))) {
            self.settled.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        self.group.next_state(world, action)
    }

    fn properties(&self) -> Vec<Property<Census>> {
        vec![Property::always("explored", |_, _| true)]
    }
}
