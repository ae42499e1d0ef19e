//! The shadow of a connection: tells the mirror what the handler was told, by callbacks like any other's.
//!
//! It has no socket and carries nothing out. One event waits here at a time, so that the mirror is told what the handler
//! was told, cut in the same way; the rest waits in the pair's copies, which are bounded.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

use super::{
    CloseReason, Connection, Guard, Handle, Settings, callbacks::Callbacks, handle::Shared,
};
use crate::{
    broker::queue::{Limits, Queue},
    conn_id::ConnId,
    mirror::{Copied, Next, Pair, Side},
};

/// How long after the last callback calls of the mirror count: it may make them after its callbacks.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// The shadow of one connection; it lives once its task is spawned.
pub struct Shadow {
    shared: Arc<Shared>,
    pair: Arc<Pair>,
    callbacks: Callbacks,
    by_message: bool,
    /// Holds the messages of one event at most.
    queue: Arc<Queue>,
    /// Where the mirror owes an acknowledgement: until when.
    patience: Pin<Box<Sleep>>,
    /// Once the connection has ended: how long the mirror has to be told what is left.
    rest: Option<Pin<Box<Sleep>>>,
    /// Once it was told: how long it has to make the calls that the handler has made.
    last_calls: Option<Pin<Box<Sleep>>>,
}

/// Why it ends.
enum End {
    /// The connection has, and the mirror knows all of it.
    Whole(CloseReason),
    /// The mirror does not keep up, or has failed.
    Abandoned(CloseReason),
}

impl Connection {
    /// A shadow of this connection, which has not begun, under a conn of its own; and the handle to it.
    #[must_use]
    pub fn shadow(
        &self,
        id: ConnId,
        key: u64,
        settings: Arc<Settings>,
        pair: Arc<Pair>,
    ) -> (Handle, Shadow) {
        let (info, keeps_boundaries) = (self.shared.info.clone(), self.shared.keeps_boundaries);
        let side = Some((Side::Mirror, pair.clone()));
        let shared = Arc::new(Shared::new(id, key, info, settings, keeps_boundaries, side));
        let by_message = self.inbound.is_by_message();
        let limits = Limits {
            messages: usize::MAX,
            bytes: usize::MAX,
        };
        let queue = shared.settings.broker.queue(limits);
        let shadow = Shadow {
            callbacks: Callbacks::new(shared.clone(), by_message),
            by_message,
            queue,
            pair,
            patience: Box::pin(sleep(shared.settings.policy.deadline)),
            rest: None,
            last_calls: None,
            shared: shared.clone(),
        };
        (Handle::new(shared), shadow)
    }
}

impl Shadow {
    /// Tells the mirror of the connection until that has ended. `guard` is dropped as soon as no more calls are taken.
    pub async fn run(mut self, guard: Guard) {
        self.callbacks.follow(self.queue.clone());
        self.callbacks.created();
        let end = poll_fn(|cx| self.poll(cx)).await;
        self.shared.mailbox.close();
        self.shared.room.close();
        drop(guard);
        self.shared.mailbox.seal();
        let reason = match end {
            End::Whole(reason) => {
                self.pair.comparison.end(true);
                reason
            }
            End::Abandoned(reason) => {
                self.pair.copies.abandon();
                self.pair.comparison.give_up(reason.as_str());
                reason
            }
        };
        self.callbacks.ending();
        self.callbacks.leave_messages();
        self.callbacks.finish(reason).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.shared.poll_asked(cx);
        loop {
            if self.pair.copies.is_abandoned(cx) {
                return Poll::Ready(End::Abandoned(CloseReason::SlowHandler));
            }
            match self.callbacks.poll_answered(cx) {
                Poll::Ready(Ok(())) => continue,
                Poll::Ready(Err(reason)) => return Poll::Ready(End::Abandoned(reason)),
                Poll::Pending => {}
            }
            if self.callbacks.lost_its_handler() {
                match self.callbacks.rebind() {
                    Ok(()) => continue,
                    Err(reason) => return Poll::Ready(End::Abandoned(reason)),
                }
            }
            if self.poll_late(cx).is_ready() || self.poll_rest(cx).is_ready() {
                return Poll::Ready(End::Abandoned(CloseReason::HandlerTimeout));
            }
            if !self.callbacks.has_nothing_waiting() {
                return Poll::Pending;
            }
            if !self.queue.is_empty() {
                // A batch takes so many at most.
                self.callbacks.messages();
                continue;
            }
            match self.pair.copies.poll_next() {
                Poll::Ready(Next::Event(event)) => self.tell(event),
                Poll::Ready(Next::Ended(reason))
                    if self.callbacks.are_done() && self.poll_calls(cx).is_ready() =>
                {
                    return Poll::Ready(End::Whole(reason));
                }
                _ => return Poll::Pending,
            }
        }
    }

    /// Ready when an acknowledgement that the mirror owes is late.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(since) = self.callbacks.unanswered_since() else {
            return Poll::Pending;
        };
        let until = Instant::from_std(since) + self.shared.settings.policy.deadline;
        if self.patience.deadline() != until {
            self.patience.as_mut().reset(until);
        }
        self.patience.as_mut().poll(cx)
    }

    /// Ready when the connection ended too long ago for what is left.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.last_calls.is_some() || !self.pair.copies.has_ended() {
            return Poll::Pending;
        }
        let deadline = self.shared.settings.policy.deadline;
        let rest = self.rest.get_or_insert_with(|| Box::pin(sleep(deadline)));
        rest.as_mut().poll(cx)
    }

    /// Ready when the mirror, which was told all, has made the calls that the handler has made, or had the time for
    /// that: none where the pod ends.
    fn poll_calls(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let settings = &self.shared.settings;
        if settings.handlers.gave_up() || !self.pair.comparison.mirror_is_behind() {
            return Poll::Ready(());
        }
        let limit = LAST_CALLS.min(settings.policy.deadline / 2);
        let last_calls = self
            .last_calls
            .get_or_insert_with(|| Box::pin(sleep(limit)));
        last_calls.as_mut().poll(cx)
    }

    fn tell(&mut self, event: Copied) {
        match event {
            Copied::Bytes(bytes) if self.by_message => self.callbacks.received_message(bytes),
            Copied::Bytes(bytes) => self.callbacks.received(&bytes),
            Copied::TimerTimeout => self.callbacks.timed_out(),
            Copied::Refusing => self.pair.comparison.settle(),
            Copied::Messages(messages) => {
                for message in messages {
                    self.queue.push(message);
                }
                self.callbacks.messages();
            }
        }
    }
}
