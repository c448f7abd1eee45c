//! A machine that runs for clients: it answers their calls.

mod gen_leader;
mod group;

pub use group::Membership;

use super::{
    config::Config,
    detector::Detector,
    directory::Directory,
    error::{Ended, Ending, RunError, SpawnError},
    node::{Commands, Node, Shutdown},
    observer::Observer,
    status::Peers,
    storage::Storage,
    transport::{Tcp, Transport},
};
use crate::machine::{Address, Machine, Peer};
use postcard::ser_flavors::Size;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{oneshot, watch};

/// A machine that runs for clients: the same [`GenLeader`](crate::gen_leader::GenLeader) or [`Group`](crate::group::Group)
/// that was checked.
///
/// Use it like a [`Node`]: start it with [`spawn`](Self::spawn) or [`spawn_with`](Self::spawn_with), call it through its
/// [`client`](Self::client)s, end it with [`shut_down`](Self::shut_down), or wait for its end with [`ended`](Self::ended).
/// Its observations need no reader: replies go to the callers, and what it knows of the leader is a watch.
///
/// # Example
///
/// The founder of a group that is alone, and the dictionary of the seeds:
///
/// ```
/// use interrex::{
///     gen_leader::{Dictionary, dictionary::{Reply, Request}},
///     group::Group,
///     machine::NodeId,
///     runtime::{ClusterKey, Config, Server},
/// };
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let machine = Group::new(Dictionary::<String, u32>::default());
/// let config = Config::new(NodeId(0), "127.0.0.1:0", [], ClusterKey::generate()?, "group");
/// let server = Server::spawn(machine, config).await?;
///
/// let client = server.client();
/// let stored = client.call(Request::Store("answer".into(), 42), None).await?;
/// assert_eq!(stored, Reply::Ok);
/// let found = client.query(Request::Lookup("answer".into())).await?;
/// assert_eq!(found, Reply::Found(Some(42)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server<M: Serving> {
    node: Node<M>,
    client: Client<M>,
    status: watch::Receiver<M::Status>,
}

/// A machine that answers calls. Implemented for [`GenLeader`](crate::gen_leader::GenLeader) and
/// [`Group`](crate::group::Group) only.
pub trait Serving: Machine + Send + Sync + Sized + 'static {
    /// The reply to a call.
    type Reply: Send + 'static;
    /// The knowledge that a process has of its leader.
    type Status: Clone + Default + PartialEq + Send + Sync + 'static;

    /// The configuration that must be equal at all nodes: [`Config::configuration`].
    fn configuration(&self) -> String;

    /// Reads an observation: it may change the status, and it may be the answer to a call.
    fn read(
        me: Address,
        observation: Self::Observation,
        status: &mut Self::Status,
    ) -> Option<(u64, Result<Self::Reply, CallError>)>;

    /// Looks at the state after the observations of its steps: not everything is observed. Returns true if that changes the
    /// status.
    #[must_use]
    fn look(_: &Self::State, _: &mut Self::Status) -> bool {
        false
    }

    /// A peer is down.
    fn lose(peer: Peer, status: &mut Self::Status);
}

/// A leader, and what tells its leadership apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader<Term> {
    /// The process.
    pub address: Address,
    /// The term: for a [`Bully`](crate::gen_leader::Bully), the election's number. A leader may lead for several.
    pub term: Term,
}

impl<Term> Leader<Term> {
    /// True if it is down when this peer is.
    fn falls_with(&self, peer: Peer) -> bool {
        match peer {
            Peer::Name(node) => node == self.address.node,
            // A later life is not there before this one is over.
            Peer::Process(process) => {
                process.node == self.address.node && process.life >= self.address.life
            }
        }
    }
}

/// Calls and casts to a server. It can be cloned and used by any number of tasks, and does not keep the server alive.
pub struct Client<M: Serving> {
    commands: Commands<M>,
    max_request_bytes: usize,
    calls: Arc<PendingCalls<M::Reply>>,
}

impl<M: Serving> Clone for Client<M> {
    fn clone(&self) -> Self {
        let (commands, calls) = (self.commands.clone(), Arc::clone(&self.calls));
        Self { commands, max_request_bytes: self.max_request_bytes, calls }
    }
}

