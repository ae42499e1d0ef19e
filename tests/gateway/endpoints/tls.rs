//! Endpoints that are spoken to over TLS, with files that change.

use std::{fs, path::Path};

use config::{Certificate, Config};
use exproto_tests::{Manner, Pki, TestGateway, TestHandler, gateway::config, pki::Files, until};

use super::READY;
use crate::calls::connect;

const NAME: &str = "handler.test";
const TAKEN: &str = "exproto_reloads_total{outcome=\"taken\",what=\"certificates\"}";
const REFUSED: &str = "exproto_reloads_total{outcome=\"refused\",what=\"certificates\"}";

fn secure(certificate: Files, ca_file: Option<&Pki>) -> TestHandler {
    let manner = Manner {
        certificate: Some(certificate),
        ca_file: ca_file.map(Pki::ca_file),
        has_health: true,
        ..Manner::default()
    };
    TestHandler::start_as(([127, 0, 0, 1], 0).into(), manner)
}

fn trusting(handler: &TestHandler, ca_file: &Path) -> Config {
    let mut config = config(&[handler]);
    config.handler.tls.ca_file = Some(ca_file.into());
    config.handler.tls.server_name = Some(NAME.parse().unwrap());
    config
}

async fn says(gateway: &TestGateway, what: &str) {
    until(what, async || gateway.http("/readyz").await.contains(what)).await;
}

#[tokio::test]
async fn callbacks_go_over_tls() {
    let pki = Pki::new();
    let handler = secure(pki.server(NAME), None);
    let gateway = TestGateway::with(trusting(&handler, &pki.ca_file())).await;
    let (mut device, _) = connect(&gateway, &handler).await;
    device.send("secret").await;
    assert_eq!(handler.received(6).await, b"secret");
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_name_is_refused_and_said() {
    let (pki, stranger) = (Pki::new(), Pki::new());
    for (files, why) in [
        (stranger.server(NAME), ""),
        (pki.server("other.test"), "certificate not valid for name"),
        (pki.expired_server(NAME), "certificate expired"),
    ] {
        let handler = secure(files, None);
        let gateway = TestGateway::with(trusting(&handler, &pki.ca_file())).await;
        says(
            &gateway,
            &format!("TLS to \"{NAME}\" failed: invalid peer certificate: {why}"),
        )
        .await;
        assert_eq!(gateway.metric(READY).await, 0);
    }
}

#[tokio::test]
async fn an_authority_that_is_rotated_is_trusted_without_a_restart() {
    let (old, new) = (Pki::new(), Pki::new());
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.crt");
    fs::copy(old.ca_file(), &ca_file).unwrap();
    let mut handler = secure(old.server(NAME), None);
    let gateway = TestGateway::with(trusting(&handler, &ca_file)).await;
    let (mut device, _) = connect(&gateway, &handler).await;

    // A bad file changes nothing.
    fs::write(&ca_file, "-----BEGIN CERTIFICATE-----\nx").unwrap();
    gateway.counts(REFUSED, 1).await;
    device.send("still here").await;
    assert_eq!(handler.received(10).await, b"still here");

    // The connection that stands was shaken hands on with the old one, and is not touched.
    fs::copy(new.ca_file(), &ca_file).unwrap();
    gateway.counts(TAKEN, 1).await;
    device.send("and still").await;
    assert_eq!(handler.received(9).await, b"and still");

    handler.manner.certificate = Some(new.server(NAME));
    handler.restart().await;
    device.closed().await;
    assert_eq!(handler.closed().await, "handler_lost");
    let (_device, _) = connect(&gateway, &handler).await;
}

#[tokio::test]
async fn the_gateway_shows_its_certificate_and_another_one_once_it_is_rotated() {
    let (pki, old, new) = (Pki::new(), Pki::new(), Pki::new());
    let folder = tempfile::tempdir().unwrap();
    let own = Certificate {
        chain: folder.path().join("tls.crt"),
        key: folder.path().join("tls.key"),
    };
    let show = |files: &Files| {
        fs::copy(&files.chain, &own.chain).unwrap();
        fs::copy(&files.key, &own.key).unwrap();
    };
    show(&old.client("gateway"));
    let mut handler = secure(pki.server(NAME), Some(&old));
    let mut config = trusting(&handler, &pki.ca_file());
    config.handler.tls.certificate = Some(own.clone());
    let gateway = TestGateway::with(config).await;
    let (mut device, _) = connect(&gateway, &handler).await;

    // The handler trusts another authority now.
    handler.manner.ca_file = Some(new.ca_file());
    handler.restart().await;
    device.closed().await;
    until("the endpoint to be lost", async || {
        gateway.metric(READY).await == 0
    })
    .await;

    // A key that is not the certificate's, and an old one, are refused.
    fs::copy(&old.client("gateway").key, &own.key).unwrap();
    gateway.counts(REFUSED, 1).await;
    show(&new.expired_client("gateway"));
    gateway.counts(REFUSED, 2).await;
    show(&new.client("gateway"));
    gateway.counts(TAKEN, 1).await;
    gateway.is(READY, 1).await;
    assert_eq!(handler.closed().await, "handler_lost");
    let (_device, _) = connect(&gateway, &handler).await;
}

#[tokio::test]
async fn without_a_certificate_a_handler_that_wants_one_is_not_ready() {
    let pki = Pki::new();
    let handler = secure(pki.server(NAME), Some(&pki));
    let gateway = TestGateway::with(trusting(&handler, &pki.ca_file())).await;
    says(&gateway, &handler.url()).await;
    assert_eq!(gateway.metric(READY).await, 0);
}

#[tokio::test]
async fn files_that_cannot_be_used_stop_the_start() {
    let pki = Pki::new();
    let handler = secure(pki.server(NAME), None);
    let missing = trusting(&handler, Path::new("/no/such/ca.crt"));
    let error = exproto_gateway::Gateway::bind(missing.clone())
        .err()
        .unwrap();
    let error = format!("{:#}", anyhow::Error::from(error));
    assert!(
        error.starts_with("handler.tls: cannot read /no/such/ca.crt"),
        "{error}"
    );
    assert_eq!(exproto_gateway::Gateway::check_files(&missing).len(), 1);
}
