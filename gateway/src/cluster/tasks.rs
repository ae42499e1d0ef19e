//! What keeps a pod in touch with others: it tells what is wanted here, hears what comes, says that it lives, and asks
//! itself whether messages get through.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use proto::cluster::Envelope;
use tokio::{
    sync::{Mutex, Notify},
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Cluster, Failure, Inner, Pushes,
    foreign::Foreign,
    hearing::Hearing,
    interest::Changes,
    log::Positions,
    names::Partition,
    outbox::framed,
    reading::Logs,
    recovery::{OVERLAP, Recovery},
    retained,
    seen::Seen,
};
use crate::{
    backoff::{PAUSE, jittered},
    broker::{Broker, Filter},
    seal::Kind,
};

/// Subscriptions that others are told of at once.
const AT_ONCE: usize = 1_000;

/// The tasks of a pod; they end when this is dropped.
pub struct Tasks {
    logs: Logs,
    _running: Vec<AbortOnDropHandle<()>>,
}

impl Tasks {
    /// The logs, for whoever reads them by itself.
    #[must_use]
    pub fn logs(&self) -> Logs {
        self.logs.clone()
    }
}

/// What they share.
pub(super) struct Shared {
    pub(super) cluster: Arc<Inner>,
    pub(super) foreign: Foreign,
    pub(super) recovery: Recovery,
    /// Held by whoever tells others what is wanted here.
    pub(super) telling: Mutex<()>,
    /// This pod hears its own channels, and others are to be asked for all that they want.
    pub(super) hears: Notify,
    /// Messages may be missing, although all looks well.
    pub(super) doubts: Notify,
    /// It has not learned or read yet all that it has to.
    pub(super) is_behind: AtomicBool,
    /// The last question to itself that came back.
    pub(super) answered: AtomicU64,
}

impl Cluster {
    /// Starts to work with others, for the subscribers of this broker.
    #[must_use]
    pub fn start(&self, broker: Broker, pushes: Pushes) -> Tasks {
        let cluster = self.0.clone();
        let own = cluster.settings.own.clone();
        let (behind, most) = (2 * OVERLAP, cluster.settings.remembered);
        let shared = Arc::new(Shared {
            foreign: Foreign {
                own,
                broker,
                sealer: cluster.sealer.clone(),
                seen: Seen::new(behind, most),
                positions: Positions::default(),
            },
            cluster,
            recovery: Recovery::default(),
            telling: Mutex::new(()),
            hears: Notify::new(),
            doubts: Notify::new(),
            is_behind: AtomicBool::new(false),
            answered: AtomicU64::new(0),
        });
        let sending = shared.cluster.clone();
        let send = async move {
            let lost = |copies| {
                sending.counts.dropped.fetch_add(copies, Relaxed);
            };
            sending
                .outbox
                .send(&sending.link, &sending.keeper, lost)
                .await;
        };
        Tasks {
            logs: Logs::new(shared.clone()),
            _running: vec![
                spawn(send),
                spawn(tell(shared.clone())),
                spawn(Hearing::new(shared.clone()).hear(pushes)),
                spawn(retained::follow(shared.clone())),
                spawn(probe(shared)),
            ],
        }
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

/// Tells others what is wanted here, as it changes.
async fn tell(shared: Arc<Shared>) {
    let cluster = &*shared.cluster;
    let (inbox, changed) = (
        cluster.names.inbox(&cluster.settings.own),
        cluster.names.changed().to_owned(),
    );
    while cluster
        .link
        .subscribe(&[inbox.clone(), changed.clone()])
        .await
        .is_err()
    {
        sleep(jittered(PAUSE)).await;
    }
    // Where a node is away, its channels are heard once it is back, and that is told.
    let retained = Partition::all().map(|each| cluster.names.retained_changed(each));
    let _ = cluster.link.subscribe(&retained.collect::<Vec<_>>()).await;
    shared.hears.notify_one();
    loop {
        cluster.interest.changed().await;
        let telling = shared.telling.lock().await;
        let Changes { added, removed } = cluster.interest.changes(AT_ONCE);
        let parted = |filters: Vec<Filter>| filters.into_iter().partition(is_exact);
        let (exact, patterns): (Vec<_>, Vec<_>) = parted(added);
        let (no_exact, no_patterns): (Vec<_>, Vec<_>) = parted(removed);
        let exact = Changes {
            added: exact,
            removed: no_exact,
        };
        let patterns = Changes {
            added: patterns,
            removed: no_patterns,
        };
        let (told, noted) = tokio::join!(
            subscribe(cluster, &exact),
            cluster.pods.tell(&cluster.link, &patterns)
        );
        cluster.interest.know(exact, told.is_ok());
        cluster.interest.know(patterns, noted.is_ok());
        drop(telling);
        if let Some(failure) = told.err().or(noted.err()) {
            tracing::debug!(%failure, "other pods are not told yet what is subscribed here");
            sleep(jittered(PAUSE)).await;
        }
    }
}

pub(super) fn is_exact(filter: &Filter) -> bool {
    !filter.is_wildcard() && filter.group().is_none()
}

/// Hears the channels of these filters, or no more.
async fn subscribe(cluster: &Inner, changes: &Changes) -> Result<(), Failure> {
    let channels = |filters: &[Filter]| -> Vec<String> {
        let names = filters
            .iter()
            .map(|filter| cluster.names.topic(filter.as_str()));
        names.collect()
    };
    if !changes.removed.is_empty() {
        cluster.link.unsubscribe(&channels(&changes.removed));
    }
    if changes.added.is_empty() {
        return Ok(());
    }
    cluster.link.subscribe(&channels(&changes.added)).await
}

/// Questions in a row that must be lost before the connections are made anew.
const LOST: u32 = 3;

/// Asks itself whether messages get through.
async fn probe(shared: Arc<Shared>) {
    let cluster = &*shared.cluster;
    let inbox = cluster.names.inbox(&cluster.settings.own);
    let state = cluster.link.state();
    // In a row: since the connections were made anew, and all in all.
    let (mut lost, mut all_lost) = (0, 0);
    for number in 1.. {
        let before = state.borrow().clone();
        let sealed = cluster.sealer.seal(
            Kind::Message,
            &Envelope {
                pod: cluster.settings.own.as_ref().to_owned(),
                probe: number,
                ..Envelope::default()
            },
        );
        let asked = cluster.link.publish(&inbox, &framed("", &sealed)).await;
        sleep(cluster.settings.probe_interval).await;
        let counts = &cluster.counts;
        if shared.answered.load(Relaxed) >= number {
            counts.probes.fetch_add(1, Relaxed);
            if all_lost > 0 {
                shared.doubts.notify_one();
                cluster.hears_again().await;
            }
            (lost, all_lost) = (0, 0);
            continue;
        }
        // Where the link knows of trouble, or this pod is still busy with an earlier one, it proves nothing.
        let stood = before.is_connected() && *state.borrow() == before;
        if asked.is_err() || !stood || shared.is_behind.load(Relaxed) {
            continue;
        }
        counts.probes_lost.fetch_add(1, Relaxed);
        lost += 1;
        all_lost += 1;
        shared.doubts.notify_one();
        cluster.lost_probes(all_lost).await;
        if lost == LOST {
            tracing::warn!(
                "Redis takes messages and does not deliver them; the connections are made anew"
            );
            cluster.link.reconnect();
            lost = 0;
        }
    }
}
