//! gms3, row by row: what each role does with each event, as the seed's clauses have it.
//!
//! A step is compared whole, its next state and its list of effects; where it ends the process, the
//! effects alone. The reasons of a `Stop` are ours: the seed has none.

use interrex::gms3::{self, Command, Follower, Gms3, Joining, Leader, Observation, Timer, View};
use interrex::machine::{Address, Boot, Machine, NodeId, Peer, Value};
use std::time::Duration;

/// A message.
type Payload = char;
type State = gms3::State<Payload>;
type Message = gms3::Message<Payload>;
type Event = gms3::Event<Payload>;
type Effect = gms3::Effect<Payload>;

const N0: Address = NodeId(0).first_life();
const N1: Address = NodeId(1).first_life();
const N2: Address = NodeId(2).first_life();
const N3: Address = NodeId(3).first_life();
const N4: Address = NodeId(4).first_life();

/// The table's N: the next number to use, or the next one expected.
const N: u64 = 7;
/// The followers by seniority, which is not the order of their numbers.
const FOLLOWERS: [Address; 3] = [N3, N2, N1];

/// The seed's `?timeout`.
const PATIENCE: Duration = Duration::from_secs(1);
const STRANGE: &str = "strange message";
const NO_REPLY: &str = "no reply from leader";

// States.

fn joining(me: Address, deferred: &[Event]) -> State {
    State::Joining(Joining { me, deferred: deferred.iter().cloned().collect() })
}

fn leader(me: Address, followers: &[Address], next: u64) -> State {
    State::Leader(Leader { me, followers: followers.iter().copied().collect(), next })
}

fn follower(me: Address, leader: Address, followers: &[Address], n: u64, last: Message) -> State {
    let followers = followers.iter().copied().collect();
    State::Follower(Follower { me, leader, followers, next: n, last })
}

/// N0 leads the three and is about to use N.
fn the_leader() -> State {
    leader(N0, &FOLLOWERS, N)
}

/// N2 follows N0, is the second of the three and expects N.
fn the_follower() -> State {
    follower(N2, N0, &FOLLOWERS, N, last())
}

// Messages and events.

fn msg(message: Payload, number: u64) -> Message {
    Message::Msg { number, message }
}

fn view(leader: Address, followers: &[Address], number: u64) -> Message {
    Message::View(group(leader, followers, number))
}

fn group(leader: Address, followers: &[Address], number: u64) -> View {
    View { number, leader, followers: followers.iter().copied().collect() }
}

fn mcast(message: Payload) -> Message {
    Message::Mcast(message)
}

fn join(peer: Address) -> Message {
    Message::Join(peer)
}

/// The last message of a follower that expects N.
fn last() -> Message {
    msg('l', N - 1)
}

fn message(from: Address, message: Message) -> Event {
    Event::Message { from, message }
}

fn down(process: Address) -> Event {
    Event::Down(process.into())
}

const TIMEOUT: Event = Event::Timeout(Timer::Join);
const STOP: Event = Event::Command(Command::Stop);

fn command_mcast(message: Payload) -> Event {
    Event::Command(Command::Mcast(message))
}

// Effects.

fn send(to: Address, message: Message) -> Effect {
    Effect::Send { to: to.into(), message }
}

/// The same to each in order, and then something else.
fn bcast<const COUNT: usize>(to: [Address; COUNT], message: &Message, then: Effect) -> Vec<Effect> {
    to.map(|peer| send(peer, message.clone())).into_iter().chain([then]).collect()
}

fn monitor(process: Address) -> Effect {
    Effect::Monitor(process.into())
}

fn demonitor(process: Address) -> Effect {
    Effect::Demonitor(process.into())
}

fn deliver(message: Payload, number: u64) -> Effect {
    Effect::Observe(Observation::Delivered { number, message })
}

fn installed(number: u64, leader: Address, followers: &[Address]) -> Effect {
    Effect::Observe(Observation::Installed(group(leader, followers, number)))
}

fn stop(reason: &'static str) -> Effect {
    Effect::Stop(reason.into())
}

/// The effects of a newcomer's first view, before the deferred events.
fn joined(number: u64, leader: Address, followers: &[Address]) -> Vec<Effect> {
    vec![
        Effect::CancelTimer(Timer::Join),
        Effect::Observe(Observation::Joined),
        monitor(leader),
        installed(number, leader, followers),
    ]
}

