//! Dials, accepted connections, and their ends: which nodes are connected.

use super::{
    Greeted, Links, MAX_AUTHENTICATED, Signal, Unmet,
    peer::{Age, Link},
};
use crate::{
    machine::{NodeId, Peer, Value},
    runtime::{
        component::Component,
        connection::{CloseReason, Deadline},
        detector::{Detector, LONGEST, Timing},
        handshake::{Authenticated, HandshakeError, Party, Purpose, Reached, Refusal, dial},
        transport::Transport,
    },
};
use std::{
    fmt::Display,
    io,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    task::{Id, JoinError},
    time::{Instant, sleep, timeout},
};

/// A process that sends heartbeats but reads nothing is busy, not dead. Only after this many times the time-out for silence
/// is the connection given up, because what waits to be sent takes memory.
const STALL_FACTOR: u32 = 10;

/// Between two heartbeats, the machine may find this many times that a node is not there. Two nodes that disagree on whether
/// a third one is up would otherwise answer each other without a pause.
const IN_VAIN: u32 = 8;

/// A greeting is tried this many times if the answer may be a mishap of the moment: a busy host, a process that just ends.
const GREETINGS: u32 = 3;
/// How long to wait between them.
const BETWEEN_GREETINGS: Duration = Duration::from_millis(100);

/// A cluster comes up one node after the other: not to reach one of them at first is normal. This attempt is the first that is
/// not, about a second after the start.
const EARLY_ATTEMPTS: u64 = 4;

/// The index of the node that was dialed, and the result.
pub(super) type Dialed<S> = (usize, Result<Reached<S>, HandshakeError>);

/// The index of a node, an inbound connection of an unknown process of it, and the process at the listed address.
pub(super) type Probed<S> = (usize, Authenticated<S>, Result<Party, HandshakeError>);

impl<T: Transport, D: Detector, M: Value> Links<T, D, M> {
    /// Dials a node, unless a dial is under way or has succeeded.
    pub(super) fn dial_now(&mut self, i: usize) {
        let link = &mut self.peers[i];
        if link.dial.is_some() || link.outgoing.is_some() {
            return;
        }
        let (transport, identity) = (self.transport.clone(), self.identity.clone());
        let (node, at, limit) = (link.node, link.at.clone(), self.limits.handshake_timeout);
        let suspected = link.suspected.map(|(party, since)| (party, since.elapsed()));
        let purpose = Purpose::Connect { suspected };
        link.redial = None;
        self.again = true;
        link.dial = Some(self.dials.spawn(async move {
            let dialed = timeout(limit, dial(&*transport, &at, node, &identity, purpose)).await;
            (i, dialed.unwrap_or(Err(HandshakeError::TimedOut)))
        }));
    }

    /// Dials because the machine has sent something, or monitors; not too often.
    pub(super) fn dial_for_machine(&mut self, i: usize) {
        if self.peers[i].vain < IN_VAIN {
            self.dial_now(i);
        }
    }

    /// Tells the monitors that have found nobody; not too often.
    pub(super) fn answer(&mut self, i: usize) {
        let link = &mut self.peers[i];
        if link.vain < IN_VAIN && !link.answers.is_empty() {
            link.vain += 1;
            self.arrivals.extend(std::mem::take(&mut link.answers).into_iter().map(Signal::Down));
        }
    }

