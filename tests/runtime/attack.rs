//! Load and failures that no protocol causes by itself: floods in both directions, long steps, endless timers, disks that
//! fail, and connections that are tampered with.

#![expect(
    clippy::disallowed_methods,
    reason = "tests are no machines: they wait, connect and use threads"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use interrex::{
    machine::{Boot, Effect, EffectOf, Event, EventOf, Machine, NodeId, Peer},
    runtime::{
        ClusterKey, Config, Heartbeats, Node, Opened, Owner, RunError, Storage, StorageError, Tcp,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

const N0: NodeId = NodeId(0);
const N1: NodeId = NodeId(1);

/// A machine that obeys commands and observes every event.
struct Probe;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Order {
    /// Sends a number of messages of a number of bytes.
    Flood(Peer, u32, u32),
    /// Persists, then sends one message.
    PersistAndSend(Peer),
    Monitor(Peer),
    Demonitor(Peer),
    /// Blocks for a number of milliseconds.
    Block(u64),
    Arm(Duration),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Seen {
    Got(NodeId, u32),
    Down(Peer),
    Fired,
}

impl Machine for Probe {
    type State = ();
    type Message = (u32, Vec<u8>);
    type Command = Order;
    type Timer = ();
    type Stable = u32;
    type Observation = Seen;

    fn start(&self, _: Boot<u32>) -> ((), Vec<EffectOf<Self>>) {
        ((), vec![])
    }

    fn step(&self, (): (), event: EventOf<Self>) -> ((), Vec<EffectOf<Self>>) {
        let effects = match event {
            Event::Message { from, message: (number, _) } => {
                vec![Effect::Observe(Seen::Got(from.node, number))]
            }
            Event::Down(peer) => vec![Effect::Observe(Seen::Down(peer))],
            Event::Timeout(()) => vec![Effect::Observe(Seen::Fired)],
            Event::Command(order) => obey(order),
        };
        ((), effects)
    }
}

fn obey(order: Order) -> Vec<EffectOf<Probe>> {
    match order {
        Order::Flood(to, number, size) => {
            (0..number).map(|i| Effect::Send { to, message: (i, vec![7; size as usize]) }).collect()
        }
        Order::PersistAndSend(to) => {
            vec![Effect::Persist(1), Effect::Send { to, message: (0, vec![]) }]
        }
        Order::Monitor(peer) => vec![Effect::Monitor(peer)],
        Order::Demonitor(peer) => vec![Effect::Demonitor(peer)],
        Order::Block(ms) => {
            thread::sleep(Duration::from_millis(ms));
            vec![]
        }
        Order::Arm(after) => vec![Effect::SetTimer { timer: (), after }],
    }
}

async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

async fn configs<const N: usize>(silence: Duration) -> [Config; N] {
    let key = ClusterKey::generate().unwrap();
    let mut places = vec![];
    for node in 0..N {
        places.push((NodeId(u16::try_from(node).unwrap()), free_address().await.to_string()));
    }
    std::array::from_fn(|i| {
        let (node, at) = places[i].clone();
        let mut config = Config::new(node, at, places.clone(), key.clone(), "probe");
        config.heartbeats = Heartbeats::with_timeout(silence);
        config
    })
}

async fn seen(node: &mut Node<Probe>) -> Seen {
    let seen = timeout(Duration::from_secs(20), node.observation()).await;
    seen.expect("it stands still").expect("it has ended")
}

/// The next observation within a time.
async fn seen_within(node: &mut Node<Probe>, time: Duration) -> Option<Seen> {
    timeout(time, node.observation()).await.ok().flatten()
}

/// Waits until a message from one node arrives at the other.
async fn connect(from: &Node<Probe>, to: &mut Node<Probe>) {
    let name = Peer::Name(to.me().node);
    let connected = async {
        loop {
            from.commands().send(Order::Flood(name, 1, 0)).await.unwrap();
            if seen_within(to, Duration::from_millis(100)).await.is_some() {
                while seen_within(to, Duration::from_millis(100)).await.is_some() {}
                return;
            }
        }
    };
    timeout(Duration::from_secs(10), connected).await.expect("they connect");
}

async fn pair(silence: Duration) -> [Node<Probe>; 2] {
    let [a, b] = configs(silence).await;
    let mut a = Node::spawn(Probe, a).await.unwrap();
    let mut b = Node::spawn(Probe, b).await.unwrap();
    connect(&a, &mut b).await;
    connect(&b, &mut a).await;
    for (node, other) in [(&a, N1), (&b, N0)] {
        node.commands().send(Order::Monitor(Peer::Name(other))).await.unwrap();
    }
    [a, b]
}

/// Takes a number of messages, in order and nothing else.
async fn take_all(node: &mut Node<Probe>, number: u32) -> Result<(), String> {
    for i in 0..number {
        match seen(node).await {
            Seen::Got(_, it) if it == i => {}
            other => return Err(format!("{other:?} in place of message {i}")),
        }
    }
    Ok(())
}

/// Both send more than arrivals and kernels hold, at once: neither waits for the other for ever.
#[tokio::test]
async fn floods_in_both_directions_cause_no_suspicion() {
    let [mut a, mut b] = pair(Duration::from_secs(1)).await;
    let number = 20_000;
    a.commands().send(Order::Flood(Peer::Name(N1), number, 4000)).await.unwrap();
    b.commands().send(Order::Flood(Peer::Name(N0), number, 4000)).await.unwrap();
    let (at_a, at_b) = tokio::join!(take_all(&mut a, number), take_all(&mut b, number));
    assert_eq!((at_a, at_b), (Ok(()), Ok(())));
}

/// Many short steps: together they must not hold heartbeats back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_steps_in_a_row_do_not_make_a_node_silent() {
    let [a, mut b] = pair(Duration::from_millis(300)).await;
    for _ in 0..200 {
        a.commands().send(Order::Block(10)).await.unwrap();
    }
    assert_eq!(seen_within(&mut b, Duration::from_secs(3)).await, None);
}

#[tokio::test]
async fn a_timer_may_be_armed_for_longer_than_anything_lasts() {
    let [a, _] = pair(Duration::from_secs(1)).await;
    for after in [Duration::from_hours(24 * 365 * 3), Duration::MAX] {
        a.commands().send(Order::Arm(after)).await.unwrap();
        sleep(Duration::from_millis(100)).await;
        a.commands().send(Order::Block(0)).await.expect("it has ended");
    }
}

#[tokio::test]
async fn an_endless_timeout_is_possible() {
    let [a, b] = configs(Duration::MAX).await;
    let (a, mut b) = (Node::spawn(Probe, a).await.unwrap(), Node::spawn(Probe, b).await.unwrap());
    connect(&a, &mut b).await;
}

/// Fails to persist.
struct Full;

impl Storage<u32> for Full {
    fn open(&mut self, _: &Owner) -> Result<Opened<u32>, StorageError> {
        Ok(Opened { life: 1, stable: vec![] })
    }

    fn persist(&mut self, _: &u32, _: &u32) -> Result<(), StorageError> {
        Err(StorageError::Disk { path: "full".into(), source: io::ErrorKind::StorageFull.into() })
    }
}

#[tokio::test]
async fn effects_after_a_failed_persist_are_not_carried_out() {
    let [a, b] = configs(Duration::from_secs(1)).await;
    let heartbeats = a.heartbeats;
    let a = Node::spawn_with(Probe, a, Tcp, heartbeats, Full).await.unwrap();
    let mut b = Node::spawn(Probe, b).await.unwrap();
    connect(&a, &mut b).await;
    b.commands().send(Order::Monitor(Peer::Name(N0))).await.unwrap();
    a.commands().send(Order::PersistAndSend(Peer::Name(N1))).await.unwrap();
    assert!(matches!(a.ended().await, Err(RunError::Storage(_))));
    assert_eq!(seen(&mut b).await, Seen::Down(Peer::Name(N0)));
}

/// `/dev/full` is a log that is full.
#[tokio::test]
async fn a_node_whose_log_is_full_ends() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let [mut a, _] = configs(Duration::from_secs(1)).await;
    a.log = Some(log);
    let ended = match Node::spawn(Probe, a).await {
        Ok(node) => node.ended().await.map_err(|error| error.to_string()).map(|_| ()),
        Err(error) => Err(error.to_string()),
    };
    let error = ended.expect_err("nothing can be written");
    assert!(error.contains("the log") && error.contains("cannot be written"), "{error}");
}

#[tokio::test]
async fn a_log_is_not_appended_to_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let [mut a, mut b] = configs(Duration::from_secs(1)).await;
    (a.log, b.log) = (Some(log.clone()), Some(log.clone()));
    let refused = async |config: &Config| match Node::spawn(Probe, config.clone()).await {
        Ok(_) => panic!("it starts"),
        Err(error) => error.to_string(),
    };
    fs::write(&log, "a key, perhaps").unwrap();
    assert!(refused(&a).await.contains("other content than the log of a node"));
    assert_eq!(fs::read_to_string(&log).unwrap(), "a key, perhaps");
    fs::remove_file(&log).unwrap();

    let first = Node::spawn(Probe, a.clone()).await.unwrap();
    assert!(refused(&b).await.contains("another process writes to it"));
    first.shut_down().await.unwrap();
    assert!(refused(&b).await.contains("it is the log of n0"));
    // The next life of the same node goes on.
    Node::spawn(Probe, a).await.unwrap().shut_down().await.unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap().matches("\"start\"").count(), 2);
}

