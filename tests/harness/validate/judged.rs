//! Logs of gms3: what is found in them, and what cannot be.

use crate::{
    FIRST_LIFE, N0, N1, N2, Nodes, actions, assert_agrees, assert_holds, assert_not_judged,
    carried, gen_leader_nodes, gms3_nodes, gms3_under, mcast, said, verdict, violated,
};
use interrex::{gen_leader::Roster, machine::Event, runtime::CLOSE_TIMEOUT};
use interrex_models::{
    evidence::trace::Trace,
    model::environment::Budget,
    protocol::{gms3 as group, group as our_group, registry::built_in},
    real::{
        application,
        validate::{Carry, Validation, Verdict, validate},
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

#[test]
fn a_quiet_group_holds_everything() {
    let mut nodes = gms3_nodes(3);
    for round in 0..3 {
        for node in [N0, N1, N2] {
            nodes.mcast(node, round);
        }
        nodes.deliver_all();
    }
    let validation = nodes.validated();
    assert_holds(&validation);
    assert!(validation.carried.is_none());
    let logs: Vec<_> = validation.logs.iter().map(|log| (log.node, log.lives, log.ends)).collect();
    assert_eq!(logs, [(Some(N0), 1, 0), (Some(N1), 1, 0), (Some(N2), 1, 0)]);
}

#[test]
fn an_altered_effect_is_found_at_its_line() {
    let mut nodes = gms3_nodes(2);
    nodes.mcast(N0, 0);
    nodes.deliver_all();
    let paths = nodes.save();
    let text = fs::read_to_string(&paths[0]).expect("a log");
    let altered =
        |line: &str| line.replacen(r#""delivered":{"number":2"#, r#""delivered":{"number":3"#, 1);
    let lines: Vec<_> = text.lines().map(altered).collect();
    let at = lines.iter().zip(text.lines()).position(|(new, old)| new != old).expect("altered");
    fs::write(&paths[0], lines.join("\n")).expect("written");
    let validation = validate(built_in(), &paths, Carry::Nothing).expect("logs");
    let [difference] = &validation.differences[..] else { panic!("{:?}", validation.differences) };
    assert_eq!((&difference.place.path, difference.place.line), (&paths[0], at + 1));
    assert_eq!(difference.effect, Some(1), "{difference}");
    let said = difference.to_string();
    assert!(said.contains("number: 3") && said.contains("number: 2"), "{said}");
    assert!(matches!(verdict(&validation, "single-leader"), Verdict::NotJudged(_)));
}

#[test]
fn a_last_line_that_is_cut_short_is_that_of_a_killed_node() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N2, 0);
    nodes.deliver_all();
    nodes.kill(N2);
    let log = nodes.logs.get_mut(&N2).expect("a log");
    log.push_str(r#"{"step":{"at":17,"event":{"comm"#);
    nodes.mcast(N0, 0);
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_holds(&validation);

    // The next life begins a new line.
    nodes.start(N2, Some(N0));
    nodes.deliver_all();
    nodes.mcast(N2, 0);
    nodes.deliver_all();
    assert_holds(&nodes.validated());
}

#[test]
fn a_corrupt_line_is_refused_with_its_place() {
    let nodes = gms3_nodes(2);
    let refused = |alter: &dyn Fn(&mut Vec<String>)| {
        let paths = nodes.save();
        let text = fs::read_to_string(&paths[1]).expect("a log");
        let mut lines: Vec<_> = text.lines().map(String::from).collect();
        alter(&mut lines);
        fs::write(&paths[1], lines.join("\n") + "\n").expect("written");
        let error = validate(built_in(), &paths, Carry::Nothing).expect_err("refused").to_string();
        assert!(error.starts_with(&paths[1].display().to_string()), "{error}");
        error.rsplit("n1.log").next().expect("a place").to_string()
    };
    let error = refused(&|lines| lines[0].insert(1, '?'));
    assert!(error.starts_with(":1:2: not a line of a log"), "{error}");
    let error = refused(&|lines| {
        let line = lines[0].clone();
        lines[0].truncate(20);
        lines.push(line);
    });
    assert!(error.starts_with(":2:1: no life has begun"), "{error}");
    let error = refused(&|lines| {
        lines[1].truncate(20);
        lines.push(lines[1].clone());
    });
    assert!(error.starts_with(":2:1: the line is cut short"), "{error}");
    let error = refused(&|lines| lines.push(lines[0].clone()));
    assert!(error.contains(":3:1: life 185000000001 follows life 185000000001"), "{error}");
    let error = refused(&|lines| lines[0] = lines[0].replace(r#""format":3"#, r#""format":9"#));
    assert!(error.contains(":1:1: format 9: this version reads formats 2 to 3"), "{error}");
    let error = refused(&|lines| lines[0] = lines[0].replace("gms3", "gms4"));
    assert!(error.contains("protocol is gms4, and gms3 elsewhere"), "{error}");
    let error = refused(&|lines| {
        lines[1] = r#"{"step":{"at":1,"event":{"down":"m0"},"effects":[]}}"#.into();
    });
    assert!(error.starts_with(":2:") && error.contains("`m0` is not a node"), "{error}");
}

#[test]
fn logs_that_are_not_those_of_one_cluster_are_refused() {
    let refused = |paths: &[PathBuf]| {
        validate(built_in(), paths, Carry::Nothing).expect_err("logs of two clusters").to_string()
    };
    let nodes = gms3_nodes(2);
    let group = nodes.save();
    let twice = [group[0].clone(), group[0].clone()];
    assert!(refused(&twice).contains(": name each log once"), "{}", refused(&twice));

    let [two, three] = [2, 3].map(|size| {
        let mut nodes = gen_leader_nodes(size);
        nodes.start(N0, None);
        nodes
    });
    for other in [&group, &two.save()] {
        let paths = [three.save(), other.clone()].concat();
        assert!(
            refused(&paths).ends_with("expected the logs of one cluster"),
            "{}",
            refused(&paths)
        );
    }
    assert!(refused(&[]).contains("nothing to validate"), "{}", refused(&[]));
}

#[test]
fn lives_with_large_numbers_are_told_apart() {
    let mut nodes = gms3_nodes(3);
    for round in 0..3 {
        nodes.mcast(N2, 0);
        nodes.mcast(N2, 1);
        nodes.deliver_all();
        if round == 1 {
            nodes.shut_down(N2);
        } else {
            nodes.kill(N2);
        }
        nodes.start(N2, Some(N1));
        nodes.deliver_all();
    }
    nodes.mcast(N2, 0);
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_holds(&validation);
    let log = &validation.logs[2];
    assert_eq!((log.lives, log.ends, log.crashes), (4, 1, 2));
    let (_, out) = said(&nodes.save(), &[]);
    let row = out.lines().find(|line| line.contains("n2.log")).expect("a row");
    let counts: Vec<_> = row.split_whitespace().rev().take(4).collect();
    assert_eq!([counts[0], counts[1], counts[3]], ["2", "1", "4"], "{out}");
}

/// A node that ends is down to the others up to `CLOSE_TIMEOUT` before its log has the end; later than that, it was
/// suspected while it was up.
#[test]
fn the_end_of_a_log_may_be_as_late_as_a_node_may_take_to_close() {
    let is_suspicion = |micros_after_down: u64| {
        let mut nodes = gms3_nodes(3);
        let leader = nodes.up[&N0].me;
        nodes.suspect(N1, leader.into());
        nodes.now += micros_after_down - nodes.clocks.0;
        nodes.shut_down(N0);
        violated(&nodes.validated()).contains(&"single-leader")
    };
    let close = u64::try_from(CLOSE_TIMEOUT.as_micros()).expect("short");
    assert!(!is_suspicion(close));
    assert!(is_suspicion(close + 100_000));
}

#[test]
fn a_leader_that_is_suspected_and_goes_on_is_one_of_two() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    nodes.deliver_all();
    let leader = nodes.up[&N0].me;
    nodes.suspect(N1, leader.into());
    nodes.mcast(N0, 0);
    let validation = nodes.validated();
    assert_agrees(&validation);
    assert_eq!(violated(&validation)[0], "single-leader");
    let Verdict::Violated { complaints, place, .. } = verdict(&validation, "single-leader") else {
        panic!("violated")
    };
    assert_eq!(complaints, &["n0 and n1 both act as leader"]);
    let lines = nodes.logs[&N1].lines().count();
    assert_eq!(place.as_ref().expect("a place").line, lines);
    let (_, shrunk) = carried(&validation);
    let known =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/gms3/single-leader.suspicious.json");
    let known = Trace::read(&known).expect("a trace");
    assert_eq!(shrunk.steps.len(), 4);
    assert_eq!(actions(&shrunk), actions(&known));
}

#[test]
fn a_leader_that_is_killed_is_followed_by_the_next() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    nodes.deliver_all();
    nodes.kill(N0);
    nodes.deliver_all();
    nodes.mcast(N2, 0);
    nodes.deliver_all();
    assert_holds(&nodes.validated());
}

/// By its clock, the dead leader does more after its death: messages show that the clock is ahead.
#[test]
fn a_clock_that_is_ahead_makes_no_second_leader() {
    let mut nodes = gms3_under(3, 100, &[(N0, 8_000)]);
    for round in 0..3 {
        nodes.mcast(N1, round);
        nodes.deliver_all();
    }
    nodes.mcast(N0, 0);
    nodes.kill(N0);
    nodes.deliver_all();
    nodes.mcast(N2, 0);
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_agrees(&validation);
    assert_eq!(*verdict(&validation, "single-leader"), Verdict::Holds);
    let behind = -validation.clocks.ahead[&N1];
    assert!((7_500..8_500).contains(&behind), "{:?}", validation.clocks);
}

/// By its clock, the leader that was suspected did nothing after that.
#[test]
fn a_clock_that_is_behind_hides_no_second_leader() {
    let mut nodes = gms3_under(3, 1_000, &[(N1, 2_500_000), (N2, 2_500_000)]);
    for round in 0..3 {
        nodes.mcast(N1, round);
        nodes.deliver_all();
    }
    let leader = nodes.up[&N0].me;
    nodes.suspect(N1, leader.into());
    for round in 0..20 {
        nodes.mcast(N0, round);
    }
    let validation = nodes.validated();
    assert_eq!(violated(&validation)[0], "single-leader");
    let (code, out) = said(&nodes.save(), &[]);
    assert_eq!(code, 1);
    assert!(out.contains("clocks differ: that of n1 is 2"), "{out}");
}

#[test]
fn a_clock_that_is_set_while_the_nodes_run_decides_nothing() {
    let mut nodes = gms3_nodes(2);
    nodes.mcast(N1, 0);
    nodes.deliver_all();
    nodes.ahead.insert(N1, 3_000_000);
    nodes.mcast(N1, 1);
    nodes.deliver_all();
    let Verdict::NotJudged(why) = verdict(&nodes.validated(), "single-leader").clone() else {
        panic!("judged");
    };
    assert!(why.starts_with("a clock was set while the nodes ran, by 29"), "{why}");
}

/// Two groups, one after the other, or at the same time for a moment: nothing but the clocks tells.
#[test]
fn what_only_clocks_tell_is_not_judged_if_they_may_differ_by_more() {
    let mut nodes = Nodes::new(group::real::machine(&Roster::default()), "gms3", String::new());
    nodes.clocks = (1_000, 0);
    nodes.start(N0, None);
    nodes.shut_down(N0);
    nodes.start(N1, None);
    let Verdict::NotJudged(why) = verdict(&nodes.validated(), "single-leader").clone() else {
        panic!("judged");
    };
    assert!(why.starts_with("it rests on clocks that may differ by 5 ms: n0 leads from"), "{why}");
    let (_, out) = said(&nodes.save(), &["--skew", "0"]);
    assert!(
        out.lines().any(|line| line.contains("single-leader") && line.contains("unwitnessed")),
        "{out}"
    );
}

/// One after the other, as an operator does it: the others elect once more before their turn comes.
#[test]
fn a_clean_shutdown_is_judged_like_a_run_that_goes_on() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    nodes.deliver_all();
    let judged = |validation: &Validation| {
        let verdicts = validation.verdicts.iter();
        verdicts.filter(|(_, verdict)| !matches!(verdict, Verdict::NotJudged(_))).count()
    };
    let running = nodes.validated();
    assert_holds(&running);
    for node in [N0, N1, N2] {
        nodes.shut_down(node);
        nodes.deliver_all();
    }
    let ended = nodes.validated();
    assert_agrees(&ended);
    assert_eq!(judged(&ended), judged(&running), "{:?}", ended.verdicts);
}

/// A connection loses the last messages when it ends, and none otherwise.
#[test]
fn a_message_that_is_missing_without_a_reason_is_found() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    nodes.lose(N1, N0);
    nodes.mcast(N1, 1);
    nodes.deliver_all();
    let explained = nodes.validated();
    assert!(explained.contradictions.is_empty(), "{:?}", explained.contradictions);
    let log = nodes.logs.get_mut(&N1).expect("a log");
    let kept = log.lines().filter(|line| !line.contains("break"));
    *log = kept.fold(String::new(), |log, line| log + line + "\n");
    let [found] = &nodes.validated().contradictions[..] else { panic!("one contradiction") };
    let sends = |line: &str| line.contains("\"command\"");
    let sent = nodes.logs[&N1].lines().position(sends).expect("a multicast");
    assert_eq!(found.place.line, sent + 1);
    assert!(found.message.ends_with("later ones did, and no connection had ended"), "{found}");
}

