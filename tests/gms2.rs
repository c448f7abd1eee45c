//! gms2, row by row: as gms3, but nothing has a number, everything is taken, and a new leader resends nothing.
//!
//! A step is compared whole, its next state and its list of effects; where it ends the process, the effects alone.

use interrex::gms2::{self, Command, Follower, Gms2, Joining, Leader, Observation, Timer, View};
use interrex::machine::{Address, Boot, Machine, NodeId, Peer};
use std::time::Duration;

type State = gms2::State<char>;
type Message = gms2::Message<char>;
type Event = gms2::Event<char>;
type Effect = gms2::Effect<char>;

const N0: Address = NodeId(0).first_life();
const N1: Address = NodeId(1).first_life();
const N2: Address = NodeId(2).first_life();
const N3: Address = NodeId(3).first_life();
const N4: Address = NodeId(4).first_life();

/// The followers by seniority, which is not the order of their numbers.
const FOLLOWERS: [Address; 3] = [N3, N2, N1];

const STRANGE: &str = "strange message";
const TIMEOUT: Event = Event::Timeout(Timer::Join);
const STOP: Event = Event::Command(Command::Stop);

fn joining(deferred: &[Event]) -> State {
    State::Joining(Joining { me: N4, deferred: deferred.iter().cloned().collect() })
}

fn leader(me: Address, followers: &[Address]) -> State {
    State::Leader(Leader { me, followers: followers.iter().copied().collect() })
}

fn follower(me: Address, leader: Address, followers: &[Address]) -> State {
    State::Follower(Follower { me, leader, followers: followers.iter().copied().collect() })
}

/// N0 leads the three.
fn the_leader() -> State {
    leader(N0, &FOLLOWERS)
}

/// N2 follows N0, and is the second of the three.
fn the_follower() -> State {
    follower(N2, N0, &FOLLOWERS)
}

fn group(leader: Address, followers: &[Address]) -> View {
    View { leader, followers: followers.iter().copied().collect() }
}

fn view(leader: Address, followers: &[Address]) -> Message {
    Message::View(group(leader, followers))
}

fn message(from: Address, message: Message) -> Event {
    Event::Message { from, message }
}

fn down(process: Address) -> Event {
    Event::Down(process.into())
}

fn command(message: char) -> Event {
    Event::Command(Command::Mcast(message))
}

fn send(to: Address, message: Message) -> Effect {
    Effect::Send { to: to.into(), message }
}

/// The same to each in order, and then something else.
fn bcast(to: &[Address], message: &Message, then: Effect) -> Vec<Effect> {
    to.iter().map(|peer| send(*peer, message.clone())).chain([then]).collect()
}

fn monitor(process: Address) -> Effect {
    Effect::Monitor(process.into())
}

fn deliver(message: char) -> Effect {
    Effect::Observe(Observation::Delivered(message))
}

fn installed(leader: Address, followers: &[Address]) -> Effect {
    Effect::Observe(Observation::Installed(group(leader, followers)))
}

fn stop(reason: &'static str) -> Effect {
    Effect::Stop(reason.into())
}

/// The effects of a newcomer's first view, before the deferred events.
fn joined(leader: Address, followers: &[Address]) -> Vec<Effect> {
    vec![
        Effect::CancelTimer(Timer::Join),
        Effect::Observe(Observation::Joined),
        monitor(leader),
        installed(leader, followers),
    ]
}

fn start(me: Address, contact: Option<Address>) -> (State, Vec<Effect>) {
    Gms2::default().start(Boot { me, stable: None, contact })
}

fn step(state: State, event: Event) -> (State, Vec<Effect>) {
    Gms2::default().step(state, event)
}

#[track_caller]
fn ends(state: State, event: Event, reason: &'static str) {
    assert_eq!(step(state, event).1, [stop(reason)]);
}

#[test]
fn a_process_that_starts_alone_leads_nobody_and_one_with_a_contact_asks_to_join() {
    assert_eq!(start(N0, None), (leader(N0, &[]), vec![]));
    let timer = Effect::SetTimer { timer: Timer::Join, after: Duration::from_secs(1) };
    let asks = vec![send(N3, Message::Join(N4)), timer];
    assert_eq!(start(N4, Some(N3)), (joining(&[]), asks));
}

#[test]
fn a_newcomer_defers_everything_until_its_first_view_and_then_handles_it_in_the_same_step() {
    let events = [command('a'), message(N0, Message::Msg('b')), down(N0), command('c')];
    for (count, event) in events.iter().enumerate() {
        let (before, after) = (joining(&events[..count]), joining(&events[..=count]));
        assert_eq!(step(before, event.clone()), (after, vec![]));
    }
    let mut effects = joined(N0, &[N4, N1]);
    effects.extend([send(N0, Message::Mcast('a')), deliver('b')]);
    effects.extend([send(N1, view(N4, &[N1])), installed(N4, &[N1])]);
    effects.extend([send(N1, Message::Msg('c')), deliver('c')]);
    let event = message(N2, view(N0, &[N4, N1]));
    assert_eq!(step(joining(&events), event), (leader(N4, &[N1]), effects));
}

