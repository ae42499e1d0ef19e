//! Batches as they come from the handler: gRPC's frames out of an HTTP/2 body.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use h2::RecvStream;
use http::HeaderMap;
use prost::Message as _;
use proto::stream::HandlerBatch;
use tonic::Status;

/// A compression flag, and the length.
const HEAD: usize = 5;

/// Why no batch comes any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The handler ended the stream with this status.
    #[error("the handler ended the stream: {:?}: {}", .0.code(), .0.message())]
    Status(Box<Status>),
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Broken(#[from] h2::Error),
    /// What came is no batch.
    #[error("the handler sent what is no HandlerBatch: {0}")]
    Garbage(String),
    /// A batch that is too large.
    #[error(
        "the handler sent a batch of {found} bytes; handler.stream.max_batch_bytes allows {most}"
    )]
    TooLarge { found: usize, most: usize },
}

/// The body of the handler's answer.
pub(super) struct Batches {
    body: RecvStream,
    buffer: BytesMut,
    most: usize,
}

impl Batches {
    pub(super) fn new(body: RecvStream, most: usize) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            most,
        }
    }

    pub(super) async fn next(&mut self) -> Result<HandlerBatch, End> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next batch. Cancel safe: what has come of it is kept.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<HandlerBatch, End>> {
        loop {
            if let Some(batch) = self.whole()? {
                return Poll::Ready(Ok(batch));
            }
            let Some(data) = ready!(self.body.poll_data(cx)) else {
                let trailers = ready!(self.body.poll_trailers(cx))?;
                return Poll::Ready(Err(End::Status(Box::new(status(trailers.as_ref())))));
            };
            let data = data?;
            // The bytes wait here from now on, no more of them than one batch and one window.
            self.body.flow_control().release_capacity(data.len())?;
            self.buffer.extend_from_slice(&data);
        }
    }

    /// Cuts off the batch that has come as a whole.
    fn whole(&mut self) -> Result<Option<HandlerBatch>, End> {
        let Some((head, _)) = self.buffer.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [compressed, length @ ..] = *head;
        if compressed != 0 {
            let problem = "it is compressed, which was not asked for";
            return Err(End::Garbage(problem.to_owned()));
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > self.most {
            return Err(End::TooLarge {
                found: length,
                most: self.most,
            });
        }
        if self.buffer.len() < HEAD + length {
            self.buffer.reserve(HEAD + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(HEAD);
        let batch = HandlerBatch::decode(self.buffer.split_to(length).freeze());
        batch
            .map(Some)
            .map_err(|error| End::Garbage(error.to_string()))
    }
}

/// The status at the end of a stream.
pub(super) fn status(trailers: Option<&HeaderMap>) -> Status {
    trailers
        .and_then(Status::from_header_map)
        .unwrap_or_else(|| Status::unknown("it has no grpc-status"))
}
