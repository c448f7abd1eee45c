//! What a process meets: the election's own messages at once, everything else when the election is over.

use super::{
    Buffered, CallError, Client, Command, Event, LeaderCast, Message, Observation, Patience,
    Repair, Timer,
    behaviour::{Behaviour, Call, Caller, Info},
    election::{Died, Election, Standing},
    turn::Turn,
};
use crate::machine::{self, Address};

impl<E: Election, B: Behaviour<E>> Turn<'_, E, B> {
    /// Meets an event, and gives it back if it has to wait.
    pub(super) fn meet(&mut self, election: &mut E, event: Event<E, B>) -> Option<Event<E, B>> {
        match event {
            machine::Event::Message { from, message: Message::Election(message) } => {
                self.attempt(|turn| election.on_message(from, message, turn));
            }
            machine::Event::Down(peer) => {
                self.attempt(|turn| election.on_down(peer, turn));
            }
            machine::Event::Timeout(Timer::Tau) => election.on_tau(self),
            machine::Event::Timeout(Timer::Call(tag)) => self.give_up(election.me(), tag),
            machine::Event::Message { from, message: Message::FromLeader(_) }
                if self.has(Repair::OwnLeader)
                    && election.standing() != Standing::Following(from) => {}
            machine::Event::Command(command) => {
                self.expect_client(&command);
                return Some(machine::Event::Command(command));
            }
            waits @ machine::Event::Message { .. } => return Some(waits),
        }
        None
    }

    /// Takes what had to wait.
    pub(super) fn take(&mut self, election: &mut E, event: Event<E, B>) {
        self.attempt(|turn| match event {
            machine::Event::Message { from, message } => turn.on_message(election, from, message),
            machine::Event::Command(command) => turn.on_command(election, command),
            // Neither has to wait.
            machine::Event::Down(_) | machine::Event::Timeout(_) => Ok(()),
        });
    }

    /// Of what finds no clause, nothing happens but the end.
    fn attempt(&mut self, take: impl FnOnce(&mut Self) -> Result<(), Died>) {
        if let Err(Died(reason)) = take(self) {
            self.effects.truncate(self.taken);
            self.effects.push(machine::Effect::Stop(reason));
        }
        self.taken = self.effects.len();
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
            // The election's own do not wait.
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

    /// The leader answers; elsewhere the call is sent on, under a reference of this process.
    fn leader_call(
        &mut self,
        election: &E,
        caller: Caller,
        request: B::Request,
    ) -> Result<(), Died> {
        match election.standing() {
            Standing::Leading => {
                let answer = self.call_back(election, |behaviour, state, context| {
                    behaviour.handle_leader_call(state, request, caller, context)
                });
                self.conclude(election, caller, answer)
            }
            Standing::Following(leader) => {
                let reference = self.server.references;
                self.server.references = reference.saturating_add(1);
                self.server.buffered.push_front(Buffered { reference, caller });
                self.put(leader, Message::LeaderCall { reference, request });
                Ok(())
            }
            Standing::Electing => Ok(()),
        }
    }

    /// The leader's answer, for whoever called.
    fn pass_on(
        &mut self,
        election: &E,
        reference: u64,
        answer: Result<B::Reply, CallError>,
    ) -> Result<(), Died> {
        let shortened = self.has(Repair::AnsweredLeaves);
        let place = self.server.buffered.iter().position(|entry| entry.reference == reference);
        let Some(place) = place else {
            // Where answered calls leave, this one has had its answer.
            return if shortened { Ok(()) } else { Err(Died("no such call".into())) };
        };
        let Buffered { caller, .. } = self.server.buffered[place];
        if shortened {
            self.server.buffered.remove(place);
        }
        self.answer(election.me(), caller, answer);
        Ok(())
    }

    fn leader_cast(&mut self, election: &E, request: B::Request) -> Result<(), Died> {
        match (self.machine.leader_cast, election.standing()) {
            (LeaderCast::Forwarded | LeaderCast::AtLeaderOnly, Standing::Leading) => {
                let next = self.call_back(election, |behaviour, state, context| {
                    behaviour.handle_leader_cast(state, request, context)
                });
                self.proceed(election, next)
            }
            (LeaderCast::Forwarded, Standing::Following(leader)) => {
                self.put(leader, Message::LeaderCast(request));
                Ok(())
            }
            (LeaderCast::Forwarded, Standing::Electing)
            | (LeaderCast::AtLeaderOnly, Standing::Following(_) | Standing::Electing)
            | (LeaderCast::NeverCalled, _) => self.handle_info(election, Info::LeaderCast(request)),
        }
    }

    /// A local client waits for an answer from now on, for ever or not.
    fn expect_client(&mut self, command: &Command<B::Request>) {
        let (tag, of, timeout) = match command {
            Command::Call { tag, timeout, .. } => (*tag, Call::Local, *timeout),
            Command::LeaderCall { tag, timeout, .. } => (*tag, Call::Leader, *timeout),
            Command::Cast(_)
            | Command::LeaderCast(_)
            | Command::Info(_)
            | Command::CodeChange(_) => return,
        };
        let patience = timeout.map_or(Patience::Endless, |_| Patience::Limited);
        self.server.clients.insert(tag, Client { of, patience });
        if let Some(timeout) = timeout {
            self.set_timer(Timer::Call(tag), timeout);
        }
    }

    /// A local client has waited long enough.
    fn give_up(&mut self, me: Address, tag: u64) {
        let shortened = self.has(Repair::AnsweredLeaves);
        let Some(client) = self.server.clients.get_mut(&tag) else { return };
        client.patience = Patience::Exhausted;
        if shortened {
            self.server.clients.remove(&tag);
            let its = |caller: &Caller| caller.process == me && caller.tag == tag;
            self.server.buffered.retain(|entry| !its(&entry.caller));
        }
        self.observe(Observation::Failed { tag, error: CallError::TimedOut });
    }
}
