//! A counter with a copy at every node, behind HTTP: `group` in a program of one's own, with health and metrics.
//!
//! With a terminal for each of three nodes; `--found` is for the first start of one of them:
//!
//! ```sh
//! cargo run -- key cluster.key
//! peers=n0=127.0.0.1:7100,n1=127.0.0.1:7101,n2=127.0.0.1:7102
//! run() { cargo run --example service -- --peers $peers --key-file cluster.key "$@"; }
//! run --id n0 --data-dir n0.data --http 127.0.0.1:7200 --found
//! run --id n1 --data-dir n1.data --http 127.0.0.1:7201 --contact n0
//! run --id n2 --data-dir n2.data --http 127.0.0.1:7202 --contact n0
//! curl -X POST 127.0.0.1:7202/add/5    # 5; any node takes requests
//! curl 127.0.0.1:7200/                 # 5, from the copy of that node
//! ```
//!
//! `/health` is 200 at a member that knows its leader, and 503 elsewhere: for a load balancer. `/leader` names the leader
//! and its term, a fencing token: a later term has a greater number, or the same one and a greater owner. `/metrics` is for
//! Prometheus.

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use clap::Parser;
use interrex::{
    group::{Group, Service},
    machine::NodeId,
    runtime::{CallError, Client, ClusterKey, Config, Leader, Membership, Server},
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::{error::Error, path::PathBuf, time::Duration};
use tokio::{net::TcpListener, sync::watch};

/// A sum. All members add the same numbers in the same order.
struct Counter;

impl Service for Counter {
    type State = u64;
    type Request = u64;
    type Reply = u64;

    fn carry_out(&self, sum: &mut u64, _: u64, more: u64) -> u64 {
        *sum = sum.saturating_add(more);
        *sum
    }
}

#[derive(Parser)]
struct Arguments {
    /// This node, as `n0`
    #[arg(long)]
    id: NodeId,
    /// All nodes, with their addresses, as `n0=127.0.0.1:7100,n1=127.0.0.1:7101`
    #[arg(long, value_delimiter = ',', value_parser = parse_peer)]
    peers: Vec<(NodeId, String)>,
    #[arg(long)]
    key_file: PathBuf,
    #[arg(long)]
    data_dir: PathBuf,
    /// The address for requests over HTTP
    #[arg(long)]
    http: String,
    /// A member to join through
    #[arg(long, required_unless_present = "found")]
    contact: Vec<NodeId>,
    /// Found the group; on a later start, the node finds its group in its data
    #[arg(long)]
    found: bool,
}

fn parse_peer(text: &str) -> Result<(NodeId, String), String> {
    let (node, address) = text.split_once('=').ok_or("expected NODE=ADDRESS")?;
    Ok((node.parse().map_err(|_| format!("{node}: no node, as n0 is"))?, address.into()))
}

/// Everything that answers need.
#[derive(Clone)]
struct Shared {
    client: Client<Group<Counter>>,
    membership: watch::Receiver<Membership>,
    me: NodeId,
    metrics: PrometheusHandle,
}

/// After that a client is told that it does not know whether its number was added.
const TIMEOUT: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { id, peers, key_file, data_dir, http, contact, found: _ } = Arguments::parse();
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let listen = peers.iter().find(|(node, _)| *node == id).ok_or("--peers lacks this node")?;
    let mut config =
        Config::new(id, &listen.1, peers.clone(), ClusterKey::read(key_file)?, "counter");
    config.data = Some(data_dir);
    config.contacts = contact;
    let nodes: Vec<_> = peers.iter().map(|(node, _)| *node).collect();
    let server = Server::spawn(Group::new(Counter).among(nodes), config).await?;
    let requests = TcpListener::bind(http).await?;
    let router = router(&server, metrics);
    // The program ends with whichever ends first, and says why.
    tokio::select! {
        ended = server.ended() => println!("{:?}", ended?),
        end = axum::serve(requests, router) => end?,
    }
    Ok(())
}

fn router(server: &Server<Group<Counter>>, metrics: PrometheusHandle) -> Router {
    let shared = Shared {
        client: server.client(),
        membership: server.membership(),
        me: server.me().node,
        metrics,
    };
    Router::new()
        .route("/", get(sum))
        .route("/add/{more}", post(add))
        .route("/health", get(health))
        .route("/leader", get(leader))
        .route("/metrics", get(async |State(shared): State<Shared>| shared.metrics.render()))
        .with_state(shared)
}

