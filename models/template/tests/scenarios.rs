//! The scenarios find what they expect.

use interrex_models::{explore::search::Limits, verdict::scenario::Scenario};

#[test]
fn every_scenario_is_as_expected() {
    let scenarios = Scenario::read_all(&my_election::protocols(), "scenarios".as_ref());
    for scenario in scenarios.expect("scenarios that can be read") {
        let report = scenario.harness().check(&scenario, None, Limits::default(), &mut |_| {});
        report.assert_as_expected();
    }
}
