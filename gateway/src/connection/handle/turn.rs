//! Calls that wait on one connection, because its device reads slowly: how many may.

use std::sync::atomic::Ordering;

use super::{CallError, Handle, Shared};

/// Calls that wait for room may bring so many times the bytes that the outbox holds.
const WAITING_OUTBOXES: usize = 4;

impl Handle {
    /// A place among the calls that may wait on this connection, for one that brings so many bytes. A call that waits
    /// alone may bring any number.
    pub(super) fn turn(&self, bytes: usize) -> Result<Turn<'_>, CallError> {
        let shared = &*self.0;
        let max_waiting_calls = shared.settings.tuning().limits.max_waiting_calls;
        let turn = Turn { shared, bytes };
        let calls = shared.waiting.fetch_add(1, Ordering::Relaxed);
        let before = shared.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let most = shared.outbox_limit.saturating_mul(WAITING_OUTBOXES);
        if calls >= max_waiting_calls || (calls > 0 && before + bytes > most) {
            return Err(CallError::Busy {
                calls,
                bytes: before,
            });
        }
        Ok(turn)
    }
}

/// Gives the place back.
pub(super) struct Turn<'a> {
    shared: &'a Shared,
    bytes: usize,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        let bytes = self.bytes;
        self.shared
            .waiting_bytes
            .fetch_sub(bytes, Ordering::Relaxed);
    }
}
