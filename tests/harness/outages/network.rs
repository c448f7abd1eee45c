//! A network between the nodes of a cluster: a proxy for each direction, which can swallow what is sent there.

use interrex::machine::NodeId;
use interrex_models::real::processes::Cluster;
use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A sender and a receiver.
type Way = (NodeId, NodeId);

#[derive(Clone, Default)]
pub(crate) struct Network {
    /// The ways on which everything is lost. The connections stay up.
    swallowed: Arc<Mutex<BTreeSet<Way>>>,
}

impl Network {
    /// Puts itself between the nodes of a cluster in which none runs.
    pub(crate) fn between(cluster: &mut Cluster) -> Self {
        let network = Self::default();
        let nodes: Vec<_> = cluster.plan().nodes().collect();
        for from in &nodes {
            for to in nodes.iter().filter(|to| *to != from) {
                let place = cluster.place(*to).expect("it is a node of the cluster");
                cluster.route((*from, *to), network.proxy((*from, *to), place));
            }
        }
        network
    }

    /// Loses everything that is sent on these ways, and on no others.
    pub(crate) fn swallow(&self, ways: impl IntoIterator<Item = Way>) {
        *self.swallowed.lock().expect("no panic") = ways.into_iter().collect();
    }

    /// An address at which a node reaches another one. Answers come back the same way.
    fn proxy(&self, (from, to): Way, place: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = listener.local_addr().expect("it listens");
        let network = self.clone();
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(place) else { continue };
                let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else {
                    continue;
                };
                network.pass((from, to), near, far);
                network.pass((to, from), far_too, near_too);
            }
        });
        at
    }

    fn pass(&self, way: Way, mut source: TcpStream, mut target: TcpStream) {
        let swallowed = Arc::clone(&self.swallowed);
        thread::spawn(move || {
            let mut bytes = [0; 1 << 13];
            while let Ok(read @ 1..) = source.read(&mut bytes) {
                let is_lost = swallowed.lock().expect("no panic").contains(&way);
                if !is_lost && target.write_all(&bytes[..read]).is_err() {
                    break;
                }
            }
            // The other end learns that this one is closed.
            drop(target.shutdown(std::net::Shutdown::Both));
        });
    }
}
