//! The exhaustive search: stateright explores, we judge.
//!
//! A search has two passes. The first visits every reachable world, behind violations too, on as many
//! threads as it may, and notes which properties are violated and which witnesses are found. The second
//! looks only for what is violated, on one thread, where stateright's breadth-first search finds a
//! shortest run, and always the same one. Runs that go round for ever are looked for apart, if they are
//! asked for: that is a search of its own, in [`lasso`](crate::explore::livelock). stateright's own limits, its `eventually` and its verdicts
//! are not used: a search that is cut short there still passes.

use crate::{
    claim::property::{Group, Kind, Property},
    explore::livelock::livelock,
    model::{
        action::ActionOf,
        memo::{Memo, remember},
        parts::Handle,
        world::{self, EnabledOf, Rules, World},
    },
    protocol::Protocol,
};
use stateright::{Checker, Model};
use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How much a search may take. Without a limit it runs to its end.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many threads the first pass uses; at least one.
    pub threads: usize,
    /// No world is expanded behind this many.
    pub max_states: Option<NonZeroU64>,
    /// No world is expanded later than this, in each pass: looking for livelocks is one, and throwing
    /// a lasso at one another.
    pub max_time: Option<Duration>,
}

impl Limits {
    /// When a pass that begins now must end. A time that no clock reaches is no limit.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.max_time.and_then(|time| Instant::now().checked_add(time))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { threads: 1, max_states: None, max_time: None }
    }
}

/// What a search has found.
#[derive(Debug)]
pub struct Findings<P: Protocol> {
    /// Every reachable world has been visited.
    pub complete: bool,
    /// How many different worlds have been met.
    pub states: u64,
    /// How many pairs of a world and an action enabled in it.
    pub transitions: u64,
    /// Actions on the way to the farthest world. None on several threads: there a world may first be
    /// met by a detour.
    pub depth: Option<usize>,
    /// How many worlds were settled.
    pub settled: u64,
    /// For each property that was looked at, in the order given.
    pub properties: Vec<Finding<P>>,
}

/// What a search has found about one property.
#[derive(Debug)]
pub struct Finding<P: Protocol> {
    /// Which.
    pub property: &'static Property,
    /// Every world on which it depends has been visited.
    pub complete: bool,
    /// A world violates it, or a run that goes round for ever.
    pub violated: bool,
    /// A world shows that it was at stake.
    pub witnessed: bool,
    /// A shortest run to a world that violates it. None if nothing does, or if a limit cut the second
    /// pass.
    pub counterexample: Option<Vec<ActionOf<P>>>,
    /// Behind how many of its actions the counterexample begins to go round, if it does.
    pub loop_from: Option<usize>,
}

/// What is reported while a search runs.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Different worlds met so far.
    pub states: u64,
    /// What is being done.
    pub pass: Pass,
}

/// The parts of a search, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Visiting every world.
    Exploring,
    /// Looking for shortest counterexamples.
    Shortening,
    /// Looking for runs that go round for ever.
    GoingRound,
}

/// At most this many properties, one for each function in `judges`.
pub const MOST_PROPERTIES: usize = 16;

