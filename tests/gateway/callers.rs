//! The adapter's callers: tokens, certificates, scopes.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use config::{Caller, Config, Scope, ServerTls, Verify};
use exproto_gateway::Gateway;
use exproto_tests::{
    Credentials, TestGateway, TestHandler, carrier,
    gateway::config,
    pki::{self, Files, Key},
    process::run,
    python::environment,
    until, within,
};
use hyper_util::rt::TokioIo;
use proto::exproto::{
    AuthenticateRequest, CloseSocketRequest, CodeResponse, PublishRequest, RawPublishRequest,
    SendBytesRequest, SubscribeRequest, TimerRequest, UnsubscribeRequest,
    connection_adapter_client::ConnectionAdapterClient,
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tonic::{
    Code, Request, Response, Status,
    transport::{Channel, Endpoint},
};

/// The adapter's methods, and what each needs.
const METHODS: [(&str, Scope); 8] = [
    ("Send", Scope::Send),
    ("Close", Scope::Send),
    ("Authenticate", Scope::Session),
    ("StartTimer", Scope::Session),
    ("Subscribe", Scope::Session),
    ("Unsubscribe", Scope::Session),
    ("Publish", Scope::Publish),
    ("RawPublish", Scope::Raw),
];

/// A caller with a token, which is a file of its own in the folder.
fn caller(folder: &TempDir, name: &str, scopes: &[Scope]) -> Caller {
    let token_file = folder.path().join(name);
    fs::write(&token_file, token(name)).unwrap();
    Caller {
        name: name.to_owned(),
        token_file: Some(token_file),
        certificate: None,
        scopes: scopes.to_vec(),
    }
}

fn token(name: &str) -> String {
    format!("{name}-0123456789abcdef")
}

/// TLS of the adapter.
fn tls(credentials: &Credentials, verify: Verify) -> ServerTls {
    ServerTls {
        certificate: Some(config::Certificate {
            chain: credentials.server.chain.clone(),
            key: credentials.server.key.clone(),
        }),
        verify,
        ca_file: (verify != Verify::None).then(|| credentials.pki.ca_file()),
        crl_file: None,
    }
}

async fn started(handler: &TestHandler, adapt: impl FnOnce(&mut Config)) -> TestGateway {
    let mut config = config(&[handler]);
    adapt(&mut config);
    TestGateway::with(config).await
}

/// A connection to the adapter over TLS, with a certificate where one is given.
fn secure(address: SocketAddr, credentials: &Credentials, own: Option<&Files>) -> Channel {
    let (credentials, own) = (credentials.clone(), own.cloned());
    let connector = tower::service_fn(move |_| {
        let (credentials, own) = (credentials.clone(), own.clone());
        async move {
            let socket = TcpStream::connect(address).await?;
            let stream = carrier::tls(socket, &credentials, own.as_ref()).await;
            stream.map(TokioIo::new).map_err(std::io::Error::other)
        }
    });
    Endpoint::from_static("http://gateway.test").connect_with_connector_lazy(connector)
}

/// Calls one method, with its plainest arguments.
async fn call(
    channel: &Channel,
    method: &str,
    token: Option<&str>,
) -> Result<CodeResponse, Status> {
    let mut adapter = ConnectionAdapterClient::new(channel.clone());
    let answer = match method {
        "Send" => {
            adapter
                .send(bearing(SendBytesRequest::default(), token))
                .await
        }
        "Close" => {
            adapter
                .close(bearing(CloseSocketRequest::default(), token))
                .await
        }
        "Authenticate" => {
            let request = bearing(AuthenticateRequest::default(), token);
            adapter.authenticate(request).await
        }
        "StartTimer" => {
            adapter
                .start_timer(bearing(TimerRequest::default(), token))
                .await
        }
        "Subscribe" => {
            adapter
                .subscribe(bearing(SubscribeRequest::default(), token))
                .await
        }
        "Unsubscribe" => {
            let request = bearing(UnsubscribeRequest::default(), token);
            adapter.unsubscribe(request).await
        }
        "Publish" => {
            adapter
                .publish(bearing(PublishRequest::default(), token))
                .await
        }
        "RawPublish" => {
            adapter
                .raw_publish(bearing(RawPublishRequest::default(), token))
                .await
        }
        other => panic!("{other}"),
    };
    answer.map(Response::into_inner)
}

fn bearing<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// Why a call was not let through; `None` where it was.
async fn turned_away(channel: &Channel, method: &str, token: Option<&str>) -> Option<Code> {
    let answer = within("an answer", call(channel, method, token)).await;
    answer.err().map(|status| status.code())
}

#[tokio::test]
async fn each_call_needs_its_scope() {
    let handler = TestHandler::start();
    let folder = tempfile::tempdir().unwrap();
    let gateway = started(&handler, |config| {
        let callers = Scope::ALL.map(|scope| caller(&folder, scope.as_str(), &[scope]));
        config.adapter.callers = callers.into();
    })
    .await;
    let channel = gateway.channel();
    for (method, needed) in METHODS {
        for scope in Scope::ALL {
            let token = token(scope.as_str());
            let answer = within("an answer", call(&channel, method, Some(&token))).await;
            if scope == needed {
                answer.unwrap();
                continue;
            }
            let status = answer.unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied, "{method}, {scope:?}");
            let text = status.message();
            for word in [method, needed.as_str(), scope.as_str()] {
                assert!(text.contains(word), "{text}");
            }
        }
    }
    let series = "exproto_adapter_refused_total{method=\"RawPublish\",reason=\"scope\"}";
    gateway.is(series, 3).await;
}

