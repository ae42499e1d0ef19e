//! Of all connections with a clientid, in whichever pod, one is the client.
//!
//! Redis holds for each clientid which pod has it, and by which claim: a number that grows whenever it changes hands. A
//! pod that wants a clientid always gets it, and then has the pod that had it close its client. Whoever meets a higher
//! claim than its own has lost. So there is one in the end, also where a pod was frozen or cut off meanwhile.
//!
//! With Redis away a pod goes on by itself, by a claim that it makes up and tells Redis later. Until then there may be two.

/// One clientid, as this pod has it.
mod held;
/// Telling Redis again what this pod has.
mod renewal;
/// What is written in Redis.
mod table;

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use dashmap::{DashMap, mapref::entry::Entry};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

pub use self::held::Held;
use self::{
    held::Slot,
    table::{Claimed, Table},
};
use crate::{
    broker::others::Pod,
    clock,
    cluster::Cluster,
    connection::{CloseReason, Handle},
    peers::{Peers, Silent},
    redis::Failure,
};

/// How a pod works with others about clientids.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For how long Redis is asked; then the pod goes on by itself.
    pub timeout: Duration,
    /// How long Redis remembers what it was told.
    pub ttl: Duration,
    /// Clientids that it is told of in a second.
    pub renewals: u32,
}

/// The clientids that this pod has, of those of the cluster. Clones are the same.
#[derive(Clone)]
pub struct Ownership(Arc<Inner>);

struct Inner {
    settings: Settings,
    table: Table,
    peers: Peers,
    held: DashMap<Arc<str>, Slot>,
    /// Those that nobody here has any more, and the claims.
    released: mpsc::Sender<(Arc<str>, u64)>,
    /// Those that another pod has still to give up.
    unasked: mpsc::Sender<Unasked>,
    /// Those that Redis has still to be told of.
    untold: mpsc::Sender<Weak<Held>>,
    counts: Arc<Counts>,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Clientids that this pod has got.
    pub claimed: AtomicU64,
    /// Of them, those that another pod had, which has given them up.
    pub taken_over: AtomicU64,
    /// Those whose former pod could not be asked at once to give them up.
    pub unasked: AtomicU64,
    /// Those that Redis did not answer for in time.
    pub alone: AtomicU64,
    /// Those that another pod has got.
    pub lost: AtomicU64,
}

/// Clientids that wait for Redis to be told that they are free. Of more it is not told: it forgets by itself.
const RELEASED: usize = 100_000;

/// Clientids of which a pod is to be told again that it has them no more. Of more it learns when it tells Redis again.
const UNASKED: usize = 10_000;

/// Clientids that this pod has by a claim of its own, and that wait for Redis to be told. It is told of more when it is
/// told of all.
const UNTOLD: usize = 100_000;

/// A clientid that this pod does not have any more.
pub struct GivenUp {
    /// Its client, to be closed; there may be none.
    pub client: Option<Handle>,
    /// What this pod had.
    pub held: Arc<Held>,
}

/// A clientid that another pod has still to give up.
struct Unasked {
    former: Pod,
    clientid: Arc<str>,
    claim: u64,
}

/// What keeps Redis and other pods told; it ends when this is dropped.
pub struct Tasks(
    #[expect(dead_code, reason = "it is held, and no more")] [AbortOnDropHandle<()>; 4],
);

impl Ownership {
    /// Nothing yet. Within a runtime.
    #[must_use]
    pub fn start(own: &Pod, settings: Settings, cluster: &Cluster, peers: Peers) -> (Self, Tasks) {
        let (released, free) = mpsc::channel(RELEASED);
        let (unasked, to_ask) = mpsc::channel(UNASKED);
        let (untold, to_tell) = mpsc::channel(UNTOLD);
        let inner = Arc::new(Inner {
            table: Table::new(cluster, own.clone(), settings.ttl),
            settings,
            peers,
            held: DashMap::new(),
            released,
            unasked,
            untold,
            counts: Arc::default(),
        });
        let tasks = [
            tokio::spawn(renewal::renew(inner.clone())),
            tokio::spawn(renewal::release(inner.clone(), free)),
            tokio::spawn(renewal::tell_later(inner.clone(), to_tell)),
            tokio::spawn(renewal::ask_again(inner.clone(), to_ask, cluster.lease())),
        ];
        (Self(inner), Tasks(tasks.map(AbortOnDropHandle::new)))
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.0.counts
    }

