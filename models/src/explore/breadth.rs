//! Shortest runs, by a breadth-first walk of our own.
//!
//! stateright's search is exact and counts, but does not begin in the middle of a run and does not stop
//! at a step. Lassos and the shrinking of traces need both. It keeps a fingerprint of each world, and
//! full worlds only at its front.

use crate::{
    model::{
        action::ActionOf,
        world::{Rules, World},
    },
    protocol::Protocol,
};
use rustc_hash::FxHashMap;
use std::{
    collections::{VecDeque, hash_map::Entry},
    hash::{DefaultHasher, Hash, Hasher},
};

/// A world among millions. Two share one as seldom as in the exhaustive search, whose own are not to be
/// had.
pub(crate) type Fingerprint = u64;

pub(crate) fn fingerprint(world: &World) -> Fingerprint {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// A step, and where it leads.
pub(crate) type Taken<P> = (ActionOf<P>, World);

/// How far a walk has come, when it is to expand one more world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    /// How many worlds it has expanded.
    pub(crate) expanded: u64,
    /// How many worlds it has met, and holds or has held.
    pub(crate) met: usize,
    /// How many steps the next one is away.
    pub(crate) depth: usize,
}

/// A shortest run from a world to a step that `there` tells of, among worlds that may be entered.
/// None if there is no such step, or if the walk is not to go on.
pub(crate) fn shortest<P: Protocol>(
    rules: &Rules<P>,
    from: &World,
    goes_on: impl Fn(Reached) -> bool,
    may_enter: impl Fn(Fingerprint, &World) -> bool,
    there: impl Fn(&ActionOf<P>, &World) -> bool,
) -> Option<Vec<Taken<P>>> {
    // For each world, the one before it, and which of the actions enabled there led to it.
    let mut before: FxHashMap<Fingerprint, (Fingerprint, usize)> = FxHashMap::default();
    let start = fingerprint(from);
    let (mut open, mut actions) = (VecDeque::from([(from.clone(), 0)]), vec![]);
    for expanded in 0.. {
        let (world, depth) = open.pop_front()?;
        if !goes_on(Reached { expanded, met: before.len(), depth }) {
            return None;
        }
        let print = fingerprint(&world);
        actions.clear();
        rules.enabled(&world, &mut actions);
        for (place, enabled) in actions.iter().enumerate() {
            let next = rules.follow(&world, enabled);
            let next_print = fingerprint(&next);
            if !may_enter(next_print, &next) {
                continue;
            }
            if there(&enabled.action, &next) {
                let mut places = vec![place];
                let mut print = print;
                while print != start {
                    let (earlier, place) = before[&print];
                    places.push(place);
                    print = earlier;
                }
                places.reverse();
                return Some(retrace(rules, from, &places));
            }
            if next_print == start {
                continue;
            }
            if let Entry::Vacant(new) = before.entry(next_print) {
                new.insert((print, place));
                open.push_back((next, depth + 1));
            }
        }
    }
    None
}

/// The run that takes, in each world, the action at this place among those that are enabled.
fn retrace<P: Protocol>(rules: &Rules<P>, from: &World, places: &[usize]) -> Vec<Taken<P>> {
    let (mut world, mut actions) = (from.clone(), vec![]);
    let step = |place: &usize| {
        actions.clear();
        rules.enabled(&world, &mut actions);
        let enabled = actions.swap_remove(*place);
        world = rules.follow(&world, &enabled);
        (enabled.action, world.clone())
    };
    places.iter().map(step).collect()
}
