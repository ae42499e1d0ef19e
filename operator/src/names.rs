//! What the objects of a resource are called, and the paths in its pods: once, for all who need them.

use std::{collections::BTreeMap, fmt::Write as _};

use ring::digest::{SHA256, digest};

/// The port of health and metrics.
pub const HTTP_PORT: u16 = 9102;
/// The port at which pods call each other.
pub const PEERS_PORT: u16 = 9103;
/// Where pods find their configuration.
pub const CONFIG_PATH: &str = "/etc/exproto/config";
/// Where they find the key of their cluster.
pub const KEY_PATH: &str = "/etc/exproto/cluster";
/// Where they find Secrets that the resource names itself, in folders named like them.
pub const SECRETS_PATH: &str = "/etc/exproto/secrets";
/// Where they find `spec.files`.
pub const FILES_PATH: &str = "/etc/exproto/files";

/// The longest name of a Service.
const LONGEST: usize = 63;
/// What is put behind names: the longest.
const LONGEST_SUFFIX: &str = "-handler";

/// What the objects of one resource are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Its namespace, and that of all of them.
    pub namespace: String,
    /// Its own name.
    pub resource: String,
    base: String,
}

impl Names {
    /// Those of the resource of that name.
    #[must_use]
    pub fn new(namespace: &str, resource: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            resource: resource.to_owned(),
            base: short(resource, LONGEST - LONGEST_SUFFIX.len(), resource),
        }
    }

    /// Deployment, Service for devices, ConfigMap and most others: as the resource, unless that is too long.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The Service of the adapter.
    #[must_use]
    pub fn adapter(&self) -> String {
        format!("{}-adapter", self.base)
    }

    /// The Service by which pods find each other.
    #[must_use]
    pub fn peers(&self) -> String {
        format!("{}-peers", self.base)
    }

    /// The Service that stands for the handler's pods, and the Deployment of a `template`.
    #[must_use]
    pub fn handler(&self) -> String {
        format!("{}-handler", self.base)
    }

    /// The Secret with the key of the cluster.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-key", self.base)
    }

    /// The Service of a port that has one of its own.
    #[must_use]
    pub fn port(&self, port: &str) -> String {
        let name = format!("{}-{port}", self.base);
        short(&name, LONGEST, &name)
    }

    /// What the pods call themselves together, towards Redis: unlike those of any other resource of this Kubernetes.
    #[must_use]
    pub fn cluster(&self) -> String {
        let full = format!("{}/{}", self.namespace, self.resource);
        let readable = format!("{}-{}", self.namespace, self.resource).replace('.', "-");
        // The hash in any case: `a-b` in `c` is not `b` in `a-c`.
        let longest = LONGEST - 9;
        let start: String = readable.chars().take(longest).collect();
        format!("{}-{}", start.trim_end_matches('-'), hash(&full))
    }

    /// The labels by which the pods of the gateway are found.
    #[must_use]
    pub fn selector(&self) -> BTreeMap<String, String> {
        self.labels_of("gateway")
    }

    /// The labels by which the pods of a `template` are found.
    #[must_use]
    pub fn handler_selector(&self) -> BTreeMap<String, String> {
        self.labels_of("handler")
    }

    fn labels_of(&self, component: &str) -> BTreeMap<String, String> {
        let labels = [
            ("app.kubernetes.io/name", "exproto"),
            ("app.kubernetes.io/instance", &self.base),
            ("app.kubernetes.io/component", component),
        ];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        labels.into()
    }
}

/// A name that is not too long: what is cut off is told by a hash.
fn short(name: &str, longest: usize, full: &str) -> String {
    // Names of resources may have dots, those of Services must not.
    let plain = name.replace('.', "-");
    if plain.len() <= longest && plain == name {
        return plain;
    }
    let start: String = plain.chars().take(longest - 9).collect();
    format!("{}-{}", start.trim_end_matches('-'), hash(full))
}

fn hash(text: &str) -> String {
    let mut hash = fingerprint(text);
    hash.truncate(8);
    hash
}

/// Tells texts apart, the same for ever: objects are found by it.
#[must_use]
pub fn fingerprint(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    let mut all = String::new();
    for byte in &digest.as_ref()[..8] {
        write!(all, "{byte:02x}").expect("a text takes all");
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_whatever_the_resource_is_called() {
        let longest = "x".repeat(253);
        for resource in ["a", "fleet.example.net", &longest] {
            let names = Names::new("default", resource);
            let all = [
                names.base().to_owned(),
                names.adapter(),
                names.handler(),
                names.port("a-long-port-123"),
                names.cluster(),
            ];
            for name in all {
                assert!(name.len() <= LONGEST && !name.contains('.'), "{name}");
            }
        }
        assert_eq!(Names::new("default", "trackers").base(), "trackers");
    }

    #[test]
    fn no_two_resources_share_a_cluster() {
        let one = Names::new("a-b", "c").cluster();
        let other = Names::new("a", "b-c").cluster();
        assert_ne!(one, other);
    }
}
