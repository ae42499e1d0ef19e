//! Who may ask, how much at once and for how long; and what is counted of it.

use std::convert::Infallible;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{Extensions, StatusCode, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::timeout;

use super::{Error, Management};
use crate::{door::Peer, tokens::Presented};

/// Stands before all that can be asked for.
pub(super) async fn guard(
    State(management): State<Management>,
    request: Request,
    next: Next,
) -> Response {
    let resource = resource(request.uri().path());
    let Caller(caller) = Caller::of(request.extensions());
    let response = match management.answer(request, next).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(caller, resource, %error, "request to the management API not done");
            error.into_response()
        }
    };
    let metrics = &management.subjects().metrics;
    metrics.management_request(resource, class(response.status()));
    response
}

impl Management {
    async fn answer(&self, request: Request, next: Next) -> Result<Response, Error> {
        if let Some(tokens) = &self.0.tokens {
            let is_known = match Presented::of(request.headers()) {
                Presented::Token(token) => tokens.find(&token).is_some(),
                Presented::Nothing | Presented::Malformed => false,
            };
            if !is_known {
                return Err(Error::Unauthorized);
            }
        }
        let _place = self.0.requests.try_acquire().map_err(|_| Error::Busy)?;
        let answer = timeout(self.0.request_timeout, next.run(request)).await;
        answer.map_err(|_| Error::Timeout)
    }
}

/// Who asks, for the log: the address, and the name in the certificate.
#[derive(Clone)]
pub(super) struct Caller(pub(super) String);

impl Caller {
    pub(super) fn of(extensions: &Extensions) -> Self {
        // Another pod has told.
        if let Some(caller) = extensions.get::<Self>() {
            return caller.clone();
        }
        Self(match extensions.get::<Peer>() {
            Some(Peer { address, names }) => match names.first() {
                Some(name) => format!("{address} ({})", name.escape_debug()),
                None => address.to_string(),
            },
            None => String::new(),
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

/// What a path is about, out of a closed set.
fn resource(path: &str) -> &'static str {
    let Some(path) = path.strip_prefix("/api/v1") else {
        return "other";
    };
    let mut parts = path.splitn(3, '/');
    if parts.next() != Some("") {
        return "other";
    }
    match (parts.next(), parts.next()) {
        (None | Some(""), None) => "index",
        (Some("clients"), None) => "clients",
        (Some("clients"), Some(_)) => "client",
        (Some("connections"), None) => "connections",
        (Some("connections"), Some(_)) => "connection",
        (Some("bans"), None) => "bans",
        (Some("bans"), Some(_)) => "ban",
        _ => "other",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_asked_for_has_a_word_out_of_few() {
        for (path, word) in [
            ("/api/v1", "index"),
            ("/api/v1/", "index"),
            ("/api/v1/clients", "clients"),
            ("/api/v1/clients/a/b", "client"),
            ("/api/v1/connections/x", "connection"),
            ("/api/v1/bans", "bans"),
            ("/api/v1/bans/10.0.0.0%2F8", "ban"),
            ("/api/v1/clientsx", "other"),
            ("/api/v1clients", "other"),
            ("/", "other"),
        ] {
            assert_eq!(resource(path), word, "{path}");
        }
    }
}
