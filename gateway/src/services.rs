//! The user's own services that the gateway asks: over HTTP, and Redis. Every question is bounded in time, and its
//! answer in size.

/// Over HTTP.
mod web;
/// Redis.
mod redis;
/// Warnings about those that cannot be asked.
mod complaints;

use std::path::{Path, PathBuf};

pub use self::{
    complaints::Complaints,
    redis::{Redis, RedisError},
    web::{Answer, Web, WebError},
};
use crate::{
    files::{self, Limit},
    tls,
};

/// A file with a token or password has no more bytes.
const LONGEST_SECRET: Limit = Limit::kib(64, "that is no secret, write one line");

/// Why a service cannot be asked at all: a file that its settings name cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate or key.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// A file that should hold a secret cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A file that should hold a secret holds something else.
    #[error("{} {problem}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: &'static str,
    },
    /// The client of a service could not be made.
    #[error("cannot ask {what}")]
    Client {
        /// The service.
        what: &'static str,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The one line of a file that holds a secret.
pub(crate) fn secret(path: &Path) -> Result<String, Error> {
    let problem = |problem| Error::Secret {
        path: path.into(),
        problem,
    };
    let text = files::read_text(path, LONGEST_SECRET)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(problem("is empty; write the secret into it"));
    }
    if text.contains(['\r', '\n']) {
        return Err(problem("has more than one line; write one"));
    }
    Ok(text.to_owned())
}
