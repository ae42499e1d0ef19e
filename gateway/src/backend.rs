//! The service for back ends: they publish and subscribe by gRPC, at any pod, without a connection of a device.
//!
//! A call is checked here and becomes a task of its own, which ends with its caller or the pod. What must not be lost is
//! read in the logs of the cluster where a subscriber was away or slow; so this knows the cluster, and nothing of Redis.

/// Why a call fails.
mod status;
/// Many messages on one stream.
mod publishing;
/// Many on their way at once, those of one topic in order.
mod lanes;
/// A subscription to plain filters.
mod subscription;
/// How far it has come.
mod track;
/// A subscription to the messages of a group.
mod member;
/// The way to the subscriber.
mod outlet;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::Stream;
use proto::gateway::{
    PublishProgress, PublishRequest, PublishResponse, SubscribeRequest, SubscribeResponse,
    backend_server,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Extensions, Request, Response, Status, Streaming};

use self::{
    lanes::Lanes, member::Member, outlet::Outlet, publishing::Publishing,
    subscription::Subscription,
};
use crate::{
    broker::{Broker, Filter, Publication, Qos, queue},
    callers::OfMirror,
    cluster::{Logs, Partition, Position},
};

/// The publisher of what back ends publish, as of a `RawPublish`.
const NOBODY: &str = "exproto";

/// What one caller may take.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Subscriptions in this pod.
    pub subscriptions: usize,
    /// Filters of one subscription.
    pub filters: usize,
    /// What may wait for one subscriber.
    pub queue: queue::Limits,
    /// Messages that it got and that are remembered.
    pub remembered: usize,
    /// How often it is told where it could go on.
    pub position_interval: Duration,
    /// Calls of `PublishStream` in this pod.
    pub publish_streams: usize,
    /// What may be on its way of one of them.
    pub in_flight: lanes::Limits,
}

pub use self::lanes::Limits as InFlight;

/// The service.
pub struct Backend {
    broker: Broker,
    /// Of the cluster, where there is one.
    logs: Option<Logs>,
    settings: Settings,
    subscriptions: Arc<Semaphore>,
    publish_streams: Arc<Semaphore>,
    counts: Arc<Counts>,
    /// The pod goes.
    end: CancellationToken,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Messages published.
    pub published: AtomicU64,
    /// Those that were refused, for what they are or for want of room.
    pub refused: AtomicU64,
    /// Those that other pods may not have.
    pub unavailable: AtomicU64,
    /// Messages to subscribers as they were published.
    pub delivered: AtomicU64,
    /// Those that were read in a log.
    pub recovered: AtomicU64,
    /// Those that were with a member of a group that went, and are with another one.
    pub handed_over: AtomicU64,
    /// Gaps that subscribers were told of.
    pub gaps: AtomicU64,
    /// Times that a subscriber was too slow for its queue.
    pub overflows: AtomicU64,
    /// Gauge: subscriptions.
    pub subscriptions: AtomicI64,
}

