//! The metadata that all callbacks of a listener carry.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use config::Config;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::handler;

/// By how much the deadline that handlers are told is longer than the true one.
const TOLD_LONGER: Duration = Duration::from_secs(1);

/// The pod's own address, where the environment tells it.
pub(super) fn pod_ip() -> Option<IpAddr> {
    std::env::var("POD_IP").ok().and_then(|ip| ip.parse().ok())
}

/// Where handlers reach this pod's own adapter, as far as that is known.
pub(super) fn adapter_address(config: &Config, adapter: SocketAddr) -> Option<String> {
    config.adapter.advertise(adapter, pod_ip())
}

/// The metadata that all callbacks of a listener carry.
pub(super) fn headers(
    config: &Config,
    listener: &config::Listener,
    adapter: SocketAddr,
) -> HeaderMap {
    let mut headers = of_pod(config, adapter);
    let pairs = [
        (
            HeaderName::from_static("exproto-listener"),
            listener.name.as_str(),
        ),
        (
            HeaderName::from_static("exproto-transport"),
            listener.transport.as_str(),
        ),
    ];
    for (name, value) in pairs {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    headers
}

/// The metadata that callbacks carry whatever they are about.
pub(super) fn of_pod(config: &Config, adapter: SocketAddr) -> HeaderMap {
    // A little longer than we wait, so that we say when time is up and not the handler's library.
    let told = config.handler.deadline + TOLD_LONGER;
    // gRPC takes eight digits.
    let deadline = match told.as_millis() {
        millis if millis < 100_000_000 => format!("{millis}m"),
        _ => format!("{}S", told.as_secs()),
    };
    let mut headers = handler::headers();
    if let Ok(deadline) = HeaderValue::from_str(&deadline) {
        headers.insert(HeaderName::from_static("grpc-timeout"), deadline);
    }
    if let Some(address) = adapter_address(config, adapter)
        && let Ok(address) = HeaderValue::from_str(&address)
    {
        headers.insert(HeaderName::from_static("exproto-adapter-address"), address);
    }
    headers
}
