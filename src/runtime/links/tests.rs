//! Links over the loopback interface.

use super::{Links, Signal, Unmet};
use crate::{
    machine::{Address, NodeId, Peer},
    runtime::{ClusterKey, Config, Heartbeats, NodeKey, NodeKeys, Tcp},
};
use std::{
    env,
    future::{Future, poll_fn},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};

type Ends = Links<Tcp, Heartbeats, String>;

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(4);
/// The detector's timeout.
const SILENCE: Duration = Duration::from_millis(300);

const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const C: NodeId = NodeId(2);

const fn life(node: NodeId, life: u64) -> Address {
    Address { node, life }
}

async fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// The configurations of nodes that know each other.
async fn cluster<const N: usize>() -> [Config; N] {
    let mut ports = vec![];
    for node in 0..u16::try_from(N).expect("few") {
        ports.push((NodeId(node), free_port().await));
    }
    std::array::from_fn(|node| {
        let (node, at) = ports[node].clone();
        let mut config = Config::new(node, at, ports.clone(), ClusterKey([7; 32]), "test");
        config.heartbeats = Heartbeats::with_timeout(SILENCE);
        config
    })
}

/// The connected process of a node.
fn connected(links: &Ends, node: NodeId) -> Option<Address> {
    links.peers[links.find(node)?].connected()
}

async fn open(config: &Config, number: u64) -> Ends {
    let me = life(config.node, number);
    let mut links = Ends::open(Tcp, config.heartbeats, config, me).await.expect("it listens");
    links.accept();
    links
}

/// Runs a future while the other nodes make progress.
async fn within<R>(what: impl Future<Output = R>, others: &mut [&mut Ends]) -> R {
    let [first, second] = match others {
        [] => [None, None],
        [first] => [Some(&mut **first), None],
        [first, second, ..] => [Some(&mut **first), Some(&mut **second)],
    };
    let keep_alive = async |links: Option<&mut Ends>| match links {
        Some(links) => links.keep_alive().await,
        None => std::future::pending().await,
    };
    let all = async {
        tokio::select! {
            result = what => result,
            () = keep_alive(first) => unreachable!("it never returns"),
            () = keep_alive(second) => unreachable!("it never returns"),
        }
    };
    timeout(LONG, all).await.expect("in time")
}

/// True if both connections are open.
fn is_linked(a: &Ends, b: NodeId) -> bool {
    let link = &a.peers[a.find(b).expect("it is listed")];
    link.incoming.is_some() && link.outgoing.is_some()
}

async fn link(a: &mut Ends, b: &mut Ends) {
    while !is_linked(a, b.me.node) || !is_linked(b, a.me.node) {
        within(a.step(), &mut [b]).await;
    }
}

/// A text that differs by number.
fn text(i: usize) -> String {
    format!("message {i}")
}

fn message(signal: Signal<String>) -> (Address, u64, String) {
    match signal {
        Signal::Message { from, sent, message } => (from, sent, message),
        Signal::Down(_) | Signal::Superseded { .. } => panic!("not a message: {signal:?}"),
    }
}

fn down(signal: Signal<String>) -> Peer {
    match signal {
        Signal::Down(peer) => peer,
        other @ (Signal::Message { .. } | Signal::Superseded { .. }) => {
            panic!("not a Down: {other:?}")
        }
    }
}

/// The next signals of one node, while the other makes progress.
async fn take(links: &mut Ends, other: &mut Ends, number: usize) -> Vec<Signal<String>> {
    let mut signals = vec![];
    for _ in 0..number {
        signals.push(within(links.next(), &mut [&mut *other]).await);
    }
    signals
}

#[tokio::test]
async fn messages_arrive_once_and_in_order() {
    const ALL: usize = 10_000;
    let [mut a, b] = cluster().await;
    // The first ones wait for the connection, and the sender does when these are too many.
    a.limits.max_queued_per_peer = 50;
    let (mut a, mut b) = (open(&a, 3).await, open(&b, 0).await);
    let send = async {
        for i in 0..ALL {
            a.send(Peer::Name(B), i as u64, text(i));
            if i % 100 == 0 {
                a.flush().await;
            }
        }
        a.flush().await;
        a.keep_alive().await;
    };
    let receive = async {
        for i in 0..ALL {
            let got = message(b.next().await);
            assert_eq!(got, (life(A, 3), i as u64, text(i)));
        }
    };
    let both = async {
        tokio::select! {
            () = send => unreachable!("it never returns"),
            () = receive => {}
        }
    };
    timeout(LONG, both).await.expect("in time");
}

