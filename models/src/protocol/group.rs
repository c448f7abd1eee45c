//! The model of group for the harness.

pub mod real;

use super::{Notion, Protocol, Standing, Term, View, Vocabulary};
use crate::{
    claim::{
        notion::Token,
        property::{self, Property},
    },
    model::{
        environment::Start,
        node::{Condition, Node},
    },
    names,
};
use im::{OrdMap, OrdSet, Vector, vector};
use interrex::{
    group::{
        self, Command, Content, Entry, Envelope, Founding, Group, Log, Message, Observation,
        ObservationOf, Other, Policy, Position, Role, Service, Stable, State, StateOf, Summary,
        Timer, majority,
    },
    machine::{Address, NodeId, Peer},
};
use std::borrow::Cow;

/// An application of a group, with what the properties and the scenarios ask about it.
pub trait Checked: Service {
    /// The identity of a multicast, for the properties.
    fn token(origin: Address, sequence: u64, message: &Self::Request) -> Token;

    /// The scripted request with this identity, for an application of scenarios.
    #[must_use]
    fn scripted(_: Token) -> Option<Self::Request> {
        None
    }

    /// The multicasts that a state tells to have been carried out.
    #[must_use]
    fn contained(_: &Self::State) -> Vec<Token> {
        vec![]
    }

    /// The copy of a member, as JSON. None if it has no state.
    #[must_use]
    fn copy(_: &Self::State) -> Option<String> {
        None
    }
}

/// The application of the scenarios: each member keeps a journal of all multicasts.
#[derive(Clone, Copy, Debug)]
pub struct Journal;

/// Each multicast is a piece of its own, so that all but the shortest journals are given in several.
impl Service for Journal {
    type State = Vector<Token>;
    type Request = Token;
    type Reply = ();

    fn carry_out(&self, journal: &mut Vector<Token>, _: u64, token: Token) {
        journal.push_back(token);
    }

    fn split(&self, mut journal: Vector<Token>) -> (Vector<Token>, Option<Vector<Token>>) {
        let piece = journal.pop_front().into_iter().collect();
        (piece, Some(journal).filter(|rest| !rest.is_empty()))
    }

    fn join(&self, pieces: &mut Vector<Token>, next: Vector<Token>) {
        pieces.extend(next);
    }
}

impl Checked for Journal {
    fn token(_: Address, _: u64, message: &Token) -> Token {
        *message
    }

    fn scripted(token: Token) -> Option<Token> {
        Some(token)
    }

    fn contained(journal: &Vector<Token>) -> Vec<Token> {
        journal.iter().copied().collect()
    }

    fn copy(journal: &Vector<Token>) -> Option<String> {
        serde_json::to_string(journal).ok()
    }
}

/// A limit on the entries that a log keeps although all members hold them, and on those in one message. Real nodes keep more
/// than any scenario makes, and send more in one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// None: the log forgets whatever all hold. Entries are sent one by one.
    Short,
}

impl Memory {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Short];

    /// Its name. A protocol with it is called after it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Short => "short memory",
        }
    }

    /// A group with this memory.
    #[must_use]
    pub fn of<S: Service>(self, group: Group<S>) -> Group<S> {
        match self {
            Self::Short => group.keeping(0).in_batches_of(1),
        }
    }

    /// True if it is the memory of this group.
    fn is_of<S: Service>(self, group: &Group<S>) -> bool {
        match self {
            Self::Short => group.kept() == 0,
        }
    }
}