/// Explores every world that the rules allow and judges the properties in it.
///
/// # Panics
/// If there are more than [`MOST_PROPERTIES`] properties or no threads.
pub fn search<P: Protocol>(
    rules: &Arc<Rules<P>>,
    properties: &[&'static Property],
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Findings<P> {
    assert!(properties.len() <= MOST_PROPERTIES, "too many properties");
    assert!(limits.threads > 0, "a search needs a thread");
    let judged = Arc::new(Judged::new(properties));
    let explored = run(Search::new(rules, &judged, vec![], limits), progress);

    let tally = &explored.model().tally;
    let complete = !tally.cut.load(Relaxed);
    let (violated, witnessed) = (tally.violated.load(Relaxed), tally.witnessed.load(Relaxed));
    let finding = |(row, property): (usize, &&'static Property)| Finding {
        property,
        complete,
        violated: violated & (1 << row) != 0,
        witnessed: witnessed & (1 << row) != 0,
        counterexample: None,
        loop_from: None,
    };
    let mut findings = Findings {
        complete,
        states: explored.unique_state_count() as u64,
        // The initial world, unless it is beyond the bound, is counted as generated, and as depth 1.
        transitions: (explored.state_count() as u64).saturating_sub(1),
        depth: (limits.threads == 1).then(|| explored.max_depth().saturating_sub(1)),
        settled: tally.settled.load(Relaxed),
        properties: properties.iter().enumerate().map(finding).collect(),
    };
    // The second pass may need the memory.
    drop(explored);

    let sought: Vec<_> = (0..properties.len()).filter(|row| violated & (1 << row) != 0).collect();
    if !sought.is_empty() {
        let limits = Limits { threads: 1, ..limits };
        let shortest = run(Search::new(rules, &judged, sought.clone(), limits), progress);
        for row in sought {
            let path = shortest.discovery(properties[row].name);
            let run = path.map(stateright::Path::into_actions);
            findings.properties[row].counterexample =
                run.map(|run| run.into_iter().map(|enabled| enabled.action).collect());
        }
    }
    for finding in &mut findings.properties {
        if finding.property.kind == Kind::Fair {
            let livelock = livelock(rules, limits, progress);
            (finding.complete, finding.violated) = (livelock.complete, livelock.exists);
            finding.loop_from = livelock.lasso.as_ref().map(|lasso| lasso.loop_from);
            finding.counterexample = livelock.lasso.map(|lasso| lasso.run);
        }
    }
    findings
}

/// Runs one pass to its end, and reports how many worlds it has met now and then.
fn run<P: Protocol>(
    search: Search<P>,
    progress: &mut dyn FnMut(Progress),
) -> impl Checker<Search<P>> + use<P> {
    let threads = search.limits.threads;
    let pass = if search.sought.is_empty() { Pass::Exploring } else { Pass::Shortening };
    let checker = search.checker().threads(threads).spawn_bfs();
    let mut pause = Duration::from_millis(1);
    while !checker.is_done() {
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
        progress(Progress { states: checker.unique_state_count() as u64, pass });
    }
    let checker = checker.join();
    checker.model().tally.over.store(true, Relaxed);
    checker
}

/// One pass, as stateright sees it.
struct Search<P: Protocol> {
    rules: Arc<Rules<P>>,
    judged: Arc<Judged>,
    /// The places of the properties whose violation is looked for; none in the first pass.
    sought: Vec<usize>,
    limits: Limits,
    deadline: Option<Instant>,
    tally: Tally,
}

/// The properties, and what is remembered of nodes with the same profiles; of what settled properties
/// say, apart.
///
/// The profiles of some nodes are a path in a trie, whose last edge bears the judgement. So a list that
/// differs from another only at its end costs one small entry.
pub(crate) struct Judged {
    properties: Vec<&'static Property>,
    edges: Memo<(u32, Handle), u32>,
    branches: AtomicU32,
    last_edges: [Memo<(u32, Handle), Judgement>; 2],
}

/// The kinds of properties that are judged on worlds.
const KINDS: [Kind; 2] = [Kind::Safety, Kind::Settled];

/// What the properties of each of these kinds see of a world: working it out is worth doing once.
pub(crate) type Seen = [Option<world::Judged>; KINDS.len()];

pub(crate) fn seen<P: Protocol>(rules: &Rules<P>, world: &World) -> Seen {
    KINDS.map(|kind| rules.judged(world, kind))
}

/// Which properties a world violates and witnesses, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) violated: u32,
    pub(crate) witnessed: u32,
}

/// What the first pass has met so far, in any order.
#[derive(Default)]
struct Tally {
    expanded: AtomicU64,
    settled: AtomicU64,
    violated: AtomicU32,
    witnessed: AtomicU32,
    cut: AtomicBool,
    /// The pass is over. What is asked now only rebuilds a path, and no limit applies.
    over: AtomicBool,
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

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        if self.sought.is_empty() {
            // stateright stops when nothing is left to discover; this is never discovered.
            return vec![stateright::Property::always("explored", |search, world| {
                search.note(world);
                true
            })];
        }
        let sought = self.sought.iter().zip(judges());
        sought
            .map(|(row, judge)| {
                stateright::Property::always(self.judged.properties[*row].name, judge)
            })
            .collect()
    }
}

