//! The service for back ends.

/// Messages of back ends.
mod publish;
/// Messages for them.
mod subscribe;
/// Groups with back ends in them.
mod groups;
/// Who may call it.
mod callers;
/// Subscriptions that go on, at whichever pod.
mod resume;
/// What is lost, and said to be.
mod gaps;

use std::collections::VecDeque;

use bytes::Bytes;
use exproto_tests::{TestGateway, within};
use proto::{
    exproto::Message,
    gateway::{PublishRequest, SubscribeRequest, SubscribeResponse, backend_client::BackendClient},
};
use tonic::{Code, Status, Streaming, transport::Channel};

/// A back end of a pod.
struct Backend(BackendClient<Channel>);

/// One of its subscriptions.
struct Subscriber {
    answers: Streaming<SubscribeResponse>,
    waiting: VecDeque<Message>,
    /// Where it could go on.
    position: Bytes,
    resumable: bool,
    /// Gaps that it was told of.
    gaps: usize,
}

impl Backend {
    fn of(gateway: &TestGateway) -> Self {
        Self::at(gateway.channel())
    }

    fn at(channel: Channel) -> Self {
        Self(BackendClient::new(channel))
    }

    async fn publish(
        &mut self,
        topic: &str,
        qos: u32,
        payload: impl Into<Bytes>,
    ) -> Result<(), Status> {
        let publishing = self.0.publish(message(topic, qos, payload));
        within("an answer to Publish", publishing).await.map(drop)
    }

    async fn subscribe(&mut self, filters: &[&str]) -> Subscriber {
        self.resume(filters, Bytes::new()).await
    }

    async fn resume(&mut self, filters: &[&str], position: Bytes) -> Subscriber {
        let request = SubscribeRequest {
            position,
            ..wanting(filters)
        };
        self.try_subscribe(request).await.unwrap()
    }

    /// Subscribes, and waits until that is confirmed.
    async fn try_subscribe(&mut self, request: SubscribeRequest) -> Result<Subscriber, Status> {
        let answers = within("Subscribe", self.0.subscribe(request)).await?;
        let mut answers = answers.into_inner();
        let first = within("the first answer", answers.message())
            .await?
            .unwrap();
        Ok(Subscriber {
            answers,
            waiting: first.messages.into(),
            position: first.position,
            resumable: first.subscribed.expect("a confirmation").resumable,
            gaps: 0,
        })
    }

    /// Why a subscription is refused.
    async fn refused(&mut self, request: SubscribeRequest) -> (Code, String) {
        let refused = self.try_subscribe(request).await;
        let status = refused.err().expect("a refusal");
        (status.code(), status.message().to_owned())
    }
}

impl Subscriber {
    /// Takes one more answer.
    async fn step(&mut self) -> Result<(), Status> {
        let answer = self.answers.message().await?;
        let answer = answer.ok_or_else(|| Status::ok("the end"))?;
        self.gaps += usize::from(answer.gap.is_some());
        self.waiting.extend(answer.messages);
        if !answer.position.is_empty() {
            self.position = answer.position;
        }
        Ok(())
    }

    /// The next messages.
    async fn messages(&mut self, count: usize) -> Vec<Message> {
        let enough = async {
            while self.waiting.len() < count {
                self.step().await.unwrap();
            }
        };
        within("messages", enough).await;
        self.waiting.drain(..count).collect()
    }

    /// Their payloads.
    async fn payloads(&mut self, count: usize) -> Vec<String> {
        let messages = self.messages(count).await;
        messages.iter().map(payload).collect()
    }

    /// Takes answers until one has a position.
    async fn positioned(&mut self) -> Bytes {
        let before = std::mem::take(&mut self.position);
        within("a position", async {
            while self.position.is_empty() || self.position == before {
                self.step().await.unwrap();
            }
        })
        .await;
        self.position.clone()
    }

    /// What is left until it ends, and how it ends.
    async fn rest(&mut self) -> (Vec<String>, Status) {
        let end = within("the end", async {
            loop {
                if let Err(status) = self.step().await {
                    return status;
                }
            }
        })
        .await;
        (
            self.waiting
                .drain(..)
                .map(|message| payload(&message))
                .collect(),
            end,
        )
    }
}

fn payload(message: &Message) -> String {
    String::from_utf8(message.payload.to_vec()).unwrap()
}

fn message(topic: &str, qos: u32, payload: impl Into<Bytes>) -> PublishRequest {
    PublishRequest {
        topic: topic.to_owned(),
        qos,
        payload: payload.into(),
        retain: false,
    }
}

fn wanting(filters: &[&str]) -> SubscribeRequest {
    SubscribeRequest {
        filters: filters.iter().map(|&filter| filter.to_owned()).collect(),
        ..SubscribeRequest::default()
    }
}

/// The numbers from nothing to that, as payloads.
fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}
