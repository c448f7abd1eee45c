//! The scenarios find what they expect, exhaustively and at random.

use interrex_models::{
    explore::{sample::Schedules, search::Limits},
    verdict::scenario::Scenario,
};

fn scenarios() -> Vec<Scenario> {
    let scenarios = Scenario::read_all(&my_election::protocols(), "scenarios".as_ref());
    scenarios.expect("scenarios that can be read")
}

#[test]
fn every_scenario_is_as_expected() {
    for scenario in scenarios() {
        let report = scenario.harness().check(&scenario, None, Limits::default(), &mut |_| {});
        report.assert_as_expected();
    }
}

#[test]
fn random_schedules_violate_nothing_else() {
    for scenario in scenarios() {
        let schedules = Schedules { count: 500, ..Schedules::default() };
        scenario.harness().fuzz(&scenario, schedules, &mut |_| {}).assert_as_expected();
    }
}
