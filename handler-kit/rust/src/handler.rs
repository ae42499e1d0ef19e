//! The callbacks.

use std::future::{Future, ready};

use bytes::Bytes;
use proto::exproto::Message;

use crate::Conn;

/// What became of a callback. After an error, or a panic, the gateway closes the connection with `handler_error`, once
/// what the callback gave is done, and of its callbacks only `on_close` follows. The error is logged on both sides, the
/// first 1,024 bytes of it by the gateway. [`Error::Gone`](crate::Error::Gone) is no error here: the connection has
/// ended anyway.
pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// One connection's object. Its callbacks run one after the other.
pub trait Handler: Send + 'static {
    /// The device has connected, or the connection comes from another handler that is gone: then [`Conn::attempt`] is
    /// above 1, and [`Conn::state`] is what was left.
    fn on_open(&mut self, conn: &Conn) -> impl Future<Output = Outcome> + Send {
        let _ = conn;
        ready(Ok(()))
    }

    /// The device has sent this: some bytes of a stream, or one datagram, frame or WebSocket message.
    fn on_bytes(&mut self, conn: &Conn, bytes: Bytes) -> impl Future<Output = Outcome> + Send;

    /// A message of the client's subscriptions. Those that come together are one step.
    fn on_message(
        &mut self,
        conn: &Conn,
        message: Message,
    ) -> impl Future<Output = Outcome> + Send {
        let _ = (conn, message);
        ready(Ok(()))
    }

    /// The keepalive of [`Conn::start_timer`] has run out; the connection closes next. What is sent here still arrives.
    fn on_timer(&mut self, conn: &Conn) -> impl Future<Output = Outcome> + Send {
        let _ = conn;
        ready(Ok(()))
    }

    /// The connection has ended, for this reason; its last callback, also after one that failed. `detached`: its gateway
    /// has not been heard of for too long, or has started again, and another handler may have it. Where another handler
    /// has had it for sure, the object is dropped without this.
    fn on_close(&mut self, conn: &Conn, reason: &str) -> impl Future<Output = Outcome> + Send {
        let _ = (conn, reason);
        ready(Ok(()))
    }
}
