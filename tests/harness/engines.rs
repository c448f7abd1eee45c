//! The two engines find the same, ours on any number of threads, and whatever a protocol has a notion for can be checked at once.

mod ours;

use interrex_models::{
    claim::{
        profile::Profile,
        property::{self, Group, Kind, Property, Scope},
    },
    explore::{
        layers::Layers,
        search::{Finding, Findings, Limits, search, search_by},
        stateright::Stateright,
    },
    model::{
        action::ActionOf,
        environment::{Budget, Start},
        world::{Rules, World},
    },
    protocol::{
        Protocol,
        registry::{built_in, gms3},
    },
    verdict::{check::check, outcome::Verdict, scenario::Scenario},
};
use ours::with_protocol;
use std::{collections::HashSet, num::NonZeroU64, path::Path, sync::Arc};

fn scenarios() -> impl Iterator<Item = Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let scenarios = Scenario::read_all(built_in(), &folder).expect("scenarios that can be read");
    scenarios.into_iter().filter(|scenario| scenario.states.is_some_and(|states| states < 20_000))
}

/// All that a search says, but the name of its engine.
fn content<P: Protocol>(findings: Findings<P>) -> String {
    format!("{:#?}", Findings { engine: "", ..findings })
}

fn both<P: Protocol>(protocol: P, scenario: &Scenario, limits: Limits) -> [Findings<P>; 2] {
    let rules = Arc::new(Rules::new(protocol, scenario.environment.clone()));
    let properties: Vec<_> = scenario.properties.iter().map(|(property, _)| *property).collect();
    let own = search_by(&Layers, &rules, &properties, limits, &mut |_| {});
    let theirs = search_by(&Stateright, &rules, &properties, limits, &mut |_| {});
    assert_eq!([own.engine, theirs.engine], ["layers", "stateright"]);
    [own, theirs]
}

/// Counts, depth, verdicts, counterexamples.
#[test]
fn both_engines_find_the_same() {
    let mut violated = 0;
    for scenario in scenarios() {
        let known = scenario.protocol.expect("a protocol");
        with_protocol!(known, &scenario.environment, protocol => {
            let [own, theirs] = both(protocol, &scenario, Limits::default());
            let is_violated = |finding: &&Finding<_>| finding.counterexample.is_some();
            violated += own.properties.iter().filter(is_violated).count();
            assert_eq!(content(own), content(theirs), "{}", scenario.name);
        });
    }
    assert!(violated > 50, "{violated}");
}

