//! Unauthenticated connections: whatever they send, the node refuses and counts them, and goes on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use interrex::{
    gms3::{Command, Gms3, Observation},
    machine::NodeId,
    runtime::{ClusterKey, Config, Node},
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

const N0: NodeId = NodeId(0);
const N1: NodeId = NodeId(1);

type Group = Gms3<String>;

/// Two members on loopback, and their counters.
struct Members {
    leader: Node<Group>,
    follower: Node<Group>,
    counted: Snapshotter,
    _recorder: metrics::LocalRecorderGuard<'static>,
    multicasts: u32,
}

fn config(node: NodeId, peers: &[(NodeId, SocketAddr)], key: &ClusterKey) -> Config {
    let at = |peer: NodeId| {
        let found = peers.iter().find(|(other, _)| *other == peer);
        found.map_or_else(|| "127.0.0.1:0".to_owned(), |(_, at)| at.to_string())
    };
    let others = peers.iter().map(|(peer, at)| (*peer, at.to_string()));
    let mut config = Config::new(node, at(node), others, key.clone(), "gms3");
    config.limits.handshake_timeout = Duration::from_millis(500);
    config
}

async fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

impl Members {
    async fn gather(key: &ClusterKey) -> Self {
        let recorder: &'static DebuggingRecorder = Box::leak(Box::new(DebuggingRecorder::new()));
        let guard = metrics::set_default_local_recorder(recorder);
        let peers = [(N0, free_address().await), (N1, free_address().await)];
        let leader = Node::spawn(Group::default(), config(N0, &peers, key)).await.unwrap();
        let mut joining = config(N1, &peers, key);
        joining.contacts = vec![N0];
        let follower = Node::spawn(Group::default(), joining).await.unwrap();
        let counted = recorder.snapshotter();
        let mut members = Self { leader, follower, counted, _recorder: guard, multicasts: 0 };
        members.assert_working().await;
        members
    }

    /// The follower multicasts, and both deliver.
    async fn assert_working(&mut self) {
        self.multicasts += 1;
        let text = self.multicasts.to_string();
        self.follower.commands().send(Command::Mcast(text.clone())).await.unwrap();
        for node in [&mut self.leader, &mut self.follower] {
            loop {
                let observed = timeout(Duration::from_secs(5), node.observation()).await;
                match observed.expect("it stands still").expect("it has ended") {
                    Observation::Delivered { message, .. } if message == text => break,
                    Observation::Error(error) => panic!("{error}"),
                    Observation::Delivered { .. }
                    | Observation::Joined
                    | Observation::Installed(_) => {}
                }
            }
        }
    }

    /// True if a connection was refused for this reason since the last call.
    fn has_refused(&self, why: &str) -> bool {
        // A snapshot takes what was counted since the last one.
        self.counted.snapshot().into_vec().into_iter().any(|(key, .., value)| {
            let is_why = |label: &metrics::Label| label.key() == "reason" && label.value() == why;
            key.key().name() == "interrex_refused_total"
                && key.key().labels().any(is_why)
                && matches!(value, DebugValue::Counter(1..))
        })
    }

    /// Waits until a connection is refused for this reason. A test that waited for any refusal would pass by the timeout.
    async fn until_refused(&self, why: &str) {
        let refused = async {
            while !self.has_refused(why) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), refused).await.expect(why);
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.leader.address()).await.unwrap()
    }
}

/// Waits until the node closes the connection. It may have sent something before.
async fn assert_closed(mut connection: TcpStream) {
    let mut answer = vec![];
    let closed = timeout(Duration::from_secs(5), connection.read_to_end(&mut answer)).await;
    // A reset closes it, too.
    drop(closed.expect("it is closed"));
}

