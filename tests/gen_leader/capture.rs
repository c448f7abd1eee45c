//! The election of version 1.0: n0, n1, n2 by priority, and the worker n3.

use super::*;
use interrex::gen_leader::capture::{Iteration, Message};

type Event = server::Event<Capture, Probe>;
type Effect = server::Effect<Capture, Probe>;
type State = super::State<Capture>;

fn servers() -> GenLeader<Capture, Probe> {
    GenLeader::v2003(Probe::default(), Roster::new(3, 1))
}

fn step(state: State, event: Event) -> Step<Capture> {
    servers().step(state, event)
}

/// A process that has started, but for these fields. n1 then monitors n2, n0, n3 (the latest first).
fn at(me: Address, changes: Value) -> State {
    elect(servers().start(boot(me, None)).0, changes)
}

fn candidate() -> State {
    at(N1, json!({}))
}

/// n1, when n0 has captured it.
fn captured() -> State {
    at(N1, json!({ "role": "captured", "leader": N0, "alive": [N0.node] }))
}

fn waiting_worker() -> State {
    at(N3, json!({}))
}

fn surrendered_to(leader: Address, changes: Value) -> State {
    let leads = json!({
        "role": "surrendered", "leader": leader, "leadernode": leader.node,
        "alive": [leader.node],
    });
    elect(at(N1, leads), changes)
}

fn surrendered_state() -> State {
    surrendered_to(N0, json!({}))
}

/// n1 leads n0; n2 is down.
fn leader() -> State {
    let captured = json!({ "captured": [N0.node], "position": 1 });
    at(
        N1,
        json!({
            "role": "elected", "iteration": captured, "leader": N1, "alive": [N0.node],
            "down": [N2.node], "monitored": [N0.node, N3.node],
        }),
    )
}

fn worker() -> State {
    at(
        N3,
        json!({
            "role": "worker", "leader": N0, "leadernode": N0.node, "alive": [N0.node],
            "monitored": [N0.node],
        }),
    )
}

fn iteration(captured: &[Address], position: usize) -> Iteration {
    Iteration { captured: captured.iter().map(|process| process.node).collect(), position }
}

/// From the originator itself, unless said otherwise.
fn message(from: Address, message: Message<char>) -> Event {
    Event::Message { from, message: Sent::Election(message) }
}

fn capture(from: Address, captured: &[Address], position: usize) -> Message<char> {
    Message::Capture { from, iteration: iteration(captured, position) }
}

fn accept(from: Address, captured: &[Address], position: usize) -> Message<char> {
    Message::Accept { from, iteration: iteration(captured, position) }
}

fn elect_me(leader: Address) -> Message<char> {
    Message::Elect { leader, synch: 's' }
}

// Start.

#[test]
fn a_candidate_monitors_everybody_else_and_then_captures_them_workers_first() {
    let (state, effects) = servers().start(boot(N1, None));
    let others = [N3, N0, N2];
    let monitors = others.map(monitor_name);
    let captures = others.map(|node| send_name(node, capture(N1, &[], 1)));
    assert_eq!(effects, [monitors, captures].concat());
    assert_eq!(state.election.phase(), Phase::Electing);
    let expected = json!({ "role": "candidate", "monitored": [N2.node, N0.node, N3.node],
        "iteration": { "captured": [], "position": 1 } });
    assert_eq!(state, elect(state.clone(), expected));
}

#[test]
fn a_worker_says_to_every_candidate_that_it_is_there_and_monitors_nobody() {
    let (state, effects) = servers().start(boot(N3, None));
    let said = [N0, N1, N2].map(|node| send_name(node, Message::AddWorker(N3)));
    assert_eq!(effects, said);
    let expected = json!({ "role": "waiting_worker", "monitored": [], "iteration": null });
    assert_eq!(state, elect(state.clone(), expected));
}

// The safe loop.

#[test]
fn a_candidate_accepts_a_stronger_one_and_is_captured_by_it_for_good() {
    assert_eq!(
        step(candidate(), message(N0, capture(N0, &[], 2))),
        (captured(), vec![send(N0, accept(N1, &[], 1))])
    );
}

#[test]
fn a_candidate_that_is_captured_keeps_the_node_of_its_leader_as_it_was() {
    let next = step(candidate(), message(N0, capture(N0, &[], 2))).0;
    assert_eq!(next, elect(next.clone(), json!({ "leadernode": null })));
}

#[test]
fn a_candidate_ignores_a_weaker_one_but_that_it_is_there() {
    let next = at(N1, json!({ "alive": [N2.node] }));
    assert_eq!(step(candidate(), message(N2, capture(N2, &[], 0))), (next, vec![]));
}

