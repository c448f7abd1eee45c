//! Faults beyond crashes: messages are lost, doubled and reordered, detectors err, and the
//! nodes fall apart.

use crate::scene::{Puppet, Scene, action, begin, items, listed};
use interrex::machine::NodeId;
use interrex_models::{
    claim::property::{Kind, LEADER_EXISTS, SINGLE_LEADER},
    evidence::{
        draw::{chart::Chart, text},
        replay::{Mode, Outcome, replay},
        trace::Trace,
    },
    explore::search::{Limits, search},
    model::action::{Action, ActionOf, Choice, Side},
};
use std::collections::HashSet;

/// Each of them once.
const FAULTS: &str = "drops 1, duplicates 1, overtakes 1, suspicions 1, cuts 1";

/// Those of these actions that are possible.
fn possible(scene: &Scene, actions: &str) -> String {
    listed(items(actions).filter(|text| scene.can(text)))
}

// Messages.

#[test]
fn only_a_message_at_the_head_is_dropped_or_doubled() {
    let script = "n0 command 0: monitor @n1 | n1 start n0: send @n0 a, send @n0 b";
    let begin = begin("joining 2, drops 1, duplicates 1", script);
    let faults = "drop n1 n0, duplicate n1 n0";
    assert_eq!(possible(&begin, faults), "");
    let sent = begin.after("command n0, start n1 n0");
    assert_eq!(sent.link(1, 0), "down @n1, a from n1, b from n1");
    assert_eq!(possible(&sent, faults), "");
    let ahead = sent.after("deliver n1 n0");
    assert_eq!(possible(&ahead, faults), faults);
    assert_eq!(ahead.after("drop n1 n0").link(1, 0), "b from n1");
    assert_eq!(ahead.after("duplicate n1 n0").link(1, 0), "a from n1, b from n1, a from n1");
}

#[test]
fn what_happens_to_messages_happens_to_no_node() {
    let script = "n0 command 0: send @n1 a, send @n1 b, send @n0 c, send @n0 d";
    let sent = begin(&format!("joined 2, {FAULTS}"), script).after("command n0");
    for link in ["n0 n1", "n0 n0"] {
        for fault in ["drop", "duplicate", "overtake"] {
            let after = sent.after(&format!("{fault} {link}"));
            assert_eq!([after.node(0), after.node(1)], [sent.node(0), sent.node(1)]);
            let (other_from, other_to) = if link == "n0 n1" { (0, 0) } else { (0, 1) };
            assert_eq!(after.link(other_from, other_to), sent.link(other_from, other_to));
        }
    }
}

#[test]
fn the_copy_comes_after_everything_that_is_on_the_link_a_down_too() {
    let script = "n0 command 0: monitor @n1 | n1 command 0: send @n0 a";
    let begin = begin("joined 2, drops 1, duplicates 2, restarts 1", script);
    let ended = begin.after("command n0, command n1, crash n1");
    assert_eq!(ended.after("duplicate n1 n0").link(1, 0), "a from n1, down @n1, a from n1");
    let dropped = ended.after("duplicate n1 n0, drop n1 n0");
    assert_eq!(dropped.link(1, 0), "down @n1, a from n1");
    assert_eq!(possible(&dropped, "duplicate n1 n0"), "");
    let told = dropped.after("deliver n1 n0, duplicate n1 n0, deliver n1 n0, deliver n1 n0");
    assert_eq!(told.history(0), "n0 down @n1, n0 a from n1, n0 a from n1");
    // It still comes from the old life.
    let again = ended.after("restart n1 n0, duplicate n1 n0");
    assert_eq!(again.link(1, 0), "a from n1, down @n1, a from n1");
}

#[test]
fn the_first_two_change_places_if_both_are_messages() {
    let (overtake, environment) = ("overtake n1 n0", "joining 2, overtakes 9");
    let script = "n0 command 0: monitor @n1 | n0 command 1: monitor @n1
        | n1 start n0: send @n0 a, send @n0 b, send @n0 c, send @n0 c";
    let begin = begin(environment, script);
    let sent = begin.after("start n1 n0");
    assert_eq!(sent.after(overtake).link(1, 0), "b from n1, a from n1, c from n1, c from n1");
    assert_eq!(sent.after("overtake n1 n0, overtake n1 n0").link(1, 0), sent.link(1, 0));
    // Also if they are equal.
    let equal = sent.after("deliver n1 n0, deliver n1 n0");
    assert_eq!(equal.cost(overtake), "overtakes 1");
    assert_eq!(equal.after(overtake).link(1, 0), "c from n1, c from n1");
    // There must be two.
    assert!(!equal.after("deliver n1 n0").can(overtake) && !begin.can(overtake));
    // A Down overtakes nothing and is not overtaken.
    let watched = sent.after("command n0, crash n1");
    assert_eq!(watched.link(1, 0), "a from n1, b from n1, c from n1, c from n1, down @n1");
    assert!(watched.can(overtake));
    let last = watched.after("deliver n1 n0, deliver n1 n0, deliver n1 n0");
    assert_eq!((last.link(1, 0), last.can(overtake)), ("c from n1, down @n1".into(), false));
    let first = begin.after("command n0, start n1 n0");
    assert!(first.link(1, 0).starts_with("down @n1, a from n1") && !first.can(overtake));
    let only = last.after("deliver n1 n0, command n0");
    assert_eq!((only.link(1, 0), only.can(overtake)), ("down @n1, down @n1".into(), false));
}

