//! The election of 2007: n0, n1, n2 by rank, and the worker n3; and its repairs.

use super::*;
use interrex::gen_leader::bully::Message;

type Event = server::Event<Bully, Probe>;
type Effect = server::Effect<Bully, Probe>;
type State = super::State<Bully>;

fn servers() -> GenLeader<Bully, Probe> {
    GenLeader::v2007(Probe::default(), Roster::new(3, 1))
}

fn repaired(repairs: Repairs) -> GenLeader<Bully, Probe> {
    GenLeader::new(Probe::default(), Roster::new(3, 1)).with_repairs(repairs)
}

fn step(state: State, event: Event) -> Step<Bully> {
    servers().step(state, event)
}

fn id(rank: u64, counter: u64) -> ElectionId {
    ElectionId { rank, incarnation: 0, counter }
}

/// The first election of n0.
const T: ElectionId = ElectionId { rank: 1, incarnation: 0, counter: 0 };
/// One that nobody takes part in.
const OTHER: ElectionId = ElectionId { rank: 9, incarnation: 9, counter: 9 };

/// A process that has started, but for these fields.
fn at(me: Address, changes: Value) -> State {
    elect(servers().start(boot(me, None)).0, changes)
}

/// n0, which has begun to halt n1.
fn halts() -> State {
    at(N0, json!({}))
}

/// n1, which waits for n0 to be down.
fn stage1() -> State {
    at(N1, json!({}))
}

/// n1, when all of higher priority were down: it halts n2.
fn stage2() -> State {
    at(
        N1,
        json!({
            "status": "elec2", "pendack": N2.node, "down": [N0.node], "monitored": [N2.node],
        }),
    )
}

/// n1, when n0 has halted it.
fn waits() -> State {
    at(N1, json!({ "status": "wait", "elid": T, "leadernode": N0.node }))
}

fn waiting_worker() -> State {
    at(N3, json!({}))
}

/// n3, when n0 has asked it.
fn asked_worker() -> State {
    at(N3, json!({ "elid": T, "leadernode": N0.node, "monitored": [N0.node] }))
}

fn surrendered_state() -> State {
    elect(waits(), json!({ "role": "surrendered", "status": "norm", "leader": N0 }))
}

/// n0 leads n1; n2 and the worker are down.
fn leader() -> State {
    at(
        N0,
        json!({
            "role": "elected", "status": "norm", "leader": N0, "leadernode": N0.node,
            "pendack": N2.node, "acks": [peer(N1)], "down": [N2.node], "monitored": [N1.node],
            "work_down": [N3.node],
        }),
    )
}

fn worker() -> State {
    elect(asked_worker(), json!({ "role": "worker", "leader": N0 }))
}

fn peer(process: Address) -> Peer {
    Peer::Name(process.node)
}

fn message(from: Address, message: Message<char>) -> Event {
    Event::Message { from, message: Sent::Election(message) }
}

fn ldr(elid: ElectionId) -> Message<char> {
    Message::Ldr { synch: 's', elid }
}

fn has_leader(leader: Address, elid: ElectionId) -> Message<char> {
    Message::HasLeader { leader, elid }
}

fn activate(elid: ElectionId) -> Message<char> {
    Message::ActivateWorker { elid, synch: 's' }
}

fn nodes<const COUNT: usize>(processes: [Address; COUNT]) -> Value {
    json!(processes.map(|process| process.node).as_slice())
}

#[track_caller]
fn ignores(state: &State, event: Event) {
    assert_eq!(step(state.clone(), event), (state.clone(), vec![]));
}

// Start.

#[test]
fn the_first_candidate_stores_its_next_incarnation_and_halts_the_second() {
    let (state, effects) = servers().start(boot(N0, None));
    let halt = send_name(N1, Message::Halt(T));
    assert_eq!(effects, [Effect::Persist(1), monitor_name(N1), halt]);
    let begun = json!({
        "role": "candidate", "status": "elec2", "elid": T, "nextel": 1, "pendack": N1.node,
        "monitored": [N1.node], "acks": [], "down": [],
    });
    assert_eq!(state, elect(state.clone(), begun));
}

#[test]
fn a_candidate_monitors_all_of_higher_priority_in_the_order_of_the_list() {
    let (state, effects) = servers().start(boot(N2, None));
    assert_eq!(effects, [Effect::Persist(1), monitor_name(N0), monitor_name(N1)]);
    let begun = json!({
        "role": "candidate", "status": "elec1", "elid": id(3, 0), "nextel": 1,
        "monitored": [N1.node, N0.node],
    });
    assert_eq!(state, elect(state.clone(), begun));
}

