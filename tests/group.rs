//! group, step by step: what random schedules found, and what scenarios are too large for.

use im::{OrdMap, Vector};
use interrex::{
    gen_leader::{
        Dictionary,
        dictionary::{Reply, Request},
    },
    group::{
        After, CallFailure, Command, Content, Effect, Entry, Envelope, Founding, Group, Log,
        Message, MessageOf, Messages, Multicast, Observation, ObservationOf, Part, Position, Role,
        Service, Stable, StableOf, StateOf, Summary, Term, Timer,
    },
    machine::{self, Address, Boot, Event, Machine, NodeId, Peer},
};
use std::{collections::VecDeque, time::Duration};

type Texts = Messages<String>;

const N0: Address = NodeId(0).first_life();
const N1: Address = NodeId(1).first_life();

fn group() -> Group<Texts> {
    Group::new(Texts::default())
}

/// A message from a process of the same group.
fn step(
    state: StateOf<Texts>,
    from: Address,
    message: Message<String, ()>,
) -> (StateOf<Texts>, Vec<Effect<Texts>>) {
    let message = Envelope { group: state.group(), message };
    group().step(state, Event::Message { from, message })
}

fn founded_by(by: Address) -> Founding {
    Founding { by, anew: None }
}

fn founder(me: Address) -> StateOf<Texts> {
    group().start(Boot { me, stable: None, contact: None }).0
}

