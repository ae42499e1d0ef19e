//! The handlers of both pods: what arrives by each subscription, number by number.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use proto::exproto::{
    EmptySuccess, Message, ReceivedBytesRequest, ReceivedMessagesRequest, SocketClosedRequest,
    SocketCreatedRequest, TimerTimeoutRequest,
    connection_unary_handler_server::ConnectionUnaryHandler,
};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tonic::{Request, Response, Status};

use super::publishing::{LOOSE, Published, topic};
use crate::generator::AT_ONCE;

/// What arrives.
#[derive(Default)]
pub(crate) struct Inbox(Mutex<State>);

#[derive(Default)]
struct State {
    /// By subscriber and topic.
    came: HashMap<(String, String), Came>,
    /// When a message with `QoS` 1 came for the last time, and the longest pause since somebody asked.
    last: Option<Instant>,
    longest: Duration,
    /// Why connections were closed; none should be.
    closed: Vec<String>,
}

/// What one subscriber got of one publisher.
#[derive(Default)]
struct Came {
    /// How often, by number.
    times: Vec<u32>,
    /// After a higher one, and for the first time.
    reordered: u64,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) delivered: u64,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
}

impl Found {
    pub(super) fn add(&mut self, more: &Self) {
        self.delivered += more.delivered;
        self.lost += more.lost;
        self.duplicated += more.duplicated;
        self.reordered += more.reordered;
    }
}

impl Came {
    fn take(&mut self, number: u64) {
        let place = usize::try_from(number).unwrap_or(usize::MAX);
        let is_late = place < self.times.len();
        if !is_late {
            self.times.resize(place + 1, 0);
        }
        self.reordered += u64::from(is_late && self.times[place] == 0);
        self.times[place] += 1;
    }

    fn has(&self, number: u64) -> bool {
        let times = usize::try_from(number)
            .ok()
            .and_then(|place| self.times.get(place));
        times.is_some_and(|times| *times > 0)
    }

    fn came(&self) -> u64 {
        self.times.iter().filter(|times| **times > 0).count() as u64
    }

    fn again(&self) -> u64 {
        let again = self.times.iter().map(|times| times.saturating_sub(1));
        again.map(u64::from).sum()
    }
}

impl Inbox {
    fn with<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self, subscriber: &str, messages: &[Message]) {
        self.with(|state| {
            for message in messages {
                let number = message.payload.first_chunk().copied().unwrap_or_default();
                let subscription = (subscriber.to_owned(), message.topic.clone());
                let came = state.came.entry(subscription).or_default();
                came.take(u64::from_be_bytes(number));
            }
            if messages.iter().any(|message| message.qos > 0) {
                let now = Instant::now();
                let pause = state.last.replace(now).map(|last| now - last);
                state.longest = state.longest.max(pause.unwrap_or_default());
            }
        });
    }

    /// Why connections were closed, but for those that were closed by their devices, which is how they end.
    pub(super) fn closed(&self) -> Vec<String> {
        self.with(|state| state.closed.clone())
    }

    /// The longest pause since this was asked before.
    pub(super) fn longest_pause(&self) -> Duration {
        self.with(|state| mem::take(&mut state.longest))
    }

    /// What was published with `QoS` 1 against what came, for each of the two subscribers.
    pub(super) fn compare(&self, published: &Published) -> Found {
        self.with(|state| {
            let mut found = Found::default();
            let mut subscribers: Vec<_> = state.came.keys().map(|(who, _)| who.clone()).collect();
            subscribers.sort();
            subscribers.dedup();
            for (publisher, answered) in published.answered.iter().enumerate() {
                for subscriber in &subscribers {
                    let subscription = (subscriber.clone(), topic(publisher));
                    let came = state.came.entry(subscription).or_default();
                    let lost = answered.iter().filter(|number| !came.has(**number));
                    found.add(&Found {
                        delivered: came.came(),
                        lost: lost.count() as u64,
                        duplicated: came.again(),
                        reordered: came.reordered,
                    });
                }
            }
            // Nobody came at all.
            if subscribers.is_empty() {
                found.lost = published.answered();
            }
            found
        })
    }

    /// How many with `QoS` 0 each subscriber should have, and how many of them none came of.
    pub(super) fn loose(&self, published: &Published) -> (u64, u64) {
        self.with(|state| {
            let loose = state.came.iter().filter(|((_, topic), _)| topic == LOOSE);
            let came: Vec<_> = loose.map(|(_, came)| came.came()).collect();
            let sent = published.loose * came.len() as u64;
            (sent, sent - came.iter().sum::<u64>())
        })
    }
}

/// As a service.
pub(crate) struct Handler {
    inbox: Arc<Inbox>,
    created: Sender<String>,
}

impl Handler {
    /// With the names of connections, as they are created.
    pub(crate) fn new(inbox: &Arc<Inbox>) -> (Self, Receiver<String>) {
        let (created, names) = mpsc::channel(AT_ONCE);
        let inbox = inbox.clone();
        (Self { inbox, created }, names)
    }
}

type Answer = Result<Response<EmptySuccess>, Status>;

#[tonic::async_trait]
impl ConnectionUnaryHandler for Handler {
    async fn on_socket_created(&self, request: Request<SocketCreatedRequest>) -> Answer {
        // Nobody listens any more when the run ends.
        let _ = self.created.send(request.into_inner().conn).await;
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_received_messages(&self, request: Request<ReceivedMessagesRequest>) -> Answer {
        let request = request.into_inner();
        self.inbox.take(&request.conn, &request.messages);
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_socket_closed(&self, request: Request<SocketClosedRequest>) -> Answer {
        let reason = request.into_inner().reason;
        if reason != "tcp_closed" {
            self.inbox.with(|state| state.closed.push(reason));
        }
        Ok(Response::new(EmptySuccess {}))
    }

    async fn on_received_bytes(&self, _: Request<ReceivedBytesRequest>) -> Answer {
        Err(Status::unimplemented("no device of this benchmark speaks"))
    }

    async fn on_timer_timeout(&self, _: Request<TimerTimeoutRequest>) -> Answer {
        Err(Status::unimplemented("no benchmark starts a timer"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn message(topic: String, number: u64) -> Message {
        Message {
            topic,
            qos: 1,
            payload: number.to_be_bytes().to_vec().into(),
            ..Message::default()
        }
    }

    #[test]
    fn what_is_missing_double_or_late_is_found() {
        let inbox = Inbox::default();
        for number in [0, 2, 1, 2, 5] {
            inbox.take("s", &[message(topic(0), number)]);
        }
        // 3 was answered and never came, 4 was not answered.
        let published = Published {
            answered: vec![BTreeSet::from([0, 1, 2, 3, 5])],
            ..Published::default()
        };
        let expected = Found {
            delivered: 4,
            lost: 1,
            duplicated: 1,
            reordered: 1,
        };
        assert_eq!(inbox.compare(&published), expected);
    }
}