/// A proxy before a node, which tampers once with the bytes to the node.
struct Proxy {
    at: SocketAddr,
    tamper: Arc<AtomicBool>,
    tampered: Arc<AtomicUsize>,
}

impl Proxy {
    async fn before(node: SocketAddr, how: fn(&[u8]) -> Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let proxy = Self { at, tamper: Arc::default(), tampered: Arc::default() };
        let (tamper, tampered) = (proxy.tamper.clone(), proxy.tampered.clone());
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                let (tamper, tampered) = (tamper.clone(), tampered.clone());
                tokio::spawn(async move {
                    if let Ok(to) = TcpStream::connect(node).await {
                        pass(from, to, how, &tamper, &tampered).await;
                    }
                });
            }
        });
        proxy
    }
}

async fn pass(
    from: TcpStream,
    to: TcpStream,
    how: fn(&[u8]) -> Vec<u8>,
    tamper: &AtomicBool,
    tampered: &AtomicUsize,
) {
    let ((mut from, mut back), (mut answers, mut to)) = (from.into_split(), to.into_split());
    let there = async {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            let mut passed = bytes[..read].to_vec();
            if tamper.swap(false, SeqCst) {
                passed = how(&passed);
                tampered.fetch_add(1, SeqCst);
            }
            if to.write_all(&passed).await.is_err() {
                break;
            }
        }
    };
    let answers = tokio::io::copy(&mut answers, &mut back);
    tokio::select! {
        () = there => {}
        _ = answers => {}
    }
}

