//! Certificates of devices, as `openssl s_client` shows them.

use std::process::Command;

use exproto_tests::{Pki, Pod, Process, pki::Files, process::run};

use super::{SERVER, certificate, checking, echoes, text};

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

/// A listener that wants certificates of this authority; `more` are settings that come after that in `tls`.
async fn listening(pki: &Pki, more: &str) -> Pod {
    let certificate = certificate(&pki.server(SERVER));
    let ca = text(&pki.ca_file());
    let tls = format!("tls: {{certificates: [{certificate}], ca_file: \"{ca}\", {more}}}");
    Pod::start(&format!("transport: tls, {tls}")).await
}

/// A client that shows this certificate.
fn showing(pod: &Pod, pki: &Pki, files: &Files, more: &[&str]) -> Process {
    let (chain, key) = (text(&files.chain), text(&files.key));
    let own = ["-cert", &chain, "-key", &key];
    checking(pod, pki, SERVER, &[&own, more].concat())
}

/// The client is told why it is not let in, the metric for the reason rises to `count`, and the handler hears nothing.
async fn refused(pod: &Pod, mut client: Process, alert: &str, (reason, count): (&str, u64)) {
    assert!(!client.ended().await.success());
    let said = client.errors.all().await;
    assert!(said.contains(alert), "no {alert:?} in {said}");
    let series =
        format!("exproto_handshakes_failed_total{{listener=\"devices\",reason=\"{reason}\"}}");
    pod.counts(&series, count).await;
    assert!(pod.handler.try_next().is_none(), "nobody has connected");
}

/// What `openssl x509` says of a certificate: its serial number and its fingerprint, as the handler has them.
fn known(files: &Files) -> [String; 2] {
    ["-serial", "-fingerprint"].map(|what| {
        let mut x509 = Command::new("openssl");
        x509.args(["x509", "-noout", "-sha256", what, "-in"])
            .arg(&files.chain);
        let said = run(&mut x509);
        let (_, value) = said.trim().split_once('=').unwrap();
        value.replace(':', "").to_lowercase()
    })
}

#[tokio::test]
async fn the_handler_sees_the_certificate_of_a_device() {
    let pki = Pki::new();
    let pod = listening(&pki, "verify: required").await;
    let files = pki.client("device-7");
    let [serial, fingerprint] = known(&files);
    for version in VERSIONS {
        let mut client = showing(&pod, &pki, &files, &[version]);
        let device = pod.connected().await;
        let certificate = device.info.peercert.clone().unwrap();
        assert_eq!(certificate.cn, "device-7");
        assert_eq!(certificate.dn, "CN=device-7,O=Acme,C=DE");
        assert_eq!(device.header("exproto-cert-serial"), serial);
        assert_eq!(device.header("exproto-cert-fingerprint"), fingerprint);
        let names = ["DNS:device-7", "URI:urn:dev:device-7"];
        assert_eq!(device.headers("exproto-cert-san"), names);
        echoes(&pod, &mut client, "hello").await;
        client.finish();
        pod.handler.closed().await;
    }
}

#[tokio::test]
async fn whoever_has_no_certificate_is_refused_with_an_alert() {
    let pki = Pki::new();
    let pod = listening(&pki, "verify: required").await;
    // TLS 1.2 has no word of its own for it.
    let alerts = ["alert", "alert certificate required"];
    for ((version, alert), count) in VERSIONS.into_iter().zip(alerts).zip(1..) {
        let client = checking(&pod, &pki, SERVER, &[version]);
        refused(&pod, client, alert, ("no_certificate", count)).await;
    }
    // The first that the handler hears of is one that shows a certificate.
    let mut client = showing(&pod, &pki, &pki.client("device-7"), &[]);
    assert_eq!(pod.connected().await.info.peercert.unwrap().cn, "device-7");
    echoes(&pod, &mut client, "hello").await;
}

#[tokio::test]
async fn whoever_has_a_bad_certificate_is_refused_with_an_alert() {
    let pki = Pki::new();
    let (good, bad) = (pki.client("good"), pki.client("bad"));
    let crl = text(&pki.crl(&[&bad]));
    for verify in ["required", "optional"] {
        let pod = listening(&pki, &format!("verify: {verify}, crl_file: \"{crl}\"")).await;
        let other = Pki::named("Another CA");
        let foreign = other.client("foreign");
        let expired = pki.expired_client("expired");
        for (version, count) in VERSIONS.into_iter().zip(1..) {
            for (files, alert, reason) in [
                (&bad, "alert certificate revoked", "revoked_certificate"),
                (&foreign, "alert unknown ca", "unknown_authority"),
                (&expired, "alert certificate expired", "expired_certificate"),
            ] {
                let client = showing(&pod, &pki, files, &[version]);
                refused(&pod, client, alert, (reason, count)).await;
            }
        }
        let mut client = showing(&pod, &pki, &good, &[]);
        assert_eq!(pod.connected().await.info.peercert.unwrap().cn, "good");
        echoes(&pod, &mut client, "hello").await;
    }
}

#[tokio::test]
async fn a_certificate_may_be_optional() {
    let pki = Pki::new();
    let pod = listening(&pki, "verify: optional").await;
    let mut client = checking(&pod, &pki, SERVER, &[]);
    assert_eq!(pod.connected().await.info.peercert, None);
    echoes(&pod, &mut client, "hello").await;
    let mut client = showing(&pod, &pki, &pki.client("device-7"), &[]);
    assert_eq!(pod.connected().await.info.peercert.unwrap().cn, "device-7");
    echoes(&pod, &mut client, "hello").await;
}

#[tokio::test]
async fn a_resumed_session_still_knows_the_certificate() {
    let pki = Pki::new();
    let pod = listening(&pki, "verify: required").await;
    let files = pki.client("device-7");
    for version in VERSIONS {
        let session = text(&pki.folder().join(format!("session{version}")));
        let mut client = showing(&pod, &pki, &files, &[version, "-sess_out", &session]);
        let first = pod.connected().await;
        echoes(&pod, &mut client, "hello").await;
        client.finish();
        pod.handler.closed().await;
        client.ended().await;

        // It shows no certificate this time.
        let mut client = checking(&pod, &pki, SERVER, &[version, "-sess_in", &session]);
        let second = pod.connected().await;
        client.output.sees("Reused, ").await;
        assert_eq!(second.info.peercert, first.info.peercert);
        for name in [
            "exproto-cert-serial",
            "exproto-cert-fingerprint",
            "exproto-cert-san",
        ] {
            assert_eq!(second.headers(name), first.headers(name));
        }
        echoes(&pod, &mut client, "hello again").await;
        client.finish();
        pod.handler.closed().await;
    }
}
