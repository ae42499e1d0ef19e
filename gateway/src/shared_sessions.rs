//! Sessions that outlive their pod: each stands in Redis too, and its client finds it again on any pod.
//!
//! A pod keeps the sessions of its clients in its memory, as without others (`broker::sessions`), and has Redis keep them
//! as they change: at once what a client subscribes, and what waits for it in batches (`saving`). With each batch it notes
//! how far it has heard of the logs. Whoever gets a clientid has the pod that had it write down what it has, loads that,
//! and reads in the logs what came since (`restoring`, `between`). So does the heir of a dead pod, for all its sessions
//! whose clients have not come back by then.
//!
//! What waits in `$share` groups is not read up: others of the group have had it.

/// What came while a session was with no pod.
mod between;
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
        atomic::{AtomicU64, Ordering::Relaxed},
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
    table::{Table, Written},
};
use crate::{
    broker::{Broker, Queue, Session, Sessions, others::Away},
    cluster::{Cluster, Logs},
    ownership::{Held, Ownership, shown},
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
    /// So many messages that came in between are taken at most.
    pub messages: usize,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Times that Redis was told of a session.
    pub saved: AtomicU64,
    /// Sessions that were brought back for their clients.
    pub fetched: AtomicU64,
    /// Sessions of dead pods that this one has got.
    pub inherited: AtomicU64,
    /// Sessions that went to another pod.
    pub handed_over: AtomicU64,
    /// Sessions that Redis may have had, and that could not be looked for.
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
    /// Those that are just being brought back.
    restoring: Mutex<HashSet<Arc<str>>>,
    restored: watch::Sender<()>,
    /// The life for which it is noted how far this pod has heard.
    noted: Mutex<Option<String>>,
    /// Those that Redis has still to forget.
    over: mpsc::Sender<Over>,
    counts: Arc<Counts>,
}

/// A session that has ended.
enum Over {
    /// One of this pod.
    Own(Arc<Kept>),
    /// One that Redis has, and that its client does not want.
    Found(Arc<Held>),
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
            restoring: Mutex::default(),
            restored: watch::Sender::default(),
            noted: Mutex::default(),
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
        let known = self.0.kept.get(held.clientid()).map(|kept| kept.clone());
        if let Some(known) = known.filter(|known| known.is_of(queue)) {
            known.connected(standing);
        } else {
            let kept = Kept::new(held, queue, standing, [], &self.0);
            self.0.kept.insert(held.clientid().clone(), kept);
        }
    }

    /// A client without a session: what Redis may have of one is over.
    pub fn connected_without(&self, held: &Arc<Held>) {
        if held.take_unfetched() {
            self.0.end(Over::Found(held.clone()));
        }
    }

    /// The client is not connected any more, and has that session still.
    pub fn parked(&self, clientid: &str) {
        if let Some(kept) = self.0.kept.get(clientid) {
            kept.parked();
        }
    }

    /// What the client has subscribed is kept.
    ///
    /// # Errors
    /// Redis did not answer in time; it is kept as soon as that does.
    pub async fn saved(&self, clientid: &str) -> Result<(), Away> {
        let Some(kept) = self.0.kept.get(clientid).map(|kept| kept.clone()) else {
            return Ok(());
        };
        let why = match timeout(self.0.settings.patience, self.0.save(&kept)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "Redis has not answered".to_owned(),
        };
        Err(Away(format!("the session is not kept yet: {why}")))
    }

    /// Another pod has got the clientid, and is to find there what this one has of a session.
    pub async fn hand_over(&self, held: &Arc<Held>) {
        let (inner, clientid) = (&*self.0, held.clientid());
        let restored = timeout(inner.settings.patience, inner.not_restoring(clientid));
        if restored.await.is_err() {
            return;
        }
        let kept = inner.kept.get(clientid).map(|kept| kept.clone());
        let Some(kept) = kept.filter(|kept| Arc::ptr_eq(&kept.held, held)) else {
            return;
        };
        match timeout(inner.settings.patience, inner.save(&kept)).await {
            Ok(Ok(())) => drop(inner.counts.handed_over.fetch_add(1, Relaxed)),
            // It finds what was kept last, and the logs.
            Ok(Err(_)) | Err(_) => {
                tracing::debug!(
                    clientid = shown(clientid),
                    "a session goes to another pod as it was kept last"
                );
            }
        }
        inner.abandon(&kept);
    }

    /// Has Redis keep all as it is now. Whether there are any.
    pub async fn leave(&self) -> bool {
        if timeout(self.0.settings.patience, self.0.save_all()).await != Ok(true) {
            tracing::warn!(
                "not all sessions are kept as they were last; what came since is in the logs"
            );
        }
        !self.0.kept.is_empty()
    }
}

impl Inner {
    async fn save(&self, kept: &Arc<Kept>) -> Result<(), Failure> {
        let life = self.with.cluster.life();
        let is_noted = self.noted.lock().as_ref() == Some(&life);
        if !is_noted && let Some(heard) = self.heard() {
            // From here on the logs are to be read for the first session.
            self.note(&life, &heard).await?;
        }
        match kept.save(&self.table, &life).await? {
            Some(Written::Done(_)) => drop(self.counts.saved.fetch_add(1, Relaxed)),
            Some(Written::Lost) => self.abandon(kept),
            Some(Written::Differs) | None => {}
        }
        Ok(())
    }

    /// Another pod has it: what is here of it is nobody's, once its connection has ended.
    fn abandon(&self, kept: &Arc<Kept>) {
        let is_it = |session: &Session| kept.is_of(&session.queue);
        let session = self.with.sessions.take_out(&kept.clientid, is_it);
        if session.is_some() || kept.is_gone() {
            self.kept
                .remove_if(&kept.clientid, |_, known| Arc::ptr_eq(known, kept));
        }
        if let Some(session) = session {
            session.hand_over();
        }
    }

    /// It has ended here.
    fn ended(&self, ended: &Kept) {
        let is_it = |_: &Arc<str>, kept: &Arc<Kept>| std::ptr::eq(&raw const **kept, ended);
        if let Some((_, kept)) = self.kept.remove_if(&ended.clientid, is_it) {
            self.end(Over::Own(kept));
        }
    }

    fn end(&self, over: Over) {
        if self.over.try_send(over).is_err() {
            tracing::debug!("Redis is not told of all sessions that are over");
        }
    }

    /// Waits until the session of that client is not being brought back.
    async fn not_restoring(&self, clientid: &str) {
        let mut restored = self.restored.subscribe();
        while self.restoring.lock().contains(clientid) {
            if restored.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Sessions that are being brought back, until this is dropped.
struct Restoring {
    clientids: Vec<Arc<str>>,
    all: Weak<Inner>,
}

impl Drop for Restoring {
    fn drop(&mut self) {
        if let Some(all) = self.all.upgrade() {
            let mut restoring = all.restoring.lock();
            for clientid in &self.clientids {
                restoring.remove(clientid);
            }
            drop(restoring);
            all.restored.send_replace(());
        }
    }
}
