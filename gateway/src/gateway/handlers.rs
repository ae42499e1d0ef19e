//! The handlers as a gateway has them: started, made what a new configuration says, and read again from files.

use std::{path::PathBuf, sync::Arc};

use config::Percent;

use super::{Error, mirror};
use crate::{
    connection::Policy,
    handler::{
        self, Handlers, Whose,
        stream::{Credits, Identity},
    },
    metrics::Metrics,
    registry::Registry,
};

/// Starts to connect to them. A lost one wakes every connection.
pub(super) fn start(
    whose: Whose,
    config: &config::Handler,
    identity: Identity,
    registry: &Registry,
) -> Result<Handlers, Error> {
    let registry = registry.clone();
    let on_loss: Arc<dyn Fn() + Send + Sync> = Arc::new(move || registry.wake_all());
    Ok(Handlers::start(whose, config, identity, on_loss)?)
}

/// What the configuration names, also for the mirror, and cannot be used.
pub(super) fn check(config: &config::Handler) -> Vec<Error> {
    let own = Handlers::check(Whose::Handler, config).into_iter();
    let mirror = config.of_mirror();
    let mirror = mirror
        .iter()
        .flat_map(|mirror| Handlers::check(Whose::Mirror, mirror));
    // TLS is the same.
    let mirror = mirror.filter(|error| !matches!(error, handler::Error::Tls(_)));
    own.chain(mirror).map(Error::from).collect()
}

/// What to do when they fail.
pub(super) fn policy(config: &config::Handler) -> Policy {
    Policy {
        affinity: config.affinity,
        park_timeout: config.park_timeout,
        rebinds: config.rebinds(),
        retry_unacknowledged: config.retry_unacknowledged,
        redelivery_timeout: config.redelivery_timeout,
        backoff_min: config.backoff_min,
        backoff_max: config.backoff_max,
        deadline: config.deadline,
        max_events: config.stream.max_events as usize,
        command_credits: Credits::of_commands(&config.stream),
    }
}

/// What a reload makes of the settings: where handlers are found may change, who goes to the canary, and how much is
/// mirrored.
pub(super) fn stays(current: &config::Handler, new: &config::Handler) -> config::Handler {
    config::Handler {
        addresses: new.addresses.clone(),
        dns: new.dns.clone(),
        file: new.file.clone(),
        canary: new.canary.clone(),
        mirror: config::Mirror {
            percent: percent(&current.mirror, &new.mirror),
            ..current.mirror.clone()
        },
        ..current.clone()
    }
}

/// How much is mirrored from now on: nothing, where the mirror was removed, whatever is written by default.
fn percent(current: &config::Mirror, new: &config::Mirror) -> Percent {
    match (current.source(), new.source()) {
        (Some(_), None) => Percent::whole(0),
        _ => new.percent,
    }
}

/// A mirror gets no connections of its own: one that runs, and still is told something, cannot become the handler.
/// Where it is told of nothing any more it may.
pub(super) fn told_apart(
    config: &config::Handler,
    mirror: Option<&mirror::Started>,
) -> Result<(), Error> {
    let is_idle = mirror.is_none_or(|started| started.mirror.is_empty());
    if is_idle && config.mirror.percent == Percent::whole(0) {
        return Ok(());
    }
    match config.shared_with_mirror().pop() {
        Some((_, place, what)) => Err(Error::OfMirror { place, what }),
        None => Ok(()),
    }
}

/// Reads again what has one of these files.
pub(super) fn refresh(
    whose: &'static str,
    handlers: &Handlers,
    changed: &[PathBuf],
    metrics: &Metrics,
) {
    for (what, read) in handlers.refresh(changed) {
        metrics.reloaded(what, read.is_ok());
        match read.map_err(anyhow::Error::from) {
            Ok(()) => tracing::info!(whose, "took changed {what}"),
            Err(error) => tracing::error!(
                whose,
                error = format!("{error:#}"),
                "cannot use changed {what}; the old ones stay in use"
            ),
        }
    }
}
