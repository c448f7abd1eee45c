//! A plain explicit-state model of group, kept apart from the one in `src/` and `models/` on purpose: its counts check
//! ours.
//!
//! It was written by somebody who had not seen that code nor its tests, from the rendered documentation of the module
//! `interrex::group` and from SEMANTICS.md. Where the documentation left a choice, the choice was looked up in runs: in
//! the effects that ours had in a world, never in its code. So what is said in the documentation is checked by somebody
//! else's reading of it, what is said here below is not, and all of it must go together in every world that is counted.
//!
//! It covers what the scenarios of group do: calls without time-outs, among one group, in one batch. Nothing is
//! forgotten, so that there are no summaries on their way; nobody leaves or hands over; no group is founded anew.
//!
//! Its world is that of the reference of gms3, with storage and names.
//!
//! # Where the documentation leaves a choice
//!
//! Effects, of which a crash keeps the first:
//! * What is to be stored comes first, once; then the tick, if it was that; then the rest as it comes about; monitors
//!   that are given up; new ones. Of several nodes, the first comes first; of several members, the most senior.
//! * Everything is sent to whoever runs at a node. A leader and a process that was promised something are monitored as
//!   that process, all others by name.
//!
//! Candidates:
//! * A candidate sends all its Prepares before it counts, also if it needs nobody else. They go to suspected members,
//!   too. It sends them again to those that have not promised, when it has adopted a better log.
//! * It sends one to each node that says anything of an earlier term, or asks.
//! * Those whom it has asked wait for a leader when it gives up or leads, as those wait whom it has refused: but for
//!   members of its last committed view. They are told with Now then, and at each tick from then on.
//! * It may lead if it is in its newest view; being in the last committed one is not enough. At a tick it asks all nodes.
//! * Whoever has a leader and is a member gives no promise to a stranger. An outsider does, and so does a follower to its
//!   own leader.
//! * A refusal of a later term is believed by all but seekers and outsiders. If its owner is suspected, nobody is asked.
//!   One of the same term from whom it follows, waits for or has promised, ends that.
//! * A process that was promised something, or is followed, and asks something itself, ends that, too.
//! * A process that loses its leader asks the owner of its term, even if that is the one that is down.
//! * A candidate that gives up asks all nodes, in the same tick. A seeker does so that cannot win, but for those who have
//!   refused it.
//!
//! Leaders:
//! * Of members of its newest view a new leader takes for granted that they hold what is committed, and of others that
//!   were members once, nothing. It sends all of them entries from there, to suspected ones the end of its log.
//! * It commits what it can by itself, then appends its own multicasts, each with its messages.
//! * An entry is sent when it is appended, with those before it left out; what is committed, when it is, with the end of
//!   the log.
//! * An Ack that says nothing new is answered with an Append without entries, after that number. Whatever else is of an
//!   earlier term is answered with the end of the log.
//! * A node that asks under a later name is removed under the former one; a former name that asks is ignored.
//! * It removes the most senior member that is gone, and admits the newcomer of the first node that is ready.
//! * An admission is taken back if it is the newest view, and the one before is committed.
//! * A process that is no member is let go when it holds the newest view, and that is committed. Then it is not monitored.
//! * It leads no more when so many are gone that the rest is no majority of its newest view, also when it asks for
//!   nothing itself: others may have come to their nodes.
//!
//! Followers:
//! * A new leader is sent the pending multicasts first; then those who wait are told; then entries are taken.
//! * An Append with entries is acknowledged, one without is not. A process that finds itself removed asks at once, and at
//!   each tick until it is a member of its last committed view.

pub mod candidate;
pub mod leader;
pub mod part;
pub mod process;
pub mod world;

use part::*;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};
use world::{Action, Budgets, Condition, Place, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    Joined,
    Joining,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub nodes: u8,
    pub start: Start,
    /// Nothing survives a crash.
    pub lost: bool,
    pub budgets: Budgets,
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

impl Group {
    /// Explores the whole reachable set, level by level.
    pub fn explore(self) -> Counts {
        let mut counts = Counts { states: 1, transitions: 0, depth: 0, settled: 0 };
        let initial = self.initial();
        let mut met = HashSet::from([fingerprint(&initial)]);
        let mut level = vec![initial];
        while !level.is_empty() {
            let mut next_level = vec![];
            for world in level {
                let actions = world.actions();
                counts.transitions += actions.len();
                let is_left = actions.iter().any(Action::is_left_to_do);
                counts.settled += usize::from(!is_left && world.cut.is_none());
                for action in actions {
                    let next = world.after(action);
                    if met.insert(fingerprint(&next)) {
                        counts.states += 1;
                        next_level.push(next);
                    }
                }
            }
            level = next_level;
            counts.depth += usize::from(!level.is_empty());
        }
        counts
    }

    pub fn initial(self) -> World {
        let size = usize::from(self.nodes);
        let mut world = World {
            lost: self.lost,
            places: (0..size).map(|_| Rc::new(Place::idle())).collect(),
            links: vec![VecDeque::new(); size * size],
            cut: None,
            budgets: self.budgets,
        };
        match self.start {
            Start::Joining => {
                let me = Address { node: Node(0), life: 0 };
                let boot = process::Boot { me, stable: None, contact: None };
                Rc::make_mut(&mut world.places[0]).lives = 1;
                world.take(me.node, process::start(self.nodes, boot));
            }
            Start::Joined => {
                let nodes = (0..self.nodes).map(|node| Rc::new(joined(self.nodes, Node(node))));
                world.places = nodes.collect();
            }
        }
        world
    }
}

/// A node of a group whose first view names all, under the founder. All know that it is committed.
fn joined(nodes: u8, node: Node) -> Place {
    let process = |node| Address { node: Node(node), life: 0 };
    let (me, founder) = (Address { node, life: 0 }, process(0));
    let members: Vec<Address> = (0..nodes).map(process).collect();
    let term = Term { counter: 1, owner: founder };
    let view = View { number: 1, term, members: members.clone() };
    let log = vec![Entry { term, content: Content::View(members.clone()) }];
    let others = members.iter().filter(|member| **member != founder);
    let (role, watched): (_, BTreeSet<Peer>) = if me == founder {
        let other = |&member: &Address| (member.node, Other { member, held: 1, joins: None });
        let watched = others.clone().map(|other| Peer::Name(other.node)).collect();
        (Role::Leading { others: others.map(other).collect(), next: BTreeMap::new() }, watched)
    } else {
        (Role::Following { leader: founder, matched: 1 }, [Peer::Process(founder)].into())
    };
    let started = Observation::Started(me);
    let elected = (me == founder).then_some(Observation::Elected(term));
    let installed = Observation::Installed(view.clone());
    let known = members.iter().map(|member| (member.node, *member)).collect();
    let counted =
        Summary { number: 1, group: Some(founder), view: Some(view), known, ..Summary::default() };
    let state = State {
        me,
        member: me,
        term,
        log: log.clone(),
        contact: None,
        counted,
        role,
        suspected: BTreeSet::new(),
        watched: watched.clone(),
        issued: 0,
        pending: BTreeMap::new(),
        waiting: BTreeSet::new(),
    };
    Place {
        condition: Condition::Up(Box::new(state)),
        history: [Some(started), elected, Some(installed)].into_iter().flatten().collect(),
        lives: 1,
        stable: Some(Stable { member: me, term, log }),
        issued: 0,
        timer: true,
        monitors: watched,
    }
}

/// Worlds are told apart by 64 bits of hash, as stateright does.
fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}
