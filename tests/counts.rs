//! The numbers of worlds are those of an independent re-implementation of SEMANTICS.md.

#[allow(dead_code, unreachable_pub, clippy::pedantic, reason = "a program of its own")]
mod reference;

use interrex_models::{
    environment::{Budget, Environment, Start, Timers},
    registry::gms3,
    scenario::Scenario,
    search::{Limits, search},
    world::Rules,
};
use reference::{Counts, Group};
use std::{path::Path, sync::Arc};

/// What we count, on one thread; the depth is not known on more.
fn ours(group: Group, threads: usize) -> (Counts, Option<usize>) {
    let start = match group.start {
        reference::Start::Joined => Start::Joined,
        reference::Start::Joining => Start::Joining,
    };
    let timers = match group.timers {
        reference::Timers::Late => Timers::Late,
        reference::Timers::Any => Timers::Any,
    };
    let mut budgets = vec![
        (Budget::Commands, group.commands),
        (Budget::Timeouts, group.timeouts),
        (Budget::Crashes, group.crashes),
    ];
    if start == Start::Joining {
        budgets.push((Budget::Starts, group.starts));
    }
    let nodes = u16::try_from(group.nodes).expect("few nodes");
    let given = budgets.into_iter().collect();
    let environment = Environment::new(nodes, start, timers, &given).expect("it fits");
    let rules = Arc::new(Rules::new(gms3(), environment));
    let limits = Limits { threads, ..Limits::default() };
    let findings = search(&rules, &[], limits, &mut |_| {});
    assert!(findings.complete);
    let counts = Counts {
        states: usize::try_from(findings.states).expect("few worlds"),
        transitions: usize::try_from(findings.transitions).expect("few transitions"),
        depth: findings.depth.unwrap_or_default(),
        settled: usize::try_from(findings.settled).expect("few worlds"),
    };
    (counts, findings.depth)
}

fn assert_equal(group: Group) {
    let theirs = group.explore();
    assert_eq!(ours(group, 1), (theirs, Some(theirs.depth)), "{group:?}, one thread");
    let without_depth = Counts { depth: 0, ..theirs };
    assert_eq!(ours(group, 2), (without_depth, None), "{group:?}, two threads");
}

#[test]
fn joined_groups_have_as_many_worlds_as_the_reference_counts() {
    for (nodes, commands, crashes) in [
        (1, 2, 1),
        (2, 1, 1),
        (2, 3, 2),
        (3, 0, 2),
        (3, 2, 2),
        (3, 3, 0),
        (3, 3, 2),
        (4, 2, 2),
        (5, 1, 1),
    ] {
        assert_equal(Group::joined(nodes, commands, crashes));
    }
}

#[test]
fn joining_groups_have_as_many_worlds_as_the_reference_counts() {
    for (nodes, commands, crashes) in
        [(1, 1, 1), (2, 0, 0), (2, 1, 1), (3, 0, 1), (3, 1, 2), (3, 2, 1), (3, 2, 2), (4, 0, 1)]
    {
        assert_equal(Group::joining(nodes, commands, crashes));
    }
}

#[test]
fn timers_at_any_time_and_other_budgets_are_counted_alike() {
    let joining = Group::joining(3, 1, 1);
    assert_equal(Group { timers: reference::Timers::Any, ..joining });
    assert_equal(Group { timers: reference::Timers::Any, timeouts: 1, ..joining });
    assert_equal(Group { starts: 1, timeouts: 0, ..joining });
    assert_equal(Group { timeouts: 1, crashes: 2, ..joining });
}

fn scenarios(nightly: bool) -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/gms3");
    let scenarios = Scenario::read_all(&folder).expect("scenarios that can be read");
    scenarios.into_iter().filter(|scenario| scenario.nightly == nightly).collect()
}

/// What a scenario pins, against the reference.
fn assert_pinned_as_the_reference_counts(scenario: &Scenario) {
    let Environment { nodes, start, timers, budgets, .. } = scenario.environment;
    let group = Group {
        nodes: nodes.into(),
        start: match start {
            Start::Joined => reference::Start::Joined,
            Start::Joining => reference::Start::Joining,
            Start::Idle => panic!("the reference knows no such groups"),
        },
        timers: match timers {
            Timers::Late => reference::Timers::Late,
            Timers::Any => reference::Timers::Any,
        },
        starts: budgets[Budget::Starts],
        commands: budgets[Budget::Commands],
        timeouts: budgets[Budget::Timeouts],
        crashes: budgets[Budget::Crashes],
    };
    let states = u64::try_from(group.explore().states).expect("few worlds");
    assert_eq!(scenario.states, Some(states), "{}", scenario.name);
}

#[test]
fn every_scenario_pins_as_many_worlds_as_the_reference_counts() {
    for scenario in scenarios(false) {
        assert_pinned_as_the_reference_counts(&scenario);
    }
}

#[test]
#[ignore = "nightly: `cargo test --release -- --ignored`"]
fn every_nightly_scenario_pins_as_many_worlds_as_the_reference_counts() {
    for scenario in scenarios(true) {
        assert_pinned_as_the_reference_counts(&scenario);
    }
}

/// Counted by hand, action by action, from SEMANTICS.md.
#[test]
fn two_members_with_one_command_and_one_crash_have_29_worlds() {
    assert_eq!(ours(Group::joined(2, 1, 1), 1).0.states, 29);
}
