//! What goes wrong with a command.

use proto::exproto::ResultCode;

/// The gateway refused a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str_name())]
pub struct Refusal {
    /// Why, as the contract names it.
    pub code: ResultCode,
    /// Why, for a person to read.
    pub message: String,
}

/// Why a command was not given, or has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The connection has ended, or this process has lost it.
    #[error("the connection has ended")]
    Gone,
    /// The gateway refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The adapter could not be asked. With `emqx.exproto.v1` alone.
    #[error("the adapter does not answer: {0}")]
    Unreachable(String),
    /// It is larger than the gateway takes: nothing was sent.
    #[error("the command has {size} bytes, and the gateway takes {limit}; send less at a time")]
    TooLarge {
        /// What it has.
        size: usize,
        /// What the gateway takes at most.
        limit: usize,
    },
    /// There is no such thing here.
    #[error("{0}")]
    Unsupported(&'static str),
}
