//! What the tasks of a link share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Error, Problem, Slots, State,
    access::Access,
    channels::{Channels, Session},
    names::Names,
    node::{Map, Node},
    pushes::Queue,
};
use crate::metrics::RedisMetrics;
use config::RedisMode;

pub(super) struct Shared {
    pub(super) mode: RedisMode,
    pub(super) access: Arc<Access>,
    pub(super) names: Names,
    pub(super) database: u16,
    /// How long a command may take.
    pub(super) timeout: Duration,
    /// Who does not answer for so long is gone.
    pub(super) patience: Duration,
    pub(super) backoff: (Duration, Duration),
    pub(super) max_in_flight: u32,
    pub(super) map: ArcSwap<Map>,
    /// How often the map was replaced.
    pub(super) mapped: watch::Sender<u64>,
    /// The map, or the master, may be another one now.
    pub(super) refresh: Notify,
    pub(super) channels: Channels,
    pub(super) queue: Arc<Queue>,
    pub(super) state: watch::Sender<State>,
    pub(super) metrics: Arc<RedisMetrics>,
    /// Whether it was seen that the names are ours. Before that nothing is said or listened to.
    pub(super) identified: watch::Sender<bool>,
    pub(super) ended: CancellationToken,
    sessions: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        config: &config::Redis,
        names: Names,
        queue: Arc<Queue>,
        metrics: Arc<RedisMetrics>,
    ) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            mode: config.mode,
            access: Access::to_servers(config)?,
            names,
            database: config.database,
            timeout: config.timeout,
            patience: config.timeout * 2,
            backoff: (config.backoff_min, config.backoff_max),
            max_in_flight: config.max_in_flight,
            map: ArcSwap::from_pointee(Map::unknown()),
            mapped: watch::Sender::new(0),
            refresh: Notify::new(),
            channels: Channels::default(),
            queue,
            state: watch::Sender::new(State::Away {
                since: Instant::now(),
                why: Problem::New,
            }),
            metrics,
            identified: watch::Sender::new(false),
            ended: CancellationToken::new(),
            sessions: AtomicU64::new(1),
        }))
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.mode == RedisMode::Cluster
    }

    pub(super) fn new_session(&self) -> Session {
        self.sessions.fetch_add(1, Relaxed)
    }

    pub(super) fn owned(&self, node: &Arc<Node>) -> Slots {
        self.map.load().owned(node)
    }

    pub(super) fn owner_is(&self, slot: u16, node: &Arc<Node>) -> bool {
        let map = self.map.load();
        map.owner(slot)
            .is_some_and(|owner| Arc::ptr_eq(owner, node))
    }

    /// Slots have something to say: their nodes are woken.
    pub(super) fn touch(&self, slots: &Slots) {
        let map = self.map.load();
        for slot in slots.iter() {
            if let Some(node) = map.owner(slot) {
                node.leave([slot], false);
            }
        }
    }

    /// All subscriptions of a node are confirmed.
    pub(super) fn stands(&self, node: &Node) {
        node.standing.store(true, Relaxed);
        self.report();
    }

    /// The map is another one. Nodes that have no place in it end.
    pub(super) fn adopt(&self, map: Map) {
        let old = self.map.swap(Arc::new(map));
        let map = self.map.load();
        for node in &old.nodes {
            if !map.nodes.iter().any(|kept| Arc::ptr_eq(kept, node)) {
                node.left.cancel();
            }
        }
        let mut moved = Slots::none();
        for slot in 0..super::slots::SLOTS {
            let (before, after) = (old.owner(slot), map.owner(slot));
            if let Some(before) = before
                && after.is_none_or(|after| !Arc::ptr_eq(before, after))
            {
                moved.insert(slot);
            }
        }
        self.queue.gap(&moved);
        for node in &map.nodes {
            let mut theirs = map.owned(node);
            theirs.keep(&moved);
            if !theirs.is_empty() {
                node.leave(theirs.iter(), true);
            }
        }
        self.mapped.send_modify(|count| *count += 1);
        self.report();
    }

    /// The map cannot be had, or can again.
    pub(super) fn trouble(&self, trouble: Option<&Problem>) {
        self.map.rcu(|map| Map {
            nodes: map.nodes.clone(),
            owners: map.owners.clone(),
            trouble: trouble.cloned(),
        });
        self.report();
    }

    /// Says whether the link is whole, where that has changed.
    pub(super) fn report(&self) {
        // Under the lock of the state, so that the last one to look is the last one to tell.
        self.state.send_if_modified(|state| {
            let trouble = self.map.load().trouble();
            match (&mut *state, trouble) {
                (State::Connected { .. }, None) => false,
                (State::Away { .. }, None) => {
                    let generation = self.metrics.connected();
                    *state = State::Connected { generation };
                    true
                }
                (State::Connected { .. }, Some(why)) => {
                    self.metrics.away();
                    let since = Instant::now();
                    *state = State::Away { since, why };
                    true
                }
                (State::Away { why, .. }, Some(now)) => {
                    let changed = *why != now;
                    *why = now;
                    changed
                }
            }
        });
    }
}
