//! The independent witness: stateright visits the worlds, we judge them.
//!
//! stateright's own limits, its `eventually` and its verdicts are not used: with those, a search that is cut
//! short still passes.

use crate::{
    explore::{
        engine::{Engine, Explored, Limits, Pass, Progress},
        judge::{Judged, Judgement, Remembered},
    },
    model::world::{EnabledOf, Rules, World},
    protocol::Protocol,
};
use stateright::{Checker, Model, Property};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// stateright's breadth-first search.
#[derive(Clone, Copy, Debug)]
pub struct Stateright;

impl Engine for Stateright {
    fn name(&self) -> &'static str {
        "stateright"
    }

    fn explore<P: Protocol>(
        &self,
        rules: &Arc<Rules<P>>,
        judged: &Arc<Judged>,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Explored<P> {
        let search = Search {
            rules: Arc::clone(rules),
            judged: Arc::clone(judged),
            remembered: (0..limits.threads).map(|_| Mutex::default()).collect(),
            limits,
            tally: Tally::default(),
        };
        let checker = search.checker().threads(limits.threads).spawn_bfs();
        let mut pause = Duration::from_millis(1);
        while !checker.is_done() {
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
            let states = checker.unique_state_count() as u64;
            progress(Progress { states, pass: Pass::Exploring });
        }
        let checker = checker.join();
        let Tally { expanded: _, settled, violated, witnessed, cut } = &checker.model().tally;
        Explored {
            complete: !cut.load(Relaxed),
            states: checker.unique_state_count() as u64,
            // stateright counts the initial world (if it is within the bound) as generated, and as depth 1.
            transitions: (checker.state_count() as u64).saturating_sub(1),
            // With several threads a world may first be reached by a detour.
            depth: (limits.threads == 1).then(|| checker.max_depth().saturating_sub(1)),
            settled: settled.load(Relaxed),
            judgement: Judgement {
                violated: violated.load(Relaxed),
                witnessed: witnessed.load(Relaxed),
            },
            shortest: BTreeMap::new(),
            returns: None,
        }
    }
}

/// The rules, as stateright sees them.
struct Search<P: Protocol> {
    rules: Arc<Rules<P>>,
    judged: Arc<Judged>,
    /// Each thread takes one that no other thread uses, if it can.
    remembered: Vec<Mutex<Remembered>>,
    limits: Limits,
    tally: Tally,
}

/// The results so far, of all threads.
#[derive(Default)]
struct Tally {
    expanded: AtomicU64,
    settled: AtomicU64,
    violated: AtomicU32,
    witnessed: AtomicU32,
    cut: AtomicBool,
}

impl<P: Protocol> Model for Search<P> {
    type State = World;
    type Action = EnabledOf<P>;

    fn init_states(&self) -> Vec<World> {
        vec![self.rules.initial()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<EnabledOf<P>>) {
        if self.may_expand() {
            self.rules.enabled(world, actions);
        }
    }

    fn next_state(&self, world: &World, action: EnabledOf<P>) -> Option<World> {
        Some(self.rules.follow(world, &action))
    }

    fn within_boundary(&self, world: &World) -> bool {
        self.rules.is_within_bound(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        // stateright stops when every property has a discovery. This one never has, so every world is
        // visited.
        vec![Property::always("explored", |search, world| {
            search.note(world);
            true
        })]
    }
}

impl<P: Protocol> Search<P> {
    /// True if the limits allow one more world to be expanded.
    fn may_expand(&self) -> bool {
        let before = self.tally.expanded.fetch_add(1, Relaxed);
        if self.limits.forbid(before) {
            self.tally.cut.store(true, Relaxed);
        }
        !self.tally.cut.load(Relaxed)
    }

    /// Adds a world to the tally. stateright calls it once for each.
    fn note(&self, world: &World) {
        let add = |mask: &AtomicU32, bits: u32| {
            if bits & !mask.load(Relaxed) != 0 {
                mask.fetch_or(bits, Relaxed);
            }
        };
        let free = self.remembered.iter().find_map(|remembered| remembered.try_lock().ok());
        let mut remembered = free.expect("no more threads than there are places to remember");
        let (judgement, is_settled) = self.judged.world(&self.rules, world, &mut remembered);
        drop(remembered);
        if is_settled {
            self.tally.settled.fetch_add(1, Relaxed);
        }
        add(&self.tally.violated, judgement.violated);
        add(&self.tally.witnessed, judgement.witnessed);
    }
}