#[test]
fn those_captured_count_before_the_place() {
    let strong = message(N2, capture(N2, &[N0], 0));
    let next = at(N1, json!({ "role": "captured", "leader": N2, "alive": [N2.node] }));
    let effects = vec![send(N2, accept(N1, &[], 1))];
    assert_eq!(step(candidate(), strong), (next, effects));
}

#[test]
fn there_is_no_clause_for_an_equal() {
    dies(step(candidate(), message(N2, capture(N2, &[], 1))));
}

/// `nodeup`: not in `monitored`, so it is monitored and no longer down; in it, so it is alive.
#[test]
fn whoever_shows_up_is_alive_and_monitored_by_name_unless_it_is_already() {
    let unknown = json!({ "monitored": [N0.node], "down": [N2.node] });
    let known = json!({ "monitored": [N2.node, N0.node], "down": [], "alive": [N2.node] });
    let next = at(N1, known.clone());
    let event = message(N2, capture(N2, &[], 0));
    let monitored = vec![monitor_name(N2)];
    assert_eq!(step(at(N1, unknown), event.clone()), (next.clone(), monitored));
    assert_eq!(step(at(N1, known), event), (next, vec![]));
}

/// Down stays as it is for a node that is monitored: the stale `Down` is the case.
#[test]
fn whoever_is_monitored_and_down_stays_down_when_it_shows_up() {
    let before = at(N1, json!({ "down": [N2.node] }));
    let next = at(N1, json!({ "down": [N2.node], "alive": [N2.node] }));
    assert_eq!(step(before, message(N2, capture(N2, &[], 0))), (next, vec![]));
}

#[test]
fn of_a_capture_the_captured_and_the_waiting_worker_see_only_that_somebody_is_there() {
    let next = elect(captured(), json!({ "alive": [N0.node, N2.node] }));
    let event = message(N2, capture(N2, &[N0, N3], 0));
    assert_eq!(step(captured(), event.clone()), (next, vec![]));
    let next = at(N3, json!({ "alive": [N2.node], "monitored": [N2.node] }));
    assert_eq!(step(waiting_worker(), event), (next, vec![monitor_name(N2)]));
}

#[test]
fn before_a_leader_is_known_a_worker_that_starts_is_there() {
    let event = message(N3, Message::AddWorker(N3));
    for (before, alive) in [(candidate(), vec![N3]), (captured(), vec![N0, N3])] {
        let alive: Vec<_> = alive.iter().map(|process| process.node).collect();
        let next = elect(before.clone(), json!({ "alive": alive }));
        assert_eq!(step(before, event.clone()), (next, vec![]));
    }
    let event = message(N4, Message::AddWorker(N4));
    let next = at(N3, json!({ "alive": [N4.node], "monitored": [N4.node] }));
    assert_eq!(step(waiting_worker(), event), (next, vec![monitor_name(N4)]));
}

/// `captured += c`; 2 of 3 are more than half.
#[test]
fn a_candidate_that_more_than_half_accept_is_elected_and_says_so_to_all_it_monitors() {
    let captured = json!({ "captured": [N2.node], "position": 1 });
    let next = json!({
        "role": "elected", "leader": N1, "iteration": captured, "alive": [N2.node],
    });
    let mut effects = vec![elected(())];
    effects.extend([N2, N0, N3].map(|node| send_name(node, elect_me(N1))));
    let event = message(N2, accept(N2, &[], 0));
    assert_eq!(step(candidate(), event), (ran(at(N1, next), &["elected"]), effects));
}

fn five() -> GenLeader<Capture, Probe> {
    GenLeader::v2003(Probe::default(), Roster::new(5, 0))
}

#[test]
fn a_candidate_that_less_than_half_accept_remains_one() {
    let before = five().start(boot(N0, None)).0;
    let captured = json!({ "captured": [N2.node], "position": 4 });
    let next = json!({ "iteration": captured, "alive": [N2.node] });
    let next = elect(before.clone(), next);
    assert_eq!(five().step(before, message(N2, accept(N2, &[], 2))), (next, vec![]));
}

/// `c and all of caps`, also when it was passed on: then another process sends it.
#[test]
fn whoever_accepts_brings_along_all_whom_it_has_captured() {
    let before = five().start(boot(N0, None)).0;
    let event = message(N1, accept(N2, &[N3], 2));
    let (next, effects) = five().step(before, event);
    let captured = json!({ "captured": [N2.node, N3.node], "position": 4 });
    assert_eq!(next, elect(next.clone(), json!({ "iteration": captured, "role": "elected" })));
    assert_eq!(effects[0], elected(()));
}

