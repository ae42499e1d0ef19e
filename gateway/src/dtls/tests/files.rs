//! Certificates, keys and lists in files of their own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use openssl::{
    asn1::Asn1Time,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    x509::{X509, X509Name, extension::BasicConstraints},
};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};

/// A directory that goes with the test.
pub(super) struct Files(PathBuf);

impl Files {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("exproto-dtls-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A certificate of nobody's for a name, with a key on a curve.
    pub(super) fn ecdsa(&self, name: &str) -> config::Certificate {
        self.own(name, "ecdsa", &KeyPair::generate().unwrap())
    }

    /// A certificate of nobody's for a name, with a key of RSA.
    pub(super) fn rsa(&self, name: &str) -> config::Certificate {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let pem = String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        self.own(name, "rsa", &KeyPair::from_pem(&pem).unwrap())
    }

    fn own(&self, name: &str, kind: &str, key: &KeyPair) -> config::Certificate {
        let certificate = named(name).self_signed(key).unwrap();
        self.pair(&format!("{name}-{kind}"), &certificate.pem(), key)
    }

    fn pair(&self, file: &str, chain: &str, key: &KeyPair) -> config::Certificate {
        config::Certificate {
            chain: self.write(&format!("{file}.pem"), chain),
            key: self.write(&format!("{file}.key"), &key.serialize_pem()),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Signs devices' certificates.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) path: PathBuf,
}

impl Authority {
    pub(super) fn new(files: &Files, name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let path = files.write(&format!("{name}.pem"), &certificate.pem());
        let issuer = Issuer::new(params, key);
        Self { issuer, path }
    }

    pub(super) fn sign(&self, files: &Files, name: &str, serial: u64) -> config::Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = named(name);
        params.serial_number = Some(SerialNumber::from(serial));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        files.pair(name, &certificate.pem(), &key)
    }

    pub(super) fn revoke(&self, files: &Files, serial: u64) -> PathBuf {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: date_time_ymd(2024, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap();
        files.write("list.crl", &list.pem().unwrap())
    }
}

/// An authority, and a device's certificate with an RSA key of so many bits, signed over that digest.
pub(super) fn weak(
    files: &Files,
    bits: u32,
    digest: MessageDigest,
) -> (PathBuf, config::Certificate) {
    let own = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let root = plain("root", &own, "root", &own, MessageDigest::sha256());
    let key = PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
    let leaf = plain("meter-9", &key, "root", &own, digest);
    let text = |pem: Vec<u8>| String::from_utf8(pem).unwrap();
    let key = text(key.private_key_to_pem_pkcs8().unwrap());
    let pair = config::Certificate {
        chain: files.write("weak.pem", &text(leaf.to_pem().unwrap())),
        key: files.write("weak.key", &key),
    };
    let root = files.write("weak-root.pem", &text(root.to_pem().unwrap()));
    (root, pair)
}

fn plain(
    name: &str,
    key: &PKey<Private>,
    issuer: &str,
    signer: &PKey<Private>,
    digest: MessageDigest,
) -> X509 {
    let name_of = |name: &str| {
        let mut builder = X509Name::builder().unwrap();
        builder.append_entry_by_text("CN", name).unwrap();
        builder.build()
    };
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name_of(name)).unwrap();
    builder.set_issuer_name(&name_of(issuer)).unwrap();
    builder.set_pubkey(key).unwrap();
    let (from, to) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(9));
    builder.set_not_before(&from.unwrap()).unwrap();
    builder.set_not_after(&to.unwrap()).unwrap();
    if name == issuer {
        let authority = BasicConstraints::new().ca().build().unwrap();
        builder.append_extension(authority).unwrap();
    }
    builder.sign(signer, digest).unwrap();
    builder.build()
}

pub(super) fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}
