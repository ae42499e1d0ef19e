//! The choice of a protocol, on OpenSSL; rustls has its own.

use openssl::ssl::{AlpnError, SslContextBuilder};

/// The first of our protocols that the device offers. One that offers others only is refused; where we have none, the
/// offer is ignored.
pub(crate) fn choose(builder: &mut SslContextBuilder, protocols: &[String]) {
    if protocols.is_empty() {
        return;
    }
    let protocols = protocols.to_vec();
    builder.set_alpn_select_callback(move |_, offered| {
        let offers = |name: &String| entries(offered).find(|entry| *entry == name.as_bytes());
        protocols
            .iter()
            .find_map(offers)
            .ok_or(AlpnError::ALERT_FATAL)
    });
}

/// What stands behind its length each.
fn entries(mut wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = wire.split_first()?;
        let (entry, rest) = rest.split_at_checked(usize::from(*length))?;
        wire = rest;
        Some(entry)
    })
}
