//! The publishers: each numbers its messages, and notes what was answered.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result};
use proto::exproto::{PublishRequest, ResultCode};
use tokio::{sync::watch, task::JoinSet, time};

use super::Args;
use crate::{
    clients::Adapter,
    pod::{Client, Pod},
};

/// The topic of the messages with `QoS` 0.
pub(super) const LOOSE: &str = "fleet/loose/position";
/// The filter for all topics.
pub(super) const ALL: &str = "fleet/+/position";

/// Of one of those who publish with `QoS` 1.
pub(super) fn topic(publisher: usize) -> String {
    format!("fleet/{publisher}/position")
}

/// What was published.
#[derive(Default)]
pub(super) struct Published {
    /// By publisher: the numbers that were answered SUCCESS.
    pub(super) answered: Vec<BTreeSet<u64>>,
    /// How many were answered otherwise.
    pub(super) unsure: u64,
    /// How many with `QoS` 0.
    pub(super) loose: u64,
}

impl Published {
    pub(super) fn answered(&self) -> u64 {
        self.answered
            .iter()
            .map(|numbers| numbers.len() as u64)
            .sum()
    }
}

/// All of them, while they publish.
pub(super) struct Publishing {
    firm: JoinSet<Result<(usize, BTreeSet<u64>, u64)>>,
    loose: JoinSet<Result<u64>>,
}

impl Publishing {
    /// Starts them as clients of this pod; they go on until they are stopped.
    pub(super) async fn start(
        pod: &mut Pod,
        args: &Args,
        stopped: &watch::Receiver<bool>,
    ) -> Result<Self> {
        let mut publishing = Self {
            firm: JoinSet::new(),
            loose: JoinSet::new(),
        };
        for number in 0..args.publishers.get() {
            let publisher =
                Publisher::new(pod, &format!("firm-{number}"), topic(number), 1).await?;
            let stopped = stopped.clone();
            publishing.firm.spawn(async move {
                let (answered, unsure) = publisher.one_after_the_other(stopped).await?;
                Ok((number, answered, unsure))
            });
        }
        let loose = Publisher::new(pod, "loose", LOOSE.to_owned(), 0).await?;
        let pause = Duration::from_secs(1) / u32::try_from(args.loose.get())?;
        publishing
            .loose
            .spawn(loose.regularly(pause, stopped.clone()));
        Ok(publishing)
    }

    /// What they have published, once they are stopped.
    pub(super) async fn done(mut self) -> Result<Published> {
        let mut published = Published {
            answered: vec![BTreeSet::new(); self.firm.len()],
            ..Published::default()
        };
        while let Some(done) = self.firm.join_next().await {
            let (number, answered, unsure) = done??;
            published.answered[number] = answered;
            published.unsure += unsure;
        }
        while let Some(done) = self.loose.join_next().await {
            published.loose += done??;
        }
        Ok(published)
    }
}

struct Publisher {
    adapter: Adapter,
    client: Client,
    topic: String,
    qos: u32,
}

impl Publisher {
    async fn new(pod: &mut Pod, clientid: &str, topic: String, qos: u32) -> Result<Self> {
        Ok(Self {
            adapter: pod.adapter.clone(),
            client: pod.client(clientid).await?,
            topic,
            qos,
        })
    }

    async fn publish(&self, number: u64) -> Result<bool> {
        let request = PublishRequest {
            conn: self.client.conn.clone(),
            topic: self.topic.clone(),
            qos: self.qos,
            payload: number.to_be_bytes().to_vec().into(),
        };
        let answer = self.adapter.clone().publish(request).await;
        let answer = answer.context("a Publish has failed")?.into_inner();
        Ok(answer.code() == ResultCode::Success)
    }

    async fn one_after_the_other(
        self,
        stopped: watch::Receiver<bool>,
    ) -> Result<(BTreeSet<u64>, u64)> {
        let (mut answered, mut unsure) = (BTreeSet::new(), 0);
        for number in 0.. {
            if *stopped.borrow() {
                break;
            }
            if self.publish(number).await? {
                answered.insert(number);
            } else {
                unsure += 1;
            }
        }
        Ok((answered, unsure))
    }

    async fn regularly(self, pause: Duration, stopped: watch::Receiver<bool>) -> Result<u64> {
        let mut ticks = time::interval(pause);
        for number in 0.. {
            ticks.tick().await;
            if *stopped.borrow() {
                return Ok(number);
            }
            self.publish(number).await?;
        }
        Ok(0)
    }
}
