use std::path::PathBuf;

use config::Verify;
use openssl::{
    hash::MessageDigest,
    nid::Nid,
    ssl::{SslContextBuilder, SslFiletype},
};

use super::{
    files::{Authority, Files},
    *,
};

/// A device with a certificate.
fn showing(certificate: &config::Certificate) -> Device {
    Device::with(|context: &mut SslContextBuilder| {
        context
            .set_certificate_chain_file(&certificate.chain)
            .unwrap();
        context
            .set_private_key_file(&certificate.key, SslFiletype::PEM)
            .unwrap();
    })
}

fn mutual(files: &Files, authority: &Authority, verify: Verify) -> Listener {
    let mut listener = listener([files.ecdsa("a.example")]);
    listener.tls.verify = verify;
    listener.tls.ca_file = Some(authority.path.clone());
    listener
}

/// The word for the end, or the common name of the certificate that let the device in.
fn outcome(listener: &Listener, device: Device) -> String {
    let mut link = Link::new(context(listener), device);
    link.pump();
    if let Some(error) = &link.error {
        assert!(
            !link.device.up || link.device.error.is_some(),
            "the device is told"
        );
        return error.reason().to_owned();
    }
    assert!(link.is_up());
    let Some(der) = link.session().peer_certificate_der() else {
        return "nobody".to_owned();
    };
    let certificate = openssl::x509::X509::from_der(&der).unwrap();
    let name = certificate
        .subject_name()
        .entries_by_nid(Nid::COMMONNAME)
        .next();
    name.unwrap().data().to_string().unwrap()
}

#[test]
fn devices_certificates_are_checked() {
    let files = Files::new();
    let authority = Authority::new(&files, "authority");
    let stranger = Authority::new(&files, "stranger");
    let good = authority.sign(&files, "meter-1", 1);
    let bad = stranger.sign(&files, "meter-2", 2);
    let required = mutual(&files, &authority, Verify::Required);
    assert_eq!(outcome(&required, showing(&good)), "meter-1");
    assert_eq!(outcome(&required, showing(&bad)), "bad_certificate");
    assert_eq!(outcome(&required, Device::new()), "no_certificate");
    let optional = mutual(&files, &authority, Verify::Optional);
    assert_eq!(outcome(&optional, showing(&good)), "meter-1");
    assert_eq!(outcome(&optional, showing(&bad)), "bad_certificate");
    assert_eq!(outcome(&optional, Device::new()), "nobody");
    let none = mutual(&files, &authority, Verify::None);
    assert_eq!(outcome(&none, showing(&good)), "nobody");
}

#[test]
fn a_revoked_certificate_is_refused() {
    let files = Files::new();
    let authority = Authority::new(&files, "authority");
    let mut listener = mutual(&files, &authority, Verify::Required);
    listener.tls.crl_file = Some(authority.revoke(&files, 2));
    let good = authority.sign(&files, "meter-1", 1);
    let revoked = authority.sign(&files, "meter-2", 2);
    assert_eq!(outcome(&listener, showing(&good)), "meter-1");
    assert_eq!(outcome(&listener, showing(&revoked)), "bad_certificate");
}

const KEY: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8];

/// With the key of one device beside what the listener has.
fn sharing(files: &Files, mut listener: Listener) -> Listener {
    listener.psk.file = Some(files.write("psk", "meter-1:0102030405060708\n"));
    listener
}

#[test]
fn a_shared_key_lets_in_with_every_kind_of_cipher() {
    let files = Files::new();
    let mut listener = sharing(&files, listener([]));
    listener.psk.identity_hint = Some("fleet-7".to_owned());
    let context = context(&listener);
    for (cipher, name) in [
        ("PSK-AES128-CCM8:@SECLEVEL=0", "TLS_PSK_WITH_AES_128_CCM_8"),
        ("PSK-AES128-CCM", "TLS_PSK_WITH_AES_128_CCM"),
        ("PSK-AES128-GCM-SHA256", "TLS_PSK_WITH_AES_128_GCM_SHA256"),
        ("PSK-AES128-CBC-SHA256", "TLS_PSK_WITH_AES_128_CBC_SHA256"),
        (
            "ECDHE-PSK-CHACHA20-POLY1305",
            "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256",
        ),
        (
            "DHE-PSK-AES128-GCM-SHA256",
            "TLS_DHE_PSK_WITH_AES_128_GCM_SHA256",
        ),
    ] {
        let device = Device::psk("meter-1", KEY, cipher);
        let mut link = Link::established(context.clone(), device);
        let details = link.session().details();
        let headers = details.headers().unwrap();
        assert_eq!(headers["exproto-psk-identity"], "meter-1");
        assert_eq!(headers["exproto-tls-version"], "DTLSv1.2");
        assert_eq!(headers["exproto-tls-cipher"], name);
        let hint = link.device.stream.ssl().psk_identity_hint();
        assert_eq!(hint, Some(&b"fleet-7"[..]));
        link.device.send(b"12.5 kWh");
        link.pump();
        assert_eq!(link.received, [b"12.5 kWh"]);
    }
}

#[test]
fn an_unknown_identity_is_refused() {
    let files = Files::new();
    let context = context(&sharing(&files, listener([])));
    let device = Device::psk("meter-2", KEY, "PSK-AES128-GCM-SHA256");
    let mut link = Link::new(context, device);
    link.pump();
    assert_eq!(link.error, Some(SessionError::UnknownPsk));
    assert!(link.device.error.is_some());
}

