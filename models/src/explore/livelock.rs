//! Livelocks: fair runs that never end, reported as lassos.
//!
//! Settled properties are judged in worlds where nothing is left to do. So they say nothing about a run that
//! never settles. Budgets are only spent and histories only grow, so such a run ends up in a cycle of steps
//! that cost nothing: deliveries, mostly. The cycle is *fair* if nothing waits all along it: each link is
//! empty somewhere or delivers, each timer is disarmed somewhere or fires. An unfair cycle is the scheduler's
//! fault and not the protocol's.
//!
//! Often a look at the steps that were taken shows that none of them can be part of a cycle: [`recurring`] says how. Then
//! it is proved that there is no livelock. Otherwise the worlds are searched.
//!
//! A cycle has a step that leads no farther from the initial world than it came from. The exploration, which
//! goes breadth first, notes the worlds to which such steps lead
//! ([`returns`](crate::explore::engine::Explored::returns)). Every cycle passes through one of them. So only
//! what can be reached from them is searched, and only by steps that cost nothing ([`Rules::can_recur`]) and are not
//! excluded already: mostly a small part of all worlds.
//!
//! The more worlds of a strongly connected component a cycle visits, the fewer choices wait all along it. So a
//! component has a fair cycle if, and only if, the cycle through all of it is fair. [`livelock`] looks at each
//! component, and makes a lasso of what it finds: a shortest *stem* to a world of a fair component, and from
//! there a short *cycle* back to that world.
//!
//! # Timers that wait
//!
//! A timer that cannot fire does not make a cycle unfair: its budget is spent, or to fire would change
//! nothing. A late timer that stays armed because there is always something to deliver does: it would fire in
//! the end, but the world of [`Timers::Late`] does not say what follows then.

pub mod recurring;

use crate::{
    claim::property::NO_LIVELOCK,
    explore::{
        breadth::{Fingerprint, Taken, fingerprint, shortest},
        engine::{Limits, Meter, Pass, Progress},
        judge::Judged,
        layers::survey,
    },
    model::{
        action::{Action, Choice, ChoiceOf},
        environment::{Budget, Timers},
        world::{EnabledOf, Rules, World, packed::Packed},
    },
    protocol::Protocol,
};
use interrex::machine::NodeId;
use recurring::Recurring;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use strum::Display;

/// The result of looking for livelocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Livelock<Timer> {
    /// The way in which it was found out.
    pub means: Means,
    /// Every reachable world has been visited.
    pub complete: bool,
    /// There is a fair cycle.
    pub exists: bool,
    /// A fair cycle and the path to it. None if there is none, or if a limit ended the search before the
    /// shortest stem was found.
    pub lasso: Option<Lasso<Timer>>,
}

/// The way in which it was found out whether there are livelocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, Serialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Means {
    /// No step that was taken can be part of a cycle. No world was visited for it.
    Proof,
    /// The worlds were searched for cycles.
    Search,
}

/// A run whose last step returns to an earlier world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasso<Timer> {
    /// The stem, then the cycle.
    pub run: Vec<Action<Timer>>,
    /// The number of actions of the stem.
    pub loop_from: usize,
}

/// Looks for a fair run that never ends.
pub fn livelock<P: Protocol>(
    rules: &Rules<P>,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Livelock<P::Timer> {
    let explored = survey(rules, &Judged::new(&[&NO_LIVELOCK]), limits, None, &mut |states| {
        progress(Progress { states, pass: Pass::Livelocks });
    });
    livelock_among(rules, explored.returns, explored.complete, limits, progress)
}

/// The same, after an exploration that was complete or not, and may have noted the worlds to which a step returned.
pub(crate) fn livelock_among<P: Protocol>(
    rules: &Rules<P>,
    returns: Option<Packed>,
    is_complete: bool,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
) -> Livelock<P::Timer> {
    // Of the steps that were not taken nothing is known.
    let recurring = is_complete.then(|| Recurring::of(rules));
    if recurring.as_ref().is_some_and(Recurring::is_empty) {
        return Livelock { means: Means::Proof, complete: true, exists: false, lasso: None };
    }
    let Some(returns) = returns else { return livelock(rules, limits, progress) };
    let mut components = Components::new(rules, recurring);
    let complete = components.visit_all(&returns, limits, progress) && is_complete;
    let fair = components.fair;
    let exists = !fair.is_empty();
    // If the search was cut short, a nearer one may have been missed.
    let lasso = if complete && exists { lasso(rules, &fair, limits) } else { None };
    Livelock { means: Means::Search, complete, exists, lasso }
}

/// The strongly connected components of worlds, by Tarjan's algorithm: depth first, with full worlds only on
/// the current path.
struct Components<'a, P: Protocol> {
    rules: &'a Rules<P>,
    /// The steps that are tried, if not all that can recur.
    recurring: Option<Recurring>,
    /// Worlds whose component is known.
    done: FxHashSet<Fingerprint>,
    /// Worlds whose component is not known yet, in the order of discovery.
    open: Vec<Fingerprint>,
    /// Their places in it.
    places: FxHashMap<Fingerprint, usize>,
    /// The current path, from a world to which a step returned.
    way: Vec<Stop>,
    /// The actions that are still to be tried on the path, the last stop's last.
    ahead: Vec<EnabledOf<P>>,
    /// The worlds of fair components, each with the representative of its component.
    fair: FxHashMap<Fingerprint, Fingerprint>,
}

