//! Bringing sessions back that another pod had: what Redis has of them, and what the logs have since.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::{StreamExt as _, future::join_all, stream};
use tokio::time::{sleep, timeout};

use super::{
    Inner, Kept, Over, Restoring, SharedSessions,
    between::{Missed, Wanted},
    record::Record,
};
use crate::{
    broker::{Queue, Session},
    clock,
    cluster::{Partition, Place, Position},
    ownership::{Held, shown},
    redis::Failure,
};

/// Sessions of a dead pod that are looked for at once.
const AT_ONCE: usize = 64;

/// One that is being brought back.
struct Returning {
    held: Arc<Held>,
    record: Record,
    rest: Duration,
}

/// One that has subscribed again.
struct Subscribed {
    returning: Returning,
    session: Session,
    kept: Arc<Kept>,
    /// What it wants of the logs.
    filters: Vec<Wanted>,
}

impl SharedSessions {
    /// Brings the client's session here, where another pod had one: it is then one of this pod without a connection.
    pub async fn fetch(&self, held: &Arc<Held>, mark: &str) {
        let (inner, held, mark) = (self.0.clone(), held.clone(), mark.to_owned());
        let patience = inner.settings.patience;
        let fetch = async move { timeout(patience, inner.fetch(&held, &mark)).await };
        // Whoever waits for it may go away; the client finds it the next time.
        let why = match tokio::spawn(fetch).await {
            Ok(Ok(Ok(()))) => return,
            Ok(Ok(Err(failure))) => failure.to_string(),
            Ok(Err(_)) | Err(_) => "it takes too long".to_owned(),
        };
        self.0.counts.not_fetched.fetch_add(1, Relaxed);
        tracing::warn!(
            why,
            "a client does not find its session, as Redis could not be asked for it"
        );
    }

    /// Takes over some of the sessions of a dead pod, from there on. Where to go on; 0 where that was all.
    ///
    /// # Errors
    /// Redis does not answer; what is left is taken over when this is tried again.
    pub async fn inherit(&self, life: &str, cursor: u64) -> Result<u64, Failure> {
        let inner = &self.0;
        let (next, clientids) = inner.table.listed(life, cursor).await?;
        let clientids: Vec<Arc<str>> = clientids.into_iter().map(Arc::from).collect();
        inner.restoring.lock().extend(clientids.iter().cloned());
        let restoring = Restoring {
            clientids: clientids.clone(),
            all: Arc::downgrade(inner),
        };
        let found = stream::iter(clientids.clone())
            .map(async |clientid| inner.claim(life, &clientid).await);
        let found: Vec<_> = found.buffer_unordered(AT_ONCE).collect().await;
        let found: Result<Vec<_>, _> = found.into_iter().collect();
        let returning: Vec<_> = found?.into_iter().flatten().collect();
        if !returning.is_empty() {
            let count = returning.len();
            tracing::info!(life, count, "sessions of a pod that is gone go on here");
            inner.counts.inherited.fetch_add(count as u64, Relaxed);
        }
        inner.restore(returning).await;
        drop(restoring);
        let settled =
            stream::iter(clientids).map(async |clientid| inner.settle(life, &clientid).await);
        let settled: Vec<_> = settled.buffer_unordered(AT_ONCE).collect().await;
        settled.into_iter().collect::<Result<(), _>>()?;
        if next == 0 {
            inner.table.bury(life).await?;
        }
        Ok(next)
    }
}

impl Inner {
    async fn fetch(self: &Arc<Self>, held: &Arc<Held>, mark: &str) -> Result<(), Failure> {
        let clientid = held.clientid();
        self.not_restoring(clientid).await;
        if self.with.sessions.has(clientid) || !held.take_unfetched() {
            return Ok(());
        }
        let found = self.table.load(clientid).await?;
        let Some(record) = Record::open(self.table.sealer(), clientid, found) else {
            return Ok(());
        };
        let rest = record.rest();
        let Some(rest) = rest.filter(|_| *record.standing.mark == *mark) else {
            self.end(Over::Found(held.clone()));
            return Ok(());
        };
        let returning = Returning {
            held: held.clone(),
            record,
            rest,
        };
        self.restore(vec![returning]).await;
        self.counts.fetched.fetch_add(1, Relaxed);
        Ok(())
    }

    /// A session of a dead pod, if nobody has claimed it since.
    async fn claim(&self, life: &str, clientid: &Arc<str>) -> Result<Option<Returning>, Failure> {
        let found = self.table.load(clientid).await?;
        let (pod, number) = found.owner.clone();
        let record = Record::open(self.table.sealer(), clientid, found);
        let Some(record) = record.filter(|record| record.life == life) else {
            return Ok(None);
        };
        let Some(rest) = record.rest() else {
            return Ok(None);
        };
        let held = self
            .with
            .ownership
            .inherit(clientid, (&pod, number))
            .await?;
        Ok(held.map(|held| Returning { held, record, rest }))
    }

