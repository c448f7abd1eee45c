//! What is measured: round trips, and as much as three nodes can do. They run in this process, a thread each.

use interrex::{
    gen_leader::{
        Bully, Dictionary, GenLeader, Roster,
        dictionary::{Reply, Request},
    },
    gms3::{Command, Gms3, Observation},
    group::Group,
    machine::NodeId,
    runtime::{Client, ClusterKey, Config, Node, Server},
};
use std::{
    error::Error,
    future::Future,
    net::TcpListener,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net,
    runtime::Builder,
    sync::Barrier,
};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

const NODES: u16 = 3;
/// The bytes of a value.
pub(crate) const VALUE: usize = 100;
/// Multicasts that are under way.
const OUTSTANDING: u64 = 64;

/// Runs a future on a thread and a runtime of its own.
fn on_a_thread<F, T>(future: impl FnOnce() -> F + Send + 'static) -> JoinHandle<T>
where
    F: Future<Output = T>,
    T: Send + 'static,
{
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(future())
    })
}

/// The same bytes there and back, over nothing but TCP.
pub(crate) fn ping_pong(times: u64) -> Result<Vec<Duration>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let echo = on_a_thread(move || async move {
        let listener = net::TcpListener::from_std(listener)?;
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut bytes = [0; VALUE];
        while stream.read_exact(&mut bytes).await.is_ok() {
            stream.write_all(&bytes).await?;
        }
        std::io::Result::Ok(())
    });
    let caller = on_a_thread(move || async move {
        let mut stream = net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut bytes = [7; VALUE];
        let mut latencies = vec![];
        for _ in 0..times {
            let since = Instant::now();
            stream.write_all(&bytes).await?;
            stream.read_exact(&mut bytes).await?;
            latencies.push(since.elapsed());
        }
        std::io::Result::Ok(latencies)
    });
    let latencies = caller.join().expect("no panic")?;
    echo.join().expect("no panic")?;
    Ok(latencies)
}

/// What all nodes of a cluster are told.
fn configs(protocol: &str) -> Result<Vec<Config>> {
    let key = ClusterKey::generate()?;
    let listeners = (0..NODES)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<std::io::Result<Vec<_>>>()?;
    let addresses = listeners
        .iter()
        .map(|listener| Ok(listener.local_addr()?.to_string()))
        .collect::<Result<Vec<_>>>()?;
    let peers = || (0..).map(NodeId).zip(addresses.iter().cloned());
    let config = |(node, address)| Config::new(node, address, peers(), key.clone(), protocol);
    Ok(peers().map(config).collect())
}

type Store = Dictionary<u64, String>;

/// Runs nodes of a protocol, each on a thread, one after the other, and what each does when all are there. None ends
/// before all have done it.
fn together<F, W, T>(protocol: &str, node: impl Fn(Config, Together) -> F) -> Result<Vec<T>>
where
    F: FnOnce() -> W + Send + 'static,
    W: Future<Output = T>,
    T: Send + 'static,
{
    let together = Together(Arc::new(Barrier::new(NODES.into())));
    let mut nodes = vec![];
    for config in configs(protocol)? {
        nodes.push(on_a_thread(node(config, together.clone())));
        // The first one leads.
        thread::sleep(Duration::from_millis(100));
    }
    Ok(nodes.into_iter().map(|node| node.join().expect("no panic")).collect())
}

/// Where nodes wait for each other.
#[derive(Clone)]
struct Together(Arc<Barrier>);

impl Together {
    /// How long it takes, and what comes of it.
    async fn time<T>(&self, work: impl Future<Output = T>) -> (Duration, T) {
        self.0.wait().await;
        let since = Instant::now();
        let result = work.await;
        let took = since.elapsed();
        self.0.wait().await;
        (took, result)
    }
}

#[expect(clippy::cast_precision_loss, reason = "not that many")]
fn rate(count: u64, took: impl Iterator<Item = Duration>) -> f64 {
    count as f64 / took.max().unwrap_or_default().as_secs_f64()
}

/// Calls per second of so many callers at the two followers, or of one at one of them, and how long each took.
pub(crate) fn gen_leader(callers: u64, calls: u64, write: bool) -> Result<(f64, Vec<Duration>)> {
    let ended = together("gen_leader", |config, together| {
        let followers = u64::from(NODES - 1);
        let share = match config.node.0 {
            0 => 0,
            1 => callers.div_ceil(followers),
            _ => callers / followers,
        };
        move || async move {
            let roster = Roster::new(NODES, 0);
            let machine = GenLeader::new(Store::default(), roster);
            let server =
                Server::<GenLeader<Bully, Store>>::spawn(machine, config).await.expect("a node");
            let mut leader = server.leader();
            while leader.borrow_and_update().is_none() {
                leader.changed().await.expect("a server");
            }
            let work = all_call(server.client(), share, calls / callers, write);
            let ended = together.time(work).await;
            server.shut_down().await.expect("nothing went wrong");
            ended
        }
    })?;
    Ok(called(calls, ended))
}

