//! Every scenario that is not nightly, explored exhaustively: the verdicts, the steps of shortest
//! counterexamples and the numbers of worlds are the pinned ones.

use interrex_models::{
    claim::property::{self, Kind},
    explore::{
        audit::Lives,
        coverage::{Entry, Unreachable},
        search::Limits,
        stop::Stop,
    },
    model::environment::{Budget, Start},
    protocol::registry::{built_in, gms3},
    verdict::{
        check::{Report, check},
        outcome::{Comparison, Expected, Verdict},
        scenario::{Builder, Scenario},
    },
};
use rayon::prelude::*;
use std::{
    cmp::Reverse,
    num::NonZeroU64,
    path::{Path, PathBuf},
    time::Duration,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// The largest first: so several threads end at about the same time.
fn scenarios() -> Vec<Scenario> {
    let mut scenarios =
        Scenario::read_all(built_in(), &folder()).expect("scenarios that can be read");
    scenarios.sort_by_key(|scenario| Reverse(scenario.states));
    scenarios
}

fn explore(scenario: &Scenario, limits: Limits) -> Report {
    scenario.harness().check(scenario, None, limits, &mut |_| {})
}

fn scenario(
    commands: u32,
    crashes: u32,
    properties: &[(&'static property::Property, Expected)],
) -> Scenario {
    let builder = Scenario::builder()
        .protocol(built_in()["gms3"])
        .nodes(3)
        .start(Start::Joined)
        .budget(Budget::Commands, commands)
        .budget(Budget::Crashes, crashes);
    let expect = |builder: Builder, row: &(&'static property::Property, Expected)| {
        builder.expect(row.0, row.1)
    };
    properties.iter().fold(builder, expect).build().expect("it fits")
}

/// A protocol that is broken may have worlds without end: one more than the pinned ones tells.
fn pinned(scenario: &Scenario) -> Limits {
    Limits { max_states: scenario.states.and_then(NonZeroU64::new), ..Limits::default() }
}

fn everyday() -> Vec<Scenario> {
    scenarios().into_iter().filter(|scenario| !scenario.nightly).collect()
}

/// Checks the scenarios of a protocol. `check --coverage --twice NAME` does the same, and adds digests.
fn assert_as_expected(protocol: &str) {
    let of_it = |scenario: &Scenario| scenario.protocol.is_some_and(|it| it.name() == protocol);
    let checked = |scenario: &Scenario| {
        let harness = scenario.harness();
        harness.check(scenario, None, pinned(scenario), &mut |_| {}).assert_as_expected();
        let difference = harness.recompute(Lives::Same);
        assert!(difference.is_none(), "{}: {difference:?}", scenario.name);
        // It takes long, and what a machine makes up it makes up in small worlds, too.
        if scenario.states < Some(50_000) {
            let difference = harness.recompute(Lives::Elsewhere);
            assert!(difference.is_none(), "{}: {difference:?}", scenario.name);
        }
        harness.coverage()
    };
    let scenarios = everyday().into_iter().filter(of_it);
    let coverages: Vec<_> = scenarios.par_bridge().map(|scenario| checked(&scenario)).collect();
    let merged = coverages.into_iter().reduce(|mut all, more| {
        all.merge(more);
        all
    });
    let merged = merged.expect("scenarios");
    let unreachable = Unreachable::read(&folder(), &merged).expect("a list");
    let account = merged.account(&unreachable);
    let places = |entries: &mut dyn Iterator<Item = &Entry>| {
        entries.map(|entry| entry.place.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(places(&mut account.unreached()), [""; 0], "unreached");
    assert_eq!(places(&mut account.stale()), [""; 0], "reached, listed");
}

/// A test for each protocol: somebody who changes one can run its test only.
macro_rules! protocols {
    ($($name:ident)*) => {
        const TESTED: &[&str] = &[$(stringify!($name)),*];

        mod every_scenario_is_as_expected_twice_and_together_they_reach_everything {
            $(
                #[test]
                fn $name() {
                    super::assert_as_expected(stringify!($name));
                }
            )*
        }
    };
}
protocols!(group group_any gms3 gms2 gen_leader_1_0 gen_leader_2007 gen_leader);

#[test]
fn no_protocol_is_left_out() {
    let names: Vec<_> = built_in().all().iter().map(|known| known.name()).collect();
    assert_eq!(names, TESTED);
}

/// A settled property says nothing about a run that goes round for ever.
#[test]
fn every_scenario_that_judges_settled_worlds_looks_for_livelocks_too() {
    for scenario in scenarios() {
        let judges = |kind| scenario.properties.iter().any(|(property, _)| property.kind == kind);
        assert!(judges(Kind::Fair) || !judges(Kind::Settled), "{}", scenario.name);
    }
}

#[test]
fn two_threads_find_what_one_thread_finds() {
    let small = |scenario: &Scenario| scenario.states <= Some(100_000);
    for scenario in &everyday().into_iter().filter(small).collect::<Vec<_>>() {
        let [one, two] =
            [1, 2].map(|threads| explore(scenario, Limits { threads, ..pinned(scenario) }));
        two.assert_as_expected();
        let counterexamples = |report: Report| -> Vec<_> {
            report.properties.into_iter().map(|row| row.counterexample).collect()
        };
        assert_eq!(counterexamples(one), counterexamples(two), "{}", scenario.name);
    }
}

#[test]
fn a_search_that_was_cut_short_never_says_that_anything_holds() {
    let limits = Limits { max_states: NonZeroU64::new(40), ..Limits::default() };
    let scenario = scenario(2, 2, &[(&property::SINGLE_LEADER, Expected::Holds)]);
    let report = explore(&scenario, limits);
    assert!(!report.complete);
    assert_eq!(report.properties[0].verdict, Verdict::Unknown);
    assert_eq!(report.comparison(), Comparison::Cut);
}

#[test]
fn a_search_that_ran_out_of_time_says_so() {
    let limits = Limits { stop: Stop::after(Duration::ZERO), ..Limits::default() };
    let scenario = scenario(2, 2, &[(&property::SINGLE_LEADER, Expected::Holds)]);
    assert_eq!(explore(&scenario, limits).comparison(), Comparison::Cut);
}

#[test]
fn a_violation_found_before_the_cut_stands_and_an_expected_one_that_is_not_reached_is_unknown() {
    let expected = [
        (&property::NOBODY_STOPPED, Expected::Violated(6)),
        (&property::VALIDITY, Expected::Violated(4)),
    ];
    let limits = |most| Limits { max_states: NonZeroU64::new(most), ..Limits::default() };
    let early = explore(&scenario(2, 2, &expected), limits(30));
    assert!(early.properties.iter().all(|row| row.verdict == Verdict::Unknown));
    let late = explore(&scenario(2, 2, &expected), limits(4000));
    assert!(
        late.properties.iter().all(|row| row.verdict == Verdict::Violated && row.steps.is_some())
    );
    assert_eq!(late.comparison(), Comparison::Cut);
}

/// Wherever the limit falls, in the first pass, in the second, or while a path is rebuilt.
#[test]
fn a_limit_anywhere_is_survived_and_what_is_found_is_shortest() {
    let shortest = [
        (&property::VALIDITY, Expected::Violated(4)),
        (&property::TOTAL_ORDER_UNIFORM, Expected::Violated(6)),
        (&property::NOBODY_STOPPED, Expected::Violated(6)),
        (&property::LEADER_EXISTS, Expected::Holds),
    ];
    for most in (1..4335).step_by(61) {
        let limits = Limits { max_states: NonZeroU64::new(most), ..Limits::default() };
        let report = explore(&scenario(2, 2, &shortest), limits);
        assert_eq!(report.comparison(), Comparison::Cut, "{most}");
        assert_eq!(report.properties[3].verdict, Verdict::Unknown);
        for row in &report.properties {
            assert!(row.steps.is_none() || row.steps == row.more.expected_steps, "{most}: {row}");
        }
    }
}

#[test]
fn more_worlds_than_expected_differ_even_if_the_search_was_cut_short() {
    let limits = Limits { max_states: NonZeroU64::new(400), ..Limits::default() };
    let mut scenario = scenario(2, 2, &[(&property::SINGLE_LEADER, Expected::Holds)]);
    scenario.states = Some(100);
    assert_eq!(explore(&scenario, limits).comparison(), Comparison::Differs);
}

#[test]
fn a_limit_that_is_not_reached_changes_nothing() {
    let exactly = Limits { max_states: NonZeroU64::new(4335), ..Limits::default() };
    let report = explore(&scenario(2, 2, &[(&property::SINGLE_LEADER, Expected::Holds)]), exactly);
    assert_eq!((report.complete, report.states), (true, 4335));
    report.assert_as_expected();
}

#[test]
fn without_a_crash_leadership_is_never_exercised() {
    let scenario = scenario(2, 0, &[(&property::SINGLE_LEADER, Expected::Unwitnessed)]);
    explore(&scenario, Limits::default()).assert_as_expected();
}

#[test]
fn a_counterexample_that_has_vanished_and_one_of_another_length_differ() {
    for (commands, expected) in
        [(2, Expected::Holds), (2, Expected::Violated(5)), (0, Expected::Violated(6))]
    {
        let scenario = scenario(commands, 2, &[(&property::NOBODY_STOPPED, expected)]);
        let report = explore(&scenario, Limits::default());
        assert_eq!(
            report.comparison(),
            Comparison::Differs,
            "{commands} commands, expected {expected}"
        );
    }
}

#[test]
fn another_number_of_worlds_differs() {
    let mut scenario = scenario(2, 2, &[(&property::SINGLE_LEADER, Expected::Holds)]);
    scenario.states = Some(4334);
    assert_eq!(explore(&scenario, Limits::default()).comparison(), Comparison::Differs);
}

#[test]
#[should_panic(expected = "without properties")]
fn a_scenario_without_properties_is_refused() {
    let some = scenario(1, 0, &[(&property::SINGLE_LEADER, Expected::Holds)]);
    let scenario = Scenario { properties: vec![], ..some };
    check(gms3(), &scenario, Limits::default(), &mut |_| {});
}

/// Whoever reads the output of a test that failed need not run the command to see why.
#[test]
fn a_verdict_that_a_test_does_not_expect_comes_with_the_run() {
    let report =
        explore(&scenario(1, 1, &[(&property::VALIDITY, Expected::Holds)]), Limits::default());
    let panic = std::panic::catch_unwind(|| report.assert_as_expected()).expect_err("it differs");
    let said = panic.downcast_ref::<String>().expect("a text");
    for part in [
        "no-lost-message-validity: violated in 5 steps; expected: holds\n",
        "the shortest run that violates no-lost-message-validity\n",
        "  Here: n1 sent n1.0 and never delivered it\n",
        "        n0          n1          n2\n",
        "command(mcast(n1.0))\n",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}
