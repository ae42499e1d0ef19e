//! One session of this pod, and what Redis has of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    Inner,
    record::{seal, seal_message},
    table::{Table, Writing, Written},
};
use crate::{
    broker::{Filter, Keeper, Qos, Queue, queue::Backup},
    clock,
    ownership::Held,
    redis::Failure,
};

/// By how much the clocks of the nodes of Redis may differ, and a subscription be older than when it was saved, in
/// milliseconds: what was published before it does not come, what was published after it does.
const LATE: u64 = 1_000;

/// A session that is kept in Redis too.
pub(super) struct Kept {
    pub(super) clientid: Arc<str>,
    /// The clientid is this pod's as long as it has the session.
    pub(super) held: Arc<Held>,
    queue: Weak<Queue>,
    state: Mutex<State>,
    saved: tokio::sync::Mutex<Saved>,
    all: Weak<Inner>,
}

/// How it stands to its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// What must be the same for the client to find it again.
    pub(super) mark: Box<str>,
    /// For how long it outlives its connection.
    pub(super) expiry: Duration,
    /// Without a connection: when it ends, in milliseconds since 1970.
    pub(super) ends_at: Option<u64>,
}

/// What its client has subscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscribed {
    pub(super) qos: Qos,
    /// Since when, in milliseconds since 1970 by the clock of Redis, give or take; 0 where that is not known yet.
    pub(super) since: u64,
}

#[derive(Clone)]
struct State {
    standing: Standing,
    filters: BTreeMap<Filter, Subscribed>,
    /// Counts the changes.
    version: u64,
}

/// What Redis has.
#[derive(Default)]
struct Saved {
    /// The life that it is listed for.
    life: Option<String>,
    /// The version.
    version: u64,
    /// The numbers of the oldest message and of the next one; none where it is not known what is there.
    messages: Option<(u64, u64)>,
}

impl Saved {
    /// Whether Redis has the session as it is; then it is noted what came and went in between.
    fn is_as_it_was(&mut self, version: u64, queue: &Queue) -> bool {
        let Some((known, now)) = self.messages.zip(queue.numbers()) else {
            return false;
        };
        // Nothing waited and nothing waits, whatever came in between.
        let is_empty = known.0 == known.1 && now.0 == now.1;
        let is_same = version == self.version && (known == now || is_empty);
        if is_same {
            self.messages = Some(now);
        }
        is_same
    }
}

impl Kept {
    pub(super) fn new(
        held: &Arc<Held>,
        queue: &Arc<Queue>,
        standing: Standing,
        filters: impl IntoIterator<Item = (Filter, Subscribed)>,
        all: &Arc<Inner>,
    ) -> Arc<Self> {
        held.set_expiry(standing.expiry);
        let kept = Arc::new(Self {
            clientid: held.clientid().clone(),
            held: held.clone(),
            queue: Arc::downgrade(queue),
            state: Mutex::new(State {
                standing,
                filters: filters.into_iter().collect(),
                version: 1,
            }),
            saved: tokio::sync::Mutex::default(),
            all: Arc::downgrade(all),
        });
        queue.keep(kept.clone());
        kept
    }

    /// Whether it is the one with that queue.
    pub(super) fn is_of(&self, queue: &Arc<Queue>) -> bool {
        std::ptr::eq(self.queue.as_ptr(), Arc::as_ptr(queue))
    }

    /// Whether there is nothing to keep any more.
    pub(super) fn is_gone(&self) -> bool {
        self.queue.strong_count() == 0
    }

    /// Its client is connected.
    pub(super) fn connected(&self, standing: Standing) {
        self.held.set_expiry(standing.expiry);
        self.change(|state| state.standing = standing);
    }

