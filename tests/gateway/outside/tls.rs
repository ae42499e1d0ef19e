//! TLS with certificates, as `openssl s_client` speaks it.

use exproto_tests::{Pki, Pod};
use proto::exproto::SocketType;

use super::{SERVER, certificate, checking, echoes, s_client, text};

/// A listener that shows one certificate, and the settings that come after it in `tls`.
async fn listening(pki: &Pki, more: &str) -> Pod {
    let certificate = certificate(&pki.server(SERVER));
    let tls = format!("transport: tls, tls: {{certificates: [{certificate}]{more}}}");
    Pod::start(&tls).await
}

#[tokio::test]
async fn openssl_speaks_tls_1_2_and_1_3() {
    let pki = Pki::new();
    let pod = listening(&pki, "").await;
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let mut client = checking(&pod, &pki, SERVER, &[option]);
        let device = pod.connected().await;
        assert_eq!(device.info.socktype(), SocketType::Ssl);
        assert_eq!(device.info.peercert, None);
        assert_eq!(device.header("exproto-transport"), "tls");
        assert_eq!(device.header("exproto-tls-version"), version);
        assert_eq!(device.header("exproto-tls-sni"), SERVER);
        let seen = client.output.line("Cipher is ").await;
        assert!(seen.contains(&format!("New, {version}")), "{seen}");
        // OpenSSL and the handler have the same word for it with TLS 1.3 alone.
        if version == "TLSv1.3" {
            assert!(
                seen.ends_with(device.header("exproto-tls-cipher")),
                "{seen}"
            );
        }
        echoes(&pod, &mut client, "hello").await;
        client.finish();
        assert!(client.ended().await.success());
        assert_eq!(pod.handler.closed().await, "ssl_closed");
    }
}

#[tokio::test]
async fn what_the_handler_sends_first_arrives() {
    let pki = Pki::new();
    let pod = listening(&pki, "").await;
    let mut client = checking(&pod, &pki, SERVER, &[]);
    let device = pod.connected().await;
    let lines: Vec<_> = (0..10_000).map(|n| format!("line {n} of many")).collect();
    pod.send(&device.conn, lines.join("\n") + "\n").await;
    pod.send(&device.conn, "the end").await;
    client.output.sees("line 0 of many\n").await;
    client.output.sees("the end").await;
    pod.close(&device.conn).await;
    assert!(client.ended().await.success());
    let all = client.output.all().await;
    // What OpenSSL says of tickets comes in between.
    let got = all.lines().filter(|line| line.ends_with(" of many"));
    assert!(got.eq(&lines), "something is missing");
    assert_eq!(pod.handler.closed().await, "normal");
}

#[tokio::test]
async fn a_device_gets_the_certificate_of_the_name_it_asks_for() {
    let pki = Pki::new();
    let names = ["one.test", "two.test"];
    let [one, two] = names.map(|name| certificate(&pki.server(name)));
    let wild = certificate(&pki.server("*.fleet.test"));
    let tls = format!("transport: tls, tls: {{certificates: [{one}, {two}, {wild}]}}");
    let pod = Pod::start(&tls).await;
    for name in ["two.test", "one.test", "a.fleet.test", "TWO.test"] {
        let mut client = checking(&pod, &pki, name, &[]);
        pod.connected().await;
        echoes(&pod, &mut client, "hello").await;
        client.finish();
        pod.handler.closed().await;
    }
    // Without a name: the first.
    let ca = text(&pki.ca_file());
    let who = ["-noservername", "-verify_hostname", "one.test"];
    let mut client = s_client(
        &pod,
        &[&who[..], &["-CAfile", &ca, "-verify_return_error"]].concat(),
    );
    assert_eq!(pod.connected().await.headers("exproto-tls-sni"), [""; 0]);
    echoes(&pod, &mut client, "hello").await;
}

#[tokio::test]
async fn a_device_that_does_not_trust_the_listener_leaves() {
    let (pki, other) = (Pki::new(), Pki::named("Another CA"));
    let pod = listening(&pki, "").await;
    let mut client = checking(&pod, &other, SERVER, &[]);
    assert!(!client.ended().await.success());
    let said = client.errors.all().await;
    assert!(said.contains("verify error"), "{said}");
    let failed = "exproto_handshakes_failed_total{listener=\"devices\",reason=\"alert\"}";
    pod.counts(failed, 1).await;
    assert!(pod.handler.try_next().is_none(), "nobody has connected");
}

#[tokio::test]
async fn a_version_that_is_too_old_is_refused_with_an_alert() {
    let pki = Pki::new();
    let pod = listening(&pki, ", min_version: \"1.3\"").await;
    let mut client = checking(&pod, &pki, SERVER, &["-tls1_2"]);
    assert!(!client.ended().await.success());
    let said = client.errors.all().await;
    assert!(said.contains("alert protocol version"), "{said}");
    let failed = "exproto_handshakes_failed_total{listener=\"devices\",reason=\"version\"}";
    pod.counts(failed, 1).await;
    let mut client = checking(&pod, &pki, SERVER, &["-tls1_3"]);
    pod.connected().await;
    echoes(&pod, &mut client, "hello").await;
}

#[tokio::test]
async fn a_protocol_is_chosen_by_alpn() {
    let pki = Pki::new();
    let pod = listening(&pki, ", alpn: [mqtt, lines]").await;
    let mut client = checking(&pod, &pki, SERVER, &["-alpn", "lines,other"]);
    let device = pod.connected().await;
    assert_eq!(device.header("exproto-tls-alpn"), "lines");
    client.output.sees("ALPN protocol: lines").await;
    let mut client = checking(&pod, &pki, SERVER, &["-alpn", "other"]);
    assert!(!client.ended().await.success());
    let said = client.errors.all().await;
    assert!(said.contains("alert no application protocol"), "{said}");
}

#[tokio::test]
async fn a_device_that_comes_back_resumes_its_session() {
    let pki = Pki::new();
    let pod = listening(&pki, "").await;
    for version in ["-tls1_2", "-tls1_3"] {
        let file = text(&pki.folder().join(format!("session{version}")));
        let mut client = checking(&pod, &pki, SERVER, &[version, "-sess_out", &file]);
        pod.connected().await;
        client.output.sees("New, ").await;
        // With TLS 1.3 the tickets come after the handshake, and before this.
        echoes(&pod, &mut client, "hello").await;
        client.finish();
        pod.handler.closed().await;
        assert!(client.ended().await.success());

        let mut client = checking(&pod, &pki, SERVER, &[version, "-sess_in", &file]);
        let device = pod.connected().await;
        assert_eq!(device.header("exproto-tls-sni"), SERVER);
        client.output.sees("Reused, ").await;
        echoes(&pod, &mut client, "hello again").await;
        client.finish();
        pod.handler.closed().await;
    }
}

#[tokio::test]
async fn sessions_are_not_resumed_where_that_is_switched_off() {
    let pki = Pki::new();
    let pod = listening(&pki, ", resumption: false").await;
    for version in ["-tls1_2", "-tls1_3"] {
        let file = pki.folder().join("session");
        let keep = [version, "-sess_out", &text(&file)];
        let mut client = checking(&pod, &pki, SERVER, &keep);
        pod.connected().await;
        echoes(&pod, &mut client, "hello").await;
        client.finish();
        pod.handler.closed().await;
        assert!(client.ended().await.success());
        assert!(!file.exists(), "there is nothing to resume");
    }
}
