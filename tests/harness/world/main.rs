//! The world's rules: one test for each sentence of SEMANTICS.md, sections 2 to 4. What goes wrong
//! beyond crashes has a page of its own.

mod faults;
mod scene;

use interrex::machine::NodeId;
use interrex_models::{
    claim::property::{LEADER_EXISTS, SINGLE_LEADER},
    explore::search::{Limits, search},
    model::{
        action::{ActionOf, Choice},
        environment::{Budget, Start},
    },
    verdict::{check::check, scenario::Scenario},
};
use scene::{Puppet, Scene, action, begin, items, listed};
use std::collections::{BTreeMap, HashSet};

// Section 2: the world.

#[test]
fn only_nodes_that_are_up_act() {
    let script = "n0 start: set 7 | n0 command 0: stop | n1 command 0: monitor @n1";
    let begin = begin("joining 2", script);
    assert!(["command n0", "timeout n0 7", "crash n0"].iter().all(|action| begin.can(action)));
    assert_eq!(begin.condition(1), "Idle");
    let at_idle =
        begin.enabled().into_iter().filter(|action| action.choice.node() == Some(NodeId(1)));
    assert_eq!(at_idle.collect::<Vec<_>>(), [action("start n1 n0")]);
    for (end, condition) in [("crash n0", "Crashed"), ("command n0", "Stopped")] {
        let ended = begin.after(end);
        assert_eq!(ended.condition(0), condition);
        assert_eq!(ended.enabled(), []);
    }
}

#[test]
fn history_is_never_erased() {
    let begin = begin("joined 1", "n0 command 0: say a, say b | n0 command 1: say c, stop");
    let said = begin.after("command n0");
    assert_eq!(said.history(0), "a, b");
    assert_eq!(said.after("crash n0").history(0), "a, b");
    assert_eq!(said.after("command n0").history(0), "a, b, c");
}

#[test]
fn a_link_is_a_fifo_queue_for_each_ordered_pair() {
    let script = "n0 command 0: send @n1 a, send @n2 c, send @n1 b, send @n0 d, send @n0 e";
    let sent = begin("joined 3", script).after("command n0");
    assert_eq!([sent.link(0, 1), sent.link(1, 0)], ["a from n0, b from n0", ""]);
    assert_eq!([sent.link(0, 2), sent.link(0, 0)], ["c from n0", "d from n0, e from n0"]);
    let taken = sent.after("deliver n0 n1, deliver n0 n0, deliver n0 n0, deliver n0 n1");
    assert_eq!(taken.history(1), "n1 a from n0, n1 b from n0");
    assert_eq!(taken.history(0), "n0 d from n0, n0 e from n0");
}

#[test]
fn down_comes_after_what_the_dead_had_sent() {
    let script = "n0 command 0: monitor @n1 | n1 command 0: send @n0 a
        | n1 command 1: send @n0 b, stop, send @n0 c";
    let sent = begin("joined 2", script).after("command n0, command n1");
    assert_eq!(sent.after("crash n1").link(1, 0), "a from n1, down @n1");
    for end in ["command n1", "command n1 crash after 1"] {
        assert_eq!(sent.after(end).link(1, 0), "a from n1, b from n1, down @n1");
    }
}

#[test]
fn a_send_to_a_node_that_is_not_up_vanishes() {
    let script = "n0 command 0: send @n1 a, send @n2 a, send @n3 a | n2 command 0: stop";
    let ended = begin("joining 4", script).after("start n1 n0, start n2 n0, crash n1, command n2");
    let sent = ended.after("command n0, start n3 n0");
    assert_eq!([sent.link(0, 1), sent.link(0, 2), sent.link(0, 3)], ["", "", ""]);
}

#[test]
fn effects_are_carried_out_in_order() {
    let script = "n0 command 0: set 7, cancel 7, cancel 8, set 8
        | n0 command 1: monitor @n1, demonitor @n1
        | n0 command 2: demonitor @n1, monitor @n1
        | n0 command 3: persist a, persist b, say c, say d";
    let one = begin("joined 2", script).after("command n0");
    assert_eq!(one.timers(0), "8");
    let two = one.after("command n0");
    let three = two.after("command n0");
    assert_eq!([two.monitors(0), three.monitors(0)], ["", "@n1"]);
    let four = three.after("command n0");
    assert_eq!([four.stable(0), four.history(0)], ["b", "c, d"]);
    // The same with a Down in the place of the registration.
    let dead = one.after("crash n1, command n0");
    assert_eq!([dead.link(1, 0), dead.after("command n0").link(1, 0)], ["", "down @n1"]);
}

