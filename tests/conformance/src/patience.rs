//! How long the kit waits. Each wait of each check is one of these.

use std::{future::Future, time::Duration};

use crate::check::{Miss, fail};

/// The bounds of all waiting.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For what must come: an answer, a reply, a callback.
    pub deadline: Duration,
    /// For what must not come: so long nothing may be seen.
    pub settle: Duration,
}

impl Patience {
    /// The same, with more time for what must come.
    #[must_use]
    pub fn longer(self, more: Duration) -> Self {
        Self {
            deadline: self.deadline + more,
            ..self
        }
    }

    /// Waits for `future`, which is `what` must come.
    pub async fn wait<T>(&self, what: &str, future: impl Future<Output = T>) -> Result<T, Miss> {
        match tokio::time::timeout(self.deadline, future).await {
            Ok(value) => Ok(value),
            Err(_) => fail(format!("no {what} within {:?}", self.deadline)),
        }
    }

    /// Waits that `future` does not come to an end; it is told what did come.
    pub async fn watch<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.settle, future).await.ok()
    }
}
