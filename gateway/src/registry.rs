//! The only table of live connections: sequence number → handle.

use std::sync::Arc;

use dashmap::DashMap;

use crate::connection::Handle;

/// All connections of this process that take calls. Clones are the same.
#[derive(Clone, Default)]
pub struct Registry(Arc<DashMap<u64, Handle>>);

/// Takes the connection out of the table when dropped.
#[must_use]
pub struct Registration {
    registry: Registry,
    sequence: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.0.remove(&self.sequence);
    }
}

impl Registry {
    /// Puts a connection in, until the answer is dropped.
    pub fn register(&self, sequence: u64, handle: Handle) -> Registration {
        self.0.insert(sequence, handle);
        Registration {
            registry: self.clone(),
            sequence,
        }
    }

    /// The connection of that number, if it takes calls.
    #[must_use]
    pub fn get(&self, sequence: u64) -> Option<Handle> {
        self.0.get(&sequence).map(|entry| entry.value().clone())
    }

    /// Makes every connection look around.
    pub fn wake_all(&self) {
        self.0.iter().for_each(|entry| entry.value().wake());
    }

    /// All connections at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Handle> {
        self.0.iter().map(|entry| entry.value().clone()).collect()
    }
}
