//! Callbacks as the events of an ordered stream: numbered, several in flight, kept until they are acknowledged, and sent
//! again on another lane when theirs ends.

/// What an event holds, and what it is on the wire.
mod event;
/// Which lane a connection is attached to.
mod place;
/// The connection, as its attachment needs it.
mod target;

use std::{
    collections::VecDeque,
    future::{Future as _, poll_fn},
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Instant,
};

use tokio::time::sleep;

use self::{
    event::{Kind, Numbered},
    place::Place,
    target::Commands,
};
use super::pending::Pending;
use crate::{
    connection::{CloseReason, Executor, Handle, delivery::Event, handle::Shared},
    handler::stream::{Attachment, Credits, Lane},
    metrics::Outcome,
};

/// Places for events that an idle connection keeps.
const FEW: usize = 4;

/// The events of one connection.
pub(super) struct Streaming {
    shared: Arc<Shared>,
    attachment: Arc<Attachment>,
    place: Place,
    /// Those that are not acknowledged, in order.
    events: VecDeque<Numbered>,
    /// How many of them the lane has been given.
    sent: usize,
    /// What of the credits they use up.
    used: Credits,
    /// The last event that was numbered.
    last: u64,
    acknowledged: u64,
    /// Bytes of the device in events that were acknowledged.
    offset: u64,
    /// Since when the handler owes an acknowledgement.
    unanswered: Option<Instant>,
    /// The last event has its number.
    is_closed: bool,
    /// The handler broke a rule, or a callback failed: what it acknowledges from then on says nothing of it.
    is_faulty: bool,
    /// A failure of this connection was counted, and no other one is.
    was_judged: bool,
}

impl Streaming {
    pub(super) fn new(shared: &Arc<Shared>, executor: &Arc<dyn Executor>) -> Self {
        let target = Commands::new(Handle::new(shared.clone()), executor.clone());
        let credits = shared.settings.policy.command_credits;
        Self {
            attachment: Attachment::new(shared.key, credits, Box::new(target)),
            place: Place::new(shared),
            shared: shared.clone(),
            events: VecDeque::new(),
            sent: 0,
            used: Credits { count: 0, bytes: 0 },
            last: 0,
            acknowledged: 0,
            offset: 0,
            unanswered: None,
            is_closed: false,
            is_faulty: false,
            was_judged: false,
        }
    }

    /// All was acknowledged, and all commands were carried out.
    pub(super) fn is_idle(&self) -> bool {
        self.events.is_empty() && !self.attachment.is_busy()
    }

    /// No handler has been told of the connection.
    pub(super) fn is_unmet(&self) -> bool {
        self.place.introductions() == 0
    }

    pub(super) fn unacknowledged_bytes(&self) -> usize {
        self.used.bytes
    }

    pub(super) fn unanswered_since(&self) -> Option<Instant> {
        self.unanswered
    }

