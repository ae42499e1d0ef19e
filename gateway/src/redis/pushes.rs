//! What came from Redis unasked and waits for the pod: bounded in messages and bytes. Full means that messages are
//! dropped and counted, and that the pod is told; nobody who reads from Redis ever waits here.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Slots, slots::slot_of};
use crate::metrics::RedisMetrics;

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Push {
    /// A message of a channel that the pod subscribed to.
    Message {
        /// The channel, as it was subscribed to.
        channel: Bytes,
        /// What was published.
        payload: Bytes,
    },
    /// From here on messages of channels in these slots may be missing, until `Again` comes for them.
    Gap {
        /// The slots.
        slots: Slots,
        /// Why.
        cause: Cause,
    },
    /// All subscriptions in these slots stand (again): what was published after this is confirmed to come. Also the
    /// first time, without a gap before it. Whoever reads up what it missed reads it now.
    Again {
        /// The slots.
        slots: Slots,
    },
}

/// Why messages may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The connection was lost, or a cluster moved the slots to another node.
    Lost,
    /// The queue was full. The subscriptions stood all the time, and `Again` follows at once.
    Full,
}

/// The pod's end of the queue.
pub struct Pushes(Arc<Queue>);

impl Pushes {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self(queue)
    }

    /// The next one. Dropped before it ends, it has taken nothing.
    pub async fn next(&mut self) -> Push {
        loop {
            if let Some(push) = self.try_next() {
                return push;
            }
            // What was added in between is remembered.
            self.0.filled.notified().await;
        }
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.waiting.lock().entries.is_empty()
    }

    /// The next one, if one waits already.
    pub fn try_next(&mut self) -> Option<Push> {
        self.0.waiting.lock().take()
    }
}

/// The queue, shared by all connections that read messages.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Notify,
    metrics: Arc<RedisMetrics>,
}

struct Waiting {
    entries: VecDeque<Entry>,
    messages: usize,
    bytes: usize,
    most_messages: usize,
    most_bytes: usize,
    /// Slots of messages that were dropped since the queue was full.
    dropped: Option<Slots>,
}

enum Entry {
    Message {
        channel: Bytes,
        payload: Bytes,
    },
    /// Neighbours are merged, so that there are never more of them than messages, and one.
    Marks {
        gap: Option<(Slots, Cause)>,
        again: Option<Slots>,
    },
}

impl Queue {
    pub(super) fn new(messages: usize, bytes: usize, metrics: Arc<RedisMetrics>) -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::new(Waiting {
                entries: VecDeque::new(),
                messages: 0,
                bytes: 0,
                most_messages: messages,
                most_bytes: bytes,
                dropped: None,
            }),
            filled: Notify::new(),
            metrics,
        })
    }

    /// Adds messages in order; those without room are dropped. Leaves `messages` empty.
    pub(super) fn add(&self, messages: &mut Vec<(Bytes, Bytes)>) {
        if messages.is_empty() {
            return;
        }
        let mut dropped = 0;
        {
            let mut waiting = self.waiting.lock();
            for (channel, payload) in messages.drain(..) {
                dropped += u64::from(!waiting.add(channel, payload));
            }
        }
        if dropped > 0 {
            self.metrics.dropped(dropped);
        }
        self.filled.notify_one();
    }

    pub(super) fn gap(&self, slots: &Slots) {
        if !slots.is_empty() {
            self.waiting.lock().gap(slots, Cause::Lost);
            self.filled.notify_one();
        }
    }

    pub(super) fn again(&self, slots: &Slots) {
        if !slots.is_empty() {
            self.waiting.lock().again(slots);
            self.filled.notify_one();
        }
    }
}

impl Waiting {
    /// Whether there was room.
    fn add(&mut self, channel: Bytes, payload: Bytes) -> bool {
        let bytes = channel.len() + payload.len();
        if self.messages >= self.most_messages || self.bytes + bytes > self.most_bytes {
            let dropped = self.dropped.get_or_insert_with(Slots::none);
            dropped.insert(slot_of(&channel));
            return false;
        }
        self.told_of_drops();
        (self.messages, self.bytes) = (self.messages + 1, self.bytes + bytes);
        self.entries.push_back(Entry::Message { channel, payload });
        true
    }

    /// The gap stands where the messages are missing: before the next one that has room.
    fn told_of_drops(&mut self) {
        if let Some(slots) = self.dropped.take() {
            self.gap(&slots, Cause::Full);
            self.again(&slots);
        }
    }

