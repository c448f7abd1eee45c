//! A node: a machine that runs, as its program sees it.

use super::{
    component::Component,
    config::Config,
    detector::Detector,
    directory::Directory,
    error::{Ended, Ending, RunError, SpawnError, TrySendError},
    links::{Links, Unmet},
    log::Log,
    observer::{Forward, Observer},
    process::{Process, Queues},
    status::Peers,
    storage::{Owner, Storage},
    transport::{Tcp, Transport},
};
use crate::machine::{Address, Boot, Machine, NodeId, Value};
use std::{
    net::SocketAddr,
    path::Path,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{
        Semaphore,
        mpsc::{self, error::TrySendError as Full},
        watch,
    },
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

/// A machine that runs, in a task of its own.
///
/// # Its methods, in the order of their use
///
/// 1. **Start**: [`spawn`](Self::spawn), or [`spawn_with`](Self::spawn_with). When it returns, the node listens and the
///    machine starts.
/// 2. **Properties**, which do not change and can be read at any time: [`me`](Self::me), [`address`](Self::address).
///    The other nodes are a watch: [`peers`](Self::peers).
/// 3. **Inputs**, at any time and from any task: [`commands`](Self::commands), which can be cloned. When the node has
///    ended, sending fails.
/// 4. **Outputs**: [`observation`](Self::observation) or [`poll_observation`](Self::poll_observation), again and again,
///    until it returns none: then the node has ended.
/// 5. **End**: [`shut_down`](Self::shut_down) ends the node, [`ended`](Self::ended) waits until it ends by itself or by a
///    [`Shutdown`]. Both say how it has ended. Dropping the node shuts it down in the background.
///
/// # Observations must be read
///
/// Each observation is queued for the program. When
/// [`max_queued_observations`](super::Limits::max_queued_observations) are queued, the machine stands still until one is
/// read: it handles no message, no timer and no command, and [`Commands::send`] waits in the end. Heartbeats go on, so that
/// the other nodes do not suspect this one. But their messages are no longer read either. A node whose messages the kernel
/// cannot take for ten times the detector's timeout closes its connection to this one, and those messages are lost.
///
/// A program that needs no observations can read and drop them, or call [`ended`](Self::ended), which does so.
#[derive(Debug)]
pub struct Node<M: Machine> {
    me: Address,
    address: SocketAddr,
    commands: Commands<M>,
    observations: mpsc::Receiver<M::Observation>,
    peers: watch::Receiver<Peers>,
    task: JoinHandle<Result<Ending, RunError>>,
    shutdown: Shutdown,
    /// A node that is dropped shuts down.
    _shut_down_when_dropped: DropGuard,
}

/// Ends a node from anywhere. It can be cloned, and does not keep the node alive.
#[derive(Clone, Debug)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Shuts the node down in the background, as [`Node::shut_down`] does. [`Node::ended`] says when it has ended. Nothing
    /// happens if it has ended already.
    pub fn begin(&self) {
        self.0.cancel();
    }
}

/// The queue of a node's commands. It can be cloned, and does not keep the node alive.
#[derive(Debug)]
pub struct Commands<M: Machine>(mpsc::Sender<M::Command>);

