//! The numbers of worlds are those of an independent re-implementation of SEMANTICS.md and of each protocol, and so are,
//! of elections, the verdicts.

#[allow(dead_code, unreachable_pub, clippy::pedantic, reason = "a program of its own")]
mod reference;

use interrex::gms2::Gms2;
use interrex_models::{
    claim::notion::Token,
    explore::search::{Limits, search},
    model::{
        environment::{Budget, Environment, Start, Storage, Timers, UNLIMITED},
        world::Rules,
    },
    protocol::{
        Protocol,
        registry::{self, built_in},
    },
    verdict::{
        check::check,
        outcome::{Expected, Verdict},
        scenario::{Builder, Scenario},
    },
};
use rayon::prelude::*;
use reference::{
    gen_leader::{self, Findings, PROPERTIES, v1_0::V1_0, v2007::V2007, world},
    gms3::{self, Counts, Group},
    group as own_group,
};
use std::{path::Path, sync::Arc};

/// Our counts, on one thread. The depth is not known on more.
fn ours(group: Group, threads: usize) -> Counts {
    let start = match group.start {
        gms3::Start::Joined => Start::Joined,
        gms3::Start::Joining => Start::Joining,
    };
    let timers = match group.timers {
        gms3::Timers::Late => Timers::Late,
        gms3::Timers::Any => Timers::Any,
    };
    let mut budgets = vec![
        (Budget::Commands, group.commands.into()),
        (Budget::Timeouts, group.timeouts.into()),
        (Budget::Crashes, group.crashes.into()),
    ];
    if start == Start::Joining {
        budgets.push((Budget::Starts, group.starts.into()));
    }
    let nodes = u16::try_from(group.nodes).expect("few nodes");
    let given = budgets.into_iter().collect();
    let environment = Environment::new(nodes, start, timers, &given).expect("it fits");
    match group.version {
        gms3::Version::Gms2 => count(Gms2::<Token>::default(), environment, threads),
        gms3::Version::Gms3 => count(registry::gms3(), environment, threads),
    }
}

fn count<P: Protocol>(protocol: P, environment: Environment, threads: usize) -> Counts {
    let rules = Arc::new(Rules::new(protocol, environment));
    let limits = Limits { threads, ..Limits::default() };
    let findings = search(&rules, &[], None, limits, &mut |_| {});
    assert!(findings.complete);
    Counts {
        states: usize::try_from(findings.states).expect("few worlds"),
        transitions: usize::try_from(findings.transitions).expect("few transitions"),
        depth: findings.depth.expect("our own engine knows it"),
        settled: usize::try_from(findings.settled).expect("few worlds"),
    }
}

