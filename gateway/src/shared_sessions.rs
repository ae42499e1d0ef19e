//! Sessions that outlive their pod: each stands in Redis too, and its client finds it again on any pod.
//!
//! A pod keeps the sessions of its clients in its memory, as without others (`broker::sessions`), and has Redis keep them
//! as they change: at once what a client subscribes, and what waits for it in batches (`saving`). With each batch it notes
//! how far it has heard of the logs. Whoever gets a clientid has the pod that had it write down what it has, loads that,
//! and reads in the logs what came since (`restoring`, `between`). So does the heir of a dead pod, for all its sessions
//! whose clients have not come back by then (`inheriting`).
//!
//! What waits in `$share` groups is not read up: others of the group have had it.

/// What came while a session was with no pod.
mod between;
/// Giving sessions up.
mod giving;
/// Taking over the sessions of a dead pod.
mod inheriting;
/// One session of this pod, and what Redis has of it.
mod kept;
/// A session as it stands in Redis.
mod record;
/// Bringing a session back.
mod restoring;
/// Having Redis keep them.
mod saving;
/// What is written in Redis.
mod table;

use std::{
    collections::HashSet,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use self::{
    between::Between,
    kept::{Kept, Standing},
    table::Table,
};
use crate::{
    broker::{Broker, Queue, Sessions, others::Away, queue},
    cluster::{Cluster, Logs, Position},
    ownership::{Held, Ownership},
    redis::Failure,
    seal::Sealer,
};

/// How sessions are kept in Redis.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Between two batches of what has changed.
    pub interval: Duration,
    /// How long Redis keeps the list of a pod's sessions of which it hears nothing more.
    pub keep: Duration,
    /// How long it keeps a session longer than that is needed.
    pub rest: Duration,
    /// How long a client may have to wait for what Redis has of its session.
    pub patience: Duration,
    /// So much of what came in between is taken at most: messages, bytes.
    pub most: queue::Limits,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Times that Redis was told of a session.
    pub saved: AtomicU64,
    /// Times that it could not be.
    pub not_saved: AtomicU64,
    /// Sessions that were brought back for their clients.
    pub fetched: AtomicU64,
    /// Sessions of dead pods that this one has got.
    pub inherited: AtomicU64,
    /// Sessions that went to another pod.
    pub handed_over: AtomicU64,
    /// Clients that were asked to come again, as their session could not be looked for.
    pub not_fetched: AtomicU64,
    /// Sessions that were brought back and may miss messages, as the logs did not reach back far enough.
    pub gaps: AtomicU64,
}

/// The sessions of all pods, as this one has some. Clones are the same.
#[derive(Clone)]
pub struct SharedSessions(Arc<Inner>);

/// What a pod works with.
pub struct With {
    /// Where sessions subscribe.
    pub broker: Broker,
    /// Those of this pod without a connection.
    pub sessions: Sessions,
    /// The other pods.
    pub cluster: Cluster,
    /// What is kept of messages.
    pub logs: Logs,
    /// Who has which clientid.
    pub ownership: Ownership,
}

struct Inner {
    settings: Settings,
    with: With,
    table: Table,
    between: Between,
    /// The sessions of this pod, by clientid.
    kept: DashMap<Arc<str>, Arc<Kept>>,
    /// The clientids whose sessions are just being brought here, or given up.
    moving: Mutex<HashSet<Arc<str>>>,
    moved: watch::Sender<()>,
    /// No more sessions are brought here.
    is_leaving: AtomicBool,
    /// How far this pod had heard when all sessions were kept last, and in which life.
    noted: Mutex<Option<(String, Position)>>,
    /// Held while the first one of a life is noted.
    noting: tokio::sync::Mutex<()>,
    /// Those that Redis has still to forget.
    over: mpsc::Sender<Arc<Kept>>,
    counts: Arc<Counts>,
}

