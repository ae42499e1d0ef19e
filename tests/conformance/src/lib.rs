//! The conformance kit: what the contract `emqx.exproto.v1` asks of a handler and of a gateway, as checks.
//!
//! It knows both by the contract alone, so it may be pointed at any handler, and at any gateway, EMQX too. Everything
//! that it waits for has a bound from [`patience::Patience`].

/// One check: a rule, where it is from, and what shows whether it is kept.
pub mod check;
/// What came of all checks, as text and as JUnit XML.
pub mod report;
/// How long is waited: for what must come, and for what must not.
pub mod patience;

/// What a device of the user's protocol says, and what must come back.
pub mod script;
/// The kit as a gateway: the checks of a handler.
pub mod handler;

/// How the gateway under test is known to behave: as ours, or as EMQX.
pub mod dialect;
/// The kit as a handler and as devices: the checks of a gateway.
pub mod gateway;

/// The way to a gRPC server that the user named.
pub mod reach;
/// What has happened so far, and waiting for what is to happen.
pub mod board;
/// Bytes as a person reads them.
mod shown;