    /// A heartbeat: what was asked too often since the last one has its turn.
    pub(super) fn answer_late(&mut self, i: usize) {
        let link = &mut self.peers[i];
        let waits = !link.queued.is_empty() || !link.monitors.is_empty();
        if std::mem::take(&mut link.vain) >= IN_VAIN {
            self.answer(i);
            if waits {
                self.dial_now(i);
            }
        }
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

    fn take_dialed(&mut self, i: usize, dialed: Result<Reached<T::Stream>, HandshakeError>) {
        let link = &mut self.peers[i];
        link.dial = None;
        match dialed {
            Ok(Reached { party, .. }) if link.age(party) == Age::Over => {
                self.take_failed(i, &HandshakeError::LifeIsOver(party.address));
            }
            Ok(Reached { outgoing, party, timing }) => {
                if link.age(party) == Age::Later {
                    self.replace(i, &CloseReason::LifeIsOver);
                }
                let link = &mut self.peers[i];
                link.outgoing = Some(outgoing);
                link.dial_again = false;
                link.suspected = None;
                link.reset_backoff();
                self.connected(i, party, timing);
                self.send_queued(i);
            }
            Err(why) => self.take_failed(i, &why),
        }
    }

    /// A dial has failed: the node is down, as far as can be known now.
    fn take_failed(&mut self, i: usize, why: &HandshakeError) {
        self.report_failed(i, why);
        let link = &mut self.peers[i];
        if std::mem::take(&mut link.dial_again) {
            return self.dial_now(i);
        }
        if let HandshakeError::Refused(Refusal::LifeIsOver { life }) = *why {
            self.take_superseded(i, life);
        }
        let link = &mut self.peers[i];
        link.vain += 1;
        let lost = std::mem::take(&mut link.queued).len() as u64;
        link.redial_later();
        let node = link.node;
        if link.connected().is_none() {
            link.silent = matches!(why, HandshakeError::TimedOut);
            self.report_down(i);
        }
        if lost > 0 {
            self.note_break(node, "not reached", lost);
        }
    }

    /// Another node says that it knows a later life of this one. That ends this one, if more than half of the others say so: one
    /// that lies must not end a healthy node.
    fn take_superseded(&mut self, i: usize, life: u64) {
        self.peers[i].is_over_there = true;
        let say_so = self.peers.iter().filter(|link| link.is_over_there).count();
        let by = self.peers[i].node;
        if 2 * say_so > self.peers.len() {
            self.arrivals.push_back(Signal::Superseded { by, life });
        } else {
            tracing::warn!(%by, life, "knows a later life of this node, and most others do not: another process of this node, or a mistake");
        }
    }

    /// Greets a node. One that is not reached is reported by the dial that follows.
    pub(super) fn greet(&self, i: usize) -> impl Future<Output = Greeted> + Send + use<T, D, M> {
        let Link { node, at, .. } = &self.peers[i];
        let (node, at, identity) = (*node, at.clone(), self.identity.clone());
        let greeted = self.ask(node, at.clone(), Purpose::Greet);
        async move {
            match greeted.await {
                Ok(_) => Greeted::Met,
                Err(HandshakeError::Refused(Refusal::LifeIsOver { life })) => {
                    Greeted::Unmet(Unmet::LifeIsKnown { by: node, life })
                }
                Err(why) => match identity.difference(&why) {
                    Some(how) if why.is_unproved() => {
                        Greeted::Doubtful(Unmet::Differs { node, at, how })
                    }
                    Some(how) => Greeted::Unmet(Unmet::Differs { node, at, how }),
                    None => Greeted::Nobody,
                },
            }
        }
    }

    /// Finds this process at its listed address.
    pub(super) fn find_myself(
        &self,
        at: String,
    ) -> impl Future<Output = Greeted> + Send + use<T, D, M> {
        let me = self.identity.me;
        let found = self.ask(me.address.node, at.clone(), Purpose::Probe);
        async move {
            let why = match found.await {
                // That says nothing of the others.
                Ok(party) if party == me => return Greeted::Nobody,
                Ok(party) => format!("another process answers there, {}", party.address),
                Err(why) => why.to_string(),
            };
            Greeted::Unmet(Unmet::NotReached { at, why })
        }
    }

    /// Asks which process listens at an address, a few times.
    fn ask(
        &self,
        node: NodeId,
        at: String,
        purpose: Purpose,
    ) -> impl Future<Output = Result<Party, HandshakeError>> + Send + use<T, D, M> {
        let (transport, identity) = (self.transport.clone(), self.identity.clone());
        let limit = self.limits.handshake_timeout;
        async move {
            let mut tries = 0;
            loop {
                let asked = dial(&*transport, &at, node, &identity, purpose);
                let answer = timeout(limit, asked).await.unwrap_or(Err(HandshakeError::TimedOut));
                tries += 1;
                match answer {
                    Err(why) if why.may_pass() && tries < GREETINGS => {
                        sleep(BETWEEN_GREETINGS).await;
                    }
                    answer => return answer.map(|reached| reached.party),
                }
            }
        }
    }

    /// Sends the queued messages, except those to another life than the connected one.
    fn send_queued(&mut self, i: usize) {
        for message in std::mem::take(&mut self.peers[i].queued) {
            if self.is_connected(i, message.to) {
                self.outbox.push_encoded(i, &message.frame);
            } else {
                self.drop_message(message.to, "life is over");
            }
        }
    }

    /// Takes authenticated inbound connections. Before this node accepts any, only greetings are answered.
    pub(super) fn poll_inbound(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(inbound)) = self.inbound.poll_recv(cx) {
            match &mut self.early {
                Some(early) if inbound.purpose != Purpose::Greet => {
                    // Whoever is left out dials again.
                    if early.len() < MAX_AUTHENTICATED {
                        early.push(inbound);
                    }
                }
                _ => self.take_inbound(inbound, cx),
            }
        }
    }

