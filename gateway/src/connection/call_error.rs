//! Why a call of the adapter was refused.

use std::time::Duration;

/// Why a call was refused. Becomes a result code in `adapter/code.rs` alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The connection has ended.
    #[error("the connection has ended")]
    Gone,
    /// The call needs a client.
    #[error("the connection is not authenticated; call Authenticate first")]
    NotAuthenticated,
    /// A connection authenticates once.
    #[error("the connection is authenticated already; a connection authenticates once")]
    AlreadyAuthenticated,
    /// Another Authenticate is under way.
    #[error("another Authenticate of this connection is under way; wait for its answer")]
    Authenticating,
    /// Authentication or authorization said no.
    #[error("{0}")]
    Denied(String),
    /// Somebody who has to be asked does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// A field that the call needs is absent or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field has a value that is not allowed.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field, as the contract names it.
        field: &'static str,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// The device reads too slowly, and the connection is being closed for it.
    #[error("the device took no more bytes for {0:?}; the connection is closed")]
    SlowConsumer(Duration),
    /// Too many calls wait on one connection.
    #[error(
        "{calls} calls with {bytes} bytes wait on this connection already, because the device reads slowly; \
         send less, or wait for answers"
    )]
    Busy {
        /// Calls.
        calls: u32,
        /// Bytes that they bring.
        bytes: usize,
    },
    /// A limit of the connection is reached.
    #[error("{0}")]
    Limit(String),
    /// The conn was not given out by this cluster.
    #[error(transparent)]
    Forged(#[from] crate::conn_id::Forged),
}