// Detectors that err.

const WATCHING: &str = "n0 command 0: monitor @n1, monitor n1 | n1 command 0: send @n0 a
    | n0 down @n1: say lost, send @n1 b | n0 down n1: monitor n1";

#[test]
fn a_suspicion_uses_up_the_registration_and_hands_down_to_the_watcher_now() {
    let begin = begin("joined 2, suspicions 9", WATCHING);
    assert_eq!(possible(&begin, "suspect n0 @n1, suspect n0 n1"), "");
    let watching = begin.after("command n0, command n1");
    let told = watching.after("suspect n0 @n1");
    assert_eq!(watching.cost("suspect n0 @n1"), "suspicions 1");
    assert_eq!([told.history(0), told.link(0, 1)], ["lost", "b from n0"]);
    assert_eq!((told.monitors(0), told.can("suspect n0 @n1")), ("n1".into(), false));
    // What is on the links stays there and arrives later.
    assert_eq!(told.link(1, 0), "a from n1");
    assert_eq!(told.after("deliver n1 n0").history(0), "lost, n0 a from n1");
    // The suspect lives, and hears of nothing.
    assert_eq!(told.node(1), watching.node(1));
    // Its end is told to who still monitors it.
    assert_eq!(told.after("crash n1").link(1, 0), "a from n1, down n1");
}

#[test]
fn two_registrations_are_two_suspicions() {
    let begin = begin(
        "joined 2, suspicions 9",
        &WATCHING.replace("down n1: monitor n1", "down n1: say gone"),
    );
    let watching = begin.after("command n0");
    let both = watching.after("suspect n0 n1, suspect n0 @n1");
    assert_eq!(watching.cost("suspect n0 n1, suspect n0 @n1"), "suspicions 2");
    assert_eq!([both.history(0), both.monitors(0)], ["gone, lost", ""]);
    assert_eq!(both.after("crash n1").link(1, 0), "");
}

#[test]
fn who_was_suspected_can_be_monitored_again_and_be_suspected_again() {
    let begin = begin("joined 2, suspicions 2", WATCHING);
    let again = begin.after("command n0, suspect n0 n1");
    assert_eq!(again.monitors(0), "@n1, n1");
    assert_eq!(again.after("crash n1").link(1, 0), "down @n1, down n1");
    assert_eq!(again.after("suspect n0 n1").monitors(0), "@n1, n1");
    assert!(!again.after("suspect n0 n1").can("suspect n0 n1"));
}

#[test]
fn only_a_registration_of_a_watcher_that_is_up_for_one_that_is_up_can_err() {
    let script =
        format!("{WATCHING} | n1 command 1: stop | n0 command 1: demonitor @n1 | n0#1 start n1:");
    let begin = begin("joined 2, suspicions 9, restarts 1", &script);
    let watching = begin.after("command n0, command n1");
    let both = "suspect n0 @n1, suspect n0 n1";
    assert_eq!(possible(&watching, both), both);
    // Nobody is suspected in a life that he does not live.
    assert!(!watching.can("suspect n0 n1#1"));
    for gone in ["crash n0", "crash n1", "command n1", "crash n0, restart n0 n1"] {
        assert_eq!(possible(&watching.after(gone), both), "", "{gone}");
    }
    assert_eq!(possible(&watching.after("command n0"), both), "suspect n0 n1");
    // Who monitors itself may be told that it is dead.
    let own =
        self::begin("joined 1, suspicions 1", "n0 command 0: monitor @n0").after("command n0");
    assert_eq!(own.after("suspect n0 @n0").history(0), "n0 down @n0");
}

#[test]
fn no_node_crashes_within_a_suspicion_but_it_may_stop_itself() {
    let script = "n0 command 0: monitor @n1 | n0 down @n1: say a, send @n1 b, stop";
    let watching = begin("joined 2, suspicions 1", script).after("command n0");
    assert_eq!(watching.cuts("suspect n0 @n1"), "");
    let why = watching.reason("suspect n0 @n1 crash after 1");
    assert!(why.contains("within a start, a command, a delivery or a time-out only"), "{why}");
    let stopped = watching.after("suspect n0 @n1");
    assert_eq!([stopped.condition(0), stopped.history(0)], ["Stopped", "a"]);
    assert_eq!(stopped.link(0, 1), "b from n0");
}

