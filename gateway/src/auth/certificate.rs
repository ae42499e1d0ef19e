//! The names in the certificate that a device has shown; that it is a good one was seen in the handshake.

use config::{CertificateClientName, CertificateNames, CertificatePart};

use super::{Credentials, Grant, Verdict};

/// The kinds of alternative names that may be a client's.
const KINDS: [&str; 3] = ["DNS:", "URI:", "email:"];

/// Compares a client's name with its certificate.
pub(super) fn authenticate(config: &CertificateNames, credentials: &Credentials) -> Verdict {
    let details = &credentials.conninfo.details;
    let Some(certificate) = details.certificate() else {
        return Verdict::Ignore;
    };
    let (what, name) = match config.name {
        CertificateClientName::Clientid => ("clientid", &credentials.clientid),
        CertificateClientName::Username => ("username", &credentials.username),
    };
    let is_cn = || certificate.cn == *name;
    let is_san = || {
        let stands = |san: &String| {
            KINDS
                .iter()
                .any(|kind| san.strip_prefix(kind) == Some(name))
        };
        details.alternative_names().iter().any(stands)
    };
    let is_named = !name.is_empty()
        && match config.from {
            CertificatePart::Any => is_cn() || is_san(),
            CertificatePart::Cn => is_cn(),
            CertificatePart::San => is_san(),
        };
    if is_named {
        Verdict::Allow(Grant::default())
    } else {
        Verdict::Deny(format!("the device's certificate is not for this {what}"))
    }
}
