//! A source of decisions: a file of rules, a service over HTTP, or Redis.

/// A service over HTTP.
mod http;
/// Rules of each client, in Redis.
mod redis;

use std::{path::PathBuf, sync::Arc};

use config::{AuthorizationSource, Permission};

use super::{Asker, Rules, Wanted};
use crate::{
    metrics::DecidedBy,
    services::{self, Complaints, Redis, Web},
};

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
    Http(Web, Arc<Complaints>),
    Redis(Redis, config::KeyTemplate, Arc<Complaints>),
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
        let (answer, complaints) = match self {
            Self::File(rules) => return rules.decide(asker, wanted).into(),
            Self::Http(web, complaints) => (http::ask(web, asker, wanted).await, complaints),
            Self::Redis(redis, key, complaints) => {
                (redis::ask(redis, key, asker, wanted).await, complaints)
            }
        };
        answer.map_or_else(
            |error| {
                let error = format!("{error:#}");
                complaints.tell("authorization", self.name().as_str(), &error);
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
