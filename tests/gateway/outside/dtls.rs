//! DTLS, as `openssl s_client` speaks it.

use std::net::Ipv4Addr;

use exproto_tests::{Carrier, Credentials, Pki, Pod, Process, pki::Files};
use proto::exproto::SocketType;

use super::{SERVER, certificate, checking, echoes, s_client, text};

const IDENTITY: &str = "device-7";
const KEY: &str = "6162636465666768696a6b6c6d6e6f70";
const OTHER_KEY: &str = "7062636465666768696a6b6c6d6e6f61";

/// A listener with a certificate; `more` are settings that come after it in `tls`.
async fn listening(pki: &Pki, more: &str) -> Pod {
    let certificate = certificate(&pki.server(SERVER));
    let tls = format!("transport: dtls, tls: {{certificates: [{certificate}]{more}}}");
    Pod::start(&tls).await
}

/// A listener that shares a key with one device.
async fn sharing(pki: &Pki, more: &str) -> Pod {
    let file = pki.folder().join("devices");
    std::fs::write(&file, format!("{IDENTITY}:{KEY}\n")).unwrap();
    let file = text(&file);
    Pod::start(&format!("transport: dtls, psk: {{file: \"{file}\"}}{more}")).await
}

/// A client that sends again what was lost, as devices do.
fn client(pod: &Pod, pki: &Pki, more: &[&str]) -> Process {
    checking(
        pod,
        pki,
        SERVER,
        &[&["-dtls1_2", "-timeout"], more].concat(),
    )
}

fn with_key(pod: &Pod, key: &str, more: &[&str]) -> Process {
    let own = [
        "-dtls1_2",
        "-timeout",
        "-psk_identity",
        IDENTITY,
        "-psk",
        key,
    ];
    s_client(pod, &[&own, more].concat())
}

fn with_certificate(pod: &Pod, pki: &Pki, files: &Files, more: &[&str]) -> Process {
    let (chain, key) = (text(&files.chain), text(&files.key));
    let own = ["-cert", &chain, "-key", &key];
    client(pod, pki, &[&own, more].concat())
}

#[tokio::test]
async fn openssl_speaks_dtls_1_2() {
    let pki = Pki::new();
    let pod = listening(&pki, "").await;
    let mut client = client(&pod, &pki, &[]);
    client.output.sees("Verification: OK").await;
    let device = pod.connected().await;
    assert_eq!(device.info.socktype(), SocketType::Dtls);
    assert_eq!(device.header("exproto-transport"), "dtls");
    assert_eq!(device.header("exproto-tls-version"), "DTLSv1.2");
    assert_eq!(device.header("exproto-tls-sni"), SERVER);
    for n in 0..10 {
        echoes(&pod, &mut client, &format!("line {n}")).await;
    }
    client.finish();
    assert!(client.ended().await.success());
    assert_eq!(pod.handler.closed().await, "ssl_closed");
}

#[tokio::test]
async fn a_small_mtu_is_kept_to() {
    let pki = Pki::new();
    let device = pki.client("device-7");
    let ca = text(&pki.ca_file());
    let verify = format!(", verify: required, ca_file: \"{ca}\"}}, dtls: {{mtu: 400");
    let pod = listening(&pki, &verify).await;
    // The certificates of both sides need several datagrams each.
    let mut client = with_certificate(&pod, &pki, &device, &["-mtu", "400"]);
    client.output.sees("Verification: OK").await;
    let told = pod.connected().await;
    assert_eq!(told.info.peercert.unwrap().cn, "device-7");
    echoes(&pod, &mut client, "hello").await;
}

#[tokio::test]
async fn the_handler_sees_the_certificate_of_a_device() {
    let pki = Pki::new();
    let (good, bad) = (pki.client("device-7"), pki.client("bad"));
    let (ca, crl) = (text(&pki.ca_file()), text(&pki.crl(&[&bad])));
    let verify = format!(", verify: required, ca_file: \"{ca}\", crl_file: \"{crl}\"");
    let pod = listening(&pki, &verify).await;
    for mut refused in [
        client(&pod, &pki, &[]),
        with_certificate(&pod, &pki, &bad, &[]),
    ] {
        assert!(!refused.ended().await.success());
        let said = refused.errors.all().await;
        assert!(said.contains("alert"), "{said}");
    }
    let mut client = with_certificate(&pod, &pki, &good, &[]);
    let device = pod.connected().await;
    let certificate = device.info.peercert.clone().unwrap();
    assert_eq!(certificate.cn, "device-7");
    assert_eq!(certificate.dn, "CN=device-7,O=Acme,C=DE");
    let names = ["DNS:device-7", "URI:urn:dev:device-7"];
    assert_eq!(device.headers("exproto-cert-san"), names);
    assert_ne!(device.header("exproto-cert-serial"), "");
    assert_ne!(device.header("exproto-cert-fingerprint"), "");
    echoes(&pod, &mut client, "hello").await;
}

#[tokio::test]
async fn a_device_with_a_shared_key_is_known_by_its_identity() {
    let pki = Pki::new();
    let pod = sharing(&pki, "").await;
    for mtu in [&[][..], &["-mtu", "400"]] {
        let mut client = with_key(&pod, KEY, mtu);
        let device = pod.connected().await;
        assert_eq!(device.header("exproto-psk-identity"), IDENTITY);
        assert_eq!(device.header("exproto-tls-version"), "DTLSv1.2");
        echoes(&pod, &mut client, "hello").await;
        client.finish();
        assert!(client.ended().await.success());
        assert_eq!(pod.handler.closed().await, "ssl_closed");
    }
}

