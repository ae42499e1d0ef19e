//! A subscription to plain filters: what comes through the broker and, where there are logs, what did not.
//!
//! It goes round: subscribe, read up in the logs what was missed, then pass on what comes, until the queue has no room.
//! What waits in the queue is passed on then as well, and the round begins anew from what the subscriber got last.

use std::{
    convert::Infallible, future::poll_fn, sync::Arc, sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use futures_util::future::try_join_all;
use proto::{
    exproto,
    gateway::{Gap, SubscribeResponse, Subscribed},
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{
    Settings, Start,
    outlet::{BATCH, BATCH_BYTES, End, Outlet, shown},
    status,
    track::{Due, Track},
};
use crate::{
    broker::{self, Broker, Message, Qos, Queue, queue::Ready, recent::Recent},
    cluster::Logs,
};

/// Reading in the logs.
mod reading;

pub(super) struct Subscription {
    broker: Broker,
    logs: Option<Logs>,
    start: Start,
    queue: Arc<Queue>,
    held: Vec<broker::Subscription>,
    /// Where there are logs.
    track: Option<Track>,
    recent: Recent,
    interval: Duration,
    outlet: Outlet,
}

impl Subscription {
    pub(super) fn new(
        broker: Broker,
        logs: Option<Logs>,
        start: Start,
        outlet: Outlet,
        settings: &Settings,
    ) -> Self {
        Self {
            queue: broker.queue(start.limits),
            broker,
            logs,
            start,
            held: Vec::new(),
            track: None,
            recent: Recent::new(settings.remembered, Duration::MAX),
            interval: settings.position_interval,
            outlet,
        }
    }

    /// Until the subscriber or the pod goes, or there is no going on.
    pub(super) async fn run(mut self) {
        let Err(end) = self.serve().await;
        let Self {
            held,
            queue,
            outlet,
            ..
        } = self;
        drop(held);
        queue.close();
        outlet.close(end).await;
    }

    async fn serve(&mut self) -> Result<Infallible, End> {
        let from = self.start.from.take();
        let is_resumed = from.is_some();
        if let Some(logs) = self.logs.clone() {
            // Before others know: what is published meanwhile may pass the subscription by.
            let track = Track::begin(logs, self.start.partitions.clone(), from);
            let track = self.outlet.meanwhile(track).await?;
            self.track = Some(track.map_err(status::away)?);
        }
        self.subscribe(self.start.wants_retained && !is_resumed)
            .await?;
        self.confirm().await?;
        if is_resumed {
            self.read_up().await?;
        }
        loop {
            self.pass_on_what_comes().await?;
            self.outlet.counts.overflows.fetch_add(1, Relaxed);
            let seeks = self.queue.is_seeking();
            self.pass_on_the_rest().await?;
            if self.track.is_none() {
                return Err(status::too_slow().into());
            }
            self.subscribe(seeks).await?;
            self.read_up().await?;
        }
    }

    /// Subscribes with another queue, and waits until other pods know.
    async fn subscribe(&mut self, wants_retained: bool) -> Result<(), End> {
        let (broker, filters) = (&self.broker, &self.start.filters);
        let queue = broker.queue(self.start.limits);
        let subscribe = |filter: &broker::Filter| {
            let (filter, qos) = (filter.clone(), Qos::ExactlyOnce);
            if wants_retained {
                broker.subscribe_anew(filter, qos, &queue)
            } else {
                broker.subscribe(filter, qos, &queue)
            }
        };
        // The old ones go after the new ones have come: so others see no change.
        self.held = filters.iter().map(subscribe).collect();
        std::mem::replace(&mut self.queue, queue).close();
        let known = try_join_all(filters.iter().map(|filter| broker.known(filter)));
        let known = self.outlet.meanwhile(known).await?;
        known.map_err(status::away)?;
        if let Some(track) = &mut self.track {
            track.subscribed();
        }
        Ok(())
    }

    async fn confirm(&mut self) -> Result<(), End> {
        self.outlet.room().await?;
        self.outlet.give(SubscribeResponse {
            subscribed: Some(Subscribed {
                resumable: self.track.is_some(),
            }),
            position: self.track.as_mut().map(Track::told).unwrap_or_default(),
            ..SubscribeResponse::default()
        });
        Ok(())
    }

    /// Until a message of `QoS` 1 or 2 does not fit in the queue.
    async fn pass_on_what_comes(&mut self) -> Result<(), End> {
        let mut ticks = interval_at(Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                end = self.outlet.ended() => return Err(end),
                _ = ticks.tick(), if self.track.is_some() => self.tell_position().await?,
                due = due(&mut self.track) => match due {
                    Due::Gap => self.tell_gap(HOLE).await?,
                    Due::Look => self.settle().await?,
                },
                ready = poll_fn(|cx| self.queue.poll_ready(cx)) => match ready {
                    Ready::Messages => drop(self.pass_on().await?),
                    Ready::Overflowed => return Ok(()),
                },
            }
        }
    }

    /// What is in a queue that takes nothing more.
    async fn pass_on_the_rest(&mut self) -> Result<(), End> {
        while self.pass_on().await? {}
        Ok(())
    }

    /// Passes some of the queue on. Whether there was something.
    async fn pass_on(&mut self) -> Result<bool, End> {
        self.outlet.room().await?;
        let taken = self.queue.take(BATCH, BATCH_BYTES).messages;
        let moves = |track: &mut Track| track.taken(taken.len()).then(|| track.told());
        let position = self.track.as_mut().and_then(moves);
        let messages = self.unknown(&taken);
        let delivered = &self.outlet.counts.delivered;
        delivered.fetch_add(messages.len() as u64, Relaxed);
        self.outlet.give(SubscribeResponse {
            messages,
            position: position.unwrap_or_default(),
            ..SubscribeResponse::default()
        });
        Ok(!taken.is_empty())
    }

    /// Those that the subscriber has not got.
    fn unknown(&mut self, messages: &[Arc<Message>]) -> Vec<exproto::Message> {
        let unknown = messages
            .iter()
            .filter(|message| self.recent.note(&message.id));
        unknown.map(|message| shown(message)).collect()
    }

    async fn tell_position(&mut self) -> Result<(), End> {
        let Some(track) = &mut self.track else {
            return Ok(());
        };
        if track.note(&self.queue) {
            self.outlet.room().await?;
            self.outlet.give(SubscribeResponse {
                position: track.told(),
                ..SubscribeResponse::default()
            });
        }
        Ok(())
    }

    async fn tell_gap(&mut self, reason: &str) -> Result<(), End> {
        self.outlet.room().await?;
        self.outlet.counts.gaps.fetch_add(1, Relaxed);
        self.outlet.give(SubscribeResponse {
            gap: Some(Gap {
                reason: reason.to_owned(),
            }),
            ..SubscribeResponse::default()
        });
        Ok(())
    }
}

const HOLE: &str =
    "this pod was cut off from other pods, and the logs in Redis do not tell all that it missed";

async fn due(track: &mut Option<Track>) -> Due {
    match track {
        Some(track) => track.due().await,
        None => std::future::pending().await,
    }
}