#[test]
fn an_address_of_another_life_is_like_a_node_that_is_not_up() {
    let script = "n0 command 0: send n1#1 a, monitor n1#1 | n0 command 1: send n1 b, monitor n1
        | n2 command 0: monitor @n1";
    let other = begin("joined 3", script).after("command n0, command n2");
    assert_eq!([other.link(0, 1), other.monitors(0), other.link(1, 0)], ["", "", "down n1#1"]);
    let own = other.after("deliver n1 n0, command n0");
    assert_eq!([own.link(0, 1), own.monitors(0)], ["b from n0", "n1"]);
    // Down names what was monitored.
    let dead = own.after("crash n1");
    assert_eq!([dead.link(1, 0), dead.link(1, 2)], ["down n1", "down @n1"]);
}

#[test]
fn a_monitor_is_registered_once() {
    let watching = begin("joined 2", "n0 command 0: monitor @n1, monitor @n1").after("command n0");
    assert_eq!([watching.monitors(0), watching.link(1, 0)], ["@n1", ""]);
    assert_eq!(watching.after("crash n1").link(1, 0), "down @n1");
}

#[test]
fn monitor_of_a_node_that_is_not_up_gives_down_at_once() {
    let script = "n0 command 0: monitor @n1, monitor @n2, monitor @n3, monitor @n3
        | n1 command 0: send @n0 a | n2 command 0: stop";
    let started = begin("joining 4", script).after("start n1 n0, start n2 n0");
    let told = started.after("command n1, command n2, crash n1, command n0, start n3 n0");
    assert_eq!(told.monitors(0), "");
    assert_eq!([told.link(1, 0), told.link(2, 0)], ["a from n1, down @n1", "down @n2"]);
    // Nothing was registered, so the second is none too many.
    assert_eq!(told.link(3, 0), "down @n3, down @n3");
}

#[test]
fn demonitor_forgets_the_registration_and_removes_every_down_of_that_name_but_no_message() {
    let script = "n0 command 0: monitor @n1, monitor @n2 | n0 command 1: monitor @n1
        | n0 command 2: demonitor @n1 | n1 command 0: send @n0 a, send @n0 b";
    let watching = begin("joined 3", script).after("command n0, command n1");
    let told = watching.after("crash n1, crash n2, command n0");
    assert_eq!(told.link(1, 0), "a from n1, b from n1, down @n1, down @n1");
    let flushed = told.after("command n0");
    assert_eq!([flushed.link(1, 0), flushed.link(2, 0)], ["a from n1, b from n1", "down @n2"]);
    let forgotten = watching.after("command n0, command n0");
    assert_eq!(forgotten.monitors(0), "@n2");
    assert_eq!(forgotten.after("crash n1").link(1, 0), "a from n1, b from n1");
}

#[test]
fn demonitor_of_a_name_leaves_the_registration_of_the_process_and_its_down() {
    let script = "n0 command 0: monitor @n1, monitor n1 | n0 command 1: demonitor @n1";
    let both = begin("joined 2", script).after("command n0");
    assert_eq!(both.after("command n0").monitors(0), "n1");
    assert_eq!(both.after("command n0, crash n1").link(1, 0), "down n1");
    assert_eq!(both.after("crash n1, command n0").link(1, 0), "down n1");
}

#[test]
fn a_crash_or_stop_takes_what_the_node_had_and_is_told_once_to_each_watcher_that_is_up() {
    let script = "n0 command 0: send @n1 a, send @n2 b, monitor @n1 | n2 command 0: monitor @n1
        | n3 command 0: monitor @n1 | n1 command 1: set 7, stop
        | n1 command 0: send @n0 c, send @n1 d, set 8, monitor @n0, monitor @n1";
    let begin = begin("joined 4", script);
    let watched = begin.after("command n0, command n1, command n2, command n3, crash n3");
    for end in ["crash n1", "command n1", "command n1 crash after 1"] {
        let ended = watched.after(end);
        assert!(["Crashed", "Stopped"].contains(&ended.condition(1).as_str()));
        assert_eq!([ended.timers(1), ended.monitors(1)], ["", ""]);
        assert_eq!([ended.link(0, 1), ended.link(1, 1), ended.link(0, 2)], ["", "", "b from n0"]);
        let told = [ended.link(1, 0), ended.link(1, 2), ended.link(1, 3)];
        assert_eq!(told, ["c from n1, down @n1", "down @n1", ""]);
        assert_eq!([ended.monitors(0), ended.monitors(2)], ["", ""]);
        assert_eq!(ended.after("crash n0").link(0, 1), "");
    }
}