    /// Its client is not connected any more.
    pub(super) fn parked(&self) {
        self.change(|state| {
            let expiry = u64::try_from(state.standing.expiry.as_millis()).unwrap_or(u64::MAX);
            state.standing.ends_at = Some(clock::now().saturating_add(expiry));
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        state.version += 1;
    }

    /// Has Redis keep it as it is now. None where that is what it has.
    pub(super) async fn save(&self, table: &Table, life: &str) -> Result<Option<Written>, Failure> {
        let mut saved = self.saved.lock().await;
        if self.held.take_unsaved() {
            *saved = Saved::default();
        }
        loop {
            match self.save_since(&mut saved, table, life).await? {
                // Then all of it is written.
                Some(Written::Differs) => {}
                written => return Ok(written),
            }
        }
    }

    async fn save_since(
        &self,
        saved: &mut Saved,
        table: &Table,
        life: &str,
    ) -> Result<Option<Written>, Failure> {
        let Some(queue) = self.queue.upgrade() else {
            return Ok(None);
        };
        let is_listed = saved.life.as_deref() == Some(life);
        if is_listed && saved.is_as_it_was(self.state.lock().version, &queue) {
            return Ok(None);
        }
        let state = self.state.lock().clone();
        let from = saved.messages.map_or(0, |(_, next)| next);
        let Some(backup) = queue.backup(from) else {
            return Ok(None);
        };
        if !is_listed {
            table.list(life, &self.clientid).await?;
        }
        // It may be done although it fails.
        let known = saved.messages.take();
        let written = self.write(table, life, (&state, &backup), known).await?;
        if let Written::Done(time) = written {
            *saved = Saved {
                life: Some(life.to_owned()),
                version: state.version,
                messages: Some((backup.first, backup.next)),
            };
            self.note_since(&state.filters, time.saturating_sub(LATE));
        }
        Ok(Some(written))
    }

    /// Writes it, where Redis has the messages of these numbers.
    async fn write(
        &self,
        table: &Table,
        life: &str,
        (state, backup): (&State, &Backup),
        known: Option<(u64, u64)>,
    ) -> Result<Written, Failure> {
        let (sealer, claim) = (table.sealer(), self.held.number());
        let State {
            standing, filters, ..
        } = state;
        let names = (&*self.clientid, life, claim);
        let session = seal(sealer, names, standing, filters, backup);
        let messages = backup.messages.iter();
        let messages: Vec<_> = messages
            .map(|message| seal_message(sealer, &self.clientid, message))
            .collect();
        let writing = Writing {
            clientid: &self.clientid,
            claim,
            session: &session,
            expiry: standing.expiry,
            had: known.map(|(first, next)| {
                let had = next - first;
                (had, (backup.first - first).min(had))
            }),
            messages: &messages,
        };
        table.save(&writing).await
    }

    /// These filters were subscribed then at the latest.
    fn note_since(&self, filters: &BTreeMap<Filter, Subscribed>, since: u64) {
        let mut state = self.state.lock();
        for (filter, _) in filters
            .iter()
            .filter(|(_, subscribed)| subscribed.since == 0)
        {
            if let Some(subscribed) = state.filters.get_mut(filter) {
                subscribed.since = since;
                state.version += 1;
            }
        }
    }

    /// Has Redis keep it no more, once nothing is on its way there.
    pub(super) async fn forget(&self, table: &Table) -> Result<(), Failure> {
        let mut saved = self.saved.lock().await;
        table.forget(&self.clientid, self.held.number()).await?;
        if let Some(life) = &saved.life {
            table.unlist(life, &self.clientid).await?;
        }
        *saved = Saved::default();
        Ok(())
    }
}

impl Keeper for Kept {
    fn subscribed(&self, filter: &Filter, qos: Qos) {
        self.change(|state| {
            let known = state.filters.get(filter);
            let since = known.map_or(0, |known| known.since);
            state
                .filters
                .insert(filter.clone(), Subscribed { qos, since });
        });
    }

    fn unsubscribed(&self, filter: &Filter) {
        self.change(|state| {
            state.filters.remove(filter);
        });
    }

    fn ended(&self) {
        self.held.set_expiry(Duration::ZERO);
        if let Some(all) = self.all.upgrade() {
            all.ended(self);
        }
    }
}
