//! The bytes that all sessions without a connection may take together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// How many bytes are taken, and how many may be.
pub(in crate::broker) struct Budget {
    limit: AtomicUsize,
    taken: AtomicUsize,
}

impl Budget {
    pub(in crate::broker) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            taken: AtomicUsize::new(0),
        })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Another limit, for whoever asks from now on.
    pub(super) fn set(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    pub(in crate::broker) fn taken(&self) -> usize {
        self.taken.load(Relaxed)
    }
}

/// Bytes that are taken, until this is dropped.
pub(in crate::broker) struct Reserved {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reserved {
    pub(in crate::broker) fn nothing(budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            bytes: 0,
        }
    }

    pub(in crate::broker) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes so many more, if they are there.
    pub(in crate::broker) fn grow(&mut self, bytes: usize) -> bool {
        let limit = self.budget.limit.load(Relaxed);
        let taken = self.budget.taken.fetch_update(Relaxed, Relaxed, |taken| {
            let wanted = taken.saturating_add(bytes);
            (bytes == 0 || wanted <= limit).then_some(wanted)
        });
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }

    /// Takes what is missing to so many, if it is there.
    pub(in crate::broker) fn grow_to(&mut self, bytes: usize) -> bool {
        self.grow(bytes.saturating_sub(self.bytes))
    }

    /// Gives so many back.
    pub(in crate::broker) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.taken.fetch_sub(bytes, Relaxed);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}
