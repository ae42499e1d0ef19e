//! The PROXY protocol, as `curl` speaks it, through `socat` as the balancer; and headers written by hand, sent by `nc`.

use std::process::Command;

use exproto_tests::{Pki, Pod, Process, free_address};

use super::{SERVER, certificate, echoes, nc, s_client, text};

const TRUSTING: &str = "proxy_protocol: {enabled: true, trusted: [127.0.0.0/8]}";
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

/// Starts `socat` in front of the pod, and tells its port.
async fn balancer(pod: &Pod) -> (Process, u16) {
    let port = free_address().port();
    let mut socat = Command::new("socat");
    let listen = format!("TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr");
    socat.args(["-dd", &listen, &format!("TCP:{}", pod.address())]);
    let mut socat = Process::start(&mut socat, "socat");
    socat.errors.sees("listening on").await;
    (socat, port)
}

/// `curl`, whose last word is the port that it used.
fn curl(arguments: &[&str]) -> Process {
    let mut curl = Command::new("curl");
    curl.args([
        "--haproxy-protocol",
        "--silent",
        "--show-error",
        "--http1.1",
    ])
    .args(["--noproxy", "*", "--max-time", "30"])
    .args(["--write-out", " from %{local_port}\n"])
    .args(arguments);
    Process::start(&mut curl, "curl")
}

#[tokio::test]
async fn the_handler_sees_whom_curl_claims_to_be_and_its_request() {
    let pod = Pod::start(TRUSTING).await;
    let (_balancer, port) = balancer(&pod).await;
    let mut client = curl(&[&format!("http://127.0.0.1:{port}/hello")]);
    let device = pod.connected().await;
    let request = pod.received().await;
    let request = String::from_utf8_lossy(&request);
    assert!(request.starts_with("GET /hello HTTP/1.1\r\n"), "{request}");
    pod.send(&device.conn, ANSWER).await;
    let said = client.output.line(" from ").await;
    // Not the port of socat, from which the connection comes.
    let (answer, own) = said.split_once(" from ").unwrap();
    assert_eq!(answer, "ok");
    assert_eq!(device.peer(), format!("127.0.0.1:{own}"));
    let local = device.info.sockname.unwrap();
    assert_eq!(local.port, u32::from(port));
}

#[tokio::test]
async fn a_header_may_stand_in_front_of_tls() {
    let pki = Pki::new();
    let certificate = certificate(&pki.server(SERVER));
    let tls = format!("transport: tls, tls: {{certificates: [{certificate}]}}, {TRUSTING}");
    let pod = Pod::start(&tls).await;
    let (_balancer, port) = balancer(&pod).await;
    let (ca, place) = (text(&pki.ca_file()), format!("{SERVER}:{port}"));
    let here = format!("{place}:127.0.0.1");
    let url = format!("https://{place}/hello");
    let mut client = curl(&["--cacert", &ca, "--resolve", &here, &url]);
    let device = pod.connected().await;
    assert_eq!(device.header("exproto-tls-sni"), SERVER);
    let request = pod.received().await;
    assert!(
        request.starts_with(b"GET /hello HTTP/1.1\r\n"),
        "{request:?}"
    );
    pod.send(&device.conn, ANSWER).await;
    let said = client.output.line(" from ").await;
    let (answer, own) = said.split_once(" from ").unwrap();
    assert_eq!(answer, "ok");
    assert_eq!(device.peer(), format!("127.0.0.1:{own}"));
}

/// Version 2, with that family byte, that block of addresses, and what follows it.
fn second(family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    header.push(family);
    header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    header.extend(rest);
    header
}

