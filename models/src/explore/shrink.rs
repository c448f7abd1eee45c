//! Shrinking: from a run that violates a property to a minimal one, of which no action can be left out.
//!
//! Two methods alternate until neither makes the run smaller. *Leaving out and weakening*, by delta
//! debugging: the run is tried without some of its actions, or with a weaker fault, and actions that have
//! become impossible are skipped. *Searching*, breadth first, for a shorter run to a violation of the same
//! property; in small worlds that is a shortest one. A run with fewer actions is smaller. Of two runs with
//! equally many actions, the one with weaker faults is smaller. Every step makes the run smaller and none
//! reads a clock, so the result is always the same. A search takes the trace's own environment first, then
//! the part of it that the run uses, and then that with one budget lowered by one. If the first two are too
//! large to be searched, the third may still give a smaller run.
//!
//! # The defect that it shows
//!
//! A property may be violated by several defects. The minimal run has the [symptom](Symptom) of the given one: its first
//! violation is of the same shape, and after a step of the same kind. Kinds of faults that the run does not have are not
//! admitted, even if its environment allows them: a shorter run with one of them would show another defect, too.
//!
//! # The environment of the minimal run
//!
//! The minimal run is kept in the weakest environment in which it is possible: each budget is the number that
//! the run uses. Settled properties are judged in that environment from the beginning, so that the kept trace
//! violates its property in its own environment. For a *settled* or a *fair* property the budget of time-outs
//! stays as it is: with fewer, a timer that can no longer fire would cause a violation, by the budget and
//! not by the protocol.
//!
//! # Lassos
//!
//! Only the stem of a lasso is shrunk action by action. The cycle is replaced as a whole, by one that
//! [`livelock`] finds, if that makes a shorter lasso and there are few enough worlds to search all of them.

use crate::{
    claim::property::{Kind, Property},
    evidence::trace::Trace,
    explore::{
        breadth::{Reached, shortest},
        engine::Limits,
        livelock::{Cycle, livelock},
        symptom::Symptom,
    },
    model::{
        action::{Action, ActionOf, Choice, spent},
        environment::{Budget, Environment, UNLIMITED},
        world::{EnabledOf, Rules, World},
    },
    protocol::Protocol,
};
use std::{iter, num::NonZeroU64};

/// The number of nodes and links, together, of the worlds that a search for a shorter run keeps: 300,000
/// worlds of four nodes. It is not a time, since the result must not depend on the machine.
const MOST_PARTS: u64 = 6_000_000;

fn most_worlds(environment: &Environment) -> u64 {
    let size = u64::from(environment.size());
    MOST_PARTS / (size + size * size)
}

/// Shrinks a trace that violates a property. In the result, no action can be left out, no fault can be
/// weakened, and the last step violates the property. None if the trace's schedule does not violate it.
/// Actions that are not possible, or that lead beyond the bound of its environment, are skipped.
///
/// Recorded effects are ignored. The returned trace has today's effects, and the smallest budgets that the
/// run needs. The cause is kept if the run is still the same. A trace that was shrunk before is returned as
/// it is.
///
/// ```
/// use interrex::machine::NodeId;
/// use interrex_models::{claim::property, evidence::trace::{Trace, TraceStep}, explore::shrink::shrink, model::{action::Choice, world::Rules}, protocol::registry};
///
/// let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../traces/gms3");
/// let path = format!("{folder}/no-lost-message-validity.joined-3-busy.json");
/// let mut trace = Trace::read(path.as_ref()).expect("a trace");
/// // A multicast that the violation does not need.
/// let action = Choice::Command { node: NodeId(2) };
/// trace.steps.insert(0, TraceStep { action, crash_after: None, effects: vec![] });
/// let mut rules = Rules::new(registry::gms3(), trace.environment.clone());
/// let shrunk = shrink(&mut rules, &trace, &property::VALIDITY).expect("a violation");
/// assert_eq!((trace.steps.len(), shrunk.steps.len()), (5, 4));
/// assert_eq!(shrunk.environment.budgets.to_string(), "commands 1, crashes 2");
/// ```
///
/// # Panics
/// If the rules are for an environment of another size.
pub fn shrink<P: Protocol>(
    rules: &mut Rules<P>,
    trace: &Trace,
    property: &'static Property,
) -> Option<Trace> {
    let before = rules.environment().clone();
    let environment = trace.environment.clone();
    rules.set_environment(environment.clone());
    let mut shrinking = Shrinking { rules, environment, property, symptom: None };
    let run = shrinking.first(trace).map(|run| {
        shrinking.symptom.clone_from(&run.symptom);
        shrinking.forbid_other_faults(&run);
        shrinking.minimal(run)
    });
    let shrunk = run.map(|run| shrinking.record(trace, &run));
    rules.set_environment(before);
    shrunk
}

