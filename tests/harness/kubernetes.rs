//! An API server of Kubernetes, with its store: real ones, without nodes.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Instant,
};

use crate::{DEADLINE, free_address, process::run};

/// How often it is tried to start one.
const TRIES: usize = 3;

/// An API server, until it is dropped.
pub struct Kubernetes {
    state: tempfile::TempDir,
}

impl Kubernetes {
    /// Starts one, and builds it before where that was not done yet.
    ///
    /// # Panics
    /// When that fails.
    #[must_use]
    pub fn start() -> Self {
        run(&mut Command::new(script("build.sh")));
        let mut failures = Vec::new();
        while failures.len() < TRIES {
            let kubernetes = Self {
                state: tempfile::tempdir().expect("a folder"),
            };
            let mut up = Command::new(script("up.sh"));
            up.env("KUBE_STATE", kubernetes.path());
            for port in ["KUBE_API_PORT", "KUBE_ETCD_PORT", "KUBE_PEER_PORT"] {
                up.env(port, free_address().port().to_string());
            }
            let output = up.output().expect("the script runs");
            if output.status.success() {
                return kubernetes;
            }
            // A connection to somebody may have taken a port that was free.
            failures.push(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        panic!("no API server: {}", failures.join("\n"));
    }

    /// What `kubectl` prints, which succeeds.
    ///
    /// # Panics
    /// When it does not.
    #[expect(clippy::must_use_candidate, reason = "most commands change something")]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        run(self.command().args(arguments))
    }

    /// What comes of applying that: what `kubectl` says, good or bad.
    ///
    /// # Errors
    /// What it says where it fails.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn apply(&self, yaml: &str, more: &[&str]) -> Result<String, String> {
        let file = self.path().join("applied.yaml");
        std::fs::write(&file, yaml).expect("the folder takes a file");
        let mut command = self.command();
        command.args(["apply", "--server-side", "-f"]).arg(&file);
        let Output {
            status,
            stdout,
            stderr,
        } = command.args(more).output().expect("kubectl runs");
        let said = [stdout, stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        if status.success() {
            Ok(said)
        } else {
            Err(said)
        }
    }

    /// Waits until there is something at that path: what a definition defines is not there at once.
    ///
    /// # Panics
    /// When `DEADLINE` is over.
    pub fn serves(&self, path: &str) {
        let begun = Instant::now();
        loop {
            // It takes long enough to start to need no pause.
            let output = self.command().args(["get", "--raw", path]).output();
            let output = output.expect("kubectl runs");
            if output.status.success() {
                return;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(begun.elapsed() < DEADLINE, "nothing at {path}: {said}");
        }
    }

    fn command(&self) -> Command {
        let bin = std::env::var_os("KUBE_BIN").map_or_else(built, PathBuf::from);
        let mut command = Command::new(bin.join("kubectl"));
        command.env("KUBECONFIG", self.path().join("admin.kubeconfig"));
        command
    }

    /// What it keeps. A folder within, as it is removed by who ends it.
    fn path(&self) -> PathBuf {
        self.state.path().join("kubernetes")
    }
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        let mut down = Command::new(script("down.sh"));
        let ended = down.env("KUBE_STATE", self.path()).status();
        drop(ended);
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../ci/kubernetes")
        .join(name)
}

/// Where `build.sh` puts what it builds.
fn built() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home);
    cache
        .expect("a user has a folder")
        .join("exproto-kubernetes/bin")
}
