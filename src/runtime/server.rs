//! A `gen_leader` that runs, and calls to it.

use super::{
    config::Config,
    detector::Detector,
    error::{Ended, Ending, RunError, SpawnError},
    node::{Commands, Node, Shutdown},
    observer::Observer,
    status::Peers,
    storage::{Directory, Storage},
    transport::{Tcp, Transport},
};
use crate::{
    gen_leader::{self, Behaviour, Command, Election, GenLeader, Observation},
    machine::{Address, Peer, Value},
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

/// A `gen_leader` that runs: the same application that was checked, over any of the elections.
///
/// Use it like a [`Node`]: start it with [`spawn`](Self::spawn) or [`spawn_with`](Self::spawn_with), call it through its
/// [`client`](Self::client)s, end it with [`shut_down`](Self::shut_down), or wait for its end with [`ended`](Self::ended).
/// Its observations need no reader: replies go to the callers, and the leader is a [watch](Self::leader).
///
/// A callback replies at once with its return value, or any callback replies later with
/// [`Context::reply`](gen_leader::Context::reply). If a task of the program computes the reply, it sends the result with
/// [`cast`](Client::cast), and that callback replies.
///
/// # Example
///
/// A candidate that is alone, and the dictionary of the seeds:
///
/// ```
/// use interrex::{
///     gen_leader::{Bully, Dictionary, GenLeader, Roster, dictionary::{Reply, Request}},
///     machine::NodeId,
///     runtime::{ClusterKey, Config, Server},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let dictionary = Dictionary::<String, u32>::default();
/// let machine: GenLeader<Bully, _> = GenLeader::new(dictionary, Roster::new(1, 0));
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
    leader: watch::Receiver<Option<Leader<E::Term>>>,
}

/// A leader, and what tells its leadership apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader<Term> {
    /// The process.
    pub address: Address,
    /// The term: for a [`Bully`](gen_leader::Bully), the election's number. A leader may lead for several.
    pub term: Term,
}

/// Calls and casts to a server. It can be cloned and used by any number of tasks, and does not keep the server alive.
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
#[non_exhaustive]
pub enum CallError {
    /// The leader died during the call. The request may have been carried out.
    #[error("the leader died during the call: the request may have taken effect")]
    LeaderDied,
    /// The timeout of the call has passed. The request may have been carried out, or may still be.
    #[error("no answer in time: the request may still take effect")]
    TimedOut,
    /// The local node has ended, before or during the call. The request may have been carried out by the leader, or may
    /// still be.
    #[error("the local node has ended")]
    Ended,
}

impl From<Ended> for CallError {
    fn from(Ended: Ended) -> Self {
        Self::Ended
    }
}

impl<E: Election, B: Behaviour<E>> Server<E, B> {
    /// Starts it over TCP; see [`Node::spawn`].
    ///
    /// # Errors
    /// If the log, the storage, the address or the contacts cannot be used, or another node differs; see [`SpawnError`].
    pub async fn spawn(machine: GenLeader<E, B>, config: Config) -> Result<Self, SpawnError> {
        let (detector, storage) = (config.heartbeats, config.data.clone().map(Directory::new));
        Self::spawn_with(machine, config, Tcp, detector, storage).await
    }

    /// Starts it over any transport, with any detector and storage; see [`Node::spawn_with`]. The roster becomes the
    /// [`configuration`](Config::configuration) if that is empty: nodes with another roster are refused.
    ///
    /// # Errors
    /// If the log, the storage, the address or the contacts cannot be used, or another node differs; see [`SpawnError`].
    pub async fn spawn_with(
        machine: GenLeader<E, B>,
        mut config: Config,
        transport: impl Transport,
        detector: impl Detector,
        storage: impl Storage<E::Stable>,
    ) -> Result<Self, SpawnError> {
        if config.configuration.is_empty() {
            // A roster is always JSON.
            config.configuration = serde_json::to_string(machine.roster()).unwrap_or_default();
        }
        let calls = Arc::new(PendingCalls::default());
        let (recognised, leader) = watch::channel(None);
        let replies = Replies { calls: Arc::clone(&calls), recognised };
        let node =
            Node::spawn_observed(machine, config, transport, detector, storage, replies).await?;
        let client = Client { commands: node.commands().clone(), calls };
        Ok(Self { node, client, leader })
    }

    /// A client of this server.
    #[must_use]
    pub fn client(&self) -> Client<E, B> {
        self.client.clone()
    }

