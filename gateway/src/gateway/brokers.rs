//! The broker as the configuration wants it: alone, or with those of other pods.

use std::{net::SocketAddr, sync::Arc};

use config::{Bind, BrokerKind, Config};
use tokio_util::task::AbortOnDropHandle;

use super::{Error, Ports, headers, local::Local};
use crate::{
    admission::Bans,
    broker::{self, Broker, Sessions, others::Pod},
    clients,
    cluster::{self, Cluster, Logs, Tasks},
    conn_id::ConnIds,
    handler::Handlers,
    loss::{self, Index, Loss},
    management,
    metrics::Metrics,
    ownership::{self, Ownership},
    peers::{self, Peers},
    redis::Link,
    registry::Registry,
    seal::Sealer,
    shared_bans::SharedBans,
    shared_sessions::{self, SharedSessions},
};

/// A broker, and what keeps it in touch with other pods.
pub(super) struct Brokers {
    pub(super) broker: Broker,
    /// Of clients that have gone.
    pub(super) sessions: Sessions,
    pub(super) shared: Option<SharedBroker>,
}

/// This pod's part in the cluster; it ends when it is dropped.
pub(super) struct SharedBroker {
    cluster: Cluster,
    sealer: Arc<Sealer>,
    peers: Peers,
    ownership: Ownership,
    sessions: SharedSessions,
    loss: Loss,
    bans: SharedBans,
    _following: AbortOnDropHandle<()>,
    tasks: Tasks,
    _renewing: ownership::Tasks,
    _saving: shared_sessions::Tasks,
}

impl SharedBroker {
    /// The other pods.
    pub(super) fn cluster(&self) -> Cluster {
        self.cluster.clone()
    }

    /// The other pods, as calls are passed on to them.
    pub(super) fn peers(&self) -> Peers {
        self.peers.clone()
    }

    /// Who has which clientid, of all pods, and the sessions of their clients.
    pub(super) fn clientids(&self) -> (Ownership, SharedSessions) {
        (self.ownership.clone(), self.sessions.clone())
    }

    /// The other pods, as the management API speaks for them.
    pub(super) fn others(&self) -> management::Others {
        management::Others {
            peers: self.peers.clone(),
            bans: self.bans.clone(),
        }
    }

    /// Where connections note which handler knows them.
    pub(super) fn index(&self) -> Index {
        self.loss.index().clone()
    }

    /// What is kept of messages, for those who were away.
    pub(super) fn logs(&self) -> Logs {
        self.tasks.logs()
    }

    /// What takes the calls of other pods.
    pub(super) fn server(&self, own: Pod, local: Local) -> peers::Server {
        peers::Server::new(own, self.sealer.clone(), Arc::new(local))
    }

    /// Others forget this pod at once, as far as they can be told, and take over its sessions. Whether handlers were told
    /// of all that ended.
    pub(super) async fn leave(self, all_told: bool) {
        let has_sessions = self.sessions.leave().await;
        self.cluster.leave(all_told, has_sessions).await;
    }
}

/// What a broker needs of this pod.
pub(super) struct Here<'a> {
    ids: &'a Arc<ConnIds>,
    registry: &'a Registry,
    handlers: &'a Handlers,
    bans: &'a Bans,
    /// Where handlers call this pod.
    adapter: SocketAddr,
    /// Where other pods do.
    peers: Option<SocketAddr>,
    metrics: &'a Arc<Metrics>,
}

impl<'a> Here<'a> {
    pub(super) fn new(
        (ids, registry): (&'a Arc<ConnIds>, &'a Registry),
        (handlers, bans): (&'a Handlers, &'a Bans),
        ports: &Ports,
        metrics: &'a Arc<Metrics>,
    ) -> Self {
        Self {
            ids,
            registry,
            handlers,
            bans,
            adapter: ports.adapter.1,
            peers: ports.peers.as_ref().map(|(_, address)| *address),
            metrics,
        }
    }
}

/// Starts it. Within a runtime; does not wait for Redis.
pub(super) fn start(config: &Config, pod: &str, here: &Here<'_>) -> Result<Brokers, Error> {
    let Here { ids, metrics, .. } = here;
    let settings = settings(&config.broker, pod);
    let kept = clients::limits(&config.sessions);
    let (broker, sessions, shared) = match config.broker.kind {
        BrokerKind::Memory => {
            let broker = Broker::memory(settings);
            let sessions = Sessions::new(&broker, kept);
            (broker, sessions, None)
        }
        BrokerKind::Redis => {
            let (link, pushes) = Link::start(&config.redis, &config.cluster, metrics)?;
            let sealer = Arc::new(Sealer::new(ids.key_for("what pods tell each other")));
            let part = part(config, ids, here.peers, sealer.clone());
            let cluster = Cluster::new(part, link);
            let broker = Broker::shared(settings, Arc::new(cluster.clone()));
            let sessions = Sessions::new(&broker, kept);
            let tasks = cluster.start(broker.clone(), pushes);
            metrics.observe_cluster(&cluster);
            let work = Work {
                config,
                broker: &broker,
                sessions: &sessions,
                cluster,
                sealer,
                tasks,
            };
            let shared = work.start(here);
            (broker, sessions, Some(shared))
        }
    };
    metrics.observe_broker(&broker);
    Ok(Brokers {
        broker,
        sessions,
        shared,
    })
}

