//! What keeps a pod in touch with others: it tells what is wanted here, hears what comes, says that it lives, and asks
//! itself whether messages get through.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use proto::cluster::Envelope;
use tokio::{
    sync::{Mutex, Notify},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Cluster, Failure, Inner, Pushes,
    foreign::Foreign,
    hearing::Hearing,
    interest::Changes,
    log::Positions,
    outbox::framed,
    recovery::{OVERLAP, Recovery},
    seen::Seen,
};
use crate::{
    backoff::jittered,
    broker::{Broker, Filter},
};

/// Subscriptions that others are told of at once.
const AT_ONCE: usize = 1_000;
/// The pause after others could not be told.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// The tasks of a pod; they end when this is dropped.
pub struct Tasks(
    #[expect(dead_code, reason = "it is held, and no more")] Vec<AbortOnDropHandle<()>>,
);

/// What they share.
pub(super) struct Shared {
    pub(super) cluster: Arc<Inner>,
    pub(super) foreign: Foreign,
    pub(super) recovery: Recovery,
    /// Held by whoever tells others what is wanted here.
    pub(super) telling: Mutex<()>,
    /// This pod hears its own channels, and others are to be asked for all that they want.
    pub(super) hears: Notify,
    /// The last question to itself that came back.
    pub(super) answered: AtomicU64,
}

impl Cluster {
    /// Starts to work with others, for the subscribers of this broker.
    #[must_use]
    pub fn start(&self, broker: Broker, pushes: Pushes) -> Tasks {
        let cluster = self.0.clone();
        let own = cluster.settings.own.clone();
        let (time, most) = (2 * OVERLAP, cluster.settings.remembered);
        let shared = Arc::new(Shared {
            foreign: Foreign {
                own,
                broker,
                sealer: cluster.sealer.clone(),
                seen: Seen::new(time, most, Instant::now()),
                positions: Positions::default(),
            },
            cluster,
            recovery: Recovery::default(),
            telling: Mutex::new(()),
            hears: Notify::new(),
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
        Tasks(vec![
            spawn(send),
            spawn(tell(shared.clone())),
            spawn(Hearing::new(shared.clone()).hear(pushes)),
            spawn(live(shared.clone())),
            spawn(probe(shared)),
        ])
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

/// Tells others what is wanted here, as it changes.
async fn tell(shared: Arc<Shared>) {
    let cluster = &*shared.cluster;
    let own = [
        cluster.names.inbox(&cluster.settings.own),
        cluster.names.changed(),
    ];
    while cluster.link.subscribe(&own).await.is_err() {
        sleep(jittered(PAUSE)).await;
    }
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

/// Says again and again that this pod lives, and forgets those that do not.
async fn live(shared: Arc<Shared>) {
    let cluster = &*shared.cluster;
    loop {
        sleep(jittered(cluster.settings.lease / 3)).await;
        if let Err(failure) = still_lives(&shared).await {
            tracing::debug!(%failure, "other pods do not hear that this one lives");
        }
    }
}

async fn still_lives(shared: &Shared) -> Result<(), Failure> {
    let cluster = &*shared.cluster;
    let Inner {
        pods, link, table, ..
    } = cluster;
    let living = pods.live(link).await?;
    if living.was_gone {
        tracing::warn!(
            "other pods had taken this one for gone: it was not heard for cluster.lease"
        );
        shared.hears.notify_one();
    }
    let new = table.keep(&living.others);
    pods.read(link, &new, table).await?;
    cluster.know(living);
    Ok(())
}

/// Asks itself whether messages get through.
async fn probe(shared: Arc<Shared>) {
    let cluster = &*shared.cluster;
    let inbox = cluster.names.inbox(&cluster.settings.own);
    let mut ticks = interval(cluster.settings.probe_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1.. {
        let sealed = cluster.sealer.seal(&Envelope {
            pod: cluster.settings.own.as_ref().to_owned(),
            probe: number,
            ..Envelope::default()
        });
        let asked = cluster.link.publish(&inbox, &framed("", &sealed)).await;
        ticks.tick().await;
        let counts = &cluster.counts;
        if shared.answered.load(Relaxed) >= number {
            counts.probes.fetch_add(1, Relaxed);
            continue;
        }
        counts.probes_lost.fetch_add(1, Relaxed);
        if asked.is_ok() {
            tracing::warn!(
                "Redis takes messages and does not deliver them; the subscriptions are made anew"
            );
            cluster.link.reconnect();
        }
    }
}
