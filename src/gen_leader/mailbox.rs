//! Events of the election are handled at once. All others wait in the mailbox until there is a leader.
//!
//! [`GenLeader`](super::GenLeader) keeps the mailbox.

use super::{
    Buffered, CallFailure, Command, Event, LeaderCast, Message, Observation, Phase, Timer, Wait,
    Waiter,
    behaviour::{Behaviour, Call, Caller, Info},
    election::{Died, Election},
    turn::Turn,
};
use crate::machine::{self, Address};

impl<E: Election, B: Behaviour<E>> Turn<'_, E, B> {
    /// Handles an event of the election, or a time-out. Returns any other event, which waits for a leader.
    pub(super) fn receive(&mut self, election: &mut E, event: Event<E, B>) -> Option<Event<E, B>> {
        match event {
            machine::Event::Message { from, message: Message::Election(message) } => {
                self.or_die(|turn| election.on_message(from, message, turn));
            }
            machine::Event::Down(peer) => {
                self.or_die(|turn| election.on_down(peer, turn));
            }
            machine::Event::Timeout(Timer::Tau) => election.on_tau(self),
            machine::Event::Timeout(Timer::Call(tag)) => self.give_up(election.me(), tag),
            machine::Event::Message { from, message: Message::FromLeader(_) }
                if self.machine.own_leader_only && election.phase() != Phase::Following(from) => {}
            machine::Event::Command(command) => {
                self.expect_client(&command);
                return Some(machine::Event::Command(command));
            }
            waits @ machine::Event::Message { .. } => return Some(waits),
        }
        None
    }

    /// Handles an event from the mailbox, while there is a leader.
    pub(super) fn dispatch(&mut self, election: &mut E, event: Event<E, B>) {
        self.or_die(|turn| match event {
            machine::Event::Message { from, message } => turn.on_message(election, from, message),
            machine::Event::Command(command) => turn.on_command(election, command),
            // Neither is ever in the mailbox.
            machine::Event::Down(_) | machine::Event::Timeout(_) => Ok(()),
        });
    }

    /// Handles an event. If there is no clause for it, the event has no effect but the end of the process.
    fn or_die(&mut self, handle: impl FnOnce(&mut Self) -> Result<(), Died>) {
        if let Err(Died(reason)) = handle(self) {
            self.effects.truncate(self.kept);
            self.effects.push(machine::Effect::Stop(reason));
        }
        self.kept = self.effects.len();
    }

    fn on_message(
        &mut self,
        election: &E,
        from: Address,
        message: super::MessageOf<E, B>,
    ) -> Result<(), Died> {
        match message {
            Message::LeaderCall { reference, request } => {
                let caller = Caller { process: from, tag: reference, of: Call::Leader };
                self.leader_call(election, caller, request)
            }
            Message::LeaderReply { reference, answer } => self.pass_on(election, reference, answer),
            Message::Reply(reply) => self.handle_info(election, Info::Reply(reply)),
            Message::LeaderCast(request) => self.leader_cast(election, request),
            Message::FromLeader(broadcast) => {
                self.observe(Observation::Followed { leader: from });
                let next = self.call_back(election, |behaviour, state, context| {
                    behaviour.from_leader(state, broadcast, context)
                });
                self.proceed(election, next)
            }
            // Never in the mailbox.
            Message::Election(_) => Ok(()),
        }
    }

    fn on_command(&mut self, election: &mut E, command: Command<B::Request>) -> Result<(), Died> {
        let caller = |tag, of| Caller { process: election.me(), tag, of };
        match command {
            Command::Call { tag, request, .. } => {
                let caller = caller(tag, Call::Local);
                let answer = self.call_back(election, |behaviour, state, context| {
                    behaviour.handle_call(state, request, caller, context)
                });
                self.conclude(election, caller, answer)
            }
            Command::Cast(request) => {
                let next = self.call_back(election, |behaviour, state, context| {
                    behaviour.handle_cast(state, request, context)
                });
                self.proceed(election, next)
            }
            Command::LeaderCall { tag, request, .. } => {
                self.leader_call(election, caller(tag, Call::Leader), request)
            }
            Command::LeaderCast(request) => self.leader_cast(election, request),
            Command::Info(request) => self.handle_info(election, Info::Request(request)),
            Command::CodeChange(request) => {
                for newcomer in self.code_change(request) {
                    election.admit(newcomer);
                }
                Ok(())
            }
        }
    }

    /// The leader answers the call. Any other process forwards it, under a reference of its own.
    fn leader_call(
        &mut self,
        election: &E,
        caller: Caller,
        request: B::Request,
    ) -> Result<(), Died> {
        match election.phase() {
            Phase::Leading => {
                let answer = self.call_back(election, |behaviour, state, context| {
                    behaviour.handle_leader_call(state, request, caller, context)
                });
                self.conclude(election, caller, answer)
            }
            Phase::Following(leader) => {
                let reference = self.server.references;
                self.server.references = reference.saturating_add(1);
                self.server.buffered.push_front(Buffered { reference, caller });
                self.put(leader, Message::LeaderCall { reference, request });
                Ok(())
            }
            // Unreachable: only `dispatch` comes here, and `GenLeader::step` calls it only while there is a leader.
            Phase::Electing => Ok(()),
        }
    }

    /// Passes the leader's answer on to the caller.
    fn pass_on(
        &mut self,
        election: &E,
        reference: u64,
        answer: Result<B::Reply, CallFailure>,
    ) -> Result<(), Died> {
        let leaves = self.machine.answered_leave;
        let place = self.server.buffered.iter().position(|entry| entry.reference == reference);
        let Some(place) = place else {
            // Where answered calls leave the buffer, this one has had its answer.
            return if leaves { Ok(()) } else { Err(Died("no such call".into())) };
        };
        let Buffered { caller, .. } = self.server.buffered[place];
        if leaves {
            self.server.buffered.remove(place);
        }
        self.answer(election.me(), caller, answer);
        Ok(())
    }

    fn leader_cast(&mut self, election: &E, request: B::Request) -> Result<(), Died> {
        match (self.machine.leader_cast, election.phase()) {
            (LeaderCast::Forwarded | LeaderCast::AtLeaderOnly, Phase::Leading) => {
                let next = self.call_back(election, |behaviour, state, context| {
                    behaviour.handle_leader_cast(state, request, context)
                });
                self.proceed(election, next)
            }
            (LeaderCast::Forwarded, Phase::Following(leader)) => {
                self.put(leader, Message::LeaderCast(request));
                Ok(())
            }
            // Unreachable in phase Electing, like a leader call.
            (LeaderCast::Forwarded, Phase::Electing)
            | (LeaderCast::AtLeaderOnly, Phase::Following(_) | Phase::Electing)
            | (LeaderCast::NeverCalled, _) => self.handle_info(election, Info::LeaderCast(request)),
        }
    }

    /// If the command is a call, its client waits for an answer from now on.
    fn expect_client(&mut self, command: &Command<B::Request>) {
        let (tag, of, timeout) = match command {
            Command::Call { tag, timeout, .. } => (*tag, Call::Local, *timeout),
            Command::LeaderCall { tag, timeout, .. } => (*tag, Call::Leader, *timeout),
            Command::Cast(_)
            | Command::LeaderCast(_)
            | Command::Info(_)
            | Command::CodeChange(_) => return,
        };
        let wait = timeout.map_or(Wait::Unlimited, |_| Wait::Limited);
        self.server.clients.insert(tag, Waiter { of, wait });
        if let Some(timeout) = timeout {
            self.set_timer(Timer::Call(tag), timeout);
        }
    }

    /// The time-out of a local client's call.
    fn give_up(&mut self, me: Address, tag: u64) {
        let Some(waiter) = self.server.clients.get_mut(&tag) else { return };
        waiter.wait = Wait::GivenUp;
        if self.machine.answered_leave {
            self.server.clients.remove(&tag);
            let its = |caller: &Caller| caller.process == me && caller.tag == tag;
            self.server.buffered.retain(|entry| !its(&entry.caller));
        }
        self.observe(Observation::Failed { tag, error: CallFailure::TimedOut });
    }
}