#[tokio::test]
async fn a_large_message_arrives_between_small_ones() {
    let [a, b] = cluster().await;
    let (mut a, mut b) = (open(&a, 0).await, open(&b, 0).await);
    link(&mut a, &mut b).await;
    let large = "x".repeat(1 << 20);
    for text in ["before", &large, "after"] {
        a.send(Peer::Name(B), 1, text.into());
    }
    for text in ["before", &large, "after"] {
        let got = within(b.next(), &mut [&mut a]).await;
        assert!(message(got).2 == text);
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_dropped_and_the_next_one_is_not() {
    let [mut a, b] = cluster().await;
    a.limits.max_message_bytes = 100;
    let (mut a, mut b) = (open(&a, 0).await, open(&b, 0).await);
    for text in ["x".repeat(200), "after".into()] {
        a.send(Peer::Name(B), 1, text);
    }
    let got = within(b.next(), &mut [&mut a]).await;
    assert_eq!(message(got).2, "after");
}

#[tokio::test]
async fn messages_to_itself_arrive_in_order() {
    let [a] = cluster().await;
    let mut a = open(&a, 2).await;
    a.send(Peer::Name(A), 1, text(0));
    a.send(Peer::Process(life(A, 1)), 1, "a life that is over".into());
    a.send(Peer::Process(life(A, 2)), 2, text(1));
    a.monitor(Peer::Process(life(A, 2)));
    a.monitor(Peer::Process(life(A, 1)));
    assert_eq!(message(within(a.next(), &mut []).await), (life(A, 2), 1, text(0)));
    assert_eq!(message(within(a.next(), &mut []).await), (life(A, 2), 2, text(1)));
    assert_eq!(down(within(a.next(), &mut []).await), Peer::Process(life(A, 1)));
    assert!(a.try_next().is_none());
}

/// Two nodes that differ in this way see each other as down, and nothing else happens.
async fn assert_refused(differs: impl FnOnce(&mut Config)) {
    let [a, mut b] = cluster().await;
    differs(&mut b);
    let (mut a, mut b) = (open(&a, 0).await, open(&b, 0).await);
    a.send(Peer::Name(B), 1, text(0));
    a.monitor(Peer::Name(B));
    assert_eq!(down(within(a.next(), &mut [&mut b]).await), Peer::Name(B));
    b.monitor(Peer::Name(A));
    assert_eq!(down(within(b.next(), &mut [&mut a]).await), Peer::Name(A));
    assert!(a.try_next().is_none() && b.try_next().is_none());
}

#[tokio::test]
async fn a_node_without_the_key_is_refused() {
    assert_refused(|config| config.key = ClusterKey([8; 32])).await;
}

#[tokio::test]
async fn a_node_with_another_protocol_is_refused() {
    assert_refused(|config| config.protocol = "another".into()).await;
}

#[tokio::test]
async fn a_node_with_another_configuration_is_refused() {
    assert_refused(|config| config.configuration = "another".into()).await;
}

#[tokio::test]
async fn a_node_that_lists_other_nodes_is_refused() {
    assert_refused(|config| drop(config.peers.insert(C, "127.0.0.1:9".into()))).await;
}

/// Why a node must not start beside another one that differs in this way.
async fn unmet(differs: impl FnOnce(&mut Config)) -> String {
    let [a, mut b] = cluster().await;
    differs(&mut b);
    let mut a = open(&a, 0).await;
    let me = life(b.node, 0);
    let mut b = Ends::open(Tcp, b.heartbeats, &b, me).await.expect("it listens");
    match within(b.meet(), &mut [&mut a]).await {
        Err(Unmet::Differs { node: A, how, .. }) => how,
        other => panic!("{other:?}"),
    }
}

/// A forwarder whose node does not run accepts connections, and closes them. That is no other key.
#[tokio::test]
async fn a_node_starts_although_the_forwarder_of_another_one_closes_its_connections() {
    let [a, b] = cluster().await;
    let forwarder = TcpListener::bind(&a.listen).await.expect("a port");
    let closes = tokio::spawn(async move {
        while let Ok((stream, _)) = forwarder.accept().await {
            drop(stream);
        }
    });
    let mut b = Ends::open(Tcp, b.heartbeats, &b, life(b.node, 0)).await.expect("it listens");
    assert!(within(b.meet(), &mut []).await.is_ok());
    closes.abort();
}

/// Anybody can listen at the address of a node that is down.
#[tokio::test]
async fn whoever_has_not_shown_the_key_keeps_nobody_from_starting() {
    let [a, b, c] = cluster().await;
    let stranger = TcpListener::bind(&c.listen).await.expect("a port");
    let answers = tokio::spawn(async move {
        while let Ok((mut stream, _)) = stranger.accept().await {
            let _ = stream.read(&mut [0; 64]).await;
            let _ = stream.write_all(b"\x00\x09other key").await;
        }
    });
    let mut first = Ends::open(Tcp, b.heartbeats, &b, life(B, 0)).await.expect("it listens");
    // Alone, it cannot tell that from a key that is wrong.
    let met = within(first.meet(), &mut []).await;
    assert!(matches!(met, Err(Unmet::Differs { node: C, .. })), "{met:?}");
    let mut second = first.reopen(&b, life(B, 0)).await.expect("it listens again");
    let mut a = open(&a, 0).await;
    let met = within(second.meet(), &mut [&mut a]).await;
    assert!(met.is_ok(), "{met:?}");
    answers.abort();
}

/// It may lie. Most others would have to.
#[tokio::test]
async fn one_of_two_others_cannot_end_a_node_by_a_later_life_of_it() {
    let [a, b, c] = cluster().await;
    let (mut a, mut b) = (open(&a, 1).await, open(&b, 0).await);
    link(&mut a, &mut b).await;
    let known = b.find(A).expect("it is listed");
    b.peers[known].known.as_mut().expect("it is connected").address.life = 2;
    a.dials.abort_all();
    b.peers[known].incoming = None;
    b.peers[known].outgoing = None;
    a.monitor(Peer::Name(B));
    a.send(Peer::Name(B), 1, text(0));
    let ended = timeout(LONG / 4, async {
        loop {
            if let Signal::Superseded { .. } = within(a.next(), &mut [&mut b]).await {
                break;
            }
        }
    });
    assert!(ended.await.is_err(), "n1 alone has ended n0");
    let mut c = open(&c, 0).await;
    let link = c.find(A).expect("it is listed");
    c.peers[link].known = b.peers[known].known;
    a.send(Peer::Name(C), 2, text(0));
    let signal = timeout(LONG, async {
        loop {
            let signal = within(a.next(), &mut [&mut b, &mut c]).await;
            if matches!(signal, Signal::Superseded { .. }) {
                break;
            }
        }
    });
    signal.await.expect("both say so");
}

#[tokio::test]
async fn a_node_that_differs_is_told_before_it_starts() {
    let how = unmet(|config| config.key = ClusterKey([8; 32])).await;
    assert_eq!(how, "it has another key");
    let how = unmet(|config| config.protocol = "another".into()).await;
    assert_eq!(how, "its protocol is `test`, this node's is `another`");
    let how = unmet(|config| config.configuration = "another".into()).await;
    assert_eq!(how, "its configuration is ``, this node's is `another`");
    let how = unmet(|config| drop(config.peers.insert(C, "127.0.0.1:9".into()))).await;
    assert_eq!(how, "its nodes are n0, n1, this node's are n0, n1, n2");
    let how = unmet(|config| config.cluster = "another".into()).await;
    assert_eq!(how, "its cluster is ``, this node's is `another`");
    // It listens where nobody looks for it.
    let elsewhere = |config: &mut Config| {
        config.listen = "127.0.0.1:0".into();
        config.advertised = None;
    };
    let how = unmet(elsewhere).await;
    assert!(how.contains("n1 cannot be reached at its listed address"), "{how}");
}

/// Alone first, it would lead, and refuse nobody: the others cannot dial it.
#[tokio::test]
async fn a_node_that_listens_where_it_is_not_listed_does_not_start_alone() {
    let [mut a] = cluster().await;
    let listed = a.listen.clone();
    a.listen = "127.0.0.1:0".into();
    let mut links = Ends::open(Tcp, a.heartbeats, &a, life(A, 0)).await.expect("it listens");
    match within(links.meet(), &mut []).await {
        Err(Unmet::NotReached { at, why }) => {
            assert!(at == listed && why.contains("refused"), "{at}: {why}");
        }
        other => panic!("{other:?}"),
    }
    a.advertised = None;
    let mut links = links.reopen(&a, life(A, 0)).await.expect("it listens");
    assert!(within(links.meet(), &mut []).await.is_ok());
}

/// Gives each node a key of its own.
fn with_keys<const N: usize>(mut configs: [Config; N]) -> [Config; N] {
    let own: [NodeKey; N] = std::array::from_fn(|_| NodeKey::generate().expect("random bytes"));
    let nodes = configs.each_ref().map(|config| config.node);
    let listed = || nodes.iter().copied().zip(own.iter().map(NodeKey::public));
    for (config, own) in configs.iter_mut().zip(&own) {
        config.keys = Some(NodeKeys::new(own.clone(), listed()));
    }
    configs
}

#[tokio::test]
async fn nodes_with_keys_of_their_own_connect() {
    let [a, b] = with_keys(cluster().await);
    let (mut a, mut b) = (open(&a, 0).await, open(&b, 0).await);
    link(&mut a, &mut b).await;
    a.send(Peer::Name(B), 1, text(0));
    within(a.flush(), &mut []).await;
    assert_eq!(message(within(b.next(), &mut [&mut a]).await), (life(A, 0), 1, text(0)));
}

/// It has the key of the cluster and a key that is listed, for another node.
#[tokio::test]
async fn a_member_cannot_pass_for_another_one() {
    let [a, b, mut c] = with_keys(cluster().await);
    let as_b = || Config { node: B, keys: c.keys.clone(), ..b.clone() };
    let impostor = as_b();
    let mut a = open(&a, 0).await;
    let mut impostor =
        Ends::open(Tcp, b.heartbeats, &impostor, life(B, 9)).await.expect("it listens");
    match within(impostor.meet(), &mut [&mut a]).await {
        Err(Unmet::Differs { node, how, .. }) => {
            // The impostor is refused, and refuses nobody: the answers of A are those of A.
            assert!(node == A && how.contains("the public key of n1 that is listed here"), "{how}");
        }
        // It does not even find itself: what it presents does not belong to the key that is listed for it.
        Err(Unmet::NotReached { why, .. }) => assert!(why.contains("another key"), "{why}"),
        other => panic!("{other:?}"),
    }
    impostor.accept();
    let wait = timeout(2 * SILENCE, within(impostor.reach(&[A]), &mut [&mut a])).await;
    assert!(wait.is_err() && connected(&a, B).is_none(), "{wait:?}");
    // Nor can it take the calls of another node that dials the address of B.
    c.listen = free_port().await;
    let mut c = open(&c, 0).await;
    let wait = timeout(2 * SILENCE, within(c.reach(&[B]), &mut [&mut impostor])).await;
    assert!(wait.is_err() && connected(&c, B).is_none(), "{wait:?}");
}

#[tokio::test]
async fn a_node_with_keys_and_one_without_say_so() {
    let keys = with_keys::<2>(cluster().await).map(|config| config.keys);
    let how = unmet(|config| config.keys.clone_from(&keys[1])).await;
    assert_eq!(how, "it says that it does not use node keys, and this node does");
}

#[tokio::test]
async fn keys_that_do_not_fit_the_nodes_are_a_problem() {
    let [mut a, b] = with_keys(cluster().await);
    assert_eq!(a.problem(), None);
    a.peers.insert(C, "127.0.0.1:9".into());
    assert_eq!(a.problem().as_deref(), Some("no public key is listed for n2"));
    a.peers.remove(&C);
    a.keys = b.keys;
    assert!(a.problem().is_some_and(|it| it.contains("listed for n0 does not belong to the key")));
}

/// 2200: its lives would never be followed by one with a right clock.
#[tokio::test]
async fn a_life_from_a_clock_far_ahead_is_refused() {
    let [a, b] = cluster().await;
    let mut a = open(&a, 0).await;
    let me = life(b.node, u64::MAX);
    let mut b = Ends::open(Tcp, b.heartbeats, &b, me).await.expect("it listens");
    match within(b.meet(), &mut [&mut a]).await {
        Err(Unmet::Differs { how, .. }) => assert!(how.contains("days ahead"), "{how}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_node_is_told_which_life_of_it_is_known() {
    let [a, b] = cluster().await;
    let (mut a, mut first) = (open(&a, 0).await, open(&b, 7).await);
    link(&mut a, &mut first).await;
    drop(first);
    tokio::task::yield_now().await;
    let mut second = Ends::open(Tcp, b.heartbeats, &b, life(B, 3)).await.expect("it listens");
    let unmet = within(second.meet(), &mut [&mut a]).await;
    assert!(matches!(unmet, Err(Unmet::LifeIsKnown { by: A, life: 7 })), "{unmet:?}");
    let mut third = second.reopen(&b, life(B, 8)).await.expect("it listens again");
    assert!(within(third.meet(), &mut [&mut a]).await.is_ok());
    third.accept();
    link(&mut a, &mut third).await;
}

/// The slower one would be suspected between two of its heartbeats.
#[tokio::test]
async fn each_node_waits_by_the_slower_heartbeats() {
    let [a, mut b] = cluster().await;
    b.heartbeats = Heartbeats::with_timeout(8 * SILENCE);
    let (mut a, mut b) = (open(&a, 0).await, open(&b, 0).await);
    link(&mut a, &mut b).await;
    a.monitor(Peer::Name(B));
    assert!(timeout(4 * SILENCE, within(a.next(), &mut [&mut b])).await.is_err());
}

#[tokio::test]
async fn a_node_that_was_taken_for_dead_is_told() {
    let [a, b] = cluster().await;
    let (mut a, mut b) = (open(&a, 0).await, open(&b, 0).await);
    link(&mut a, &mut b).await;
    a.monitor(Peer::Name(B));
    // This node stands still, and the other one does not.
    assert_eq!(down(within(a.next(), &mut []).await), Peer::Name(B));
    within(
        async {
            while b.status().borrow()[&A].suspicions == 0 {
                b.step().await;
            }
        },
        &mut [&mut a],
    )
    .await;
    let status = b.status().borrow()[&A];
    assert!(status.suspicions == 1 && status.last_suspicion < Some(LONG), "{status:?}");
    link(&mut a, &mut b).await;
    assert_eq!(b.status().borrow()[&A].connected, Some(life(A, 0)));
    assert_eq!(a.status().borrow()[&B].suspicions, 0);
}

#[tokio::test]
async fn down_comes_after_the_last_message() {
    let [a, b] = cluster().await;
    let (mut a, mut b) = (open(&a, 0).await, open(&b, 0).await);
    link(&mut a, &mut b).await;
    b.monitor(Peer::Process(life(A, 0)));
    b.monitor(Peer::Name(A));
    b.monitor(Peer::Name(A));
    (0..2000).for_each(|i| a.send(Peer::Name(B), 1, text(i)));
    within(a.flush(), &mut [&mut b]).await;
    drop(a);
    for i in 0..2000 {
        assert_eq!(message(within(b.next(), &mut []).await).2, text(i));
    }
    assert_eq!(down(within(b.next(), &mut []).await), Peer::Name(A));
    assert_eq!(down(within(b.next(), &mut []).await), Peer::Process(life(A, 0)));
    // A monitor of a process that has ended is answered each time.
    b.monitor(Peer::Process(life(A, 0)));
    assert_eq!(down(within(b.next(), &mut []).await), Peer::Process(life(A, 0)));
}

#[tokio::test]
async fn closing_delivers_what_was_sent() {
    let [a, b] = cluster().await;
    let (mut a, mut b) = (open(&a, 0).await, open(&b, 0).await);
    (0..100).for_each(|i| a.send(Peer::Name(B), 1, text(i)));
    b.monitor(Peer::Name(A));
    within(a.close(), &mut [&mut b]).await;
    for i in 0..100 {
        assert_eq!(message(within(b.next(), &mut []).await).2, text(i));
    }
    assert_eq!(down(within(b.next(), &mut []).await), Peer::Name(A));
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_down_at_once() {
    let [a, _] = cluster().await;
    let mut a = open(&a, 0).await;
    let begin = Instant::now();
    a.monitor(Peer::Name(B));
    a.monitor(Peer::Name(NodeId(9)));
    assert_eq!(down(within(a.next(), &mut []).await), Peer::Name(NodeId(9)));
    assert_eq!(down(within(a.next(), &mut []).await), Peer::Name(B));
    assert!(begin.elapsed() < SILENCE);
}

#[tokio::test]
async fn a_new_life_supersedes_the_one_before() {
    let [a, b] = cluster().await;
    let (mut a, mut old) = (open(&a, 0).await, open(&b, 1).await);
    link(&mut a, &mut old).await;
    a.monitor(Peer::Process(life(B, 1)));
    a.monitor(Peer::Name(B));
    old.send(Peer::Name(A), 5, text(0));
    within(old.flush(), &mut [&mut a]).await;
    // The old life goes on, but listens no more: the new one takes its address.
    old.tasks.shutdown().await;
    let mut new = open(&b, 2).await;
    new.send(Peer::Name(A), 1, text(1));
    let signals = take(&mut a, &mut new, 4).await;
    let [before, name, process, after] = signals.try_into().expect("four");
    assert_eq!(message(before), (life(B, 1), 5, text(0)));
    assert_eq!(down(name), Peer::Name(B));
    assert_eq!(down(process), Peer::Process(life(B, 1)));
    assert_eq!(message(after), (life(B, 2), 1, text(1)));
    a.send(Peer::Process(life(B, 1)), 1, "lost".into());
    a.monitor(Peer::Process(life(B, 1)));
    assert_eq!(down(within(a.next(), &mut [&mut new]).await), Peer::Process(life(B, 1)));
    let superseded = within(old.next(), &mut [&mut a, &mut new]).await;
    assert!(matches!(superseded, Signal::Superseded { by: A, life: 2 }), "{superseded:?}");
}

#[tokio::test]
async fn two_processes_cannot_be_the_same_life() {
    let [a, b] = cluster().await;
    let (mut a, mut first) = (open(&a, 0).await, open(&b, 1).await);
    link(&mut a, &mut first).await;
    let mut copy = b.clone();
    copy.listen = "127.0.0.1:0".into();
    let mut second = open(&copy, 1).await;
    let superseded = within(second.next(), &mut [&mut a, &mut first]).await;
    assert!(matches!(superseded, Signal::Superseded { by: A, life: 1 }), "{superseded:?}");
    assert!(connected(&a, B).is_some());
}

/// A process with a number that is in use, started elsewhere by mistake.
#[tokio::test]
async fn a_later_life_elsewhere_does_not_replace_a_healthy_process() {
    let [a, b] = cluster().await;
    let (mut a, mut first) = (open(&a, 0).await, open(&b, 1).await);
    link(&mut a, &mut first).await;
    a.monitor(Peer::Name(B));
    let mut copy = b.clone();
    copy.listen = "127.0.0.1:0".into();
    copy.advertised = None;
    let me = life(B, 2);
    let mut second = Ends::open(Tcp, b.heartbeats, &copy, me).await.expect("it listens");
    match within(second.meet(), &mut [&mut a, &mut first]).await {
        Err(Unmet::Differs { how, .. }) => {
            assert!(how.contains("another process of n1 answers at its listed address"), "{how}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(connected(&a, B), Some(life(B, 1)));
    assert!(a.try_next().is_none() && first.try_next().is_none());
    assert!(is_linked(&a, B) && is_linked(&first, A));
}

#[tokio::test]
async fn naming_a_later_life_ends_the_one_before() {
    let [a, b] = cluster().await;
    let (mut a, mut old) = (open(&a, 0).await, open(&b, 0).await);
    link(&mut a, &mut old).await;
    a.monitor(Peer::Process(life(B, 0)));
    drop(old);
    tokio::task::yield_now().await;
    let mut new = open(&b, 1).await;
    a.send(Peer::Process(life(B, 1)), 7, text(0));
    assert_eq!(down(within(a.next(), &mut [&mut new]).await), Peer::Process(life(B, 0)));
    assert_eq!(message(within(new.next(), &mut [&mut a]).await), (life(A, 0), 7, text(0)));
}

#[tokio::test]
async fn demonitor_removes_the_down_of_that_name_only() {
    let [a, b] = cluster().await;
    let (mut a, mut b) = (open(&a, 0).await, open(&b, 0).await);
    link(&mut a, &mut b).await;
    a.monitor(Peer::Name(B));
    a.monitor(Peer::Process(life(B, 0)));
    drop(b);
    within(
        async {
            while a.arrivals.len() < 2 {
                a.step().await;
            }
        },
        &mut [],
    )
    .await;
    a.demonitor(Peer::Name(B));
    assert_eq!(a.try_next().map(down), Some(Peer::Process(life(B, 0))));
    assert!(a.try_next().is_none());
    a.monitor(Peer::Name(B));
    a.demonitor(Peer::Name(B));
    assert!(timeout(SILENCE, a.next()).await.is_err());
}

impl Ends {
    /// Waits for the next arrival.
    async fn next(&mut self) -> Signal<String> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Polls for a moment.
    async fn step(&mut self) {
        let _ = timeout(Duration::from_millis(5), self.keep_alive()).await;
    }
}

#[tokio::test]
async fn a_silent_node_is_suspected() {
    let [a, b] = cluster().await;
    let (mut a, mut b) = (open(&a, 0).await, open(&b, 0).await);
    link(&mut a, &mut b).await;
    a.monitor(Peer::Name(B));
    assert!(
        timeout(2 * SILENCE, within(a.next(), &mut [&mut b])).await.is_err(),
        "both send heartbeats"
    );
    let begin = Instant::now();
    assert_eq!(down(within(a.next(), &mut []).await), Peer::Name(B));
    assert!(begin.elapsed() > SILENCE / 2 && begin.elapsed() < 2 * SILENCE);
}

/// The number of times that a monitor is answered while whoever is told monitors again at once, as a machine may that
/// hears from a third node that the leader is up.
async fn answers(a: &mut Ends) -> u32 {
    let mut times = 0;
    let again = async {
        loop {
            a.monitor(Peer::Name(B));
            assert_eq!(down(a.next().await), Peer::Name(B));
            times += 1;
            assert!(times < 1_000, "without a pause, and without end");
        }
    };
    let result: Result<(), _> = timeout(SILENCE, again).await;
    assert!(result.is_err(), "it goes round");
    times
}

#[tokio::test]
async fn monitors_that_find_nobody_are_not_answered_without_a_pause() {
    let [a, b] = cluster().await;
    let (mut a, mut silent) = (open(&a, 0).await, open(&b, 0).await);
    link(&mut a, &mut silent).await;
    a.monitor(Peer::Name(B));
    assert_eq!(down(within(a.next(), &mut []).await), Peer::Name(B));
    let few = 8..=7 * 8;
    assert!(few.contains(&answers(&mut a).await), "while it is silent");
    drop(silent);
    tokio::task::yield_now().await;
    sleep(SILENCE).await;
    assert!(few.contains(&answers(&mut a).await), "while its host refuses connections");
}

#[tokio::test]
async fn a_node_that_was_suspended_does_not_suspect_others() {
    let [a, mut b] = cluster().await;
    b.heartbeats.timeout = 2 * LONG;
    let (mut a, mut b) = (open(&a, 0).await, open(&b, 0).await);
    link(&mut a, &mut b).await;
    let other = tokio::spawn(async move { b.keep_alive().await });
    a.monitor(Peer::Name(B));
    // The other node makes progress meanwhile: only this one does not poll.
    sleep(3 * SILENCE).await;
    assert!(timeout(2 * SILENCE, a.next()).await.is_err());
    // Now neither polls, nor does the runtime.
    std::thread::sleep(2 * SILENCE);
    assert!(timeout(SILENCE / 2, a.next()).await.is_err());
    other.abort();
}

#[tokio::test]
async fn a_node_that_accepts_and_never_answers_is_down() {
    let [mut a, b] = cluster().await;
    a.limits.handshake_timeout = SILENCE;
    let _silent = TcpListener::bind(&b.listen).await.expect("a port");
    let mut a = open(&a, 0).await;
    a.monitor(Peer::Name(B));
    let begin = Instant::now();
    assert_eq!(down(within(a.next(), &mut []).await), Peer::Name(B));
    assert!(begin.elapsed() < 2 * SILENCE);
}

#[tokio::test]
async fn the_oldest_pending_handshake_makes_room() {
    let [mut a, b] = cluster().await;
    a.limits.max_pending_handshakes = 2;
    let mut a = open(&a, 0).await;
    let mut streams = vec![];
    for _ in 0..3 {
        let mut stream = TcpStream::connect(a.address()).await.expect("it listens");
        stream.write_all(&[0]).await.expect("it is open");
        streams.push(stream);
        a.step().await;
    }
    let mut byte = [0];
    let ended = timeout(SILENCE, streams[0].read(&mut byte)).await;
    assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{ended:?}");
    assert!(timeout(SILENCE / 10, streams[1].read(&mut byte)).await.is_err());
    let mut b = open(&b, 0).await;
    link(&mut a, &mut b).await;
}

#[tokio::test]
async fn no_message_overtakes_an_earlier_one_to_another_node() {
    let [a, b, c] = cluster().await;
    let (mut a, mut b, mut c) = (open(&a, 0).await, open(&b, 0).await, open(&c, 0).await);
    while !is_linked(&a, B) || !is_linked(&a, C) {
        within(a.step(), &mut [&mut b, &mut c]).await;
    }
    a.monitor(Peer::Name(B));
    a.monitor(Peer::Name(C));
    // More than the kernel takes.
    let large = "x".repeat(8 << 20);
    let begin = Instant::now();
    a.send(Peer::Name(C), 1, text(0));
    for _ in 0..4 {
        a.send(Peer::Name(B), 1, large.clone());
    }
    a.send(Peer::Name(C), 2, text(1));
    // The first destination reads nothing: the other one waits, but gets heartbeats.
    within(a.flush(), &mut [&mut c]).await;
    assert!(begin.elapsed() > SILENCE / 2, "{:?}", begin.elapsed());
    assert_eq!(message(within(c.next(), &mut [&mut a]).await).1, 1);
    assert_eq!(message(within(c.next(), &mut [&mut a]).await).1, 2);
    assert_eq!(down(within(a.next(), &mut [&mut c]).await), Peer::Name(B));
    assert!(connected(&a, C).is_some() && connected(&c, A).is_some());
}

#[tokio::test]
async fn a_restarted_node_is_reached_again() {
    let [a, b] = cluster().await;
    let (mut a, mut first) = (open(&a, 0).await, open(&b, 0).await);
    link(&mut a, &mut first).await;
    drop(first);
    tokio::task::yield_now().await;
    within(
        async {
            while connected(&a, B).is_some() {
                a.step().await;
            }
        },
        &mut [],
    )
    .await;
    let mut second = open(&b, 1).await;
    assert_eq!(within(a.reach(&[B]), &mut [&mut second]).await, life(B, 1));
    assert_eq!(within(second.reach(&[A]), &mut [&mut a]).await, life(A, 0));
}

/// The variable with the addresses of the three nodes, for the process that runs the test below.
const VICTIM: &str = "INTERREX_VICTIM";

/// The destination of each number.
fn destination(number: u64) -> NodeId {
    if number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 62 == 0 { B } else { C }
}

#[tokio::test]
#[ignore = "it is a process of its own, which the next test kills"]
async fn victim() {
    let ports = env::var(VICTIM).expect("the addresses");
    let ports: Vec<_> = ports.split(' ').map(String::from).collect();
    let peers = [A, B, C].into_iter().zip(ports.iter().cloned());
    let config = Config::new(A, &ports[0], peers, ClusterKey([7; 32]), "test");
    let mut a = open(&config, 0).await;
    while !is_linked(&a, B) || !is_linked(&a, C) {
        a.step().await;
    }
    for number in 0.. {
        a.send(Peer::Name(destination(number)), number, text(0));
        if number % 64 == 0 {
            a.flush().await;
        }
    }
}

fn spawn_victim(ports: [&str; 3]) -> Child {
    Command::new(env::current_exe().expect("this is a program"))
        .args(["runtime::links::tests::victim", "--exact", "--ignored"])
        .env(VICTIM, ports.join(" "))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts")
}

/// All numbers that arrive before `Down`.
async fn numbers(links: &mut Ends) -> Vec<u64> {
    let mut numbers = vec![];
    links.monitor(Peer::Name(A));
    loop {
        match links.next().await {
            Signal::Message { sent, .. } => numbers.push(sent),
            Signal::Down(_) | Signal::Superseded { .. } => return numbers,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_a_suffix_of_all_it_sent() {
    let mut all = 0;
    for after in [20, 33, 47, 61] {
        let [a, b, c] = cluster().await;
        let (mut to_b, mut to_c) = (open(&b, 0).await, open(&c, 0).await);
        let mut child = spawn_victim([&a.listen, &b.listen, &c.listen]);
        let reached = async { tokio::join!(to_b.reach(&[A]), to_c.reach(&[A])) };
        timeout(LONG, reached).await.expect("in time");
        let kill = async {
            sleep(Duration::from_millis(after)).await;
            child.kill().expect("it runs");
            child.wait().expect("it has ended");
        };
        let received = async { tokio::join!(numbers(&mut to_b), numbers(&mut to_c), kill) };
        let (for_b, for_c, ()) = timeout(LONG, received).await.expect("in time");
        let mut received = [for_b, for_c].concat();
        received.sort_unstable();
        let count = received.len() as u64;
        assert!(received.into_iter().eq(0..count), "a hole");
        all += count;
    }
    assert!(all > 1000, "{all} are too few to say anything");
}