// Steps.

fn start(me: Address, contact: Option<Address>) -> (State, Vec<Effect>) {
    Gms3::default().start(Boot { me, stable: None, contact })
}

fn step(state: State, event: Event) -> (State, Vec<Effect>) {
    Gms3::default().step(state, event)
}

/// The effects of a step that ends the process. Its state does not matter.
fn last_effects(state: State, event: Event) -> Vec<Effect> {
    step(state, event).1
}

/// `Error -> io:format("... strange message ~w~n", ..)`, and no loop.
#[track_caller]
fn is_strange(state: State, event: Event) {
    assert_eq!(last_effects(state, event), [stop(STRANGE)]);
}

// Start.

#[test]
fn a_process_that_starts_alone_leads_nobody() {
    assert_eq!(start(N0, None), (leader(N0, &[], 1), vec![]));
}

/// In whichever life: a node that comes back is a new process.
#[test]
fn a_process_that_starts_with_a_contact_asks_it_to_join_and_waits() {
    for me in [N4, Address { life: 1, ..N4 }] {
        let timer = Effect::SetTimer { timer: Timer::Join, after: PATIENCE };
        assert_eq!(start(me, Some(N3)), (joining(me, &[]), vec![send(N3, join(me)), timer]));
    }
}

// Joining.

/// `{view, Leader, Slaves, N} = NewLast` in `init/3`: from anyone, with the newcomer in it or not.
#[test]
fn a_newcomer_follows_the_leader_of_the_first_view_that_reaches_it() {
    for (from, followers) in [(N0, [N3, N4]), (N2, [N3, N2])] {
        let next = follower(N4, N0, &followers, N + 1, view(N0, &followers, N));
        let event = message(from, view(N0, &followers, N));
        assert_eq!(step(joining(N4, &[]), event), (next, joined(N, N0, &followers)));
    }
}

#[test]
fn a_newcomer_defers_everything_but_a_view_whole_and_in_order_of_arrival() {
    let events = [
        message(N1, join(N3)),
        message(N2, mcast('a')),
        message(N0, msg('b', N)),
        down(N0),
        command_mcast('c'),
        STOP,
        message(N1, join(N3)),
    ];
    for (count, event) in events.iter().enumerate() {
        let (before, after) = (joining(N4, &events[..count]), joining(N4, &events[..=count]));
        assert_eq!(step(before, event.clone()), (after, vec![]));
    }
}

/// `after ?timeout -> Master ! {error, "no reply from leader"}`.
#[test]
fn a_newcomer_that_nobody_answers_reports_it_and_ends() {
    let state = joining(N4, &[command_mcast('a')]);
    let error = Effect::Observe(Observation::Error(NO_REPLY.into()));
    assert_eq!(last_effects(state, TIMEOUT), [error, stop(NO_REPLY)]);
}

#[test]
fn a_newcomer_handles_what_it_deferred_in_order_and_in_the_same_step() {
    let deferred = [
        message(N0, msg('a', N)),
        command_mcast('b'),
        message(N0, msg('c', N + 1)),
        message(N2, join(N1)),
        message(N0, msg('d', N + 2)),
    ];
    let next = follower(N4, N0, &[N4], N + 3, msg('d', N + 2));
    let mut effects = joined(N, N0, &[N4]);
    let then = [send(N0, mcast('b')), deliver('c', N + 1), send(N0, join(N1)), deliver('d', N + 2)];
    effects.extend(then);
    let event = message(N0, view(N0, &[N4], N));
    assert_eq!(step(joining(N4, &deferred), event), (next, effects));
}

#[test]
fn a_newcomer_handles_what_it_deferred_in_the_role_that_it_has_by_then() {
    let deferred = [command_mcast('a'), down(N0), command_mcast('b')];
    let first_view = view(N0, &[N4, N1], N);
    let mut effects = joined(N, N0, &[N4, N1]);
    effects.extend([
        send(N0, mcast('a')),
        send(N1, first_view.clone()),
        send(N1, view(N4, &[N1], N + 1)),
        installed(N + 1, N4, &[N1]),
        send(N1, msg('b', N + 2)),
        deliver('b', N + 2),
    ]);
    let event = message(N0, first_view);
    assert_eq!(step(joining(N4, &deferred), event), (leader(N4, &[N1], N + 3), effects));
}

