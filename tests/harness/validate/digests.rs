//! Large values in logs, which are digests there.

use crate::{N0, N1, N2, Nodes, assert_agrees, assert_holds, assert_not_judged, said};
use interrex::{
    gen_leader::{Roster, dictionary::Request},
    machine::NodeId,
};
use interrex_models::{
    protocol::{gen_leader as dictionary, group as our_group, registry::built_in},
    real::{
        application,
        validate::{Carry, Verdict, validate},
    },
};
use std::{collections::BTreeSet, fs};

type GroupNodes = Nodes<interrex::group::Group<dictionary::Texts>>;

/// A joined group of three with a few large values. Then n2 comes back with what it had stored, and again without.
fn group_with_large_values(old: &[NodeId]) -> GroupNodes {
    let roster = Roster::new(3, 0);
    let mut nodes = Nodes::new(
        our_group::real::machine(&roster),
        "group",
        application::configuration(Some(&roster)),
    );
    nodes.old = old.iter().copied().collect();
    nodes.start(N0, None);
    for node in [N1, N2] {
        nodes.start(node, Some(N0));
        nodes.deliver_all();
    }
    for (key, letter) in ["a", "b", "c"].into_iter().zip(["x", "y", "z"]) {
        let put = Request::Store(key.into(), letter.repeat(20_000));
        nodes.command(N1, interrex::group::Command::Mcast(put));
        nodes.deliver_all();
    }
    nodes.kill(N2);
    nodes.deliver_all();
    nodes.start(N2, None);
    nodes.deliver_all();
    nodes.kill(N2);
    nodes.deliver_all();
    nodes.stable.remove(&N2);
    nodes.start(N2, Some(N0));
    nodes.deliver_all();
    nodes
}

