//! The world's rules: one test for each sentence of SEMANTICS.md, sections 2 to 4.

use interrex::machine::{
    Address, Boot, Effect, EffectOf, Event, EventOf, Machine, NodeId, Peer, Peer::Process,
};
use interrex_models::{
    action::{Action, ActionOf, Choice},
    environment::{Budget, Budgets, Environment, Start, Timers},
    parts::{Condition, Node},
    property::Property,
    protocol::{Notion, Protocol, Standing},
    world::{Rules, World},
};
use std::{
    collections::{BTreeMap, HashSet},
    rc::Rc,
    time::Duration,
};

// Section 2: conditions, histories and links.

#[test]
fn only_nodes_that_are_up_act() {
    let begin = joining(3)
        .at(0, "start n0", [set(7)])
        .at(0, "command 0", [])
        .at(0, "command 1", [stop("enough")])
        .at(0, "command 2", [])
        .begin();
    assert_eq!(begin.node(1).condition, Condition::Idle);
    assert!(begin.node(0).is_up());
    assert!([command(0), timeout(0, 7), crash(0)].into_iter().all(|action| begin.can(&action)));
    let acts_at = |scene: &Scene, node| {
        let mut enabled = scene.enabled().into_iter();
        enabled.any(|action| action.choice.node() == NodeId(node))
    };
    let (crashed, stopped) = (begin.after([crash(0)]), begin.after([command(0), command(0)]));
    assert_eq!(crashed.node(0).condition, Condition::Crashed);
    assert_eq!(stopped.node(0).condition, Condition::Stopped);
    assert!(!acts_at(&crashed, 0) && !acts_at(&stopped, 0));
    let idle = begin.enabled().into_iter().filter(|action| action.choice.node() == NodeId(1));
    assert!(idle.into_iter().all(|action| matches!(action.choice, Choice::Start { .. })));
}

#[test]
fn history_is_never_erased() {
    let begin = joined(2)
        .at(1, "command 0", [say("a"), say("b")])
        .at(1, "command 1", [say("c"), stop("enough")])
        .begin();
    let said = begin.after([command(1)]);
    assert_eq!(said.history(1), ["a", "b"]);
    assert_eq!(said.after([crash(1)]).history(1), ["a", "b"]);
    assert_eq!(said.after([command(1)]).history(1), ["a", "b", "c"]);
}

#[test]
fn a_link_is_a_fifo_queue_for_each_ordered_pair() {
    let begin = joined(3)
        .at(0, "command 0", [send(1, "a"), send(2, "c"), send(1, "b"), send(0, "d"), send(0, "e")])
        .begin();
    let sent = begin.after([command(0)]);
    assert_eq!(sent.link(0, 1), ["a from n0", "b from n0"]);
    assert_eq!(sent.link(0, 2), ["c from n0"]);
    assert_eq!(sent.link(0, 0), ["d from n0", "e from n0"]);
    assert_eq!(sent.link(1, 0), [""; 0]);
    let taken = sent.after([deliver(0, 1), deliver(0, 0), deliver(0, 0), deliver(0, 1)]);
    assert_eq!(taken.history(1), ["a from n0", "b from n0"]);
    assert_eq!(taken.history(0), ["d from n0", "e from n0"]);
}

#[test]
fn a_node_that_starts_is_up_before_its_first_effect() {
    let begin = joining(2).at(1, "start n1 through n0", [send(1, "a"), monitor(1)]).begin();
    let started = begin.after([start(1, 0)]);
    assert_eq!(started.link(1, 1), ["a from n1"]);
    assert_eq!(started.monitors(1), ["@n1"]);
}

#[test]
fn down_comes_behind_what_the_dead_had_sent() {
    let begin = joined(2)
        .at(0, "command 0", [monitor(1)])
        .at(1, "command 0", [send(0, "a")])
        .at(1, "command 1", [send(0, "b"), stop("enough"), send(0, "c")])
        .begin();
    let sent = begin.after([command(0), command(1)]);
    assert_eq!(sent.after([crash(1)]).link(1, 0), ["a from n1", "down @n1"]);
    for end in [command(1), crashing(command(1), 1)] {
        assert_eq!(sent.after([end]).link(1, 0), ["a from n1", "b from n1", "down @n1"]);
    }
}

#[test]
fn a_send_to_a_node_that_is_not_up_vanishes() {
    let begin = joining(4)
        .at(0, "command 0", [send(1, "a"), send(2, "a"), send(3, "a")])
        .at(2, "command 0", [stop("enough")])
        .begin();
    let ended = begin.after([start(1, 0), start(2, 0), crash(1), command(2)]);
    let sent = ended.after([command(0)]);
    assert!((1..4).all(|to| sent.link(0, to).is_empty()));
    // Nor does it arrive later.
    assert_eq!(sent.after([start(3, 0)]).link(0, 3), [""; 0]);
}

