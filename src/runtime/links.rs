//! All connections of a node: which nodes are connected, the arrivals, the sent messages.
//!
//! Each node dials every other one and is the only one to write on that connection. So there are two connections with
//! each node: the *outgoing* one, on which this node writes, and the *incoming* one, on which the other node writes.
//! A node is connected, in the life that it gave in the handshake, as long as one of them is open and it dials back in
//! time.
//!
//! Everything but dials and handshakes runs in the task of the caller: there is one queue of arrivals and one of sent
//! messages, and their orders matter.

mod accept;
mod outbox;
mod peer;
mod poll;
mod presence;
#[cfg(test)]
mod tests;

use self::{
    outbox::Outbox,
    peer::{Link, Queued, Reachability},
    presence::{Dialed, Probed},
};
use super::{
    component::Component,
    config::{Config, Limits},
    connection::{CloseReason, EncodeError, encode},
    detector::{Detector, Timing},
    handshake::{Authenticated, Identity},
    repeats::Repeats,
    status::{PeerStatus, Peers},
    transport::Transport,
};
use crate::machine::{Address, NodeId, Peer, Value};
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, Sleep, sleep_until},
};

/// The authenticated connections that wait to be accepted or refused. Further ones count as pending handshakes.
const MAX_AUTHENTICATED: usize = 16;

/// A listener, and the queue for the connections that are authenticated.
type Listening<T> =
    (<T as Transport>::Listener, mpsc::Sender<Authenticated<<T as Transport>::Stream>>);

/// All connections of a node.
pub(super) struct Links<T: Transport, D, M> {
    me: Address,
    address: SocketAddr,
    identity: Arc<Identity>,
    transport: Arc<T>,
    limits: Limits,
    detector: D,
    /// The other nodes, by number.
    peers: Vec<Link<T::Stream>>,
    /// The listed address of this node, if it is to be checked.
    advertised: Option<String>,
    /// The index of the node that is read from first next time.
    first: usize,
    /// True if something was begun, or has become possible, that was not polled since.
    again: bool,
    outbox: Outbox,
    /// True if the kernel holds anything back.
    holds: bool,
    arrivals: VecDeque<Signal<M>>,
    /// True if, between the last two heartbeats, the kernel has taken nothing of the outbox.
    stuck: bool,
    /// The stall deadline of the outbox's head at the last heartbeat.
    stall: Option<Instant>,
    /// The listener, until [`accept`](Links::accept) is called.
    listening: Option<Listening<T>>,
    inbound: mpsc::Receiver<Authenticated<T::Stream>>,
    /// Inbound connections that wait until this node accepts some; none when it does.
    early: Option<Vec<Authenticated<T::Stream>>>,
    dials: JoinSet<Dialed<T::Stream>>,
    /// Each finds out whether an inbound process listens at the listed address.
    probes: JoinSet<Probed<T::Stream>>,
    /// The task that accepts connections, and those that send refusals.
    tasks: JoinSet<()>,
    /// Why other nodes are not connected, and how often that has happened.
    failures: Repeats<(NodeId, &'static str)>,
    /// Where messages may have been lost since these were taken last.
    breaks: Vec<LinkBreak>,
    status: watch::Sender<Peers>,
    next_heartbeat: Instant,
    /// Wakes the task when something is due, or earlier.
    alarm: Pin<Box<Sleep>>,
    gauges: Gauges,
}

/// Messages to or from a node may have been lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkBreak {
    /// The other node.
    pub(super) node: NodeId,
    /// The number of messages that were dropped here.
    pub(super) dropped: u64,
    /// The reason.
    pub(super) why: &'static str,
}

/// Why a node must not start.
#[derive(Debug)]
pub(super) enum Unmet {
    /// Another node differs in something that must be the same at all nodes.
    Differs {
        /// The other node.
        node: NodeId,
        /// Its listed address.
        at: String,
        /// The difference.
        how: String,
    },
    /// Another node knows this life already, or a later one.
    LifeIsKnown {
        /// The other node.
        by: NodeId,
        /// The number of the known life.
        life: u64,
    },
    /// This node does not find itself at its listed address.
    NotReached {
        /// That address.
        at: String,
        /// The reason.
        why: String,
    },
}

