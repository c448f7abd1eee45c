//! A `gen_leader` that runs, and calls to it.

use super::{
    config::Config,
    detector::Detector,
    node::{Commands, Ending, Node, RunError, SpawnError},
    storage::{Directory, Storage},
    transport::{Tcp, Transport},
};
use crate::{
    gen_leader::{self, Behaviour, Command, Election, GenLeader, Observation},
    machine::Address,
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{oneshot, watch};

/// A `gen_leader` that runs: the application, the very one that was checked, over any of the elections.
///
/// A reply comes from what a callback returns, or later, from any callback, by
/// [`Context::reply`](gen_leader::Context::reply). A task of the program that has found an answer says so with a
/// [`cast`](Client::cast), and the callback replies.
///
/// # Example
///
/// A candidate that is alone, and the dictionary of the seeds:
///
/// ```
/// use interrex::{
///     gen_leader::{Bully, Dictionary, GenLeader, Repairs, Roster, dictionary::{Reply, Request}},
///     machine::NodeId,
///     runtime::{ClusterKey, Config, Server},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let dictionary = Dictionary::<String, u32>::default();
/// let machine: GenLeader<Bully, _> = GenLeader::repaired(dictionary, Roster::new(1, 0), Repairs::all());
/// let config = Config::new(NodeId(0), "127.0.0.1:0", [], ClusterKey::generate()?, "gen_leader");
/// let server = Server::spawn(machine, config).await?;
///
/// let client = server.client();
/// let stored = client.leader_call(Request::Store("answer".into(), 42), None).await?;
/// assert_eq!(stored, Reply::Ok);
/// let found = client.call(Request::Lookup("answer".into()), None).await?;
/// assert_eq!(found, Reply::Found(Some(42)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server<E: Election, B: Behaviour<E>> {
    node: Node<GenLeader<E, B>>,
    client: Client<E, B>,
    leader: watch::Receiver<Option<Address>>,
}

/// Calls and casts, for any number of tasks. Those of a server that has ended fail.
pub struct Client<E: Election, B: Behaviour<E>> {
    commands: Commands<GenLeader<E, B>>,
    calls: Arc<PendingCalls<B::Reply>>,
}

impl<E: Election, B: Behaviour<E>> Clone for Client<E, B> {
    fn clone(&self) -> Self {
        Self { commands: self.commands.clone(), calls: Arc::clone(&self.calls) }
    }
}

/// Why a call has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The leader died while the call was out. It may have been carried out.
    #[error("the leader died while the call was out")]
    LeaderDied,
    /// The client has waited long enough. It may still be carried out.
    #[error("no answer in time")]
    TimedOut,
    /// The local node has ended.
    #[error("the local node has ended")]
    Ended,
}

impl<E: Election, B: Behaviour<E>> Server<E, B> {
    /// Runs it over TCP, in the current tokio runtime.
    ///
    /// # Errors
    /// If it cannot come up.
    pub async fn spawn(machine: GenLeader<E, B>, config: Config) -> Result<Self, SpawnError> {
        let (detector, storage) = (config.heartbeats, config.data.clone().map(Directory::new));
        Self::spawn_with(machine, config, Tcp, detector, storage).await
    }

    /// Runs it over any transport, with any detector and storage; those of the configuration are not used.
    ///
    /// # Errors
    /// If it cannot come up.
    pub async fn spawn_with(
        machine: GenLeader<E, B>,
        config: Config,
        transport: impl Transport,
        detector: impl Detector,
        storage: impl Storage<E::Stable>,
    ) -> Result<Self, SpawnError> {
        let calls = Arc::new(PendingCalls::default());
        let (recognised, leader) = watch::channel(None);
        let calls_tap = Tap { calls: Arc::clone(&calls), recognised };
        let tap = move |me, observation| calls_tap.take(me, observation);
        let node = Node::spawn_tapped(machine, config, transport, detector, storage, tap).await?;
        let client = Client { commands: node.commands().clone(), calls };
        Ok(Self { node, client, leader })
    }

    /// Who calls and casts.
    #[must_use]
    pub fn client(&self) -> Client<E, B> {
        self.client.clone()
    }

    /// The process that runs.
    #[must_use]
    pub fn me(&self) -> Address {
        self.node.me()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.node.address()
    }

    /// Whom it has recognised as leader last, itself maybe, and whenever that changes. (Between the death of a leader
    /// and the next election it is still the dead one.)
    #[must_use]
    pub fn leader(&self) -> watch::Receiver<Option<Address>> {
        self.leader.clone()
    }