// Cuts.

/// The cuts that are possible.
fn sides(scene: &Scene) -> String {
    let texts = scene.enabled().into_iter().filter_map(|action| match action.choice {
        Choice::Cut { side } => Some(listed(side.nodes()).replace(", ", " ")),
        _ => None,
    });
    listed(texts)
}

#[test]
fn the_nodes_fall_apart_into_any_two_sides_whatever_their_condition() {
    let all = "n1, n2, n1 n2, n3, n1 n3, n2 n3, n1 n2 n3";
    let joining =
        begin("joining 4, cuts 1", "n2 command 0: stop").after("start n1 n0, start n2 n0");
    assert_eq!([sides(&joining), sides(&joining.after("crash n1, command n2"))], [all, all]);
    assert_eq!(sides(&joining.after("crash n0, crash n1, crash n2")), all);
    assert_eq!(sides(&begin("joined 1, workers 2, cuts 1", "")), "n1, n2, n1 n2");
    assert_eq!(sides(&begin("joined 2, cuts 1", "")), "n1");
    assert_eq!(sides(&begin("joined 1, cuts 1", "")), "");
    assert_eq!(sides(&begin("joined 2", "")), "");
    assert_eq!(begin("joined 12, cuts 1", "").enabled().len(), 2047 + 12);
}

#[test]
fn only_one_cut_is_open_at_a_time_and_its_end_is_free() {
    let begin = begin("joined 3, cuts 2", "");
    assert!(!begin.can("heal"));
    let cut = begin.after("cut n1 n2");
    assert_eq!((sides(&cut), cut.can("heal")), (String::new(), true));
    assert_eq!([begin.cost("cut n1 n2"), cut.cost("heal")], ["cuts 1", ""]);
    assert_eq!(cut.rules.cut(&cut.world).map(|side| side.to_string()).as_deref(), Some("n1, n2"));
    let healed = cut.after("heal");
    assert_eq!((healed.can("heal"), healed.rules.cut(&healed.world)), (false, None));
    assert_eq!(sides(&healed), "n1, n2, n1 n2");
    assert_eq!(sides(&healed.after("cut n2, heal")), "");
}

#[test]
fn a_cut_empties_the_links_across_both_ways_and_no_others() {
    let rows = (0..4)
        .map(|node| format!("n{node} command 0: send @n0 a, send @n1 a, send @n2 a, send @n3 a"));
    let script = rows.collect::<Vec<_>>().join(" | ");
    let begin = begin("joined 4, cuts 1", &script);
    let cut = begin.after("command n0, command n1, command n2, command n3, cut n1 n3");
    for (from, to) in (0..4).flat_map(|from| (0..4).map(move |to| (from, to))) {
        let across = from % 2 != to % 2;
        let there = if across { String::new() } else { format!("a from n{from}") };
        assert_eq!(cut.link(from, to), there, "n{from} to n{to}");
    }
}

#[test]
fn a_cut_fires_the_monitors_across_both_ways_and_uses_them_up() {
    let script = "n0 command 0: monitor @n1, monitor n1, monitor @n2, send @n1 a
        | n1 command 0: monitor @n0, monitor n0, monitor @n3, send @n0 b
        | n2 command 0: monitor @n1, send @n0 c | n3 command 0: monitor n1, send @n1 d";
    let begin = begin("joined 4, cuts 1", script);
    let watched = begin.after("command n0, command n1, command n2, command n3");
    let cut = watched.after("cut n1 n3");
    assert_eq!([cut.link(1, 0), cut.link(0, 1)], ["down @n1, down n1", "down @n0, down n0"]);
    assert_eq!([cut.link(1, 2), cut.link(2, 1)], ["down @n1", ""]);
    // Within a side everything is as before.
    assert_eq!([cut.link(2, 0), cut.link(3, 1)], ["c from n2", "d from n3"]);
    let monitors = [0, 1, 2, 3].map(|node| cut.monitors(node));
    assert_eq!(monitors, ["@n2", "@n3", "", "n1"]);
    // They are told by and by, while the cut is open; nobody has ended.
    let told = cut.after("deliver n1 n0, deliver n1 n0, deliver n0 n1");
    assert_eq!([told.history(0), told.history(1)], ["n0 down @n1, n0 down n1", "n1 down @n0"]);
    assert!((0..4).all(|node| told.condition(node).starts_with("Up")));
    // The registration is gone: an end over there is not told again, one on this side is.
    let dead = cut.after("crash n1");
    assert_eq!([dead.link(1, 0), dead.link(1, 2)], ["down @n1, down n1", "down @n1"]);
    assert_eq!([dead.link(1, 3), dead.link(0, 1)], ["down n1", ""]);
}

