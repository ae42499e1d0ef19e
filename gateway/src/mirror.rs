//! A second handler that is tried with live traffic: it is told what the handler was told, its calls are answered and
//! not carried out, and both are compared.
//!
//! A mirrored connection and its *shadow* share a [`Pair`](crate::mirror::Pair): copies of what the handler has
//! acknowledged wait there for the mirror, and the calls of both meet there. The shadow is a task beside the connection,
//! with a conn of its own (`connection/shadow.rs`). The mirror never slows, blocks or fails a connection: what is too
//! much ends the mirroring.

/// What is compared of a call.
mod call;
/// The calls of both, side by side.
mod comparison;
/// What the mirror is still to be told.
mod copies;
/// What is counted.
mod counts;

use std::sync::Arc;

use bytes::Bytes;
use config::{HandlerService, Percent};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

pub use self::{
    call::Call,
    comparison::{Comparison, Known, Manner, Ticket},
    copies::{Copied, Copies, Next},
    counts::{Counts, Fate, Verdict},
};
use crate::{
    broker::{self, Broker},
    conn_id::{ConnId, ConnIds},
    connection::{Connection, Settings},
    handler::Handlers,
    metrics::Metrics,
    registry::Registry,
};

/// What a mirrored connection and its shadow share.
pub struct Pair {
    /// The calls of both.
    pub comparison: Comparison,
    /// What the mirror is still to be told.
    pub copies: Copies,
}

/// On which side of a pair a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Side {
    /// A device's, whose calls are carried out.
    Real,
    /// A shadow, whose calls are answered.
    Mirror,
}

impl Pair {
    /// A pair for the connection `conn`. The limit of calls that wait is also that of copies.
    #[must_use]
    pub fn new(conn: ConnId, manner: Manner, counts: Arc<Counts>) -> Arc<Self> {
        Arc::new(Self {
            comparison: Comparison::new(conn, manner, counts),
            copies: Copies::new(manner.limit),
        })
    }

    /// The handler makes this call. Where it is compared: by what its answer is to be told.
    pub fn real(&self, call: Call) -> Option<Ticket> {
        let ticket = self.comparison.real(call);
        self.keep_up();
        ticket
    }

    /// The mirror makes this call. What the handler was answered to the same one, as far as is known.
    pub fn mirror(&self, call: Call) -> Option<Known> {
        let known = self.comparison.mirror(call);
        self.keep_up();
        // The end may wait for this.
        self.copies.wake();
        known
    }

    /// One of them is too far ahead of the other.
    fn keep_up(&self) {
        if self.comparison.is_full() {
            self.copies.abandon();
        }
    }
}

/// How connections are mirrored.
pub struct Mirror {
    /// The mirror's endpoints.
    pub handlers: Handlers,
    /// The shadows that take calls, by the number in their conn; no other table has them.
    pub shadows: Registry,
    /// What was counted.
    pub counts: Arc<Counts>,
    /// Where shadows count what is of no interest: nothing of it is the handler's.
    pub metrics: Arc<Metrics>,
    /// Where shadows get queues. Nobody publishes there.
    pub broker: Broker,
    tasks: TaskTracker,
    places: Arc<Semaphore>,
    most: usize,
    buffer: usize,
    /// Both the handler and the mirror speak the ordered stream.
    raw: bool,
    /// The share of connections that are mirrored.
    percent: Mutex<Percent>,
}

impl Mirror {
    /// A mirror that speaks `service`, at these endpoints, as the handler's configuration has it.
    #[must_use]
    pub fn new(
        config: &config::Handler,
        service: HandlerService,
        handlers: Handlers,
        shadows: Registry,
    ) -> Arc<Self> {
        let services = [config.service, service];
        let raw = services == [HandlerService::ConnectionStream; 2];
        let config = &config.mirror;
        let most = config.max_connections as usize;
        Arc::new(Self {
            handlers,
            shadows,
            counts: Arc::default(),
            metrics: Metrics::new(),
            broker: nowhere(),
            tasks: TaskTracker::new(),
            places: Arc::new(Semaphore::new(most)),
            most,
            buffer: config.buffer.bytes(),
            raw,
            percent: Mutex::new(config.percent),
        })
    }

    /// So many in a hundred connections that begin later are mirrored.
    pub fn set_percent(&self, percent: Percent) {
        *self.percent.lock() = percent;
    }

    /// Shadows at this moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.most - self.places.available_permits()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the connection `conn` that begins is mirrored: then what it is to share with its shadow.
    #[must_use]
    pub fn choose(&self, conn: &ConnId, by_bytes: bool) -> Option<Chosen> {
        if fastrand::f64() >= self.percent.lock().share() {
            return None;
        }
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.counts.ended(Fate::Skipped);
            return None;
        };
        let manner = Manner {
            by_bytes,
            raw: self.raw,
            limit: self.buffer,
        };
        let pair = Pair::new(conn.clone(), manner, self.counts.clone());
        Some(Chosen { pair, place })
    }

    /// Begins the shadow of a connection that was chosen and has not begun.
    pub fn follow(
        &self,
        connection: &Connection,
        chosen: Chosen,
        ids: &ConnIds,
        settings: Arc<Settings>,
    ) {
        let (id, sequence) = ids.mint();
        let (handle, shadow) = connection.shadow(id, sequence, settings, chosen.pair);
        let registration = self.shadows.register(sequence, handle);
        let place = chosen.place;
        self.tasks.spawn(async move {
            shadow.run(Box::new(registration)).await;
            drop(place);
        });
    }

    /// The pod ends: nobody waits for the mirror any more. Done once it knows of all ends, or is not there.
    pub async fn drain(&self) {
        // One that takes no new connections is told all the same.
        if self.is_empty() || !self.handlers.stand() {
            return;
        }
        self.handlers.give_up();
        self.shadows.wake_all();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// A connection's place among those that are mirrored.
pub struct Chosen {
    /// What it shares with its shadow.
    pub pair: Arc<Pair>,
    place: OwnedSemaphorePermit,
}

/// The bytes in memory of their own. They come as a part of a buffer in which others may have come too; to wait with
/// that would hold many times the bytes that are counted.
fn alone(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// A broker that routes nothing.
fn nowhere() -> Broker {
    Broker::memory(broker::Settings {
        node: "".into(),
        max_payload: 0,
        max_levels: 0,
        retained: broker::RetainedLimits {
            messages: 0,
            bytes: 0,
            age: None,
        },
    })
}
