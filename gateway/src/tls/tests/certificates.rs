//! rustls and its certificates.

use super::{
    pki::{Key, Pki, server},
    *,
};

fn wanting(pki: &Pki, verify: config::Verify) -> config::Listener {
    let mut listener = listener(&[&pki.server("localhost")]);
    listener.tls.verify = verify;
    listener.tls.ca_file = Some(pki.ca_file());
    listener
}

#[tokio::test]
async fn a_session_tells_what_was_agreed() {
    let pki = Pki::new();
    let mut listener = listener(&[&pki.server("localhost")]);
    listener.tls.alpn = vec!["mqtt".into(), "echo".into()];
    let secured = Secured::load(&listener).unwrap();
    let mut client = Client::new(&pki.ca_file());
    client.alpn = vec![b"echo".to_vec()];
    let session = shake(&secured, &client.build(), "localhost").await.unwrap();
    assert_eq!(session.header("exproto-tls-version"), Some("TLSv1.3"));
    assert_eq!(
        session.header("exproto-tls-cipher"),
        Some("TLS_AES_256_GCM_SHA384")
    );
    assert_eq!(session.header("exproto-tls-sni"), Some("localhost"));
    assert_eq!(session.header("exproto-tls-alpn"), Some("echo"));
    assert_eq!(session.details.certificate(), None);
}

#[tokio::test]
async fn alpn_is_refused_only_where_the_device_offers_others_only() {
    let pki = Pki::new();
    let mut listener = listener(&[&pki.server("localhost")]);
    listener.tls.alpn = vec!["mqtt".into()];
    let secured = Secured::load(&listener).unwrap();
    let mut client = Client::new(&pki.ca_file());
    client.alpn = vec![b"http/1.1".to_vec()];
    let refused = shake(&secured, &client.build(), "localhost").await;
    assert_eq!(reason(refused), Reason::Alpn);
    let client = Client::new(&pki.ca_file()).build();
    shake(&secured, &client, "localhost").await.unwrap();
}

#[tokio::test]
async fn the_name_that_is_asked_for_chooses_the_certificate() {
    let pki = Pki::new();
    let first = pki.server("first.example.net");
    let wild = pki.issue(&server(&["*.example.net", "*.localhost"]), Key::Ecdsa);
    let exact = pki.server("Exact.Example.net");
    let secured = Secured::load(&listener(&[&first, &wild, &exact])).unwrap();
    let client = Client::new(&pki.ca_file()).build();
    for (name, files) in [
        ("exact.example.net", &exact),
        ("EXACT.example.net", &exact),
        ("other.example.net", &wild),
        ("first.example.net", &first),
    ] {
        let session = shake(&secured, &client, name).await.unwrap();
        assert_eq!(session.shown, files.der, "{name}");
    }
    // The first is shown for a name that nobody has; it is the client that does not like it.
    let refused = shake(&secured, &client, "deep.other.example.net").await;
    assert_eq!(reason(refused), Reason::Alert);
    let refused = shake(&secured, &client, "127.0.0.1").await;
    assert_eq!(reason(refused), Reason::Alert);
}

#[tokio::test]
async fn a_device_gets_the_kind_of_certificate_that_it_understands() {
    let pki = Pki::new();
    let ecdsa = pki.server("localhost");
    let rsa = pki.rsa_server("localhost");
    let secured = Secured::load(&listener(&[&ecdsa, &rsa])).unwrap();
    let mut client = Client::new(&pki.ca_file());
    client.versions = vec![&rustls::version::TLS12];
    let session = shake(&secured, &client.build(), "localhost").await.unwrap();
    assert_eq!(session.shown, ecdsa.der);
    assert_eq!(session.header("exproto-tls-version"), Some("TLSv1.2"));
    let shown = rsa_only(&secured, &pki).await;
    assert_eq!(shown, rsa.der);
}

/// What a client of OpenSSL gets to see that knows RSA alone.
async fn rsa_only(secured: &Secured, pki: &Pki) -> Vec<u8> {
    use openssl::ssl::{SslConnector, SslMethod};
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_ca_file(pki.ca_file()).unwrap();
    builder
        .set_max_proto_version(Some(openssl::ssl::SslVersion::TLS1_2))
        .unwrap();
    builder
        .set_cipher_list("ECDHE-RSA-AES128-GCM-SHA256")
        .unwrap();
    let ssl = builder
        .build()
        .configure()
        .unwrap()
        .into_ssl("localhost")
        .unwrap();
    let (far, near) = tokio::io::duplex(1 << 16);
    let mut stream = tokio_openssl::SslStream::new(ssl, far).unwrap();
    let (client, server) = tokio::join!(
        std::pin::Pin::new(&mut stream).connect(),
        secured.accept(near)
    );
    client.unwrap();
    server.unwrap();
    stream.ssl().peer_certificate().unwrap().to_der().unwrap()
}

#[tokio::test]
async fn a_device_with_a_certificate_is_let_in_and_described() {
    let pki = Pki::new();
    let secured = Secured::load(&wanting(&pki, config::Verify::Required)).unwrap();
    for versions in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut client = Client::new(&pki.ca_file()).showing(&pki.client("device-7"));
        client.versions = vec![versions];
        let session = shake(&secured, &client.build(), "localhost").await.unwrap();
        let certificate = session.details.certificate().unwrap();
        assert_eq!(certificate.cn, "device-7");
        assert_eq!(certificate.dn, "CN=device-7,O=Acme,C=DE");
        assert_eq!(session.header("exproto-cert-san"), Some("DNS:device-7"));
    }
}

