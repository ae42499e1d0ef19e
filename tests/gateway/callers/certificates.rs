//! Certificates: those that callers show, and the adapter's own.

use std::{fs, path::Path};

use config::{Caller, Scope, Verify};
use exproto_tests::{
    Credentials, TestHandler,
    pki::{self, Key},
    until,
};
use tokio::net::TcpStream;
use tonic::Code;

use super::{caller, secure, started, tls, token, turned_away};

#[tokio::test]
async fn a_caller_is_known_by_each_name_in_its_certificate() {
    let handler = TestHandler::start();
    let credentials = Credentials::default();
    let named = |name: &str| Caller {
        name: name.to_owned(),
        token_file: None,
        certificate: Some(name.to_owned()),
        scopes: vec![Scope::Send],
        mirror: false,
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
    let other = pki::Pki::named("Another CA");
    let foreign = other.client("by-cn");
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