type Answer = Result<String, (StatusCode, String)>;

/// The sum so far, from the copy of this node.
async fn sum(State(shared): State<Shared>) -> Answer {
    answer(shared.client.query(0).await)
}

/// Adds a number at all members. A majority has it when this is answered.
async fn add(State(shared): State<Shared>, Path(more): Path<u64>) -> Answer {
    answer(shared.client.call(more, Some(TIMEOUT)).await)
}

fn answer(reply: Result<u64, CallError>) -> Answer {
    // The error says whether the request may have taken effect: a client must not just try again.
    let failed = |error: CallError| (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"));
    reply.map(|sum| format!("{sum}\n")).map_err(failed)
}

/// The answer to a load balancer: requests are better sent to another node unless this one is fine.
async fn health(State(shared): State<Shared>) -> Answer {
    let now = shared.membership.borrow();
    let members = now.view.iter().flat_map(|view| &view.members);
    let is_member = members.into_iter().any(|member| member.node == shared.me);
    if is_member && now.leader.is_some() {
        return Ok("ok\n".into());
    }
    Err((StatusCode::SERVICE_UNAVAILABLE, "no member of a group with a leader\n".into()))
}

async fn leader(State(shared): State<Shared>) -> Answer {
    match shared.membership.borrow().leader {
        Some(Leader { address, term }) => {
            Ok(format!("{} in term {} of {}\n", address.node, term.counter, term.owner))
        }
        None => Err((StatusCode::SERVICE_UNAVAILABLE, "no leader is known here\n".into())),
    }
}

/// Three nodes in one process. `cargo test` runs it.
#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::{sleep, timeout},
    };

    /// The first line and the body of an answer.
    async fn ask(address: SocketAddr, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!("{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (head.lines().next().expect("a line").into(), body.into())
    }

    /// Waits until the body of an answer is this.
    async fn until(address: SocketAddr, request: &str, expected: &str) {
        let answered = async {
            while ask(address, request).await.1 != expected {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = timeout(Duration::from_secs(20), answered).await;
        assert!(waited.is_ok(), "{request}: {:?}", ask(address, request).await);
    }

    #[tokio::test]
    async fn any_member_takes_requests_and_others_go_on_when_the_leader_ends() {
        let key = ClusterKey::generate().expect("a key");
        let metrics = PrometheusBuilder::new().install_recorder().expect("the first one");
        let all = [0, 1, 2].map(NodeId);
        let mut ports = vec![];
        for _ in all {
            ports.push(TcpListener::bind("127.0.0.1:0").await.expect("a port"));
        }
        let port = |at: usize| ports[at].local_addr().expect("it is bound").to_string();
        let peers: Vec<_> = all.iter().map(|node| (*node, port(usize::from(node.0)))).collect();
        drop(ports);
        let (mut servers, mut addresses) = (vec![], vec![]);
        for node in all {
            let listen = peers[usize::from(node.0)].1.clone();
            let mut config = Config::new(node, listen, peers.clone(), key.clone(), "counter");
            config.contacts = if node == NodeId(0) { vec![] } else { vec![NodeId(0)] };
            let machine = Group::new(Counter).among(all);
            let server = Server::spawn(machine, config).await.expect("it starts");
            let requests = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            addresses.push(requests.local_addr().expect("it is bound"));
            let router = router(&server, metrics.clone());
            tokio::spawn(async move { axum::serve(requests, router).await });
            servers.push(server);
        }
        let last = addresses[2];
        until(last, "GET /health", "ok\n").await;
        assert_eq!(ask(last, "POST /add/40").await.1, "40\n");
        assert_eq!(ask(addresses[0], "POST /add/2").await.1, "42\n");
        until(last, "GET /", "42\n").await;
        assert!(ask(last, "GET /leader").await.1.starts_with("n0 in term "));
        assert!(ask(last, "GET /metrics").await.1.contains("interrex_connections{node=\"n2\"}"));

        // The leader ends. The others go on; a request to it has not taken effect.
        servers.remove(0).shut_down().await.expect("it ends well");
        let (status, said) = ask(addresses[0], "POST /add/1000").await;
        assert!(status.contains("503") && said.contains("the local node has ended"), "{said}");
        until(last, "POST /add/0", "42\n").await;
        assert_eq!(ask(addresses[1], "POST /add/1").await.1, "43\n");
    }
}