impl<M: Machine> Clone for Commands<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> Node<M>
where
    M: Machine + Send + Sync + 'static,
{
    /// Starts a node over TCP, in the current tokio runtime, with the detector and storage of the configuration.
    ///
    /// It returns when the node listens and was reached at its listed address, each other node was reached or could not be, and, if contacts are configured, one
    /// of them was reached. So a machine starts with the other nodes connected, and a configuration that differs from theirs
    /// is an error before anything happens. It takes up to [`Limits::handshake_timeout`](super::Limits::handshake_timeout)
    /// if a host does not answer at all.
    ///
    /// # Errors
    /// If the log, the storage, the address or the contacts cannot be used, or another node differs; see [`SpawnError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime, or if that has no I/O or no time.
    ///
    /// # Example
    ///
    /// A group of one:
    ///
    /// ```
    /// use interrex::{gms3::{Command, Gms3, Observation}, machine::NodeId, runtime::{ClusterKey, Config, Node}};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let config = Config::new(NodeId(0), "127.0.0.1:0", [], ClusterKey::generate()?, "gms3");
    /// let mut node = Node::spawn(Gms3::<String>::default(), config).await?;
    ///
    /// node.commands().send(Command::Mcast("hello".into())).await?;
    /// let delivered = Observation::Delivered { number: 1, message: "hello".into() };
    /// assert_eq!(node.observation().await, Some(delivered));
    /// node.shut_down().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn spawn(machine: M, config: Config) -> Result<Self, SpawnError> {
        let (detector, storage) = (config.heartbeats, config.data.clone().map(Directory::new));
        Self::spawn_with(machine, config, Tcp, detector, storage).await
    }

    /// Starts a node over any transport, with any detector and storage. `heartbeats` and `data` of the configuration are
    /// not used.
    ///
    /// # Errors
    /// If the log, the storage, the address or the contacts cannot be used, or another node differs; see [`SpawnError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime, or if that lacks what the transport needs. Panics of the transport's `listen`, the first
    /// call of the detector's `period`, and the storage's `open` are passed on.
    pub async fn spawn_with(
        machine: M,
        config: Config,
        transport: impl Transport,
        detector: impl Detector,
        storage: impl Storage<M::Stable>,
    ) -> Result<Self, SpawnError> {
        Self::spawn_observed(machine, config, transport, detector, storage, Forward).await
    }

    /// Starts a node whose observations go to an observer first.
    pub(super) async fn spawn_observed(
        machine: M,
        config: Config,
        transport: impl Transport,
        detector: impl Detector,
        mut storage: impl Storage<M::Stable>,
        observer: impl Observer<M>,
    ) -> Result<Self, SpawnError> {
        if let Some(problem) = config.problem() {
            return Err(SpawnError::Configuration(problem));
        }
        let log = config.log.as_deref().map(|path| open_log(path, &config)).transpose()?;
        let mut owner = Owner::of(&config);
        let mut opened = storage.open(&owner)?;
        let me = |life| Address { node: config.node, life };
        let listen = |source| SpawnError::Listen { at: config.listen.clone(), source };
        let links = Links::open(transport, detector, &config, me(opened.life)).await;
        let mut links = links.map_err(listen)?;
        let mut attempts = 1;
        while let Err(unmet) = links.meet().await {
            // Also if it does not start: somebody else may listen there then.
            links.stop_listening().await;
            let has_stored = !opened.stable.is_empty();
            owner.least_life = next_life(unmet, attempts, has_stored)?;
            attempts += 1;
            opened = storage.open(&owner)?;
            links = links.reopen(&config, me(opened.life)).await.map_err(listen)?;
        }
        let me = me(opened.life);
        let changes = opened.stable.into_iter();
        let stable = changes.fold(None, |before, change| Some(machine.stored(before, change)));
        let finds = stable.as_ref().is_some_and(|stored| machine.finds_its_group(stored));
        let contact = if config.contacts.is_empty() || finds {
            None
        } else {
            let reached = reach(&mut links, &config.contacts, config.limits.contact_timeout).await;
            if reached.is_err() {
                links.stop_listening().await;
            }
            Some(reached?)
        };
        let address = links.address();
        let (commands, receiver) = mpsc::channel(capacity(config.limits.max_queued_commands));
        let (sender, observations) = mpsc::channel(capacity(config.limits.max_queued_observations));
        let shutdown = CancellationToken::new();
        let peers = links.status();
        let process = Process::new(
            machine,
            me,
            links,
            storage,
            log,
            observer,
            Queues { commands: receiver, observations: sender },
        );
        let boot = Boot { me, stable, contact };
        let span = tracing::info_span!("node", %me, protocol = config.protocol);
        let task = tokio::spawn(process.run(boot, config, shutdown.clone()).instrument(span));
        let commands = Commands(commands);
        Ok(Self {
            me,
            address,
            commands,
            observations,
            peers,
            task,
            _shut_down_when_dropped: shutdown.clone().drop_guard(),
            shutdown: Shutdown(shutdown),
        })
    }

    /// The address of the process, in its current life.
    #[must_use]
    pub fn me(&self) -> Address {
        self.me
    }

    /// The network address where it listens, with the actual port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The queue of its commands. Clone it to send from other tasks.
    #[must_use]
    pub fn commands(&self) -> &Commands<M> {
        &self.commands
    }

    /// A watch of the other nodes: which processes are connected, and which have taken this one for dead. Its sender is
    /// dropped when the node has ended.
    #[must_use]
    pub fn peers(&self) -> watch::Receiver<Peers> {
        self.peers.clone()
    }

    /// A handle that ends the node from any task, while this one waits for its [end](Self::ended).
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Waits for the next observation. None: the node has ended, and all observations were read.
    ///
    /// Cancel-safe: no observation is lost if the future is dropped.
    pub async fn observation(&mut self) -> Option<M::Observation> {
        self.observations.recv().await
    }

    /// The same as [`observation`](Self::observation), for a task that polls.
    pub fn poll_observation(&mut self, context: &mut Context<'_>) -> Poll<Option<M::Observation>> {
        self.observations.poll_recv(context)
    }

    /// Ends the node, and waits until it has ended.
    ///
    /// Messages that it has sent are still written, for at most [`CLOSE_TIMEOUT`](super::CLOSE_TIMEOUT); then its connections
    /// end. To the other nodes it has crashed after that. Commands that it has not taken are dropped, and so are unread observations.
    ///
    /// # Errors
    /// If the node had ended with an error before.
    pub async fn shut_down(self) -> Result<Ending, RunError> {
        self.shutdown.begin();
        drop(self.observations);
        ended(self.task).await
    }

    /// Waits until the node ends, by itself or by its [`Shutdown`]. Its observations are dropped.
    ///
    /// # Errors
    /// If the node ends with an error.
    pub async fn ended(mut self) -> Result<Ending, RunError> {
        while self.observations.recv().await.is_some() {}
        ended(self.task).await
    }
}

