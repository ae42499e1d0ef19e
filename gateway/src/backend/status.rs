//! Why a call fails: the only place where the broker's reasons become statuses.

use tonic::Status;

use crate::broker;

/// Why a message was not published.
pub(super) fn of_publish(error: &broker::Error) -> Status {
    let text = error.to_string();
    match error {
        broker::Error::PayloadTooLarge { .. } => Status::invalid_argument(text),
        broker::Error::NotRetained(_) => Status::resource_exhausted(text),
        broker::Error::Away(_) => Status::unavailable(text),
    }
}

/// The same, of one of many.
pub(super) fn of_message(number: u64, status: &Status) -> Status {
    Status::new(
        status.code(),
        format!("message {number} of the stream: {}", status.message()),
    )
}

/// The pod goes.
pub(super) fn draining() -> Status {
    Status::unavailable("this pod is about to end; call another one")
}

/// Other pods cannot be told, or the logs not read.
pub(super) fn away(why: impl std::fmt::Display) -> Status {
    Status::unavailable(format!("{why}; subscribe again with the last position"))
}

/// There is no log from which the subscriber could get what its queue has no room for.
pub(super) fn too_slow() -> Status {
    Status::resource_exhausted(
        "messages of QoS 1 or 2 came faster than they were taken, and did not fit in backend.message_queue; some are lost",
    )
}
