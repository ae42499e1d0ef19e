//! A link as a pod has it, and what a test asks of it.

use std::{fs, sync::Arc};

use bytes::Bytes;
use config::Config;
use exproto_gateway::{
    metrics::Metrics,
    redis::{Cause, Link, Problem, Push, Pushes, Slots, State},
};
use exproto_tests::{until, within};
use tempfile::TempDir;

/// A link, with its end of the queue.
pub(crate) struct Pod {
    pub(crate) link: Link,
    pub(crate) pushes: Pushes,
    metrics: Arc<Metrics>,
    _folder: TempDir,
}

impl Pod {
    /// Of the cluster with the usual key. `more` stands among the settings of `redis`.
    pub(crate) fn new(urls: &[String], more: &str) -> Self {
        Self::with_key(urls, more, &[7; 32])
    }

    pub(crate) fn with_key(urls: &[String], more: &str, key: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, key).unwrap();
        let text = format!(
            "broker: {{kind: redis}}\ncluster: {{key_file: {}}}\nredis: {{urls: [{}], backoff_min: 20ms, backoff_max: \
             200ms, {more}}}",
            file.display(),
            urls.join(", ")
        );
        let config = Config::parse(&text, "test.yaml").unwrap();
        let metrics = Metrics::new();
        let (link, pushes) = Link::start(&config.redis, &config.cluster, &metrics).unwrap();
        Self {
            link,
            pushes,
            metrics,
            _folder: folder,
        }
    }

    /// The same, once it is connected.
    pub(crate) async fn connected(urls: &[String], more: &str) -> Self {
        let pod = Self::new(urls, more);
        pod.is_connected().await;
        pod
    }

    pub(crate) async fn is_connected(&self) {
        let mut state = self.link.state();
        let connected = within("a connection", state.wait_for(State::is_connected)).await;
        connected.unwrap();
    }

    /// Waits until it is away for such a reason.
    pub(crate) async fn is_away(&self, reason: impl Fn(&Problem) -> bool) -> Problem {
        let mut state = self.link.state();
        let away = |state: &State| matches!(state, State::Away { why, .. } if reason(why));
        let state = within("the link to be away", state.wait_for(away)).await;
        match state.unwrap().clone() {
            State::Away { why, .. } => why,
            State::Connected { .. } => unreachable!("it was waited for"),
        }
    }

    pub(crate) async fn push(&mut self) -> Push {
        within("a push", self.pushes.next()).await
    }

    /// The next message, past all marks.
    pub(crate) async fn message(&mut self) -> (Bytes, Bytes) {
        loop {
            if let Push::Message { channel, payload } = self.push().await {
                return (channel, payload);
            }
        }
    }

    /// The next gap, past everything else.
    pub(crate) async fn gap(&mut self) -> (Slots, Cause) {
        loop {
            if let Push::Gap { slots, cause } = self.push().await {
                return (slots, cause);
            }
        }
    }

    /// Waits until the subscription of this channel stands again.
    pub(crate) async fn again(&mut self, channel: &str) {
        loop {
            if let Push::Again { slots } = self.push().await
                && slots.hold(channel.as_bytes())
            {
                return;
            }
        }
    }

    /// Publishes until it is taken.
    pub(crate) async fn publish(&self, channel: &str, payload: &str) {
        until("a message to be taken", async || {
            let published = self.link.publish(channel, payload.as_bytes()).await;
            published.is_ok()
        })
        .await;
    }

    /// A command until it is carried out.
    pub(crate) async fn works(&self, key: &str) {
        until("a command to be carried out", async || {
            self.set(key).await.is_ok()
        })
        .await;
    }

    pub(crate) async fn set(&self, key: &str) -> Result<(), exproto_gateway::redis::Failure> {
        let mut set = redis::cmd("SET");
        set.arg(key).arg("value");
        self.link.command(key, &set).await
    }

    /// What the metrics say of a series.
    pub(crate) fn counted(&self, series: &str) -> u64 {
        let text = String::from_utf8(self.metrics.render()).unwrap();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }
}

/// Names in so many slots.
pub(crate) fn channels(link: &Link, count: usize) -> Vec<String> {
    (0..count)
        .map(|index| link.key(&format!("p{}", index % 128), &format!(".topic/{index}")))
        .collect()
}
