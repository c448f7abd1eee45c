//! A `gen_leader` as a server.

use super::{CallError, Client, Leader, Server, Serving};
use crate::{
    gen_leader::{self, Behaviour, Command, Election, GenLeader, Observation},
    machine::{Address, Peer},
    runtime::error::Ended,
};
use std::time::Duration;
use tokio::sync::watch;

/// A callback replies at once with its return value, or any callback replies later with
/// [`Context::reply`](gen_leader::Context::reply). If a task of the program computes the reply, it sends the result with
/// [`cast`](Client::cast), and that callback replies.
impl<E: Election, B: Behaviour<E>> Serving for GenLeader<E, B> {
    type Reply = B::Reply;
    type Status = Option<Leader<E::Term>>;

    fn configuration(&self) -> String {
        // A roster is always JSON.
        serde_json::to_string(self.roster()).unwrap_or_default()
    }

    fn read(
        me: Address,
        observation: Self::Observation,
        status: &mut Self::Status,
    ) -> Option<(u64, Result<B::Reply, CallError>)> {
        let mut recognise = |address, term| *status = Some(Leader { address, term });
        match observation {
            Observation::Replied { tag, reply } => return Some((tag, Ok(reply))),
            Observation::Failed { tag, error } => return Some((tag, Err(error.into()))),
            Observation::Elected { term } => recognise(me, term),
            Observation::Surrendered { leader, term } => recognise(leader, term),
            Observation::Followed { .. } | Observation::Terminated(_) => {}
        }
        None
    }

    fn lose(peer: Peer, status: &mut Self::Status) {
        status.take_if(|leader| leader.falls_with(peer));
    }
}

impl<E: Election, B: Behaviour<E>> Server<GenLeader<E, B>> {
    /// A watch of the leader that this process recognises, which may be itself. None before the first election, and from the
    /// end of a leader, or its suspicion, until the next one is recognised.
    ///
    /// A process that nobody has told of an election recognises a leader that is none any more: with these protocols, a
    /// process that was taken for dead may go on to lead. [`peers`](Self::peers) tells when that has happened.
    #[must_use]
    pub fn leader(&self) -> watch::Receiver<Option<Leader<E::Term>>> {
        self.status.clone()
    }
}

impl<E: Election, B: Behaviour<E>> Client<GenLeader<E, B>> {
    /// Calls the local process, and waits for its reply: for ever, if there is no timeout. If the future is dropped, the
    /// call is carried out all the same.
    ///
    /// # Errors
    /// [`CallError::TooLarge`], [`CallError::TimedOut`] or [`CallError::Ended`].
    pub async fn call(
        &self,
        request: B::Request,
        timeout: Option<Duration>,
    ) -> Result<B::Reply, CallError> {
        self.check_size(&request)?;
        self.ask(|tag| Command::Call { tag, request, timeout }).await
    }

    /// Calls the leader, at any node, and waits for its reply: for ever, if there is no timeout. If the future is dropped,
    /// the call is carried out all the same.
    ///
    /// # Errors
    /// [`CallError::TooLarge`]; or [`CallError::LeaderDied`], [`CallError::TimedOut`] or [`CallError::Ended`]: it is unknown then
    /// if the leader has carried out the request.
    pub async fn leader_call(
        &self,
        request: B::Request,
        timeout: Option<Duration>,
    ) -> Result<B::Reply, CallError> {
        self.check_size(&request)?;
        self.ask(|tag| Command::LeaderCall { tag, request, timeout }).await
    }

    /// Sends a request to the local process, without a reply. Waits for room in the queue of commands.
    ///
    /// # Errors
    /// If the server has ended. The request was not sent.
    pub async fn cast(&self, request: B::Request) -> Result<(), Ended> {
        self.commands.send(Command::Cast(request)).await
    }

    /// Sends a request to the leader, without a reply. Waits for room in the queue of commands. The request is lost if the
    /// leader dies before it arrives.
    ///
    /// # Errors
    /// If the server has ended. The request was not sent.
    pub async fn leader_cast(&self, request: B::Request) -> Result<(), Ended> {
        self.commands.send(Command::LeaderCast(request)).await
    }

    /// Sends the local process a message that is neither a call nor a cast. Waits for room in the queue of commands.
    ///
    /// # Errors
    /// If the server has ended. The message was not sent.
    pub async fn info(&self, request: B::Request) -> Result<(), Ended> {
        self.commands.send(Command::Info(request)).await
    }

    /// Changes the code: the local process calls `code_change`, which may add nodes. All nodes need the same change. Waits
    /// for room in the queue of commands.
    ///
    /// # Errors
    /// If the server has ended. The request was not sent.
    pub async fn code_change(&self, request: B::Request) -> Result<(), Ended> {
        self.commands.send(Command::CodeChange(request)).await
    }
}

impl From<gen_leader::CallFailure> for CallError {
    fn from(error: gen_leader::CallFailure) -> Self {
        match error {
            gen_leader::CallFailure::LeaderDied => Self::LeaderDied,
            gen_leader::CallFailure::TimedOut => Self::TimedOut,
        }
    }
}
