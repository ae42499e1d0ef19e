//! Files of the pods: the configuration, the key of the cluster, the Secrets that the resource names, `spec.files`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, ConfigMapVolumeSource, KeyToPath, ProjectedVolumeSource, SecretProjection,
    SecretVolumeSource, Volume, VolumeMount, VolumeProjection,
};

use crate::{
    controller::validate::Validated,
    crd::Spec,
    names::{CONFIG_PATH, FILES_PATH, KEY_PATH, SECRETS_PATH},
};

/// A certificate and its key.
const PAIR: [&str; 2] = ["tls.crt", "tls.key"];

/// Secrets that the gateway needs and the keys of each.
pub(super) fn secrets(spec: &Spec) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |name: &String, keys: &[&str]| {
        let known = all.entry(name.clone()).or_default();
        known.extend(keys.iter().map(|key| (*key).to_owned()));
    };
    for port in &spec.ports {
        if let Some(tls) = &port.tls {
            add(&tls.secret_name, &PAIR);
            for name in &tls.more_secret_names {
                add(name, &PAIR);
            }
            if let Some(auth) = &tls.client_auth {
                let lists = auth.revocation_lists.then_some("ca.crl");
                let keys: Vec<_> = ["ca.crt"].into_iter().chain(lists).collect();
                add(&auth.ca_secret_name, &keys);
            }
        }
        if let Some(psk) = &port.psk {
            add(&psk.secret_name, &[&psk.key]);
        }
    }
    if let Some(tls) = &spec.handler.tls {
        tls.ca_secret_name
            .iter()
            .for_each(|name| add(name, &["ca.crt"]));
        tls.client_secret_name
            .iter()
            .for_each(|name| add(name, &PAIR));
    }
    for token in spec
        .adapter
        .callers
        .iter()
        .filter_map(|caller| caller.token_secret.as_ref())
    {
        add(&token.name, &[&token.key]);
    }
    if let Some(tls) = &spec.adapter.tls {
        add(&tls.secret_name, &PAIR);
        tls.client_ca_secret_name
            .iter()
            .for_each(|name| add(name, &["ca.crt"]));
    }
    if let Some(redis) = &spec.redis {
        if let Some(password) = &redis.password_secret {
            add(&password.name, &[&password.key]);
        }
        redis
            .ca_secret_name
            .iter()
            .for_each(|name| add(name, &["ca.crt"]));
        redis
            .client_secret_name
            .iter()
            .for_each(|name| add(name, &PAIR));
    }
    all
}

/// The volumes, and where they are mounted: read-only.
pub(super) fn build(valid: &Validated) -> (Vec<Volume>, Vec<VolumeMount>) {
    let mut volumes = vec![
        Volume {
            name: "config".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: valid.names.base().to_owned(),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "cluster".to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(valid.names.key()),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        },
    ];
    let mut mounts = vec![mount("config", CONFIG_PATH), mount("cluster", KEY_PATH)];
    let secrets = secrets(&valid.spec);
    if !secrets.is_empty() {
        let sources = secrets.iter().map(|(name, keys)| secret(name, keys));
        volumes.push(projected("secrets", sources.collect()));
        mounts.push(mount("secrets", SECRETS_PATH));
    }
    for files in &valid.spec.files {
        let volume = format!("files-{}", files.name);
        mounts.push(mount(&volume, &format!("{FILES_PATH}/{}", files.name)));
        let secret = files.secret_name.iter().map(|name| VolumeProjection {
            secret: Some(SecretProjection {
                name: name.clone(),
                ..SecretProjection::default()
            }),
            ..VolumeProjection::default()
        });
        let map = files.config_map_name.iter().map(|name| VolumeProjection {
            config_map: Some(ConfigMapProjection {
                name: name.clone(),
                ..ConfigMapProjection::default()
            }),
            ..VolumeProjection::default()
        });
        volumes.push(projected(&volume, secret.chain(map).collect()));
    }
    (volumes, mounts)
}

/// A Secret in a folder of its own name.
fn secret(name: &str, keys: &BTreeSet<String>) -> VolumeProjection {
    let items = keys.iter().map(|key| KeyToPath {
        key: key.clone(),
        path: format!("{name}/{key}"),
        mode: None,
    });
    VolumeProjection {
        secret: Some(SecretProjection {
            name: name.to_owned(),
            items: Some(items.collect()),
            optional: None,
        }),
        ..VolumeProjection::default()
    }
}

fn projected(name: &str, sources: Vec<VolumeProjection>) -> Volume {
    Volume {
        name: name.to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(sources),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}
