//! Accepts inbound connections and authenticates them.

use crate::runtime::{
    config::Limits,
    handshake::{Authenticated, HandshakeError, Identity, Rejected, authenticate},
    repeats::Repeats,
    transport::Transport,
};
use std::{collections::VecDeque, net::SocketAddr, sync::Arc};
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
                oldest_first.push_back(handshakes.spawn(async move {
                    shake_hands::<T>(stream, from, &identity, limit, authenticated).await;
                }));
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

/// Gives up the handshakes that have taken longest, until another one may begin.
fn make_room(oldest_first: &mut VecDeque<AbortHandle>, limit: usize, identity: &Identity) {
    oldest_first.retain(|handshake| !handshake.is_finished());
    while oldest_first.len() >= limit.max(1) {
        if let Some(oldest) = oldest_first.pop_front() {
            oldest.abort();
            let why = HandshakeError::Crowded;
            identity.report_refused(None, &"an unauthenticated connection", &why);
        }
    }
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
