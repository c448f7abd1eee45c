//! The end of a run that stops where something is left to do.

use crate::{
    claim::property::Kind,
    evidence::trace::{Trace, TraceStep},
    model::{
        action::Choice,
        world::{EnabledOf, Rules, World},
    },
    protocol::Protocol,
};

/// The most steps that are added to a run. One that needs more may never settle.
const MOST: usize = 1000;

/// The same run, and after it always the first delivery or time-out that is possible, until settled properties are judged.
/// None if a step of the run is not possible, or that takes more than a thousand steps.
pub fn gone_on<P: Protocol>(rules: &Rules<P>, trace: &Trace) -> Option<Trace> {
    let mut rules = rules.anew();
    let mut world = rules.initial();
    for (recorded, step) in trace.steps.iter().zip(1..) {
        let (_, next) = rules.take(&world, &recorded.action().ok()?).ok()?;
        world = rules.forget_at(step, next);
    }
    let mut steps = trace.steps.clone();
    while rules.judged(&world, Kind::Settled).is_none() {
        let next = first(&rules, &world).filter(|_| steps.len() < trace.steps.len() + MOST)?;
        steps.push(TraceStep::of(&rules, &next));
        world = rules.follow(&world, &next);
    }
    Some(Trace { steps, ..trace.clone() })
}

/// The first action that a protocol takes by itself.
fn first<P: Protocol>(rules: &Rules<P>, world: &World) -> Option<EnabledOf<P>> {
    let mut actions = vec![];
    rules.enabled(world, &mut actions);
    let goes_on = |it: &EnabledOf<P>| {
        matches!(it.action.choice, Choice::Deliver { .. } | Choice::Timeout { .. })
            && it.action.crash_after.is_none()
    };
    actions.into_iter().find(goes_on)
}