#[test]
fn of_what_a_newcomer_deferred_nothing_follows_a_stop() {
    let enders = [(STOP, "stop"), (message(N0, msg('b', N + 3)), STRANGE)];
    for (ender, reason) in enders {
        let deferred = [message(N0, msg('a', N + 1)), ender, command_mcast('c')];
        let mut effects = joined(N, N0, &[N4]);
        effects.extend([deliver('a', N + 1), stop(reason)]);
        let event = message(N0, view(N0, &[N4], N));
        assert_eq!(last_effects(joining(N4, &deferred), event), effects);
    }
}

// Leader.

/// `{mcast, Msg}`, from its own application or from a follower.
#[test]
fn a_leader_numbers_a_multicast_sends_it_by_seniority_and_then_delivers_it() {
    for event in [command_mcast('a'), message(N1, mcast('a'))] {
        let effects = bcast(FOLLOWERS, &msg('a', N), deliver('a', N));
        assert_eq!(step(the_leader(), event), (leader(N0, &FOLLOWERS, N + 1), effects));
    }
}

#[test]
fn a_leader_of_nobody_delivers_to_itself() {
    let next = leader(N0, &[], 2);
    assert_eq!(step(leader(N0, &[], 1), command_mcast('a')), (next, vec![deliver('a', 1)]));
}

/// `{join, Peer}`: it is Peer who joins, not whoever passed the request on.
#[test]
fn a_leader_admits_a_newcomer_as_the_most_junior_and_announces_the_view() {
    let admitted = [N3, N2, N1, N4];
    let effects = bcast(admitted, &view(N0, &admitted, N), installed(N, N0, &admitted));
    let event = message(N2, join(N4));
    assert_eq!(step(the_leader(), event), (leader(N0, &admitted, N + 1), effects));
}

#[test]
fn a_founder_admits_its_first_follower_in_view_1() {
    let effects = vec![send(N1, view(N0, &[N1], 1)), installed(1, N0, &[N1])];
    let event = message(N1, join(N1));
    assert_eq!(step(leader(N0, &[], 1), event), (leader(N0, &[N1], 2), effects));
}

/// `lists:append(Slaves, [Peer])` asks nothing.
#[test]
fn a_leader_lists_twice_who_joins_twice_and_sends_it_everything_twice() {
    let twice = [N1, N2, N1];
    let effects = bcast(twice, &view(N0, &twice, N), installed(N, N0, &twice));
    let admitted = leader(N0, &twice, N + 1);
    let event = message(N1, join(N1));
    assert_eq!(step(leader(N0, &[N1, N2], N), event), (admitted.clone(), effects));

    let effects = bcast(twice, &msg('a', N + 1), deliver('a', N + 1));
    assert_eq!(step(admitted, command_mcast('a')), (leader(N0, &twice, N + 2), effects));
}

#[test]
fn a_leader_ends_when_it_is_told_to() {
    assert_eq!(last_effects(the_leader(), STOP), [stop("stop")]);
}

#[test]
fn any_msg_or_view_is_strange_to_a_leader() {
    for number in [N - 1, N, N + 1] {
        is_strange(the_leader(), message(N1, msg('a', number)));
        is_strange(the_leader(), message(N1, view(N1, &FOLLOWERS, number)));
    }
}

#[test]
fn a_down_or_a_timeout_is_strange_to_a_leader() {
    is_strange(the_leader(), down(N3));
    is_strange(the_leader(), TIMEOUT);
}

// Follower.

#[test]
fn a_follower_sends_its_own_multicast_to_the_leader() {
    let sent = vec![send(N0, mcast('a'))];
    assert_eq!(step(the_follower(), command_mcast('a')), (the_follower(), sent));
}

#[test]
fn a_follower_sends_a_received_multicast_or_join_on_to_the_leader() {
    for request in [mcast('a'), join(N4)] {
        let sent = vec![send(N0, request.clone())];
        assert_eq!(step(the_follower(), message(N4, request)), (the_follower(), sent));
    }
}