impl Backend {
    /// A service for this broker.
    #[must_use]
    pub fn new(
        broker: Broker,
        logs: Option<Logs>,
        settings: Settings,
        end: CancellationToken,
    ) -> Self {
        Self {
            subscriptions: Arc::new(Semaphore::new(settings.subscriptions)),
            publish_streams: Arc::new(Semaphore::new(settings.publish_streams)),
            broker,
            logs,
            settings,
            counts: Arc::default(),
            end,
        }
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    fn check_subscription(&self, request: &SubscribeRequest) -> Result<Vec<Filter>, Status> {
        let (count, most) = (request.filters.len(), self.settings.filters);
        if count == 0 {
            return Err(Status::invalid_argument("filters: there is none; name one"));
        }
        if count > most {
            return Err(Status::invalid_argument(format!(
                "filters: {count}; a subscription has {most} at most (backend.max_filters); open another one"
            )));
        }
        let filters = request.filters.iter().enumerate().map(|(place, text)| {
            let filter = self.broker.filter(text);
            filter.map_err(|error| Status::invalid_argument(format!("filters[{place}]: {error}")))
        });
        let mut filters: Vec<_> = filters.collect::<Result<_, _>>()?;
        filters.sort_unstable();
        filters.dedup();
        let is_shared = filters.iter().any(|filter| filter.group().is_some());
        if is_shared && filters.len() > 1 {
            return Err(Status::invalid_argument(
                "filters: one with $share is the only one of its subscription; open one for each",
            ));
        }
        if is_shared && !request.position.is_empty() {
            return Err(Status::invalid_argument(
                "position: a subscription with $share cannot be resumed; leave it empty",
            ));
        }
        Ok(filters)
    }

    fn begin(&self, request: &SubscribeRequest) -> Result<(Start, OwnedSemaphorePermit), Status> {
        let filters = self.check_subscription(request)?;
        let partitions = Partition::of_filters(&filters);
        let from = match (&self.logs, request.position.is_empty()) {
            (_, true) => None,
            (Some(logs), false) => Some(position(logs, &request.position)?),
            (None, false) => {
                return Err(Status::failed_precondition(
                    "position: this gateway keeps nothing to go on from (broker.kind: memory); subscribe without a position, and take it that messages are missing",
                ));
            }
        };
        let place = self.subscriptions.clone().try_acquire_owned();
        let place = place.map_err(|_| {
            let most = self.settings.subscriptions;
            Status::resource_exhausted(format!(
                "there are {most} subscriptions in this pod (backend.max_subscriptions); call another pod, or raise the limit"
            ))
        })?;
        let mut limits = self.settings.queue;
        if request.max_waiting > 0 {
            limits.messages = limits.messages.min(request.max_waiting as usize);
        }
        let start = Start {
            filters,
            partitions,
            from,
            limits,
            wants_retained: !request.skip_retained,
        };
        Ok((start, place))
    }

    /// The checks of a publication.
    fn publication(&self, request: PublishRequest) -> Result<Publication, Status> {
        publication(&self.broker, request)
    }
}

/// A subscription that is to begin.
struct Start {
    filters: Vec<Filter>,
    partitions: Vec<Partition>,
    /// Where it goes on.
    from: Option<Position>,
    limits: queue::Limits,
    wants_retained: bool,
}

fn publication(broker: &Broker, request: PublishRequest) -> Result<Publication, Status> {
    let bad =
        |field: &str, problem: String| Status::invalid_argument(format!("{field}: {problem}"));
    let topic = broker.topic(&request.topic);
    let qos = Qos::try_from(request.qos);
    Ok(Publication {
        topic: topic.map_err(|error| bad("topic", error.to_string()))?,
        qos: qos.map_err(|error| bad("qos", error.to_string()))?,
        from: NOBODY.into(),
        payload: request.payload,
        retain: request.retain,
    })
}

fn is_of_mirror(extensions: &Extensions) -> bool {
    extensions.get::<OfMirror>().is_some()
}

/// What streams answer; a task writes it.
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl backend_server::Backend for Backend {
    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishResponse>, Status> {
        let by_mirror = is_of_mirror(request.extensions());
        let outcome = match self.publication(request.into_inner()) {
            // A mirror is answered as if.
            Ok(_) if by_mirror => return Ok(Response::new(PublishResponse {})),
            Ok(publication) => {
                let published = self.broker.publish(publication).await;
                published.map_err(|error| status::of_publish(&error))
            }
            Err(status) => Err(status),
        };
        self.counts.count_publish(outcome.as_ref().err());
        outcome.map(|()| Response::new(PublishResponse {}))
    }

    type PublishStreamStream = Answers<PublishProgress>;

    async fn publish_stream(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let place = self.publish_streams.clone().try_acquire_owned();
        let place = place.map_err(|_| {
            let most = self.settings.publish_streams;
            Status::resource_exhausted(format!(
                "there are {most} calls of PublishStream in this pod (backend.max_publish_streams); call another pod, or raise the limit"
            ))
        })?;
        let by_mirror = is_of_mirror(request.extensions());
        let (to, answers) = mpsc::channel(1);
        let publishing = Publishing {
            requests: request.into_inner(),
            lanes: Lanes::new(self.broker.clone(), self.settings.in_flight, by_mirror),
            to,
            counts: self.counts.clone(),
            end: self.end.clone(),
        };
        tokio::spawn(async move {
            publishing.run().await;
            drop(place);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    type SubscribeStream = Answers<SubscribeResponse>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        if is_of_mirror(request.extensions()) {
            return Err(Status::permission_denied(
                "a mirror gets no messages of its own; subscribe as another caller",
            ));
        }
        let (start, place) = self.begin(request.get_ref())?;
        let (to, answers) = mpsc::channel(1);
        let outlet = Outlet::new(to, self.end.clone(), self.counts.clone());
        let is_shared = start.filters.iter().any(|filter| filter.group().is_some());
        let broker = self.broker.clone();
        if is_shared {
            let member = Member::new(broker, start, outlet);
            tokio::spawn(async move {
                member.run().await;
                drop(place);
            });
        } else {
            let logs = self.logs.clone();
            let subscription = Subscription::new(broker, logs, start, outlet, &self.settings);
            tokio::spawn(async move {
                subscription.run().await;
                drop(place);
            });
        }
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

impl Counts {
    fn count_publish(&self, failed: Option<&Status>) {
        let counter = match failed.map(Status::code) {
            None => &self.published,
            Some(tonic::Code::Unavailable) => &self.unavailable,
            Some(_) => &self.refused,
        };
        counter.fetch_add(1, Relaxed);
    }
}

/// What a subscriber has kept.
fn position(logs: &Logs, kept: &Bytes) -> Result<Position, Status> {
    Position::open(logs.sealer(), kept).ok_or_else(|| {
        Status::invalid_argument(
            "position: it is none that a pod of this cluster has given; send the last one as it was, or none, and take it that messages are missing",
        )
    })
}
