//! Version 2 of the PROXY protocol: a binary header, with room for more than addresses.

use std::net::SocketAddr;

use ppp::v2::{self, Addresses, Protocol, Type};
use tokio::net::TcpStream;

use super::{Error, Header, fill};
use crate::transport::Details;

/// What every header begins with.
pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, the command, the family and the length of the rest.
const START: usize = SIGNATURE.len() + 4;

/// The longest rest that is taken; the format has room for 64 KiB, and balancers send some hundred bytes.
const LONGEST: usize = 4096;

/// The rest is the balancer's own affair: the connection is its own, and the family means nothing.
const LOCAL: u8 = 0x20;

/// What a balancer may tell beside addresses. As it sent them: texts need not be UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tlvs {
    /// The protocol that the device and the balancer agreed upon by ALPN.
    pub alpn: Option<Vec<u8>>,
    /// The host name that the device asked for, as by SNI.
    pub authority: Option<Vec<u8>>,
    /// The balancer's name for the connection.
    pub unique_id: Option<Vec<u8>>,
    /// The device's TLS, which ends at the balancer.
    pub ssl: Option<Ssl>,
}

/// TLS between the device and the balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssl {
    /// Whether the device's certificate was verified. `None`: it has shown none.
    pub verified: Option<bool>,
    /// The version of TLS.
    pub version: Option<Vec<u8>>,
    /// The common name in the device's certificate.
    pub cn: Option<Vec<u8>>,
}

/// Reads what follows the signature.
pub(super) async fn read(socket: &TcpStream) -> Result<Header, Error> {
    let mut bytes = vec![0; START];
    bytes[..SIGNATURE.len()].copy_from_slice(SIGNATURE);
    fill(socket, &mut bytes[SIGNATURE.len()..]).await?;
    let length = usize::from(u16::from_be_bytes([bytes[START - 2], bytes[START - 1]]));
    if length > LONGEST {
        return Err(Error::TooLong(START + LONGEST));
    }
    bytes.resize(START + length, 0);
    fill(socket, &mut bytes[START..]).await?;
    parse(&bytes)
}

/// Parses a whole header.
fn parse(bytes: &[u8]) -> Result<Header, Error> {
    if bytes.get(SIGNATURE.len()) == Some(&LOCAL) {
        return Ok(Header::default());
    }
    let header = v2::Header::try_from(bytes)?;
    check_sum(&header)?;
    let tlvs = Tlvs::parse(header.tlvs())?;
    let (source, destination) = match header.addresses {
        // It cannot be speaking of this connection otherwise.
        _ if header.protocol != Protocol::Stream => (None, None),
        Addresses::IPv4(ip) => (
            Some(SocketAddr::from((ip.source_address, ip.source_port))),
            Some(SocketAddr::from((
                ip.destination_address,
                ip.destination_port,
            ))),
        ),
        Addresses::IPv6(ip) => (
            Some(SocketAddr::from((ip.source_address, ip.source_port))),
            Some(SocketAddr::from((
                ip.destination_address,
                ip.destination_port,
            ))),
        ),
        Addresses::Unix(_) | Addresses::Unspecified => (None, None),
    };
    Ok(Header {
        source,
        destination,
        tlvs,
    })
}

/// The balancer may send a checksum; then it must be right.
fn check_sum(header: &v2::Header<'_>) -> Result<(), Error> {
    let bytes = header.as_bytes();
    let mut offset = bytes.len() - header.tlv_bytes().len();
    for tlv in header.tlvs() {
        let tlv = tlv?;
        let value = offset + 3;
        offset = value + tlv.len();
        if tlv.kind != Type::CRC32C as u8 {
            continue;
        }
        let told = <[u8; 4]>::try_from(&*tlv.value)
            .map_err(|_| Error::Malformed("its checksum has not 4 bytes"))?;
        // It was made with zeros where it stands itself.
        let parts = [&bytes[..value], &[0; 4], &bytes[offset..]];
        if crc32c(parts.into_iter().flatten()) != u32::from_be_bytes(told) {
            return Err(Error::Malformed("its checksum is wrong"));
        }
    }
    Ok(())
}

