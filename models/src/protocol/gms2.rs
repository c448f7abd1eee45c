//! The model of gms2 for the harness.
//!
//! It is judged by the properties of groups that need no numbers. It lacks these notions:
//!
//! * *Terms* (`one-leader-per-term`) and an *order of views* (`view-order`): a view consists of a leader and its
//!   followers, without a number. So it is not known which of two views is the later one. Two leaders at the same time
//!   (`single-leader`) and different last views (`agreement`) are detected without numbers.
//! * A *common order of messages* (`total-order-uniform`, `total-order-survivors`): the deliveries of a process could
//!   be counted. But a newcomer does not know the number of messages before its first view, and different counts do not
//!   show which message is missing. The properties of lost messages detect losses.
//!
//! The numbers of its views and deliveries are 0, and none of its properties reads them.

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
    gms2::{self, Command, Follower, Gms2, Leader, Message, Observation, State, Timer},
    machine::{Address, NodeId},
};
use std::borrow::Cow;

/// The properties of groups that need no numbers.
const PROPERTIES: &[&Property] = &[
    &property::SINGLE_LEADER,
    &property::NO_CREATION,
    &property::NO_DUPLICATE,
    &property::VALIDITY,
    &property::UNIFORM_AGREEMENT,
    &property::SURVIVORS_AGREEMENT,
    &property::LEADER_EXISTS,
    &property::AGREEMENT,
    &property::NOBODY_STOPPED,
    &property::NO_LIVELOCK,
];

impl<T: Payload> Protocol for Gms2<T> {
    fn name(&self) -> Cow<'static, str> {
        "gms2".into()
    }

    fn summary(&self) -> Cow<'static, str> {
        "gms3 without numbers, and without what a new leader resends".into()
    }

    fn properties(&self) -> &'static [&'static Property] {
        PROPERTIES
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
        let view = gms2::View { leader, followers: followers.clone() };
        let member = |id| {
            let me = NodeId(id).first_life();
            let followers = followers.clone();
            let (state, monitors) = if me == leader {
                (State::Leader(Leader { me, followers }), OrdSet::new())
            } else {
                let follower = Follower { me, leader, followers };
                (State::Follower(follower), OrdSet::unit(leader.into()))
            };
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
                number: 0,
                leader: view.leader,
                followers: view.followers.iter().copied().collect(),
            }),
            Observation::Delivered(message) => {
                Notion::Delivered { number: 0, message: message.token() }
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
                Message::Msg(_) => "msg",
                Message::View(_) => "view",
            ),
            commands: names!(Command::Mcast(_) => "mcast", Command::Stop => "stop"),
            timers: names!(Timer::Join => "join"),
            observations: names!(
                Observation::Joined => "joined",
                Observation::Delivered(_) => "delivered",
                Observation::Installed(_) => "installed",
                Observation::Error(_) => "error",
            ),
        })
    }
}
