//! The task of a node: it hands events to the machine and carries out the effects.

use super::{
    component::Component,
    config::Config,
    detector::Detector,
    error::{Ending, RunError},
    links::{LinkBreak, Links, Signal},
    log::{self, Break, End, Entry, Log, Start, Step},
    observer::Observer,
    storage::{Storage, StorageError},
    timers::Timers,
    transport::Transport,
};
use crate::machine::{Address, Boot, Effect, EffectOf, Event, EventOf, Machine};
use serde::Serialize;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{select, sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

/// The most events in a batch, whose messages leave together.
const BATCH: usize = 64;
/// The longest time that a node that ends goes on writing the messages that it has sent. After that its log gets an
/// [`End`]. The other nodes may see it as down from the beginning of that time.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The queues between a node's task and its program.
pub(super) struct Queues<M: Machine> {
    pub(super) commands: mpsc::Receiver<M::Command>,
    pub(super) observations: mpsc::Sender<M::Observation>,
}

/// An input of a node's task.
enum Input<M: Machine> {
    Signal(Signal<M::Message>),
    Timer(M::Timer),
    Command(M::Command),
    ShutDown,
}

/// The sources of inputs, apart from the shutdown: links, timers, commands.
const SOURCES: usize = 3;

/// The state of a node's task. Only `step` changes the machine's state.
pub(super) struct Process<M: Machine, T: Transport, D, S, O> {
    machine: M,
    me: Address,
    /// None only during a step.
    state: Option<M::State>,
    /// The number of steps in this life.
    steps: u64,
    /// The source that is polled first next time.
    first_source: usize,
    /// Dropped before `observer`, so that a command that is sent later fails.
    queues: Queues<M>,
    /// The gauge of commands that wait.
    queue_length: metrics::Gauge,
    links: Links<T, D, M::Message>,
    timers: Timers<M::Timer>,
    storage: S,
    /// The content of the storage.
    stored: Option<M::Stable>,
    /// Some of it is not synced yet. Nothing may leave the node meanwhile.
    is_unsynced: bool,
    log: Option<Log>,
    /// Observations that are not handed out yet.
    pending: Vec<M::Observation>,
    observer: O,
    ending: Option<Ending>,
}

impl<M, T, D, S, O> Process<M, T, D, S, O>
where
    M: Machine,
    T: Transport,
    D: Detector,
    S: Storage<M::Stable>,
    O: Observer<M>,
{
    pub(super) fn new(
        machine: M,
        me: Address,
        links: Links<T, D, M::Message>,
        storage: S,
        log: Option<Log>,
        observer: O,
        queues: Queues<M>,
    ) -> Self {
        Self {
            machine,
            me,
            state: None,
            steps: 0,
            first_source: 0,
            queues,
            queue_length: metrics::gauge!("interrex_commands", "node" => me.node.to_string()),
            links,
            timers: Timers::new(),
            storage,
            stored: None,
            is_unsynced: false,
            log,
            pending: vec![],
            observer,
            ending: None,
        }
    }

    /// Runs until the machine stops, the program shuts the node down, or something fails.
    pub(super) async fn run(
        mut self,
        boot: Boot<M::Stable>,
        config: Config,
        shutdown: CancellationToken,
    ) -> Result<Ending, RunError> {
        // What arrives is taken after the machine has started.
        self.links.accept();
        self.start(boot, config).await?;
        while self.ending.is_none() {
            match self.next_input(&shutdown).await {
                Input::Signal(signal) => self.receive(signal).await?,
                Input::Timer(timer) => self.step(Event::Timeout(timer), None).await?,
                Input::Command(command) => self.step(Event::Command(command), None).await?,
                Input::ShutDown => self.ending = Some(Ending::ShutDown),
            }
            self.take_batch().await?;
            self.commit().await?;
        }
        self.end().await
    }

    /// Waits for the next input. Each source is polled first every third time, so that none can starve the others; and the
    /// order depends on the inputs alone, so that a simulation can repeat it.
    async fn next_input(&mut self, shutdown: &CancellationToken) -> Input<M> {
        let first = self.first_source;
        self.first_source = (first + 1) % SOURCES;
        let mut cancelled = pin!(shutdown.cancelled());
        poll_fn(|cx| {
            if cancelled.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Input::ShutDown);
            }
            let sources = (first..SOURCES).chain(0..first);
            let mut polled = sources.map(|source| self.poll_source(source, cx));
            polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
        })
        .await
    }

    fn poll_source(&mut self, source: usize, cx: &mut Context<'_>) -> Poll<Input<M>> {
        match source {
            0 => self.links.poll_next(cx).map(Input::Signal),
            1 => self.timers.poll_next(cx).map(Input::Timer),
            _ => match self.queues.commands.poll_recv(cx) {
                Poll::Ready(Some(command)) => Poll::Ready(Input::Command(command)),
                // Without a sender there are no more commands.
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            },
        }
    }

    async fn start(&mut self, boot: Boot<M::Stable>, config: Config) -> Result<(), RunError> {
        let written = self.log.is_some().then(|| boot.clone());
        self.stored.clone_from(&boot.stable);
        let (state, effects) = Component::Machine.run(|| self.machine.start(boot));
        self.state = Some(state);
        if let (Some(log), Some(boot)) = (&mut self.log, written) {
            let Config { protocol, configuration, .. } = config;
            let (format, at) = (log::FORMAT, log.now());
            let (boot, effects) = (boot.held(), effects.iter().map(Effect::held).collect());
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
            let (signal, command) = (self.links.try_next(), self.queues.commands.try_recv().ok());
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
            Signal::Down(peer) => {
                self.observer.down(peer);
                self.step(Event::Down(peer), None).await
            }
            Signal::Superseded { by, life } => Err(RunError::Superseded { me: self.me, by, life }),
        }
    }

    /// One step of the machine.
    async fn step(&mut self, event: EventOf<M>, sent: Option<u64>) -> Result<(), RunError> {
        let Some(state) = self.state.take() else { return Ok(()) };
        let written = self.log.is_some().then(|| event.clone());
        let (state, effects) = Component::Machine.run(|| self.machine.step(state, event));
        self.state = Some(state);
        self.steps += 1;
        self.log_breaks()?;
        if let (Some(log), Some(event)) = (&mut self.log, written) {
            let (event, effects) = (event.held(), effects.iter().map(Effect::held).collect());
            let at = log.now();
            let unsynced = self.is_unsynced;
            log.add(&Entry::<(), _, _>::Step(Step { at, event, sent, unsynced, effects }))?;
        }
        self.carry_out(effects).await
    }

    /// Logs where messages may have been lost since the line before.
    fn log_breaks(&mut self) -> Result<(), RunError> {
        for LinkBreak { node, dropped, why } in self.links.take_breaks() {
            let Some(log) = &mut self.log else { continue };
            let (at, why) = (log.now(), why.into());
            log.add(&Entry::<(), (), ()>::Break(Break { at, node, dropped, why }))?;
        }
        Ok(())
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
                Effect::Persist(change) => {
                    // What was sent before goes out first, unless that waits for the storage itself.
                    if self.is_unsynced {
                        self.write_log()?;
                    } else {
                        self.commit().await?;
                    }
                    self.persist(&change)?;
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

    fn persist(&mut self, change: &M::Stable) -> Result<(), StorageError> {
        if !self.storage.keeps() {
            return Ok(());
        }
        let before = self.stored.take();
        let whole = Component::Machine.run(|| self.machine.stored(before, change.clone()));
        let whole = self.stored.insert(whole);
        self.is_unsynced = true;
        Component::Storage.run(|| self.storage.persist(change, whole))
    }

    fn write_log(&mut self) -> Result<(), RunError> {
        self.log_breaks()?;
        match &mut self.log {
            Some(log) => Ok(log.write()?),
            None => Ok(()),
        }
    }

    /// Writes the log, syncs the storage, then hands out the messages, then the observations.
    async fn commit(&mut self) -> Result<(), RunError> {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        self.queue_length.set(self.queues.commands.len() as f64);
        self.write_log()?;
        if std::mem::take(&mut self.is_unsynced) {
            Component::Storage.run(|| self.storage.sync())?;
        }
        self.links.flush().await;
        for observation in self.pending.drain(..) {
            let Some(observation) = self.observer.observe(self.me, observation) else { continue };
            // A program that does not read observations stops the machine, but not the heartbeats.
            select! {
                biased;
                slot = self.queues.observations.reserve() => {
                    if let Ok(slot) = slot {
                        slot.send(observation);
                    }
                }
                () = self.links.keep_alive() => {}
            }
        }
        if let Some(state) = &self.state {
            self.observer.look(state);
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
            let at = log.now();
            log.add(&Entry::<(), (), ()>::End(End { at, stopped }))?;
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
