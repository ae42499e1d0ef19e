//! TLS with shared keys, as `openssl s_client` speaks it.

use exproto_tests::{Pod, Process};
use tempfile::TempDir;

use super::{echoes, s_client, text};

const IDENTITY: &str = "device-7";
const KEY: &str = "6162636465666768696a6b6c6d6e6f70";
const OTHER_KEY: &str = "7062636465666768696a6b6c6d6e6f61";
const VERSIONS: [(&str, &str); 2] = [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")];

/// A listener that shares a key with one device, and the folder with its file.
async fn listening() -> (Pod, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("devices");
    std::fs::write(&file, format!("# the fleet\n\n{IDENTITY}:{KEY}\n")).unwrap();
    let file = text(&file);
    let pod = Pod::start(&format!("transport: tls, psk: {{file: \"{file}\"}}")).await;
    (pod, folder)
}

fn client(pod: &Pod, version: &str, identity: &str, key: &str) -> Process {
    s_client(pod, &[version, "-psk_identity", identity, "-psk", key])
}

#[tokio::test]
async fn a_device_with_a_shared_key_is_known_by_its_identity() {
    let (pod, _folder) = listening().await;
    for (option, version) in VERSIONS {
        let mut client = client(&pod, option, IDENTITY, KEY);
        let device = pod.connected().await;
        assert_eq!(device.header("exproto-psk-identity"), IDENTITY);
        assert_eq!(device.header("exproto-tls-version"), version);
        assert_eq!(device.info.peercert, None);
        let seen = client.output.line("Cipher is ").await;
        assert!(seen.contains(version), "{seen}");
        echoes(&pod, &mut client, "hello").await;
        client.finish();
        assert!(client.ended().await.success());
        assert_eq!(pod.handler.closed().await, "ssl_closed");
    }
}

#[tokio::test]
async fn a_wrong_key_or_identity_is_refused_with_an_alert() {
    let (pod, _folder) = listening().await;
    for (version, _) in VERSIONS {
        for (identity, key, reason) in [
            (IDENTITY, OTHER_KEY, "wrong_psk"),
            ("device-8", KEY, "unknown_psk"),
        ] {
            let series = format!(
                "exproto_handshakes_failed_total{{listener=\"devices\",reason=\"{reason}\"}}"
            );
            let before = pod.metric(&series).await;
            let mut client = client(&pod, version, identity, key);
            assert!(!client.ended().await.success());
            let said = client.errors.all().await;
            assert!(said.contains("alert"), "{said}");
            pod.counts(&series, before + 1).await;
        }
    }
    assert!(pod.handler.try_next().is_none(), "nobody has connected");
}

#[tokio::test]
async fn a_device_without_a_shared_key_is_refused_with_an_alert() {
    let (pod, _folder) = listening().await;
    for (version, _) in VERSIONS {
        let mut client = s_client(&pod, &[version]);
        assert!(!client.ended().await.success());
        let said = client.errors.all().await;
        assert!(said.contains("alert"), "{said}");
    }
    assert!(pod.handler.try_next().is_none(), "nobody has connected");
}

#[tokio::test]
async fn a_new_key_counts_from_the_next_handshake_on() {
    let (mut pod, folder) = listening().await;
    let mut old = client(&pod, "-tls1_3", IDENTITY, KEY);
    pod.connected().await;
    let next = folder.path().join("next");
    std::fs::write(&next, format!("{IDENTITY}:{OTHER_KEY}\n")).unwrap();
    std::fs::rename(&next, folder.path().join("devices")).unwrap();
    pod.process
        .errors
        .sees("took changed certificates and keys")
        .await;
    echoes(&pod, &mut old, "hello from before").await;
    let mut new = client(&pod, "-tls1_3", IDENTITY, OTHER_KEY);
    pod.connected().await;
    echoes(&pod, &mut new, "hello").await;
    let mut late = client(&pod, "-tls1_3", IDENTITY, KEY);
    assert!(!late.ended().await.success());
}