    /// The address of the process, in its current life.
    #[must_use]
    pub fn me(&self) -> Address {
        self.node.me()
    }

    /// The network address where it listens, with the actual port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.node.address()
    }

    /// A watch of the leader that this process recognises, which may be itself. None before the first election, and from the
    /// end of a leader, or its suspicion, until the next one is recognised.
    ///
    /// A process that nobody has told of an election recognises a leader that is none any more: with these protocols, a
    /// process that was taken for dead may go on to lead. [`peers`](Self::peers) tells when that has happened.
    #[must_use]
    pub fn leader(&self) -> watch::Receiver<Option<Leader<E::Term>>> {
        self.leader.clone()
    }

    /// A watch of the other nodes; see [`Node::peers`].
    #[must_use]
    pub fn peers(&self) -> watch::Receiver<Peers> {
        self.node.peers()
    }

    /// Ends it from another task, while this one waits for its [end](Self::ended).
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.node.shutdown()
    }

    /// Ends it; see [`Node::shut_down`]. Pending calls fail with [`CallError::Ended`].
    ///
    /// # Errors
    /// If it had ended with an error before.
    pub async fn shut_down(self) -> Result<Ending, RunError> {
        self.node.shut_down().await
    }

    /// Waits until it ends, by itself or by its [`Shutdown`].
    ///
    /// # Errors
    /// If it ends with an error.
    pub async fn ended(self) -> Result<Ending, RunError> {
        drop(self.client);
        self.node.ended().await
    }
}

impl<E: Election, B: Behaviour<E>> Client<E, B> {
    /// Calls the local process, and waits for its reply: for ever, if there is no timeout. If the future is dropped, the
    /// call is carried out all the same.
    ///
    /// # Errors
    /// [`CallError::TimedOut`] or [`CallError::Ended`].
    pub async fn call(
        &self,
        request: B::Request,
        timeout: Option<Duration>,
    ) -> Result<B::Reply, CallError> {
        self.ask(|tag| Command::Call { tag, request, timeout }).await
    }

    /// Calls the leader, at any node, and waits for its reply: for ever, if there is no timeout. If the future is dropped,
    /// the call is carried out all the same.
    ///
    /// # Errors
    /// [`CallError::LeaderDied`], [`CallError::TimedOut`] or [`CallError::Ended`]. It is unknown then if the leader has
    /// carried out the request.
    pub async fn leader_call(
        &self,
        request: B::Request,
        timeout: Option<Duration>,
    ) -> Result<B::Reply, CallError> {
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

    async fn ask(
        &self,
        command: impl FnOnce(u64) -> Command<B::Request>,
    ) -> Result<B::Reply, CallError> {
        let (call, answer) = Call::begin(&self.calls);
        self.commands.send(command(call.tag)).await?;
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

/// The observer of a server: hands replies to the callers. The node drops it when it ends; then the pending calls fail.
struct Replies<T, R> {
    calls: Arc<PendingCalls<R>>,
    recognised: watch::Sender<Option<Leader<T>>>,
}

/// Takes every observation, so that none waits for a program to read it.
impl<T: Value, R: Send + 'static> Observer<Observation<T, R>> for Replies<T, R> {
    fn observe(
        &mut self,
        me: Address,
        observation: Observation<T, R>,
    ) -> Option<Observation<T, R>> {
        match observation {
            Observation::Replied { tag, reply } => self.answer(tag, Ok(reply)),
            Observation::Failed { tag, error } => self.answer(tag, Err(error.into())),
            Observation::Elected { term } => self.recognise(me, term),
            Observation::Surrendered { leader, term } => self.recognise(leader, term),
            Observation::Followed { .. } | Observation::Terminated(_) => {}
        }
        None
    }

    fn down(&mut self, peer: Peer) {
        self.recognised.send_if_modified(|leader| {
            let over = |leader: &Leader<T>| {
                peer == leader.address.into() || peer == Peer::Name(leader.address.node)
            };
            leader.take_if(|leader| over(leader)).is_some()
        });
    }
}

impl<T, R> Replies<T, R> {
    fn answer(&self, tag: u64, answer: Answer<R>) {
        if let Some(caller) = self.calls.pending().remove(&tag) {
            // The caller may have stopped waiting.
            let _ = caller.send(answer);
        }
    }

    fn recognise(&self, address: Address, term: T) {
        self.recognised.send_replace(Some(Leader { address, term }));
    }
}

impl<T, R> Drop for Replies<T, R> {
    fn drop(&mut self) {
        self.calls.pending().clear();
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
