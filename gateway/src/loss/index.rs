//! Which handler knows which connection of this pod: here, and a moment later in Redis.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use proto::cluster::Known;
use tokio::time::{sleep, timeout};

use crate::{
    backoff::{PAUSE, jittered},
    cluster::Cluster,
    conn_id::ConnId,
    redis::{Failure, Script, State as LinkState},
    seal::{Kind, Sealer},
};

/// Writes some of it, unless an heir has it; in place of all that is there, where it begins anew. Without an heir there is
/// no field without a name.
const PUT: &str = r"
if redis.call('HGET', KEYS[1], '') then return 0 end
if ARGV[2] == 'anew' then redis.call('DEL', KEYS[1]) end
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
";

/// Connections in one command.
const AT_ONCE: usize = 500;
/// How often the key is kept from running out.
const RENEWALS: u32 = 10;
/// Endpoints whose addresses are held once for all connections.
const ENDPOINTS: usize = 10_000;
/// How long an end waits for Redis to say whether this pod was taken for dead meanwhile.
const DOUBT: Duration = Duration::from_secs(2);

/// The index. Clones are the same.
#[derive(Clone)]
pub struct Index(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    sealer: Arc<Sealer>,
    keep: Duration,
    put: Script,
    state: Mutex<State>,
}

struct State {
    /// The life of the pod for which it is written.
    life: Arc<str>,
    known: HashMap<ConnId, Entry>,
    endpoints: HashSet<Arc<str>>,
    /// Those that Redis has otherwise; none while all is to be written anew.
    untold: HashSet<ConnId>,
    anew: bool,
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
    anew: bool,
    put: Vec<(ConnId, Arc<str>)>,
    gone: Vec<ConnId>,
}

impl Index {
    pub(super) fn new(cluster: &Cluster, sealer: Arc<Sealer>, keep: Duration) -> Self {
        Self(Arc::new(Inner {
            sealer,
            keep,
            put: Script::new(PUT),
            state: Mutex::new(State {
                life: cluster.life().into(),
                known: HashMap::new(),
                endpoints: HashSet::new(),
                untold: HashSet::new(),
                anew: true,
            }),
            cluster: cluster.clone(),
        }))
    }

    /// The handler at that endpoint knows the connection.
    #[must_use]
    pub fn record(&self, conn: &ConnId, endpoint: &str) -> Record {
        let mut state = self.0.state.lock();
        let entry = Entry {
            endpoint: state.endpoint(endpoint),
            life: state.life.clone(),
            is_written: false,
        };
        state.known.insert(conn.clone(), entry);
        state.changed(conn);
        Record {
            index: self.clone(),
            conn: conn.clone(),
        }
    }

    /// Another life begins: what belongs to the last one is its heir's.
    pub(super) fn begin(&self, life: &str) {
        let mut state = self.0.state.lock();
        state.life = life.into();
        state.begin_anew();
    }

    /// Writes what changes, and all of it whenever Redis was away, as it may have lost some. For ever.
    pub(super) async fn write(self, interval: Duration) {
        let link = self.0.cluster.link().state();
        let mut seen = None;
        let mut rest = Duration::ZERO;
        loop {
            sleep(interval).await;
            let LinkState::Connected { generation } = *link.borrow() else {
                continue;
            };
            if seen.replace(generation) != Some(generation) {
                self.0.state.lock().begin_anew();
            }
            let (life, batch) = self.0.state.lock().take();
            rest = rest.saturating_sub(interval);
            if batch.is_empty() && !rest.is_zero() {
                continue;
            }
            rest = self.0.keep / RENEWALS;
            match self.0.tell(&life, &batch).await {
                Ok(true) => self.0.state.lock().written(&life, &batch),
                // Its heir has it, and this pod will hear of that.
                Ok(false) => {}
                Err(failure) => {
                    tracing::debug!(%failure, "other pods could not tell the end of all connections if this one died");
                    self.0.state.lock().begin_anew();
                    sleep(jittered(PAUSE)).await;
                }
            }
        }
    }
}

