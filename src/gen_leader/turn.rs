//! One step of a process, and the effects that its election and its application ask for, in order.

use super::{
    Buffered, CallFailure, Effect, GenLeader, LateReply, Message, MessageOf, Newcomer, Observation,
    ServerState, TAU, Timer, Wait,
    behaviour::{Answer, Behaviour, Call, Caller, Context, Info, Next, Reason, Wrapping},
    election::{Broadcasts, Died, Election},
};
use crate::machine::{Address, NodeId, Peer};
use std::time::Duration;

/// A step in progress: the state above the election, and the effects so far.
pub struct Turn<'a, E: Election, B: Behaviour<E>> {
    pub(super) machine: &'a GenLeader<E, B>,
    pub(super) server: ServerState<B::State>,
    pub(super) effects: Vec<Effect<E, B>>,
    /// The number of effects that stay if the process dies now: those of earlier events of the same step.
    pub(super) kept: usize,
}

/// For the elections.
impl<'a, E: Election, B: Behaviour<E>> Turn<'a, E, B> {
    pub(super) fn new(machine: &'a GenLeader<E, B>, server: ServerState<B::State>) -> Self {
        Self { machine, server, effects: vec![], kept: 0 }
    }

    pub(super) fn send(&mut self, to: impl Into<Peer>, message: E::Message<B::Synch>) {
        self.put(to, Message::Election(message));
    }

    pub(super) fn monitor(&mut self, peer: impl Into<Peer>) {
        self.effects.push(Effect::<E, B>::Monitor(peer.into()));
    }

    pub(super) fn set_tau(&mut self) {
        self.set_timer(Timer::Tau, TAU);
    }

    pub(super) fn persist(&mut self, stable: E::Stable) {
        self.effects.push(Effect::<E, B>::Persist(stable));
    }

    /// The callback `elected`.
    pub(super) fn elected(&mut self, election: &E) -> B::Synch {
        self.observe(Observation::Elected { term: election.term() });
        self.call_back(election, B::elected)
    }

    /// The callback `surrendered`.
    pub(super) fn surrendered(&mut self, election: &E, leader: Address, synch: B::Synch) {
        self.observe(Observation::Surrendered { leader, term: election.term() });
        self.call_back(election, |behaviour, state, context| {
            behaviour.surrendered(state, synch, context);
        });
    }

    /// The callback `handle_DOWN`.
    pub(super) fn handle_down(&mut self, election: &E, node: NodeId) -> Result<(), Died> {
        let next = self.call_back(election, |behaviour, state, context| {
            behaviour.handle_down(state, node, context)
        });
        self.proceed(election, next)
    }

    /// The callback `handle_info`.
    pub(super) fn handle_info(
        &mut self,
        election: &E,
        info: Info<B::Request, B::Reply>,
    ) -> Result<(), Died> {
        let next = self.call_back(election, |behaviour, state, context| {
            behaviour.handle_info(state, info, context)
        });
        self.proceed(election, next)
    }

    /// The election has lost its leader. Where calls fail, every call that is out ends with an error.
    pub(super) fn leader_died(&mut self, election: &E) {
        if !self.machine.calls_fail {
            return;
        }
        for Buffered { caller, .. } in std::mem::take(&mut self.server.buffered) {
            self.answer(election.me(), caller, Err(CallFailure::LeaderDied));
        }
    }
}