/// A proxy changes the bytes. Nothing arrives that was not sent: the connection ends, and another one is made.
async fn assert_noticed(how: fn(&[u8]) -> Vec<u8>) {
    let [mut a, b] = configs(Duration::from_secs(1)).await;
    let mut b = Node::spawn(Probe, b).await.unwrap();
    let proxy = Proxy::before(b.address(), how).await;
    a.peers.insert(N1, proxy.at.to_string());
    let a = Node::spawn(Probe, a).await.unwrap();
    connect(&a, &mut b).await;
    b.commands().send(Order::Monitor(Peer::Name(N0))).await.unwrap();
    sleep(Duration::from_millis(50)).await;
    proxy.tamper.store(true, SeqCst);
    a.commands().send(Order::Flood(Peer::Name(N1), 3, 10)).await.unwrap();
    let mut arrived = vec![];
    loop {
        match seen(&mut b).await {
            Seen::Got(_, number) => arrived.push(number),
            other => break assert_eq!(other, Seen::Down(Peer::Name(N0))),
        }
    }
    assert!([0, 1, 2].starts_with(&arrived), "{arrived:?}");
    assert_eq!(proxy.tampered.load(SeqCst), 1);
    connect(&a, &mut b).await;
}

#[tokio::test]
async fn changed_bytes_end_the_connection() {
    assert_noticed(|bytes| {
        let mut bytes = bytes.to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        bytes
    })
    .await;
}

#[tokio::test]
async fn repeated_bytes_end_the_connection() {
    assert_noticed(|bytes| [bytes, bytes].concat()).await;
}

