//! The management API, over plain sockets and by `curl`.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    process::Command,
    time::{Duration, SystemTime},
};

use config::{Config, ServerTls, Verify};
use exproto_tests::{
    Credentials, Device, Process, TestGateway, TestHandler,
    carrier::SERVER,
    gateway::{authenticating, config},
    pki::Files,
    until, within,
};
use jsonwebtoken::{EncodingKey, Header, encode};
use proto::exproto::{ClientInfo, ResultCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::calls::{Calls, client, connect, ok, refused};

const TOKEN: &str = "0123456789abcdef-management";

/// A gateway with the API, and its token in a file.
struct Managed {
    handler: TestHandler,
    gateway: TestGateway,
    folder: TempDir,
}

impl Managed {
    async fn start() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(adapt: impl FnOnce(&mut Config)) -> Self {
        let handler = TestHandler::start();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, TOKEN).unwrap();
        let mut config = config(&[&handler]);
        config.management.token_file = Some(file);
        adapt(&mut config);
        Self {
            gateway: TestGateway::with(config).await,
            handler,
            folder,
        }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.management_address().unwrap()
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        ask(self.address(), method, path, Some(TOKEN), body).await
    }

    async fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, "").await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// Asks for what is not done, and tells why: the status, the code, and the message.
    async fn wrong(&self, method: &str, path: &str, body: &str) -> (u16, String, String) {
        let (status, value) = self.ask(method, path, body).await;
        let text = |name: &str| value["error"][name].as_str().unwrap().to_owned();
        (status, text("code"), text("message"))
    }

    /// All entries of a list, page by page.
    async fn all(&self, what: &str, query: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.get(&format!("/api/v1/{what}?{query}{after}")).await;
            all.extend(page[what].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return all,
            }
        }
    }
}

/// One request over a connection of its own: the status, and the body as JSON.
async fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> (u16, Value) {
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\n{}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        token.unwrap_or_default(),
        body.len()
    );
    let answer = within("an answer", async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        // It may be answered before all of it was read.
        let _ = socket.write_all(request.as_bytes()).await;
        read(&mut socket).await
    });
    let answer = answer.await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a response");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).expect(body))
}

/// All that comes until the other side closes or resets.
async fn read(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn resources(resource: &str, status: &str) -> String {
    format!("exproto_management_requests_total{{resource=\"{resource}\",status=\"{status}\"}}")
}

#[tokio::test]
async fn nobody_is_answered_without_a_good_token() {
    let managed = Managed::start().await;
    for token in [None, Some("x"), Some(&TOKEN[1..])] {
        for path in ["/api/v1/", "/api/v1/clients", "/nothing"] {
            let (status, answer) = ask(managed.address(), "GET", path, token, "").await;
            assert_eq!(status, 401);
            assert_eq!(answer["error"]["code"], "unauthorized");
            let text = answer["error"]["message"].as_str().unwrap();
            assert!(text.contains("authorization: Bearer TOKEN"), "{text}");
        }
    }
    let index = managed.get("/api/v1/").await;
    assert!(index["resources"]["/api/v1/clients"].is_string(), "{index}");
    managed.gateway.is(&resources("index", "4xx"), 3).await;
    managed.gateway.is(&resources("other", "4xx"), 3).await;
    managed.gateway.is(&resources("index", "2xx"), 1).await;

    fs::write(managed.folder.path().join("token"), "another-0123456789").unwrap();
    until("the token to be replaced", async || {
        let token = Some("another-0123456789");
        ask(managed.address(), "GET", "/api/v1/", token, "").await.0 == 200
    })
    .await;
    let old = ask(managed.address(), "GET", "/api/v1/", Some(TOKEN), "").await;
    assert_eq!(old.0, 401);
}

#[tokio::test]
async fn the_api_is_off_unless_somebody_may_use_it() {
    let handler = TestHandler::start();
    let gateway = TestGateway::start(&handler).await;
    assert_eq!(gateway.management_address(), None);
}

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
async fn a_client_is_shown_with_all_that_is_known_of_it() {
    let managed = Managed::with(|config| {
        config.mountpoint = "m/${clientid}/".parse().unwrap();
    })
    .await;
    let (device, mut calls) = connect(&managed.gateway, &managed.handler).await;
    let info = ClientInfo {
        proto_name: "lines".to_owned(),
        proto_ver: "2".to_owned(),
        clientid: "a b".to_owned(),
        username: "ann".to_owned(),
        ..ClientInfo::default()
    };
    ok(&calls.authenticate_as(Some(info), "hunter2").await);
    ok(&calls.subscribe("t/+", 1).await);
    ok(&calls.subscribe("s", 0).await);
    managed.handler.hold(true);
    for payload in ["in flight", "waiting", "too"] {
        ok(&calls.publish("t/1", 1, payload).await);
    }
    let shown = managed.get("/api/v1/clients/a%20b").await;
    for (field, value) in [
        ("conn", json!(calls.conn)),
        ("clientid", json!("a b")),
        ("username", json!("ann")),
        ("listener", json!("tcp")),
        ("transport", json!("tcp")),
        ("device", json!(device.address().to_string())),
        ("local", json!(managed.gateway.device_address().to_string())),
        ("mountpoint", json!("m/a b/")),
        ("proto_name", json!("lines")),
        ("proto_ver", json!("2")),
        ("expires_at", Value::Null),
        ("all_subscriptions", json!(2)),
        (
            "subscriptions",
            json!([{"filter": "m/a b/s", "qos": 0}, {"filter": "m/a b/t/+", "qos": 1}]),
        ),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    for field in ["connected_at", "authenticated_at"] {
        let at: config::Until = shown[field].as_str().unwrap().parse().unwrap();
        assert!(at.0 <= SystemTime::now());
        assert!(at.0.elapsed().unwrap() < Duration::from_secs(120));
    }
    assert_eq!(shown["messages_waiting"], 2);
    assert!(shown["message_bytes_waiting"].as_u64().unwrap() >= 10);
    assert!(!shown.to_string().contains("hunter2"));
    let list = managed.all("clients", "").await;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0]["conn"], shown["conn"]);
    managed.handler.hold(false);
    managed.handler.next().await.answer(Ok(()));
}

