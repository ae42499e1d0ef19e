//! A source of decisions: a file of rules, a service over HTTP, or Redis.

/// A service over HTTP.
mod http;
/// Rules of each client, in Redis.
mod redis;

use std::{path::PathBuf, sync::Arc, time::Duration};

use config::{AuthorizationSource, Permission};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Asker, Rules, Wanted};
use crate::{
    metrics::DecidedBy,
    services::{self, Redis, Web},
};

/// The least time between two warnings about a source; those in between are for debugging.
const QUIET: Duration = Duration::from_secs(10);

/// Why a source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of rules has errors; each line says where.
    #[error(transparent)]
    Rules(#[from] config::Error),
    /// A service cannot be asked.
    #[error("{field}")]
    Service {
        /// Where it stands in the configuration.
        field: &'static str,
        /// What is wrong.
        source: services::Error,
    },
}

/// One source, ready to be asked. Clones are the same.
#[derive(Clone)]
pub(super) enum Source {
    File(Arc<Rules>),
    Http(Web, Arc<Failures>),
    Redis(Redis, config::KeyTemplate, Arc<Failures>),
}

/// What a source said.
pub(super) enum Answer {
    Decided(Permission),
    /// It has nothing to say.
    Ignored,
    /// It could not be asked, or said what cannot be understood.
    Failed,
}

impl Source {
    /// Reads the files that it needs; asks nobody yet.
    pub(super) fn load(config: &AuthorizationSource) -> Result<Self, Error> {
        let service = |field| move |source| Error::Service { field, source };
        match config {
            AuthorizationSource::File(file) => {
                let rules = config::Rules::load(&file.path)?;
                Ok(Self::File(Arc::new(Rules::new(rules))))
            }
            AuthorizationSource::Http(http) => {
                let web = Web::new(&http.url, &http.client);
                let web = web.map_err(service("authorization.sources: http"))?;
                Ok(Self::Http(web, Arc::default()))
            }
            AuthorizationSource::Redis(redis) => {
                let server = Redis::new(&redis.server);
                let server = server.map_err(service("authorization.sources: redis"))?;
                Ok(Self::Redis(server, redis.key.clone(), Arc::default()))
            }
        }
    }

    pub(super) fn name(&self) -> DecidedBy {
        match self {
            Self::File(_) => DecidedBy::File,
            Self::Http(..) => DecidedBy::Http,
            Self::Redis(..) => DecidedBy::Redis,
        }
    }

    pub(super) async fn ask(&self, asker: &Asker<'_>, wanted: &Wanted<'_>) -> Answer {
        let (answer, failures) = match self {
            Self::File(rules) => return rules.decide(asker, wanted).into(),
            Self::Http(web, failures) => (http::ask(web, asker, wanted).await, failures),
            Self::Redis(redis, key, failures) => {
                (redis::ask(redis, key, asker, wanted).await, failures)
            }
        };
        answer.map_or_else(
            |error| {
                failures.tell(self.name(), &error);
                Answer::Failed
            },
            Answer::from,
        )
    }
}

/// The files that a source is made of.
pub(super) fn files(config: &AuthorizationSource) -> Vec<PathBuf> {
    match config {
        AuthorizationSource::File(file) => vec![file.path.clone()],
        AuthorizationSource::Http(http) => Web::files(&http.client),
        AuthorizationSource::Redis(redis) => Redis::files(&redis.server),
    }
}

impl From<Option<Permission>> for Answer {
    fn from(permission: Option<Permission>) -> Self {
        permission.map_or(Self::Ignored, Self::Decided)
    }
}

/// When it was last said that a source fails: it may do so for every message.
#[derive(Default)]
pub(super) struct Failures(Mutex<Option<Instant>>);

impl Failures {
    fn tell(&self, source: DecidedBy, error: &anyhow::Error) {
        let now = Instant::now();
        let mut last = self.0.lock();
        let is_due = last.is_none_or(|last| now.duration_since(last) >= QUIET);
        let (source, error) = (source.as_str(), format!("{error:#}"));
        if is_due {
            *last = Some(now);
            tracing::warn!(
                source,
                error,
                "authorization is not available; what depends on it is denied"
            );
        } else {
            tracing::debug!(source, error, "authorization is not available");
        }
    }
}