#[tokio::test]
async fn inserted_bytes_end_the_connection() {
    assert_noticed(|bytes| [&[0, 17], &[0; 17][..], bytes].concat()).await;
}

/// The address of another node may be its own by mistake.
#[tokio::test]
async fn a_node_that_dials_itself_notices() {
    let [mut a, _] = configs(Duration::from_secs(1)).await;
    a.peers.insert(N1, a.listen.clone());
    let error = Node::spawn(Probe, a).await.err().expect("it does not fit").to_string();
    assert!(error.ends_with("does not fit: n0 answers there"), "{error}");
}

#[tokio::test]
async fn down_arrives_once_and_not_after_a_demonitor() {
    let [a, b] = configs(Duration::from_millis(500)).await;
    let later = b.clone();
    let mut a = Node::spawn(Probe, a).await.unwrap();
    let b = Node::spawn(Probe, b).await.unwrap();
    connect(&b, &mut a).await;
    let old = Peer::Process(b.me());
    for peer in [Peer::Name(N1), old, old, Peer::Name(N1)] {
        a.commands().send(Order::Monitor(peer)).await.unwrap();
    }
    b.commands().send(Order::Flood(Peer::Name(N0), 3000, 100)).await.unwrap();
    assert_eq!(seen(&mut a).await, Seen::Got(N1, 0));
    drop(b.shut_down().await);
    for i in 1..3000 {
        assert_eq!(seen(&mut a).await, Seen::Got(N1, i));
    }
    assert_eq!(seen(&mut a).await, Seen::Down(Peer::Name(N1)));
    assert_eq!(seen(&mut a).await, Seen::Down(old));
    // Without storage, lives are numbered by seconds.
    sleep(Duration::from_millis(1100)).await;
    let b = Node::spawn(Probe, later.clone()).await.unwrap();
    connect(&b, &mut a).await;
    a.commands().send(Order::Flood(old, 1, 0)).await.unwrap();
    a.commands().send(Order::Monitor(old)).await.unwrap();
    assert_eq!(seen(&mut a).await, Seen::Down(old));
    a.commands().send(Order::Monitor(old)).await.unwrap();
    a.commands().send(Order::Demonitor(old)).await.unwrap();
    let _ = seen_within(&mut a, Duration::from_millis(100)).await;
    assert_eq!(seen_within(&mut a, Duration::from_millis(300)).await, None);
}