/// What a node has sent whose log is missing looks like something that nobody sent.
#[test]
fn without_the_log_of_a_sender_nothing_is_judged() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    nodes.deliver_all();
    let mut logs = nodes.save();
    assert!(violated(&validate(built_in(), &logs, Carry::FirstBut(&[])).expect("logs")).is_empty());
    // That of the leader, who has sent everything on.
    logs.remove(0);
    let validation = validate(built_in(), &logs, Carry::FirstBut(&[])).expect("logs");
    assert!(validation.contradictions.is_empty(), "{:?}", validation.contradictions);
    let [gap] = &validation.gaps[..] else { panic!("{:?}", validation.gaps) };
    assert_eq!((&gap.place.path, gap.place.line), (&logs[0], 2), "{gap}");
    assert!(gap.message.contains("no log tells of n0#185000000000"), "{gap}");
    assert_not_judged(&validation);
    let (code, out) = said(&logs, &[]);
    assert_eq!(code, 3, "{out}");
    // Once, and not for each property.
    assert_eq!(out.matches("no log tells of n0").count(), 1, "{out}");
    assert_eq!(out.matches("not judged").count(), 1, "{out}");
}

#[test]
fn a_lost_message_is_a_drop() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    nodes.lose(N1, N0);
    nodes.mcast(N1, 1);
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_agrees(&validation);
    assert_eq!(violated(&validation), ["no-lost-message-validity"]);
    let (trace, _) = carried(&validation);
    assert!(actions(&trace).contains("drop n1 → n0"), "{}", actions(&trace));
}

