//! A service of the user's that is asked who may be a client; what it answers may be used again for a while.

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use lru::LruCache;
use parking_lot::Mutex;
use ring::{hmac, rand::SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Attributes, Credentials, Error, Grant, Verdict};
use crate::services::{Answer, Web};

/// Answers of more bytes are not kept, so that `cache.max_entries` bounds the memory as well.
const LARGEST_KEPT: usize = 16 * 1024;

/// The year 9999: later is a time in other units.
const LATEST_SECOND: u64 = 253_402_300_799;

/// Asks one service.
pub(super) struct HttpAuthenticator {
    web: Web,
    cache: Option<Cache>,
}

/// What it is asked. The names are those of EMQX' placeholders.
#[derive(Serialize)]
struct Question<'a> {
    clientid: &'a str,
    username: &'a str,
    password: &'a str,
    peerhost: String,
    listener: &'a str,
    proto_name: &'a str,
    proto_ver: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_common_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_subject: Option<&'a str>,
}

/// What it answers. Keys that are not known here are its own business.
#[derive(Deserialize)]
struct Said {
    result: Outcome,
    #[serde(default)]
    is_superuser: bool,
    #[serde(default)]
    client_attrs: Attributes,
    #[serde(default)]
    expire_at: Option<u64>,
    #[serde(default)]
    acl: Option<Value>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Allow,
    Deny,
    Ignore,
}

impl HttpAuthenticator {
    pub(super) fn load(config: &config::HttpAuthenticator) -> Result<Self, Error> {
        let most =
            NonZeroUsize::new(config.cache.max_entries as usize).unwrap_or(NonZeroUsize::MIN);
        Ok(Self {
            web: Web::new(&config.url, &config.client)?,
            cache: config.cache.ttl.map(|ttl| Cache::new(ttl, most)),
        })
    }

    pub(super) async fn authenticate(&self, credentials: &Credentials) -> (Verdict, bool) {
        let certificate = credentials.conninfo.details.certificate();
        let question = Question {
            clientid: &credentials.clientid,
            username: &credentials.username,
            password: credentials.password.reveal(),
            peerhost: credentials.conninfo.device.ip().to_string(),
            listener: &credentials.listener,
            proto_name: &credentials.proto_name,
            proto_ver: &credentials.proto_ver,
            cert_common_name: certificate.map(|certificate| certificate.cn.as_str()),
            cert_subject: certificate.map(|certificate| certificate.dn.as_str()),
        };
        let Some(cache) = &self.cache else {
            return (self.ask(&question).await.0, false);
        };
        let key = cache.key(&question);
        if let Some(known) = cache.get(&key) {
            return (known, true);
        }
        let (verdict, size) = self.ask(&question).await;
        if size <= LARGEST_KEPT {
            cache.put(key, &verdict);
        }
        (verdict, false)
    }

    /// Also tells the size of the answer.
    async fn ask(&self, question: &Question<'_>) -> (Verdict, usize) {
        match self.web.post(question).await {
            Ok(answer) => (read(&answer), answer.body.len()),
            Err(error) => (Verdict::unavailable(error), 0),
        }
    }
}

fn read(answer: &Answer) -> Verdict {
    if answer.is_empty() {
        return Verdict::Allow(Grant::default());
    }
    if !answer.is_ok() {
        let status = answer.status;
        return Verdict::Unavailable(format!(
            "the authentication service answered with status {status}; 200 with JSON, or 204, is wanted"
        ));
    }
    let said: Said = match serde_json::from_slice(&answer.body) {
        Ok(said) => said,
        // Where, and not what: it may be about a password.
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            return Verdict::Unavailable(format!(
                "the authentication service's answer is not what is wanted, at {line}:{column}: \
                 {{\"result\": \"allow\"}}, deny or ignore, and what else may stand there"
            ));
        }
    };
    match said.result {
        Outcome::Ignore => Verdict::Ignore,
        Outcome::Deny => Verdict::Deny("denied by the authentication service".to_owned()),
        Outcome::Allow => {
            let at = |seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
            if said
                .expire_at
                .is_some_and(|seconds| seconds > LATEST_SECOND)
            {
                return Verdict::Unavailable(
                    "the authentication service's expire_at is no time in seconds since 1970"
                        .to_owned(),
                );
            }
            Verdict::Allow(Grant {
                expires_at: said.expire_at.and_then(at),
                attributes: said.client_attrs,
                acl: said.acl.map(Arc::new),
                superuser: said.is_superuser,
                hides_username: false,
            })
        }
    }
}

/// Answers, by a keyed hash of the question: so no password is kept.
struct Cache {
    ttl: Duration,
    key: hmac::Key,
    /// At most `cache.max_entries`; when it is full, the one that was used last the longest ago goes.
    known: Mutex<LruCache<[u8; 32], Known>>,
}

struct Known {
    verdict: Verdict,
    until: Instant,
}

impl Cache {
    fn new(ttl: Duration, most: NonZeroUsize) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self {
            ttl,
            key: key.expect("the system has random numbers"),
            // Not with room for all of them at once.
            known: Mutex::new(LruCache::unbounded()),
        }
        .bounded(most)
    }

    fn bounded(self, most: NonZeroUsize) -> Self {
        self.known.lock().resize(most);
        self
    }

    fn key(&self, question: &Question<'_>) -> [u8; 32] {
        let question = serde_json::to_vec(question).expect("text can be written as JSON");
        let tag = hmac::sign(&self.key, &question);
        let mut key = [0; 32];
        key.copy_from_slice(tag.as_ref());
        key
    }

    fn get(&self, key: &[u8; 32]) -> Option<Verdict> {
        let mut known = self.known.lock();
        let found = known.get(key)?;
        if found.until > Instant::now() {
            return Some(found.verdict.clone());
        }
        known.pop(key);
        None
    }

    /// What could not be told is asked again.
    fn put(&self, key: [u8; 32], verdict: &Verdict) {
        let ttl = match verdict {
            Verdict::Unavailable(_) => return,
            Verdict::Allow(Grant {
                expires_at: Some(at),
                ..
            }) => {
                let left = at.duration_since(SystemTime::now());
                left.unwrap_or_default().min(self.ttl)
            }
            _ => self.ttl,
        };
        let known = Known {
            verdict: verdict.clone(),
            until: Instant::now() + ttl,
        };
        self.known.lock().put(key, known);
    }
}