/// The strength of the fault of an action. A crash within its step loses `lost` effects.
fn strength<Timer>(action: &Action<Timer>, lost: usize) -> usize {
    let is_fault = |budget: Budget| Budget::FAULTS.contains(&budget);
    match (&action.choice, action.crash_after) {
        (_, Some(_)) => 1 + lost,
        (Choice::Cut { side }, None) => side.nodes().count(),
        (choice, None) => usize::from(choice.budget().is_some_and(is_fault)),
    }
}

/// Weaker actions to try in place of one, the weakest first.
fn weaker<Timer: Clone>(action: &Action<Timer>, lost: usize) -> Vec<Action<Timer>> {
    let Action { choice, crash_after } = action;
    match (choice, crash_after) {
        (_, Some(k)) => {
            let crash = choice.node().map(|node| Choice::Crash { node });
            let instead = [choice.clone()].into_iter().chain(crash).map(Action::from);
            let later = (k + 1..k + lost).rev();
            let later = later.map(|k| Action { choice: choice.clone(), crash_after: Some(k) });
            instead.chain(later).collect()
        }
        // No fault, or one without a weaker form.
        (
            Choice::Start { .. }
            | Choice::Command { .. }
            | Choice::Deliver { .. }
            | Choice::Timeout { .. }
            | Choice::Crash { .. }
            | Choice::Restart { .. }
            | Choice::Drop { .. }
            | Choice::Duplicate { .. }
            | Choice::Overtake { .. }
            | Choice::Suspect { .. }
            | Choice::Heal,
            None,
        ) => vec![],
        (Choice::Cut { side }, None) => {
            side.smaller().map(|side| Choice::Cut { side }.into()).collect()
        }
    }
}

/// The rank of a choice on the way to a settled world: the lowest is taken first. None for a choice that does
/// not happen by itself.
fn settling_rank<Timer>(choice: &Choice<Timer>) -> Option<u8> {
    match choice {
        Choice::Heal => Some(0),
        Choice::Deliver { .. } => Some(1),
        Choice::Timeout { .. } => Some(2),
        Choice::Start { .. }
        | Choice::Command { .. }
        | Choice::Crash { .. }
        | Choice::Restart { .. }
        | Choice::Drop { .. }
        | Choice::Duplicate { .. }
        | Choice::Overtake { .. }
        | Choice::Suspect { .. }
        | Choice::Cut { .. } => None,
    }
}

/// A run that violates the property with its last step.
struct Run<P: Protocol> {
    actions: Vec<ActionOf<P>>,
    /// For each action the number of effects that a crash within its step loses.
    lost: Vec<usize>,
    /// The number of actions before the cycle; all of them, if there is none.
    stem: usize,
    /// The symptom of its last world; none if it is a lasso.
    symptom: Option<Symptom>,
}

impl<P: Protocol> Run<P> {
    /// The size, which is to become smaller.
    fn size(&self) -> (usize, usize) {
        let strengths = self.actions.iter().zip(&self.lost);
        (self.actions.len(), strengths.map(|(action, lost)| strength(action, *lost)).sum())
    }
}

/// A trace on its way to a smaller one. Between two steps of shrinking, the rules are those of the trace's
/// own environment.
struct Shrinking<'a, P: Protocol> {
    rules: &'a mut Rules<P>,
    environment: Environment,
    property: &'static Property,
    /// The symptom that stays; none before it is known, and for a lasso.
    symptom: Option<Symptom>,
}

/// The environments with one budget lowered by one. Time-outs stay as they are.
fn with_one_less(environment: &Environment) -> Vec<Environment> {
    let allowed = |budget: &Budget| environment.budgets[*budget] > 0;
    let budgets = Budget::ALL.into_iter().filter(|budget| *budget != Budget::Timeouts);
    let less = |budget: Budget| {
        let mut weaker = environment.clone();
        weaker.budgets[budget] -= 1;
        weaker
    };
    budgets.filter(allowed).map(less).collect()
}

/// A run in two parts: the stem, and the cycle if there is one.
type StemAndCycle<P> = (Vec<ActionOf<P>>, Vec<ActionOf<P>>);

