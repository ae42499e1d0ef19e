//! Signed tokens.

#![allow(clippy::doc_markdown, reason = "EdDSA is a name")]

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AttributeName, ClaimTemplate, HttpClient, HttpUrl,
    period::{Period, PeriodOrZero},
};

/// How tokens are checked. Exactly one of `secret_file`, `public_key_file`, `jwks_file` and `jwks_url` is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Jwt {
    /// Where the token stands. What does not look like a token there is left to the next authenticator.
    pub token: TokenPlace,

    /// A file with the secret of HS256, HS384 and HS512: its bytes as they are, but for a line end at the end. At
    /// least 32 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/exproto/jwt.secret")]
    pub secret_file: Option<PathBuf>,

    /// A PEM file with the public key of the RS, PS, ES or EdDSA algorithms.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/exproto/jwt.pem")]
    pub public_key_file: Option<PathBuf>,

    /// A file with a set of public keys (JWKS). A token names its key by `kid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "/etc/exproto/jwks.json")]
    pub jwks_file: Option<PathBuf>,

    /// Where such a set is served. It is read again every `refresh`, and when a token names a key that is not in it,
    /// at most every 10 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "https://issuer.example.net/.well-known/jwks.json")]
    pub jwks_url: Option<HttpUrl>,

    /// The algorithms that tokens may be signed with. Empty: all that fit the kind of key. `none` is never taken.
    #[schemars(example = "[ES256]")]
    pub algorithms: Vec<JwtAlgorithm>,

    /// What `iss` must be. A token of another issuer is left to the next authenticator. Unset: anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "https://issuer.example.net")]
    pub issuer: Option<String>,

    /// One of these must stand in `aud`. Empty: it is not looked at.
    #[schemars(example = "[exproto]")]
    pub audience: Vec<String>,

    /// Claims that must be there, and their values: text in which `${clientid}` and `${username}` stand for the
    /// client's own.
    #[schemars(example = "{sub: \"${clientid}\"}")]
    pub claims: BTreeMap<String, ClaimTemplate>,

    /// Whether a token needs `exp`. When it is over, the connection is closed with `expired`. `false`: a token without
    /// it is good for ever.
    pub require_expiry: bool,

    /// By how much clocks may differ: `exp` and `nbf` are that much more generous for Authenticate.
    #[serde(with = "PeriodOrZero")]
    pub clock_skew: Duration,

    /// Claims that become attributes of the client: the name of the attribute (A-Z, a-z, 0-9, _ and -), and that of
    /// its claim.
    #[schemars(example = "{tenant: tenant_id}")]
    pub attributes: BTreeMap<AttributeName, String>,

    /// The claim with rules of authorization, if there is one.
    pub acl_claim: String,

    /// How often `jwks_url` is read.
    #[serde(with = "Period")]
    pub refresh: Duration,

    /// How long keys of `jwks_url` are used while it cannot be read. After that no token is good.
    #[serde(with = "Period")]
    pub max_age: Duration,

    /// How `jwks_url` is reached.
    pub client: HttpClient,
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            token: TokenPlace::Password,
            secret_file: None,
            public_key_file: None,
            jwks_file: None,
            jwks_url: None,
            algorithms: Vec::new(),
            issuer: None,
            audience: Vec::new(),
            claims: BTreeMap::new(),
            require_expiry: true,
            clock_skew: Duration::from_secs(5),
            attributes: BTreeMap::new(),
            acl_claim: "acl".to_owned(),
            refresh: Duration::from_secs(300),
            max_age: Duration::from_secs(24 * 3600),
            client: HttpClient::default(),
        }
    }
}

/// Where a token stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenPlace {
    /// In the password of Authenticate.
    #[default]
    Password,
    /// In the username of Authenticate. The client then has no username.
    Username,
}

/// An algorithm of signatures (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSA (PKCS #1 1.5) with SHA-256.
    RS256,
    /// RSA (PKCS #1 1.5) with SHA-384.
    RS384,
    /// RSA (PKCS #1 1.5) with SHA-512.
    RS512,
    /// RSA (PSS) with SHA-256.
    PS256,
    /// RSA (PSS) with SHA-384.
    PS384,
    /// RSA (PSS) with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

impl JwtAlgorithm {
    /// Whether it is one of shared secrets.
    #[must_use]
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }
}
