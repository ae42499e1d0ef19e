//! Users in Redis: a hash for each.

use std::collections::HashMap;

use super::{Attributes, Credentials, Error, Grant, Verdict, hash::Hash, hasher::Hasher};
use crate::services::Redis;

/// What the field of an attribute starts with.
const ATTRIBUTE: &str = "attr.";

/// Asks one server.
pub(super) struct RedisUsers {
    redis: Redis,
    config: config::RedisUsers,
    hasher: Hasher,
}

impl RedisUsers {
    pub(super) fn load(config: &config::RedisUsers, hasher: Hasher) -> Result<Self, Error> {
        Ok(Self {
            redis: Redis::new(&config.server)?,
            config: config.clone(),
            hasher,
        })
    }

    pub(super) async fn authenticate(&self, credentials: &Credentials) -> Verdict {
        let (clientid, username) = (&credentials.clientid, &credentials.username);
        if username.is_empty() && self.config.key.uses_username() {
            return Verdict::Ignore;
        }
        let key = self.config.key.fill(clientid, username);
        let fields = match self.redis.hash(&key).await {
            Ok(fields) => fields,
            Err(error) => return Verdict::unavailable(error),
        };
        let Some(hash) = fields.get("password_hash") else {
            return Verdict::Ignore;
        };
        if let Err(problem) = Hash::parse(hash) {
            return Verdict::Unavailable(format!("password_hash of a user in Redis: {problem}"));
        }
        match self
            .hasher
            .verify(hash, credentials.password.reveal())
            .await
        {
            Ok(true) => Verdict::Allow(grant(fields)),
            Ok(false) => Verdict::bad_password(),
            Err(busy) => Verdict::unavailable(busy),
        }
    }
}

fn grant(fields: HashMap<String, String>) -> Grant {
    let superuser = fields.get("is_superuser");
    let superuser = superuser.is_some_and(|value| value == "1" || value == "true");
    let attributes = fields.into_iter().filter_map(|(field, value)| {
        let name = field.strip_prefix(ATTRIBUTE)?;
        Some((name.into(), value.into()))
    });
    Grant {
        attributes: attributes.collect::<Attributes>(),
        superuser,
        ..Grant::default()
    }
}
