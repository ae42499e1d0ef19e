//! `Publish` without a broker: the topic's last level says how many subscribers there are, and each gets a callback.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use bytes::Bytes;
use proto::exproto::{
    Message, PublishRequest, ReceivedMessagesRequest,
    connection_unary_handler_client::ConnectionUnaryHandlerClient,
};
use tonic::{Status, transport::Channel};

/// Callbacks of one message in flight. More at a time are slower: tonic has 1024 places in front of each channel.
const AT_ONCE: u32 = 256;

/// Whom it calls: the channels to the handler.
pub(super) struct FanOut(Vec<ConnectionUnaryHandlerClient<Channel>>);

impl FanOut {
    pub(super) fn new(handlers: Vec<ConnectionUnaryHandlerClient<Channel>>) -> Self {
        Self(handlers)
    }

    /// Answers before they have it, as the gateway does.
    pub(super) fn publish(&self, request: &PublishRequest) -> Result<(), Status> {
        let subscribers = subscribers(&request.topic).ok_or_else(|| {
            Status::invalid_argument("the topic does not end in a number of subscribers")
        })?;
        let next = Arc::new(AtomicU32::new(0));
        let tasks = 0..AT_ONCE.min(subscribers);
        for (_, handler) in tasks.zip(self.0.iter().cycle()) {
            let (mut handler, next) = (handler.clone(), next.clone());
            let message = message(&request.topic, request.payload.clone());
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    if number >= subscribers {
                        return;
                    }
                    let callback = ReceivedMessagesRequest {
                        conn: number.to_string(),
                        messages: vec![message.clone()],
                    };
                    if let Err(error) = handler.on_received_messages(callback).await {
                        eprintln!("subscriber {number}: OnReceivedMessages failed: {error}");
                    }
                }
            });
        }
        Ok(())
    }
}

/// As long as the gateway's.
fn message(topic: &str, payload: Bytes) -> Message {
    Message {
        node: "ceiling".to_owned(),
        id: "0".repeat(32),
        qos: 1,
        from: "publisher".to_owned(),
        topic: topic.to_owned(),
        payload,
        timestamp: 1_800_000_000_000,
    }
}

fn subscribers(topic: &str) -> Option<u32> {
    let (_, last) = topic.rsplit_once('/')?;
    last.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_tells_how_many_subscribe() {
        assert_eq!(subscribers("to/100"), Some(100));
        assert_eq!(subscribers("to/all"), None);
        assert_eq!(subscribers("100"), None);
    }
}
