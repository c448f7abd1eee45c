//! Ends of nodes: a component that has panicked, a runtime that is shut down, and inputs that never cease.

#![expect(clippy::disallowed_types, reason = "a broken component remembers if it has panicked")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use interrex::{
    machine::{Address, Boot, Effect, EffectOf, Event, EventOf, Machine, NodeId, Peer},
    runtime::{
        CLOSE_TIMEOUT, ClusterKey, Component, Config, Detector, Directory, Ending, Heartbeats,
        Node, Opened, Owner, RunError, Storage, StorageError, Tcp, Transport,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    time::{Instant, timeout},
};

const N0: NodeId = NodeId(0);
const N1: NodeId = NodeId(1);

/// A machine that obeys.
struct Obedient;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Order {
    Panic,
    Persist,
    /// Arms a timer of no time, and again whenever it fires.
    Spin,
    Echo,
    Send(Peer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Seen {
    Echo,
    Message,
}

impl Machine for Obedient {
    type State = ();
    type Message = ();
    type Command = Order;
    type Timer = ();
    type Stable = ();
    type Observation = Seen;

    fn start(&self, _: Boot<()>) -> ((), Vec<EffectOf<Self>>) {
        ((), vec![])
    }

    fn step(&self, (): (), event: EventOf<Self>) -> ((), Vec<EffectOf<Self>>) {
        let spin = Effect::SetTimer { timer: (), after: Duration::ZERO };
        let effect = match event {
            Event::Command(Order::Panic) => panic!("as ordered"),
            Event::Command(Order::Persist) => Effect::Persist(()),
            Event::Command(Order::Spin) | Event::Timeout(()) => spin,
            Event::Command(Order::Echo) => Effect::Observe(Seen::Echo),
            Event::Command(Order::Send(to)) => Effect::Send { to, message: () },
            Event::Message { .. } => Effect::Observe(Seen::Message),
            Event::Down(_) => return ((), vec![]),
        };
        ((), vec![effect])
    }
}

/// Neither stores anything nor survives a `persist`.
#[derive(Default)]
struct Broken(Cell<bool>);

impl Storage<()> for Broken {
    fn open(&mut self, _: &Owner) -> Result<Opened<()>, StorageError> {
        Ok(Opened { life: 0, stable: vec![] })
    }

    fn persist(&mut self, (): &(), (): &()) -> Result<(), StorageError> {
        panic!("of the storage")
    }
}

impl Detector for Broken {
    fn period(&self) -> Duration {
        // The first value is for the other nodes.
        if !self.0.replace(true) {
            return Duration::from_millis(100);
        }
        panic!("of the detector")
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn heard(&mut self, _: Address, _: Duration, now: Instant) -> Instant {
        now
    }
}

/// TCP whose streams panic when they write, once that is armed.
struct Fragile;

static ARMED: AtomicBool = AtomicBool::new(false);

struct FragileStream(TcpStream);

impl Transport for Fragile {
    type Stream = FragileStream;
    type Listener = TcpListener;

    async fn listen(&self, at: &str) -> io::Result<TcpListener> {
        Tcp.listen(at).await
    }

    fn address(listener: &TcpListener) -> io::Result<SocketAddr> {
        Tcp::address(listener)
    }

    async fn accept(listener: &mut TcpListener) -> io::Result<(FragileStream, SocketAddr)> {
        let (stream, from) = Tcp::accept(listener).await?;
        Ok((FragileStream(stream), from))
    }

    async fn connect(&self, to: &str) -> io::Result<FragileStream> {
        Ok(FragileStream(Tcp.connect(to).await?))
    }
}

impl AsyncRead for FragileStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for FragileStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        assert!(!ARMED.load(SeqCst), "of the transport");
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn alone() -> Config {
    Config::new(N0, "127.0.0.1:0", [], ClusterKey::generate().unwrap(), "obedient")
}

async fn pair() -> [Config; 2] {
    let key = ClusterKey::generate().unwrap();
    let mut at = vec![];
    for node in [N0, N1] {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        at.push((node, free.to_string()));
    }
    [0, 1].map(|i| Config::new(at[i].0, &at[i].1, at.clone(), key.clone(), "obedient"))
}

/// The node ends because this component has panicked.
async fn assert_blamed(node: Node<Obedient>, component: Component, message: &str) {
    let ended = timeout(Duration::from_secs(20), node.ended()).await.expect("it ends");
    let error = ended.expect_err("it has panicked");
    assert_eq!(error.to_string(), format!("{component} has panicked: {message}"));
}

#[tokio::test]
async fn a_panic_of_the_machine_is_its_own() {
    let node = Node::spawn(Obedient, alone()).await.unwrap();
    node.commands().send(Order::Panic).await.unwrap();
    assert_blamed(node, Component::Machine, "as ordered").await;
}

#[tokio::test]
async fn a_panic_of_the_storage_is_not_one_of_the_machine() {
    let heartbeats = Heartbeats::default();
    let node =
        Node::spawn_with(Obedient, alone(), Tcp, heartbeats, Broken::default()).await.unwrap();
    node.commands().send(Order::Persist).await.unwrap();
    assert_blamed(node, Component::Storage, "of the storage").await;
}

#[tokio::test]
async fn a_panic_of_the_detector_is_not_one_of_the_machine() {
    let storage = None::<Directory>;
    let node = Node::spawn_with(Obedient, alone(), Tcp, Broken::default(), storage).await.unwrap();
    assert_blamed(node, Component::Detector, "of the detector").await;
}

#[tokio::test]
async fn a_panic_of_the_transport_is_not_one_of_the_machine() {
    let [a, b] = pair().await;
    let heartbeats = a.heartbeats;
    let storage = None::<Directory>;
    let a = Node::spawn_with(Obedient, a, Fragile, heartbeats, storage).await.unwrap();
    let mut b = Node::spawn(Obedient, b).await.unwrap();
    a.commands().send(Order::Send(Peer::Name(N1))).await.unwrap();
    let arrived = timeout(Duration::from_secs(20), b.observation()).await;
    assert_eq!(arrived.expect("it arrives"), Some(Seen::Message));
    ARMED.store(true, SeqCst);
    assert_blamed(a, Component::Transport, "of the transport").await;
}

#[test]
fn a_runtime_that_is_shut_down_is_no_panic() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let node = runtime.block_on(Node::spawn(Obedient, alone())).unwrap();
    drop(runtime);
    let another = Builder::new_current_thread().enable_all().build().unwrap();
    let ended = another.block_on(node.ended());
    assert!(matches!(ended, Err(RunError::Cancelled)), "{ended:?}");
}

/// A timer that always fires holds up neither commands nor messages nor the end.
#[tokio::test]
async fn timers_that_never_cease_starve_nothing() {
    let [a, b] = pair().await;
    let mut a = Node::spawn(Obedient, a).await.unwrap();
    let b = Node::spawn(Obedient, b).await.unwrap();
    a.commands().send(Order::Spin).await.unwrap();
    for (order, seen) in [(Order::Echo, Seen::Echo), (Order::Send(Peer::Name(N0)), Seen::Message)] {
        let to = if seen == Seen::Echo { a.commands() } else { b.commands() };
        to.send(order).await.unwrap();
        let observed = timeout(Duration::from_secs(20), a.observation()).await;
        assert_eq!(observed.expect("it is not starved"), Some(seen));
    }
    let ended = timeout(Duration::from_secs(20), a.shut_down()).await.expect("it ends");
    assert_eq!(ended.unwrap(), Ending::ShutDown);
}

/// A message that waits for a node which never answers: the node closes all the same, when its time is over.
#[tokio::test]
async fn closing_takes_as_long_as_it_may_and_no_longer() {
    let [mut a, b] = pair().await;
    let _never_accepts = TcpListener::bind(&b.listen).await.unwrap();
    a.limits.handshake_timeout = 3 * CLOSE_TIMEOUT;
    let mut a = Node::spawn(Obedient, a).await.unwrap();
    for order in [Order::Send(Peer::Name(N1)), Order::Echo] {
        a.commands().send(order).await.unwrap();
    }
    assert_eq!(a.observation().await, Some(Seen::Echo));
    let begin = Instant::now();
    assert_eq!(a.shut_down().await.unwrap(), Ending::ShutDown);
    let took = begin.elapsed();
    assert!(CLOSE_TIMEOUT <= took && took < CLOSE_TIMEOUT + Duration::from_secs(20), "{took:?}");
}

/// A count of 0 means 1, and the largest one is not too large.
#[tokio::test]
async fn limits_may_have_any_value() {
    for limit in [0, usize::MAX] {
        let mut config = alone();
        config.limits.max_queued_commands = limit;
        config.limits.max_queued_observations = limit;
        config.limits.max_queued_arrivals = limit;
        config.limits.max_queued_per_peer = limit;
        config.limits.max_pending_handshakes = limit;
        let mut node = Node::spawn(Obedient, config).await.unwrap();
        node.commands().send(Order::Echo).await.unwrap();
        assert_eq!(node.observation().await, Some(Seen::Echo));
        node.shut_down().await.unwrap();
    }
}