fn assert_equal(group: Group) {
    let theirs = group.explore();
    for threads in [1, 2] {
        assert_eq!(ours(group, threads), theirs, "{group:?}, {threads} threads");
    }
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
fn groups_of_gms2_have_as_many_worlds_as_the_reference_counts() {
    let gms2 = |group| Group { version: gms3::Version::Gms2, ..group };
    for (nodes, commands, crashes) in [(2, 2, 1), (3, 2, 2), (3, 3, 2), (4, 1, 2)] {
        assert_equal(gms2(Group::joined(nodes, commands, crashes)));
    }
    for (nodes, commands, crashes) in [(2, 1, 1), (3, 1, 2), (3, 2, 1)] {
        assert_equal(gms2(Group::joining(nodes, commands, crashes)));
    }
}

#[test]
fn timers_at_any_time_and_other_budgets_are_counted_alike() {
    let joining = Group::joining(3, 1, 1);
    assert_equal(Group { timers: gms3::Timers::Any, ..joining });
    assert_equal(Group { timers: gms3::Timers::Any, timeouts: 1, ..joining });
    assert_equal(Group { starts: 1, timeouts: 0, ..joining });
    assert_equal(Group { timeouts: 1, crashes: 2, ..joining });
}

/// The reference's group in an environment.
fn group(environment: &Environment) -> Group {
    let Environment { nodes, workers: 0, start, timers, storage: _, budgets, bound: None } =
        *environment
    else {
        panic!("the reference knows no such groups")
    };
    Group {
        version: gms3::Version::Gms3,
        nodes: nodes.into(),
        start: match start {
            Start::Joined => gms3::Start::Joined,
            Start::Joining => gms3::Start::Joining,
            Start::Idle => panic!("the reference knows no such groups"),
        },
        timers: match timers {
            Timers::Late => gms3::Timers::Late,
            Timers::Any => gms3::Timers::Any,
        },
        starts: small(budgets[Budget::Starts]),
        commands: small(budgets[Budget::Commands]),
        timeouts: small(budgets[Budget::Timeouts]),
        crashes: small(budgets[Budget::Crashes]),
        restarts: small(budgets[Budget::Restarts]),
        drops: small(budgets[Budget::Drops]),
        duplicates: small(budgets[Budget::Duplicates]),
        overtakes: small(budgets[Budget::Overtakes]),
        suspicions: small(budgets[Budget::Suspicions]),
        cuts: small(budgets[Budget::Cuts]),
    }
}

/// A budget as the reference has it.
fn small(times: u32) -> u8 {
    if times == UNLIMITED { u8::MAX } else { times.try_into().expect("a small budget") }
}

/// Compares counts, and the steps to a violation of the properties that the reference judges.
fn assert_group_found_alike(nodes: u16, start: Start, budgets: &[(Budget, u32)]) {
    let builder = Scenario::builder().protocol(built_in()["gms3"]).nodes(nodes).start(start);
    let property = |name: &&str| built_in()["gms3"].property(name).expect("a property of groups");
    let builder = gms3::PROPERTIES.iter().map(property).fold(builder, Builder::property);
    let budget = |builder: Builder, budget: &(Budget, u32)| builder.budget(budget.0, budget.1);
    let scenario = budgets.iter().fold(builder, budget).build().expect("it fits");
    let report = check(registry::gms3(), &scenario, Limits::default(), &mut |_| {});
    let theirs = group(&scenario.environment).find();
    let counts = [theirs.counts.states, theirs.counts.transitions, theirs.counts.settled];
    assert_eq!(
        [report.states, report.transitions, report.settled],
        counts.map(|count| count as u64),
        "{}",
        scenario.name
    );
    assert_eq!(report.depth, Some(theirs.counts.depth), "{}", scenario.name);
    let steps: Vec<_> = report.properties.iter().map(|row| row.steps).collect();
    assert_eq!(steps, theirs.violations, "{}", scenario.name);
}

/// The environments that SEMANTICS.md adds to crashes and restarts.
const DISTURBANCES: [Budget; 5] =
    [Budget::Drops, Budget::Duplicates, Budget::Overtakes, Budget::Suspicions, Budget::Cuts];

/// Each disturbance twice, and each two of them once.
fn mixes() -> Vec<Vec<(Budget, u32)>> {
    let each = DISTURBANCES.iter().map(|budget| vec![(*budget, 2)]);
    let pairs = DISTURBANCES.iter().enumerate().flat_map(|(at, first)| {
        DISTURBANCES[at + 1..].iter().map(move |second| vec![(*first, 1), (*second, 1)])
    });
    each.chain(pairs).collect()
}

#[test]
fn every_disturbance_and_every_two_of_them_are_counted_alike_in_groups() {
    for mix in mixes() {
        for (nodes, start) in [(2, Start::Joined), (3, Start::Joined), (2, Start::Joining)] {
            let also = |more: &[(Budget, u32)]| [&mix, more].concat();
            assert_group_found_alike(nodes, start, &also(&[(Budget::Commands, 1)]));
            let faults = [(Budget::Commands, 1), (Budget::Crashes, 1), (Budget::Restarts, 1)];
            if nodes == 2 {
                assert_group_found_alike(nodes, start, &also(&faults));
            }
        }
    }
}

#[test]
fn all_faults_together_are_counted_alike_in_groups() {
    let all: Vec<_> = Budget::FAULTS.iter().map(|budget| (*budget, 1)).collect();
    assert_group_found_alike(2, Start::Joining, &all);
    assert_group_found_alike(2, Start::Joined, &[&all[..], &[(Budget::Commands, 1)]].concat());
    assert_group_found_alike(3, Start::Joined, &all[2..]);
    let restarts = [(Budget::Crashes, 2), (Budget::Restarts, 1)];
    assert_group_found_alike(3, Start::Joined, &[&restarts[..], &[(Budget::Commands, 1)]].concat());
    assert_group_found_alike(3, Start::Joining, &restarts);
}

#[test]
fn every_disturbance_and_every_two_of_them_go_as_in_the_reference_in_elections() {
    for mix in mixes() {
        let disturbed = |version, group, faults| {
            let calm = election(version, group, faults).bound("elections", 2);
            let calm =
                if version == GEN_LEADER_1_0 { election(version, group, faults) } else { calm };
            mix.iter().fold(calm, |election, (budget, times)| election.budget(*budget, *times))
        };
        assert_found_alike(disturbed(GEN_LEADER_1_0, [2, 0], [1, 1]));
        let tau = |election: Builder| election.unlimited_timeouts();
        assert_found_alike(tau(disturbed(GEN_LEADER_2007, [2, 0], [1, 0])));
        if !mix.iter().any(|(budget, _)| *budget == Budget::Cuts) {
            assert_found_alike(disturbed(GEN_LEADER_1_0, [2, 1], [0, 0]));
            assert_found_alike(tau(disturbed(GEN_LEADER_2007, [2, 1], [0, 0])));
        }
    }
    for budget in DISTURBANCES {
        assert_found_alike(election(GEN_LEADER_1_0, [3, 0], [0, 0]).budget(budget, 1));
        let of_2007 = election(GEN_LEADER_2007, [3, 0], [0, 0]).bound("elections", 2);
        assert_found_alike(of_2007.unlimited_timeouts().budget(budget, 1));
    }
}

/// The budgets of tau.
const TIMEOUTS: [u32; 4] = [0, 1, 2, UNLIMITED];

const GEN_LEADER_1_0: &str = "gen_leader_1_0";
const GEN_LEADER_2007: &str = "gen_leader_2007";

fn election(version: &str, [nodes, workers]: [u16; 2], [crashes, restarts]: [u32; 2]) -> Builder {
    let builder = Scenario::builder()
        .protocol(built_in()[version])
        .nodes(nodes)
        .workers(workers)
        .start(Start::Idle)
        .budget(Budget::Crashes, crashes)
        .budget(Budget::Restarts, restarts);
    let property =
        |name: &&str| built_in()[version].property(name).expect("a property of elections");
    PROPERTIES.iter().map(property).fold(builder, Builder::property)
}

fn version(scenario: &Scenario) -> &'static str {
    scenario.protocol.expect("a known protocol").name()
}