    /// How many clientids this pod has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.held.len()
    }

    /// The clientid, to be taken: what this pod has of it is kept until then.
    #[must_use]
    pub fn hold(&self, clientid: &Arc<str>) -> Arc<Held> {
        let entry = self.0.held.entry(clientid.clone());
        if let Entry::Occupied(known) = &entry
            && let Some(held) = known.get().get()
        {
            return held;
        }
        let (held, slot) = Held::new(clientid, &self.0);
        entry.insert(slot);
        held
    }

    /// The connection has the clientid among those of all pods, for as long as somebody holds it here: once whoever had it
    /// elsewhere has ended, or cannot be asked. False where another pod has got it meanwhile.
    pub async fn take(&self, held: &Arc<Held>, handle: &Handle) -> bool {
        if !held.is_claimed() {
            // Whoever waits for it may go away; the pod that had it is told all the same.
            let (inner, wanted) = (self.0.clone(), held.clone());
            let claim = tokio::spawn(async move { inner.claim(&wanted).await });
            if claim.await.is_err() {
                return false;
            }
        }
        held.settle(handle)
    }

    /// The clientid of a dead pod, which had it by that claim: this pod has it now. None where it is somebody's.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn inherit(
        &self,
        clientid: &Arc<str>,
        (pod, claim): (&str, u64),
    ) -> Result<Option<Arc<Held>>, Failure> {
        // Outlives the lock of the table, which is taken again when it goes.
        let known = self.0.held.get(clientid).and_then(|slot| slot.get());
        if known.is_some() {
            return Ok(None);
        }
        let (held, slot) = Held::new(clientid, &self.0);
        match self.0.held.entry(clientid.clone()) {
            Entry::Occupied(mut known) if known.get().is_over() => drop(known.insert(slot)),
            Entry::Occupied(_) => return Ok(None),
            Entry::Vacant(entry) => drop(entry.insert(slot)),
        }
        let inherited = held
            .inherit(self.0.table.inherit(clientid, pod, claim))
            .await?;
        Ok(inherited.then_some(held))
    }

    /// Another pod has it, as was found out: it is nobody's here any more. Its client, to be closed.
    #[must_use]
    pub fn lose(&self, held: &Held) -> Option<Handle> {
        self.0.lose(held)
    }

    /// Another pod has the clientid by that claim. Unless this one has it by a higher one, it does not have it any more.
    pub async fn give_up(&self, clientid: &str, claim: u64) -> Option<GivenUp> {
        let held = self.0.held.get(clientid).and_then(|slot| slot.get())?;
        let own = held.claim(|| self.0.number(&held)).await;
        (own <= claim).then(|| GivenUp {
            client: self.0.lose(&held),
            held,
        })
    }
}

impl Inner {
    /// Has it claimed, and given up by whoever had it.
    async fn claim(&self, held: &Arc<Held>) {
        let claim = held.claim(|| self.number(held)).await;
        held.given_up(|former| self.have_given_up(former, &held.clientid, claim))
            .await;
    }

    /// The claim, and what was there before.
    async fn number(&self, held: &Arc<Held>) -> Claimed {
        self.counts.claimed.fetch_add(1, Relaxed);
        let claimed = timeout(self.settings.timeout, self.table.claim(&held.clientid));
        let why = match claimed.await {
            Ok(Ok(claimed)) => return claimed,
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "Redis has not answered".to_owned(),
        };
        self.counts.alone.fetch_add(1, Relaxed);
        let clientid = shown(&held.clientid);
        tracing::debug!(clientid, why, "other pods do not know yet who has it");
        let _ = self.untold.try_send(Arc::downgrade(held));
        Claimed {
            claim: clock::now(),
            former: None,
            written: String::new(),
        }
    }

    async fn have_given_up(&self, former: Pod, clientid: &Arc<str>, claim: u64) {
        let counts = &self.counts;
        match self.peers.have_yield(&former, clientid, claim).await {
            Ok(()) => drop(counts.taken_over.fetch_add(1, Relaxed)),
            Err(Silent::Gone) => {}
            Err(silent) => {
                let name = shown(clientid);
                tracing::debug!(clientid = name, %silent, "a client may still be connected elsewhere; that pod is asked again");
                self.ask_later(former, clientid, claim);
            }
        }
    }

    fn ask_later(&self, former: Pod, clientid: &Arc<str>, claim: u64) {
        self.counts.unasked.fetch_add(1, Relaxed);
        let _ = self.unasked.try_send(Unasked {
            former,
            clientid: clientid.clone(),
            claim,
        });
    }

    /// Another pod has it now.
    fn lose(&self, held: &Held) -> Option<Handle> {
        self.held
            .remove_if(&held.clientid, |_, slot| slot.is_of(held));
        self.counts.lost.fetch_add(1, Relaxed);
        held.lose()
    }

    /// It is nobody's in this pod any more.
    fn dropped(&self, held: &Held) {
        self.held
            .remove_if(&held.clientid, |_, slot| slot.is_of(held));
        let Some(claim) = held.last_claim() else {
            return;
        };
        if let Err(TrySendError::Full(_)) = self.released.try_send((held.clientid.clone(), claim)) {
            tracing::debug!("Redis is not told of all clientids that are free");
        }
    }

    /// What Redis says of what this pod has.
    async fn renew(&self, held: &Arc<Held>) -> Result<(), Failure> {
        let Some(claim) = held.last_claim() else {
            return Ok(());
        };
        match self
            .table
            .renew(&held.clientid, claim, held.expiry())
            .await?
        {
            table::Renewed::Own {
                claim,
                former,
                written,
            } => {
                held.raise(claim);
                held.compare(&written);
                if let Some(former) = former {
                    self.ask_later(former, &held.clientid, claim);
                }
            }
            table::Renewed::Lost => {
                if let Some(handle) = self.lose(held) {
                    handle.end(CloseReason::Discarded);
                }
            }
        }
        Ok(())
    }
}

/// A clientid for the log: devices choose them.
pub(crate) fn shown(clientid: &str) -> String {
    const LONGEST: usize = 64;
    let escaped = clientid.escape_debug().take(LONGEST);
    escaped.collect()
}
