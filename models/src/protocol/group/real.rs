//! group for real nodes: members multicast texts.

use crate::{
    claim::notion::Token,
    model::environment::Environment,
    protocol::multicast::{self, Mcast, Member, Multicast, Sender},
    real::{
        application::{Application, CommandKind, Replicates},
        line::{Notice, View},
    },
};
use interrex::{
    gen_leader::Roster,
    group::{Command, Group, Observation, STOPPED_ON_COMMAND, Safeguard},
    machine::{Address, NodeId},
    runtime::{Config, SpawnError},
};
use std::time::Duration;

/// group, multicasting texts. It needs no roster: its views contain the members.
#[must_use]
pub fn machine(_: &Roster) -> Group<Multicast> {
    Group::default()
}

/// The same without one of its safeguards.
#[must_use]
pub fn without(safeguard: Safeguard, _: &Roster) -> Group<Multicast> {
    Group::default().without(safeguard)
}

impl multicast::Group for Group<Multicast> {
    const FOUNDED: Option<u64> = Some(1);
    const JOINS_BY_VIEW: bool = true;

    fn notice(observation: Observation<Multicast>) -> Option<Notice> {
        match observation {
            Observation::Started(_) | Observation::Elected(_) | Observation::Deposed => None,
            Observation::Installed(view) => Some(Notice::View(View {
                number: Some(view.number),
                leader: view.leader,
                followers: {
                    let others = view.members.into_iter();
                    others.filter(|member| *member != view.leader).collect()
                },
            })),
            Observation::Delivered { number, message } => {
                let Multicast { from, index, text } = message;
                Some(Notice::Delivered { number: Some(number), from, index, text })
            }
        }
    }
}

impl Application for Group<Multicast> {
    type Model = Group<Token>;

    fn model(&self, environment: &Environment) -> Group<Token> {
        let group = Group::among((0..environment.size()).map(NodeId));
        match self.left_out() {
            Some(safeguard) => group.without(safeguard),
            None => group,
        }
    }

    fn command_kind(&self, command: &Command<Multicast>) -> CommandKind {
        multicast::command_kind(command)
    }

    fn stamp(&self, observation: &Observation<Multicast>) -> Option<(Address, u64)> {
        match observation {
            Observation::Delivered { message, .. } => Some((message.from, message.index)),
            Observation::Started(_)
            | Observation::Elected(_)
            | Observation::Deposed
            | Observation::Installed(_) => None,
        }
    }

    fn is_requested_stop(&self, reason: &str) -> bool {
        reason == STOPPED_ON_COMMAND
    }

    type Request = Mcast;
    type Running = Member<Self>;
    type Client = Sender<Self>;

    async fn spawn(
        self,
        config: Config,
        _: Duration,
    ) -> Result<(Member<Self>, Sender<Self>), SpawnError> {
        multicast::spawn(self, config).await
    }

    fn write(&self, key: &str, value: &str) -> String {
        multicast::write(key, value)
    }

    fn write_of(&self, me: Address, issued: u64, key: &str, value: &str) -> Command<Multicast> {
        multicast::write_of(me, issued, key, value)
    }

    fn replicates(&self) -> Replicates {
        Replicates::Messages
    }
}
