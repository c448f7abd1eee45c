//! group, step by step: what random schedules found, and what scenarios are too large for.

use interrex::{
    group::{Content, Entry, Group, Log, Message, Multicast, Position, Role, State, Term},
    machine::{Address, Boot, Event, Machine, NodeId},
};

const N0: Address = NodeId(0).first_life();
const N1: Address = NodeId(1).first_life();

fn step(
    state: State<String>,
    from: Address,
    message: Message<String>,
) -> (State<String>, Vec<interrex::group::Effect<String>>) {
    Group::default().step(state, Event::Message { from, message })
}

fn founder(me: Address) -> State<String> {
    Group::default().start(Boot { me, stable: None, contact: None }).0
}

/// The entry that a process is taken to hold, according to a leader.
fn held(state: &State<String>, member: Address) -> Option<u64> {
    match &state.role {
        Role::Leading { others } => others.get(&member.node).map(|other| other.held),
        Role::Seeking { .. }
        | Role::Promised { .. }
        | Role::Following { .. }
        | Role::Candidate { .. } => None,
    }
}

/// Whoever asks may know entries of a later term to count. A former leader that took this for an acknowledgement let two
/// leaders' views have one number: 39 steps, five nodes.
#[test]
fn a_former_leader_does_not_take_a_question_for_an_acknowledgement() {
    let own = Position { term: Some(Term { counter: 1, owner: N1 }), number: 1 };
    let (leader, _) = step(founder(N1), N0, Message::Ask { member: N0, committed: own });
    assert_eq!(held(&leader, N0), Some(1));
    let later = Position { term: Some(Term { counter: 2, owner: N0 }), number: 1 };
    let (leader, _) = step(founder(N1), N0, Message::Ask { member: N0, committed: later });
    assert_eq!(held(&leader, N0), Some(0));
}

#[test]
fn the_better_log_ends_with_the_higher_term_and_then_is_longer() {
    let term = |counter| Term { counter, owner: N0 };
    let entry = |counter| {
        let multicast = Multicast { origin: N0, sequence: 0, message: String::new() };
        Entry { term: term(counter), content: Content::Multicast(multicast) }
    };
    let log = |terms: &[u64]| terms.iter().map(|it| entry(*it)).collect::<Log<String>>();
    let better = [(&[1, 1][..], &[1][..]), (&[2], &[1, 1, 1]), (&[1], &[])];
    for (one, other) in better {
        assert!(log(one).last() > log(other).last(), "{one:?} {other:?}");
    }
    assert_eq!(log(&[1, 2]).after(1).len(), 1);
    assert_eq!(log(&[1, 2]).position(3), None);
}

/// A process answers for the member that its storage names, and a new life does not change that.
#[test]
fn a_restarted_node_is_the_member_that_it_was() {
    let me = Address { node: NodeId(1), life: 7 };
    let stable = founder(N1).stable;
    let (restarted, _) = Group::default().start(Boot { me, stable: Some(stable), contact: None });
    assert_eq!((restarted.me, restarted.member()), (me, N1));
    let (fresh, _) = Group::<String>::default().start(Boot { me, stable: None, contact: Some(N0) });
    assert_eq!(fresh.member(), me);
}
