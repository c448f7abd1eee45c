//! Runs of very many steps, as those of production: they replay and shrink, and what is remembered of them on the way
//! does not grow with them.

use interrex::{gms3::Gms3, machine::NodeId};
use interrex_models::{
    claim::{
        notion::Token,
        property::{self, Property},
    },
    evidence::{
        replay::{Mode, Outcome, replay},
        trace::Trace,
    },
    explore::shrink::shrink,
    model::{
        action::{ActionOf, Choice},
        environment::{Budget, Environment, Start, Timers},
        world::Rules,
    },
    protocol::registry::gms3,
};

/// The number of steps. The walk through them is short work only if no step is long work.
const STEPS: usize = 20_000;

/// Three members multicast in turn, and everything arrives. In the end n1 multicasts once more, and n0 crashes: that
/// message is lost. (The counterexample of the README is a step shorter, by a second crash.)
fn long() -> Vec<ActionOf<Gms3<Token>>> {
    let [n0, n1, n2] = [0, 1, 2].map(NodeId);
    let deliver = |from, to| Choice::Deliver { from, to };
    let round = [
        vec![Choice::Command { node: n1 }, deliver(n1, n0), deliver(n0, n1), deliver(n0, n2)],
        vec![Choice::Command { node: n2 }, deliver(n2, n0), deliver(n0, n1), deliver(n0, n2)],
        vec![Choice::Command { node: n0 }, deliver(n0, n1), deliver(n0, n2)],
    ];
    let end = [
        vec![Choice::Command { node: n1 }, Choice::Crash { node: n0 }],
        // The new leader resends the last message, and shows its view.
        vec![deliver(n0, n1), deliver(n0, n2), deliver(n1, n2), deliver(n1, n2)],
    ];
    let many = round.concat().into_iter().cycle().take(STEPS - 6);
    many.chain(end.concat()).map(Into::into).collect()
}

fn environment() -> Environment {
    let budgets = [(Budget::Commands, 100_000), (Budget::Crashes, 1)].into();
    Environment::new(3, Start::Joined, Timers::Late, &budgets).expect("it fits")
}

fn recorded(property: &Property) -> Trace {
    Trace::record(&Rules::new(gms3(), environment()), "gms3/long", property.name, &long())
}

#[test]
fn a_run_of_many_steps_replays_and_what_is_remembered_on_the_way_is_bounded() {
    for property in [&property::VALIDITY, &property::SINGLE_LEADER] {
        let trace = recorded(property);
        assert_eq!(trace.steps.len(), STEPS);
        let outcome = replay(gms3(), &trace, property, Mode::Exact, None).outcome;
        match property.name {
            "single-leader" => assert_eq!(outcome, Outcome::NotViolated),
            _ => assert!(matches!(outcome, Outcome::Violated { after: STEPS, .. }), "{outcome:?}"),
        }
    }
}

#[test]
fn a_run_of_many_steps_is_shrunk_to_the_few_that_count() {
    let mut rules = Rules::new(gms3(), environment());
    let shrunk = shrink(&mut rules, &recorded(&property::VALIDITY), &property::VALIDITY);
    assert_eq!(shrunk.expect("a violation").steps.len(), 5);
    assert!(rules.taken().count() < 10_000, "{} steps are remembered", rules.taken().count());
}
