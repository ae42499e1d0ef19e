//! What the gateway is told. Pods read a change of it by themselves; what cannot be changed in a running gateway is in
//! `fixed`, whose change makes new pods.

use config::Config;
use k8s_openapi::api::core::v1::ConfigMap;

use super::metadata;
use crate::{controller::validate::Validated, names::fingerprint};

/// The file.
pub const KEY: &str = "exproto.yaml";

pub(super) fn build(valid: &Validated) -> ConfigMap {
    let file = (KEY.to_owned(), valid.config.to_yaml());
    ConfigMap {
        metadata: metadata(valid, valid.names.base()),
        data: Some([file].into()),
        ..ConfigMap::default()
    }
}

/// Tells apart configurations between which a running gateway cannot change.
#[must_use]
pub fn fixed(config: &Config) -> String {
    let mut config = config.clone();
    let default = Config::default();
    // What the gateway reads again: see `config::Config::listeners`.
    config.listeners = default.listeners;
    config.limits = default.limits;
    config.bans = default.bans;
    config.mountpoint = default.mountpoint;
    config.authentication = default.authentication;
    config.authorization = default.authorization;
    config.connection = default.connection;
    config.handler.addresses = default.handler.addresses;
    config.sessions = default.sessions;
    config.drain = default.drain;
    config.log.level = default.log.level;
    fingerprint(&config.to_yaml())
}