#[test]
fn half_are_enough_only_when_the_others_are_down() {
    let four = GenLeader::v2003(Probe::default(), Roster::new(4, 0));
    let (state, _) = four.start(boot(N0, None));
    let (state, effects) = four.step(state, message(N1, accept(N1, &[], 2)));
    assert_eq!(effects, []);
    let (state, effects) = four.step(state, down(N2));
    assert_eq!(effects, []);
    let (state, effects) = four.step(state, down(N3));
    assert_eq!(effects, [elected(()), send_name(N1, Message::Elect { leader: N0, synch: 's' })]);
    assert_eq!(state.election.phase(), Phase::Leading);
}

#[test]
fn the_captured_pass_an_accept_on_as_it_is() {
    let event = message(N2, accept(N4, &[N2], 0));
    let effects = vec![send(N0, accept(N4, &[N2], 0)), monitor_name(N4)];
    let monitored = [N4, N2, N0, N3].map(|process| process.node);
    let next = json!({ "alive": [N0.node, N4.node], "monitored": monitored });
    assert_eq!(step(captured(), event), (elect(captured(), next), effects));
}

#[test]
fn there_is_no_clause_for_an_accept_at_a_waiting_worker() {
    dies(step(waiting_worker(), message(N2, accept(N2, &[], 0))));
}

#[test]
fn candidates_and_captured_ones_surrender_to_the_elected() {
    let strong = json!({ "iteration": { "captured": [N2.node], "position": 1 } });
    for before in [candidate(), captured(), elect(candidate(), strong)] {
        let next = ran(surrendered_state(), &["surrendered s n0"]);
        let effects = vec![surrendered(N0, ())];
        assert_eq!(step(before, message(N0, elect_me(N0))), (next, effects));
    }
}

/// `nodeup` first.
#[test]
fn a_waiting_worker_follows_the_elected_and_monitors_it() {
    let next = ran(worker(), &["surrendered s n0"]);
    let effects = vec![monitor_name(N0), surrendered(N0, ())];
    assert_eq!(step(waiting_worker(), message(N0, elect_me(N0))), (next, effects));
}

#[test]
fn a_candidate_of_which_all_others_are_down_is_elected() {
    let before = at(N1, json!({ "down": [N0.node], "monitored": [N2.node, N3.node] }));
    let next = json!({
        "role": "elected", "leader": N1, "down": [N0.node, N2.node], "monitored": [N3.node],
    });
    let effects = vec![elected(()), send_name(N3, elect_me(N1))];
    assert_eq!(step(before, down(N2)), (ran(at(N1, next), &["elected"]), effects));
}

#[test]
fn a_candidate_takes_whoever_is_down_out_of_all_it_has() {
    let captured = |nodes: &[NodeId]| json!({ "captured": nodes, "position": 4 });
    let before = five().start(boot(N0, None)).0;
    let after_start = json!({ "iteration": captured(&[N1.node]), "alive": [N1.node, N2.node] });
    let gone = json!({
        "iteration": captured(&[]), "alive": [N2.node], "down": [N1.node],
        "monitored": [N4.node, N3.node, N2.node],
    });
    let (before, next) = (elect(before.clone(), after_start), elect(before, gone));
    assert_eq!(five().step(before, down(N1)), (next, vec![]));
}

#[test]
fn a_worker_that_is_down_does_not_count_among_the_down() {
    let before = at(N1, json!({ "alive": [N3.node] }));
    let next = at(N1, json!({ "alive": [], "monitored": [N2.node, N0.node] }));
    assert_eq!(step(before, down(N3)), (next, vec![]));
}

#[test]
fn the_captured_die_of_any_down() {
    for node in [N0, N2, N3] {
        dies(step(captured(), down(node)));
    }
}

#[test]
fn a_worker_dies_of_any_down_for_it_has_no_iteration() {
    for node in [N0, N2] {
        dies(step(waiting_worker(), down(node)));
        dies(step(worker(), down(node)));
    }
}

// While there is a leader.

#[test]
fn of_a_capture_or_accept_those_who_follow_see_only_that_somebody_is_there() {
    for event in [capture(N2, &[N0], 0), accept(N2, &[N0], 0)] {
        let next = elect(surrendered_state(), json!({ "alive": [N0.node, N2.node] }));
        assert_eq!(step(surrendered_state(), message(N2, event.clone())), (next, vec![]));
        let both = [N2.node, N0.node];
        let next = elect(worker(), json!({ "alive": both, "monitored": both }));
        let effects = vec![monitor_name(N2)];
        assert_eq!(step(worker(), message(N2, event)), (next, effects));
    }
}

/// `elected` again; to that process only.
#[test]
fn whoever_comes_late_to_the_elected_is_monitored_and_told() {
    for event in [capture(N2, &[], 0), accept(N2, &[], 0)] {
        let monitored = [N2.node, N0.node, N3.node];
        let alive = [N0.node, N2.node];
        let next = json!({ "alive": alive, "down": [], "monitored": monitored });
        let next = ran(elect(leader(), next), &["elected"]);
        let effects = vec![monitor_name(N2), elected(()), send(N2, elect_me(N1))];
        assert_eq!(step(leader(), message(N2, event)), (next, effects));
    }
}

