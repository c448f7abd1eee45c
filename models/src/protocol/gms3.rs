//! The model of gms3 for the harness.

pub mod real;

use super::{Notion, Protocol, Standing, View, Vocabulary, multicast::Payload};
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
use im::{OrdSet, Vector, vector};
use interrex::{
    gms3::{self, Command, Follower, Gms3, Leader, Message, Observation, State, Timer},
    machine::{Address, NodeId},
};
use std::borrow::Cow;

/// gms3, multicasting the messages of scenarios.
#[must_use]
pub fn gms3() -> Gms3<Token> {
    Gms3::default()
}

impl<T: Payload> Protocol for Gms3<T> {
    fn name(&self) -> Cow<'static, str> {
        "gms3".into()
    }

    fn summary(&self) -> Cow<'static, str> {
        "group membership with atomic multicast, as in the published Erlang text, faults included"
            .into()
    }

    fn properties(&self) -> &'static [&'static Property] {
        property::OF_GROUPS
    }

    fn starts(&self) -> &'static [Start] {
        &[Start::Joined, Start::Joining]
    }

    fn joins_through_contact(&self) -> bool {
        true
    }

    fn command(&self, sender: NodeId, index: u32) -> Option<Command<T>> {
        T::scripted(Token { sender, index }).map(Command::Mcast)
    }

    fn joined(&self, size: u16) -> Option<Vec<Node<Self>>> {
        let leader = NodeId(0).first_life();
        let followers: Vector<Address> = (1..size).map(|id| NodeId(id).first_life()).collect();
        let view = gms3::View { number: 1, leader, followers: followers.clone() };
        let member = |id| {
            let me = NodeId(id).first_life();
            let followers = followers.clone();
            let state = if me == leader {
                State::Leader(Leader { me, followers, next: 2 })
            } else {
                State::Follower(Follower {
                    me,
                    leader,
                    followers,
                    next: 2,
                    last: Message::View(view.clone()),
                })
            };
            let monitors = if me == leader { OrdSet::new() } else { OrdSet::unit(leader.into()) };
            Node {
                condition: Condition::Up(state),
                history: vector![Observation::Installed(view.clone())],
                monitors,
                ..Node::idle(NodeId(id))
            }
        };
        Some((0..size).map(member).collect())
    }

    fn standing(&self, state: &State<T>) -> Standing {
        match state {
            State::Joining(_) => Standing::Outsider,
            State::Leader(_) => Standing::Leading,
            State::Follower(follower) => Standing::Following(follower.leader),
        }
    }

    fn notion(&self, observation: &Observation<T>) -> Notion {
        match observation {
            Observation::Joined => Notion::Joined,
            Observation::Installed(view) => Notion::Installed(View {
                number: view.number,
                leader: view.leader,
                followers: view.followers.iter().copied().collect(),
            }),
            Observation::Delivered { number, message } => {
                Notion::Delivered { number: *number, message: message.token() }
            }
            Observation::Error(_) => Notion::Failed,
        }
    }

    fn vocabulary(&self) -> Option<Vocabulary<Self>> {
        Some(Vocabulary {
            roles: names!(
                State::Joining(_) => "joining",
                State::Leader(_) => "leader",
                State::Follower(_) => "follower",
            ),
            messages: names!(
                Message::Join(_) => "join",
                Message::Mcast(_) => "mcast",
                Message::Msg { .. } => "msg",
                Message::View(_) => "view",
            ),
            commands: names!(Command::Mcast(_) => "mcast", Command::Stop => "stop"),
            timers: names!(Timer::Join => "join"),
            observations: names!(
                Observation::Joined => "joined",
                Observation::Delivered { .. } => "delivered",
                Observation::Installed(_) => "installed",
                Observation::Error(_) => "error",
            ),
        })
    }
}