/// The result of a greeting.
#[derive(Debug)]
pub(super) enum Greeted {
    /// A node that has the key differs in nothing.
    Met,
    /// Nobody answers, or nothing that can be understood.
    Nobody,
    /// This node must not start.
    Unmet(Unmet),
    /// The same, if the answer comes from a node: whoever gave it has not shown that it has the key.
    Doubtful(Unmet),
}

/// The gauges of the crate `metrics`.
struct Gauges {
    arrivals: metrics::Gauge,
    connections: metrics::Gauge,
}

/// An arrival.
#[derive(Debug)]
pub(super) enum Signal<M> {
    /// A message.
    Message {
        /// The process that sent it.
        from: Address,
        /// The step of the sender's life in which it was sent.
        sent: u64,
        /// The message.
        message: M,
    },
    /// The end of a monitored process, under the monitored name.
    Down(Peer),
    /// Another node knows a later life of this one: this one is over.
    Superseded {
        /// The node that knows it.
        by: NodeId,
        /// The number of the later life.
        life: u64,
    },
}

impl<T: Transport, D: Detector, M: Value> Links<T, D, M> {
    /// Listens. Nodes that dial wait until [`accept`](Self::accept) is called.
    pub(super) async fn open(
        transport: T,
        detector: D,
        config: &Config,
        me: Address,
    ) -> io::Result<Self> {
        Self::begin(Arc::new(transport), detector, config, me).await
    }

    /// Listens as another life. All connections are closed before.
    pub(super) async fn reopen(mut self, config: &Config, me: Address) -> io::Result<Self> {
        self.stop_listening().await;
        Self::begin(self.transport, self.detector, config, me).await
    }

    async fn begin(
        transport: Arc<T>,
        detector: D,
        config: &Config,
        me: Address,
    ) -> io::Result<Self> {
        let identity = Arc::new(Identity::new(config, me, Timing::of(&detector))?);
        let listener = transport.listen(&config.listen).await?;
        let address = T::address(&listener)?;
        let (authenticated, inbound) = mpsc::channel(MAX_AUTHENTICATED);
        let others = config.peers.iter().filter(|(node, _)| **node != me.node);
        let peers: Vec<_> = others.map(|(node, at)| Link::new(*node, at.clone())).collect();
        let status = peers.iter().map(|link| (link.node, PeerStatus::default())).collect();
        let now = Instant::now();
        Ok(Self {
            me,
            address,
            identity,
            transport,
            limits: config.limits,
            detector,
            first: 0,
            again: false,
            outbox: Outbox::new(peers.len()),
            peers,
            advertised: config.advertised.clone(),
            holds: false,
            arrivals: VecDeque::new(),
            stuck: false,
            stall: None,
            listening: Some((listener, authenticated)),
            inbound,
            dials: JoinSet::new(),
            probes: JoinSet::new(),
            tasks: JoinSet::new(),
            early: Some(vec![]),
            failures: Repeats::new(),
            breaks: vec![],
            status: watch::Sender::new(status),
            next_heartbeat: now,
            alarm: Box::pin(sleep_until(now)),
            gauges: Gauges::new(me.node),
        })
    }

    /// Accepts connections from now on, and dials all other nodes.
    pub(super) fn accept(&mut self) {
        self.authenticate();
        for inbound in self.early.take().unwrap_or_default() {
            // Everything is polled again before the task sleeps.
            self.take_inbound(inbound, &mut Context::from_waker(Waker::noop()));
        }
        (0..self.peers.len()).for_each(|i| self.dial_now(i));
    }

    /// Authenticates inbound connections from now on.
    fn authenticate(&mut self) {
        if let Some((listener, authenticated)) = self.listening.take() {
            let identity = self.identity.clone();
            self.tasks.spawn(accept::accept::<T>(listener, identity, self.limits, authenticated));
        }
    }

    /// The address where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A watch of what is known of the other nodes.
    pub(super) fn status(&self) -> watch::Receiver<Peers> {
        self.status.subscribe()
    }

