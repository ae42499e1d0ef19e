//! One HTTP/2 connection to an endpoint, and a unary gRPC call on it.
//!
//! Spoken on `h2` itself rather than through a general gRPC client: only so can a call that never reached the handler
//! be told from one that may have, and a callback costs no task and no queue of its own.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use h2::{
    SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{HeaderMap, Request, StatusCode, Uri};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use super::{discovery::Target, parcel::Parcel, settings::Shared, stream};

/// An answer longer than this is to nothing that is asked here.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Answers that may have come and not been looked at yet. Each is a small frame, of which `h2` takes only some 130 for
/// an attack when nothing is said; a busy pod has more.
const SMALL_ANSWERS: usize = 256 * 1024;
/// What a handler may send before we have looked at it. Answers of unary calls are tiny; batches are not.
const WINDOW: u32 = 1024 * 1024;
/// The kernel notices a handler's host that vanished by itself. (HTTP/2 pings would do too, but servers that follow
/// gRPC's defaults answer frequent pings with GOAWAY.)
const PROBE_AFTER: Duration = Duration::from_secs(10);
const PROBE_EVERY: Duration = Duration::from_secs(5);
const GIVE_UP_AFTER: Duration = Duration::from_secs(25);

/// Why an attempt at a callback failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The handler provably never saw the call: it may be sent again.
    #[error("the handler was not reached: {cause}")]
    Unreached {
        /// What happened instead.
        cause: String,
        /// The connection that was tried was told to take no more calls. (One that broke ends by itself.)
        closing: bool,
    },
    /// The handler may or may not have seen the call: nothing answered.
    #[error("the handler may not have seen the call: {0}")]
    Lost(String),
    /// The handler answered with an error.
    #[error("the handler answered {:?}: {}", .0.code(), .0.message())]
    Refused(Box<Status>),
    /// The handler did not answer in time.
    #[error("the handler did not answer within {0:?}")]
    TimedOut(Duration),
}

impl Failure {
    pub(super) fn unreached(cause: &str) -> Self {
        Self::Unreached {
            cause: cause.to_owned(),
            closing: false,
        }
    }

    /// A failure before the request was handed to the connection.
    fn before(error: &h2::Error) -> Self {
        Self::Unreached {
            cause: error.to_string(),
            closing: error.is_go_away() && error.is_remote(),
        }
    }

    /// A failure after the request was handed to the connection. Only two things prove that the handler never saw it
    /// (RFC 9113, 6.8 and 8.7): a GOAWAY that excludes the stream, and `REFUSED_STREAM`.
    fn after(error: &h2::Error) -> Self {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        if error.is_remote() && (error.is_go_away() || refused) {
            Self::Unreached {
                cause: error.to_string(),
                closing: error.is_go_away(),
            }
        } else {
            Self::Lost(error.to_string())
        }
    }

    fn answered(status: Status) -> Self {
        // What a server says while it goes away, and what a proxy says when it lost the server.
        if status.code() == tonic::Code::Unavailable {
            Self::Lost(format!("unavailable: {}", status.message()))
        } else {
            Self::Refused(Box::new(status))
        }
    }
}

/// A connection that has just been opened.
pub(super) struct Open {
    /// Takes calls. The connection ends in order once the last clone and the last call are gone.
    pub(super) send: SendRequest<Parcel>,
    /// Ends with the connection: an error where it broke.
    pub(super) ended: BoxFuture<'static, Result<(), String>>,
    /// Where the ordered stream is spoken: the stream. The connection ends with it.
    pub(super) stream: Option<Arc<stream::Lane>>,
}

/// Opens HTTP/2 connection number `number` of an endpoint, and waits until the other side has spoken HTTP/2; where the
/// ordered stream is spoken, until it has said hello.
pub(super) async fn open(target: &Target, number: usize, shared: &Shared) -> io::Result<Open> {
    let connect_timeout = shared.settings.connect_timeout;
    let attempt = async {
        let address = &target.address;
        let tcp = TcpStream::connect((address.host(), address.port())).await?;
        tcp.set_nodelay(true)?;
        watch_for_a_vanished_host(&tcp)?;
        if target.is_secure() {
            let stream = shared.secure.connect(target, tcp).await?;
            speak(stream, target, number, shared).await
        } else {
            speak(tcp, target, number, shared).await
        }
    };
    timeout(connect_timeout, attempt).await.unwrap_or_else(|_| {
        let said = format!("no HTTP/2 connection within {connect_timeout:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, said))
    })
}

/// Begins to speak HTTP/2, and waits for an answer.
async fn speak<T>(stream: T, target: &Target, number: usize, shared: &Shared) -> io::Result<Open>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (send, mut connection) = h2::client::Builder::new()
        .enable_push(false)
        .data_frame_budget(SMALL_ANSWERS * 256)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake::<_, Parcel>(stream)
        .await
        .map_err(io::Error::other)?;
    let mut pings = connection
        .ping_pong()
        .expect("the first to ask for it gets it");
    tokio::select! {
        answer = pings.ping(h2::Ping::opaque()) => answer.map(drop),
        ended = &mut connection => ended.and(Err(h2::Reason::NO_ERROR.into())),
    }
    .map_err(|error| io::Error::other(format!("no HTTP/2 server answers there ({error})")))?;
    let Some(streams) = &shared.settings.stream else {
        let ended = tokio::spawn(connection);
        return Ok(Open {
            send,
            ended: Box::pin(async {
                let ended = ended.await.unwrap_or(Ok(()));
                ended.map_err(|error| error.to_string())
            }),
            stream: None,
        });
    };
    let uri = format!("{}/{}/Run", target.origin(), shared.settings.service);
    let uri = uri.parse().expect("a parsed address and a name make a URI");
    let counts = &shared.stream_counts;
    let opened = stream::open(send.clone(), connection, uri, number, streams, counts);
    let (lane, driver) = Box::pin(opened).await.map_err(io::Error::other)?;
    let driver = AbortOnDropHandle::new(tokio::spawn(driver));
    Ok(Open {
        send,
        ended: Box::pin(async {
            match driver.await {
                Ok(stream::Ended::Broken(why)) => Err(why),
                Ok(stream::Ended::InOrder) | Err(_) => Ok(()),
            }
        }),
        stream: Some(lane),
    })
}

