//! Which lane a connection is attached to: that of its endpoint, or one that is being looked for.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use proto::stream::{Attach, Client, Detail};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    connection::{
        CloseReason,
        delivery::{Patience, wish},
        handle::Shared,
    },
    handler::{
        Bound,
        stream::{Attachment, Lane},
    },
};

/// A place at an endpoint, and one of its lanes.
type Found = (Bound, Arc<Lane>);

/// Where the connection's events go.
pub(super) struct Place {
    shared: Arc<Shared>,
    lane: Option<Arc<Lane>>,
    /// The endpoint that it is bound to, or was.
    bound: Option<Bound>,
    /// A lane is being looked for.
    finding: Option<BoxFuture<'static, Result<Found, CloseReason>>>,
    /// How often a handler was told of the connection.
    introductions: u32,
    /// The handler's process that was told last.
    instance: Arc<str>,
}

impl Place {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            shared: shared.clone(),
            lane: None,
            bound: None,
            finding: None,
            introductions: 0,
            instance: "".into(),
        }
    }

    pub(super) fn introductions(&self) -> u32 {
        self.introductions
    }

    pub(super) fn lane(&self) -> Option<&Arc<Lane>> {
        self.lane.as_ref()
    }

    /// What became of something that the handler was told.
    pub(super) fn made(&self, has_failed: bool) {
        if let Some(bound) = &self.bound {
            bound.made(has_failed);
        }
    }

    /// Leaves a lane that has ended, or whose handler has said goodbye and owes nothing. Whether it did.
    pub(super) fn leave_if_over(&mut self, attachment: &Attachment, owes: bool) -> bool {
        let is_over = |lane: &Arc<Lane>| lane.has_ended() || (lane.is_leaving() && !owes);
        if !self.lane.as_ref().is_some_and(is_over) {
            return false;
        }
        self.leave(attachment);
        true
    }

    /// Leaves the lane, if there is one.
    pub(super) fn leave(&mut self, attachment: &Attachment) {
        if let Some(lane) = self.lane.take() {
            lane.detach(attachment);
        }
    }

    /// Attaches the connection once there is a lane. An error where none was found in time.
    pub(super) fn poll(
        &mut self,
        attachment: &Arc<Attachment>,
        acknowledged: u64,
        offset: u64,
        cx: &mut Context<'_>,
    ) -> Result<(), CloseReason> {
        while self.lane.is_none() {
            let Poll::Ready(found) = self.poll_find(cx) else {
                return Ok(());
            };
            let (bound, lane) = found?;
            let attach = Attach {
                acknowledged,
                offset,
                ..self.introduction()
            };
            if !lane.attach(attachment, attach) {
                continue;
            }
            self.introductions += 1;
            if self.introductions > 1 {
                self.shared.rebound();
            }
            self.instance = lane.instance().clone();
            self.bound = Some(bound);
            self.lane = Some(lane);
        }
        Ok(())
    }

    /// What is told of the connection, but for what its attachment knows.
    fn introduction(&self) -> Attach {
        let shared = &*self.shared;
        let client = shared.phase.client().ok();
        Attach {
            conn: shared.key,
            id: shared.id.as_str().to_owned(),
            conninfo: Some(shared.info.to_proto()),
            listener: shared.settings.listener.clone(),
            transport: shared.info.transport.as_str().to_owned(),
            details: details(shared),
            attempt: self.introductions + 1,
            instance: self.instance.as_ref().to_owned(),
            client: client.map(|client| Client {
                clientid: client.clientid.as_ref().to_owned(),
                username: client.username.clone(),
            }),
            ..Attach::default()
        }
    }

    fn poll_find(&mut self, cx: &mut Context<'_>) -> Poll<Result<Found, CloseReason>> {
        if self.finding.is_none() {
            // Elsewhere only where its own endpoint has no lane for it.
            let same = self.bound.take().filter(|bound| !bound.life().is_lost());
            let bind = || self.shared.settings.handlers.bind(wish(&self.shared));
            let found = lane_of(&self.shared, same).or_else(|| lane_of(&self.shared, bind()));
            if let Some(found) = found {
                return Poll::Ready(Ok(found));
            }
            self.finding = Some(Box::pin(find(self.shared.clone())));
        }
        let finding = self.finding.as_mut().expect("it was just put there");
        let found = ready!(finding.as_mut().poll(cx));
        self.finding = None;
        Poll::Ready(found)
    }
}

/// The connection's lane at that endpoint, if it has one that takes connections.
fn lane_of(shared: &Shared, bound: Option<Bound>) -> Option<Found> {
    let bound = bound?;
    let lane = bound.life().stream(shared.key)?;
    Some((bound, lane))
}

/// Waits for a lane, for `park_timeout` at most.
async fn find(shared: Arc<Shared>) -> Result<Found, CloseReason> {
    let settings = &shared.settings;
    let _parked = settings.metrics.parked();
    let policy = &settings.policy;
    let mut patience = Patience::default();
    loop {
        let until = patience.until(policy);
        let bound = timeout_at(until, settings.handlers.wait(wish(&shared))).await;
        let Ok(Some(bound)) = bound else {
            return Err(CloseReason::HandlerUnavailable);
        };
        if let Some(found) = lane_of(&shared, Some(bound)) {
            return Ok(found);
        }
        // It is about to end, or has just ended.
        let (pause, until) = patience.next(policy);
        if Instant::now() + pause > until || settings.handlers.gave_up() {
            return Err(CloseReason::HandlerUnavailable);
        }
        sleep(pause).await;
    }
}

fn details(shared: &Shared) -> Vec<Detail> {
    let details = shared.info.details.plain().into_iter();
    details
        .map(|(name, value)| Detail {
            name,
            value: value.into(),
        })
        .collect()
}
