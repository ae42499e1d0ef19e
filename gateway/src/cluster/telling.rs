//! How others are told of what is wanted and published here: the cluster, as the broker knows it.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::future::BoxFuture;
use proto::cluster::{Envelope, Share};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout_at},
};

use super::{
    Cluster, Failure, Inner, envelope, log,
    names::{PARTITIONS, Partition},
    outbox::{Item, Keeping},
};
use crate::{
    backoff::jittered,
    broker::{
        Filter, Message, Topic, Version,
        others::{Away, Others, Told, Wanted},
    },
    seal::Kind,
};

/// The first pause before a message that must not be lost is sent again; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Why nothing is known of a try that took too long.
const UNANSWERED: &str = "Redis has not answered";

impl Others for Cluster {
    fn subscribed(&self, filter: &Filter) {
        self.0.interest.add(filter);
    }

    fn unsubscribed(&self, filter: &Filter) {
        self.0.interest.remove(filter);
    }

    fn known<'a>(&'a self, filter: &'a Filter) -> BoxFuture<'a, Result<(), Away>> {
        Box::pin(self.0.interest.known(filter, self.0.settings.patience))
    }

    fn wanted(&self, topic: &Topic) -> Wanted {
        self.0.table.wanted(topic)
    }

    fn send(&self, message: &Arc<Message>, to: Told) {
        let counts = &self.0.counts;
        counts.sent.fetch_add(1, Relaxed);
        if let Err(item) = self.0.outbox.add(self.0.item(message, to)) {
            let copies = 1 + item.inboxes.len() as u64;
            counts.dropped.fetch_add(copies, Relaxed);
        }
    }

    fn keep<'a>(&'a self, message: &'a Arc<Message>, to: Told) -> BoxFuture<'a, Result<(), Away>> {
        Box::pin(async move {
            let inner = &*self.0;
            let mut patience = Patience::new(inner.settings.patience);
            let mut at = None;
            loop {
                let kept = inner.try_keep(message, &to, &mut at);
                let why = match timeout_at(patience.until, kept).await {
                    Ok(Ok(())) => {
                        inner.counts.kept.fetch_add(1, Relaxed);
                        return Ok(());
                    }
                    Ok(Err(failed)) => failed.to_string(),
                    Err(_) => UNANSWERED.to_owned(),
                };
                // What comes twice is known by its id.
                if !patience.pauses().await {
                    inner.counts.not_kept.fetch_add(1, Relaxed);
                    let patience = inner.settings.patience;
                    return Err(Away(format!(
                        "{why}, for {patience:?}; publish it again later"
                    )));
                }
            }
        })
    }

    fn parts(&self) -> usize {
        PARTITIONS.into()
    }

    fn retain<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<Version, Away>> {
        Box::pin(async move {
            let inner = &*self.0;
            let partition = Partition::of(message.topic.as_str());
            let sealed = inner.sealer.seal(Kind::Retained, &envelope(message));
            let mut patience = Patience::new(inner.settings.patience);
            let mut may_be_done = false;
            loop {
                let written = inner.retainer.write(inner, partition, message, &sealed);
                let why = match timeout_at(patience.until, written).await {
                    Ok(Ok(number)) => {
                        inner.counts.retained.fetch_add(1, Relaxed);
                        let part = partition.index();
                        return Ok(Version { part, number });
                    }
                    Ok(Err(failure)) => {
                        // Of a script that was refused, what it did before may be done.
                        may_be_done |=
                            failure.may_be_done() || matches!(failure, Failure::Refused { .. });
                        failure.to_string()
                    }
                    Err(_) => {
                        may_be_done = true;
                        UNANSWERED.to_owned()
                    }
                };
                // Written twice, it is the same with a later number.
                if !patience.pauses().await {
                    inner.counts.not_retained.fetch_add(1, Relaxed);
                    let patience = inner.settings.patience;
                    let retained = if may_be_done {
                        "which may be retained all the same"
                    } else {
                        "and it is not retained"
                    };
                    return Err(Away(format!(
                        "{why}, for {patience:?}; nobody got the message, {retained}; publish it again later"
                    )));
                }
            }
        })
    }
}

/// For how long something is tried.
struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    fn new(patience: Duration) -> Self {
        Self {
            until: Instant::now() + patience,
            pause: PAUSE,
        }
    }

    /// Waits before the next try. Whether there is time for one.
    async fn pauses(&mut self) -> bool {
        let wait = jittered(self.pause);
        if Instant::now() + wait >= self.until {
            return false;
        }
        sleep(wait).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

impl Inner {
    fn item(&self, message: &Message, to: Told) -> Item {
        let shares = to.shares.iter().map(|(filter, pod)| Share {
            filter: filter.to_string(),
            pod: pod.to_string(),
        });
        let envelope = Envelope {
            pod: self.settings.own.as_ref().to_owned(),
            shares: shares.collect(),
            retained: to.retained.map_or(0, |version| version.number),
            ..envelope(message)
        };
        let sealed = self.sealer.seal(Kind::Message, &envelope);
        let mut pods = to.pods;
        for (_, pod) in to.shares {
            if !pods.contains(&pod) {
                pods.push(pod);
            }
        }
        Item {
            sealed,
            channel: self.names.topic(message.topic.as_str()),
            inboxes: pods.iter().map(|pod| self.names.inbox(pod)).collect(),
            kept: None,
        }
    }

    /// One try to have the message kept, and others told. `at` is where it stands in the log, once it does.
    async fn try_keep(
        &self,
        message: &Message,
        to: &Told,
        at: &mut Option<log::Id>,
    ) -> Result<(), Failed> {
        let mut item = self.item(message, to.clone());
        let (reply, answer) = oneshot::channel();
        item.kept = Some(Box::new(Keeping {
            log: self.names.log(Partition::of(message.topic.as_str())),
            at: *at,
            reply,
        }));
        self.outbox.add(item).map_err(|_| Failed::NoRoom)?;
        match answer.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failed)) => {
                *at = failed.at;
                Err(Failed::Redis(failed.failure))
            }
            Err(_) => Err(Failed::NoRoom),
        }
    }
}

/// Why a message was not kept.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Redis(Failure),
    #[error("too much waits for Redis already (broker.outbox)")]
    NoRoom,
}