#[test]
fn a_candidate_that_comes_back_is_in_the_incarnation_that_was_stored() {
    let (state, effects) = servers().start(boot(N1, Some(4)));
    assert_eq!(effects, [Effect::Persist(5), monitor_name(N0)]);
    let elid = ElectionId { rank: 2, incarnation: 4, counter: 0 };
    assert_eq!(state, elect(state.clone(), json!({ "elid": elid, "incarnation": 4 })));
}

#[test]
fn a_worker_stores_nothing_and_waits() {
    let (state, effects) = servers().start(boot(N3, None));
    assert_eq!(effects, []);
    let waits = json!({ "role": "new_worker", "status": "none", "elid": null });
    assert_eq!(state, elect(state.clone(), waits));
}

#[test]
fn a_single_candidate_stays_in_the_safe_loop() {
    let alone = GenLeader::v2007(Probe::default(), Roster::new(1, 0));
    let (state, effects) = alone.start(boot(N0, None));
    assert_eq!(effects, [Effect::Persist(1)]);
    assert_eq!(state.election.phase(), Phase::Electing);
    assert_eq!(state, elect(state.clone(), json!({ "status": "norm", "leader": N0 })));
}

// The safe loop.

/// The sender is a process. T is compared with nothing.
#[test]
fn whoever_is_halted_acknowledges_it_and_waits() {
    let next = at(
        N1,
        json!({ "status": "wait", "elid": OTHER, "leadernode": N2.node,
            "monitored": [N2.node, N0.node] }),
    );
    let effects = vec![monitor(N2), send(N2, Message::AckLeader(OTHER))];
    assert_eq!(step(stage1(), message(N2, Message::Halt(OTHER))), (next, effects));
}

#[test]
fn whoever_is_monitored_is_not_monitored_again_but_is_no_longer_down() {
    let before = at(N1, json!({ "down": [N0.node] }));
    let effects = vec![send(N0, Message::AckLeader(T))];
    assert_eq!(step(before, message(N0, Message::Halt(T))), (waits(), effects));
}

/// By name to the acks, the latest first.
#[test]
fn whoever_hears_of_a_leader_asks_it_and_tells_those_it_has_halted() {
    let acks = json!([peer(N2), peer(N4)]);
    let before = elect(stage2(), json!({ "acks": acks }));
    let next = json!({
        "status": "wait", "elid": T, "leadernode": N0.node, "down": [], "acks": [],
        "monitored": [N0.node, N2.node],
    });
    let effects = vec![
        monitor(N0),
        send_name(N2, has_leader(N0, T)),
        send_name(N4, has_leader(N0, T)),
        send(N0, Message::IsLeader(T)),
    ];
    let event = message(N2, has_leader(N0, T));
    assert_eq!(step(before, event), (elect(stage2(), next), effects));
}

#[test]
fn only_in_stage_2_those_halted_are_told_of_a_leader() {
    let before = elect(waits(), json!({ "acks": [peer(N2)] }));
    let next = elect(waits(), json!({ "elid": OTHER, "acks": [] }));
    let effects = vec![send(N0, Message::IsLeader(OTHER))];
    assert_eq!(step(before, message(N2, has_leader(N0, OTHER))), (next, effects));
}

#[test]
fn nobody_in_the_safe_loop_is_the_leader() {
    for state in [stage1(), waits(), waiting_worker()] {
        let effects = vec![send(N2, Message::NotLeader(OTHER))];
        assert_eq!(step(state.clone(), message(N2, Message::IsLeader(OTHER))), (state, effects));
    }
}

#[test]
fn whoever_waits_for_one_that_does_not_lead_begins_anew() {
    let next = json!({ "status": "elec1", "elid": id(2, 1), "nextel": 2 });
    let event = message(N0, Message::NotLeader(T));
    assert_eq!(step(waits(), event.clone()), (elect(waits(), next), vec![]));
    ignores(&waits(), message(N0, Message::NotLeader(OTHER)));
    ignores(&elect(waits(), json!({ "status": "elec1" })), event);
}

#[test]
fn one_acknowledgement_after_the_other_makes_the_leader() {
    let next = json!({
        "pendack": N2.node, "acks": [peer(N1)], "monitored": [N2.node, N1.node],
    });
    let next = elect(halts(), next);
    let effects = vec![monitor_name(N2), send_name(N2, Message::Halt(T))];
    let event = message(N1, Message::AckLeader(T));
    assert_eq!(step(halts(), event), (next.clone(), effects));

    let leads = json!({
        "role": "elected", "status": "norm", "leader": N0, "leadernode": N0.node,
        "acks": [peer(N2), peer(N1)], "work_down": [N3.node],
    });
    let leads = ran(elect(next.clone(), leads), &["elected"]);
    let effects = vec![elected(T), send_name(N2, ldr(T)), send_name(N1, ldr(T)), set_tau()];
    assert_eq!(step(next, message(N2, Message::AckLeader(T))), (leads, effects));
}

