//! What the subscriber has missed, from the logs: as fast as it takes it, and each part up to where it ended when it was
//! first looked at, so that this comes to an end however fast others publish.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use proto::gateway::SubscribeResponse;
use tokio::task::yield_now;

use super::{BATCH, BATCH_BYTES, End, Subscription, status};
use crate::{
    broker::Message,
    clock,
    cluster::{Logs, Page, Place},
    redis::Failure,
};

/// Logs that are read ahead.
const AT_ONCE: usize = 4;
/// Entries that are read first; then as many as take about a batch.
const FIRST: usize = 16;
/// What leaves a log in front of somebody who reads there is a gap, however short the time.
const ALWAYS: Duration = Duration::from_secs(u32::MAX as u64);

const CUT: &str = "the logs in Redis do not reach back as far: broker.shared.log_time is over, or there were more than log_messages, or Redis has lost data";

impl Subscription {
    /// Reads all logs to their ends.
    pub(super) async fn read_up(&mut self) -> Result<(), End> {
        let Some(track) = &self.track else {
            return Ok(());
        };
        let (logs, away, began) = (track.logs.clone(), track.away(), clock::now());
        let mut firsts = stream::iter(track.places())
            .map(|place| logs.read(place, away, FIRST))
            .buffered(AT_ONCE);
        let mut told_gap = false;
        while let Some(first) = self.outlet.meanwhile(firsts.next()).await? {
            self.read_log(&logs, first, &mut told_gap).await?;
        }
        drop(firsts);
        if let Some(track) = &mut self.track {
            track.read_all(began);
        }
        Ok(())
    }

    /// Once more, some time after the subscription: then nothing is on its way any more that could have passed it by.
    pub(super) async fn settle(&mut self) -> Result<(), End> {
        self.read_up().await?;
        if let Some(track) = &mut self.track {
            track.settled();
        }
        Ok(())
    }

    async fn read_log(
        &mut self,
        logs: &Logs,
        first: Result<Page, Failure>,
        told_gap: &mut bool,
    ) -> Result<(), End> {
        let mut page = first.map_err(status::away)?;
        let end = page.end;
        loop {
            if page.has_hole && !*told_gap {
                // One for all parts: nobody knows more.
                *told_gap = true;
                self.tell_gap(CUT).await?;
            }
            let (place, is_last) = (page.place, page.is_last || page.place.id >= end);
            let most = at_a_time(page.size);
            let messages = page.messages.into_iter().map(|(_, message)| message);
            self.give(messages.collect(), place).await?;
            if is_last {
                return Ok(());
            }
            let next = self
                .outlet
                .meanwhile(logs.read(place, ALWAYS, most))
                .await?;
            page = next.map_err(status::away)?;
        }
    }

    /// Gives what the filters match of it; then the subscriber is at that place.
    async fn give(&mut self, messages: Vec<Arc<Message>>, place: Place) -> Result<(), End> {
        let filters = &self.start.filters;
        let wanted =
            |message: &Arc<Message>| filters.iter().any(|each| each.matches(&message.topic));
        let wanted: Vec<_> = messages.into_iter().filter(wanted).collect();
        let mut rest = &wanted[..];
        while !rest.is_empty() {
            let (some, others) = rest.split_at(batch(rest));
            rest = others;
            self.outlet.room().await?;
            let messages = self.unknown(some);
            let recovered = &self.outlet.counts.recovered;
            recovered.fetch_add(messages.len() as u64, Relaxed);
            self.outlet.give(SubscribeResponse {
                messages,
                ..SubscribeResponse::default()
            });
        }
        let Some(track) = &mut self.track else {
            return Ok(());
        };
        track.reached(place);
        if track.is_due(self.interval) {
            self.outlet.room().await?;
            self.outlet.give(SubscribeResponse {
                position: track.told(),
                ..SubscribeResponse::default()
            });
        }
        // Others have their turn, however much there is that nobody wants.
        yield_now().await;
        Ok(())
    }
}

/// How many of them make a batch.
fn batch(messages: &[Arc<Message>]) -> usize {
    let mut bytes = 0;
    let fits = |message: &&Arc<Message>| {
        bytes += message.size();
        bytes <= BATCH_BYTES
    };
    messages.iter().take(BATCH).take_while(fits).count().max(1)
}

/// How many entries are read next, where so many took so many bytes.
fn at_a_time((entries, bytes): (usize, usize)) -> usize {
    let average = (bytes / entries.max(1)).max(1);
    (BATCH_BYTES / average).clamp(1, BATCH)
}
