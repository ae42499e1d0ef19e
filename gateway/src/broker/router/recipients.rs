//! Who gets one message, collected under the table's lock and served outside it.

use std::{future::poll_fn, sync::Arc, task::Poll};

use super::group::Group;
use crate::broker::{Message, Queue};

#[derive(Default)]
pub(in crate::broker) struct Recipients {
    /// A queue is here once per matching filter.
    pub(super) queues: Vec<Arc<Queue>>,
    /// In each, one member gets the message.
    pub(in crate::broker) groups: Vec<Arc<Group>>,
}

impl Recipients {
    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.groups.is_empty()
    }

    /// Whether one of them is far behind with what it has.
    pub(in crate::broker) fn are_crowded(&self) -> bool {
        self.queues.iter().any(|queue| queue.is_crowded())
    }

    /// As [`Self::deliver`], without a pause.
    pub(in crate::broker) fn deliver_now(&self, message: &Arc<Message>) -> u64 {
        count(&self.queues, |queue| queue.push(Arc::clone(message)))
            + count(&self.groups, |group| group.push(message))
    }

    /// Pushes the message to all; the number of queues that took it. Other tasks get their turn in between.
    pub(in crate::broker) async fn deliver(&self, message: &Arc<Message>) -> u64 {
        let mut delivered = 0;
        for (index, some) in self.queues.chunks(AT_ONCE).enumerate() {
            if index > 0 {
                give_way().await;
            }
            delivered += count(some, |queue| queue.push(Arc::clone(message)));
        }
        delivered + count(&self.groups, |group| group.push(message))
    }
}

/// So many pushes take about a tenth of a millisecond.
const AT_ONCE: usize = 1_000;

fn count<T>(some: &[T], push: impl Fn(&T) -> bool) -> u64 {
    some.iter().map(|one| u64::from(push(one))).sum()
}

/// Lets the executor run something else first.
async fn give_way() {
    let mut gave = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut gave, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
