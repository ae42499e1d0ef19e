//! Messages on their way to the broker: many at once, but of each topic one after the other, so that they stay in order
//! whatever becomes of a single one.

use std::collections::{BTreeSet, HashMap, VecDeque};

use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use proto::gateway::PublishRequest;
use tonic::Status;

use super::{publication, status};
use crate::broker::{Broker, Publication, Topic};

/// How much may be on its way; at least one message.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages.
    pub messages: usize,
    /// Bytes of their payloads and topics.
    pub bytes: usize,
}

pub(super) struct Lanes {
    broker: Broker,
    limits: Limits,
    /// Nothing is published.
    pretends: bool,
    running: FuturesUnordered<BoxFuture<'static, Done>>,
    /// The topics of those, and what waits behind each.
    behind: HashMap<Topic, VecDeque<Numbered>>,
    messages: usize,
    bytes: usize,
    /// Messages that came.
    came: u64,
    /// Messages that are published, up to the first that is not.
    published: u64,
    /// Those after it.
    ahead: BTreeSet<u64>,
}

struct Numbered {
    number: u64,
    publication: Publication,
}

/// A publication that has ended.
struct Done {
    number: u64,
    topic: Topic,
    size: usize,
    outcome: Result<(), Status>,
}

impl Lanes {
    pub(super) fn new(broker: Broker, limits: Limits, pretends: bool) -> Self {
        Self {
            broker,
            limits,
            pretends,
            running: FuturesUnordered::new(),
            behind: HashMap::new(),
            messages: 0,
            bytes: 0,
            came: 0,
            published: 0,
            ahead: BTreeSet::new(),
        }
    }

    /// So many messages are published, from the first on without a hole.
    pub(super) fn published(&self) -> u64 {
        self.published
    }

    pub(super) fn has_room(&self) -> bool {
        self.messages < self.limits.messages && self.bytes < self.limits.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// It cannot be published as it is.
    pub(super) fn add(&mut self, request: PublishRequest) -> Result<(), Status> {
        self.came += 1;
        let number = self.came;
        let publication = publication(&self.broker, request);
        let publication = publication.map_err(|status| status::of_message(number, &status))?;
        self.messages += 1;
        self.bytes += size(&publication);
        let numbered = Numbered {
            number,
            publication,
        };
        if let Some(behind) = self.behind.get_mut(&numbered.publication.topic) {
            behind.push_back(numbered);
        } else {
            let topic = numbered.publication.topic.clone();
            self.behind.insert(topic, VecDeque::new());
            self.start(numbered);
        }
        Ok(())
    }

    fn start(&mut self, numbered: Numbered) {
        let (broker, pretends) = (self.broker.clone(), self.pretends);
        self.running.push(Box::pin(async move {
            let Numbered {
                number,
                publication,
            } = numbered;
            let (topic, size) = (publication.topic.clone(), size(&publication));
            let outcome = if pretends {
                Ok(())
            } else {
                broker.publish(publication).await
            };
            Done {
                number,
                topic,
                size,
                outcome: outcome.map_err(|error| status::of_publish(&error)),
            }
        }));
    }

    /// Waits until one has ended; for ever where there is none. Cancel safe.
    ///
    /// # Errors
    /// Why it is not published.
    pub(super) async fn next(&mut self) -> Result<(), Status> {
        let Some(done) = self.running.next().await else {
            return std::future::pending().await;
        };
        self.messages -= 1;
        self.bytes -= done.size;
        let next = self.behind.get_mut(&done.topic).map(VecDeque::pop_front);
        match next.flatten() {
            Some(next) => self.start(next),
            None => drop(self.behind.remove(&done.topic)),
        }
        let number = done.number;
        done.outcome
            .map_err(|status| status::of_message(number, &status))?;
        self.ahead.insert(number);
        while self.ahead.remove(&(self.published + 1)) {
            self.published += 1;
        }
        Ok(())
    }
}

fn size(publication: &Publication) -> usize {
    publication.payload.len() + publication.topic.as_str().len()
}