    /// What this pod has got of it is kept as its own; then it is not left of the dead one.
    async fn settle(&self, life: &str, clientid: &Arc<str>) -> Result<(), Failure> {
        let kept = self.kept.get(clientid).map(|kept| kept.clone());
        if let Some(kept) = kept {
            self.save(&kept).await?;
        }
        self.table.unlist(life, clientid).await
    }

    /// Brings them back, with what came in between: they are then sessions of this pod without a connection.
    async fn restore(self: &Arc<Self>, returning: Vec<Returning>) {
        let mut heard = HashMap::new();
        for Returning { record, .. } in &returning {
            if !heard.contains_key(&record.life) {
                // Without it, what came in between is not found.
                let reached = self.table.reached(&record.life).await.ok().flatten();
                heard.insert(record.life.clone(), reached);
            }
        }
        let subscribed = returning.into_iter().map(|each| self.subscribe(each));
        let subscribed: Vec<_> = subscribed.collect();
        let known = subscribed.iter().flat_map(|each| &each.filters);
        join_all(known.map(|filter| self.with.broker.known(&filter.0))).await;
        let missed = subscribed.iter().map(|each| {
            let heard = heard
                .get(&each.returning.record.life)
                .and_then(Option::as_ref);
            self.missed(&each.filters, heard)
        });
        let missed = join_all(missed).await;
        for (each, missed) in subscribed.into_iter().zip(missed) {
            self.park(each, missed);
        }
    }

    fn subscribe(self: &Arc<Self>, returning: Returning) -> Subscribed {
        let broker = &self.with.broker;
        let Record {
            standing, filters, ..
        } = &returning.record;
        let mut session = self.with.sessions.empty(broker);
        let kept = Kept::new(
            &returning.held,
            &session.queue,
            standing.clone(),
            filters.iter().cloned(),
            self,
        );
        let subscribed = filters.iter().map(|(filter, held)| (filter, held.qos));
        session
            .subscriptions
            .restore(broker, &session.queue, subscribed);
        let plain = filters
            .iter()
            .filter(|(filter, _)| filter.group().is_none());
        Subscribed {
            filters: plain
                .map(|(filter, subscribed)| (filter.clone(), subscribed.since))
                .collect(),
            returning,
            session,
            kept,
        }
    }

    /// What came for these filters since their pod had heard so much.
    async fn missed(&self, filters: &[Wanted], heard: Option<&Position>) -> Missed {
        if filters.is_empty() {
            return Missed::default();
        }
        let missed = async {
            let partitions = Partition::of_filters(filters.iter().map(|(filter, _)| filter));
            let (places, away) = match heard {
                Some(heard) => {
                    let places = partitions
                        .iter()
                        .filter_map(|each| heard.places.get(each).copied());
                    let away = clock::now().saturating_sub(heard.time);
                    (places.collect(), Duration::from_millis(away))
                }
                None => (self.with.logs.ends(&partitions).await?, Duration::ZERO),
            };
            self.between
                .missed(filters, places, away, self.settings.messages)
                .await
        };
        let mut missed = missed.await.unwrap_or_else(|failure| {
            tracing::debug!(%failure, "what came for a session in between is not found");
            Missed {
                has_hole: true,
                ..Missed::default()
            }
        });
        missed.has_hole |= heard.is_none();
        missed
    }

    fn park(self: &Arc<Self>, subscribed: Subscribed, missed: Missed) {
        let Subscribed {
            returning,
            session,
            kept,
            filters,
        } = subscribed;
        let Returning { held, record, rest } = returning;
        let clientid = held.clientid();
        if missed.has_hole {
            self.counts.gaps.fetch_add(1, Relaxed);
            let clientid = shown(clientid);
            tracing::warn!(
                clientid,
                "messages of QoS 1 and 2 may be missing in a session: the logs do not tell all that came since its pod was heard of"
            );
        }
        let queue = session.queue.clone();
        let mut restored = record.restored;
        restored.between = missed
            .messages
            .into_iter()
            .map(|(_, message)| message)
            .collect();
        queue.restore(restored);
        self.kept.insert(clientid.clone(), kept.clone());
        self.with
            .sessions
            .park(clientid, &record.standing.mark, session, rest);
        if held.is_lost() {
            self.abandon(&kept);
        } else if !missed.places.is_empty() {
            tokio::spawn(self.clone().look_again(queue, filters, missed.places));
        }
    }

    /// Looks once more, some time later: then nothing is on its way any more that could have passed the session by.
    async fn look_again(
        self: Arc<Self>,
        queue: Arc<Queue>,
        filters: Vec<Wanted>,
        places: Vec<Place>,
    ) {
        let queue = {
            let weak = Arc::downgrade(&queue);
            drop(queue);
            weak
        };
        sleep(self.with.logs.patience()).await;
        let most = self.settings.messages;
        let missed = self
            .between
            .missed(&filters, places, Duration::ZERO, most)
            .await;
        if let (Some(queue), Ok(missed)) = (queue.upgrade(), missed) {
            for (_, message) in missed.messages {
                queue.push(message);
            }
        }
    }
}