#[test]
fn a_stopped_node_is_not_a_crashed_one_but_its_reason_does_not_matter() {
    let script = "n0 command 0: set 1, set 2 | n0 timeout 1: stop | n0 timeout 2: end";
    let armed = begin("joined 1", script).after("command n0");
    let stopped = armed.after("timeout n0 1");
    assert_eq!(stopped.world, armed.after("timeout n0 2").world);
    assert_eq!(stopped.condition(0), "Stopped");
    assert_eq!(armed.after("crash n0").condition(0), "Crashed");
}

#[test]
fn what_is_persisted_survives_and_is_stored_before_later_effects() {
    let script = "n0 command 0: persist a | n0 command 1: persist b, say x, persist c, stop";
    let stored = begin("joined 1", script).after("command n0");
    let cut = [1, 2, 3].map(|k| stored.after(&format!("command n0 crash after {k}")).stable(0));
    assert_eq!(cut, ["b", "b", "c"]);
    assert_eq!(["crash n0", "command n0"].map(|end| stored.after(end).stable(0)), ["a", "c"]);
}

#[test]
fn a_timer_that_is_set_twice_fires_once_and_one_that_is_cancelled_does_not() {
    let script =
        "n0 command 0: set 7, set 7, set 8, set 9 | n0 command 1: set 9, cancel 8, cancel 6
        | n1 command 0: set 8 | n0 timeout 9: set 9";
    let armed = begin("joined 2", script).after("command n0, command n1, command n0");
    let fired = armed.after("timeout n0 7");
    assert_eq!([armed.timers(0), armed.timers(1)], ["7, 9", "8"]);
    assert_eq!([fired.timers(0), fired.history(0)], ["9", "n0 timeout 7"]);
    assert!(!fired.can("timeout n0 7") && !armed.can("timeout n0 8"));
    assert_eq!(fired.after("timeout n0 9").timers(0), "9");
}

#[test]
fn two_worlds_are_the_same_when_all_their_parts_are_equal() {
    // Timer 0 does nothing, timers 1 to 6 one thing each, 8 and 9 tidy up.
    let each = |verb| listed((0..10).map(|timer| format!("{verb} {timer}")));
    let script = "n0 timeout 0: | n0 timeout 1: say a | n0 timeout 2: persist a
        | n0 timeout 3: send @n1 a | n0 timeout 4: send @n1 b | n0 timeout 5: monitor @n1
        | n0 timeout 6: set 10 | n0 command 1: | n1 command 0: | n0 command 0:";
    let (set, tidy) = (each("set"), each("cancel"));
    let script = format!("{script} {set} | n0 timeout 8: {tidy} | n0 timeout 9: {tidy}");
    let armed = begin("joined 2, timers any", &script).after("command n0");
    let after = |actions: &str| armed.after(actions).world;
    let fire = |timers: &[u8]| after(&listed(timers.iter().map(|at| format!("timeout n0 {at}"))));

    let mut worlds: Vec<_> = (0..=6).map(|timer| fire(&[timer, 9])).collect();
    worlds.push(fire(&[0, 8])); // only the state differs
    worlds.push(fire(&[9])); // only the budget left differs
    worlds.extend([fire(&[3, 4, 9]), fire(&[4, 3, 9])]); // only the order on a link differs
    // Only who issued a command differs.
    let issued_by = |node| after(&format!("command {node}, timeout n0 9, crash n1"));
    worlds.extend(["n0", "n1"].map(issued_by));
    for (i, world) in worlds.iter().enumerate() {
        for (j, other) in worlds.iter().enumerate() {
            assert_eq!(world == other, i == j, "worlds {i} and {j}");
        }
    }
    // Another way to the same parts is another way to the same world.
    assert_eq!(fire(&[3, 1, 2, 5, 9]), fire(&[2, 1, 5, 3, 9]));
}

