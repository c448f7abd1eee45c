//! The engine that uses one thread: it counts, judges and finds shortest counterexamples in one pass.

use crate::{
    claim::property::Kind,
    explore::{
        breadth::{Breadth, Fingerprint, Goal, fingerprint, retrace},
        engine::{Engine, Explored, Judged, Judgement, Limits, Meter, Pass, Progress, Remembered},
    },
    model::{
        action::ActionOf,
        world::{Rules, World},
    },
    protocol::Protocol,
};
use rustc_hash::FxHashSet;
use std::{collections::BTreeMap, sync::Arc};

/// A breadth-first search on one thread.
#[derive(Clone, Copy, Debug)]
pub struct Serial;

impl Engine for Serial {
    fn name(&self) -> &'static str {
        "serial"
    }

    fn explore<P: Protocol>(
        &self,
        rules: &Arc<Rules<P>>,
        judged: &Arc<Judged>,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Explored<P> {
        survey(rules, judged, limits, None, &mut |states| {
            progress(Progress { states, pass: Pass::Exploring });
        })
    }
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

/// The results so far.
#[derive(Default)]
struct Tally {
    transitions: u64,
    settled: u64,
    judgement: Judgement,
    remembered: Remembered,
    /// For each violated property, the place of the world in which its counterexample ends.
    ends: BTreeMap<usize, Goal<usize>>,
    /// The distance of the worlds that are being discovered.
    depth: usize,
    /// The properties that were violated in a nearer world.
    closed: u32,
}

/// Visits all worlds. If a property asks about cycles, it notes the worlds to which a step returns. With `sought`, it stops when the counterexamples of those properties are known.
pub(crate) fn survey<P: Protocol>(
    rules: &Rules<P>,
    judged: &Judged,
    limits: Limits,
    sought: Option<u32>,
    progress: &mut dyn FnMut(u64),
) -> Explored<P> {
    let initial = rules.initial();
    let (mut tally, mut meter, mut actions) = (Tally::default(), Meter::new(limits), vec![]);
    let mut breadth = Breadth::new(rules);
    let notes_returns = sought.is_none() && judged.asks_about(Kind::Fair);
    let mut returns = notes_returns.then(Returns::default);
    if returns.is_some() {
        breadth = breadth.with_distances();
    }
    if rules.is_within_bound(&initial) {
        tally.note(rules, judged, &initial, 0, 0);
        breadth.start(initial.clone(), fingerprint(&initial));
    }
    let mut complete = true;
    let is_enough = |tally: &Tally, depth| sought.is_some_and(|sought| tally.knows(sought, depth));
    while !breadth.is_done() && !is_enough(&tally, breadth.next_depth()) {
        if !meter.allows_another() {
            complete = false;
            break;
        }
        let Some(world) = breadth.next(&mut actions) else { break };
        if breadth.here().is_multiple_of(1 << 12) {
            progress(breadth.met() as u64);
        }
        for (nth, enabled) in actions.iter().enumerate() {
            let next = rules.follow(&world, enabled);
            if !rules.is_within_bound(&next) {
                continue;
            }
            tally.transitions += 1;
            let (place, depth) = (breadth.met(), breadth.depth() + 1);
            let print = fingerprint(&next);
            if breadth.discover(print) {
                tally.note(rules, judged, &next, place, depth);
                breadth.add(nth, next);
            } else if let Some(returns) = &mut returns
                && rules.can_recur(&world, enabled)
                && !breadth.is_farther(print)
            {
                returns.note(print, next);
            }
        }
    }
    let run = |(row, goal): (&usize, &Goal<usize>)| {
        let run = retrace(rules, &initial, &breadth.way_to(goal.end)).into_iter();
        (*row, run.map(|(action, _)| action).collect())
    };
    Explored {
        complete,
        states: breadth.met() as u64,
        transitions: tally.transitions,
        depth: Some(breadth.farthest()),
        settled: tally.settled,
        judgement: tally.judgement,
        shortest: tally.ends.iter().map(run).collect(),
        returns: returns.map(|returns| returns.worlds),
    }
}

/// The worlds to which a step returned, each once.
#[derive(Default)]
struct Returns {
    met: FxHashSet<Fingerprint>,
    worlds: Vec<World>,
}

impl Returns {
    fn note(&mut self, print: Fingerprint, world: World) {
        if self.met.insert(print) {
            self.worlds.push(world);
        }
    }
}

impl Tally {
    /// Judges a new world, with its place and its distance.
    fn note<P: Protocol>(
        &mut self,
        rules: &Rules<P>,
        judged: &Judged,
        world: &World,
        place: usize,
        depth: usize,
    ) {
        if depth > self.depth {
            (self.depth, self.closed) = (depth, self.judgement.violated);
        }
        let (judgement, is_settled) = judged.world(rules, world, &mut self.remembered);
        self.settled += u64::from(is_settled);
        self.judgement.merge(judgement);
        let open = judgement.violated & !self.closed;
        for row in rows(open) {
            let goal = Goal::new(rules, world, depth, place);
            if self.ends.get(&row).is_none_or(|earlier| goal.replaces(earlier)) {
                self.ends.insert(row, goal);
            }
        }
    }

    /// True if the counterexamples of these properties are known before worlds of this distance are expanded:
    /// all worlds as far away as theirs have been discovered.
    fn knows(&self, sought: u32, depth: usize) -> bool {
        let is_known = |row| self.ends.get(&row).is_some_and(|goal| goal.depth <= depth);
        sought & !self.judgement.violated == 0 && rows(sought).all(is_known)
    }
}

/// The places of the bits that are set.
fn rows(bits: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |row| bits & (1 << row) != 0)
}
