//! A pod that dies: another one tells the handlers that its connections are closed.
//!
//! Each pod writes into Redis which handler knows which of its connections (`index`), in batches and never on the way of
//! a device. Once nobody has heard of a pod for a lease, one of the others becomes its heir (`heir`): it asks the pod
//! directly whether it lives, and if nobody answers it fences that life of the pod off, and calls OnSocketClosed with
//! `pod_lost` for all that stands in the index. A pod that was frozen finds that out when it wakes up (`fence`): it closes
//! all its connections, and tells handlers of those only that its heir could not know of.
//!
//! Handlers of the ordered stream find out by themselves that a pod is gone, as all its streams are.

/// What is left of a life.
mod estate;
/// Finding out that this pod's life is over.
mod fence;
/// Seeing to what is left of other lives.
mod heir;
/// Which handler knows which connection.
mod index;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use http::HeaderMap;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

pub use self::index::{Index, Record};
use self::{estate::Estates, heir::Heir};
use crate::{
    cluster::Cluster, handler::Handlers, peers::Peers, registry::Registry, seal::Sealer,
    shared_sessions::SharedSessions,
};

/// How a pod works with others about those that die.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Between two batches that are written into the index.
    pub interval: Duration,
    /// How long Redis keeps the index of a pod that nobody inherits.
    pub keep: Duration,
    /// Handlers that an heir calls at a time.
    pub concurrent_calls: usize,
    /// For how long it goes on while it reaches none.
    pub patience: Duration,
    /// The metadata of its calls.
    pub headers: HeaderMap,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Lives of other pods that this one has seen to.
    pub inherited: AtomicU64,
    /// How often a pod that nobody had heard of for a lease answered when it was asked.
    pub answered: AtomicU64,
    /// Lives of this pod that others have.
    pub fenced: AtomicU64,
    /// Connections of pods that died, of which a handler was told.
    pub told: AtomicU64,
    /// Those of which none could be.
    pub untold: AtomicU64,
}

/// This pod's part in it. It ends when it is dropped.
pub struct Loss {
    index: Index,
    counts: Arc<Counts>,
    _tasks: [AbortOnDropHandle<()>; 3],
}

/// Who and what it works with.
pub struct With {
    /// The other pods.
    pub cluster: Cluster,
    /// Who asks them.
    pub peers: Peers,
    /// The connections of this pod.
    pub registry: Registry,
    /// Who is told of those of others.
    pub handlers: Handlers,
    /// The sessions of clients, which go on.
    pub sessions: SharedSessions,
}

impl Loss {
    /// Begins. Within a runtime.
    #[must_use]
    pub fn start(settings: Settings, with: With, sealer: &Arc<Sealer>) -> Self {
        let counts = Arc::new(Counts::default());
        let index = Index::new(&with.cluster, sealer.clone(), settings.keep);
        let write = index.clone().write(settings.interval);
        let fence = fence::watch(
            with.cluster.clone(),
            index.clone(),
            (with.registry.clone(), with.sessions.clone()),
            counts.clone(),
        );
        let heir = Heir {
            estates: Estates::new(&with.cluster, sealer.clone()),
            settings,
            with,
            counts: counts.clone(),
            passed: Mutex::default(),
        };
        let tasks = [
            tokio::spawn(write),
            tokio::spawn(fence),
            tokio::spawn(heir.inherit()),
        ];
        Self {
            index,
            counts,
            _tasks: tasks.map(AbortOnDropHandle::new),
        }
    }

    /// Where connections note which handler knows them.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }
}