#[tokio::test]
async fn garbage_is_refused() {
    let mut members = Members::gather(&ClusterKey::generate().unwrap()).await;
    for (garbage, why) in [
        (&[0; 64][..], "no key"),
        (&[0; 6], "no key"),
        // A frame that is too large is not waited for.
        (b"GET / HTTP/1.1\r\n\r\n", "garbled"),
        (&[255; 4096], "garbled"),
        (&[255; 2], "garbled"),
    ] {
        let mut connection = members.connect().await;
        connection.write_all(garbage).await.unwrap();
        assert_closed(connection).await;
        members.until_refused(why).await;
        members.assert_working().await;
    }
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let mut members = Members::gather(&ClusterKey::generate().unwrap()).await;
    let connection = members.connect().await;
    members.assert_working().await;
    assert_closed(connection).await;
    members.until_refused("timed out").await;
    members.assert_working().await;
}

/// True if another n1, with a changed configuration, starts and joins.
async fn joins(members: &Members, key: &ClusterKey, change: impl FnOnce(&mut Config)) -> bool {
    let peers = [(N0, members.leader.address())];
    let mut config = config(N1, &peers, key);
    config.contacts = vec![N0];
    config.limits.contact_timeout = Duration::from_secs(1);
    change(&mut config);
    Node::spawn(Group::default(), config).await.is_ok()
}

#[tokio::test]
async fn another_key_another_protocol_another_configuration_and_an_unknown_node_are_refused() {
    let key = ClusterKey::generate().unwrap();
    let mut members = Members::gather(&key).await;
    let other_key = ClusterKey::generate().unwrap();
    assert!(!joins(&members, &other_key, |_| {}).await);
    members.until_refused("no key").await;
    members.assert_working().await;
    assert!(!joins(&members, &key, |config| config.protocol = "gms4".into()).await);
    members.until_refused("other protocol").await;
    members.assert_working().await;
    let configured = |config: &mut Config| config.configuration = "of another cluster".into();
    assert!(!joins(&members, &key, configured).await);
    members.until_refused("other configuration").await;
    members.assert_working().await;
    assert!(!joins(&members, &key, |config| config.node = NodeId(7)).await);
    members.until_refused("other nodes").await;
    members.assert_working().await;
}

/// The recorded bytes of a member's handshake, sent once more.
#[tokio::test]
async fn a_replayed_handshake_is_refused() {
    let key = ClusterKey::generate().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let members = Members::gather(&key).await;
    let leader = members.leader.address();
    let recorded = tokio::spawn(async move {
        let (mut member, _) = listener.accept().await.unwrap();
        let mut node = TcpStream::connect(leader).await.unwrap();
        let mut sent = vec![];
        let mut bytes = [0; 4096];
        let mut answer = [0; 4096];
        while let Ok(read) = timeout(Duration::from_secs(1), async {
            tokio::select! {
                read = member.read(&mut bytes) => {
                    let read = read.unwrap();
                    sent.extend_from_slice(&bytes[..read]);
                    node.write_all(&bytes[..read]).await.unwrap();
                    read
                }
                read = node.read(&mut answer) => {
                    let read = read.unwrap();
                    member.write_all(&answer[..read]).await.unwrap();
                    read
                }
            }
        })
        .await
        {
            if read == 0 || sent.len() > 1000 {
                break;
            }
        }
        sent
    });
    // This n1 is refused in the end, since it is not the life that is known; but its handshake is genuine.
    let mut config = config(N1, &[(N0, proxy)], &key);
    config.contacts = vec![N0];
    config.limits.contact_timeout = Duration::from_secs(2);
    drop(Node::spawn(Group::default(), config).await);
    let sent = recorded.await.unwrap();
    assert!(sent.len() > 64, "both messages of a handshake: {}", sent.len());
    let mut connection = members.connect().await;
    connection.write_all(&sent).await.unwrap();
    assert_closed(connection).await;
    members.until_refused("no key").await;
}

#[tokio::test]
async fn a_node_survives_a_thousand_connections_at_once() {
    let mut members = Members::gather(&ClusterKey::generate().unwrap()).await;
    let mut connections = vec![];
    for _ in 0..1000 {
        connections.push(members.connect().await);
    }
    members.until_refused("crowded").await;
    members.assert_working().await;
    for connection in &mut connections {
        let _ = connection.write_all(b"hello").await;
    }
    members.assert_working().await;
    for connection in connections {
        assert_closed(connection).await;
    }
    members.assert_working().await;
}