async fn ended(task: JoinHandle<Result<Ending, RunError>>) -> Result<Ending, RunError> {
    task.await.unwrap_or_else(|error| {
        let payload = error.try_into_panic().map_err(|_| RunError::Cancelled)?;
        let (component, message) = Component::of_panic(payload);
        Err(RunError::Panicked { component, message })
    })
}

impl<M: Machine> Commands<M> {
    /// Queues a command, and waits for room in the queue. A queued command is dropped if the node ends before it takes it.
    ///
    /// # Errors
    /// If the node has ended. The command was not queued.
    pub async fn send(&self, command: M::Command) -> Result<(), Ended> {
        self.0.send(command).await.map_err(|_| Ended)
    }

    /// Queues a command if there is room now. A queued command is dropped if the node ends before it takes it.
    ///
    /// # Errors
    /// If the queue is full or the node has ended. The error returns the command.
    pub fn try_send(&self, command: M::Command) -> Result<(), TrySendError<M::Command>> {
        self.0.try_send(command).map_err(|error| match error {
            Full::Full(command) => TrySendError::Full(command),
            Full::Closed(command) => TrySendError::Ended(command),
        })
    }
}

/// The capacity of a queue with this limit: tokio's queues panic outside of this range.
fn capacity(limit: usize) -> usize {
    limit.clamp(1, Semaphore::MAX_PERMITS)
}

fn open_log(path: &Path, config: &Config) -> Result<Log, SpawnError> {
    let log = Log::open(path, config.node, config.clock);
    log.map_err(|source| SpawnError::Log { path: path.into(), source })
}

/// The number of attempts to start, each with a later life than the one before.
const MAX_ATTEMPTS: u32 = 3;

/// The least number of a life that no other node knows, as far as one of them has said. Storage knows the last life that has
/// used it: if there was a later one, it is not the latest storage.
fn next_life(unmet: Unmet, attempts: u32, has_stored: bool) -> Result<u64, SpawnError> {
    match unmet {
        Unmet::Differs { node, at, how } => Err(SpawnError::Differs { node, at, how }),
        Unmet::LifeIsKnown { by, life } if has_stored => Err(SpawnError::OldStorage { by, life }),
        Unmet::LifeIsKnown { by, life } => {
            let next = life.checked_add(1).filter(|_| attempts < MAX_ATTEMPTS);
            next.ok_or(SpawnError::LifeIsOver { by, life })
        }
        Unmet::NotReached { at, why } => Err(SpawnError::NotAtItsAddress { at, why }),
    }
}

async fn reach<T: Transport, D: Detector, V: Value>(
    links: &mut Links<T, D, V>,
    contacts: &[NodeId],
    within: Duration,
) -> Result<Address, SpawnError> {
    let reached = timeout(within, links.reach(contacts)).await;
    reached.map_err(|_| SpawnError::Contact { contacts: contacts.to_vec(), within })
}