impl<S: Checked> Protocol for Group<S> {
    fn name(&self) -> Cow<'static, str> {
        let memory = Memory::ALL.into_iter().find(|memory| memory.is_of(self));
        match (self.left_out(), memory, self.policy()) {
            (None, None, Policy::Majority) => "group".into(),
            (None, None, Policy::Any) => "group_any".into(),
            (None, Some(memory), _) => format!("group with {}", memory.name()).into(),
            (Some(safeguard), ..) => format!("group without {}", safeguard.name()).into(),
        }
    }

    fn summary(&self) -> Cow<'static, str> {
        match self.policy() {
            Policy::Majority => "group membership and multicast with a majority, our own",
            Policy::Any => {
                "group, but whoever survives goes on: only for a detector that never errs"
            }
        }
        .into()
    }

    fn properties(&self) -> &'static [&'static Property] {
        property::OF_OUR_GROUPS
    }

    fn starts(&self) -> &'static [Start] {
        &[Start::Joined, Start::Joining]
    }

    fn joins_through_contact(&self) -> bool {
        true
    }

    fn keeps_names(&self) -> bool {
        true
    }

    /// A majority of the newest view that any of them holds is up. With [`Policy::Any`], one of them is in its own newest view.
    fn can_lead(&self, up: &[(NodeId, &StateOf<S>)]) -> bool {
        let mut states = up.iter().map(|(_, state)| state);
        match self.policy() {
            Policy::Majority => {
                let Some(best) = states.max_by_key(|state| state.log.last()) else { return false };
                let (_, members) = best.newest_view();
                let is_up =
                    |member: &&Address| up.iter().any(|(_, state)| state.member == **member);
                members.iter().filter(is_up).count() >= majority(members.len())
            }
            Policy::Any => states.any(|state| state.newest_view().1.contains(&state.member)),
        }
    }

    fn measure(&self) -> Option<&'static str> {
        Some("terms")
    }

    fn measured(&self, state: &StateOf<S>) -> u64 {
        state.term.counter
    }

    fn replica(&self, state: &StateOf<S>) -> Option<String> {
        S::copy(state.application())
    }

    fn command(&self, sender: NodeId, index: u32) -> Option<Command<S::Request>> {
        let request = S::scripted(Token { sender, index })?;
        Some(Command::Call { tag: index.into(), request, timeout: None })
    }

    fn calls(&self, _: NodeId, issued: u32) -> Vec<u64> {
        (0..issued).map(u64::from).collect()
    }

    fn waiting(&self, state: &StateOf<S>) -> Vec<u64> {
        state.pending.values().filter_map(|pending| Some(pending.client?.tag)).collect()
    }

    fn joined(&self, size: u16) -> Option<Vec<Node<Self>>> {
        let members: Vector<Address> = (0..size).map(|id| NodeId(id).first_life()).collect();
        let leader = members[0];
        let term = group::Term { counter: 1, owner: leader };
        let view = group::View { number: 1, term, members: members.clone() };
        let counted = Summary {
            last: Position { term: Some(term), number: 1 },
            group: Some(Founding { by: leader, anew: None }),
            view: Some(view.clone()),
            known: members.iter().map(|member| (member.node, *member)).collect(),
            next: OrdMap::new(),
            application: S::State::default(),
        };
        let entry = Entry { term, content: Content::View(members.clone()) };
        let log: Log<S::Request, S::State> = [entry].into_iter().collect();
        let node = |id| {
            let me = NodeId(id).first_life();
            let others = members.iter().filter(|other| **other != me);
            let (role, monitors): (_, OrdSet<Peer>) = if me == leader {
                let watched = others.clone().map(|other| Peer::Name(other.node)).collect();
                let other = |member| Other::holding(member, 1);
                let others = others.map(|member| (member.node, other(*member))).collect();
                (Role::Leading { others, next: OrdMap::new() }, watched)
            } else {
                (Role::Following { leader, matched: 1 }, OrdSet::unit(Peer::Process(leader)))
            };
            let state = State {
                me,
                member: me,
                term,
                log: log.clone(),
                contact: None,
                counted: counted.clone(),
                role,
                suspected: OrdSet::new(),
                watched: monitors.clone(),
                issued: 0,
                pending: OrdMap::new(),
                waiting: OrdSet::new(),
                is_leaving: false,
                foreign: OrdMap::new(),
                taking: None,
                giving: OrdMap::new(),
            };
            let mut history = vector![Observation::Started(me)];
            if me == leader {
                history.push_back(Observation::Elected(term));
            }
            history.push_back(Observation::Installed(view.clone()));
            Node {
                condition: Condition::Up(state),
                history,
                stable: Some(Stable { member: me, term, forgotten: 0, part: log.whole() }),
                timers: OrdSet::unit(Timer::Tick),
                monitors,
                ..Node::idle(NodeId(id))
            }
        };
        Some((0..size).map(node).collect())
    }

    fn standing(&self, state: &StateOf<S>) -> Standing {
        match (state.is_member(), state.leader()) {
            (_, Some(_)) if state.leads() => Standing::Leading,
            (false, _) => Standing::Outsider,
            (true, Some(leader)) => Standing::Following(leader),
            (true, None) => Standing::Seeking,
        }
    }

    fn notion(&self, observation: &ObservationOf<S>) -> Notion {
        match observation {
            Observation::Started(member) => Notion::Started(*member),
            Observation::Elected(group::Term { counter, owner }) => {
                Notion::Elected(Term::from([*counter, owner.node.0.into(), owner.life]))
            }
            Observation::Deposed
            | Observation::OtherGroup { .. }
            | Observation::FoundedAnew { .. } => Notion::Unremarked,
            Observation::Restored { number, state } => {
                Notion::Restored { number: *number, messages: S::contained(state) }
            }
            Observation::Installed(view) => Notion::Installed(View {
                number: view.number,
                leader: view.leader(),
                followers: followers(view).collect(),
            }),
            Observation::Delivered { number, origin, sequence, message } => {
                let message = S::token(*origin, *sequence, message);
                Notion::Delivered { number: *number, message }
            }
            Observation::Replied { tag, .. } | Observation::Failed { tag, .. } => {
                Notion::Answered(*tag)
            }
        }
    }

    fn vocabulary(&self) -> Option<Vocabulary<Self>> {
        Some(Vocabulary {
            roles: names!(
                State { role: Role::Seeking { .. }, .. } => "seeking",
                State { role: Role::Promised { .. }, .. } => "promised",
                State { role: Role::Following { .. }, .. } => "following",
                State { role: Role::Candidate { .. }, .. } => "candidate",
                State { role: Role::Leading { .. }, .. } => "leading",
            ),
            messages: names!(
                Envelope { message: Message::Prepare { .. }, .. } => "prepare",
                Envelope { message: Message::Promise { .. }, .. } => "promise",
                Envelope { message: Message::Refuse { .. }, .. } => "refuse",
                Envelope { message: Message::Append { .. }, .. } => "append",
                Envelope { message: Message::Ack { .. }, .. } => "ack",
                Envelope { message: Message::Ask { .. }, .. } => "ask",
                Envelope { message: Message::Now, .. } => "now",
                Envelope { message: Message::More { .. }, .. } => "more",
                Envelope { message: Message::Piece { .. }, .. } => "piece",
                Envelope { message: Message::Gone { .. }, .. } => "gone",
                Envelope { message: Message::Forward(_), .. } => "forward",
                Envelope { message: Message::Leave { .. }, .. } => "leave",
                Envelope { message: Message::TakeOver { .. }, .. } => "take_over",
            ),
            commands: names!(
                Command::Mcast(_) => "mcast",
                Command::Call { .. } => "call",
                Command::Query { .. } => "query",
                Command::Leave => "leave",
                Command::HandOver => "hand_over",
                Command::FoundAnew => "found_anew",
                Command::Stop => "stop",
            ),
            timers: names!(Timer::Tick => "tick", Timer::Call(_) => "call"),
            observations: names!(
                Observation::Started(_) => "started",
                Observation::Elected(_) => "elected",
                Observation::Deposed => "deposed",
                Observation::Restored { .. } => "restored",
                Observation::OtherGroup { .. } => "other_group",
                Observation::FoundedAnew { .. } => "founded_anew",
                Observation::Installed(_) => "installed",
                Observation::Delivered { .. } => "delivered",
                Observation::Replied { .. } => "replied",
                Observation::Failed { .. } => "failed",
            ),
        })
    }
}

/// The members of a view without its leader, by seniority.
fn followers(view: &group::View) -> impl Iterator<Item = Address> {
    view.members.iter().copied().filter(|member| *member != view.leader())
}
