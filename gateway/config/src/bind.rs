//! The address that a listener or server takes.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use crate::{HostPort, text::text};

/// An address to listen on: `1.2.3.4:7993`, `[::1]:7993`, or a port alone.
///
/// `[::]:7993` takes IPv4 as well, and a port alone means the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bind(pub SocketAddr);

text!(Bind, "an address such as 0.0.0.0:7993");

impl Bind {
    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }

    /// Whether it is every address of the machine (`0.0.0.0` or `[::]`).
    #[must_use]
    pub fn is_wildcard(self) -> bool {
        self.0.ip().to_canonical().is_unspecified()
    }

    /// What others are told of a server at this bound address: the address that is written for them, or else this one, or
    /// where it is every address the pod's own, if that is known. `None` where nothing useful can be told.
    #[must_use]
    pub fn advertise(self, written: Option<&HostPort>, pod_ip: Option<IpAddr>) -> Option<String> {
        if let Some(address) = written {
            return Some(address.to_string());
        }
        if self.is_wildcard() {
            pod_ip.map(|ip| SocketAddr::new(ip, self.0.port()).to_string())
        } else {
            Some(self.0.to_string())
        }
    }

    /// Whether both cannot be bound at once. A port of 0 is chosen by the system and never clashes.
    #[must_use]
    pub fn clashes_with(self, other: Self) -> bool {
        let (here, there) = (self.0.ip().to_canonical(), other.0.ip().to_canonical());
        self.0.port() != 0
            && self.0.port() == other.0.port()
            && (here == there || covers(here, there) || covers(there, here))
    }
}

/// Whether the wildcard takes the address too; `[::]` is dual-stack.
fn covers(wildcard: IpAddr, address: IpAddr) -> bool {
    wildcard.is_unspecified() && (wildcard.is_ipv6() || address.is_ipv4())
}

impl fmt::Display for Bind {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl From<SocketAddr> for Bind {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

impl FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.parse::<u16>() {
            return Ok(Self(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))));
        }
        text.parse().map(Self).map_err(|_| {
            format!("\"{text}\" is not an address; write host:port, for example 0.0.0.0:7993")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(text: &str) -> Bind {
        text.parse().unwrap()
    }

    #[test]
    fn a_port_alone_is_every_address_of_both_families() {
        assert_eq!(bind("7993"), bind("[::]:7993"));
        assert!(bind("7993").is_wildcard());
        assert_eq!(bind("7993").to_string(), "[::]:7993");
    }

    #[test]
    fn binds_clash_when_the_system_would_refuse_the_second() {
        let cases = [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("127.0.0.1:1", "[::]:1", true),
            ("0.0.0.0:1", "[::]:1", true),
            ("0.0.0.0:1", "[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1", true),
            ("0.0.0.0:0", "0.0.0.0:0", false),
        ];
        for (one, other, clash) in cases {
            assert_eq!(bind(one).clashes_with(bind(other)), clash, "{one} {other}");
            assert_eq!(bind(other).clashes_with(bind(one)), clash, "{other} {one}");
        }
    }

    #[test]
    fn loopback_is_known_in_every_spelling() {
        for text in [
            "127.0.0.1:1",
            "127.8.8.8:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(bind(text).is_loopback(), "{text}");
        }
        for text in ["0.0.0.0:1", "1", "10.0.0.1:1", "[::]:1"] {
            assert!(!bind(text).is_loopback(), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "localhost:1",
            "1.2.3.4",
            "1.2.3.4:65536",
            "::1:1",
            "-1",
            " 1",
        ] {
            assert!(text.parse::<Bind>().is_err(), "{text}");
        }
    }
}