#[test]
fn effects_are_carried_out_in_order() {
    let begin = joined(2)
        .at(0, "command 0", [set(7), cancel(7), cancel(8), set(8)])
        .at(0, "command 1", [monitor(1), demonitor(1)])
        .at(0, "command 2", [demonitor(1), monitor(1)])
        .at(0, "command 3", [persist("a"), persist("b")])
        .begin();
    let one = begin.after([command(0)]);
    assert_eq!(one.timers(0), [8]);
    let two = one.after([command(0)]);
    assert_eq!(two.monitors(0), [""; 0]);
    let three = two.after([command(0)]);
    assert_eq!(three.monitors(0), ["@n1"]);
    assert_eq!(three.after([command(0)]).stable(0), Some("b"));
    // The same with a Down in the place of the registration.
    let dead = one.after([crash(1), command(0)]);
    assert_eq!(dead.link(1, 0), [""; 0]);
    assert_eq!(dead.after([command(0)]).link(1, 0), ["down @n1"]);
}

// Section 2: lives and addresses.

#[test]
fn a_machine_is_told_its_own_address_and_its_contact() {
    let begin = joining(3).begin();
    assert_eq!(begin.history(0), ["start n0"]);
    let started = begin.after([start(2, 0), start(1, 2)]);
    assert_eq!(started.history(2), ["start n2 through n0"]);
    assert_eq!(started.history(1), ["start n1 through n2"]);
    assert_eq!(started.node(1).address(), NodeId(1).first_life());
}

#[test]
fn an_address_of_another_life_is_like_a_node_that_is_not_up() {
    let later = Process(Address { node: NodeId(1), life: 1 });
    let present = Process(NodeId(1).first_life());
    let begin = joined(2)
        .at(0, "command 0", [send_to(later, "a"), Effect::Monitor(later)])
        .at(0, "command 1", [send_to(present, "b"), Effect::Monitor(present)])
        .begin();
    let other = begin.after([command(0)]);
    assert_eq!(other.link(0, 1), [""; 0]);
    assert_eq!(other.monitors(0), [""; 0]);
    assert_eq!(other.link(1, 0), ["down n1#1"]);
    let own = other.after([deliver(1, 0), command(0)]);
    assert_eq!(own.link(0, 1), ["b from n0"]);
    assert_eq!(own.after([crash(1)]).link(1, 0), ["down n1"]);
}

#[test]
fn down_names_what_was_monitored() {
    let begin = joined(3)
        .at(0, "command 0", [monitor(1)])
        .at(2, "command 0", [Effect::Monitor(Process(NodeId(1).first_life()))])
        .begin();
    let dead = begin.after([command(0), command(2), crash(1)]);
    assert_eq!(dead.link(1, 0), ["down @n1"]);
    assert_eq!(dead.link(1, 2), ["down n1"]);
}

// Section 2: monitors.

#[test]
fn a_monitor_is_registered_once() {
    let begin = joined(2).at(0, "command 0", [monitor(1), monitor(1)]).begin();
    let watching = begin.after([command(0)]);
    assert_eq!(watching.monitors(0), ["@n1"]);
    assert_eq!(watching.link(1, 0), [""; 0]);
    assert_eq!(watching.after([crash(1)]).link(1, 0), ["down @n1"]);
}

#[test]
fn monitor_of_a_node_that_is_not_up_gives_down_at_once() {
    let begin = joining(4)
        .at(0, "command 0", [monitor(1), monitor(2), monitor(3), monitor(3)])
        .at(1, "command 0", [send(0, "a")])
        .at(2, "command 0", [stop("enough")])
        .begin();
    let watching = begin.after([
        start(1, 0),
        start(2, 0),
        command(1),
        crash(1),
        command(2),
        command(0),
        start(3, 0),
    ]);
    assert_eq!(watching.monitors(0), [""; 0]);
    assert_eq!(watching.link(1, 0), ["a from n1", "down @n1"]);
    assert_eq!(watching.link(2, 0), ["down @n2"]);
    // What is not registered is no reason to leave out the second.
    assert_eq!(watching.link(3, 0), ["down @n3", "down @n3"]);
}

#[test]
fn demonitor_forgets_the_registration() {
    let begin = joined(3)
        .at(0, "command 0", [monitor(1), monitor(2), demonitor(1)])
        .at(2, "command 0", [monitor(1)])
        .begin();
    let watching = begin.after([command(0), command(2)]);
    assert_eq!(watching.monitors(0), ["@n2"]);
    let dead = watching.after([crash(1)]);
    assert_eq!(dead.link(1, 0), [""; 0]);
    assert_eq!(dead.link(1, 2), ["down @n1"]);
}

