//! One stream to a handler, driven by one task: it also drives the HTTP/2 connection below, so that a batch changes
//! hands without waking another task. A batch is taken as a whole or not at all.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{SendStream, client::SendRequest};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use parking_lot::Mutex;
use proto::stream::{Ack, Attach, Command, Drain, Event, GatewayBatch, HandlerBatch};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use tonic::Status;

use super::{
    Attachment, Counts, Credits, Settings,
    attachment::{Shown, Taken},
    frames::{Batches, End, status},
    hello::{self, Hello},
    outgoing::Outgoing,
};
use crate::handler::{frame, parcel::Parcel};

/// Batches that are taken before others have their turn.
const IN_A_ROW: usize = 16;
/// Nothing heard for so many heartbeats is the end.
const SILENCES: u32 = 3;

/// The HTTP/2 connection below a lane.
type Connection<T> = h2::client::Connection<T, Parcel>;

/// One stream. It takes connections until its handler says goodbye, and carries events until it has ended.
pub struct Lane {
    /// No two lanes of a process have the same.
    pub(super) serial: u64,
    pub(super) outgoing: Arc<Outgoing>,
    hello: Hello,
    counts: Arc<Counts>,
    attached: Mutex<HashMap<u64, Arc<Attachment>>>,
    leaving: AtomicBool,
    ended: AtomicBool,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The handler had said goodbye, or went in order.
    InOrder(String),
    /// It broke, or the handler broke the rules.
    Broken(String),
}

impl Lane {
    fn new(hello: Hello, settings: &Settings, counts: Arc<Counts>) -> Arc<Self> {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self {
            serial: SERIAL.fetch_add(1, Relaxed),
            outgoing: Arc::new(Outgoing::new(settings.buffer, hello.max_batch)),
            hello,
            counts,
            attached: Mutex::default(),
            leaving: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })
    }

    /// The handler's process.
    #[must_use]
    pub fn instance(&self) -> &Arc<str> {
        &self.hello.instance
    }

    /// The credits of each connection's events, where the handler wants fewer than `ours`.
    #[must_use]
    pub fn credits(&self, ours: Credits) -> Credits {
        let fewer = |theirs: usize, ours: usize| if theirs == 0 { ours } else { theirs.min(ours) };
        Credits {
            count: fewer(self.hello.events.count, ours.count),
            bytes: fewer(self.hello.events.bytes, ours.bytes),
        }
    }

    /// The largest batch that the handler takes.
    #[must_use]
    pub fn max_batch(&self) -> usize {
        self.hello.max_batch
    }

    /// Whether connections may be attached to it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.leaving.load(Acquire) && !self.has_ended()
    }

    /// Whether the handler has said goodbye: it is told nothing more, and acknowledges what it was told.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Acquire)
    }

    /// Whether nothing comes or goes any more. What is attached must go elsewhere.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Acquire)
    }

    /// Introduces a connection: `attach` is filled up with what its attachment remembers. False where the lane has ended
    /// meanwhile.
    pub fn attach(&self, attachment: &Arc<Attachment>, mut attach: Attach) -> bool {
        let mut attached = self.attached.lock();
        // With the table locked: whoever ends the lane looks at it after that.
        if !self.is_open() {
            return false;
        }
        attached.insert(attachment.conn(), attachment.clone());
        let Shown {
            accepted,
            done,
            state,
            actor,
        } = attachment.link(self);
        attach.commands_accepted = accepted;
        attach.commands_done = done;
        attach.state = state;
        if let Some(actor) = actor {
            actor.as_ref().clone_into(&mut attach.instance);
        }
        self.outgoing.push(&GatewayBatch {
            attaches: vec![attach],
            ..GatewayBatch::default()
        });
        true
    }

    /// Nothing more is to be said of the connection, or heard.
    pub fn detach(&self, attachment: &Attachment) {
        attachment.unlink();
        let mut attached = self.attached.lock();
        attached.remove(&attachment.conn());
        if attached.is_empty() && self.is_leaving() {
            // The last one has gone.
            self.outgoing.wake();
        }
    }

    /// Whether there is room for an event; else the connection is woken when there is some.
    #[must_use]
    pub fn has_room(&self, attachment: &Arc<Attachment>) -> bool {
        self.outgoing.has_room(attachment)
    }

    /// Sends an event of an attached connection.
    pub fn show(&self, attachment: &Attachment, event: Event) {
        let counter = if event.resent {
            &self.counts.resent
        } else {
            &self.counts.events
        };
        counter.fetch_add(1, Relaxed);
        attachment.show(event);
    }

    /// Tells the handler that the pod is about to go.
    pub(in crate::handler) fn drain(&self, within: Duration) {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        self.outgoing.push(&GatewayBatch {
            drain: Some(Drain { within_ms }),
            ..GatewayBatch::default()
        });
    }

    fn attachment(&self, conn: u64) -> Option<Arc<Attachment>> {
        self.attached.lock().get(&conn).cloned()
    }

    /// Takes all of a batch. The commands first: an acknowledgement may be what makes a connection go.
    fn take(&self, batch: HandlerBatch) -> Result<(), String> {
        if batch.hello.is_some() {
            return Err("the handler said hello twice".to_owned());
        }
        self.counts.batches_received.fetch_add(1, Relaxed);
        for command in batch.commands {
            self.command(command);
        }
        for ack in batch.acks {
            self.acknowledge(ack);
        }
        if let Some(goodbye) = batch.goodbye
            && !self.leaving.swap(true, Release)
        {
            tracing::info!(reason = goodbye.reason, "a handler says goodbye");
            self.wake_all();
        }
        Ok(())
    }

    fn command(&self, command: Command) {
        let counts = &self.counts;
        let taken = match self.attachment(command.conn) {
            Some(attachment) => attachment.accept(self.serial, command),
            None => Taken::Stray,
        };
        let counter = match taken {
            Taken::Yes => &counts.commands,
            Taken::Repeated => &counts.repeated_commands,
            Taken::Stray => &counts.strays,
            Taken::Fault => &counts.faults,
        };
        counter.fetch_add(1, Relaxed);
    }

    fn acknowledge(&self, ack: Ack) {
        let taken = match self.attachment(ack.conn) {
            Some(attachment) => attachment.acknowledge(self.serial, ack),
            None => Taken::Stray,
        };
        match taken {
            Taken::Yes | Taken::Repeated => {}
            Taken::Stray => drop(self.counts.strays.fetch_add(1, Relaxed)),
            Taken::Fault => drop(self.counts.faults.fetch_add(1, Relaxed)),
        }
    }

    fn wake_all(&self) {
        let attached: Vec<_> = self.attached.lock().values().cloned().collect();
        for each in attached {
            each.wake();
        }
    }

    /// What handlers would not hear of otherwise: there is nothing else to say of these connections.
    fn tell_progress(&self) {
        let attached: Vec<_> = self.attached.lock().values().cloned().collect();
        for each in attached {
            each.tell();
        }
    }

    fn end(&self) {
        self.ended.store(true, Release);
        self.outgoing.close();
        let attached = std::mem::take(&mut *self.attached.lock());
        for each in attached.values() {
            each.wake();
        }
    }
}

