//! What the queue of a session does more: it keeps what was taken until it is confirmed, and goes on without a
//! connection.
//!
//! Without one, messages of QoS 0 are dropped. Full is by count, by bytes, or by the bytes of all sessions together;
//! then the oldest message is dropped, so that the newest ones wait.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use super::{
    Limits, Offered, Put,
    backlog::{Backlog, Pushed},
};
use crate::broker::{
    Message, Qos,
    recent::{self, Recent},
    session::Keeper,
    sessions::Reserved,
};

#[derive(Default)]
pub(super) struct Hold {
    /// Counts the connections.
    epoch: u32,
    /// What was taken of `QoS` 1 and 2 and not confirmed: one batch at most. Older than what waits.
    unconfirmed: VecDeque<Arc<Message>>,
    /// How often that was taken.
    taken: u32,
    /// The connection of this epoch has it.
    is_out: bool,
    /// What waited when the connection came and is not taken yet: it may wait besides what the limits allow.
    allowance: Allowance,
    offline: Option<Offline>,
    /// Where the session is kept elsewhere too.
    pub(super) kept: Option<Box<Kept>>,
}

/// What is done for a session that is kept elsewhere too.
pub(super) struct Kept {
    pub(super) keeper: Arc<dyn Keeper>,
    /// What came of late, to be known wherever the session goes on.
    pub(super) recent: Recent,
    /// What came before the session was brought here: it does not come again.
    pub(super) before: Recent,
    /// What came since it was brought here, until the logs are looked at once more.
    pub(super) since: Option<HashSet<u128>>,
    /// A message was dropped that is not the oldest one.
    pub(super) is_torn: bool,
}

/// Messages that are remembered until the logs are looked at once more. Where more come, they are not.
const SINCE: usize = 100_000;

impl Kept {
    fn note_since(&mut self, id: &str) {
        if let (Some(since), Some(id)) = (&mut self.since, recent::number(id)) {
            since.insert(id);
        }
        self.since.take_if(|since| since.len() > SINCE);
    }
}

#[derive(Clone, Copy, Default)]
struct Allowance {
    messages: usize,
    bytes: usize,
}

impl Allowance {
    /// For all that waits.
    fn of(backlog: &Backlog) -> Self {
        Self {
            messages: backlog.len(),
            bytes: backlog.bytes(),
        }
    }

    fn extend(self, limits: Limits) -> Limits {
        Limits {
            messages: limits.messages.saturating_add(self.messages),
            bytes: limits.bytes.saturating_add(self.bytes),
        }
    }

    /// Less by what is not in the backlog any more.
    fn shrink(&mut self, before: Self, backlog: &Backlog) {
        let after = Self::of(backlog);
        let taken = |before: usize, after: usize| before.saturating_sub(after);
        self.messages = self
            .messages
            .saturating_sub(taken(before.messages, after.messages));
        self.bytes = self.bytes.saturating_sub(taken(before.bytes, after.bytes));
    }
}

struct Offline {
    limits: Limits,
    /// The bytes of what is unconfirmed and of what waits.
    reserved: Reserved,
}

impl Hold {
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn is_offline(&self) -> bool {
        self.offline.is_some()
    }

    /// How many messages are unconfirmed.
    pub(super) fn unconfirmed(&self) -> usize {
        self.unconfirmed.len()
    }

    /// Whether there is something that would be taken now: while a batch is out, nothing is.
    pub(super) fn has_something(&self, backlog: &Backlog) -> bool {
        let is_empty = self.unconfirmed.is_empty() && backlog.is_empty();
        !self.is_out && !is_empty
    }

    /// What was taken of `QoS` 1 and 2 and not confirmed, and how often it was taken.
    pub(super) fn taken(&self) -> (&VecDeque<Arc<Message>>, u32) {
        (&self.unconfirmed, self.taken)
    }

    /// So many of the oldest messages that wait were taken so often elsewhere, and not confirmed.
    pub(super) fn were_taken(&mut self, backlog: &mut Backlog, count: usize, taken: u32) {
        self.unconfirmed = backlog.take_kept(count).into();
        self.taken = taken;
    }

    /// Takes all out that came without a connection.
    pub(super) fn take_offline(&mut self, backlog: &mut Backlog) -> Vec<Arc<Message>> {
        if let Some(Offline { reserved, .. }) = &mut self.offline {
            reserved.shrink(backlog.kept_bytes());
        }
        backlog.take_kept(usize::MAX)
    }

    pub(super) fn put(
        &mut self,
        backlog: &mut Backlog,
        limits: Limits,
        message: Arc<Message>,
        must: bool,
    ) -> Put {
        let Some(kept) = self
            .kept
            .as_ref()
            .filter(|_| message.qos != Qos::AtMostOnce)
        else {
            return self.put_new(backlog, limits, message, must);
        };
        if kept.before.has(&message.id) {
            return Put {
                outcome: Offered::Taken,
                ..Put::default()
            };
        }
        let was_taken = !self.unconfirmed.is_empty() && !self.is_offline();
        let put = self.put_new(backlog, limits, message.clone(), must);
        if let Some(kept) = &mut self.kept {
            // What waits made room, and what was taken is older.
            kept.is_torn |= was_taken && put.session_full > 0;
            if put.outcome == Offered::Taken {
                kept.recent.note(&message.id);
                kept.note_since(&message.id);
            }
        }
        put
    }

