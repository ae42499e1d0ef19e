//! Handlers for ExProto Gateway: the gateway holds the sockets of devices, and this library turns what it says into one
//! object per connection.
//!
//! Implement [`Handler`], give [`Server`] a function that makes one for each connection, and serve:
//!
//! ```no_run
//! use exproto_handler::{Bytes, Conn, Handler, Outcome, Server};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     async fn on_bytes(&mut self, conn: &Conn, bytes: Bytes) -> Outcome {
//!         conn.send(bytes).await?;
//!         Ok(())
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! Server::new(|_: &Conn| Echo).serve("127.0.0.1:9001".parse()?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! Callbacks of one connection run one after the other, in order; those of different connections do not wait for each
//! other. A callback is a *step*: the commands that it gives and the fact that it is done reach the gateway together
//! or not at all. So each event has its effect exactly once, also where this process is killed at any moment and
//! another one goes on: what was not done is done there, and what was done is not done again.
//!
//! A step is cut in two where it waits for the result of a command ([`Conn::authenticate`] and others), where it uses
//! up the credits of its connection, and where it is larger than half a batch. What was given before the cut may then
//! have its effect although the step is done again. What other tasks give while a callback runs joins its step.
//!
//! An object lives as long as its connection and this process. What has to outlive the process goes to
//! [`Conn::set_state`]; who goes on finds it in [`Conn::state`].

#![warn(missing_docs)]

/// A connection, as its object sees it.
mod conn;
/// What goes wrong.
mod error;
/// The callbacks.
mod handler;
/// Connections by their names, while they live.
mod pods;
/// What the user starts.
mod server;
/// One connection: its object, and what waits for it.
mod session;
/// Sockets of gateways.
mod socket;
/// The ordered stream.
mod stream;
/// The services of `emqx.exproto.v1`.
mod unary;

pub use bytes::Bytes;
pub use proto::exproto::{ClientInfo, ConnInfo, Message};

pub use self::{
    conn::{Conn, MAX_STATE, Peer},
    error::{Error, Refusal},
    handler::{Handler, Outcome},
    server::{ServeError, Server},
};

/// The examples in there are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