impl<P: Protocol> Shrinking<'_, P> {
    /// The possible actions of a trace, up to the first violation.
    fn first(&mut self, trace: &Trace) -> Option<Run<P>> {
        let mut stem: Vec<_> =
            trace.steps.iter().filter_map(|step| step.action::<P::Timer>().ok()).collect();
        if self.property.kind != Kind::Fair {
            return self.attempt(stem, &[], 0);
        }
        // A cycle means nothing if a part of it is missing.
        let cycle = stem.split_off(trace.loop_from?.min(stem.len()));
        let run = self.attempt(stem, &cycle, 0)?;
        (run.actions.len() == trace.steps.len()).then_some(run)
    }

    /// Forbids the kinds of faults that a run does not have: a shorter run with one of them would show something else.
    fn forbid_other_faults(&mut self, run: &Run<P>) {
        let had = spent(&run.actions);
        for budget in Budget::FAULTS.iter().filter(|budget| had[**budget] == 0) {
            self.environment.budgets[*budget] = 0;
        }
        self.rules.set_environment(self.environment.clone());
    }

    /// The smallest run that is reached from a given one.
    fn minimal(&mut self, mut run: Run<P>) -> Run<P> {
        loop {
            let size = run.size();
            run = self.leave_out(run);
            run = self.weaken(run);
            if run.size() == size {
                match self.search(&run) {
                    Some(shorter) => run = shorter,
                    None => return run,
                }
            }
        }
    }

    /// Leaves out as much as possible: first halves, then smaller and smaller chunks, then single actions.
    fn leave_out(&mut self, mut run: Run<P>) -> Run<P> {
        let mut size = run.stem.div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < run.stem {
                let end = run.stem.min(at + size);
                let rest = [&run.actions[..at], &run.actions[end..run.stem]].concat();
                match self.smaller(&run, rest) {
                    Some(smaller) => run = smaller,
                    None => at += size,
                }
            }
            size /= 2;
        }
        run
    }

    /// Weakens faults where that is possible, one after the other.
    fn weaken(&mut self, mut run: Run<P>) -> Run<P> {
        let mut at = 0;
        while at < run.stem {
            let instead = weaker(&run.actions[at], run.lost[at]);
            let weakened = instead.into_iter().find_map(|action| {
                let mut stem = run.actions[..run.stem].to_vec();
                stem[at] = action;
                self.smaller(&run, stem)
            });
            match weakened {
                Some(weakened) => run = weakened,
                None => at += 1,
            }
        }
        run
    }

    /// Looks for a shorter run: in the trace's own environment, then with the budgets that the run needs,
    /// then with one of those lowered by one. A later environment may be small enough to search, or may
    /// settle, where an earlier one does not.
    fn search(&mut self, run: &Run<P>) -> Option<Run<P>> {
        let own = self.environment.clone();
        let left = self.lowered(&run.actions);
        let less = with_one_less(&left);
        let left = (left != own).then_some(left);
        iter::once(own).chain(left).chain(less).find_map(|environment| {
            let property = self.property;
            let look = |rules: &Rules<P>| look(rules, property, run);
            let (stem, cycle) = self.within(environment, look)?;
            self.attempt(stem, &cycle, 0).filter(|found| found.size() < run.size())
        })
    }

    /// A smaller run that takes these actions instead of the stem.
    fn smaller(&mut self, run: &Run<P>, stem: Vec<ActionOf<P>>) -> Option<Run<P>> {
        let attempt = self.attempt(stem, &run.actions[run.stem..], run.actions.len());
        attempt.filter(|attempt| attempt.size() < run.size())
    }

    /// The run that takes those of the wanted actions that are possible, and then the cycle, up to the first
    /// violation. If only settled worlds are judged, it continues towards one while it has fewer than `most`
    /// actions.
    fn attempt(
        &mut self,
        wanted: Vec<ActionOf<P>>,
        cycle: &[ActionOf<P>],
        most: usize,
    ) -> Option<Run<P>> {
        let mut wanted = wanted.into_iter();
        let mut run = Run { actions: vec![], lost: vec![], stem: 0, symptom: None };
        let mut world = self.rules.initial();
        run.symptom = Symptom::of(self.rules, self.property, None, &world);
        while run.symptom.is_none() {
            let next = wanted.by_ref().find_map(|action| self.step(&world, &action));
            let goes_on = self.property.kind == Kind::Settled && run.actions.len() < most;
            let next = next.or_else(|| if goes_on { self.settle(&world) } else { None });
            let Some((enabled, next)) = next else {
                return self.close_cycle(run, world, cycle);
            };
            run.symptom = Symptom::of(self.rules, self.property, Some(&enabled), &next);
            self.take(&mut run, &world, enabled);
            world = self.rules.forget_at(run.actions.len(), next);
        }
        run.stem = run.actions.len();
        (self.symptom.is_none() || self.symptom == run.symptom).then_some(run)
    }

    /// Adds a cycle to a run, if it is possible there, returns to its first world, and is fair.
    fn close_cycle(
        &self,
        mut run: Run<P>,
        mut world: World,
        actions: &[ActionOf<P>],
    ) -> Option<Run<P>> {
        if actions.is_empty() {
            return None;
        }
        run.stem = run.actions.len();
        let mut cycle = Cycle::begin(self.rules, &world);
        for action in actions {
            let (enabled, next) = self.step(&world, action)?;
            cycle.take(self.rules, &action.choice, &next);
            self.take(&mut run, &world, enabled);
            world = next;
        }
        cycle.closes_in(&world).then_some(run)
    }

    fn take(&self, run: &mut Run<P>, world: &World, enabled: EnabledOf<P>) {
        let whole = Action::from(enabled.action.choice.clone());
        let lost = enabled.action.crash_after.map_or(0, |k| {
            let whole = self.rules.find(world, &whole);
            whole.map_or(0, |whole| self.rules.effects(&whole).len() - k)
        });
        run.actions.push(enabled.action);
        run.lost.push(lost);
    }

    /// An action as an enabled one, and the world after it, if it is possible and within the bound.
    fn step(&self, world: &World, action: &ActionOf<P>) -> Option<(EnabledOf<P>, World)> {
        let (enabled, next) = self.rules.take(world, action).ok()?;
        self.rules.is_within_bound(&next).then_some((enabled, next))
    }

    /// The next step towards a settled world, if there is one.
    fn settle(&self, world: &World) -> Option<(EnabledOf<P>, World)> {
        let mut enabled = vec![];
        self.rules.enabled(world, &mut enabled);
        let whole = enabled.iter().filter(|enabled| enabled.action.crash_after.is_none());
        let steps =
            whole.filter_map(|enabled| Some((settling_rank(&enabled.action.choice)?, enabled)));
        let (_, first) = steps.min_by_key(|(rank, _)| *rank)?;
        self.step(world, &first.action)
    }

    /// The trace's environment with no more budget than a run uses.
    fn lowered(&self, actions: &[ActionOf<P>]) -> Environment {
        let mut budgets = spent(actions);
        let timeouts = self.environment.budgets[Budget::Timeouts];
        if timeouts == UNLIMITED || self.property.kind != Kind::Safety {
            budgets[Budget::Timeouts] = timeouts;
        }
        Environment { budgets, ..self.environment.clone() }
    }

    /// Calls `look` with the rules of another environment.
    fn within<T>(&mut self, environment: Environment, look: impl FnOnce(&Rules<P>) -> T) -> T {
        self.rules.set_environment(environment);
        let seen = look(self.rules);
        self.rules.set_environment(self.environment.clone());
        seen
    }

    fn record(&mut self, trace: &Trace, run: &Run<P>) -> Trace {
        let property = self.property.name;
        let mut shrunk = self.within(self.lowered(&run.actions), |rules| {
            Trace::record(rules, &trace.scenario, property, &run.actions)
        });
        shrunk.loop_from = (run.stem < run.actions.len()).then_some(run.stem);
        let schedule = |trace: &Trace| {
            let steps = trace.steps.iter().map(|step| (step.action.clone(), step.crash_after));
            (trace.loop_from, steps.collect::<Vec<_>>())
        };
        if schedule(trace) == schedule(&shrunk) {
            shrunk.cause.clone_from(&trace.cause);
        }
        shrunk
    }
}

/// A shortest run with fewer actions than another one, and with its symptom, or a short lasso.
fn look<P: Protocol>(
    rules: &Rules<P>,
    property: &Property,
    than: &Run<P>,
) -> Option<StemAndCycle<P>> {
    let most_worlds = most_worlds(rules.environment());
    if property.kind == Kind::Fair {
        let limits = Limits { max_states: NonZeroU64::new(most_worlds), ..Limits::default() };
        let mut lasso = livelock(rules, limits, &mut |_| ()).lasso?;
        let cycle = lasso.run.split_off(lasso.loop_from);
        return Some((lasso.run, cycle));
    }
    let most = than.actions.len();
    let run = shortest(
        rules,
        &rules.initial(),
        |reached| (reached.met() as u64) <= most_worlds && reached.next_depth() + 1 < most,
        |_, world| rules.is_within_bound(world),
        |enabled, world| match Symptom::of(rules, property, Some(enabled), world) {
            None => Reached::Way,
            found if found == than.symptom => Reached::Goal,
            Some(_) => Reached::DeadEnd,
        },
    );
    run.map(|run| (run.into_iter().map(|(action, _)| action).collect(), vec![]))
}