#[tokio::test]
async fn whoever_is_not_known_may_look_at_health_and_schema_alone() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    let handler = TestHandler::start();
    let folder = tempfile::tempdir().unwrap();
    let gateway = started(&handler, |config| {
        config.adapter.callers = vec![caller(&folder, "handler", &Scope::ALL)];
    })
    .await;
    let channel = gateway.channel();
    let good = token("handler");
    let bad = [&good[1..], &format!("{good}x"), "", "handler"];
    let mut texts = Vec::new();
    for token in bad.map(Some).into_iter().chain([None]) {
        for (method, _) in METHODS {
            let status = call(&channel, method, token).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{method}");
            assert!(
                status.message().contains("authorization: Bearer TOKEN"),
                "{status}"
            );
            texts.push((token.is_some(), status.message().to_owned()));
        }
    }
    // Of what is wrong with a token nothing is told.
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_eq!(turned_away(&channel, "Send", Some(&good)).await, None);

    let mut health = HealthClient::new(channel.clone());
    health.check(HealthCheckRequest::default()).await.unwrap();
    gateway
        .is(
            "exproto_adapter_refused_total{method=\"Send\",reason=\"no_credentials\"}",
            1,
        )
        .await;
    gateway
        .is(
            "exproto_adapter_refused_total{method=\"Send\",reason=\"bad_token\"}",
            4,
        )
        .await;
}

#[tokio::test]
async fn tokens_are_rotated_while_the_gateway_runs() {
    let handler = TestHandler::start();
    let folder = tempfile::tempdir().unwrap();
    let caller = caller(&folder, "handler", &[Scope::Send]);
    let file = caller.token_file.clone().unwrap();
    let gateway = started(&handler, |config| config.adapter.callers = vec![caller]).await;
    let channel = gateway.channel();
    let (old, new) = (token("handler"), token("next"));
    assert_eq!(turned_away(&channel, "Send", Some(&old)).await, None);

    fs::write(&file, format!("{old}\n{new}\n")).unwrap();
    until("the new token to be good", async || {
        turned_away(&channel, "Send", Some(&new)).await.is_none()
    })
    .await;
    assert_eq!(turned_away(&channel, "Send", Some(&old)).await, None);

    fs::write(&file, "short\n").unwrap();
    gateway
        .counts(
            "exproto_reloads_total{outcome=\"refused\",what=\"tokens\"}",
            1,
        )
        .await;
    assert_eq!(turned_away(&channel, "Send", Some(&new)).await, None);

    // The connection stays, and the old token is good no more.
    fs::write(&file, &new).unwrap();
    until("the old token to be bad", async || {
        turned_away(&channel, "Send", Some(&old)).await == Some(Code::Unauthenticated)
    })
    .await;
    assert_eq!(turned_away(&channel, "Send", Some(&new)).await, None);
}

