//! The model of group for the harness.

pub mod real;

use super::{Notion, Protocol, Standing, Term, View, Vocabulary, multicast::Payload};
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
        self, Command, Content, Entry, Group, Message, Observation, Other, Role, Stable, State,
        Timer, majority,
    },
    machine::{Address, NodeId, Peer},
};
use std::borrow::Cow;

impl<T: Payload> Protocol for Group<T> {
    fn name(&self) -> Cow<'static, str> {
        match self.left_out() {
            None => "group".into(),
            Some(safeguard) => format!("group without {}", safeguard.name()).into(),
        }
    }

    fn summary(&self) -> Cow<'static, str> {
        "group membership and multicast with a majority, our own".into()
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

    fn finds_its_group(&self, stable: &Stable<T>) -> bool {
        !stable.log.newest_members().is_empty()
    }

    fn keeps_names(&self) -> bool {
        true
    }

    /// A majority of the newest view that any of them holds.
    fn can_lead(&self, up: &[(NodeId, &State<T>)]) -> bool {
        let logs = up.iter().map(|(_, state)| &state.stable.log);
        let Some(best) = logs.max_by_key(|log| log.last()) else { return false };
        let members = best.newest_members();
        let is_up = |member: &&Address| up.iter().any(|(_, state)| state.member() == **member);
        members.iter().filter(is_up).count() >= majority(members.len())
    }

    fn measure(&self) -> Option<&'static str> {
        Some("terms")
    }

    fn measured(&self, state: &State<T>) -> u64 {
        state.stable.term.counter
    }

    fn command(&self, sender: NodeId, index: u32) -> Option<Command<T>> {
        T::scripted(Token { sender, index }).map(Command::Mcast)
    }

    fn joined(&self, size: u16) -> Option<Vec<Node<Self>>> {
        let members: Vector<Address> = (0..size).map(|id| NodeId(id).first_life()).collect();
        let leader = members[0];
        let term = group::Term { counter: 1, owner: leader };
        let view = group::View { number: 1, leader, members: members.clone() };
        let node = |id| {
            let me = NodeId(id).first_life();
            let log = [Entry { term, content: Content::View(members.clone()) }];
            let others = members.iter().filter(|other| **other != me);
            let (role, monitors): (_, OrdSet<Peer>) = if me == leader {
                let watched = others.clone().map(|other| Peer::Name(other.node)).collect();
                let other = |member| Other { member, held: 1, joins: false };
                let others = others.map(|member| (member.node, other(*member))).collect();
                (Role::Leading { others }, watched)
            } else {
                (Role::Following { leader, matched: 1 }, OrdSet::unit(Peer::Process(leader)))
            };
            let stable = Stable { member: me, term, log: log.into_iter().collect() };
            let state = State {
                me,
                stable: stable.clone(),
                contact: None,
                committed: 1,
                role,
                suspected: OrdSet::new(),
                watched: monitors.clone(),
                next: OrdMap::new(),
                issued: 0,
                pending: OrdMap::new(),
                waiting: OrdSet::new(),
            };
            let mut history = vector![Observation::Started(me)];
            if me == leader {
                history.push_back(Observation::Elected(term));
            }
            history.push_back(Observation::Installed(view.clone()));
            Node {
                condition: Condition::Up(state),
                history,
                stable: Some(stable),
                timers: OrdSet::unit(Timer::Tick),
                monitors,
                ..Node::idle(NodeId(id))
            }
        };
        Some((0..size).map(node).collect())
    }

    fn standing(&self, state: &State<T>) -> Standing {
        match (state.is_member(), state.leader()) {
            (_, Some(_)) if state.leads() => Standing::Leading,
            (false, _) => Standing::Outsider,
            (true, Some(leader)) => Standing::Following(leader),
            (true, None) => Standing::Seeking,
        }
    }

    fn notion(&self, observation: &Observation<T>) -> Notion {
        match observation {
            Observation::Started(member) => Notion::Started(*member),
            Observation::Elected(group::Term { counter, owner }) => {
                Notion::Elected(Term(vec![*counter, owner.node.0.into(), owner.life.into()]))
            }
            Observation::Deposed => Notion::Unremarked,
            Observation::Installed(view) => Notion::Installed(View {
                number: view.number,
                leader: view.leader,
                followers: {
                    let others = view.members.iter().copied();
                    others.filter(|member| *member != view.leader).collect()
                },
            }),
            Observation::Delivered { number, message } => {
                Notion::Delivered { number: *number, message: message.token() }
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
                Message::Prepare { .. } => "prepare",
                Message::Promise { .. } => "promise",
                Message::Refuse { .. } => "refuse",
                Message::Append { .. } => "append",
                Message::Ack { .. } => "ack",
                Message::Ask { .. } => "ask",
                Message::Now => "now",
                Message::Forward(_) => "forward",
            ),
            commands: names!(Command::Mcast(_) => "mcast", Command::Stop => "stop"),
            timers: names!(Timer::Tick => "tick"),
            observations: names!(
                Observation::Started(_) => "started",
                Observation::Elected(_) => "elected",
                Observation::Deposed => "deposed",
                Observation::Installed(_) => "installed",
                Observation::Delivered { .. } => "delivered",
            ),
        })
    }
}
