//! Bringing sessions here that another pod had: what Redis has of them, and what the logs have since.

use std::{
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::{StreamExt as _, future::try_join_all, stream};
use tokio::time::{sleep, timeout};

use super::{
    Error, Inner, Kept, SharedSessions,
    between::{Missed, Wanted},
    record::Record,
};
use crate::{
    backoff::{PAUSE, jittered},
    broker::{Queue, Session, others::Away},
    clock,
    cluster::{Partition, Place, Position},
    ownership::{Held, shown},
    redis::Failure,
};

/// Logs that are looked at once more at a time.
const AT_ONCE: usize = 64;
/// How often the logs are looked at once more, where Redis does not answer.
const LOOKS: u32 = 20;

/// One that is being brought here.
pub(super) struct Returning {
    pub(super) held: Arc<Held>,
    pub(super) record: Record,
    /// How far its pod had heard when it was as that tells, or before; none where nobody knows.
    pub(super) heard: Option<Arc<Position>>,
    pub(super) rest: Duration,
}

/// One that has subscribed again.
struct Subscribed {
    returning: Returning,
    session: Session,
    kept: Arc<Kept>,
    /// What it wants of the logs.
    filters: Vec<Wanted>,
}

/// One for which the logs are to be looked at once more.
struct Again {
    queue: Weak<Queue>,
    kept: Arc<Kept>,
    filters: Vec<Wanted>,
    places: Vec<Place>,
}

impl SharedSessions {
    /// Brings the session of a client here, where another pod had one, if it has that mark: it is then one of this pod
    /// without a connection. Without a mark the client wants none, and what Redis has is over.
    ///
    /// # Errors
    /// Redis cannot be asked for it. It is still there for a client that comes again.
    pub async fn fetch(&self, held: &Arc<Held>, mark: Option<String>) -> Result<(), Away> {
        let (inner, wanted) = (self.0.clone(), held.clone());
        let patience = inner.settings.patience;
        // Whoever waits for it may go away; then it waits here.
        let fetch = async move { timeout(patience, inner.fetch(&wanted, mark)).await };
        let why = match tokio::spawn(fetch).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(_)) | Err(_) => {
                format!("it takes longer than {patience:?} (broker.shared.timeout)")
            }
        };
        self.0.counts.not_fetched.fetch_add(1, Relaxed);
        Err(Away(format!(
            "the client's session cannot be looked for, try again: {why}"
        )))
    }
}

impl Inner {
    async fn fetch(self: &Arc<Self>, held: &Arc<Held>, mark: Option<String>) -> Result<(), Error> {
        let clientid = held.clientid();
        let _moving = self.moving(clientid).await;
        self.abandon_older(held).await?;
        if !held.is_unfetched() {
            return Ok(());
        }
        let Some(mark) = mark else {
            return self.forget_found(held).await;
        };
        let Some((record, heard)) = self.load(clientid).await? else {
            held.note_fetched();
            return Ok(());
        };
        let is_its = record.rest().is_some() && *record.standing.mark == *mark;
        if !is_its {
            return self.forget_found(held).await;
        }
        let life = record.life.clone();
        let returning = Returning {
            held: held.clone(),
            // Its client takes it at once: no other session is to be in its way.
            rest: record.standing.expiry,
            record,
            heard,
        };
        self.restore(vec![returning]).await?;
        self.counts.fetched.fetch_add(1, Relaxed);
        if let Err(failure) = self.settle(&life, clientid).await {
            tracing::debug!(%failure, "a session that is here is kept later");
        }
        Ok(())
    }

    /// What Redis has of a session, and how far its pod had heard when it was so, or before.
    async fn load(
        &self,
        clientid: &str,
    ) -> Result<Option<(Record, Option<Arc<Position>>)>, Failure> {
        let mut before = None;
        loop {
            let found = self.table.load(clientid).await?;
            let Some(mut record) = Record::open(self.table.sealer(), clientid, found) else {
                return Ok(None);
            };
            if let Some(own) = record.heard.take() {
                return Ok(Some((record, Some(Arc::new(own)))));
            }
            match before {
                Some((life, heard)) if life == record.life => return Ok(Some((record, heard))),
                _ => {}
            }
            // That pod may live, and go on with both: only a record that is read after this has all up to there.
            let heard = self.table.reached(&record.life).await?;
            before = Some((record.life, heard.map(Arc::new)));
        }
    }

    /// What Redis has of a session is over.
    async fn forget_found(&self, held: &Held) -> Result<(), Error> {
        let (clientid, claim) = (held.clientid(), held.number());
        self.table.forget(clientid, claim, "").await?;
        held.note_fetched();
        Ok(())
    }

