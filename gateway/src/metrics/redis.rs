//! What is counted of the Redis that the pods share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::{KeyValue, metrics::Histogram};

use super::{DURATION_BOUNDARIES, Metrics};

/// What a connection to Redis is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisConnection {
    /// It takes commands.
    Commands,
    /// It subscribes.
    Subscriptions,
}

impl RedisConnection {
    const ALL: [Self; 2] = [Self::Commands, Self::Subscriptions];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Subscriptions => "subscriptions",
        }
    }
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisOutcome {
    /// Answered.
    Ok,
    /// Answered with an error.
    Refused,
    /// There was no connection.
    Away,
    /// Not answered in time.
    TimedOut,
    /// The connection ended before the answer.
    Lost,
}

impl RedisOutcome {
    const ALL: [Self; 5] = [
        Self::Ok,
        Self::Refused,
        Self::Away,
        Self::TimedOut,
        Self::Lost,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Away => "away",
            Self::TimedOut => "timed_out",
            Self::Lost => "lost",
        }
    }
}

/// Shows each series of an instrument: what it counted, and its labels.
type ReadRedis = fn(&RedisMetrics, &mut dyn FnMut(u64, &[KeyValue]));

/// What is counted of the Redis that the pods share.
pub struct RedisMetrics {
    connected: AtomicBool,
    generation: AtomicU64,
    connections: [AtomicU64; RedisConnection::ALL.len()],
    commands: [AtomicU64; RedisOutcome::ALL.len()],
    dropped: AtomicU64,
    subscriptions: AtomicU64,
    duration: Histogram<f64>,
}

impl RedisMetrics {
    /// The link is whole: how often that was so, this time included.
    pub(crate) fn connected(&self) -> u64 {
        self.connected.store(true, Relaxed);
        self.generation.fetch_add(1, Relaxed) + 1
    }

    /// The link is whole no more.
    pub(crate) fn away(&self) {
        self.connected.store(false, Relaxed);
    }

    /// A connection was made.
    pub(crate) fn connection(&self, which: RedisConnection) {
        self.connections[which as usize].fetch_add(1, Relaxed);
    }

    /// A command has ended.
    pub(crate) fn commands(&self, outcomes: impl Iterator<Item = RedisOutcome>, took: Duration) {
        for outcome in outcomes {
            self.commands[outcome as usize].fetch_add(1, Relaxed);
        }
        self.duration.record(took.as_secs_f64(), &[]);
    }

    /// Messages found no room.
    pub(crate) fn dropped(&self, count: u64) {
        self.dropped.fetch_add(count, Relaxed);
    }

    /// So many channels are wanted.
    pub(crate) fn subscribed(&self, count: usize) {
        self.subscriptions.store(count as u64, Relaxed);
    }
}

impl Metrics {
    /// Counts of one link to Redis, which are shown from now on. A pod has one.
    #[must_use]
    pub fn redis(&self) -> Arc<RedisMetrics> {
        let duration = self
            .meter()
            .f64_histogram("exproto_redis_command_duration")
            .with_unit("s")
            .with_description("Time from asking Redis something to its answer, or to giving up.")
            .with_boundaries(DURATION_BOUNDARIES.to_vec())
            .build();
        let metrics = Arc::new(RedisMetrics {
            connected: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            connections: Default::default(),
            commands: Default::default(),
            dropped: AtomicU64::new(0),
            subscriptions: AtomicU64::new(0),
            duration,
        });
        self.show_gauges(&metrics);
        self.show_redis(
            &metrics,
            "exproto_redis_connections_made",
            "Connections to Redis that were made, by what they are for; after the first ones they were lost before.",
            |counted, show| {
                for which in RedisConnection::ALL {
                    let count = counted.connections[which as usize].load(Relaxed);
                    show(count, &[KeyValue::new("connection", which.as_str())]);
                }
            },
        );
        self.show_redis(
            &metrics,
            "exproto_redis_commands",
            "Commands for Redis, by what became of them; of those that timed out or were lost, Redis may have carried \
             some out.",
            |counted, show| {
                for outcome in RedisOutcome::ALL {
                    let count = counted.commands[outcome as usize].load(Relaxed);
                    show(count, &[KeyValue::new("outcome", outcome.as_str())]);
                }
            },
        );
        self.show_redis(
            &metrics,
            "exproto_redis_pushes_dropped",
            "Messages from other pods that were dropped as redis.push_queue was full.",
            |counted, show| show(counted.dropped.load(Relaxed), &[]),
        );
        metrics
    }

    fn show_gauges(&self, metrics: &Arc<RedisMetrics>) {
        let counted = metrics.clone();
        let _ = self
            .meter()
            .u64_observable_gauge("exproto_redis_connected")
            .with_description(
                "Whether all connections to Redis stand, and all subscriptions: 1 or 0.",
            )
            .with_callback(move |gauge| {
                gauge.observe(counted.connected.load(Relaxed).into(), &[]);
            })
            .build();
        let counted = metrics.clone();
        let _ = self
            .meter()
            .u64_observable_gauge("exproto_redis_subscriptions")
            .with_description("Channels of Redis that the pod wants.")
            .with_callback(move |gauge| gauge.observe(counted.subscriptions.load(Relaxed), &[]))
            .build();
    }

    fn show_redis(
        &self,
        metrics: &Arc<RedisMetrics>,
        name: &'static str,
        what: &'static str,
        read: ReadRedis,
    ) {
        let counted = metrics.clone();
        let _ = self
            .meter()
            .u64_observable_counter(name)
            .with_description(what)
            .with_callback(move |counter| {
                read(&counted, &mut |count, labels| {
                    counter.observe(count, labels);
                });
            })
            .build();
    }
}
