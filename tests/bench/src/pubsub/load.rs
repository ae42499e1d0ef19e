//! Publishing: one message after the other, each when all have the one before it, or at an even rate.

use std::{
    fmt,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use proto::exproto::{
    PublishRequest, ResultCode, connection_adapter_client::ConnectionAdapterClient,
};
use tokio::{task::JoinSet, time};
use tonic::transport::Channel;

use super::inbox::{Counting, Inbox};
use crate::{
    generator::PATIENCE,
    rounds::{Times, microseconds},
};

/// Messages must arrive.
pub(super) const QOS: u32 = 1;

/// Who publishes, and where it arrives. Clones are the same.
#[derive(Clone)]
pub(super) struct Publisher {
    pub(super) adapter: ConnectionAdapterClient<Channel>,
    pub(super) conn: String,
    pub(super) inbox: Arc<Inbox>,
}

/// The figures of messages published one after the other.
pub(super) struct Burst {
    pub(super) per_second: f64,
    /// Until all subscribers have a message.
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

/// The topic to which so many subscribe.
pub(super) fn topic(subscribers: u32) -> String {
    format!("to/{subscribers}")
}

impl Publisher {
    /// Publishes the next message when all have the one before it.
    pub(super) async fn in_turn(
        &self,
        subscribers: u32,
        payload: u32,
        times: &Times,
    ) -> Result<Burst> {
        self.repeat(subscribers, payload, times.warmup).await?;
        let began = Instant::now();
        let (counting, published) = self.repeat(subscribers, payload, times.duration).await?;
        let deliveries = f64::from(subscribers) * f64::from(published);
        Ok(Burst {
            per_second: deliveries / began.elapsed().as_secs_f64(),
            p50_us: microseconds(counting.latencies.percentile(50)),
            p99_us: microseconds(counting.latencies.percentile(99)),
        })
    }

    async fn repeat(
        &self,
        subscribers: u32,
        payload: u32,
        duration: Duration,
    ) -> Result<(Arc<Counting>, u32)> {
        let counting = self.inbox.count(subscribers);
        let until = Instant::now() + duration;
        let mut published = 0;
        while Instant::now() < until {
            self.publish(subscribers, payload).await?;
            published += 1;
            arrival(&counting, published).await?;
        }
        Ok((counting, published))
    }

    /// Publishes so often a second to one subscriber, whatever becomes of it: p50 and p99.
    pub(super) async fn at_rate(
        &self,
        rate: NonZeroU32,
        payload: u32,
        times: &Times,
    ) -> Result<[f64; 2]> {
        self.pace(rate, payload, times.warmup).await?;
        let counting = self.pace(rate, payload, times.duration).await?;
        Ok([50, 99].map(|percent| microseconds(counting.latencies.percentile(percent))))
    }

    async fn pace(
        &self,
        rate: NonZeroU32,
        payload: u32,
        duration: Duration,
    ) -> Result<Arc<Counting>> {
        let counting = self.inbox.count(1);
        let until = Instant::now() + duration;
        let mut ticks = time::interval(Duration::from_secs(1) / rate.get());
        let mut running = JoinSet::new();
        let mut published = 0;
        while Instant::now() < until {
            ticks.tick().await;
            let this = self.clone();
            running.spawn(async move { this.publish(1, payload).await });
            published += 1;
            while let Some(done) = running.try_join_next() {
                done??;
            }
        }
        while let Some(done) = running.join_next().await {
            done??;
        }
        arrival(&counting, published).await?;
        Ok(counting)
    }

    async fn publish(&self, subscribers: u32, payload: u32) -> Result<()> {
        let request = PublishRequest {
            conn: self.conn.clone(),
            topic: topic(subscribers),
            qos: QOS,
            payload: self.inbox.stamp(payload as usize),
        };
        let answer = time::timeout(PATIENCE, self.adapter.clone().publish(request)).await;
        let answer = answer.context("a Publish takes too long")??.into_inner();
        ensure!(
            answer.code() == ResultCode::Success,
            "a Publish was answered {}: {}",
            answer.code().as_str_name(),
            answer.message
        );
        Ok(())
    }
}

async fn arrival(counting: &Counting, published: u32) -> Result<()> {
    let all = time::timeout(PATIENCE, counting.all(published)).await;
    all.with_context(|| format!("a message did not reach everybody within {PATIENCE:?}"))?
}

impl fmt::Display for Burst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99) = (self.p50_us, self.p99_us);
        write!(
            f,
            "{:.0}/s, p50 {p50:.0} µs, p99 {p99:.0} µs",
            self.per_second
        )
    }
}
