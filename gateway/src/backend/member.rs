//! A subscription to the messages of a `$share` group: they are for whoever is there, so there is nothing to resume. What
//! waits for a member that goes is for the others.

use std::{
    convert::Infallible,
    future::poll_fn,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use proto::gateway::{SubscribeResponse, Subscribed};

use super::{
    Start,
    outlet::{BATCH_BYTES, End, Outlet, shown},
    status,
};
use crate::broker::{Broker, Filter, Qos, Queue, queue::Ready};

/// Messages of one answer: few, as those that are on their way are lost when the member goes.
const BATCH: usize = 100;

pub(super) struct Member {
    broker: Broker,
    filters: Vec<Filter>,
    queue: Arc<Queue>,
    outlet: Outlet,
}

impl Member {
    pub(super) fn new(broker: Broker, start: Start, outlet: Outlet) -> Self {
        Self {
            queue: broker.queue(start.limits),
            broker,
            filters: start.filters,
            outlet,
        }
    }

    /// Until the subscriber or the pod goes, or it is too slow.
    pub(super) async fn run(self) {
        let filters = self.filters.iter().cloned();
        let subscribe = |filter| self.broker.subscribe(filter, Qos::ExactlyOnce, &self.queue);
        let held: Vec<_> = filters.map(subscribe).collect();
        let Err(end) = self.serve().await;
        // The group offers it nothing more, and then others get what it has.
        self.queue.leave();
        drop(held);
        for filter in &self.filters {
            let handed = self.broker.hand_over(filter, &self.queue);
            self.outlet.counts.handed_over.fetch_add(handed, Relaxed);
        }
        self.queue.close();
        self.outlet.close(end).await;
    }

    async fn serve(&self) -> Result<Infallible, End> {
        for filter in &self.filters {
            let known = self.outlet.meanwhile(self.broker.known(filter)).await?;
            known.map_err(|away| tonic::Status::unavailable(away.to_string()))?;
        }
        self.outlet.room().await?;
        self.outlet.give(SubscribeResponse {
            subscribed: Some(Subscribed { resumable: false }),
            ..SubscribeResponse::default()
        });
        loop {
            let ready = poll_fn(|cx| self.queue.poll_ready(cx));
            let ready = self.outlet.meanwhile(ready).await?;
            while self.pass_on().await? {}
            if ready == Ready::Overflowed {
                return Err(status::too_slow().into());
            }
        }
    }

    /// Passes some of the queue on. Whether there was something.
    async fn pass_on(&self) -> Result<bool, End> {
        self.outlet.room().await?;
        let messages = self.queue.take(BATCH, BATCH_BYTES).messages;
        let delivered = &self.outlet.counts.delivered;
        delivered.fetch_add(messages.len() as u64, Relaxed);
        self.outlet.give(SubscribeResponse {
            messages: messages.iter().map(|message| shown(message)).collect(),
            ..SubscribeResponse::default()
        });
        Ok(!messages.is_empty())
    }
}
