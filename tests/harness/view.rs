//! Worlds as content: what is written and read back, also by another process, is the same world.

mod ours;

use interrex::machine::NodeId;
use interrex_models::{
    model::{
        environment::{Budget, Environment, Start, Timers, UNLIMITED},
        view::{Digests, Portable},
        world::{Rules, World},
    },
    protocol::{
        Protocol,
        registry::{Known, built_in, gms3},
    },
};
use ours::with_protocol;
use serde_json::{Value, json};
use std::collections::HashSet;

fn environment(start: Start, budgets: &[(Budget, u32)]) -> Environment {
    Environment::new(2, start, Timers::Late, &budgets.iter().copied().collect()).expect("it fits")
}

/// A group of two in which everything can happen, twice at most.
fn of_everything(known: Known) -> Environment {
    let start = if known == built_in()["gms3"] { Start::Joined } else { Start::Idle };
    let mut budgets = vec![
        (Budget::Crashes, 1),
        (Budget::Duplicates, 1),
        (Budget::Suspicions, 1),
        (Budget::Cuts, 1),
    ];
    match start {
        Start::Idle => budgets.extend([(Budget::Starts, 2), (Budget::Timeouts, UNLIMITED)]),
        Start::Joined | Start::Joining => budgets.push((Budget::Commands, 2)),
    }
    environment(start, &budgets)
}

/// The worlds in the order in which they are met, up to so many.
fn worlds<P: Protocol>(rules: &Rules<P>, most: usize) -> Vec<World> {
    let (mut worlds, mut met) = (vec![rules.initial()], HashSet::from([rules.initial()]));
    let (mut expanded, mut actions) = (0, vec![]);
    while expanded < worlds.len() && worlds.len() < most {
        actions.clear();
        rules.enabled(&worlds[expanded], &mut actions);
        for enabled in &actions {
            let next = rules.follow(&worlds[expanded], enabled);
            if met.insert(next.clone()) {
                worlds.push(next);
            }
        }
        expanded += 1;
    }
    worlds
}

fn assert_carried<P: Protocol>(protocol: P, environment: Environment) {
    let here = Rules::new(protocol, environment);
    let there = here.anew();
    let (mut digests, mut digests_there) = (Digests::new(&here), Digests::new(&there));
    let worlds = worlds(&here, 3_000);
    let mut seen = HashSet::new();
    assert!(worlds.len() > 1000, "{} worlds", worlds.len());
    for world in &worlds {
        let portable = here.export(world);
        let text = serde_json::to_string(&portable).expect("it is JSON");
        let read: Portable<P> = serde_json::from_str(&text).expect("it can be read back");
        assert_eq!(read, portable);
        assert_eq!(here.import(&read).as_ref(), Ok(world));
        // Another process has other handles.
        let carried = there.import(&read).expect("a world");
        assert_eq!(there.export(&carried), portable);
        let digest = digests.world(world);
        assert_eq!(digests_there.world(&carried), digest);
        assert!(seen.insert(digest), "a digest of two worlds");
    }
}

#[test]
fn every_world_of_every_protocol_is_the_same_when_it_is_read_back() {
    for known in [
        built_in()["gms3"],
        built_in()["gen_leader_1_0"],
        built_in()["gen_leader_2007"],
        built_in()["gen_leader"],
    ] {
        let environment = of_everything(known);
        with_protocol!(known, &environment, protocol => assert_carried(protocol, environment.clone()));
    }
}

/// Handles differ with the order in which worlds are met; what a world is does not.
#[test]
fn a_world_that_is_carried_over_goes_on_in_the_same_way() {
    let here = Rules::new(gms3(), of_everything(built_in()["gms3"]));
    let there = here.anew();
    for world in worlds(&here, 500) {
        let carried = there.import(&here.export(&world)).expect("a world");
        let (mut ours, mut theirs) = (vec![], vec![]);
        here.enabled(&world, &mut ours);
        there.enabled(&carried, &mut theirs);
        assert_eq!(ours.len(), theirs.len());
        for (our, their) in ours.iter().zip(&theirs) {
            assert_eq!(our.action, their.action);
            let next = here.export(&here.follow(&world, our));
            assert_eq!(there.export(&there.follow(&carried, their)), next);
        }
    }
}

#[test]
fn what_cannot_be_a_world_is_refused() {
    let rules = Rules::new(gms3(), environment(Start::Joined, &[(Budget::Commands, 1)]));
    let portable = rules.export(&rules.initial());
    let good = serde_json::to_value(&portable).expect("it is JSON");
    let refused = |tamper: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        tamper(&mut value);
        let portable = serde_json::from_value(value).expect("the form is right");
        rules.import(&portable).expect_err("it is refused")
    };
    let array = |value: &mut Value, key: &str| value[key].as_array_mut().expect("a list").clone();
    assert_eq!(refused(&|world| world["nodes"] = json!([])), "0 nodes: expected 2");
    let fewer = |world: &mut Value| world["links"] = array(world, "links")[1..].into();
    assert_eq!(refused(&fewer), "3 links: expected 4");
    let swapped = |world: &mut Value| {
        let nodes: Vec<_> = array(world, "nodes").into_iter().rev().collect();
        world["nodes"] = nodes.into();
    };
    assert_eq!(refused(&swapped), "the node n1: expected n0");
    let no_signal = |world: &mut Value| world["links"][1] = json!([{ "timeout": "join" }]);
    assert_eq!(refused(&no_signal), "Timeout(Join) on the link from n0 to n1: no signal");
    let to_nobody = |world: &mut Value| {
        world["nodes"][1]["condition"] = json!("crashed");
        world["links"][1] = json!([{ "down": NODE_0 }]);
    };
    assert_eq!(refused(&to_nobody), "signals on the link from n0 to n1: n1 is not up");
    assert_eq!(refused(&|world| world["cut"] = json!(["n2"])), "a cut names n2: there is none");
    let richer = |world: &mut Value| world["budgets"] = json!({ "commands": 2 });
    assert_eq!(refused(&richer), "more commands left than there were");
    assert_eq!(rules.node(&rules.initial(), NodeId(0)), &portable.nodes[0]);
}

fn read<P: Protocol>(_: &Rules<P>, value: Value) -> serde_json::Result<Portable<P>> {
    serde_json::from_value(value)
}

/// As a name.
const NODE_0: &str = "@n0";

#[test]
fn a_form_with_anything_else_in_it_is_not_read() {
    let rules = Rules::new(gms3(), environment(Start::Joined, &[]));
    let mut value = serde_json::to_value(rules.export(&rules.initial())).expect("it is JSON");
    value["more"] = json!(1);
    let error = read(&rules, value).expect_err("it is refused").to_string();
    assert!(error.contains("unknown field `more`"), "{error}");
}
