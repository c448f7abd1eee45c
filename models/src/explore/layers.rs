//! Our own engine: it counts, judges, finds shortest counterexamples and notes what livelocks pass through, all in one
//! pass, on any number of threads.
//!
//! It goes breadth first, layer by layer. The worlds of a layer are divided into batches, and each thread takes one batch
//! after the other. Nothing depends on which thread takes which: a world's *place* is its number in the order in which a
//! single thread discovers worlds, and each world keeps the first way to it. So all results are the same on
//! any number of threads.
//!
//! Full worlds are kept only at the frontier, packed. Of every other world there are a fingerprint and the way to it.

pub mod checkpoint;
mod crew;
mod fresh;
mod worker;

use crate::{
    claim::property::Kind,
    explore::{
        breadth::{Goal, fingerprint, retrace},
        engine::{Engine, Explored, Limits, Pass, Progress},
        judge::{Judged, Judgement},
        livelock::recurring::may_recur,
        visited::Visited,
    },
    model::{
        action::ActionOf,
        world::{Rules, World, packed::Packed},
    },
    protocol::Protocol,
};
use crew::share;
use fresh::{Fresh, Way};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    mem::take,
    sync::{Arc, RwLock, atomic::AtomicBool},
};
use worker::{Batch, Layer, Worker, Yield, rows};

/// A breadth-first search, layer by layer.
#[derive(Clone, Copy, Debug)]
pub struct Layers;

/// The number of worlds in a batch, about.
const BATCH: usize = 256;

impl Engine for Layers {
    fn name(&self) -> &'static str {
        "layers"
    }

    fn explore<P: Protocol>(
        &self,
        rules: &Arc<Rules<P>>,
        judged: &Arc<Judged>,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Explored<P> {
        survey(rules, judged, limits, None, &mut progress_of(progress))
    }
}

/// Reports the number of worlds of a search.
fn progress_of(progress: &mut dyn FnMut(Progress)) -> impl FnMut(u64) {
    |states| progress(Progress { states, pass: Pass::Exploring })
}

/// Shortest runs to violations of the properties in `sought`, a bit for each, as far as the limits allow.
pub(crate) fn shortest_runs<P: Protocol>(
    rules: &Rules<P>,
    judged: &Judged,
    sought: u32,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> BTreeMap<usize, Vec<ActionOf<P>>> {
    let mut explored = survey(rules, judged, limits, Some(sought), &mut |states| {
        progress(Progress { states, pass: Pass::Shortening });
    });
    explored.shortest.retain(|row, _| sought & (1 << row) != 0);
    explored.shortest
}

/// Visits all worlds. If a property asks about cycles, it notes the worlds to which a step returns, unless it is proved
/// that there are no cycles. With `sought`, it stops when the counterexamples of those properties are known.
pub(crate) fn survey<P: Protocol>(
    rules: &Rules<P>,
    judged: &Judged,
    limits: Limits,
    sought: Option<u32>,
    progress: &mut dyn FnMut(u64),
) -> Explored<P> {
    let mut survey = Survey::new(rules, judged, limits, sought.is_none());
    while !survey.known.layer.is_empty()
        && !sought.is_some_and(|sought| survey.known.tally.knows(sought))
    {
        survey.expand(progress);
    }
    survey.end()
}

/// A search in progress.
struct Survey<'a, P: Protocol> {
    rules: &'a Rules<P>,
    limits: Limits,
    initial: World,
    workers: Vec<Worker<'a, P>>,
    fresh: RwLock<Fresh>,
    known: Knowledge,
    /// A time, an interrupt or the memory has ended the search.
    is_stopped: AtomicBool,
}

/// Everything that is known between two layers.
#[derive(Debug)]
struct Knowledge {
    visited: Visited,
    /// The layer that is expanded next, and the number of steps to it.
    layer: Vec<Batch>,
    depth: usize,
    ways: Ways,
    tally: Tally,
    returns: Option<Returns>,
}

/// The results so far.
#[derive(Debug, Serialize, Deserialize)]
struct Tally {
    complete: bool,
    transitions: u64,
    settled: u64,
    judgement: Judgement,
    /// For each violated property, the place of the world in which its counterexample ends.
    ends: BTreeMap<usize, Goal<usize>>,
}

/// The worlds to which a step returned, each once.
///
/// Nothing is noted as long as no step that was taken can be part of a cycle: every cycle goes through a layer that is
/// still to be expanded, and returns from the farthest one.
#[derive(Debug, Default)]
struct Returns {
    are_noted: bool,
    met: Visited,
    worlds: Packed,
}

impl<'a, P: Protocol> Survey<'a, P> {
    /// A search that has not begun. Worlds to which a step returns are noted for properties about cycles only.
    fn new(rules: &'a Rules<P>, judged: &'a Judged, limits: Limits, notes_returns: bool) -> Self {
        let notes_returns = notes_returns && judged.asks_about(Kind::Fair);
        let initial = rules.initial();
        let (mut visited, mut layer) = (Visited::default(), vec![]);
        if rules.is_within_bound(&initial) {
            visited.insert(fingerprint(&initial));
            let mut first = Batch::default();
            first.worlds.push(&initial);
            layer.push(first);
        }
        Self {
            rules,
            limits,
            initial,
            workers: (0..limits.threads).map(|_| Worker::new(rules, judged)).collect(),
            fresh: RwLock::default(),
            known: Knowledge {
                visited,
                layer,
                depth: 0,
                ways: Ways::default(),
                tally: Tally {
                    complete: true,
                    transitions: 0,
                    settled: 0,
                    judgement: Judgement::default(),
                    ends: BTreeMap::new(),
                },
                returns: notes_returns.then(Returns::default),
            },
            is_stopped: AtomicBool::new(false),
        }
    }