/// Our findings on an election.
fn our_findings(scenario: &Scenario) -> Findings {
    let report = scenario.harness().check(scenario, None, Limits::default(), &mut |_| {});
    assert!(report.complete);
    let violations = [0, 1, 2].map(|place| {
        let row = &report.properties[place];
        assert_eq!(row.name, PROPERTIES[place]);
        assert_eq!(row.verdict == Verdict::Violated, row.steps.is_some());
        row.steps
    });
    Findings {
        states: usize::try_from(report.states).expect("few worlds"),
        transitions: usize::try_from(report.transitions).expect("few transitions"),
        settled: usize::try_from(report.settled).expect("few worlds"),
        depth: report.depth.expect("one thread"),
        violations,
    }
}

/// The findings of the reference on it.
fn their_findings(scenario: &Scenario) -> Findings {
    let Environment { nodes, workers, start, timers, storage, budgets, bound } =
        &scenario.environment;
    assert_eq!((*start, *timers), (Start::Idle, Timers::Late), "the reference knows no others");
    assert_eq!(budgets[Budget::Commands], 0, "the reference knows none");
    let few = |number: u16| u8::try_from(number).expect("few nodes");
    let timeouts = budgets[Budget::Timeouts];
    let group = gen_leader::Group {
        lists: world::Lists { candidates: few(*nodes), workers: few(*workers) },
        budgets: world::Budgets {
            starts: small(budgets[Budget::Starts]),
            crashes: small(budgets[Budget::Crashes]),
            restarts: small(budgets[Budget::Restarts]),
            timeouts: (timeouts != UNLIMITED).then(|| small(timeouts)),
            drops: small(budgets[Budget::Drops]),
            duplicates: small(budgets[Budget::Duplicates]),
            overtakes: small(budgets[Budget::Overtakes]),
            suspicions: small(budgets[Budget::Suspicions]),
            cuts: small(budgets[Budget::Cuts]),
        },
        bound: bound.as_ref().map(|bound| u8::try_from(bound.most).expect("a small bound")),
        lost: *storage == Storage::Lost,
    };
    match version(scenario) {
        GEN_LEADER_1_0 => group.explore::<V1_0>(),
        GEN_LEADER_2007 => group.explore::<V2007>(),
        other => panic!("the reference knows no such elections: {other:?}"),
    }
}

