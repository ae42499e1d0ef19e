//! What two libraries say of a failed handshake, as one small set of words.

use std::{fmt, io};

use rustls::{CertificateError, PeerIncompatible};

use crate::tls::psk::Asked;

/// Why a handshake failed, as a word for metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// What came was not TLS.
    NotTls,
    /// The device speaks older versions only.
    Version,
    /// No cipher suite, group or signature is known to both.
    NothingInCommon,
    /// The device offers other protocols only (ALPN).
    Alpn,
    /// The device shows no certificate, and must.
    NoCertificate,
    /// The device's certificate is expired, or not valid yet.
    ExpiredCertificate,
    /// The device's certificate is revoked, or no revocation list tells that it is not.
    RevokedCertificate,
    /// The device's certificate is not signed by an authority of ours.
    UnknownAuthority,
    /// The device's certificate is wrong in another way.
    BadCertificate,
    /// Nobody shares a key under the device's identity.
    UnknownPsk,
    /// The device has another key for its identity.
    WrongPsk,
    /// The device broke it off with an alert, such as when it does not trust our certificate.
    Alert,
    /// The device went away.
    Closed,
    /// The socket failed.
    Io,
    /// Something else.
    Other,
}

impl Reason {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotTls => "not_tls",
            Self::Version => "version",
            Self::NothingInCommon => "nothing_in_common",
            Self::Alpn => "alpn",
            Self::NoCertificate => "no_certificate",
            Self::ExpiredCertificate => "expired_certificate",
            Self::RevokedCertificate => "revoked_certificate",
            Self::UnknownAuthority => "unknown_authority",
            Self::BadCertificate => "bad_certificate",
            Self::UnknownPsk => "unknown_psk",
            Self::WrongPsk => "wrong_psk",
            Self::Alert => "alert",
            Self::Closed => "closed",
            Self::Io => "io",
            Self::Other => "other",
        }
    }

    pub(super) fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io,
        }
    }

    pub(super) fn of_rustls(error: &rustls::Error) -> Self {
        use rustls::Error as E;
        match error {
            E::InvalidMessage(_)
            | E::InappropriateMessage { .. }
            | E::InappropriateHandshakeMessage { .. }
            | E::PeerSentOversizedRecord => Self::NotTls,
            E::PeerIncompatible(
                PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled,
            ) => Self::Version,
            E::PeerIncompatible(_) => Self::NothingInCommon,
            E::NoApplicationProtocol => Self::Alpn,
            E::NoCertificatesPresented => Self::NoCertificate,
            E::InvalidCertificate(error) => Self::of_certificate(error),
            E::AlertReceived(_) => Self::Alert,
            _ => Self::Other,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        use CertificateError as E;
        match error {
            E::Expired
            | E::ExpiredContext { .. }
            | E::NotValidYet
            | E::NotValidYetContext { .. } => Self::ExpiredCertificate,
            E::Revoked
            | E::UnknownRevocationStatus
            | E::ExpiredRevocationList
            | E::ExpiredRevocationListContext { .. } => Self::RevokedCertificate,
            E::UnknownIssuer => Self::UnknownAuthority,
            _ => Self::BadCertificate,
        }
    }

    /// OpenSSL has words alone. Those of version 3 are known here.
    pub(super) fn of_openssl(error: &openssl::ssl::Error, asked: Option<&Asked>) -> Self {
        let errors = error.ssl_error().map(openssl::error::ErrorStack::errors);
        let Some(word) = errors.and_then(|errors| errors.first()?.reason()) else {
            return Self::Closed;
        };
        match word {
            "http request"
            | "https proxy request"
            | "wrong version number"
            | "packet length too long"
            | "record layer failure"
            | "bad record type"
            | "length mismatch"
            | "length too short"
            | "unexpected message"
            | "invalid ccs message" => Self::NotTls,
            "unsupported protocol" | "version too low" => Self::Version,
            "no application protocol" => Self::Alpn,
            _ if word.contains("alert") => Self::Alert,
            _ => match asked {
                Some(asked) if !asked.known => Self::UnknownPsk,
                Some(_) => Self::WrongPsk,
                None => Self::NothingInCommon,
            },
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str(self.as_str())
    }
}
