//! A cluster of three masters, each with a replica.

use futures_util::future::join_all;

use super::RedisServer;
use crate::{free_address, until};

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;

/// It runs until dropped.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    ids: Vec<String>,
}

impl RedisCluster {
    /// Started, whole, with replicas that follow. The first three nodes are masters; node 3 is the replica of node 0, and
    /// so on.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        let start = async |_| {
            let bus = free_address().port().to_string();
            let arguments = [
                ["--cluster-enabled", "yes"],
                ["--cluster-port", &bus],
                ["--cluster-node-timeout", "1000"],
                ["--cluster-replica-validity-factor", "0"],
                ["--repl-diskless-sync-delay", "0"],
            ];
            (RedisServer::with(arguments.as_flattened()).await, bus)
        };
        let (nodes, buses): (Vec<_>, Vec<_>) = join_all((0..2 * MASTERS).map(start))
            .await
            .into_iter()
            .unzip();
        let id = |node: &RedisServer| node.cli(&["CLUSTER", "MYID"]).trim().to_owned();
        let cluster = Self {
            ids: nodes.iter().map(id).collect(),
            nodes,
        };
        cluster.form(&buses).await;
        cluster
    }

    async fn form(&self, buses: &[String]) {
        let port = self.nodes[0].address().port().to_string();
        for (index, node) in self.nodes.iter().enumerate() {
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            if index < MASTERS {
                let first = SLOTS * index / MASTERS;
                let last = SLOTS * (index + 1) / MASTERS - 1;
                node.cli(&[
                    "CLUSTER",
                    "ADDSLOTSRANGE",
                    &first.to_string(),
                    &last.to_string(),
                ]);
            }
            if index > 0 {
                node.cli(&["CLUSTER", "MEET", "127.0.0.1", &port, &buses[0]]);
            }
        }
        let all = |text: &'static str| {
            move |node: &RedisServer| node.cli(&["CLUSTER", "INFO"]).contains(text)
        };
        until("the nodes to meet", async || {
            self.nodes.iter().all(all("cluster_known_nodes:6"))
        })
        .await;
        for index in MASTERS..2 * MASTERS {
            let follows = async || {
                self.nodes[index]
                    .cli(&["CLUSTER", "REPLICATE", &self.ids[index - MASTERS]])
                    .contains("OK")
            };
            until("a replica to know its master", follows).await;
        }
        until("the cluster to be whole", async || {
            self.nodes.iter().all(all("cluster_state:ok"))
                && self.nodes[..MASTERS].iter().all(|node| {
                    node.replication().contains("state=online")
                        && node.cli(&["CLUSTER", "NODES"]).matches(" slave ").count() == MASTERS
                })
        })
        .await;
    }

    /// The nodes' addresses as configurations have them.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// All six nodes.
    #[must_use]
    pub fn nodes(&self) -> Vec<&RedisServer> {
        self.nodes.iter().collect()
    }

    /// One of the six nodes.
    pub fn node(&mut self, index: usize) -> &mut RedisServer {
        &mut self.nodes[index]
    }

    /// The master that has the slot, as the node `seen_by` sees it.
    #[must_use]
    pub fn owner(&self, slot: u16, seen_by: usize) -> Option<usize> {
        let nodes = self.nodes[seen_by].cli(&["CLUSTER", "NODES"]);
        let has = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let bounds = (first.parse::<u16>(), last.parse::<u16>());
            matches!(bounds, (Ok(first), Ok(last)) if (first..=last).contains(&slot))
        };
        let line = nodes
            .lines()
            .find(|line| line.split(' ').skip(8).any(has))?;
        self.ids.iter().position(|id| line.starts_with(id.as_str()))
    }

    /// Has a replica take the place of its master, which stays as a replica.
    ///
    /// # Panics
    /// When it does not.
    pub async fn fail_over(&self, replica: usize) {
        let begun = async || {
            self.nodes[replica]
                .cli(&["CLUSTER", "FAILOVER"])
                .contains("OK")
        };
        until("the fail-over to begin", begun).await;
        self.becomes_master(replica).await;
    }

    /// Waits until a node is a master.
    ///
    /// # Panics
    /// When it stays a replica.
    pub async fn becomes_master(&self, index: usize) {
        until("a replica to become the master", async || {
            self.nodes[index].cli(&["ROLE"]).starts_with("master")
        })
        .await;
    }

    /// Moves a slot with all its keys from one master to another, while both go on; in the end everybody knows.
    ///
    /// # Panics
    /// When it is not moved.
    pub fn reshard(&self, slot: u16, from: usize, to: usize) {
        let text = slot.to_string();
        let set = |at: usize, how: &str, id: usize| {
            let said = self.nodes[at].cli(&["CLUSTER", "SETSLOT", &text, how, &self.ids[id]]);
            assert!(said.contains("OK"), "{said}");
        };
        set(to, "IMPORTING", from);
        set(from, "MIGRATING", to);
        let (host, port) = (
            self.nodes[to].address().ip().to_string(),
            self.nodes[to].address().port().to_string(),
        );
        loop {
            let keys = self.nodes[from].cli(&["CLUSTER", "GETKEYSINSLOT", &text, "10"]);
            let keys: Vec<&str> = keys.lines().filter(|key| !key.is_empty()).collect();
            if keys.is_empty() {
                break;
            }
            let migrate = ["MIGRATE", &host, &port, "", "0", "5000", "KEYS"];
            let said = self.nodes[from].cli(&[&migrate[..], &keys].concat());
            assert!(said.contains("OK") || said.contains("NOKEY"), "{said}");
        }
        for at in [to, from]
            .into_iter()
            .chain((0..MASTERS).filter(|at| ![to, from].contains(at)))
        {
            set(at, "NODE", to);
        }
    }

    /// Moves an empty slot from one master to another, and tells both and nobody else.
    pub fn migrate(&self, slot: u16, from: usize, to: usize) {
        let slot = slot.to_string();
        let set = |at: usize, how: &str, id: usize| {
            let said = self.nodes[at].cli(&["CLUSTER", "SETSLOT", &slot, how, &self.ids[id]]);
            assert!(said.contains("OK"), "{said}");
        };
        set(to, "IMPORTING", from);
        set(from, "MIGRATING", to);
        set(to, "NODE", to);
        set(from, "NODE", to);
    }
}
