//! Who may be a client.

use std::{path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    HttpClient, HttpUrl, Rate, RedisServer, count::Count, pattern::KeyTemplate,
    period::PeriodOrOff, rate::RateOrOff,
};

pub use jwt::{Jwt, JwtAlgorithm, TokenPlace};

/// Signed tokens.
mod jwt;

/// What `Authenticate` checks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Authentication {
    /// The authenticators, tried in this order: each allows the client, denies it, or has nothing to say about it and
    /// leaves it to the next one. Who is allowed by none is denied. Empty: everybody is allowed. A listener may have
    /// a chain of its own (`authentication_chain`).
    #[schemars(example = "[{file: {path: /etc/exproto/users}}]")]
    pub chain: Vec<Authenticator>,

    /// How often devices of one IP address may be denied. Above it their Authenticates are refused without a look at
    /// the password, until the rate allows one again. (To close their connections, too, see `bans.failure_rate`.) Those that are under way at the same time count when they end. It
    /// does not count over plain UDP, where anybody can write anybody's address.
    #[serde(with = "RateOrOff")]
    pub failure_rate: Option<Rate>,

    /// How many passwords are hashed, and tokens of public keys checked, at a time, on threads of their own with
    /// low priority. Unset: half of the processor's cores.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schemars(example = 2)]
    pub hashing_threads: Option<HashingThreads>,

    /// How many passwords and such tokens may wait for that. More are answered with `UNKNOWN`.
    #[serde(with = "Count::<1, 1_000_000>")]
    pub max_waiting_passwords: u32,
}

impl Default for Authentication {
    fn default() -> Self {
        Self {
            chain: Vec::new(),
            failure_rate: Some(Rate {
                amount: 300,
                period: Duration::from_secs(60),
            }),
            hashing_threads: None,
            max_waiting_passwords: 1000,
        }
    }
}

/// A number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct HashingThreads(#[serde(with = "Count::<1, 256>")] pub u32);

/// One authenticator of a chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Authenticator {
    /// Allows everybody. As the last of a chain it lets in whom the others know nothing of.
    Anonymous(Anonymous),
    /// Asks a file of names and hashed passwords.
    File(UsersFile),
    /// Takes a signed token (JWT) instead of a password.
    Jwt(Box<Jwt>),
    /// Asks a service of yours.
    Http(Box<HttpAuthenticator>),
    /// Compares a name with the certificate that the device has shown.
    Certificate(CertificateNames),
    /// Asks Redis for a hash per user.
    Redis(Box<RedisUsers>),
}

impl Authenticator {
    /// The word in configurations and metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Anonymous(_) => "anonymous",
            Self::File(_) => "file",
            Self::Jwt(_) => "jwt",
            Self::Http(_) => "http",
            Self::Certificate(_) => "certificate",
            Self::Redis(_) => "redis",
        }
    }
}

/// Allows everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Anonymous {}

/// A file of names and hashed passwords.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsersFile {
    /// A file with a line `NAME:HASH` for each user, or `NAME:HASH:KEY=VALUE,…` with attributes, each KEY
    /// of A-Z, a-z, 0-9, _ and -. HASH is one of argon2id, bcrypt or PBKDF2, as `exproto-gateway hash` and `htpasswd -B`
    /// write them. It is watched; one with an error is not taken, and what was read before stays in use.
    #[schemars(example = "/etc/exproto/users")]
    pub path: PathBuf,

    /// Which name of the client is looked up.
    #[serde(default)]
    pub name: ClientName,
}

/// A name that a client has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientName {
    /// `clientinfo.username` of Authenticate.
    #[default]
    Username,
    /// `clientinfo.clientid` of Authenticate.
    Clientid,
}

/// A service that is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpAuthenticator {
    /// Where to POST the client's names and password as JSON.
    #[schemars(example = "https://auth.example.net/exproto")]
    pub url: HttpUrl,

    /// How the service is reached.
    #[serde(default)]
    pub client: HttpClient,

    /// What is remembered of its answers.
    #[serde(default)]
    pub cache: AuthenticationCache,
}

/// What is remembered of the answers of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuthenticationCache {
    /// How long an answer is used again for the same names, password, address and listener. `off`: each Authenticate
    /// asks. What has been revoked in the meantime is noticed only after this time.
    #[serde(with = "PeriodOrOff")]
    pub ttl: Option<Duration>,

    /// How many answers are kept; at the limit the one that was used last the longest ago is dropped.
    #[serde(with = "Count::<1, 10_000_000>")]
    pub max_entries: u32,
}

impl Default for AuthenticationCache {
    fn default() -> Self {
        Self {
            ttl: None,
            max_entries: 10_000,
        }
    }
}

/// The names in a device's certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CertificateNames {
    /// Which name of the client must stand in the certificate that its device has shown. Who has shown none is left
    /// to the next authenticator.
    pub name: CertificateClientName,

    /// Where it must stand.
    pub from: CertificatePart,
}

/// A name that a client has; most certificates are for devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CertificateClientName {
    /// `clientinfo.clientid` of Authenticate.
    #[default]
    Clientid,
    /// `clientinfo.username` of Authenticate.
    Username,
}

/// A part of a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CertificatePart {
    /// The common name of its subject, or one of its alternative names.
    #[default]
    Any,
    /// The common name of its subject.
    Cn,
    /// One of its alternative names (SAN): DNS, URI or e-mail.
    San,
}

/// A hash for each user, in Redis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisUsers {
    /// Where Redis is.
    pub server: RedisServer,

    /// The key of a user's hash. `${clientid}` and `${username}` in it stand for the client's own.
    /// Its field `password_hash` holds what the file authenticator has as HASH; `is_superuser` is `1` or `true` for
    /// whom no rule of authorization holds; each field `attr.NAME` is an attribute.
    #[serde(default = "user_key")]
    pub key: KeyTemplate,
}

fn user_key() -> KeyTemplate {
    "exproto:user:${username}"
        .parse()
        .expect("a template with a placeholder that is known")
}
