//! The limits of one listener, or of the pod, and what is used of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use arc_swap::ArcSwap;

use super::{
    Refusal,
    access::AccessRules,
    bucket::{Bucket, Clock, Pace},
    sources::{PerSource, Source, Sources, WhenFull},
    traffic::{Buckets, Paces},
};

/// Limits at one level: the pod or one listener. What is used of them survives a change of the limits.
pub struct Level {
    pub(super) clock: Clock,
    pub(super) rules: ArcSwap<Rules>,
    pub(super) has_traffic_rates: AtomicBool,
    pub(super) traffic: Buckets,
    open: AtomicUsize,
    arrivals: Bucket,
    sources: Sources,
}

/// The limits, as they are looked at.
pub(super) struct Rules {
    pub(super) access: AccessRules,
    most: usize,
    rate: Option<Pace>,
    per_source: PerSource,
    pub(super) per_connection: Paces,
    pub(super) traffic: Paces,
}

impl Level {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(limits: &config::Limits) -> Arc<Self> {
        let rules = Rules::new(limits);
        Arc::new(Self {
            clock: Clock::new(),
            has_traffic_rates: AtomicBool::new(rules.has_traffic_rates()),
            traffic: Buckets::default(),
            open: AtomicUsize::new(0),
            arrivals: Bucket::default(),
            sources: Sources::new(WhenFull::Share),
            rules: ArcSwap::from_pointee(rules),
        })
    }

    /// Other limits from now on. Open connections stay, even those above a new limit; connections that came while
    /// there was no limit for one address are not counted by it.
    pub fn configure(&self, limits: &config::Limits) {
        let rules = Rules::new(limits);
        let has_traffic_rates = rules.has_traffic_rates();
        let has_source_rates = rules.per_source.pace.is_some();
        self.rules.store(Arc::new(rules));
        self.has_traffic_rates.store(has_traffic_rates, Relaxed);
        if !has_source_rates {
            self.sources.forget_idle();
        }
    }

    /// How many connections are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// How many addresses something is remembered of.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// The rate of all connections.
    pub(super) fn arrive(&self, now: Instant) -> Result<(), Refusal> {
        match &self.rules.load().rate {
            Some(pace) if !self.arrivals.try_take(pace, 1, self.clock.at(now)) => {
                Err(Refusal::ConnectionRate)
            }
            _ => Ok(()),
        }
    }
}

impl Rules {
    fn new(limits: &config::Limits) -> Self {
        let pace = |rate: Option<config::Rate>| rate.map(|rate| Pace::new(rate, 1));
        Self {
            access: AccessRules::new(&limits.access),
            most: limits.max_connections.get() as usize,
            rate: pace(limits.connection_rate),
            per_source: PerSource {
                most: limits.max_connections_per_ip.map(std::num::NonZeroU32::get),
                pace: pace(limits.connection_rate_per_ip),
            },
            per_connection: Paces::new(&limits.traffic_per_connection),
            traffic: Paces::new(&limits.traffic),
        }
    }

    fn has_traffic_rates(&self) -> bool {
        self.per_connection.any() || self.traffic.any()
    }
}

/// A place among the connections of a level, until it is dropped.
pub(super) struct Place {
    level: Arc<Level>,
    /// Where it is counted among the connections of its source.
    source: Option<Source>,
}

impl Place {
    pub(super) fn take(level: &Arc<Level>) -> Result<Self, Refusal> {
        let most = level.rules.load().most;
        let more = |open| (open < most).then_some(open + 1);
        match level.open.fetch_update(Relaxed, Relaxed, more) {
            Ok(_) => Ok(Self {
                level: level.clone(),
                source: None,
            }),
            Err(_) => Err(Refusal::MaxConnections),
        }
    }

    /// It is known now whose place that is.
    pub(super) fn identify(&mut self, source: Source, now: Instant) -> Result<(), Refusal> {
        let limit = self.level.rules.load().per_source;
        let now = self.level.clock.at(now);
        if self.level.sources.admit(source, &limit, now)? {
            self.source = Some(source);
        }
        Ok(())
    }

    pub(super) fn level(&self) -> &Level {
        &self.level
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(source) = self.source {
            let now = self.level.clock.at(Instant::now());
            self.level.sources.release(source, now);
        }
        self.level.open.fetch_sub(1, Relaxed);
    }
}
