//! The played gateway: connections without devices, whose callbacks go to the handler as a gateway makes them: in order,
//! one in flight for each connection, created first and closed last.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use proto::exproto::{
    Address, ConnInfo, Message, ReceivedMessagesRequest, SocketClosedRequest, SocketCreatedRequest,
    SocketType, TimerTimeoutRequest, connection_unary_handler_client::ConnectionUnaryHandlerClient,
};
use tokio::time::timeout;
use tonic::transport::Channel;

use super::{
    callback::{Callback, Failure, Stamp},
    ledger::{Entry, Ledger, Life},
    topics,
};
use crate::patience::Patience;

/// So many messages at most are in one OnReceivedMessages.
const BATCH: usize = 100;
/// After so many deadlines the kit no longer waits for an answer. Those that come before are late, but answers.
const GIVE_UP: u32 = 3;

/// The gateway that a handler sees.
pub struct Gateway {
    handler: ConnectionUnaryHandlerClient<Channel>,
    /// What the handler has done.
    pub ledger: Ledger,
    patience: Patience,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
    pace: Mutex<Pace>,
}

/// The callbacks of one connection: who has the lock has the one in flight.
type Lane = tokio::sync::Mutex<Progress>;

/// How far a connection is.
#[derive(Default)]
struct Progress {
    /// Bytes that were handed over.
    offset: u64,
    /// OnSocketClosed was called.
    ended: bool,
}

/// How long callbacks took.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// Callbacks in all.
    pub callbacks: usize,
    /// Those that took longer than the deadline.
    pub late: usize,
    /// The slowest, and how long it took.
    pub slowest: Option<(&'static str, Duration)>,
}

impl Gateway {
    /// A gateway for that handler.
    #[must_use]
    pub fn new(handler: Channel, patience: Patience) -> Arc<Self> {
        Arc::new(Self {
            handler: ConnectionUnaryHandlerClient::new(handler),
            ledger: Ledger::default(),
            patience,
            lanes: Mutex::default(),
            pace: Mutex::default(),
        })
    }

    /// How long callbacks took so far.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// OnSocketCreated for a device with that number.
    pub async fn create(&self, conn: &str, number: u32, attempt: u32) -> Result<(), Failure> {
        self.ledger.entry(conn, |_| ());
        let lane = self.lane(conn);
        let _in_flight = lane.lock().await;
        let created = SocketCreatedRequest {
            conn: conn.to_owned(),
            conninfo: Some(conninfo(number)),
        };
        let stamp = Stamp { offset: 0, attempt };
        self.call(Callback::Created(created), stamp).await
    }

    /// OnReceivedBytes with the bytes that come next.
    pub async fn receive(&self, conn: &str, bytes: &[u8]) -> Result<(), Failure> {
        let lane = self.lane(conn);
        let mut progress = lane.lock().await;
        let stamp = Stamp {
            offset: progress.offset,
            attempt: 1,
        };
        progress.offset += bytes.len() as u64;
        self.call(Callback::received(conn, bytes), stamp).await
    }

    /// OnReceivedBytes with bytes that were handed over last, once more.
    pub async fn repeat(&self, conn: &str, bytes: &[u8]) -> Result<(), Failure> {
        let lane = self.lane(conn);
        let progress = lane.lock().await;
        let stamp = Stamp {
            offset: progress.offset - bytes.len() as u64,
            attempt: 2,
        };
        self.call(Callback::received(conn, bytes), stamp).await
    }

    /// OnTimerTimeout.
    pub async fn time_out(&self, conn: &str) -> Result<(), Failure> {
        let lane = self.lane(conn);
        let progress = lane.lock().await;
        let request = TimerTimeoutRequest {
            conn: conn.to_owned(),
            r#type: 0,
        };
        self.call(Callback::Timer(request), progress.stamp()).await
    }

    /// OnReceivedMessages.
    pub async fn deliver(&self, conn: &str, messages: Vec<Message>) -> Result<(), Failure> {
        let lane = self.lane(conn);
        let progress = lane.lock().await;
        let request = ReceivedMessagesRequest {
            conn: conn.to_owned(),
            messages,
        };
        self.call(Callback::Messages(request), progress.stamp())
            .await
    }

    /// Refuses further calls, waits for the callback in flight, and calls OnSocketClosed, once.
    pub async fn end(&self, conn: &str, reason: &str) -> Result<(), Failure> {
        self.ledger.entry(conn, Entry::leave);
        let lane = self.lane(conn);
        let mut progress = lane.lock().await;
        if progress.ended {
            return Ok(());
        }
        progress.ended = true;
        let told = self.close(conn, reason, progress.stamp()).await;
        self.ledger.entry(conn, |entry| entry.life = Life::Told);
        told
    }

    /// OnSocketClosed for a connection that the handler was never told of.
    pub async fn close_unknown(&self, conn: &str) -> Result<(), Failure> {
        let stamp = Stamp {
            offset: 0,
            attempt: 2,
        };
        self.close(conn, "handler_lost", stamp).await
    }

