//! Services of the user's that the gateway asks: over HTTP, and Redis.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ByteSize, Certificate, count::Count, period::Period, size::KibBetween, text::text};

/// How a service is reached over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpClient {
    /// How long the whole exchange may take, waiting for a place among `max_concurrent` included.
    #[serde(with = "Period")]
    pub timeout: Duration,

    /// The largest answer that is read. A larger one counts as a failure.
    #[serde(with = "KibBetween::<1, 65_536>")]
    pub max_answer: ByteSize,

    /// How many requests may be under way at a time; more wait.
    #[serde(with = "Count::<1, 10_000>")]
    pub max_concurrent: u32,

    /// How many requests may wait for their turn. More fail at once.
    #[serde(with = "Count::<0, 100_000>")]
    pub max_waiting: u32,

    /// The authorities that sign the service's certificate. Unset: those that the system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/tls/ca.crt")]
    pub ca_file: Option<PathBuf>,

    /// The certificate that the gateway shows to the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "{chain: /tls/client.crt, key: /tls/client.key}")]
    pub certificate: Option<Certificate>,

    /// A file with a token that is sent as `Authorization: Bearer …`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/exproto/service.token")]
    pub token_file: Option<PathBuf>,

    /// Headers that every request carries. No place for secrets: this file is one that is read and shown.
    #[schemars(example = "{x-tenant: acme}")]
    pub headers: BTreeMap<String, String>,
}

impl Default for HttpClient {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            max_answer: ByteSize::kib(256),
            max_concurrent: 64,
            max_waiting: 256,
            ca_file: None,
            certificate: None,
            token_file: None,
            headers: BTreeMap::new(),
        }
    }
}

/// The address of a service: `http://` or `https://`, a host, and what follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpUrl(url::Url);

text!(HttpUrl, "an address such as https://auth.example.net/check");

impl HttpUrl {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the exchange is encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether it does not leave this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_local(&self.0)
    }

    /// The address without what follows a `?`, which may be a secret.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut shown = self.0.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        shown.to_string()
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = parse(text, &["http", "https"], "https://auth.example.net/check")?;
        Ok(Self(url))
    }
}

/// A Redis server that is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisServer {
    /// Where it is: `redis://host:port/database`, or `rediss://…` for TLS.
    #[schemars(example = "redis://redis.example.net:6379/0")]
    pub url: RedisUrl,

    /// The user of its access lists. Unset: its default user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"exproto")]
    pub username: Option<String>,

    /// A file with the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/exproto/redis.password")]
    pub password_file: Option<PathBuf>,

    /// The authorities that sign its certificate. Unset: those that the system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/tls/ca.crt")]
    pub ca_file: Option<PathBuf>,

    /// The certificate that the gateway shows to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "{chain: /tls/client.crt, key: /tls/client.key}")]
    pub certificate: Option<Certificate>,

    /// How long a question, or a connection, may take.
    #[serde(with = "Period", default = "redis_timeout")]
    pub timeout: Duration,
}

fn redis_timeout() -> Duration {
    Duration::from_secs(2)
}

/// The address of a Redis server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedisUrl(url::Url);

text!(
    RedisUrl,
    "an address such as redis://redis.example.net:6379/0"
);

impl RedisUrl {
    /// Its host, as Redis clients take it.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.0.host_str().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port().unwrap_or(6379)
    }

    /// The number of the database.
    #[must_use]
    pub fn database(&self) -> i64 {
        self.0.path().trim_start_matches('/').parse().unwrap_or(0)
    }

    /// Whether it names a database.
    #[must_use]
    pub(crate) fn has_database(&self) -> bool {
        !self.0.path().trim_start_matches('/').is_empty()
    }

    /// Whether it is reached over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.scheme() == "rediss"
    }

    /// Whether what it is asked does not leave this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_local(&self.0)
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(to)
    }
}

impl FromStr for RedisUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "redis://redis.example.net:6379/0";
        let url = parse(text, &["redis", "rediss"], example)?;
        let database = url.path().trim_start_matches('/');
        if !database.is_empty() && database.parse::<u16>().is_err() {
            return Err(format!(
                "\"{database}\" is no number of a database; write for example {example}"
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(format!("it takes no ?… or #…; write for example {example}"));
        }
        Ok(Self(url))
    }
}

fn is_local(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        None => false,
    }
}

/// An address of one of these schemes, with a host and without a password: those come by files.
fn parse(text: &str, schemes: &[&str], example: &str) -> Result<url::Url, String> {
    // What is wrong is not shown: it may hold a password.
    let url = url::Url::parse(text)
        .map_err(|error| format!("it is not an address ({error}); write for example {example}"))?;
    if !schemes.contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        let schemes = schemes.join(":// or ");
        return Err(format!(
            "it is not an address that starts with {schemes}:// and a host; write for example {example}"
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "it holds a name or password; remove them: passwords and tokens have files of their own"
                .to_owned(),
        );
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_they_say() {
        let url: HttpUrl = "https://a.example/x?y=1".parse().unwrap();
        assert!(url.is_secure());
        assert_eq!(url.to_string(), "https://a.example/x?y=1");
        assert_eq!(url.shown(), "https://a.example/x");
        for (text, local) in [
            ("http://localhost/", true),
            ("http://127.8.8.8:1/", true),
            ("http://[::1]/", true),
            ("http://10.0.0.1/", false),
            ("http://localhost.example/", false),
        ] {
            assert_eq!(text.parse::<HttpUrl>().unwrap().is_local(), local, "{text}");
        }
        let redis: RedisUrl = "rediss://[::1]:7000/3".parse().unwrap();
        assert_eq!((redis.host(), redis.port()), ("::1", 7000));
        assert_eq!(redis.database(), 3);
        assert!(redis.is_secure());
        let short: RedisUrl = "redis://r".parse().unwrap();
        assert_eq!((short.port(), short.database()), (6379, 0));
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_shown() {
        for text in ["", "a.example", "ftp://a/", "http://"] {
            assert!(text.parse::<HttpUrl>().is_err(), "{text}");
        }
        for text in ["http://a/", "redis://a/x", "redis://a/1?b", "redis://"] {
            assert!(text.parse::<RedisUrl>().is_err(), "{text}");
        }
        let secret = "https://user:hunter2@a.example/".parse::<HttpUrl>();
        let error = secret.unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
