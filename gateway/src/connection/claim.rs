//! A client's place among the clients, as its connection knows it. `clients` makes it.

use super::CloseReason;
use crate::broker::Session;

/// Told when a connection has become a client, and when it is none any more. Dropped before that, it never was one.
pub trait Claim: Send {
    /// The connection is the client from now on. `None` where the client has no session: what it subscribes then ends
    /// with the connection.
    fn begin(&mut self) -> Option<Begun>;

    /// The connection takes no more calls. `session` is what `begin` gave, as it is now: messages that the handler is
    /// just being told of can still be confirmed.
    fn ended(self: Box<Self>, reason: CloseReason, session: Option<Session>);
}

/// A session that goes on with this connection.
pub struct Begun {
    /// What there is of it.
    pub session: Session,
    /// Whether it was there before.
    pub present: bool,
}
