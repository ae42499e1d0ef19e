//! Who this pod is, and which pods it works with.

use std::{env, fs, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{ClusterName, PodName};

/// Who this pod is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pod {
    /// Tells this pod from its peers, and stands in every conn id: 1 to 63 letters, digits, `.`,
    /// `_` or `-`. Unset: `$HOSTNAME`, which Kubernetes sets to the pod's name, else the machine's
    /// host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "gateway-0")]
    pub name: Option<PodName>,
}

impl Pod {
    /// The configured name, else `$HOSTNAME`, else the machine's host name.
    #[must_use]
    pub fn resolve_name(&self) -> PodName {
        let machine = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
        self.name
            .clone()
            .or_else(|| PodName::from_host(&env::var("HOSTNAME").ok()?))
            .or_else(|| PodName::from_host(&machine()?))
            .unwrap_or_else(|| PodName::from_host("gateway").expect("the name is not empty"))
    }
}

/// The pods that work together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Names the cluster: 1 to 63 lower-case letters, digits or `-`. Pods with the same name and
    /// the same key belong together.
    pub name: ClusterName,

    /// A file with the cluster's key: at least 32 random bytes, the same for all pods. Conn ids
    /// carry a MAC under this key, so that nobody can guess or forge one. Unset: each process makes
    /// a key of its own, which is enough for one pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/exproto/cluster.key")]
    pub key_file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_always_has_a_name() {
        let mut pod = Pod::default();
        assert!(!pod.resolve_name().as_str().is_empty());
        pod.name = Some("gateway-7".parse().unwrap());
        assert_eq!(pod.resolve_name().as_str(), "gateway-7");
    }
}
