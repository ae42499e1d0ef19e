//! Why a session ended, or never began.

use openssl::{
    error::ErrorStack,
    ssl::{Error as SslError, ErrorCode, SslRef},
    x509::X509VerifyResult,
};

/// Reasons of OpenSSL, from its `sslerr.h`.
const CERTIFICATE_VERIFY_FAILED: i32 = 134;
const PEER_DID_NOT_RETURN_A_CERTIFICATE: i32 = 199;
const PSK_IDENTITY_NOT_FOUND: i32 = 223;
const READ_TIMEOUT_EXPIRED: i32 = 312;
/// No such protocol, in its many ways of saying so.
const VERSIONS: [i32; 7] = [166, 191, 252, 258, 266, 267, 396];
/// An alert of the device, plus its number.
const ALERTS: i32 = 1000;

/// Why a session ended, or never began.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// What came is no DTLS.
    #[error("what the device sent is not DTLS")]
    NotDtls,
    /// The device shows no certificate, and must.
    #[error("the device shows no certificate: give it one, or set tls.verify to optional")]
    NoCertificate,
    /// The device shows a certificate that is not good.
    #[error("the device's certificate is refused: {0}")]
    BadCertificate(String),
    /// No key is known for the device's identity.
    #[error("the device names an identity that is not in psk.file")]
    UnknownPsk,
    /// The device speaks another version.
    #[error("the device does not speak DTLS 1.2")]
    Version,
    /// The device did not answer, however often it was asked.
    #[error("the device did not finish the handshake")]
    Timeout,
    /// The session is over: it was closed here, or by the device, with an alert where there is a text.
    #[error("the session is closed{0}")]
    Closed(String),
    /// The device has begun a new session.
    #[error("the device has begun a new session")]
    Superseded,
    /// OpenSSL has no session for us.
    #[error("OpenSSL cannot set up a session: {0}")]
    NotSetUp(String),
    /// A message is longer than a record.
    #[error("a message of {size} bytes does not fit into a record of {limit}: send less at once")]
    TooLong {
        /// Its length in bytes.
        size: usize,
        /// The most bytes for this device.
        limit: usize,
    },
    /// A message was to be sent before the handshake was done.
    #[error("the handshake is not done yet")]
    NotEstablished,
    /// Anything else, in OpenSSL's words.
    #[error("DTLS failed: {0}")]
    Other(String),
}

impl SessionError {
    /// A word for metrics, of a closed set.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotDtls => "not_dtls",
            Self::NoCertificate => "no_certificate",
            Self::BadCertificate(_) => "bad_certificate",
            Self::UnknownPsk => "unknown_psk",
            Self::Version => "version",
            Self::Timeout => "timeout",
            Self::Closed(_) | Self::Superseded => "closed",
            Self::TooLong { .. } | Self::NotEstablished | Self::NotSetUp(_) | Self::Other(_) => {
                "other"
            }
        }
    }

    /// What a call to OpenSSL failed with.
    pub(super) fn of(error: &SslError, ssl: &SslRef) -> Self {
        if error.code() == ErrorCode::ZERO_RETURN {
            return Self::Closed(String::new());
        }
        match error.ssl_error() {
            Some(stack) => Self::of_stack(stack, ssl.verify_result()),
            None => Self::Other(error.to_string()),
        }
    }

    pub(super) fn of_stack(stack: &ErrorStack, verified: X509VerifyResult) -> Self {
        let Some(first) = stack.errors().first() else {
            return Self::Other("OpenSSL does not say why".to_owned());
        };
        let text = || first.reason().unwrap_or("unknown reason").to_owned();
        match first.reason_code() {
            PEER_DID_NOT_RETURN_A_CERTIFICATE => Self::NoCertificate,
            CERTIFICATE_VERIFY_FAILED => Self::BadCertificate(verified.error_string().to_owned()),
            PSK_IDENTITY_NOT_FOUND => Self::UnknownPsk,
            READ_TIMEOUT_EXPIRED => Self::Timeout,
            version if VERSIONS.contains(&version) => Self::Version,
            alert if (ALERTS..ALERTS + 256).contains(&alert) => {
                Self::Closed(format!(" by the device: {}", text()))
            }
            _ => Self::Other(text()),
        }
    }
}