    /// Finds this node at its listed address, greets all other nodes, and waits until each has answered or could not be
    /// reached: no longer than a few dials take. Greetings of others are answered. No connection is left of it: a node that is
    /// connected has started.
    pub(super) async fn meet(&mut self) -> Result<(), Unmet> {
        self.authenticate();
        let mut greetings = JoinSet::new();
        if let Some(at) = self.advertised.clone() {
            greetings.spawn(self.find_myself(at));
        }
        for i in 0..self.peers.len() {
            greetings.spawn(self.greet(i));
        }
        let (mut is_met, mut doubt) = (false, None);
        poll_fn(|cx| {
            while let Poll::Ready(greeted) = greetings.poll_join_next(cx) {
                match greeted {
                    Some(Ok(Greeted::Met)) => is_met = true,
                    Some(Ok(Greeted::Unmet(unmet))) => return Poll::Ready(Err(unmet)),
                    Some(Ok(Greeted::Doubtful(unmet))) => doubt = Some(unmet),
                    // A transport that panics does not connect.
                    Some(Ok(Greeted::Nobody) | Err(_)) => {}
                    // Anybody can answer at the address of a node that is down. One that has the key outweighs that.
                    None => {
                        return Poll::Ready(doubt.take().filter(|_| !is_met).map_or(Ok(()), Err));
                    }
                }
            }
            self.poll(cx);
            Poll::Pending
        })
        .await
    }