#[test]
fn workers_are_the_nodes_with_the_highest_numbers() {
    let begin = begin("joined 1, workers 2", "n2 command 0: send @n0 a, monitor @n1");
    let sent = begin.after("command n2");
    assert_eq!([sent.link(2, 0).as_str(), &sent.monitors(2)], ["a from n2", "@n1"]);
    let told = sent.after("crash n1, deliver n2 n0");
    assert_eq!([told.link(1, 2).as_str(), &told.history(0)], ["down @n1", "n0 a from n2"]);
    assert_eq!(begin.reason("command n3"), "there is no n3: the nodes are n0 to n2");
}

#[test]
fn a_new_life_hears_nothing_of_the_old_one_and_comes_after_what_that_had_sent() {
    let script = "n0 command 0: send @n1 a, monitor @n1 | n1 command 0: send @n0 b
        | n1#1 start n0: send @n0 c";
    let sent = begin("joined 2, restarts 1", script).after("command n0, command n1");
    let again = sent.after("crash n1, restart n1 n0");
    assert_eq!([again.link(0, 1), again.monitors(0)], ["", ""]);
    assert_eq!(again.link(1, 0), "b from n1, down @n1, c from n1#1");
}

#[test]
fn an_old_address_leads_nowhere_and_a_name_to_whoever_lives_there_now() {
    let script = "n0 command 0: send n1 a, send n1#1 b, send @n1 c, monitor n1, monitor n1#1,
        monitor @n1, send n1#2 d | n0 command 1: demonitor n1, demonitor n1#1 | n1#1 start n0:";
    let told = begin("joined 2, restarts 2", script).after("crash n1, restart n1 n0, command n0");
    assert_eq!([told.link(0, 1), told.link(1, 0)], ["b from n0, c from n0", "down n1"]);
    assert_eq!(told.monitors(0), "@n1, n1#1");
    let dead = told.after("crash n1");
    assert_eq!(dead.link(1, 0), "down n1, down @n1, down n1#1");
    assert_eq!(dead.after("restart n1 n0").history(1), "n1#2 start n0");
    let forgotten = told.after("command n0");
    assert_eq!([forgotten.link(1, 0), forgotten.monitors(0)], ["", "@n1"]);
}

// Section 3: what can happen next.

#[test]
fn where_nobody_needs_a_contact_every_node_may_begin_idle_and_comes_up_once() {
    let begin = begin("idle 1, workers 1, starts 2, crashes 0", "n1 start: say a, send @n0 b");
    assert_eq!([begin.condition(0), begin.condition(1)], ["Idle", "Idle"]);
    assert_eq!(begin.enabled(), ["start n0", "start n1"].map(action));
    let started = begin.after("start n0, start n1");
    assert_eq!([started.history(0), started.history(1)], ["n0 start", "a"]);
    assert_eq!(started.link(1, 0), "b from n1");
    assert_eq!(started.enabled(), [action("deliver n1 n0")]);
    assert_eq!(begin.cost("start n1"), "starts 1");
    assert_eq!(self::begin("idle 1", "n0 start: say a, say b, say c").cuts("start n0"), "1, 2");
}

#[test]
fn a_crashed_node_comes_up_in_a_new_life_with_its_stable_storage_and_nothing_else() {
    let script = "n1 command 0: say a, persist b, set 7, monitor @n0 | n0 command 0: monitor @n1
        | n1#1 command 1: persist c";
    let crashed = begin("joined 2, restarts 9", script).after("command n0, command n1, crash n1");
    let again = crashed.after("restart n1 n0");
    assert_eq!(crashed.cost("restart n1 n0"), "restarts 1");
    assert!(again.condition(1).starts_with("Up"));
    assert_eq!([again.history(1), again.stable(1)], ["a, n1#1 start n0 with b", "b"]);
    assert_eq!([again.timers(1), again.monitors(1)], ["", ""]);
    assert_eq!((again.node(1).life, again.node(1).issued), (1, 1));
    let third = again.after("crash n1, restart n1 n0");
    assert_eq!(third.history(1), "a, n1#1 start n0 with b, n1#2 start n0 with b");
}

#[test]
fn where_storage_is_lost_a_new_life_finds_none() {
    let script = "n1 command 0: persist b";
    let crashed = begin("joined 2, restarts 9, storage lost", script).after("command n1, crash n1");
    assert_eq!(crashed.stable(1), "b");
    let again = crashed.after("restart n1 n0");
    assert_eq!([again.history(1), again.stable(1)], ["n1#1 start n0", ""]);
}

