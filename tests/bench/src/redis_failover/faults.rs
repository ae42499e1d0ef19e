//! What happens to Redis: each time it is whole again in the end.

use std::fmt;

use exproto_tests::{RedisServer, SentinelSet, until};
use serde_json::{Value, json};

/// One of these things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Fault {
    /// Sentinels are asked to make another server the master.
    FailOver,
    /// kill -9 of the master, which comes back as a replica.
    Kill,
    /// The master hangs, and wakes up when another one has its place.
    Freeze,
    /// A single server is killed with kill -9, and started again with what its append-only file has.
    Restart,
}

impl Fault {
    pub(super) fn is_of_sentinels(self) -> bool {
        self != Self::Restart
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::FailOver => "fail-over",
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Restart => "restart",
        })
    }
}

/// The servers.
pub(super) enum Redis {
    Sentinels(SentinelSet),
    Alone(Box<RedisServer>),
}

impl Redis {
    /// What that can happen to.
    pub(super) async fn start(fault: Fault) -> Self {
        if fault.is_of_sentinels() {
            let careful = [
                "--min-replicas-to-write",
                "1",
                "--min-replicas-max-lag",
                "2",
            ];
            return Self::Sentinels(SentinelSet::with(&careful).await);
        }
        Self::Alone(Box::new(RedisServer::with(&["--appendonly", "yes"]).await))
    }

    /// As the gateway's configuration has it under `redis`.
    pub(super) fn configuration(&self) -> Value {
        match self {
            Self::Sentinels(set) => json!({
                "urls": set.urls(),
                "mode": "sentinel",
                "sentinel": { "master": "main" },
            }),
            Self::Alone(server) => json!({ "urls": [server.url()] }),
        }
    }

    /// Lets it happen, and waits until all is well.
    pub(super) async fn suffer(&mut self, fault: Fault) {
        match self {
            Self::Alone(server) => server.restart().await,
            Self::Sentinels(set) => {
                let old = set.master();
                match fault {
                    Fault::FailOver => set.fail_over().await,
                    Fault::Kill => {
                        set.server(old).kill();
                        set.another_master(old).await;
                        set.server(old).restart().await;
                    }
                    Fault::Freeze | Fault::Restart => {
                        set.server(old).signal("-STOP");
                        set.another_master(old).await;
                        set.server(old).signal("-CONT");
                    }
                }
                whole(set).await;
            }
        }
    }
}

/// Waits until the master has both replicas again.
async fn whole(set: &mut SentinelSet) {
    until("the replicas to follow the new master", async || {
        let master = set.master();
        let says = set.server(master).replication();
        says.contains("role:master") && says.matches("state=online").count() == 2
    })
    .await;
}
