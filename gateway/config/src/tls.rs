//! What a listener shows of itself and wants of its devices in a TLS or DTLS handshake.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Certificates and keys of a listener with transport tls, wss or dtls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// What the listener may show. A device that asks for a name (SNI) gets the certificate that is
    /// for this name, any other the first one. Transport wss needs one; tls needs one or
    /// `psk.file`, not both; dtls needs one or `psk.file`, or has both.
    #[schemars(example = "[{chain: /tls/tls.crt, key: /tls/tls.key}]")]
    pub certificates: Vec<Certificate>,

    /// Whether devices must show a certificate of their own, signed by an authority in `ca_file`.
    /// (Shared keys need none.)
    pub verify: Verify,

    /// The authorities that sign devices' certificates. `verify` needs them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/tls/ca.crt")]
    pub ca_file: Option<PathBuf>,

    /// Certificates that are no longer good: revocation lists of these authorities. Where it is set, each authority
    /// of a device's certificate needs a list in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/tls/ca.crl")]
    pub crl_file: Option<PathBuf>,

    /// The oldest version of TLS that is spoken, with transports tls and wss. For dtls see
    /// `dtls.versions`.
    pub min_version: TlsVersion,

    /// Protocols to choose from with devices that offer some (ALPN), the best first. A device that
    /// offers others only is refused. Empty: the offer is ignored.
    #[schemars(example = "[mqtt]")]
    pub alpn: Vec<String>,

    /// Whether a device that comes back may skip the costly part of the handshake.
    pub resumption: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            verify: Verify::None,
            ca_file: None,
            crl_file: None,
            min_version: TlsVersion::V1_2,
            alpn: Vec::new(),
            resumption: true,
        }
    }
}

/// A certificate that the listener may show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The certificate, and after it those that lead to the authority.
    pub chain: PathBuf,

    /// Its private key.
    pub key: PathBuf,
}

/// Whether devices show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// They are not asked.
    #[default]
    None,
    /// They are asked; whoever shows none is let in, whoever shows a bad one is not.
    Optional,
    /// Whoever shows none is refused.
    Required,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2, of 2008.
    #[default]
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3, of 2018.
    #[serde(rename = "1.3")]
    V1_3,
}

/// Keys that devices and the listener share, instead of certificates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Psk {
    /// A file with a line `IDENTITY:KEY` for each device, KEY in hexadecimal digits; empty lines
    /// and lines that start with `#` are ignored. It is watched, as certificates are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/psk/devices")]
    pub file: Option<PathBuf>,

    /// What devices are told so that they can choose an identity (up to TLS 1.2): 1 to 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "fleet-7")]
    pub identity_hint: Option<String>,
}

/// DTLS alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dtls {
    /// The version that is spoken: `["1.2"]` or `["1.3"]`; who needs both has a listener for each.
    /// 1.3 is an option of the build (feature `dtls13`). It takes one certificate, which is not of
    /// RSA, and neither shared keys nor certificates of devices.
    pub versions: Vec<DtlsVersion>,

    /// The largest datagram that the handshake sends, IP and UDP headers not counted. Keep it below
    /// what the path takes: a lost fragment costs the device a second.
    #[serde(with = "crate::count::Count::<256, 4096>")]
    pub mtu: u32,

    /// How many devices may be in the middle of a DTLS 1.3 handshake at a time; further hellos are
    /// refused. A session is kept for each of them, whoever wrote its address. (DTLS 1.2 keeps
    /// nothing before a device has shown that it is there.)
    #[serde(with = "crate::count::Count::<1, 1_000_000>")]
    pub max_handshakes: u32,

    /// OpenSSL's names of the cipher suites that are offered, for DTLS 1.2 and TLS-PSK. Unset: those with forward
    /// secrecy and AEAD, with PSK also AES-CCM and CBC for small devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "ECDHE+AESGCM:PSK+AESGCM")]
    pub ciphers: Option<String>,
}

impl Default for Dtls {
    fn default() -> Self {
        Self {
            versions: vec![DtlsVersion::V1_2],
            mtu: 1200,
            max_handshakes: 1000,
            ciphers: None,
        }
    }
}

/// A version of DTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DtlsVersion {
    /// DTLS 1.2, of 2012.
    #[serde(rename = "1.2")]
    V1_2,
    /// DTLS 1.3, of 2022.
    #[serde(rename = "1.3")]
    V1_3,
}
