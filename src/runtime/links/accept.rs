//! Accepts inbound connections and authenticates them.

use crate::runtime::{
    config::Limits,
    handshake::{Authenticated, HandshakeError, Identity, Rejected, authenticate},
    repeats::Repeats,
    transport::Transport,
};
use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{Duration, sleep, timeout},
};

/// How long to wait after the system could not accept a connection, for example for want of file descriptors.
const RETRY: Duration = Duration::from_millis(50);

/// Accepts connections for ever, and passes on those that are authenticated.
pub(super) async fn accept<T: Transport>(
    mut listener: T::Listener,
    identity: Arc<Identity>,
    limits: Limits,
    authenticated: mpsc::Sender<Authenticated<T::Stream>>,
) {
    let mut handshakes = JoinSet::new();
    let mut oldest_first = VecDeque::new();
    let mut failures = Repeats::new();
    loop {
        match T::accept(&mut listener).await {
            Ok((stream, from)) => {
                while handshakes.try_join_next().is_some() {}
                make_room(&mut oldest_first, limits.max_pending_handshakes, &identity);
                let (identity, authenticated) = (identity.clone(), authenticated.clone());
                let limit = limits.handshake_timeout;
                let handshake = handshakes.spawn(async move {
                    shake_hands::<T>(stream, from, &identity, limit, authenticated).await;
                });
                oldest_first.push_back((from.ip(), handshake));
            }
            Err(error) => {
                if let Some(times) = failures.count(error.kind()) {
                    tracing::warn!(%error, times, "cannot accept a connection");
                }
                sleep(RETRY).await;
            }
        }
    }
}

/// Gives up handshakes until another one may begin: of the address that has the most of them, the one that has taken longest.
/// So a crowd at one address does not keep out nodes at others.
fn make_room(
    oldest_first: &mut VecDeque<(IpAddr, AbortHandle)>,
    limit: usize,
    identity: &Identity,
) {
    oldest_first.retain(|(_, handshake)| !handshake.is_finished());
    while oldest_first.len() >= limit.max(1) {
        let addresses: Vec<_> = oldest_first.iter().map(|(address, _)| *address).collect();
        let Some((_, oldest)) = crowded_out(&addresses).and_then(|at| oldest_first.remove(at))
        else {
            return;
        };
        oldest.abort();
        let why = HandshakeError::Crowded;
        identity.report_refused(None, &"an unauthenticated connection", &why);
    }
}

/// The place of the first of the addresses that occur most often.
fn crowded_out(addresses: &[IpAddr]) -> Option<usize> {
    let mut times = BTreeMap::new();
    for address in addresses {
        *times.entry(address).or_insert(0) += 1;
    }
    // Of several largest ones, the last is found; the first is wanted.
    (0..addresses.len()).rev().max_by_key(|at| times[&addresses[*at]])
}

async fn shake_hands<T: Transport>(
    stream: T::Stream,
    from: SocketAddr,
    identity: &Identity,
    limit: Duration,
    authenticated: mpsc::Sender<Authenticated<T::Stream>>,
) {
    let result = timeout(limit, authenticate(stream, from, identity)).await;
    match result.unwrap_or_else(|_| Err(HandshakeError::TimedOut.into())) {
        // Without a receiver, the node has ended.
        Ok(Some(inbound)) => drop(authenticated.send(inbound).await),
        Ok(None) => tracing::trace!(%from, "answered a probe"),
        Err(Rejected { node, why }) => identity.report_refused(node, &from, &why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_at_one_address_keeps_out_only_itself() {
        let crowd = |places: &[u8]| {
            let addresses: Vec<_> = places.iter().map(|it| IpAddr::from([10, 0, 0, *it])).collect();
            crowded_out(&addresses)
        };
        assert_eq!(crowd(&[]), None);
        assert_eq!(crowd(&[1, 2, 2, 3]), Some(1));
        assert_eq!(crowd(&[1, 2, 3]), Some(0));
        assert_eq!(crowd(&[4, 4, 5, 5, 5]), Some(2));
    }
}
