//! A `group` as a server.

use super::{CallError, Client, Leader, Server, Serving};
use crate::{
    gen_leader::Roster,
    group::{self, Command, Group, Observation, Service, Term, View},
    machine::{Address, Peer},
    runtime::error::Ended,
};
use im::Vector;
use std::time::Duration;
use tokio::sync::watch;

/// What a process of a group knows of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The leader, as a member. None from its end, or its suspicion, until the next view, and at a process that no longer
    /// leads.
    ///
    /// The term is a fencing token: it increases over the life of the group. A process that pauses learns late that it leads
    /// no more. So a resource that only the leader may change must refuse lower terms.
    pub leader: Option<Leader<Term>>,
    /// The last view. None before the first one.
    pub view: Option<View>,
    /// The members of the newest view that it held when it last knew no leader, committed or not: a majority of these must
    /// find each other. Empty at a process that has none.
    pub newest: Vector<Address>,
}

impl<S: Service> Serving for Group<S> {
    type Reply = S::Reply;
    type Status = Membership;

    /// The nodes, as a roster; empty without them.
    fn configuration(&self) -> String {
        let roster = Roster::of(self.nodes(), []);
        if roster == Roster::default() {
            return String::new();
        }
        // A roster is always JSON.
        serde_json::to_string(&roster).unwrap_or_default()
    }

    fn read(
        _: Address,
        observation: Self::Observation,
        status: &mut Membership,
    ) -> Option<(u64, Result<S::Reply, CallError>)> {
        let leader = |term: Term| Some(Leader { address: term.owner, term });
        match observation {
            Observation::Replied { tag, reply } => return Some((tag, Ok(reply))),
            Observation::Failed { tag, error } => return Some((tag, Err(error.into()))),
            Observation::Deposed => status.leader = None,
            Observation::Elected(term) => status.leader = leader(term),
            Observation::Installed(view) => {
                status.leader = leader(view.term);
                status.view = Some(view);
            }
            Observation::OtherGroup { from, group } if group.anew.is_some() => {
                tracing::warn!(%from, founder = %group.by, "is in another group, which was founded anew");
            }
            Observation::OtherGroup { from, group } => {
                tracing::warn!(%from, founder = %group.by, "is in another group: one of the two was founded by mistake");
            }
            Observation::FoundedAnew { last, committed } => {
                tracing::warn!(
                    last,
                    committed,
                    "the group is founded anew: what only others held after the last entry is lost; up to `committed`, this \
                     life knew that nothing is missing"
                );
            }
            Observation::Started(_)
            | Observation::Restored { .. }
            | Observation::Delivered { .. } => {}
        }
        None
    }

    /// A view may arrive from a leader that is down by then.
    fn look(state: &Self::State, status: &mut Membership) -> bool {
        // After each step: to look for the view takes a pass over what is not committed.
        if state.leader().is_some() {
            return false;
        }
        let (_, newest) = state.newest_view();
        let is_newer = newest != status.newest;
        status.newest = newest;
        is_newer | status.leader.take().is_some()
    }

    fn lose(peer: Peer, status: &mut Membership) {
        status.leader.take_if(|leader| leader.falls_with(peer));
    }
}

impl<S: Service> Server<Group<S>> {
    /// A watch of the view and the leader, as this process knows them.
    #[must_use]
    pub fn membership(&self) -> watch::Receiver<Membership> {
        self.status.clone()
    }
}

impl<S: Service> Client<Group<S>> {
    /// Has a request carried out at all members, and waits for its reply: for ever, if there is no timeout. The reply comes
    /// when the request is committed, so that it is not lost while a majority of the members has it. It is repeated until then,
    /// and takes effect once. If the future is dropped, it is carried out all the same.
    ///
    /// # Errors
    /// [`CallError::TooLarge`], [`CallError::TimedOut`], [`CallError::Ended`], [`CallError::Busy`] or
    /// [`CallError::ReplyLost`].
    pub async fn call(
        &self,
        request: S::Request,
        timeout: Option<Duration>,
    ) -> Result<S::Reply, CallError> {
        self.check_size(&request)?;
        self.ask(|tag| Command::Call { tag, request, timeout }).await
    }

    /// Asks the local copy of the application, which may be old: a member that is cut off does not know it at once. What the request would change is dropped. For an answer that is certainly up to date, make a
    /// [`call`](Self::call) of it.
    ///
    /// # Errors
    /// [`CallError::TooLarge`], [`CallError::NotUpToDate`] or [`CallError::Ended`].
    pub async fn query(&self, request: S::Request) -> Result<S::Reply, CallError> {
        self.check_size(&request)?;
        self.ask(|tag| Command::Query { tag, request }).await
    }

    /// Has a request carried out at all members, without a reply. Waits for room in the queue of commands. It is repeated
    /// until it is committed.
    ///
    /// # Errors
    /// [`CallError::TooLarge`], or [`CallError::Ended`] if the server has ended. The request was not sent.
    pub async fn mcast(&self, request: S::Request) -> Result<(), CallError> {
        self.check_size(&request)?;
        Ok(self.commands.send(Command::Mcast(request)).await?)
    }

    /// Leaves the group. The process ends when that is committed, with [`LEFT`](group::LEFT) as its reason. It has to wait for a
    /// majority.
    ///
    /// # Errors
    /// If the server has ended.
    pub async fn leave(&self) -> Result<(), Ended> {
        self.commands.send(Command::Leave).await
    }

    /// Has another member take over, if this one leads and another one holds everything.
    ///
    /// # Errors
    /// If the server has ended.
    pub async fn hand_over(&self) -> Result<(), Ended> {
        self.commands.send(Command::HandOver).await
    }

    /// Founds the group anew, from what this process holds, with itself as the only member. Only for a group that has lost its
    /// majority for good: see [`Command::FoundAnew`] for what it does to the others, and what is lost. It is done when this
    /// process leads.
    ///
    /// # Errors
    /// If the server has ended.
    pub async fn found_anew(&self) -> Result<(), Ended> {
        self.commands.send(Command::FoundAnew).await
    }
}

impl From<group::CallFailure> for CallError {
    fn from(error: group::CallFailure) -> Self {
        match error {
            group::CallFailure::TimedOut => Self::TimedOut,
            group::CallFailure::Busy => Self::Busy,
            group::CallFailure::ReplyLost => Self::ReplyLost,
            group::CallFailure::NotUpToDate => Self::NotUpToDate,
        }
    }
}
