//! Requests, good and bad.

use tokio_tungstenite::tungstenite::{client::IntoClientRequest as _, handshake::client::Request};

use super::*;
use crate::transport::Details;

fn settings(path: Option<&str>, subprotocols: &[&str]) -> config::WebSocket {
    config::WebSocket {
        path: path.map(str::to_owned),
        subprotocols: subprotocols.iter().map(|name| (*name).to_owned()).collect(),
        ..config::WebSocket::default()
    }
}

fn request(url: &str, headers: &[(&'static str, &'static str)]) -> Request {
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

/// What tungstenite's client gets, what is told of it, and how the gateway sees it.
async fn upgraded(
    request: Request,
    settings: &config::WebSocket,
) -> (http::HeaderMap, Result<Details, Error>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let client = async {
        match client_async(request, theirs).await {
            Ok((_, response)) => response.into_parts().0.headers,
            Err(_) => http::HeaderMap::new(),
        }
    };
    let (accepted, headers) = soon(async { tokio::join!(accept(ours, settings), client) }).await;
    (headers, accepted.map(|(_, details)| details))
}

/// What a client without a library reads to the end, and the reason.
async fn asked(bytes: &[u8], settings: &config::WebSocket) -> (String, &'static str) {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let client = async {
        theirs.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        theirs.read_to_end(&mut answer).await.unwrap();
        drop(theirs);
        String::from_utf8(answer).unwrap()
    };
    let (accepted, answer) = soon(async { tokio::join!(accept(ours, settings), client) }).await;
    let Err(error) = accepted else {
        panic!("it was let in: {answer}");
    };
    (answer, error.reason())
}

const GOOD: &str = "GET /devices?token=s HTTP/1.1\r\nHost: gateway\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn the_request_becomes_metadata() {
    let headers = [
        ("origin", "https://example.net"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-for", "10.0.0.1"),
        ("user-agent", "a browser"),
    ];
    let request = request("ws://gateway/devices?token=secret", &headers);
    let (_, details) = upgraded(request, &settings(None, &[])).await;
    let details = details.unwrap();
    let told: Vec<_> = details.headers().unwrap().iter().collect();
    let told: Vec<_> = told
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("exproto-ws-path", "/devices"),
            ("exproto-ws-query", "token=secret"),
            ("exproto-ws-origin", "https://example.net"),
            ("exproto-ws-forwarded-for", "192.0.2.7"),
            ("exproto-ws-forwarded-for", "10.0.0.1"),
        ]
    );
}

#[tokio::test]
async fn the_first_subprotocol_of_the_device_that_is_known_is_chosen() {
    let ours = settings(None, &["mqtt", "mqttv3.1"]);
    let cases = [
        (&["foo,mqttv3.1 , mqtt"][..], Some("mqttv3.1")),
        (&["foo", "mqtt"], Some("mqtt")),
        (&[], None),
    ];
    for (offered, chosen) in cases {
        // tungstenite's client looks at one header only; bytes are as good.
        let offered = offered.iter();
        let offered: Vec<_> = offered
            .map(|names| format!("Sec-WebSocket-Protocol: {names}\r\n"))
            .collect();
        let bytes = format!("{GOOD}{}\r\n", offered.concat());
        let (io, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs.write_all(bytes.as_bytes()).await.unwrap();
        let (socket, details) = soon(accept(io, &ours)).await.unwrap();
        drop(socket);
        let mut answer = String::new();
        soon(theirs.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let header = |name: &str| format!("sec-websocket-protocol: {name}\r\n");
        match chosen {
            Some(name) => assert!(answer.contains(&header(name)), "{answer}"),
            None => assert!(!answer.contains("sec-websocket-protocol"), "{answer}"),
        }
        let told = details.headers().unwrap().get("exproto-ws-subprotocol");
        assert_eq!(told.map(|value| value.to_str().unwrap()), chosen);
    }
}

#[tokio::test]
async fn a_client_with_a_subprotocol_gets_it() {
    let request = || request("ws://gateway/", &[("sec-websocket-protocol", "foo, mqtt")]);
    let (headers, details) = upgraded(request(), &settings(None, &["mqtt"])).await;
    details.unwrap();
    assert_eq!(headers["sec-websocket-protocol"], "mqtt");
    let (_, details) = upgraded(request(), &settings(None, &["coap"])).await;
    assert_eq!(details.unwrap_err().reason(), "subprotocol");
}

#[tokio::test]
async fn an_offer_is_ignored_where_nothing_is_chosen_from() {
    let bytes = format!("{GOOD}Sec-WebSocket-Protocol: mqtt\r\n\r\n");
    let (io, mut theirs) = tokio::io::duplex(64 * 1024);
    theirs.write_all(bytes.as_bytes()).await.unwrap();
    let (_, details) = soon(accept(io, &settings(Some("/devices"), &[])))
        .await
        .unwrap();
    let headers = details.headers().unwrap();
    assert!(headers.get("exproto-ws-subprotocol").is_none());
}

#[tokio::test]
async fn who_asks_for_something_else_is_told() {
    let any = settings(None, &[]);
    let cases = [
        (
            "GET / HTTP/1.1\r\nHost: gateway\r\n\r\n",
            "426",
            "not_websocket",
        ),
        ("HEAD / HTTP/1.1\r\n\r\n", "426", "not_websocket"),
        ("OPTIONS / HTTP/1.0\r\n\r\n", "426", "not_websocket"),
        ("\x16\x03\x01\x02\0\x01\0\x01\x7f", "400", "malformed"),
        ("\x10\x0c\0\x04MQTT\x04\0\0\0\0\0", "400", "malformed"),
    ];
    for (bytes, status, reason) in cases {
        let (answer, why) = asked(bytes.as_bytes(), &any).await;
        assert_eq!(why, reason, "{bytes:?}");
        let expected = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&expected), "{answer}");
        assert!(answer.contains("WebSocket."), "{answer}");
    }
    let (answer, _) = asked(cases[0].0.as_bytes(), &any).await;
    for header in ["Upgrade: websocket\r\n", "Sec-WebSocket-Version: 13\r\n"] {
        assert!(answer.contains(header), "{answer}");
    }
    let old = GOOD.replace(": 13", ": 8") + "\r\n";
    assert_eq!(asked(old.as_bytes(), &any).await.1, "not_websocket");
    let early = format!("{GOOD}\r\nx");
    assert_eq!(asked(early.as_bytes(), &any).await.1, "malformed");
}