#[test]
fn a_wrong_key_does_not_get_in() {
    let files = Files::new();
    let context = context(&sharing(&files, listener([])));
    let device = Device::psk("meter-1", b"guessed!", "PSK-AES128-GCM-SHA256");
    let mut link = Link::new(context, device);
    link.pump();
    assert!(!link.is_up());
    // What cannot be decrypted is dropped, as if it had never come; the worker's handshake_timeout ends it.
    assert_eq!(link.last, Some(Progress::Handshaking));
}

#[test]
fn keys_and_certificates_stand_side_by_side() {
    let files = Files::new();
    let listener = sharing(&files, listener([files.ecdsa("a.example")]));
    let context = context(&listener);
    Link::established(context.clone(), Device::new());
    let device = Device::psk("meter-1", KEY, "PSK-AES128-GCM-SHA256");
    Link::established(context, device);
}

#[test]
fn shared_keys_do_not_let_weak_certificates_in() {
    let files = Files::new();
    for (bits, digest, word) in [
        (2048, MessageDigest::sha256(), None),
        (1024, MessageDigest::sha256(), Some("bad_certificate")),
        (2048, MessageDigest::sha1(), Some("bad_certificate")),
    ] {
        let (root, certificate) = files::weak(&files, bits, digest);
        let mut listener = sharing(&files, listener([files.ecdsa("a.example")]));
        listener.tls.verify = Verify::Required;
        listener.tls.ca_file = Some(root);
        let context = context(&listener);
        let mut link = Link::new(context, showing_at_lowest(&certificate));
        link.pump();
        assert_eq!(
            link.error.as_ref().map(SessionError::reason),
            word,
            "{bits}"
        );
        assert_eq!(link.is_up(), word.is_none());
    }
}

fn showing_at_lowest(certificate: &config::Certificate) -> Device {
    Device::with(|context| {
        context.set_security_level(0);
        context
            .set_certificate_chain_file(&certificate.chain)
            .unwrap();
        context
            .set_private_key_file(&certificate.key, SslFiletype::PEM)
            .unwrap();
    })
}

#[test]
fn a_device_gets_the_certificate_for_the_name_it_asks_for() {
    let files = Files::new();
    let context = context(&listener([
        files.ecdsa("first.example"),
        files.ecdsa("second.example"),
        files.ecdsa("*.wild.example"),
    ]));
    for (name, shown) in [
        ("first.example", "first.example"),
        ("Second.Example", "second.example"),
        ("any.wild.example", "*.wild.example"),
        ("too.many.wild.example", "first.example"),
        ("unknown.example", "first.example"),
    ] {
        let mut link = Link::established(context.clone(), Device::naming(name));
        let certificate = link.device.stream.ssl().peer_certificate().unwrap();
        let names = certificate.subject_alt_names().unwrap();
        assert_eq!(names[0].dnsname(), Some(shown), "{name}");
        let details = link.session().details();
        assert_eq!(details.headers().unwrap()["exproto-tls-sni"], name);
    }
    Link::established(context, Device::new());
}

#[test]
fn a_device_gets_the_kind_of_key_that_it_can_check() {
    let files = Files::new();
    let context = context(&listener([
        files.ecdsa("a.example"),
        files.rsa("a.example"),
    ]));
    for cipher in [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
    ] {
        let device = Device::with(|context| context.set_cipher_list(cipher).unwrap());
        Link::established(context.clone(), device);
    }
}

#[test]
fn the_best_common_protocol_is_chosen() {
    let files = Files::new();
    let mut listener = listener([files.ecdsa("a.example")]);
    listener.tls.alpn = vec!["coap".to_owned(), "mqtt".to_owned()];
    let context = context(&listener);
    let offering =
        |offer: &'static [u8]| Device::with(move |context| context.set_alpn_protos(offer).unwrap());
    let mut link = Link::established(context.clone(), offering(b"\x04mqtt\x04coap"));
    let details = link.session().details();
    assert_eq!(details.headers().unwrap()["exproto-tls-alpn"], "coap");
    Link::established(context.clone(), Device::new());
    let mut link = Link::new(context, offering(b"\x02h2"));
    link.pump();
    assert_eq!(link.error.unwrap().reason(), "other");
}

fn fault(listener: &Listener) -> String {
    Context::load(listener).err().unwrap().to_string()
}

#[test]
fn faults_name_the_file_and_the_setting() {
    let files = Files::new();
    let mut certificate = files.ecdsa("a.example");
    let other = files.ecdsa("b.example");
    assert!(fault(&listener([])).contains("psk.file"));

    let key = std::mem::replace(&mut certificate.key, other.key);
    let text = fault(&listener([certificate.clone()]));
    assert!(
        text.contains("a.example-ecdsa.pem") && text.contains("b.example"),
        "{text}"
    );

    certificate.key = files.write("not.key", "hello");
    assert!(fault(&listener([certificate.clone()])).contains("not.key"));

    certificate.key = key;
    certificate.chain = PathBuf::from("/nowhere/tls.crt");
    assert!(fault(&listener([certificate.clone()])).contains("cannot read /nowhere/tls.crt"));

    certificate.chain = files.write("not.pem", "hello");
    let text = fault(&listener([certificate]));
    assert!(text.contains("not.pem holds no certificate"), "{text}");

    let mut good = listener([files.ecdsa("c.example")]);
    good.tls.verify = Verify::Required;
    assert!(fault(&good).contains("tls.ca_file"));
    good.tls.ca_file = Some(Authority::new(&files, "authority").path);
    good.tls.crl_file = Some(files.write("not.crl", "hello"));
    assert!(fault(&good).contains("not.crl holds no revocation list"));
    good.tls.crl_file = None;
    good.dtls.ciphers = Some("NONSENSE".to_owned());
    assert!(fault(&good).contains("dtls.ciphers"));
}
