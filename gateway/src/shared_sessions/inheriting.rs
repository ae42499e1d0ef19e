//! Taking over the sessions of a dead pod.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Error, Inner, SharedSessions, record::Record, restoring::Returning};
use crate::{
    cluster::{Position, Whereabouts},
    ownership::shown,
    redis::Failure,
};

/// Sessions that are looked for at once.
const AT_ONCE: usize = 64;

impl SharedSessions {
    /// Takes over some of the sessions of a dead pod, from there on. Where to go on, 0 where that was all; none where
    /// this pod has no room for more.
    ///
    /// # Errors
    /// What is left is taken over when this is tried again.
    pub async fn inherit(&self, life: &str, cursor: u64) -> Result<Option<u64>, Error> {
        let inner = &self.0;
        // Before they are claimed: they have to be kept as this pod's.
        inner.note_first(&inner.with.cluster.life()).await?;
        let (next, clientids) = inner.table.listed(life, cursor).await?;
        let clientids = clientids.into_iter().map(Arc::from);
        if !self.0.with.sessions.have_room(clientids.len()) {
            return Ok(None);
        }
        let moving = inner.try_moving(clientids);
        if inner.is_leaving.load(Relaxed) {
            return Ok(None);
        }
        // Before the records: the pod may wake up, and go on with both until it finds out.
        let heard = inner.table.reached(life).await?.map(Arc::new);
        let found = stream::iter(moving.clientids.clone())
            .map(async |clientid| inner.claim_ours((life, &heard), &clientid).await);
        let found: Vec<_> = found.buffer_unordered(AT_ONCE).try_collect().await?;
        let returning: Vec<_> = found.into_iter().flatten().collect();
        let count = returning.len();
        inner.restore(returning).await?;
        if count > 0 {
            tracing::info!(life, count, "sessions of a pod that is gone go on here");
            inner.counts.inherited.fetch_add(count as u64, Relaxed);
        }
        let settled = stream::iter(moving.clientids.clone())
            .map(async |clientid| inner.settle(life, &clientid).await);
        let _: Vec<()> = settled.buffer_unordered(AT_ONCE).try_collect().await?;
        if next == 0 {
            inner.table.bury(life).await?;
        }
        Ok(Some(next))
    }
}

impl Inner {
    /// A session of a dead pod, if it is still that one's; nothing where what stands there is not ours.
    async fn claim_ours(
        &self,
        left: (&str, &Option<Arc<Position>>),
        clientid: &Arc<str>,
    ) -> Result<Option<Returning>, Error> {
        match self.claim(left, clientid).await {
            Err(Error::Redis(failure)) if failure.is_foreign() => {
                let clientid = shown(clientid);
                tracing::warn!(clientid, %failure, "the session of a client cannot be taken over");
                Ok(None)
            }
            claimed => claimed,
        }
    }

    /// A session of a dead pod, if it is still that one's.
    async fn claim(
        &self,
        (life, heard): (&str, &Option<Arc<Position>>),
        clientid: &Arc<str>,
    ) -> Result<Option<Returning>, Error> {
        let found = self.table.load(clientid).await?;
        let (pod, number) = found.owner.clone();
        let record = Record::open(self.table.sealer(), clientid, found);
        let Some(mut record) = record.filter(|record| record.life == life) else {
            return Ok(None);
        };
        let own = record.heard.take().map(Arc::new);
        let heard = own.or_else(|| heard.clone());
        let Some(rest) = record.rest() else {
            return Ok(None);
        };
        if !self.may_inherit(&record, (&pod, number)).await? {
            return Ok(None);
        }
        let owner = (&*pod, number);
        let held = self.with.ownership.inherit(clientid, owner).await?;
        Ok(held.map(|held| Returning {
            held,
            record,
            heard,
            rest,
        }))
    }

    /// Whether its owner has no use for it: it is the dead pod, which has not claimed it since it wrote that; or this one,
    /// which did not come to an end with it; or it does not live either.
    async fn may_inherit(
        &self,
        record: &Record,
        (owner, claim): (&str, u64),
    ) -> Result<bool, Failure> {
        let is_pod_of = |life: &str| life.rsplit_once('/').is_some_and(|(pod, _)| pod == owner);
        let is_its = is_pod_of(&record.life) && claim == record.claim;
        if is_its || is_pod_of(&self.with.cluster.life()) {
            return Ok(true);
        }
        Ok(self.with.cluster.find(owner).await? == Whereabouts::Gone)
    }
}
