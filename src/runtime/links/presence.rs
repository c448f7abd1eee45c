//! Dials, accepted connections, and their ends: which nodes are connected.

use super::{
    Links, Signal, dropped,
    peer::{Age, Link},
};
use crate::{
    machine::{Peer, Value},
    runtime::{
        component::Component,
        connection::{CloseReason, Deadline, Outgoing},
        detector::Detector,
        handshake::{Authenticated, HandshakeError, Party, Refusal, dial},
        transport::Transport,
    },
};
use std::{
    fmt::Display,
    io,
    task::{Context, Poll},
};
use tokio::{
    task::{Id, JoinError},
    time::{Instant, timeout},
};

/// A process that sends heartbeats and reads nothing is busy. It may be so this many times longer than it may be silent.
const STALL_FACTOR: u32 = 10;

/// The index of the node that was dialed, and the result.
pub(super) type Dialed<S> = (usize, Result<(Outgoing<S>, Party), HandshakeError>);

impl<T: Transport, D: Detector, M: Value> Links<T, D, M> {
    /// Dials a node, unless a dial is under way or has succeeded.
    pub(super) fn dial_now(&mut self, i: usize) {
        let link = &mut self.peers[i];
        if link.dial.is_some() || link.outgoing.is_some() {
            return;
        }
        let (transport, identity) = (self.transport.clone(), self.identity.clone());
        let (node, at, limit) = (link.node, link.at.clone(), self.limits.handshake_timeout);
        link.redial = None;
        self.again = true;
        link.dial = Some(self.dials.spawn(async move {
            let dialed = timeout(limit, dial(&*transport, &at, node, &identity)).await;
            (i, dialed.unwrap_or(Err(HandshakeError::TimedOut)))
        }));
    }

