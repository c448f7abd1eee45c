//! Breadth-first search: the nearest worlds first, and equally near ones in the order of [`Rules::enabled`].
//! So the first run to any goal is a shortest one. Of equally short runs the one with the fewest
//! [faults](crate::model::environment::Budget::FAULTS) is kept, and of those the first. So the result is
//! always the same.
//!
//! Full worlds are kept only at the frontier. For every other world, only a key is kept and the step that led
//! to it first.

use crate::{
    model::{
        action::ActionOf,
        memo::narrow,
        world::{EnabledOf, Rules, World},
    },
    protocol::Protocol,
};
use foldhash::quality::FixedState;
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    hash::{BuildHasher, Hash},
};

/// A 64-bit fingerprint of a world, valid within one process. Among a million worlds, the probability of any
/// collision is 2⁻²⁵.
pub(crate) type Fingerprint = u64;

pub(crate) fn fingerprint(content: &impl Hash) -> Fingerprint {
    // 0 stands for none.
    FixedState::default().hash_one(content).max(1)
}

/// A breadth-first search in progress. A world's *place* is its number in the order of discovery, which is
/// also the order of expansion.
pub(crate) struct Breadth<'a, P: Protocol> {
    rules: &'a Rules<P>,
    /// The keys of discovered worlds.
    met: FxHashSet<u64>,
    /// The frontier: the worlds that are not expanded yet.
    front: VecDeque<World>,
    /// For each world but the first: the place of its predecessor, and the index of the action that led here
    /// among those enabled there.
    came_from: Vec<(u32, u32)>,
    /// The number of worlds that were expanded.
    expanded: usize,
    /// The distance of the world that was expanded last.
    depth: usize,
    /// The place of the first world that is farther away.
    next_layer: usize,
}

impl<'a, P: Protocol> Breadth<'a, P> {
    /// A search that has discovered nothing yet.
    pub(crate) fn new(rules: &'a Rules<P>) -> Self {
        Self {
            rules,
            met: FxHashSet::default(),
            front: VecDeque::new(),
            came_from: vec![],
            expanded: 0,
            depth: 0,
            next_layer: 1,
        }
    }

    /// Enters the world in which the search begins.
    pub(crate) fn start(&mut self, first: World, key: u64) {
        self.met.insert(key);
        self.front.push_back(first);
    }

    /// The number of discovered worlds.
    pub(crate) fn met(&self) -> usize {
        self.met.len()
    }

    /// True if every discovered world has been expanded.
    pub(crate) fn is_done(&self) -> bool {
        self.front.is_empty()
    }

    /// The number of worlds that were expanded.
    pub(crate) fn expanded(&self) -> usize {
        self.expanded
    }

    /// The place of the world that was expanded last.
    pub(crate) fn here(&self) -> usize {
        self.expanded - 1
    }

    /// The number of steps to the world that was expanded last.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// The number of steps to the world that is expanded next.
    pub(crate) fn next_depth(&self) -> usize {
        self.depth + usize::from(self.expanded == self.next_layer)
    }

    /// The next world, with the actions that are enabled in it. The caller [discovers](Self::discover) the
    /// worlds that follow, and [adds](Self::add) those that are new.
    pub(crate) fn next(&mut self, actions: &mut Vec<EnabledOf<P>>) -> Option<World> {
        let world = self.front.pop_front()?;
        self.depth = self.next_depth();
        if self.expanded == self.next_layer {
            self.next_layer = self.met();
        }
        self.expanded += 1;
        actions.clear();
        self.rules.enabled(&world, actions);
        Some(world)
    }

    /// Discovers a world. False if it was discovered before.
    pub(crate) fn discover(&mut self, key: u64) -> bool {
        self.met.insert(key)
    }

    /// Adds a discovered world, which follows the expanded one by its nth action, to the frontier.
    pub(crate) fn add(&mut self, nth: usize, world: World) {
        self.came_from.push((narrow(self.here()), narrow(nth)));
        self.front.push_back(world);
    }