impl Record {
    /// Whether the heir of a life of this pod that is over has told, or will tell, the handler of the end. Where this pod
    /// has not been heard of for a lease, it waits a moment for Redis to say whether it was taken for dead.
    pub async fn is_inherited(&self) -> bool {
        let inner = &self.index.0;
        if inner.cluster.may_be_taken_for_dead() {
            let mut lives = inner.cluster.lives();
            lives.mark_unchanged();
            let _ = timeout(DOUBT, lives.changed()).await;
            // Whoever watches for that notes it a moment later.
            if lives.borrow().fenced.is_some() {
                let begun = async {
                    while inner.state.lock().life.as_ref() != inner.cluster.life() {
                        tokio::task::yield_now().await;
                    }
                };
                let _ = timeout(DOUBT, begun).await;
            }
        }
        let state = inner.state.lock();
        let entry = state.known.get(&self.conn);
        entry.is_some_and(|entry| entry.is_written && entry.life != state.life)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let mut state = self.index.0.state.lock();
        let entry = state.known.remove(&self.conn);
        // Of a life that is over, the heir has it.
        if entry.is_some_and(|entry| entry.life == state.life) {
            state.changed(&self.conn);
        }
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        !self.anew && self.put.is_empty() && self.gone.is_empty()
    }
}

impl State {
    fn endpoint(&mut self, address: &str) -> Arc<str> {
        if let Some(known) = self.endpoints.get(address) {
            return known.clone();
        }
        if self.endpoints.len() >= ENDPOINTS {
            self.endpoints.clear();
        }
        let endpoint: Arc<str> = address.into();
        self.endpoints.insert(endpoint.clone());
        endpoint
    }

    fn changed(&mut self, conn: &ConnId) {
        if !self.anew {
            self.untold.insert(conn.clone());
        }
    }

    fn begin_anew(&mut self) {
        self.anew = true;
        self.untold = HashSet::new();
    }

    /// What Redis has otherwise.
    fn take(&mut self) -> (Arc<str>, Batch) {
        let mut batch = Batch {
            anew: std::mem::take(&mut self.anew),
            ..Batch::default()
        };
        if batch.anew {
            let own = self
                .known
                .iter()
                .filter(|(_, entry)| entry.life == self.life);
            batch.put = own
                .map(|(conn, entry)| (conn.clone(), entry.endpoint.clone()))
                .collect();
        }
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
}

impl Inner {
    /// False where the life is its heir's.
    async fn tell(&self, life: &str, batch: &Batch) -> Result<bool, Failure> {
        let (link, key) = (self.cluster.link(), self.cluster.names().known(life));
        let keep = self.keep.as_millis().to_string();
        let mut rest = &*batch.put;
        let mut anew = batch.anew;
        loop {
            let (some, others) = rest.split_at(rest.len().min(AT_ONCE));
            let sealed: Vec<_> = some
                .iter()
                .map(|(conn, endpoint)| self.sealed(life, conn, endpoint))
                .collect();
            let mode: &[u8] = if anew { b"anew" } else { b"" };
            let mut arguments = vec![keep.as_bytes(), mode];
            for ((conn, _), sealed) in some.iter().zip(&sealed) {
                arguments.extend([conn.as_str().as_bytes(), sealed]);
            }
            let is_own: u8 = link.script(&self.put, &[&key], &arguments).await?;
            if is_own == 0 {
                return Ok(false);
            }
            (rest, anew) = (others, false);
            if rest.is_empty() {
                break;
            }
        }
        for some in batch.gone.chunks(AT_ONCE) {
            let mut forget = redis::cmd("HDEL");
            forget.arg(&key);
            for conn in some {
                forget.arg(conn.as_str());
            }
            link.command::<()>(&key, &forget).await?;
        }
        Ok(true)
    }

    fn sealed(&self, life: &str, conn: &ConnId, endpoint: &str) -> Vec<u8> {
        self.sealer.seal(
            Kind::Known,
            &Known {
                life: life.to_owned(),
                conn: conn.as_str().to_owned(),
                endpoint: endpoint.to_owned(),
            },
        )
    }
}