    /// Takes the results of dials.
    pub(super) fn poll_dials(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(joined)) = self.dials.poll_join_next_with_id(cx) {
            match joined {
                Ok((id, (i, dialed))) if self.is_dial(i, id) => self.take_dialed(i, dialed),
                // Unreachable: there is one dial to a node at a time, and none is given up.
                Ok(_) => {}
                Err(error) => self.take_panicked(error),
            }
        }
    }

    fn is_dial(&self, i: usize, id: Id) -> bool {
        self.peers[i].dial.as_ref().is_some_and(|dial| dial.id() == id)
    }

    /// A transport that panics does not connect.
    fn take_panicked(&mut self, error: JoinError) {
        if let Some(i) = (0..self.peers.len()).find(|&i| self.is_dial(i, error.id())) {
            self.take_dialed(i, Err(io::Error::other(error).into()));
        }
    }

    fn take_dialed(
        &mut self,
        i: usize,
        dialed: Result<(Outgoing<T::Stream>, Party), HandshakeError>,
    ) {
        let link = &mut self.peers[i];
        link.dial = None;
        match dialed {
            Ok((_, party)) if link.age(party) == Age::Over => {
                self.take_failed(i, &HandshakeError::LifeIsOver(party.address));
            }
            Ok((outgoing, party)) => {
                if link.age(party) == Age::Later {
                    self.replace(i, &CloseReason::LifeIsOver);
                }
                let link = &mut self.peers[i];
                link.outgoing = Some(outgoing);
                link.dial_again = false;
                link.reset_backoff();
                self.connected(i, party);
                self.send_queued(i);
            }
            Err(why) => self.take_failed(i, &why),
        }
    }

    /// A dial has failed: the node is down, as far as can be known now.
    fn take_failed(&mut self, i: usize, why: &HandshakeError) {
        let link = &mut self.peers[i];
        report_failed(link, why);
        if std::mem::take(&mut link.dial_again) {
            return self.dial_now(i);
        }
        if let HandshakeError::Refused(Refusal::LifeIsOver { life }) = *why {
            self.arrivals.push_back(Signal::Superseded { by: link.node, life });
        }
        for message in link.queued.drain(..) {
            dropped(&message.to, "not reached", 1);
        }
        link.redial_later();
        if link.connected().is_none() {
            link.silent = matches!(why, HandshakeError::TimedOut);
            self.report_down(i);
        }
    }

    /// Sends the queued messages, except those to another life than the connected one.
    fn send_queued(&mut self, i: usize) {
        for message in std::mem::take(&mut self.peers[i].queued) {
            if self.is_connected(i, message.to) {
                self.outbox.push_encoded(i, &message.frame);
            } else {
                dropped(&message.to, "life is over", 1);
            }
        }
    }

    /// Takes authenticated inbound connections.
    pub(super) fn poll_inbound(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(mut inbound)) = self.inbound.poll_recv(cx) {
            if !inbound.has_closed(cx) {
                self.take_inbound(inbound, cx);
            }
        }
    }

    fn take_inbound(&mut self, inbound: Authenticated<T::Stream>, cx: &mut Context<'_>) {
        let party = inbound.party;
        let Some(i) = self.find(party.address.node) else { return };
        match (self.peers[i].age(party), self.peers[i].known) {
            (Age::Over, Some(Party { address, .. })) => {
                self.refuse(inbound, Refusal::LifeIsOver { life: address.life });
                return;
            }
            (Age::Current, _) if self.peers[i].incoming.is_none() => {}
            (Age::Current, _) => self.replace(i, &CloseReason::Replaced),
            (Age::Later | Age::Over, _) => {
                self.replace(i, &CloseReason::LifeIsOver);
                // A dial that is under way may have reached the life before.
                self.peers[i].dial_again = self.peers[i].dial.is_some();
            }
        }
        self.dial_now(i);
        match inbound.accept(self.identity.me, self.limits.max_message_bytes) {
            Ok(incoming) => self.peers[i].incoming = Some(incoming),
            Err(why) => return self.identity.report_refused(&party.address, &why),
        }
        self.connected(i, party);
        self.poll_acceptance(i, cx);
    }

    /// Refuses an inbound connection, with the reason.
    fn refuse(&mut self, inbound: Authenticated<T::Stream>, why: Refusal) {
        let from = format!("{} at {}", inbound.party.address, inbound.from);
        self.identity.report_refused(&from, &HandshakeError::Refused(why.clone()));
        let limit = self.limits.handshake_timeout;
        self.tasks.spawn(async move {
            // It is refused, even if the reason does not reach it.
            let _ = timeout(limit, inbound.refuse(&why)).await;
        });
    }

    /// Notes the process of a connection that was just made.
    fn connected(&mut self, i: usize, party: Party) {
        let link = &mut self.peers[i];
        link.known = Some(party);
        link.silent = false;
        tracing::debug!(process = %party.address, "connected");
        let others = |peer: &Peer| *peer != party.address.into() && *peer != Peer::Name(link.node);
        for other in link.monitors.extract_if(.., others) {
            self.arrivals.push_back(Signal::Down(other));
        }
        self.note_sign_of_life(i);
        self.count_connections();
    }

    /// Extends the silence deadline: something was read from the process.
    pub(super) fn note_sign_of_life(&mut self, i: usize) {
        let link = &mut self.peers[i];
        let Some(address) = link.connected() else { return };
        let now = Instant::now();
        let until = Component::Detector.run(|| self.detector.heard(address, now));
        link.silence = Some(Deadline::new(until));
        if let Some(outgoing) = &mut link.outgoing {
            outgoing.set_stall_timeout(
                until.saturating_duration_since(now).saturating_mul(STALL_FACTOR),
            );
        }
    }

    /// Ends the connections with a process, for a newer one, after all that has arrived from it.
    pub(super) fn replace(&mut self, i: usize, why: &CloseReason) {
        self.drain(i);
        self.end(i, why);
    }

    /// Ends the connections with a process. `Down` comes after all that was read from it.
    pub(super) fn end(&mut self, i: usize, why: &CloseReason) {
        let Some(address) = self.peers[i].connected() else { return };
        report_ended(&address, why);
        self.drop_outgoing(i);
        let link = &mut self.peers[i];
        link.incoming = None;
        link.silence = None;
        link.silent = matches!(why, CloseReason::Silent);
        link.redial_later();
        Component::Detector.run(|| self.detector.over(address));
        self.report_down(i);
        self.count_connections();
    }

    /// The outgoing connection has ended. While the incoming one is open, the process is not down, and only what was
    /// sent to it is lost.
    pub(super) fn end_outgoing(&mut self, i: usize, why: &CloseReason) {
        let link = &self.peers[i];
        if link.incoming.is_none() {
            return self.end(i, why);
        }
        report_ended(&link.node, why);
        self.drop_outgoing(i);
        self.peers[i].redial_later();
        self.count_connections();
    }

    fn drop_outgoing(&mut self, i: usize) {
        let link = &mut self.peers[i];
        let lost = self.outbox.forget(i);
        // The next message in the outbox may be to another node, which can be written to.
        self.again = true;
        if link.outgoing.take().is_some() && lost > 0 {
            dropped(&link.node, "connection lost", lost);
        }
    }

    /// Reports `Down` to all monitors, which are removed.
    fn report_down(&mut self, i: usize) {
        let monitors = std::mem::take(&mut self.peers[i].monitors);
        self.arrivals.extend(monitors.into_iter().map(Signal::Down));
    }

    fn count_connections(&self) {
        let connections = self
            .peers
            .iter()
            .map(|link| u32::from(link.incoming.is_some()) + u32::from(link.outgoing.is_some()));
        self.gauges.connections.set(connections.sum::<u32>());
    }
}

/// That a connection is closed is normal. Silence may be an error of the detector, and bytes that cannot be understood
/// are an error in any case.
fn report_ended(who: &dyn Display, why: &CloseReason) {
    match why.label() {
        "closed" | "replaced" | "life is over" => tracing::debug!(%who, %why, "connection ended"),
        _ => tracing::warn!(%who, %why, "connection ended"),
    }
    metrics::counter!("interrex_ended_total", "why" => why.label()).increment(1);
}

/// That a node is down is normal. That another program answers is not.
fn report_failed<S>(link: &Link<S>, why: &HandshakeError) {
    if matches!(why, HandshakeError::Io(_) | HandshakeError::TimedOut) {
        tracing::debug!(node = %link.node, at = %link.at, %why, "not reached");
    } else {
        tracing::warn!(node = %link.node, at = %link.at, %why, "not reached");
    }
    metrics::counter!("interrex_unreached_total", "reason" => why.label()).increment(1);
}
