//! The handler of a run, in the process of the publisher: so one clock tells when a message was published, which
//! stands in it, and when it has arrived.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use bytes::Bytes;
use proto::exproto::{
    EmptySuccess, ReceivedBytesRequest, ReceivedMessagesRequest, SocketClosedRequest,
    SocketCreatedRequest, TimerTimeoutRequest,
    connection_unary_handler_server::ConnectionUnaryHandler,
};
use tokio::sync::{
    Notify,
    mpsc::{self, Receiver, Sender},
};
use tonic::{Request, Response, Status};

use crate::{generator::AT_ONCE, histogram::Histogram};

/// Where messages arrive.
pub(super) struct Inbox {
    epoch: Instant,
    /// The names of new connections. Where it is full, callbacks wait; no more are opened at once.
    created: Sender<String>,
    counting: RwLock<Arc<Counting>>,
}

/// The arrivals since somebody began to count.
pub(super) struct Counting {
    /// So many are one message's.
    subscribers: u64,
    arrived: AtomicU64,
    /// How long each message took until all had it.
    pub(super) latencies: Histogram,
    changed: Notify,
}

impl Inbox {
    /// With the names of connections, as they are created.
    pub(super) fn new() -> (Arc<Self>, Receiver<String>) {
        let (created, names) = mpsc::channel(AT_ONCE);
        let inbox = Self {
            epoch: Instant::now(),
            created,
            counting: RwLock::new(Arc::new(Counting::new(1))),
        };
        (Arc::new(inbox), names)
    }

    /// Begins to count; nothing may be on its way.
    pub(super) fn count(&self, subscribers: u32) -> Arc<Counting> {
        let counting = Arc::new(Counting::new(subscribers));
        let mut current = self
            .counting
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = counting.clone();
        counting
    }

    /// A payload that begins with the present time.
    pub(super) fn stamp(&self, length: usize) -> Bytes {
        let now = u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut payload = now.to_be_bytes().to_vec();
        payload.resize(length.max(payload.len()), b'.');
        payload.into()
    }

    fn arrived(&self, payload: &[u8]) -> Option<()> {
        let published = u64::from_be_bytes(*payload.first_chunk()?);
        let latency = self
            .epoch
            .elapsed()
            .checked_sub(Duration::from_nanos(published))?;
        let current = self.counting.read().unwrap_or_else(PoisonError::into_inner);
        let counting = current.clone();
        drop(current);
        counting.arrived(latency);
        Some(())
    }
}

impl Counting {
    fn new(subscribers: u32) -> Self {
        Self {
            subscribers: subscribers.into(),
            arrived: AtomicU64::new(0),
            latencies: Histogram::new(),
            changed: Notify::new(),
        }
    }

    fn arrived(&self, latency: Duration) {
        let before = self.arrived.fetch_add(1, SeqCst);
        if (before + 1).is_multiple_of(self.subscribers) {
            self.latencies.record(latency);
            self.changed.notify_one();
        }
    }

    /// Waits until all subscribers have that many messages; nobody may have one twice.
    pub(super) async fn all(&self, messages: u32) -> Result<()> {
        let wanted = self.subscribers * u64::from(messages);
        loop {
            let arrived = self.arrived.load(SeqCst);
            ensure!(
                arrived <= wanted,
                "{arrived} deliveries, but {wanted} are wanted"
            );
            if arrived == wanted {
                return Ok(());
            }
            self.changed.notified().await;
        }
    }
}

/// As a service.
pub(super) struct Handler(pub(super) Arc<Inbox>);

type Answer = Result<Response<EmptySuccess>, Status>;

#[tonic::async_trait]
impl ConnectionUnaryHandler for Handler {
    async fn on_socket_created(&self, request: Request<SocketCreatedRequest>) -> Answer {
        // Nobody listens any more when the run ends.
        let _ = self.0.created.send(request.into_inner().conn).await;
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_received_messages(&self, request: Request<ReceivedMessagesRequest>) -> Answer {
        for message in request.into_inner().messages {
            self.0
                .arrived(&message.payload)
                .ok_or_else(|| Status::invalid_argument("no message of this run"))?;
        }
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_socket_closed(&self, _: Request<SocketClosedRequest>) -> Answer {
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_received_bytes(&self, _: Request<ReceivedBytesRequest>) -> Answer {
        Err(Status::unimplemented("no device of this benchmark speaks"))
    }

    async fn on_timer_timeout(&self, _: Request<TimerTimeoutRequest>) -> Answer {
        Err(Status::unimplemented("no benchmark starts a timer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_has_arrived_when_all_subscribers_have_it() {
        let (inbox, _names) = Inbox::new();
        let counting = inbox.count(2);
        let payload = inbox.stamp(64);
        assert_eq!(payload.len(), 64);
        inbox.arrived(&payload).unwrap();
        assert_eq!(counting.latencies.count(), 0);
        inbox.arrived(&payload).unwrap();
        assert_eq!(counting.latencies.count(), 1);
        counting.all(1).await.unwrap();
        inbox.arrived(&payload).unwrap();
        assert!(counting.all(1).await.is_err());
    }

    #[test]
    fn what_is_not_of_this_run_is_no_message() {
        let (inbox, _names) = Inbox::new();
        assert_eq!(inbox.arrived(b"short"), None);
        assert_eq!(inbox.arrived(&u64::MAX.to_be_bytes()), None);
    }
}