#[test]
fn an_acknowledgement_that_is_not_due_is_ignored() {
    ignores(&halts(), message(N1, Message::AckLeader(OTHER)));
    ignores(&halts(), message(N2, Message::AckLeader(T)));
    ignores(&elect(halts(), json!({ "status": "wait" })), message(N1, Message::AckLeader(T)));
}

#[test]
fn whoever_waits_for_this_leader_surrenders_to_it() {
    let before = elect(waits(), json!({ "monitored": [] }));
    let next = ran(surrendered_state(), &["surrendered s n0"]);
    let effects = vec![monitor(N0), surrendered(N0, T)];
    assert_eq!(step(before, message(N0, ldr(T))), (next, effects));
    ignores(&waits(), message(N0, ldr(OTHER)));
    ignores(&elect(waits(), json!({ "status": "elec1" })), message(N0, ldr(T)));
}

/// Whatever T is, in stage 1; this T only, in wait.
#[test]
fn a_leader_that_asks_is_told_by_whoever_has_none() {
    let effects = vec![send(N0, Message::NotNorm(T))];
    let event = message(N0, Message::NormQ(T));
    for before in [stage1(), waits()] {
        assert_eq!(step(before, event.clone()), (waits(), effects.clone()));
    }
    ignores(&waits(), message(N0, Message::NormQ(OTHER)));
    ignores(&stage2(), event);
}

#[test]
fn what_only_a_leader_takes_is_ignored_in_the_safe_loop() {
    for state in [stage1(), stage2(), waits(), waiting_worker()] {
        ignores(&state, message(N2, Message::NotNorm(T)));
        ignores(&state, message(N3, Message::WorkerIsAlive(T)));
        ignores(&state, Event::Timeout(Timer::Tau));
    }
}

#[test]
fn a_worker_answers_the_first_leader_that_asks() {
    let effects = vec![monitor(N0), send(N0, Message::WorkerIsAlive(T))];
    let event = message(N0, Message::WorkerAlive(T));
    assert_eq!(step(waiting_worker(), event), (asked_worker(), effects));
    ignores(&asked_worker(), message(N2, Message::WorkerAlive(OTHER)));
}

#[test]
fn a_worker_follows_the_leader_that_activates_it() {
    let next = ran(worker(), &["surrendered s n0"]);
    let event = message(N0, activate(T));
    assert_eq!(step(asked_worker(), event), (next, vec![surrendered(N0, T)]));
    ignores(&asked_worker(), message(N0, activate(OTHER)));
    ignores(&asked_worker(), message(N2, activate(T)));
}

#[test]
fn a_worker_whose_leader_is_down_waits_for_another() {
    let next = json!({
        "role": "waiting_worker", "leader": null, "leadernode": null, "monitored": [],
    });
    for before in [asked_worker(), worker()] {
        let next = elect(before.clone(), next.clone());
        ignores(&before, down(N1));
        assert_eq!(step(before, down(N0)), (next, vec![]));
    }
}

#[test]
fn when_all_of_higher_priority_are_down_the_next_are_halted() {
    let before = at(N1, json!({ "down": [N2.node] }));
    let elid = id(2, 0);
    let effects = vec![monitor_name(N2), send_name(N2, Message::Halt(elid))];
    assert_eq!(step(before, down(N0)), (stage2(), effects));
}

#[test]
fn those_who_acknowledged_an_earlier_election_do_not_count() {
    let before = at(N1, json!({ "acks": [peer(N2)] }));
    assert_eq!(step(before, down(N0)).0, stage2());
}

/// `x` is this node itself: the `Down` of an earlier life.
#[test]
fn a_candidate_that_waits_for_its_own_earlier_life_begins_anew_when_that_is_down() {
    let before = elect(waits(), json!({ "leadernode": N1.node, "monitored": nodes([N1]) }));
    let next = json!({
        "status": "elec1", "elid": id(2, 1), "nextel": 2, "down": [], "monitored": [N0.node],
    });
    let next = elect(before.clone(), next);
    assert_eq!(step(before, down(N1)), (next, vec![monitor_name(N0)]));
}

#[test]
fn a_candidate_that_waits_for_another_only_notes_that_its_own_earlier_life_is_down() {
    for before in [stage1(), waits()] {
        let next = elect(before.clone(), json!({ "down": [N1.node] }));
        assert_eq!(step(before, down(N1)), (next, vec![]));
    }
}

