//! Livelocks: fair runs that go round for ever, reported as lassos.
//!
//! Settled properties are judged where nothing is left to do, which says nothing of a run that never
//! comes there. Budgets are only spent and histories only grow, so such a run ends up in a cycle of
//! steps that cost nothing: deliveries, mostly. The cycle is *fair* if nobody is kept waiting all
//! around it: each link is empty somewhere or delivers, each timer is disarmed somewhere or fires.
//! An unfair one is the scheduler's fault and not the protocol's.
//!
//! The more of a strongly connected component a cycle passes through, the fewer are kept waiting. So a
//! component has a fair cycle if, and only if, the way through all of it is fair. [`livelock`] looks at
//! each component, and throws a lasso at what it finds: a shortest *stem* to a world of a fair
//! component, and from there a short *loop* back to that world.
//!
//! # Which timers wait
//!
//! A timer that cannot fire is not kept waiting by anybody: if its budget is spent, or if it is not
//! enabled although there is nothing to deliver, it does not make a cycle unfair. A late timer that
//! stays armed while there is always something to deliver does: it would fire in the end, but the
//! world of [`Timers::Late`] does not say what comes of that.

use crate::{
    explore::{
        breadth::{Fingerprint, Reached, Taken, fingerprint, shortest},
        search::{Limits, Pass, Progress},
    },
    model::{
        action::{Action, ActionOf, Choice, ChoiceOf},
        environment::{Budget, Timers},
        world::{EnabledOf, Rules, World},
    },
    protocol::Protocol,
};
use interrex::machine::NodeId;
use rustc_hash::{FxHashMap, FxHashSet};
use std::time::Instant;

/// What looking for livelocks has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Livelock<Timer> {
    /// Every reachable world has been visited.
    pub complete: bool,
    /// A fair run goes round for ever.
    pub exists: bool,
    /// One that does. None if there is none, or if a limit came before the shortest stem.
    pub lasso: Option<Lasso<Timer>>,
}

/// A run that comes back to where it has been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasso<Timer> {
    /// The stem, then the loop.
    pub run: Vec<Action<Timer>>,
    /// How many actions the stem has.
    pub loop_from: usize,
}

/// Looks for a fair run that goes round for ever.
pub fn livelock<P: Protocol>(
    rules: &Rules<P>,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Livelock<P::Timer> {
    let mut patience = Patience::new(limits, progress);
    let mut components = Components::new(rules);
    let complete = components.walk(&mut patience);
    let Components { done, fair, .. } = components;
    let exists = !fair.is_empty();
    // Where the search was cut, a nearer one may lie behind.
    let lasso = if complete && exists { throw(rules, &done, &fair, limits) } else { None };
    Livelock { complete, exists, lasso }
}

/// How much longer the search may go on.
struct Patience<'a> {
    limits: Limits,
    deadline: Option<Instant>,
    expanded: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl<'a> Patience<'a> {
    fn new(limits: Limits, progress: &'a mut dyn FnMut(Progress)) -> Self {
        Self { limits, deadline: limits.deadline(), expanded: 0, progress }
    }

    /// Whether the limits allow one more world to be expanded.
    fn lasts(&mut self) -> bool {
        let before = self.expanded;
        self.expanded += 1;
        if before.is_multiple_of(1 << 14) {
            (self.progress)(Progress { states: before, pass: Pass::GoingRound });
        }
        let too_many = self.limits.max_states.is_some_and(|most| before >= most.get());
        !too_many && !is_late(before, self.deadline)
    }
}

/// Looking at the clock costs more than a world does.
fn is_late(expanded: u64, deadline: Option<Instant>) -> bool {
    expanded.is_multiple_of(64) && deadline.is_some_and(|deadline| Instant::now() > deadline)
}

fn in_time(deadline: Option<Instant>) -> impl Fn(Reached) -> bool {
    move |reached| !is_late(reached.expanded, deadline)
}

/// The strongly connected components of worlds, by Tarjan's algorithm: depth first, and full worlds
/// only on the way.
struct Components<'a, P: Protocol> {
    rules: &'a Rules<P>,
    /// Worlds whose component is known.
    done: FxHashSet<Fingerprint>,
    /// Those whose component is not, in the order in which they were met.
    open: Vec<Fingerprint>,
    /// Their places in it.
    places: FxHashMap<Fingerprint, usize>,
    /// The way from the initial world to where the search is.
    way: Vec<Stop>,
    /// What is still to be tried on the way, the last stop's last.
    ahead: Vec<EnabledOf<P>>,
    /// The worlds of fair components, each with the one that stands for its component.
    fair: FxHashMap<Fingerprint, Fingerprint>,
}

