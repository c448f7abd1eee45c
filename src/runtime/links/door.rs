//! Where others come in.

use crate::runtime::{
    config::Limits,
    handshake::{Guest, HandshakeError, Identity, greet},
    transport::Transport,
};
use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

/// How long to wait when the system has no room for another connection.
const BREATH: Duration = Duration::from_millis(50);

/// Accepts connections and asks who is there, for ever.
pub(super) async fn keep<T: Transport>(
    mut listener: T::Listener,
    identity: Arc<Identity>,
    limits: Limits,
    guests: mpsc::Sender<Guest<T::Stream>>,
) {
    let mut strangers = JoinSet::new();
    let mut order = VecDeque::new();
    loop {
        match T::accept(&mut listener).await {
            Ok((stream, from)) => {
                while strangers.try_join_next().is_some() {}
                make_room(&mut order, limits.strangers, &identity);
                let (identity, guests) = (identity.clone(), guests.clone());
                order.push_back(strangers.spawn(async move {
                    ask::<T>(stream, from, &identity, limits.handshake, guests).await;
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(BREATH).await;
            }
        }
    }
}

/// The one who has had most time has to go.
fn make_room(order: &mut VecDeque<AbortHandle>, strangers: usize, identity: &Identity) {
    order.retain(|stranger| !stranger.is_finished());
    while order.len() >= strangers.max(1) {
        if let Some(oldest) = order.pop_front() {
            oldest.abort();
            identity.refused(&"a stranger", &HandshakeError::Crowded);
        }
    }
}

async fn ask<T: Transport>(
    stream: T::Stream,
    from: SocketAddr,
    identity: &Identity,
    limit: Duration,
    guests: mpsc::Sender<Guest<T::Stream>>,
) {
    let asked = timeout(limit, greet(stream, from, identity)).await;
    match asked.unwrap_or(Err(HandshakeError::TimedOut)) {
        // If nobody takes guests any more, the node has ended.
        Ok(guest) => drop(guests.send(guest).await),
        Err(why) => identity.refused(&from, &why),
    }
}