#[tokio::test]
async fn a_caller_is_known_by_each_name_in_its_certificate() {
    let handler = TestHandler::start();
    let credentials = Credentials::default();
    let named = |name: &str| Caller {
        name: name.to_owned(),
        token_file: None,
        certificate: Some(name.to_owned()),
        scopes: vec![Scope::Send],
    };
    let gateway = started(&handler, |config| {
        config.adapter.tls = tls(&credentials, Verify::Required);
        config.adapter.callers = vec![
            named("by-cn"),
            named("by-dns.test"),
            named("urn:dev:by-uri"),
        ];
    })
    .await;
    let address = gateway.adapter_address();
    let issue = |cn: &str, other: &str| {
        let mut params = pki::client(other);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, cn);
        credentials.pki.issue(&params, Key::Ecdsa)
    };
    for (cn, other) in [("by-cn", "x"), ("x", "By-DNS.test"), ("x", "by-uri")] {
        let own = issue(cn, other);
        let channel = secure(address, &credentials, Some(&own));
        assert_eq!(
            turned_away(&channel, "Send", None).await,
            None,
            "{cn}, {other}"
        );
        let publish = turned_away(&channel, "Publish", None).await;
        assert_eq!(publish, Some(Code::PermissionDenied));
    }
    // One that nobody named, and one of another authority.
    let stranger = secure(address, &credentials, Some(&issue("x", "y")));
    assert_eq!(
        turned_away(&stranger, "Send", None).await,
        Some(Code::Unauthenticated)
    );
    let foreign = pki::Pki::named("Another CA").client("by-cn");
    let foreign = secure(address, &credentials, Some(&foreign));
    let none = secure(address, &credentials, None);
    for channel in [foreign, none] {
        // Over TLS 1.3 it is told in the handshake, or right behind it.
        let code = turned_away(&channel, "Send", None).await;
        let broken = [Some(Code::Unavailable), Some(Code::Unknown)];
        assert!(broken.contains(&code), "{code:?}");
    }
    for reason in ["no_certificate", "unknown_authority"] {
        let series = format!(
            "exproto_server_handshakes_failed_total{{reason=\"{reason}\",server=\"adapter\"}}"
        );
        gateway.counts(&series, 1).await;
    }
}

#[tokio::test]
async fn with_optional_certificates_a_token_does_as_well() {
    let handler = TestHandler::start();
    let (credentials, folder) = (Credentials::default(), tempfile::tempdir().unwrap());
    let gateway = started(&handler, |config| {
        config.adapter.tls = tls(&credentials, Verify::Optional);
        let mut both = caller(&folder, "both", &[Scope::Send]);
        both.certificate = Some("both".to_owned());
        config.adapter.callers = vec![both];
    })
    .await;
    let address = gateway.adapter_address();
    let plain = secure(address, &credentials, None);
    assert_eq!(
        turned_away(&plain, "Send", None).await,
        Some(Code::Unauthenticated)
    );
    assert_eq!(
        turned_away(&plain, "Send", Some(&token("both"))).await,
        None
    );
    let named = secure(address, &credentials, Some(&credentials.pki.client("both")));
    assert_eq!(turned_away(&named, "Send", None).await, None);
    // A token that is sent counts.
    let bad = turned_away(&named, "Send", Some("some-other-token")).await;
    assert_eq!(bad, Some(Code::Unauthenticated));
}

#[tokio::test]
async fn those_who_say_nothing_hold_up_nobody() {
    let handler = TestHandler::start();
    let credentials = Credentials::default();
    let gateway = started(&handler, |config| {
        config.adapter.tls = tls(&credentials, Verify::None);
    })
    .await;
    let address = gateway.adapter_address();
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    // More than may be in their handshakes: some had to give way.
    let crowded =
        "exproto_server_handshakes_failed_total{reason=\"crowded_out\",server=\"adapter\"}";
    gateway.counts(crowded, 1).await;
    let channel = secure(address, &credentials, None);
    assert_eq!(turned_away(&channel, "Send", None).await, None);
}

