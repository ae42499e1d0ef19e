//! Who calls the adapter, and what for: known by a token or by a certificate, allowed some of the calls.

/// Where calls are let through or turned away.
pub mod guard;

use std::{collections::HashMap, path::PathBuf};

use config::Scope;
use http::HeaderMap;
use tonic::Status;

pub use self::guard::Guard;
use crate::{
    door::Peer,
    tokens::{self, Presented, Tokens},
};

/// The callers that the configuration names.
pub struct Callers {
    /// As in the configuration.
    all: Vec<Caller>,
    tokens: Tokens,
    /// For each file of tokens, whose it is.
    owners: Vec<usize>,
    certificates: HashMap<String, usize>,
}

/// One of them.
struct Caller {
    name: String,
    scopes: Vec<Scope>,
    is_mirror: bool,
}

/// A call of a mirror: it is answered and not carried out. The mark of a request that was let through.
#[derive(Clone, Copy, Debug)]
pub struct OfMirror;

/// Why a call is turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It brings nothing that tells who calls.
    #[error("this adapter wants to know its callers; {0}")]
    Unknown(String),
    /// It brings a token that is none of ours. Which part of it is wrong is nobody's business.
    #[error("the bearer token is not known to this adapter; {0}")]
    BadToken(String),
    /// The caller may not do this.
    #[error("caller \"{caller}\" does not have the scope {}, which {method} needs; add it to the caller's scopes in adapter.callers", scope.as_str())]
    Scope {
        /// Who.
        caller: String,
        /// What is missing.
        scope: Scope,
        /// What for.
        method: &'static str,
    },
}

impl Refused {
    /// One word of a small closed set, for metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "no_credentials",
            Self::BadToken(_) => "bad_token",
            Self::Scope { .. } => "scope",
        }
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let text = refused.to_string();
        match refused {
            Refused::Unknown(_) | Refused::BadToken(_) => Self::unauthenticated(text),
            Refused::Scope { .. } => Self::permission_denied(text),
        }
    }
}

impl Callers {
    /// Reads the files with their tokens. `None`: no callers are named, so everybody may do everything.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn load(config: &config::Adapter) -> Result<Option<Self>, tokens::Error> {
        let callers = &config.callers;
        if callers.is_empty() {
            return Ok(None);
        }
        let places = callers.iter().enumerate();
        let with_files =
            places.filter_map(|(place, caller)| Some((place, caller.token_file.clone()?)));
        let (owners, files): (Vec<_>, Vec<_>) = with_files.unzip();
        let places = callers.iter().enumerate();
        let certificates =
            places.filter_map(|(place, caller)| Some((caller.certificate.clone()?, place)));
        Ok(Some(Self {
            tokens: Tokens::load(files)?,
            owners,
            certificates: certificates.collect(),
            all: callers
                .iter()
                .map(|caller| Caller {
                    name: caller.name.clone(),
                    scopes: caller.scopes.clone(),
                    is_mirror: caller.mirror,
                })
                .collect(),
        }))
    }

    /// Their tokens.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The files that [`Callers::load`] reads.
    pub fn files(config: &config::Adapter) -> impl Iterator<Item = PathBuf> {
        let each = config.callers.iter();
        each.filter_map(|caller| caller.token_file.clone())
    }

    /// Whether this call may be made, or why not; and the mark of those that are a mirror's. A token counts before a
    /// certificate.
    pub fn check(
        &self,
        headers: &HeaderMap,
        peer: Option<&Peer>,
        (method, scope): (&'static str, Scope),
    ) -> Result<Option<OfMirror>, Refused> {
        let caller = &self.all[self.identify(headers, peer)?];
        if caller.scopes.contains(&scope) {
            return Ok(caller.is_mirror.then_some(OfMirror));
        }
        Err(Refused::Scope {
            caller: caller.name.clone(),
            scope,
            method,
        })
    }

    fn identify(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<usize, Refused> {
        match Presented::of(headers) {
            Presented::Token(token) => {
                let file = self.tokens.find(&token);
                file.map(|file| self.owners[file])
                    .ok_or_else(|| Refused::BadToken(self.hint()))
            }
            Presented::Malformed => Err(Refused::BadToken(self.hint())),
            Presented::Nothing => {
                let names = peer.map(|peer| &*peer.names).unwrap_or_default();
                let known = names.iter().find_map(|name| self.certificates.get(name));
                known.copied().ok_or_else(|| Refused::Unknown(self.hint()))
            }
        }
    }

    /// What to send instead.
    fn hint(&self) -> String {
        let token = "send the metadata \"authorization: Bearer TOKEN\" with the token of one of adapter.callers";
        let certificate = "connect with a client certificate that one of adapter.callers names";
        match (self.owners.is_empty(), self.certificates.is_empty()) {
            (false, true) => token.to_owned(),
            (true, _) => certificate.to_owned(),
            (false, false) => format!("{token}, or {certificate}"),
        }
    }
}

#[cfg(test)]
mod tests;