/// Whether a world satisfies the first, second, … of the properties that are sought. stateright takes
/// plain functions, which cannot hold the place, so there is one for each.
fn judges<P: Protocol>() -> [fn(&Search<P>, &World) -> bool; MOST_PROPERTIES] {
    fn judge<P: Protocol, const AT: usize>(search: &Search<P>, world: &World) -> bool {
        let judgement = search.judged.judge(&search.rules, &seen(&search.rules, world));
        judgement.violated & (1 << search.sought[AT]) == 0
    }
    [
        judge::<P, 0>,
        judge::<P, 1>,
        judge::<P, 2>,
        judge::<P, 3>,
        judge::<P, 4>,
        judge::<P, 5>,
        judge::<P, 6>,
        judge::<P, 7>,
        judge::<P, 8>,
        judge::<P, 9>,
        judge::<P, 10>,
        judge::<P, 11>,
        judge::<P, 12>,
        judge::<P, 13>,
        judge::<P, 14>,
        judge::<P, 15>,
    ]
}

impl<P: Protocol> Search<P> {
    fn new(
        rules: &Arc<Rules<P>>,
        judged: &Arc<Judged>,
        sought: Vec<usize>,
        limits: Limits,
    ) -> Self {
        Self {
            rules: Arc::clone(rules),
            judged: Arc::clone(judged),
            sought,
            limits,
            deadline: limits.deadline(),
            tally: Tally::default(),
        }
    }

    /// Whether the limits allow one more world to be expanded.
    fn may_expand(&self) -> bool {
        if self.tally.over.load(Relaxed) {
            return true;
        }
        let before = self.tally.expanded.fetch_add(1, Relaxed);
        let too_many = self.limits.max_states.is_some_and(|most| before >= most.get());
        // Looking at the clock costs more than a world does.
        let too_late = before.is_multiple_of(64)
            && self.deadline.is_some_and(|deadline| Instant::now() > deadline);
        if too_many || too_late {
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
        let seen = seen(&self.rules, world);
        let [_, settled] = &seen;
        if settled.is_some() && world.cut().is_none() {
            self.tally.settled.fetch_add(1, Relaxed);
        }
        let judgement = self.judged.judge(&self.rules, &seen);
        add(&self.tally.violated, judgement.violated);
        add(&self.tally.witnessed, judgement.witnessed);
    }
}

impl Judged {
    pub(crate) fn new(properties: &[&'static Property]) -> Self {
        Self {
            properties: properties.to_vec(),
            edges: Memo::default(),
            branches: AtomicU32::new(0),
            last_edges: Default::default(),
        }
    }

    /// Judges each property on the nodes that it sees.
    pub(crate) fn judge<P: Protocol>(&self, rules: &Rules<P>, seen: &Seen) -> Judgement {
        let mut judgement = Judgement::default();
        if self.properties.is_empty() {
            return judgement;
        }
        for (kind, nodes) in KINDS.into_iter().zip(seen) {
            if let Some(nodes) = nodes {
                let also = self.judge_nodes(rules, nodes, kind);
                judgement.violated |= also.violated;
                judgement.witnessed |= also.witnessed;
            }
        }
        judgement
    }

    /// Nodes with the same profiles are judged alike, where a leader can be had and where none can.
    fn judge_nodes<P: Protocol>(
        &self,
        rules: &Rules<P>,
        judged: &world::Judged,
        kind: Kind,
    ) -> Judgement {
        let Some((last, before)) = judged.profiles.split_last() else {
            return Judgement::default();
        };
        let root = u32::from(judged.can_lead);
        let branch = before.iter().fold(root, |branch, profile| {
            remember(&self.edges, (branch, *profile), || 2 + self.branches.fetch_add(1, Relaxed))
        });
        remember(&self.last_edges[usize::from(kind == Kind::Settled)], (branch, *last), || {
            rules.group(judged, |group| self.judge_anew(group, kind))
        })
    }

    fn judge_anew(&self, group: Group<'_>, kind: Kind) -> Judgement {
        let mut judgement = Judgement::default();
        let rows = self.properties.iter().enumerate();
        for (row, property) in rows.filter(|(_, property)| property.kind == kind) {
            judgement.violated |= u32::from(property.is_violated(group)) << row;
            judgement.witnessed |= u32::from(property.is_witnessed(group.nodes)) << row;
        }
        judgement
    }
}
