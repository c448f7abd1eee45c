//! The behaviour, over either election.

use super::*;

/// A version of the behaviour, and where its processes can stand; n0 leads, n1 follows, and n2 does
/// whatever it likes.
trait Version: Election {
    fn over(probe: Probe) -> GenLeader<Self, Probe>;
    fn servers() -> GenLeader<Self, Probe> {
        Self::over(Probe::default())
    }
    fn first_term() -> Self::Term;
    /// n0, which leads n1 and n2; it monitors n2 and n1 (the latest first).
    fn leads() -> State<Self>;
    /// n1, which waits for n0 to lead.
    fn waits() -> State<Self>;
    /// The events that end that.
    fn decision() -> Self::Message<char>;

    fn decided() -> server::Event<Self, Probe> {
        Event::Message { from: N0, message: Sent::Election(Self::decision()) }
    }
    /// n1, when it has surrendered.
    fn follows() -> State<Self> {
        fresh(step(Self::waits(), Self::decided()).0)
    }
}

impl Version for Capture {
    fn over(probe: Probe) -> GenLeader<Self, Probe> {
        GenLeader::v2003(probe, Roster::new(3, 0))
    }
    fn first_term() {}
    fn leads() -> State<Self> {
        let captured = json!({ "captured": [N1.node], "position": 2 });
        let state = Self::servers().start(boot(N0, None)).0;
        elect(
            state,
            json!({
                "role": "elected", "leader": N0, "iteration": captured, "alive": [N1.node],
            }),
        )
    }
    fn waits() -> State<Self> {
        Self::servers().start(boot(N1, None)).0
    }
    fn decision() -> Self::Message<char> {
        server::capture::Message::Elect { leader: N0, synch: 's' }
    }
}

impl Version for Bully {
    fn over(probe: Probe) -> GenLeader<Self, Probe> {
        GenLeader::v2007(probe, Roster::new(3, 0))
    }
    fn first_term() -> ElectionId {
        ElectionId { rank: 1, incarnation: 0, counter: 0 }
    }
    fn leads() -> State<Self> {
        elect(
            Self::servers().start(boot(N0, None)).0,
            json!({
                "role": "elected", "status": "norm", "leader": N0, "leadernode": N0.node,
                "monitored": [N2.node, N1.node],
            }),
        )
    }
    fn waits() -> State<Self> {
        let wait = json!({ "status": "wait", "elid": Self::first_term(), "leadernode": N0.node });
        elect(Self::servers().start(boot(N1, None)).0, wait)
    }
    fn decision() -> Self::Message<char> {
        server::bully::Message::Ldr { synch: 's', elid: Self::first_term() }
    }
}