/// The entry that a process is taken to hold, according to a leader.
fn held(state: &StateOf<Texts>, member: Address) -> Option<u64> {
    match &state.role {
        Role::Leading { others, .. } => others.get(&member.node).map(|other| other.held),
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

/// A process that promises the term of a leader does not follow it, whatever it has acknowledged before: old messages can make
/// a follower forget whom it follows. If the leader's next message was lost, it waited for ever: 25 steps, two nodes.
#[test]
fn a_member_that_promises_once_more_is_sent_the_last_entry_until_it_acknowledges() {
    let ask = Message::Ask { member: N0, committed: Position { term: None, number: 0 } };
    let (leader, _) = step(founder(N1), N0, ask);
    let (term, last) = (leader.term, leader.log.last());
    let all = Message::Ack { term, member: N0, number: last.number };
    let (leader, _) = step(leader, N0, all);
    let last = leader.log.last();
    let acknowledged = Message::Ack { term, member: N0, number: last.number };
    let (leader, _) = step(leader, N0, acknowledged.clone());
    assert_eq!((leader.members().len(), held(&leader, N0)), (2, Some(last.number)));
    let sent_at_tick = |leader: &StateOf<Texts>| {
        let (_, effects) = group().step(leader.clone(), Event::Timeout(Timer::Tick));
        effects.iter().filter(|effect| matches!(effect, machine::Effect::Send { .. })).count()
    };
    assert_eq!(sent_at_tick(&leader), 0);

    let part = leader.log.part_after(last.number);
    let promise = Message::Promise { term, member: N0, last, part };
    let (leader, _) = step(leader, N0, promise);
    assert_eq!(sent_at_tick(&leader), 1);
    let (leader, _) = step(leader, N0, acknowledged);
    assert_eq!(sent_at_tick(&leader), 0);
}

/// A leader that asks would make a follower believe that it leads no more.
#[test]
fn a_leader_asks_nobody() {
    let (_, effects) = step(founder(N1), N0, Message::Now);
    assert!(effects.is_empty(), "{effects:?}");
}

/// A late message of a former life made a leader forget the member that had come instead: 20 steps, two nodes.
#[test]
fn what_a_former_life_has_sent_does_not_dismiss_the_present_member() {
    let later = Address { life: 1, ..N0 };
    let ask = |member| Message::Ask { member, committed: Position { term: None, number: 0 } };
    let (leader, _) = step(founder(N1), N0, ask(N0));
    let (leader, _) = step(leader, later, ask(later));
    let all = |leader: &StateOf<Texts>, member| {
        let (term, number) = (leader.term, leader.log.len());
        Message::Ack { term, member, number }
    };
    let ack = all(&leader, later);
    let (leader, _) = step(leader, later, ack);
    let ack = all(&leader, later);
    let (leader, _) = step(leader, later, ack);
    assert_eq!(held(&leader, later), Some(leader.log.len()));
    let ack = all(&leader, N0);
    let (leader, _) = step(leader, N0, ack);
    assert_eq!(held(&leader, later), Some(leader.log.len()));
}

/// Restarts a member whose storage holds these views, of the first term of n0.
fn restarted(member: Address, views: &[&[Address]]) -> StateOf<Texts> {
    let term = Term { counter: 1, owner: N0 };
    let views = views.iter().map(|members| Content::View(members.iter().copied().collect()));
    let entries = views.map(|content| Entry { term, content }).collect();
    let part = Part { entries, ..Log::default().whole() };
    let stable = Stable { member, term, forgotten: 0, part };
    let me = Address { life: member.life + 1, ..member };
    group().start(Boot { me, stable: Some(stable), contact: None }).0
}

/// The messages that a process sends at a tick.
fn sent_at_tick(state: StateOf<Texts>) -> (StateOf<Texts>, Vec<Message<String, ()>>) {
    let (state, effects) = group().step(state, Event::Timeout(Timer::Tick));
    let sent = effects.into_iter().filter_map(|effect| match effect {
        machine::Effect::Send { message, .. } => Some(message.message),
        _ => None,
    });
    (state, sent.collect())
}

/// Its leader has forgotten it, and what that still sends to a former life ends before the removal. It waited for ever: 15
/// steps, two nodes.
#[test]
fn a_member_that_has_acknowledged_its_removal_before_it_restarts_asks() {
    let member = restarted(N1, &[&[N0, N1], &[N0]]);
    let position = member.log.position(1).expect("a view");
    let part = Part { after: After::Entry(position), entries: Vector::new() };
    let late = Message::Append { term: member.term, part, committed: 2, forgotten: 0 };
    let (member, _) = step(member, N0, late);
    assert!(member.is_member() && matches!(member.role, Role::Following { .. }));
    let (_, sent) = sent_at_tick(member);
    assert!(matches!(sent[..], [Message::Ask { member: N1, .. }]), "{sent:?}");
}

/// Otherwise a minority raises terms, and ends that of the leader when the network is whole again. Of five members of which
/// only one reaches all, none led.
#[test]
fn a_member_that_reaches_no_majority_does_not_take_over() {
    let nodes = [0, 1, 2, 3, 4].map(|node| NodeId(node).first_life());
    let down = |state, node| group().step(state, Event::Down(Peer::Name(NodeId(node)))).0;
    let suspicious = |state, nodes: &[u16]| nodes.iter().copied().fold(state, down);
    let term = |state: &StateOf<Texts>| state.term.counter;
    let member = restarted(N1, &[&nodes]);
    let (unable, sent) = sent_at_tick(suspicious(member.clone(), &[2, 3, 4]));
    assert!(term(&unable) == 1 && sent.iter().all(|it| matches!(it, Message::Ask { .. })));

    // Two of five are down: it takes over, and gives up when it finds a third one down.
    let (candidate, sent) = sent_at_tick(suspicious(member, &[3, 4]));
    assert!(term(&candidate) == 2 && sent.iter().all(|it| matches!(it, Message::Prepare { .. })));
    let promised = |state: StateOf<Texts>, member: Address| {
        let (term, last) = (state.term, state.log.last());
        let part = state.log.part_after(last.number);
        step(state, member, Message::Promise { term, member, last, part }).0
    };
    let leads = |state: &StateOf<Texts>| matches!(state.role, Role::Leading { .. });
    assert!(leads(&promised(promised(candidate.clone(), nodes[0]), nodes[2])));
    let alone = suspicious(promised(candidate, nodes[0]), &[0]);
    let (alone, sent) = sent_at_tick(alone);
    assert!(matches!(alone.role, Role::Seeking { .. }), "{:?}", alone.role);
    assert!(sent.len() == 4 && sent.iter().all(|it| matches!(it, Message::Ask { .. })), "{sent:?}");
    // One that answers after all makes it possible.
    let refuse = Message::Refuse { term: alone.term };
    let (alone, _) = step(alone, nodes[3], refuse);
    assert_eq!(term(&sent_at_tick(alone).0), 3);
}

/// A follower monitors nobody but its leader, and hears of nobody else. Members that it once found down would keep it from
/// taking over, long after they have come back.
#[test]
fn a_follower_suspects_nobody() {
    let nodes = [0, 1, 2].map(|node| NodeId(node).first_life());
    let member = restarted(N1, &[&nodes]);
    let (seeker, _) = group().step(member, Event::Down(Peer::Name(NodeId(2))));
    let last = seeker.log.last();
    let part = Part { after: After::Entry(last), entries: Vector::new() };
    let append = Message::Append { term: seeker.term, part, committed: 1, forgotten: 0 };
    let (follower, _) = step(seeker, N0, append);
    assert!(matches!(follower.role, Role::Following { .. }), "{:?}", follower.role);
    let leader = Event::Down(Peer::Process(N0));
    let (candidate, _) = group().step(follower, leader);
    assert!(matches!(candidate.role, Role::Candidate { .. }), "{:?}", candidate.role);
}

/// It would be a leader that can commit nothing, and would not learn so: who is suspected is not monitored.
#[test]
fn a_candidate_that_suspects_those_who_have_promised_does_not_lead() {
    let nodes = [0, 1, 2, 3].map(|node| NodeId(node).first_life());
    let (candidate, _) = sent_at_tick(restarted(N1, &[&nodes]));
    let (term, last) = (candidate.term, candidate.log.last());
    let promise = |member| {
        let part = candidate.log.part_after(last.number);
        Message::Promise { term, member, last, part }
    };
    let (state, _) = step(candidate.clone(), nodes[2], promise(nodes[2]));
    let (state, _) = group().step(state, Event::Down(Peer::Name(NodeId(2))));
    let (state, _) = group().step(state, Event::Down(Peer::Name(NodeId(0))));
    let (state, _) = step(state, nodes[3], promise(nodes[3]));
    assert!(matches!(state.role, Role::Candidate { .. }), "{:?}", state.role);
}

/// A summary with the last number that there is made the receiver search for ever, after each restart, too.
#[test]
fn a_number_that_no_log_reaches_is_not_taken_over() {
    let founder = founder(N1);
    let term = Term { counter: 2, owner: N0 };
    let last = Position { term: Some(term), number: u64::MAX };
    let summary = Summary { last, ..founder.log.base().clone() };
    let part = Part { after: After::Summary(summary), entries: Vector::new() };
    let all = Message::Append { term, part: part.clone(), committed: last.number, forgotten: 0 };
    let (follower, _) = step(founder.clone(), N0, all);
    assert_eq!((follower.term, follower.log.len()), (term, founder.log.len()));

    // From a file, it is at least no search without end.
    let stable = Stable { member: N1, term, forgotten: 0, part };
    let (restarted, _) = group().start(Boot { me: N1, stable: Some(stable), contact: None });
    assert_eq!((restarted.log.len(), restarted.newest_view().1.len()), (u64::MAX, 0));
}

#[test]
fn the_better_log_ends_with_the_higher_term_and_then_is_longer() {
    let term = |counter| Term { counter, owner: N0 };
    let entry = |counter| {
        let multicast = Multicast { origin: N0, sequence: 0, message: String::new() };
        Entry { term: term(counter), content: Content::Multicast(multicast) }
    };
    let log = |terms: &[u64]| terms.iter().map(|it| entry(*it)).collect::<Log<String, ()>>();
    let better = [(&[1, 1][..], &[1][..]), (&[2], &[1, 1, 1]), (&[1], &[])];
    for (one, other) in better {
        assert!(log(one).last() > log(other).last(), "{one:?} {other:?}");
    }
    assert_eq!(log(&[1, 2]).part_after(1).entries.len(), 1);
    assert_eq!(log(&[1, 2]).position(3), None);
}

/// A process answers for the member that its storage names, and a new life does not change that.
#[test]
fn a_restarted_node_is_the_member_that_it_was() {
    let me = Address { node: NodeId(1), life: 7 };
    let stable =
        stored(&group(), None, &group().start(Boot { me: N1, stable: None, contact: None }).1);
    let (restarted, _) = group().start(Boot { me, stable, contact: None });
    assert_eq!((restarted.me, restarted.member), (me, N1));
    let (fresh, _) = group().start(Boot { me, stable: None, contact: Some(N0) });
    assert_eq!(fresh.member, me);
}

/// What is in stable storage after these effects.
fn stored<S: Service>(
    group: &Group<S>,
    before: Option<StableOf<S>>,
    effects: &[Effect<S>],
) -> Option<StableOf<S>> {
    effects.iter().fold(before, |before, effect| match effect {
        machine::Effect::Persist(change) => Some(group.stored(before, change.clone())),
        _ => before,
    })
}

/// Members whose messages arrive in order, and whose timers do not fire.
struct Members {
    group: Group<Copies>,
    states: Vec<StateOf<Copies>>,
    stored: Vec<Option<StableOf<Copies>>>,
    observed: Vec<Vec<ObservationOf<Copies>>>,
    /// The largest number of entries that one step has stored.
    most_stored: usize,
    /// The largest number of keys that one message has carried.
    most_sent: usize,
    /// The largest number of entries that one message has carried.
    most_entries: usize,
    /// Messages that are lost, with their destination.
    loses: fn(usize, &Sent) -> bool,
}

type Copies = Dictionary<String, u32>;
/// A message between members.
type Sent = Message<Request<String, u32>, OrdMap<String, u32>>;

impl Members {
    fn new(group: Group<Copies>, size: u16) -> Self {
        let mut members = Self {
            group,
            states: vec![],
            stored: vec![],
            observed: vec![],
            most_stored: 0,
            most_sent: 0,
            most_entries: 0,
            loses: |_, _| false,
        };
        (0..size).for_each(|node| members.start(node));
        members
    }

    fn start(&mut self, node: u16) {
        let contact = (node > 0).then_some(N0);
        let boot = Boot { me: NodeId(node).first_life(), stable: None, contact };
        let (state, effects) = self.group.start(boot);
        self.states.push(state);
        self.stored.push(None);
        self.observed.push(vec![]);
        self.carry_out(usize::from(node), effects);
    }

    fn take(
        &mut self,
        node: usize,
        event: Event<MessageOf<Copies>, Command<Request<String, u32>>, Timer>,
    ) {
        let (state, effects) = self.group.step(self.states[node].clone(), event);
        self.states[node] = state;
        self.carry_out(node, effects);
    }

    fn carry_out(&mut self, node: usize, effects: Vec<Effect<Copies>>) {
        let mut steps = VecDeque::from([(node, effects)]);
        while let Some((node, effects)) = steps.pop_front() {
            self.stored[node] = stored(&self.group, self.stored[node].take(), &effects);
            let from = self.states[node].me;
            for effect in effects {
                match effect {
                    machine::Effect::Send { to, message } => {
                        let to = usize::from(to.node().0);
                        self.most_sent = self.most_sent.max(keys(&message.message));
                        if let Message::Append { part, .. } | Message::Promise { part, .. } =
                            &message.message
                        {
                            self.most_entries = self.most_entries.max(part.entries.len());
                        }
                        if (self.loses)(to, &message.message) {
                            continue;
                        }
                        let Some(state) = self.states.get(to).cloned() else { continue };
                        let event = Event::Message { from, message };
                        let (state, effects) = self.group.step(state, event);
                        self.states[to] = state;
                        steps.push_back((to, effects));
                    }
                    machine::Effect::Observe(observation) => self.observed[node].push(observation),
                    machine::Effect::Persist(Stable { part, .. }) => {
                        self.most_stored = self.most_stored.max(part.entries.len());
                    }
                    _ => {}
                }
            }
        }
    }

    fn put(&mut self, node: usize, tag: u64, value: u32) {
        self.put_at("key", node, tag, value);
    }

    fn put_at(&mut self, key: &str, node: usize, tag: u64, value: u32) {
        let request = Request::Store(key.into(), value);
        self.take(node, Event::Command(Command::Call { tag, request, timeout: None }));
    }
}

/// The number of keys that a message carries.
fn keys(message: &Sent) -> usize {
    match message {
        Message::Append { part, .. } | Message::Promise { part, .. } => match &part.after {
            After::Summary(summary) | After::Beginning(summary) => summary.application.len(),
            After::Entry(_) => 0,
        },
        Message::Piece { piece, .. } => piece.len(),
        _ => 0,
    }
}

/// A key of 1000 bytes.
fn long_key(number: u32) -> String {
    format!("{number:01000}")
}

/// Members with more keys than a message carries, and no memory of how they came about.
fn with_many_keys(size: u16) -> Members {
    let mut members = Members::new(Group::new(Copies::default()).keeping(0), size);
    for number in 0..1000 {
        members.put_at(&long_key(number), usize::from(number % 2 == 0), number.into(), number);
    }
    members
}

fn is_piece(message: &Sent) -> bool {
    matches!(message, Message::Piece { .. })
}

#[test]
fn a_newcomer_is_given_a_large_state_in_pieces_while_calls_go_on() {
    let mut members = with_many_keys(2);
    members.loses = |_, message| is_piece(message);
    members.start(2);
    for tag in 1000..1010 {
        members.put(0, tag, 7);
    }
    let pieces = |members: &Members| members.states[2].taking.as_ref().map(|taking| taking.pieces);
    assert_eq!((pieces(&members), members.states[0].members().len()), (Some(1), 2));
    // What comes after the summary is kept until the newcomer has that.
    let log = &members.states[0].log;
    assert_eq!(log.len() - log.base().number(), 10);

    members.loses = |_, _| false;
    members.take(2, Event::Timeout(Timer::Tick));
    assert_eq!((pieces(&members), members.states[0].members().len()), (None, 3));
    assert!(members.states.iter().all(|state| state.application().len() == 1001));
    assert_eq!(members.states[2].application(), members.states[0].application());
    assert!((250..=300).contains(&members.most_sent), "{}", members.most_sent);
    members.put(0, 1010, 8);
    members.take(0, Event::Timeout(Timer::Tick));
    assert!(members.states[0].giving.is_empty());
    let log = &members.states[0].log;
    assert_eq!(log.len(), log.base().number());
}

#[test]
fn who_gives_a_summary_may_be_gone_and_another_one_gives_it() {
    let mut members = with_many_keys(2);
    members.loses = |_, message| is_piece(message);
    members.start(2);
    let giver = members.states[2].taking.as_ref().expect("it is being given one").from;
    assert_eq!(giver, N0);
    // It has forgotten what it was giving, as a node that was suspected and comes back.
    members.take(0, Event::Down(machine::Peer::Name(NodeId(2))));
    assert!(members.states[0].giving.is_empty());
    members.loses = |_, _| false;
    members.take(2, Event::Timeout(Timer::Tick));
    assert_eq!(members.states[2].application().len(), 1000);
    assert_eq!(members.states[0].members().len(), 3);
}

/// A candidate adopts the best log of a majority, however large the state is that it begins with.
#[test]
fn a_candidate_is_given_what_it_lacks_in_pieces_before_it_leads() {
    let mut members = Members::new(Group::new(Copies::default()).keeping(0), 3);
    let behind = members.states[1].clone();
    for number in 0..1000 {
        members.put_at(&long_key(number), 0, number.into(), number);
    }
    // n1 has been cut off since, and n0 crashes.
    members.states[1] = behind;
    members.loses = |to, message| to == 0 || is_piece(message);
    members.take(1, Event::Down(machine::Peer::Process(N0)));
    assert!(members.states[1].taking.is_some() && !members.states[1].leads());
    members.loses = |to, _| to == 0;
    members.take(1, Event::Timeout(Timer::Tick));
    assert!(members.states[1].leads() && members.states[1].taking.is_none());
    assert_eq!(members.states[1].application().len(), 1000);
    assert!((250..=300).contains(&members.most_sent), "{}", members.most_sent);
}

/// A member that has missed much gets it in several messages, and what comes meanwhile only after that.
#[test]
fn a_member_that_has_missed_many_entries_gets_them_in_batches() {
    let group = Group::new(Copies::default()).in_batches_of(100_000);
    let mut members = Members::new(group, 3);
    members.loses = |to, _| to == 2;
    for number in 0..1000 {
        members.put_at(&long_key(number), 0, number.into(), number);
    }
    members.loses = |to, message| {
        to == 2 && matches!(message, Message::Append { part, .. } if part.entries.len() == 1)
    };
    members.take(0, Event::Timeout(Timer::Tick));
    assert_eq!(members.states[2].application().len(), 1000);
    assert!((90..=100).contains(&members.most_entries), "{}", members.most_entries);
}

/// A former leader's own entries end in a dead end, longer than a batch. The log that it takes over instead comes in batches,
/// and some of them it holds already.
#[test]
fn a_candidate_takes_a_better_log_over_in_batches() {
    let group = Group::new(Copies::default()).in_batches_of(20_000);
    let mut members = Members::new(group, 4);
    members.take(0, Event::Command(Command::HandOver));
    assert!(members.states[1].leads());
    // n2 and n3 hold these, and do not know that they are committed.
    members.loses =
        |_, message| matches!(message, Message::Append { part, .. } if part.entries.is_empty());
    for number in 0..100 {
        members.put_at(&long_key(number), 1, number.into(), number);
    }
    members.loses = |_, _| true;
    for number in 100..200 {
        members.put_at(&long_key(number), 1, number.into(), number);
    }
    let former = members.states[1].clone();
    members.loses = |to, _| to == 1;
    members.take(1, Event::Command(Command::HandOver));
    assert!(members.states[0].leads());
    for number in 200..400 {
        members.put_at(&long_key(number), 0, number.into(), number);
    }
    assert_eq!(members.states[2].application().len(), 300);

    members.states[1] = former;
    members.loses = |to, _| to == 0;
    members.most_entries = 0;
    members.take(1, Event::Timeout(Timer::Tick));
    members.take(1, Event::Down(machine::Peer::Name(NodeId(0))));
    members.take(1, Event::Timeout(Timer::Tick));
    assert!(members.states[1].leads(), "{:?}", members.states[1].role);
    // The dead end is gone. Its calls still wait, and so they are appended anew.
    let delivered = members.observed[2].iter().filter_map(|observation| match observation {
        Observation::Delivered { message: Request::Store(_, value), .. } => Some(*value),
        _ => None,
    });
    let expected = (0..100).chain(200..400).chain(100..200);
    assert_eq!(delivered.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert!((15..=20).contains(&members.most_entries), "{}", members.most_entries);
}

/// What all members hold is forgotten, and a newcomer gets the application's state instead. A step stores what it has
/// changed.
#[test]
fn what_all_members_hold_is_forgotten_and_a_newcomer_is_given_the_state() {
    let mut members = Members::new(Group::new(Copies::default()).keeping(10), 2);
    for tag in 0..100 {
        members.put(usize::from(tag % 2 == 0), tag, u32::try_from(tag).expect("a small number"));
    }
    for state in &members.states {
        let kept = state.log.len() - state.log.base().number();
        assert!((102..=104).contains(&state.log.len()) && kept <= 20, "{kept}");
    }
    assert!(members.most_stored <= 2, "{}", members.most_stored);
    let replies = members.observed.iter().flatten();
    let replies = replies.filter(|it| matches!(it, Observation::Replied { reply: Reply::Ok, .. }));
    assert_eq!(replies.count(), 100);

    let base = members.states[0].log.base().clone();
    members.start(2);
    let restored = Observation::Restored { number: base.number(), state: base.application };
    assert_eq!(members.observed[2][1], restored);
    for state in &members.states {
        assert_eq!(state.application().get("key"), Some(&99));
        assert_eq!(state.members().len(), 3);
    }
    for (state, stable) in members.states.iter().zip(&members.stored) {
        let boot =
            Boot { me: Address { life: 1, ..state.me }, stable: stable.clone(), contact: None };
        let (restarted, _) = members.group.start(boot);
        // What is stored may remember more.
        assert!(restarted.log.base().number() <= state.log.base().number());
        assert_eq!((restarted.log.last(), restarted.member), (state.log.last(), state.member));
    }
}

/// A client's time-out ends its call and not its request. A query changes nothing.
#[test]
fn a_call_that_times_out_takes_effect_once_all_the_same() {
    let mut members = Members::new(Group::new(Copies::default()), 2);
    members.states[1].role = Role::Seeking { told: [N0].into_iter().collect() };
    let request = Request::Store("key".into(), 7);
    let timeout = Some(Duration::from_secs(1));
    members.take(1, Event::Command(Command::Call { tag: 3, request, timeout }));
    members.take(1, Event::Timeout(Timer::Call(3)));
    let failed = Observation::Failed { tag: 3, error: CallFailure::TimedOut };
    assert_eq!(members.observed[1].last(), Some(&failed));
    members.take(1, Event::Timeout(Timer::Tick));
    let message = Envelope { group: Some(founded_by(N0)), message: Message::Now };
    members.take(1, Event::Message { from: N0, message });
    members.take(0, Event::Timeout(Timer::Tick));
    members.put(0, 4, 8);
    members.take(1, Event::Timeout(Timer::Tick));
    let request = Request::Delete("key".into());
    members.take(1, Event::Command(Command::Query { tag: 5, request }));
    assert_eq!(members.states.iter().map(|it| it.application()["key"]).collect::<Vec<_>>(), [8, 8]);
    let times = members.observed[0].iter().filter(|it| matches!(it, Observation::Delivered { .. }));
    assert_eq!(times.count(), 2);
}

/// Who comes back after its own multicasts were forgotten elsewhere learns that they count.
#[test]
fn a_call_whose_reply_was_not_kept_says_that_it_has_taken_effect() {
    let mut members = Members::new(Group::new(Copies::default()).keeping(0), 2);
    let before = members.states[1].clone();
    members.put(1, 9, 5);
    let mut state = before;
    let request = Request::Store("key".into(), 5);
    (state, _) =
        members.group.step(state, Event::Command(Command::Call { tag: 9, request, timeout: None }));
    let whole = members.states[0].log.whole();
    assert!(matches!(&whole.after, After::Summary(base) if base.number() > 2));
    let message =
        Message::Append { term: members.states[0].term, part: whole, committed: 3, forgotten: 3 };
    let message = Envelope { group: Some(founded_by(N0)), message };
    let (state, effects) = members.group.step(state, Event::Message { from: N0, message });
    let lost = Observation::Failed { tag: 9, error: CallFailure::ReplyLost };
    assert!(effects.contains(&machine::Effect::Observe(lost)), "{effects:?}");
    assert!(state.pending.is_empty());
}

/// A node that has lost its storage founds a second group by mistake. It gives way, and the older group goes on without it.
#[test]
fn the_founder_of_a_second_group_gives_way_and_the_older_one_goes_on() {
    let later = Address { node: NodeId(1), life: 9 };
    let (second, _) = group().start(Boot { me: later, stable: None, contact: None });
    let ask = |group, member| {
        let committed = Position::default();
        Envelope { group: Some(founded_by(group)), message: Message::Ask { member, committed } }
    };
    let (_, effects) = group().step(second, Event::Message { from: N0, message: ask(N0, N0) });
    let stops = |effect: &Effect<Texts>| matches!(effect, machine::Effect::Stop(_));
    assert!(effects.iter().any(stops), "{effects:?}");

    let older = founder(N0);
    let (older, effects) =
        group().step(older, Event::Message { from: later, message: ask(later, later) });
    let seen = Observation::OtherGroup { from: later, group: founded_by(later) };
    assert_eq!(effects[0], machine::Effect::Observe(seen));
    assert!(!effects.iter().any(stops) && older.leads());
    let objects = |effect: &Effect<Texts>| matches!(effect, machine::Effect::Send { message, .. } if message.group == Some(founded_by(N0)));
    assert!(effects.iter().any(objects), "{effects:?}");
    assert!(!older.members().contains(&later));
    // It is said once.
    let (_, effects) =
        group().step(older, Event::Message { from: later, message: ask(later, later) });
    assert!(!effects.iter().any(|it| matches!(it, machine::Effect::Observe(_))), "{effects:?}");
}

/// Two of three members are gone for good. The third one goes on with all that it holds, and a node with an empty storage can
/// join. A member of the former group that comes back after all ends.
#[test]
fn a_survivor_founds_the_group_anew_and_a_former_member_ends() {
    let mut members = Members::new(Group::new(Copies::default()), 3);
    members.put_at("confirmed", 0, 0, 1);
    let former = members.states[1].clone();
    let too_early = members.states[2].clone();
    members.take(2, Event::Command(Command::FoundAnew));
    assert_eq!(members.states[2], too_early, "it knows a leader");

    members.loses = |to, _| to > 0;
    members.put_at("not confirmed", 0, 1, 2);
    for gone in [1, 2] {
        members.take(0, Event::Down(machine::Peer::Name(NodeId(gone))));
    }
    assert!(!members.states[0].leads());
    members.take(0, Event::Command(Command::FoundAnew));
    let survivor = &members.states[0];
    assert!(survivor.leads() && survivor.members().len() == 1);
    assert_eq!(survivor.application().len(), 2);
    let said = Observation::FoundedAnew { last: 6, committed: 4 };
    assert!(members.observed[0].contains(&said), "{:?}", members.observed[0]);
    let group = survivor.group().expect("it is in one");
    assert_eq!((group.by, group.anew), (N0, Some(survivor.term)));

    // It does not obey a former member, and that one ends.
    let asked = Envelope {
        group: former.group(),
        message: Message::Prepare {
            term: Term { counter: 9, owner: N1 },
            committed: Position::default(),
            held: Position::default(),
        },
    };
    let term = survivor.term;
    let (survivor, effects) =
        members.group.step(survivor.clone(), Event::Message { from: N1, message: asked });
    assert!(survivor.leads() && survivor.term == term);
    let refusal = effects.into_iter().find_map(|effect| match effect {
        machine::Effect::Send { message, .. } => Some(message),
        _ => None,
    });
    let message = refusal.expect("it is refused");
    let (_, effects) = members.group.step(former, Event::Message { from: N0, message });
    let stops = |effect| matches!(effect, machine::Effect::Stop(_));
    assert!(effects.into_iter().any(stops));

    // The new group is found in its storage.
    let me = Address { life: 1, ..N0 };
    let boot = Boot { me, stable: members.stored[0].clone(), contact: None };
    let (restarted, _) = members.group.start(boot);
    assert_eq!((restarted.group(), restarted.application().len()), (Some(group), 2));

    members.loses = |_, _| false;
    let boot = Boot { me: Address { life: 1, ..N1 }, stable: None, contact: Some(N0) };
    let (newcomer, effects) = members.group.start(boot);
    members.states[1] = newcomer;
    members.carry_out(1, effects);
    assert_eq!(members.states[0].members().len(), 2);
    assert_eq!(members.states[1].application(), members.states[0].application());
}

/// A restarted process does not say that something is not there before it knows.
#[test]
fn a_query_fails_until_the_copy_is_up_to_date() {
    let mut members = Members::new(Group::new(Copies::default()), 2);
    members.put(0, 1, 7);
    let query =
        |tag| Event::Command(Command::Query { tag, request: Request::Lookup("key".into()) });
    members.take(1, query(2));
    let found = Observation::Replied { tag: 2, reply: Reply::Found(Some(7)) };
    assert_eq!(members.observed[1].last(), Some(&found));
    let boot =
        Boot { me: Address { life: 1, ..N1 }, stable: members.stored[1].clone(), contact: None };
    let (restarted, _) = members.group.start(boot);
    let (_, effects) = members.group.step(restarted, query(3));
    let failed = Observation::Failed { tag: 3, error: CallFailure::NotUpToDate };
    assert_eq!(effects, [machine::Effect::Observe(failed)]);
}

/// A founder that is alone forgets, too.
#[test]
fn a_lone_founder_keeps_no_more_than_it_should() {
    let mut members = Members::new(Group::new(Copies::default()).keeping(10), 1);
    for tag in 0..100 {
        members.put(0, tag, 1);
    }
    let log = &members.states[0].log;
    assert_eq!((log.len(), log.len() - log.base().number()), (101, 10));
    assert!(members.most_stored <= 1, "{}", members.most_stored);
}

/// An admission may need the newcomer for its majority. If that one is gone, the founder goes on alone.
#[test]
fn an_admission_is_taken_back_if_the_newcomer_is_gone() {
    let committed = Position { term: Some(Term { counter: 1, owner: N0 }), number: 1 };
    let (leader, _) = step(founder(N0), N1, Message::Ask { member: N1, committed });
    assert_eq!(leader.newest_view().1.len(), 2);
    assert_eq!(leader.members().len(), 1);
    let (leader, _) = group().step(leader, Event::Down(machine::Peer::Name(N1.node)));
    assert!(leader.leads());
    assert_eq!((leader.members().len(), leader.counted.number()), (1, 3));
}