#[test]
fn only_a_crashed_node_is_restarted_through_whoever_is_up_and_that_is_not_cut_short() {
    let script = "n1#1 start n0: say a, say b | n2 command 0: stop";
    let begin = begin("joining 4, restarts 1", script).after("start n1 n0, start n2 n0");
    let ended = begin.after("crash n1, command n2");
    let restarts = |scene: &Scene| {
        let all = scene.enabled().into_iter().map(|action| action.to_string());
        listed(all.filter(|action| action.starts_with("restart")))
    };
    assert_eq!([restarts(&begin), restarts(&ended)], ["", "restart n1, through n0"]);
    assert_eq!(restarts(&ended.after("restart n1 n0, crash n1")), "");
    // With nobody up there is no restart.
    assert_eq!(restarts(&ended.after("crash n0")), "");
    let alone = self::begin("joined 1, restarts 1, contact none", "").after("crash n0");
    assert_eq!(alone.after("restart n0").history(0), "n0#1 start");
}

#[test]
fn the_founder_is_up_from_the_beginning_and_costs_no_start() {
    let script = "n0 start: say a, set 7, send @n1 b, send @n0 c, monitor @n1, monitor @n0";
    let begin = begin("joining 2, starts 1", script);
    assert_eq!([begin.history(0), begin.timers(0), begin.monitors(0)], ["a", "7", "@n0"]);
    let links = [begin.link(0, 1), begin.link(0, 0), begin.link(1, 0)];
    assert_eq!(links, ["", "c from n0", "down @n1"]);
    assert_eq!(begin.rules.budgets(&begin.world)[Budget::Starts], 1);
}

#[test]
fn a_node_is_started_once_and_told_its_address_and_its_contact() {
    let begin = begin("joining 3", "n1 command 0: stop | n2 start n0: send @n2 a, monitor @n2");
    assert!(begin.can("start n1 n0") && !begin.can("start n0 n0"));
    let started = begin.after("start n2 n0, start n1 n2");
    assert_eq!([begin.history(0), started.history(1)], ["n0 start", "n1 start n2"]);
    // It is up before its first effect.
    assert_eq!([started.link(2, 2), started.monitors(2)], ["a from n2", "@n2"]);
    for again in [&started, &started.after("crash n1"), &started.after("command n1")] {
        assert!(!again.can("start n1 n0"));
    }
}

#[test]
fn any_node_that_is_up_may_be_the_contact_one_that_is_still_joining_too() {
    let may_be = |scene: &Scene, contact: &u16| scene.can(&format!("start n2 n{contact}"));
    let contacts = |scene| listed((0..4).filter(|contact| may_be(scene, contact)));
    let begin = begin("joining 4", "n3 command 0: stop");
    let three = begin.after("start n1 n0, start n3 n1");
    let one = three.after("crash n0, command n3");
    assert_eq!([&begin, &three, &one].map(contacts), ["0", "0, 1, 3", "1"]);
    // With nobody up there is no start.
    assert_eq!(one.after("crash n1").enabled(), []);
}

#[test]
fn a_command_is_identified_by_its_node_and_how_many_that_node_has_issued() {
    let script = "n0 command 0: send @n1 a | n0 command 1: send @n1 b | n1 command 0: set 7";
    let begin = begin("joined 2", script);
    let both = begin.after("command n1, command n0, command n0");
    assert_eq!(both.link(0, 1), "a from n0, b from n0");
    assert_eq!((both.node(0).issued, both.node(1).issued), (2, 1));
    assert!(!both.can("command n0") && !both.can("command n1"));
    // Commands at different nodes commute.
    assert_eq!(both.world, begin.after("command n0, command n1, command n0").world);
    assert_eq!(both.world, begin.after("command n0, command n0, command n1").world);
    // No crash erases the count.
    let ends = ["command n0, crash n0", "command n0, command n0 crash after 1", "crash n0"];
    let script = "n0 command 0: say a | n0 command 1: say a, say b";
    assert_eq!(
        ends.map(|end| self::begin("joined 1", script).after(end).node(0).issued),
        [1, 2, 0]
    );
}