/// The same of group: writes that a majority has when they are answered, in its memory or on its disks.
pub(crate) fn group(callers: u64, calls: u64, on_disk: bool) -> Result<(f64, Vec<Duration>)> {
    let folder = tempfile::tempdir()?;
    let ended = together("group", |mut config, together| {
        let me = config.node;
        config.contacts.extend((me != NodeId(0)).then_some(NodeId(0)));
        config.data = on_disk.then(|| folder.path().join(me.to_string()));
        let followers = u64::from(NODES - 1);
        let share = match me.0 {
            0 => 0,
            1 => callers.div_ceil(followers),
            _ => callers / followers,
        };
        move || async move {
            let machine = Group::new(Store::default());
            let server = Server::spawn(machine, config).await.expect("a node");
            let mut membership = server.membership();
            let is_whole = |size| size == usize::from(NODES);
            while !is_whole(
                membership.borrow_and_update().view.as_ref().map_or(0, |view| view.members.len()),
            ) {
                membership.changed().await.expect("a server");
            }
            let work = all_call(server.client(), share, calls / callers, true);
            let ended = together.time(work).await;
            server.shut_down().await.expect("nothing went wrong");
            ended
        }
    })?;
    Ok(called(calls, ended))
}

fn called(calls: u64, ended: Vec<(Duration, Vec<Duration>)>) -> (f64, Vec<Duration>) {
    let rate = rate(calls, ended.iter().map(|(took, _)| *took));
    (rate, ended.into_iter().flat_map(|(_, latencies)| latencies).collect())
}

/// A client of the dictionary.
trait Ask: Clone + Send + 'static {
    fn ask(&self, request: Request<u64, String>)
    -> impl Future<Output = Reply<u64, String>> + Send;
}

impl Ask for Client<GenLeader<Bully, Store>> {
    async fn ask(&self, request: Request<u64, String>) -> Reply<u64, String> {
        self.leader_call(request, None).await.expect("an answer")
    }
}

impl Ask for Client<Group<Store>> {
    async fn ask(&self, request: Request<u64, String>) -> Reply<u64, String> {
        self.call(request, None).await.expect("an answer")
    }
}

async fn all_call(client: impl Ask, callers: u64, calls: u64, write: bool) -> Vec<Duration> {
    let call = |caller| tokio::spawn(call(client.clone(), caller, calls, write));
    let tasks: Vec<_> = (0..callers).map(call).collect();
    let mut latencies = vec![];
    for task in tasks {
        latencies.extend(task.await.expect("no panic"));
    }
    latencies
}

async fn call(client: impl Ask, caller: u64, calls: u64, write: bool) -> Vec<Duration> {
    let value = "v".repeat(VALUE);
    let mut latencies = vec![];
    for _ in 0..calls {
        let request =
            if write { Request::Store(caller, value.clone()) } else { Request::Lookup(caller) };
        let since = Instant::now();
        let reply = client.ask(request).await;
        latencies.push(since.elapsed());
        assert_eq!(reply == Reply::Ok, write);
    }
    latencies
}

/// Multicasts per second of one sender, with so many under way, until all are delivered everywhere.
pub(crate) fn gms3(sender: NodeId, multicasts: u64) -> Result<f64> {
    let ended = together("gms3", |mut config, together| {
        let me = config.node;
        config.contacts.extend((me != NodeId(0)).then_some(NodeId(0)));
        move || async move {
            let joins = !config.contacts.is_empty();
            let mut node = Node::spawn(Gms3::<String>::default(), config).await.expect("a node");
            while joins && node.observation().await.expect("it runs") != Observation::Joined {}
            let (took, ()) = together.time(multicast(&mut node, me == sender, multicasts)).await;
            node.shut_down().await.expect("nothing went wrong");
            took
        }
    })?;
    Ok(rate(multicasts, ended.into_iter()))
}

/// Sends, if it is the sender, and waits for all that is delivered.
async fn multicast(node: &mut Node<Gms3<String>>, sends: bool, multicasts: u64) {
    let text = "m".repeat(VALUE);
    let (mut sent, mut delivered) = (0, 0);
    while delivered < multicasts {
        while sends && sent < multicasts && sent - delivered < OUTSTANDING {
            node.commands().send(Command::Mcast(text.clone())).await.expect("it runs");
            sent += 1;
        }
        let observation = node.observation().await.expect("it runs");
        delivered += u64::from(matches!(observation, Observation::Delivered { .. }));
    }
}
