//! Callbacks as messages of client streams, one stream for each method of a connection: `ConnectionHandler`.
//!
//! Handlers answer such a stream when it ends, or whenever they like, so no answer is waited for. A message counts as
//! delivered once HTTP/2 has written it; before that the next one is not begun. So all messages of a connection are
//! written in order, whatever their method, and a handler that does not read stops the device by HTTP/2's windows.
//! A stream that the handler ends with OK is opened again for the next message.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use h2::SendStream;
use http::HeaderMap;
use tokio::{sync::oneshot, time::timeout};

use super::{
    Method,
    lane::{self, Failure},
    lanes::Pick,
    life::Life,
    parcel::Parcel,
};

/// The streams of one connection, all on one lane.
pub(super) struct ClientStreams {
    life: Arc<Life>,
    key: u64,
    lane: Option<Pick>,
    open: Vec<Open>,
    /// One broke, with what had been written to it.
    is_broken: bool,
    /// A canary was judged by a failure here, which counts once.
    has_failed: bool,
}

type Answer = Pin<Box<dyn Future<Output = Result<Bytes, Failure>> + Send + Sync>>;

/// A stream that was opened.
struct Open {
    method: Method,
    body: SendStream<Parcel>,
    answer: Answer,
    /// It has carried a message.
    is_used: bool,
}

impl ClientStreams {
    pub(super) fn new(life: &Arc<Life>, key: u64) -> Self {
        Self {
            life: life.clone(),
            key,
            lane: None,
            open: Vec::new(),
            is_broken: false,
            has_failed: false,
        }
    }

    /// A canary is judged by messages that are written, by errors, and by answers to the end; not by streams that break
    /// while nothing is written: such a connection was idle.
    fn judge(&mut self, has_failed: bool) {
        if !self.has_failed {
            self.has_failed = has_failed;
            self.life.endpoint().judge(has_failed);
        }
    }

    pub(super) fn are_broken(&self) -> bool {
        self.is_broken
    }

    /// Writes one message to its method's stream. `headers` go along where that has to be opened. What fails here is
    /// the message; it was not written as a whole, unless it timed out.
    pub(super) async fn write(
        &mut self,
        method: Method,
        headers: HeaderMap,
        frame: Bytes,
    ) -> Result<(), Failure> {
        let limit = self.life.endpoint().settings().deadline;
        let written = timeout(limit, self.write_now(method, headers, frame)).await;
        written.unwrap_or_else(|_| {
            // What was begun cannot be taken back, so the stream is reset.
            self.open.retain(|each| each.method != method);
            let timed_out = Err(Failure::TimedOut(limit));
            self.life.learn(method, &timed_out);
            self.judge(true);
            timed_out
        })
    }

    async fn write_now(
        &mut self,
        method: Method,
        headers: HeaderMap,
        frame: Bytes,
    ) -> Result<(), Failure> {
        loop {
            if let Some(ended) = poll_fn(|cx| Poll::Ready(self.ended(method, false, cx))).await {
                ended?;
            }
            if self.stream(method).is_none() {
                let opened = self.open(method, headers.clone()).await?;
                self.open.push(opened);
            }
            let Some(stream) = self.stream(method) else {
                continue;
            };
            let (parcel, mut written) = Parcel::tracked(frame.clone());
            // Where this fails the stream has ended, and its answer says why.
            let _ = stream.body.send_data(parcel, false);
            let mut known = None;
            let outcome = poll_fn(|cx| {
                if known.is_none() {
                    known = is_written(written.poll_unpin(cx));
                }
                if known == Some(true) {
                    return Poll::Ready(Ok(true));
                }
                let Some(ended) = self.ended(method, true, cx) else {
                    return Poll::Pending;
                };
                // It may be the answer to this very message, which was then written since we looked.
                let seen = known.is_none() && matches!(written.try_recv(), Ok(true));
                Poll::Ready(match ended {
                    Ok(()) => Ok(seen),
                    Err(Failure::Unreached { cause, .. }) if seen => Err(Failure::Lost(cause)),
                    Err(failure) => Err(failure),
                })
            });
            if outcome.await? {
                self.written(method);
                return Ok(());
            }
        }
    }

    fn written(&mut self, method: Method) {
        let Some(stream) = self.stream(method) else {
            return;
        };
        let was_used = std::mem::replace(&mut stream.is_used, true);
        if was_used {
            // What takes one message after the other is there.
            self.life.learn(method, &Ok(()));
            self.judge(false);
        }
    }

