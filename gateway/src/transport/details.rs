//! What is told of a device before its first byte: its certificate, and metadata for `OnSocketCreated`.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The most bytes that all of the metadata may take, names included: HTTP/2 peers refuse long lists of headers.
const MOST: usize = 8 * 1024;

/// The metadata of one alternative name of a device's certificate.
pub(crate) const ALTERNATIVE_NAME: &str = "exproto-cert-san";

/// The metadata of the identity of a device's shared key.
pub(crate) const PSK_IDENTITY: &str = "exproto-psk-identity";

/// What certificates, SNI, PROXY headers and the like tell of a device. Nothing is allocated where there is nothing.
#[derive(Clone, Debug, Default)]
pub struct Details(Option<Box<Inner>>);

#[derive(Clone, Debug, Default)]
struct Inner {
    certificate: Option<PeerCertificate>,
    headers: HeaderMap,
    size: usize,
}

impl Inner {
    fn append(&mut self, name: HeaderName, value: HeaderValue) {
        // As HPACK counts: 32 bytes for what surrounds an entry.
        let size = name.as_str().len() + value.len() + 32;
        if self.size + size > MOST {
            let truncated = HeaderName::from_static("exproto-truncated");
            self.headers
                .insert(truncated, HeaderValue::from_static("true"));
        } else {
            self.size += size;
            self.headers.append(name, value);
        }
    }
}

/// Who a device's certificate says that it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The common name; empty where there is none.
    pub cn: String,
    /// The distinguished name.
    pub dn: String,
}

impl Details {
    /// Adds metadata: as it is where it is printable ASCII, else in base64 under the name with `-bin`, as gRPC has it.
    /// May be called more than once for a name. What does not fit into 8 KiB is left out, and `exproto-truncated: true`
    /// says so.
    pub fn add(&mut self, name: &'static str, value: &[u8]) {
        let printable = value.iter().all(|byte| (0x20..=0x7e).contains(byte));
        // A value with blanks around it would lose them on its way.
        let plain = printable && value.trim_ascii().len() == value.len();
        let (name, value) = if plain {
            (HeaderName::from_static(name), value.to_vec())
        } else {
            let name = HeaderName::from_bytes(format!("{name}-bin").as_bytes());
            let name = name.expect("a header's name with -bin is one");
            (name, STANDARD_NO_PAD.encode(value).into_bytes())
        };
        let value = HeaderValue::from_bytes(&value).expect("printable ASCII");
        self.0.get_or_insert_default().append(name, value);
    }

    /// Adds all that the other tells, where there is room for it.
    pub fn merge(&mut self, other: Self) {
        let Some(other) = other.0 else { return };
        let Some(inner) = &mut self.0 else {
            self.0 = Some(other);
            return;
        };
        inner.certificate = other.certificate.or(inner.certificate.take());
        for (name, value) in &other.headers {
            inner.append(name.clone(), value.clone());
        }
    }

    /// The device has shown this certificate.
    pub fn set_certificate(&mut self, certificate: PeerCertificate) {
        self.0.get_or_insert_default().certificate = Some(certificate);
    }

    /// The certificate that the device has shown.
    #[must_use]
    pub fn certificate(&self) -> Option<&PeerCertificate> {
        self.0.as_ref()?.certificate.as_ref()
    }

    /// The name that the device has proven: the common name of its certificate, or the identity of its shared key (in
    /// base64 where it is not plain).
    #[must_use]
    pub fn proven_name(&self) -> Option<&str> {
        let of_certificate = self.certificate().map(|certificate| &*certificate.cn);
        let of_certificate = of_certificate.filter(|name| !name.is_empty());
        let named = |name: &str| self.headers()?.get(name)?.to_str().ok();
        of_certificate
            .or_else(|| named(PSK_IDENTITY))
            .or_else(|| named("exproto-psk-identity-bin"))
    }

    /// The alternative names of that certificate, each with its kind: `DNS:…`, `URI:…`, `email:…`, `IP:…`.
    #[must_use]
    pub fn alternative_names(&self) -> Vec<String> {
        let Some(headers) = self.headers() else {
            return Vec::new();
        };
        let plain = headers.get_all(ALTERNATIVE_NAME).iter();
        let plain = plain.filter_map(|name| name.to_str().ok().map(str::to_owned));
        let encoded = headers.get_all(format!("{ALTERNATIVE_NAME}-bin")).iter();
        let encoded = encoded.filter_map(|name| {
            let name = STANDARD_NO_PAD.decode(name.as_bytes()).ok()?;
            String::from_utf8(name).ok()
        });
        plain.chain(encoded).collect()
    }

    /// Each of its names, without metadata's `-bin`, and the value as it was.
    #[must_use]
    pub fn plain(&self) -> Vec<(String, Vec<u8>)> {
        let headers = self.headers().into_iter().flatten();
        headers
            .map(|(name, value)| match name.as_str().strip_suffix("-bin") {
                Some(name) => {
                    let value = STANDARD_NO_PAD.decode(value.as_bytes());
                    (name.to_owned(), value.unwrap_or_default())
                }
                None => (name.as_str().to_owned(), value.as_bytes().to_vec()),
            })
            .collect()
    }

    /// The metadata for `OnSocketCreated`.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.0.as_ref().map(|inner| &inner.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        let mut details = Details::default();
        details.add("exproto-tls-sni", b"device.example.net");
        assert_eq!(
            details.headers().unwrap()["exproto-tls-sni"],
            "device.example.net"
        );
    }

    #[test]
    fn a_name_is_proven_by_a_certificate_or_a_shared_key() {
        let mut details = Details::default();
        assert_eq!(details.proven_name(), None);
        details.add("exproto-tls-sni", b"device.example.net");
        assert_eq!(details.proven_name(), None);
        details.set_certificate(PeerCertificate::default());
        assert_eq!(details.proven_name(), None);
        details.add(PSK_IDENTITY, b"meter-1");
        assert_eq!(details.proven_name(), Some("meter-1"));
        details.set_certificate(PeerCertificate {
            cn: "device-7".to_owned(),
            dn: String::new(),
        });
        assert_eq!(details.proven_name(), Some("device-7"));
        let mut odd = Details::default();
        odd.add(PSK_IDENTITY, &[0xff]);
        assert_eq!(odd.proven_name(), Some("/w"));
    }

    #[test]
    fn what_headers_cannot_carry_goes_in_base64() {
        let mut details = Details::default();
        details.add("exproto-tls-sni", "gerät".as_bytes());
        details.add("exproto-proxy-alpn", b" h2");
        let headers = details.headers().unwrap();
        assert_eq!(headers["exproto-tls-sni-bin"], "Z2Vyw6R0");
        assert_eq!(headers["exproto-proxy-alpn-bin"], "IGgy");
        let name = "exproto-tls-sni".to_owned();
        assert_eq!(details.plain()[0], (name, "gerät".into()));
    }

    #[test]
    fn all_of_it_stays_within_8_kib() {
        let mut details = Details::default();
        for _ in 0..100 {
            details.add("exproto-cert-san", &[b'x'; 200]);
        }
        let headers = details.headers().unwrap();
        let size: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 32)
            .sum();
        assert!(size <= MOST + 64, "{size}");
        assert_eq!(headers["exproto-truncated"], "true");
    }
}
