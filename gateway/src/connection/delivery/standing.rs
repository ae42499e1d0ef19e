//! How a connection stands with its handler.

use std::task::{Context, Poll, ready};

use crate::{
    connection::CloseReason,
    handler::{Bound, Failure},
    loss::Record,
};

/// How a connection stands with its handler.
#[derive(Default)]
pub(in crate::connection) struct Standing {
    /// Where its callbacks go.
    pub(super) bound: Option<Bound>,
    /// The one that it is bound to has answered `OnSocketCreated`.
    pub(super) introduced: bool,
    /// Some handler has seen, or may have seen, `OnSocketCreated`.
    pub(in crate::connection) met: bool,
    /// How often `OnSocketCreated` was called.
    pub(super) introductions: u32,
    /// Other pods know of it, where there are others.
    pub(super) record: Option<Record>,
}

impl Standing {
    /// The handler that it is bound to is gone.
    pub(in crate::connection) fn lost(&self) -> bool {
        self.bound.as_ref().is_some_and(Bound::is_lost)
    }

    /// Ready when the handler has refused what was delivered, because it answers later than that.
    pub(in crate::connection) fn poll_refused(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<CloseReason> {
        let Some(bound) = &mut self.bound else {
            return Poll::Pending;
        };
        let (method, failure) = ready!(bound.poll_refused(cx));
        let (endpoint, method) = (bound.life().address(), method.as_str());
        tracing::debug!(method, endpoint, %failure, "the handler ended a stream");
        Poll::Ready(CloseReason::from(&failure))
    }

    /// Another pod tells the handler of the end, as it took this one for dead.
    pub(super) async fn is_inherited(&self) -> bool {
        match &self.record {
            Some(record) => record.is_inherited().await,
            None => false,
        }
    }

    /// The handler was told of the end.
    pub(super) async fn finish(&mut self) -> Result<(), CloseReason> {
        match &mut self.bound {
            Some(bound) => bound.finish().await.map_err(|failure| (&failure).into()),
            None => Ok(()),
        }
    }
}

impl From<&Failure> for CloseReason {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Unreached { .. } => Self::HandlerUnavailable,
            Failure::Lost(_) => Self::HandlerLost,
            Failure::Refused(_) => Self::HandlerError,
            Failure::TimedOut(_) => Self::HandlerTimeout,
        }
    }
}