/// A world on the path.
struct Stop {
    world: World,
    /// Its place among the open ones.
    place: usize,
    /// The first place that is known to be reached from here.
    back: usize,
    /// A step leads from here to here.
    is_cycle: bool,
    /// The number of actions that were still to be tried before this stop added its own.
    ahead: usize,
}

impl<'a, P: Protocol> Components<'a, P> {
    fn new(rules: &'a Rules<P>, recurring: Option<Recurring>) -> Self {
        Self {
            rules,
            recurring,
            done: FxHashSet::default(),
            open: vec![],
            places: FxHashMap::default(),
            way: vec![],
            ahead: vec![],
            fair: FxHashMap::default(),
        }
    }

    /// Visits every component that has a cycle; false if it was cut short.
    fn visit_all(
        &mut self,
        returns: &Packed,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> bool {
        let mut meter = Meter::new(limits);
        for world in (0..returns.len()).map(|nth| returns.get(nth)) {
            let print = fingerprint(&world);
            if !self.done.contains(&print) && !self.visit(print, world, &mut meter, progress) {
                return false;
            }
        }
        true
    }

    /// Visits what can be reached from a world; false if it was cut short.
    fn visit(
        &mut self,
        print: Fingerprint,
        world: World,
        meter: &mut Meter,
        progress: &mut dyn FnMut(Progress),
    ) -> bool {
        let mut entered = Some((print, world));
        loop {
            if let Some((print, world)) = entered.take() {
                let states = meter.expanded();
                if states.is_multiple_of(1 << 14) {
                    progress(Progress { states, pass: Pass::Livelocks });
                }
                if !meter.allows_another() {
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
                let is_excluded =
                    |step| self.recurring.as_ref().is_some_and(|it| !it.contains(step));
                if !self.rules.can_recur(&stop.world, &action)
                    || action.step().is_some_and(is_excluded)
                {
                    continue;
                }
                let next = self.rules.follow(&stop.world, &action);
                // Later searches stay among the worlds of this one.
                if !self.rules.is_within_bound(&next) {
                    continue;
                }
                let print = fingerprint(&next);
                if let Some(&place) = self.places.get(&print) {
                    stop.back = stop.back.min(place);
                    stop.is_cycle |= place == stop.place;
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
        self.way.push(Stop { world, place, back: place, is_cycle: false, ahead });
    }

    /// Goes back a step. A world that reaches no earlier one is the first of its component.
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
        if component.len() > 1 || stop.is_cycle {
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

/// True if the cycle through all of a component is fair. Its start does not matter.
fn is_fair<P: Protocol>(rules: &Rules<P>, first: &World, members: &FxHashSet<Fingerprint>) -> bool {
    let mut cycle = Cycle::begin(rules, first);
    let mut met = FxHashSet::from_iter([fingerprint(first)]);
    let (mut open, mut actions) = (vec![first.clone()], vec![]);
    while let Some(world) = open.pop() {
        actions.clear();
        rules.enabled(&world, &mut actions);
        for enabled in &actions {
            let next = rules.follow(&world, enabled);
            let print = fingerprint(&next);
            if members.contains(&print) {
                cycle.take(rules, &enabled.action.choice, &next);
                if met.insert(print) {
                    open.push(next);
                }
            }
        }
        if cycle.is_fair() {
            return true;
        }
    }
    false
}

/// A walk from one world, which may become a cycle, with the choices that have waited during all of its
/// steps.
pub(crate) struct Cycle<P: Protocol> {
    start: World,
    waiting: Vec<ChoiceOf<P>>,
}

impl<P: Protocol> Cycle<P> {
    pub(crate) fn begin(rules: &Rules<P>, start: &World) -> Self {
        Self { start: start.clone(), waiting: waiting(rules, start) }
    }

    /// Takes a step to a world.
    pub(crate) fn take(&mut self, rules: &Rules<P>, choice: &ChoiceOf<P>, next: &World) {
        self.waiting.retain(|waits| waits != choice);
        if !self.is_fair() {
            let still = waiting(rules, next);
            self.waiting.retain(|waits| still.contains(waits));
        }
    }

    /// True if less would wait after a step to this world.
    fn is_helped_by(&self, rules: &Rules<P>, choice: &ChoiceOf<P>, next: &World) -> bool {
        let still = waiting(rules, next);
        self.waiting.iter().any(|waits| waits == choice || !still.contains(waits))
    }

    /// True if nothing waits.
    fn is_fair(&self) -> bool {
        self.waiting.is_empty()
    }

    /// True if it is back in its first world, and fair.
    pub(crate) fn closes_in(&self, world: &World) -> bool {
        self.is_fair() && self.start == *world
    }
}

/// The choices that wait in a world: the delivery at each link, and each timer that would fire. A fair run
/// does not postpone any of them indefinitely.
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
    if held_back && rules.budgets(world)[Budget::Timeouts] > 0 {
        for node in (0..rules.environment().size()).map(NodeId) {
            let timers = rules.node(world, node).timers.iter();
            waiting.extend(timers.map(|timer| Choice::Timeout { node, timer: timer.clone() }));
        }
    }
    waiting
}

/// A lasso whose cycle is in the fair component that is nearest to the initial world. None if time runs
/// out.
fn lasso<P: Protocol>(
    rules: &Rules<P>,
    fair: &FxHashMap<Fingerprint, Fingerprint>,
    limits: Limits,
) -> Option<Lasso<P::Timer>> {
    let mut meter = Meter::new(Limits { max_states: None, ..limits });
    let initial = rules.initial();
    let stem = if fair.contains_key(&fingerprint(&initial)) {
        vec![]
    } else {
        let is_fair = |_: &EnabledOf<P>, next: &World| fair.contains_key(&fingerprint(next));
        let may_enter = |_, world: &_| rules.is_within_bound(world);
        shortest(rules, &initial, |_| meter.allows_another(), may_enter, is_fair)?
    };
    let start = stem.last().map_or(&initial, |(_, world)| world);
    let component = fair.get(&fingerprint(start));
    let cycle = cycle(rules, start, &mut meter, |print| fair.get(&print) == component)?;

    let loop_from = stem.len();
    let run = stem.into_iter().chain(cycle).map(|(action, _)| action).collect();
    Some(Lasso { run, loop_from })
}

/// A fair walk from a world through its component and back: always to the nearest world or step after
/// which less waits. Short, though not always a shortest one.
fn cycle<P: Protocol>(
    rules: &Rules<P>,
    start: &World,
    meter: &mut Meter,
    is_member: impl Fn(Fingerprint) -> bool,
) -> Option<Vec<Taken<P>>> {
    let mut cycle = Cycle::begin(rules, start);
    let mut taken: Vec<Taken<P>> = vec![];
    loop {
        let here = taken.last().map_or(start, |(_, world)| world);
        if !taken.is_empty() && cycle.closes_in(here) {
            return Some(taken);
        }
        let is_goal = |enabled: &EnabledOf<P>, next: &World| {
            if cycle.is_fair() {
                next == start
            } else {
                cycle.is_helped_by(rules, &enabled.action.choice, next)
            }
        };
        let may_enter = |print, _: &_| is_member(print);
        let leg = shortest(rules, here, |_| meter.allows_another(), may_enter, is_goal)?;
        for (action, world) in &leg {
            cycle.take(rules, &action.choice, world);
        }
        taken.extend(leg);
    }
}