/// The first Down waits for the other; the last of the list has nobody to halt.
#[test]
fn the_last_candidate_leads_when_all_others_are_down() {
    let one = at(N2, json!({ "down": nodes([N1]), "monitored": nodes([N0]) }));
    assert_eq!(step(at(N2, json!({})), down(N1)), (one.clone(), vec![]));
    let leads = json!({
        "role": "elected", "status": "norm", "leader": N2, "leadernode": N2.node,
        "pendack": N2.node, "monitored": [], "down": nodes([N0, N1]), "work_down": [N3.node],
    });
    let leads = ran(at(N2, leads), &["elected"]);
    assert_eq!(step(one, down(N0)), (leads, vec![elected(id(3, 0)), set_tau()]));
}

#[test]
fn whoever_is_halted_but_down_is_passed_over() {
    let next = json!({ "pendack": N2.node, "down": [N1.node], "monitored": [N2.node] });
    let effects = vec![monitor_name(N2), send_name(N2, Message::Halt(T))];
    assert_eq!(step(halts(), down(N1)), (elect(halts(), next), effects));
    let another = elect(halts(), json!({ "down": [N2.node] }));
    assert_eq!(step(halts(), down(N2)), (another, vec![]));
}

#[test]
fn whoever_waits_for_one_that_is_down_begins_anew() {
    let next = json!({ "status": "elec1", "elid": id(2, 1), "nextel": 2, "down": [] });
    let higher = elect(waits(), next.clone());
    assert_eq!(step(waits(), down(N0)), (higher, vec![monitor_name(N0)]));
    let lower = json!({ "leadernode": N2.node, "monitored": [N2.node, N0.node] });
    let before = elect(waits(), lower);
    let next = elect(elect(before.clone(), next), json!({ "monitored": [N0.node] }));
    assert_eq!(step(before, down(N2)), (next, vec![]));
}

#[test]
fn whoever_waits_for_one_notes_that_another_is_down() {
    let next = elect(waits(), json!({ "down": [N2.node] }));
    assert_eq!(step(waits(), down(N2)), (next, vec![]));
}

#[test]
fn there_is_no_clause_for_a_worker_that_is_down_before_there_is_a_leader() {
    for state in [stage1(), stage2(), waits()] {
        dies(step(state, down(N3)));
    }
}

// While there is a leader.

#[test]
fn whoever_halts_one_that_has_a_leader_is_told_so() {
    for state in [surrendered_state(), leader(), worker()] {
        let effects = vec![send(N2, has_leader(N0, T))];
        assert_eq!(step(state.clone(), message(N2, Message::Halt(OTHER))), (state, effects));
    }
}

#[test]
fn whoever_surrenders_late_is_monitored_and_told_the_election() {
    let next = json!({ "down": [], "monitored": [N2.node, N1.node] });
    let next = ran(elect(leader(), next), &["elected"]);
    let effects = vec![monitor(N2), elected(T), send(N2, ldr(T))];
    for event in [Message::IsLeader(OTHER), Message::NotNorm(T)] {
        assert_eq!(step(leader(), message(N2, event)), (next.clone(), effects.clone()));
    }
    ignores(&leader(), message(N2, Message::NotNorm(OTHER)));
}

#[test]
fn whoever_follows_is_not_the_leader() {
    for state in [surrendered_state(), worker()] {
        let effects = vec![send(N2, Message::NotLeader(T))];
        ignores(&state, message(N2, Message::NotNorm(T)));
        assert_eq!(step(state.clone(), message(N2, Message::IsLeader(T))), (state, effects));
    }
}

#[test]
fn a_worker_that_answers_is_activated() {
    let next = json!({ "work_down": [], "monitored": [N3.node, N1.node] });
    let next = ran(elect(leader(), next), &["elected"]);
    let effects = vec![monitor(N3), elected(T), send(N3, activate(T))];
    let event = message(N3, Message::WorkerIsAlive(T));
    assert_eq!(step(leader(), event.clone()), (next, effects));
    ignores(&leader(), message(N3, Message::WorkerIsAlive(OTHER)));
    ignores(&surrendered_state(), event);
}

#[test]
fn now_and_then_a_leader_asks_the_down_but_never_the_first_candidate() {
    let state = elect(leader(), json!({ "down": nodes([N2, N0, N1]) }));
    let effects = vec![
        send_name(N2, Message::NormQ(T)),
        send_name(N1, Message::NormQ(T)),
        send_name(N3, Message::WorkerAlive(T)),
        set_tau(),
    ];
    assert_eq!(step(state.clone(), Event::Timeout(Timer::Tau)), (state, effects));
    ignores(&surrendered_state(), Event::Timeout(Timer::Tau));
    ignores(&worker(), Event::Timeout(Timer::Tau));
}

