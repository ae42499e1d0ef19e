//! The keys that tokens are signed with, and the algorithms that each of them may sign with: never more than its kind
//! does, so that a public key is not taken for a secret.

use std::{path::Path, sync::Arc};

use config::JwtAlgorithm;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde_json::Value;

use crate::{
    auth::Error,
    files::{self, Limit},
};

/// A file of keys is no larger.
const LARGEST: Limit = Limit::mib(1, "that is no key, name the file that holds it");
/// A secret for HMAC has at least as many bytes as the shortest hash (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;
/// Keys of a set that are used; issuers have two or three.
const MOST_KEYS: usize = 100;
/// Keys without a matching `kid` that a token is tried with.
const MOST_TRIES: usize = 8;

const SECRET: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
const P256: &[Algorithm] = &[Algorithm::ES256];
const P384: &[Algorithm] = &[Algorithm::ES384];
const ED25519: &[Algorithm] = &[Algorithm::EdDSA];

/// A set of keys. Clones are the same.
#[derive(Clone)]
pub(super) struct Keys(Arc<[Key]>);

/// One of them.
pub(super) struct Key {
    kid: Option<String>,
    algorithms: &'static [Algorithm],
    /// The only one, if the set says so.
    only: Option<Algorithm>,
    pub(super) decoding: DecodingKey,
}

impl Key {
    pub(super) fn signs_with(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm) && self.only.is_none_or(|only| only == algorithm)
    }
}

impl Keys {
    /// Those of the file that the configuration names.
    pub(super) fn load(config: &config::Jwt) -> Result<Self, Error> {
        if let Some(path) = &config.secret_file {
            return secret(path).map(Self::one);
        }
        if let Some(path) = &config.public_key_file {
            return public(path).map(Self::one);
        }
        let path = config.jwks_file.as_deref().unwrap_or(Path::new(""));
        let set = Self::parse(&files::read(path, LARGEST)?);
        set.map_err(|problem| content(path, &format!("is no set of keys: {problem}")))
    }

    /// A set as it is served (RFC 7517). Keys that are not for signatures or of unknown kinds are left out; of the
    /// others there must be one.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let set: Value = serde_json::from_slice(bytes).map_err(|_| "it is not JSON".to_owned())?;
        let keys = set["keys"].as_array().ok_or("it has no list \"keys\"")?;
        let keys: Vec<Key> = keys.iter().filter_map(key).take(MOST_KEYS).collect();
        if keys.is_empty() {
            return Err(
                "it has no public key that is known here (RSA, P-256, P-384, Ed25519)".to_owned(),
            );
        }
        Ok(Self(keys.into()))
    }

    fn one(key: Key) -> Self {
        Self(Arc::new([key]))
    }

    /// Those that a token with this `kid` may be signed with.
    pub(super) fn named<'a>(&'a self, kid: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        let is_named = move |key: &&Key| match (&key.kid, kid) {
            (Some(own), Some(kid)) => own == kid,
            // A lone key needs no name, nor does a token where there is one key.
            (None, _) | (_, None) => true,
        };
        self.0.iter().filter(is_named).take(MOST_TRIES)
    }
}

/// The library's word for an algorithm.
pub(super) fn algorithm(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::HS256 => Algorithm::HS256,
        JwtAlgorithm::HS384 => Algorithm::HS384,
        JwtAlgorithm::HS512 => Algorithm::HS512,
        JwtAlgorithm::RS256 => Algorithm::RS256,
        JwtAlgorithm::RS384 => Algorithm::RS384,
        JwtAlgorithm::RS512 => Algorithm::RS512,
        JwtAlgorithm::PS256 => Algorithm::PS256,
        JwtAlgorithm::PS384 => Algorithm::PS384,
        JwtAlgorithm::PS512 => Algorithm::PS512,
        JwtAlgorithm::ES256 => Algorithm::ES256,
        JwtAlgorithm::ES384 => Algorithm::ES384,
        JwtAlgorithm::EdDSA => Algorithm::EdDSA,
    }
}

fn key(key: &Value) -> Option<Key> {
    let key: Jwk = serde_json::from_value(key.clone()).ok()?;
    let is_signature = |usage: &PublicKeyUse| *usage == PublicKeyUse::Signature;
    if !key.common.public_key_use.as_ref().is_none_or(is_signature) {
        return None;
    }
    let algorithms = match &key.algorithm {
        AlgorithmParameters::RSA(_) => RSA,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => P256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P384 => P384,
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => ED25519,
        // A secret in a set that anybody can read is none.
        _ => return None,
    };
    let only = match key.common.key_algorithm {
        Some(only) => Some(only.to_string().parse().ok()?),
        None => None,
    };
    Some(Key {
        decoding: DecodingKey::from_jwk(&key).ok()?,
        kid: key.common.key_id,
        algorithms,
        only,
    })
}

fn secret(path: &Path) -> Result<Key, Error> {
    let mut bytes = files::read(path, LARGEST)?;
    while bytes.last().is_some_and(|last| b"\r\n".contains(last)) {
        bytes.pop();
    }
    if bytes.len() < SHORTEST_SECRET {
        let problem = "is too short for a secret; write at least 32 bytes, of chance";
        return Err(content(path, problem));
    }
    if bytes.starts_with(b"-----BEGIN") {
        let problem = "is no secret but a key in PEM; write public_key_file instead of secret_file";
        return Err(content(path, problem));
    }
    Ok(Key {
        kid: None,
        algorithms: SECRET,
        only: None,
        decoding: DecodingKey::from_secret(&bytes),
    })
}

fn public(path: &Path) -> Result<Key, Error> {
    let bytes = files::read(path, LARGEST)?;
    let of = |algorithms, decoding: jsonwebtoken::errors::Result<DecodingKey>| {
        decoding.ok().map(|decoding| Key {
            kid: None,
            algorithms,
            only: None,
            decoding,
        })
    };
    let curve = || {
        // The library takes any curve; which it is, its length tells: a byte, and two coordinates.
        let decoding = DecodingKey::from_ec_pem(&bytes);
        let length = decoding.as_ref().ok()?.try_get_as_bytes().ok()?.len();
        match length {
            65 => of(P256, decoding),
            97 => of(P384, decoding),
            _ => None,
        }
    };
    of(RSA, DecodingKey::from_rsa_pem(&bytes))
        .or_else(curve)
        .or_else(|| of(ED25519, DecodingKey::from_ed_pem(&bytes)))
        .ok_or_else(|| {
            let problem = "holds no public key of RSA, P-256, P-384 or Ed25519; write one in PEM, \
                           as openssl pkey -pubout does";
            content(path, problem)
        })
}

fn content(path: &Path, problem: &str) -> Error {
    Error::Content {
        path: path.into(),
        problem: problem.to_owned(),
    }
}
