//! The kit against handlers and gateways that are sound, and against ones that each break one rule.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

/// A handler of a small protocol, sound or with one fault.
mod line_handler;
/// A gateway with one fault, made of a sound one and a proxy at each side.
mod saboteur;
/// Runs of the kit in this process.
mod runs;

/// Handlers.
mod handlers;
/// Gateways.
mod gateways;
/// The program as its user starts it.
mod program;
/// The Python example under the kit.
mod python;
