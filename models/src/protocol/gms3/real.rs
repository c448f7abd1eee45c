//! gms3 for real nodes: members multicast texts.

use crate::{
    claim::notion::Token,
    model::environment::Environment,
    protocol::multicast::{self, Group, Mcast, Member, Multicast, Sender},
    real::{
        application::{Application, CommandKind, Replicates},
        line::{Notice, View},
    },
};
use interrex::{
    gen_leader::Roster,
    gms3::{Command, Gms3, Observation, STOPPED_ON_COMMAND},
    machine::Address,
    runtime::{Config, SpawnError},
};
use std::time::Duration;

/// gms3, multicasting texts. It needs no roster: its views contain the members.
#[must_use]
pub fn machine(_: &Roster) -> Gms3<Multicast> {
    Gms3::default()
}

impl Group for Gms3<Multicast> {
    const FOUNDED: Option<u64> = Some(0);

    fn notice(observation: Observation<Multicast>) -> Notice {
        match observation {
            Observation::Joined => Notice::Joined,
            Observation::Installed(view) => Notice::View(View {
                number: Some(view.number),
                leader: view.leader,
                followers: view.followers.into_iter().collect(),
            }),
            Observation::Delivered { number, message } => {
                let Multicast { from, index, text } = message;
                Notice::Delivered { number: Some(number), from, index, text }
            }
            Observation::Error(error) => Notice::Error { error: error.into() },
        }
    }
}

impl Application for Gms3<Multicast> {
    type Model = Gms3<Token>;

    fn model(&self, _: &Environment) -> Gms3<Token> {
        super::gms3()
    }

    fn has_roster(&self) -> bool {
        false
    }

    fn command_kind(&self, command: &Command<Multicast>) -> CommandKind {
        multicast::command_kind(command)
    }

    fn stamp(&self, observation: &Observation<Multicast>) -> Option<(Address, u64)> {
        match observation {
            Observation::Delivered { message, .. } => Some((message.from, message.index)),
            Observation::Joined | Observation::Installed(_) | Observation::Error(_) => None,
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

    fn write(&self, key: &str, value: &str) -> Option<(String, Replicates)> {
        Some((multicast::write(key, value), Replicates::Messages))
    }

    fn write_of(
        &self,
        me: Address,
        issued: u64,
        key: &str,
        value: &str,
    ) -> Option<Command<Multicast>> {
        Some(multicast::write_of(me, issued, key, value))
    }
}
