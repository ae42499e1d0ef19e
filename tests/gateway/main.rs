//! A gateway in this process, real sockets, and handlers that are real gRPC servers.

// Clippy knows tests by their attribute, not the functions that they share.
#![allow(clippy::unwrap_used)]

/// The calls of the adapter, as the tests make them.
mod calls;
/// A gateway with one listener of some transport.
mod setting;
/// A connection from its first callback to its last.
mod lifecycle;
/// Bytes in both directions.
mod bytes;
/// Devices that mean harm.
mod hostile;
/// Who is kept out for a time.
mod bans;
/// A new configuration for a gateway that runs.
mod reload;
/// What holds on every transport.
mod transports;
/// Rates at every level, in both directions.
mod rates;
/// Frames in streams.
mod frames;
/// Balancers in front.
mod balancers;
/// Addresses of UDP.
mod datagrams;
/// DTLS 1.3.
#[cfg(feature = "dtls13")]
mod dtls13;
/// Result codes, and what callers get wrong.
mod adapter;
/// Who may call the adapter.
mod callers;
/// The service for back ends.
mod backend;
/// The management API.
mod management;
/// More than one pod, through Redis.
mod cluster;
/// Authenticate, takeover, expiry.
mod clients;
/// Who may be a client, as real issuers, services and Redis say it.
mod authentication;
/// Who may publish and subscribe.
mod authorization;
/// Handlers that are slow, wrong, absent or lost.
mod handlers;
/// A second handler that is tried with live traffic.
mod mirror;
/// Where handlers are found, and which one a connection goes to.
mod endpoints;
/// The ordered stream.
mod streams;
/// Client streams, for old handlers.
mod client_streams;
/// Handlers that refuse single calls, spoken to in plain HTTP/2.
mod refusals;
/// Queues that are full.
mod backpressure;
/// Keepalive, idle and other timers.
mod timers;
/// Topics, filters and messages.
mod pubsub;
/// Messages that are sent again.
mod redelivery;
/// Clients that come back.
mod sessions;
/// Messages for whoever subscribes later.
mod retained;
/// When clients come and go, as messages.
mod sys_events;
/// Drain, health and metrics.
mod operation;
/// The program as its user starts it.
mod program;
/// The Python example.
mod python;
/// Clients that nobody here wrote.
mod outside;
