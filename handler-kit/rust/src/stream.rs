//! The ordered stream, by the rules in `proto/exproto/stream/v1/stream.proto`.

/// What one stream still has to say.
mod lane;
/// One connection's share.
mod link;
/// One stream, as it is heard.
mod listening;
/// A connection's commands until they are done.
mod outbox;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use proto::stream::{
    GatewayBatch, GatewayHello, HandlerBatch, HandlerHello,
    connection_stream_server::ConnectionStream,
};
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

pub(crate) use self::link::Link;
use self::{
    lane::{Lane, Limits, Speech},
    listening::Listening,
};
use crate::{Conn, Handler, pods::Pods, server::Ending};

/// The version that is spoken here.
const VERSION: u32 = 1;
/// How long a gateway may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// What is said is said once, so a batch larger than this is cut. Less where the gateway takes less.
const BATCH: usize = 512 * 1024;
/// What is kept free in a batch beside its commands: an acknowledgement with an error, and heads.
const FREE: usize = 2 * 1024;

/// How streams are served.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) max_events: u32,
    pub(crate) max_event_bytes: u32,
    pub(crate) max_batch_bytes: u32,
    pub(crate) detached_timeout: Duration,
}

/// The service.
pub(crate) struct Service<F, H> {
    accept: Arc<F>,
    pods: Arc<Pods<H>>,
    instance: String,
    settings: Settings,
    ending: Ending,
    serials: AtomicU64,
}

impl<F, H> Service<F, H> {
    pub(crate) fn new(
        accept: Arc<F>,
        pods: Arc<Pods<H>>,
        settings: Settings,
        ending: Ending,
    ) -> Self {
        Self {
            accept,
            pods,
            instance: format!("{:032x}", fastrand::u128(..)),
            settings,
            ending,
            serials: AtomicU64::new(1),
        }
    }

    fn hello(&self) -> HandlerBatch {
        HandlerBatch {
            hello: Some(HandlerHello {
                version: VERSION,
                capabilities: Vec::new(),
                instance: self.instance.clone(),
                max_events: self.settings.max_events,
                max_event_bytes: self.settings.max_event_bytes,
                max_batch_bytes: self.settings.max_batch_bytes,
                library: concat!("exproto-handler-rust/", env!("CARGO_PKG_VERSION")).to_owned(),
            }),
            ..HandlerBatch::default()
        }
    }
}

#[tonic::async_trait]
impl<F, H> ConnectionStream for Service<F, H>
where
    F: Fn(&Conn) -> H + Send + Sync + 'static,
    H: Handler,
{
    type RunStream = Speech;

    async fn run(
        &self,
        request: Request<Streaming<GatewayBatch>>,
    ) -> Result<Response<Speech>, Status> {
        let mut batches = request.into_inner();
        let first = tokio::select! {
            first = timeout(HELLO, batches.message()) => first,
            () = self.ending.leaving.cancelled() => {
                return Err(Status::unavailable("this handler is about to go"));
            }
        };
        let first = first
            .map_err(|_| refused(format!("no hello came within {} seconds", HELLO.as_secs())))??;
        let hello = first.and_then(|batch| batch.hello);
        let hello =
            hello.ok_or_else(|| refused("the first batch of a stream holds a hello".to_owned()))?;
        let limits = limits(&hello).map_err(refused)?;
        let lane = Lane::new(self.serials.fetch_add(1, Relaxed), limits);
        lane.say(self.hello());
        tracing::info!(
            pod = hello.pod,
            lane = hello.lane,
            "a gateway pod has opened a stream"
        );
        let listening = Listening {
            pods: self.pods.clone(),
            pod: self.pods.join(&hello),
            accept: self.accept.clone(),
            instance: self.instance.clone(),
            lane: lane.clone(),
            detached_timeout: self.settings.detached_timeout,
            ending: self.ending.clone(),
        };
        tokio::spawn(listening.run(batches, hello));
        Ok(Response::new(Speech::new(lane, self.ending.busy.token())))
    }
}

/// What the gateway takes, or what is wrong with its hello.
fn limits(hello: &GatewayHello) -> Result<Limits, String> {
    if hello.version < VERSION {
        return Err("hello.version is 0; the lowest is 1".to_owned());
    }
    for (name, value) in [
        ("heartbeat_ms", hello.heartbeat_ms),
        ("max_commands", hello.max_commands),
        ("max_command_bytes", hello.max_command_bytes),
    ] {
        if value == 0 {
            return Err(format!("hello.{name} is 0; the lowest is 1"));
        }
    }
    let largest = hello.max_batch_bytes as usize;
    if largest < 2 * FREE {
        let lowest = 2 * FREE;
        return Err(format!(
            "hello.max_batch_bytes is {largest}; the lowest is {lowest}"
        ));
    }
    Ok(Limits {
        commands: hello.max_commands as usize,
        command_bytes: hello.max_command_bytes as usize,
        batch: largest.min(BATCH),
        largest: largest - FREE,
    })
}

fn refused(fault: String) -> Status {
    tracing::error!(fault, "a stream is refused");
    Status::failed_precondition(fault)
}