fn assert_found_alike(builder: Builder) {
    let scenario = builder.build().expect("it fits");
    let (protocol, name) = (&scenario.protocol, &scenario.name);
    assert_eq!(our_findings(&scenario), their_findings(&scenario), "{protocol:?}, {name}");
}

#[test]
fn elections_of_1_0_go_as_in_the_reference() {
    for group in [[2, 0], [2, 1], [3, 0]] {
        for crashes in 0..=2 {
            assert_found_alike(election(GEN_LEADER_1_0, group, [crashes, 0]));
        }
    }
}

#[test]
fn elections_of_2007_go_as_in_the_reference() {
    for timeouts in TIMEOUTS {
        let election = |group, crashes| {
            election(GEN_LEADER_2007, group, [crashes, 0]).budget(Budget::Timeouts, timeouts)
        };
        for crashes in 0..=2 {
            assert_found_alike(election([2, 0], crashes));
            assert_found_alike(election([2, 1], crashes));
        }
        assert_found_alike(election([3, 0], 0));
        assert_found_alike(election([3, 1], 0));
    }
}

/// Without one, three candidates of which one crashes have no end of worlds.
#[test]
fn elections_go_as_in_the_reference_up_to_a_bound() {
    for timeouts in TIMEOUTS {
        for crashes in 1..=2 {
            let election = |group, elections| {
                let election = election(GEN_LEADER_2007, group, [crashes, 0]);
                election.budget(Budget::Timeouts, timeouts).bound("elections", elections)
            };
            assert_found_alike(election([2, 1], 1));
            for elections in 2..=3 {
                assert_found_alike(election([3, 0], elections));
            }
        }
    }
}

#[test]
fn elections_with_a_restart_go_as_in_the_reference() {
    for storage in [Storage::Kept, Storage::Lost] {
        for crashes in 1..=2 {
            for group in [[2, 0], [2, 1]] {
                let election = |version| election(version, group, [crashes, 1]).storage(storage);
                assert_found_alike(election(GEN_LEADER_1_0));
                for timeouts in TIMEOUTS {
                    assert_found_alike(
                        election(GEN_LEADER_2007).budget(Budget::Timeouts, timeouts),
                    );
                }
            }
        }
        // With three candidates it makes a difference what is stored.
        let three = election(GEN_LEADER_2007, [3, 0], [1, 1]).storage(storage);
        assert_found_alike(three.bound("elections", 2));
    }
}

#[test]
#[ignore = "nightly: `cargo test --release -- --ignored`"]
fn larger_elections_go_as_in_the_reference() {
    assert_found_alike(election(GEN_LEADER_1_0, [3, 0], [1, 1]));
    for crashes in 0..=1 {
        assert_found_alike(election(GEN_LEADER_1_0, [3, 1], [crashes, 0]));
    }
    for timeouts in TIMEOUTS {
        let election = |group, faults| {
            let election = election(GEN_LEADER_2007, group, faults);
            election.budget(Budget::Timeouts, timeouts).bound("elections", 2)
        };
        assert_found_alike(election([3, 1], [1, 0]));
        assert_found_alike(election([3, 0], [2, 1]));
        assert_found_alike(election([3, 0], [2, 1]).storage(Storage::Lost));
    }
}