    fn stream(&mut self, method: Method) -> Option<&mut Open> {
        self.open.iter_mut().find(|each| each.method == method)
    }

    /// Opens a stream where the others are, or on another lane where that one takes no more.
    async fn open(&mut self, method: Method, mut headers: HeaderMap) -> Result<Open, Failure> {
        // It bounds a call, and such a stream lives as long as the connection.
        headers.remove("grpc-timeout");
        let lanes = self.life.endpoint().lanes();
        let uri = self.life.endpoint().uri(method);
        if let Some(pick) = &self.lane {
            lanes.count(pick);
            let begun = lane::begin(pick.send.clone(), uri.clone(), headers.clone()).await;
            if let Ok(begun) = begun {
                return Ok(Open::new(method, begun));
            }
            self.lane = None;
        }
        let standing = lanes.pick(self.key).filter(|_| !self.life.is_lost());
        let pick = standing.ok_or_else(|| Failure::unreached("no connection stands"))?;
        match lane::begin(pick.send.clone(), uri, headers).await {
            Ok(begun) => {
                self.lane = Some(pick);
                Ok(Open::new(method, begun))
            }
            Err(failure) => {
                if matches!(failure, Failure::Unreached { closing: true, .. }) {
                    lanes.replace(&pick);
                }
                Err(failure)
            }
        }
    }

    /// Ready when the handler has ended a stream with an error. (One that broke is told by `are_broken`.)
    pub(super) fn poll_refused(&mut self, cx: &mut Context<'_>) -> Poll<(Method, Failure)> {
        for method in Method::ALL {
            match self.ended(method, false, cx) {
                None | Some(Ok(()) | Err(Failure::Unreached { .. })) => {}
                Some(Err(failure)) => return Poll::Ready((method, failure)),
            }
        }
        Poll::Pending
    }

    /// The end of the method's stream, which is then no longer there. Where there is none, the task is woken by it.
    /// `is_writing`: a message was on its way there.
    fn ended(
        &mut self,
        method: Method,
        is_writing: bool,
        cx: &mut Context<'_>,
    ) -> Option<Result<(), Failure>> {
        let index = self.open.iter().position(|each| each.method == method)?;
        let Poll::Ready(answered) = self.open[index].answer.poll_unpin(cx) else {
            return None;
        };
        let stream = self.open.swap_remove(index);
        let outcome = answered.map(drop);
        self.life.learn(method, &outcome);
        match outcome {
            Err(Failure::Refused(_)) => self.judge(true),
            Err(Failure::Lost(_)) if is_writing => self.judge(true),
            _ => {}
        }
        Some(match outcome {
            Err(Failure::Unreached { cause, .. } | Failure::Lost(cause)) => {
                self.is_broken |= stream.is_used;
                Err(Failure::unreached(&cause))
            }
            answered => answered,
        })
    }

    /// Ends all streams, and waits for their answers. Fails where that to `OnSocketClosed` is an error.
    pub(super) async fn finish(&mut self) -> Result<(), Failure> {
        for stream in &mut self.open {
            // Where this fails the stream has ended, and its answer says why.
            let _ = stream.body.send_data(Bytes::new().into(), true);
        }
        let limit = self.life.endpoint().settings().deadline;
        let mut told = Ok(());
        let mut all_well = true;
        let answered = timeout(limit, async {
            for Open { method, answer, .. } in self.open.drain(..) {
                let outcome = answer.await.map(drop);
                self.life.learn(method, &outcome);
                all_well &= matches!(outcome, Ok(()) | Err(Failure::Unreached { .. }));
                if method == Method::OnSocketClosed {
                    told = outcome;
                } else if let Err(failure) = outcome {
                    let (endpoint, method) = (self.life.address(), method.as_str());
                    tracing::debug!(endpoint, method, %failure, "a stream ended with an error");
                }
            }
        });
        let in_time = answered.await.is_ok();
        self.judge(!(in_time && all_well));
        if !in_time {
            return Err(Failure::TimedOut(limit));
        }
        told
    }
}

impl Open {
    fn new(method: Method, (answer, body): lane::Begun) -> Self {
        Self {
            method,
            body,
            answer: Box::pin(lane::answered(answer)),
            is_used: false,
        }
    }
}

fn is_written(gone: Poll<Result<bool, oneshot::error::RecvError>>) -> Option<bool> {
    match gone {
        Poll::Ready(outcome) => Some(outcome.unwrap_or(false)),
        Poll::Pending => None,
    }
}
