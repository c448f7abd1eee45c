//! All connections of a node: who is there, what arrives, what is sent.
//!
//! Each node dials every other one and is the only one to write on that connection. So there are two with each node:
//! *outgoing*, on which this node writes, and *incoming*, on which the other one does. A node is there, in the life
//! that it said it has, as long as one of them is open and it connects back in time.
//!
//! Everything but dials and handshakes happens in the task of whoever calls: there is one queue of arrivals and one of
//! what was sent, and their orders mean something.

mod door;
mod outbox;
mod peer;
mod presence;
#[cfg(test)]
mod tests;
mod turn;

use self::{
    outbox::Outbox,
    peer::{Link, Waiting, Whereabouts},
    presence::Dialed,
};
use super::{
    config::{Config, Limits},
    connection::{Ended, Unsendable, encode},
    detector::Detector,
    handshake::{Guest, Identity},
    transport::Transport,
};
use crate::machine::{Address, NodeId, Peer, Value};
use std::{
    collections::VecDeque,
    fmt::{self, Display},
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::Poll,
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, Sleep, sleep_until},
};

/// Guests that have said who they are and were not looked at yet. Those on top wait as strangers.
const GUESTS: usize = 16;

/// Where a node listens, and where those go who are let in.
type Door<T> = (<T as Transport>::Listener, mpsc::Sender<Guest<<T as Transport>::Stream>>);

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
    /// Which of them is looked at first next time.
    first: usize,
    /// Whether something was begun, or has become possible, that was not polled since.
    again: bool,
    outbox: Outbox,
    /// Whether the kernel was asked to hold anything back.
    holds: bool,
    arrivals: VecDeque<Signal<M>>,
    /// Whether nobody has taken anything, from one beat to the next, of what this node waits to hand out.
    stuck: bool,
    /// When that is to be given up, as it was at the last beat.
    stall: Option<Instant>,
    /// Where it listens, until the door is opened.
    door: Option<Door<T>>,
    guests: mpsc::Receiver<Guest<T::Stream>>,
    dials: JoinSet<Dialed<T::Stream>>,
    /// The door, and those who tell others why they cannot come in.
    errands: JoinSet<()>,
    /// When to give signs of life.
    beat: Instant,
    /// Rings when there is something to do, or earlier.
    alarm: Pin<Box<Sleep>>,
    gauges: Gauges,
}

/// What can be seen from outside.
struct Gauges {
    arrivals: metrics::Gauge,
    connections: metrics::Gauge,
}

/// What comes from the links.
#[derive(Debug)]
pub(super) enum Signal<M> {
    /// A message arrived.
    Message {
        /// The process that sent it.
        from: Address,
        /// In which step of its life.
        sent: u64,
        /// What it sent.
        message: M,
    },
    /// What was monitored under this name is gone, or was not there.
    Down(Peer),
    /// Another node knows a later life of this one: this one is over.
    Superseded {
        /// Who knows it.
        by: NodeId,
        /// The number of the later life.
        life: u32,
    },
}

impl<T: Transport, D: Detector, M: Value> Links<T, D, M> {
    /// Listens, but lets nobody in yet: those who dial wait at the [door](Self::open_door).
    pub(super) async fn open(
        transport: T,
        detector: D,
        config: &Config,
        me: Address,
    ) -> io::Result<Self> {
        let identity = Arc::new(Identity::new(config, me)?);
        let listener = transport.listen(&config.listen).await?;
        let address = T::address(&listener)?;
        let (let_in, guests) = mpsc::channel(GUESTS);
        let others = config.peers.iter().filter(|(node, _)| **node != me.node);
        let peers: Vec<_> = others.map(|(node, at)| Link::new(*node, at.clone())).collect();
        let now = Instant::now();
        Ok(Self {
            me,
            address,
            identity,
            transport: Arc::new(transport),
            limits: config.limits,
            detector,
            first: 0,
            again: false,
            outbox: Outbox::new(peers.len()),
            peers,
            holds: false,
            arrivals: VecDeque::new(),
            stuck: false,
            stall: None,
            door: Some((listener, let_in)),
            guests,
            dials: JoinSet::new(),
            errands: JoinSet::new(),
            beat: now,
            alarm: Box::pin(sleep_until(now)),
            gauges: Gauges::new(me.node),
        })
    }

