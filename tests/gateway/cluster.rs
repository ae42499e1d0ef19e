//! More than one pod: what is published in one reaches subscribers in others, through a real Redis.

/// One client for each clientid.
mod clientids;
/// Redis that delivers nothing.
mod deaf;
/// Redis that goes away.
mod faults;
/// Pods that die.
mod losses;
/// Connections that Redis cuts.
mod cuts;
/// Pods that stand still, or are killed.
mod frozen;
/// Clocks that jump.
mod clocks;
/// Sentinel and Redis Cluster.
mod modes;
/// A network that is slow, and cuts what passes into pieces.
mod network;
/// Redis that takes its time.
mod pauses;
/// Calls for connections of other pods.
mod peers;
/// What all pods retain.
mod retained;
/// Who gets what.
mod routing;
/// Sessions that outlive their pod.
mod sessions;
/// Slots of a Redis Cluster that move.
mod slots;
/// Publishing without a pause while something happens.
mod trial;
/// Pods of a later version.
mod versions;

use std::{path::PathBuf, time::Duration};

use config::{BrokerKind, Config, RedisMode};
use exproto_tests::{
    Clock, Device, Event, Pod as Program, RedisCluster, RedisServer, SentinelSet, TestGateway,
    TestHandler, gateway::config,
};
use proto::exproto::Message;
use tempfile::TempDir;

use crate::calls::{Calls, client, ok};

/// The messages that other pods know that a pod wants.
pub(crate) const KNOWN: &str = "exproto_shared_filters{whose=\"own\"}";
pub(crate) const FOREIGN: &str = "exproto_shared_filters{whose=\"foreign\"}";

/// What a process has for devices.
const LISTENER: &str = "transport: tcp";

/// Pods of one cluster, each with a handler of its own, and the Redis that they share.
pub(crate) struct Pods<R = RedisServer> {
    pub(crate) redis: R,
    folder: TempDir,
    /// What their configurations have in common.
    common: Box<dyn Fn(&mut Config)>,
}

/// One of them.
pub(crate) struct Pod {
    pub(crate) gateway: TestGateway,
    handler: TestHandler,
}

/// A client of a pod.
pub(crate) struct Client {
    _device: Device,
    pub(crate) calls: Calls,
}

impl Pods {
    pub(crate) async fn start() -> Self {
        let redis = RedisServer::start().await;
        let url = redis.url();
        Self::over(redis, move |config| {
            config.redis.urls = vec![url.parse().unwrap()];
        })
    }
}

impl Pods<SentinelSet> {
    /// With servers that sentinels look after.
    pub(crate) async fn with_sentinels() -> Self {
        let sentinels = SentinelSet::start().await;
        let urls = sentinels.urls();
        Self::over(sentinels, move |config| {
            config.redis.urls = urls.iter().map(|url| url.parse().unwrap()).collect();
            config.redis.mode = RedisMode::Sentinel;
            config.redis.sentinel.master = Some("main".to_owned());
        })
    }
}

impl Pods<RedisCluster> {
    /// With a cluster of servers.
    pub(crate) async fn with_cluster() -> Self {
        let cluster = RedisCluster::start().await;
        let urls = cluster.urls();
        Self::over(cluster, move |config| {
            config.redis.urls = urls.iter().map(|url| url.parse().unwrap()).collect();
            config.redis.mode = RedisMode::Cluster;
        })
    }
}

impl<R> Pods<R> {
    pub(crate) fn over(redis: R, common: impl Fn(&mut Config) + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), [7; 32]).unwrap();
        Self {
            redis,
            folder,
            common: Box::new(common),
        }
    }

    /// The file with the key of the cluster.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// Another pod, with this name.
    pub(crate) async fn pod(&self, name: &str) -> Pod {
        self.pod_with(name, |_| ()).await
    }

    pub(crate) async fn pod_with(&self, name: &str, change: impl FnOnce(&mut Config)) -> Pod {
        let handler = TestHandler::start();
        let mut config = self.alone(&handler, change);
        config.pod.name = Some(name.parse().unwrap());
        let gateway = TestGateway::with(config).await;
        let answered = "exproto_probes_total{outcome=\"answered\"}";
        gateway.counts(answered, 1).await;
        Pod { gateway, handler }
    }

    /// Another pod, as a process of its own.
    async fn program(&self, name: &str, urls: &str) -> Program {
        Program::with(LISTENER, &self.written(name, urls)).await
    }

    /// The same, by a clock of its own.
    async fn program_by(&self, clock: &Clock, name: &str, urls: &str) -> Program {
        Program::by_clock(clock, LISTENER, &self.written(name, urls)).await
    }

    /// The configuration of such a pod, as it is written.
    fn written(&self, name: &str, urls: &str) -> String {
        let key = self.folder.path().join("key");
        format!(
            "pod: {{name: {name}}}\ncluster: {{key_file: {}, lease: 900ms, probe_interval: 200ms, peers: {{bind: \
             \"127.0.0.1:0\"}}}}\nbroker: {{kind: redis}}\nredis: {{urls: [\"{urls}\"], backoff_min: 10ms, backoff_max: \
             100ms}}\n",
            key.display()
        )
    }

    /// The configuration of a pod.
    fn alone(&self, handler: &TestHandler, change: impl FnOnce(&mut Config)) -> Config {
        let mut config = config(&[handler]);
        config.cluster.key_file = Some(self.key());
        config.cluster.probe_interval = Duration::from_millis(200);
        config.cluster.peers.bind = "127.0.0.1:0".parse().unwrap();
        config.broker.kind = BrokerKind::Redis;
        config.sessions.save_interval = Duration::from_millis(200);
        config.redis.backoff_min = Duration::from_millis(10);
        config.redis.backoff_max = Duration::from_millis(100);
        (self.common)(&mut config);
        change(&mut config);
        config
    }
}

/// A client of a pod that is a process of its own.
async fn client_of(program: &Program, clientid: &str) -> Client {
    let device = Device::connect(program.address()).await;
    let told = program.connected().await;
    let mut calls = Calls::by(program.adapter(), &told.conn);
    ok(&calls.authenticate(clientid).await);
    Client {
        _device: device,
        calls,
    }
}

impl Pod {
    pub(crate) async fn client(&self, clientid: &str) -> Client {
        let (device, calls) = client(&self.gateway, &self.handler, clientid).await;
        Client {
            _device: device,
            calls,
        }
    }

    /// The next messages of its clients: the payloads.
    async fn payloads(&self, count: usize) -> Vec<String> {
        let messages = self.handler.messages(count).await;
        assert_eq!(messages.len(), count, "{messages:?}");
        let payloads = messages.into_iter();
        payloads
            .map(|message| String::from_utf8(message.payload.to_vec()).unwrap())
            .collect()
    }

    /// Messages that have come already.
    fn more(&self) -> Vec<Message> {
        let mut more = Vec::new();
        while let Some(callback) = self.handler.try_next() {
            if let Event::Messages(messages) = callback.event {
                more.extend(messages);
            }
        }
        more
    }
}