#[test]
fn a_run_with_hundreds_of_commands_becomes_a_trace() {
    let mut nodes = gms3_nodes(3);
    for index in 0..300 {
        nodes.mcast(N1, index);
        nodes.deliver_all();
    }
    nodes.mcast(N1, 300);
    nodes.lose(N1, N0);
    nodes.mcast(N1, 301);
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_eq!(violated(&validation), ["no-lost-message-validity"]);
    let (trace, shrunk) = carried(&validation);
    assert_eq!(trace.environment.budgets[Budget::Commands], 302);
    assert_eq!(actions(&shrunk), "start n1, through n0; command at n1; drop n1 → n0");
}

#[test]
fn who_is_killed_within_a_broadcast_has_done_the_first_part_of_it() {
    let mut nodes = gms3_nodes(3);
    let leader = nodes.up[&N0].me;
    // n1 gets it, n2 does not, and the leader has not delivered it.
    nodes.meet(N0, Event::Command(mcast(leader, 0)), None, Some(1));
    nodes.deliver(N0, N1);
    nodes.deliver_all();
    assert_holds(&nodes.validated());

    // n1 has it, and n0 too, as it seems; n1 is killed before it tells anybody.
    let mut nodes = gms3_nodes(4);
    let leader = nodes.up[&N0].me;
    nodes.meet(N0, Event::Command(mcast(leader, 0)), None, Some(1));
    nodes.deliver(N0, N1);
    nodes.kill(N1);
    nodes.deliver_all();
    nodes.mcast(N2, 0);
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_agrees(&validation);
    assert_eq!(violated(&validation), ["total-order-uniform", "no-lost-message-uniform-agreement"]);
    let (trace, _) = carried(&validation);
    assert!(actions(&trace).contains("command at n0, crash after 1 effect"), "{}", actions(&trace));
}

