//! The way to a subscriber: one answer waits at most, so that what it has not taken stays in its queue.

use std::{
    future::Future,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use proto::{exproto, gateway::SubscribeResponse};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{Counts, status};
use crate::broker::Message;

/// Messages of one answer, and their bytes: a client of gRPC takes 4 MiB unless it is told otherwise, and one message has
/// less than one.
pub(super) const BATCH: usize = 500;
pub(super) const BATCH_BYTES: usize = 1024 * 1024;

pub(super) struct Outlet {
    to: mpsc::Sender<Result<SubscribeResponse, Status>>,
    end: CancellationToken,
    pub(super) counts: Arc<Counts>,
}

/// Why a subscription ends.
#[derive(Debug)]
pub(super) enum End {
    /// The subscriber has gone.
    Gone,
    /// The subscriber is told.
    With(Status),
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self::With(status)
    }
}

impl Outlet {
    pub(super) fn new(
        to: mpsc::Sender<Result<SubscribeResponse, Status>>,
        end: CancellationToken,
        counts: Arc<Counts>,
    ) -> Self {
        counts.subscriptions.fetch_add(1, Relaxed);
        Self { to, end, counts }
    }

    /// Waits until the subscriber or the pod goes.
    pub(super) async fn ended(&self) -> End {
        tokio::select! {
            biased;
            () = self.to.closed() => End::Gone,
            () = self.end.cancelled() => End::With(status::draining()),
        }
    }

    /// What `work` comes to, unless the subscriber or the pod goes before.
    pub(super) async fn meanwhile<T>(&self, work: impl Future<Output = T>) -> Result<T, End> {
        tokio::select! {
            biased;
            end = self.ended() => Err(end),
            done = work => Ok(done),
        }
    }

    /// Waits until there is room for an answer. It stays there until that is given.
    pub(super) async fn room(&self) -> Result<(), End> {
        let place = self.meanwhile(self.to.reserve()).await?;
        place.map(drop).map_err(|_| End::Gone)
    }

    /// Gives an answer for which there is room, unless it is empty.
    pub(super) fn give(&self, answer: SubscribeResponse) {
        if answer != SubscribeResponse::default() {
            // Where the subscriber has gone, that is found out at once.
            let _ = self.to.try_send(Ok(answer));
        }
    }

    /// Tells the subscriber why it is over.
    pub(super) async fn close(self, end: End) {
        if let End::With(status) = end {
            tracing::debug!(%status, "a subscription of a back end ends");
            let _ = self.to.send(Err(status)).await;
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.counts.subscriptions.fetch_sub(1, Relaxed);
    }
}

/// A message as subscribers see it.
pub(super) fn shown(message: &Message) -> exproto::Message {
    exproto::Message {
        node: message.node.as_ref().to_owned(),
        id: message.id.as_ref().to_owned(),
        qos: message.qos.into(),
        from: message.from.as_ref().to_owned(),
        topic: message.topic.as_str().to_owned(),
        payload: message.payload.clone(),
        timestamp: message.timestamp,
    }
}