#[test]
fn late_timers_wait_for_every_delivery_but_not_for_starts_and_commands_others_for_nothing() {
    let script = "n0 start: set 7 | n0 command 0: | n1 command 0: send @n1 a";
    let begin = begin("joining 3", script);
    assert!(begin.can("start n1 n0") && begin.can("command n0") && begin.can("timeout n0 7"));
    let sent = begin.after("start n1 n0, command n1");
    assert!(!sent.can("timeout n0 7"));
    assert!(sent.after("deliver n1 n1").can("timeout n0 7"));
    let any = self::begin("joining 3, timers any", script).after("start n1 n0, command n1");
    assert!(any.can("timeout n0 7"));
}

#[test]
fn crash_after_k_lets_exactly_the_first_k_effects_happen_and_costs_one_crash_more() {
    let stage = |environment: &str, before: &str, event: &str| {
        let script = format!("{before} n1 {event}: say a, send @n0 b, persist c, send @n0 d");
        begin(environment, &script)
    };
    let sent = stage("joined 2", "n0 command 0: send @n1 go |", "go from n0").after("command n0");
    let armed = stage("joined 2", "n1 command 0: set 7 |", "timeout 7").after("command n1");
    let steps = [
        (stage("joining 2", "", "start n0"), "start n1 n0", "starts 1"),
        (stage("joined 2", "", "command 0"), "command n1", "commands 1"),
        (sent, "deliver n0 n1", ""),
        (armed, "timeout n1 7", "timeouts 1"),
    ];
    for (scene, step, cost) in steps {
        assert_eq!(scene.cost(step), cost);
        assert_eq!(scene.after(step).link(1, 0), "b from n1, d from n1");
        assert_eq!(scene.cuts(step), "1, 2, 3");
        for (k, link, stable) in [(1, "", ""), (2, "b from n1", ""), (3, "b from n1", "c")] {
            let cut = format!("{step} crash after {k}");
            assert_eq!(scene.cost(&cut), listed(items(cost).chain(["crashes 1"])));
            let cut = scene.after(&cut);
            assert_eq!([cut.condition(1), cut.history(1)], ["Crashed", "a"]);
            assert_eq!([cut.link(1, 0), cut.stable(1)], [link, stable]);
        }
    }
    let one = begin("joined 2, crashes 1", "n0 command 0: say a, say b");
    assert_eq!(one.cost("crash n1"), "crashes 1");
    assert_eq!([one.cuts("command n0"), one.after("crash n1").cuts("command n0")], ["1", ""]);
}

#[test]
fn every_emitted_effect_counts_and_none_after_a_stop() {
    let script = "n0 command 0: set 7, cancel 8, send @n1 a, monitor @n1, demonitor @n1
        | n0 command 1: say a | n0 command 2: | n0 command 3: say b, stop, say c, send @n1 d";
    let alone = begin("joined 2", script).after("crash n1");
    assert_eq!(alone.cuts("command n0"), "1, 2, 3, 4");
    let one = alone.after("command n0");
    assert_eq!([one.cuts("command n0"), one.after("command n0").cuts("command n0")], ["", ""]);
    let stopping = one.after("command n0, command n0");
    let stopped = stopping.after("command n0");
    assert_eq!([stopping.cuts("command n0"), stopped.history(0)], ["1", "a, b"]);
}

#[test]
fn an_unlimited_timeout_costs_nothing_but_must_change_something() {
    let script = "n0 command 0: set 7 | n0 timeout 7: send @n1 a, set 7 | n1 a from n0: ";
    let [limited, unlimited] = ["9", "unlimited"]
        .map(|times| begin(&format!("joined 2, timeouts {times}"), script).after("command n0"));
    assert_eq!(unlimited.cost("timeout n0 7"), "");
    assert_eq!(unlimited.cuts("timeout n0 7"), "1");
    let ticks = "timeout n0 7, deliver n0 n1, timeout n0 7, deliver n0 n1";
    assert!(unlimited.after(ticks).can("timeout n0 7"));
    for (scene, fires) in [(&limited, true), (&unlimited, false)] {
        // The first makes another state: that of having met the timer.
        let alone = scene.after("crash n1, timeout n0 7");
        assert_eq!((alone.can("timeout n0 7"), alone.is_settled()), (fires, !fires));
        assert_eq!(alone.cuts("timeout n0 7"), if fires { "1" } else { "" });
    }
    // A monitor of the dead puts one more Down on the link, again and again.
    let script = "n0 command 0: set 7 | n0 timeout 7: monitor @n1, set 7 | n0 down @n1:";
    let watching = begin("joined 2, timeouts unlimited", script);
    let told = watching.after("command n0, crash n1, timeout n0 7, deliver n1 n0, timeout n0 7");
    assert!(told.after("deliver n1 n0").can("timeout n0 7"));
}