/// CRC-32C, bit by bit: headers are short, and few carry one.
fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(sum & 1))
        })
    })
}

impl Tlvs {
    fn parse(tlvs: v2::TypeLengthValues<'_>) -> Result<Self, Error> {
        const ALPN: u8 = Type::ALPN as u8;
        const AUTHORITY: u8 = Type::Authority as u8;
        const UNIQUE_ID: u8 = Type::UniqueId as u8;
        const SSL: u8 = Type::SSL as u8;
        let mut all = Self::default();
        for tlv in tlvs {
            let tlv = tlv?;
            match tlv.kind {
                ALPN => all.alpn = Some(tlv.value.into()),
                AUTHORITY => all.authority = Some(tlv.value.into()),
                UNIQUE_ID => all.unique_id = Some(tlv.value.into()),
                SSL => all.ssl = Ssl::parse(&tlv.value)?,
                _ => {}
            }
        }
        Ok(all)
    }

    pub(super) fn describe(&self, details: &mut Details) {
        let mut add = |name, value: &Option<Vec<u8>>| {
            if let Some(value) = value {
                details.add(name, value);
            }
        };
        add("exproto-proxy-alpn", &self.alpn);
        add("exproto-proxy-authority", &self.authority);
        add("exproto-proxy-unique-id", &self.unique_id);
        let Some(ssl) = &self.ssl else { return };
        add("exproto-proxy-ssl-version", &ssl.version);
        add("exproto-proxy-ssl-cn", &ssl.cn);
        if let Some(verified) = ssl.verified {
            details.add(
                "exproto-proxy-ssl-verified",
                verified.to_string().as_bytes(),
            );
        }
    }
}

impl Ssl {
    /// `None`: the device came without TLS.
    fn parse(value: &[u8]) -> Result<Option<Self>, Error> {
        const WITH_TLS: u8 = 0x01;
        /// On this connection, or on one before that it resumes.
        const WITH_CERTIFICATE: u8 = 0x02 | 0x04;
        const VERSION: u8 = Type::SSLVersion as u8;
        const CN: u8 = Type::SSLCommonName as u8;
        let Some(([client, verify @ ..], inner)) = value.split_first_chunk::<5>() else {
            return Err(Error::Malformed("what it tells of TLS is cut off"));
        };
        let shown = client & WITH_CERTIFICATE != 0;
        let mut ssl = Self {
            verified: shown.then_some(*verify == [0; 4]),
            ..Self::default()
        };
        for tlv in v2::TypeLengthValues::from(inner) {
            let tlv = tlv?;
            match tlv.kind {
                VERSION => ssl.version = Some(tlv.value.into()),
                CN => ssl.cn = Some(tlv.value.into()),
                _ => {}
            }
        }
        Ok((client & WITH_TLS != 0).then_some(ssl))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_checksum_is_crc_32c() {
        assert_eq!(crc32c(b"123456789".iter()), 0xe306_9283);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_rest_is_survived(command: u8, family in 0_u8..0x40, rest in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut bytes = SIGNATURE.to_vec();
            bytes.extend([0x20 | (command & 1), family]);
            bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
            bytes.extend(rest);
            let _ = parse(&bytes);
        }

        #[test]
        fn any_tlv_is_survived(kind in 0_u8..0x24, value: Vec<u8>, lie in -2_i32..3) {
            let mut bytes = SIGNATURE.to_vec();
            let length = u16::try_from(12 + 3 + value.len()).unwrap();
            bytes.extend([0x21, 0x11]);
            bytes.extend(length.to_be_bytes());
            bytes.extend([1; 12]);
            let told = i32::try_from(value.len()).unwrap() + lie;
            bytes.push(kind);
            bytes.extend(u16::try_from(told.max(0)).unwrap().to_be_bytes());
            bytes.extend(value);
            let _ = parse(&bytes);
        }
    }
}
