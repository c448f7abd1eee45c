//! The part of a layer that one thread expands.

use super::fresh::{Fresh, Way};
use crate::{
    explore::{
        breadth::{Fingerprint, Goal, fingerprint},
        engine::Limits,
        judge::{Judged, Judgement, Remembered},
        visited::Visited,
    },
    model::world::{EnabledOf, Rules, World, packed::Packed},
    protocol::Protocol,
};
use std::{
    hint::black_box,
    sync::{
        RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// The number of worlds that are looked up together.
const TOGETHER: usize = 64;

/// A layer that is being expanded, as all workers see it.
pub(super) struct Layer<'a> {
    /// The number of steps to its worlds.
    pub(super) depth: usize,
    /// The properties that were violated in a nearer world.
    pub(super) closed: u32,
    /// This layer and all nearer ones.
    pub(super) visited: &'a Visited,
    /// The next layer, as far as it is discovered.
    pub(super) fresh: &'a RwLock<Fresh>,
    pub(super) limits: Limits,
    /// A time, an interrupt or the memory has ended the search.
    pub(super) is_stopped: &'a AtomicBool,
    pub(super) threads: usize,
    pub(super) notes_returns: bool,
}

/// Some worlds of a layer, with consecutive places.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) first: usize,
    pub(super) worlds: Packed,
}

/// The result of expanding a batch.
#[derive(Default)]
pub(super) struct Yield {
    /// The worlds that were discovered.
    pub(super) worlds: Packed,
    /// A way to each of them.
    pub(super) ways: Vec<Way>,
    /// Their fingerprints, if there is another thread.
    prints: Vec<Fingerprint>,
    pub(super) transitions: u64,
    pub(super) settled: u64,
    pub(super) judgement: Judgement,
    /// For each property that is first violated in this layer, the place of the world in which its counterexample ends.
    pub(super) ends: Vec<(usize, Goal<usize>)>,
    /// The worlds of this layer and of nearer ones to which steps lead that can recur.
    pub(super) returns: Packed,
    pub(super) prints_of_returns: Vec<Fingerprint>,
    /// A limit forbade to expand some worlds.
    pub(super) is_cut: bool,
}

/// A thread's part of a search: its tools, and its memory.
pub(super) struct Worker<'a, P: Protocol> {
    rules: &'a Rules<P>,
    judged: &'a Judged,
    remembered: Remembered,
    actions: Vec<EnabledOf<P>>,
    /// The world after the step that is being taken.
    next: World,
    ahead: Ahead,
    returned: Visited,
}

/// The worlds that are still to be looked up.
#[derive(Default)]
struct Ahead {
    worlds: Packed,
    steps: Vec<Step>,
}

/// The step that has led to a world.
struct Step {
    /// The fingerprint of that world.
    print: Fingerprint,
    way: Way,
    can_recur: bool,
}

impl<'a, P: Protocol> Worker<'a, P> {
    pub(super) fn new(rules: &'a Rules<P>, judged: &'a Judged) -> Self {
        Self {
            rules,
            judged,
            remembered: Remembered::default(),
            actions: vec![],
            next: rules.initial(),
            ahead: Ahead::default(),
            returned: Visited::default(),
        }
    }

    /// Judges and expands some worlds.
    pub(super) fn expand(&mut self, layer: &Layer<'_>, batch: &Batch) -> Yield {
        let mut found = Yield::default();
        // A layer is about as large as the one before.
        found.worlds.reserve_like(&batch.worlds);
        for nth in 0..batch.worlds.len() {
            let (place, world) = (batch.first + nth, batch.worlds.get(nth));
            self.judge(layer, place, &world, &mut found);
            if !layer.may_expand(place) {
                found.is_cut = true;
                continue;
            }
            self.follow(layer, place, &world, &mut found);
            if self.ahead.steps.len() >= TOGETHER {
                self.look_up(layer, &mut found);
            }
        }
        self.look_up(layer, &mut found);
        found
    }

    fn judge(&mut self, layer: &Layer<'_>, place: usize, world: &World, found: &mut Yield) {
        let (judgement, is_settled) = self.judged.world(self.rules, world, &mut self.remembered);
        found.settled += u64::from(is_settled);
        found.judgement.merge(judgement);
        for row in rows(judgement.violated & !layer.closed) {
            let goal = Goal::new(self.rules, world, layer.depth, place);
            match found.ends.iter_mut().find(|(known, _)| *known == row) {
                Some((_, earlier)) if goal.replaces(earlier) => *earlier = goal,
                Some(_) => {}
                None => found.ends.push((row, goal)),
            }
        }
    }

