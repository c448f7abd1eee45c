//! The task of a node: it hands events to the machine and carries out the effects.

use super::{
    config::Config,
    detector::Detector,
    links::{Links, Signal},
    log::{self, End, Entry, Log, Start, Step},
    storage::{Directory, Storage, StorageError},
    timers::Timers,
    transport::{Tcp, Transport},
};
use crate::machine::{Address, Boot, Effect, EffectOf, Event, EventOf, Machine, NodeId, Value};
use serde::Serialize;
use std::{
    borrow::Cow,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    select,
    sync::mpsc::{self, error::TrySendError},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

/// The most events in a batch, whose messages leave together.
const BATCH: usize = 64;
/// How long a node that ends goes on writing the messages that it has sent.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A machine that runs. Dropping it ends the node.
#[derive(Debug)]
pub struct Node<M: Machine> {
    me: Address,
    address: SocketAddr,
    commands: Commands<M>,
    observations: mpsc::Receiver<M::Observation>,
    task: JoinHandle<Result<Ending, RunError>>,
    shutdown: DropGuard,
}

/// Sends commands to a node.
#[derive(Debug)]
pub struct Commands<M: Machine>(mpsc::Sender<M::Command>);

impl<M: Machine> Clone for Commands<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// How a node has ended, if not by an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The machine has stopped, for this reason.
    Stopped(Cow<'static, str>),
    /// The program has shut it down.
    ShutDown,
}

/// Why a node does not start. No task of it is left, and it does not listen.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The storage cannot be used.
    #[error("the storage cannot be used: {0}")]
    Storage(#[from] StorageError),
    /// The log cannot be opened.
    #[error("the log {path} cannot be written: {source}", path = path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The transport cannot listen.
    #[error("cannot listen at {at}: {source}")]
    Listen {
        /// The address.
        at: String,
        /// The transport's reason.
        source: io::Error,
    },
    /// The contact was not reached.
    #[error("{contact}, to join through, was not reached within {within:?}")]
    Contact {
        /// The node to join through.
        contact: NodeId,
        /// How long it was tried.
        within: Duration,
    },
}

/// The error with which a node has ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The stable value cannot be stored.
    #[error("the storage cannot be used: {0}")]
    Storage(#[from] StorageError),
    /// The log cannot be written.
    #[error("the log cannot be written: {0}")]
    Log(#[from] io::Error),
    /// A later life of this node is known to another node.
    #[error(
        "{me} is over: {by} knows life {life} of that node. Either it runs twice, or its lives were counted anew: without \
         what it stored they are numbered by the clock, in seconds, and one must have passed"
    )]
    Superseded {
        /// The process that is over.
        me: Address,
        /// The node that knows a later life.
        by: NodeId,
        /// The number of the later life.
        life: u32,
    },
    /// The machine has panicked, which it must not.
    #[error("the machine has panicked: {0}")]
    Panicked(String),
}

impl<M> Node<M>
where
    M: Machine + Send + Sync + 'static,
{
    /// Runs a machine over TCP, in the current tokio runtime.
    ///
    /// # Errors
    /// If it cannot come up.
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
    /// node.commands().send(Command::Mcast("hello".into())).await;
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

    /// Runs a machine over any transport, with any detector and storage; those of the configuration are not used.
    ///
    /// # Errors
    /// If it cannot come up.
    pub async fn spawn_with(
        machine: M,
        config: Config,
        transport: impl Transport,
        detector: impl Detector,
        storage: impl Storage<M::Stable>,
    ) -> Result<Self, SpawnError> {
        let forward = |_, observation| Some(observation);
        Self::spawn_tapped(machine, config, transport, detector, storage, forward).await
    }

    /// The same; `tap` gets each observation first, and returns what is left of it for
    /// [`observation`](Self::observation).
    pub(super) async fn spawn_tapped(
        machine: M,
        config: Config,
        transport: impl Transport,
        detector: impl Detector,
        mut storage: impl Storage<M::Stable>,
        tap: impl FnMut(Address, M::Observation) -> Option<M::Observation> + Send + 'static,
    ) -> Result<Self, SpawnError> {
        let log = config.log.as_deref().map(open_log).transpose()?;
        let opened = storage.open(config.node)?;
        let me = Address { node: config.node, life: opened.life };
        let listen = |source| SpawnError::Listen { at: config.listen.clone(), source };
        let mut links = Links::open(transport, detector, &config, me).await.map_err(listen)?;
        let contact = match config.contact {
            Some(contact) => Some(reach(&mut links, contact, config.limits.contact_timeout).await?),
            None => None,
        };
        let address = links.address();
        let (commands, queued) = mpsc::channel(config.limits.max_queued_commands);
        let (observed, observations) = mpsc::channel(config.limits.max_queued_observations);
        let shutdown = CancellationToken::new();
        let process = Process {
            machine,
            me,
            state: None,
            steps: 0,
            commands: queued,
            queue_length: metrics::gauge!("interrex_commands", "node" => me.node.to_string()),
            links,
            timers: Timers::new(),
            storage,
            log,
            pending: vec![],
            tap,
            observations: observed,
            ending: None,
        };
        let boot = Boot { me, stable: opened.stable, contact };
        let span = tracing::info_span!("node", %me, protocol = config.protocol);
        let task = tokio::spawn(process.run(boot, config, shutdown.clone()).instrument(span));
        let commands = Commands(commands);
        Ok(Self { me, address, commands, observations, task, shutdown: shutdown.drop_guard() })
    }

    /// The address of the process, in its current life.
    #[must_use]
    pub fn me(&self) -> Address {
        self.me
    }

    /// The network address where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The queue of its commands, to be cloned and kept.
    #[must_use]
    pub fn commands(&self) -> &Commands<M> {
        &self.commands
    }

    /// What the application is told next; none when the node has ended and everything was told. Nothing is lost if
    /// nobody waits for the answer.
    pub async fn observation(&mut self) -> Option<M::Observation> {
        self.observations.recv().await
    }

    /// What the application is told next, for a task that polls.
    pub fn poll_observation(&mut self, context: &mut Context<'_>) -> Poll<Option<M::Observation>> {
        self.observations.poll_recv(context)
    }

    /// Ends the node: what it has sent is handed out, then its connections end. The others take it for one that has
    /// crashed behind that.
    ///
    /// # Errors
    /// Those with which it had ended already.
    pub async fn shut_down(self) -> Result<Ending, RunError> {
        drop((self.shutdown, self.observations));
        ended(self.task).await
    }

    /// Waits until the node ends; its observations are dropped.
    ///
    /// # Errors
    /// If it ended because something went wrong.
    pub async fn ended(mut self) -> Result<Ending, RunError> {
        while self.observations.recv().await.is_some() {}
        ended(self.task).await
    }
}

