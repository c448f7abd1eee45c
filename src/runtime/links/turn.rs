//! Everything that has to be looked at whenever something happens.

use super::{Links, Signal};
use crate::{
    machine::Value,
    runtime::{
        connection::{Deadline, Ended, Incoming, decode},
        detector::Detector,
        transport::Transport,
    },
};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{task::coop::unconstrained, time::Instant};

/// How much is read, at most, from a connection that is about to be replaced. Its writer should be gone, and the
/// kernel holds less than this; a writer that is not gone cannot keep this node busy.
const LAST_BYTES: usize = 64 << 20;
/// How many times as many arrivals there may be while nothing can be written: more than two nodes have sent each other
/// between two looks at what arrives.
const WHEN_STUCK: usize = 64;
/// Signs of life are not given more often.
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);

impl<T: Transport, D: Detector, M: Value> Links<T, D, M> {
    /// Takes everything a step further that can be. Whatever cannot wakes the task when it can.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        self.again = true;
        while std::mem::take(&mut self.again) {
            self.poll_once(cx);
        }
        self.gauges.arrivals.set(u32::try_from(self.arrivals.len()).unwrap_or(u32::MAX));
    }

    fn poll_once(&mut self, cx: &mut Context<'_>) {
        self.poll_dials(cx);
        self.poll_guests(cx);
        self.poll_errands(cx);
        let all = self.peers.len();
        for (turn, i) in (self.first..all).chain(0..self.first).enumerate() {
            // Whoever is read from may not take the room of all.
            let share = self.room().div_ceil(all - turn);
            self.poll_link(i, share, cx);
        }
        self.first = (self.first + 1) % all.max(1);
        let _ = self.poll_outbox(cx);
        self.poll_clock(cx);
    }

    /// An errand ends when it is done, except the door, which never is.
    fn poll_errands(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(done)) = self.errands.poll_join_next(cx) {
            if let Err(error) = done {
                tracing::error!(%error, "the transport has panicked; if it was accepting, nobody comes in any more");
            }
        }
    }

    fn poll_link(&mut self, i: usize, share: usize, cx: &mut Context<'_>) {
        self.poll_welcome(i, cx);
        self.read(i, share, cx);
        let Some(outgoing) = &mut self.peers[i].outgoing else { return };
        if let Poll::Ready(why) = outgoing.poll_end(cx) {
            self.end_outgoing(i, &why);
        } else if let Poll::Ready(Err(error)) = outgoing.poll_drain(cx) {
            self.end_outgoing(i, &error.into());
        }
    }

    pub(super) fn poll_welcome(&mut self, i: usize, cx: &mut Context<'_>) {
        let Some(incoming) = &mut self.peers[i].incoming else { return };
        if let Poll::Ready(Err(error)) = incoming.poll_welcome(cx) {
            self.end(i, &error.into());
        }
    }

    /// How many arrivals may be read. Who is stuck reads more than it should: two that both waited for the other to read
    /// would take each other for dead.
    fn room(&self) -> usize {
        let times = if self.stuck { WHEN_STUCK } else { 1 };
        let limit = self.limits.arrivals.max(1).saturating_mul(times);
        limit.saturating_sub(self.arrivals.len())
    }

    fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Looks, once a beat, whether anything has moved.
    fn look_whether_stuck(&mut self) {
        let head = self.outbox.head().map(|run| run.to);
        let outgoing = head.and_then(|i| self.peers[i].outgoing.as_mut());
        let stall = outgoing.and_then(|outgoing| outgoing.stall()).map(|stall| stall.at());
        self.stuck = stall.is_some() && stall == self.stall;
        self.stall = stall;
    }

    /// Reads what has arrived, as far as there is room, and at most so many messages.
    fn read(&mut self, i: usize, share: usize, cx: &mut Context<'_>) {
        let full = self.arrivals.len().saturating_add(share);
        while self.has_room() {
            if self.arrivals.len() >= full {
                // There may be more, and room for it when everybody has had a turn.
                self.again = true;
                break;
            }
            match self.read_one(i, cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(why)) => return self.end(i, &why),
                Poll::Pending => break,
            }
        }
        if self.peers[i].incoming.as_mut().is_some_and(Incoming::heard) {
            self.hear(i);
        }
    }

    fn read_one(&mut self, i: usize, cx: &mut Context<'_>) -> Poll<Result<(), Ended>> {
        let link = &mut self.peers[i];
        let (Some(incoming), Some(party)) = (&mut link.incoming, link.known) else {
            return Poll::Pending;
        };
        incoming.poll_frame(cx).map(|frame| {
            let frame = frame?;
            if !frame.is_empty() {
                let (sent, message) = decode(&frame)?;
                self.arrivals.push_back(Signal::Message { from: party.address, sent, message });
            }
            Ok(())
        })
    }

    /// Reads all that has arrived from a process that is over, whether there is room or not: `Down` comes behind it.
    pub(super) fn drain(&mut self, i: usize) {
        // Whatever does not wake anybody now will not have to: the connection is about to be dropped.
        at_once(&mut Context::from_waker(Waker::noop()), |cx| {
            let taken = |links: &Self| links.peers[i].incoming.as_ref().map_or(0, Incoming::taken);
            let before = taken(self);
            while let Poll::Ready(Ok(())) = self.read_one(i, cx) {
                if taken(self).saturating_sub(before) > LAST_BYTES {
                    break;
                }
            }
        });
    }

    /// Writes what was sent, in order.
    pub(super) fn poll_outbox(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(run) = self.outbox.head() {
            let i = run.to;
            // There is one: what is for a node is forgotten with the connection to it.
            let Some(outgoing) = &mut self.peers[i].outgoing else {
                self.outbox.forget(i);
                continue;
            };
            match outgoing.poll_write(cx, &run.bytes, &mut run.done) {
                Poll::Ready(Ok(())) => self.outbox.pop(),
                Poll::Ready(Err(why)) => self.end_outgoing(i, &why),
                Poll::Pending => {
                    // It may take long, and signs of life to others must not be held back meanwhile.
                    self.release();
                    return Poll::Pending;
                }
            }
        }
        self.release();
        Poll::Ready(())
    }

    /// What the kernel was asked to hold back may go.
    fn release(&mut self) {
        if std::mem::take(&mut self.holds) {
            for outgoing in self.peers.iter_mut().filter_map(|link| link.outgoing.as_mut()) {
                if let Some(stream) = outgoing.hold(false) {
                    T::hold(stream, false);
                }
            }
        }
    }

    /// Whether it is time for something.
    pub(in crate::runtime) fn is_due(&self) -> bool {
        self.alarm.deadline() <= Instant::now()
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) {
        loop {
            let now = Instant::now();
            if self.beat <= now {
                self.beat = now + self.detector.period().max(SHORTEST_PERIOD);
                self.give_signs_of_life(cx);
                self.look_whether_stuck();
                self.again |= self.stuck;
            }
            for i in 0..self.peers.len() {
                self.judge_silence(i, now, cx);
                self.judge_stall(i, now);
                if self.peers[i].redial.is_some_and(|at| at <= now) {
                    self.dial_now(i);
                }
            }
            let next = self.next_due();
            // Too early does no harm, and most deadlines only move on.
            if next < self.alarm.deadline() || self.alarm.is_elapsed() {
                self.alarm.as_mut().reset(next);
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return;
            }
        }
    }

    /// A sign of life may overtake what was sent, since it means nothing; but not in the middle of a message.
    fn give_signs_of_life(&mut self, cx: &mut Context<'_>) {
        for i in 0..self.peers.len() {
            let Some(outgoing) = &mut self.peers[i].outgoing else { continue };
            if outgoing.is_half_written() || self.outbox.has_begun(i) {
                continue;
            }
            if let Poll::Ready(Err(why)) = outgoing.poll_sign_of_life(cx) {
                self.end_outgoing(i, &why);
            }
        }
    }

    /// Whether silence can be blamed on the other node: not while this one does not listen.
    fn listens(&self, i: usize) -> bool {
        self.peers[i].incoming.is_none() || self.has_room()
    }

    fn judge_silence(&mut self, i: usize, now: Instant, cx: &mut Context<'_>) {
        if !self.listens(i) || !has_passed(self.peers[i].silence.as_mut(), now) {
            return;
        }
        at_once(cx, |cx| self.read(i, usize::MAX, cx));
        let still = self.peers[i].silence.is_some_and(|silence| silence.at() <= now);
        if still && self.listens(i) {
            self.end(i, &Ended::Silent);
        }
    }

    fn judge_stall(&mut self, i: usize, now: Instant) {
        let stall = self.peers[i].outgoing.as_mut().and_then(|outgoing| outgoing.stall());
        if has_passed(stall, now) {
            self.end_outgoing(i, &Ended::Stalled);
        }
    }

    /// When there is something to do next.
    fn next_due(&mut self) -> Instant {
        let mut next = self.beat;
        for i in 0..self.peers.len() {
            let listens = self.listens(i);
            let link = &mut self.peers[i];
            let silence = link.silence.filter(|_| listens).map(|silence| silence.at());
            let stall = link.outgoing.as_mut().and_then(|outgoing| outgoing.stall());
            let stall = stall.map(|stall| stall.at());
            let due = [silence, stall, link.redial].into_iter().flatten().min();
            next = next.min(due.unwrap_or(next));
        }
        next
    }
}

fn has_passed(deadline: Option<&mut Deadline>, now: Instant) -> bool {
    deadline.is_some_and(|deadline| deadline.has_passed(now))
}

/// Polls something that must not be told to let others go first.
fn at_once(cx: &mut Context<'_>, mut poll: impl FnMut(&mut Context<'_>)) {
    let all = pin!(unconstrained(poll_fn(|cx| {
        poll(cx);
        Poll::Ready(())
    })));
    let _ = all.poll(cx);
}
