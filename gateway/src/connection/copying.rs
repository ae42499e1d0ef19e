//! What the handler has acknowledged, on its way to the shadow of the connection, if that has one.

use std::sync::Arc;

use bytes::Bytes;

use super::{CloseReason, SocketFailure, delivery::Event, handle::Shared};
use crate::{
    broker::{Message, Topic, queue::Batch, topic::MAX_LEVELS},
    mirror::{Copied, Pair},
};

/// Tells the shadow that the connection has ended, also where its task does so without a word: a shadow must not
/// outlive it.
pub(super) struct Until(Option<Arc<Pair>>);

impl Until {
    pub(super) fn new(pair: Option<&Arc<Pair>>) -> Self {
        Self(pair.cloned())
    }

    /// The connection has ended for this reason, and the handler knows.
    pub(super) fn end(mut self, reason: CloseReason) {
        if let Some(pair) = self.0.take() {
            pair.copies.end(reason);
        }
    }
}

impl Drop for Until {
    fn drop(&mut self) {
        if let Some(pair) = self.0.take() {
            pair.comparison.give_up("its task has ended");
            pair.copies.end(CloseReason::Socket(SocketFailure::Other));
        }
    }
}

/// Copies an event, but for the beginning and the end of the connection, which the shadow is told otherwise.
pub(super) fn event(shared: &Shared, event: &Event) {
    match event {
        Event::Received(bytes) => self::bytes(shared, bytes),
        Event::Messages(batch) => messages(shared, batch),
        Event::TimerTimeout => timer_timeout(shared),
        Event::Created | Event::Closed(_) => {}
    }
}

pub(super) fn bytes(shared: &Shared, bytes: &Bytes) {
    if let Some(pair) = open(shared) {
        pair.copies.push(Copied::Bytes(bytes.clone()));
    }
}

pub(super) fn timer_timeout(shared: &Shared) {
    if let Some(pair) = open(shared) {
        pair.copies.push(Copied::TimerTimeout);
    }
}

pub(super) fn messages(shared: &Shared, batch: &Batch) {
    let Some(pair) = open(shared) else {
        return;
    };
    let client = shared.phase.client().ok();
    let mountpoint = client.map_or("", |client| client.mountpoint.as_str());
    let messages = batch.messages.iter();
    let messages = messages.map(|message| unmounted(message, mountpoint));
    pair.copies.push(Copied::Messages(messages.collect()));
}

/// Where copies go, if any are taken.
fn open(shared: &Shared) -> Option<&Arc<Pair>> {
    shared.copied_to().filter(|pair| pair.copies.is_open())
}

/// The message with the topic that the client knows: its shadow has no mountpoint.
fn unmounted(message: &Arc<Message>, mountpoint: &str) -> Arc<Message> {
    if mountpoint.is_empty() {
        return message.clone();
    }
    match Topic::parse(message.topic.unmount(mountpoint), MAX_LEVELS) {
        Ok(topic) => Arc::new(Message {
            topic,
            ..Message::clone(message)
        }),
        // It was one before it was mounted.
        Err(_) => message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;
    use crate::{
        conn_id::ConnIds,
        mirror::{Counts, Fate, Manner, Next},
    };

    fn pair() -> (Arc<Pair>, Arc<Counts>) {
        let counts = Arc::<Counts>::default();
        let (conn, _) = ConnIds::new("pod", None).unwrap().mint();
        let manner = Manner {
            by_bytes: true,
            raw: false,
            limit: 1024,
        };
        (Pair::new(conn, manner, counts.clone()), counts)
    }

    fn reason(pair: &Pair) -> CloseReason {
        match pair.copies.poll_next() {
            Poll::Ready(Next::Ended(reason)) => reason,
            _ => panic!("it has not ended"),
        }
    }

    #[test]
    fn a_task_that_ends_without_a_word_ends_the_shadow() {
        let (pair, counts) = pair();
        // As a panic drops it.
        drop(Until::new(Some(&pair)));
        assert_eq!(reason(&pair), CloseReason::Socket(SocketFailure::Other));
        assert_eq!(counts.connections(Fate::Abandoned), 1);
    }

    #[test]
    fn one_that_ends_in_order_is_compared_to_the_end() {
        let (pair, counts) = pair();
        Until::new(Some(&pair)).end(CloseReason::Kicked);
        assert_eq!(reason(&pair), CloseReason::Kicked);
        assert_eq!(counts.connections(Fate::Abandoned), 0);
    }
}