#[test]
fn demonitor_removes_every_down_on_that_link_but_no_message() {
    let begin = joined(3)
        .at(0, "command 0", [monitor(1), monitor(2)])
        .at(0, "command 1", [monitor(1)])
        .at(0, "command 2", [demonitor(1)])
        .at(1, "command 0", [send(0, "a"), send(0, "b")])
        .begin();
    let told = begin.after([command(0), command(1), crash(1), crash(2), command(0)]);
    assert_eq!(told.link(1, 0), ["a from n1", "b from n1", "down @n1", "down @n1"]);
    let flushed = told.after([command(0)]);
    assert_eq!(flushed.link(1, 0), ["a from n1", "b from n1"]);
    assert_eq!(flushed.link(2, 0), ["down @n2"]);
}

// Section 2: the end of a life. Node 1 crashes, or stops at its next command.

fn ends() -> [ActionOf<Puppet>; 3] {
    [crash(1), command(1), crashing(command(1), 1)]
}

#[test]
fn the_end_of_a_node_empties_the_links_to_it_and_keeps_those_from_it() {
    let begin = joined(3)
        .at(0, "command 0", [send(1, "a"), send(2, "b")])
        .at(1, "command 0", [send(0, "c"), send(1, "d"), send(2, "e")])
        .at(1, "command 1", [set(7), stop("enough")])
        .begin();
    for end in ends() {
        let ended = begin.after([command(0), command(1), end]);
        assert!((0..3).all(|from| ended.link(from, 1).is_empty()));
        assert_eq!(ended.link(0, 2), ["b from n0"]);
        assert_eq!(ended.link(1, 0), ["c from n1"]);
        assert_eq!(ended.link(1, 2), ["e from n1"]);
    }
}

#[test]
fn the_end_of_a_node_takes_its_state_its_timers_and_its_own_monitors() {
    let begin = joined(2)
        .at(1, "command 0", [set(7), monitor(0)])
        .at(1, "command 1", [set(8), stop("enough")])
        .begin();
    for end in ends() {
        let ended = begin.after([command(1), end]);
        assert!(matches!(ended.node(1).condition, Condition::Crashed | Condition::Stopped));
        assert_eq!(ended.timers(1), [0; 0]);
        assert_eq!(ended.monitors(1), [""; 0]);
        assert_eq!(ended.after([crash(0)]).link(0, 1), [""; 0]);
    }
}

#[test]
fn the_end_of_a_node_is_told_to_each_watcher_that_is_up_once() {
    let begin = joined(4)
        .at(0, "command 0", [monitor(1)])
        .at(1, "command 0", [monitor(1)])
        .at(1, "command 1", [set(7), stop("enough")])
        .at(2, "command 0", [monitor(1)])
        .at(3, "command 0", [monitor(1)])
        .begin();
    let watching = begin.after([command(0), command(1), command(2), command(3), crash(3)]);
    for end in ends() {
        let ended = watching.after([end]);
        for watcher in [0, 2] {
            assert_eq!(ended.link(1, watcher), ["down @n1"]);
            assert_eq!(ended.monitors(watcher), [""; 0]);
        }
        assert_eq!(ended.link(1, 1), [""; 0]);
        assert_eq!(ended.link(1, 3), [""; 0]);
    }
}

#[test]
fn worlds_know_that_a_node_stopped_but_not_why() {
    let begin = joined(1)
        .at(0, "command 0", [set(1), set(2)])
        .at(0, "timeout 1", [stop("enough")])
        .at(0, "timeout 2", [stop("too much")])
        .begin();
    let armed = begin.after([command(0)]);
    let stopped = armed.after([timeout(0, 1)]);
    assert_eq!(stopped.world, armed.after([timeout(0, 2)]).world);
    assert_eq!(stopped.node(0).condition, Condition::Stopped);
    assert_eq!(armed.after([crash(0)]).node(0).condition, Condition::Crashed);
}

// Section 2: storage and timers.

#[test]
fn what_is_persisted_survives_and_is_stored_before_later_effects() {
    let begin = joined(2)
        .at(1, "command 0", [persist("a")])
        .at(1, "command 1", [persist("b"), send(0, "b"), persist("c"), stop("enough")])
        .begin();
    let stored = begin.after([command(1)]);
    assert_eq!(begin.stable(1), None);
    assert_eq!(stored.stable(1), Some("a"));
    assert_eq!(stored.after([crash(1)]).stable(1), Some("a"));
    assert_eq!(stored.after([command(1)]).stable(1), Some("c"));
    for (k, stable) in [(1, "b"), (2, "b"), (3, "c")] {
        assert_eq!(stored.after([crashing(command(1), k)]).stable(1), Some(stable));
    }
}

#[test]
fn a_timer_that_is_set_twice_fires_once() {
    let begin = joined(1).at(0, "command 0", [set(7), set(7)]).at(0, "command 1", [set(7)]).begin();
    let armed = begin.after([command(0), command(0)]);
    assert_eq!(armed.timers(0), [7]);
    let fired = armed.after([timeout(0, 7)]);
    assert_eq!(fired.history(0), ["timeout 7"]);
    assert_eq!(fired.timers(0), [0; 0]);
    assert!(!fired.can(&timeout(0, 7)));
}