    /// What this pod has got of it is kept as its own; then it is not left of the other one.
    pub(super) async fn settle(&self, life: &str, clientid: &Arc<str>) -> Result<(), Failure> {
        if let Some(kept) = self.kept(clientid) {
            match self.save(&kept, None).await {
                Err(failure) if !failure.is_foreign() => return Err(failure),
                _ => {}
            }
        }
        if *life == self.with.cluster.life() {
            return Ok(());
        }
        self.table.unlist(life, clientid).await
    }

    /// Brings them here, with what came in between: they are then sessions of this pod without a connection.
    pub(super) async fn restore(self: &Arc<Self>, returning: Vec<Returning>) -> Result<(), Error> {
        if returning.is_empty() {
            return Ok(());
        }
        // Then they can be kept as this pod's.
        self.note_first(&self.with.cluster.life()).await?;
        let subscribed = returning.into_iter().map(|each| self.subscribe(each));
        let subscribed: Vec<_> = subscribed.collect();
        let known = subscribed.iter().flat_map(|each| &each.filters);
        try_join_all(known.map(|(filter, _)| self.with.broker.known(filter))).await?;
        let missed = subscribed
            .iter()
            .map(|each| self.missed(&each.filters, each.returning.heard.as_deref()));
        let missed = try_join_all(missed).await?;
        let parked = subscribed.into_iter().zip(missed);
        let again: Vec<_> = parked
            .filter_map(|(each, missed)| self.park(each, missed))
            .collect();
        if !again.is_empty() {
            tokio::spawn(self.clone().look_again(again));
        }
        Ok(())
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
    async fn missed(
        &self,
        filters: &[Wanted],
        heard: Option<&Position>,
    ) -> Result<Missed, Failure> {
        if filters.is_empty() {
            return Ok(Missed::default());
        }
        let partitions = Partition::of_filters(filters.iter().map(|(filter, _)| filter));
        // Whoever gave it up may not have known.
        let heard = heard.filter(|heard| !heard.places.is_empty());
        let (places, away) = match heard {
            Some(heard) => {
                let places = partitions.iter();
                let places = places.filter_map(|each| heard.places.get(each).copied());
                let away = clock::now().saturating_sub(heard.time);
                (places.collect(), Duration::from_millis(away))
            }
            None => (self.with.logs.ends(&partitions).await?, Duration::ZERO),
        };
        let most = self.settings.most;
        let mut missed = self.between.missed(filters, places, away, most).await?;
        missed.has_hole |= heard.is_none();
        Ok(missed)
    }

    fn park(self: &Arc<Self>, subscribed: Subscribed, missed: Missed) -> Option<Again> {
        let Subscribed {
            returning,
            session,
            kept,
            filters,
        } = subscribed;
        let Returning {
            held, record, rest, ..
        } = returning;
        let clientid = held.clientid();
        if missed.has_hole {
            self.note_gap(clientid);
        }
        let queue = session.queue.clone();
        let mut restored = record.restored;
        let between = missed.messages.into_iter();
        restored.between = between.map(|(_, message)| message).collect();
        queue.restore(restored);
        kept.ends_in(rest);
        self.kept.insert(clientid.clone(), kept.clone());
        held.note_fetched();
        let mark = &record.standing.mark;
        self.with.sessions.park(clientid, mark, session, rest);
        if held.is_lost() {
            self.abandon(&kept);
            return None;
        }
        (!missed.places.is_empty()).then(|| Again {
            queue: Arc::downgrade(&queue),
            kept,
            filters,
            places: missed.places,
        })
    }

    fn note_gap(&self, clientid: &str) {
        let before = self.counts.gaps.fetch_add(1, Relaxed);
        if (before + 1).is_power_of_two() {
            let clientid = shown(clientid);
            tracing::warn!(
                clientid,
                "messages of QoS 1 and 2 may be missing in sessions: the logs do not tell all that came since their pod was heard of"
            );
        }
    }

    /// Looks once more, some time later: then nothing is on its way any more that could have passed the sessions by.
    async fn look_again(self: Arc<Self>, again: Vec<Again>) {
        sleep(self.with.logs.patience()).await;
        let look = async |each: Again| {
            for _ in 0..LOOKS {
                let Some(queue) = each.queue.upgrade() else {
                    return;
                };
                let places = each.places.clone();
                let most = self.settings.most;
                let missed = self
                    .between
                    .missed(&each.filters, places, Duration::ZERO, most);
                if let Ok(missed) = missed.await {
                    let messages = missed.messages.into_iter();
                    let messages = messages.map(|(_, message)| message).collect();
                    for message in queue.missed(messages).into_iter().flatten() {
                        // It may have unsubscribed meanwhile.
                        if each.kept.wants(&message.topic) {
                            queue.push(message);
                        }
                    }
                    if !missed.has_hole {
                        return;
                    }
                    break;
                }
                drop(queue);
                sleep(jittered(PAUSE)).await;
            }
            self.note_gap("");
        };
        stream::iter(again).for_each_concurrent(AT_ONCE, look).await;
    }
}