/// A world on the way.
struct Stop {
    world: World,
    /// Its place among the open ones.
    place: usize,
    /// The first place that is known to be reached from here.
    back: usize,
    /// A step leads from here to here.
    turns: bool,
    /// Where what is still to be tried here begins.
    ahead: usize,
}

impl<'a, P: Protocol> Components<'a, P> {
    fn new(rules: &'a Rules<P>) -> Self {
        Self {
            rules,
            done: FxHashSet::default(),
            open: vec![],
            places: FxHashMap::default(),
            way: vec![],
            ahead: vec![],
            fair: FxHashMap::default(),
        }
    }

    /// Visits every world; false if it was cut short.
    fn walk(&mut self, patience: &mut Patience<'_>) -> bool {
        let initial = self.rules.initial();
        let mut entered = Some((fingerprint(&initial), initial));
        loop {
            if let Some((print, world)) = entered.take() {
                if !patience.lasts() {
                    return false;
                }
                self.enter(print, world);
            }
            let Some(stop) = self.way.last_mut() else {
                return true;
            };
            if self.ahead.len() == stop.ahead {
                self.leave();
            } else if let Some(action) = self.ahead.pop() {
                let next = self.rules.follow(&stop.world, &action);
                // Later walks stay among the worlds of this one.
                if !self.rules.is_within_bound(&next) {
                    continue;
                }
                let print = fingerprint(&next);
                if let Some(&place) = self.places.get(&print) {
                    stop.back = stop.back.min(place);
                    stop.turns |= place == stop.place;
                } else if !self.done.contains(&print) {
                    entered = Some((print, next));
                }
            }
        }
    }

    fn enter(&mut self, print: Fingerprint, world: World) {
        let (place, ahead) = (self.open.len(), self.ahead.len());
        self.open.push(print);
        self.places.insert(print, place);
        self.rules.enabled(&world, &mut self.ahead);
        self.way.push(Stop { world, place, back: place, turns: false, ahead });
    }

    /// Goes back a step. A world from which no earlier one is reached is the first of its component.
    fn leave(&mut self) {
        let Some(stop) = self.way.pop() else {
            return;
        };
        if let Some(before) = self.way.last_mut() {
            before.back = before.back.min(stop.back);
        }
        if stop.back < stop.place {
            return;
        }
        let component = self.open.split_off(stop.place);
        for print in &component {
            self.places.remove(print);
            self.done.insert(*print);
        }
        if component.len() > 1 || stop.turns {
            self.judge(&stop.world, &component);
        }
    }

    fn judge(&mut self, first: &World, component: &[Fingerprint]) {
        let members: FxHashSet<_> = component.iter().copied().collect();
        if is_fair(self.rules, first, &members) {
            let first = fingerprint(first);
            self.fair.extend(component.iter().map(|print| (*print, first)));
        }
    }
}

/// Whether the way through all of a component is fair, from any of its worlds.
fn is_fair<P: Protocol>(rules: &Rules<P>, first: &World, members: &FxHashSet<Fingerprint>) -> bool {
    let mut round = Round::begin(rules, first);
    let mut met = FxHashSet::from_iter([fingerprint(first)]);
    let (mut open, mut actions) = (vec![first.clone()], vec![]);
    while let Some(world) = open.pop() {
        actions.clear();
        rules.enabled(&world, &mut actions);
        for enabled in &actions {
            let next = rules.follow(&world, enabled);
            let print = fingerprint(&next);
            if members.contains(&print) {
                round.take(&enabled.action.choice, &next);
                if met.insert(print) {
                    open.push(next);
                }
            }
        }
        if round.is_fair() {
            return true;
        }
    }
    false
}

/// A walk from one world, and who has been kept waiting all the way.
pub(crate) struct Round<'a, P: Protocol> {
    rules: &'a Rules<P>,
    start: World,
    waiting: Vec<ChoiceOf<P>>,
}

