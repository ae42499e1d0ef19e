//! Redis servers of a test's own: the program of the Debian package, on a free port, with nothing on disk. One alone, a
//! master with replicas and sentinels, or a cluster.

/// A master, its replicas, and sentinels.
mod sentinels;
/// A cluster.
mod cluster;

use std::{
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose};
use tempfile::TempDir;

pub use self::{cluster::RedisCluster, sentinels::SentinelSet};
use crate::{
    Process, free_address,
    pki::{self, Files, Key, Pki},
    process::run,
    until,
};

/// A running server. It ends with the test.
pub struct RedisServer {
    address: SocketAddr,
    process: Option<Process>,
    folder: TempDir,
    arguments: Vec<String>,
    tls: Option<Secured>,
}

/// TLS of a server, and what `redis-cli` needs for it.
struct Secured {
    ca: PathBuf,
    own: Files,
    wants_certificates: bool,
}

impl RedisServer {
    /// On a free port, for everybody.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With more arguments, such as `["--requirepass", "secret"]`.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub async fn with(arguments: &[&str]) -> Self {
        Self::begin(arguments, None).await
    }

    /// Over TLS alone, with a certificate of this authority for the name `localhost`. Whether clients must show one of
    /// this authority, too.
    ///
    /// # Panics
    /// When it is not installed, or does not start.
    pub async fn over_tls(pki: &Pki, wants_certificates: bool) -> Self {
        let tls = Secured {
            ca: pki.ca_file(),
            // redis-cli shows the same one.
            own: pki.issue(&for_both_sides("localhost"), Key::Ecdsa),
            wants_certificates,
        };
        Self::begin(&[], Some(tls)).await
    }

    async fn begin(arguments: &[&str], tls: Option<Secured>) -> Self {
        let mut server = Self {
            address: free_address(),
            process: None,
            folder: tempfile::tempdir().expect("a folder"),
            arguments: arguments.iter().map(|&each| each.to_owned()).collect(),
            tls,
        };
        server.restart().await;
        server
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as configurations have it.
    #[must_use]
    pub fn url(&self) -> String {
        match self.tls {
            None => format!("redis://{}", self.address),
            Some(_) => format!("rediss://localhost:{}", self.address.port()),
        }
    }

    /// The number of its process.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("a running server").id()
    }

    /// Cuts all connections of a kind, such as `normal` or `pubsub`; a subscriber is not `normal`.
    ///
    /// # Panics
    /// When it does not run.
    pub fn cut_clients(&self, kind: &str) {
        self.cli(&["CLIENT", "KILL", "TYPE", kind]);
    }

    /// Lets it do nothing for so many seconds, not even for new connections. Returns at once.
    ///
    /// # Panics
    /// When `redis-cli` does not start.
    #[must_use]
    pub fn sleeps(&self, seconds: &str) -> Process {
        let port = self.address.port().to_string();
        let host = self.address.ip().to_string();
        let mut command = Command::new("redis-cli");
        command.args(["-h", &host, "-p", &port, "DEBUG", "SLEEP", seconds]);
        Process::start(&mut command, "redis-tools")
    }

    /// Ends it at once, as kill -9 does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port, empty.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.kill();
        let mut command = Command::new("redis-server");
        let port = self.address.port().to_string();
        command
            .current_dir(self.folder.path())
            .args(["--bind", &self.address.ip().to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .args(["--enable-debug-command", "local"])
            .args(&self.arguments);
        match &self.tls {
            None => command.args(["--port", &port]),
            Some(tls) => {
                let clients = if tls.wants_certificates { "yes" } else { "no" };
                command
                    .args(["--port", "0", "--tls-port", &port])
                    .args(["--tls-auth-clients", clients])
                    .arg("--tls-ca-cert-file")
                    .arg(&tls.ca)
                    .arg("--tls-cert-file")
                    .arg(&tls.own.chain)
                    .arg("--tls-key-file")
                    .arg(&tls.own.key)
            }
        };
        self.process = Some(Process::start(&mut command, "redis-server"));
        let address = self.address;
        until("Redis to listen", async || {
            TcpStream::connect(address).is_ok()
        })
        .await;
    }

    /// Lets it hang: it takes connections and answers nothing. `-CONT` wakes it up.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, name: &str) {
        self.process
            .as_ref()
            .expect("a running server")
            .signal(name);
    }

    /// What `redis-cli` prints for a command.
    #[expect(clippy::must_use_candidate, reason = "most commands change something")]
    pub fn cli(&self, arguments: &[&str]) -> String {
        run(self.command().args(arguments))
    }

    /// How it stands to its replicas, or to its master; empty where it just becomes the other one, which ends connections.
    #[must_use]
    pub fn replication(&self) -> String {
        let output = self.command().args(["INFO", "replication"]).output();
        let output = output.expect("redis-cli runs");
        if output.status.success() {
            String::from_utf8_lossy(&output.stdout).into_owned()
        } else {
            String::new()
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("redis-cli");
        let (host, port) = (self.address.ip(), self.address.port());
        command.args(["-h", &host.to_string(), "-p", &port.to_string()]);
        if let Some(tls) = &self.tls {
            command
                .args(["--tls", "--sni", "localhost", "--cacert"])
                .arg(&tls.ca)
                .arg("--cert")
                .arg(&tls.own.chain)
                .arg("--key")
                .arg(&tls.own.key);
        }
        command
    }
}

fn for_both_sides(name: &str) -> CertificateParams {
    let mut params = pki::server(&[name]);
    let usages = &mut params.extended_key_usages;
    usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    params
}
