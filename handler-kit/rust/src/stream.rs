//! The ordered stream, by the rules in `proto/exproto/stream/v1/stream.proto`.

/// What one stream still has to say.
mod lane;
/// One connection's share.
mod link;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use proto::stream::{
    Attach, Event, GatewayBatch, GatewayHello, HandlerBatch, HandlerHello,
    connection_stream_server::ConnectionStream, event::Kind,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use self::lane::{Lane, Speech};
pub(crate) use self::link::Link;
use crate::{
    Conn, Handler, Peer,
    conn::Way,
    pods::{Pod, Pods},
    session::{Callback, Done, Session},
};

/// The version that is spoken here.
const VERSION: u32 = 1;
/// Nothing heard for so many heartbeats is the end.
const SILENCES: u32 = 3;
/// What is said is said once, so a batch larger than this is cut. Less where the gateway takes less.
const BATCH: usize = 512 * 1024;

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
    leaving: CancellationToken,
}

impl<F, H> Service<F, H> {
    pub(crate) fn new(accept: Arc<F>, settings: Settings, leaving: CancellationToken) -> Self {
        Self {
            accept,
            pods: Arc::default(),
            instance: format!("{:032x}", fastrand::u128(..)),
            settings,
            leaving,
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
        if self.leaving.is_cancelled() {
            return Err(Status::unavailable("this handler is about to go"));
        }
        let mut batches = request.into_inner();
        let first = batches.message().await?.and_then(|batch| batch.hello);
        let hello = first.ok_or_else(|| {
            Status::failed_precondition("the first batch of a stream holds a hello")
        })?;
        if hello.version == 0 {
            return Err(Status::failed_precondition(
                "hello.version is 0; the lowest is 1",
            ));
        }
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let credits = (
            hello.max_commands as usize,
            hello.max_command_bytes as usize,
        );
        let most = (hello.max_batch_bytes as usize).min(BATCH);
        let lane = Lane::new(SERIAL.fetch_add(1, Relaxed), credits, most);
        lane.say(HandlerBatch {
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
        });
        tracing::info!(
            pod = hello.pod,
            lane = hello.lane,
            "a gateway pod has opened a stream"
        );
        let listening = Listening {
            pod: self.pods.of(&hello.pod, hello.epoch),
            accept: self.accept.clone(),
            instance: self.instance.clone(),
            lane: lane.clone(),
            sessions: HashMap::new(),
            detached_timeout: self.settings.detached_timeout,
        };
        tokio::spawn(listening.run(batches, hello, self.leaving.clone()));
        Ok(Response::new(Speech(lane)))
    }
}

/// One stream, as it is heard.
struct Listening<F, H> {
    pod: Arc<Pod<H>>,
    accept: Arc<F>,
    instance: String,
    lane: Arc<Lane>,
    /// The connections that are attached to it.
    sessions: HashMap<u64, Arc<Session<H>>>,
    detached_timeout: Duration,
}

impl<F, H> Listening<F, H>
where
    F: Fn(&Conn) -> H + Send + Sync + 'static,
    H: Handler,
{
    async fn run(
        mut self,
        mut batches: Streaming<GatewayBatch>,
        hello: GatewayHello,
        leaving: CancellationToken,
    ) {
        let heartbeat = Duration::from_millis(u64::from(hello.heartbeat_ms).max(1));
        let mut beats = interval(heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut said_goodbye = false;
        let outcome = loop {
            tokio::select! {
                batch = batches.message() => match batch {
                    Ok(Some(batch)) => {
                        heard = Instant::now();
                        let lane = self.lane.clone();
                        if let Err(fault) = lane.together(|| self.take(batch)) {
                            break Err(Status::failed_precondition(fault));
                        }
                    }
                    Ok(None) => break Ok(()),
                    Err(status) => {
                        tracing::warn!(pod = hello.pod, %status, "the stream of a pod broke");
                        break Ok(());
                    }
                },
                _ = beats.tick() => {
                    if heard.elapsed() >= heartbeat * SILENCES {
                        break Err(Status::deadline_exceeded("the gateway gives no sign of life"));
                    }
                    self.lane.beat();
                }
                () = leaving.cancelled(), if !said_goodbye => {
                    said_goodbye = true;
                    self.lane.goodbye("this handler is about to go");
                }
            }
        };
        if let Err(status) = &outcome {
            tracing::error!(pod = hello.pod, %status, "a stream is ended");
        }
        self.lane.end(outcome);
        self.leave().await;
    }

    fn take(&mut self, batch: GatewayBatch) -> Result<(), String> {
        if batch.hello.is_some() {
            return Err("hello came twice".to_owned());
        }
        for attach in batch.attaches {
            self.attach(attach);
        }
        for event in batch.events {
            self.event(event)?;
        }
        for progress in batch.progress {
            if let Some(session) = self.sessions.get(&progress.conn)
                && let Some(link) = session.conn.link()
            {
                link.progress(progress.done);
            }
        }
        if let Some(drain) = batch.drain {
            tracing::info!(within_ms = drain.within_ms, "a gateway pod is about to go");
        }
        Ok(())
    }

    fn attach(&mut self, attach: Attach) {
        let conn = attach.conn;
        let known = self.pod.sessions.get(&conn);
        let known = known.map(|each| each.value().clone());
        let link = known.as_ref().and_then(|session| session.conn.link());
        if link.is_some_and(|link| link.is_ahead_of(&attach)) {
            // It was read late, from a stream that has broken since.
            return;
        }
        let known = known.filter(|_| attach.instance == self.instance);
        let session = if let Some(session) = known {
            if let Some(link) = session.conn.link() {
                link.attach(&self.lane, &attach);
            }
            session
        } else {
            let link = Link::new(&attach);
            link.attach(&self.lane, &attach);
            let conn = Conn::new(Peer::new(attach), Way::Stream(link));
            let handler = (self.accept)(&conn);
            let session = Session::new(conn, handler);
            session.run(Callback::Open, Done::Nobody);
            session
        };
        self.pod.sessions.insert(conn, session.clone());
        self.sessions.insert(conn, session);
    }

    fn event(&mut self, event: Event) -> Result<(), String> {
        let Event {
            conn, seq, kind, ..
        } = event;
        let Some(session) = self.sessions.get(&conn) else {
            // Its Attach was read late.
            return Ok(());
        };
        let Some(link) = session.conn.link() else {
            return Ok(());
        };
        if !link.show(self.lane.serial, seq)? {
            return Ok(());
        }
        let callback = match kind {
            Some(Kind::Bytes(bytes)) => Callback::Bytes(bytes),
            Some(Kind::Messages(messages)) => Callback::Messages(messages.messages),
            Some(Kind::TimerTimeout(_)) => Callback::Timer,
            Some(Kind::Result(result)) => {
                link.result(seq, result);
                return Ok(());
            }
            Some(Kind::Closed(closed)) => {
                let session = self.sessions.remove(&conn);
                self.pod.sessions.remove(&conn);
                if let Some(session) = session {
                    session.run(Callback::Close(closed.reason), Done::Event(seq));
                    if let Some(link) = session.conn.link() {
                        link.end();
                    }
                }
                return Ok(());
            }
            None => Callback::Nothing,
        };
        session.run(callback, Done::Event(seq));
        Ok(())
    }

    /// The stream has ended. Connections that do not come back on another one are given up after a while.
    async fn leave(self) {
        let serial = self.lane.serial;
        let mut left = self.sessions;
        left.retain(|_, session| {
            let link = session.conn.link();
            link.is_some_and(|link| link.detach(serial))
        });
        if left.is_empty() {
            return;
        }
        sleep(self.detached_timeout).await;
        for (conn, session) in left {
            let is_detached = session.conn.link().is_some_and(|link| link.is_detached());
            let same = |_: &u64, now: &Arc<Session<H>>| Arc::ptr_eq(now, &session);
            if is_detached && self.pod.sessions.remove_if(&conn, same).is_some() {
                session.detach();
            }
        }
    }
}