    pub(super) fn take_inbound(
        &mut self,
        mut inbound: Authenticated<T::Stream>,
        cx: &mut Context<'_>,
    ) {
        let Some(i) = self.find(inbound.party.address.node) else { return };
        if inbound.has_closed(cx) {
            return;
        }
        match (self.peers[i].age(inbound.party), self.peers[i].known) {
            (Age::Over, Some(Party { address, .. })) => {
                self.refuse(inbound, Refusal::LifeIsOver { life: address.life });
            }
            (Age::Current, _) => self.welcome(i, inbound, cx),
            (Age::Later | Age::Over, _) => self.probe(i, inbound),
        }
    }

    /// Finds out whether an unknown process listens at its listed address. Otherwise a process with somebody else's number
    /// would take the place of a healthy one, and one that nobody can reach would take part.
    fn probe(&mut self, i: usize, inbound: Authenticated<T::Stream>) {
        let link = &self.peers[i];
        let (transport, identity) = (self.transport.clone(), self.identity.clone());
        // The other node waits for the answer, no longer than for a whole handshake.
        let (node, at, limit) = (link.node, link.at.clone(), self.limits.handshake_timeout / 2);
        self.again = true;
        self.probes.spawn(async move {
            let probe = dial(&*transport, &at, node, &identity, Purpose::Probe);
            let probed = timeout(limit, probe).await.unwrap_or(Err(HandshakeError::TimedOut));
            (i, inbound, probed.map(|reached| reached.party))
        });
    }