/// `{msg, _, I} when I < N`.
#[test]
fn a_follower_ignores_a_message_it_already_had() {
    for number in [0, N - 1] {
        let event = message(N0, msg('a', number));
        assert_eq!(step(the_follower(), event), (the_follower(), vec![]));
    }
}

/// `{view, _, _, I} when I < N`.
#[test]
fn a_follower_ignores_a_view_it_already_had_whoever_leads_it() {
    for (number, leader) in [(0, N0), (N - 1, N0), (N - 1, N3)] {
        let event = message(leader, view(leader, &[N2], number));
        assert_eq!(step(the_follower(), event), (the_follower(), vec![]));
    }
}

/// `{msg, Msg, N}`: from anyone.
#[test]
fn a_follower_delivers_the_message_that_it_expects() {
    for from in [N0, N3] {
        let next = follower(N2, N0, &FOLLOWERS, N + 1, msg('a', N));
        let delivered = vec![deliver('a', N)];
        assert_eq!(step(the_follower(), message(from, msg('a', N))), (next, delivered));
    }
}

/// `{view, Leader, NewSlaves, N}`: it is the view's leader that counts, not the sender.
#[test]
fn a_follower_installs_the_next_view_of_its_leader() {
    for from in [N0, N3] {
        let next = follower(N2, N0, &[N2, N4], N + 1, view(N0, &[N2, N4], N));
        let effects = vec![installed(N, N0, &[N2, N4])];
        let event = message(from, view(N0, &[N2, N4], N));
        assert_eq!(step(the_follower(), event), (next, effects));
    }
}

/// `{view, NewLeader, NewSlaves, N}`; the old leader's next life is another leader, too.
#[test]
fn a_follower_turns_to_the_leader_of_the_next_view() {
    for other in [N3, Address { life: 1, ..N0 }] {
        let next = follower(N2, other, &[N2, N1], N + 1, view(other, &[N2, N1], N));
        let effects = vec![demonitor(N0), monitor(other), installed(N, other, &[N2, N1])];
        let event = message(N0, view(other, &[N2, N1], N));
        assert_eq!(step(the_follower(), event), (next, effects));
    }
}

#[test]
fn a_follower_ends_when_it_is_told_to() {
    assert_eq!(last_effects(the_follower(), STOP), [stop("stop")]);
}

#[test]
fn a_msg_that_is_not_yet_due_is_strange_to_a_follower() {
    for number in [N + 1, u64::MAX] {
        is_strange(the_follower(), message(N0, msg('a', number)));
    }
}

#[test]
fn a_view_that_is_not_yet_due_is_strange_to_a_follower_whoever_leads_it() {
    for leader in [N0, N3] {
        is_strange(the_follower(), message(leader, view(leader, &[N2], N + 1)));
    }
}

#[test]
fn a_down_of_anybody_but_the_leader_is_strange_to_a_follower() {
    for other in [N3, N2, Address { life: 1, ..N0 }] {
        is_strange(the_follower(), down(other));
    }
    is_strange(the_follower(), Event::Down(Peer::Name(N0.node)));
}

#[test]
fn a_timeout_is_strange_to_a_follower() {
    is_strange(the_follower(), TIMEOUT);
}

// Election.

/// `[Self|Rest]`: all get `Last` before any gets the view; Rest may list the new leader once more.
#[test]
fn the_first_follower_resends_the_last_it_took_then_sends_its_view_and_leads() {
    for rest in [[N2, N1], [N2, N3]] {
        let effects = vec![
            send(rest[0], last()),
            send(rest[1], last()),
            send(rest[0], view(N3, &rest, N)),
            send(rest[1], view(N3, &rest, N)),
            installed(N, N3, &rest),
        ];
        let before = follower(N3, N0, &[N3, rest[0], rest[1]], N, last());
        assert_eq!(step(before, down(N0)), (leader(N3, &rest, N + 1), effects));
    }
}

#[test]
fn a_new_leader_resends_a_view_that_was_the_last_it_took() {
    let last = view(N0, &[N1, N2], N - 1);
    let before = follower(N1, N0, &[N1, N2], N, last.clone());
    let effects = vec![send(N2, last), send(N2, view(N1, &[N2], N)), installed(N, N1, &[N2])];
    assert_eq!(step(before, down(N0)), (leader(N1, &[N2], N + 1), effects));
}