#[tokio::test]
async fn a_device_with_a_wrong_key_is_given_up() {
    let pki = Pki::new();
    let pod = sharing(&pki, ", handshake_timeout: 2s").await;
    // What it sends cannot be read, and so might be anybody's: there is no alert.
    let _client = with_key(&pod, OTHER_KEY, &[]);
    let failed = "exproto_handshakes_failed_total{listener=\"devices\",reason=\"timeout\"}";
    pod.counts(failed, 1).await;
    assert!(pod.handler.try_next().is_none(), "nobody has connected");
}

#[tokio::test]
async fn a_device_with_an_unknown_identity_is_refused_with_an_alert() {
    let pki = Pki::new();
    let pod = sharing(&pki, "").await;
    let unknown = ["-psk_identity", "device-8"];
    let mut client = with_key(&pod, KEY, &unknown);
    assert!(!client.ended().await.success());
    let said = client.errors.all().await;
    assert!(said.contains("alert"), "{said}");
    let failed = "exproto_handshakes_failed_total{listener=\"devices\",reason=\"unknown_psk\"}";
    pod.counts(failed, 1).await;
    assert!(pod.handler.try_next().is_none(), "nobody has connected");
}

#[tokio::test]
async fn a_device_is_told_the_hint() {
    let pki = Pki::new();
    let file = pki.folder().join("devices");
    std::fs::write(&file, format!("{IDENTITY}:{KEY}\n")).unwrap();
    let psk = format!("psk: {{file: \"{}\", identity_hint: fleet-7}}", text(&file));
    let pod = Pod::start(&format!("transport: dtls, {psk}")).await;
    let mut client = with_key(&pod, KEY, &[]);
    pod.connected().await;
    client.output.sees("PSK identity hint: fleet-7").await;
}

#[tokio::test]
async fn one_listener_takes_certificates_and_shared_keys() {
    let pki = Pki::new();
    let certificate = certificate(&pki.server(SERVER));
    let tls = format!(", tls: {{certificates: [{certificate}]}}");
    let pod = sharing(&pki, &tls).await;
    let mut one = client(&pod, &pki, &[]);
    let device = pod.connected().await;
    assert_eq!(device.headers("exproto-psk-identity"), [""; 0]);
    let mut other = with_key(&pod, KEY, &["-cipher", "PSK"]);
    let device = pod.connected().await;
    assert_eq!(device.header("exproto-psk-identity"), IDENTITY);
    echoes(&pod, &mut one, "hello").await;
    echoes(&pod, &mut other, "hello").await;
}

#[tokio::test]
async fn what_is_sent_in_two_records_stays_two() {
    let pki = Pki::new();
    let pod = sharing(&pki, "").await;
    pod.handler.hold(true);
    let mut client = with_key(&pod, KEY, &["-msg"]);
    let mut created = pod.handler.next().await;
    client.output.sees("Verify return code").await;
    for line in ["one\n", "two\n"] {
        client.say(line);
        // The record has left.
        client.output.sees(">>> ").await;
    }
    pod.handler.hold(false);
    created.answer(Ok(()));
    assert_eq!(pod.received().await, "one\n");
    assert_eq!(pod.received().await, "two\n");
}

#[tokio::test]
async fn a_changed_certificate_is_shown_to_new_devices_and_old_ones_stay() {
    let pki = Pki::new();
    let tls = |name| {
        let certificate = certificate(&pki.server(name));
        format!("transport: dtls, tls: {{certificates: [{certificate}]}}")
    };
    let mut pod = Pod::start(&tls("old.test")).await;
    let mut old = checking(&pod, &pki, "old.test", &["-dtls1_2", "-timeout"]);
    pod.connected().await;
    pod.configure(&tls("new.test"), "");
    pod.process.errors.sees("took the configuration").await;
    let mut new = checking(&pod, &pki, "new.test", &["-dtls1_2", "-timeout"]);
    pod.connected().await;
    echoes(&pod, &mut new, "hello").await;
    echoes(&pod, &mut old, "still here").await;
}

#[tokio::test]
async fn a_flood_of_hellos_takes_no_memory() {
    const HELLOS: u64 = 20_000;
    let pki = Pki::new();
    let pod = listening(&pki, "").await;
    let hello = crate::hostile::hello(Carrier::Dtls, &Credentials::default()).await;
    let flood = async |from: u64, to: u64| {
        for number in from..to {
            let [.., high, middle, low] = number.to_be_bytes();
            let source = Ipv4Addr::new(127, 100 + high, middle, low);
            crate::hostile::spoof(pod.address(), source, &hello);
            if number % 100 == 99 {
                // As fast as they are answered, so that none is lost in the kernel.
                let answered = "exproto_dtls_hellos_answered_total{listener=\"devices\"}";
                exproto_tests::until("answers", async || pod.metric(answered).await >= number)
                    .await;
            }
        }
    };
    // What the first thousand needs is there from then on.
    flood(1, 1000).await;
    let before = pod.process.resident_kib();
    flood(1000, HELLOS).await;
    let grown = pod.process.resident_kib().saturating_sub(before);
    // A session each would take more than a gigabyte.
    assert!(grown < 2 * 1024, "{grown} KiB for {HELLOS} hellos");
    // Whoever is there is served as ever.
    let mut client = client(&pod, &pki, &[]);
    pod.connected().await;
    echoes(&pod, &mut client, "hello").await;
}
