//! The example: a dictionary that every node has a copy of.

use super::*;
use interrex::gen_leader::Dictionary;
use interrex::gen_leader::bully::Message;
use interrex::gen_leader::dictionary::{Reply, Request};

type Dict = Dictionary<char, u8>;
type State = StateOf<Bully, Dict>;
type Effect = server::Effect<Bully, Dict>;

const T: ElectionId = ElectionId { rank: 1, incarnation: 0, counter: 0 };

fn servers() -> GenLeader<Bully, Dict> {
    GenLeader::v2007(Dict::default(), Roster::new(2, 0))
}

/// n0, which leads n1.
fn leader() -> State {
    let ack = server::Message::Election(Message::AckLeader(T));
    let (state, _) = servers().start(boot(N0, None));
    servers().step(state, Event::Message { from: N1, message: ack }).0
}

/// n1, which waits for n0 to lead.
fn waits() -> State {
    let halt = server::Message::Election(Message::Halt(T));
    let (state, _) = servers().start(boot(N1, None));
    servers().step(state, Event::Message { from: N0, message: halt }).0
}

fn ask(state: State, request: Request<char, u8>) -> (State, Vec<Effect>) {
    let command = Command::Call { tag: 7, request, timeout: None };
    servers().step(state, Event::Command(command))
}

fn write(state: State, request: Request<char, u8>) -> (State, Vec<Effect>) {
    let command = Command::LeaderCall { tag: 7, request, timeout: None };
    servers().step(state, Event::Command(command))
}

fn replied(reply: Reply<char, u8>) -> Effect {
    Effect::Observe(Observation::Replied { tag: 7, reply })
}

fn dump(state: &State) -> Vec<(char, u8)> {
    state.server.application.iter().map(|(key, value)| (*key, *value)).collect()
}

#[test]
fn a_write_is_applied_at_the_leader_and_then_told_to_the_others() {
    let (mut state, mut written) = (leader(), vec![]);
    for (write_this, then) in [
        (Request::Store('b', 2), vec![('b', 2)]),
        (Request::Store('a', 1), vec![('a', 1), ('b', 2)]),
        (Request::Store('b', 3), vec![('a', 1), ('b', 3)]),
        (Request::Delete('a'), vec![('b', 3)]),
        (Request::Delete('x'), vec![('b', 3)]),
    ] {
        let (next, effects) = write(state, write_this.clone());
        let message = server::Message::FromLeader(write_this);
        let told = Effect::Send { to: Peer::Name(N1.node), message };
        assert_eq!(effects, [told.clone(), replied(Reply::Ok)]);
        assert_eq!(dump(&next), then);
        (state, written) = (next, [written, vec![told]].concat());
    }
    // And the copy, in the order of its writes.
    let ldr = Message::Ldr { synch: leader().server.application, elid: T };
    let event = Event::Message { from: N0, message: server::Message::Election(ldr) };
    let (mut copy, _) = servers().step(waits(), event);
    for told in written {
        let Effect::Send { message, .. } = told else { unreachable!("{told:?}") };
        copy = servers().step(copy, Event::Message { from: N0, message }).0;
    }
    assert_eq!(dump(&copy), dump(&state));
}

#[test]
fn a_look_up_is_answered_by_the_copy_at_hand() {
    let (state, _) = write(write(leader(), Request::Store('b', 2)).0, Request::Store('a', 1));
    let questions = [
        (Request::Lookup('b'), Reply::Found(Some(2))),
        (Request::Lookup('x'), Reply::Found(None)),
        (Request::Dump, Reply::Dumped(vec![('a', 1), ('b', 2)])),
    ];
    for (question, answer) in questions {
        assert_eq!(
            ask(state.clone(), question.clone()),
            (state.clone(), vec![replied(answer.clone())])
        );
        // The leader's copy answers without telling anybody.
        assert_eq!(write(state.clone(), question), (state.clone(), vec![replied(answer)]));
    }
}

#[test]
fn a_local_write_is_neither_done_nor_answered() {
    let (next, effects) = ask(leader(), Request::Store('a', 1));
    assert_eq!((dump(&next), effects), (vec![], vec![]));
}

#[test]
fn whoever_surrenders_is_brought_up_to_date_and_forgets_what_it_had() {
    let (leader, _) = write(leader(), Request::Store('a', 1));
    let synch = leader.server.application.clone();
    let mut stale = waits();
    stale.server.application.insert('z', 9);
    let is_leader = server::Message::Election(Message::IsLeader(T));
    let (_, effects) = servers().step(leader, Event::Message { from: N1, message: is_leader });
    let ldr = server::Message::Election(Message::Ldr { synch, elid: T });
    assert_eq!(effects[1], Effect::Send { to: N1.into(), message: ldr.clone() });
    let (next, _) = servers().step(stale, Event::Message { from: N0, message: ldr });
    assert_eq!(dump(&next), [('a', 1)]);
}
