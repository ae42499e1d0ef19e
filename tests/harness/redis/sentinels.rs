//! A master, two replicas, and three sentinels of which two must agree.

use std::{fs, net::SocketAddr, process::Command};

use futures_util::future::join_all;
use tempfile::TempDir;

use super::RedisServer;
use crate::{Process, free_address, process::run, until};

/// They run until dropped. The master is called `main`.
pub struct SentinelSet {
    servers: Vec<RedisServer>,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    address: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl SentinelSet {
    /// Started, with everybody known to everybody.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same, with more arguments for each server.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn with(arguments: &[&str]) -> Self {
        let quick = [&["--repl-diskless-sync-delay", "0"], arguments].concat();
        let master = RedisServer::with(&quick).await;
        let port = master.address().port();
        let of = format!("127.0.0.1 {port}");
        let replica = [&quick[..], &["--replicaof", &of]].concat();
        let replicas = join_all((0..2).map(|_| RedisServer::with(&replica))).await;
        until("the replicas to follow", async || {
            master.replication().matches("state=online").count() == 2
        })
        .await;
        let set = Self {
            servers: [master].into_iter().chain(replicas).collect(),
            sentinels: (0..3).map(|_| Sentinel::start(port)).collect(),
        };
        until("the sentinels to know each other", async || {
            set.sentinels.iter().all(|sentinel| {
                let facts = sentinel.cli(&["SENTINEL", "MASTER", "main"]);
                facts.contains("num-other-sentinels\n2\n") && facts.contains("num-slaves\n2\n")
            })
        })
        .await;
        set
    }

    /// The sentinels' addresses as configurations have them.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let url = |sentinel: &Sentinel| format!("redis://{}", sentinel.address);
        self.sentinels.iter().map(url).collect()
    }

    /// The server that the sentinels call the master, as an index of [`SentinelSet::server`].
    ///
    /// # Panics
    /// When none of ours is.
    #[must_use]
    pub fn master(&self) -> usize {
        let sentinel = &self.sentinels[0];
        let says = sentinel.cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]);
        let there = |server: &RedisServer| {
            let port = server.address().port().to_string();
            says.lines().nth(1) == Some(&port)
        };
        self.servers.iter().position(there).expect("one of ours")
    }

    /// One of the three servers.
    pub fn server(&mut self, index: usize) -> &mut RedisServer {
        &mut self.servers[index]
    }

    /// Has the sentinels make another server the master, and waits until all of them say so.
    ///
    /// # Panics
    /// When they do not.
    pub async fn fail_over(&mut self) {
        let before = self.master();
        let begun = async || {
            self.sentinels[0]
                .cli(&["SENTINEL", "FAILOVER", "main"])
                .contains("OK")
        };
        until("the fail-over to begin", begun).await;
        self.another_master(before).await;
    }

    /// Waits until another one is the master.
    ///
    /// # Panics
    /// When none is.
    pub async fn another_master(&self, before: usize) {
        until("another master", async || self.master() != before).await;
    }
}

impl Sentinel {
    fn start(master: u16) -> Self {
        let (address, folder) = (free_address(), tempfile::tempdir().expect("a folder"));
        let settings = format!(
            "bind {}\nport {}\nsentinel monitor main 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n",
            address.ip(),
            address.port()
        );
        let file = folder.path().join("sentinel.conf");
        fs::write(&file, settings).expect("a file");
        let mut command = Command::new("redis-server");
        command
            .arg(&file)
            .arg("--sentinel")
            .current_dir(folder.path());
        Self {
            address,
            _process: Process::start(&mut command, "redis-server"),
            _folder: folder,
        }
    }

    /// What it says; nothing while it does not run yet.
    fn cli(&self, arguments: &[&str]) -> String {
        if std::net::TcpStream::connect(self.address).is_err() {
            return String::new();
        }
        let port = self.address.port().to_string();
        run(Command::new("redis-cli")
            .args(["-p", &port])
            .args(arguments))
    }
}
