//! Strangers at the door: whatever they do, the node goes on, and says that it refused them.

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

/// Two members on loopback, and what they count.
struct Members {
    leader: Node<Group>,
    follower: Node<Group>,
    counted: Snapshotter,
    _recorder: metrics::LocalRecorderGuard<'static>,
    said: u32,
}

fn config(node: NodeId, peers: &[(NodeId, SocketAddr)], key: &ClusterKey) -> Config {
    let at = |peer: NodeId| {
        let found = peers.iter().find(|(other, _)| *other == peer);
        found.map_or_else(|| "127.0.0.1:0".to_owned(), |(_, at)| at.to_string())
    };
    let others = peers.iter().map(|(peer, at)| (*peer, at.to_string()));
    let mut config = Config::new(node, at(node), others, key.clone(), "gms3");
    config.limits.handshake = Duration::from_millis(500);
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
        joining.contact = Some(N0);
        let follower = Node::spawn(Group::default(), joining).await.unwrap();
        let counted = recorder.snapshotter();
        let mut members = Self { leader, follower, counted, _recorder: guard, said: 0 };
        members.go_on().await;
        members
    }

    /// What the follower says is delivered at both.
    async fn go_on(&mut self) {
        self.said += 1;
        let text = self.said.to_string();
        assert!(self.follower.commands().send(Command::Mcast(text.clone())).await);
        for node in [&mut self.leader, &mut self.follower] {
            loop {
                let told = timeout(Duration::from_secs(5), node.observation()).await;
                match told.expect("it stands still").expect("it has ended") {
                    Observation::Delivered { message, .. } if message == text => break,
                    Observation::Error(error) => panic!("{error}"),
                    Observation::Delivered { .. }
                    | Observation::Joined
                    | Observation::Installed(_) => {}
                }
            }
        }
    }

    /// Whether a stranger was refused for this reason since this was asked last.
    fn has_refused(&self, why: &str) -> bool {
        // A snapshot takes what was counted since the last one.
        self.counted.snapshot().into_vec().into_iter().any(|(key, .., value)| {
            let is_why = |label: &metrics::Label| label.key() == "reason" && label.value() == why;
            key.key().name() == "interrex_refused_total"
                && key.key().labels().any(is_why)
                && matches!(value, DebugValue::Counter(1..))
        })
    }

    /// A stranger is refused for this reason, not for any other: being shown the door for having taken too long
    /// happens to everybody in the end.
    async fn until_refused(&self, why: &str) {
        let refused = async {
            while !self.has_refused(why) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(10), refused).await.expect(why);
    }

    async fn stranger(&self) -> TcpStream {
        TcpStream::connect(self.leader.address()).await.unwrap()
    }
}

/// The node ends the connection. It may have said something before.
async fn is_shown_the_door(mut stranger: TcpStream) {
    let mut answer = vec![];
    let closed = timeout(Duration::from_secs(5), stranger.read_to_end(&mut answer)).await;
    // A reset is an end, too.
    drop(closed.expect("it should have been closed"));
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
        let mut stranger = members.stranger().await;
        stranger.write_all(garbage).await.unwrap();
        is_shown_the_door(stranger).await;
        members.until_refused(why).await;
        members.go_on().await;
    }
}

#[tokio::test]
async fn who_says_nothing_has_to_go() {
    let mut members = Members::gather(&ClusterKey::generate().unwrap()).await;
    let stranger = members.stranger().await;
    members.go_on().await;
    is_shown_the_door(stranger).await;
    members.until_refused("timed out").await;
    members.go_on().await;
}

/// Whether n1 comes up anew and joins, with whatever `change` makes of its configuration.
async fn joins(members: &Members, key: &ClusterKey, change: impl FnOnce(&mut Config)) -> bool {
    let peers = [(N0, members.leader.address())];
    let mut config = config(N1, &peers, key);
    config.contact = Some(N0);
    config.limits.contact = Duration::from_secs(1);
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
    members.go_on().await;
    assert!(!joins(&members, &key, |config| config.protocol = "gms4".into()).await);
    members.until_refused("other protocol").await;
    members.go_on().await;
    let configured = |config: &mut Config| config.configuration = "of another cluster".into();
    assert!(!joins(&members, &key, configured).await);
    members.until_refused("other configuration").await;
    members.go_on().await;
    assert!(!joins(&members, &key, |config| config.node = NodeId(7)).await);
    members.until_refused("not listed").await;
    members.go_on().await;
}

/// What a true member said when it connected, said once more by somebody else.
#[tokio::test]
async fn a_replayed_handshake_is_refused() {
    let key = ClusterKey::generate().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let eavesdropper = listener.local_addr().unwrap();
    let members = Members::gather(&key).await;
    let leader = members.leader.address();
    let recorded = tokio::spawn(async move {
        let (mut member, _) = listener.accept().await.unwrap();
        let mut node = TcpStream::connect(leader).await.unwrap();
        let mut said = vec![];
        let mut bytes = [0; 4096];
        let mut answer = [0; 4096];
        while let Ok(read) = timeout(Duration::from_secs(1), async {
            tokio::select! {
                read = member.read(&mut bytes) => {
                    let read = read.unwrap();
                    said.extend_from_slice(&bytes[..read]);
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
            if read == 0 || said.len() > 1000 {
                break;
            }
        }
        said
    });
    // A life of n1 that is over, so it is refused in the end; but its handshake is a true one.
    let mut config = config(N1, &[(N0, eavesdropper)], &key);
    config.contact = Some(N0);
    config.limits.contact = Duration::from_secs(2);
    drop(Node::spawn(Group::default(), config).await);
    let said = recorded.await.unwrap();
    assert!(said.len() > 64, "a handshake and a greeting: {}", said.len());
    let mut stranger = members.stranger().await;
    stranger.write_all(&said).await.unwrap();
    is_shown_the_door(stranger).await;
    members.until_refused("no key").await;
}

#[tokio::test]
async fn a_thousand_connections_at_once_are_endured() {
    let mut members = Members::gather(&ClusterKey::generate().unwrap()).await;
    let mut strangers = vec![];
    for _ in 0..1000 {
        strangers.push(members.stranger().await);
    }
    members.until_refused("crowded").await;
    members.go_on().await;
    for stranger in &mut strangers {
        let _ = stranger.write_all(b"let me in").await;
    }
    members.go_on().await;
    for stranger in strangers {
        is_shown_the_door(stranger).await;
    }
    members.go_on().await;
}
