//! The engine that uses one thread: it counts, judges and finds shortest counterexamples in one pass.

use crate::{
    explore::{
        breadth::{Breadth, fingerprint, retrace},
        engine::{Engine, Explored, Judged, Judgement, Limits, Meter, Pass, Progress},
    },
    model::{
        action::ActionOf,
        world::{Rules, World},
    },
    protocol::Protocol,
};
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
        let everything = |_: &Tally| false;
        survey(rules, judged, limits, everything, &mut |states| {
            progress(Progress { states, pass: Pass::Exploring });
        })
    }
}

/// Shortest runs to violations of the properties that are sought, a bit for each, as far as the limits
/// allow.
pub(crate) fn shortest_runs<P: Protocol>(
    rules: &Rules<P>,
    judged: &Judged,
    sought: u32,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> BTreeMap<usize, Vec<ActionOf<P>>> {
    let found_all = |tally: &Tally| sought & !tally.judgement.violated == 0;
    let mut explored = survey(rules, judged, limits, found_all, &mut |states| {
        progress(Progress { states, pass: Pass::Shortening });
    });
    explored.shortest.retain(|row, _| sought & (1 << row) != 0);
    explored.shortest
}

/// What was found so far.
#[derive(Default)]
struct Tally {
    transitions: u64,
    settled: u64,
    judgement: Judgement,
    /// For each property that is violated the place of the first world that violates it.
    first: BTreeMap<usize, usize>,
}

/// Visits the worlds until there are no more, or it is enough.
fn survey<P: Protocol>(
    rules: &Rules<P>,
    judged: &Judged,
    limits: Limits,
    is_enough: impl Fn(&Tally) -> bool,
    progress: &mut dyn FnMut(u64),
) -> Explored<P> {
    let initial = rules.initial();
    let (mut tally, mut meter, mut actions) = (Tally::default(), Meter::new(limits), vec![]);
    let mut breadth = Breadth::new(rules);
    if rules.is_within_bound(&initial) {
        tally.note(rules, judged, &initial, 0);
        breadth.start(initial.clone(), fingerprint(&initial));
    }
    let mut complete = true;
    while !breadth.is_done() && !is_enough(&tally) {
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
            let place = breadth.met();
            let print = fingerprint(&next);
            if let Some(new) = breadth.enter(nth, next, print) {
                tally.note(rules, judged, new, place);
            }
        }
    }
    let run = |(row, place): (&usize, &usize)| {
        let run = retrace(rules, &initial, &breadth.way_to(*place)).into_iter();
        (*row, run.map(|(action, _)| action).collect())
    };
    Explored {
        complete,
        states: breadth.met() as u64,
        transitions: tally.transitions,
        depth: Some(breadth.farthest()),
        settled: tally.settled,
        judgement: tally.judgement,
        shortest: tally.first.iter().map(run).collect(),
    }
}

impl Tally {
    /// Adds a world that was met, as the one at this place.
    fn note<P: Protocol>(
        &mut self,
        rules: &Rules<P>,
        judged: &Judged,
        world: &World,
        place: usize,
    ) {
        let (judgement, is_settled) = judged.world(rules, world);
        self.settled += u64::from(is_settled);
        let mut new = judgement.violated & !self.judgement.violated;
        while new != 0 {
            self.first.insert(new.trailing_zeros() as usize, place);
            new &= new - 1;
        }
        self.judgement.merge(judgement);
    }
}
