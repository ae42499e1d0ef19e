//! One life of an endpoint: from its first connection until its memory must be taken for gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Uri};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    Method,
    concurrency::Seen,
    endpoint::Endpoint,
    gate::Gate,
    headers,
    lane::{self, Failure},
    stream,
};

/// An endpoint from its first connection until it is lost. What was bound to a lost life must go elsewhere.
pub struct Life {
    endpoint: Arc<Endpoint>,
    lost: AtomicBool,
    over: CancellationToken,
    /// Connections that are bound to it.
    connections: AtomicUsize,
    /// Lets in the calls that may be under way.
    gate: Gate,
    /// It was said that it lacks the service.
    pub(super) is_misfit: AtomicBool,
}

impl Life {
    pub(super) fn new(endpoint: &Arc<Endpoint>) -> Arc<Self> {
        Arc::new(Self {
            endpoint: endpoint.clone(),
            lost: AtomicBool::new(false),
            over: CancellationToken::new(),
            connections: AtomicUsize::new(0),
            gate: endpoint.settings().gate(),
            is_misfit: AtomicBool::new(false),
        })
    }

    /// Whether the handler that this life stands for is gone, with its memory.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// The address, for logs.
    #[must_use]
    pub fn address(&self) -> &str {
        self.endpoint.address()
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How many connections are bound to it.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// Who calls it now, and how many may.
    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Whether another connection may be bound to it.
    pub(super) fn has_room(&self) -> bool {
        self.connections() < self.endpoint.settings().max_connections
    }

    /// Takes a place for a connection, if one is free.
    pub(super) fn take_place(&self) -> bool {
        let most = self.endpoint.settings().max_connections;
        let taken = self
            .connections
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                (count < most).then_some(count + 1)
            });
        taken.is_ok()
    }

    /// Gives it back.
    pub(super) fn leave_place(&self) {
        let before = self.connections.fetch_sub(1, Ordering::AcqRel);
        if before >= self.endpoint.settings().max_connections {
            // One place, so one of those who wait.
            self.endpoint.tell_of_room();
        }
    }

    pub(super) fn end(&self) {
        self.lost.store(true, Ordering::Release);
        self.over.cancel();
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        self.over.cancelled().await;
    }

    /// The ordered stream for the connection of that key, if one takes connections.
    #[must_use]
    pub fn stream(&self, key: u64) -> Option<Arc<stream::Lane>> {
        self.endpoint.lanes().stream(key)
    }

    /// One attempt at one unary call. `headers` go along; `key` picks the lane.
    pub(super) async fn call(
        self: &Arc<Self>,
        key: u64,
        method: Method,
        headers: HeaderMap,
        frame: Bytes,
    ) -> Result<(), Failure> {
        let deadline = self.endpoint.settings().deadline;
        let leave = self.gate.enter(deadline).await?;
        let uri = self.endpoint.uri(method);
        let outcome = self.attempt(key, uri, headers, frame, deadline).await;
        let outcome = outcome.map(drop);
        match &outcome {
            Ok(()) | Err(Failure::Refused(_)) => leave.ended(Seen::Answered),
            Err(Failure::TimedOut(_)) => leave.ended(Seen::TimedOut),
            Err(Failure::Unreached { .. } | Failure::Lost(_)) => {}
        }
        if !matches!(outcome, Err(Failure::Unreached { .. })) {
            self.endpoint.judge(outcome.is_err());
        }
        self.learn(method, &outcome);
        outcome
    }

    /// What became of a callback tells how the endpoint is.
    pub(super) fn learn(self: &Arc<Self>, method: Method, outcome: &Result<(), Failure>) {
        self.endpoint.learn(self, method, outcome);
    }

    /// A question that is no callback, and that does not count as one. `path` is `/service/method`.
    pub(super) async fn ask(
        &self,
        path: &str,
        frame: Bytes,
        limit: Duration,
    ) -> Result<Bytes, Failure> {
        let uri = self.endpoint.uri_of(path);
        self.attempt(0, uri, headers(), frame, limit).await
    }

    async fn attempt(
        &self,
        key: u64,
        uri: Uri,
        headers: HeaderMap,
        frame: Bytes,
        limit: Duration,
    ) -> Result<Bytes, Failure> {
        let lanes = self.endpoint.lanes();
        let Some(pick) = lanes.pick(key).filter(|_| !self.is_lost()) else {
            return Err(Failure::unreached("no connection stands"));
        };
        let outcome = timeout(limit, lane::call(pick.send.clone(), uri, headers, frame))
            .await
            .unwrap_or(Err(Failure::TimedOut(limit)));
        if matches!(outcome, Err(Failure::Unreached { closing: true, .. })) {
            lanes.replace(&pick);
        }
        outcome
    }
}