/// Runs a test over both.
macro_rules! over_both {
    ($($(#[$attribute:meta])* fn $name:ident<$E:ident>() $body:block)*) => {$(
        $(#[$attribute])*
        #[test]
        fn $name() {
            fn check<$E: Version>() $body
            check::<Capture>();
            check::<Bully>();
        }
    )*};
}

fn step<E: Version>(state: State<E>, event: server::Event<E, Probe>) -> Step<E> {
    E::servers().step(state, event)
}

fn steps<E: Version>(
    servers: &GenLeader<E, Probe>,
    state: State<E>,
    events: impl IntoIterator<Item = server::Event<E, Probe>>,
) -> Step<E> {
    events.into_iter().fold((state, vec![]), |(state, _), event| servers.step(state, event))
}

/// Nothing has run yet.
fn fresh<E: Election>(mut state: State<E>) -> State<E> {
    state.server.application = Log::default();
    state
}

fn buffered<E: Election>(
    mut state: State<E>,
    references: u64,
    entries: &[(u64, Caller)],
) -> State<E> {
    state.server.references = references;
    state.server.buffered = entries
        .iter()
        .map(|(reference, caller)| Buffered { reference: *reference, caller: *caller })
        .collect();
    state
}

fn client<E: Election>(mut state: State<E>, tag: u64, of: Call, wait: Wait) -> State<E> {
    state.server.clients.insert(tag, Waiter { of, wait });
    state
}

fn keeps<E: Election>(mut state: State<E>, caller: Caller) -> State<E> {
    state.server.application.kept.push(caller);
    state
}

/// The caller of a leader call, known to `process` by this tag or reference.
fn caller(process: Address, tag: u64) -> Caller {
    Caller { process, tag, of: Call::Leader }
}

const PATIENCE: Duration = Duration::from_secs(5);

fn call(tag: u64, request: Ask) -> Command<Ask> {
    Command::Call { tag, request, timeout: None }
}

fn leader_call(tag: u64, request: Ask) -> Command<Ask> {
    Command::LeaderCall { tag, request, timeout: None }
}

fn message<M, C>(from: Address, message: Sent<M>) -> Event<Sent<M>, C, Timer> {
    Event::Message { from, message }
}

fn forwarded<M>(reference: u64, request: Ask) -> Sent<M> {
    Sent::LeaderCall { reference, request }
}

fn wrapped<M>(reference: u64, reply: char) -> Sent<M> {
    Sent::LeaderReply { reference, answer: Ok(reply) }
}

fn broadcast<M>(broadcast: Ask) -> Sent<M> {
    Sent::FromLeader(broadcast)
}

fn put<M, S, T>(to: Address, message: Sent<M>) -> Told<M, S, T> {
    Effect::Send { to: to.into(), message }
}

fn tell<M, S, T>(to: Address) -> Told<M, S, T> {
    Effect::Send { to: Peer::Name(to.node), message: broadcast(Ask::Nothing) }
}

fn replied<M, S, T>(tag: u64, reply: char) -> Told<M, S, T> {
    Effect::Observe(Observation::Replied { tag, reply })
}

fn failed<M, S, T>(tag: u64, error: CallFailure) -> Told<M, S, T> {
    Effect::Observe(Observation::Failed { tag, error })
}

fn followed<M, S, T>() -> Told<M, S, T> {
    Effect::Observe(Observation::Followed { leader: N0 })
}

fn ends<M, S, T>(reason: &'static str) -> [Told<M, S, T>; 2] {
    let terminated = Observation::Terminated(reason.into());
    [Effect::Observe(terminated), Effect::Stop(reason.into())]
}

// Coming up.

over_both! {
    fn the_application_comes_up_with_the_state_of_its_init<E>() {
        let log = Log { ran: vec!["init".into()], kept: vec![] };
        let servers = E::over(Probe { init: Init::Ok(log.clone()), ..Probe::default() });
        let (plain, effects) = E::servers().start(boot(N1, None));
        let (state, same) = servers.start(boot(N1, None));
        assert_eq!((state.server.application, same), (log, effects));
        assert_eq!(state.election, plain.election);
    }

    fn a_process_whose_init_stops_or_is_ignored_takes_no_part<E>() {
        for (init, reason) in [(Init::Stop("no".into()), "no"), (Init::Ignore, "ignore")] {
            let servers = E::over(Probe { init, ..Probe::default() });
            let (_, effects) = servers.start(boot(N1, None));
            assert_eq!(effects, ends(reason));
        }
    }
}

// The local process.

over_both! {
    fn a_call_is_answered_by_the_local_process_whether_it_leads_or_not<E>() {
        for state in [E::leads(), E::follows()] {
            let next = ran(state.clone(), &["call"]);
            let effects = vec![replied(7, 'r')];
            assert_eq!(step(state, command(call(7, Ask::Answer))), (next, effects));
        }
    }

    fn casts_and_any_other_messages_go_to_the_local_process<E>() {
        for state in [E::leads(), E::follows()] {
            let next = ran(state.clone(), &["cast", "info"]);
            let (state, effects) = step(state, command(Command::Cast(Ask::Nothing)));
            assert_eq!(effects, []);
            assert_eq!(step(state, command(Command::Info(Ask::Nothing))), (next, vec![]));
        }
    }

    fn a_call_without_a_reply_leaves_its_client_waiting<E>() {
        let next = client(ran(E::follows(), &["call"]), 7, Call::Local, Wait::Unlimited);
        assert_eq!(step(E::follows(), command(call(7, Ask::Nothing))), (next, vec![]));
    }
}

// Leader calls.

over_both! {
    fn a_leader_call_at_the_leader_is_answered_there<E>() {
        let next = ran(E::leads(), &["leader call"]);
        let effects = vec![replied(7, 'r')];
        assert_eq!(step(E::leads(), command(leader_call(7, Ask::Answer))), (next, effects));
    }

    fn a_leader_call_elsewhere_is_sent_to_the_leader_under_a_fresh_reference<E>() {
        let next = client(E::follows(), 7, Call::Leader, Wait::Unlimited);
        let first = buffered(next, 1, &[(0, caller(N1, 7))]);
        let effects = vec![put(N0, forwarded(0, Ask::Answer))];
        let event = command(leader_call(7, Ask::Answer));
        assert_eq!(step(E::follows(), event), (first.clone(), effects));

        // Of another process: it thinks that this one leads.
        let second = buffered(first.clone(), 2, &[(1, caller(N2, 4)), (0, caller(N1, 7))]);
        let effects = vec![put(N0, forwarded(1, Ask::Keep))];
        let event = message(N2, forwarded(4, Ask::Keep));
        assert_eq!(step(first, event), (second, effects));
    }

    fn the_leader_answers_the_process_that_has_sent_it_the_call<E>() {
        let next = ran(E::leads(), &["leader call"]);
        let effects = vec![put(N1, wrapped(3, 'r'))];
        let event = message(N1, forwarded(3, Ask::Answer));
        assert_eq!(step(E::leads(), event), (next, effects));
    }

    fn an_answer_is_passed_on_to_the_caller_and_the_call_stays_buffered<E>() {
        let calls = [(1, caller(N2, 4)), (0, caller(N1, 7))];
        let next = buffered(E::follows(), 2, &calls);
        let before = client(next.clone(), 7, Call::Leader, Wait::Unlimited);
        let event = message(N0, wrapped(0, 'x'));
        assert_eq!(step(before, event), (next.clone(), vec![replied(7, 'x')]));
        let event = message(N0, wrapped(1, 'y'));
        assert_eq!(step(next.clone(), event), (next, vec![put(N2, wrapped(4, 'y'))]));
    }

    /// The entry is there still.
    fn a_second_answer_is_passed_on_too<E>() {
        let state = buffered(E::follows(), 1, &[(0, caller(N1, 7))]);
        let event = message(N0, wrapped(0, 'x'));
        assert_eq!(step(state.clone(), event), (state, vec![replied(7, 'x')]));
    }

    fn there_is_no_clause_for_an_answer_without_an_entry<E>() {
        dies(step(E::follows(), message(N0, wrapped(0, 'x'))));
    }
}

/// The answered ones, too: n1's own 7, in which nobody is interested any more; the latest first.
#[test]
fn in_1_0_every_call_ever_sent_to_the_leader_fails_when_it_is_down() {
    let calls = [(2, caller(N1, 8)), (1, caller(N2, 4)), (0, caller(N1, 7))];
    let before = buffered(Capture::follows(), 3, &calls);
    let before = client(before, 8, Call::Leader, Wait::Unlimited);
    let dead = Sent::LeaderReply { reference: 4, answer: Err(CallFailure::LeaderDied) };
    let (next, effects) = step(before, down(N0));
    let errors =
        [failed(8, CallFailure::LeaderDied), put(N2, dead), failed(7, CallFailure::LeaderDied)];
    assert_eq!(effects[..3], errors);
    assert_eq!(next.server, buffered(Capture::follows(), 3, &[]).server);
    // What it captures then comes later, and after its next election a late answer has no entry.
    assert!(matches!(effects[3], Effect::Send { to: Peer::Name(_), .. }));
    let (state, _) = step(next, message(N0, wrapped(0, 'x')));
    dies(step(Capture::follows(), state.mailbox[0].clone()));
}

#[test]
fn in_1_0_calls_are_forgotten_when_the_next_leader_comes_before_the_down_of_the_old_one() {
    let before = buffered(Capture::follows(), 1, &[(0, caller(N1, 7))]);
    let elect_me = server::capture::Message::Elect { leader: N2, synch: 's' };
    let (state, effects) = step(before.clone(), message(N2, Sent::Election(elect_me)));
    assert_eq!(effects, [surrendered(N2, ())]);
    let (state, effects) = step(state, down(N0));
    assert_eq!((state.server.buffered, effects), (before.server.buffered, vec![]));
}

#[test]
fn in_2007_nobody_says_that_the_leader_died() {
    let before = buffered(Bully::follows(), 1, &[(0, caller(N1, 7))]);
    let before = client(before, 7, Call::Leader, Wait::Unlimited);
    let (next, effects) = step(before.clone(), down(N0));
    assert_eq!(next.server, before.server);
    assert_eq!(effects, [monitor_name(N0)]);
}

// The mailbox.

/// Over all senders; none has an effect before, and all have one in the step in which n0 is elected.
fn waiting<E: Election>() -> Vec<server::Event<E, Probe>> {
    vec![
        command(Command::Cast(Ask::Nothing)),
        message(N0, broadcast(Ask::Nothing)),
        message(N2, forwarded(4, Ask::Answer)),
        command(Command::Info(Ask::Nothing)),
        message(N2, Sent::Reply('x')),
        command(Command::CodeChange(Ask::Nothing)),
        message(N2, Sent::LeaderCast(Ask::Nothing)),
        command(Command::LeaderCast(Ask::Tell)),
    ]
}

over_both! {
    fn until_there_is_a_leader_all_else_waits_in_order_of_arrival<E>() {
        let mut state = E::waits();
        for event in waiting::<E>() {
            let mut next = state.clone();
            next.mailbox.push_back(event.clone());
            assert_eq!(step(state, event), (next.clone(), vec![]));
            state = next;
        }
    }

    fn what_waits_is_taken_in_that_order_in_the_step_in_which_a_leader_is_found<E>() {
        let (state, _) = steps(&E::servers(), E::waits(), waiting::<E>());
        let ran_then = [
            "surrendered s n0", "cast", "from leader", "info", "info: reply x", "code change",
        ];
        let next = buffered(ran(E::follows(), &ran_then), 1, &[(0, caller(N2, 4))]);
        let effects = vec![
            surrendered(N0, E::first_term()),
            followed(),
            put(N0, forwarded(0, Ask::Answer)),
            put(N0, Sent::LeaderCast(Ask::Nothing)),
            put(N0, Sent::LeaderCast(Ask::Tell)),
        ];
        assert_eq!(step(state, E::decided()), (next, effects));
    }

    fn a_call_may_wait_and_its_timer_does_not<E>() {
        let timer = Timer::Call(7);
        let request = Ask::Answer;
        let event = command(Command::Call { tag: 7, request, timeout: Some(PATIENCE) });
        let mut waits = client(E::waits(), 7, Call::Local, Wait::Limited);
        waits.mailbox.push_back(event.clone());
        let armed = vec![Effect::SetTimer { timer, after: PATIENCE }];
        assert_eq!(step(E::waits(), event), (waits.clone(), armed));
        let (next, effects) = step(waits, E::decided());
        let surrenders = surrendered(N0, E::first_term());
        assert_eq!(effects, [surrenders, Effect::CancelTimer(timer), replied(7, 'r')]);
        assert_eq!(next, ran(E::follows(), &["surrendered s n0", "call"]));
    }

    fn of_what_waits_nothing_follows_a_stop<E>() {
        let waiting = [Ask::Quit, Ask::Nothing].map(|ask| command(Command::Cast(ask)));
        let (state, _) = steps(&E::servers(), E::waits(), waiting);
        let (next, effects) = step(state, E::decided());
        assert_eq!(log_of(&next), ["surrendered s n0", "cast", "terminate quit"]);
        let [terminated, stop] = ends("quit");
        assert_eq!(effects, [surrendered(N0, E::first_term()), terminated, stop]);
    }
}

// Time-outs.

over_both! {
    fn a_client_that_does_not_wait_for_ever_has_a_timer_until_it_is_answered<E>() {
        let (timer, request) = (Timer::Call(7), Ask::Answer);
        let event = command(Command::LeaderCall { tag: 7, request, timeout: Some(PATIENCE) });
        let next = client(E::follows(), 7, Call::Leader, Wait::Limited);
        let next = buffered(next, 1, &[(0, caller(N1, 7))]);
        let armed = Effect::SetTimer { timer, after: PATIENCE };
        let effects = vec![armed.clone(), put(N0, forwarded(0, request))];
        assert_eq!(step(E::follows(), event.clone()), (next.clone(), effects));

        let answered = buffered(E::follows(), 1, &[(0, caller(N1, 7))]);
        let effects = vec![Effect::CancelTimer(timer), replied(7, 'x')];
        assert_eq!(step(next, message(N0, wrapped(0, 'x'))), (answered, effects));

        let effects = vec![armed, Effect::CancelTimer(timer), replied(7, 'r')];
        assert_eq!(step(E::leads(), event), (ran(E::leads(), &["leader call"]), effects));
    }

    fn a_call_that_takes_too_long_fails_and_its_late_answer_goes_nowhere<E>() {
        let calls = buffered(E::follows(), 1, &[(0, caller(N1, 7))]);
        let before = client(calls.clone(), 7, Call::Leader, Wait::Limited);
        let late = client(calls, 7, Call::Leader, Wait::GivenUp);
        let effects = vec![failed(7, CallFailure::TimedOut)];
        assert_eq!(step(before, Event::Timeout(Timer::Call(7))), (late.clone(), effects));
        assert_eq!(step(late, message(N0, wrapped(0, 'x'))).1, []);
    }

    fn a_call_that_waits_in_the_mailbox_may_take_too_long_and_is_carried_out_still<E>() {
        let event = command(call(7, Ask::Answer));
        let mut waits = client(E::waits(), 7, Call::Local, Wait::Limited);
        waits.mailbox.push_back(event);
        let (state, effects) = step(waits, Event::Timeout(Timer::Call(7)));
        assert_eq!(effects, [failed(7, CallFailure::TimedOut)]);
        let (next, effects) = step(state, E::decided());
        assert_eq!(log_of(&next), ["surrendered s n0", "call"]);
        assert_eq!(effects, [surrendered(N0, E::first_term())]);
    }

    fn of_a_call_that_took_too_long_nothing_is_told_ever_after<E>() {
        let calls = buffered(E::follows(), 1, &[(0, caller(N1, 7))]);
        let late = client(calls, 7, Call::Leader, Wait::GivenUp);
        let answers = ['x', 'y'].map(|reply| message(N0, wrapped(0, reply)));
        assert_eq!(steps(&E::servers(), late, answers).1, []);
    }
}

/// Its entry, too; so nothing is kept of it, and nothing told.
#[test]
fn once_repaired_a_call_that_takes_too_long_is_forgotten() {
    let (probe, roster) = (Probe::default(), Roster::new(3, 0));
    let servers = GenLeader::new(probe, roster);
    let another = (1, caller(N2, 7));
    let before = buffered(Bully::follows(), 2, &[another, (0, caller(N1, 7))]);
    let before = client(before, 7, Call::Leader, Wait::Limited);
    let next = buffered(Bully::follows(), 2, &[another]);
    let timeout = Event::Timeout(Timer::Call(7));
    let effects = vec![failed(7, CallFailure::TimedOut)];
    assert_eq!(servers.step(before, timeout), (next.clone(), effects));
    assert_eq!(servers.step(next.clone(), message(N0, wrapped(0, 'x'))), (next, vec![]));
}

#[test]
fn once_repaired_a_late_reply_to_a_call_that_is_forgotten_goes_nowhere() {
    let servers = GenLeader::new(Probe::default(), Roster::new(3, 0));
    let events = [
        command(Command::Call { tag: 7, request: Ask::Keep, timeout: Some(PATIENCE) }),
        Event::Timeout(Timer::Call(7)),
        command(Command::Info(Ask::Release)),
    ];
    let next = ran(Bully::follows(), &["call", "info"]);
    assert_eq!(steps(&servers, Bully::follows(), events), (next, vec![]));
}

// Replies that come later.

/// n0 keeps its own client's call and one of n1's, and replies in a cast: as `late` has it.
fn released<E: Version>(late: LateReply, release: Ask) -> (usize, Vec<server::Effect<E, Probe>>) {
    let servers = E::servers().with_late_reply(late);
    let kept = [command(leader_call(7, Ask::Keep)), message(N1, forwarded(3, Ask::Keep))];
    let (state, effects) = steps(&servers, E::leads(), kept);
    assert_eq!(effects, []);
    assert_eq!(state.server.application.kept, [caller(N0, 7), caller(N1, 3)]);
    let (next, effects) = servers.step(state, command(Command::Cast(release)));
    (next.server.clients.len(), effects)
}

over_both! {
    fn a_late_reply_reaches_the_clients_of_leader_calls_if_it_is_wrapped<E>() {
        let both = vec![replied(7, 'k'), put(N1, wrapped(3, 'k'))];
        let is = released::<E>(LateReply::Wrapped, Ask::Release);
        assert_eq!(is, (0, both.clone()));
        for late in [LateReply::Wrapped, LateReply::AsGiven] {
            assert_eq!(released::<E>(late, Ask::ReleaseAsLeader), (0, both.clone()));
        }
    }

    fn a_late_reply_as_it_is_given_reaches_no_client_of_a_leader_call<E>() {
        let as_given = vec![put(N1, Sent::Reply('k'))];
        assert_eq!(released::<E>(LateReply::AsGiven, Ask::Release), (1, as_given));
    }

    fn a_reply_that_is_not_wrapped_is_a_message_like_any_other<E>() {
        let next = ran(E::follows(), &["info: reply k"]);
        assert_eq!(step(E::follows(), message(N0, Sent::Reply('k'))), (next, vec![]));
    }

    fn a_late_reply_to_a_call_of_the_local_process_reaches_its_client<E>() {
        for late in [LateReply::Wrapped, LateReply::AsGiven] {
            let servers = E::servers().with_late_reply(late);
            let (state, effects) = servers.step(E::follows(), command(call(7, Ask::Keep)));
            assert_eq!(effects, []);
            let next = ran(E::follows(), &["call", "info"]);
            let event = command(Command::Info(Ask::Release));
            assert_eq!(servers.step(state, event), (next, vec![replied(7, 'k')]));
        }
    }
}

// Leader casts.

/// The callbacks that run, and the messages that are sent, for a leader cast.
fn leader_cast<E: Version>(leader_cast: LeaderCast, state: State<E>) -> Step<E> {
    let servers = E::servers().with_leader_cast(leader_cast);
    servers.step(state, command(Command::LeaderCast(Ask::Nothing)))
}

over_both! {
    fn a_leader_cast_is_taken_by_the_leader_or_forwarded_to_it<E>() {
        let (leads, follows) = (E::leads(), E::follows());
        let forwarded = vec![put(N0, Sent::LeaderCast(Ask::Nothing))];
        let cast = leader_cast(LeaderCast::Forwarded, follows.clone());
        assert_eq!(cast, (follows.clone(), forwarded.clone()));
        let next = ran(leads.clone(), &["leader cast"]);
        let cast = leader_cast(LeaderCast::Forwarded, leads.clone());
        assert_eq!(cast, (next.clone(), vec![]));
        // At the other end; or at one that leads no longer.
        let event = message(N1, Sent::LeaderCast(Ask::Nothing));
        assert_eq!(step(leads, event.clone()), (next, vec![]));
        assert_eq!(step(follows.clone(), event), (follows, forwarded));
    }

    fn a_leader_cast_is_taken_at_the_leader_only_and_a_message_elsewhere<E>() {
        let cast = leader_cast(LeaderCast::AtLeaderOnly, E::leads());
        assert_eq!(cast, (ran(E::leads(), &["leader cast"]), vec![]));
        let cast = leader_cast(LeaderCast::AtLeaderOnly, E::follows());
        assert_eq!(cast, (ran(E::follows(), &["info: leader cast"]), vec![]));
    }

    fn a_leader_cast_is_never_called_but_a_message_everywhere<E>() {
        for state in [E::leads(), E::follows()] {
            let next = ran(state.clone(), &["info: leader cast"]);
            assert_eq!(leader_cast(LeaderCast::NeverCalled, state), (next, vec![]));
        }
    }
}

// Broadcasts.

/// Whatever can end in a broadcast but a reply to a leader call.
fn tellers<E: Version>() -> Vec<server::Event<E, Probe>> {
    vec![
        command(call(7, Ask::AnswerAndTell)),
        command(Command::Cast(Ask::Tell)),
        command(Command::Info(Ask::Tell)),
        message(N0, broadcast(Ask::Tell)),
    ]
}

#[test]
fn in_1_0_any_of_these_callbacks_may_broadcast_on_any_node() {
    for (state, others) in [(Capture::leads(), [N2, N1]), (Capture::follows(), [N2, N0])] {
        for event in tellers::<Capture>() {
            let (_, effects) = step(state.clone(), event.clone());
            let sent: Vec<_> = effects
                .into_iter()
                .filter(|effect| matches!(effect, Effect::Send { .. }))
                .collect();
            assert_eq!(sent, others.map(tell), "{event:?}");
        }
    }
    let cast = command(Command::LeaderCast(Ask::Tell));
    assert_eq!(step(Capture::leads(), cast).1, [N2, N1].map(tell));
}

#[test]
fn in_2007_any_other_attempt_to_broadcast_ends_the_process() {
    for state in [Bully::leads(), Bully::follows()] {
        for event in tellers::<Bully>() {
            dies(step(state.clone(), event));
        }
    }
    dies(step(Bully::leads(), command(Command::LeaderCast(Ask::Tell))));
}

#[test]
fn in_2007_a_call_with_a_time_out_that_broadcasts_ends_the_process() {
    let (request, timeout) = (Ask::AnswerAndTell, Some(PATIENCE));
    dies(step(Bully::leads(), command(Command::Call { tag: 7, request, timeout })));
}

over_both! {
    fn all_hear_of_a_broadcast_before_the_reply_is_given<E>() {
        let next = ran(E::leads(), &["leader call"]);
        let effects = vec![tell(N2), tell(N1), replied(7, 'r')];
        let event = command(leader_call(7, Ask::AnswerAndTell));
        assert_eq!(step(E::leads(), event), (next.clone(), effects));
        let effects = vec![tell(N2), tell(N1), put(N1, wrapped(3, 'r'))];
        let event = message(N1, forwarded(3, Ask::AnswerAndTell));
        assert_eq!(step(E::leads(), event), (next, effects));
    }

    /// A leader, too, if somebody takes it for another's.
    fn a_broadcast_is_handled_by_whoever_receives_it<E>() {
        for state in [E::leads(), E::follows()] {
            let next = ran(state.clone(), &["from leader"]);
            let event = message(N0, broadcast(Ask::Nothing));
            assert_eq!(step(state, event), (next, vec![followed()]));
        }
    }
}

// The end.

over_both! {
    /// `terminate` has its say first: here it replies to one that waited.
    fn whatever_stops_terminates_first<E>() {
        let quit = Ask::Quit;
        let locally = [
            (command(call(7, quit)), "call"),
            (command(Command::Cast(quit)), "cast"),
            (command(Command::Info(quit)), "info"),
            (command(Command::LeaderCast(quit)), "leader cast"),
            (command(leader_call(7, quit)), "leader call"),
            (message(N1, forwarded(9, quit)), "leader call"),
        ];
        for (event, callback) in locally {
            let (next, effects) = step(keeps(E::leads(), caller(N1, 3)), event);
            assert_eq!(log_of(&next), [callback, "terminate quit"]);
            let [terminated, stop] = ends("quit");
            assert_eq!(effects, [put(N1, wrapped(3, 't')), terminated, stop]);
        }
        let (next, effects) = step(E::follows(), message(N0, broadcast(quit)));
        assert_eq!(log_of(&next), ["from leader", "terminate quit"]);
        let [terminated, stop] = ends("quit");
        assert_eq!(effects, [followed(), terminated, stop]);
    }

    /// So a leader call's client does not take it for its answer.
    fn the_reply_of_one_that_stops_comes_after_terminate_and_is_not_wrapped<E>() {
        let [terminated, stop] = ends("quit");
        let last_words = put(N1, wrapped(3, 't'));
        let before = keeps(E::leads(), caller(N1, 3));
        let event = message(N2, forwarded(4, Ask::QuitAndAnswer));
        let effects = [
            last_words.clone(), put(N2, Sent::Reply('r')), terminated.clone(), stop.clone(),
        ];
        assert_eq!(step(before.clone(), event).1, effects);
        let event = command(leader_call(7, Ask::QuitAndAnswer));
        let effects = [last_words.clone(), terminated.clone(), stop.clone()];
        assert_eq!(step(before.clone(), event).1, effects);
        let event = command(call(7, Ask::QuitAndAnswer));
        assert_eq!(step(before, event).1, [last_words, replied(7, 'r'), terminated, stop]);
    }
}

// handle_DOWN, code_change, queries.

#[test]
fn in_2007_handle_down_is_never_called() {
    for state in [Bully::leads(), Bully::follows()] {
        assert_eq!(log_of(&step(state, down(N2)).0), Vec::<&str>::new());
    }
    assert_eq!(log_of(&step(Capture::leads(), down(N1)).0), ["down n1"]);
}

over_both! {
    fn a_change_of_code_may_admit_newcomers<E>() {
        let admit = |newcomer| command(Command::CodeChange(Ask::Admit(newcomer)));
        let newcomers = [Newcomer::Candidate(N3.node), Newcomer::Worker(N4.node)];
        for state in [E::leads(), E::follows()] {
            let (next, effects) = steps(&E::servers(), state, newcomers.map(admit));
            assert_eq!(effects, []);
            assert_eq!(log_of(&next), ["code change", "code change"]);
            let roster = next.election.roster();
            let candidates = [N0, N1, N2, N3].map(|process| process.node);
            assert_eq!(*roster, Roster::of(candidates, [N4.node]));
        }
    }
}

over_both! {
    fn whoever_is_listed_already_is_no_newcomer<E>() {
        let admit = |newcomer| command(Command::CodeChange(Ask::Admit(newcomer)));
        let again = [Newcomer::Candidate(N2.node), Newcomer::Worker(N2.node)];
        for state in [E::leads(), E::follows()] {
            let (next, _) = steps(&E::servers(), state.clone(), again.map(admit));
            assert_eq!(next, ran(state, &["code change", "code change"]));
        }
    }
}

#[test]
fn in_2007_newcomers_are_asked_with_the_next_check() {
    let newcomers = [Newcomer::Candidate(N3.node), Newcomer::Worker(N4.node)];
    let admit = newcomers.map(|newcomer| command(Command::CodeChange(Ask::Admit(newcomer))));
    let (state, _) = steps(&Bully::servers(), Bully::leads(), admit);
    let asks = [
        send_name(N3, server::bully::Message::NormQ(Bully::first_term())),
        send_name(N4, server::bully::Message::WorkerAlive(Bully::first_term())),
        set_tau(),
    ];
    assert_eq!(step(state, Event::Timeout(Timer::Tau)).1, asks);
}

#[test]
fn in_1_0_a_newcomer_counts_for_the_majority() {
    let admit = command(Command::CodeChange(Ask::Admit(Newcomer::Candidate(N3.node))));
    let (state, _) = step(Capture::follows(), admit);
    let (state, _) = steps(&Capture::servers(), state, [down(N0), down(N2)]);
    assert_eq!(state.election.phase(), Phase::Electing);
    let (state, _) = step(state, down(N3));
    assert_eq!(state.election.phase(), Phase::Leading);
}

#[test]
fn in_1_0_a_newcomer_stands_after_all_others() {
    let admit = command(Command::CodeChange(Ask::Admit(Newcomer::Candidate(N3.node))));
    let (state, _) = step(Capture::follows(), admit);
    let (_, effects) = step(state, down(N0));
    let iteration = nobody_captured(2);
    let capture = server::capture::Message::Capture { from: N1, iteration };
    assert_eq!(effects, [send_name(N2, capture)]);
}

fn nobody_captured(position: usize) -> server::capture::Iteration {
    server::capture::Iteration { captured: std::iter::empty().collect(), position }
}

/// An application of 1.0 that asks about the election.
struct Asker;

impl Behaviour<Capture> for Asker {
    type State = ();
    type Request = ();
    /// The process itself, its leader; candidates, workers, alive, down.
    type Reply = (Address, Option<Address>, [Vec<NodeId>; 4]);
    type Broadcast = ();
    type Synch = ();

    fn elected(&self, (): &mut (), _: &mut Context<'_, Capture, Self>) {}
    fn surrendered(&self, (): &mut (), (): (), _: &mut Context<'_, Capture, Self>) {}
    fn from_leader(&self, (): &mut (), (): (), _: &mut Context<'_, Capture, Self>) -> Next<()> {
        Next::Continue
    }
    fn handle_leader_call(
        &self,
        (): &mut (),
        (): (),
        _: Caller,
        context: &mut Context<'_, Capture, Self>,
    ) -> Answer<Self::Reply, ()> {
        let known = [context.candidates(), context.workers(), context.alive(), context.down()];
        Answer::Reply((context.me(), context.leader(), known))
    }
}

#[test]
fn in_1_0_an_application_may_ask_who_is_alive_and_who_is_down() {
    let servers = GenLeader::v2003(Asker, Roster::new(3, 1));
    let accept = server::capture::Message::Accept { from: N1, iteration: nobody_captured(1) };
    let accept = server::Message::Election(accept);
    let (state, _) = servers.start(boot(N0, None));
    let (state, _) = servers.step(state, Event::Down(Peer::Name(N2.node)));
    let (state, _) = servers.step(state, Event::Message { from: N1, message: accept });
    let call = Command::LeaderCall { tag: 7, request: (), timeout: None };
    let (_, effects) = servers.step(state, Event::Command(call));
    let candidates = [N0, N1, N2].map(|process| process.node).to_vec();
    let known = [candidates, vec![N3.node], vec![N1.node], vec![N2.node]];
    let reply = (N0, Some(N0), known);
    assert_eq!(effects, [Effect::Observe(Observation::Replied { tag: 7, reply })]);
}