/// It makes no difference which thread takes which world, or in which order parts are first needed.
#[test]
fn any_number_of_threads_finds_the_same() {
    let larger = |scenario: &Scenario| scenario.states > Some(2_000);
    for scenario in scenarios().filter(larger) {
        let known = scenario.protocol.expect("a protocol");
        with_protocol!(known, &scenario.environment, protocol => {
            let properties: Vec<_> =
                scenario.properties.iter().map(|(property, _)| *property).collect();
            let rules = Rules::new(protocol, scenario.environment.clone());
            for max_states in [None, NonZeroU64::new(1_500)] {
                let found = |threads| {
                    let limits = Limits { threads, max_states, ..Limits::default() };
                    let rules = Arc::new(rules.anew());
                    content(search_by(&Layers, &rules, &properties, limits, &mut |_| {}))
                };
                let on_one = found(1);
                for threads in [2, 3] {
                    assert_eq!(found(threads), on_one, "{}: {threads} threads", scenario.name);
                }
            }
        });
    }
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

/// The steps to the nearest violation, and the fewest faults among the runs that are as short: layer by layer.
fn nearest<P: Protocol>(rules: &Rules<P>, property: &Property) -> Option<(usize, u32)> {
    let given = rules.environment().budgets;
    let faults = |world: &World| -> u32 {
        let left = rules.budgets(world);
        Budget::FAULTS.iter().map(|budget| given[*budget] - left[*budget]).sum()
    };
    let mut met = HashSet::from([rules.initial()]);
    let (mut layer, mut depth) = (vec![rules.initial()], 0);
    while !layer.is_empty() {
        let violated = layer.iter().filter(|world| rules.is_violated(world, property));
        if let Some(fewest) = violated.map(faults).min() {
            return Some((depth, fewest));
        }
        let follow = |world: &World| -> Vec<World> {
            let mut actions = vec![];
            rules.enabled(world, &mut actions);
            let next = actions.iter().map(|enabled| rules.follow(world, enabled));
            next.filter(|next| rules.is_within_bound(next)).collect()
        };
        layer = layer.iter().flat_map(follow).filter(|next| met.insert(next.clone())).collect();
        depth += 1;
    }
    None
}

/// The faults that a run names.
fn faults<P: Protocol>(_: &Rules<P>, run: &[ActionOf<P>]) -> u32 {
    let is_fault = |budget| Budget::FAULTS.contains(&budget);
    let of = |action: &ActionOf<P>| {
        let within = u32::from(action.crash_after.is_some());
        within + u32::from(action.choice.budget().is_some_and(is_fault))
    };
    run.iter().map(of).sum()
}

#[test]
fn of_the_shortest_runs_one_with_the_fewest_faults_is_found() {
    let mut compared = 0;
    for scenario in scenarios() {
        let known = scenario.protocol.expect("a protocol");
        with_protocol!(known, &scenario.environment, protocol => {
            let rules = Arc::new(Rules::new(protocol, scenario.environment.clone()));
            let properties: Vec<_> =
                scenario.properties.iter().map(|(property, _)| *property).collect();
            let own = search(&rules, &properties, None, Limits::default(), &mut |_| {});
            for finding in own.properties.iter().filter(|finding| finding.property.kind != Kind::Fair) {
                let found = finding.counterexample.as_ref();
                let found = found.map(|run| (run.len(), faults(&rules, run)));
                compared += u32::from(found.is_some());
                let name = (&scenario.name, finding.property.name);
                assert_eq!(found, nearest(&rules, finding.property), "{name:?}");
            }
        });
    }
    assert!(compared > 40, "{compared}");
}

/// A property that is [decided](Scope::Pair) on two nodes at a time says the same of all nodes together.
#[test]
fn what_is_judged_pair_by_pair_is_judged_as_it_is_on_all_nodes_together() {
    let of_pairs = |property: &&&Property| property.scope == Scope::Pair;
    let (mut judged, mut violated, mut witnessed) = (0, 0, 0);
    for scenario in scenarios() {
        let known = scenario.protocol.expect("a protocol");
        with_protocol!(known, &scenario.environment, protocol => {
            let rules = Rules::new(protocol, scenario.environment.clone());
            let mut met = HashSet::new();
            for world in worlds(&rules) {
                for property in property::ALL.iter().filter(of_pairs) {
                    let Some(subjects) = rules.judged(&world, property.kind) else { continue };
                    let handles: Vec<_> = rules.profiles(&world, subjects).collect();
                    let nodes: Vec<_> = handles.iter().map(|it| rules.profile(*it)).collect();
                    if nodes.len() < 2 || !met.insert((property.name, subjects.can_lead(), handles)) {
                        continue;
                    }
                    let pairs = || (0..nodes.len()).flat_map(|one| (0..one).map(move |other| (other, one)));
                    let can_lead = subjects.can_lead();
                    let judge = |nodes: &[&Profile]| {
                        let group = Group { nodes, can_lead };
                        (property.is_violated(group), property.is_witnessed(nodes))
                    };
                    let of_pairs = pairs().map(|(one, other)| judge(&[nodes[one], nodes[other]]));
                    let of_pairs =
                        of_pairs.fold((false, false), |all, it| (all.0 | it.0, all.1 | it.1));
                    let of_all = judge(&nodes);
                    assert_eq!(of_pairs, of_all, "{}: {}", scenario.name, property.name);
                    judged += 1;
                    violated += u32::from(of_all.0);
                    witnessed += u32::from(of_all.1);
                }
            }
        });
    }
    assert!(
        judged > 100_000 && violated > 100 && witnessed > 10_000,
        "{judged} {violated} {witnessed}"
    );
}

/// All worlds.
fn worlds<P: Protocol>(rules: &Rules<P>) -> Vec<World> {
    let (mut worlds, mut met) = (vec![rules.initial()], HashSet::from([rules.initial()]));
    let (mut at, mut actions) = (0, vec![]);
    while let Some(world) = worlds.get(at).cloned() {
        actions.clear();
        rules.enabled(&world, &mut actions);
        let next = actions.iter().map(|enabled| rules.follow(&world, enabled));
        let next = next.filter(|next| rules.is_within_bound(next));
        worlds.extend(next.filter(|next| met.insert(next.clone())));
        at += 1;
    }
    worlds
}

/// A world beyond the bound is no world, not even the first.
#[test]
fn both_engines_leave_out_what_is_beyond_a_bound() {
    let known = built_in()["gen_leader_2007"];
    let scenario = Scenario::builder()
        .protocol(known)
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
