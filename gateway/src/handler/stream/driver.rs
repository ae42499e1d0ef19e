//! What keeps a lane going: one task, which also drives the HTTP/2 connection below, so that a batch changes hands without
//! waking another task. A batch is taken as a whole or not at all.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{SendStream, client::SendRequest};
use http::{Request, StatusCode, Uri};
use proto::stream::GatewayBatch;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use tonic::Status;

use super::{
    Counts, Lane, Settings,
    frames::{Batches, End, status},
    hello::{self, Hello},
};
use crate::handler::{frame, headers, parcel::Parcel};

/// Batches that are taken before others have their turn.
const IN_A_ROW: usize = 16;
/// Nothing heard for so many heartbeats is the end.
const SILENCES: u32 = 3;

/// The HTTP/2 connection below a lane.
type Connection<T> = h2::client::Connection<T, Parcel>;

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The handler had said goodbye, or went in order.
    InOrder,
    /// It broke, or the handler broke the rules.
    Broken(String),
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
            Ended::Broken(_) if self.lane.is_leaving() => Ended::InOrder,
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
                        End::Status(status) if status.code() == tonic::Code::Ok => Ended::InOrder,
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
