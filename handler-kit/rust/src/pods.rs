//! Connections by the pod that holds them, while they live.

use std::sync::Arc;

use dashmap::DashMap;

use crate::{
    Handler,
    session::{Callback, Done, Session},
};

/// The connections of one start of one pod, by their numbers.
pub(crate) struct Pod<H> {
    epoch: u64,
    pub(crate) sessions: DashMap<u64, Arc<Session<H>>>,
}

/// All pods that have said hello, by name.
pub(crate) struct Pods<H>(DashMap<String, Arc<Pod<H>>>);

impl<H> Default for Pods<H> {
    fn default() -> Self {
        Self(DashMap::new())
    }
}

impl<H: Handler> Pods<H> {
    /// The pod as it is since `epoch`. What it held before that is gone.
    pub(crate) fn of(&self, name: &str, epoch: u64) -> Arc<Pod<H>> {
        let mut pod = self
            .0
            .entry(name.to_owned())
            .or_insert_with(|| Pod::new(epoch));
        if pod.epoch < epoch {
            let old = std::mem::replace(&mut *pod, Pod::new(epoch));
            let sessions: Vec<_> = old
                .sessions
                .iter()
                .map(|each| each.value().clone())
                .collect();
            old.sessions.clear();
            for session in sessions {
                session.detach();
            }
        }
        pod.clone()
    }
}

impl<H> Pod<H> {
    fn new(epoch: u64) -> Arc<Self> {
        Arc::new(Self {
            epoch,
            sessions: DashMap::new(),
        })
    }
}

impl<H: Handler> Session<H> {
    /// The connection is taken for gone: its pod is not heard of.
    pub(crate) fn detach(self: &Arc<Self>) {
        if let Some(link) = self.conn.link() {
            link.end();
        }
        self.run(Callback::Close("detached".to_owned()), Done::Nobody);
    }
}