#[test]
fn what_belongs_to_an_election_is_ignored_when_it_is_over() {
    for state in [surrendered_state(), leader(), worker()] {
        let late = [
            has_leader(N2, T),
            Message::AckLeader(T),
            Message::NotLeader(T),
            ldr(T),
            Message::NormQ(T),
            Message::WorkerAlive(T),
            activate(T),
        ];
        for late in late {
            ignores(&state, message(N2, late));
        }
    }
}

#[test]
fn those_who_surrendered_begin_anew_when_the_leader_is_down() {
    let next = json!({
        "role": "candidate", "status": "elec1", "elid": id(2, 1), "nextel": 2, "down": [],
    });
    let next = elect(surrendered_state(), next);
    assert_eq!(step(surrendered_state(), down(N0)), (next, vec![monitor_name(N0)]));
}

/// One that has taken itself to be down is its own leader still, as long as nobody else is.
#[test]
fn whoever_has_led_leads_again_only_when_another_election_is_over() {
    let before = at(N1, json!({ "leader": N1 }));
    let next = elect(before.clone(), json!({ "down": [N2.node] }));
    assert_eq!(step(before, down(N2)), (next, vec![]));
}

#[test]
fn another_candidate_that_is_down_is_noted() {
    let next = json!({ "down": nodes([N1, N2]), "monitored": [] });
    assert_eq!(step(leader(), down(N1)), (elect(leader(), next), vec![]));
    let next = elect(surrendered_state(), json!({ "down": [N2.node] }));
    assert_eq!(step(surrendered_state(), down(N2)), (next, vec![]));
}

#[test]
fn a_worker_that_is_down_is_noted_once_and_no_longer_monitored() {
    let before = elect(leader(), json!({ "work_down": [], "monitored": nodes([N3, N1]) }));
    let next = json!({ "work_down": [N3.node], "monitored": [N1.node] });
    let next = elect(before.clone(), next);
    assert_eq!(step(before, down(N3)), (next.clone(), vec![]));
    ignores(&next, down(N3));
}

/// So that the end of its second life is noticed, too.
#[test]
fn a_worker_that_has_been_down_is_monitored_again_when_it_answers() {
    let before = elect(leader(), json!({ "work_down": [], "monitored": nodes([N3, N1]) }));
    let (state, _) = step(before, down(N3));
    let restarted = Address { life: 1, ..N3 };
    let (_, effects) = step(state, message(restarted, Message::WorkerIsAlive(T)));
    assert_eq!(effects, [monitor(restarted), elected(T), send(restarted, activate(T))]);
}

/// `down −= x` takes the first occurrence.
#[test]
fn a_candidate_that_was_down_twice_is_still_down_after_it_is_taken_out_once() {
    let twice = json!({ "down": nodes([N0, N2, N0]) });
    let once = json!({ "down": nodes([N2, N0]) });
    for event in [Message::Halt(T), Message::NormQ(T), has_leader(N0, T)] {
        let (next, _) = step(elect(waits(), twice.clone()), message(N0, event));
        assert_eq!(next, elect(waits(), once.clone()));
    }
    let twice = json!({ "down": nodes([N2, N1, N2]) });
    for event in [Message::IsLeader(T), Message::NotNorm(T)] {
        let (next, _) = step(elect(leader(), twice.clone()), message(N2, event));
        assert_eq!(next, elect(next.clone(), json!({ "down": nodes([N1, N2]) })));
    }
}

// The repairs: with all of them, and with all but one.

fn with_and_without(repair: Repair) -> [GenLeader<Bully, Probe>; 2] {
    [repaired(Repairs::all()), repaired(Repairs::all().without(repair))]
}

#[test]
fn ask_everybody_so_that_nobody_is_forgotten_who_has_not_confirmed() {
    let [with, without] = with_and_without(Repair::AskEverybody);
    let before = elect(
        halts(),
        json!({
            "pendack": N2.node, "acks": ["n1"], "monitored": nodes([N2, N1]),
            "watched": ["n1", "n2"],
        }),
    );
    let event = message(N2, Message::AckLeader(T));
    let (leads, _) = without.step(before.clone(), event.clone());
    assert_eq!(leads, elect(leads.clone(), json!({ "down": [] })));

    let (leads, _) = with.step(before, event);
    assert_eq!(leads, elect(leads.clone(), json!({ "down": nodes([N1, N2]) })));
    let confirms = message(N1, has_leader(N0, T));
    let confirmed = elect(leads.clone(), json!({ "down": [N2.node] }));
    assert_eq!(with.step(leads.clone(), confirms.clone()), (confirmed, vec![]));
    assert_eq!(without.step(leads.clone(), confirms), (leads, vec![]));
}