impl<'a, P: Protocol> Round<'a, P> {
    pub(crate) fn begin(rules: &'a Rules<P>, start: &World) -> Self {
        Self { rules, start: start.clone(), waiting: waiting(rules, start) }
    }

    /// Makes a step, to a world.
    pub(crate) fn take(&mut self, choice: &ChoiceOf<P>, next: &World) {
        self.waiting.retain(|waits| waits != choice);
        if !self.is_fair() {
            let still = waiting(self.rules, next);
            self.waiting.retain(|waits| still.contains(waits));
        }
    }

    /// Whether a step to a world would serve somebody who has been waiting.
    fn is_helped_by(&self, choice: &ChoiceOf<P>, next: &World) -> bool {
        let still = waiting(self.rules, next);
        self.waiting.iter().any(|waits| waits == choice || !still.contains(waits))
    }

    /// Whether nobody is kept waiting.
    fn is_fair(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether it is back in its first world, and fair.
    pub(crate) fn closes_in(&self, world: &World) -> bool {
        self.is_fair() && self.start == *world
    }
}

/// What a fair run may not put off for ever: each signal's delivery, and each timer that would fire.
fn waiting<P: Protocol>(rules: &Rules<P>, world: &World) -> Vec<ChoiceOf<P>> {
    let mut enabled = vec![];
    rules.enabled(world, &mut enabled);
    let whole = enabled.into_iter().map(|enabled| enabled.action);
    let choices = whole.filter(|action| action.crash_after.is_none()).map(|action| action.choice);
    let mut waiting: Vec<_> = choices
        .filter(|choice| matches!(choice, Choice::Deliver { .. } | Choice::Timeout { .. }))
        .collect();
    let is_delivery = |choice: &ChoiceOf<P>| matches!(choice, Choice::Deliver { .. });
    let held_back = rules.environment().timers == Timers::Late && waiting.iter().any(is_delivery);
    if held_back && world.budgets()[Budget::Timeouts] > 0 {
        for node in (0..rules.environment().size()).map(NodeId) {
            let timers = rules.node(world, node).timers.iter();
            waiting.extend(timers.map(|timer| Choice::Timeout { node, timer: timer.clone() }));
        }
    }
    waiting
}

/// A lasso round the fair component that is nearest to the initial world. None if time runs out.
fn throw<P: Protocol>(
    rules: &Rules<P>,
    done: &FxHashSet<Fingerprint>,
    fair: &FxHashMap<Fingerprint, Fingerprint>,
    limits: Limits,
) -> Option<Lasso<P::Timer>> {
    let deadline = limits.deadline();
    let initial = rules.initial();
    let stem = if fair.contains_key(&fingerprint(&initial)) {
        vec![]
    } else {
        let caught = |_: &ActionOf<P>, next: &World| fair.contains_key(&fingerprint(next));
        shortest(rules, &initial, in_time(deadline), |print, _| done.contains(&print), caught)?
    };
    let start = stem.last().map_or(&initial, |(_, world)| world);
    let component = fair.get(&fingerprint(start));
    let turn = turn(rules, start, deadline, |print| fair.get(&print) == component)?;

    let loop_from = stem.len();
    let run = stem.into_iter().chain(turn).map(|(action, _)| action).collect();
    Some(Lasso { run, loop_from })
}

/// A fair walk from a world through its component and back: always to the nearest world or step that
/// serves somebody who has been waiting. Short, though not always a shortest one.
fn turn<P: Protocol>(
    rules: &Rules<P>,
    start: &World,
    deadline: Option<Instant>,
    belongs: impl Fn(Fingerprint) -> bool,
) -> Option<Vec<Taken<P>>> {
    let mut round = Round::begin(rules, start);
    let mut taken: Vec<Taken<P>> = vec![];
    loop {
        let here = taken.last().map_or(start, |(_, world)| world);
        if !taken.is_empty() && round.closes_in(here) {
            return Some(taken);
        }
        let there = |action: &ActionOf<P>, next: &World| {
            if round.is_fair() { next == start } else { round.is_helped_by(&action.choice, next) }
        };
        let leg = shortest(rules, here, in_time(deadline), |print, _| belongs(print), there)?;
        for (action, world) in &leg {
            round.take(&action.choice, world);
        }
        taken.extend(leg);
    }
}
