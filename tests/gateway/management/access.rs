//! Who may ask: tokens, and certificates over TLS.

use std::{fs, net::SocketAddr, process::Command};

use config::{ServerTls, Verify};
use exproto_tests::{
    Credentials, Process, TestGateway, TestHandler, carrier::SERVER, pki::Files, until,
};
use tokio::net::TcpStream;

use super::{Managed, TOKEN, ask};

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
