//! Having Redis keep the sessions of this pod as they change, and forget those that are over.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::wrappers::ReceiverStream;

use super::{Inner, Kept, Over};
use crate::{
    backoff::{PAUSE, jittered},
    clock,
    cluster::{Partition, Position},
    redis::Failure,
};

/// Sessions that Redis is told of at once.
const AT_ONCE: usize = 64;
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
pub(super) async fn forget(inner: Arc<Inner>, over: mpsc::Receiver<Over>) {
    let forget = async |over: Over| {
        while let Err(failure) = inner.forget(&over).await {
            tracing::debug!(%failure, "Redis still has a session that is over");
            sleep(jittered(PAUSE)).await;
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
        if kept.is_empty() {
            *self.noted.lock() = None;
            return true;
        }
        let mut is_kept = true;
        for some in kept.chunks(AT_A_LOOK) {
            let some = some.iter().cloned();
            let saved = stream::iter(some).map(async |kept| self.save_one(&kept).await);
            let saved: Vec<_> = saved.buffer_unordered(AT_ONCE).collect().await;
            for failure in saved.into_iter().filter_map(Result::err) {
                is_kept = false;
                tracing::debug!(%failure, "Redis has a session as it was before");
            }
        }
        // Where messages may be missing here, what was noted last still holds.
        match heard.filter(|_| is_kept) {
            Some(heard) => self.note(&life, &heard).await.is_ok(),
            None => is_kept,
        }
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

    /// All sessions are kept as they were then.
    pub(super) async fn note(&self, life: &str, heard: &Position) -> Result<(), Failure> {
        self.table.reach(life, heard).await?;
        *self.noted.lock() = Some(life.to_owned());
        Ok(())
    }

    async fn save_one(&self, kept: &Arc<Kept>) -> Result<(), Failure> {
        let is_lost = kept.held.is_lost();
        // Where nobody has taken it over yet, what is here of it is still needed.
        self.save(kept).await?;
        if is_lost || kept.is_gone() {
            self.abandon(kept);
        }
        Ok(())
    }

    async fn forget(&self, over: &Over) -> Result<(), Failure> {
        match over {
            Over::Own(kept) if kept.held.is_lost() => Ok(()),
            Over::Own(kept) => kept.forget(&self.table).await,
            Over::Found(held) => self.table.forget(held.clientid(), held.number()).await,
        }
    }
}
