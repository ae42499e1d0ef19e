//! What goes wrong with a request, and the only place where it becomes a status and JSON.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// It does not say who asks, or says it wrong: which of them is nobody's business.
    #[error(
        "send the header \"authorization: Bearer TOKEN\" with a token of management.token_file"
    )]
    Unauthorized,
    /// A field is wrong.
    #[error("{field}: {problem}")]
    Field {
        /// Its name.
        field: String,
        /// What is wrong, and what to write.
        problem: String,
    },
    /// The body is not what it should be.
    #[error("the body: {0}")]
    Body(String),
    /// It is not there.
    #[error("{0}")]
    NotFound(String),
    /// Another pod says no, or does not answer.
    #[error("pod {pod}: {why}")]
    Elsewhere {
        /// Which.
        pod: String,
        /// What it says, or what is in the way.
        why: String,
    },
    /// That cannot be done to it.
    #[error("this cannot be done here; GET /api/v1/ lists what can")]
    Method,
    /// The body is over the limit.
    #[error("the body has more than 64 KiB; send less")]
    TooLarge,
    /// The limit of requests is reached.
    #[error("management.max_concurrent_requests are under way; try again")]
    Busy,
    /// It took too long.
    #[error("it took longer than management.request_timeout; ask for less, or try again")]
    Timeout,
    /// It is our fault, or the pod ends.
    #[error("it could not be done; the log may say why")]
    Internal,
}

impl Error {
    pub(super) fn field(field: &str, problem: impl Into<String>) -> Self {
        Self::Field {
            field: field.to_owned(),
            problem: problem.into(),
        }
    }

    /// The status, and a word for programs.
    fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Field { .. } | Self::Body(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::Elsewhere { .. } => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            Self::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code) = self.code();
        let body = json!({ "error": { "code": code, "message": self.to_string() } });
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