/// For the behaviour.
impl<E: Election, B: Behaviour<E>> Turn<'_, E, B> {
    /// True if the process has ended itself in this step.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.effects.last(), Some(Effect::<E, B>::Stop(_)))
    }

    pub(super) fn put(&mut self, to: impl Into<Peer>, message: MessageOf<E, B>) {
        self.effects.push(Effect::<E, B>::Send { to: to.into(), message });
    }

    pub(super) fn set_timer(&mut self, timer: Timer, after: Duration) {
        self.effects.push(Effect::<E, B>::SetTimer { timer, after });
    }

    pub(super) fn observe(&mut self, observation: Observation<E::Term, B::Reply>) {
        self.effects.push(Effect::<E, B>::Observe(observation));
    }

    /// Runs a callback, and sends the replies that the callback has left in its context.
    pub(super) fn call_back<R>(
        &mut self,
        election: &E,
        callback: impl FnOnce(&B, &mut B::State, &mut Context<'_, E, B>) -> R,
    ) -> R {
        let mut context = Context::new(election);
        let result = callback(&self.machine.behaviour, &mut self.server.application, &mut context);
        for (caller, reply, wrapping) in context.replies {
            let wrapped = wrapping == Wrapping::Leader
                || (caller.of == Call::Leader && self.machine.late_reply == LateReply::Wrapped);
            self.reply(election.me(), caller, reply, wrapped);
        }
        result
    }

    /// Carries out the result of a callback that answers a call.
    pub(super) fn conclude(
        &mut self,
        election: &E,
        caller: Caller,
        answer: Answer<B::Reply, B::Broadcast>,
    ) -> Result<(), Died> {
        let wrapped = caller.of == Call::Leader;
        match answer {
            Answer::Reply(reply) => self.reply(election.me(), caller, reply, wrapped),
            Answer::ReplyAndBroadcast(reply, broadcast) => {
                if E::BROADCASTS == Broadcasts::WithLeaderReply && caller.of == Call::Local {
                    return Err(Died(BAD_BROADCAST));
                }
                self.broadcast(election, &broadcast);
                self.reply(election.me(), caller, reply, wrapped);
            }
            Answer::NoReply => {}
            Answer::Stop(reason) => {
                self.terminate(election, &reason);
                self.end(reason);
            }
            Answer::StopAndReply(reason, reply) => {
                self.terminate(election, &reason);
                self.reply(election.me(), caller, reply, false);
                self.end(reason);
            }
        }
        Ok(())
    }

    /// Carries out the result of a callback that answers no call.
    pub(super) fn proceed(&mut self, election: &E, next: Next<B::Broadcast>) -> Result<(), Died> {
        match next {
            Next::Continue => {}
            Next::Broadcast(broadcast) => {
                if E::BROADCASTS == Broadcasts::WithLeaderReply {
                    return Err(Died(BAD_BROADCAST));
                }
                self.broadcast(election, &broadcast);
            }
            Next::Stop(reason) => {
                self.terminate(election, &reason);
                self.end(reason);
            }
        }
        Ok(())
    }

    /// Sends a broadcast to every monitored node, by name.
    fn broadcast(&mut self, election: &E, broadcast: &B::Broadcast) {
        for node in election.monitored() {
            self.put(Peer::Name(*node), Message::FromLeader(broadcast.clone()));
        }
    }

    pub(super) fn code_change(&mut self, request: B::Request) -> Vec<Newcomer> {
        self.machine.behaviour.code_change(&mut self.server.application, request)
    }

    fn terminate(&mut self, election: &E, reason: &Reason) {
        self.call_back(election, |behaviour, state, context| {
            behaviour.terminate(state, reason, context);
        });
    }

    /// The application ends the process.
    pub(super) fn end(&mut self, reason: Reason) {
        self.observe(Observation::Terminated(reason.clone()));
        self.effects.push(Effect::<E, B>::Stop(reason));
    }

    fn reply(&mut self, me: Address, caller: Caller, reply: B::Reply, wrapped: bool) {
        if wrapped || caller.of == Call::Local {
            self.answer(me, caller, Ok(reply));
        } else if caller.process != me {
            self.put(caller.process, Message::Reply(reply));
        }
        // Otherwise the client is local. It waits for a leader's reply, and does not take this one for it.
    }

    /// Sends an answer to the process that the call came from, or hands it to the local client.
    pub(super) fn answer(
        &mut self,
        me: Address,
        caller: Caller,
        answer: Result<B::Reply, CallFailure>,
    ) {
        let Caller { process, tag, .. } = caller;
        if process != me {
            return self.put(process, Message::LeaderReply { reference: tag, answer });
        }
        match self.server.clients.get(&tag).map(|waiter| waiter.wait) {
            Some(Wait::GivenUp) => return,
            Some(Wait::Limited) => {
                self.effects.push(Effect::<E, B>::CancelTimer(Timer::Call(tag)));
            }
            None if self.machine.answered_leave => return,
            // A second answer reaches the client, too.
            Some(Wait::Unlimited) | None => {}
        }
        self.server.clients.remove(&tag);
        self.observe(match answer {
            Ok(reply) => Observation::Replied { tag, reply },
            Err(error) => Observation::Failed { tag, error },
        });
    }
}

/// The reason that the seed's behaviour gives for a return value it does not know.
const BAD_BROADCAST: Reason = Reason::Borrowed("bad return value: a broadcast");