#[test]
fn the_only_follower_leads_nobody_after_an_election() {
    let before = follower(N1, N0, &[N1], N, last());
    let effects = vec![installed(N, N1, &[])];
    assert_eq!(step(before, down(N0)), (leader(N1, &[], N + 1), effects));
}

/// `[NewLeader|Rest]`: number and last message stay.
#[test]
fn a_follower_that_is_not_the_first_follows_the_first() {
    let next = follower(N2, N3, &[N2, N1], N, last());
    assert_eq!(step(the_follower(), down(N0)), (next, vec![monitor(N3)]));
}

#[test]
fn the_election_is_run_again_when_the_first_follower_is_down_too() {
    let (waiting, _) = step(the_follower(), down(N0));
    let effects = vec![send(N1, last()), send(N1, view(N2, &[N1], N)), installed(N, N2, &[N1])];
    assert_eq!(step(waiting, down(N3)), (leader(N2, &[N1], N + 1), effects));
}

#[test]
fn an_election_without_followers_ends_the_process() {
    let outsider = follower(N4, N0, &[], N, last());
    assert_eq!(last_effects(outsider, down(N0)), [stop("election: no followers")]);
}

// The last number. The seed's are unbounded: here the last one is used again, and nothing fails.

#[test]
fn a_leader_uses_the_last_number_again() {
    let before = leader(N0, &[N1], u64::MAX);
    let effects = vec![send(N1, msg('a', u64::MAX)), deliver('a', u64::MAX)];
    assert_eq!(step(before.clone(), command_mcast('a')), (before.clone(), effects));

    let after = leader(N0, &[N1, N2], u64::MAX);
    let effects =
        bcast([N1, N2], &view(N0, &[N1, N2], u64::MAX), installed(u64::MAX, N0, &[N1, N2]));
    assert_eq!(step(before, message(N2, join(N2))), (after, effects));
}

#[test]
fn a_newcomer_and_a_follower_expect_the_last_number_again() {
    let last_view = view(N0, &[N1], u64::MAX);
    let at_view = follower(N1, N0, &[N1], u64::MAX, last_view.clone());
    let effects = joined(u64::MAX, N0, &[N1]);
    assert_eq!(step(joining(N1, &[]), message(N0, last_view)), (at_view.clone(), effects));

    let at_msg = follower(N1, N0, &[N1], u64::MAX, msg('a', u64::MAX));
    let event = message(N0, msg('a', u64::MAX));
    assert_eq!(step(at_view, event), (at_msg.clone(), vec![deliver('a', u64::MAX)]));

    let installed_last = vec![installed(u64::MAX, N1, &[])];
    assert_eq!(step(at_msg, down(N0)), (leader(N1, &[], u64::MAX), installed_last));
}

// On paper.

fn survives_json<V: Value>(values: &[V]) {
    for value in values {
        let json = serde_json::to_string(value).expect("a value can be written");
        let read: V = serde_json::from_str(&json).expect("what was written can be read");
        assert_eq!(&read, value, "{json}");
    }
}

#[test]
fn every_message_survives_json() {
    survives_json(&[join(N4), mcast('a'), msg('a', u64::MAX), view(N0, &FOLLOWERS, N)]);
}

#[test]
fn every_state_survives_json_and_every_event_in_it() {
    let again = Address { life: 1, ..N4 };
    let by_name = Event::Down(Peer::Name(N0.node));
    let deferred =
        [message(again, join(again)), down(again), by_name, TIMEOUT, command_mcast('a'), STOP];
    survives_json(&[joining(again, &deferred), the_leader(), the_follower()]);
    survives_json(&deferred);
}

#[test]
fn every_effect_survives_json() {
    survives_json(&[
        send(N1, mcast('a')),
        Effect::Send { to: Peer::Name(N1.node), message: mcast('a') },
        monitor(N1),
        demonitor(Address { life: 1, ..N1 }),
        Effect::SetTimer { timer: Timer::Join, after: PATIENCE },
        Effect::CancelTimer(Timer::Join),
        Effect::Persist(()),
        Effect::Observe(Observation::Joined),
        deliver('a', N),
        installed(N, N0, &FOLLOWERS),
        Effect::Observe(Observation::Error(NO_REPLY.into())),
        stop(STRANGE),
    ]);
}
