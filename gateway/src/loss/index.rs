//! Which handler knows which connection of this pod: here, and a moment later in Redis.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::sleep;

use crate::{
    backoff::jittered,
    cluster::{Cluster, Names},
    conn_id::ConnId,
    redis::{Failure, Link},
};

/// Connections in one command.
const AT_ONCE: usize = 500;
/// The pause after they could not be written.
const PAUSE: Duration = Duration::from_millis(500);
/// How often the key is kept from running out.
const RENEWALS: u32 = 10;

/// The index. Clones are the same.
#[derive(Clone)]
pub struct Index(Arc<Inner>);

struct Inner {
    link: Link,
    names: Names,
    keep: Duration,
    state: Mutex<State>,
}

struct State {
    /// The life of the pod for which it is written.
    life: Arc<str>,
    known: HashMap<ConnId, Entry>,
    /// Those that Redis has otherwise.
    untold: HashSet<ConnId>,
}

struct Entry {
    endpoint: Arc<str>,
    life: Arc<str>,
    is_written: bool,
}

/// A handler knows a connection, until this is dropped.
pub struct Record {
    index: Index,
    conn: ConnId,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Record").field(&self.conn).finish()
    }
}

/// What is to be written.
#[derive(Default)]
struct Batch {
    put: Vec<(ConnId, Arc<str>)>,
    gone: Vec<ConnId>,
}

impl Index {
    pub(super) fn new(cluster: &Cluster, keep: Duration) -> Self {
        Self(Arc::new(Inner {
            link: cluster.link().clone(),
            names: cluster.names().clone(),
            keep,
            state: Mutex::new(State {
                life: cluster.life().into(),
                known: HashMap::new(),
                untold: HashSet::new(),
            }),
        }))
    }

    /// The handler at that endpoint knows the connection.
    #[must_use]
    pub fn record(&self, conn: &ConnId, endpoint: &str) -> Record {
        let mut state = self.0.state.lock();
        let entry = Entry {
            endpoint: endpoint.into(),
            life: state.life.clone(),
            is_written: false,
        };
        state.known.insert(conn.clone(), entry);
        state.untold.insert(conn.clone());
        Record {
            index: self.clone(),
            conn: conn.clone(),
        }
    }

    /// Another life begins: what belongs to the last one is its heir's.
    pub(super) fn begin(&self, life: &str) {
        let mut state = self.0.state.lock();
        state.life = life.into();
        state.untold.clear();
    }

    /// Redis may have lost it.
    pub(super) fn tell_all(&self) {
        let mut state = self.0.state.lock();
        let State {
            life,
            known,
            untold,
        } = &mut *state;
        let own = known.iter().filter(|(_, entry)| entry.life == *life);
        untold.extend(own.map(|(conn, _)| conn.clone()));
    }

    /// Writes what changes, for ever.
    pub(super) async fn write(self, interval: Duration) {
        let mut rest = Duration::ZERO;
        loop {
            sleep(interval).await;
            let (life, batch) = self.0.state.lock().take();
            let is_due = rest.is_zero();
            rest = if is_due {
                self.0.keep / RENEWALS
            } else {
                rest.saturating_sub(interval)
            };
            if batch.is_empty() && !is_due {
                continue;
            }
            match self.0.tell(&life, &batch).await {
                Ok(()) => self.0.state.lock().written(&life, &batch),
                Err(failure) => {
                    tracing::debug!(%failure, "other pods could not tell the end of all connections if this one died");
                    self.0.state.lock().again(&life, batch);
                    rest = Duration::ZERO;
                    sleep(jittered(PAUSE)).await;
                }
            }
        }
    }
}

impl Record {
    /// Whether the heir of this pod finds it, should one come; or has found it, where it is of a life that is over.
    #[must_use]
    pub fn is_written(&self) -> bool {
        let state = self.index.0.state.lock();
        let entry = state.known.get(&self.conn);
        entry.is_some_and(|entry| entry.is_written)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let mut state = self.index.0.state.lock();
        let entry = state.known.remove(&self.conn);
        // Of a life that is over, the heir has it.
        if entry.is_some_and(|entry| entry.life == state.life) {
            state.untold.insert(self.conn.clone());
        }
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.put.is_empty() && self.gone.is_empty()
    }
}

impl State {
    /// What Redis has otherwise.
    fn take(&mut self) -> (Arc<str>, Batch) {
        let mut batch = Batch::default();
        for conn in std::mem::take(&mut self.untold) {
            match self.known.get(&conn) {
                Some(entry) => batch.put.push((conn, entry.endpoint.clone())),
                None => batch.gone.push(conn),
            }
        }
        (self.life.clone(), batch)
    }

    fn written(&mut self, life: &Arc<str>, batch: &Batch) {
        for (conn, endpoint) in &batch.put {
            if let Some(entry) = self.known.get_mut(conn)
                && entry.endpoint == *endpoint
                && entry.life == *life
            {
                entry.is_written = true;
            }
        }
    }

    /// It may have been written in part.
    fn again(&mut self, life: &Arc<str>, batch: Batch) {
        if self.life == *life {
            let put = batch.put.into_iter().map(|(conn, _)| conn);
            self.untold.extend(put.chain(batch.gone));
        }
    }
}

impl Inner {
    async fn tell(&self, life: &str, batch: &Batch) -> Result<(), Failure> {
        let key = self.names.known(life);
        for some in batch.put.chunks(AT_ONCE) {
            let mut put = redis::cmd("HSET");
            put.arg(&key);
            for (conn, endpoint) in some {
                put.arg(conn.as_str()).arg(&**endpoint);
            }
            self.link.command::<()>(&key, &put).await?;
        }
        for some in batch.gone.chunks(AT_ONCE) {
            let mut forget = redis::cmd("HDEL");
            forget.arg(&key);
            for conn in some {
                forget.arg(conn.as_str());
            }
            self.link.command::<()>(&key, &forget).await?;
        }
        let mut keep = redis::cmd("PEXPIRE");
        let millis = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
        keep.arg(&key).arg(millis);
        self.link.command(&key, &keep).await
    }
}
