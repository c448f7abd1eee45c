//! Breadth first: the nearest worlds first, and of equally near ones the first in the order of
//! [`Rules::enabled`]. So the first run to anything is a shortest one. Of equally short runs the one with the
//! fewest [faults](crate::model::environment::Budget::FAULTS) is kept, and of those the first: it is always
//! the same.
//!
//! Full worlds are kept only at the front. Of every other world a key is kept, and the step by which it was
//! met first.

use crate::{
    model::{
        action::ActionOf,
        memo::narrow,
        world::{EnabledOf, Rules, World},
    },
    protocol::Protocol,
};
use rustc_hash::FxHashSet;
use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
};

/// 64 bits that stand for a world within one process. Among a million worlds some two have the same with a
/// probability of 2⁻²⁵.
pub(crate) type Fingerprint = u64;

pub(crate) fn fingerprint(world: &World) -> Fingerprint {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// A breadth-first search on its way. A world's *place* is its number in the order in which worlds are met,
/// which is the order in which they are expanded.
pub(crate) struct Breadth<'a, P: Protocol> {
    rules: &'a Rules<P>,
    /// The keys of worlds that were met.
    met: FxHashSet<u64>,
    /// The worlds that are not expanded yet.
    front: VecDeque<World>,
    /// For each world but the first: the place of the one before it, and which of the actions enabled
    /// there led to it.
    came_from: Vec<(u32, u32)>,
    /// The number of worlds that were expanded.
    expanded: usize,
    /// The distance of the world that was expanded last.
    depth: usize,
    /// The place of the first world that is farther away.
    next_layer: usize,
}

impl<'a, P: Protocol> Breadth<'a, P> {
    /// A search that has met nothing yet.
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

    /// The number of worlds that were met.
    pub(crate) fn met(&self) -> usize {
        self.met.len()
    }

    /// Every world that was met has been expanded.
    pub(crate) fn is_done(&self) -> bool {
        self.front.is_empty()
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

    /// The number of steps to the farthest world that was met.
    pub(crate) fn farthest(&self) -> usize {
        self.depth + usize::from(self.met() > self.next_layer)
    }

    /// The next world, with the actions that are enabled in it. Whoever expands it [enters](Self::enter)
    /// the worlds that follow.
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

    /// Enters a world that follows the one that is being expanded by the nth of its actions. If it is new,
    /// the world comes back.
    pub(crate) fn enter(&mut self, nth: usize, world: World, key: u64) -> Option<&World> {
        if !self.met.insert(key) {
            return None;
        }
        self.came_from.push((narrow(self.here()), narrow(nth)));
        self.front.push_back(world);
        self.front.back()
    }

    /// The way to the world of a place: which of the enabled actions to take, one after the other.
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

/// The end of a shortest run. Another one replaces it if it is as near and comes with fewer faults.
pub(crate) struct Goal<T> {
    /// The number of steps to it.
    pub(crate) depth: usize,
    faults: u32,
    /// What is reached.
    pub(crate) end: T,
}

impl<T> Goal<T> {
    /// A world that is reached, in the search or by one of its steps.
    pub(crate) fn new<P: Protocol>(rules: &Rules<P>, world: &World, depth: usize, end: T) -> Self {
        Self { depth, faults: rules.faults(world), end }
    }

    /// Whether it replaces one that was met earlier.
    pub(crate) fn replaces(&self, earlier: &Self) -> bool {
        (self.depth, self.faults) < (earlier.depth, earlier.faults)
    }
}

/// A step, and the world after it.
pub(crate) type Taken<P> = (ActionOf<P>, World);

/// The run that takes, in each world, the action at this place among those that are enabled.
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

/// A shortest run from a world to a step that `is_goal`, through worlds that may be entered, and of these one
/// with the fewest faults. None if there is no such step, or if `goes_on` ends the search before it is found.
pub(crate) fn shortest<P: Protocol>(
    rules: &Rules<P>,
    from: &World,
    mut goes_on: impl FnMut(&Breadth<'_, P>) -> bool,
    may_enter: impl Fn(Fingerprint, &World) -> bool,
    is_goal: impl Fn(&ActionOf<P>, &World) -> bool,
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
            if is_goal(&enabled.action, &next) {
                let met = Goal::new(rules, &next, depth, (breadth.here(), nth));
                if goal.as_ref().is_none_or(|earlier| met.replaces(earlier)) {
                    goal = Some(met);
                }
            } else if goal.is_none() {
                breadth.enter(nth, next, print);
            }
        }
    }
    let (place, nth) = goal?.end;
    let mut way = breadth.way_to(place);
    way.push(nth);
    Some(retrace(rules, from, &way))
}
