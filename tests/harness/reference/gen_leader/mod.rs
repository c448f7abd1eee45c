//! A plain explicit-state model of the elections of gen_leader 1.0 and 2007, written from SEMANTICS.md
//! and PROTOCOLS.md (sections 2 and 3) by somebody who had not seen the one in `src/` and `models/`,
//! and kept apart from it on purpose: its counts and its shortest violations check ours.
//!
//! The world is one ordinary struct. It is cloned whole for each transition.
//!
//! # Where the documents leave a choice
//!
//! In brackets, worlds with the choice that was made, and with the other one: 2007, (candidates,
//! workers). Where nothing is said, none of those tried differ.
//!
//! The world:
//! * Monitors and Downs keep what they name as it was written, a name or a process: two worlds that
//!   differ only in that are two ((3,0), a crash, a timeout, bound 3: 9811, and 8634).
//! * A message carries its sender's life, even where the receiver does not read it ((3,0), 2 crashes,
//!   a restart, bound 2: 178354, and 178313).
//! * How many lives a node has begun is part of the world also while it is not up.
//! * Storage that is lost stays in the world: a restart is given nothing.
//! * A timeout that is not enabled, because it would change nothing, is not cut short either.
//! * The bound looks at nodes that are up: a step that goes beyond it and crashes stays within. The
//!   step into a world beyond it is not counted.
//! * A restart is a start: its step is never cut short, and it does not cost `starts`.
//! * Faults and cuts are read as in the reference of gms3: see there.
//! * Of two registrations of one watcher for one node, each is a target of Suspect. Where both fire, that
//!   by name comes first.
//! * A node that monitors itself may suspect itself.
//! * A timeout whose sends all vanish because of a cut changes nothing either.
//! * The majority under a cut is one of all candidates, also those that are not up. Workers do not count.
//!
//! 2007:
//! * `nextel` starts at 0 and is measured after stage 1 has raised it: bound 2 is two elections a life.
//! * `monitored` is a list, most recent first (as a set, (3,0), a crash, a timeout, bound 3: 9811, and
//!   9248).
//! * leadernode, pendack, acks, down, work_down and monitored name nodes, not lives: a Down of any life
//!   of x is one of x.
//! * "down += x" puts x in front even if it is there already ((3,0), 2 crashes, a restart, bound 2:
//!   178354, and 178348 if it is put there once).
//! * "work_down: x goes to the front, once" moves an x that is there already.
//! * hasLeader, safe: only what is sent on depends on elec2.
//! * What a row does not name stays: halting keeps acks; stage 1 keeps leader and leadernode.
//! * "Every node in down except the first candidate" excepts node 0, not the head of down.
//!
//! 1.0:
//! * Nothing keeps a node out of its own `captured` or `monitored`: an accept may come back to the one
//!   who sent it first.
//! * An accept carries its originator and all of its iteration.
//! * check elects if 2 × accepted > candidates. Being elected sets leader, but not leadernode.
//! * A worker that is told of a leader monitors it, and so dies with it. It gets no iteration.

pub mod v1_0;
pub mod v2007;
pub mod world;

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use world::{Budgets, Condition, Lists, Node, Protocol, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub lists: Lists,
    pub budgets: Budgets,
    /// Worlds where an Up node's counter exceeds this are neither counted nor expanded.
    pub bound: Option<u8>,
    /// A restart gets no stable storage.
    pub lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Findings {
    /// Distinct worlds.
    pub states: usize,
    /// Pairs of a world and an action enabled in it that leads to a counted world.
    pub transitions: usize,
    /// Worlds where no Deliver and no Timeout is enabled and no cut is open.
    pub settled: usize,
    /// Actions on the way to the farthest world.
    pub depth: usize,
    /// For each of the properties the actions on the shortest way to a violation.
    pub violations: [Option<usize>; 3],
}

pub const PROPERTIES: [&str; 3] = ["single-leader", "nobody-stopped", "leader-exists"];

impl Group {
    /// Explores the whole reachable set, level by level.
    pub fn explore<P: Protocol>(&self) -> Findings {
        let mut findings =
            Findings { states: 1, transitions: 0, settled: 0, depth: 0, violations: [None; 3] };
        let initial = World::<P>::idle(self.lists.len() as usize, self.budgets);
        let mut met = HashSet::from([fingerprint(&initial)]);
        let mut level = vec![initial];
        while !level.is_empty() {
            let mut next_level = Vec::new();
            for world in level {
                let actions = world.actions(self.lists);
                let at_rest = !actions.iter().any(|action| action.is_left_to_do());
                findings.settled += usize::from(at_rest && world.cut.is_none());
                self.judge(&world, at_rest, &mut findings);
                for action in actions {
                    let next = world.after(self.lists, action, self.lost);
                    if !self.within_bound(&next) {
                        continue;
                    }
                    findings.transitions += 1;
                    if met.insert(fingerprint(&next)) {
                        findings.states += 1;
                        next_level.push(next);
                    }
                }
            }
            level = next_level;
            findings.depth += !level.is_empty() as usize;
        }
        findings
    }

    fn within_bound<P: Protocol>(&self, world: &World<P>) -> bool {
        let within = |bound| world.processes().all(|(_, process)| P::counter(process) <= bound);
        self.bound.is_none_or(within)
    }

    /// `at_rest`: no Deliver and no Timeout is enabled.
    fn judge<P: Protocol>(&self, world: &World<P>, at_rest: bool, findings: &mut Findings) {
        let holds = [
            single_leader(world),
            nobody_stopped(world),
            !at_rest || self.majority(world).is_none_or(|side| self.leader_exists(world, &side)),
        ];
        for (found, holds) in findings.violations.iter_mut().zip(holds) {
            if !holds && found.is_none() {
                *found = Some(findings.depth);
            }
        }
    }

    /// The side that holds more than half of the candidates, up or not. Without a cut that is all nodes.
    fn majority<P: Protocol>(&self, world: &World<P>) -> Option<Vec<Node>> {
        let (there, here): (Vec<_>, Vec<_>) =
            world.nodes().partition(|&node| world.separated(0, node));
        let candidates =
            |side: &[Node]| side.iter().filter(|&&node| self.lists.is_candidate(node)).count();
        let majority = |side: &Vec<Node>| 2 * candidates(side) > self.lists.candidates as usize;
        [here, there].into_iter().find(majority)
    }

    /// If a candidate among these nodes is up, exactly one of them leads, and all others know it.
    fn leader_exists<P: Protocol>(&self, world: &World<P>, nodes: &[Node]) -> bool {
        let up = || world.processes().filter(|(me, _)| nodes.contains(&me.node));
        if !up().any(|(me, _)| self.lists.is_candidate(me.node)) {
            return true;
        }
        let leaders: Vec<_> = up().filter(|(_, process)| P::leads(process)).collect();
        let [(leader, _)] = leaders[..] else {
            return false;
        };
        up().all(|(me, process)| me == leader || P::follows(process) == Some(leader))
    }
}

/// Worlds are told apart by 64 bits of hash, as stateright does.
fn fingerprint(world: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// No two Up nodes act as leader.
fn single_leader<P: Protocol>(world: &World<P>) -> bool {
    world.processes().filter(|(_, process)| P::leads(process)).count() <= 1
}

fn nobody_stopped<P: Protocol>(world: &World<P>) -> bool {
    !world.conditions.iter().any(|condition| matches!(condition, Condition::Stopped))
}