    /// Takes the results of probes.
    pub(super) fn poll_probes(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(joined)) = self.probes.poll_join_next(cx) {
            match joined {
                Ok((i, inbound, probed)) => self.take_probed(i, inbound, probed, cx),
                Err(error) => tracing::error!(%error, "the transport has panicked in a dial"),
            }
        }
    }

    fn take_probed(
        &mut self,
        i: usize,
        inbound: Authenticated<T::Stream>,
        probed: Result<Party, HandshakeError>,
        cx: &mut Context<'_>,
    ) {
        let (node, at) = (self.peers[i].node, self.peers[i].at.clone());
        // Meanwhile another process of the node may have been met.
        match (probed, self.peers[i].age(inbound.party), self.peers[i].known) {
            (_, Age::Over, Some(Party { address, .. })) => {
                self.refuse(inbound, Refusal::LifeIsOver { life: address.life });
            }
            (Ok(party), ..) if party == inbound.party => self.welcome(i, inbound, cx),
            (Ok(_), ..) => self.refuse(inbound, Refusal::NotAtItsAddress(node)),
            (Err(why), ..) => {
                let why = why.to_string();
                self.refuse(inbound, Refusal::NotReachable { node, at, why });
            }
        }
    }

    /// Answers a greeting, or accepts a connection.
    fn welcome(&mut self, i: usize, mut inbound: Authenticated<T::Stream>, cx: &mut Context<'_>) {
        if inbound.has_closed(cx) {
            return;
        }
        match inbound.purpose {
            Purpose::Connect { suspected } => self.admit(i, inbound, suspected, cx),
            Purpose::Greet | Purpose::Probe => {
                let (identity, limit) = (self.identity.clone(), self.limits.handshake_timeout);
                self.tasks.spawn(async move {
                    // Whoever has greeted greets again.
                    let _ = timeout(limit, inbound.present(&identity)).await;
                });
            }
        }
    }

    /// Accepts an inbound connection.
    fn admit(
        &mut self,
        i: usize,
        inbound: Authenticated<T::Stream>,
        suspected: Option<(Party, Duration)>,
        cx: &mut Context<'_>,
    ) {
        let (party, timing) = (inbound.party, inbound.timing);
        if self.peers[i].age(party) == Age::Later {
            self.replace(i, &CloseReason::LifeIsOver);
            // A dial that is under way may have reached the life before.
            self.peers[i].dial_again = self.peers[i].dial.is_some();
        } else if self.peers[i].incoming.is_some() {
            self.replace(i, &CloseReason::Replaced);
        }
        self.dial_now(i);
        match inbound.accept(&self.identity, self.limits.max_message_bytes) {
            Ok(incoming) => self.peers[i].incoming = Some(incoming),
            Err(why) => {
                let node = Some(party.address.node);
                return self.identity.report_refused(node, &party.address, &why);
            }
        }
        self.connected(i, party, timing);
        if let Some((_, absence)) = suspected.filter(|(party, _)| *party == self.identity.me) {
            self.report_suspected(i, absence);
        }
        self.poll_acceptance(i, cx);
    }

    /// The other node has taken this one for dead.
    fn report_suspected(&mut self, i: usize, absence: Duration) {
        let node = self.peers[i].node;
        tracing::warn!(%node, ?absence, "that node took this one for dead, and was without it for this long: where no majority is needed, it may have elected another leader");
        metrics::counter!("interrex_suspected_total", "by" => node.to_string()).increment(1);
        self.status.send_modify(|peers| {
            let status = peers.entry(node).or_default();
            status.suspicions += 1;
            status.last_suspicion = Some(absence);
        });
    }

    /// Refuses an inbound connection, with the reason.
    fn refuse(&mut self, inbound: Authenticated<T::Stream>, why: Refusal) {
        let from = format!("{} at {}", inbound.party.address, inbound.from);
        let node = Some(inbound.party.address.node);
        self.identity.report_refused(node, &from, &HandshakeError::Refused(why.clone()));
        let limit = self.limits.handshake_timeout;
        self.tasks.spawn(async move {
            // It is refused, even if the reason does not reach it.
            let _ = timeout(limit, inbound.refuse(&why)).await;
        });
    }

    /// Notes the process of a connection that was just made.
    fn connected(&mut self, i: usize, party: Party, there: Timing) {
        let here = self.identity.timing;
        let link = &mut self.peers[i];
        link.known = Some(party);
        if there != here && link.timing != Some(there) {
            let node = link.node;
            tracing::warn!(%node, %there, %here, "has other heartbeats than this node: the two take a silent node for dead at different times");
        }
        link.timing = Some(there);
        link.is_over_there = false;
        link.silent = false;
        tracing::debug!(process = %party.address, "connected");
        // Whoever monitors an earlier life of this node learns now that it is over.
        let earlier = |peer: &Peer| *peer != party.address.into() && *peer != Peer::Name(link.node);
        for former in link.monitors.extract_if(.., earlier) {
            self.arrivals.push_back(Signal::Down(former));
        }
        let node = link.node;
        self.failures.forget(|(failed, _)| *failed == node);
        self.note_sign_of_life(i);
        self.count_connections();
    }

    /// Extends the silence deadline: something was read from the process.
    pub(super) fn note_sign_of_life(&mut self, i: usize) {
        let link = &mut self.peers[i];
        let Some(address) = link.connected() else { return };
        let now = Instant::now();
        let period = link.timing.map_or(Duration::ZERO, |timing| timing.period).min(LONGEST);
        let until = Component::Detector.run(|| self.detector.heard(address, period, now));
        // The next sign of life comes after one period; a time-out below two would suspect a node for one that is late.
        let until = until.max(now + 2 * period);
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
        self.report_ended(i, &address, why);
        self.drop_outgoing(i);
        let link = &mut self.peers[i];
        if matches!(why, CloseReason::Silent | CloseReason::Stalled) {
            link.suspected = link.known.map(|party| (party, Instant::now()));
        }
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
        let node = link.node;
        self.report_ended(i, &node, why);
        self.drop_outgoing(i);
        self.peers[i].redial_later();
        self.count_connections();
    }

    fn drop_outgoing(&mut self, i: usize) {
        let link = &mut self.peers[i];
        let lost = self.outbox.forget(i);
        // The next message in the outbox may be to another node, which can be written to.
        self.again = true;
        let node = link.node;
        if link.outgoing.take().is_some() {
            self.note_break(node, "connection lost", lost);
        }
    }

    /// Reports `Down` to all monitors, which are removed.
    fn report_down(&mut self, i: usize) {
        let monitors = std::mem::take(&mut self.peers[i].monitors);
        self.arrivals.extend(monitors.into_iter().map(Signal::Down));
    }

    /// Counts the open connections, and publishes the connected processes.
    fn count_connections(&self) {
        let connections = self
            .peers
            .iter()
            .map(|link| u32::from(link.incoming.is_some()) + u32::from(link.outgoing.is_some()));
        self.gauges.connections.set(connections.sum::<u32>());
        self.status.send_if_modified(|peers| {
            let mut changed = false;
            for link in &self.peers {
                let status = peers.entry(link.node).or_default();
                let connected = link.connected();
                changed |= std::mem::replace(&mut status.connected, connected) != connected;
            }
            changed
        });
    }

    /// That a connection is closed is normal. Silence may be an error of the detector, and bytes that cannot be understood
    /// are an error in any case.
    fn report_ended(&mut self, i: usize, who: &dyn Display, why: &CloseReason) {
        let label = why.label();
        let is_normal = matches!(label, "closed" | "replaced" | "life is over");
        match self.failures.count((self.peers[i].node, label)) {
            Some(times) if !is_normal => tracing::warn!(%who, %why, times, "connection ended"),
            _ => tracing::debug!(%who, %why, "connection ended"),
        }
        metrics::counter!("interrex_ended_total", "why" => label).increment(1);
    }

    /// A listed node is not reached. Only the first, second, fourth … time is a warning; of a node that was never connected,
    /// only the fourth and later ones.
    fn report_failed(&mut self, i: usize, why: &HandshakeError) {
        let link = &self.peers[i];
        let (node, at) = (link.node, &link.at);
        let is_early = |times: u64| link.known.is_none() && times < EARLY_ATTEMPTS;
        match self.failures.count((node, why.label())) {
            Some(times) if !is_early(times) => {
                tracing::warn!(%node, %at, %why, times, "not reached");
            }
            _ => tracing::debug!(%node, %at, %why, "not reached"),
        }
        metrics::counter!("interrex_unreached_total", "reason" => why.label()).increment(1);
    }
}