#[test]
fn worlds_beyond_the_bound_are_neither_counted_nor_expanded_nor_are_the_steps_to_them() {
    let script = "n0 command 0: set 1, set 10 | n0 timeout 1: | n0 timeout 10:";
    let count = |environment: &str| {
        let begin = begin(environment, script);
        let found = search(&begin.rules, &[], None, Limits::default(), &mut |_| {});
        (found.states, found.transitions, found.settled)
    };
    // "timeout 10" has ten letters.
    assert_eq!(count("joined 1, crashes 0"), (6, 5, 3));
    assert_eq!(count("joined 1, crashes 0, letters 10"), (6, 5, 3));
    // That time-out can still happen, so only the first world is settled here.
    assert_eq!(count("joined 1, crashes 0, letters 9"), (3, 2, 1));
    // Only nodes that are up are measured.
    let beyond = begin("joined 1, letters 9", script).after("command n0, timeout n0 10");
    let within = |scene: &Scene| scene.rules.is_within_bound(&scene.world);
    assert_eq!((within(&beyond), within(&beyond.after("crash n0"))), (false, true));
}

#[test]
fn the_report_of_a_bounded_search_says_so() {
    let scenario = Scenario::builder().nodes(1).start(Start::Idle).property(&SINGLE_LEADER);
    for (scenario, bounded) in [(scenario.clone().bound("letters", 9), true), (scenario, false)] {
        let puppet = Puppet { script: BTreeMap::new(), through_contact: false, quorum: 0 };
        let scenario = scenario.build().expect("it fits");
        let report = check(puppet, &scenario, Limits::default(), &mut |_| {});
        assert_eq!((report.bounded, report.complete, report.states), (bounded, true, 2));
    }
}

#[test]
fn find_says_why_an_action_is_not_possible() {
    let script = "n0 command 0: say a, set 7 | n0 command 1:";
    let begun = begin("joining 3, restarts 1", script);
    let started = begun.after("start n1 n0, command n0, command n0");
    let busy = begin("joining 3", "n0 start: set 7, send @n0 a");
    let broke = begin("joining 3, starts 0, commands 0, timeouts 0, crashes 0", script);
    let no_crash = begin("joining 3, crashes 0, restarts 0", script);
    let (alone, crashed) = (begin("idle 2", ""), started.after("crash n1"));
    let ticking =
        begin("joined 1, timeouts unlimited", "n0 command 0: set 7 | n0 timeout 7: set 7")
            .after("command n0, timeout n0 7");
    let reasons = [
        (&begun, "command n9, start n1 n9", "there is no n9"),
        (&begun, "deliver n3 n0", "there is no n3"),
        (
            &broke,
            "start n1 n0, command n0, timeout n0 7, crash n0, command n0 crash after 1",
            "budget",
        ),
        (&no_crash, "command n0 crash after 1", "budget"),
        (&started, "start n1 n0", "n1 has been started before"),
        (&begun, "start n1 n2", "n2 is not up"),
        (&begun, "start n1 n1, command n1, deliver n0 n1, timeout n1 7, crash n1", "n1 is not up"),
        (&started, "command n0", "no such step"),
        (&begun, "deliver n1 n0", "the link from n1 to n0 is empty"),
        (&begun, "timeout n0 7", "not armed"),
        (&busy, "timeout n0 7", "still something to deliver"),
        (&ticking, "timeout n0 7", "would change nothing"),
        (&started, "restart n1 n0", "n1 has not crashed"),
        (&crashed, "restart n1 n2", "n2 is not up"),
        (&crashed, "restart n1, start n2", "name a node that is up"),
        (
            &crashed,
            "restart n1 n0 crash after 1",
            "can crash within a start, a command, a delivery or a time-out only",
        ),
        (&no_crash, "restart n1 n0", "budget"),
        (&alone.after("start n0"), "start n1 n0", "leave out the contact"),
        (&begun, "command n0 crash after 0", "cannot crash after 0"),
        (&begun, "command n0 crash after 2", "cannot crash after 2"),
        (&begun, "crash n0 crash after 1", "can crash within a start"),
    ];
    let each = reasons.iter().flat_map(|row| items(row.1).map(move |text| (row.0, text, row.2)));
    let wrong = each.filter_map(|(scene, text, reason)| {
        let why = scene.reason(text);
        (!why.contains(reason)).then(|| format!("{text}: expected `{reason}`, found `{why}`"))
    });
    assert_eq!(wrong.collect::<Vec<_>>(), [""; 0]);
}

