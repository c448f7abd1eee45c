//! Who is there: connections come and go.

use super::{
    Links, Signal, dropped,
    peer::{Link, Standing},
};
use crate::{
    machine::{Peer, Value},
    runtime::{
        connection::{Deadline, Ended, Outgoing},
        detector::Detector,
        handshake::{Guest, HandshakeError, Party, Refusal, dial},
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

/// How many times longer than it may be silent a process may take nothing: while it gives signs of life, it is busy.
const BUSY: u32 = 10;

/// What has become of a dial, and to which of the nodes it was.
pub(super) type Dialed<S> = (usize, Result<(Outgoing<S>, Party), HandshakeError>);

impl<T: Transport, D: Detector, M: Value> Links<T, D, M> {
    /// Dials a node, unless that is under way or has succeeded.
    pub(super) fn dial_now(&mut self, i: usize) {
        let link = &mut self.peers[i];
        if link.dial.is_some() || link.outgoing.is_some() {
            return;
        }
        let (transport, identity) = (self.transport.clone(), self.identity.clone());
        let (node, at, limit) = (link.node, link.at.clone(), self.limits.handshake);
        link.redial = None;
        self.again = true;
        link.dial = Some(self.dials.spawn(async move {
            let dialed = timeout(limit, dial(&*transport, &at, node, &identity)).await;
            (i, dialed.unwrap_or(Err(HandshakeError::TimedOut)))
        }));
    }

    /// Takes what has become of the dials.
    pub(super) fn poll_dials(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(joined)) = self.dials.poll_join_next_with_id(cx) {
            match joined {
                Ok((id, (i, dialed))) if self.is_dial(i, id) => self.take_dialed(i, dialed),
                // There is one dial to a node at a time, and none is given up.
                Ok(_) => {}
                Err(error) => self.take_broken(error),
            }
        }
    }

    fn is_dial(&self, i: usize, id: Id) -> bool {
        self.peers[i].dial.as_ref().is_some_and(|dial| dial.id() == id)
    }

    /// A transport that panics is one that does not connect.
    fn take_broken(&mut self, error: JoinError) {
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
            Ok((_, party)) if link.standing(party) == Standing::Over => {
                self.take_failed(i, &HandshakeError::Over(party.address));
            }
            Ok((outgoing, party)) => {
                if link.standing(party) == Standing::Later {
                    self.replace(i, &Ended::LifeIsOver);
                }
                let link = &mut self.peers[i];
                link.outgoing = Some(outgoing);
                link.dial_again = false;
                link.reset_backoff();
                self.meet(i, party);
                self.send_waiting(i);
            }
            Err(why) => self.take_failed(i, &why),
        }
    }

    /// Nobody is there who could be, as far as can be said now.
    fn take_failed(&mut self, i: usize, why: &HandshakeError) {
        let link = &mut self.peers[i];
        report_failed(link, why);
        if std::mem::take(&mut link.dial_again) {
            return self.dial_now(i);
        }
        if let HandshakeError::Refused(Refusal::LifeIsOver { life }) = *why {
            self.arrivals.push_back(Signal::Superseded { by: link.node, life });
        }
        for waiting in link.waiting.drain(..) {
            dropped(&waiting.to, "not reached", 1);
        }
        link.redial_later();
        if link.present().is_none() {
            link.silent = matches!(why, HandshakeError::TimedOut);
            self.tell_down(i);
        }
    }

    /// Sends what has waited for the connection, as far as it is for the process that is there.
    fn send_waiting(&mut self, i: usize) {
        for waiting in std::mem::take(&mut self.peers[i].waiting) {
            if self.is_there(i, waiting.to) {
                self.outbox.push_encoded(i, &waiting.frame);
            } else {
                dropped(&waiting.to, "life is over", 1);
            }
        }
    }

    /// Takes those who have dialed this node.
    pub(super) fn poll_guests(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(mut guest)) = self.guests.poll_recv(cx) {
            if !guest.has_left(cx) {
                self.take_guest(guest, cx);
            }
        }
    }

    fn take_guest(&mut self, guest: Guest<T::Stream>, cx: &mut Context<'_>) {
        let party = guest.party;
        let Some(i) = self.find(party.address.node) else { return };
        match (self.peers[i].standing(party), self.peers[i].known) {
            (Standing::Over, Some(Party { address, .. })) => {
                self.turn_away(guest, Refusal::LifeIsOver { life: address.life });
                return;
            }
            (Standing::Known, _) if self.peers[i].incoming.is_none() => {}
            (Standing::Known, _) => self.replace(i, &Ended::Replaced),
            (Standing::Later | Standing::Over, _) => {
                self.replace(i, &Ended::LifeIsOver);
                // Whoever a dial reaches that is under way may be the life before.
                self.peers[i].dial_again = self.peers[i].dial.is_some();
            }
        }
        self.dial_now(i);
        match guest.welcome(self.identity.me, self.limits.message) {
            Ok(incoming) => self.peers[i].incoming = Some(incoming),
            Err(why) => return self.identity.refused(&party.address, &why),
        }
        self.meet(i, party);
        self.poll_welcome(i, cx);
    }

    /// Tells a guest why it cannot come in.
    fn turn_away(&mut self, guest: Guest<T::Stream>, why: Refusal) {
        let who = format_args!("{} from {}", guest.party.address, guest.from).to_string();
        self.identity.refused(&who, &HandshakeError::Refused(why.clone()));
        let limit = self.limits.handshake;
        self.errands.spawn(async move {
            // If it does not listen to the reason, so be it.
            let _ = timeout(limit, guest.refuse(&why)).await;
        });
    }

    /// A process has shown itself by a connection that was just made.
    fn meet(&mut self, i: usize, party: Party) {
        let link = &mut self.peers[i];
        link.known = Some(party);
        link.silent = false;
        tracing::debug!(process = %party.address, "connected");
        let others = |peer: &Peer| *peer != party.address.into() && *peer != Peer::Name(link.node);
        for other in link.monitors.extract_if(.., others) {
            self.arrivals.push_back(Signal::Down(other));
        }
        self.hear(i);
        self.count();
    }

    /// A process has given a sign of life.
    pub(super) fn hear(&mut self, i: usize) {
        let link = &mut self.peers[i];
        let Some(address) = link.present() else { return };
        let now = Instant::now();
        let until = self.detector.heard(address, now);
        link.silence = Some(Deadline::new(until));
        if let Some(outgoing) = &mut link.outgoing {
            outgoing.set_patience(until.saturating_duration_since(now).saturating_mul(BUSY));
        }
    }

    /// Ends what there is, behind what has come on it, for something that comes after it.
    pub(super) fn replace(&mut self, i: usize, why: &Ended) {
        self.drain(i);
        self.end(i, why);
    }

    /// Nobody is there any more: for those who watch, behind everything that came.
    pub(super) fn end(&mut self, i: usize, why: &Ended) {
        let Some(address) = self.peers[i].present() else { return };
        report_ended(&address, why);
        self.drop_outgoing(i);
        let link = &mut self.peers[i];
        link.incoming = None;
        link.silence = None;
        link.silent = matches!(why, Ended::Silent);
        link.redial_later();
        self.detector.over(address);
        self.tell_down(i);
        self.count();
    }

    /// The connection on which this node writes has ended. If the other one is open, only what was sent is lost.
    pub(super) fn end_outgoing(&mut self, i: usize, why: &Ended) {
        let link = &self.peers[i];
        if link.incoming.is_none() {
            return self.end(i, why);
        }
        report_ended(&link.node, why);
        self.drop_outgoing(i);
        self.peers[i].redial_later();
        self.count();
    }

    fn drop_outgoing(&mut self, i: usize) {
        let link = &mut self.peers[i];
        let lost = self.outbox.forget(i);
        // Somebody else may be next now.
        self.again = true;
        if link.outgoing.take().is_some() && lost > 0 {
            dropped(&link.node, "connection lost", lost);
        }
    }

    /// Tells everybody who watches, and they watch no more.
    fn tell_down(&mut self, i: usize) {
        let monitors = std::mem::take(&mut self.peers[i].monitors);
        self.arrivals.extend(monitors.into_iter().map(Signal::Down));
    }

    fn count(&self) {
        let connections = self
            .peers
            .iter()
            .map(|link| u32::from(link.incoming.is_some()) + u32::from(link.outgoing.is_some()));
        self.gauges.connections.set(connections.sum::<u32>());
    }
}

/// Nodes come and go. But silence may be a mistake, and what makes no sense is one.
fn report_ended(who: &dyn Display, why: &Ended) {
    match why.reason() {
        "closed" | "replaced" | "life is over" => tracing::debug!(%who, %why, "connection ended"),
        _ => tracing::warn!(%who, %why, "connection ended"),
    }
    metrics::counter!("interrex_ended_total", "why" => why.reason()).increment(1);
}

/// That somebody is not there is nothing special; that somebody is there and is not as it should be is.
fn report_failed<S>(link: &Link<S>, why: &HandshakeError) {
    if matches!(why, HandshakeError::Io(_) | HandshakeError::TimedOut) {
        tracing::debug!(node = %link.node, at = %link.at, %why, "not reached");
    } else {
        tracing::warn!(node = %link.node, at = %link.at, %why, "not reached");
    }
    metrics::counter!("interrex_unreached_total", "reason" => why.reason()).increment(1);
}