#[tokio::test]
async fn a_client_that_expires_is_shown_with_its_end() {
    let handler = TestHandler::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, TOKEN).unwrap();
    let mut config = config(&[&handler]);
    config.management.token_file = Some(file);
    let secret = b"a secret of thirty-two bytes, at least";
    let secret_file = folder.path().join("secret");
    fs::write(&secret_file, secret).unwrap();
    let chain = format!("{{jwt: {{secret_file: {}}}}}", secret_file.display());
    let gateway = TestGateway::with(authenticating(config, &chain)).await;
    let year = SystemTime::now() + Duration::from_secs(365 * 24 * 3600);
    let exp = year
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let key = EncodingKey::from_secret(secret);
    let token = encode(&Header::default(), &json!({"exp": exp}), &key).unwrap();
    let (_device, mut calls) = connect(&gateway, &handler).await;
    let info = ClientInfo {
        clientid: "a".to_owned(),
        ..ClientInfo::default()
    };
    ok(&calls.authenticate_as(Some(info), &token).await);
    let address = gateway.management_address().unwrap();
    let (_, shown) = ask(address, "GET", "/api/v1/clients/a", Some(TOKEN), "").await;
    let end: config::Until = shown["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(end.0 > SystemTime::now() + Duration::from_secs(364 * 24 * 3600));
}

#[tokio::test]
async fn lists_are_filtered() {
    let managed = Managed::start().await;
    let (gateway, handler) = (&managed.gateway, &managed.handler);
    let mut devices = Vec::new();
    for (clientid, username) in [("dev-1", "ann"), ("dev-2", "bob"), ("x", "ann")] {
        let (device, mut calls) = connect(gateway, handler).await;
        let info = ClientInfo {
            proto_name: "test".to_owned(),
            proto_ver: "1".to_owned(),
            clientid: clientid.to_owned(),
            username: username.to_owned(),
            ..ClientInfo::default()
        };
        ok(&calls.authenticate_as(Some(info), "").await);
        devices.push(device);
    }
    let (_stranger, stranger) = connect(gateway, handler).await;
    for (query, expected) in [
        ("", vec!["dev-1", "dev-2", "x"]),
        ("clientid_prefix=dev-", vec!["dev-1", "dev-2"]),
        ("username=ann", vec!["dev-1", "x"]),
        ("username=ann&clientid_prefix=d", vec!["dev-1"]),
        (
            "network=127.0.0.0/8&listener=tcp",
            vec!["dev-1", "dev-2", "x"],
        ),
        ("network=10.0.0.0/8", vec![]),
        ("listener=other", vec![]),
    ] {
        let found = managed.all("clients", query).await;
        let found: Vec<_> = found
            .iter()
            .map(|client| client["clientid"].as_str().unwrap())
            .collect();
        assert_eq!(found, expected, "{query}");
    }
    for (query, expected) in [
        ("", 4),
        ("authenticated=true", 3),
        ("authenticated=false", 1),
        ("network=127.0.0.1", 4),
        ("listener=other", 0),
    ] {
        assert_eq!(
            managed.all("connections", query).await.len(),
            expected,
            "{query}"
        );
    }
    let open = managed.all("connections", "authenticated=false").await;
    assert_eq!(open[0]["conn"], stranger.conn);
    assert_eq!(open[0]["clientid"], Value::Null);
    let one = managed
        .get(&format!("/api/v1/connections/{}", stranger.conn))
        .await;
    assert_eq!(one["conn"], stranger.conn);
    assert_eq!(one["certificate"], Value::Null);
}