#[test]
fn a_timer_that_is_cancelled_does_not_fire() {
    let begin = joined(2)
        .at(0, "command 0", [set(7), set(8)])
        .at(0, "command 1", [cancel(7), cancel(9)])
        .at(1, "command 0", [set(7)])
        .begin();
    let cancelled = begin.after([command(0), command(1), command(0)]);
    assert_eq!(cancelled.timers(0), [8]);
    assert_eq!(cancelled.timers(1), [7]);
    assert!(!cancelled.can(&timeout(0, 7)));
}

#[test]
fn a_timer_can_be_armed_again_when_it_fires() {
    let begin = joined(1).at(0, "command 0", [set(7)]).at(0, "timeout 7", [set(7)]).begin();
    let fired = begin.after([command(0), timeout(0, 7), timeout(0, 7)]);
    assert_eq!(fired.timers(0), [7]);
}

// Section 2: which worlds are the same.

#[test]
fn two_worlds_are_the_same_when_all_their_parts_are_equal() {
    // Timer 0 does nothing, timers 1 to 6 one thing each, 8 and 9 tidy up.
    let begin = joined(2)
        .timers(Timers::Any)
        .at(0, "command 0", (0..10).map(set))
        .at(0, "command 1", [])
        .at(1, "command 0", [])
        .at(0, "timeout 0", [])
        .at(0, "timeout 1", [say("a")])
        .at(0, "timeout 2", [persist("s")])
        .at(0, "timeout 3", [send(1, "a")])
        .at(0, "timeout 4", [send(1, "b")])
        .at(0, "timeout 5", [monitor(1)])
        .at(0, "timeout 6", [set(10)])
        .at(0, "timeout 8", (0..10).map(cancel))
        .at(0, "timeout 9", (0..10).map(cancel))
        .begin();
    let armed = begin.after([command(0)]);
    let fire = |timers: &[u8]| {
        timers.iter().fold(armed.clone(), |scene, timer| scene.after([timeout(0, *timer)])).world
    };
    let after = |node| armed.after([command(node), timeout(0, 0), timeout(0, 9), crash(1)]).world;

    let mut worlds: Vec<_> = (0..=6).map(|timer| fire(&[timer, 9])).collect();
    worlds.push(fire(&[0, 8])); // only the state differs
    worlds.push(fire(&[9])); // only the budget left differs
    worlds.extend([fire(&[3, 4, 9]), fire(&[4, 3, 9])]); // only the order on a link differs
    worlds.extend([after(0), after(1)]); // only the commands issued differ
    for (i, world) in worlds.iter().enumerate() {
        for (j, other) in worlds.iter().enumerate() {
            assert_eq!(world == other, i == j, "worlds {i} and {j}");
        }
    }
    // Another way to the same parts is another way to the same world.
    assert_eq!(fire(&[1, 2, 9]), fire(&[2, 1, 9]));
    assert_eq!(fire(&[3, 1, 5, 9]), fire(&[1, 5, 3, 9]));
}

// Section 3: starts and commands.

#[test]
fn the_founder_is_up_from_the_beginning_and_costs_no_start() {
    let begin = joining(2)
        .budget(Budget::Starts, 1)
        .at(0, "start n0", [say("a"), set(7), send(1, "b"), send(0, "c"), monitor(1)])
        .begin();
    assert_eq!(begin.left(Budget::Starts), 1);
    assert_eq!((begin.history(0), begin.timers(0)), (vec!["a".into()], vec![7]));
    assert_eq!(begin.link(0, 1), [""; 0]);
    assert_eq!(begin.link(0, 0), ["c from n0"]);
    assert_eq!(begin.link(1, 0), ["down @n1"]);
    assert_eq!(begin.after([start(1, 0)]).left(Budget::Starts), 0);
}

#[test]
fn only_an_idle_node_starts() {
    let begin = joining(3).at(1, "command 0", [stop("enough")]).begin();
    let (up, starts) = (begin.after([start(1, 0)]), |scene: &Scene| scene.can(&start(1, 0)));
    assert!(starts(&begin));
    assert!(!starts(&up) && !starts(&up.after([crash(1)])) && !starts(&up.after([command(1)])));
    assert!(!begin.can(&start(0, 0)));
}

#[test]
fn any_node_that_is_up_may_be_the_contact_one_that_is_still_joining_too() {
    let begin = joining(4).at(3, "command 0", [stop("enough")]).begin();
    let contacts = |scene: &Scene| {
        let contacts = (0..4).filter(|contact| scene.can(&start(2, *contact)));
        contacts.collect::<Vec<u16>>()
    };
    assert_eq!(contacts(&begin), [0]);
    let three = begin.after([start(1, 0), start(3, 1)]);
    assert_eq!(contacts(&three), [0, 1, 3]);
    assert_eq!(contacts(&three.after([crash(0), command(3)])), [1]);
}

#[test]
fn with_nobody_up_there_is_no_start() {
    assert_eq!(joining(2).begin().after([crash(0)]).enabled(), []);
}

