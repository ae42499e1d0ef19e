//! A connection, as its object sees it.

use std::sync::Arc;

use bytes::Bytes;
use proto::{
    exproto::{ClientInfo, ConnInfo},
    stream::{Attach, Authenticate, Close, Publish, StartTimer, Subscribe, command::Kind},
};

use crate::{Error, stream::Link, unary::Caller};

/// The most bytes that [`Conn::set_state`] takes: 4 KiB.
pub const MAX_STATE: usize = 4 * 1024;

/// What is known of a connection from its beginning.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its name, by which the `ConnectionAdapter` knows it.
    pub id: String,
    /// Both ends of the socket, and the device's certificate.
    pub conninfo: ConnInfo,
    /// The name of its listener.
    pub listener: String,
    /// `tcp`, `tls`, `udp`, `dtls`, `ws` or `wss`.
    pub transport: String,
    /// What else is known: certificate, SNI, PROXY. A name may come more than once.
    pub details: Vec<(String, Vec<u8>)>,
    /// 1 where no handler knew the connection before.
    pub attempt: u32,
    /// What a handler has left with the connection.
    pub state: Bytes,
    /// Clientid and username, where a handler before has authenticated it.
    pub client: Option<(String, String)>,
    /// How many bytes of the device other handlers have had.
    pub offset: u64,
}

impl Peer {
    pub(crate) fn new(attach: &Attach) -> Self {
        let client = attach.client.as_ref();
        let details = attach.details.iter();
        Self {
            id: attach.id.clone(),
            conninfo: attach.conninfo.clone().unwrap_or_default(),
            listener: attach.listener.clone(),
            transport: attach.transport.clone(),
            details: details
                .map(|each| (each.name.clone(), each.value.to_vec()))
                .collect(),
            attempt: attach.attempt,
            // A copy: else it would hold the whole batch that it came with.
            state: Bytes::copy_from_slice(&attach.state),
            client: client.map(|client| (client.clientid.clone(), client.username.clone())),
            offset: attach.offset,
        }
    }
}

/// A connection. Clones are the same, and may be kept and used by other tasks: what is asked of a connection that has
/// ended is answered with [`Error::Gone`]. Between its end and that of `on_close`, what needs no result is let pass
/// without effect.
///
/// What another task gives while a callback runs joins that callback's step: it goes out when the step does.
#[derive(Clone)]
pub struct Conn(Arc<Inner>);

struct Inner {
    peer: Peer,
    way: Way,
}

/// How the gateway is told.
pub(crate) enum Way {
    Stream(Arc<Link>),
    Unary(Caller),
}

impl std::fmt::Debug for Conn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Conn").field(&self.0.peer.id).finish()
    }
}

impl Conn {
    pub(crate) fn new(peer: Peer, way: Way) -> Self {
        Self(Arc::new(Inner { peer, way }))
    }

    pub(crate) fn link(&self) -> Option<&Arc<Link>> {
        match &self.0.way {
            Way::Stream(link) => Some(link),
            Way::Unary(_) => None,
        }
    }

    /// The connection's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.peer.id
    }

    /// What was known of it when its object was made.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.0.peer
    }

    /// How often handlers were told of it, this time included.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.peer.attempt
    }

    /// What the last handler has left with the connection; empty where there was none.
    #[must_use]
    pub fn state(&self) -> &Bytes {
        &self.0.peer.state
    }

    /// Sends bytes to the device: on a datagram transport or WebSocket, as one message. Waits only where the device
    /// reads so slowly that the connection's credits are used up.
    pub async fn send(&self, bytes: impl Into<Bytes>) -> Result<(), Error> {
        self.give(Kind::Send(bytes.into())).await
    }

    /// Closes the connection, once all that was sent before is written.
    pub async fn close(&self) -> Result<(), Error> {
        self.give(Kind::Close(Close {})).await
    }

    /// Makes the connection a client. `session_expiry` is for how many seconds its session outlives the connection;
    /// `None`: as its listener says. Whether there was a session before.
    pub async fn authenticate(
        &self,
        clientinfo: ClientInfo,
        password: impl Into<String>,
        session_expiry: Option<u32>,
    ) -> Result<bool, Error> {
        let kind = Kind::Authenticate(Authenticate {
            clientinfo: Some(clientinfo),
            password: password.into(),
            session_expiry,
        });
        self.ask(kind).await
    }

    /// Starts or replaces the keepalive: it runs out after one and a half times so many seconds without a byte.
    pub async fn start_timer(&self, seconds: u32) -> Result<(), Error> {
        let kind = Kind::StartTimer(StartTimer { interval: seconds });
        self.ask(kind).await.map(drop)
    }

    /// Publishes a message as the client that the connection is.
    pub async fn publish(
        &self,
        topic: impl Into<String>,
        payload: impl Into<Bytes>,
        qos: u32,
    ) -> Result<(), Error> {
        self.ask(Kind::Publish(message(topic, payload, qos, false)))
            .await
            .map(drop)
    }

    /// As [`Conn::publish`], and the message is kept for whoever subscribes later.
    pub async fn publish_retained(
        &self,
        topic: impl Into<String>,
        payload: impl Into<Bytes>,
        qos: u32,
    ) -> Result<(), Error> {
        self.ask(Kind::Publish(message(topic, payload, qos, true)))
            .await
            .map(drop)
    }

    /// Publishes a message by nobody: without the mountpoint, and without a question of what the client may do. With the
    /// ordered stream it works in `on_close` too, where it does not wait for its result.
    pub async fn raw_publish(
        &self,
        topic: impl Into<String>,
        payload: impl Into<Bytes>,
        qos: u32,
    ) -> Result<(), Error> {
        self.ask(Kind::RawPublish(message(topic, payload, qos, false)))
            .await
            .map(drop)
    }

    /// Subscribes the client to a topic filter.
    pub async fn subscribe(&self, topic: impl Into<String>, qos: u32) -> Result<(), Error> {
        let topic = topic.into();
        self.ask(Kind::Subscribe(Subscribe { topic, qos }))
            .await
            .map(drop)
    }

    /// Ends the subscription to a topic filter.
    pub async fn unsubscribe(&self, topic: impl Into<String>) -> Result<(), Error> {
        self.ask(Kind::Unsubscribe(topic.into())).await.map(drop)
    }

    /// Leaves up to 4 KiB with the connection, in place of what was left before: whoever has the connection next finds
    /// it in [`Conn::state`]. With the ordered stream alone.
    pub async fn set_state(&self, state: impl Into<Bytes>) -> Result<(), Error> {
        let state = state.into();
        if state.len() > MAX_STATE {
            let (size, limit) = (state.len(), MAX_STATE);
            return Err(Error::TooLarge { size, limit });
        }
        self.give(Kind::State(state)).await
    }

    /// A command whose result nobody waits for.
    async fn give(&self, kind: Kind) -> Result<(), Error> {
        match &self.0.way {
            Way::Stream(link) => link.give(kind).await,
            Way::Unary(caller) => caller.call(&self.0.peer.id, kind).await.map(drop),
        }
    }

    /// A command with a result: of Authenticate, whether there was a session before.
    async fn ask(&self, kind: Kind) -> Result<bool, Error> {
        match &self.0.way {
            Way::Stream(link) => link.ask(kind).await,
            Way::Unary(caller) => caller.call(&self.0.peer.id, kind).await,
        }
    }
}

fn message(topic: impl Into<String>, payload: impl Into<Bytes>, qos: u32, retain: bool) -> Publish {
    Publish {
        topic: topic.into(),
        qos,
        payload: payload.into(),
        retain,
    }
}