#[test]
fn those_who_follow_turn_to_whoever_is_elected_next() {
    let captured = json!({ "iteration": { "captured": [N3.node], "position": 1 } });
    let next = json!({ "leader": N2, "leadernode": N2.node, "alive": [N0.node, N2.node] });
    let event = message(N2, elect_me(N2));
    let effects = vec![surrendered(N2, ())];
    assert_eq!(
        step(surrendered_to(N0, captured), event.clone()),
        (ran(elect(surrendered_state(), next.clone()), &["surrendered s n2"]), effects)
    );
    let monitored = elect(worker(), json!({ "monitored": [N2.node, N0.node] }));
    let next = ran(elect(monitored, next), &["surrendered s n2"]);
    let effects = vec![monitor_name(N2), surrendered(N2, ())];
    assert_eq!(step(worker(), event), (next, effects));
}

#[test]
fn there_is_no_clause_for_elect_at_the_elected() {
    dies(step(leader(), message(N0, elect_me(N0))));
}

#[test]
fn a_worker_that_starts_late_is_no_more_than_a_message_to_the_application() {
    let event = message(N4, Message::AddWorker(N4));
    for state in [surrendered_state(), leader(), worker()] {
        let next = ran(state.clone(), &["info: worker n4"]);
        assert_eq!(step(state, event.clone()), (next, vec![]));
    }
}

/// Here n2 is not down, so one of three is not enough.
#[test]
fn those_who_surrendered_capture_all_when_the_leader_is_down() {
    let next = json!({
        "role": "candidate", "leader": null, "leadernode": null, "alive": [], "down": [N0.node],
        "monitored": [N2.node, N3.node],
    });
    let effects = [N2, N3].map(|node| send_name(node, capture(N1, &[], 1))).to_vec();
    assert_eq!(step(surrendered_state(), down(N0)), (at(N1, next), effects));
}

#[test]
fn those_who_surrendered_are_elected_at_once_if_all_others_are_down_by_then() {
    let before = surrendered_to(N0, json!({ "down": [N2.node], "monitored": [N0.node, N3.node] }));
    let next = json!({
        "role": "elected", "leader": N1, "down": [N0.node, N2.node], "monitored": [N3.node],
    });
    let effects =
        vec![send_name(N3, capture(N1, &[], 1)), elected(()), send_name(N3, elect_me(N1))];
    assert_eq!(step(before, down(N0)), (ran(at(N1, next), &["elected"]), effects));
}

#[test]
fn those_who_surrendered_go_on_when_another_is_down() {
    let next = json!({ "down": [N2.node], "monitored": [N0.node, N3.node] });
    assert_eq!(step(surrendered_state(), down(N2)), (surrendered_to(N0, next), vec![]));
}

/// `down += x if x is a candidate, or if x is leadernode`.
#[test]
fn a_leader_that_is_down_counts_among_the_down_even_if_it_is_no_candidate() {
    let (next, _) = step(surrendered_to(N4, json!({})), down(N4));
    assert_eq!(next, elect(next.clone(), json!({ "down": [N4.node] })));
    let (next, _) = step(surrendered_to(N0, json!({})), down(N4));
    assert_eq!(next, elect(next.clone(), json!({ "down": [] })));
}

#[test]
fn the_elected_tells_the_application_of_nodes_that_were_alive_and_are_down() {
    let captured = json!({ "captured": [], "position": 1 });
    let gone = json!({
        "iteration": captured, "alive": [], "down": [N0.node, N2.node], "monitored": [N3.node],
    });
    let next = ran(elect(leader(), gone), &["down n0"]);
    assert_eq!(step(leader(), down(N0)), (next, vec![]));
    let next = elect(leader(), json!({ "monitored": [N0.node] }));
    assert_eq!(step(leader(), down(N3)), (next, vec![]));
}

#[test]
fn what_handle_down_broadcasts_goes_to_those_that_are_left() {
    let tells =
        GenLeader::v2003(Probe { on_down: Ask::Tell, ..Probe::default() }, Roster::new(3, 1));
    let message = Sent::FromLeader(Ask::Nothing);
    let effects: Vec<Effect> = vec![Effect::Send { to: Peer::Name(N3.node), message }];
    assert_eq!(tells.step(leader(), down(N0)).1, effects);
}

#[test]
fn there_is_no_periodic_check() {
    for state in [candidate(), leader(), worker()] {
        assert_eq!(step(state.clone(), Event::Timeout(Timer::Tau)), (state, vec![]));
    }
}
