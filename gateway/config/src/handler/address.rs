//! Addresses that are called by name: the handler's, and the adapter's as handlers see it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use crate::text::text;

/// A host name or IP address with a port, to be connected to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: u16,
}

text!(HostPort, "an address such as gateway-0.example.net:9100");

impl HostPort {
    /// Without a check; `host` is known to be good.
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// The host name or IP address; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        if self.host.contains(':') {
            write!(to, "[{}]:{}", self.host, self.port)
        } else {
            write!(to, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not an address; write host:port");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let ip = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match ip {
            Some(ip) => ip.parse::<Ipv6Addr>().map_err(|_| wrong())?.to_string(),
            None if is_host_name(host) => host.to_ascii_lowercase(),
            None => return Err(wrong()),
        };
        if port == 0 {
            return Err(wrong());
        }
        Ok(Self { host, port })
    }
}

/// Whether it is an IPv4 address, or DNS could know it.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    // No name ends in a number: this is a mistyped IPv4 address.
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    text.parse::<Ipv4Addr>().is_ok()
        || name.len() <= 253
            && name.split('.').all(is_label)
            && !name.rsplit('.').next().is_some_and(is_number)
}

/// A name that DNS may know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(String);

text!(
    HostName,
    "a name such as handler.default.svc.cluster.local."
);

impl HostName {
    /// The name in lower case; with a dot at its end where it is written so.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as certificates have it: without a dot at its end.
    #[must_use]
    pub fn of_certificate(&self) -> &str {
        self.0.trim_end_matches('.')
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_host_name(text) && text.parse::<IpAddr>().is_err() {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        let shown = crate::text::shown(text);
        Err(format!(
            "\"{shown}\" is no name of a host; write for example handler.default.svc.cluster.local."
        ))
    }
}

/// A server of DNS: an IP address, with a port where that is not 53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nameserver(pub SocketAddr);

text!(Nameserver, "an address such as 10.96.0.10");

impl fmt::Display for Nameserver {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self.0.port() {
            53 => self.0.ip().fmt(to),
            _ => self.0.fmt(to),
        }
    }
}

impl FromStr for Nameserver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = match text.parse::<IpAddr>() {
            Ok(ip) => Some(SocketAddr::new(ip, 53)),
            Err(_) => text.parse().ok(),
        };
        let address = address.filter(|address: &SocketAddr| address.port() != 0);
        address.map(Self).ok_or_else(|| {
            let shown = crate::text::shown(text);
            format!(
                "\"{shown}\" is no server of DNS; write an IP address, with a port where that is not 53"
            )
        })
    }
}

/// The URL of one replica of the handler: `http://host:port`, or `https://host:port` for TLS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandlerAddress {
    place: HostPort,
    secure: bool,
}

text!(HandlerAddress, "an address such as http://127.0.0.1:9001");

impl HandlerAddress {
    pub(crate) fn new(place: HostPort) -> Self {
        let secure = false;
        Self { place, secure }
    }

    /// One of the addresses that a name stands for.
    #[must_use]
    pub fn found(ip: IpAddr, port: u16, secure: bool) -> Self {
        let place = HostPort::new(&ip.to_canonical().to_string(), port);
        Self { place, secure }
    }

    /// The host name or IP address; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.place.host()
    }

    /// The port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.place.port()
    }

    /// Whether it is spoken to over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl fmt::Display for HandlerAddress {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(to, "{scheme}://{}", self.place)
    }
}

impl FromStr for HandlerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "\"{text}\" is not a handler's address: {why}; write http://host:port, for example \
                 http://127.0.0.1:9001"
            )
        };
        let (secure, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://").unwrap_or(text)),
        };
        if rest.contains("://") {
            return Err(wrong("its scheme is unknown"));
        }
        if rest.contains(['/', '?', '#']) {
            return Err(wrong("it has a path"));
        }
        if rest.contains('@') {
            return Err(wrong("it has a user name"));
        }
        rest.parse()
            .map(|place| Self { place, secure })
            .map_err(|_| wrong("host and port are needed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_and_both_families_are_taken() {
        let cases = [
            (
                "http://127.0.0.1:9001",
                "127.0.0.1",
                "http://127.0.0.1:9001",
            ),
            ("handler:9001", "handler", "http://handler:9001"),
            (
                "http://Handler.Default.svc.:9001",
                "handler.default.svc.",
                "http://handler.default.svc.:9001",
            ),
            ("[::1]:9001", "::1", "http://[::1]:9001"),
            ("http://[0:0::1]:9001", "::1", "http://[::1]:9001"),
            ("https://h:9001", "h", "https://h:9001"),
        ];
        for (text, host, shown) in cases {
            let address: HandlerAddress = text.parse().unwrap();
            assert_eq!(address.host(), host);
            assert_eq!(address.port(), 9001);
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.is_secure(), shown.starts_with("https"));
        }
    }

    #[test]
    fn what_is_no_address_of_a_handler_says_why() {
        let cases = [
            ("ftp://h:1", "its scheme is unknown"),
            ("http://h:1/", "it has a path"),
            ("http://h:1?a", "it has a path"),
            ("http://me@h:1", "it has a user name"),
            ("http://h", "host and port are needed"),
            ("h:0", "host and port are needed"),
            ("h:65536", "host and port are needed"),
            (":1", "host and port are needed"),
            ("a b:1", "host and port are needed"),
            ("::1:1", "host and port are needed"),
            ("1.2.3:1", "host and port are needed"),
            ("[h]:1", "host and port are needed"),
            ("", "host and port are needed"),
        ];
        for (text, why) in cases {
            let error = text.parse::<HandlerAddress>().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn names_and_their_servers_are_told_from_addresses() {
        let name: HostName = "Handler.Default.svc.".parse().unwrap();
        assert_eq!(name.as_str(), "handler.default.svc.");
        assert_eq!(name.of_certificate(), "handler.default.svc");
        for text in ["", "10.0.0.1", "::1", "a b", "h:1", "http://h"] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
        for (text, shown) in [
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1:53", "10.0.0.1"),
            ("[::1]:5353", "[::1]:5353"),
            ("::1", "::1"),
        ] {
            let server: Nameserver = text.parse().unwrap();
            assert_eq!(server.to_string(), shown);
        }
        for text in ["", "dns", "10.0.0.1:0", "10.0.0"] {
            assert!(text.parse::<Nameserver>().is_err(), "{text}");
        }
    }
}
