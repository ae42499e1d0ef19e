//! Other pods, through Redis: what is published here reaches their subscribers, and the other way round.
//!
//! - Who subscribed to one topic hears the topic's channel. Who subscribed with wildcards, or as a member of a `$share`
//!   group, is told through the inbox of its pod, as every pod knows what all others want (`table`). So nothing comes
//!   twice, and a pod hears nothing that nobody wants there.
//! - What must not be lost stands in a log before it is published. A pod that was away reads there what it missed.
//! - Subscribers here are served at once and without Redis.

/// A pod to which Redis delivers nothing.
mod deaf;
/// Messages as they are told.
mod envelope;
/// What comes from other pods.
mod foreign;
/// What comes from Redis.
mod hearing;
/// What is wanted here.
mod interest;
/// What must not be lost.
mod log;
/// Keys and channels.
mod names;
/// What goes to other pods.
mod outbox;
/// The pods, and what they want.
mod pods;
/// Places that are kept elsewhere.
mod position;
/// Reading on behalf of one subscriber.
mod reading;
/// Reading up what was missed.
mod recovery;
/// What all pods retain.
mod retained;
/// What comes twice.
mod seen;
/// What other pods want.
mod table;
/// What keeps all of this going.
mod tasks;
/// How others are told of messages.
mod telling;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::watch;

pub(crate) use self::{
    envelope::{envelope, message},
    names::Names,
    position::Position,
};
use self::{
    interest::Interest,
    log::Keeper,
    outbox::Outbox,
    pods::{Living, Pods},
    retained::Retainer,
    table::Table,
};
pub use self::{
    log::Id,
    names::Partition,
    reading::{Holes, Logs, Page, Place},
    tasks::Tasks,
};
use crate::{
    broker::others::Pod,
    redis::{Failure, Link, Pushes, Script},
    seal::Sealer,
};

/// How a pod works with others.
#[derive(Clone)]
pub struct Settings {
    /// This pod, as an instance.
    pub own: Pod,
    /// Where other pods call this one; empty where they cannot.
    pub address: String,
    /// What messages to other pods are sealed with.
    pub sealer: Arc<Sealer>,
    /// A pod that has not said for so long that it lives is gone.
    pub lease: Duration,
    /// Between two questions whether messages get through.
    pub probe_interval: Duration,
    /// About how many messages each log holds.
    pub log_messages: u32,
    /// For about how long.
    pub log_age: Duration,
    /// How many messages that must not be lost are remembered.
    pub remembered: usize,
    /// How long it may take until others can be told of a message or a subscription.
    pub patience: Duration,
    /// How much may wait for Redis: messages, bytes.
    pub outbox: (usize, usize),
    /// When a pod that hears nothing is not ready.
    pub deaf: config::Deaf,
}

/// The cluster, as one pod takes part in it. Clones are the same.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    settings: Settings,
    names: Names,
    link: Link,
    sealer: Arc<Sealer>,
    interest: Interest,
    table: Table,
    pods: Pods,
    outbox: Outbox,
    keeper: Keeper,
    retainer: Retainer,
    counts: Arc<Counts>,
    /// Where the other pods are called; unset before Redis has told.
    addresses: ArcSwapOption<HashMap<Pod, String>>,
    lives: watch::Sender<Lives>,
    /// When others heard last that this pod lives, or when it began.
    heard: Mutex<Instant>,
    /// It does not say any more that it lives.
    has_left: AtomicBool,
    /// Not ready, as Redis delivers nothing to this pod.
    is_deaf: AtomicBool,
    stepping: Script,
}

/// The lives of pods, as Redis has told last.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    /// That of this pod is over, as others see it: which one.
    pub fenced: Option<String>,
    /// Those that nobody has heard of for a lease: some of them.
    pub silent: Vec<String>,
    /// Another one than before: there are other bans of all pods.
    pub bans: String,
}

/// Where another pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// It is called there.
    At(String),
    /// It lives, and cannot be called.
    Silent,
    /// It does not live.
    Gone,
}

impl From<String> for Whereabouts {
    fn from(address: String) -> Self {
        if address.is_empty() {
            Self::Silent
        } else {
            Self::At(address)
        }
    }
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Messages for other pods that may be lost.
    pub sent: AtomicU64,
    /// Copies of them that could not be sent: Redis was away, or there was no room.
    pub dropped: AtomicU64,
    /// Messages that must not be lost, and that a log has.
    pub kept: AtomicU64,
    /// Those that no log took in time.
    pub not_kept: AtomicU64,
    /// Messages of other pods that came over channels.
    pub received: AtomicU64,
    /// Those that had come before.
    pub repeated: AtomicU64,
    /// Messages of other pods that were read from a log.
    pub recovered: AtomicU64,
    /// Parts of all topics of which nobody knows whether messages are missing, as their log did not reach back far enough.
    pub unrecovered: AtomicU64,
    /// Messages that may be lost, and were, while others were read from logs.
    pub held_up: AtomicU64,
    /// What came and no pod of the cluster had written.
    pub forged: AtomicU64,
    /// Messages that Redis has now for whoever subscribes later, and removals of such messages.
    pub retained: AtomicU64,
    /// Those that it has not got in time.
    pub not_retained: AtomicU64,
    /// Retained messages that were read there, as they were missing here.
    pub retained_read: AtomicU64,
    /// Those that Redis had lost and got back from here.
    pub retained_restored: AtomicU64,
    /// Questions to itself that came back.
    pub probes: AtomicU64,
    /// Those that did not.
    pub probes_lost: AtomicU64,
}