/// Why a session cannot be brought here now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Redis.
    #[error(transparent)]
    Redis(#[from] Failure),
    /// What it subscribes.
    #[error(transparent)]
    Away(#[from] Away),
}

/// Sessions that wait for Redis to forget them. More are forgotten when their time there is over.
const OVER: usize = 100_000;

/// What keeps Redis told; it ends when this is dropped.
pub struct Tasks(
    #[expect(dead_code, reason = "it is held, and no more")] [AbortOnDropHandle<()>; 3],
);

impl SharedSessions {
    /// None yet. Within a runtime.
    #[must_use]
    pub fn start(settings: Settings, with: With, sealer: &Arc<Sealer>) -> (Self, Tasks) {
        let (over, ended) = mpsc::channel(OVER);
        let (between, reading) = Between::new(with.logs.clone());
        let inner = Arc::new(Inner {
            table: Table::new(
                &with.cluster,
                sealer.clone(),
                (settings.keep, settings.rest),
            ),
            settings,
            with,
            between,
            kept: DashMap::new(),
            moving: Mutex::default(),
            moved: watch::Sender::default(),
            is_leaving: AtomicBool::new(false),
            noted: Mutex::default(),
            noting: tokio::sync::Mutex::default(),
            over,
            counts: Arc::default(),
        });
        let tasks = [
            tokio::spawn(reading),
            tokio::spawn(saving::save(inner.clone())),
            tokio::spawn(saving::forget(inner.clone(), ended)),
        ];
        (Self(inner), Tasks(tasks.map(AbortOnDropHandle::new)))
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.0.counts
    }

    /// How many sessions this pod has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.kept.len()
    }

    /// A client has that session, which outlives its connection by so long.
    pub fn connected(&self, held: &Arc<Held>, queue: &Arc<Queue>, mark: &str, expiry: Duration) {
        let standing = Standing {
            mark: mark.into(),
            expiry,
            ends_at: None,
        };
        let known = self.0.kept(held.clientid());
        if let Some(known) = known.filter(|known| known.is_of(queue)) {
            known.connected(standing);
        } else {
            let kept = Kept::new(held, queue, standing, [], &self.0);
            self.0.kept.insert(held.clientid().clone(), kept);
        }
    }

    /// The client is not connected any more, and has that session still.
    pub fn parked(&self, clientid: &str) {
        if let Some(kept) = self.0.kept(clientid) {
            kept.parked();
        }
    }

    /// What the client has subscribed is kept.
    ///
    /// # Errors
    /// Redis did not answer in time; it is kept as soon as that does.
    pub async fn saved(&self, clientid: &str) -> Result<(), Away> {
        let Some(kept) = self.0.kept(clientid) else {
            return Ok(());
        };
        let saved = timeout(self.0.settings.patience, self.0.save(&kept, None));
        let why = match saved.await {
            Ok(Ok(())) if kept.held.is_lost() => "another pod has the client".to_owned(),
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "Redis has not answered".to_owned(),
        };
        Err(Away(format!("the session is not kept yet: {why}")))
    }
}

impl Inner {
    /// It has ended here.
    fn ended(&self, ended: &Kept) {
        let is_it = |_: &Arc<str>, kept: &Arc<Kept>| std::ptr::eq(&raw const **kept, ended);
        let Some((_, kept)) = self.kept.remove_if(&ended.clientid, is_it) else {
            return;
        };
        kept.held.set_expiry(Duration::ZERO);
        if self.over.try_send(kept).is_err() {
            tracing::debug!("Redis is not told of all sessions that are over");
        }
    }

    /// The one of that clientid.
    fn kept(&self, clientid: &str) -> Option<Arc<Kept>> {
        self.kept.get(clientid).map(|kept| kept.clone())
    }

    /// Waits until nobody else moves the session of that client. Nobody else does until the answer is dropped.
    async fn moving(self: &Arc<Self>, clientid: &Arc<str>) -> Moving {
        let mut moved = self.moved.subscribe();
        loop {
            let moving = self.try_moving([clientid.clone()]);
            if !moving.clientids.is_empty() {
                return moving;
            }
            if moved.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Those of them whose sessions nobody else moves.
    fn try_moving(self: &Arc<Self>, clientids: impl IntoIterator<Item = Arc<str>>) -> Moving {
        let mut all = self.moving.lock();
        let free = clientids.into_iter();
        let free = free.filter(|clientid| all.insert(clientid.clone()));
        Moving {
            clientids: free.collect(),
            all: Arc::downgrade(self),
        }
    }
}

/// Clientids whose sessions are being moved, until this is dropped.
struct Moving {
    clientids: Vec<Arc<str>>,
    all: Weak<Inner>,
}

impl Drop for Moving {
    fn drop(&mut self) {
        if self.clientids.is_empty() {
            return;
        }
        if let Some(all) = self.all.upgrade() {
            let mut moving = all.moving.lock();
            for clientid in &self.clientids {
                moving.remove(clientid);
            }
            drop(moving);
            all.moved.send_replace(());
        }
    }
}