#[test]
fn a_command_is_identified_by_its_node_and_how_many_that_node_has_issued() {
    let nothing = || [] as [Doing; 0];
    let begin = joined(2)
        .at(0, "command 0", [send(1, "a")])
        .at(0, "command 1", [send(1, "b")])
        .at(1, "command 0", nothing())
        .begin();
    let both = begin.after([command(1), command(0), command(0)]);
    assert_eq!(both.link(0, 1), ["a from n0", "b from n0"]);
    assert_eq!((both.node(0).issued, both.node(1).issued), (2, 1));
    // Commands at different nodes commute.
    assert_eq!(both.world, begin.after([command(0), command(1), command(0)]).world);
    assert_eq!(both.world, begin.after([command(0), command(0), command(1)]).world);
    // A machine that has no further command is not asked.
    assert!(!both.can(&command(0)) && !both.can(&command(1)));
}

#[test]
fn a_crash_does_not_erase_how_many_commands_a_node_has_issued() {
    let begin = joined(1).at(0, "command 0", [say("a"), say("b")]).begin();
    assert_eq!(begin.after([command(0), crash(0)]).node(0).issued, 1);
    assert_eq!(begin.after([crashing(command(0), 1)]).node(0).issued, 1);
    assert_eq!(begin.after([crash(0)]).node(0).issued, 0);
}

// Section 3: time-outs.

#[test]
fn late_timers_wait_for_every_delivery_but_not_for_starts_and_commands() {
    let begin = joining(3)
        .at(0, "start n0", [set(7)])
        .at(0, "command 0", [])
        .at(1, "command 0", [send(1, "a")])
        .begin();
    assert!(begin.can(&start(1, 0)) && begin.can(&command(0)) && begin.can(&timeout(0, 7)));
    let sent = begin.after([start(1, 0), command(1)]);
    assert!(!sent.can(&timeout(0, 7)));
    assert!(sent.after([deliver(1, 1)]).can(&timeout(0, 7)));
}

#[test]
fn timers_of_any_kind_fire_at_any_time() {
    let begin = joined(2).timers(Timers::Any).at(0, "command 0", [set(7), send(1, "a")]).begin();
    let fired = begin.after([command(0), timeout(0, 7)]);
    assert_eq!(fired.history(0), ["timeout 7"]);
    assert_eq!(fired.link(0, 1), ["a from n0"]);
}

// Section 3: crashes.

#[test]
fn each_choice_but_a_delivery_is_paid_from_its_own_budget() {
    let begin = joining(3).at(0, "command 0", [set(7), send(0, "a")]).begin();
    let spent = begin.after([start(1, 0), command(0), deliver(0, 0), timeout(0, 7), crash(1)]);
    assert!(Budget::ALL.iter().all(|budget| spent.left(*budget) == begin.left(*budget) - 1));
}

/// A node 1 that is about to take a step with the same four effects, for each kind of step, and what
/// the step is paid from.
fn steps() -> [(Scene, ActionOf<Puppet>, Option<Budget>); 4] {
    let deeds = |stage: Stage, event| {
        stage.at(1, event, [say("a"), send(0, "b"), persist("c"), send(0, "d")])
    };
    let starting = deeds(joining(2), "start n1 through n0").begin();
    let asked = deeds(joined(2), "command 0").begin();
    let written = deeds(joined(2), "go from n0").at(0, "command 0", [send(1, "go")]);
    let armed = deeds(joined(2), "timeout 7").at(1, "command 0", [set(7)]);
    [
        (starting, start(1, 0), Some(Budget::Starts)),
        (asked, command(1), Some(Budget::Commands)),
        (written.begin().after([command(0)]), deliver(0, 1), None),
        (armed.begin().after([command(1)]), timeout(1, 7), Some(Budget::Timeouts)),
    ]
}

#[test]
fn crash_after_k_lets_exactly_the_first_k_effects_happen() {
    for (scene, action, _) in steps() {
        assert_eq!(scene.crash_points(&action), [1, 2, 3]);
        let whole = scene.after([action.clone()]);
        assert_eq!(whole.link(1, 0), ["b from n1", "d from n1"]);
        for k in 1..4 {
            let crashed = scene.after([crashing(action.clone(), k)]);
            assert_eq!(crashed.node(1).condition, Condition::Crashed);
            assert_eq!(crashed.history(1), ["a"]);
            assert_eq!(crashed.link(1, 0), [vec![], vec!["b from n1"]][usize::from(k > 1)]);
            assert_eq!(crashed.stable(1), (k > 2).then_some("c"));
            assert_eq!(crashed.link(0, 1), [""; 0]);
        }
    }
}

#[test]
fn crash_after_k_costs_the_budget_of_its_step_and_one_crash() {
    for (scene, action, budget) in steps() {
        let crashed = scene.after([crashing(action, 1)]);
        for other in Budget::ALL {
            let cost = u8::from(other == Budget::Crashes || Some(other) == budget);
            assert_eq!(scene.left(other) - crashed.left(other), cost, "{other}");
        }
    }
}

