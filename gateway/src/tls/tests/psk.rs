//! OpenSSL and its shared keys.

use std::{fs, pin::Pin};

use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslVersion};
use tempfile::TempDir;

use super::*;

/// A listener with a key for `device-7`.
fn shared(folder: &TempDir) -> config::Listener {
    let file = folder.path().join("psk");
    fs::write(&file, "device-7:c0ffee00c0ffee00c0ffee00c0ffee00\n").unwrap();
    let mut listener = listener(&[]);
    listener.psk.file = Some(file);
    listener
}

struct Device {
    identity: &'static str,
    key: [u8; 4],
    version: SslVersion,
    ciphers: &'static str,
}

const GOOD: Device = Device {
    identity: "device-7",
    key: [0xc0, 0xff, 0xee, 0x00],
    version: SslVersion::TLS1_2,
    ciphers: "PSK:@SECLEVEL=0",
};

impl Device {
    fn build(&self, change: impl FnOnce(&mut SslContextBuilder)) -> SslContext {
        let mut builder = SslContextBuilder::new(SslMethod::tls_client()).unwrap();
        builder.set_min_proto_version(Some(self.version)).unwrap();
        builder.set_max_proto_version(Some(self.version)).unwrap();
        if self.version != SslVersion::TLS1_3 {
            builder.set_cipher_list(self.ciphers).unwrap();
        }
        let (identity, key) = (self.identity, self.key.repeat(4));
        builder.set_psk_client_callback(move |_, _, name, into| {
            name[..identity.len()].copy_from_slice(identity.as_bytes());
            name[identity.len()] = 0;
            into[..key.len()].copy_from_slice(&key);
            Ok(key.len())
        });
        change(&mut builder);
        builder.build()
    }
}

async fn shake(secured: &Secured, device: &SslContext) -> Result<Details, HandshakeError> {
    let (far, near) = tokio::io::duplex(1 << 16);
    let mut ssl = Ssl::new(device).unwrap();
    ssl.set_hostname("localhost").unwrap();
    let mut client = tokio_openssl::SslStream::new(ssl, far).unwrap();
    let device = tokio::spawn(async move {
        Pin::new(&mut client)
            .connect()
            .await
            .map_err(std::io::Error::other)?;
        client.write_all(b"x").await?;
        client.read_exact(&mut [0]).await?;
        client.shutdown().await
    });
    let (mut stream, details) = secured.accept(near).await?;
    echo(&mut stream).await;
    device.await.unwrap().unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "it said goodbye");
    Ok(details)
}

fn header<'a>(details: &'a Details, name: &str) -> &'a str {
    details.headers().unwrap()[name].to_str().unwrap()
}

