//! Signed tokens in place of passwords: whose key signed them, for whom, until when, and what they say of a client.

/// The keys that sign.
mod keys;
/// Keys that are served, and so change.
mod served;
/// How signatures are checked.
mod signatures;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use config::{ClaimTemplate, TokenPlace};
use jsonwebtoken::{Algorithm, Header, Validation, decode, errors::ErrorKind};
use serde_json::{Map, Value};

use self::{
    keys::{Key, Keys},
    served::Served,
};
use super::{Attributes, Credentials, Error, Grant, Verdict, hasher::Hasher};

/// Tokens are looked at up to this length. Headers of HTTP/1 end there, so issuers keep below it.
const LONGEST: usize = 16 * 1024;

type Claims = Map<String, Value>;

/// Checks tokens as one authenticator of a chain.
pub(super) struct Jwt {
    config: config::Jwt,
    source: Source,
    /// Where signatures of public keys are checked.
    threads: Hasher,
}

/// Where keys come from.
enum Source {
    /// A file.
    Fixed(Keys),
    /// A service.
    Served(Served),
}

impl Jwt {
    /// Reads the files that it needs. `before`: the same authenticator as it was, whose served keys are good until new
    /// ones have come.
    pub(super) fn load(
        config: &config::Jwt,
        threads: Hasher,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        signatures::use_ring();
        let source = match &config.jwks_url {
            Some(url) => {
                let before = before.and_then(|before| match &before.source {
                    Source::Served(served) if before.config.jwks_url == config.jwks_url => {
                        Some(served)
                    }
                    _ => None,
                });
                Source::Served(Served::start(url, config, before)?)
            }
            None => Source::Fixed(Keys::load(config)?),
        };
        let mut claims = config.claims.values();
        if before.is_none() && !claims.any(ClaimTemplate::uses_clientid) {
            tracing::warn!(
                "jwt: no claim names the client, so that a good token is good for any clientid; \
                 write for example claims: {{sub: \"${{clientid}}\"}}"
            );
        }
        Ok(Self {
            config: config.clone(),
            source,
            threads,
        })
    }

    /// The files that it reads.
    pub(super) fn files(config: &config::Jwt) -> Vec<PathBuf> {
        let keys = [
            &config.secret_file,
            &config.public_key_file,
            &config.jwks_file,
        ];
        let keys = keys.into_iter().flatten().cloned();
        keys.chain(crate::services::Web::files(&config.client))
            .collect()
    }

    pub(super) async fn authenticate(&self, credentials: &Credentials) -> Verdict {
        let token = match self.config.token {
            TokenPlace::Password => credentials.password.reveal(),
            TokenPlace::Username => &credentials.username,
        };
        if token.len() > LONGEST {
            return Verdict::Ignore;
        }
        let Ok(header) = jsonwebtoken::decode_header(token) else {
            // Also `alg: none`, which is no algorithm. Tokens begin with an object in base64, others are passwords.
            return if looks_like_a_token(token) {
                Verdict::Deny("the token's header is not one; its algorithm must be one of RFC 7518, but none".to_owned())
            } else {
                Verdict::Ignore
            };
        };
        if self.is_anothers(token) {
            return Verdict::Ignore;
        }
        match self.verify(token, &header).await {
            Ok(claims) => match self.look_at(&claims, credentials) {
                Ok(grant) => Verdict::Allow(grant),
                Err(denied) => Verdict::Deny(denied),
            },
            Err(verdict) => verdict,
        }
    }

    /// Another issuer's token is another authenticator's business.
    fn is_anothers(&self, token: &str) -> bool {
        let Some(issuer) = &self.config.issuer else {
            return false;
        };
        let claims: Option<Claims> = jsonwebtoken::dangerous::insecure_decode_claims(token).ok();
        let said = claims.as_ref().and_then(|claims| claims.get("iss"));
        said.is_none_or(|said| said.as_str() != Some(issuer))
    }

    async fn verify(&self, token: &str, header: &Header) -> Result<Claims, Verdict> {
        if header.crit.as_ref().is_some_and(|crit| !crit.is_empty()) {
            let text = "the token demands an extension (crit), and none is known here";
            return Err(Verdict::Deny(text.to_owned()));
        }
        let keys = match &self.source {
            Source::Fixed(keys) => keys.clone(),
            Source::Served(served) => {
                let kid = header.kid.as_deref();
                let keys = served.keys(kid).await;
                keys.map_err(Verdict::unavailable)?
            }
        };
        if keys.named(header.kid.as_deref()).next().is_none() {
            return Err(Verdict::Ignore);
        }
        if !self.is_wanted(header.alg) {
            return Err(Verdict::Deny(denial(&ErrorKind::InvalidAlgorithm)));
        }
        let validation = self.validation(header.alg);
        if is_cheap(header.alg) {
            return check(token, header, &keys, &validation);
        }
        let (token, header) = (token.to_owned(), header.clone());
        let checked = self
            .threads
            .run(move || check(&token, &header, &keys, &validation));
        checked.await.map_err(Verdict::unavailable)?
    }

