//! Certificates and configurations that change under open connections of `openssl s_client`.

use std::fs;

use exproto_tests::{
    Pki, Pod,
    pki::{Files, Mounted},
};

use super::{certificate, checking, echoes};

const TOOK: &str = "took changed certificates and keys";

/// The files of a Secret.
fn secret(files: &Files) -> [(&'static str, Vec<u8>); 2] {
    let read = |path| fs::read(path).unwrap();
    [
        ("tls.crt", read(&files.chain)),
        ("tls.key", read(&files.key)),
    ]
}

/// A listener with the certificate of a mounted Secret.
async fn listening(volume: &Mounted) -> Pod {
    let (chain, key) = (volume.path("tls.crt"), volume.path("tls.key"));
    let (chain, key) = (chain.display(), key.display());
    let tls = format!("tls: {{certificates: [{{chain: \"{chain}\", key: \"{key}\"}}]}}");
    Pod::start(&format!("transport: tls, {tls}")).await
}

#[tokio::test]
async fn a_swapped_secret_is_shown_to_new_devices_and_old_ones_stay() {
    let pki = Pki::new();
    let volume = Mounted::new(&secret(&pki.server("old.test")));
    let mut pod = listening(&volume).await;
    let mut old = checking(&pod, &pki, "old.test", &[]);
    pod.connected().await;
    echoes(&pod, &mut old, "hello").await;

    volume.swap(&secret(&pki.server("new.test")));
    pod.process.errors.sees(TOOK).await;
    let mut new = checking(&pod, &pki, "new.test", &[]);
    pod.connected().await;
    echoes(&pod, &mut new, "hello").await;
    echoes(&pod, &mut old, "still here").await;
    // The old certificate is gone.
    let mut late = checking(&pod, &pki, "old.test", &[]);
    assert!(!late.ended().await.success());

    // Again: what is watched has not been lost with the first folder.
    volume.swap(&secret(&pki.server("newer.test")));
    pod.process.errors.sees(TOOK).await;
    let mut newer = checking(&pod, &pki, "newer.test", &[]);
    pod.connected().await;
    echoes(&pod, &mut newer, "hello").await;
    echoes(&pod, &mut old, "still here").await;
}

#[tokio::test]
async fn a_bad_file_is_named_and_the_old_one_is_shown() {
    let pki = Pki::new();
    let old = pki.server("old.test");
    let volume = Mounted::new(&secret(&old));
    let mut pod = listening(&volume).await;
    let [(_, chain), (_, key)] = secret(&old);
    let [(_, foreign), _] = secret(&pki.server("old.test"));
    let cut = chain[..chain.len() / 2].to_vec();
    for (bad, file) in [
        ([("tls.crt", cut), ("tls.key", key.clone())], "tls.crt"),
        (
            [("tls.crt", chain), ("tls.key", b"no key".to_vec())],
            "tls.key",
        ),
        // A certificate without its key.
        ([("tls.crt", foreign), ("tls.key", key)], "tls.key"),
    ] {
        volume.swap(&bad);
        let line = pod
            .process
            .errors
            .line("cannot use changed certificates or keys")
            .await;
        let path = volume.path(file);
        assert!(line.contains(path.to_str().unwrap()), "{line}");
        assert!(line.contains("\"ERROR\""), "{line}");
        let mut client = checking(&pod, &pki, "old.test", &[]);
        pod.connected().await;
        echoes(&pod, &mut client, "hello").await;
        client.finish();
        pod.handler.closed().await;
    }
    pod.counts(
        "exproto_reloads_total{outcome=\"refused\",what=\"certificates\"}",
        3,
    )
    .await;
    volume.swap(&secret(&pki.server("new.test")));
    pod.process.errors.sees(TOOK).await;
    let mut client = checking(&pod, &pki, "new.test", &[]);
    pod.connected().await;
    echoes(&pod, &mut client, "hello").await;
}

#[tokio::test]
async fn sighup_takes_the_configuration_and_connections_stay() {
    let pki = Pki::new();
    let tls = |name| {
        let certificate = certificate(&pki.server(name));
        format!("transport: tls, tls: {{certificates: [{certificate}]}}")
    };
    let mut pod = Pod::start(&tls("old.test")).await;
    let mut old = checking(&pod, &pki, "old.test", &[]);
    pod.connected().await;

    // Nothing has changed, so it is the signal that does it.
    pod.process.signal("-HUP");
    pod.process.errors.sees("took the configuration").await;

    pod.configure(&tls("new.test"), "");
    pod.process.signal("-HUP");
    pod.process.errors.sees("took the configuration").await;
    let mut new = checking(&pod, &pki, "new.test", &[]);
    pod.connected().await;
    echoes(&pod, &mut new, "hello").await;
    echoes(&pod, &mut old, "still here").await;
}

#[tokio::test]
async fn a_changed_configuration_is_taken_without_a_signal() {
    let pki = Pki::new();
    let tls = |name| {
        let certificate = certificate(&pki.server(name));
        format!("transport: tls, tls: {{certificates: [{certificate}]}}")
    };
    let mut pod = Pod::start(&tls("old.test")).await;
    pod.configure(&tls("new.test"), "");
    pod.process.errors.sees("took the configuration").await;
    let mut new = checking(&pod, &pki, "new.test", &[]);
    pod.connected().await;
    echoes(&pod, &mut new, "hello").await;
}

#[tokio::test]
async fn a_broken_configuration_is_named_and_the_old_one_stays() {
    let pki = Pki::new();
    let certificate = certificate(&pki.server("old.test"));
    let tls = format!("transport: tls, tls: {{certificates: [{certificate}]}}");
    let mut pod = Pod::start(&tls).await;
    let mut old = checking(&pod, &pki, "old.test", &[]);
    pod.connected().await;
    let file = pod.file().display().to_string();
    let missing = pki.folder().join("missing.crt").display().to_string();
    let gone =
        format!("transport: tls, tls: {{certificates: [{{chain: {missing}, key: {missing}}}]}}");
    let soon = format!("{tls}, handshake_timeout: soon");
    for (listener, more, sign, place) in [
        // A word that is none.
        (
            &tls,
            "bans: {durationn: 1m}",
            "durationn",
            format!("{file}:6"),
        ),
        // A value that is none.
        (&soon, "", "handshake_timeout", format!("{file}:2")),
        // A file that is none.
        (&gone, "", "missing.crt", missing.clone()),
    ] {
        pod.configure(listener, more);
        pod.process.signal("-HUP");
        let line = pod.process.errors.line(sign).await;
        assert!(
            line.contains("the changed configuration is not taken"),
            "{line}"
        );
        assert!(line.contains(&place), "no {place} in {line}");
        let mut new = checking(&pod, &pki, "old.test", &[]);
        pod.connected().await;
        echoes(&pod, &mut new, "hello").await;
        new.finish();
        pod.handler.closed().await;
        echoes(&pod, &mut old, "still here").await;
    }
}
