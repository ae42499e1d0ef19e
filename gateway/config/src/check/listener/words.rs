//! What is agreed upon in handshakes, word by word.

use super::One;

/// The most bytes that TLS has for a protocol's name.
const NAME: usize = 255;

/// The most bytes that devices take for a hint; many know no more than this.
const HINT: usize = 128;

pub(super) fn check(one: &mut One) {
    let listener = one.listener;
    for (index, name) in listener.tls.alpn.iter().enumerate() {
        if !is_name(name, |c| c.is_ascii_graphic()) {
            let text = format!(
                "\"{name}\" cannot name a protocol; {}",
                write_name("no blanks")
            );
            one.add(&format!("tls.alpn[{index}]"), text);
        }
    }
    for (index, name) in listener.websocket.subprotocols.iter().enumerate() {
        if !is_name(name, is_token) {
            let allowed = "letters, digits and any of !#$%&'*+-.^_`|~";
            let text = format!(
                "\"{name}\" cannot name a subprotocol; {}",
                write_name(allowed)
            );
            one.add(&format!("websocket.subprotocols[{index}]"), text);
        }
    }
    if let Some(path) = &listener.websocket.path {
        let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#');
        if !path.starts_with('/') || !path.chars().all(fits) {
            let text = format!(
                "\"{path}\" is not a path; write one that starts with /, without a query, and with \
                 % for what is not ASCII"
            );
            one.add("websocket.path", text);
        }
    }
    if let Some(hint) = &listener.psk.identity_hint
        && (hint.len() > HINT || hint.is_empty() || hint.contains('\0'))
    {
        let text = format!("it cannot be a hint; write 1 to {HINT} bytes without NUL");
        one.add("psk.identity_hint", text);
    }
}

fn is_name(name: &str, allowed: impl Fn(char) -> bool) -> bool {
    (1..=NAME).contains(&name.len()) && name.chars().all(allowed)
}

fn write_name(allowed: &str) -> String {
    format!("write 1 to {NAME} ASCII characters, {allowed}")
}

/// As in headers of HTTP.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}