    /// From now on this node is there: others come in, and it connects to everybody.
    pub(super) fn open_door(&mut self) {
        if let Some((listener, let_in)) = self.door.take() {
            let identity = self.identity.clone();
            self.errands.spawn(door::keep::<T>(listener, identity, self.limits, let_in));
        }
        (0..self.peers.len()).for_each(|i| self.dial_now(i));
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a node lets this one in: its address in the life that it has now. Nothing is lost if nobody waits.
    pub(super) async fn reach(&mut self, node: NodeId) -> Address {
        let peer = self.find(node);
        poll_fn(|cx| {
            if let Some(i) = peer.filter(|i| self.peers[*i].redial.is_none()) {
                self.dial_now(i);
            }
            self.poll(cx);
            let link = peer.map(|i| &self.peers[i]).filter(|link| link.outgoing.is_some());
            link.and_then(Link::present).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Which of the other nodes it is, if it is listed.
    fn find(&self, node: NodeId) -> Option<usize> {
        self.peers.binary_search_by_key(&node, |link| link.node).ok()
    }

    fn is_there(&self, i: usize, peer: Peer) -> bool {
        self.peers[i].whereabouts(peer) == Whereabouts::There
    }

    /// Whether it is this process.
    fn is_me(&self, peer: Peer) -> bool {
        peer == Peer::Name(self.me.node) || peer == Peer::Process(self.me)
    }

    /// Sends a message, behind everything that was sent before to whomever.
    pub(super) fn send(&mut self, to: Peer, step: u64, message: M) {
        if self.is_me(to) {
            self.arrivals.push_back(Signal::Message { from: self.me, sent: step, message });
            return;
        }
        let Some(i) = self.find(to.node()) else { return dropped(&to, "not listed", 1) };
        match self.peers[i].whereabouts(to) {
            Whereabouts::There if self.peers[i].outgoing.is_some() => {
                self.put(i, to, step, &message);
            }
            Whereabouts::There | Whereabouts::Away => self.wait(i, to, step, &message),
            Whereabouts::Silent => dropped(&to, "silent", 1),
            Whereabouts::Over => dropped(&to, "life is over", 1),
            Whereabouts::Later => {
                self.replace(i, &Ended::LifeIsOver);
                self.wait(i, to, step, &message);
            }
        }
    }

    /// Puts a message behind all that was sent.
    fn put(&mut self, i: usize, to: Peer, step: u64, message: &M) {
        if let Err(why) = self.outbox.push(i, &(step, message), self.limits.message) {
            report_unsendable(to, &why);
        }
        if self.outbox.is_scattered(i) {
            self.hold(i);
        }
    }

    /// Asks the kernel to gather what is written to a node in many small parts.
    fn hold(&mut self, i: usize) {
        if let Some(stream) = self.peers[i].outgoing.as_mut().and_then(|out| out.hold(true)) {
            T::hold(stream, true);
            self.holds = true;
        }
    }

    /// Keeps a message until there is a connection, or there can be none.
    fn wait(&mut self, i: usize, to: Peer, step: u64, message: &M) {
        let link = &mut self.peers[i];
        let mut frame = vec![];
        match encode(&(step, message), self.limits.message, &mut frame) {
            Ok(()) => link.waiting.push_back(Waiting { to, frame }),
            Err(why) => return report_unsendable(to, &why),
        }
        self.dial_now(i);
    }

    /// Watches a process: [`Signal::Down`] when it is gone.
    pub(super) fn monitor(&mut self, peer: Peer) {
        if self.is_me(peer) {
            return;
        }
        let Some(i) = self.find(peer.node()) else {
            return self.arrivals.push_back(Signal::Down(peer));
        };
        match self.peers[i].whereabouts(peer) {
            Whereabouts::Silent | Whereabouts::Over => {
                return self.arrivals.push_back(Signal::Down(peer));
            }
            Whereabouts::There => {}
            Whereabouts::Away => self.dial_now(i),
            Whereabouts::Later => {
                self.replace(i, &Ended::LifeIsOver);
                self.dial_now(i);
            }
        }
        self.peers[i].monitors.insert(peer);
    }

    /// Stops watching, and forgets a `Down` that is on its way.
    pub(super) fn demonitor(&mut self, peer: Peer) {
        if let Some(i) = self.find(peer.node()) {
            self.peers[i].monitors.remove(&peer);
        }
        let node = peer.node();
        self.arrivals.retain(|signal| !matches!(signal, Signal::Down(it) if it.node() == node));
    }

    /// What has arrived already.
    pub(super) fn try_next(&mut self) -> Option<Signal<M>> {
        self.arrivals.pop_front()
    }

    /// What arrives next. Nothing is lost if nobody waits for the answer.
    pub(super) async fn next(&mut self) -> Signal<M> {
        poll_fn(|cx| {
            if self.arrivals.is_empty() || self.is_due() {
                self.poll(cx);
            }
            self.arrivals.pop_front().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Hands everything that was sent to the kernel, in order; what waits for a dial only if it is too much. Meanwhile
    /// nothing else stands still. Nothing is lost if nobody waits.
    pub(super) async fn flush(&mut self) {
        poll_fn(|cx| {
            if self.poll_outbox(cx).is_pending() || self.do_too_many_wait() || self.is_due() {
                self.poll(cx);
            }
            if self.outbox.is_empty() && !self.do_too_many_wait() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Whether so much waits for a dial that nothing should be added. To drop what comes on top would leave a hole in what
    /// arrives if the dial succeeds.
    fn do_too_many_wait(&self) -> bool {
        self.peers.iter().any(|link| link.waiting.len() >= self.limits.waiting.max(1))
    }

    /// Keeps everything going (signs of life, handshakes, arrivals as far as there is room) and never returns.
    pub(super) async fn tend(&mut self) {
        poll_fn(|cx| {
            self.poll(cx);
            Poll::<()>::Pending
        })
        .await;
    }

    /// Ends all connections, behind everything that was sent.
    pub(super) async fn close(mut self) {
        poll_fn(|cx| {
            self.poll(cx);
            let waits = self.peers.iter().any(|link| !link.waiting.is_empty());
            if self.outbox.is_empty() && !waits { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        for outgoing in self.peers.iter_mut().filter_map(|link| link.outgoing.as_mut()) {
            // One that is broken is closed already.
            let _ = poll_fn(|cx| outgoing.poll_shutdown(cx)).await;
        }
        // Then somebody else can listen there.
        self.errands.shutdown().await;
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

/// Says that messages were dropped, and why.
fn dropped(to: &dyn Display, why: &'static str, messages: u64) {
    tracing::debug!(%to, why, messages, "dropped");
    metrics::counter!("interrex_dropped_total", "why" => why).increment(messages);
}

/// A message that cannot be sent to anybody is a mistake of the program.
fn report_unsendable(to: Peer, why: &Unsendable) {
    tracing::warn!(%to, %why, "dropped");
    metrics::counter!("interrex_dropped_total", "why" => why.why()).increment(1);
}
