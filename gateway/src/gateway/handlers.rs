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

#[cfg(test)]
mod tests {
    use super::*;

    /// A mirror in that file, with that share.
    fn mirrored(file: &str, percent: u8) -> config::Handler {
        config::Handler {
            mirror: config::Mirror {
                file: Some(file.into()),
                percent: Percent::whole(percent),
                ..config::Mirror::default()
            },
            ..config::Handler::default()
        }
    }

    #[test]
    fn what_is_wrong_with_the_mirror_names_its_setting() {
        let errors = check(&mirrored("/absent", 100));
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, ["handler.mirror.file"]);
    }

    #[test]
    fn a_mirror_that_is_removed_gets_nothing() {
        let (none, some) = (config::Handler::default(), mirrored("/mirror", 10));
        let share = |new: &config::Handler| stays(&some, new).mirror.percent;
        assert_eq!(share(&none), Percent::whole(0));
        assert_eq!(share(&mirrored("/mirror", 5)), Percent::whole(5));
        assert_eq!(share(&mirrored("/other", 5)), Percent::whole(5));
        assert_eq!(stays(&none, &none), none);
        assert_eq!(stays(&some, &some), some);
    }

    #[test]
    fn the_handler_is_not_the_mirror_that_runs() {
        let both = |percent| config::Handler {
            file: Some("/mirror".into()),
            ..mirrored("/mirror", percent)
        };
        let error = told_apart(&both(1), None).unwrap_err();
        assert!(error.to_string().starts_with("handler.file: /mirror"));
        assert!(told_apart(&both(0), None).is_ok());
    }
}
