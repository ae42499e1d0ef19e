//! Giving sessions up: to the pod that has got their client, to others when this pod leaves, or because others have taken
//! this one for dead.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokio::time::timeout;

use super::{
    Inner, SharedSessions,
    kept::{GivenUp, Kept},
};
use crate::{
    broker::Session,
    ownership::{Held, shown},
    redis::Failure,
};

impl SharedSessions {
    /// Another pod has got the clientid, and is to find in Redis what this one has of a session.
    pub async fn hand_over(&self, held: &Arc<Held>) {
        let (inner, clientid) = (&self.0, held.clientid());
        let patience = inner.settings.patience;
        let Ok(_moving) = timeout(patience, inner.moving(clientid)).await else {
            return;
        };
        let kept = inner.kept(clientid);
        let Some(kept) = kept.filter(|kept| Arc::ptr_eq(&kept.held, held)) else {
            return;
        };
        // Not how far it hears later: then the session is not here any more.
        let heard = inner.heard().or_else(|| inner.heard_last());
        let Some(Session {
            queue,
            subscriptions,
        }) = inner.take_out(&kept)
        else {
            // Its connection does not end.
            return;
        };
        // What comes from now on for a group is for others of it.
        drop(subscriptions);
        kept.give_up(GivenUp { queue, heard });
        let given = timeout(patience, inner.finish_giving(&kept)).await;
        if !matches!(given, Ok(Ok(()))) {
            // The other pod finds what was kept last, and the logs, and this pod goes on trying.
            let clientid = shown(clientid);
            tracing::debug!(clientid, "a session is not where another pod finds it yet");
        }
    }

    /// This pod ends: no more sessions come here, and Redis keeps all as it is now. Whether there are any.
    pub async fn leave(&self) -> bool {
        let inner = &self.0;
        inner.is_leaving.store(true, Relaxed);
        let leaving = async {
            let mut moved = inner.moved.subscribe();
            while !inner.moving.lock().is_empty() && moved.changed().await.is_ok() {}
            // What comes from now on for a group is for others of it.
            let kept: Vec<_> = inner.kept.iter().map(|kept| kept.clone()).collect();
            let left: Vec<_> = kept
                .iter()
                .filter_map(|kept| inner.take_out(kept))
                .collect();
            let queues = left.into_iter().map(|session| session.queue);
            let queues: Vec<_> = queues.collect();
            let is_kept = inner.save_all().await;
            for queue in queues {
                queue.hand_over();
            }
            is_kept
        };
        if timeout(inner.settings.patience, leaving).await != Ok(true) {
            tracing::warn!(
                "not all sessions are kept as they were last; what came since is in the logs"
            );
        }
        !inner.kept.is_empty()
    }

    /// Others have taken this pod for dead, and have its sessions.
    pub fn lose_all(&self) {
        let inner = &self.0;
        let all: Vec<_> = inner.kept.iter().map(|kept| kept.clone()).collect();
        for kept in &all {
            kept.note_taken();
        }
        for kept in all {
            // Its connections are closed for another reason.
            let _ = inner.with.ownership.lose(&kept.held);
            inner.abandon(&kept);
        }
    }
}

impl Inner {
    /// Has Redis keep a session that is given up as it was then; nothing is left of it here.
    pub(super) async fn finish_giving(&self, kept: &Arc<Kept>) -> Result<(), Failure> {
        let Some(GivenUp { heard, .. }) = kept.given_up() else {
            return Ok(());
        };
        match self.save(kept, Some(&heard.unwrap_or_default())).await {
            Err(failure) if !failure.is_foreign() => return Err(failure),
            _ => drop(self.counts.handed_over.fetch_add(1, Relaxed)),
        }
        self.let_go(kept);
        kept.let_go();
        Ok(())
    }

    /// What is here of it is nobody's, once its connection has ended.
    pub(super) fn abandon(&self, kept: &Arc<Kept>) {
        let session = self.take_out(kept);
        let is_given_up = kept.given_up().is_some();
        kept.let_go();
        if session.is_some() || is_given_up || kept.is_gone() {
            self.let_go(kept);
        }
        if let Some(session) = session {
            session.hand_over();
        }
    }

    /// What is here of a session by an earlier claim: somebody else has had the client since, though maybe not the session.
    pub(super) async fn abandon_older(&self, held: &Arc<Held>) -> Result<(), Failure> {
        let known = self.kept(held.clientid());
        match known.filter(|known| !Arc::ptr_eq(&known.held, held)) {
            Some(older) => self.save_or_give(&older).await,
            None => Ok(()),
        }
    }

    fn let_go(&self, kept: &Arc<Kept>) {
        let is_it = |_: &Arc<str>, known: &Arc<Kept>| Arc::ptr_eq(known, kept);
        self.kept.remove_if(&kept.clientid, is_it);
    }

    /// The session, if it has no connection.
    fn take_out(&self, kept: &Kept) -> Option<Session> {
        let is_it = |session: &Session| kept.is_of(&session.queue);
        self.with.sessions.take_out(&kept.clientid, is_it)
    }
}