/// What the parts of a pod need that work with other pods.
struct Work<'a> {
    config: &'a Config,
    broker: &'a Broker,
    sessions: &'a Sessions,
    cluster: Cluster,
    sealer: Arc<Sealer>,
    tasks: Tasks,
}

impl Work<'_> {
    fn start(self, here: &Here<'_>) -> SharedBroker {
        let Self {
            config,
            cluster,
            sealer,
            tasks,
            ..
        } = self;
        let metrics = here.metrics;
        let timeout = config.cluster.peers.timeout;
        let peers = Peers::new(cluster.clone(), sealer.clone(), timeout);
        metrics.observe_peers(&peers);
        let (ownership, renewing) = Ownership::start(
            &here.ids.instance(),
            clientids(&config.cluster.clientids),
            &cluster,
            peers.clone(),
        );
        metrics.observe_ownership(&ownership);
        let with = shared_sessions::With {
            broker: self.broker.clone(),
            sessions: self.sessions.clone(),
            cluster: cluster.clone(),
            logs: tasks.logs(),
            ownership: ownership.clone(),
        };
        let (sessions, saving) = SharedSessions::start(kept(config), with, &sealer);
        metrics.observe_shared_sessions(&sessions);
        let with = loss::With {
            cluster: cluster.clone(),
            peers: peers.clone(),
            registry: here.registry.clone(),
            handlers: here.handlers.clone(),
            sessions: sessions.clone(),
        };
        let loss = Loss::start(pod_loss(config, here.adapter), with, &sealer);
        metrics.observe_loss(&loss);
        let bans = SharedBans::new(cluster.clone(), sealer.clone());
        let following = tokio::spawn(bans.clone().follow(here.bans.clone()));
        SharedBroker {
            cluster,
            sealer,
            peers,
            ownership,
            sessions,
            loss,
            bans,
            _following: AbortOnDropHandle::new(following),
            tasks,
            _renewing: renewing,
            _saving: saving,
        }
    }
}

/// How this pod works with others.
fn part(
    config: &Config,
    ids: &ConnIds,
    bound: Option<SocketAddr>,
    sealer: Arc<Sealer>,
) -> cluster::Settings {
    let (cluster, shared) = (&config.cluster, &config.broker.shared);
    let written = cluster.peers.advertised_address.as_ref();
    let address = bound.and_then(|bound| Bind(bound).advertise(written, headers::pod_ip()));
    cluster::Settings {
        own: ids.instance(),
        address: address.unwrap_or_default(),
        sealer,
        lease: cluster.lease,
        probe_interval: cluster.probe_interval,
        log_messages: shared.log_messages,
        log_age: shared.log_time,
        remembered: shared.remembered as usize,
        patience: shared.timeout,
        outbox: (shared.outbox as usize, shared.outbox_bytes.bytes()),
        deaf: cluster.deaf.clone(),
    }
}

fn clientids(config: &config::Clientids) -> ownership::Settings {
    ownership::Settings {
        timeout: config.timeout,
        ttl: config.ttl,
        renewals: config.renewals,
    }
}

fn kept(config: &Config) -> shared_sessions::Settings {
    shared_sessions::Settings {
        interval: config.sessions.save_interval,
        keep: config.cluster.pod_loss.keep,
        rest: config.cluster.clientids.ttl,
        patience: config.broker.shared.timeout,
        most: clients::limits(&config.sessions).queue,
    }
}

fn pod_loss(config: &Config, adapter: SocketAddr) -> loss::Settings {
    let own = &config.cluster.pod_loss;
    loss::Settings {
        interval: own.interval,
        keep: own.keep,
        concurrent_calls: own.concurrent_calls as usize,
        patience: config.handler.park_timeout,
        headers: headers::of_pod(config, adapter),
    }
}

fn settings(config: &config::Broker, pod: &str) -> broker::Settings {
    broker::Settings {
        node: pod.into(),
        max_payload: config.max_payload.bytes(),
        max_levels: config.max_topic_levels as usize,
        retained: broker::RetainedLimits {
            messages: config.retained.max_messages as usize,
            bytes: config.retained.max_bytes.bytes(),
            age: config.retained.max_age,
        },
    }
}
