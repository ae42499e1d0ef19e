//! The user's handlers: which endpoints are there, which one a connection belongs to, and one attempt at one callback.
//!
//! What to do when an attempt fails is the connection's decision (`connection/delivery.rs`). Nothing here knows of
//! connections: a caller is a number that picks an endpoint.

/// One HTTP/2 connection to an endpoint, and a unary gRPC call on it.
mod lane;

/// One address: its lanes, and its lives.
mod endpoint;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    pin::pin,
    sync::Arc,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::endpoint::Endpoint;
pub use self::{
    endpoint::{Life, Settings},
    lane::Failure,
};

/// The callbacks, as the contract names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A device has connected.
    OnSocketCreated,
    /// The connection has ended.
    OnSocketClosed,
    /// The device has sent bytes.
    OnReceivedBytes,
    /// The keepalive timer has run out.
    OnTimerTimeout,
    /// Messages of the client's subscriptions.
    OnReceivedMessages,
}

impl Method {
    /// Every callback, for metrics.
    pub const ALL: [Self; 5] = [
        Self::OnSocketCreated,
        Self::OnSocketClosed,
        Self::OnReceivedBytes,
        Self::OnTimerTimeout,
        Self::OnReceivedMessages,
    ];

    /// The method's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnSocketCreated => "OnSocketCreated",
            Self::OnSocketClosed => "OnSocketClosed",
            Self::OnReceivedBytes => "OnReceivedBytes",
            Self::OnTimerTimeout => "OnTimerTimeout",
            Self::OnReceivedMessages => "OnReceivedMessages",
        }
    }
}

/// A message with gRPC's five bytes in front, ready to be sent, also more than once.
#[must_use]
pub fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("callbacks are at most 1 MiB"));
    message
        .encode(&mut frame)
        .expect("the buffer was made for this message");
    frame.freeze()
}

/// All handler endpoints of a gateway. Clones are the same.
#[derive(Clone)]
pub struct Handlers(Arc<Inner>);

struct Inner {
    endpoints: Vec<Arc<Endpoint>>,
    /// Told whenever an endpoint becomes ready.
    ready: Arc<Notify>,
    /// Nobody is to wait for an endpoint any more.
    given_up: CancellationToken,
}

impl Handlers {
    /// Starts to connect to every address of the configuration. `on_loss` is called each time an endpoint was lost.
    #[must_use]
    pub fn start(
        config: &config::Handler,
        settings: &Settings,
        on_loss: &Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let ready = Arc::new(Notify::new());
        let endpoints = config
            .addresses
            .iter()
            .map(|address| Endpoint::start(address, settings, ready.clone(), on_loss.clone()))
            .collect();
        Self(Arc::new(Inner {
            endpoints,
            ready,
            given_up: CancellationToken::new(),
        }))
    }

    /// The endpoint that `key` belongs to: the same as before wherever it is still ready (rendezvous hashing).
    #[must_use]
    pub fn pick(&self, key: u64) -> Option<Arc<Life>> {
        self.0
            .endpoints
            .iter()
            .filter_map(|endpoint| Some((score(endpoint.address(), key), endpoint.life()?)))
            .max_by_key(|(score, _)| *score)
            .map(|(_, life)| life)
    }

    /// As `pick`, but waits until an endpoint is ready. `None` once everybody has given up.
    pub async fn wait(&self, key: u64) -> Option<Arc<Life>> {
        let found = async {
            loop {
                let mut ready = pin!(self.0.ready.notified());
                ready.as_mut().enable();
                if let Some(life) = self.pick(key) {
                    return life;
                }
                ready.await;
            }
        };
        self.0.given_up.run_until_cancelled(found).await
    }

    /// From now on nobody waits for an endpoint: the pod is about to end.
    pub fn give_up(&self) {
        let (ready, total) = self.ready();
        if ready == 0 {
            tracing::warn!(
                total,
                "no handler endpoint is ready; connections end untold"
            );
        }
        self.0.given_up.cancel();
    }

    /// Whether nobody waits any more.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.0.given_up.is_cancelled()
    }

    /// How many endpoints are ready, and of how many.
    #[must_use]
    pub fn ready(&self) -> (usize, usize) {
        let ready = self
            .0
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.life().is_some());
        (ready.count(), self.0.endpoints.len())
    }

    /// The endpoints that are not ready, and why, for a person to read.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let endpoints = self.0.endpoints.iter();
        endpoints
            .filter_map(|endpoint| endpoint.trouble())
            .collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for endpoint in &self.endpoints {
            endpoint.stop();
        }
    }
}

fn score(address: &str, key: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (address, key).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_endpoint_takes_its_share_and_moves_nothing_else() {
        let old = ["http://a:1", "http://b:1"];
        let new = ["http://a:1", "http://b:1", "http://c:1"];
        let winner = |addresses: &[&'static str], key| {
            addresses
                .iter()
                .copied()
                .max_by_key(|address| score(address, key))
        };
        let keys: Vec<u64> = (0..30_000).collect();
        let moved: Vec<_> = keys
            .iter()
            .filter(|key| winner(&old, **key) != winner(&new, **key))
            .collect();
        assert!(
            moved
                .iter()
                .all(|key| winner(&new, **key) == Some("http://c:1"))
        );
        let share = moved.len() * 100 / keys.len();
        assert!((30..37).contains(&share), "{share} % moved");
    }
}