// Section 4: when the protocol has nothing left to do.

#[test]
fn a_leader_is_asked_for_only_where_the_protocol_says_that_one_can_be_had() {
    let complaints = |environment: &str, actions: &str| {
        let script = "n0 command 0: | n1 command 0: | n2 command 0:";
        let scene = begin(environment, script).after(actions);
        scene.rules.complaints(&scene.world, &LEADER_EXISTS).len()
    };
    // A quorum of two, each of which has been asked for something.
    let environment = "joined 3, quorum 2";
    assert_eq!(complaints(environment, ""), 0);
    assert_eq!(complaints(environment, "command n0"), 0);
    assert_eq!(complaints(environment, "command n0, command n1"), 1);
    assert_eq!(complaints(environment, "command n0, command n1, crash n1"), 0);
    // Under a cut only the side that is judged counts.
    let cut = "joined 3, quorum 2, cuts 1";
    assert_eq!(complaints(cut, "command n0, command n1, cut n2"), 1);
    assert_eq!(complaints(cut, "command n0, command n2, cut n2"), 0);
}

#[test]
fn a_world_is_settled_when_nothing_can_be_delivered_and_no_timer_can_fire() {
    // Crashes and restarts are left in all of them.
    let (sends, sets) = ("n0 command 0: send @n1 a", "n0 command 0: set 7");
    let cases = [
        ("joined 2", sends, "command n0", ["deliver n0 n1", "crash n1"]),
        ("joined 1", sets, "command n0", ["timeout n0 7", "crash n0"]),
    ];
    for (environment, script, actions, ends) in cases {
        let scene = begin(&format!("{environment}, restarts 9"), script).after(actions);
        let settled = ends.map(|end| scene.after(end).is_settled());
        assert_eq!((scene.is_settled(), settled), (false, [true, true]), "{environment}, {script}");
    }
    // What the surroundings can still do unsettles nothing.
    for environment in ["joining 2", "joining 2, starts 0", "idle 1", "joined 1, commands 0"] {
        assert!(begin(environment, sets).is_settled(), "{environment}");
    }
    let asked = begin("joined 1", "n0 command 0:");
    assert!(asked.can("command n0") && asked.is_settled());
    assert!(begin("joined 1, timeouts 0", sets).after("command n0").is_settled());
}

#[test]
fn settled_and_enabled_agree_in_every_reachable_world() {
    let script = "n0 command 0: monitor @n1, send @n1 a, set 7 | n1 down @n0: demonitor @n0, stop
        | n1 start n0: monitor @n0, send @n1 b, send @n0 c | n1 start: send @n0 c, set 7
        | n0 timeout 7: set 7, send @n1 d | n1 d from n0: | n1#1 d from n0: | n1#2 d from n0:
        | n0#1 start n1: set 7, send @n2 e";
    let begins = ["joining 3", "joined 2, workers 1", "joined 2, contact none", "idle 2", "idle 3"];
    let timeouts = ["1", "1, timers any", "unlimited"];
    for (begin, timeouts) in begins.iter().flat_map(|begin| timeouts.map(|times| (begin, times))) {
        for faults in ["crashes 2", "crashes 2, restarts 1", "crashes 1, restarts 2"] {
            assert_settled_and_enabled_agree(
                &format!("{begin}, timeouts {timeouts}, {faults}"),
                script,
            );
        }
    }
}

fn assert_settled_and_enabled_agree(environment: &str, script: &str) {
    let mut open = vec![begin(environment, script)];
    let (mut seen, mut settled) = (HashSet::from([open[0].world.clone()]), 0);
    while let Some(scene) = open.pop() {
        let enabled = scene.enabled();
        let is_due = |action: &ActionOf<Puppet>| {
            matches!(action.choice, Choice::Deliver { .. } | Choice::Timeout { .. })
        };
        let quiet = !enabled.iter().any(is_due);
        assert_eq!(scene.is_settled(), quiet, "{environment}: {enabled:?}");
        settled += usize::from(quiet);
        let next = enabled.into_iter().map(|action| scene.take(&action));
        open.extend(next.filter(|scene| seen.insert(scene.world.clone())));
    }
    assert!(0 < settled && settled < seen.len(), "{environment}");
}