fn watch_for_a_vanished_host(tcp: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(tcp);
    let keepalive = TcpKeepalive::new()
        .with_time(PROBE_AFTER)
        .with_interval(PROBE_EVERY);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(GIVE_UP_AFTER))?;
    Ok(())
}

/// Whether a connection that has ended was ended by a GOAWAY, and not by a handler that broke off.
pub(super) fn was_told_to_go(mut send: SendRequest<Parcel>) -> bool {
    match send.poll_ready(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Err(error)) => error.is_go_away() && error.is_remote(),
        _ => false,
    }
}

/// A call whose headers were handed to the connection: its answer, and where its messages go.
pub(super) type Begun = (ResponseFuture, SendStream<Parcel>);

/// One call with one message each way. The answer has gRPC's five bytes in front.
pub(super) async fn call(
    send: SendRequest<Parcel>,
    uri: Uri,
    headers: HeaderMap,
    frame: Bytes,
) -> Result<Bytes, Failure> {
    let (answer, mut body) = begin(send, uri, headers).await?;
    // Where this fails the stream has ended, and `answer` says why.
    let _ = body.send_data(frame.into(), true);
    answered(answer).await
}

/// Begins a call.
pub(super) async fn begin(
    send: SendRequest<Parcel>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Begun, Failure> {
    let mut send = send
        .ready()
        .await
        .map_err(|error| Failure::before(&error))?;
    let mut request = Request::post(uri)
        .body(())
        .expect("the endpoint's address made a URI");
    *request.headers_mut() = headers;
    send.send_request(request, false)
        .map_err(|error| Failure::before(&error))
}

/// Waits for the answer to a call, and reads it to its end.
pub(super) async fn answered(answer: ResponseFuture) -> Result<Bytes, Failure> {
    let answer = answer.await.map_err(|error| Failure::after(&error))?;
    let (head, mut body) = answer.into_parts();
    if head.status != StatusCode::OK {
        return Err(Failure::answered(from_http(head.status)));
    }
    if let Some(status) = Status::from_header_map(&head.headers) {
        return outcome(status).map(|()| Bytes::new());
    }
    let mut message = Bytes::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| Failure::after(&error))?;
        if message.len() + data.len() > LONGEST_ANSWER {
            return Err(Failure::answered(Status::internal(
                "the answer is too long for what was asked",
            )));
        }
        let _ = body.flow_control().release_capacity(data.len());
        message = joined(message, data);
    }
    let trailers = body
        .trailers()
        .await
        .map_err(|error| Failure::after(&error))?;
    match trailers.as_ref().and_then(Status::from_header_map) {
        Some(status) => outcome(status).map(|()| message),
        None => Err(Failure::answered(Status::unknown(
            "the answer has no grpc-status",
        ))),
    }
}

/// Almost every answer is one piece, which is then not copied.
fn joined(first: Bytes, second: Bytes) -> Bytes {
    if first.is_empty() {
        return second;
    }
    let mut both = BytesMut::from(first);
    both.extend_from_slice(&second);
    both.freeze()
}

fn outcome(status: Status) -> Result<(), Failure> {
    match status.code() {
        tonic::Code::Ok => Ok(()),
        _ => Err(Failure::answered(status)),
    }
}

/// The table of gRPC's HTTP mapping.
fn from_http(status: StatusCode) -> Status {
    let said = format!("HTTP status {status}: is this the address of a gRPC server?");
    match status.as_u16() {
        400 => Status::internal(said),
        401 => Status::unauthenticated(said),
        403 => Status::permission_denied(said),
        404 => Status::unimplemented(said),
        429 | 502..=504 => Status::unavailable(said),
        _ => Status::unknown(said),
    }
}
