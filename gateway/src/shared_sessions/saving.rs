//! Having Redis keep the sessions of this pod as they change, and forget those that are over.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;

use super::{Inner, Kept, table::Written};
use crate::{
    backoff::{PAUSE, jittered},
    clock,
    cluster::{Partition, Position},
    connection::CloseReason,
    redis::Failure,
};

/// Sessions that Redis is told of at once.
const AT_ONCE: usize = 64;
/// Between two looks whether messages may be missing here.
const LOOK: Duration = Duration::from_millis(50);
/// Sessions that are looked at before others have their turn.
const AT_A_LOOK: usize = 256;

/// Runs for ever.
pub(super) async fn save(inner: Arc<Inner>) {
    loop {
        sleep(jittered(inner.settings.interval)).await;
        inner.save_all().await;
    }
}

/// Has Redis forget what is over, for ever.
pub(super) async fn forget(inner: Arc<Inner>, over: mpsc::Receiver<Arc<Kept>>) {
    let forget = async |kept: Arc<Kept>| {
        while !kept.held.is_lost()
            && let Err(failure) = kept.forget(&inner.table).await
            && !failure.is_foreign()
        {
            tracing::debug!(%failure, "Redis still has a session that is over");
            sleep(jittered(PAUSE)).await;
        }
        // The next session of that client may have been listed meanwhile.
        if let Some(next) = inner.kept(&kept.clientid) {
            next.note_unlisted().await;
        }
    };
    ReceiverStream::new(over)
        .for_each_concurrent(AT_ONCE, forget)
        .await;
}

impl Inner {
    /// Has Redis keep all that has changed, and notes how far that holds. Whether it could be.
    pub(super) async fn save_all(&self) -> bool {
        let life = self.with.cluster.life();
        let heard = self.heard();
        let kept: Vec<Arc<Kept>> = self.kept.iter().map(|each| each.clone()).collect();
        let (taken, kept): (Vec<_>, Vec<_>) = kept.into_iter().partition(|kept| kept.is_taken());
        for kept in taken {
            self.abandon(&kept);
        }
        if kept.is_empty() {
            let mut noted = self.noted.lock();
            if self.kept.is_empty() {
                *noted = None;
            }
            return true;
        }
        let mut is_kept = true;
        for some in kept.chunks(AT_A_LOOK) {
            let some = some.iter().cloned();
            let saved = stream::iter(some).map(async |kept| self.save_one(&kept).await);
            let saved: Vec<_> = saved.buffer_unordered(AT_ONCE).collect().await;
            is_kept &= saved.into_iter().all(|is_kept| is_kept);
        }
        // Where messages may be missing here, what was noted last still holds. So it does where others have the sessions,
        // which were not kept then.
        let is_taken = kept.iter().any(|kept| kept.is_taken());
        let Some(heard) = heard.filter(|_| is_kept && !is_taken) else {
            return is_kept;
        };
        let Ok(listed) = self.note(&life, heard).await else {
            return false;
        };
        // Who has gone meanwhile was here no more before it left the list.
        let is_here = |kept: &&Arc<Kept>| {
            let known = self.kept(&kept.clientid);
            known.is_some_and(|known| Arc::ptr_eq(&known, kept))
        };
        let here: Vec<_> = kept.iter().filter(is_here).collect();
        if listed < here.len() {
            tracing::warn!("Redis has lost which sessions this pod has; it gets them again");
            for kept in here {
                kept.note_unlisted().await;
            }
        }
        true
    }

    /// Whether it is kept; also where it never will be, which holds up no others.
    async fn save_one(&self, kept: &Arc<Kept>) -> bool {
        let saved = self.save_or_give(kept).await;
        if kept.is_gone() {
            self.abandon(kept);
        }
        let Err(failure) = saved else { return true };
        let before = self.counts.not_saved.fetch_add(1, Relaxed);
        if (before + 1).is_power_of_two() {
            tracing::warn!(%failure, "Redis has sessions as they were before");
        }
        failure.is_foreign()
    }

