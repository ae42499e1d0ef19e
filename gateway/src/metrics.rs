//! Every instrument, named once.
//!
//! The hot paths count in plain atomics, which the instruments read when somebody asks; only durations go through the
//! SDK. One provider serves every reader, so Prometheus sees what OTLP will.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use opentelemetry::{
    KeyValue,
    metrics::{Histogram, Meter, MeterProvider as _},
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use parking_lot::Mutex;
use prometheus::{Encoder as _, Registry, TextEncoder};
use proto::exproto::ResultCode;

/// What is shown of the pod's connections and calls.
mod pod;
/// What is shown of the handler's endpoints.
mod handlers;
/// What is shown of back ends.
mod backend;
/// What is shown of the broker.
mod broker;
/// Of the work with other pods.
mod cluster;
/// Of calls that are passed on to them.
mod peers;
/// Of who has which clientid.
mod ownership;
/// Sessions that outlive their pod.
mod shared_sessions;
/// Of pods that died.
mod loss;
/// The adapter's methods.
mod adapter_method;
/// What is shown of the mirror.
mod mirror;
/// What is shown of authentication.
mod authentication;
/// What is shown of ordered streams.
mod streams;
/// What is counted for a listener.
mod listener;
/// What is counted of who may publish and subscribe.
mod authorization;
/// What is counted at the servers that are not for devices.
mod servers;
/// What is counted of the Redis that the pods share.
mod redis;

use self::authorization::Decisions;
pub use self::{
    adapter_method::AdapterMethod,
    authorization::{Decided, DecidedBy},
    listener::{Dropped, ListenerMetrics, Open},
    redis::{RedisConnection, RedisMetrics, RedisOutcome},
};
use crate::{
    connection::CloseReason,
    handler::{Failure, Method},
};

/// From well under a local call to the longest deadline, in seconds.
const DURATION_BOUNDARIES: [f64; 14] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0,
];

/// What became of one attempt at a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    Ok,
    /// Answered with an error.
    Refused,
    /// Never reached the handler.
    Unreached,
    /// May have reached the handler; never answered.
    Lost,
    /// Not answered in time.
    TimedOut,
}

impl Outcome {
    const ALL: [Self; 5] = [
        Self::Ok,
        Self::Refused,
        Self::Unreached,
        Self::Lost,
        Self::TimedOut,
    ];

    /// The outcome of a call.
    #[must_use]
    pub fn of(result: &Result<(), Failure>) -> Self {
        match result {
            Ok(()) => Self::Ok,
            Err(Failure::Refused(_)) => Self::Refused,
            Err(Failure::Unreached { .. }) => Self::Unreached,
            Err(Failure::Lost(_)) => Self::Lost,
            Err(Failure::TimedOut(_)) => Self::TimedOut,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Unreached => "unreached",
            Self::Lost => "lost",
            Self::TimedOut => "timed_out",
        }
    }
}

const CODES: [ResultCode; 6] = [
    ResultCode::Success,
    ResultCode::Unknown,
    ResultCode::ConnProcessNotAlive,
    ResultCode::RequiredParamsMissed,
    ResultCode::ParamsTypeError,
    ResultCode::PermissionDeny,
];

/// Shows each series of an instrument: what it counted, and its labels.
type Read = fn(&Metrics, &mut dyn FnMut(&AtomicU64, &[KeyValue]));