/// Opens a stream over a new HTTP/2 connection, and waits until both sides have said hello. The future ends with the
/// stream, and must be driven.
pub(in crate::handler) async fn open<T: AsyncRead + AsyncWrite + Send + Unpin>(
    send: SendRequest<Parcel>,
    mut connection: Connection<T>,
    uri: Uri,
    number: usize,
    settings: &Settings,
    counts: &Arc<Counts>,
) -> Result<(Arc<Lane>, impl Future<Output = Ended> + Send + use<T>), String> {
    let introduced = introduce(send, uri, number, settings);
    let (hello, send, batches) = tokio::select! {
        introduced = introduced => introduced?,
        ended = &mut connection => {
            return Err(match ended {
                Ok(()) => "the handler closed the connection".to_owned(),
                Err(error) => error.to_string(),
            });
        }
    };
    let lane = Lane::new(hello, settings, counts.clone());
    let now = Instant::now();
    let mut beats = interval_at(now + settings.heartbeat, settings.heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let driver = Driver {
        lane: lane.clone(),
        connection,
        send,
        sending: Bytes::new(),
        batches,
        beats,
        heartbeat: settings.heartbeat,
        heard: now,
        spoke: false,
        ended_side: false,
    };
    Ok((lane, driver.run()))
}

/// Makes the call, and hears the handler's hello.
async fn introduce(
    send: SendRequest<Parcel>,
    uri: Uri,
    number: usize,
    settings: &Settings,
) -> Result<(Hello, SendStream<Parcel>, Batches), String> {
    let mut send = send.ready().await.map_err(|error| error.to_string())?;
    let mut request = Request::post(uri)
        .body(())
        .expect("the endpoint's address made a URI");
    *request.headers_mut() = headers();
    let (answer, mut body) = send
        .send_request(request, false)
        .map_err(|error| error.to_string())?;
    let hello = frame(&hello::ours(settings, number));
    body.send_data(hello.into(), false)
        .map_err(|error| error.to_string())?;
    let (head, answer) = answer
        .await
        .map_err(|error| error.to_string())?
        .into_parts();
    if head.status != StatusCode::OK {
        return Err(format!(
            "it answered HTTP status {}: is this the address of a gRPC server?",
            head.status
        ));
    }
    if head.headers.contains_key("grpc-status") {
        return Err(refused(&status(Some(&head.headers))));
    }
    let mut batches = Batches::new(answer, settings.max_batch_bytes);
    let first = batches.next().await.map_err(|end| match end {
        End::Status(status) => refused(&status),
        end => end.to_string(),
    })?;
    Ok((hello::theirs(first)?, body, batches))
}

fn headers() -> HeaderMap {
    let agent = concat!("exproto-gateway/", env!("CARGO_PKG_VERSION"));
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::TE, "trailers"),
        (header::CONTENT_TYPE, "application/grpc"),
        (header::USER_AGENT, agent),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

fn refused(status: &Status) -> String {
    match status.code() {
        tonic::Code::Unimplemented => "it does not serve exproto.stream.v1.ConnectionStream \
             (UNIMPLEMENTED); a handler that serves emqx.exproto.v1.ConnectionUnaryHandler needs \
             handler.service: ConnectionUnaryHandler"
            .to_owned(),
        code => format!("it refused the stream: {code:?}: {}", status.message()),
    }
}

/// What keeps a lane going. The lane ends with it.
struct Driver<T> {
    lane: Arc<Lane>,
    connection: Connection<T>,
    send: SendStream<Parcel>,
    /// What of a batch HTTP/2 has not taken yet.
    sending: Bytes,
    batches: Batches,
    beats: Interval,
    heartbeat: Duration,
    heard: Instant,
    /// Something was sent since the last heartbeat.
    spoke: bool,
    /// Nothing more is sent.
    ended_side: bool,
}

impl<T> Drop for Driver<T> {
    fn drop(&mut self) {
        self.lane.end();
    }
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Driver<T> {
    async fn run(mut self) -> Ended {
        let ended = poll_fn(|cx| self.poll(cx)).await;
        self.send.send_reset(h2::Reason::CANCEL);
        let ended = match ended {
            Ended::Broken(why) if self.lane.is_leaving() => Ended::InOrder(why),
            ended => ended,
        };
        // What of the last words the socket takes at once.
        let _ = futures_util::FutureExt::now_or_never(&mut self.connection);
        ended
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        let lost = self.poll_connection(cx);
        if let Poll::Ready(ended) = self.poll_batches(cx) {
            return Poll::Ready(ended);
        }
        // All that came before the end was taken.
        if let Poll::Ready(why) = lost {
            return Poll::Ready(Ended::Broken(why));
        }
        if let Poll::Ready(ended) = self.poll_beats(cx) {
            return Poll::Ready(ended);
        }
        if let Poll::Ready(why) = self.poll_send(cx) {
            return Poll::Ready(Ended::Broken(why));
        }
        // What was just handed to it goes out now.
        match self.poll_connection(cx) {
            Poll::Ready(_) => {
                // What it has read still waits to be taken.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        Pin::new(&mut self.connection)
            .poll(cx)
            .map(|ended| match ended {
                Ok(()) => "the handler closed the connection".to_owned(),
                Err(error) => error.to_string(),
            })
    }

    fn poll_batches(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        for _ in 0..IN_A_ROW {
            match self.batches.poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(batch)) => {
                    self.heard = Instant::now();
                    if let Err(fault) = self.lane.take(batch) {
                        return Poll::Ready(Ended::Broken(fault));
                    }
                }
                Poll::Ready(Err(end)) => {
                    return Poll::Ready(match end {
                        End::Status(status) if status.code() == tonic::Code::Ok => {
                            Ended::InOrder("it ended the stream".to_owned())
                        }
                        end => Ended::Broken(end.to_string()),
                    });
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_beats(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        while self.beats.poll_tick(cx).is_ready() {
            let silence = self.heard.elapsed();
            if silence >= self.heartbeat * SILENCES {
                return Poll::Ready(Ended::Broken(format!(
                    "the handler gave no sign of life for {silence:.1?}"
                )));
            }
            if self.ended_side {
                continue;
            }
            self.lane.tell_progress();
            if !std::mem::take(&mut self.spoke) {
                self.lane.outgoing.push(&GatewayBatch {
                    heartbeat: 1,
                    ..GatewayBatch::default()
                });
            }
        }
        Poll::Pending
    }

    /// Once the handler has said goodbye, and nobody is left to wait for.
    fn end_side(&mut self) {
        if self.lane.is_leaving() && !self.ended_side && self.lane.attached.lock().is_empty() {
            self.ended_side = true;
            // Where this fails the stream has ended already.
            let _ = self.send.send_data(Bytes::new().into(), true);
        }
    }

    /// Hands batches to HTTP/2 as far as the handler's window goes.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        loop {
            if self.ended_side {
                return Poll::Pending;
            }
            if self.sending.is_empty() {
                match self.lane.outgoing.poll_take(cx) {
                    Poll::Ready(batch) => self.sending = batch,
                    Poll::Pending => {
                        self.end_side();
                        return Poll::Pending;
                    }
                }
                self.lane.counts.batches_sent.fetch_add(1, Relaxed);
                self.spoke = true;
            }
            self.send.reserve_capacity(self.sending.len());
            let room = self.send.capacity();
            if room == 0 {
                // It tells of more room, not of room that is there.
                match self.send.poll_capacity(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(Ok(_))) => continue,
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(error.to_string()),
                    Poll::Ready(None) => {
                        return Poll::Ready("the handler ended the stream".to_owned());
                    }
                }
            }
            let piece = self.sending.split_to(room.min(self.sending.len()));
            if let Err(error) = self.send.send_data(piece.into(), false) {
                return Poll::Ready(error.to_string());
            }
        }
    }
}