#[tokio::test]
async fn the_adapters_certificate_is_renewed_while_it_runs() {
    let handler = TestHandler::start();
    let credentials = Credentials::default();
    let other = credentials.pki.server("other.test");
    let gateway = started(&handler, |config| {
        config.adapter.tls = tls(&credentials, Verify::None);
        // At first it has a name that no client of ours wants.
        let shown = config.adapter.tls.certificate.as_mut().unwrap();
        shown.chain = credentials.pki.folder().join("shown.crt");
        shown.key = credentials.pki.folder().join("shown.key");
        fs::copy(&other.chain, &shown.chain).unwrap();
        fs::copy(&other.key, &shown.key).unwrap();
    })
    .await;
    let address = gateway.adapter_address();
    let answer = async || {
        let channel = secure(address, &credentials, None);
        turned_away(&channel, "Send", None).await
    };
    assert_eq!(answer().await, Some(Code::Unavailable));
    let write = |name: &str, from: &Path| {
        let next = credentials.pki.folder().join("next");
        fs::copy(from, &next).unwrap();
        fs::rename(&next, credentials.pki.folder().join(name)).unwrap();
    };
    write("shown.crt", &credentials.server.chain);
    gateway
        .counts(
            "exproto_reloads_total{outcome=\"refused\",what=\"certificates\"}",
            1,
        )
        .await;
    write("shown.key", &credentials.server.key);
    until("the new certificate", async || answer().await.is_none()).await;
}

#[tokio::test]
async fn a_check_reads_what_the_servers_would() {
    let handler = TestHandler::start();
    let (credentials, folder) = (Credentials::default(), tempfile::tempdir().unwrap());
    let mut config = config(&[&handler]);
    config.adapter.tls = tls(&credentials, Verify::None);
    config.adapter.callers = vec![caller(&folder, "handler", &[Scope::Send])];
    config.management.token_file = config.adapter.callers[0].token_file.clone();
    assert!(Gateway::check_files(&config).is_empty());

    let gone = folder.path().join("gone");
    config.adapter.tls.certificate.as_mut().unwrap().key = gone.clone();
    config.adapter.callers[0].token_file = Some(gone);
    fs::write(folder.path().join("handler"), "short").unwrap();
    let problems = Gateway::check_files(&config).into_iter();
    let problems = problems.map(|problem| format!("{:#}", anyhow::Error::from(problem)));
    let problems: Vec<_> = problems.collect();
    for (problem, start) in problems.iter().zip([
        "adapter.tls: cannot read ",
        "adapter.callers: cannot read ",
        "management.token_file: ",
    ]) {
        assert!(problem.starts_with(start), "{problem}");
    }
    assert_eq!(problems.len(), 3, "{problems:?}");
}

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway/callers");
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python/echo");

#[tokio::test(flavor = "multi_thread")]
async fn a_python_caller_shows_its_token_over_tls() {
    let requirements = Path::new(EXAMPLE).join("requirements.txt");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-echo");
    let python = environment(&place, &requirements);
    let folder = tempfile::tempdir().unwrap();
    let mut generate = Command::new(Path::new(EXAMPLE).join("generate.sh"));
    run(generate.env("PYTHON", &python).arg(folder.path()));

    let handler = TestHandler::start();
    let credentials = Credentials::default();
    let gateway = started(&handler, |config| {
        config.adapter.tls = tls(&credentials, Verify::Optional);
        let mut handler = caller(&folder, "handler", &[Scope::Raw]);
        handler.certificate = Some("handler".to_owned());
        config.adapter.callers = vec![handler];
    })
    .await;
    let own = credentials.pki.client("handler");
    let mut command = Command::new(python);
    command
        .arg(Path::new(HERE).join("caller.py"))
        .arg(gateway.adapter_address().to_string())
        .args([carrier::SERVER, &token("handler")])
        .args([&credentials.pki.ca_file(), &own.chain, &own.key])
        .env("PYTHONPATH", folder.path())
        .env("no_proxy", "127.0.0.1");
    let said = tokio::task::spawn_blocking(move || run(&mut command));
    let said = within("Python", said).await.unwrap();
    let expected = [
        "nothing UNAUTHENTICATED",
        "bad token UNAUTHENTICATED",
        "token SUCCESS",
        "token, other call PERMISSION_DENIED",
        "token, large request PERMISSION_DENIED",
        "certificate SUCCESS",
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
}