#[test]
fn while_the_pair_is_cut_sends_vanish_and_monitors_give_down_at_once() {
    let script =
        "n0 command 0: send @n1 a, send n1 b, send @n2 c, send @n0 d, monitor @n1, monitor n1,
        monitor @n2, monitor @n1 | n0 command 1: demonitor @n1
        | n1 command 0: send @n0 a, send @n1 b, monitor @n0, monitor @n1";
    let cut = begin("joined 3, cuts 1", script).after("cut n1, command n0, command n1");
    let links = [cut.link(0, 1), cut.link(0, 2), cut.link(0, 0)];
    assert_eq!(links, ["down @n0", "c from n0", "d from n0"]);
    assert_eq!([cut.link(1, 0), cut.monitors(0)], ["down @n1, down n1, down @n1", "@n2"]);
    // The same on the other side.
    assert_eq!([cut.link(1, 1), cut.monitors(1)], ["b from n1", "@n1"]);
    // What n0 sent it is gone for good.
    assert_eq!(cut.after("heal, deliver n0 n1").history(1), "n1 down @n0");
    // Demonitor removes every Down of that name, across the cut too.
    assert_eq!(cut.after("command n0").link(1, 0), "down n1");
}

#[test]
fn a_node_comes_up_through_a_contact_on_the_other_side_and_is_not_heard() {
    let script = "n1 start n0: send @n0 join, monitor @n0 | n2 start n1: send @n1 join
        | n1#1 start n0: send @n0 join";
    let cut = begin("joining 3, cuts 1, restarts 1", script).after("cut n1 n2");
    let started = cut.after("start n1 n0, start n2 n1");
    assert_eq!([started.link(1, 0), started.link(2, 1)], ["", "join from n2"]);
    assert_eq!([started.link(0, 1), started.monitors(1)], ["down @n0", ""]);
    let again = started.after("crash n1, restart n1 n0");
    assert_eq!((again.link(1, 0), again.node(1).life), (String::new(), 1));
}

#[test]
fn heal_brings_nothing_back_but_what_comes_later_arrives() {
    let script = "n0 command 0: monitor @n1, send @n1 a | n0 command 1: monitor @n1, send @n1 b
        | n1 command 0: send @n0 c";
    let watching = begin("joined 2, cuts 1", script).after("command n0, command n1");
    let healed = watching.after("cut n1, heal");
    assert_eq!([healed.link(0, 1), healed.link(1, 0)], ["", "down @n1"]);
    assert_eq!(healed.monitors(0), "");
    let later = healed.after("command n0");
    assert_eq!([later.link(0, 1), later.monitors(0)], ["b from n0", "@n1"]);
    assert_eq!(later.after("crash n1").link(1, 0), "down @n1, down @n1");
}

/// No detector forgets what it has noticed.
#[test]
fn a_cut_leaves_a_down_that_is_under_way_and_it_arrives_while_the_cut_is_open() {
    let script = "n0 command 0: monitor @n1 | n1 command 0: send @n0 a";
    let watching = begin("joined 2, cuts 1", script).after("command n0, command n1");
    let dead = watching.after("crash n1");
    assert_eq!(dead.link(1, 0), "a from n1, down @n1");
    let cut = dead.after("cut n1");
    assert_eq!(cut.link(1, 0), "down @n1");
    assert_eq!(cut.after("deliver n1 n0").history(0), "n0 down @n1");
}

#[test]
fn the_cut_tells_worlds_apart() {
    let begin = begin("joined 3, cuts 1", "");
    let cuts = ["cut n1", "cut n2", "cut n1 n2"].map(|cut| begin.after(cut).world);
    for (i, world) in cuts.iter().enumerate() {
        for (j, other) in cuts.iter().enumerate() {
            assert_eq!(world == other, i == j, "worlds {i} and {j}");
        }
    }
    // Behind its end only the budget shows that there was one.
    let healed = ["cut n1, heal", "cut n2, heal", "cut n1 n2, heal"];
    let healed = healed.map(|cut| begin.after(cut).world);
    assert!(healed[0] == healed[1] && healed[1] == healed[2] && healed[0] != begin.world);
}

// When a property is judged.

#[test]
fn no_world_is_settled_while_a_cut_is_open() {
    let begin = begin(&format!("joined 3, {FAULTS}"), "");
    let cut = begin.after("cut n1");
    assert!(begin.is_settled() && !cut.is_settled() && cut.after("heal").is_settled());
}

