//! The service for back ends, as the configuration wants it.

use tokio_util::sync::CancellationToken;

use crate::{
    adapter::Adapter,
    backend::{Backend, InFlight, Settings},
    broker::queue,
    cluster::Logs,
};

/// That of a pod, beside its adapter. Its streams end with the pod.
pub(super) fn new(
    config: &config::Backend,
    adapter: &Adapter,
    logs: Option<Logs>,
    end: CancellationToken,
) -> Backend {
    let settings = Settings {
        subscriptions: config.max_subscriptions as usize,
        filters: config.max_filters as usize,
        queue: queue::Limits {
            messages: config.message_queue as usize,
            bytes: config.message_queue_bytes.bytes(),
        },
        remembered: config.remembered as usize,
        position_interval: config.position_interval,
        publish_streams: config.max_publish_streams as usize,
        in_flight: InFlight {
            messages: config.max_in_flight as usize,
            bytes: config.max_in_flight_bytes.bytes(),
        },
    };
    let backend = Backend::new(adapter.broker.clone(), logs, settings, end);
    adapter.metrics.observe_backend(&backend);
    backend
}