#[test]
fn ask_everybody_makes_whoever_surrenders_confirm_it() {
    let [with, without] = with_and_without(Repair::AskEverybody);
    let before = elect(waits(), json!({ "watched": ["n0"] }));
    let (next, effects) = without.step(before.clone(), message(N0, ldr(T)));
    assert_eq!(effects, [surrendered(N0, T)]);
    let effects = vec![surrendered(N0, T), send(N0, has_leader(N0, T))];
    assert_eq!(with.step(before, message(N0, ldr(T))), (next, effects));
}

#[test]
fn ask_everybody_asks_the_first_candidate_too() {
    let [with, without] = with_and_without(Repair::AskEverybody);
    let before = elect(leader(), json!({ "down": [N0.node], "work_down": [] }));
    let tau = Event::Timeout(Timer::Tau);
    let effects = vec![send_name(N0, Message::NormQ(T)), set_tau()];
    assert_eq!(with.step(before.clone(), tau.clone()), (before.clone(), effects));
    assert_eq!(without.step(before.clone(), tau), (before, vec![set_tau()]));
}

#[test]
fn ask_everybody_until_it_has_confirmed_and_nobody_twice() {
    let [with, without] = with_and_without(Repair::AskEverybody);
    let before = elect(leader(), json!({ "watched": ["n1", "n2"] }));
    let event = message(N2, Message::IsLeader(T));
    for (servers, still) in [(&with, nodes([N2])), (&without, nodes([]))] {
        let (next, _) = servers.step(before.clone(), event.clone());
        assert_eq!(next, elect(next.clone(), json!({ "down": still })));
    }
    for (servers, noted) in [(&with, nodes([N2])), (&without, nodes([N2, N2]))] {
        let (next, _) = servers.step(before.clone(), Event::Down(N2.into()));
        assert_eq!(next, elect(next.clone(), json!({ "down": noted })));
    }
}

#[test]
fn answer_in_wait_whomever_a_candidate_waits_for() {
    let [with, without] = with_and_without(Repair::AnswerInWait);
    let watched = json!(["n0", "n2"]);
    let before = elect(waits(), json!({ "monitored": nodes([N2, N0]), "watched": watched }));
    let next = json!({ "elid": OTHER, "leadernode": N2.node, "leaderlife": 0 });
    let next = elect(before.clone(), next);
    let event = message(N2, Message::NormQ(OTHER));
    let effects = vec![send(N2, Message::NotNorm(OTHER))];
    assert_eq!(with.step(before.clone(), event.clone()), (next, effects));
    assert_eq!(without.step(before.clone(), event), (before, vec![]));
}

#[test]
fn lives_apart_so_that_a_new_life_is_monitored_anew() {
    let [with, without] = with_and_without(Repair::LivesApart);
    let back = Address { life: 1, ..N0 };
    let before = elect(waits(), json!({ "leaderlife": 0, "watched": ["n0"] }));
    let event = message(back, Message::Halt(OTHER));
    let ack = send(back, Message::AckLeader(OTHER));
    let next = json!({ "elid": OTHER, "leaderlife": 1, "watched": ["n0", "n0#1"] });
    let effects = vec![monitor(back), ack.clone()];
    assert_eq!(with.step(before.clone(), event.clone()), (elect(before.clone(), next), effects));
    let next = elect(before.clone(), json!({ "elid": OTHER, "leaderlife": null }));
    assert_eq!(without.step(before, event), (next, vec![ack]));
}

#[test]
fn lives_apart_so_that_the_down_of_another_life_says_nothing() {
    let [with, without] = with_and_without(Repair::LivesApart);
    let back = Address { life: 1, ..N0 };
    let watched = json!({ "leaderlife": 1, "watched": ["n0", "n0#1"] });
    let before = elect(surrendered_state(), watched);
    let (next, effects) = with.step(before.clone(), Event::Down(N0.into()));
    assert_eq!((next, effects), (elect(before.clone(), json!({ "watched": ["n0#1"] })), vec![]));
    let (next, _) = with.step(before.clone(), Event::Down(back.into()));
    assert_eq!(next.election.phase(), Phase::Electing);
    let (next, _) = without.step(surrendered_state(), Event::Down(N0.into()));
    assert_eq!(next.election.phase(), Phase::Electing);
}

