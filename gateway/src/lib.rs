//! ExProto Gateway: device sockets in, gRPC callbacks out.
//!
//! Read the modules in the order below; each heading says where it stands in the flow. [`Gateway`] wires them.

/// A gateway: what it is made of, how it starts, serves and ends.
pub mod gateway;
/// The end of a pod.
pub mod shutdown;
/// Devices let in, within limits.
pub mod listen;
/// Who is let in, and how fast.
pub mod admission;
/// Certificates, shared keys, and the handshake of TLS.
pub mod tls;
/// DTLS, without its sockets.
pub mod dtls;
/// DTLS 1.3, an option of the build.
#[cfg(feature = "dtls13")]
pub mod dtls13;
/// What the `openssl` crate does not offer.
mod native;
/// Files that are read whole, up to a limit.
pub mod files;
/// Files that may change.
pub mod watch;
/// What a connection knows of its socket.
pub mod transport;
/// A stream cut into frames.
pub mod framing;
/// One connection: one task that owns everything.
pub mod connection;
/// Pauses between tries.
mod backoff;

/// Times as contracts have them.
mod clock;
/// The user's handlers: which are there, and one call to one of them.
pub mod handler;
/// Names of connections, opaque and unforgeable.
pub mod conn_id;
/// The table of live connections.
pub mod registry;
/// A second handler that is tried with live traffic.
pub mod mirror;
/// What handlers call.
pub mod adapter;
/// What the user's own services call.
pub mod backend;
/// The door of servers that are not for devices.
pub mod door;
/// Bearer tokens.
pub mod tokens;
/// Who may call the adapter.
pub mod callers;
/// The user's own services that are asked.
pub mod services;
/// Who may be a client.
pub mod auth;
/// How a connection becomes a client.
/// Other pods, through Redis.
pub mod cluster;

/// Other pods, called directly.
pub mod peers;

/// Who has a clientid, of all pods.
pub mod ownership;

/// Bans of all pods.
pub mod shared_bans;

/// Sessions that outlive their pod.
pub mod shared_sessions;

/// What becomes of connections whose pod dies.
pub mod loss;

/// What pods write is sealed.
pub mod seal;

pub mod clients;
/// Who may publish and subscribe.
pub mod authorization;
/// The link to the Redis that the pods share.
pub mod redis;
/// What routes messages by topic.
pub mod broker;
/// Health and metrics over HTTP.
pub mod http;
/// Clients, connections and bans over HTTP, for whoever runs the pod.
pub mod management;
/// Every instrument.
pub mod metrics;
/// Logs.
pub mod telemetry;
/// A gateway and a small handler in one process, to try it out.
pub mod demo;

pub use gateway::{Error, Gateway, Reloader};