/// The reference's group of our own protocol in an environment.
fn own_group(environment: &Environment) -> own_group::Group {
    let Environment {
        nodes,
        workers: 0,
        start,
        timers: Timers::Late,
        storage,
        budgets,
        bound: None,
    } = *environment
    else {
        panic!("the reference knows no such groups")
    };
    let timeouts = budgets[Budget::Timeouts];
    own_group::Group {
        nodes: nodes.try_into().expect("few nodes"),
        start: match start {
            Start::Joined => own_group::Start::Joined,
            Start::Joining => own_group::Start::Joining,
            Start::Idle => panic!("the reference knows no such groups"),
        },
        lost: storage == Storage::Lost,
        budgets: own_group::world::Budgets {
            starts: small(budgets[Budget::Starts]),
            commands: small(budgets[Budget::Commands]),
            timeouts: (timeouts != UNLIMITED).then(|| small(timeouts)),
            crashes: small(budgets[Budget::Crashes]),
            restarts: small(budgets[Budget::Restarts]),
            drops: small(budgets[Budget::Drops]),
            duplicates: small(budgets[Budget::Duplicates]),
            overtakes: small(budgets[Budget::Overtakes]),
            suspicions: small(budgets[Budget::Suspicions]),
            cuts: small(budgets[Budget::Cuts]),
        },
    }
}

/// Compares what is counted in a group of our own protocol, whose timers tick without end.
fn assert_own_group_counted_alike(
    nodes: u16,
    start: Start,
    storage: Storage,
    budgets: &[(Budget, u32)],
) {
    let protocol = built_in()["group"];
    let property = protocol.property("one-leader-per-term").expect("a property of groups");
    let builder = Scenario::builder().protocol(protocol).nodes(nodes).start(start).storage(storage);
    let budget = |builder: Builder, budget: &(Budget, u32)| builder.budget(budget.0, budget.1);
    let builder = budgets.iter().fold(builder.property(property).unlimited_timeouts(), budget);
    let scenario = builder.build().expect("it fits");
    let report = scenario.harness().check(&scenario, None, Limits::default(), &mut |_| {});
    assert!(report.complete);
    let theirs = own_group(&scenario.environment).explore();
    let counts = [theirs.states, theirs.transitions, theirs.settled].map(|count| count as u64);
    assert_eq!([report.states, report.transitions, report.settled], counts, "{}", scenario.name);
    assert_eq!(report.depth, Some(theirs.depth), "{}", scenario.name);
}

#[test]
fn every_disturbance_and_every_two_of_them_are_counted_alike_in_our_own_groups() {
    let alike = |nodes, start, budgets: &[(Budget, u32)]| {
        assert_own_group_counted_alike(nodes, start, Storage::Kept, budgets);
    };
    for mix in mixes() {
        let also = |more: &[(Budget, u32)]| [&mix, more].concat();
        alike(2, Start::Joined, &also(&[(Budget::Commands, 1)]));
        alike(2, Start::Joined, &also(&[(Budget::Crashes, 1), (Budget::Restarts, 1)]));
        alike(2, Start::Joining, &mix);
    }
    for budget in [Budget::Drops, Budget::Duplicates, Budget::Overtakes] {
        alike(3, Start::Joined, &[(budget, 1), (Budget::Commands, 1)]);
        alike(3, Start::Joined, &[(budget, 1), (Budget::Suspicions, 1)]);
    }
}