    fn is_wanted(&self, algorithm: Algorithm) -> bool {
        let wanted = &self.config.algorithms;
        wanted.is_empty()
            || wanted
                .iter()
                .any(|each| keys::algorithm(*each) == algorithm)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = self.config.clock_skew.as_secs();
        validation.validate_nbf = true;
        validation.required_spec_claims.clear();
        if self.config.require_expiry {
            validation.required_spec_claims.insert("exp".to_owned());
        }
        if let Some(issuer) = &self.config.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        if self.config.audience.is_empty() {
            validation.validate_aud = false;
        } else {
            validation.set_audience(&self.config.audience);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        validation
    }

    /// What a token that is signed well says, and whether it is this client's.
    fn look_at(&self, claims: &Claims, credentials: &Credentials) -> Result<Grant, String> {
        for (name, expected) in &self.config.claims {
            let expected = expected.fill(&credentials.clientid, &credentials.username);
            let is = claims.get(name).is_some_and(|said| says(said, &expected));
            if !is {
                return Err(format!(
                    "the claim {name} is not what it must be for this client"
                ));
            }
        }
        let mut attributes = Attributes::new();
        for (name, claim) in &self.config.attributes {
            let said = claims.get(claim).filter(|said| !said.is_null());
            if let Some(said) = said {
                let text = text(said).ok_or_else(|| format!("the claim {claim} is no text"))?;
                attributes.insert(name.as_str().into(), text.into());
            }
        }
        Ok(Grant {
            expires_at: self.expiry(claims)?,
            attributes,
            acl: claims.get(&self.config.acl_claim).cloned().map(Into::into),
            superuser: false,
            hides_username: self.config.token == TokenPlace::Username,
        })
    }

    fn expiry(&self, claims: &Claims) -> Result<Option<SystemTime>, String> {
        let Some(exp) = claims.get("exp").and_then(Value::as_f64) else {
            return Ok(None);
        };
        let since = Duration::try_from_secs_f64(exp).map_err(|_| "exp is no time".to_owned())?;
        Ok(SystemTime::UNIX_EPOCH
            .checked_add(since)
            .and_then(|at| at.checked_add(self.config.clock_skew)))
    }
}

/// Whether its signature takes no longer than what else an Authenticate takes.
fn is_cheap(algorithm: Algorithm) -> bool {
    matches!(
        algorithm,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
    )
}

/// Whether one of the keys has signed the token, and what it says.
fn check(
    token: &str,
    header: &Header,
    keys: &Keys,
    validation: &Validation,
) -> Result<Claims, Verdict> {
    let kid = header.kid.as_deref();
    let mut failure = ErrorKind::InvalidAlgorithm;
    for key in keys
        .named(kid)
        .filter(|key: &&Key| key.signs_with(header.alg))
    {
        match decode::<Claims>(token, &key.decoding, validation) {
            Ok(good) => return Ok(good.claims),
            Err(error) => failure = error.into_kind(),
        }
    }
    Err(Verdict::Deny(denial(&failure)))
}

fn looks_like_a_token(text: &str) -> bool {
    // `{"` in base64.
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// What the handler is told. Nothing of the token is in it.
fn denial(failure: &ErrorKind) -> String {
    match failure {
        ErrorKind::ExpiredSignature => "the token has expired".to_owned(),
        ErrorKind::ImmatureSignature => "the token is not valid yet".to_owned(),
        ErrorKind::InvalidAudience => "the token is for another audience".to_owned(),
        ErrorKind::InvalidIssuer => "the token is of another issuer".to_owned(),
        ErrorKind::InvalidSignature => "the token's signature is wrong".to_owned(),
        ErrorKind::InvalidAlgorithm => {
            "the token is signed with an algorithm that is not taken".to_owned()
        }
        ErrorKind::MissingRequiredClaim(claim) => format!("the token has no {claim}"),
        ErrorKind::InvalidClaimFormat(claim) => format!("the token's {claim} is no time"),
        _ => "the token is damaged".to_owned(),
    }
}

/// Whether a claim is that text, or a list that has it.
fn says(said: &Value, expected: &str) -> bool {
    match said {
        Value::Array(all) => all
            .iter()
            .any(|each| text(each).as_deref() == Some(expected)),
        one => text(one).as_deref() == Some(expected),
    }
}

/// Text as it is, numbers and truth as they are written.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}