#[test]
fn what_can_still_go_wrong_unsettles_nothing() {
    let script = "n0 command 0: monitor @n1";
    let watching = begin(&format!("joined 2, restarts 1, {FAULTS}"), script).after("command n0");
    assert!(watching.can("suspect n0 @n1") && watching.can("cut n1"));
    assert!(watching.is_settled());
    // The end of a cut neither.
    assert!(!watching.after("cut n1").is_settled());
    assert!(watching.after("cut n1, deliver n1 n0, heal").is_settled());
}

#[test]
fn under_a_cut_the_side_with_the_majority_of_those_that_may_lead_is_judged_by_itself() {
    let cases = [
        ("joined 3", "cut n1", "n0, n2"),
        ("joined 3", "cut n1 n2", "n1, n2"),
        ("joined 4", "cut n1 n2", "not judged"),
        ("joined 4", "cut n3", "n0, n1, n2"),
        ("joined 4", "cut n1 n2 n3", "n1, n2, n3"),
        ("joined 2", "cut n1", "not judged"),
        ("joined 3", "crash n1, cut n2", "n0, n1"),
        ("joined 3", "crash n1, crash n2, cut n1 n2", "n1, n2"),
        ("joining 3, starts 0", "cut n1 n2", "n1, n2"),
        // Workers go with their side and have no weight.
        ("joined 1, workers 2", "cut n1 n2", "n0"),
        ("joined 2, workers 3", "cut n2 n3 n4", "n0, n1"),
        ("joined 2, workers 3", "cut n1 n2 n3 n4", "not judged"),
        ("joined 3, workers 2", "cut n1 n3", "n0, n2, n4"),
        ("joined 3, workers 2", "cut n1 n2 n3", "n1, n2, n3"),
    ];
    for (environment, actions, judged) in cases {
        let begin = begin(&format!("{environment}, cuts 1"), "");
        let cut = begin.after(actions);
        let everybody = listed((0..begin.rules.environment().size()).map(NodeId));
        assert_eq!(cut.judged(Kind::Settled), judged, "{environment}, {actions}");
        assert_eq!(cut.judged(Kind::Safety), everybody, "{environment}, {actions}");
        assert_eq!(cut.judged(Kind::Fair), "not judged");
        assert_eq!(cut.after("heal").judged(Kind::Settled), everybody);
        // What is wrong is said of whom is judged.
        let complains = !cut.rules.complaints(&cut.world, &LEADER_EXISTS).is_empty();
        let somebody_up =
            !actions.contains("crash n1, crash n2") && !environment.contains("joining");
        assert_eq!(complains, judged != "not judged" && somebody_up, "{environment}, {actions}");
    }
}

#[test]
fn nobody_is_judged_while_the_protocol_has_something_left_to_do() {
    let cases = [
        ("joined 3", "n0 command 0: send @n0 a", "cut n1, command n0", "deliver n0 n0"),
        ("joined 3", "n1 command 0: send @n1 a", "command n1, cut n1", "deliver n1 n1"),
        ("joined 3", "n0 command 0: monitor @n1", "command n0, cut n1", "deliver n1 n0"),
        ("joined 3", "n0 command 0: set 7", "cut n1, command n0", "timeout n0 7"),
    ];
    for (environment, script, before, last) in cases {
        let busy = begin(&format!("{environment}, cuts 1"), script).after(before);
        assert_eq!(busy.judged(Kind::Settled), "not judged", "{before}");
        assert_eq!(busy.judged(Kind::Safety), "n0, n1, n2");
        assert_eq!(busy.after(last).judged(Kind::Settled), "n0, n2", "{before}, {last}");
        assert_eq!(busy.rules.complaints(&busy.world, &LEADER_EXISTS), [""; 0]);
    }
}

/// n0 asks n1 again and again, and nothing would ever settle.
const TICKING: &str = "n0 command 0: set 7 | n0 timeout 7: send @n1 a, set 7 | n1 a from n0:";

#[test]
fn a_periodic_timer_whose_sends_vanish_at_a_cut_settles() {
    let script = format!("{TICKING} | n0 command 1: monitor @n1");
    let environment = "joined 3, timeouts unlimited, cuts 1";
    let ticking = begin(environment, &script).after("command n0, command n0");
    let cut = ticking.after("timeout n0 7, cut n1");
    // Late timers wait for what tells of the cut, too.
    assert_eq!((cut.link(1, 0).as_str(), cut.can("timeout n0 7")), ("down @n1", false));
    let told = cut.after("deliver n1 n0");
    assert_eq!((told.can("timeout n0 7"), told.cost("timeout n0 7")), (true, String::new()));
    // The first has made another state.
    let quiet = told.after("timeout n0 7");
    assert_eq!((quiet.can("timeout n0 7"), quiet.judged(Kind::Settled)), (false, "n0, n2".into()));
    let why = quiet.reason("timeout n0 7");
    assert!(why.contains("would change nothing"), "{why}");
    let healed = quiet.after("heal");
    assert!(healed.can("timeout n0 7") && !healed.is_settled());
}