/// The reason why a call failed.
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
    /// Too many calls of the local node are under way. The request has no effect.
    #[error("too many calls are under way: the request has not taken effect")]
    Busy,
    /// The request is larger than [`max_request_bytes`](super::Limits::max_request_bytes). It has no effect.
    #[error("the request has {bytes} bytes, and may have {most}: it has not taken effect")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// The local copy may lack what counts. The query was not answered.
    #[error("not up to date: no leader is known here, or what it has is still to come")]
    NotUpToDate,
    /// The request has taken effect, once, but the local node has missed it and the reply is lost.
    #[error("the request has taken effect, but its reply is lost: this node has missed it")]
    ReplyLost,
}

impl From<Ended> for CallError {
    fn from(Ended: Ended) -> Self {
        Self::Ended
    }
}

impl<M: Serving> Server<M> {
    /// Starts it over TCP; see [`Node::spawn`].
    ///
    /// # Errors
    /// If the log, the storage, the address or the contacts cannot be used, or another node differs; see [`SpawnError`].
    pub async fn spawn(machine: M, config: Config) -> Result<Self, SpawnError> {
        let (detector, storage) = (config.heartbeats, config.data.clone().map(Directory::new));
        Self::spawn_with(machine, config, Tcp, detector, storage).await
    }

    /// Starts it over any transport, with any detector and storage; see [`Node::spawn_with`]. If the
    /// [`configuration`](Config::configuration) is empty, it becomes what must be equal at all nodes: a roster, if the
    /// machine has one. Nodes with another are refused.
    ///
    /// # Errors
    /// If the log, the storage, the address or the contacts cannot be used, or another node differs; see [`SpawnError`].
    pub async fn spawn_with(
        machine: M,
        mut config: Config,
        transport: impl Transport,
        detector: impl Detector,
        storage: impl Storage<M::Stable>,
    ) -> Result<Self, SpawnError> {
        if config.configuration.is_empty() {
            config.configuration = machine.configuration();
        }
        let max_request_bytes = config.limits.max_request_bytes;
        let calls = Arc::new(PendingCalls::default());
        let (changed, status) = watch::channel(M::Status::default());
        let reader = Reader::<M> { calls: Arc::clone(&calls), status: changed };
        let node =
            Node::spawn_observed(machine, config, transport, detector, storage, reader).await?;
        let client = Client { commands: node.commands().clone(), max_request_bytes, calls };
        Ok(Self { node, client, status })
    }

    /// A client of this server.
    #[must_use]
    pub fn client(&self) -> Client<M> {
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

    /// A watch of the other nodes; see [`Node::peers`].
    #[must_use]
    pub fn peers(&self) -> watch::Receiver<Peers> {
        self.node.peers()
    }

    /// A handle that ends it from any task, while this one waits for its [end](Self::ended).
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

impl<M: Serving> Client<M> {
    /// A request that no message can carry would never arrive, and hold up those after it.
    fn check_size(&self, request: &impl Serialize) -> Result<(), CallError> {
        let size = postcard::serialize_with_flavor(request, Size::default());
        // What cannot be encoded has no size, and is refused like something endless.
        let (bytes, most) = (size.unwrap_or(usize::MAX), self.max_request_bytes);
        if bytes > most { Err(CallError::TooLarge { bytes, most }) } else { Ok(()) }
    }

    async fn ask(&self, command: impl FnOnce(u64) -> M::Command) -> Result<M::Reply, CallError> {
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
struct Reader<M: Serving> {
    calls: Arc<PendingCalls<M::Reply>>,
    status: watch::Sender<M::Status>,
}

impl<M: Serving> Reader<M> {
    /// Changes the status. Whoever watches it learns of it only if it is another one then.
    fn change<R>(&self, change: impl FnOnce(&mut M::Status) -> R) -> R {
        let mut status = self.status.borrow().clone();
        let result = change(&mut status);
        self.status.send_if_modified(|before| {
            let is_other = *before != status;
            *before = status;
            is_other
        });
        result
    }
}

/// Takes every observation, so that none waits for a program to read it.
impl<M: Serving> Observer<M> for Reader<M> {
    fn observe(&mut self, me: Address, observation: M::Observation) -> Option<M::Observation> {
        let answer = self.change(|status| M::read(me, observation, status));
        if let Some((tag, answer)) = answer
            && let Some(caller) = self.calls.pending().remove(&tag)
        {
            // The caller may have stopped waiting.
            let _ = caller.send(answer);
        }
        None
    }

    fn look(&mut self, state: &M::State) {
        self.status.send_if_modified(|status| M::look(state, status));
    }

    fn down(&mut self, peer: Peer) {
        self.change(|status| M::lose(peer, status));
    }
}

impl<M: Serving> Drop for Reader<M> {
    fn drop(&mut self) {
        self.calls.pending().clear();
    }
}