    /// The path to the world at a place: the index of each action among those that are enabled.
    pub(crate) fn way_to(&self, mut place: usize) -> Vec<usize> {
        let mut way = vec![];
        while let Some((from, nth)) = place.checked_sub(1).map(|before| self.came_from[before]) {
            way.push(nth as usize);
            place = from as usize;
        }
        way.reverse();
        way
    }
}

/// The end of a shortest run. An equally near end with fewer faults replaces it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Goal<T> {
    /// The number of steps to it.
    pub(crate) depth: usize,
    faults: u32,
    /// The goal that is reached.
    pub(crate) end: T,
}

impl<T> Goal<T> {
    /// A goal in a world of the search, or in a world after one of its steps.
    pub(crate) fn new<P: Protocol>(rules: &Rules<P>, world: &World, depth: usize, end: T) -> Self {
        Self { depth, faults: rules.faults(world), end }
    }

    /// True if it replaces an earlier goal.
    pub(crate) fn replaces(&self, earlier: &Self) -> bool {
        (self.depth, self.faults) < (earlier.depth, earlier.faults)
    }
}

/// A step, and the world after it.
pub(crate) type Taken<P> = (ActionOf<P>, World);

/// The run of a path: in each world, it takes the enabled action with this index.
pub(crate) fn retrace<P: Protocol>(rules: &Rules<P>, from: &World, way: &[usize]) -> Vec<Taken<P>> {
    let (mut world, mut actions) = (from.clone(), vec![]);
    let step = |nth: &usize| {
        actions.clear();
        rules.enabled(&world, &mut actions);
        let enabled = actions.swap_remove(*nth);
        world = rules.follow(&world, &enabled);
        (enabled.action, world.clone())
    };
    way.iter().map(step).collect()
}

/// The part of a step in a run that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// The run ends with it.
    Goal,
    /// The run may go on from there.
    Way,
    /// No such run goes through it.
    DeadEnd,
}

/// True for a goal.
impl From<bool> for Reached {
    fn from(is_goal: bool) -> Self {
        if is_goal { Self::Goal } else { Self::Way }
    }
}

/// A shortest run from a world to a step that `is_goal`, through worlds that may be entered. Of equally short
/// runs, it has the fewest faults. None if there is no such step, or if `goes_on` ends the search before it
/// is found.
pub(crate) fn shortest<P: Protocol, R: Into<Reached>>(
    rules: &Rules<P>,
    from: &World,
    mut goes_on: impl FnMut(&Breadth<'_, P>) -> bool,
    may_enter: impl Fn(Fingerprint, &World) -> bool,
    is_goal: impl Fn(&EnabledOf<P>, &World) -> R,
) -> Option<Vec<Taken<P>>> {
    let mut breadth = Breadth::new(rules);
    breadth.start(from.clone(), fingerprint(from));
    let (mut goal, mut actions): (Option<Goal<_>>, _) = (None, vec![]);
    while !breadth.is_done() && goal.as_ref().is_none_or(|goal| goal.depth > breadth.next_depth()) {
        if !goes_on(&breadth) {
            break;
        }
        let world = breadth.next(&mut actions)?;
        let depth = breadth.depth() + 1;
        for (nth, enabled) in actions.iter().enumerate() {
            let next = rules.follow(&world, enabled);
            let print = fingerprint(&next);
            if !may_enter(print, &next) {
                continue;
            }
            match is_goal(enabled, &next).into() {
                Reached::Goal => {
                    let met = Goal::new(rules, &next, depth, (breadth.here(), nth));
                    if goal.as_ref().is_none_or(|earlier| met.replaces(earlier)) {
                        goal = Some(met);
                    }
                }
                Reached::Way if goal.is_none() && breadth.discover(print) => breadth.add(nth, next),
                Reached::Way | Reached::DeadEnd => {}
            }
        }
    }
    let (place, nth) = goal?.end;
    let mut way = breadth.way_to(place);
    way.push(nth);
    Some(retrace(rules, from, &way))
}