/// A name that is not watched any more is one of another life.
#[test]
fn lives_apart_so_that_a_down_that_nobody_waits_for_is_ignored() {
    let [with, _] = with_and_without(Repair::LivesApart);
    let before = elect(surrendered_state(), json!({ "leaderlife": 0, "watched": ["n0"] }));
    let by_name = Event::Down(Peer::Name(N0.node));
    assert_eq!(with.step(before.clone(), by_name), (before, vec![]));
}

/// While another life of the leader's node is watched, the end of the leader is one all the same.
#[test]
fn lives_apart_and_whoever_waits_for_the_life_that_is_over_begins_anew() {
    let [with, _] = with_and_without(Repair::LivesApart);
    let watched = json!({ "leaderlife": 0, "watched": ["n0", "n0#1"] });
    for before in [waits(), surrendered_state(), worker()] {
        let before = elect(before, watched.clone());
        let (next, _) = with.step(before, Event::Down(N0.into()));
        assert_eq!(next.election.phase(), Phase::Electing);
        assert_ne!(next, elect(next.clone(), json!({ "status": "wait" })));
    }
    let halts = elect(halts(), json!({ "watched": ["n1", "n1#1"] }));
    let (next, _) = with.step(halts, Event::Down(N1.into()));
    assert_eq!(next, elect(next.clone(), json!({ "pendack": N2.node, "acks": [] })));
}

/// In each stage, and in wait.
#[test]
fn lives_apart_and_whoever_waits_for_another_goes_on_waiting() {
    let [with, _] = with_and_without(Repair::LivesApart);
    let watched = json!({ "leaderlife": 0, "watched": ["n2", "n2#1"] });
    for before in [stage1(), halts(), waits()] {
        let before = elect(before, watched.clone());
        let next = elect(before.clone(), json!({ "watched": ["n2#1"] }));
        assert_eq!(with.step(before, Event::Down(N2.into())), (next, vec![]));
    }
}

/// A node that is monitored in some life is not monitored by name again until that life is down.
#[test]
fn lives_apart_and_still_nobody_is_monitored_twice() {
    let [with, _] = with_and_without(Repair::LivesApart);
    for (watched, monitors) in [(json!(["n2"]), 0), (json!([]), 1)] {
        let pending = json!({ "monitored": nodes([N2, N1]), "watched": watched });
        let event = message(N1, Message::AckLeader(T));
        let (next, effects) = with.step(elect(halts(), pending), event);
        assert_eq!(effects[..monitors], vec![monitor_name(N2); monitors]);
        assert_eq!(effects[monitors..], [send_name(N2, Message::Halt(T))]);
        assert_eq!(next, elect(next.clone(), json!({ "acks": ["n1"] })));
    }
    let watched = json!(["n0", "n1"]);
    let before = elect(worker(), json!({ "watched": watched }));
    let (next, _) = with.step(before, Event::Down(N0.into()));
    assert_eq!(next, elect(next.clone(), json!({ "watched": [] })));
    let before = elect(leader(), json!({ "watched": ["n1"] }));
    let (next, _) = with.step(before, Event::Down(N1.into()));
    assert_eq!(next, elect(next.clone(), json!({ "watched": [] })));
}

#[test]
fn tell_who_acked_and_not_whoever_lives_there_now() {
    let [with, without] = with_and_without(Repair::TellWhoAcked);
    let before = elect(halts(), json!({ "pendack": N2.node }));
    let event = message(N2, Message::AckLeader(T));
    let (_, effects) = with.step(before.clone(), event.clone());
    assert_eq!(effects[1], send(N2, ldr(T)));
    let (_, effects) = without.step(before, event);
    assert_eq!(effects[1], send_name(N2, ldr(T)));
}

#[test]
fn lives_apart_and_whoever_waits_for_its_own_earlier_life_still_begins_anew() {
    let [with, _] = with_and_without(Repair::LivesApart);
    let back = Address { life: 1, ..N1 };
    let waits = json!({
        "status": "wait", "elid": T, "leadernode": N1.node, "monitored": [N1.node],
    });
    let before = elect(servers().start(boot(back, Some(1))).0, waits);
    let before = elect(before, json!({ "leaderlife": 0, "watched": ["n1"] }));
    let (next, _) = with.step(before, Event::Down(N1.into()));
    assert_ne!(next.election.term(), T);
}

/// Without it, a leader that hears it steps down.
#[test]
fn lives_apart_so_that_a_leader_does_not_take_itself_to_be_down() {
    let [with, without] = with_and_without(Repair::LivesApart);
    let earlier = json!({ "monitored": nodes([N0, N1]) });
    let before = elect(leader(), earlier);
    let (next, _) = without.step(before.clone(), Event::Down(N0.into()));
    assert_eq!(next.election.phase(), Phase::Electing);
    let before = elect(before, json!({ "leaderlife": 1, "watched": ["n0"] }));
    let next = elect(before.clone(), json!({ "watched": [] }));
    assert_eq!(with.step(before, Event::Down(N0.into())), (next, vec![]));
}

