//! The gRPC service that the handler calls back.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Bind, ByteSize, Caller, HostPort, ServerTls, count::Count, size::KibBetween};

/// Where the adapter listens, and what it takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adapter {
    /// The address to listen on, written as a listener's `bind`. Any but a loopback address needs
    /// `callers`, or `insecure: true`.
    pub bind: Bind,

    /// Who may call, and what for. Empty: whoever reaches the port may do everything.
    #[schemars(
        example = "[{name: a, token_file: /a, certificate: b, scopes: [raw], mirror: true}]"
    )]
    pub callers: Vec<Caller>,

    /// Its certificate, and what is asked of callers.
    pub tls: ServerTls,

    /// Whether callers from other machines are let in although there are no `callers`: whoever reaches
    /// the port controls every connection. Let only the handler reach it.
    pub insecure: bool,

    /// The address under which handlers reach this pod's adapter, as host:port; they are told it in
    /// `exproto-adapter-address`. Unset: `bind`; when that is every address of the machine, `$POD_IP`
    /// with the port of `bind`, or nothing where that is unset as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "gateway-0.example.net:9100")]
    pub advertised_address: Option<HostPort>,

    /// The largest request that is read. Larger ones are refused by gRPC itself.
    #[serde(with = "KibBetween::<64, 1_048_576>")]
    pub max_request: ByteSize,

    /// How many HTTP/2 connections may be open; more wait. Whoever opens one and says nothing for 10
    /// seconds loses it.
    #[serde(with = "Count::<1, 65_535>")]
    pub max_connections: u32,

    /// How many calls one HTTP/2 connection of a handler may have in flight; more wait.
    #[serde(with = "Count::<1, 30_000>")]
    pub max_concurrent_calls: u32,
}

impl Default for Adapter {
    fn default() -> Self {
        Self {
            bind: Bind((Ipv4Addr::LOCALHOST, 9100).into()),
            callers: Vec::new(),
            tls: ServerTls::default(),
            insecure: false,
            advertised_address: None,
            max_request: ByteSize::mib(16),
            max_connections: 1024,
            max_concurrent_calls: 1024,
        }
    }
}

impl Adapter {
    /// What handlers are told, given what was bound and the pod's own address if that is known. `None` where nothing
    /// useful can be told.
    #[must_use]
    pub fn advertise(&self, bound: SocketAddr, pod_ip: Option<IpAddr>) -> Option<String> {
        Bind(bound).advertise(self.advertised_address.as_ref(), pod_ip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(adapter: &Adapter, bound: SocketAddr, pod_ip: Option<IpAddr>) -> String {
        adapter.advertise(bound, pod_ip).unwrap()
    }

    #[test]
    fn handlers_are_told_the_most_exact_address_there_is() {
        let pod_ip = Some([10, 0, 0, 7].into());
        let everywhere = ([0, 0, 0, 0], 9100).into();
        let here = ([10, 0, 0, 9], 9100).into();
        let mut adapter = Adapter::default();
        assert_eq!(told(&adapter, here, pod_ip), "10.0.0.9:9100");
        assert_eq!(told(&adapter, everywhere, pod_ip), "10.0.0.7:9100");
        assert_eq!(adapter.advertise(everywhere, None), None);
        adapter.advertised_address = Some("gateway.example.net:80".parse().unwrap());
        assert_eq!(told(&adapter, here, pod_ip), "gateway.example.net:80");
    }
}
