//! Another node: what is known of it, and the connections with it.

use crate::{
    machine::{Address, NodeId, Peer},
    runtime::{
        connection::{Deadline, Incoming, Outgoing},
        handshake::Party,
    },
};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::{
    cmp::Ordering,
    collections::{BTreeSet, VecDeque},
    time::Duration,
};
use tokio::{task::AbortHandle, time::Instant};

/// Another node. Its connections, where there are any, are with the process that is known.
#[derive(Debug)]
pub(super) struct Link<S> {
    pub(super) node: NodeId,
    /// Where it listens.
    pub(super) at: String,
    /// The last life that has shown itself.
    pub(super) known: Option<Party>,
    /// On which it writes.
    pub(super) incoming: Option<Incoming<S>>,
    /// On which this node writes.
    pub(super) outgoing: Option<Outgoing<S>>,
    /// When it has been silent for too long, or has not connected back for too long.
    pub(super) silence: Option<Deadline>,
    /// The dial that is under way.
    pub(super) dial: Option<AbortHandle>,
    /// Whether that is to be tried again if it fails: it was begun before the life that is known.
    pub(super) dial_again: bool,
    /// Whether it did not answer the last time, and its host did not say that nobody is there. Then it is not waited for
    /// once more: not before a dial that nobody waits for has succeeded.
    pub(super) silent: bool,
    /// When to dial next.
    pub(super) redial: Option<Instant>,
    backoff: ExponentialBackoff,
    /// What is sent once the dial has succeeded.
    pub(super) waiting: VecDeque<Waiting>,
    /// What is watched, or will be if the dial succeeds. Names come before processes.
    pub(super) monitors: BTreeSet<Peer>,
}

/// A message that waits for a connection.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) to: Peer,
    pub(super) frame: Vec<u8>,
}

/// Where somebody is who was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// Connected.
    There,
    /// Not connected; a dial says whether it can be.
    Away,
    /// Not connected, and it was silent the last time.
    Silent,
    /// Its life is over.
    Over,
    /// The life that is connected is over, then: this one comes after it.
    Later,
}

/// Where a process stands that has shown itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is the one that is known.
    Known,
    /// It comes after that.
    Later,
    /// It is over, or claims to be what another process is.
    Over,
}

impl<S> Link<S> {
    pub(super) fn new(node: NodeId, at: String) -> Self {
        Self {
            node,
            at,
            known: None,
            incoming: None,
            outgoing: None,
            silence: None,
            dial: None,
            dial_again: false,
            silent: false,
            redial: None,
            backoff: backoff(),
            waiting: VecDeque::new(),
            monitors: BTreeSet::new(),
        }
    }

    /// Who is there, if anybody is.
    pub(super) fn present(&self) -> Option<Address> {
        let connected = self.incoming.is_some() || self.outgoing.is_some();
        self.known.filter(|_| connected).map(|party| party.address)
    }

    pub(super) fn whereabouts(&self, peer: Peer) -> Whereabouts {
        let there = self.present().is_some();
        let named = match (peer, self.known) {
            (Peer::Process(named), Some(known)) => named.life.cmp(&known.address.life),
            (Peer::Name(_), _) | (_, None) => Ordering::Equal,
        };
        match (named, there) {
            (Ordering::Less, _) => Whereabouts::Over,
            (Ordering::Greater, true) => Whereabouts::Later,
            (Ordering::Equal, true) => Whereabouts::There,
            (Ordering::Equal, false) if self.silent => Whereabouts::Silent,
            (Ordering::Equal | Ordering::Greater, false) => Whereabouts::Away,
        }
    }

    pub(super) fn standing(&self, party: Party) -> Standing {
        let Some(known) = self.known else { return Standing::Later };
        match party.address.life.cmp(&known.address.life) {
            Ordering::Greater => Standing::Later,
            Ordering::Equal if party.instance == known.instance => Standing::Known,
            Ordering::Equal | Ordering::Less => Standing::Over,
        }
    }

    /// The next dial is later than the last one was.
    pub(super) fn redial_later(&mut self) {
        if self.dial.is_none() {
            self.redial = self.backoff.next().map(|delay| Instant::now() + delay);
        }
    }

    /// A dial has succeeded.
    pub(super) fn reset_backoff(&mut self) {
        self.redial = None;
        self.backoff = backoff();
    }
}

/// From 50 ms to 2 s: jitter at most doubles the delay.
fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(1))
        .without_max_times()
        .with_jitter()
        .build()
}