/// Connects as often as possible from two threads until a future has ended, and returns how often.
async fn flood_of_connections(at: SocketAddr, until: impl Future<Output = ()>) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let flooders: Vec<_> = (0..2)
        .map(|_| {
            let (count, over) = (count.clone(), over.clone());
            thread::spawn(move || {
                let mut held = std::collections::VecDeque::new();
                while !over.load(SeqCst) {
                    if let Ok(stream) = std::net::TcpStream::connect(at) {
                        count.fetch_add(1, SeqCst);
                        held.push_back(stream);
                        if held.len() > 200 {
                            held.pop_front();
                        }
                    }
                }
            })
        })
        .collect();
    until.await;
    over.store(true, SeqCst);
    for flooder in flooders {
        flooder.join().unwrap();
    }
    count.load(SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_the_key_connects_during_a_flood_of_connections() {
    let [a, b] = configs(Duration::from_secs(1)).await;
    let mut a = Node::spawn(Probe, a).await.unwrap();
    let at = a.address();
    let connected = async {
        sleep(Duration::from_millis(200)).await;
        let b = Node::spawn(Probe, b).await.unwrap();
        connect(&b, &mut a).await;
    };
    assert!(flood_of_connections(at, connected).await > 0);
}

/// The same among three, which all wait for each other.
#[tokio::test]
async fn floods_among_three_cause_no_suspicion() {
    let all: [Config; 3] = configs(Duration::from_secs(1)).await;
    let names: Vec<_> = all.iter().map(|config| Peer::Name(config.node)).collect();
    let mut nodes = vec![];
    for config in all {
        nodes.push(Node::spawn(Probe, config).await.unwrap());
    }
    sleep(Duration::from_millis(300)).await;
    let number = 10_000;
    for node in &nodes {
        let others = || names.iter().filter(|name| name.node() != node.me().node);
        for name in others() {
            node.commands().send(Order::Monitor(*name)).await.unwrap();
        }
        for name in others() {
            node.commands().send(Order::Flood(*name, number, 4000)).await.unwrap();
        }
    }
    let mut takers = tokio::task::JoinSet::new();
    for mut node in nodes {
        takers.spawn(async move {
            for _ in 0..2 * number {
                let seen = seen(&mut node).await;
                assert!(matches!(seen, Seen::Got(..)), "{seen:?}");
            }
            node
        });
    }
    assert_eq!(takers.join_all().await.len(), 3);
}

/// Persists slowly.
struct Slow(Duration);

impl Storage<u32> for Slow {
    fn open(&mut self, _: &Owner) -> Result<Opened<u32>, StorageError> {
        Ok(Opened { life: 1, stable: vec![] })
    }

    fn persist(&mut self, _: &u32, _: &u32) -> Result<(), StorageError> {
        thread::sleep(self.0);
        Ok(())
    }
}

/// A disk that takes longer than a node may be silent: the others cannot tell that from a crash.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_slow_disk_is_suspected_and_reconnects() {
    let [a, b] = configs(Duration::from_millis(300)).await;
    let heartbeats = a.heartbeats;
    let slow = Slow(Duration::from_millis(900));
    let mut a = Node::spawn_with(Probe, a, Tcp, heartbeats, slow).await.unwrap();
    let mut b = Node::spawn(Probe, b).await.unwrap();
    connect(&a, &mut b).await;
    connect(&b, &mut a).await;
    b.commands().send(Order::Monitor(Peer::Name(N0))).await.unwrap();
    a.commands().send(Order::PersistAndSend(Peer::Name(N1))).await.unwrap();
    assert_eq!(seen(&mut b).await, Seen::Down(Peer::Name(N0)));
    sleep(Duration::from_secs(1)).await;
    while seen_within(&mut b, Duration::from_millis(100)).await.is_some() {}
    connect(&b, &mut a).await;
    connect(&a, &mut b).await;
}

mod calls {
    use super::{Duration, configs, timeout};
    use interrex::{
        gen_leader::{Bully, Dictionary, GenLeader, Roster, dictionary::Request},
        runtime::{CallError, Server},
    };

    /// A worker without a candidate waits for ever for the end of an election, but calls to it do not.
    #[tokio::test]
    async fn a_call_during_an_election_ends_in_time() {
        let [_, config] = configs(Duration::from_secs(1)).await;
        let dictionary = Dictionary::<String, u32>::default();
        let machine: GenLeader<Bully, _> = GenLeader::new(dictionary, Roster::new(1, 1));
        let server = Server::spawn(machine, config).await.unwrap();
        let client = server.client();
        let limit = Some(Duration::from_millis(200));
        for _ in 0..3 {
            let calls = async {
                tokio::join!(
                    client.call(Request::Dump, limit),
                    client.leader_call(Request::Delete("key".into()), limit),
                )
            };
            let timed_out = Err(CallError::TimedOut);
            let answers = timeout(Duration::from_secs(2), calls).await.expect("they end");
            assert_eq!(answers, (timed_out.clone(), timed_out));
        }
        let endless = client.clone();
        let out = tokio::spawn(async move { endless.call(Request::Dump, None).await });
        let dropped = client.call(Request::Dump, None);
        assert!(timeout(Duration::from_millis(50), dropped).await.is_err());
        assert!(server.shut_down().await.is_ok());
        assert_eq!(out.await.unwrap(), Err(CallError::Ended));
        assert_eq!(client.call(Request::Dump, None).await, Err(CallError::Ended));
    }

    #[tokio::test]
    async fn a_call_may_wait_for_longer_than_anything_lasts() {
        let [mut config, _] = configs(Duration::from_secs(1)).await;
        config.peers.clear();
        let dictionary = Dictionary::<String, u32>::default();
        let machine: GenLeader<Bully, _> = GenLeader::new(dictionary, Roster::new(1, 0));
        let client = Server::spawn(machine, config).await.unwrap();
        assert!(client.client().call(Request::Dump, Some(Duration::MAX)).await.is_ok());
    }
}
