//! What a consumer takes at once. That of a session stays in its queue as well, until it is confirmed.

use std::{fmt, sync::Arc};

use super::Queue;
use crate::broker::{Message, Qos};

/// Messages that were taken together.
#[derive(Debug, Default)]
pub struct Batch {
    /// In order.
    pub messages: Vec<Arc<Message>>,
    /// How often they were taken before, and not confirmed.
    pub earlier: u32,
    receipt: Option<Receipt>,
}

impl Batch {
    pub(super) fn new(messages: Vec<Arc<Message>>, earlier: u32, receipt: Option<Receipt>) -> Self {
        Self {
            messages,
            earlier,
            receipt,
        }
    }

    /// Messages that only whoever took them has.
    pub(super) fn plain(messages: Vec<Arc<Message>>) -> Self {
        Self::new(messages, 0, None)
    }

    /// Whether a session has the messages until they are confirmed.
    #[must_use]
    pub fn is_of_session(&self) -> bool {
        self.receipt.is_some()
    }

    /// The handler has them. Without effect where another connection has been given them since.
    pub fn confirm(&self) {
        if let Some(Receipt { queue, epoch }) = &self.receipt {
            queue.confirm(*epoch);
        }
    }

    /// How many are nobody's any more where the batch was not delivered: all, but those that a session keeps.
    #[must_use]
    pub fn lost(&self) -> usize {
        let kept = |message: &&Arc<Message>| self.is_of_session() && message.qos != Qos::AtMostOnce;
        self.messages.len() - self.messages.iter().filter(kept).count()
    }

    /// Takes out the messages that must not be delivered twice, if others are left; how many there were. `None`
    /// where there are no others.
    pub fn keep_repeatable(&mut self) -> Option<usize> {
        let repeatable = |message: &Arc<Message>| message.qos != Qos::AtMostOnce;
        if !self.messages.iter().any(repeatable) {
            return None;
        }
        let before = self.messages.len();
        self.messages.retain(repeatable);
        Some(before - self.messages.len())
    }
}

/// By which a batch is confirmed.
pub(super) struct Receipt {
    queue: Arc<Queue>,
    /// Counts the connections of the queue.
    epoch: u32,
}

impl Receipt {
    pub(super) fn new(queue: &Arc<Queue>, epoch: u32) -> Self {
        Self {
            queue: Arc::clone(queue),
            epoch,
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receipt").field(&self.epoch).finish()
    }
}
