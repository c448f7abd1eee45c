//! The clients of a process: their calls and queries.

use super::{
    CallFailure, Client, MOST_PENDING, Multicast, Observation, Pending, Role, Service, Timer,
    turn::Turn,
};
use crate::machine::Effect;
use std::time::Duration;

impl<S: Service> Turn<'_, S> {
    /// Multicasts a message, for a client if there is one.
    pub(super) fn mcast(&mut self, message: S::Request, client: Option<Client>) {
        let sequence = self.state.issued;
        self.state.issued += 1;
        self.state.pending.insert(sequence, Pending { message: message.clone(), client });
        self.forward(Multicast { origin: self.state.me, sequence, message });
    }

    pub(super) fn call(&mut self, tag: u64, request: S::Request, timeout: Option<Duration>) {
        if self.state.pending.len() >= MOST_PENDING {
            return self.fail(tag, CallFailure::Busy);
        }
        if let Some(after) = timeout {
            self.effect(Effect::SetTimer { timer: Timer::Call(tag), after });
        }
        self.mcast(request, Some(Client { tag, is_limited: timeout.is_some() }));
    }

    /// Answers from the local copy.
    pub(super) fn query(&mut self, tag: u64, request: S::Request) {
        if !self.is_up_to_date() {
            return self.fail(tag, CallFailure::NotUpToDate);
        }
        let counted = &self.state.counted;
        let mut copy = counted.application.clone();
        let reply = self.group.service.carry_out(&mut copy, counted.number(), request);
        self.observe(Observation::Replied { tag, reply });
    }

    /// True if everything is carried out here that counted when this process last heard from its leader, or was elected.
    fn is_up_to_date(&self) -> bool {
        match self.state.role {
            Role::Leading { .. } => self.is_of(self.state.counted.number(), self.state.term),
            Role::Following { matched, .. } => matched > 0,
            Role::Seeking { .. } | Role::Promised { .. } | Role::Candidate { .. } => false,
        }
    }

    /// A multicast of this process is committed. Its client gets the reply.
    pub(super) fn answer(&mut self, sequence: u64, reply: Option<S::Reply>) {
        let client = self.state.pending.remove(&sequence).and_then(|pending| pending.client);
        let (Some(client), Some(reply)) = (client, reply) else { return };
        self.end_wait(client);
        self.observe(Observation::Replied { tag: client.tag, reply });
    }

    fn end_wait(&mut self, client: Client) {
        if client.is_limited {
            self.effect(Effect::CancelTimer(Timer::Call(client.tag)));
        }
    }

    /// Multicasts of this process may be among those that were restored.
    pub(super) fn forget_answered(&mut self) {
        let me = self.state.me;
        let next = match self.state.counted.next.get(&me.node) {
            Some((process, next)) if *process == me => *next,
            Some(_) | None => return,
        };
        let (before, at, after) = self.state.pending.split_lookup(&next);
        self.state.pending = after;
        if let Some(pending) = at {
            self.state.pending.insert(next, pending);
        }
        for client in before.values().filter_map(|pending| pending.client) {
            self.end_wait(client);
            self.fail(client.tag, CallFailure::ReplyLost);
        }
    }

    /// The time-out of a call. It may still be committed.
    pub(super) fn give_up(&mut self, tag: u64) {
        let its = |(_, pending): &(&u64, &Pending<S::Request>)| {
            pending.client.is_some_and(|client| client.tag == tag)
        };
        let Some(sequence) = self.state.pending.iter().find(its).map(|(sequence, _)| *sequence)
        else {
            return;
        };
        if let Some(pending) = self.state.pending.get_mut(&sequence) {
            pending.client = None;
        }
        self.fail(tag, CallFailure::TimedOut);
    }

    fn fail(&mut self, tag: u64, error: CallFailure) {
        self.observe(Observation::Failed { tag, error });
    }
}