#[test]
fn what_is_under_way_is_not_judged() {
    let mut nodes = gms3_nodes(3);
    nodes.mcast(N1, 0);
    let validation = nodes.validated();
    assert_agrees(&validation);
    let Verdict::NotJudged(why) = verdict(&validation, "no-lost-message-validity") else {
        panic!("not judged")
    };
    let expected = format!("a message to n0#{FIRST_LIFE} (1st life) has not arrived: ");
    assert!(why.starts_with(&expected), "{why}");
    assert!(why.ends_with("n1.log:4"), "{why}");
    assert_eq!(*verdict(&validation, "single-leader"), Verdict::Unwitnessed);

    nodes.deliver_all();
    nodes.kill(N0);
    // Its log does not say so; but n2 is told.
    nodes.deliver(N0, N2);
    let validation = nodes.validated();
    let Verdict::NotJudged(why) = verdict(&validation, "agreement") else { panic!("not judged") };
    assert!(why.starts_with("n1 is still to be told that "), "{why}");
    // n1 is told, too, and tells n2 that it leads.
    nodes.deliver(N0, N1);
    let validation = nodes.validated();
    let Verdict::NotJudged(why) = verdict(&validation, "agreement") else { panic!("not judged") };
    assert!(why.starts_with("a message to n2"), "{why}");
}

