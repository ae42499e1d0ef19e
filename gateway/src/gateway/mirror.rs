//! The mirror as a gateway has it: started, and read again from files.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use config::HandlerService;

use super::{Error, handlers};
use crate::{
    connection::{Executor, Mirrored, Policy, Settings, Tuning},
    handler::{Whose, stream::Identity},
    metrics::Metrics,
    mirror::Mirror,
    registry::Registry,
};

/// A mirror, and how it is told of connections.
pub(super) struct Started {
    pub(super) mirror: Arc<Mirror>,
    policy: Policy,
    /// Where it speaks the ordered stream: who answers its commands.
    executor: Option<Arc<dyn Executor>>,
}

/// Starts to connect to the mirror, if there is one. `executor` answers the commands of ordered streams.
pub(super) fn start(
    config: &config::Handler,
    identity: Identity,
    shadows: &Registry,
    executor: &Arc<dyn Executor>,
) -> Result<Option<Started>, Error> {
    let Some(own) = config.of_mirror() else {
        return Ok(None);
    };
    let handlers = handlers::start(Whose::Mirror, &own, identity, shadows)?;
    let streams = own.service == HandlerService::ConnectionStream;
    Ok(Some(Started {
        mirror: Mirror::new(config, own.service, handlers, shadows.clone()),
        policy: handlers::policy(&own),
        executor: streams.then(|| executor.clone()),
    }))
}

impl Started {
    /// How the connections of a listener are mirrored. A reload changes the tuning of both.
    pub(super) fn of_listener(&self, settings: &Settings) -> Mirrored {
        let mirror = &self.mirror;
        let tuning: Arc<ArcSwap<Tuning>> = settings.tuning.clone();
        let settings = Settings {
            listener: settings.listener.clone(),
            policy: self.policy.clone(),
            handlers: mirror.handlers.clone(),
            executor: self.executor.clone(),
            in_process: None,
            // A shadow ends with its pod.
            index: None,
            broker: mirror.broker.clone(),
            counts: Arc::default(),
            metrics: mirror.metrics.clone(),
            lingering: settings.lingering.clone(),
            gate: settings.gate.clone(),
            tuning,
            mirrored: None,
        };
        Mirrored {
            mirror: mirror.clone(),
            settings: Arc::new(settings),
        }
    }

    /// Takes what a reload may change.
    pub(super) fn configure(&self, config: &config::Handler) {
        self.mirror.set_percent(config.mirror.percent);
    }

    /// Reads again what has one of these files.
    pub(super) fn refresh(&self, changed: &[PathBuf], metrics: &Metrics) {
        handlers::refresh("mirror", &self.mirror.handlers, changed, metrics);
    }
}