#[test]
fn a_search_judges_the_majority_under_a_cut_and_takes_no_such_world_for_settled() {
    let found = |environment: &str| {
        let environment = format!("{environment}, timeouts unlimited, crashes 0, quorum 1");
        let begin = begin(&environment, TICKING);
        let found = search(&begin.rules, &[&LEADER_EXISTS], None, Limits::default(), &mut |_| {});
        let run = found.properties[0].counterexample.as_ref();
        (found.settled, run.map(listed))
    };
    // Only before anything has happened is the protocol at rest, and then no leader can be had.
    assert_eq!(found("joined 3"), (1, None));
    // Where n1 is one of the majority it is never quiet: n0 asks and asks.
    let run = "command at n0, time-out 7 at n0, cut n1 off";
    assert_eq!(found("joined 3, cuts 1"), (2, Some(run.into())));
    // Neither of two is a majority.
    assert_eq!(found("joined 2, cuts 1"), (2, None));
}

// Budgets, refusals, names.

#[test]
fn each_is_paid_from_its_own_budget_and_is_impossible_when_that_is_spent() {
    let script =
        "n0 command 0: monitor @n1, monitor n1, send @n1 a, send @n1 b, send @n1 c, send @n1 d";
    let busy = begin(&format!("joined 2, {FAULTS}"), script).after("command n0");
    let each = [
        ("drop n0 n1", "drops 1"),
        ("duplicate n0 n1", "duplicates 1"),
        ("overtake n0 n1", "overtakes 1"),
        ("suspect n0 n1", "suspicions 1"),
        ("cut n1", "cuts 1"),
    ];
    for (text, cost) in each {
        assert_eq!(busy.cost(text), cost);
        let after = busy.after(text);
        let others = each.iter().map(|(other, _)| *other).filter(|other| *other != text);
        if text == "cut n1" {
            assert_eq!(sides(&after.after("heal")), "");
        } else {
            assert!(others.clone().all(|other| after.can(other)), "{text}");
            let other_suspicion = text.replace("suspect n0 n1", "suspect n0 @n1");
            assert_eq!(after.reason(&other_suspicion), "the budget for it is spent");
        }
    }
    let none = begin("joined 2", script).after("command n0");
    for (text, cost) in each {
        let kind = cost.trim_end_matches(" 1");
        assert_eq!(none.reason(text), format!("the scenario has no budget for {kind}"));
    }
}

#[test]
fn find_says_why_nothing_goes_wrong() {
    let script = "n0 command 0: monitor @n1 | n1 start n0: send @n0 a | n0 command 1: send @n1 b";
    let begun = begin(&format!("joining 3, {FAULTS}"), script);
    let down_first = begun.after("command n0, start n1 n0");
    let one = down_first.after("deliver n1 n0");
    let crashed = down_first.after("crash n1");
    let cut = begin("joined 3, cuts 2", "").after("cut n1");
    let crash_within = "a node can crash within a start, a command, a delivery or a time-out only";
    let no_message = "there is no message at the head of the link from n1 to n0";
    let not_both = "the first two on the link from n1 to n0 are not both messages";
    let reasons = [
        (
            &begun,
            "drop n3 n0, duplicate n3 n0, overtake n3 n0, cut n3",
            "there is no n3: the nodes are n0 to n2",
        ),
        (
            &begun,
            "suspect n3 @n0, suspect n0 @n3, suspect n0 n3#2, cut n1 n3",
            "there is no n3: the nodes are n0 to n2",
        ),
        (&begun, "drop n0 n1, duplicate n0 n1, overtake n0 n1, suspect n1 @n0", "n1 is not up"),
        (&crashed, "drop n0 n1, duplicate n0 n1, overtake n0 n1, suspect n1 @n0", "n1 is not up"),
        (&begun, "drop n1 n0, duplicate n1 n0", no_message),
        (&down_first, "drop n1 n0, duplicate n1 n0", no_message),
        (&begun, "overtake n1 n0", not_both),
        (&down_first, "overtake n1 n0", not_both),
        (&one, "overtake n1 n0", not_both),
        (&one, "drop n1 n0 crash after 1, duplicate n1 n0 crash after 1", crash_within),
        (&one, "cut n1 crash after 1", crash_within),
        (&cut, "heal crash after 1", crash_within),
        (&begun, "suspect n0 @n1", "n0 does not monitor @n1"),
        (&begun, "suspect n0 n1", "n0 does not monitor n1"),
        (&begun, "heal", "no cut is open"),
        (&cut, "cut n1, cut n2, cut n1 n2", "a cut is open: it has to heal first"),
    ];
    let each = reasons.iter().flat_map(|row| items(row.1).map(move |text| (row.0, text, row.2)));
    for (scene, text, reason) in each {
        assert_eq!(scene.reason(text), reason, "{text}");
    }
}