    /// Has Redis keep it as what it is here: this pod's, or another one's.
    pub(super) async fn save_or_give(&self, kept: &Arc<Kept>) -> Result<(), Failure> {
        if kept.is_taken() {
            self.abandon(kept);
            Ok(())
        } else if kept.given_up().is_some() {
            self.finish_giving(kept).await
        } else if kept.held.is_lost() {
            self.save_lost(kept).await
        } else {
            self.save(kept, None).await
        }
    }

    /// Another pod has the client. Where it has not had the session yet, what is here of it is still needed.
    async fn save_lost(&self, kept: &Arc<Kept>) -> Result<(), Failure> {
        let heard = self.heard().or_else(|| self.heard_last());
        match self.save(kept, Some(&heard.unwrap_or_default())).await {
            Err(failure) if !failure.is_foreign() => Err(failure),
            _ => {
                self.abandon(kept);
                Ok(())
            }
        }
    }

    /// Has Redis keep it as it is now; where it is given up, with how far this pod had heard, or with that nobody knows.
    pub(super) async fn save(
        &self,
        kept: &Arc<Kept>,
        heard: Option<&Position>,
    ) -> Result<(), Failure> {
        let life = self.with.cluster.life();
        // Since the life before that is over.
        if kept.is_taken() {
            return Ok(());
        }
        if heard.is_none() {
            self.note_first(&life).await?;
        }
        match kept.save(&self.table, &life, heard).await? {
            Some(Written::Done(_)) => drop(self.counts.saved.fetch_add(1, Relaxed)),
            Some(Written::Lost) => {
                if let Some(client) = self.with.ownership.lose(&kept.held) {
                    client.end(CloseReason::Discarded);
                }
                self.abandon(kept);
            }
            Some(Written::Differs) | None => {}
        }
        Ok(())
    }

    /// How far this pod has heard; nothing while messages may be missing.
    pub(super) fn heard(&self) -> Option<Position> {
        let time = clock::now();
        let places = self.with.logs.heard(&Partition::of_all())?;
        let places = places.into_iter().map(|place| (place.partition, place));
        Some(Position {
            time,
            places: places.collect(),
        })
    }

    /// How far it had when all was kept last.
    pub(super) fn heard_last(&self) -> Option<Position> {
        let noted = self.noted.lock();
        noted.as_ref().map(|(_, heard)| heard.clone())
    }

    /// Where nothing is noted yet in this life: the logs are to be read from here on for its first sessions. While messages
    /// may be missing here nobody could say from where on, and it waits, but not without end.
    pub(super) async fn note_first(&self, life: &str) -> Result<(), Failure> {
        let patience = self.settings.patience;
        let noted = timeout(patience, self.note_once_heard(life)).await;
        noted.unwrap_or(Err(Failure::TimedOut {
            limit: patience,
            sent: false,
        }))
    }

    async fn note_once_heard(&self, life: &str) -> Result<(), Failure> {
        // One does: for the second session it would be later, and the first one may be kept as it was before.
        let _noting = self.noting.lock().await;
        loop {
            let is_noted = {
                let noted = self.noted.lock();
                noted.as_ref().is_some_and(|(noted, _)| noted == life)
            };
            if is_noted {
                return Ok(());
            }
            if let Some(heard) = self.heard() {
                return self.note(life, heard).await.map(drop);
            }
            sleep(LOOK).await;
        }
    }

    /// All sessions are kept as they were then. How many are listed.
    async fn note(&self, life: &str, heard: Position) -> Result<usize, Failure> {
        let listed = self.table.reach(life, &heard).await?;
        // What is noted late, of a life that is over, tells nothing of the one that has begun.
        if *life == self.with.cluster.life() {
            *self.noted.lock() = Some((life.to_owned(), heard));
        }
        Ok(listed)
    }
}