    async fn close(&self, conn: &str, reason: &str, stamp: Stamp) -> Result<(), Failure> {
        let request = SocketClosedRequest {
            conn: conn.to_owned(),
            reason: reason.to_owned(),
        };
        self.call(Callback::Closed(request), stamp).await
    }

    /// The same as `end`, for whoever cannot wait for it.
    pub(super) fn end_later(self: &Arc<Self>, conn: String, reason: &'static str) {
        let gateway = self.clone();
        tokio::spawn(async move {
            if let Err(failure) = gateway.end(&conn, reason).await {
                gateway.note(&conn, &failure);
            }
        });
    }

    /// The connections of that client but for one.
    pub(super) fn others(&self, clientid: &str, but: &str) -> Vec<String> {
        self.ledger.read(|state| {
            let all = state.connections.iter();
            let others = all.filter(|(conn, entry)| {
                *conn != but && !entry.is_gone() && entry.clientid.as_deref() == Some(clientid)
            });
            others.map(|(conn, _)| conn.clone()).collect()
        })
    }

    /// Hands a message to each subscription that matches.
    pub(super) fn publish(self: &Arc<Self>, message: &Message) {
        let subscribers = self.ledger.write(|state| {
            let mut subscribers = Vec::new();
            for (conn, entry) in state
                .connections
                .iter_mut()
                .filter(|(_, entry)| !entry.is_gone())
            {
                let filters = entry.subscriptions.keys();
                let copies = filters
                    .filter(|filter| topics::matches(filter, &message.topic))
                    .count();
                entry
                    .pending
                    .extend(std::iter::repeat_n(message.clone(), copies));
                if copies > 0 {
                    subscribers.push(conn.clone());
                }
            }
            subscribers
        });
        for conn in subscribers {
            let gateway = self.clone();
            tokio::spawn(async move {
                if let Err(failure) = gateway.deliver_pending(&conn).await {
                    gateway.note(&conn, &failure);
                }
            });
        }
    }

    async fn deliver_pending(&self, conn: &str) -> Result<(), Failure> {
        let lane = self.lane(conn);
        let progress = lane.lock().await;
        let take = |entry: &mut Entry| {
            let count = entry.pending.len().min(BATCH);
            entry.pending.drain(..count).collect::<Vec<_>>()
        };
        let messages = self.ledger.entry(conn, take);
        // Whoever came before has taken them, or nobody may be told any more.
        if messages.is_empty() || progress.ended {
            return Ok(());
        }
        let request = ReceivedMessagesRequest {
            conn: conn.to_owned(),
            messages,
        };
        self.call(Callback::Messages(request), progress.stamp())
            .await
    }

    fn note(&self, conn: &str, failure: &Failure) {
        self.ledger
            .entry(conn, |entry| entry.failure = Some(failure.to_string()));
    }

    fn lane(&self, conn: &str) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(conn.to_owned()).or_default().clone()
    }

    async fn call(&self, callback: Callback, stamp: Stamp) -> Result<(), Failure> {
        let method = callback.method();
        let conn = callback.conn().to_owned();
        let patience = self.patience.deadline * GIVE_UP;
        // A little more, so that it is ours that runs out.
        let limit = patience + self.patience.deadline;
        let began = Instant::now();
        let answered = timeout(patience, callback.make(self.handler.clone(), stamp, limit)).await;
        // What the kit itself has held up is not the handler's fault.
        let is_free = |entry: &mut Entry| entry.waiting == 0;
        if self.ledger.entry(&conn, is_free) {
            self.took(method, began.elapsed());
        }
        match answered {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => {
                let message = status.message().to_owned();
                Err(Failure::Refused(method, status.code(), message))
            }
            Err(_) => Err(Failure::Silent(method, patience)),
        }
    }

    fn took(&self, method: &'static str, time: Duration) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.callbacks += 1;
        pace.late += usize::from(time > self.patience.deadline);
        if pace.slowest.is_none_or(|(_, slowest)| time > slowest) {
            pace.slowest = Some((method, time));
        }
    }
}

impl Progress {
    fn stamp(&self) -> Stamp {
        Stamp {
            offset: self.offset,
            attempt: 1,
        }
    }
}

/// A message as a broker hands it over.
pub(super) fn message(from: &str, topic: &str, qos: u32, payload: Bytes) -> Message {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Message {
        node: "conformance".to_owned(),
        id: format!("{:016x}", fastrand::u64(..)),
        qos,
        from: from.to_owned(),
        topic: topic.to_owned(),
        payload,
        timestamp: u64::try_from(now.as_millis()).unwrap_or_default(),
    }
}

/// A device of its own for each number, from the addresses for documentation.
fn conninfo(number: u32) -> ConnInfo {
    let address = |host: &str, port| Address {
        host: host.to_owned(),
        port,
    };
    ConnInfo {
        socktype: SocketType::Tcp.into(),
        peername: Some(address("192.0.2.1", 1024 + number % 64_000)),
        sockname: Some(address("192.0.2.2", 7993)),
        peercert: None,
    }
}