#[test]
fn a_side_names_nodes_in_order_at_least_one_and_not_n0() {
    for json in [r#"["n1"]"#, r#"["n1","n2"]"#, r#"["n2","n31"]"#, r#"["n3","n7","n20"]"#] {
        let side: Side = serde_json::from_str(json).expect("a side");
        assert_eq!(serde_json::to_string(&side).expect("JSON"), json);
    }
    let wrong = [
        "[]",
        r#"["n0"]"#,
        r#"["n0","n1"]"#,
        r#"["n2","n1"]"#,
        r#"["n1","n1"]"#,
        r#"["n32"]"#,
        r#"["n1","n65535"]"#,
    ];
    for json in wrong {
        let error = serde_json::from_str::<Side>(json).expect_err(json).to_string();
        assert!(error.contains("names nodes in order, at least one, and not n0"), "{error}");
    }
    assert!(serde_json::from_str::<Side>(r#""n1""#).is_err());
    let side = Side::try_from(vec![NodeId(2), NodeId(31)]).expect("a side");
    let members: Vec<_> =
        (0..40).chain([u16::MAX]).filter(|at| side.contains(NodeId(*at))).collect();
    assert_eq!((members, side.to_string().as_str()), (vec![2, 31], "n2, n31"));
    assert_eq!([0, 1, 2, 3, 4, 12].map(|size| Side::all(size).count()), [0, 0, 1, 3, 7, 2047]);
    assert_eq!(Side::all(32).last().map(|side| side.nodes().count()), Some(31));
}

#[test]
fn each_has_a_name_and_a_form_in_files() {
    let cases = [
        ("drop n0 n1", "drop n0 → n1", r#"{"drop":{"from":"n0","to":"n1"}}"#),
        ("duplicate n0 n1", "duplicate n0 → n1", r#"{"duplicate":{"from":"n0","to":"n1"}}"#),
        ("overtake n0 n1", "overtake n0 → n1", r#"{"overtake":{"from":"n0","to":"n1"}}"#),
        ("suspect n1 @n0", "n1 suspects @n0", r#"{"suspect":{"watcher":"n1","target":"@n0"}}"#),
        ("suspect n1 n0#2", "n1 suspects n0#2", r#"{"suspect":{"watcher":"n1","target":"n0#2"}}"#),
        ("cut n1 n2", "cut n1, n2 off", r#"{"cut":{"side":["n1","n2"]}}"#),
        ("heal", "heal", r#""heal""#),
    ];
    for (text, name, json) in cases {
        let action = action(text);
        assert_eq!(action.to_string(), name);
        assert_eq!(serde_json::to_string(&action.choice).expect("JSON"), json);
        assert_eq!(serde_json::from_str::<Choice<u8>>(json).expect("a choice"), action.choice);
    }
}

// All of it together.

/// Everything that could be asked for in a group of this size, possible or not.
fn all_actions(size: u16) -> Vec<ActionOf<Puppet>> {
    let nodes = || (0..size).map(|node| format!("n{node}"));
    let mut texts = vec!["heal".to_string()];
    texts.extend(
        Side::all(size).map(|side| format!("cut {}", listed(side.nodes()).replace(',', ""))),
    );
    for one in nodes() {
        let alone = ["start", "restart", "command", "crash"];
        texts.extend(alone.map(|verb| format!("{verb} {one}")));
        texts.extend([7, 8].map(|timer| format!("timeout {one} {timer}")));
        for other in nodes() {
            let pairs = ["start", "restart", "deliver", "drop", "duplicate", "overtake"];
            texts.extend(pairs.map(|verb| format!("{verb} {one} {other}")));
            let lives = ["@", ""].map(|by| format!("suspect {one} {by}{other}"));
            texts.extend(lives.into_iter().chain([format!("suspect {one} {other}#1")]));
        }
    }
    let whole = texts.iter().map(|text| action(text));
    let crashes = |action: Action<u8>| {
        [None, Some(0), Some(1), Some(2)]
            .map(|crash_after| Action { crash_after, ..action.clone() })
    };
    whole.flat_map(crashes).collect()
}

#[test]
fn find_and_enabled_and_settled_agree_in_every_reachable_world() {
    let script = "n0 command 0: monitor @n1, send @n1 a, send @n1 b | n1 down @n0: demonitor @n0
        | n1 a from n0: monitor n0, set 7 | n0 down @n1: send @n1 b, say lost | n1 b from n0:
        | n1 timeout 7: send @n0 c, set 7 | n0 c from n1: | n1#1 start n0: send @n0 c
        | n0 c from n1#1: | n1 down n0: monitor n0 | n1 start n0: send @n0 c, monitor @n0
        | n1 start: send @n0 c | n0 start:";
    let environments = [
        "joined 2, timeouts 1, crashes 0, drops 1, duplicates 1, overtakes 1",
        "joined 2, timeouts 0, crashes 1, restarts 1, drops 1, suspicions 1",
        "joined 2, timeouts unlimited, crashes 1, cuts 1",
        "joined 3, timeouts 0, crashes 0, cuts 2, suspicions 2",
        "joining 2, timeouts 0, crashes 1, restarts 1, cuts 1, duplicates 1",
        "joined 2, timers any, timeouts 1, crashes 0, overtakes 1, cuts 1, suspicions 1",
        "idle 2, timeouts 0, crashes 1, cuts 1, drops 1",
    ];
    for environment in environments {
        let first = begin(environment, script);
        let all = all_actions(first.rules.environment().size());
        let mut seen = HashSet::from([first.world.clone()]);
        let (mut open, mut settled) = (vec![first], 0);
        while let Some(scene) = open.pop() {
            let enabled = scene.enabled();
            let possible: HashSet<_> = enabled.iter().cloned().collect();
            assert_eq!(possible.len(), enabled.len(), "{environment}: one is there twice");
            for action in &all {
                match scene.rules.find(&scene.world, action) {
                    Ok(found) => assert!(found.action == *action && possible.contains(action)),
                    Err(why) => assert!(!possible.contains(action) && !why.is_empty(), "{action}"),
                }
            }
            assert!(
                enabled.iter().all(|action| all.contains(action)),
                "{environment}: {enabled:?}"
            );
            let is_left = |action: &ActionOf<Puppet>| {
                matches!(action.choice, Choice::Deliver { .. } | Choice::Timeout { .. })
            };
            let quiet = !enabled.iter().any(is_left);
            assert_eq!(
                scene.is_settled(),
                quiet && scene.rules.cut(&scene.world).is_none(),
                "{enabled:?}"
            );
            assert!(quiet || scene.judged(Kind::Settled) == "not judged");
            settled += u64::from(scene.is_settled());
            let next = enabled.iter().map(|action| scene.take(action));
            open.extend(next.filter(|scene| seen.insert(scene.world.clone())));
        }
        assert!(0 < settled && seen.len() > 50, "{environment}: {settled} of {}", seen.len());
    }
}

#[test]
fn a_run_with_everything_is_recorded_replayed_and_drawn() {
    let script = "n0 command 0: monitor @n1, send @n1 one, send @n1 two, send @n2 three
        | n2 command 0: send @n0 four | n1 command 0: monitor @n0
        | n0 command 1: send @n1 five, send @n2 six | n1 down @n0: say alone, send @n0 why
        | n0 down @n1: monitor @n1 | n1 two from n0: say two | n1 one from n0: say one
        | n2 six from n0: say six | n0 why from n1: say why | n0 command 2: send @n1 seven";
    let environment = format!("joined 3, {}", FAULTS.replace("suspicions 1", "suspicions 2"));
    let scene = begin(&environment, script);
    let run = "command n0, command n2, drop n0 n2, duplicate n0 n1, overtake n0 n1, deliver n0 n1,
        command n1, suspect n1 @n0, suspect n0 @n1, cut n1, command n0, deliver n0 n2, deliver n1 n0,
        heal, command n0, crash n2, deliver n0 n1";
    let run: Vec<_> = items(run).map(action).collect();
    let recorded = Trace::record(&scene.rules, "a scene", SINGLE_LEADER.name, &run);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    recorded.save(&path).expect("it can be written");
    let trace = Trace::read(&path).expect("a trace");
    assert_eq!(trace, recorded);
    let puppet = || scene.rules.protocol().clone();
    let replayed = replay(puppet(), &trace, &SINGLE_LEADER, Mode::Exact, None);
    assert_eq!(replayed.outcome, Outcome::NotViolated);
    assert_eq!(
        replay(puppet(), &trace, &SINGLE_LEADER, Mode::Schedule, None).steps.len(),
        run.len()
    );
    // The step in which each signal was sent: a copy was sent with its original, and the cut sent a `Down`.
    let sent = replayed.steps.iter().filter_map(|step| Some((step.step, step.sent?)));
    let expected = [(3, 1), (4, 1), (5, 1), (6, 1), (12, 11), (13, 10), (17, 15)];
    assert!(sent.eq(expected), "{:?}", replayed.steps);
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "../snapshots" }, {
        insta::assert_snapshot!("faults", text::draw(&Chart::of(&replayed)));
    });
}
