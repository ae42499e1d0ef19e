//! A Redis server of a test's own: the program of the Debian package, on a free port, with nothing on disk.

use std::{
    net::{SocketAddr, TcpStream},
    process::Command,
};

use tempfile::TempDir;

use crate::{Process, free_address, process::run, until};

/// A running server. It ends with the test.
pub struct RedisServer {
    address: SocketAddr,
    process: Option<Process>,
    folder: TempDir,
    arguments: Vec<String>,
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
        let mut server = Self {
            address: free_address(),
            process: None,
            folder: tempfile::tempdir().expect("a folder"),
            arguments: arguments.iter().map(|&each| each.to_owned()).collect(),
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
        format!("redis://{}", self.address)
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
        command
            .current_dir(self.folder.path())
            .args(["--bind", &self.address.ip().to_string()])
            .args(["--port", &self.address.port().to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .args(&self.arguments);
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
        let mut command = Command::new("redis-cli");
        let (host, port) = (self.address.ip(), self.address.port());
        run(command
            .args(["-h", &host.to_string(), "-p", &port.to_string()])
            .args(arguments))
    }
}