#[test]
fn without_a_crash_left_no_step_is_cut_short() {
    let begin = joined(2).budget(Budget::Crashes, 1).at(0, "command 0", [say("a"), say("b")]);
    let begin = begin.begin();
    assert_eq!(begin.crash_points(&command(0)), [1]);
    let spent = begin.after([crash(1)]);
    assert_eq!(spent.enabled(), [command(0)]);
}

#[test]
fn every_emitted_effect_counts() {
    let nobody = [set(7), cancel(8), send(1, "a"), monitor(1), demonitor(1)];
    let begin = joined(2).at(0, "command 0", nobody).at(0, "command 1", [say("a")]).begin();
    let alone = begin.after([crash(1)]);
    assert_eq!(alone.crash_points(&command(0)), [1, 2, 3, 4]);
    // Behind the last effect it is a crash between two steps.
    assert_eq!(alone.after([command(0)]).crash_points(&command(0)), [0; 0]);
}

#[test]
fn effects_behind_a_stop_neither_happen_nor_count() {
    let begin = joined(2)
        .at(0, "command 0", [say("a"), stop("enough"), say("b"), send(1, "c"), persist("d")])
        .begin();
    assert_eq!(begin.crash_points(&command(0)), [1]);
    let stopped = begin.after([command(0)]);
    assert_eq!(stopped.history(0), ["a"]);
    assert_eq!((stopped.link(0, 1), stopped.stable(0)), (vec![], None));
    let enabled = begin.rules.find(&begin.world, &command(0)).expect("a command");
    assert_eq!(begin.rules.effects(&enabled), [say("a"), stop("enough")]);
}

// Section 3: why something cannot happen.

#[test]
fn find_says_why_an_action_is_not_possible() {
    let stage = || joining(3).at(0, "command 0", [say("a"), set(7)]).at(1, "command 0", []);
    let begin = stage().begin();
    let armed = begin.after([start(1, 0), command(0)]);
    let busy = stage().at(0, "start n0", [set(7), send(0, "a")]).begin();
    let broke = |budget| stage().budget(budget, 0).at(0, "start n0", [set(7)]).begin();
    let crash_cut = Action { choice: crash(0).choice, crash_after: Some(1) };
    let reasons = [
        (&begin, command(9), "there is no n9"),
        (&begin, start(1, 9), "there is no n9"),
        (&begin, deliver(3, 0), "there is no n3"),
        (&broke(Budget::Starts), start(1, 0), "budget"),
        (&broke(Budget::Commands), command(0), "budget"),
        (&broke(Budget::Timeouts), timeout(0, 7), "budget"),
        (&broke(Budget::Crashes), crash(0), "budget"),
        (&broke(Budget::Crashes), crashing(command(0), 1), "budget"),
        (&broke(Budget::Commands), crashing(command(0), 1), "budget"),
        (&armed, start(1, 0), "n1 has been started before"),
        (&begin, start(1, 2), "n2 is not up"),
        (&begin, start(1, 1), "n1 is not up"),
        (&begin, command(1), "n1 is not up"),
        (&begin, deliver(0, 1), "n1 is not up"),
        (&begin, timeout(1, 7), "n1 is not up"),
        (&begin, crash(1), "n1 is not up"),
        (&armed, command(0), "no such step"),
        (&begin, deliver(1, 0), "the link from n1 to n0 is empty"),
        (&begin, timeout(0, 7), "not armed"),
        (&busy, timeout(0, 7), "still something to deliver"),
        (&begin, crashing(command(0), 0), "cannot crash behind 0"),
        (&begin, crashing(command(0), 2), "cannot crash behind 2"),
        (&begin, crash_cut, "cannot crash behind 1"),
    ];
    for (scene, action, reason) in reasons {
        let why = scene.rules.find(&scene.world, &action).expect_err(reason);
        assert!(why.contains(reason), "{action}: expected `{reason}`, found `{why}`");
    }
}

// Section 4: when the protocol has nothing left to do.

#[test]
fn no_world_is_settled_while_a_start_is_possible() {
    let begin = joining(2).budget(Budget::Starts, 1).begin();
    assert!(!begin.is_settled());
    assert!(begin.after([start(1, 0)]).is_settled());
    assert!(begin.after([crash(0)]).is_settled());
    assert!(joining(2).budget(Budget::Starts, 0).begin().is_settled());
}

#[test]
fn no_world_is_settled_while_a_command_is_possible() {
    let stage = || joined(2).at(0, "command 0", []);
    let begin = stage().begin();
    assert!(!begin.is_settled());
    assert!(begin.after([command(0)]).is_settled());
    assert!(begin.after([crash(0)]).is_settled());
    assert!(stage().budget(Budget::Commands, 0).begin().is_settled());
}