#[test]
fn what_was_not_sent_cannot_arrive() {
    let mut nodes = gms3_nodes(2);
    nodes.mcast(N0, 0);
    nodes.deliver_all();
    let paths = nodes.save();
    let text = fs::read_to_string(&paths[1]).expect("a log");
    // The same message once more: the machine takes it for an old one, and does nothing.
    let last = text.lines().last().expect("a line").to_string();
    let again =
        last.split(r#""effects""#).next().expect("a beginning").to_string() + r#""effects":[]}}"#;
    fs::write(&paths[1], text.clone() + &again + "\n").expect("written");
    let validation = validate(built_in(), &paths, Carry::Nothing).expect("logs");
    assert!(validation.differences.is_empty());
    let [contradiction] = &validation.contradictions[..] else {
        panic!("{:?}", validation.contradictions)
    };
    assert_eq!(contradiction.place.line, text.lines().count() + 1);
    assert!(contradiction.message.contains("arrived twice"), "{contradiction}");
}

/// Two processes that both take themselves for one node, on two hosts.
#[test]
fn two_lives_of_a_node_at_once_are_found() {
    let mut nodes = gms3_nodes(2);
    let first = nodes.logs[&N1].clone();
    nodes.kill(N1);
    nodes.deliver_all();
    nodes.start(N1, Some(N0));
    nodes.deliver_all();
    let mut logs = nodes.save();
    let second = nodes.logs[&N1].strip_prefix(&first).expect("the second life").to_owned();
    fs::write(&logs[1], &first).expect("written");
    logs.push(nodes.folder.path().join("n1.second.log"));
    fs::write(&logs[2], &second).expect("written");
    assert_holds(&validate(built_in(), &logs, Carry::Nothing).expect("logs"));

    let begins = second.split(r#""at":"#).nth(1).and_then(|rest| rest.split(',').next());
    let begins = begins.expect("a time");
    let earlier = nodes.now - 1_000_000;
    fs::write(&logs[2], second.replacen(begins, &earlier.to_string(), 1)).expect("written");
    let validation = validate(built_in(), &logs, Carry::Nothing).expect("logs");
    let found = validation.contradictions.iter().find(|it| it.place.path == logs[2]);
    let found = found.expect("a contradiction").to_string();
    assert!(found.contains("two processes were n1 at once"), "{found}");
}

/// It starts without a contact, and is not taken for one that founds another group.
#[test]
fn a_member_that_finds_its_group_in_its_storage_comes_back_in_the_harness_too() {
    let roster = Roster::new(2, 0);
    let mut nodes = Nodes::new(
        our_group::real::machine(&roster),
        "group",
        application::configuration(Some(&roster)),
    );
    nodes.start(N0, None);
    nodes.start(N1, Some(N0));
    nodes.deliver_all();
    nodes.kill(N1);
    nodes.deliver_all();
    nodes.start(N1, None);
    nodes.deliver_all();
    let validation = validate(built_in(), &nodes.save(), Carry::Any(&[])).expect("logs");
    assert_agrees(&validation);
    let carried = validation.carried.expect("a run");
    let run = carried.outcome.unwrap_or_else(|why| panic!("{why}"));
    assert!(actions(&run.trace).contains("restart n1"), "{}", actions(&run.trace));
    assert_eq!(run.times.len(), run.trace.steps.len());
}

/// Logs of real nodes are long. `cargo test --release -p interrex-models --test validate -- --ignored --nocapture`
#[test]
#[ignore = "takes long, and is about time"]
#[allow(clippy::print_stdout, reason = "how long it takes is for people to see")]
fn half_a_million_steps_are_validated_in_seconds() {
    let (mut nodes, mut since) = (gms3_nodes(3), 0);
    for index in 0..62_500 {
        nodes.mcast(N1, index);
        nodes.mcast(N2, index - since);
        nodes.deliver_all();
        if index % 10_000 == 0 {
            nodes.kill(N2);
            nodes.start(N2, Some(N0));
            nodes.deliver_all();
            since = index + 1;
        }
    }
    let paths = nodes.save();
    let bytes: usize = nodes.logs.values().map(String::len).sum();
    let begun = Instant::now();
    let validation = validate(built_in(), &paths, Carry::FirstBut(&[])).expect("logs");
    let steps: usize = validation.logs.iter().map(|log| log.steps).sum();
    println!("{steps} steps, {bytes} bytes: {:?}", begun.elapsed());
    assert_holds(&validation);
    assert!(steps > 500_000);
    assert!(begun.elapsed() < Duration::from_mins(2));
}