    /// Takes all steps from a world.
    fn follow(&mut self, layer: &Layer<'_>, place: usize, world: &World, found: &mut Yield) {
        let Self { rules, actions, next, ahead, .. } = self;
        actions.clear();
        rules.enabled(world, actions);
        for (nth, enabled) in actions.iter().enumerate() {
            next.clone_from(world);
            rules.advance(next, enabled);
            if !rules.is_within_bound(next) {
                continue;
            }
            found.transitions += 1;
            let can_recur = layer.notes_returns && rules.can_recur(world, enabled);
            ahead.worlds.push(next);
            ahead.steps.push(Step {
                print: fingerprint(next),
                way: Way::new(place, nth),
                can_recur,
            });
        }
    }

    /// Notes the worlds of this layer and of nearer ones to which steps lead from worlds that were expanded.
    pub(super) fn look_back(&mut self, layer: &Layer<'_>, batch: &Batch) -> Yield {
        let Self { rules, actions, returned, .. } = self;
        let mut found = Yield::default();
        for nth in (0..batch.worlds.len()).filter(|nth| layer.may_expand(batch.first + nth)) {
            let world = batch.worlds.get(nth);
            actions.clear();
            rules.enabled(&world, actions);
            for enabled in actions.iter().filter(|enabled| rules.can_recur(&world, enabled)) {
                let next = rules.follow(&world, enabled);
                let print = fingerprint(&next);
                if layer.visited.contains(print) && returned.insert(print) {
                    found.returns.push(&next);
                    found.prints_of_returns.push(print);
                }
            }
        }
        found
    }

    /// Looks up the worlds ahead: which of them are new?
    fn look_up(&mut self, layer: &Layer<'_>, found: &mut Yield) {
        let Self { ahead: Ahead { worlds, steps }, returned, .. } = self;
        for (chunk, some) in steps.chunks(TOGETHER).enumerate() {
            let fresh = layer.fresh_with_room();
            // Most are known from this layer.
            black_box(some.iter().fold(0, |all, it| all ^ fresh.touch(it.print)));
            let others = some.iter().filter(|it| !fresh.contains(it.print));
            black_box(others.fold(0, |all, it| all ^ layer.visited.touch(it.print)));
            for (nth, Step { print, way, can_recur }) in (chunk * TOGETHER..).zip(some) {
                if fresh.contains(*print) || !layer.visited.contains(*print) {
                    if fresh.offer(*print, *way) {
                        found.worlds.extend(worlds, nth..nth + 1);
                        found.ways.push(*way);
                        if layer.threads > 1 {
                            found.prints.push(*print);
                        }
                    }
                } else if *can_recur && returned.insert(*print) {
                    found.returns.extend(worlds, nth..nth + 1);
                    found.prints_of_returns.push(*print);
                }
            }
        }
        worlds.clear();
        steps.clear();
    }
}

impl Layer<'_> {
    /// True if the limits allow to expand the world at this place: as many were expanded before it.
    fn may_expand(&self, place: usize) -> bool {
        let before = place as u64;
        if self.limits.max_states.is_some_and(|most| before >= most.get()) {
            return false;
        }
        if self.limits.end_after(before) {
            self.is_stopped.store(true, Relaxed);
        }
        !self.is_stopped.load(Relaxed)
    }

    pub(super) fn fresh(&self) -> RwLockReadGuard<'_, Fresh> {
        self.fresh.read().expect("no thread has panicked")
    }

    /// The next layer, with room for what all threads look up together.
    fn fresh_with_room(&self) -> RwLockReadGuard<'_, Fresh> {
        let needed = self.threads * TOGETHER;
        loop {
            let fresh = self.fresh();
            if fresh.has_room_for(needed) {
                return fresh;
            }
            drop(fresh);
            let mut fresh = self.fresh.write().expect("no thread has panicked");
            if !fresh.has_room_for(needed) {
                fresh.grow(needed);
            }
        }
    }
}

impl Yield {
    /// Gives up the worlds to which another thread has found an earlier way.
    pub(super) fn keep_first(&mut self, fresh: &Fresh) {
        let Self { worlds, ways, prints, .. } = self;
        let kept: Vec<_> =
            prints.iter().zip(&*ways).map(|(print, way)| fresh.is_first(*print, *way)).collect();
        worlds.retain(|nth| kept[nth]);
        let mut is_kept = kept.into_iter();
        ways.retain(|_| is_kept.next().expect("as many as worlds"));
    }
}

/// The places of the bits that are set.
pub(super) fn rows(bits: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |row| bits & (1 << row) != 0)
}