/// The commands are in the log of the node that got them, and nowhere else.
#[test]
fn large_values_are_digests_in_logs_and_all_is_judged() {
    let nodes = group_with_large_values(&[]);
    for (node, log) in &nodes.logs {
        assert!(log.contains(r#"{"digest":{"bytes":"#), "{node}");
        let whole = log.matches(&"x".repeat(20_000)).count();
        assert_eq!(whole, usize::from(*node == N1), "{node}");
    }
    let boots = nodes.logs[&N2].lines().filter(|line| line.starts_with(r#"{"start""#));
    let boots: Vec<_> = boots.map(|line| line.contains(r#""stable":{"digest":"#)).collect();
    assert_eq!(boots, [false, true, false]);
    assert_holds(&nodes.validated());
}

/// The leader has forgotten the first entries. It gives a member that has lost its storage the state, piece by piece.
#[test]
fn a_state_that_is_given_in_pieces_is_judged_too() {
    let mut nodes = group_with_large_values(&[]);
    for number in 0..interrex::group::KEPT + 100 {
        // More than a piece.
        let value = if number < 60 { "v".repeat(20_000) } else { "v".into() };
        let put = Request::Store(format!("key-{number}"), value);
        nodes.command(N1, interrex::group::Command::Mcast(put));
        nodes.deliver_all();
    }
    nodes.kill(N2);
    nodes.deliver_all();
    nodes.stable.remove(&N2);
    let before = nodes.logs[&N2].len();
    nodes.start(N2, Some(N0));
    nodes.deliver_all();
    let life = &nodes.logs[&N2][before..];
    let pieces = life.lines().filter(|line| line.contains(r#""more":{"#)).count();
    assert!(pieces > 3, "{pieces} pieces were asked for");
    assert!(!life.contains(&"v".repeat(1_000)), "a value is whole");
    assert_holds(&nodes.validated());
}

/// Each of them is compared with what the machine does, or with what it is said to be.
#[test]
fn a_digest_that_is_another_one_is_a_fault_at_its_line() {
    const DIGEST: &str = r#""blake2b":""#;
    let nodes = group_with_large_values(&[]);
    let (mut differ, mut cannot_be) = (0, BTreeSet::new());
    for (node, log) in &nodes.logs {
        for (at, _) in log.match_indices(DIGEST) {
            let paths = nodes.save();
            let (before, after) = log.split_at(at + DIGEST.len());
            let other = if after.starts_with('0') { "1" } else { "0" };
            let path = nodes.folder.path().join(format!("{node}.log"));
            fs::write(&path, [before, other, &after[1..]].concat()).expect("written");
            let found = validate(built_in(), &paths, Carry::Nothing).expect("logs");
            let (place, said) = match (&found.differences[..], &found.contradictions[..]) {
                ([difference], []) => (&difference.place, difference.to_string()),
                ([], [contradiction]) => (&contradiction.place, contradiction.to_string()),
                other => panic!("{other:?}"),
            };
            let line = before.lines().count();
            assert_eq!((&place.path, place.line), (&path, line), "{said}");
            assert!(found.gaps.is_empty(), "{:?}", found.gaps);
            let judged = |(_, it): &&(_, Verdict)| !matches!(it, Verdict::NotJudged(_));
            assert_eq!(found.verdicts.iter().filter(judged).count(), 0);
            differ += found.differences.len();
            let messages = found.contradictions.into_iter().map(|it| it.message);
            cannot_be.extend(messages.map(|it| it.split(':').next().expect("a text").to_owned()));
        }
    }
    assert!(differ > 10, "{differ}");
    let expected = [
        "a message arrived that was not sent",
        "it begins with a stored value that is not the one persisted last",
    ];
    assert_eq!(cannot_be, expected.map(String::from).into());
}

#[test]
fn without_the_log_that_has_a_large_message_nothing_is_judged() {
    let nodes = group_with_large_values(&[]);
    let mut logs = nodes.save();
    // That of the leader.
    logs.remove(0);
    let validation = validate(built_in(), &logs, Carry::Any(&[])).expect("logs");
    assert_agrees(&validation);
    let digest = |line: &str| line.contains(r#""from":"n0#185000000000","message":{"digest""#);
    let gaps = validation.gaps.iter().map(|gap| (gap.place.path.clone(), gap.place.line));
    let expected = [(N1, &logs[0]), (N2, &logs[1])].map(|(node, path)| {
        (path.clone(), nodes.logs[&node].lines().position(digest).expect("a digest") + 1)
    });
    assert_eq!(gaps.collect::<Vec<_>>(), expected);
    assert_not_judged(&validation);
    let (code, out) = said(&logs, &[]);
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("not judged: ") && out.contains("give the logs of all nodes"), "{out}");
}

/// A log may be continued in another file.
#[test]
fn a_life_that_begins_with_a_digest_needs_the_life_before() {
    let nodes = group_with_large_values(&[]);
    let mut logs = nodes.save();
    let log = &nodes.logs[&N2];
    let (at, _) = log.match_indices("{\"start\"").nth(1).expect("a second life");
    let (first, later) = log.split_at(at);
    fs::write(&logs[2], later).expect("written");
    let validation = validate(built_in(), &logs, Carry::Nothing).expect("logs");
    assert_agrees(&validation);
    let [gap] = &validation.gaps[..] else { panic!("{:?}", validation.gaps) };
    assert_eq!((&gap.place.path, gap.place.line), (&logs[2], 1));
    assert!(gap.message.ends_with("give all logs of n2"), "{gap}");
    assert_not_judged(&validation);

    logs.push(nodes.folder.path().join("n2.first.log"));
    fs::write(&logs[3], first).expect("written");
    assert_holds(&validate(built_in(), &logs, Carry::Nothing).expect("logs"));
}

/// While a cluster is brought to a new version, node by node, its logs are of both formats.
#[test]
fn logs_of_the_format_before_digests_are_read_too() {
    for old in [&[N0, N1, N2][..], &[N0], &[N1, N2]] {
        assert_holds(&group_with_large_values(old).validated());
    }
}

/// The message is said to come from a step that only came after its answer.
#[test]
fn logs_that_wait_for_each_other_are_a_fault() {
    let mut nodes = group_with_large_values(&[]);
    let from_n1 = r#""from":"n1#185000000001","message":{"digest""#;
    let log = nodes.logs.get_mut(&N0).expect("a log");
    let line = log.lines().find(|line| line.contains(from_n1)).expect("a large message").to_owned();
    let sent = line.split(r#""sent":"#).nth(1).and_then(|rest| rest.split(',').next());
    let sent: u64 = sent.and_then(|number| number.parse().ok()).expect("a number");
    let later = line.replace(&format!(r#""sent":{sent}"#), &format!(r#""sent":{}"#, sent + 4));
    *log = log.replace(&line, &later);
    let validation = nodes.validated();
    let [found] = &validation.contradictions[..] else { panic!("{:?}", validation.contradictions) };
    assert!(found.message.starts_with("the logs wait for each other"), "{found}");
    assert!(validation.gaps.is_empty(), "{:?}", validation.gaps);
}