    /// Judges and expands a layer. The next one follows.
    fn expand(&mut self, progress: &mut dyn FnMut(u64)) {
        let batches: Vec<_> = take(&mut self.known.layer).into_iter().map(Arc::new).collect();
        let layer = Layer {
            depth: self.known.depth,
            closed: self.known.tally.judgement.violated,
            visited: &self.known.visited,
            fresh: &self.fresh,
            limits: self.limits,
            is_stopped: &self.is_stopped,
            threads: self.workers.len(),
            notes_returns: self.known.returns.as_ref().is_some_and(|returns| returns.are_noted),
        };
        let waits = self.known.returns.is_some() && !layer.notes_returns;
        let kept = if waits { batches.clone() } else { vec![] };
        let expand = |worker: &mut Worker<'a, P>, batch: Arc<Batch>| worker.expand(&layer, &batch);
        let tick = || progress((layer.visited.len() + layer.fresh().len()) as u64);
        let mut yields = share(&mut self.workers, batches, expand, tick);
        if self.workers.len() > 1 {
            let keep_first = |_: &mut Worker<'a, P>, mut found: Yield| {
                found.keep_first(&layer.fresh());
                found
            };
            yields = share(&mut self.workers, yields, keep_first, || {});
        }
        if waits && may_recur(self.rules) {
            let look_back =
                |worker: &mut Worker<'a, P>, batch: Arc<Batch>| worker.look_back(&layer, &batch);
            let looked = share(&mut self.workers, kept, look_back, || {});
            let returns = self.known.returns.get_or_insert_default();
            returns.are_noted = true;
            for found in &looked {
                returns.note(found);
            }
        }
        for found in yields {
            self.take_in(found);
        }
        let fresh = self.fresh.get_mut().expect("no thread has panicked");
        fresh.drain().for_each(|print| _ = self.known.visited.insert(print));
        self.known.depth += usize::from(!self.known.layer.is_empty());
    }

    /// Takes in what was found in the next batch of a layer.
    fn take_in(&mut self, found: Yield) {
        if let Some(returns) = &mut self.known.returns {
            returns.note(&found);
        }
        self.known.tally.complete &= !found.is_cut;
        self.known.tally.transitions += found.transitions;
        self.known.tally.settled += found.settled;
        self.known.tally.judgement.merge(found.judgement);
        for (row, goal) in found.ends {
            if self.known.tally.ends.get(&row).is_none_or(|earlier| goal.replaces(earlier)) {
                self.known.tally.ends.insert(row, goal);
            }
        }
        // The first world has the place 0, and no way leads to it.
        let first = self.known.ways.len() + 1;
        self.known.ways.extend(&found.ways);
        add(&mut self.known.layer, first, found.worlds);
    }

    fn end(self) -> Explored<P> {
        let run = |(row, goal): (&usize, &Goal<usize>)| {
            let run = retrace(self.rules, &self.initial, &self.known.ways.to(goal.end)).into_iter();
            (*row, run.map(|(action, _)| action).collect())
        };
        Explored {
            complete: self.known.tally.complete,
            states: self.known.visited.len() as u64,
            transitions: self.known.tally.transitions,
            depth: Some(self.known.depth),
            settled: self.known.tally.settled,
            judgement: self.known.tally.judgement,
            shortest: self.known.tally.ends.iter().map(run).collect(),
            returns: self.known.returns.map(|returns| returns.worlds),
        }
    }
}

/// Adds worlds to a layer, from this place on: to its last batch if they are few, and as several if they are many.
fn add(layer: &mut Vec<Batch>, first: usize, mut worlds: Packed) {
    let count = worlds.len();
    match layer.last_mut() {
        _ if count == 0 => {}
        Some(last) if last.worlds.len() + count <= BATCH => last.worlds.extend(&worlds, 0..count),
        _ if count <= 2 * BATCH => {
            worlds.shrink();
            layer.push(Batch { first, worlds });
        }
        _ => layer.extend((0..count).step_by(BATCH).map(|start| {
            let mut batch = Batch { first: first + start, ..Batch::default() };
            batch.worlds.extend(&worlds, start..count.min(start + BATCH));
            batch
        })),
    }
}

impl Returns {
    fn note(&mut self, found: &Yield) {
        for (nth, print) in found.prints_of_returns.iter().enumerate() {
            if self.met.insert(*print) {
                self.worlds.extend(&found.returns, nth..nth + 1);
            }
        }
    }
}

impl Tally {
    /// True if the counterexamples of these properties are known. All worlds as far away as theirs have been judged.
    fn knows(&self, sought: u32) -> bool {
        rows(sought).all(|row| self.ends.contains_key(&row))
    }
}

/// For each world but the first, the first way to it.
#[derive(Debug, Default)]
struct Ways {
    from: Vec<u32>,
    nth: Vec<u16>,
}

impl Ways {
    fn len(&self) -> usize {
        self.from.len()
    }

    fn extend(&mut self, ways: &[Way]) {
        self.from.extend(ways.iter().map(|way| way.from()));
        self.nth.extend(ways.iter().map(|way| way.nth()));
    }

    /// The path to the world at a place: the index of each action among those that are enabled.
    fn to(&self, mut place: usize) -> Vec<usize> {
        let mut path = vec![];
        while let Some(before) = place.checked_sub(1) {
            path.push(self.nth[before].into());
            place = self.from[before] as usize;
        }
        path.reverse();
        path
    }
}