    fn gap(&mut self, slots: &Slots, cause: Cause) {
        let (gap, again) = self.marks();
        if let Some(again) = again {
            again.remove(slots);
        }
        match gap {
            Some((all, why)) => {
                all.add(slots);
                if cause == Cause::Lost {
                    *why = cause;
                }
            }
            None => *gap = Some((slots.clone(), cause)),
        }
    }

    fn again(&mut self, slots: &Slots) {
        let (_, again) = self.marks();
        again.get_or_insert_with(Slots::none).add(slots);
    }

    fn marks(&mut self) -> (&mut Option<(Slots, Cause)>, &mut Option<Slots>) {
        if !matches!(self.entries.back(), Some(Entry::Marks { .. })) {
            self.entries.push_back(Entry::Marks {
                gap: None,
                again: None,
            });
        }
        match self.entries.back_mut() {
            Some(Entry::Marks { gap, again }) => (gap, again),
            _ => unreachable!("it was just put there"),
        }
    }

    fn take(&mut self) -> Option<Push> {
        if self.entries.is_empty() {
            self.told_of_drops();
        }
        loop {
            match self.entries.pop_front()? {
                Entry::Message { channel, payload } => {
                    self.messages -= 1;
                    self.bytes -= channel.len() + payload.len();
                    return Some(Push::Message { channel, payload });
                }
                Entry::Marks {
                    gap: Some((slots, cause)),
                    again,
                } => {
                    let again = again.filter(|slots| !slots.is_empty());
                    if again.is_some() {
                        self.entries.push_front(Entry::Marks { gap: None, again });
                    }
                    return Some(Push::Gap { slots, cause });
                }
                Entry::Marks {
                    gap: None,
                    again: Some(slots),
                } if !slots.is_empty() => return Some(Push::Again { slots }),
                Entry::Marks { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn queue(messages: usize, bytes: usize) -> (Arc<Queue>, Pushes) {
        let queue = Queue::new(messages, bytes, Metrics::new().redis());
        (queue.clone(), Pushes::new(queue))
    }

    fn add(queue: &Queue, texts: &[&'static str]) {
        let message = |text: &&'static str| {
            (
                Bytes::from_static(b"foo"),
                Bytes::from_static(text.as_bytes()),
            )
        };
        queue.add(&mut texts.iter().map(message).collect());
    }

    fn taken(pushes: &mut Pushes) -> String {
        let mut all = String::new();
        while let Some(push) = pushes.try_next() {
            let text = match push {
                Push::Message { payload, .. } => String::from_utf8(payload.to_vec()).unwrap(),
                Push::Gap { slots, cause } => format!("[gap {cause:?} {}]", slots.count()),
                Push::Again { slots } => format!("[again {}]", slots.count()),
            };
            all.push_str(&text);
        }
        all
    }

    #[test]
    fn what_has_no_room_leaves_a_gap_where_it_would_have_stood() {
        let (queue, mut pushes) = queue(2, 1000);
        add(&queue, &["a", "b", "c"]);
        assert!(matches!(pushes.try_next(), Some(Push::Message { .. })));
        add(&queue, &["d"]);
        assert_eq!(taken(&mut pushes), "b[gap Full 1][again 1]d");
        add(&queue, &["e", "f", "g"]);
        assert_eq!(taken(&mut pushes), "ef[gap Full 1][again 1]");
    }

    #[test]
    fn bytes_are_bounded_too() {
        let (queue, mut pushes) = queue(100, 10);
        add(&queue, &["1234567", "x"]);
        assert_eq!(taken(&mut pushes), "1234567[gap Full 1][again 1]");
        add(&queue, &["12345678"]);
        assert_eq!(taken(&mut pushes), "[gap Full 1][again 1]");
    }

    #[test]
    fn marks_of_a_link_that_comes_and_goes_are_merged() {
        let (queue, mut pushes) = queue(2, 1000);
        let some: Slots = [1, 2].into_iter().collect();
        for _ in 0..1000 {
            queue.gap(&Slots::all());
            queue.again(&Slots::all());
        }
        queue.gap(&some);
        assert_eq!(queue.waiting.lock().entries.len(), 1);
        assert_eq!(taken(&mut pushes), "[gap Lost 16384][again 16382]");
        queue.again(&some);
        assert_eq!(taken(&mut pushes), "[again 2]");
    }
}