    /// Waits until a dial to one of these nodes has succeeded, and returns its address in its current life. The first one
    /// in this order is preferred. Cancel-safe.
    pub(super) async fn reach(&mut self, nodes: &[NodeId]) -> Address {
        let peers: Vec<_> = nodes.iter().filter_map(|node| self.find(*node)).collect();
        poll_fn(|cx| {
            for i in &peers {
                if self.peers[*i].redial.is_none() {
                    self.dial_now(*i);
                }
            }
            self.poll(cx);
            let mut links = peers.iter().map(|i| &self.peers[*i]);
            let reached = links.find(|link| link.outgoing.is_some()).and_then(Link::connected);
            reached.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// The index of a node, if it is listed.
    fn find(&self, node: NodeId) -> Option<usize> {
        self.peers.binary_search_by_key(&node, |link| link.node).ok()
    }

    fn is_connected(&self, i: usize, peer: Peer) -> bool {
        self.peers[i].reachability(peer) == Reachability::Connected
    }

    /// True for this process.
    fn is_me(&self, peer: Peer) -> bool {
        peer == Peer::Name(self.me.node) || peer == Peer::Process(self.me)
    }

    /// Sends a message, after everything that was sent before to any node.
    pub(super) fn send(&mut self, to: Peer, step: u64, message: M) {
        if self.is_me(to) {
            self.arrivals.push_back(Signal::Message { from: self.me, sent: step, message });
            return;
        }
        let Some(i) = self.find(to.node()) else { return self.drop_message(to, "not listed") };
        match self.peers[i].reachability(to) {
            Reachability::Connected if self.peers[i].outgoing.is_some() => {
                self.push(i, to, step, &message);
            }
            Reachability::Connected | Reachability::Unknown => self.queue(i, to, step, &message),
            Reachability::Silent => self.drop_message(to, "silent"),
            Reachability::Over => self.drop_message(to, "life is over"),
            Reachability::Later => {
                self.replace(i, &CloseReason::LifeIsOver);
                self.queue(i, to, step, &message);
            }
        }
    }

    /// Appends a message to the outbox.
    fn push(&mut self, i: usize, to: Peer, step: u64, message: &M) {
        if let Err(why) = self.outbox.push(i, &(step, message), self.limits.max_message_bytes) {
            self.drop_not_encodable(to, &why);
        }
        if self.outbox.is_scattered(i) {
            self.hold(i);
        }
    }

    /// Asks the kernel to gather small writes to a node.
    fn hold(&mut self, i: usize) {
        if let Some(stream) = self.peers[i].outgoing.as_mut().and_then(|out| out.hold(true)) {
            Component::Transport.run(|| T::hold(stream, true));
            self.holds = true;
        }
    }

    /// Keeps a message until the node is connected, or cannot be.
    fn queue(&mut self, i: usize, to: Peer, step: u64, message: &M) {
        let link = &mut self.peers[i];
        let mut frame = vec![];
        match encode(&(step, message), self.limits.max_message_bytes, &mut frame) {
            Ok(()) => link.queued.push_back(Queued { to, frame }),
            Err(why) => return self.drop_not_encodable(to, &why),
        }
        self.dial_for_machine(i);
    }

    /// Takes note that messages may have been lost, and counts those that were dropped here.
    fn note_break(&mut self, node: NodeId, why: &'static str, dropped: u64) {
        tracing::debug!(%node, why, dropped, "messages may be lost");
        metrics::counter!("interrex_dropped_total", "why" => why).increment(dropped);
        self.breaks.push(LinkBreak { node, dropped, why });
    }

    fn drop_message(&mut self, to: Peer, why: &'static str) {
        self.note_break(to.node(), why, 1);
    }

    /// A message that cannot be encoded is a mistake of the program, and a warning.
    fn drop_not_encodable(&mut self, to: Peer, why: &EncodeError) {
        tracing::warn!(%to, %why, "dropped");
        self.drop_message(to, why.label());
    }

    /// Takes the notes of where messages may have been lost.
    pub(super) fn take_breaks(&mut self) -> Vec<LinkBreak> {
        std::mem::take(&mut self.breaks)
    }

    /// Monitors a process: [`Signal::Down`] when it has ended.
    pub(super) fn monitor(&mut self, peer: Peer) {
        if self.is_me(peer) {
            return;
        }
        let Some(i) = self.find(peer.node()) else {
            return self.arrivals.push_back(Signal::Down(peer));
        };
        match self.peers[i].reachability(peer) {
            Reachability::Silent | Reachability::Over => {
                self.peers[i].answers.insert(peer);
                return self.answer(i);
            }
            Reachability::Connected => {}
            Reachability::Unknown => self.dial_for_machine(i),
            Reachability::Later => {
                self.replace(i, &CloseReason::LifeIsOver);
                self.dial_now(i);
            }
        }
        self.peers[i].monitors.insert(peer);
    }

    /// Ends a monitor, and removes its `Down` from the arrivals. A monitor of the same node under the other kind of name
    /// stays as it is.
    pub(super) fn demonitor(&mut self, peer: Peer) {
        if let Some(i) = self.find(peer.node()) {
            self.peers[i].monitors.remove(&peer);
            self.peers[i].answers.remove(&peer);
        }
        self.arrivals.retain(|signal| !matches!(signal, Signal::Down(it) if *it == peer));
    }

    /// The next arrival that was read already.
    pub(super) fn try_next(&mut self) -> Option<Signal<M>> {
        self.arrivals.pop_front()
    }

    /// The next arrival. Everything else makes progress meanwhile.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Signal<M>> {
        if self.arrivals.is_empty() || self.is_due() {
            self.poll(cx);
        }
        self.arrivals.pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits until the kernel has taken all that was sent, and no node has too many queued messages. Heartbeats, reads and
    /// handshakes go on meanwhile. Cancel-safe.
    pub(super) async fn flush(&mut self) {
        poll_fn(|cx| {
            if self.poll_outbox(cx).is_pending() || self.is_queue_full() || self.is_due() {
                self.poll(cx);
            }
            if self.outbox.is_empty() && !self.is_queue_full() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// True if a node that is not connected yet has as many queued messages as may be. Further ones are not dropped, since
    /// the ones after them might arrive.
    fn is_queue_full(&self) -> bool {
        self.peers.iter().any(|link| link.queued.len() >= self.limits.max_queued_per_peer.max(1))
    }

    /// Keeps heartbeats, handshakes, writes, and reads as far as there is room, going. Never returns.
    pub(super) async fn keep_alive(&mut self) {
        poll_fn(|cx| {
            self.poll(cx);
            Poll::<()>::Pending
        })
        .await;
    }

    /// Closes all connections, after everything that was sent.
    pub(super) async fn close(mut self) {
        poll_fn(|cx| {
            self.poll(cx);
            let queued = self.peers.iter().any(|link| !link.queued.is_empty());
            if self.outbox.is_empty() && !queued { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        for outgoing in self.peers.iter_mut().filter_map(|link| link.outgoing.as_mut()) {
            // An error says that it is closed already.
            let _ = poll_fn(|cx| outgoing.poll_shutdown(cx)).await;
        }
        self.stop_listening().await;
    }

    /// When this returns, another process can listen there: the listener is closed with its task.
    pub(super) async fn stop_listening(&mut self) {
        self.tasks.shutdown().await;
    }
}

impl Gauges {
    fn new(node: NodeId) -> Self {
        let node = node.to_string();
        Self {
            arrivals: metrics::gauge!("interrex_arrivals", "node" => node.clone()),
            connections: metrics::gauge!("interrex_connections", "node" => node),
        }
    }
}

impl<T: Transport, D, M> fmt::Debug for Links<T, D, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links")
            .field("me", &self.me)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