#[test]
fn of_what_a_newcomer_deferred_nothing_follows_a_stop() {
    for (ender, reason) in [(STOP, "stop"), (down(N1), STRANGE)] {
        let deferred = [message(N0, Message::Msg('a')), ender, command('c')];
        let mut effects = joined(N0, &[N4]);
        effects.extend([deliver('a'), stop(reason)]);
        assert_eq!(step(joining(&deferred), message(N0, view(N0, &[N4]))).1, effects);
    }
}

#[test]
fn a_newcomer_that_nobody_answers_reports_it_and_ends() {
    let reason = "no reply from leader";
    let error = Effect::Observe(Observation::Error(reason.into()));
    assert_eq!(step(joining(&[command('a')]), TIMEOUT).1, [error, stop(reason)]);
}

#[test]
fn a_leader_sends_a_multicast_by_seniority_and_then_delivers_it() {
    for event in [command('a'), message(N1, Message::Mcast('a'))] {
        let effects = bcast(&FOLLOWERS, &Message::Msg('a'), deliver('a'));
        assert_eq!(step(the_leader(), event), (the_leader(), effects));
    }
}

#[test]
fn a_leader_admits_a_newcomer_as_the_most_junior_and_announces_the_view() {
    let admitted = [N3, N2, N1, N4];
    let effects = bcast(&admitted, &view(N0, &admitted), installed(N0, &admitted));
    let event = message(N2, Message::Join(N4));
    assert_eq!(step(the_leader(), event), (leader(N0, &admitted), effects));
}

#[test]
fn a_leader_ends_over_what_only_followers_take() {
    for event in [message(N1, Message::Msg('a')), message(N1, view(N1, &[N2])), down(N3), TIMEOUT] {
        ends(the_leader(), event, STRANGE);
    }
    ends(the_leader(), STOP, "stop");
}

#[test]
fn a_follower_sends_requests_on_to_the_leader() {
    for (event, request) in [
        (command('a'), Message::Mcast('a')),
        (message(N4, Message::Mcast('a')), Message::Mcast('a')),
        (message(N4, Message::Join(N4)), Message::Join(N4)),
    ] {
        assert_eq!(step(the_follower(), event), (the_follower(), vec![send(N0, request)]));
    }
}

/// A copy is delivered again, whoever the sender is: nothing tells it from a new message.
#[test]
fn a_follower_delivers_whatever_arrives() {
    for from in [N0, N3] {
        let delivered = (the_follower(), vec![deliver('a')]);
        let again = step(delivered.0.clone(), message(from, Message::Msg('a')));
        assert_eq!(again, delivered);
    }
}

/// A view of its leader is taken from any sender, and an old one is, too.
#[test]
fn a_follower_installs_whatever_view_arrives() {
    for (from, followers) in [(N0, [N2, N4]), (N3, [N2, N1])] {
        let effects = vec![installed(N0, &followers)];
        let event = message(from, view(N0, &followers));
        assert_eq!(step(the_follower(), event), (follower(N2, N0, &followers), effects));
    }
}

#[test]
fn a_follower_turns_to_the_leader_of_whatever_view_arrives() {
    for other in [N3, Address { life: 1, ..N0 }] {
        let effects =
            vec![Effect::Demonitor(N0.into()), monitor(other), installed(other, &[N2, N1])];
        let event = message(N0, view(other, &[N2, N1]));
        assert_eq!(step(the_follower(), event), (follower(N2, other, &[N2, N1]), effects));
    }
}

#[test]
fn a_follower_ends_over_a_down_of_another_and_a_timeout() {
    for event in [down(N3), down(Address { life: 1, ..N0 }), TIMEOUT] {
        ends(the_follower(), event, STRANGE);
    }
    ends(the_follower(), Event::Down(Peer::Name(N0.node)), STRANGE);
    ends(the_follower(), STOP, "stop");
}

/// gms3 would resend here what it took last.
#[test]
fn the_first_follower_sends_its_view_and_nothing_else_and_leads() {
    let (before, _) = step(follower(N3, N0, &FOLLOWERS), message(N0, Message::Msg('a')));
    let effects = bcast(&[N2, N1], &view(N3, &[N2, N1]), installed(N3, &[N2, N1]));
    assert_eq!(step(before, down(N0)), (leader(N3, &[N2, N1]), effects));
}

#[test]
fn a_follower_that_is_not_the_first_follows_the_first_and_is_the_next_one() {
    let (waiting, effects) = step(the_follower(), down(N0));
    assert_eq!((&waiting, effects), (&follower(N2, N3, &[N2, N1]), vec![monitor(N3)]));
    let effects = vec![send(N1, view(N2, &[N1])), installed(N2, &[N1])];
    assert_eq!(step(waiting, down(N3)), (leader(N2, &[N1]), effects));
}

#[test]
fn an_election_without_followers_ends_the_process() {
    ends(follower(N4, N0, &[]), down(N0), "election: no followers");
}
