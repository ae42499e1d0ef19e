//! The messages of a queue in order, with the rule for *full*. Droppable ones are kept apart, so that dropping
//! the oldest of them is as cheap as a push, and numbered, so that taking merges them back into order.

use std::{collections::VecDeque, sync::Arc};

use super::{Limits, Message};
use crate::broker::Qos;

#[derive(Default)]
pub(super) struct Backlog {
    /// `QoS` 0.
    droppable: Lane,
    /// `QoS` 1 and 2.
    kept: Lane,
    /// The number of the next message.
    next: u64,
    /// A message that had to be in is not.
    pub(super) overflowed: bool,
    /// How many messages of `QoS` 1 and 2 were ever put in, round and round.
    came: u32,
}

/// What became of a pushed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is in, and so many older ones are not any more.
    In { dropped: u64 },
    /// It is not in, and nothing has changed.
    NoRoom,
}

/// Messages dropped so that one could be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forced {
    /// Of `QoS` 0.
    pub(super) droppable: u64,
    /// Of `QoS` 1 and 2.
    pub(super) kept: u64,
}

impl Backlog {
    pub(super) fn push(&mut self, message: Arc<Message>, limits: Limits) -> Pushed {
        // Counting no message as more than the limit lets an empty queue take it.
        let size = message.size().min(limits.bytes);
        let fits = |messages: usize, bytes: usize| {
            messages < limits.messages && bytes + size <= limits.bytes
        };
        // Nothing is dropped unless that makes room.
        if !fits(self.kept.queue.len(), self.kept.bytes) {
            return Pushed::NoRoom;
        }
        let mut dropped = 0;
        while !fits(self.len(), self.droppable.bytes + self.kept.bytes) {
            self.droppable.pop();
            dropped += 1;
        }
        let lane = if message.qos == Qos::AtMostOnce {
            &mut self.droppable
        } else {
            self.came = self.came.wrapping_add(1);
            &mut self.kept
        };
        lane.push(Waiting {
            number: self.next,
            size,
            message,
        });
        self.next += 1;
        Pushed::In { dropped }
    }

    /// Puts a message in that must be in: the oldest of `QoS` 1 and 2 make room for it where no others can. How many
    /// of each kind were dropped.
    pub(super) fn force(&mut self, message: Arc<Message>, limits: Limits) -> Forced {
        let size = message.size().min(limits.bytes);
        let mut kept = 0;
        while self.kept.queue.len() >= limits.messages || self.kept.bytes + size > limits.bytes {
            if self.drop_oldest_kept().is_none() {
                break;
            }
            kept += 1;
        }
        let droppable = match self.push(message, limits) {
            Pushed::In { dropped } => dropped,
            Pushed::NoRoom => unreachable!("room was made, and an empty queue takes any message"),
        };
        Forced { droppable, kept }
    }

    /// Puts a message of `QoS` 1 or 2 in, whatever the limits. It counts as `size`.
    pub(super) fn append(&mut self, message: Arc<Message>, size: usize) {
        let number = self.next;
        self.next += 1;
        self.came = self.came.wrapping_add(1);
        self.kept.push(Waiting {
            number,
            size,
            message,
        });
    }

    /// Puts a message in, unless something would have to make room for it.
    pub(super) fn push_if_room(&mut self, message: &Arc<Message>, limits: Limits) -> bool {
        let bytes = self.droppable.bytes + self.kept.bytes + message.size();
        let has_room = self.len() < limits.messages && bytes <= limits.bytes;
        (has_room || self.is_empty()) && self.push(Arc::clone(message), limits) != Pushed::NoRoom
    }

    /// Drops the oldest message of `QoS` 1 and 2; what it counted as.
    pub(super) fn drop_oldest_kept(&mut self) -> Option<usize> {
        let size = self.kept.queue.front()?.size;
        self.kept.pop();
        Some(size)
    }

    /// Drops all messages of `QoS` 0; how many there were.
    pub(super) fn drop_droppable(&mut self) -> u64 {
        std::mem::take(&mut self.droppable).queue.len() as u64
    }

    /// How many messages of `QoS` 1 and 2 were ever put in, round and round.
    pub(super) fn came(&self) -> u32 {
        self.came
    }

    /// Those that wait, in order.
    pub(super) fn kept(&self) -> impl ExactSizeIterator<Item = &Arc<Message>> {
        self.kept.queue.iter().map(|waiting| &waiting.message)
    }

    /// Takes so many of them out, in order.
    pub(super) fn take_kept(&mut self, most: usize) -> Vec<Arc<Message>> {
        let count = self.kept.queue.len().min(most);
        (0..count).filter_map(|_| self.kept.pop()).collect()
    }

    /// What the messages of `QoS` 1 and 2 count as.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept.bytes
    }

    pub(super) fn take(&mut self, max_messages: usize, max_bytes: usize) -> Vec<Arc<Message>> {
        let mut taken = Vec::with_capacity(self.len().min(max_messages.max(1)));
        let mut bytes = 0;
        while let Some((lane, size)) = self.oldest() {
            if !taken.is_empty() && (taken.len() >= max_messages || bytes + size > max_bytes) {
                break;
            }
            bytes += size;
            taken.extend(lane.pop());
        }
        self.droppable.shrink();
        self.kept.shrink();
        taken
    }

    pub(super) fn len(&self) -> usize {
        self.droppable.queue.len() + self.kept.queue.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.droppable.bytes + self.kept.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Messages it has memory for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.droppable.queue.capacity() + self.kept.queue.capacity()
    }

    /// The lane whose first message is the oldest of all, and that message's size.
    fn oldest(&mut self) -> Option<(&mut Lane, usize)> {
        let number = |lane: &Lane| {
            lane.queue
                .front()
                .map_or(u64::MAX, |waiting| waiting.number)
        };
        let droppable_first = number(&self.droppable) < number(&self.kept);
        let lane = if droppable_first {
            &mut self.droppable
        } else {
            &mut self.kept
        };
        let size = lane.queue.front()?.message.size();
        Some((lane, size))
    }
}

/// Messages of one kind.
#[derive(Default)]
struct Lane {
    queue: VecDeque<Waiting>,
    bytes: usize,
}

struct Waiting {
    number: u64,
    /// As counted against the limit.
    size: usize,
    message: Arc<Message>,
}

impl Lane {
    /// Room for this many messages is kept when the lane is empty; more is given back.
    const KEPT_ROOM: usize = 8;

    fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.size;
        self.queue.push_back(waiting);
    }

    fn pop(&mut self) -> Option<Arc<Message>> {
        let waiting = self.queue.pop_front()?;
        self.bytes -= waiting.size;
        Some(waiting.message)
    }

    /// A burst must not hold its memory for the life of an idle connection.
    fn shrink(&mut self) {
        if self.queue.is_empty() && self.queue.capacity() > Self::KEPT_ROOM {
            self.queue = VecDeque::new();
        }
    }
}