#[test]
fn no_world_is_settled_while_a_delivery_is_possible() {
    let begin = joined(2).at(0, "command 0", [send(1, "a"), send(0, "b")]).begin();
    let sent = begin.after([command(0)]);
    let one = sent.after([deliver(0, 1)]);
    assert!(!sent.is_settled() && !one.is_settled());
    assert!(one.after([deliver(0, 0)]).is_settled());
    assert!(one.after([crash(0)]).is_settled());
}

#[test]
fn no_world_is_settled_while_a_timeout_is_possible() {
    let stage = || joined(1).at(0, "command 0", [set(7)]);
    let armed = stage().begin().after([command(0)]);
    assert!(!armed.is_settled());
    assert!(armed.after([timeout(0, 7)]).is_settled());
    assert!(stage().budget(Budget::Timeouts, 0).begin().after([command(0)]).is_settled());
}

#[test]
fn faults_may_have_budget_left_in_a_settled_world() {
    let begin = joined(2).begin();
    assert!(begin.can(&crash(0)) && begin.left(Budget::Crashes) > 0);
    assert!(begin.is_settled());
}

#[test]
fn in_every_reachable_world_settled_means_that_only_crashes_are_enabled() {
    for timers in [Timers::Late, Timers::Any] {
        let begin = joining(3)
            .timers(timers)
            .budget(Budget::Crashes, 2)
            .budget(Budget::Timeouts, 1)
            .at(0, "command 0", [monitor(1), send(1, "a"), set(7)])
            .at(1, "start n1 through n0", [monitor(0), send(1, "b"), send(0, "c")])
            .at(1, "down @n0", [demonitor(0), stop("enough")])
            .begin();
        let (mut seen, mut open) = (HashSet::from([begin.world.clone()]), vec![begin]);
        let mut settled = 0;
        while let Some(scene) = open.pop() {
            let enabled = scene.enabled();
            let is_crash =
                |action: &ActionOf<Puppet>| matches!(action.choice, Choice::Crash { .. });
            assert_eq!(scene.is_settled(), enabled.iter().all(is_crash), "{enabled:?}");
            settled += usize::from(scene.is_settled());
            let next = enabled.into_iter().map(|action| scene.after([action]));
            open.extend(next.filter(|scene| seen.insert(scene.world.clone())));
        }
        assert!(0 < settled && settled < seen.len());
    }
}

// The puppet, and the stage that it acts on.

/// A machine that does what its script says, for each node and event; an event that is not in the
/// script it observes. Its state is the last event that it met.
struct Puppet(BTreeMap<(NodeId, String), Vec<Doing>>);

type Doing = EffectOf<Puppet>;

impl Puppet {
    fn react(&self, me: NodeId, event: String) -> ((NodeId, String), Vec<Doing>) {
        let key = (me, event);
        let observed = || vec![say(&key.1)];
        let effects = self.0.get(&key).cloned().unwrap_or_else(observed);
        (key, effects)
    }
}

impl Machine for Puppet {
    type State = (NodeId, String);
    type Message = String;
    type Command = u32;
    type Timer = u8;
    type Stable = String;
    type Observation = String;

    fn start(&self, Boot { me, contact, .. }: Boot<String>) -> (Self::State, Vec<Doing>) {
        let through = contact.map(|contact| format!(" through {contact}")).unwrap_or_default();
        self.react(me.node, format!("start {me}{through}"))
    }

    fn step(&self, (me, _): Self::State, event: EventOf<Self>) -> (Self::State, Vec<Doing>) {
        self.react(me, text(&event))
    }
}

impl Protocol for Puppet {
    const NAME: &'static str = "puppet";
    const SUMMARY: &'static str = "does what it is told";
    const PROPERTIES: &'static [&'static Property] = &[];

    fn command(&self, node: NodeId, issued: u32) -> Option<u32> {
        let event = text(&Event::Command(issued));
        self.0.contains_key(&(node, event)).then_some(issued)
    }

    fn joined(&self, size: u16) -> Vec<Node<Self>> {
        let up = |id| Condition::Up((id, String::new()));
        (0..size).map(NodeId).map(|id| Node { condition: up(id), ..Node::idle(id) }).collect()
    }

    fn standing(&self, _: &Self::State) -> Standing {
        Standing::Outsider
    }

    fn notion(&self, _: &String) -> Notion {
        Notion::Unremarked
    }
}

fn text(event: &EventOf<Puppet>) -> String {
    match event {
        Event::Message { from, message } => format!("{message} from {from}"),
        Event::Down(peer) => format!("down {peer}"),
        Event::Timeout(timer) => format!("timeout {timer}"),
        Event::Command(index) => format!("command {index}"),
    }
}

/// What a test is set up with: an environment in which each budget is 9, and a script.
struct Stage(Environment, Puppet);

fn stage(nodes: u16, start: Start) -> Stage {
    let budgets = Budgets::from(BTreeMap::from(Budget::ALL.map(|budget| (budget, 9))));
    let environment = Environment { nodes, start, timers: Timers::Late, budgets };
    Stage(environment, Puppet(BTreeMap::new()))
}