#[tokio::test]
async fn headers_of_both_versions_are_understood() {
    let pod = Pod::start(TRUSTING).await;
    let v4 = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0x03, 0xe1];
    let mut v6 = [0; 36];
    (v6[0], v6[1], v6[15]) = (0x20, 0x01, 7);
    (v6[16], v6[17], v6[31]) = (0x20, 0x01, 1);
    v6[32..].copy_from_slice(&[0x12, 0x67, 0x03, 0xe1]);
    let first = |text: &str| text.as_bytes().to_vec();
    for (header, peer, local) in [
        (
            first("PROXY TCP4 192.0.2.7 198.51.100.1 4711 993\r\n"),
            "192.0.2.7:4711",
            "198.51.100.1:993",
        ),
        (
            first("PROXY TCP6 2001::7 2001::1 4711 993\r\n"),
            "2001::7:4711",
            "2001::1:993",
        ),
        (second(0x11, &v4), "192.0.2.7:4711", "198.51.100.1:993"),
        (second(0x21, &v6), "2001::7:4711", "2001::1:993"),
    ] {
        let mut client = nc(&pod, &[]);
        // The first bytes come in the same segment.
        client.say([&header[..], b"hello\n"].concat());
        let device = pod.connected().await;
        assert_eq!(device.peer(), peer);
        let sockname = device.info.sockname.unwrap();
        assert_eq!(format!("{}:{}", sockname.host, sockname.port), local);
        assert_eq!(pod.echo().await, "hello\n");
        client.output.sees("hello\n").await;
        echoes(&pod, &mut client, "and more").await;
        drop(client);
        pod.handler.closed().await;
    }
}

#[tokio::test]
async fn a_balancer_that_speaks_for_itself_is_its_own_device() {
    let pod = Pod::start(TRUSTING).await;
    let mut local = second(0x00, &[]);
    local[12] = 0x20;
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), local] {
        let mut client = nc(&pod, &[]);
        client.say(header);
        let device = pod.connected().await;
        assert_eq!(device.info.peername.unwrap().host, "127.0.0.1");
        echoes(&pod, &mut client, "hello").await;
        drop(client);
        pod.handler.closed().await;
    }
}

#[tokio::test]
async fn what_the_balancer_tells_besides_reaches_the_handler() {
    let pod = Pod::start(TRUSTING).await;
    let mut rest = vec![192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0x03, 0xe1];
    // PP2_TYPE_ALPN, PP2_TYPE_AUTHORITY
    for (kind, value) in [(1, "mqtt"), (2, "gateway.test")] {
        rest.extend([kind, 0, u8::try_from(value.len()).unwrap()]);
        rest.extend(value.bytes());
    }
    let mut client = nc(&pod, &[]);
    client.say(second(0x11, &rest));
    let device = pod.connected().await;
    assert_eq!(device.header("exproto-proxy-alpn"), "mqtt");
    assert_eq!(device.header("exproto-proxy-authority"), "gateway.test");
    echoes(&pod, &mut client, "hello").await;
}

#[tokio::test]
async fn nobody_else_may_send_a_header() {
    let pod = Pod::start("proxy_protocol: {enabled: true, trusted: [192.0.2.0/24]}").await;
    let mut client = curl(&[&format!("http://{}/hello", pod.address())]);
    assert!(!client.ended().await.success());
    let mut client = nc(&pod, &[]);
    client.finish();
    client.ended().await;
    assert!(pod.handler.try_next().is_none(), "nobody has connected");
    pod.counts(
        "exproto_connections_refused_total{listener=\"devices\",reason=\"untrusted\"}",
        2,
    )
    .await;
}

#[tokio::test]
async fn others_may_be_served_without_a_header() {
    let pki = Pki::new();
    let certificate = certificate(&pki.server(SERVER));
    let proxy = "proxy_protocol: {enabled: true, trusted: [192.0.2.0/24], others: serve}";
    let tls = format!("transport: tls, tls: {{certificates: [{certificate}]}}, {proxy}");
    let pod = Pod::start(&tls).await;
    let mut client = s_client(&pod, &[]);
    assert_eq!(
        pod.connected().await.info.peername.unwrap().host,
        "127.0.0.1"
    );
    echoes(&pod, &mut client, "hello").await;
}

#[tokio::test]
async fn a_balancer_must_send_a_header() {
    let pod =
        Pod::start("proxy_protocol: {enabled: true, trusted: [127.0.0.1], timeout: 1s}").await;
    for words in ["GET / HTTP/1.1\r\n\r\n", "PROXY TCP4 nonsense\r\n", ""] {
        let mut client = nc(&pod, &[]);
        client.say(words);
        // nc does not close on that by itself.
        client.finish();
        client.ended().await;
    }
    assert!(pod.handler.try_next().is_none(), "nobody has connected");
}
