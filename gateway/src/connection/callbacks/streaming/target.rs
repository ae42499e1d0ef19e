//! The connection, as its attachment needs it: who carries its commands out.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use proto::stream::command::Kind;

use crate::{
    connection::{Executor, Handle},
    handler::stream::{Outcome, Target},
};

/// The commands of one connection.
pub(super) struct Commands {
    handle: Handle,
    executor: Arc<dyn Executor>,
}

impl Commands {
    pub(super) fn new(handle: Handle, executor: Arc<dyn Executor>) -> Self {
        Self { handle, executor }
    }
}

impl Target for Commands {
    fn wake(&self) {
        self.handle.wake();
    }

    fn try_send(&self, bytes: Bytes) -> Result<(), Bytes> {
        if self.handle.looks_at_sends() {
            return Err(bytes);
        }
        self.handle.try_send(bytes)
    }

    fn carry_out(&self, command: Kind) -> BoxFuture<'static, Outcome> {
        self.executor.carry_out(self.handle.clone(), command)
    }
}