    /// Ends it; see [`Node::shut_down`].
    ///
    /// # Errors
    /// Those with which it had ended already.
    pub async fn shut_down(self) -> Result<Ending, RunError> {
        self.node.shut_down().await
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// If it ended because something went wrong.
    pub async fn ended(self) -> Result<Ending, RunError> {
        drop(self.client);
        self.node.ended().await
    }
}

impl<E: Election, B: Behaviour<E>> Client<E, B> {
    /// The local process answers. Without a time-out, it may wait for ever.
    ///
    /// # Errors
    /// If there is no answer in time, or no server any more.
    pub async fn call(
        &self,
        request: B::Request,
        timeout: Option<Duration>,
    ) -> Result<B::Reply, CallError> {
        self.ask(|tag| Command::Call { tag, request, timeout }).await
    }

    /// The leader answers, wherever it is. Without a time-out, it may wait for ever.
    ///
    /// # Errors
    /// If there is no answer in time, the leader died, or there is no server any more. Whether the leader has done
    /// what was asked is unknown then.
    pub async fn leader_call(
        &self,
        request: B::Request,
        timeout: Option<Duration>,
    ) -> Result<B::Reply, CallError> {
        self.ask(|tag| Command::LeaderCall { tag, request, timeout }).await
    }

    /// Said to the local process. False if the server has ended.
    pub async fn cast(&self, request: B::Request) -> bool {
        self.commands.send(Command::Cast(request)).await
    }

    /// Said to the leader. False if the server has ended.
    pub async fn leader_cast(&self, request: B::Request) -> bool {
        self.commands.send(Command::LeaderCast(request)).await
    }

    /// Any other message to the local process. False if the server has ended.
    pub async fn info(&self, request: B::Request) -> bool {
        self.commands.send(Command::Info(request)).await
    }

    async fn ask(
        &self,
        command: impl FnOnce(u64) -> Command<B::Request>,
    ) -> Result<B::Reply, CallError> {
        let (call, answer) = Call::begin(&self.calls);
        if !self.commands.send(command(call.tag)).await {
            return Err(CallError::Ended);
        }
        answer.await.unwrap_or(Err(CallError::Ended))
    }
}

type Answer<R> = Result<R, CallError>;

/// The calls that wait for an answer, by their tags.
#[derive(Debug)]
struct PendingCalls<R> {
    pending: Mutex<BTreeMap<u64, oneshot::Sender<Answer<R>>>>,
    next: AtomicU64,
}

impl<R> Default for PendingCalls<R> {
    fn default() -> Self {
        Self { pending: Mutex::default(), next: AtomicU64::new(0) }
    }
}

impl<R> PendingCalls<R> {
    fn pending(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<Answer<R>>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is pending until it is dropped.
struct Call<'a, R> {
    calls: &'a PendingCalls<R>,
    tag: u64,
}

impl<'a, R> Call<'a, R> {
    fn begin(calls: &'a PendingCalls<R>) -> (Self, oneshot::Receiver<Answer<R>>) {
        let tag = calls.next.fetch_add(1, Ordering::Relaxed);
        let (answered, answer) = oneshot::channel();
        calls.pending().insert(tag, answered);
        (Self { calls, tag }, answer)
    }
}

impl<R> Drop for Call<'_, R> {
    fn drop(&mut self) {
        self.calls.pending().remove(&self.tag);
    }
}

/// Hands answers to the callers. The node drops it when it ends; then the pending calls fail.
struct Tap<R> {
    calls: Arc<PendingCalls<R>>,
    recognised: watch::Sender<Option<Address>>,
}

impl<R> Tap<R> {
    /// Takes every observation, so that none waits for a program to read it.
    fn take<T>(&self, me: Address, observation: Observation<T, R>) -> Option<Observation<T, R>> {
        match observation {
            Observation::Replied { tag, reply } => self.answer(tag, Ok(reply)),
            Observation::Failed { tag, error } => self.answer(tag, Err(error.into())),
            Observation::Elected { .. } => self.recognise(me),
            Observation::Surrendered { leader, .. } => self.recognise(leader),
            Observation::Followed { .. } | Observation::Terminated(_) => {}
        }
        None
    }

    fn answer(&self, tag: u64, answer: Answer<R>) {
        if let Some(caller) = self.calls.pending().remove(&tag) {
            // The caller may have stopped waiting.
            let _ = caller.send(answer);
        }
    }

    fn recognise(&self, leader: Address) {
        self.recognised.send_replace(Some(leader));
    }
}

impl<R> Drop for Tap<R> {
    fn drop(&mut self) {
        self.calls.pending().clear();
    }
}

impl From<gen_leader::CallError> for CallError {
    fn from(error: gen_leader::CallError) -> Self {
        match error {
            gen_leader::CallError::LeaderDied => Self::LeaderDied,
            gen_leader::CallError::TimedOut => Self::TimedOut,
        }
    }
}
