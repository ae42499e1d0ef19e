//! What becomes of a delivery on its way: how it ends, and what follows when an attempt failed.

use crate::connection::CloseReason;

/// What follows when a call that may have been seen has failed.
pub(super) enum Then {
    Repeat,
    Forget,
    Close,
}

/// How a delivery went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The handler has answered.
    Acknowledged,
    /// Nobody knows, and it is not told again: messages that arrive at most once.
    Forgotten,
}

/// Why a delivery stops without an answer.
pub(super) enum Stop {
    /// The connection has to close.
    Close(CloseReason),
    /// The connection ends, and the handler is not told.
    GivenUp,
}

impl From<CloseReason> for Stop {
    fn from(reason: CloseReason) -> Self {
        Self::Close(reason)
    }
}
