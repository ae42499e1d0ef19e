//! What calls bring, and answers carry, beside their message: gRPC metadata that the contract has no field for.

use std::time::Duration;

use tonic::metadata::{MetadataMap, MetadataValue};

use crate::connection::CallError;

/// On Authenticate: for how many seconds the client's session outlives its connection.
const SESSION_EXPIRY: &str = "exproto-session-expiry";
/// On the answer to Authenticate: whether there was a session.
const SESSION_PRESENT: &str = "exproto-session-present";
/// On Publish and `RawPublish`: whether the message is kept for whoever subscribes later.
const RETAIN: &str = "exproto-retain";

/// How long the client's session is to outlive its connection, where the call says so. 0: there is to be none.
pub(super) fn session_expiry(metadata: &MetadataMap) -> Result<Option<Duration>, CallError> {
    let problem = "is to be a number of seconds, of digits alone; 0 for no session";
    let Some(text) = only(metadata, SESSION_EXPIRY, problem)? else {
        return Ok(None);
    };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid(SESSION_EXPIRY, problem));
    }
    // More than can be counted is more than any limit.
    Ok(Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX))))
}

/// Whether the message is to be kept.
pub(super) fn retain(metadata: &MetadataMap) -> Result<bool, CallError> {
    let problem = "is to be true or false";
    match only(metadata, RETAIN, problem)? {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(invalid(RETAIN, problem)),
    }
}

/// Tells the handler whether its client finds its session again.
pub(super) fn tell_session_present(metadata: &mut MetadataMap, present: bool) {
    let word = if present { "true" } else { "false" };
    metadata.insert(SESSION_PRESENT, MetadataValue::from_static(word));
}

/// The one value of that name.
fn only<'a>(
    metadata: &'a MetadataMap,
    name: &'static str,
    problem: &str,
) -> Result<Option<&'a str>, CallError> {
    let mut values = metadata.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| invalid(name, problem)),
        _ => Err(invalid(name, "is there more than once; send it once")),
    }
}

fn invalid(field: &'static str, problem: &str) -> CallError {
    CallError::Invalid {
        field,
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, values: &[&'static str]) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        for value in values {
            metadata.append(name, MetadataValue::from_static(value));
        }
        metadata
    }

    #[test]
    fn an_expiry_is_seconds_in_digits() {
        let expiry = |values: &[&'static str]| session_expiry(&with(SESSION_EXPIRY, values));
        assert_eq!(expiry(&[]), Ok(None));
        for (text, seconds) in [
            ("0", 0),
            ("3600", 3600),
            ("007", 7),
            ("99999999999999999999999", u64::MAX),
        ] {
            let wanted = Duration::from_secs(seconds);
            assert_eq!(expiry(&[text]), Ok(Some(wanted)), "{text}");
        }
        for text in [
            "", "-1", "+1", "1.5", "1s", "1h", " 1", "off", "true", "0x10",
        ] {
            let error = expiry(&[text]).unwrap_err();
            assert!(error.to_string().contains(SESSION_EXPIRY), "{text}");
        }
        assert!(expiry(&["1", "1"]).is_err());
    }

    #[test]
    fn retain_is_true_or_false() {
        let retained = |values: &[&'static str]| retain(&with(RETAIN, values));
        assert_eq!(retained(&[]), Ok(false));
        assert_eq!(retained(&["true"]), Ok(true));
        assert_eq!(retained(&["false"]), Ok(false));
        for text in ["", "1", "0", "TRUE", "yes", "true "] {
            let error = retained(&[text]).unwrap_err();
            assert!(error.to_string().contains(RETAIN), "{text}");
        }
        assert!(retained(&["true", "true"]).is_err());
    }
}