    fn put_new(
        &mut self,
        backlog: &mut Backlog,
        limits: Limits,
        message: Arc<Message>,
        must: bool,
    ) -> Put {
        let droppable = message.qos == Qos::AtMostOnce;
        if self.is_offline() {
            return match (must, droppable) {
                (false, _) => Put::away(),
                (true, true) => Put {
                    offline_qos0: 1,
                    ..Put::default()
                },
                (true, false) => self.put_offline(backlog, message),
            };
        }
        let limits = self.allowance.extend(limits);
        let was_empty = backlog.is_empty();
        if must && !droppable {
            let dropped = backlog.force(message, limits);
            let overflowed = dropped.kept > 0 && !backlog.overflowed;
            backlog.overflowed |= overflowed;
            return Put {
                outcome: Offered::Taken,
                wakes: was_empty || overflowed,
                overflowed,
                dropped_qos0: dropped.droppable,
                session_full: dropped.kept,
                ..Put::default()
            };
        }
        if backlog.overflowed {
            return Put::away();
        }
        match backlog.push(message, limits) {
            Pushed::In { dropped } => Put {
                outcome: Offered::Taken,
                wakes: was_empty,
                dropped_qos0: dropped,
                ..Put::default()
            },
            Pushed::NoRoom => Put {
                dropped_qos0: must.into(),
                ..Put::default()
            },
        }
    }

    pub(super) fn put_offline(&mut self, backlog: &mut Backlog, message: Arc<Message>) -> Put {
        let Some(mut offline) = self.offline.take() else {
            return Put::default();
        };
        let limits = offline.limits;
        let size = weight(&message, limits);
        let mut dropped = 0;
        let taken = loop {
            let count = self.unconfirmed.len() + backlog.len();
            let fits = count < limits.messages && offline.reserved.bytes() + size <= limits.bytes;
            if (fits || count == 0) && offline.reserved.grow(size) {
                backlog.append(message, size);
                break true;
            }
            dropped += 1;
            let Some(freed) = self.drop_oldest(backlog, limits) else {
                // All that there may be of messages is elsewhere: this one is the oldest.
                break false;
            };
            offline.reserved.shrink(freed);
        };
        self.offline = Some(offline);
        Put {
            outcome: if taken {
                Offered::Taken
            } else {
                Offered::NoRoom
            },
            session_full: dropped,
            ..Put::default()
        }
    }

    /// Drops the oldest message; what it counted as.
    fn drop_oldest(&mut self, backlog: &mut Backlog, limits: Limits) -> Option<usize> {
        match self.unconfirmed.pop_front() {
            Some(message) => Some(weight(&message, limits)),
            None => backlog.drop_oldest_kept(),
        }
    }

    /// The next messages, and how often they were taken before.
    pub(super) fn take(
        &mut self,
        backlog: &mut Backlog,
        max_messages: usize,
        max_bytes: usize,
    ) -> (Vec<Arc<Message>>, u32) {
        if self.is_out {
            return (Vec::new(), 0);
        }
        if self.unconfirmed.is_empty() {
            let before = Allowance::of(backlog);
            let messages = backlog.take(max_messages, max_bytes);
            self.allowance.shrink(before, backlog);
            let kept = messages
                .iter()
                .filter(|message| message.qos != Qos::AtMostOnce);
            self.unconfirmed.extend(kept.cloned());
            self.is_out = !self.unconfirmed.is_empty();
            self.taken = 1;
            return (messages, 0);
        }
        self.is_out = true;
        self.taken += 1;
        let messages = self.unconfirmed.iter().cloned().collect();
        (messages, self.taken - 1)
    }

    pub(super) fn confirm(&mut self, epoch: u32) {
        if epoch != self.epoch {
            return;
        }
        self.is_out = false;
        let confirmed = std::mem::take(&mut self.unconfirmed);
        if let Some(Offline { limits, reserved }) = &mut self.offline {
            reserved.shrink(bytes(&confirmed, *limits));
        }
    }

    pub(super) fn attach(&mut self, backlog: &Backlog) {
        self.epoch = self.epoch.wrapping_add(1);
        self.offline = None;
        self.is_out = false;
        self.allowance = Allowance::of(backlog);
    }

    /// Begins to be without a connection; how many messages did not fit.
    pub(super) fn detach(
        &mut self,
        backlog: &mut Backlog,
        limits: Limits,
        mut reserved: Reserved,
    ) -> u64 {
        self.is_out = false;
        let mut bytes = self.kept_bytes(backlog, limits);
        let mut dropped = 0;
        loop {
            let count = self.unconfirmed.len() + backlog.len();
            let fits = count <= limits.messages && bytes <= limits.bytes;
            if (fits || count == 1) && reserved.grow_to(bytes) {
                break;
            }
            let Some(freed) = self.drop_oldest(backlog, limits) else {
                break;
            };
            bytes -= freed;
            dropped += 1;
        }
        reserved.shrink(reserved.bytes() - bytes);
        self.offline = Some(Offline { limits, reserved });
        dropped
    }

    /// What the messages of `QoS` 1 and 2 count as, unconfirmed or waiting.
    pub(super) fn kept_bytes(&self, backlog: &Backlog, limits: Limits) -> usize {
        bytes(&self.unconfirmed, limits) + backlog.kept_bytes()
    }
}

/// What a message counts as: no more than a queue holds.
fn weight(message: &Message, limits: Limits) -> usize {
    message.size().min(limits.bytes)
}

fn bytes(messages: &VecDeque<Arc<Message>>, limits: Limits) -> usize {
    let weights = messages.iter().map(|message| weight(message, limits));
    weights.sum()
}
