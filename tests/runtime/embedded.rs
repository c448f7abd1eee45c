//! What a program can tell of the node that it embeds.

#![expect(clippy::disallowed_types, reason = "a test may say how long something takes")]
#![expect(clippy::print_stdout, reason = "a test may say how long something takes")]

use interrex::{
    gen_leader::{
        Bully, Dictionary, GenLeader, Roster,
        dictionary::{Reply, Request},
    },
    group::Group,
    machine::NodeId,
    runtime::{CallError, ClusterKey, Config, Ending, Heartbeats, Server, SpawnError},
};
use std::{
    fs,
    net::TcpListener,
    pin::pin,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

const LONG: Duration = Duration::from_secs(20);
const NODES: u16 = 3;

type Store = Dictionary<String, String>;
type Member = Server<GenLeader<Bully, Store>>;

/// The configurations of nodes that know each other.
fn configs() -> Vec<Config> {
    let key = ClusterKey::generate().expect("random bytes");
    let ports: Vec<_> =
        (0..NODES).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let at =
        |node: NodeId| ports[usize::from(node.0)].local_addr().expect("it is bound").to_string();
    let peers: Vec<_> = (0..NODES).map(|node| (NodeId(node), at(NodeId(node)))).collect();
    let config = |(node, at): &(NodeId, String)| {
        let mut config = Config::new(*node, at, peers.clone(), key.clone(), "a dictionary");
        config.heartbeats = Heartbeats::with_timeout(Duration::from_millis(500));
        config
    };
    peers.iter().map(config).collect()
}

async fn start(config: &Config) -> Member {
    let machine = GenLeader::new(Store::default(), Roster::new(NODES, 0));
    Server::spawn(machine, config.clone()).await.expect("it starts")
}

/// Waits until this process recognises a leader, or none.
async fn leads(member: &Member, leader: Option<NodeId>) {
    let mut watch = member.leader();
    let seen = watch.wait_for(|it| it.as_ref().map(|it| it.address.node) == leader);
    drop(timeout(LONG, seen).await.expect("in time").expect("it runs"));
}

#[tokio::test]
async fn a_leader_that_is_down_is_none_until_the_next_one() {
    let configs = configs();
    let [n0, n1] = [start(&configs[0]).await, start(&configs[1]).await];
    for member in [&n0, &n1] {
        leads(member, Some(NodeId(0))).await;
    }
    let first = n1.leader().borrow().expect("a leader");
    assert_eq!(n1.peers().borrow()[&NodeId(0)].connected, Some(n0.me()));
    let mut watch = n1.leader();
    watch.mark_unchanged();
    let ended = async {
        timeout(LONG, watch.changed()).await.expect("in time").expect("it runs");
        *watch.borrow_and_update()
    };
    let (between, _) = tokio::join!(ended, n0.shut_down());
    assert_eq!(between, None);
    // One of three is no majority, and this election asks for none.
    leads(&n1, Some(NodeId(1))).await;
    let second = n1.leader().borrow().expect("a leader");
    assert_ne!(first.term, second.term);
    assert_eq!(n1.peers().borrow()[&NodeId(0)].connected, None);
}

#[tokio::test]
async fn one_task_waits_for_the_end_and_another_one_ends_it() {
    let member = start(&configs()[0]).await;
    let (shutdown, client) = (member.shutdown(), member.client());
    let waits = tokio::spawn(member.ended());
    leads_itself(&client).await;
    shutdown.begin();
    let ended = timeout(LONG, waits).await.expect("in time").expect("no panic");
    assert_eq!(ended.expect("no error"), Ending::ShutDown);
    shutdown.begin();
    assert!(client.code_change(Request::Dump).await.is_err(), "it has ended");
}

/// An answer says that it has a leader.
async fn leads_itself(client: &interrex::runtime::Client<GenLeader<Bully, Store>>) {
    let store = Request::Store("key".into(), "value".into());
    assert_eq!(client.leader_call(store, Some(LONG)).await, Ok(Reply::Ok));
}

/// A newcomer gets the whole state in one message.
#[tokio::test]
async fn a_newcomer_gets_a_large_state() {
    const ENTRIES: usize = 320;
    let configs = configs();
    let leader = start(&configs[0]).await;
    let client = leader.client();
    for entry in 0..ENTRIES {
        let store = Request::Store(entry.to_string(), "x".repeat(60_000));
        assert_eq!(client.leader_call(store, Some(LONG)).await, Ok(Reply::Ok));
    }
    let follower = start(&configs[1]).await;
    leads(&follower, Some(NodeId(0))).await;
    let dumped = follower.client().call(Request::Dump, Some(LONG)).await;
    let Ok(Reply::Dumped(entries)) = dumped else { panic!("no entries") };
    assert_eq!(entries.len(), ENTRIES);
    assert_eq!(follower.peers().borrow()[&NodeId(0)].suspicions, 0);
}

/// A founder of a group with this many entries, and a newcomer that gets them while the founder goes on. The founder
/// remembers a few entries only.
async fn hand_over(entries: usize, bytes: usize) {
    let mut configs = configs();
    for config in &mut configs {
        // A fraction of the state.
        config.limits.max_message_bytes = 16 << 20;
    }
    let group = || Group::new(Store::default()).keeping(10);
    let founder = Server::spawn(group(), configs[0].clone()).await.expect("it starts");
    let client = founder.client();
    let store = |entry: usize| Request::Store(entry.to_string(), "x".repeat(bytes));
    for entry in 0..entries {
        assert_eq!(client.call(store(entry), Some(LONG)).await, Ok(Reply::Ok));
    }
    configs[1].contacts = vec![NodeId(0)];
    let began = Instant::now();
    let newcomer = Server::spawn(group(), configs[1].clone()).await.expect("it starts");
    let mut watch = newcomer.membership();
    let joins = watch.wait_for(|it| it.view.as_ref().is_some_and(|it| it.members.len() == 2));
    let mut joins = pin!(timeout(10 * LONG, joins));
    let (mut calls, mut slowest) = (0, Duration::ZERO);
    loop {
        let called = Instant::now();
        tokio::select! {
            joined = &mut joins => break drop(joined.expect("in time").expect("it runs")),
            reply = client.call(store(entries + calls), Some(LONG)) => {
                assert_eq!(reply, Ok(Reply::Ok));
                (calls, slowest) = (calls + 1, slowest.max(called.elapsed()));
                sleep(Duration::from_millis(5)).await;
            }
        }
    }
    println!(
        "{entries} entries of {bytes} bytes in {:?}; {calls} calls, {slowest:?} the slowest",
        began.elapsed()
    );
    assert_eq!(founder.peers().borrow()[&NodeId(1)].suspicions, 0);
    // A call of its own is carried out after all that.
    let found =
        newcomer.client().call(Request::Lookup((entries - 1).to_string()), Some(LONG)).await;
    assert_eq!(found, Ok(Reply::Found(Some("x".repeat(bytes)))));
}

#[tokio::test]
async fn a_newcomer_gets_a_state_that_is_larger_than_any_message() {
    hand_over(1_000, 50_000).await;
}

/// With `--nocapture` it says how long that takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "nightly: it takes several gigabytes of memory"]
async fn a_newcomer_gets_a_gibibyte() {
    hand_over(20_000, 54_000).await;
}

/// It would never arrive, and hold up all that come after it.
#[tokio::test]
async fn a_request_that_is_too_large_is_refused_and_the_next_one_is_not() {
    let mut config = configs().remove(0);
    config.limits.max_request_bytes = 1000;
    let founder = Server::spawn(Group::new(Store::default()), config).await.expect("it starts");
    let client = founder.client();
    let store = |bytes| Request::Store("key".into(), "x".repeat(bytes));
    let refused = client.call(store(1000), None).await;
    assert_eq!(refused, Err(CallError::TooLarge { bytes: 1007, most: 1000 }));
    assert!(matches!(client.mcast(store(2000)).await, Err(CallError::TooLarge { .. })));
    assert_eq!(client.call(store(900), Some(LONG)).await, Ok(Reply::Ok));
}

/// A copy of the storage that was made before the node's last life: what it has promised since is not in it, and a write that
/// was confirmed with it was lost.
#[tokio::test]
async fn an_older_copy_of_the_storage_is_refused_while_others_know_better() {
    let [folder, copy] = [0, 1].map(|_| tempfile::tempdir().expect("a folder"));
    let mut configs = configs();
    configs[1].data = Some(folder.path().join("data"));
    configs[1].contacts = vec![NodeId(0)];
    let group = || Group::new(Store::default());
    let founder = Server::spawn(group(), configs[0].clone()).await.expect("it starts");
    let join = async || {
        let newcomer = Server::spawn(group(), configs[1].clone()).await.expect("it starts");
        let mut watch = newcomer.membership();
        let is_in = watch.wait_for(|it| it.view.as_ref().is_some_and(|it| it.members.len() == 2));
        drop(timeout(LONG, is_in).await.expect("in time").expect("it runs"));
        newcomer
    };
    let first = join().await;
    first.shut_down().await.expect("it ends");
    let [stable, kept] = [folder.path().join("data/stable"), copy.path().join("stable")];
    fs::copy(&stable, &kept).expect("a copy");
    let second = join().await;
    second.shut_down().await.expect("it ends");
    fs::copy(&kept, &stable).expect("the copy is put back");
    let refused = Server::spawn(group(), configs[1].clone()).await.err();
    assert!(matches!(refused, Some(SpawnError::OldStorage { by: NodeId(0), .. })), "{refused:?}");
    // Without it, the node has lost its storage, and is another member.
    fs::remove_file(&stable).expect("a file");
    let third = join().await;
    third.shut_down().await.expect("it ends");
    founder.shut_down().await.expect("it ends");
}
