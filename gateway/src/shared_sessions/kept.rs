//! One session of this pod, and what Redis has of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    Inner,
    record::{seal, seal_message},
    table::{Table, Writing, Written},
};
use crate::{
    broker::{
        Filter, Keeper, Qos, Queue, Topic,
        queue::{Backup, Numbers},
    },
    clock,
    cluster::Position,
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
    /// How the names of its writings begin.
    name: String,
    state: Mutex<State>,
    saved: tokio::sync::Mutex<Saved>,
    /// Another pod has taken this one for dead, and has it.
    is_taken: AtomicBool,
    /// It is given up, and Redis has still to be told of what it was then.
    given_up: Mutex<Option<GivenUp>>,
    all: Weak<Inner>,
}

/// What there is of a session that this pod has given up.
#[derive(Clone)]
pub(super) struct GivenUp {
    pub(super) queue: Arc<Queue>,
    /// How far this pod had heard then.
    pub(super) heard: Option<Position>,
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
    /// The name of the last writing, and the messages that it left; none where it is not known what is there.
    last: Option<(String, Numbers)>,
    /// Counts the writings.
    writings: u64,
}

impl Saved {
    /// Whether Redis has the session as it is; then it is noted what came and went in between.
    fn is_as_it_was(&mut self, version: u64, queue: &Queue) -> bool {
        let Some(now) = queue.numbers() else {
            self.last = None;
            return false;
        };
        let Some((_, known)) = &mut self.last else {
            return false;
        };
        // Nothing waited and nothing waits, whatever came in between.
        let is_empty = known.count() == 0 && now.count() == 0;
        let is_same = version == self.version && (*known == now || is_empty);
        if is_same {
            *known = now;
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
            name: format!("{:016x}:", fastrand::u64(..)),
            state: Mutex::new(State {
                standing,
                filters: filters.into_iter().collect(),
                version: 1,
            }),
            saved: tokio::sync::Mutex::default(),
            is_taken: AtomicBool::new(false),
            given_up: Mutex::new(None),
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
        let expiry = self.state.lock().standing.expiry;
        self.ends_in(expiry);
    }

    /// It waits for its client for so long.
    pub(super) fn ends_in(&self, rest: Duration) {
        let rest = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        let ends_at = clock::now().saturating_add(rest);
        self.change(|state| state.standing.ends_at = Some(ends_at));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        state.version += 1;
    }

    /// It is given up.
    pub(super) fn give_up(&self, given_up: GivenUp) {
        *self.given_up.lock() = Some(given_up);
    }

    /// What there is of it, if it is given up.
    pub(super) fn given_up(&self) -> Option<GivenUp> {
        self.given_up.lock().clone()
    }

    /// Nothing of it is needed here any more.
    pub(super) fn let_go(&self) {
        if let Some(given_up) = self.given_up.lock().take() {
            given_up.queue.hand_over();
        }
    }

    /// Whether its client has subscribed to that.
    pub(super) fn wants(&self, topic: &Topic) -> bool {
        let state = self.state.lock();
        state.filters.keys().any(|filter| filter.matches(topic))
    }

    /// Another pod has taken this one for dead, and has it: what is here of it is not kept.
    pub(super) fn note_taken(&self) {
        self.is_taken.store(true, Relaxed);
    }

    /// Whether one has.
    pub(super) fn is_taken(&self) -> bool {
        self.is_taken.load(Relaxed)
    }

    /// It is not listed any more.
    pub(super) async fn note_unlisted(&self) {
        self.saved.lock().await.life = None;
    }

    /// Has Redis keep it as it is now; where it is given up, with how far this pod had heard. None where Redis has it so.
    pub(super) async fn save(
        &self,
        table: &Table,
        life: &str,
        heard: Option<&Position>,
    ) -> Result<Option<Written>, Failure> {
        let mut saved = self.saved.lock().await;
        // It may have become another pod's while somebody waited: then it is written by who gives it up.
        let is_given_up = self.given_up.lock().is_some() || self.held.is_lost();
        if heard.is_none() && is_given_up {
            return Ok(None);
        }
        if self.held.take_unsaved() {
            *saved = Saved {
                writings: saved.writings,
                ..Saved::default()
            };
        }
        loop {
            match self.save_since(&mut saved, table, (life, heard)).await? {
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
        (life, heard): (&str, Option<&Position>),
    ) -> Result<Option<Written>, Failure> {
        let Some(queue) = self.queue.upgrade() else {
            return Ok(None);
        };
        let is_listed = saved.life.as_deref() == Some(life);
        let is_same = saved.is_as_it_was(self.state.lock().version, &queue);
        if is_listed && is_same && heard.is_none() {
            return Ok(None);
        }
        let state = self.state.lock().clone();
        let since = saved.last.as_ref().map(|(_, numbers)| *numbers);
        let Some(backup) = queue.backup(since) else {
            return Ok(None);
        };
        if !is_listed {
            table.list(life, &self.clientid).await?;
        }
        saved.writings += 1;
        let name = format!("{}{}", self.name, saved.writings);
        // It may be done although it fails.
        let last = saved.last.take();
        self.held.note_written(&name);
        let since = last
            .as_ref()
            .map(|(last, known)| (&**last, known.gone_by(backup.numbers)));
        let sealed = self.sealed(table, life, &state, (&backup, heard));
        let written = table
            .save(&self.writing(&sealed, &state, &name, since))
            .await?;
        if let Written::Done(time) = written {
            saved.life = Some(life.to_owned());
            saved.version = state.version;
            saved.last = Some((name, backup.numbers));
            self.note_since(&state.filters, time.saturating_sub(LATE));
        }
        Ok(Some(written))
    }

    /// The session and what is new of what waits, sealed.
    fn sealed(
        &self,
        table: &Table,
        life: &str,
        state: &State,
        (backup, heard): (&Backup, Option<&Position>),
    ) -> (Vec<u8>, Vec<Vec<u8>>) {
        let sealer = table.sealer();
        let names = (&*self.clientid, life, self.held.number());
        let session = seal(
            sealer,
            names,
            &state.standing,
            &state.filters,
            (backup, heard),
        );
        let messages = backup.messages.iter();
        let messages = messages.map(|message| seal_message(sealer, &self.clientid, message));
        (session, messages.collect())
    }

    fn writing<'a>(
        &'a self,
        (session, messages): &'a (Vec<u8>, Vec<Vec<u8>>),
        state: &State,
        name: &'a str,
        since: Option<(&'a str, u32)>,
    ) -> Writing<'a> {
        Writing {
            clientid: &self.clientid,
            claim: self.held.number(),
            session,
            expiry: state.standing.expiry,
            name,
            since,
            messages,
        }
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
        let saved = self.saved.lock().await;
        let claim = self.held.number();
        table.forget(&self.clientid, claim, &self.name).await?;
        match &saved.life {
            Some(life) => table.unlist(life, &self.clientid).await,
            None => Ok(()),
        }
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
        if let Some(all) = self.all.upgrade() {
            all.ended(self);
        }
    }
}