async fn ended(task: JoinHandle<Result<Ending, RunError>>) -> Result<Ending, RunError> {
    task.await.unwrap_or_else(|error| Err(RunError::Panicked(error.to_string())))
}

impl<M: Machine> Commands<M> {
    /// Hands over a command, when there is room for it. False if the node has ended.
    pub async fn send(&self, command: M::Command) -> bool {
        self.0.send(command).await.is_ok()
    }

    /// Hands over a command if there is room now; gives it back if there is none, or the node has ended.
    ///
    /// # Errors
    /// With the command.
    pub fn try_send(&self, command: M::Command) -> Result<(), M::Command> {
        self.0.try_send(command).map_err(TrySendError::into_inner)
    }
}

fn open_log(path: &Path) -> Result<Log, SpawnError> {
    Log::open(path).map_err(|source| SpawnError::Log { path: path.into(), source })
}

async fn reach<T: Transport, D: Detector, V: Value>(
    links: &mut Links<T, D, V>,
    contact: NodeId,
    within: Duration,
) -> Result<Address, SpawnError> {
    let reached = timeout(within, links.reach(contact)).await;
    reached.map_err(|_| SpawnError::Contact { contact, within })
}

/// The state of a node's task. Only `step` changes the machine's state.
struct Process<M: Machine, T: Transport, D, S, O> {
    machine: M,
    me: Address,
    /// None only during a step.
    state: Option<M::State>,
    /// The number of steps in this life.
    steps: u64,
    /// Dropped before `tap`, so that a command that is sent later fails.
    commands: mpsc::Receiver<M::Command>,
    /// The gauge of commands that wait.
    queue_length: metrics::Gauge,
    links: Links<T, D, M::Message>,
    timers: Timers<M::Timer>,
    storage: S,
    log: Option<Log>,
    /// Observations that are not handed out yet.
    pending: Vec<M::Observation>,
    tap: O,
    observations: mpsc::Sender<M::Observation>,
    ending: Option<Ending>,
}

