//! The names of keys and channels.

use redis::Cmd;

/// What all names of a cluster of pods have in common.
pub(super) struct Names {
    prefix: String,
    fingerprint: String,
}

impl Names {
    pub(super) fn new(prefix: &str, cluster: &str, fingerprint: String) -> Self {
        let prefix = format!("{prefix}{cluster}:");
        Self {
            prefix,
            fingerprint,
        }
    }

    /// What every name begins with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A name in the slot of `tag`, which holds no braces.
    pub(super) fn name(&self, tag: &str, rest: &str) -> String {
        debug_assert!(!tag.contains(['{', '}']), "{tag} has braces");
        format!("{}{{{tag}}}{rest}", self.prefix)
    }

    /// The key that says whose names they are.
    pub(super) fn identity(&self) -> String {
        self.name("identity", "")
    }

    /// What stands in it.
    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A command with names of ours.
    pub(super) fn sample(&self, text: &str) -> Cmd {
        let mut words = text.split(' ');
        let mut command = redis::cmd(words.next().unwrap_or_default());
        for word in words {
            match word {
                "{key}" | "{channel}" => command.arg(self.name("check", "")),
                other => command.arg(other),
            };
        }
        command
    }
}