/// Series of counters that somebody else keeps: the value of the label, and where it is counted.
type Series<C> = (&'static str, fn(&C) -> &AtomicU64);

/// What is counted for a pod.
pub struct Metrics {
    closed: [AtomicU64; CloseReason::ALL.len()],
    untold: [AtomicU64; CloseReason::ALL.len()],
    callbacks: [[AtomicU64; Outcome::ALL.len()]; Method::ALL.len()],
    adapter_calls: [[AtomicU64; CODES.len()]; AdapterMethod::COUNT],
    decisions: Decisions,
    parked: AtomicI64,
    reloads: Mutex<BTreeMap<(&'static str, bool), u64>>,
    servers: servers::Servers,
    duration: Histogram<f64>,
    durations: [KeyValue; Method::ALL.len()],
    registry: Registry,
    provider: SdkMeterProvider,
}

/// A delivery that waits for a handler, as counted.
pub struct Parked<'a>(&'a Metrics);

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.parked.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    /// Shows counters that somebody else keeps, as the series of one instrument.
    fn observe_counts<C: Send + Sync + 'static>(
        &self,
        counts: &Arc<C>,
        (name, description): (&'static str, &'static str),
        (label, series): (&'static str, &'static [Series<C>]),
    ) {
        let counts = counts.clone();
        let _ = self
            .meter()
            .u64_observable_counter(name)
            .with_description(description)
            .with_callback(move |counter| {
                for (value, read) in series {
                    let count = read(&counts).load(Relaxed);
                    counter.observe(count, &[KeyValue::new(label, *value)]);
                }
            })
            .build();
    }

    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_target_info()
            .scope_info_enabled(false)
            .build()
            .expect("a new registry takes the exporter");
        let provider = SdkMeterProvider::builder().with_reader(exporter).build();
        let duration = provider
            .meter("exproto")
            .f64_histogram("exproto_callback_duration")
            .with_unit("s")
            .with_description("Time from calling the handler to its answer, for each attempt.")
            .with_boundaries(DURATION_BOUNDARIES.to_vec())
            .build();
        let metrics = Arc::new(Self {
            closed: Default::default(),
            untold: Default::default(),
            callbacks: Default::default(),
            adapter_calls: Default::default(),
            decisions: Decisions::default(),
            parked: AtomicI64::new(0),
            reloads: Mutex::default(),
            servers: servers::Servers::default(),
            duration,
            durations: Method::ALL.map(|method| KeyValue::new("method", method.as_str())),
            registry,
            provider,
        });
        metrics.observe_pod();
        metrics.observe_decisions();
        metrics.observe_servers();
        metrics
    }

    /// A connection has ended.
    pub fn closed(&self, reason: CloseReason) {
        if let Some(index) = CloseReason::ALL.iter().position(|&each| each == reason) {
            self.closed[index].fetch_add(1, Relaxed);
        }
    }

    /// A handler could not be told that a connection has ended.
    pub fn closed_untold(&self, failure: CloseReason) {
        if let Some(index) = CloseReason::ALL.iter().position(|&each| each == failure) {
            self.untold[index].fetch_add(1, Relaxed);
        }
    }

    /// A delivery waits for a handler until the answer is dropped.
    pub fn parked(&self) -> Parked<'_> {
        self.parked.fetch_add(1, Relaxed);
        Parked(self)
    }

    /// One attempt at a callback has ended.
    pub fn callback(&self, method: Method, outcome: Outcome, took: Duration) {
        self.callbacks[method as usize][outcome as usize].fetch_add(1, Relaxed);
        let attributes = std::slice::from_ref(&self.durations[method as usize]);
        self.duration.record(took.as_secs_f64(), attributes);
    }

    /// An event of an ordered stream was acknowledged, which was first sent then.
    pub fn event(&self, method: Option<Method>, outcome: Outcome, sent: Option<Instant>) {
        if let (Some(method), Some(sent)) = (method, sent) {
            self.callback(method, outcome, sent.elapsed());
        }
    }

    /// An adapter call was answered.
    pub fn adapter_call(&self, method: AdapterMethod, code: ResultCode) {
        self.adapter_calls[method as usize][code as usize].fetch_add(1, Relaxed);
    }

    /// Something was read again while the gateway ran, and taken or not.
    pub fn reloaded(&self, what: &'static str, taken: bool) {
        *self.reloads.lock().entry((what, taken)).or_default() += 1;
    }

    /// Everything, as Prometheus reads it.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "cannot render the metrics");
        }
        text
    }

    fn meter(&self) -> Meter {
        self.provider.meter("exproto")
    }

    /// A counter whose series `read` shows, one by one.
    fn counter(self: &Arc<Self>, name: &'static str, what: &'static str, read: Read) {
        let counted = Arc::downgrade(self);
        let _ = self
            .meter()
            .u64_observable_counter(name)
            .with_description(what)
            .with_callback(move |counter| {
                if let Some(counted) = counted.upgrade() {
                    read(&counted, &mut |count, labels| {
                        counter.observe(count.load(Relaxed), labels);
                    });
                }
            })
            .build();
    }
}
