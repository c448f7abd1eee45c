//! The poll loop: dials, accepted connections, reads, writes and deadlines.

use super::{Links, Signal};
use crate::{
    machine::Value,
    runtime::{
        component::Component,
        connection::{CloseReason, Deadline, Incoming, decode},
        detector::{Detector, SHORTEST},
        transport::Transport,
    },
};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll, Waker},
};
use tokio::{task::coop::unconstrained, time::Instant};

/// The most bytes that are read from a connection that is about to be replaced. Its writer should be gone, and the kernel
/// holds less than this. If the writer is not gone, it cannot keep this node busy.
const MAX_DRAIN_BYTES: usize = 64 << 20;
/// While nothing can be written, the limit of arrivals is multiplied by this: to more than two nodes have sent each other
/// before they read again.
const STUCK_FACTOR: usize = 64;

impl<T: Transport, D: Detector, M: Value> Links<T, D, M> {
    /// Makes all progress that is possible now. The rest wakes the task when it becomes possible.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        self.again = true;
        while std::mem::take(&mut self.again) {
            self.poll_once(cx);
        }
        self.gauges.arrivals.set(u32::try_from(self.arrivals.len()).unwrap_or(u32::MAX));
    }

    fn poll_once(&mut self, cx: &mut Context<'_>) {
        self.poll_dials(cx);
        self.poll_probes(cx);
        self.poll_inbound(cx);
        self.poll_tasks(cx);
        let all = self.peers.len();
        for (nth, i) in (self.first..all).chain(0..self.first).enumerate() {
            // One node may not take the room of the others.
            let share = self.room().div_ceil(all - nth);
            self.poll_link(i, share, cx);
        }
        self.first = (self.first + 1) % all.max(1);
        let _ = self.poll_outbox(cx);
        self.poll_clock(cx);
    }

    /// Removes finished tasks. The one that accepts connections never finishes.
    fn poll_tasks(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(done)) = self.tasks.poll_join_next(cx) {
            if let Err(error) = done {
                tracing::error!(%error, "the transport has panicked; if it was accepting, this node accepts no more connections");
            }
        }
    }

    fn poll_link(&mut self, i: usize, share: usize, cx: &mut Context<'_>) {
        self.poll_acceptance(i, cx);
        self.read(i, share, cx);
        let Some(outgoing) = &mut self.peers[i].outgoing else { return };
        if let Poll::Ready(why) = outgoing.poll_end(cx) {
            self.end_outgoing(i, &why);
        } else if let Poll::Ready(Err(error)) = outgoing.poll_drain(cx) {
            self.end_outgoing(i, &error.into());
        }
    }

    pub(super) fn poll_acceptance(&mut self, i: usize, cx: &mut Context<'_>) {
        let Some(incoming) = &mut self.peers[i].incoming else { return };
        if let Poll::Ready(Err(error)) = incoming.poll_acceptance(cx) {
            self.end(i, &error.into());
        }
    }

    /// The number of messages that may be read. A node that is stuck reads more than its limit: two nodes that both waited
    /// for the other one to read would suspect each other.
    fn room(&self) -> usize {
        let times = if self.stuck { STUCK_FACTOR } else { 1 };
        let limit = self.limits.max_queued_arrivals.max(1).saturating_mul(times);
        limit.saturating_sub(self.arrivals.len())
    }

    fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Finds out, once a heartbeat, whether the kernel has taken anything since the last one.
    fn check_progress(&mut self) {
        let head = self.outbox.head().map(|run| run.to);
        let outgoing = head.and_then(|i| self.peers[i].outgoing.as_mut());
        let stall = outgoing.and_then(|outgoing| outgoing.stall()).map(|stall| stall.at());
        self.stuck = stall.is_some() && stall == self.stall;
        self.stall = stall;
    }

    /// Reads what has arrived, as far as there is room, and at most `share` messages.
    fn read(&mut self, i: usize, share: usize, cx: &mut Context<'_>) {
        let full = self.arrivals.len().saturating_add(share);
        while self.has_room() {
            if self.arrivals.len() >= full {
                // There may be more, and room for it when all nodes were read from.
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
            self.note_sign_of_life(i);
        }
    }

    fn read_one(&mut self, i: usize, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
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

    /// Reads all that has arrived from a process that is over, beyond the limit too: its `Down` comes after that.
    pub(super) fn drain(&mut self, i: usize) {
        // No wake-up is needed: the connection is dropped right after.
        without_budget(&mut Context::from_waker(Waker::noop()), |cx| {
            let read =
                |links: &Self| links.peers[i].incoming.as_ref().map_or(0, Incoming::bytes_read);
            let before = read(self);
            while let Poll::Ready(Ok(())) = self.read_one(i, cx) {
                if read(self).saturating_sub(before) > MAX_DRAIN_BYTES {
                    break;
                }
            }
        });
    }

    /// Writes the outbox, in order.
    pub(super) fn poll_outbox(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(run) = self.outbox.head() {
            let i = run.to;
            // Always open: messages to a node are dropped together with the connection.
            let Some(outgoing) = &mut self.peers[i].outgoing else {
                self.outbox.forget(i);
                continue;
            };
            match outgoing.poll_write(cx, &run.bytes, &mut run.done) {
                Poll::Ready(Ok(())) => self.outbox.pop(),
                Poll::Ready(Err(why)) => self.end_outgoing(i, &why),
                Poll::Pending => {
                    // It may take long, and heartbeats to others must not be held back meanwhile.
                    self.release();
                    return Poll::Pending;
                }
            }
        }
        self.release();
        Poll::Ready(())
    }

    /// Lets the kernel send what it holds back.
    fn release(&mut self) {
        if std::mem::take(&mut self.holds) {
            for outgoing in self.peers.iter_mut().filter_map(|link| link.outgoing.as_mut()) {
                if let Some(stream) = outgoing.hold(false) {
                    Component::Transport.run(|| T::hold(stream, false));
                }
            }
        }
    }

    /// True if a deadline or a heartbeat is due.
    pub(in crate::runtime) fn is_due(&self) -> bool {
        self.alarm.deadline() <= Instant::now()
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) {
        loop {
            let now = Instant::now();
            if self.next_heartbeat <= now {
                let period = Component::Detector.run(|| self.detector.period());
                self.next_heartbeat = now + period.max(SHORTEST);
                self.send_heartbeats(cx);
                (0..self.peers.len()).for_each(|i| self.answer_late(i));
                self.check_progress();
                self.again |= self.stuck;
            }
            for i in 0..self.peers.len() {
                self.check_silence(i, now, cx);
                self.check_stall(i, now);
                if self.peers[i].redial.is_some_and(|at| at <= now) {
                    self.dial_now(i);
                }
            }
            let next = self.next_due();
            // An alarm that is too early does no harm, and most deadlines are only extended.
            if next < self.alarm.deadline() || self.alarm.is_elapsed() {
                self.alarm.as_mut().reset(next);
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return;
            }
        }
    }

    /// A heartbeat may overtake messages, since it carries none; but it may not interrupt one.
    fn send_heartbeats(&mut self, cx: &mut Context<'_>) {
        for i in 0..self.peers.len() {
            let Some(outgoing) = &mut self.peers[i].outgoing else { continue };
            if outgoing.is_half_written() || self.outbox.has_begun(i) {
                continue;
            }
            if let Poll::Ready(Err(why)) = outgoing.poll_heartbeat(cx) {
                self.end_outgoing(i, &why);
            }
        }
    }

    /// True if silence means that the other node sends nothing, rather than that this one does not read.
    fn is_listening(&self, i: usize) -> bool {
        self.peers[i].incoming.is_none() || self.has_room()
    }

    fn check_silence(&mut self, i: usize, now: Instant, cx: &mut Context<'_>) {
        if !self.is_listening(i) || !has_passed(self.peers[i].silence.as_mut(), now) {
            return;
        }
        without_budget(cx, |cx| self.read(i, usize::MAX, cx));
        let still = self.peers[i].silence.is_some_and(|silence| silence.at() <= now);
        if still && self.is_listening(i) {
            self.end(i, &CloseReason::Silent);
        }
    }

    fn check_stall(&mut self, i: usize, now: Instant) {
        let stall = self.peers[i].outgoing.as_mut().and_then(|outgoing| outgoing.stall());
        if has_passed(stall, now) {
            self.end_outgoing(i, &CloseReason::Stalled);
        }
    }

    /// The time of the next deadline or heartbeat.
    fn next_due(&mut self) -> Instant {
        let mut next = self.next_heartbeat;
        for i in 0..self.peers.len() {
            let listening = self.is_listening(i);
            let link = &mut self.peers[i];
            let silence = link.silence.filter(|_| listening).map(|silence| silence.at());
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

/// Polls without tokio's cooperative budget, which would end a read early.
fn without_budget(cx: &mut Context<'_>, mut poll: impl FnMut(&mut Context<'_>)) {
    let all = pin!(unconstrained(poll_fn(|cx| {
        poll(cx);
        Poll::Ready(())
    })));
    let _ = all.poll(cx);
}