#[tokio::test]
async fn a_device_with_a_key_is_let_in_and_described() {
    let folder = TempDir::new().unwrap();
    let secured = Secured::load(&shared(&folder)).unwrap();
    for (version, name, cipher) in [
        (
            SslVersion::TLS1_2,
            "TLSv1.2",
            "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256",
        ),
        (SslVersion::TLS1_3, "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
    ] {
        let device = Device { version, ..GOOD }.build(|_| ());
        let details = shake(&secured, &device).await.unwrap();
        assert_eq!(header(&details, "exproto-psk-identity"), "device-7");
        assert_eq!(header(&details, "exproto-tls-version"), name);
        assert_eq!(header(&details, "exproto-tls-cipher"), cipher);
        assert_eq!(header(&details, "exproto-tls-sni"), "localhost");
        assert_eq!(details.certificate(), None);
    }
}

#[tokio::test]
async fn small_devices_find_a_cipher_suite() {
    let folder = TempDir::new().unwrap();
    let mut listener = shared(&folder);
    let secured = Secured::load(&listener).unwrap();
    for ciphers in [
        "DHE-PSK-AES128-GCM-SHA256",
        "PSK-AES128-GCM-SHA256",
        "PSK-AES128-CCM",
        "PSK-AES128-CCM8:@SECLEVEL=0",
        "PSK-AES128-CBC-SHA256",
    ] {
        let device = Device { ciphers, ..GOOD }.build(|_| ());
        shake(&secured, &device).await.expect(ciphers);
    }
    listener.dtls.ciphers = Some("PSK-AES256-GCM-SHA384".into());
    let secured = Secured::load(&listener).unwrap();
    let ciphers = "PSK-AES128-GCM-SHA256";
    let device = Device { ciphers, ..GOOD }.build(|_| ());
    let error = shake(&secured, &device).await.unwrap_err();
    assert_eq!(error.reason(), Reason::NothingInCommon, "{error}");
    listener.dtls.ciphers = Some("no such suite".into());
    let error = Secured::load(&listener).err().unwrap();
    assert!(error.to_string().starts_with("dtls.ciphers: "), "{error}");
}

#[tokio::test]
async fn an_unknown_identity_and_a_wrong_key_are_refused() {
    let folder = TempDir::new().unwrap();
    let secured = Secured::load(&shared(&folder)).unwrap();
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let identity = "device-8";
        let device = Device {
            identity,
            version,
            ..GOOD
        }
        .build(|_| ());
        let error = shake(&secured, &device).await.unwrap_err();
        assert_eq!(error.reason(), Reason::UnknownPsk, "{error}");
        assert!(error.to_string().contains("device-8"), "{error}");
        let key = [1; 4];
        let device = Device {
            key,
            version,
            ..GOOD
        }
        .build(|_| ());
        let error = shake(&secured, &device).await.unwrap_err();
        assert_eq!(error.reason(), Reason::WrongPsk, "{error}");
    }
}

#[tokio::test]
async fn the_oldest_version_and_alpn_count_here_too() {
    let folder = TempDir::new().unwrap();
    let mut listener = shared(&folder);
    listener.tls.min_version = config::TlsVersion::V1_3;
    listener.tls.alpn = vec!["mqtt".into(), "echo".into()];
    let secured = Secured::load(&listener).unwrap();
    let error = shake(&secured, &GOOD.build(|_| ())).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Version, "{error}");
    let version = SslVersion::TLS1_3;
    let offering = |wire: &'static [u8]| {
        let offer = |builder: &mut SslContextBuilder| builder.set_alpn_protos(wire).unwrap();
        Device { version, ..GOOD }.build(offer)
    };
    let details = shake(&secured, &offering(b"\x04echo")).await.unwrap();
    assert_eq!(header(&details, "exproto-tls-alpn"), "echo");
    let error = shake(&secured, &offering(b"\x02h2")).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Alpn, "{error}");
}

#[tokio::test]
async fn what_is_not_tls_is_told_at_once() {
    let folder = TempDir::new().unwrap();
    let secured = Secured::load(&shared(&folder)).unwrap();
    let garbage = [0xa5; 64];
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x10\x12\x00\x04MQTT..",
        &garbage,
    ] {
        let error = send(&secured, bytes).await;
        assert_eq!(error.reason(), Reason::NotTls, "{error}");
    }
    let (far, near) = tokio::io::duplex(64);
    drop(far);
    let error = secured.accept(near).await.err().unwrap();
    assert_eq!(error.reason(), Reason::Closed, "{error}");
}

#[tokio::test]
async fn an_end_without_a_goodbye_is_told_as_such() {
    let folder = TempDir::new().unwrap();
    let secured = Secured::load(&shared(&folder)).unwrap();
    let (far, near) = tokio::io::duplex(1 << 16);
    let ssl = Ssl::new(&GOOD.build(|_| ())).unwrap();
    let mut client = tokio_openssl::SslStream::new(ssl, far).unwrap();
    let (connected, accepted) = tokio::join!(Pin::new(&mut client).connect(), secured.accept(near));
    connected.unwrap();
    let (mut stream, _) = accepted.unwrap();
    drop(client);
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}