    /// Takes what the handler has said, and tells it what there is to tell. Ready when the connection has to close, or
    /// where it ends and something was acknowledged.
    pub(super) fn poll(
        &mut self,
        pending: &mut Pending,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), CloseReason>> {
        let mut acknowledged = false;
        if let Some(news) = self.attachment.news() {
            for result in news.results {
                if self.is_closed {
                    self.attachment.result_acknowledged();
                } else {
                    self.number(Kind::Result(result));
                }
            }
            acknowledged = self.acknowledge(news.acknowledged, news.failed);
            if let Some(fault) = news.fault {
                let conn = &self.shared.id;
                tracing::debug!(%conn, fault, "the handler failed");
                self.failed();
                self.is_faulty = true;
                // Whatever it has called for that event, its shadow is not told of.
                self.shared.not_comparable("a callback failed");
                return Poll::Ready(Err(CloseReason::HandlerError));
            }
        }
        if let Err(reason) = self.poll_place(cx) {
            return Poll::Ready(Err(reason));
        }
        self.tell(pending);
        if acknowledged && self.shared.ending.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// What is left, and the end. Bounded by `deadline` since the last acknowledgement, and by `park_timeout`.
    pub(super) async fn finish(
        &mut self,
        pending: &mut Pending,
        reason: CloseReason,
    ) -> Result<(), CloseReason> {
        if reason == CloseReason::HandlerTimeout {
            self.failed();
        }
        let told = self.finish_telling(pending, reason).await;
        if told.is_err() && self.events.iter().any(Numbered::may_be_seen) {
            self.shared.not_comparable("a callback was not answered");
        }
        told
    }

    async fn finish_telling(
        &mut self,
        pending: &mut Pending,
        reason: CloseReason,
    ) -> Result<(), CloseReason> {
        let deadline = self.shared.settings.policy.deadline;
        let mut patience = pin!(sleep(deadline));
        poll_fn(|cx| {
            self.shared.poll_asked(cx);
            let before = self.acknowledged;
            loop {
                if pending.is_empty() && !self.is_closed {
                    self.is_closed = true;
                    self.number(Kind::Closed(reason));
                }
                match self.poll(pending, cx) {
                    // It is closed already; the handler is still told.
                    Poll::Ready(Err(CloseReason::HandlerError)) => pending.clear(),
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                    Poll::Ready(Ok(())) => {}
                    Poll::Pending if pending.is_empty() && !self.is_closed => {}
                    Poll::Pending => break,
                }
            }
            if self.is_closed && self.events.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.acknowledged > before || self.place.lane().is_none() {
                patience
                    .as_mut()
                    .reset(tokio::time::Instant::now() + deadline);
            }
            patience.as_mut().poll(cx).map(|()| {
                self.failed();
                Err(CloseReason::HandlerTimeout)
            })
        })
        .await
    }

    /// The handler has failed this connection, which counts once.
    fn failed(&mut self) {
        if !std::mem::replace(&mut self.was_judged, true) {
            self.place.made(true);
        }
    }

    /// Sees to it that the connection is attached, or on the way to be.
    fn poll_place(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        let owed = self
            .events
            .front()
            .is_some_and(|event| event.shown.is_some());
        if self.place.leave_if_over(&self.attachment, owed) {
            if owed {
                self.failed();
            }
            self.sent = 0;
            self.unanswered = None;
            if !self.shared.settings.policy.rebinds {
                return Err(CloseReason::HandlerLost);
            }
        }
        self.place
            .poll(&self.attachment, self.acknowledged, self.offset, cx)
    }

    /// Tells the handler what it has room and credits for.
    fn tell(&mut self, pending: &mut Pending) {
        // Most looks find nothing to tell.
        if self.sent == self.events.len() && pending.is_empty() {
            return;
        }
        let Some(lane) = self.place.lane().cloned() else {
            return;
        };
        if lane.is_leaving() {
            // A callback may wait for it, and the rest goes to another handler.
            self.show(&lane, |event| matches!(event.kind, Kind::Result(_)));
            return;
        }
        let limit = self.shared.settings.tuning().limits.inbound_limit.bytes();
        let credits = lane.credits(Credits {
            count: self.shared.settings.policy.max_events,
            bytes: limit,
        });
        loop {
            if !self.show(&lane, |_| true) {
                return;
            }
            if self.used.count >= credits.count || self.used.bytes >= credits.bytes {
                return;
            }
            let Some(event) = pending.next() else {
                return;
            };
            match event {
                Event::Received(bytes) => self.number(Kind::Bytes(bytes)),
                Event::Messages(batch) => self.number(Kind::Messages(batch)),
                Event::TimerTimeout => self.number(Kind::TimerTimeout),
                // An `Attach` says that, and `finish` tells the end.
                Event::Created | Event::Closed(_) => {}
            }
        }
    }

    /// Gives the lane what it has not been given, up to an event that it must not be. False where it has no room.
    fn show(&mut self, lane: &Arc<Lane>, may: fn(&Numbered) -> bool) -> bool {
        while let Some(event) = self.events.get_mut(self.sent).filter(|event| may(event)) {
            if !lane.has_room(&self.attachment) {
                return false;
            }
            let resent = event.shown.is_some();
            let now = Instant::now();
            event.shown.get_or_insert(now);
            self.unanswered.get_or_insert(now);
            self.sent += 1;
            let event = event.to_proto(&self.shared, resent);
            lane.show(&self.attachment, event);
        }
        true
    }

    fn number(&mut self, kind: Kind) {
        self.last += 1;
        if kind.uses_credits() {
            self.used.count += 1;
            self.used.bytes += kind.size();
        }
        self.events.push_back(Numbered {
            seq: self.last,
            kind,
            shown: None,
        });
    }

    /// The handler is done with the events up to this one, and one may have failed. Whether that is news.
    fn acknowledge(&mut self, upto: u64, failed: Option<u64>) -> bool {
        if upto <= self.acknowledged {
            return false;
        }
        self.acknowledged = upto;
        let is_done = |event: &Numbered| event.seq <= upto;
        while self.events.front().is_some_and(is_done)
            && let Some(event) = self.events.pop_front()
        {
            self.sent = self.sent.saturating_sub(1);
            if event.kind.uses_credits() {
                self.used.count -= 1;
                self.used.bytes -= event.kind.size();
            }
            let has_failed = failed == Some(event.seq);
            let outcome = if has_failed {
                Outcome::Refused
            } else {
                Outcome::Ok
            };
            if !has_failed && !self.is_faulty && event.kind.method().is_some() {
                self.place.made(false);
            }
            let metrics = &self.shared.settings.metrics;
            metrics.event(event.kind.method(), outcome, event.shown);
            if !has_failed {
                event.kind.copy(&self.shared);
            }
            match event.kind {
                Kind::Bytes(bytes) => self.offset += bytes.len() as u64,
                // A session keeps them for the next connection.
                Kind::Messages(batch) if has_failed => {
                    let stats = self.shared.settings.broker.stats();
                    stats.discarded.fetch_add(batch.lost() as u64, Relaxed);
                }
                Kind::Messages(batch) => batch.confirm(),
                Kind::Result(_) => self.attachment.result_acknowledged(),
                Kind::TimerTimeout | Kind::Closed(_) => {}
            }
        }
        if self.events.is_empty() && self.events.capacity() > FEW {
            // An idle connection holds next to nothing.
            self.events = VecDeque::new();
        }
        self.unanswered = (self.sent > 0).then(Instant::now);
        true
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.place.leave(&self.attachment);
        let stats = self.shared.settings.broker.stats();
        for event in &self.events {
            if let Kind::Messages(batch) = &event.kind {
                stats.discarded.fetch_add(batch.lost() as u64, Relaxed);
            }
        }
    }
}