#[test]
fn one_id_for_all_elections_of_a_life() {
    let [with, without] = with_and_without(Repair::OneId);
    for (servers, elid, begun) in [(with, id(2, 0), 0), (without, id(2, 1), 2)] {
        let (state, _) = servers.start(boot(N1, None));
        let waits = json!({ "status": "wait", "elid": T, "leadernode": N0.node });
        let event = message(N0, Message::NotLeader(T));
        let (next, _) = servers.step(elect(state, waits), event);
        let anew = json!({ "status": "elec1", "elid": elid, "nextel": begun });
        assert_eq!(next, elect(next.clone(), anew));
    }
}

#[test]
fn lone_leads() {
    let alone = |repairs| GenLeader::new(Probe::default(), Roster::new(1, 0)).with_repairs(repairs);
    let (state, effects) = alone(Repairs::all()).start(boot(N0, None));
    assert_eq!(state.election.phase(), Phase::Leading);
    assert_eq!(effects, [Effect::Persist(1), elected(T), set_tau()]);
    let without = alone(Repairs::all().without(Repair::LoneLeads));
    let (state, effects) = without.start(boot(N0, None));
    assert_eq!(state.election.phase(), Phase::Electing);
    assert_eq!(effects, [Effect::Persist(1)]);
}

#[test]
fn own_leader_so_that_only_those_who_have_surrendered_to_it_listen() {
    let [with, without] = with_and_without(Repair::OwnLeader);
    let tells = |from| Event::Message { from, message: Sent::FromLeader(Ask::Nothing) };
    let follower = surrendered_state();
    for from in [N2, Address { life: 1, ..N0 }] {
        assert_eq!(with.step(follower.clone(), tells(from)), (follower.clone(), vec![]));
        let (next, _) = without.step(follower.clone(), tells(from));
        assert_eq!(log_of(&next), ["from leader"]);
    }
    let (next, _) = with.step(follower, tells(N0));
    assert_eq!(log_of(&next), ["from leader"]);
    // It does not wait for a leader either.
    assert_eq!(with.step(waits(), tells(N0)), (waits(), vec![]));
    assert_eq!(without.step(waits(), tells(N0)).0.mailbox.len(), 1);
}

#[test]
fn calls_fail_when_the_leader_is_down() {
    let [with, without] = with_and_without(Repair::CallsFail);
    let call = Command::LeaderCall { tag: 7, request: Ask::Answer, timeout: None };
    for before in [surrendered_state(), worker()] {
        let before = elect(before, json!({ "watched": ["@n0"] }));
        let (state, _) = with.step(before, command(call.clone()));
        let failed = Observation::Failed { tag: 7, error: CallFailure::LeaderDied };
        let (next, effects) = with.step(state.clone(), down(N0));
        assert_eq!(effects[0], Effect::Observe(failed.clone()));
        assert_eq!((next.server.buffered.len(), next.server.clients.len()), (0, 0));
        let (next, effects) = without.step(state, down(N0));
        assert!(!effects.contains(&Effect::Observe(failed)));
        assert_eq!((next.server.buffered.len(), next.server.clients.len()), (1, 1));
    }
}

#[test]
fn answered_leaves_so_that_a_second_answer_is_ignored() {
    let [with, without] = with_and_without(Repair::AnsweredLeaves);
    let call = Command::LeaderCall { tag: 7, request: Ask::Answer, timeout: None };
    let event =
        Event::Message { from: N0, message: Sent::LeaderReply { reference: 0, answer: Ok('r') } };
    let replied: Effect = Effect::Observe(Observation::Replied { tag: 7, reply: 'r' });
    for (servers, left, second) in [(with, 0, vec![]), (without, 1, vec![replied.clone()])] {
        let (state, _) = servers.step(surrendered_state(), command(call.clone()));
        let (state, effects) = servers.step(state, event.clone());
        assert_eq!((state.server.buffered.len(), effects), (left, vec![replied.clone()]));
        assert_eq!(servers.step(state.clone(), event.clone()), (state, second));
    }
}

#[test]
fn what_can_be_repaired_has_a_name_that_can_be_switched_off() {
    for repair in Repair::ALL {
        assert!(Repairs::all().has(repair) && !Repairs::none().has(repair));
        assert!(!Repairs::all().without(repair).has(repair));
        assert_eq!(serde_json::to_value(repair).expect("a name"), json!(repair.name()));
    }
}