impl<M, T, D, S, O> Process<M, T, D, S, O>
where
    M: Machine,
    T: Transport,
    D: Detector,
    S: Storage<M::Stable>,
    O: FnMut(Address, M::Observation) -> Option<M::Observation>,
{
    async fn run(
        mut self,
        boot: Boot<M::Stable>,
        config: Config,
        shutdown: CancellationToken,
    ) -> Result<Ending, RunError> {
        // What arrives is taken after the machine has started.
        self.links.accept();
        self.start(boot, config).await?;
        while self.ending.is_none() {
            select! {
                () = shutdown.cancelled() => self.ending = Some(Ending::ShutDown),
                signal = self.links.next() => self.receive(signal).await?,
                timer = self.timers.next() => self.step(Event::Timeout(timer), None).await?,
                Some(command) = self.commands.recv() => self.step(Event::Command(command), None).await?,
            }
            self.take_batch().await?;
            self.commit().await?;
        }
        self.end().await
    }

    async fn start(&mut self, boot: Boot<M::Stable>, config: Config) -> Result<(), RunError> {
        let written = self.log.is_some().then(|| boot.clone());
        let (state, effects) = self.machine.start(boot);
        self.state = Some(state);
        if let (Some(log), Some(boot)) = (&mut self.log, written) {
            let Config { protocol, configuration, .. } = config;
            let (format, at, effects) = (log::FORMAT, log::now(), effects.iter().collect());
            let start = Start { format, at, protocol, configuration, boot, effects };
            log.add(&Entry::<_, (), _>::Start(start))?;
        }
        self.carry_out(effects).await?;
        self.commit().await
    }

    /// Takes more events that are there already, so that their messages leave together.
    async fn take_batch(&mut self) -> Result<(), RunError> {
        for _ in 0..BATCH {
            // Heartbeats wait for the end of the batch, and steps may take long.
            if self.ending.is_some() || self.links.is_due() {
                break;
            }
            let (signal, command) = (self.links.try_next(), self.commands.try_recv().ok());
            if signal.is_none() && command.is_none() {
                break;
            }
            if let Some(signal) = signal {
                self.receive(signal).await?;
            }
            if let Some(command) = command
                && self.ending.is_none()
            {
                self.step(Event::Command(command), None).await?;
            }
        }
        Ok(())
    }

    async fn receive(&mut self, signal: Signal<M::Message>) -> Result<(), RunError> {
        match signal {
            Signal::Message { from, sent, message } => {
                self.step(Event::Message { from, message }, Some(sent)).await
            }
            Signal::Down(peer) => self.step(Event::Down(peer), None).await,
            Signal::Superseded { by, life } => Err(RunError::Superseded { me: self.me, by, life }),
        }
    }

    /// One step of the machine.
    async fn step(&mut self, event: EventOf<M>, sent: Option<u64>) -> Result<(), RunError> {
        let Some(state) = self.state.take() else { return Ok(()) };
        let written = self.log.is_some().then(|| event.clone());
        let (state, effects) = self.machine.step(state, event);
        self.state = Some(state);
        self.steps += 1;
        if let (Some(log), Some(event)) = (&mut self.log, written) {
            let effects = effects.iter().collect();
            log.add(&Entry::<(), _, _>::Step(Step { at: log::now(), event, sent, effects }))?;
        }
        self.carry_out(effects).await
    }

    /// Carries out effects in order. Messages and observations are only gathered: [`commit`](Self::commit) hands them out.
    async fn carry_out(&mut self, effects: Vec<EffectOf<M>>) -> Result<(), RunError> {
        for effect in effects {
            match effect {
                Effect::Send { to, message } => self.links.send(to, self.steps, message),
                Effect::Monitor(peer) => self.links.monitor(peer),
                Effect::Demonitor(peer) => self.links.demonitor(peer),
                Effect::SetTimer { timer, after } => self.timers.set(timer, after),
                Effect::CancelTimer(timer) => self.timers.cancel(&timer),
                Effect::Persist(stable) => {
                    self.commit().await?;
                    self.storage.persist(&stable)?;
                }
                Effect::Observe(observation) => {
                    count(&observation);
                    self.pending.push(observation);
                }
                Effect::Stop(reason) => {
                    tracing::info!(%reason, "the machine stops");
                    self.ending = Some(Ending::Stopped(reason));
                    break;
                }
            }
        }
        Ok(())
    }

    /// Writes the log, then hands out the messages, then the observations.
    async fn commit(&mut self) -> Result<(), RunError> {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        self.queue_length.set(self.commands.len() as f64);
        if let Some(log) = &mut self.log {
            log.write()?;
        }
        self.links.flush().await;
        for observation in self.pending.drain(..) {
            let Some(observation) = (self.tap)(self.me, observation) else { continue };
            // A program that does not read observations stops the machine, but not the heartbeats.
            select! {
                biased;
                slot = self.observations.reserve() => {
                    if let Ok(slot) = slot {
                        slot.send(observation);
                    }
                }
                () = self.links.keep_alive() => {}
            }
        }
        Ok(())
    }

    async fn end(mut self) -> Result<Ending, RunError> {
        let ending = self.ending.take().unwrap_or(Ending::ShutDown);
        let _ = timeout(CLOSE_TIMEOUT, self.links.close()).await;
        if let Some(log) = &mut self.log {
            let stopped = match &ending {
                Ending::Stopped(reason) => Some(reason.to_string()),
                Ending::ShutDown => None,
            };
            log.add(&Entry::<(), (), ()>::End(End { at: log::now(), stopped }))?;
            log.write()?;
        }
        Ok(ending)
    }
}

/// Counts an observation, by its name in the protocol: deliveries, views, elections.
fn count(observation: &impl Serialize) {
    let name = serde_variant::to_variant_name(observation).unwrap_or("other");
    metrics::counter!("interrex_observed_total", "what" => name).increment(1);
}
