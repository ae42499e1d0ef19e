//! From a refused call to the code on the wire: the only place where that is decided.

use proto::exproto::{CodeResponse, ResultCode};

use crate::connection::CallError;

/// The code for why a call was refused.
fn code(error: &CallError) -> ResultCode {
    match error {
        CallError::Gone => ResultCode::ConnProcessNotAlive,
        CallError::Missing(_) => ResultCode::RequiredParamsMissed,
        CallError::Invalid { .. } | CallError::Forged(_) => ResultCode::ParamsTypeError,
        CallError::NotAuthenticated
        | CallError::AlreadyAuthenticated
        | CallError::Authenticating
        | CallError::Denied(_) => ResultCode::PermissionDeny,
        CallError::SlowConsumer(_)
        | CallError::Busy { .. }
        | CallError::Limit(_)
        | CallError::Unavailable(_) => ResultCode::Unknown,
    }
}

/// The answer to a call.
pub(super) fn response(outcome: Result<(), CallError>) -> CodeResponse {
    let (code, message) = match outcome {
        Ok(()) => (ResultCode::Success, String::new()),
        Err(error) => (code(&error), error.to_string()),
    };
    CodeResponse {
        code: code.into(),
        message,
    }
}
