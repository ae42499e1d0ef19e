//! The authenticators of one listener, asked one after the other.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use config::{Authenticator, CertificateNames};

use super::{
    BAD_PASSWORD, Credentials, Error, Grant, UNKNOWN_CLIENT, Verdict, certificate, hash,
    hasher::Hasher, http::HttpAuthenticator, jwt::Jwt, redis::RedisUsers, stats::Stats,
    users::Users,
};
use crate::services::{Complaints, Redis, Web};

/// One authenticator as it stands in chains. What it has read of files may change.
pub(super) struct Link {
    pub(super) config: Authenticator,
    kind: ArcSwap<Kind>,
    complaints: Complaints,
}

enum Kind {
    Anonymous,
    Users(Users),
    Jwt(Box<Jwt>),
    Http(HttpAuthenticator),
    Certificate(CertificateNames),
    Redis(RedisUsers),
}

/// Makes the threads that hash where they are needed.
pub(super) type Hashers<'a> = &'a mut dyn FnMut() -> Result<Hasher, Error>;

impl Link {
    /// `before`: one whose served keys are good until new ones have come.
    pub(super) fn load(
        config: &Authenticator,
        hashers: Hashers,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        let before = before.map(|before| before.kind.load_full());
        Ok(Self {
            kind: ArcSwap::from_pointee(Kind::load(config, hashers, before.as_deref())?),
            complaints: Complaints::default(),
            config: config.clone(),
        })
    }

    /// Whether it reads its keys from where that configuration has them.
    pub(super) fn has_keys_of(&self, config: &Authenticator) -> bool {
        match (&self.config, config) {
            (Authenticator::Jwt(one), Authenticator::Jwt(other)) => {
                one.jwks_url.is_some() && one.jwks_url == other.jwks_url
            }
            _ => false,
        }
    }

    /// The files that it has read.
    pub(super) fn files(config: &Authenticator) -> Vec<PathBuf> {
        match config {
            Authenticator::Anonymous(_) | Authenticator::Certificate(_) => Vec::new(),
            Authenticator::File(file) => vec![file.path.clone()],
            Authenticator::Jwt(jwt) => Jwt::files(jwt),
            Authenticator::Http(http) => Web::files(&http.client),
            Authenticator::Redis(redis) => Redis::files(&redis.server),
        }
    }

    /// Whether it needs threads that hash.
    pub(super) fn hashes(&self) -> bool {
        self.kind.load().hashes()
    }

    /// Reads its files again. Where one of them cannot be used, it stays as it is.
    pub(super) fn refresh(&self, hashers: Hashers) -> Result<(), Error> {
        let before = self.kind.load_full();
        let kind = Kind::load(&self.config, hashers, Some(&before))?;
        self.kind.store(Arc::new(kind));
        Ok(())
    }
}

impl Kind {
    fn load(
        config: &Authenticator,
        hashers: Hashers,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        Ok(match config {
            Authenticator::Anonymous(_) => Self::Anonymous,
            Authenticator::File(file) => Self::Users(Users::load(file, hashers()?)?),
            Authenticator::Jwt(jwt) => {
                let before = before.and_then(|before| match before {
                    Self::Jwt(before) => Some(&**before),
                    _ => None,
                });
                Self::Jwt(Box::new(Jwt::load(jwt, hashers()?, before)?))
            }
            Authenticator::Http(http) => Self::Http(HttpAuthenticator::load(http)?),
            Authenticator::Certificate(names) => Self::Certificate(names.clone()),
            Authenticator::Redis(redis) => Self::Redis(RedisUsers::load(redis, hashers()?)?),
        })
    }

    /// Whether it keeps hashes, so that a look at one takes time.
    fn hashes(&self) -> bool {
        matches!(self, Self::Users(_) | Self::Redis(_))
    }

    async fn authenticate(&self, credentials: &Credentials, stats: &Stats) -> Verdict {
        match self {
            Self::Anonymous => Verdict::Allow(Grant::default()),
            Self::Users(users) => users.authenticate(credentials).await,
            Self::Jwt(jwt) => jwt.authenticate(credentials).await,
            Self::Http(http) => {
                let (verdict, cached) = http.authenticate(credentials).await;
                if cached {
                    stats.cache_hit();
                }
                verdict
            }
            Self::Certificate(names) => certificate::authenticate(names, credentials),
            Self::Redis(redis) => redis.authenticate(credentials).await,
        }
    }
}

/// Why somebody is not let in. The text goes to the handler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The credentials are bad.
    #[error("{0}")]
    Denied(String),
    /// It cannot be told now.
    #[error("authentication is not available: {0}")]
    Unavailable(String),
}

/// The authenticators in their order. An empty chain lets everybody in. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Chain {
    pub(super) links: Arc<[Arc<Link>]>,
    /// Where there are hashes.
    decoy: Option<Decoy>,
}

/// A hash that belongs to nobody: names that are not known take as long as others.
#[derive(Clone)]
pub(super) struct Decoy {
    hasher: Hasher,
    hash: Arc<str>,
}

impl Decoy {
    pub(super) fn new(hasher: Hasher) -> Self {
        Self {
            hasher,
            hash: hash::argon2id(b"nobody's").into(),
        }
    }
}

impl Chain {
    pub(super) fn new(links: Vec<Arc<Link>>, decoy: Option<&Decoy>) -> Self {
        Self {
            links: links.into(),
            decoy: decoy.cloned(),
        }
    }

    /// The first one that allows or denies decides.
    pub(super) async fn authenticate(
        &self,
        credentials: &Credentials,
        stats: &Stats,
    ) -> Result<Grant, Refused> {
        if self.links.is_empty() {
            return Ok(Grant::default());
        }
        let mut hashed = false;
        for link in &*self.links {
            let word = link.config.as_str();
            let kind = link.kind.load_full();
            let verdict = kind.authenticate(credentials, stats).await;
            stats.said(&link.config, &verdict);
            match verdict {
                Verdict::Allow(grant) => return Ok(grant),
                Verdict::Deny(why) => return Err(Refused::Denied(why)),
                Verdict::Ignore => hashed |= kind.hashes(),
                Verdict::Unavailable(why) => {
                    link.complaints.tell("authentication", word, &why);
                    return Err(Refused::Unavailable(why));
                }
            }
        }
        if !hashed {
            return Err(Refused::Denied(UNKNOWN_CLIENT.to_owned()));
        }
        if let Some(decoy) = &self.decoy {
            let password = credentials.password.reveal();
            // Who is told that it is busy must not be told apart either.
            let verified = decoy.hasher.verify(&decoy.hash, password).await;
            verified.map_err(|busy| Refused::Unavailable(busy.to_string()))?;
        }
        Err(Refused::Denied(BAD_PASSWORD.to_owned()))
    }
}
