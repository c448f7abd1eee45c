//! What a program can tell of the node that it embeds.

use interrex::{
    gen_leader::{
        Bully, Dictionary, GenLeader, Roster,
        dictionary::{Reply, Request},
    },
    machine::NodeId,
    runtime::{ClusterKey, Config, Ending, Heartbeats, Server},
};
use std::{net::TcpListener, time::Duration};
use tokio::time::timeout;

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
