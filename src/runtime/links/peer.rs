//! The state of one other node: its known life, and the connections with it.

use crate::{
    machine::{Address, NodeId, Peer},
    runtime::{
        connection::{Deadline, Incoming, Outgoing},
        detector::Timing,
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

/// The state of one other node. Its connections, if there are any, are with the process in `known`.
#[derive(Debug)]
pub(super) struct Link<S> {
    pub(super) node: NodeId,
    /// The address where it listens.
    pub(super) at: String,
    /// The process of its last known life.
    pub(super) known: Option<Party>,
    /// The connection on which it writes.
    pub(super) incoming: Option<Incoming<S>>,
    /// The connection on which this node writes.
    pub(super) outgoing: Option<Outgoing<S>>,
    /// The heartbeats of that process.
    pub(super) timing: Option<Timing>,
    /// When it will have been silent for too long, or will not have connected back for too long.
    pub(super) silence: Option<Deadline>,
    /// The dial that is under way.
    pub(super) dial: Option<AbortHandle>,
    /// True if that dial must be repeated when it fails: it was begun before the known life appeared.
    pub(super) dial_again: bool,
    /// The process that was taken for dead because it was silent, and since when, until it is told.
    pub(super) suspected: Option<(Party, Instant)>,
    /// True if the node says that this one is over, because it knows a later life.
    pub(super) is_over_there: bool,
    /// True if the node was silent the last time, rather than closed or refused by its host. Then no message or monitor
    /// waits for it again until a dial in the background has succeeded.
    pub(super) silent: bool,
    /// When to dial next.
    pub(super) redial: Option<Instant>,
    backoff: ExponentialBackoff,
    /// Messages to be sent when the dial succeeds.
    pub(super) queued: VecDeque<Queued>,
    /// How often the machine has found nobody here since the last heartbeat.
    pub(super) vain: u32,
    /// The monitors that have found nobody, and are to be told.
    pub(super) answers: BTreeSet<Peer>,
    /// The registered monitors. Names come before processes.
    pub(super) monitors: BTreeSet<Peer>,
}

/// A message that waits for a connection.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) to: Peer,
    pub(super) frame: Vec<u8>,
}

/// The state of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reachability {
    /// It is connected.
    Connected,
    /// It is not connected; a dial finds out whether it can be.
    Unknown,
    /// It is not connected, and was silent the last time.
    Silent,
    /// Its life is over.
    Over,
    /// It is a later life than the connected one, which is therefore over.
    Later,
}

/// How a process relates to the known life of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// It is the known process.
    Current,
    /// It is a later life.
    Later,
    /// It is an earlier life, or another process with the same life.
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
            timing: None,
            silence: None,
            dial: None,
            dial_again: false,
            suspected: None,
            is_over_there: false,
            silent: false,
            redial: None,
            backoff: backoff(),
            queued: VecDeque::new(),
            vain: 0,
            answers: BTreeSet::new(),
            monitors: BTreeSet::new(),
        }
    }

    /// The process that is connected, if one is.
    pub(super) fn connected(&self) -> Option<Address> {
        let open = self.incoming.is_some() || self.outgoing.is_some();
        self.known.filter(|_| open).map(|party| party.address)
    }

    pub(super) fn reachability(&self, peer: Peer) -> Reachability {
        let connected = self.connected().is_some();
        let named = match (peer, self.known) {
            (Peer::Process(named), Some(known)) => named.life.cmp(&known.address.life),
            (Peer::Name(_), _) | (_, None) => Ordering::Equal,
        };
        match (named, connected) {
            (Ordering::Less, _) => Reachability::Over,
            (Ordering::Greater, true) => Reachability::Later,
            (Ordering::Equal, true) => Reachability::Connected,
            (Ordering::Equal, false) if self.silent => Reachability::Silent,
            (Ordering::Equal | Ordering::Greater, false) => Reachability::Unknown,
        }
    }

    pub(super) fn age(&self, party: Party) -> Age {
        let Some(known) = self.known else { return Age::Later };
        match party.address.life.cmp(&known.address.life) {
            Ordering::Greater => Age::Later,
            Ordering::Equal if party.instance == known.instance => Age::Current,
            Ordering::Equal | Ordering::Less => Age::Over,
        }
    }

    /// Schedules the next dial, after a longer pause than the last one.
    pub(super) fn redial_later(&mut self) {
        if self.dial.is_none() {
            self.redial = self.backoff.next().map(|delay| Instant::now() + delay);
        }
    }

    /// Resets the pauses, after a dial has succeeded.
    pub(super) fn reset_backoff(&mut self) {
        self.redial = None;
        self.backoff = backoff();
    }
}

/// Pauses from 50 ms to 2 s: jitter at most doubles the delay.
fn backoff() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(1))
        .without_max_times()
        .with_jitter()
        .build()
}
