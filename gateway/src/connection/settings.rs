//! What all connections of a listener share: some of it for good, the rest as the last reload left it.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use proto::stream::command::Kind;
use tokio::sync::Semaphore;

use super::{Handle, Policy, timers::Patience};
use crate::{
    admission::Gate,
    broker::{Broker, queue},
    handler::{Handlers, stream::Outcome},
    loss::Index,
    metrics::{ListenerMetrics, Metrics},
    mirror::Mirror,
};

/// A handler in this process: it is given the connection and bytes that were read.
pub type InProcess = Arc<dyn Fn(Handle, Bytes) -> BoxFuture<'static, ()> + Send + Sync>;

/// Who carries out the commands that come on ordered streams.
pub trait Executor: Send + Sync {
    /// Carries a command of this connection out, and answers as the adapter would.
    fn carry_out(&self, handle: Handle, command: Kind) -> BoxFuture<'static, Outcome>;
}

/// What all connections of a listener share.
pub struct Settings {
    /// The listener's name.
    pub listener: String,
    /// What to do when a handler fails.
    pub policy: Policy,
    /// Who is told.
    pub handlers: Handlers,
    /// Where the ordered stream is spoken: who carries out its commands.
    pub executor: Option<Arc<dyn Executor>>,
    /// Who is told in their place, of bytes alone; for benchmarks.
    pub in_process: Option<InProcess>,
    /// Where it is noted which handler knows a connection, for whoever tells it of the end if this pod dies.
    pub index: Option<Index>,
    /// Who routes messages.
    pub broker: Broker,
    /// What is counted for the listener.
    pub counts: Arc<ListenerMetrics>,
    /// What is counted for the pod.
    pub metrics: Arc<Metrics>,
    /// Sockets that wait for their device to close; the pod has so many places for them.
    pub lingering: Arc<Semaphore>,
    /// Who is let in, and how fast.
    pub gate: Gate,
    /// What a reload may change. Open connections see it at their next look; so do their shadows.
    pub tuning: Arc<ArcSwap<Tuning>>,
    /// Where connections are mirrored: by whom.
    pub mirrored: Option<Mirrored>,
}

/// How the connections of a listener are mirrored.
pub struct Mirrored {
    /// By whom.
    pub mirror: Arc<Mirror>,
    /// What their shadows share.
    pub settings: Arc<Settings>,
}

/// What a reload may change.
pub struct Tuning {
    /// gRPC metadata that every callback carries.
    pub headers: HeaderMap,
    /// The limits of each connection. `outbox_limit` holds for connections that begin later.
    pub limits: config::Connection,
    /// The limits of the queue of messages, for those that begin later.
    pub queue: queue::Limits,
    /// How long a connection waits for what.
    pub patience: Patience,
    /// Whether the connection outlives the device's FIN.
    pub half_close: bool,
    /// How the stream is cut into frames, for connections that begin later.
    pub framing: Option<Arc<config::Framing>>,
    /// The most bytes of one Send.
    pub max_send: usize,
}

impl Settings {
    /// What the last reload left.
    #[must_use]
    pub fn tuning(&self) -> Guard<Arc<Tuning>> {
        self.tuning.load()
    }
}