fn joined(nodes: u16) -> Stage {
    stage(nodes, Start::Joined)
}

fn joining(nodes: u16) -> Stage {
    stage(nodes, Start::Joining)
}

impl Stage {
    fn at(mut self, node: u16, event: &str, does: impl IntoIterator<Item = Doing>) -> Self {
        self.1.0.insert((NodeId(node), event.into()), does.into_iter().collect());
        self
    }

    fn budget(mut self, budget: Budget, times: u8) -> Self {
        self.0.budgets[budget] = times;
        self
    }

    fn timers(mut self, timers: Timers) -> Self {
        self.0.timers = timers;
        self
    }

    fn begin(self) -> Scene {
        let rules = Rules::new(self.1, self.0);
        Scene { world: rules.initial(), rules: Rc::new(rules) }
    }
}

/// A world under its rules.
#[derive(Clone)]
struct Scene {
    rules: Rc<Rules<Puppet>>,
    world: World,
}

impl Scene {
    fn after<const N: usize>(&self, actions: [ActionOf<Puppet>; N]) -> Self {
        let follow = |world: World, action: ActionOf<Puppet>| {
            let found = self.rules.find(&world, &action);
            self.rules.follow(&world, &found.unwrap_or_else(|why| panic!("{action}: {why}")))
        };
        let world = actions.into_iter().fold(self.world.clone(), follow);
        Self { rules: Rc::clone(&self.rules), world }
    }

    fn enabled(&self) -> Vec<ActionOf<Puppet>> {
        let mut enabled = vec![];
        self.rules.enabled(&self.world, &mut enabled);
        enabled.into_iter().map(|enabled| enabled.action).collect()
    }

    fn can(&self, action: &ActionOf<Puppet>) -> bool {
        self.enabled().contains(action)
    }

    /// Behind how many effects the node can crash in this action.
    fn crash_points(&self, action: &ActionOf<Puppet>) -> Vec<usize> {
        let cuts = self.enabled().into_iter().filter(|cut| cut.choice == action.choice);
        cuts.filter_map(|cut| cut.crash_after).collect()
    }

    fn is_settled(&self) -> bool {
        self.rules.is_settled(&self.world)
    }

    fn left(&self, budget: Budget) -> u8 {
        self.world.budgets()[budget]
    }

    fn link(&self, from: u16, to: u16) -> Vec<String> {
        let signals = self.rules.signals(&self.world, NodeId(from), NodeId(to));
        signals.into_iter().map(text).collect()
    }

    fn node(&self, node: u16) -> &Node<Puppet> {
        self.rules.node(&self.world, NodeId(node))
    }

    fn history(&self, node: u16) -> Vec<String> {
        self.node(node).history.iter().cloned().collect()
    }

    fn stable(&self, node: u16) -> Option<&str> {
        self.node(node).stable.as_deref()
    }

    fn timers(&self, node: u16) -> Vec<u8> {
        self.node(node).timers.iter().copied().collect()
    }

    fn monitors(&self, node: u16) -> Vec<String> {
        self.node(node).monitors.iter().map(Peer::to_string).collect()
    }
}

// Actions, and effects.

fn start(node: u16, contact: u16) -> ActionOf<Puppet> {
    Choice::Start { node: NodeId(node), contact: NodeId(contact) }.into()
}

fn command(node: u16) -> ActionOf<Puppet> {
    Choice::Command { node: NodeId(node) }.into()
}

fn deliver(from: u16, to: u16) -> ActionOf<Puppet> {
    Choice::Deliver { from: NodeId(from), to: NodeId(to) }.into()
}

fn timeout(node: u16, timer: u8) -> ActionOf<Puppet> {
    Choice::Timeout { node: NodeId(node), timer }.into()
}

fn crash(node: u16) -> ActionOf<Puppet> {
    Choice::Crash { node: NodeId(node) }.into()
}

fn crashing(action: ActionOf<Puppet>, k: usize) -> ActionOf<Puppet> {
    Action { crash_after: Some(k), ..action }
}

fn send(to: u16, message: &str) -> Doing {
    send_to(Peer::Name(NodeId(to)), message)
}

fn send_to(to: Peer, message: &str) -> Doing {
    Effect::Send { to, message: message.into() }
}

fn monitor(node: u16) -> Doing {
    Effect::Monitor(Peer::Name(NodeId(node)))
}

fn demonitor(node: u16) -> Doing {
    Effect::Demonitor(Peer::Name(NodeId(node)))
}

fn set(timer: u8) -> Doing {
    Effect::SetTimer { timer, after: Duration::ZERO }
}

fn cancel(timer: u8) -> Doing {
    Effect::CancelTimer(timer)
}

fn persist(stable: &str) -> Doing {
    Effect::Persist(stable.into())
}

fn say(what: &str) -> Doing {
    Effect::Observe(what.into())
}

fn stop(reason: &'static str) -> Doing {
    Effect::Stop(reason.into())
}