impl Cluster {
    /// Takes part through this link.
    #[must_use]
    pub fn new(settings: Settings, link: Link) -> Self {
        let names = Names::new(link.prefix().to_owned());
        let sealer = settings.sealer.clone();
        let verb = link.publishes_by();
        let (messages, bytes) = settings.outbox;
        Self(Arc::new(Inner {
            pods: Pods::new(
                names.clone(),
                (settings.own.clone(), settings.address.clone()),
                sealer.clone(),
                settings.lease,
                verb,
            ),
            interest: Interest::default(),
            table: Table::default(),
            outbox: Outbox::new(outbox::Limits { messages, bytes }),
            keeper: Keeper::new(settings.log_messages, settings.log_age, verb),
            retainer: Retainer::new(verb),
            counts: Arc::default(),
            addresses: ArcSwapOption::empty(),
            lives: watch::Sender::default(),
            heard: Mutex::new(Instant::now()),
            has_left: AtomicBool::new(false),
            is_deaf: AtomicBool::new(false),
            stepping: Script::new(deaf::STEP_BACK),
            names,
            link,
            sealer,
            settings,
        }))
    }

    /// The link to what pods share.
    pub(crate) fn link(&self) -> &Link {
        &self.0.link
    }

    /// What things are called there.
    pub(crate) fn names(&self) -> &Names {
        &self.0.names
    }

    /// Whether a pod that lives is called there.
    #[must_use]
    pub fn is_known(&self, address: &str) -> bool {
        let addresses = self.0.addresses.load();
        let mut known = addresses.iter().flat_map(|all| all.values());
        known.any(|each| each == address)
    }

    /// The other pods that live; none where Redis has not told yet.
    #[must_use]
    pub fn others(&self) -> Option<Vec<Pod>> {
        let addresses = self.0.addresses.load();
        let others = addresses.as_ref()?.keys();
        Some(others.cloned().collect())
    }

    /// Where that pod is. Redis is asked only where it has not told yet, or where the pod has just come.
    ///
    /// # Errors
    /// It has to be asked, and does not answer.
    pub async fn find(&self, pod: &str) -> Result<Whereabouts, Failure> {
        let known = self.0.addresses.load();
        if let Some(address) = known.as_ref().and_then(|all| all.get(pod)) {
            return Ok(address.clone().into());
        }
        let address = self.0.pods.find(&self.0.link, pod).await?;
        Ok(address.map_or(Whereabouts::Gone, Whereabouts::from))
    }

    /// Whether Redis delivers nothing to this pod, and so it should get no new devices.
    #[must_use]
    pub fn is_deaf(&self) -> bool {
        self.0.is_deaf.load(Relaxed)
    }

    /// Whether others may have taken this pod for dead: they have not heard of it for a lease, although Redis is there.
    #[must_use]
    pub fn may_be_taken_for_dead(&self) -> bool {
        let silence = self.0.heard.lock().elapsed();
        silence > self.0.settings.lease && self.0.link.state().borrow().is_connected()
    }

    /// The lives of pods, now and from now on.
    #[must_use]
    pub fn lives(&self) -> watch::Receiver<Lives> {
        self.0.lives.subscribe()
    }

    /// This pod's own.
    #[must_use]
    pub fn life(&self) -> String {
        self.0.pods.life()
    }

    /// The last one is over; another one begins, which others learn of the next time that this pod says that it lives.
    #[must_use]
    pub fn begin_life(&self) -> String {
        self.0.pods.begin_life()
    }

    /// Where a pod is called, by what it has said of that, sealed.
    pub(crate) fn address_of(&self, pod: &str, sealed: Vec<u8>) -> String {
        self.0.pods.address_of(pod, sealed)
    }

    /// Others forget this pod at once, as far as they can be told; and where handlers were not told of the end of all its
    /// connections, or it has sessions, one of them sees to that.
    pub async fn leave(&self, all_told: bool, has_sessions: bool) {
        self.0.has_left.store(true, Relaxed);
        let left = self.0.pods.leave(&self.0.link, (all_told, has_sessions));
        if let Err(failure) = left.await {
            tracing::debug!(%failure, "other pods forget this one when its lease ends");
        }
    }

    /// After how long without a sign of life a pod is gone.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.0.settings.lease
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.0.counts
    }

    /// How many filters others know of this pod and how many they do not know yet, and how many this one knows of them.
    #[must_use]
    pub fn filters(&self) -> (usize, usize, usize) {
        let (own, untold) = self.0.interest.counts();
        (own - untold.min(own), untold, self.0.table.len())
    }
}

impl Inner {
    /// Who lives, and where.
    fn know(&self, living: Living) {
        self.addresses.store(Some(Arc::new(living.others)));
        *self.heard.lock() = Instant::now();
        self.lives.send_modify(|lives| {
            lives.fenced = living.fenced;
            lives.silent = living.silent;
            lives.bans = living.bans;
        });
    }
}
