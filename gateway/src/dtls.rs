//! DTLS 1.2, without its sockets: a UDP worker hands datagrams in and takes datagrams out.
//!
//! A first `ClientHello` is answered from [`Cookies`](crate::dtls::Cookies) and leaves nothing behind; one that brings its cookie back gets a
//! [`Session`](crate::dtls::Session), on OpenSSL, as the [`Context`](crate::dtls::Context) of its listener says. Nothing here reads a clock but to retransmit.

/// What a device's first datagram says.
pub mod hello;
/// Cookies, so that nobody holds memory under an address that is not theirs.
pub mod cookie;
/// What a listener shows of itself and wants of its devices.
pub mod context;
/// What any back end does for one device.
pub mod security;
/// One device's session.
pub mod session;
/// A session on OpenSSL.
mod conversation;
/// A session on its keys alone.
mod protection;
/// Why a session ended.
pub mod fault;
/// Records in a datagram.
mod record;
/// What OpenSSL reads from and writes to.
mod pipe;

pub use self::{
    context::Context,
    cookie::Cookies,
    fault::SessionError,
    hello::Hello,
    security::{DatagramSecurity, Progress},
    session::{Refusal, Session},
};

#[cfg(test)]
mod tests;
