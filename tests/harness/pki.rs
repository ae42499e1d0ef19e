//! An authority for tests, and what it signs: certificates of servers and devices, revocation lists. All of it stands
//! in files of a folder that goes when the authority goes. Also a volume that changes as those of Kubernetes do.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use openssl::{pkey::PKey, rsa::Rsa};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

/// An authority. Its certificate is in [`Pki::ca_file`].
pub struct Pki {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    serial: AtomicU64,
}

/// A certificate and its key, in files.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM with the certificate.
    pub chain: PathBuf,
    /// PEM with the private key, PKCS#8.
    pub key: PathBuf,
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// Its serial number.
    pub serial: Vec<u8>,
}

/// Which kind of key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// ECDSA over P-256.
    #[default]
    Ecdsa,
    /// RSA of 2048 bits. It takes a second to make one.
    Rsa,
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

impl Pki {
    /// With the name `CN=Test CA`.
    #[must_use]
    pub fn new() -> Self {
        Self::named("Test CA")
    }

    /// With a name of its own. Two of the same name are still two.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(folder.path().join("ca.crt"), certificate.pem()).expect("a file");
        Self {
            folder,
            issuer: Issuer::new(params, key),
            serial: AtomicU64::new(1),
        }
    }

    /// Where all files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// PEM with the authority's certificate.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.folder().join("ca.crt")
    }

    /// A server with this name (SAN, and CN), ECDSA.
    #[must_use]
    pub fn server(&self, name: &str) -> Files {
        self.issue(&server(&[name]), Key::Ecdsa)
    }

    /// A server with this name, RSA.
    #[must_use]
    pub fn rsa_server(&self, name: &str) -> Files {
        self.issue(&server(&[name]), Key::Rsa)
    }

    /// A server whose certificate was good until 2001.
    #[must_use]
    pub fn expired_server(&self, name: &str) -> Files {
        self.issue(&expired(server(&[name])), Key::Ecdsa)
    }

    /// A device: `CN=name,O=Acme,C=DE`, and as alternative names `name` and `urn:dev:name`.
    #[must_use]
    pub fn client(&self, name: &str) -> Files {
        self.issue(&client(name), Key::Ecdsa)
    }

    /// A device whose certificate was good until 2001.
    #[must_use]
    pub fn expired_client(&self, name: &str) -> Files {
        self.issue(&expired(client(name)), Key::Ecdsa)
    }

    /// Signs what is asked for; the serial number is its own.
    #[must_use]
    pub fn issue(&self, params: &CertificateParams, kind: Key) -> Files {
        let number = self.serial.fetch_add(1, Ordering::Relaxed);
        // Above 127 the number has a zero in front of it in DER; both kinds shall occur.
        let serial = vec![u8::try_from(number).expect("fewer than 256 of them"), 1];
        let mut params = params.clone();
        params.serial_number = Some(SerialNumber::from(serial.clone()));
        let key = kind.generate();
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let files = Files {
            chain: self.folder().join(format!("{number}.crt")),
            key: self.folder().join(format!("{number}.key")),
            der: certificate.der().to_vec(),
            serial,
        };
        fs::write(&files.chain, certificate.pem()).expect("a file");
        fs::write(&files.key, key.serialize_pem()).expect("a file");
        files
    }

    /// A file with a revocation list, always the same one, in which these certificates stand.
    #[must_use]
    pub fn crl(&self, revoked: &[&Files]) -> PathBuf {
        self.crl_until(revoked, 2090)
    }

    /// Like [`Pki::crl`]; the next list was to come in 2001.
    #[must_use]
    pub fn expired_crl(&self, revoked: &[&Files]) -> PathBuf {
        self.crl_until(revoked, 2001)
    }

    fn crl_until(&self, revoked: &[&Files], year: i32) -> PathBuf {
        let revoked = revoked.iter().map(|files| RevokedCertParams {
            serial_number: SerialNumber::from(files.serial.clone()),
            revocation_time: date_time_ymd(2000, 1, 2),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2000, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("a list");
        let path = self.folder().join("ca.crl");
        fs::write(&path, list.pem().expect("PEM")).expect("a file");
        path
    }
}

impl Key {
    fn generate(self) -> KeyPair {
        match self {
            Self::Ecdsa => KeyPair::generate().expect("a key"),
            // ring makes no keys for RSA.
            Self::Rsa => {
                let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
                let pem = key.private_key_to_pem_pkcs8().expect("PEM");
                KeyPair::from_pem(&String::from_utf8(pem).expect("text")).expect("a key")
            }
        }
    }
}

/// What a server with these names asks for; the first is its CN, too. `*.` makes a wildcard.
#[must_use]
pub fn server(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).expect("names of servers");
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = names.first().map_or("", String::as_str);
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// What a device with this name asks for.
#[must_use]
pub fn client(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (kind, text) in [
        (DnType::CountryName, "DE"),
        (DnType::OrganizationName, "Acme"),
        (DnType::CommonName, name),
    ] {
        params.distinguished_name.push(kind, text);
    }
    params.subject_alt_names = vec![
        SanType::DnsName(name.try_into().expect("the name of a device")),
        SanType::URI(format!("urn:dev:{name}").try_into().expect("ASCII")),
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2001, 1, 1);
    params
}

/// A volume as Kubernetes mounts Secrets: `name` is a link to `..data/name`, and `..data` one to a folder that is
/// replaced as a whole.
#[derive(Debug)]
pub struct Mounted {
    folder: TempDir,
    versions: AtomicU64,
}

impl Mounted {
    /// With these files: names, and what is in them.
    #[must_use]
    pub fn new(files: &[(&str, Vec<u8>)]) -> Self {
        let mounted = Self {
            folder: tempfile::tempdir().expect("a folder"),
            versions: AtomicU64::new(0),
        };
        mounted.swap(files);
        mounted
    }

    /// Where a file is.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts other files into the place of all that are there, at once.
    pub fn swap(&self, files: &[(&str, Vec<u8>)]) {
        let number = self.versions.fetch_add(1, Ordering::Relaxed);
        let version = format!("..version_{number}");
        fs::create_dir(self.path(&version)).expect("a folder");
        for (name, content) in files {
            fs::write(self.path(&version).join(name), content).expect("a file");
        }
        let (data, next) = (self.path("..data"), self.path("..data_tmp"));
        let old = fs::read_link(&data).ok();
        symlink(&version, &next).expect("a link");
        fs::rename(&next, &data).expect("a link");
        for (name, _) in files {
            if fs::symlink_metadata(self.path(name)).is_err() {
                symlink(Path::new("..data").join(name), self.path(name)).expect("a link");
            }
        }
        if let Some(old) = old {
            fs::remove_dir_all(self.folder.path().join(old)).expect("a folder");
        }
    }
}
