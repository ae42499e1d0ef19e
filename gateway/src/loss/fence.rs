//! Finding out that this pod's life is over: it was frozen or cut off, nobody could ask it, and its heir has told the
//! handlers that its connections are closed. So they are.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{Counts, Index};
use crate::{
    cluster::Cluster, connection::CloseReason, registry::Registry, shared_sessions::SharedSessions,
};

/// Watches for it, for ever.
pub(super) async fn watch(
    cluster: Cluster,
    index: Index,
    (registry, sessions): (Registry, SharedSessions),
    counts: Arc<Counts>,
) {
    let mut lives = cluster.lives();
    while lives.changed().await.is_ok() {
        let fenced = lives.borrow_and_update().fenced.clone();
        if fenced.is_some_and(|life| life == cluster.life()) {
            // None of them is kept in the next life.
            sessions.lose_all();
            let life = cluster.begin_life();
            index.begin(&life);
            counts.fenced.fetch_add(1, Relaxed);
            let connections = registry.snapshot();
            tracing::error!(
                connections = connections.len(),
                "other pods took this one for dead, and have told its handlers so: all its connections are closed"
            );
            for handle in connections {
                handle.end(CloseReason::PodLost);
            }
        }
    }
}
