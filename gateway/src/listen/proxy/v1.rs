//! Version 1 of the PROXY protocol: one line of text.
//!
//! Parsed here and not by `ppp`, which takes `\r` for a blank and `+1` for a port, and refuses what may follow
//! `UNKNOWN`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use tokio::net::TcpStream;

use super::{Error, Header, fill};

/// What every line begins with.
pub(super) const PREFIX: &[u8] = b"PROXY ";

/// The longest line, its end included.
const LONGEST: usize = 107;

/// Reads the rest of a line that begins with `start`.
pub(super) async fn read(socket: &TcpStream, start: &[u8]) -> Result<Header, Error> {
    let mut line = [0; LONGEST];
    line[..start.len()].copy_from_slice(start);
    let mut length = start.len();
    while length < LONGEST {
        let rest = &mut line[length..];
        let seen = socket.peek(rest).await.map_err(Error::Io)?;
        if seen == 0 {
            return Err(Error::Closed);
        }
        // Without the line's end among them, all of these bytes are the line's. They are taken out at once: the next
        // peek would find them again, and never wait.
        let end = rest[..seen].iter().position(|byte| *byte == b'\n');
        let take = end.map_or(seen, |end| end + 1);
        fill(socket, &mut rest[..take]).await?;
        length += take;
        if end.is_some() {
            return parse(&line[..length]);
        }
    }
    Err(Error::TooLong(LONGEST))
}

/// Parses a whole line.
fn parse(line: &[u8]) -> Result<Header, Error> {
    let line = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.strip_suffix("\r\n"))
        .filter(|line| !line.contains(['\r', '\n']))
        .ok_or(Error::Malformed("it is not one line of text"))?;
    let mut words = line.split(' ').skip(1);
    match words.next() {
        // Whatever follows is to be ignored.
        Some("UNKNOWN") => Ok(Header::default()),
        Some("TCP4") => addresses::<Ipv4Addr>(words),
        Some("TCP6") => addresses::<Ipv6Addr>(words),
        _ => Err(Error::Malformed(
            "its protocol is not TCP4, TCP6 or UNKNOWN",
        )),
    }
}

fn addresses<'a, Ip: FromStr + Into<IpAddr>>(
    mut words: impl Iterator<Item = &'a str>,
) -> Result<Header, Error> {
    let mut ip = || words.next()?.parse::<Ip>().ok().map(Into::into);
    let ips = ip().zip(ip());
    let mut port = || port(words.next()?);
    let ports = port().zip(port());
    let ((from, to), (from_port, to_port)) = ips.zip(ports).ok_or(Error::Malformed(
        "its addresses and ports are not those of its protocol",
    ))?;
    if words.next().is_some() {
        return Err(Error::Malformed("something follows the ports"));
    }
    Ok(Header {
        source: Some(SocketAddr::new(from, from_port)),
        destination: Some(SocketAddr::new(to, to_port)),
        ..Header::default()
    })
}

/// A decimal number without sign and leading zeros.
fn port(word: &str) -> Option<u16> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (word == "0" || !word.starts_with('0'));
    plain.then(|| word.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_that_lie_or_bend_the_rules_are_refused() {
        for line in [
            "PROXY \r\n",
            "PROXY UNKNOWN\n",
            "PROXY UNKNOWN\r\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY unknown\r\n",
            "PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP4\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
            "PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP4 ::1 ::2 1 2\r\n",
            "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n",
            "PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n",
            "PROXY TCP4\r1.1.1.1\r2.2.2.2\r1\r2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
        ] {
            let error = parse(line.as_bytes()).unwrap_err();
            assert_eq!(error.reason(), "malformed", "{line:?}");
        }
    }

    #[test]
    fn what_follows_unknown_is_ignored() {
        for line in [
            "PROXY UNKNOWN\r\n",
            "PROXY UNKNOWN \r\n",
            "PROXY UNKNOWN a b c d e f g\r\n",
        ] {
            assert_eq!(parse(line.as_bytes()).unwrap(), Header::default());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_line_is_survived(rest in "[A-Z0-9.: +-]{0,100}") {
            let _ = parse(format!("PROXY {rest}\r\n").as_bytes());
        }

        #[test]
        fn addresses_come_through(from: Ipv6Addr, to: Ipv6Addr, ports: (u16, u16)) {
            let line = format!("PROXY TCP6 {from} {to} {} {}\r\n", ports.0, ports.1);
            let header = parse(line.as_bytes()).unwrap();
            prop_assert_eq!(header.source, Some((from, ports.0).into()));
            prop_assert_eq!(header.destination, Some((to, ports.1).into()));
        }
    }
}
