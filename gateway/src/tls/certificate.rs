//! What a device's certificate tells: who it is, for the contract, and metadata for the handler.
//!
//! Whoever signed it, what stands in it is taken as hostile: nothing here fails or panics, and what cannot be read is
//! left out.

use std::net::{Ipv4Addr, Ipv6Addr};

use ring::digest::{SHA256, digest};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
    time::ASN1Time,
};

use crate::transport::{Details, PeerCertificate};

/// Names as text.
mod name;

pub(super) use self::name::distinguished;

/// Adds what a device's certificate, in DER, tells: its names as [`PeerCertificate`], and the metadata
/// `exproto-cert-fingerprint` (SHA-256 of the DER, lower-case hexadecimal), `exproto-cert-serial` (hexadecimal too, as
/// `openssl x509 -serial` has it but in lower case) and `exproto-cert-san`, once for each alternative name: `DNS:…`,
/// `IP:…`, `URI:…` or `email:…`, in the order of the certificate.
///
/// The distinguished name is the text of RFC 4514: the most specific part first, such as `CN=device-7,O=Acme,C=DE`.
/// The common name is the most specific one, too. A certificate that cannot be parsed has empty names.
pub fn describe(der: &[u8], details: &mut Details) {
    let mut peer = PeerCertificate::default();
    let fingerprint = hexadecimal(digest(&SHA256, der).as_ref());
    details.add("exproto-cert-fingerprint", fingerprint.as_bytes());
    if let Some(certificate) = parse(der) {
        let subject = certificate.subject();
        peer.cn = name::common(subject).unwrap_or_default();
        peer.dn = distinguished(subject);
        let serial = serial(certificate.raw_serial());
        details.add("exproto-cert-serial", serial.as_bytes());
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map(|extension| &extension.value.general_names);
        for name in names.into_iter().flatten().filter_map(alternative) {
            details.add("exproto-cert-san", name.as_bytes());
        }
    }
    details.set_certificate(peer);
}

/// The names by which a certificate's owner may be known: the most specific common name, DNS names in lower case, and
/// URIs.
#[must_use]
pub fn names(der: &[u8]) -> Vec<String> {
    let Some(certificate) = parse(der) else {
        return Vec::new();
    };
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let alternative = alternative.map(|extension| &extension.value.general_names);
    let alternative = alternative.into_iter().flatten();
    let alternative = alternative.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::URI(name) => Some((*name).to_owned()),
        _ => None,
    });
    let common = name::common(certificate.subject()).into_iter();
    common.chain(alternative).collect()
}

/// The certificate, unless its DER is none.
pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate)
}

/// In which way a certificate is out of its time, now.
pub(super) fn out_of_time(der: &[u8]) -> Option<String> {
    let certificate = parse(der)?;
    let (validity, now) = (certificate.validity(), ASN1Time::now());
    if now > validity.not_after {
        Some(format!("expired: it was good until {}", validity.not_after))
    } else if now < validity.not_before {
        let from = validity.not_before;
        Some(format!("not valid yet: it is good from {from}"))
    } else {
        None
    }
}

fn serial(bytes: &[u8]) -> String {
    // A zero in front only says that the number is not negative.
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    hexadecimal(&bytes[zeros.min(bytes.len().saturating_sub(1))..])
}

fn alternative(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
        GeneralName::URI(name) => Some(format!("URI:{name}")),
        GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(|ip| Ipv4Addr::from(ip).to_string());
            let v6 = || <[u8; 16]>::try_from(*bytes).map(|ip| Ipv6Addr::from(ip).to_string());
            let ip = v4.or_else(|_| v6()).ok()?;
            Some(format!("IP:{ip}"))
        }
        _ => None,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn device() -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let names = [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Acme, Inc. + Söhne"),
            (DnType::CommonName, "device-7"),
        ];
        for (kind, text) in names {
            params.distinguished_name.push(kind, text);
        }
        params.serial_number = Some(vec![0x00, 0xab, 0x01].into());
        params.subject_alt_names = vec![
            SanType::DnsName("device-7.example.net".try_into().unwrap()),
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::IpAddress(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])),
            SanType::URI("urn:dev:7".try_into().unwrap()),
            SanType::Rfc822Name("seven@example.net".try_into().unwrap()),
        ];
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_tells_its_names() {
        let der = device();
        let mut details = Details::default();
        describe(&der, &mut details);
        let peer = details.certificate().unwrap();
        assert_eq!(peer.cn, "device-7");
        assert_eq!(peer.dn, r"CN=device-7,O=Acme\, Inc. \+ Söhne,C=DE");
        let headers = details.headers().unwrap();
        assert_eq!(headers["exproto-cert-serial"], "ab01");
        let fingerprint = headers["exproto-cert-fingerprint"].to_str().unwrap();
        assert_eq!(fingerprint, hexadecimal(digest(&SHA256, &der).as_ref()));
        assert_eq!(fingerprint.len(), 64);
        let names: Vec<_> = headers.get_all("exproto-cert-san").iter().collect();
        assert_eq!(
            names,
            [
                "DNS:device-7.example.net",
                "IP:192.0.2.7",
                "IP:::1",
                "URI:urn:dev:7",
                "email:seven@example.net"
            ]
        );
    }

    #[test]
    fn what_is_no_certificate_has_a_fingerprint_and_empty_names() {
        let mut details = Details::default();
        describe(b"\x30\x80 no", &mut details);
        assert_eq!(details.certificate(), Some(&PeerCertificate::default()));
        let headers = details.headers().unwrap();
        assert!(headers.contains_key("exproto-cert-fingerprint"));
        assert!(!headers.contains_key("exproto-cert-serial"));
    }

    #[test]
    fn its_owner_is_known_by_common_dns_and_uri_names() {
        let known = ["device-7", "device-7.example.net", "urn:dev:7"];
        assert_eq!(names(&device()), known);
        assert_eq!(names(b"\x30\x80 no"), Vec::<String>::new());
    }

    #[test]
    fn a_serial_of_zero_is_shown() {
        assert_eq!(serial(&[0]), "00");
        assert_eq!(serial(&[0, 0x80]), "80");
        assert_eq!(serial(&[]), "");
    }

    proptest! {
        #[test]
        fn a_damaged_certificate_does_no_harm(at in 0..400_usize, byte: u8, cut in 0..400_usize) {
            let mut der = device();
            let at = at % der.len();
            der[at] = byte;
            describe(&der, &mut Details::default());
            der.truncate(cut);
            describe(&der, &mut Details::default());
            let _ = out_of_time(&der);
        }
    }
}
