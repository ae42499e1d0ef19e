//! WebSocket, as the Python package `websockets` speaks it.

use std::{path::Path, process::Command};

use exproto_tests::{Pki, Pod, Process, python::environment};
use proto::exproto::SocketType;

use super::{SERVER, certificate, text};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway/outside");

/// `websocket.py`, connected to the pod or refused by it.
fn client(pod: &Pod, url: &str, arguments: &[&str]) -> Process {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-websocket");
    let python = environment(&folder, &Path::new(HERE).join("requirements.txt"));
    let mut command = Command::new(python);
    let (host, port) = (pod.address().ip(), pod.address().port());
    command
        .arg(Path::new(HERE).join("websocket.py"))
        .arg(url)
        .args([format!("host={host}"), format!("port={port}")])
        .args(arguments);
    Process::start(&mut command, "python3")
}

/// Binary messages in both directions.
async fn talks(pod: &Pod, client: &mut Process, conn: &str) {
    client.say("binary hello\n");
    assert_eq!(pod.echo().await, "hello");
    client.say("receive\n");
    client.output.sees("received 5 b'hello'").await;
    for text in ["one", "", "three"] {
        pod.send(conn, text).await;
    }
    client.say("receive\nreceive\nreceive\n");
    client.output.sees("received 3 b'one'").await;
    client.output.sees("received 0 b''").await;
    client.output.sees("received 5 b'three'").await;
}

#[tokio::test]
async fn a_python_client_talks_over_ws() {
    let pod = Pod::start("transport: ws, websocket: {path: /devices}").await;
    let mut client = client(&pod, "ws://gateway.test/devices?token=secret", &[]);
    client.output.sees("connected None").await;
    let device = pod.connected().await;
    assert_eq!(device.info.socktype(), SocketType::Tcp);
    assert_eq!(device.header("exproto-transport"), "ws");
    talks(&pod, &mut client, &device.conn).await;
    client.say("ping are you there\n");
    client.output.sees("pong are you there").await;
    // A message in pieces is one message.
    client.say("pieces one two three\n");
    assert_eq!(pod.received().await, "onetwothree");
    client.say("large 60000\n");
    assert_eq!(pod.handler.received(60_000).await, vec![0; 60_000]);
    client.say("close 1000\n");
    client.output.sees("closed 1000").await;
    pod.handler.closed().await;
}

#[tokio::test]
async fn a_python_client_talks_over_wss() {
    let pki = Pki::new();
    let certificate = certificate(&pki.server(SERVER));
    let pod = Pod::start(&format!(
        "transport: wss, tls: {{certificates: [{certificate}]}}"
    ))
    .await;
    let ca = format!("ca={}", text(&pki.ca_file()));
    let mut client = client(&pod, "wss://gateway.test/any/path", &[&ca]);
    client.output.sees("connected").await;
    let device = pod.connected().await;
    assert_eq!(device.info.socktype(), SocketType::Ssl);
    assert_eq!(device.header("exproto-transport"), "wss");
    assert_eq!(device.header("exproto-tls-sni"), SERVER);
    talks(&pod, &mut client, &device.conn).await;
    pod.close(&device.conn).await;
    client.say("receive\n");
    client.output.sees("closed by gateway 1000").await;
    assert_eq!(pod.handler.closed().await, "normal");
}

#[tokio::test]
async fn text_is_refused_with_1003() {
    let pod = Pod::start("transport: ws").await;
    let mut client = client(&pod, "ws://gateway.test/", &[]);
    pod.connected().await;
    client.say("text hello\nreceive\n");
    client.output.sees("closed by gateway 1003").await;
    assert_eq!(pod.handler.closed().await, "protocol_error");
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_with_1009() {
    let pod = Pod::start("transport: ws, websocket: {max_message: 4KiB}").await;
    let mut client = client(&pod, "ws://gateway.test/", &[]);
    pod.connected().await;
    client.say("large 4096\n");
    assert_eq!(pod.handler.received(4096).await.len(), 4096);
    client.say("large 4097\nreceive\n");
    client.output.sees("closed by gateway 1009").await;
    assert_eq!(pod.handler.closed().await, "protocol_error");
}

#[tokio::test]
async fn another_path_is_answered_404() {
    let pod = Pod::start("transport: ws, websocket: {path: /devices}").await;
    let mut client = client(&pod, "ws://gateway.test/other", &[]);
    client.output.sees("status 404").await;
    client.ended().await;
    assert!(pod.handler.try_next().is_none(), "nobody has connected");
}

#[tokio::test]
async fn a_subprotocol_is_chosen() {
    let pod = Pod::start("transport: ws, websocket: {subprotocols: [mqtt, lines]}").await;
    let mut good = client(&pod, "ws://gateway.test/", &["protocols=other,lines"]);
    good.output.sees("connected lines").await;
    pod.connected().await;
    let mut bad = client(&pod, "ws://gateway.test/", &["protocols=other"]);
    bad.output.sees("status 400").await;
}

#[tokio::test]
async fn whoever_speaks_plain_http_is_told_so() {
    let pod = Pod::start("transport: ws").await;
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--noproxy", "*", "--max-time", "30"])
        .args(["--write-out", " status %{http_code}\n"])
        .arg(format!("http://{}/", pod.address()));
    let mut curl = Process::start(&mut curl, "curl");
    let said = curl.output.line(" status ").await;
    assert!(said.contains(" status 4"), "{said}");
    assert!(pod.handler.try_next().is_none(), "nobody has connected");
}