#[tokio::test]
async fn who_shows_no_good_certificate_is_refused() {
    let (pki, other) = (Pki::new(), Pki::new());
    let secured = Secured::load(&wanting(&pki, config::Verify::Required)).unwrap();
    let client = || Client::new(&pki.ca_file());
    for (client, expected) in [
        (client(), Reason::NoCertificate),
        (
            client().showing(&pki.expired_client("old")),
            Reason::ExpiredCertificate,
        ),
        // A server's certificate is none for a device.
        (
            client().showing(&pki.server("server")),
            Reason::BadCertificate,
        ),
        (
            client().showing(&Pki::named("Other CA").client("stranger")),
            Reason::UnknownAuthority,
        ),
    ] {
        let refused = shake(&secured, &client.build(), "localhost").await;
        assert_eq!(reason(refused), expected);
    }
    // The same name, and another key.
    let liar = client().showing(&other.client("liar")).build();
    let refused = shake(&secured, &liar, "localhost").await;
    assert_eq!(reason(refused), Reason::BadCertificate);
}

#[tokio::test]
async fn an_optional_certificate_may_be_missing_and_not_bad() {
    let pki = Pki::new();
    let secured = Secured::load(&wanting(&pki, config::Verify::Optional)).unwrap();
    let client = || Client::new(&pki.ca_file());
    let session = shake(&secured, &client().build(), "localhost")
        .await
        .unwrap();
    assert_eq!(session.details.certificate(), None);
    let good = client().showing(&pki.client("device-7")).build();
    let session = shake(&secured, &good, "localhost").await.unwrap();
    assert_eq!(session.details.certificate().unwrap().cn, "device-7");
    let bad = client().showing(&pki.expired_client("old")).build();
    let refused = shake(&secured, &bad, "localhost").await;
    assert_eq!(reason(refused), Reason::ExpiredCertificate);
}

#[tokio::test]
async fn a_revoked_certificate_is_refused() {
    let pki = Pki::new();
    let (good, bad) = (pki.client("good"), pki.client("bad"));
    let mut listener = wanting(&pki, config::Verify::Required);
    listener.tls.crl_file = Some(pki.crl(&[&bad]));
    let secured = Secured::load(&listener).unwrap();
    let client = |files| Client::new(&pki.ca_file()).showing(files).build();
    shake(&secured, &client(&good), "localhost").await.unwrap();
    let refused = shake(&secured, &client(&bad), "localhost").await;
    assert_eq!(reason(refused), Reason::RevokedCertificate);
}

#[tokio::test]
async fn without_a_list_that_counts_nobody_is_let_in() {
    let (pki, other) = (Pki::new(), Pki::named("Other CA"));
    let client = Client::new(&pki.ca_file())
        .showing(&pki.client("device-7"))
        .build();
    let mut listener = wanting(&pki, config::Verify::Required);
    for list in [other.crl(&[]), pki.expired_crl(&[])] {
        listener.tls.crl_file = Some(list);
        let secured = Secured::load(&listener).unwrap();
        let refused = shake(&secured, &client, "localhost").await;
        assert_eq!(reason(refused), Reason::RevokedCertificate);
    }
}

#[tokio::test]
async fn old_versions_are_refused() {
    let pki = Pki::new();
    let mut listener = listener(&[&pki.server("localhost")]);
    listener.tls.min_version = config::TlsVersion::V1_3;
    let secured = Secured::load(&listener).unwrap();
    let mut client = Client::new(&pki.ca_file());
    client.versions = vec![&rustls::version::TLS12];
    let refused = shake(&secured, &client.build(), "localhost").await;
    assert_eq!(reason(refused), Reason::Version);
    let client = Client::new(&pki.ca_file()).build();
    shake(&secured, &client, "localhost").await.unwrap();
}

#[tokio::test]
async fn a_device_that_comes_back_resumes_where_it_may() {
    let pki = Pki::new();
    let mut listener = wanting(&pki, config::Verify::Required);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for resumption in [true, false] {
            listener.tls.resumption = resumption;
            let secured = Secured::load(&listener).unwrap();
            let mut client = Client::new(&pki.ca_file()).showing(&pki.client("device-7"));
            client.versions = vec![version];
            let client = client.build();
            let first = shake(&secured, &client, "localhost").await.unwrap();
            assert!(!first.resumed);
            let second = shake(&secured, &client, "localhost").await.unwrap();
            assert_eq!(second.resumed, resumption);
            // What the certificate told is known again.
            assert_eq!(second.details.certificate().unwrap().cn, "device-7");
            assert_eq!(second.header("exproto-tls-sni"), Some("localhost"));
        }
    }
}

#[tokio::test]
async fn what_is_not_tls_is_told_at_once() {
    let pki = Pki::new();
    let secured = Secured::load(&listener(&[&pki.server("localhost")])).unwrap();
    let garbage = [0xa5; 64];
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x10\x12\x00\x04MQTT",
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
