//! What is wrong with a request is named, and what takes too long or is too much is cut off.

use std::time::Duration;

use exproto_tests::{until, within};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{Managed, TOKEN, ask, read};

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let managed = Managed::start().await;
    let long = format!("{{\"who\": \"{}\"}}", "x".repeat(64 * 1024));
    for (method, path, body, status, text) in [
        ("GET", "/api/v1/nothing", "", 404, "GET /api/v1/"),
        ("GET", "/", "", 404, "GET /api/v1/"),
        ("GET", "/api/v1/clients/nobody", "", 404, "\"nobody\""),
        ("DELETE", "/api/v1/clients/nobody", "", 404, "\"nobody\""),
        ("GET", "/api/v1/connections/x", "", 404, "conn"),
        ("DELETE", "/api/v1/bans/10.0.0.1", "", 404, "10.0.0.1"),
        ("POST", "/api/v1/clients", "{}", 405, "cannot be done"),
        ("DELETE", "/api/v1/bans", "", 405, "cannot be done"),
        ("POST", "/api/v1/bans", &long, 413, "64 KiB"),
        ("GET", "/api/v1/clients?limit=0", "", 400, "limit: "),
        ("GET", "/api/v1/clients?after=x", "", 400, "after: "),
        (
            "GET",
            "/api/v1/clients?clientid=a",
            "",
            400,
            "clientid: there is no such field",
        ),
        ("GET", "/api/v1/clients?network=here", "", 400, "network: "),
        ("GET", "/api/v1/clients/%ff", "", 400, "the path: "),
        (
            "GET",
            "/api/v1/connections?authenticated=no",
            "",
            400,
            "authenticated: ",
        ),
        ("GET", "/api/v1/bans?after=%21", "", 400, "after: "),
        ("DELETE", "/api/v1/bans/everybody", "", 400, "everybody"),
        ("POST", "/api/v1/bans", "who", 400, "not JSON"),
        ("POST", "/api/v1/bans", "[]", 400, "no JSON object"),
        ("POST", "/api/v1/bans", r#"{"until": "x"}"#, 400, "until: "),
        (
            "POST",
            "/api/v1/bans",
            r#"{"duration": "1m"}"#,
            400,
            "who: it is missing",
        ),
        (
            "POST",
            "/api/v1/bans",
            r#"{"who": "10.0.0.1"}"#,
            400,
            "duration: ",
        ),
        (
            "POST",
            "/api/v1/bans",
            r#"{"who": "x", "duration": "1m"}"#,
            400,
            "who: ",
        ),
        ("POST", "/api/v1/bans", r#"{"who": 1}"#, 400, "who: "),
        (
            "POST",
            "/api/v1/bans",
            r#"{"whom": "10.0.0.1"}"#,
            400,
            "whom: there is no such field",
        ),
        (
            "POST",
            "/api/v1/bans",
            r#"{"who": "10.0.0.1", "duration": "1m", "reason": "a\nb"}"#,
            400,
            "reason: ",
        ),
    ] {
        let (answered, code, message) = managed.wrong(method, path, body).await;
        assert_eq!(answered, status, "{method} {path}: {message}");
        assert!(message.contains(text), "{method} {path}: {message}");
        assert!(!code.is_empty());
    }
    assert_eq!(managed.all("bans", "").await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_slow_request_is_given_up_and_too_many_are_refused() {
    let managed = Managed::with(|config| {
        config.management.max_concurrent_requests = 1;
        config.management.request_timeout = Duration::from_secs(2);
    })
    .await;
    let head = format!(
        "POST /api/v1/bans HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\
         content-length: 100\r\nconnection: close\r\n\r\n"
    );
    let mut slow = TcpStream::connect(managed.address()).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    until("the slow request to hold the only place", async || {
        let (status, _) = managed.ask("GET", "/api/v1/", "").await;
        status == 429
    })
    .await;
    // Whoever has no token does not even learn that.
    let (status, _) = ask(managed.address(), "GET", "/api/v1/", None, "").await;
    assert_eq!(status, 401);
    let answer = within("the slow request to be given up", read(&mut slow)).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("request_timeout"), "{answer}");
    managed.get("/api/v1/").await;
}

#[tokio::test]
async fn whoever_never_ends_its_head_is_cut_off() {
    let managed = Managed::start().await;
    let mut slow = TcpStream::connect(managed.address()).await.unwrap();
    slow.write_all(b"GET /api/v1/ HTTP/1.1\r\nhost: x\r\n")
        .await
        .unwrap();
    let answer = within("the end of a slow head", read(&mut slow)).await;
    assert!(!answer.contains(" 200 "), "{answer}");
    // One that is far too long is not read to its end.
    let mut long = TcpStream::connect(managed.address()).await.unwrap();
    let sent = async {
        long.write_all(b"GET / HTTP/1.1\r\nx: ").await?;
        loop {
            long.write_all(&[b'x'; 4096]).await?;
        }
    };
    let sent: std::io::Result<()> = within("the end of a long head", sent).await;
    assert!(sent.is_err());
}