#[tokio::test]
async fn pages_show_each_connection_once() {
    const DEVICES: usize = 2500;
    let managed = Managed::start().await;
    let address = managed.gateway.device_address();
    let mut devices = Vec::new();
    for _ in 0..DEVICES {
        devices.push(Device::connect(address).await);
    }
    let open = "exproto_connections{listener=\"tcp\"}";
    managed.gateway.is(open, DEVICES as u64).await;
    let mut seen = BTreeSet::new();
    let mut after = String::new();
    let mut pages = 0;
    loop {
        let page = managed
            .get(&format!("/api/v1/connections?limit=300{after}"))
            .await;
        for connection in page["connections"].as_array().unwrap() {
            let conn = connection["conn"].as_str().unwrap().to_owned();
            assert!(seen.insert(conn), "twice: {connection}");
        }
        pages += 1;
        // What comes and goes meanwhile moves nothing.
        devices.push(Device::connect(address).await);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert!(pages >= 9, "{pages}");
    assert!(
        (DEVICES..=DEVICES + pages).contains(&seen.len()),
        "{}",
        seen.len()
    );
}

#[tokio::test]
async fn a_kicked_client_is_closed_and_may_come_back() {
    let managed = Managed::start().await;
    let (gateway, handler) = (&managed.gateway, &managed.handler);
    let (mut device, mut calls) = client(gateway, handler, "a/b").await;
    let (status, answer) = managed.ask("DELETE", "/api/v1/clients/a%2Fb", "").await;
    assert_eq!(status, 200);
    assert_eq!(
        answer,
        json!({"kicked": {"clientid": "a/b", "conn": calls.conn}})
    );
    assert_eq!(handler.closed().await, "kicked");
    device.read_to_end().await;
    refused(
        &calls.send("x").await,
        ResultCode::ConnProcessNotAlive,
        "ended",
    );
    let again = managed.wrong("DELETE", "/api/v1/clients/a%2Fb", "").await;
    assert_eq!(again.0, 404);
    let (_device, _) = client(gateway, handler, "a/b").await;
    managed.get("/api/v1/clients/a%2Fb").await;
}

#[tokio::test]
async fn a_connection_is_closed_before_anybody_authenticated_it() {
    let managed = Managed::start().await;
    let (mut device, calls) = connect(&managed.gateway, &managed.handler).await;
    let path = format!("/api/v1/connections/{}", calls.conn);
    let (status, answer) = managed.ask("DELETE", &path, "").await;
    assert_eq!((status, &answer["kicked"]["clientid"]), (200, &Value::Null));
    assert_eq!(managed.handler.closed().await, "kicked");
    device.read_to_end().await;
    assert_eq!(managed.wrong("GET", &path, "").await.0, 404);
}

#[tokio::test]
async fn a_ban_closes_the_device_and_keeps_it_out_until_it_is_lifted() {
    let managed = Managed::start().await;
    let (gateway, handler) = (&managed.gateway, &managed.handler);
    let (_device, _) = client(gateway, handler, "a").await;
    let body = r#"{"who": "clientid:a", "duration": "1h", "reason": "lost"}"#;
    let (status, ban) = managed.ask("POST", "/api/v1/bans", body).await;
    assert_eq!(status, 201, "{ban}");
    assert_eq!(handler.closed().await, "banned");
    let (_device, mut calls) = connect(gateway, handler).await;
    refused(
        &calls.authenticate("a").await,
        ResultCode::PermissionDeny,
        "lost",
    );
    assert_eq!(managed.get("/api/v1/bans/clientid:a").await, ban);
    let (status, _) = managed.ask("DELETE", "/api/v1/bans/clientid:a", "").await;
    assert_eq!(status, 200);
    ok(&calls.authenticate("a").await);

    let body = r#"{"who": "127.0.0.0/8", "until": "2090-01-01T00:00:00Z"}"#;
    let (status, ban) = managed.ask("POST", "/api/v1/bans", body).await;
    assert_eq!(status, 201);
    assert_eq!(
        ban,
        json!({"who": "127.0.0.0/8", "until": "2090-01-01T00:00:00Z", "reason": "", "of_file": false})
    );
    assert_eq!(handler.closed().await, "banned");
    let mut out = gateway.device().await;
    out.closed().await;
    assert_eq!(managed.all("bans", "").await, [ban]);
    let (status, _) = managed
        .ask("DELETE", "/api/v1/bans/127.0.0.0%2F8", "")
        .await;
    assert_eq!(status, 200);
    let _device = gateway.device().await;
    let conn = handler.created().await;
    ok(&Calls::new(gateway, &conn).send("x").await);
}

#[tokio::test]
async fn pages_of_bans_show_each_once() {
    let managed = Managed::with(|config| {
        config.bans.list = vec![config::Ban {
            who: "10.9.9.9".parse().unwrap(),
            until: None,
            reason: "file".to_owned(),
        }];
    })
    .await;
    for number in 0..25 {
        let body = format!(r#"{{"who": "10.0.0.{number}", "duration": "forever"}}"#);
        assert_eq!(managed.ask("POST", "/api/v1/bans", &body).await.0, 201);
    }
    let all = managed.all("bans", "limit=4").await;
    let who: BTreeSet<_> = all.iter().map(|ban| ban["who"].to_string()).collect();
    assert_eq!((all.len(), who.len()), (26, 26));
    let of_file = all.iter().filter(|ban| ban["of_file"] == true);
    assert_eq!(of_file.count(), 1);
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

/// `curl` for a management API with TLS: what it printed, and the status.
async fn curl(
    address: SocketAddr,
    credentials: &Credentials,
    arguments: &[&str],
) -> (String, bool) {
    let (ca, port) = (credentials.pki.ca_file(), address.port());
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--max-time",
        "30",
    ])
    .args(["--write-out", "%{http_code} %{http_version}"])
    .args(["--resolve", &format!("{SERVER}:{port}:127.0.0.1")])
    .arg("--cacert")
    .arg(ca)
    .args(arguments)
    .arg(format!("https://{SERVER}:{port}/api/v1/"));
    let mut curl = Process::start(&mut curl, "curl");
    let said = curl.output.all().await.to_owned();
    let status = curl.ended().await;
    (said, status.success())
}

fn tls(credentials: &Credentials, verify: Verify) -> ServerTls {
    let Files { chain, key, .. } = credentials.server.clone();
    ServerTls {
        certificate: Some(config::Certificate { chain, key }),
        verify,
        ca_file: (verify != Verify::None).then(|| credentials.pki.ca_file()),
        crl_file: None,
    }
}

#[tokio::test]
async fn curl_asks_over_tls_while_others_say_nothing() {
    let credentials = Credentials::default();
    let managed = Managed::with(|config| {
        config.management.tls = tls(&credentials, Verify::None);
    })
    .await;
    let address = managed.address();
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let bearer = format!("authorization: Bearer {TOKEN}");
    let (said, ended) = curl(address, &credentials, &["--header", &bearer]).await;
    assert!(ended && said.ends_with("200 1.1"), "{said}");
    let (said, _) = curl(address, &credentials, &[]).await;
    assert!(said.ends_with("401 1.1"), "{said}");
}

#[tokio::test]
async fn a_certificate_may_stand_for_the_token() {
    let credentials = Credentials::default();
    let managed = Managed::with(|config| {
        config.management.tls = tls(&credentials, Verify::Required);
        config.management.token_file = None;
    })
    .await;
    let own = credentials.pki.client("ann");
    let (chain, key) = (own.chain.to_str().unwrap(), own.key.to_str().unwrap());
    let showing = ["--cert", chain, "--key", key];
    let (said, ended) = curl(managed.address(), &credentials, &showing).await;
    assert!(ended && said.ends_with("200 1.1"), "{said}");
    let (said, ended) = curl(managed.address(), &credentials, &[]).await;
    assert!(!ended && said.ends_with("000 0"), "{said}");
}

#[tokio::test]
async fn with_both_a_certificate_and_a_token_are_needed() {
    let credentials = Credentials::default();
    let managed = Managed::with(|config| {
        config.management.tls = tls(&credentials, Verify::Required);
    })
    .await;
    let own = credentials.pki.client("ann");
    let (chain, key) = (own.chain.to_str().unwrap(), own.key.to_str().unwrap());
    let bearer = format!("authorization: Bearer {TOKEN}");
    let showing = ["--cert", chain, "--key", key];
    let (said, _) = curl(managed.address(), &credentials, &showing).await;
    assert!(said.ends_with("401 1.1"), "{said}");
    let both = [&showing[..], &["--header", &bearer]].concat();
    let (said, _) = curl(managed.address(), &credentials, &both).await;
    assert!(said.ends_with("200 1.1"), "{said}");
}
