//! What has happened so far, and waiting for what is to happen.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// A state that many write to and look at.
pub struct Board<T> {
    state: Mutex<T>,
    changes: watch::Sender<()>,
}

impl<T: Default> Default for Board<T> {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changes: watch::Sender::new(()),
        }
    }
}

impl<T> Board<T> {
    /// Looks at the state.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the state; who waits looks again.
    pub fn write<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let value = change(&mut self.lock());
        self.changes.send_replace(());
        value
    }

    /// Waits until `look` finds what it looks for.
    pub async fn until<R>(&self, mut look: impl FnMut(&T) -> Option<R>) -> R {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(found) = self.read(&mut look) {
                return found;
            }
            // The sender is ours, so there is always another change to wait for.
            let _ = changes.changed().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