#[test]
fn our_own_groups_with_crashes_are_counted_alike() {
    let [commands, crashes, restarts] = [Budget::Commands, Budget::Crashes, Budget::Restarts];
    for storage in [Storage::Kept, Storage::Lost] {
        let alike = |nodes, start, budgets: &[(Budget, u32)]| {
            assert_own_group_counted_alike(nodes, start, storage, budgets);
        };
        alike(2, Start::Joined, &[(commands, 2), (crashes, 1), (restarts, 1)]);
        alike(2, Start::Joined, &[(crashes, 2), (restarts, 2)]);
        alike(2, Start::Joining, &[(crashes, 1), (restarts, 1), (Budget::Suspicions, 1)]);
    }
    let alike = |nodes, start, budgets: &[(Budget, u32)]| {
        assert_own_group_counted_alike(nodes, start, Storage::Kept, budgets);
    };
    alike(3, Start::Joining, &[]);
    alike(3, Start::Joining, &[(crashes, 2)]);
    alike(3, Start::Joined, &[(crashes, 1), (restarts, 1)]);
    alike(3, Start::Joined, &[(crashes, 1), (Budget::Suspicions, 1)]);
    alike(4, Start::Joined, &[(crashes, 2)]);
}

/// Counted by hand: a multicast of the leader goes forth, back, and forth again. One of the other has one more way.
#[test]
fn two_members_of_our_own_with_one_multicast_have_10_worlds() {
    let environment = Environment::new(
        2,
        Start::Joined,
        Timers::Late,
        &[(Budget::Commands, 1), (Budget::Timeouts, UNLIMITED)].into(),
    );
    assert_eq!(own_group(&environment.expect("it fits")).explore().states, 1 + 4 + 5);
}

fn scenarios() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    Scenario::read_all(built_in(), &folder).expect("scenarios that can be read")
}

/// The reference of group takes long for each world.
fn is_quick(scenario: &Scenario) -> bool {
    !scenario.nightly && (version(scenario) != "group" || scenario.states < Some(50_000))
}

/// Compares the pins of a scenario with the reference.
fn assert_pinned_as_in_the_reference(scenario: &Scenario) {
    let Environment { timers, budgets, .. } = scenario.environment;
    match version(scenario) {
        "gms3" => {
            let counts = group(&scenario.environment).explore();
            assert_states_pinned(scenario, counts.states);
        }
        // More would take it hours.
        "group" if scenario.states.is_some_and(|states| states <= 5_000_000) => {
            let counts = own_group(&scenario.environment).explore();
            assert_states_pinned(scenario, counts.states);
        }
        GEN_LEADER_1_0 | GEN_LEADER_2007 => {
            // The reference knows no others.
            let idle = scenario.environment.start == Start::Idle;
            if idle && timers == Timers::Late && budgets[Budget::Commands] == 0 {
                assert_election_pinned_as_in_the_reference(scenario);
            }
        }
        // There is no reference for the others, what is repaired among them.
        _ => {}
    }
}

fn assert_states_pinned(scenario: &Scenario, states: usize) {
    let states = u64::try_from(states).expect("few worlds");
    assert_eq!(scenario.states, Some(states), "{}", scenario.name);
}

fn assert_election_pinned_as_in_the_reference(scenario: &Scenario) {
    let findings = their_findings(scenario);
    assert_states_pinned(scenario, findings.states);
    for (name, steps) in PROPERTIES.iter().zip(findings.violations) {
        let pinned = scenario.properties.iter().find(|(property, _)| property.name == *name);
        if let Some((_, expected)) = pinned {
            let pinned = match expected {
                Some(Expected::Violated(steps)) => Some(*steps),
                Some(Expected::Holds | Expected::Unwitnessed | Expected::Anything) | None => None,
            };
            assert_eq!(pinned, steps, "{}: {name}", scenario.name);
        }
    }
}

#[test]
fn every_scenario_pins_what_the_reference_finds() {
    scenarios()
        .iter()
        .filter(|it| is_quick(it))
        .par_bridge()
        .for_each(assert_pinned_as_in_the_reference);
}

#[test]
#[ignore = "nightly: `cargo test --release -- --ignored`"]
fn every_large_scenario_pins_what_the_reference_finds() {
    for scenario in scenarios().iter().filter(|it| !is_quick(it)) {
        assert_pinned_as_in_the_reference(scenario);
    }
}

/// Counted by hand, action by action, from SEMANTICS.md.
#[test]
fn two_members_with_one_command_and_one_crash_have_29_worlds() {
    assert_eq!(ours(Group::joined(2, 1, 1), 1).states, 29);
}
