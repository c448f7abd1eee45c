//! The two engines find the same, and whatever a protocol has a notion for can be checked at once.

use interrex_models::{
    claim::property,
    explore::{
        search::{Finding, Findings, Limits, search_by},
        serial::Serial,
        stateright::Stateright,
    },
    model::{
        environment::{Budget, Start},
        world::Rules,
    },
    protocol::{
        Protocol,
        registry::{Known, gms3},
    },
    verdict::{check::check, outcome::Verdict, scenario::Scenario},
    with_protocol,
};
use std::{num::NonZeroU64, path::Path, sync::Arc};

fn scenarios() -> impl Iterator<Item = Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let scenarios = Scenario::read_all(&folder).expect("scenarios that can be read");
    scenarios.into_iter().filter(|scenario| scenario.states.is_some_and(|states| states < 20_000))
}

/// All that a search says, but the name of its engine.
fn content<P: Protocol>(findings: Findings<P>) -> String {
    format!("{:#?}", Findings { engine: "", ..findings })
}

fn both<P: Protocol>(protocol: P, scenario: &Scenario, limits: Limits) -> [Findings<P>; 2] {
    let rules = Arc::new(Rules::new(protocol, scenario.environment.clone()));
    let properties: Vec<_> = scenario.properties.iter().map(|(property, _)| *property).collect();
    let own = search_by(&Serial, &rules, &properties, limits, &mut |_| {});
    let theirs = search_by(&Stateright, &rules, &properties, limits, &mut |_| {});
    assert_eq!([own.engine, theirs.engine], ["serial", "stateright"]);
    [own, theirs]
}

/// Counts, depth, verdicts, counterexamples.
#[test]
fn both_engines_find_the_same() {
    let mut violated = 0;
    for scenario in scenarios() {
        let known: Known = scenario.protocol.parse().expect("a protocol");
        with_protocol!(known, &scenario.environment, protocol => {
            let [own, theirs] = both(protocol, &scenario, Limits::default());
            let is_violated = |finding: &&Finding<_>| finding.counterexample.is_some();
            violated += own.properties.iter().filter(is_violated).count();
            assert_eq!(content(own), content(theirs), "{}", scenario.name);
        });
    }
    assert!(violated > 50, "{violated}");
}

/// Wherever a limit falls.
#[test]
fn both_engines_find_the_same_up_to_a_limit() {
    let scenario = Scenario::builder()
        .nodes(3)
        .start(Start::Joined)
        .budget(Budget::Commands, 2)
        .budget(Budget::Crashes, 2)
        .property(&property::VALIDITY)
        .property(&property::NOBODY_STOPPED)
        .build()
        .expect("it fits");
    for most in (1..=4336).step_by(289) {
        let limits = Limits { max_states: NonZeroU64::new(most), ..Limits::default() };
        let [own, theirs] = both(gms3(), &scenario, limits);
        assert_eq!(own.complete, most >= 4335, "{most}");
        assert_eq!(content(own), content(theirs), "{most}");
    }
}

/// A world beyond the bound is no world, not even the first.
#[test]
fn both_engines_leave_out_what_is_beyond_a_bound() {
    let known = Known::GenLeader2007;
    let scenario = Scenario::builder()
        .protocol(known.name())
        .nodes(2)
        .start(Start::Joined)
        .budget(Budget::Crashes, 1)
        .bound("elections", 0)
        .property(&property::SINGLE_LEADER)
        .build()
        .expect("it fits");
    with_protocol!(known, &scenario.environment, protocol => {
        let [own, theirs] = both(protocol, &scenario, Limits::default());
        assert_eq!((own.complete, own.states, own.depth), (true, 0, Some(0)));
        assert_eq!(content(own), content(theirs));
    });
}

#[test]
fn every_property_there_is_can_be_checked_at_once() {
    let builder = Scenario::builder().nodes(2).start(Start::Joined).budget(Budget::Commands, 1);
    let builder =
        property::ALL.iter().fold(builder, |builder, property| builder.property(property));
    let scenario = builder.build().expect("it fits");
    for threads in [1, 2] {
        let limits = Limits { threads, ..Limits::default() };
        let report = check(gms3(), &scenario, limits, &mut |_| {});
        assert_eq!(report.properties.len(), property::ALL.len());
        let last = report.properties.last().expect("a property");
        assert_eq!((last.name, last.verdict), ("no-livelock", Verdict::Holds));
    }
}
