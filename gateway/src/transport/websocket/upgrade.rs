//! The HTTP upgrade: who asks for something else is told what this port is.

use std::{io, time::Duration};

use bytes::{BufMut as _, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};
use tokio_tungstenite::tungstenite::{
    self,
    error::ProtocolError,
    handshake::{
        machine::TryParse as _,
        server::{Request, Response, create_response, write_response},
    },
};

use super::WebSocket;
use crate::transport::Details;

/// The longest request that is taken.
const LONGEST: usize = 8 * 1024;

/// How long a refused device may go on sending. A socket that is dropped with unread bytes takes the answer with it.
const LINGER: Duration = Duration::from_secs(1);

/// How much of that is read.
const LINGER_BYTES: u64 = 64 * 1024;

/// Why a WebSocket was not opened. The device was answered where HTTP has an answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// HTTP, but no upgrade to a WebSocket.
    #[error("the device's request is for no WebSocket: {0}")]
    NotWebSocket(#[source] tungstenite::Error),
    /// The device asked for a path that is not the listener's.
    #[error("the device asked for another path: {0:?}")]
    Path(String),
    /// The device offers subprotocols, and none of the listener's.
    #[error("the device offers other subprotocols: {0:?}")]
    Subprotocol(String),
    /// The request is no HTTP.
    #[error("the device's request cannot be read: {0}")]
    Malformed(#[source] tungstenite::Error),
    /// The request is longer than any that is taken.
    #[error("the device's request is longer than {LONGEST} bytes")]
    TooLong,
    /// The device left first.
    #[error("the device left before its request was complete")]
    Closed,
    /// The socket failed.
    #[error("the socket failed during the upgrade: {0}")]
    Io(#[from] io::Error),
}

impl Error {
    /// One word, for a metric.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotWebSocket(_) => "not_websocket",
            Self::Path(_) => "path",
            Self::Subprotocol(_) => "subprotocol",
            Self::Malformed(_) | Self::TooLong => "malformed",
            Self::Closed => "closed",
            Self::Io(_) => "io",
        }
    }

    /// What the device is answered.
    fn answer(&self) -> Option<(StatusCode, &'static str)> {
        Some(match self {
            Self::NotWebSocket(_) => (
                StatusCode::UPGRADE_REQUIRED,
                "Connect with a WebSocket client (version 13).",
            ),
            Self::Path(_) => (StatusCode::NOT_FOUND, "There is nothing at this path."),
            Self::Subprotocol(_) => (
                StatusCode::BAD_REQUEST,
                "None of the offered subprotocols is spoken here.",
            ),
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "The request is malformed."),
            Self::TooLong => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The request is too long.",
            ),
            Self::Closed | Self::Io(_) => return None,
        })
    }
}

/// Opens a WebSocket, and tells what the device's request did. Waits for as long as the device takes: the caller sets
/// a limit.
pub async fn accept<Io>(
    mut io: Io,
    settings: &config::WebSocket,
) -> Result<(WebSocket<Io>, Details), Error>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let opened = match receive(&mut io).await {
        Ok(request) => open(&request, settings),
        Err(error) => Err(error),
    };
    match opened {
        Ok((response, details)) => {
            let mut bytes = Vec::new();
            write_response(&mut bytes, &response).expect("it was made of plain text");
            io.write_all(&bytes).await?;
            io.flush().await?;
            Ok((WebSocket::new(io, settings.max_message.bytes()), details))
        }
        Err(error) => {
            if let Some((status, what)) = error.answer() {
                // A device that does not want to hear it is refused all the same.
                let _ = refuse(&mut io, status, what).await;
            }
            Err(error)
        }
    }
}

/// Reads a request and nothing behind it.
async fn receive(io: &mut (impl AsyncRead + Unpin)) -> Result<Request, Error> {
    let mut head = BytesMut::with_capacity(1024);
    while head.len() < LONGEST {
        let before = head.len();
        let room = LONGEST - before;
        if io.read_buf(&mut (&mut head).limit(room)).await? == 0 {
            return Err(Error::Closed);
        }
        // What came first tells whether this is HTTP at all; after that, only the end of a line can make it complete.
        if before > 0 && !head[before..].contains(&b'\n') {
            continue;
        }
        match Request::try_parse(&head).map_err(refusal)? {
            None => {}
            Some((length, request)) if length == head.len() => return Ok(request),
            Some(_) => return Err(Error::Malformed(ProtocolError::JunkAfterRequest.into())),
        }
    }
    Err(Error::TooLong)
}

fn refusal(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Protocol(
            ProtocolError::WrongHttpMethod | ProtocolError::WrongHttpVersion,
        ) => Error::NotWebSocket(error),
        _ => Error::Malformed(error),
    }
}

/// The answer that opens the WebSocket, and what is told of the device.
fn open(request: &Request, settings: &config::WebSocket) -> Result<(Response, Details), Error> {
    let mut response = create_response(request).map_err(Error::NotWebSocket)?;
    let path = request.uri().path();
    if settings.path.as_ref().is_some_and(|ours| ours != path) {
        return Err(Error::Path(path.to_owned()));
    }
    let mut details = Details::default();
    details.add("exproto-ws-path", path.as_bytes());
    if let Some(query) = request.uri().query() {
        details.add("exproto-ws-query", query.as_bytes());
    }
    if let Some(chosen) = choose(request.headers(), &settings.subprotocols)? {
        details.add("exproto-ws-subprotocol", chosen.as_bytes());
        let value = HeaderValue::from_str(chosen).expect("it came in a header");
        let headers = response.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    for (name, header) in [
        ("exproto-ws-origin", "origin"),
        ("exproto-ws-forwarded-for", "x-forwarded-for"),
    ] {
        for value in request.headers().get_all(header) {
            details.add(name, value.as_bytes());
        }
    }
    Ok((response, details))
}

/// The first of the device's subprotocols that is ours as well.
fn choose<'a>(headers: &'a HeaderMap, ours: &[String]) -> Result<Option<&'a str>, Error> {
    let offered = || {
        let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let lines = lines.filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).map(str::trim)
    };
    if ours.is_empty() || offered().next().is_none() {
        return Ok(None);
    }
    match offered().find(|name| ours.iter().any(|known| known == name)) {
        Some(name) => Ok(Some(name)),
        None => Err(Error::Subprotocol(offered().collect::<Vec<_>>().join(", "))),
    }
}

/// Answers, and lets the device read that.
async fn refuse<Io>(io: &mut Io, status: StatusCode, what: &str) -> io::Result<()>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let upgrade = match status {
        StatusCode::UPGRADE_REQUIRED => {
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        }
        _ => "",
    };
    let body = format!("Here, ExProto Gateway takes devices over WebSocket. {what}\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\n{upgrade}Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len(),
    );
    io.write_all(answer.as_bytes()).await?;
    io.flush().await?;
    io.shutdown().await?;
    let (mut rest, mut nowhere) = (io.take(LINGER_BYTES), tokio::io::sink());
    let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut nowhere)).await;
    Ok(())
}
