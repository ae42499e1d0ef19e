//! Files that cannot be used: each error names the file, and what to do.

use std::fs;

use super::{pki::Pki, *};

fn error(listener: &config::Listener) -> String {
    match Secured::load(listener) {
        Ok(_) => panic!("it can be used"),
        Err(error) => format!("{:#}", anyhow::Error::from(error)),
    }
}

/// What is said of a key file with this in it.
fn of_key(pki: &Pki, text: &[u8]) -> String {
    let mut files = pki.server("localhost");
    files.key = pki.folder().join("bad.key");
    fs::write(&files.key, text).unwrap();
    let text = error(&listener(&[&files]));
    assert!(text.contains("bad.key"), "{text}");
    text
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let pki = Pki::new();
    let mut files = pki.server("localhost");
    files.key = "/no/such/key".into();
    let text = error(&listener(&[&files]));
    assert!(
        text.starts_with("cannot read /no/such/key; ") && text.contains("No such file"),
        "{text}"
    );
    assert!(error(&listener(&[])).contains("tls.certificates"));
}

#[test]
fn a_file_with_something_else_is_named() {
    let pki = Pki::new();
    let mut files = pki.server("localhost");
    std::mem::swap(&mut files.chain, &mut files.key);
    let text = error(&listener(&[&files]));
    assert!(text.contains("holds no certificate"), "{text}");
    assert!(of_key(&pki, b"hello").contains("holds no private key"));
    let cut = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n";
    let text = of_key(&pki, cut);
    assert!(text.contains("-----END line"), "{text}");
    assert!(!text.contains("c2Vj"), "{text}");
    let bad = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    assert!(of_key(&pki, bad).contains("cannot use the private key"));
}

#[test]
fn an_encrypted_key_is_to_be_decrypted() {
    let pki = Pki::new();
    let key = openssl::rsa::Rsa::generate(2048).unwrap();
    let cipher = openssl::symm::Cipher::aes_128_cbc;
    let old = key
        .private_key_to_pem_passphrase(cipher(), b"secret")
        .unwrap();
    let new = openssl::pkey::PKey::from_rsa(key).unwrap();
    let new = new
        .private_key_to_pem_pkcs8_passphrase(cipher(), b"secret")
        .unwrap();
    for pem in [old, new] {
        let text = of_key(&pki, &pem);
        assert!(text.contains("decrypt it"), "{text}");
    }
}

#[test]
fn keys_of_all_three_forms_are_read() {
    let pki = Pki::new();
    for (mut files, sec1) in [(pki.server("a"), true), (pki.rsa_server("b"), false)] {
        Secured::load(&listener(&[&files])).unwrap();
        let pem = fs::read(&files.key).unwrap();
        let key = openssl::pkey::PKey::private_key_from_pem(&pem).unwrap();
        let old = if sec1 {
            key.ec_key().unwrap().private_key_to_pem().unwrap()
        } else {
            key.rsa().unwrap().private_key_to_pem().unwrap()
        };
        files.key = pki.folder().join("old.key");
        fs::write(&files.key, old).unwrap();
        Secured::load(&listener(&[&files])).unwrap();
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let pki = Pki::new();
    let mut files = pki.server("localhost");
    files.key = pki.server("localhost").key;
    let text = error(&listener(&[&files]));
    assert!(text.contains("does not belong"), "{text}");
}

#[test]
fn what_has_expired_is_used_at_start_and_refused_later() {
    let pki = Pki::new();
    let mut late = listener(&[&pki.expired_server("localhost")]);
    Secured::load(&late).unwrap();
    let text = Secured::reload(&late).err().unwrap().to_string();
    assert!(text.contains("expired"), "{text}");

    late = listener(&[&pki.server("localhost")]);
    late.tls.verify = config::Verify::Optional;
    late.tls.ca_file = Some(pki.ca_file());
    late.tls.crl_file = Some(pki.expired_crl(&[]));
    Secured::load(&late).unwrap();
    let text = Secured::reload(&late).err().unwrap().to_string();
    assert!(text.contains("overdue"), "{text}");
}

#[test]
fn authorities_and_their_lists_are_checked() {
    let (pki, twin) = (Pki::new(), Pki::new());
    let mut listener = listener(&[&pki.server("localhost")]);
    listener.tls.verify = config::Verify::Required;
    assert!(error(&listener).contains("tls.ca_file"));

    let empty = pki.folder().join("empty");
    fs::write(&empty, "").unwrap();
    listener.tls.ca_file = Some(empty.clone());
    assert!(error(&listener).contains("empty holds no certificate"));

    listener.tls.ca_file = Some(pki.ca_file());
    listener.tls.crl_file = Some(empty.clone());
    assert!(error(&listener).contains("empty holds no revocation list"));
    fs::write(
        &empty,
        "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
    )
    .unwrap();
    assert!(error(&listener).contains("cannot use the revocation list"));

    listener.tls.crl_file = Some(twin.crl(&[]));
    let text = error(&listener);
    assert!(
        text.contains("not signed by the authority CN=Test CA"),
        "{text}"
    );
}

#[test]
fn all_files_are_to_be_watched() {
    let pki = Pki::new();
    let mut listener = listener(&[&pki.server("localhost")]);
    listener.tls.ca_file = Some(pki.ca_file());
    listener.tls.crl_file = Some(pki.crl(&[]));
    listener.psk.file = Some("/psk".into());
    let files = super::super::files(&listener);
    assert_eq!(files.len(), 5);
    assert!(files.contains(&pki.ca_file()));
}
