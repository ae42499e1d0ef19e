//! Which handler a connection wants: one that others like it went to.

use config::Affinity;

use crate::{
    connection::handle::Shared,
    handler::{Seeker, Wish, key_of},
};

/// What the connection wants, by what is known of it before its first callback.
pub(in crate::connection) fn of(shared: &Shared) -> Seeker<'_> {
    let (own, info) = (shared.key, &shared.info);
    let wish = match shared.settings.policy.affinity {
        Affinity::Connection => Wish::Key(own),
        Affinity::ClientIp => Wish::Key(match info.device.ip() {
            std::net::IpAddr::V4(ip) => key_of(&ip.octets()),
            std::net::IpAddr::V6(ip) => key_of(&ip.octets()),
        }),
        Affinity::ClientId => {
            let name = info.details.proven_name();
            Wish::Key(name.map_or(own, |name| key_of(name.as_bytes())))
        }
        Affinity::None => Wish::Fewest(own),
    };
    Seeker {
        wish,
        listener: &shared.settings.listener,
        ip: info.device.ip(),
    }
}