#[tokio::test]
async fn another_path_or_subprotocol_is_refused() {
    let good = format!("{GOOD}\r\n");
    let (answer, reason) = asked(good.as_bytes(), &settings(Some("/other"), &[])).await;
    assert_eq!(reason, "path");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    let good = format!("{GOOD}Sec-WebSocket-Protocol: mqtt\r\n\r\n");
    let (answer, reason) = asked(good.as_bytes(), &settings(None, &["coap"])).await;
    assert_eq!(reason, "subprotocol");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_long_request_is_refused() {
    let long = format!("{GOOD}Cookie: {}\r\n\r\n", "x".repeat(9000));
    let (answer, reason) = asked(long.as_bytes(), &settings(None, &[])).await;
    assert_eq!(reason, "malformed");
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many = format!("{GOOD}{}\r\n", "X: y\r\n".repeat(200));
    let (answer, _) = asked(many.as_bytes(), &settings(None, &[])).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte_and_may_end_early() {
    let any = settings(None, &[]);
    let bytes = format!("{GOOD}\r\n");
    let (io, mut theirs) = tokio::io::duplex(1);
    let client = async {
        theirs.write_all(bytes.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        theirs.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 101");
        // The rest, so that the upgrade ends.
        let mut rest = Vec::new();
        while !rest.ends_with(b"\r\n\r\n") {
            rest.push(theirs.read_u8().await.unwrap());
        }
        theirs
    };
    let (accepted, theirs) = soon(async { tokio::join!(accept(io, &any), client) }).await;
    accepted.unwrap();
    drop(theirs);

    let (io, mut theirs) = tokio::io::duplex(1024);
    theirs.write_all(&bytes.as_bytes()[..50]).await.unwrap();
    drop(theirs);
    let Err(error) = soon(accept(io, &any)).await else {
        panic!("it was let in");
    };
    assert_eq!(error.reason(), "closed");
}

#[tokio::test]
async fn a_refused_device_reads_why_although_it_went_on_sending() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let device = TcpStream::connect(listener.local_addr().unwrap());
    let (device, accepted) = tokio::join!(device, listener.accept());
    let (mut device, any) = (device.unwrap(), settings(None, &[]));
    let post = format!("POST / HTTP/1.1\r\n\r\n{}", "x".repeat(20_000));
    device.write_all(post.as_bytes()).await.unwrap();
    let client = async {
        let mut answer = String::new();
        device.read_to_string(&mut answer).await.unwrap();
        drop(device);
        answer
    };
    let accepting = accept(accepted.unwrap().0, &any);
    let (accepted, answer) = soon(async { tokio::join!(accepting, client) }).await;
    assert!(accepted.is_err());
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
}
