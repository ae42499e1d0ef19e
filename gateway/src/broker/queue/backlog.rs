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
}

/// What became of a pushed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is in, and so many older ones are not any more.
    In { dropped: u64 },
    /// It is not in, and nothing has changed.
    NoRoom,
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
