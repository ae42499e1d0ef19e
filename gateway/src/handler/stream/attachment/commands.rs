//! Commands of one connection: which were accepted and carried out, and what waits.

use std::collections::VecDeque;

use bytes::Bytes;
use proto::{
    exproto::ResultCode,
    stream::{Command, command::Kind},
};

use crate::handler::stream::Credits;

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// As the adapter would answer.
    pub code: ResultCode,
    /// What is wrong, for a person to read.
    pub message: String,
    /// Of Authenticate: the client's session was there before.
    pub session_present: bool,
}

impl Outcome {
    /// It was carried out, and there is nothing more to say.
    #[must_use]
    pub fn success() -> Self {
        Self {
            code: ResultCode::Success,
            message: String::new(),
            session_present: false,
        }
    }
}

/// What a command counts beside its contents.
const COMMAND: usize = 64;
/// The most bytes that a handler may leave with a connection.
pub(super) const MOST_STATE: usize = 4 * 1024;
/// Results that may wait for acknowledgement. They use up no credits, as a callback may wait for any number of them.
const MOST_RESULTS: usize = 65_536;

/// How far a connection's commands have come.
#[derive(Default)]
pub(super) struct Commands {
    pub(super) accepted: u64,
    pub(super) done: u64,
    /// What of `done` the handler knows.
    pub(super) told: u64,
    pub(super) untold_bytes: usize,
    pub(super) waiting: VecDeque<Command>,
    /// Of those that wait, and the one that is being carried out.
    pub(super) count: usize,
    pub(super) bytes: usize,
    pub(super) is_running: bool,
    /// Results that were asked for and not acknowledged.
    pub(super) results: usize,
}

impl Commands {
    /// Whether a command may be accepted, which takes `size` of the credits.
    pub(super) fn admit(
        &self,
        command: &Command,
        size: usize,
        credits: Credits,
    ) -> Result<(), String> {
        let expected = self.accepted + 1;
        if command.seq != expected {
            let found = command.seq;
            return Err(format!("command {found} came, and {expected} is the next"));
        }
        if command.kind.is_none() {
            return Err(format!(
                "command {expected} says nothing that is known here"
            ));
        }
        if command.result && self.results >= MOST_RESULTS {
            return Err(format!(
                "more than {MOST_RESULTS} results wait for acknowledgement"
            ));
        }
        if self.count >= credits.count {
            return Err(format!(
                "more than {} commands wait to be carried out",
                credits.count
            ));
        }
        if self.count > 0 && self.bytes + size > credits.bytes {
            return Err(format!(
                "more than {} bytes of commands wait to be carried out",
                credits.bytes
            ));
        }
        Ok(())
    }
}

/// What became of a `state`.
pub(super) fn kept(bytes: &Bytes) -> Outcome {
    if bytes.len() <= MOST_STATE {
        return Outcome::success();
    }
    Outcome {
        code: ResultCode::ParamsTypeError,
        message: format!(
            "state: {} bytes; at most {MOST_STATE} are kept",
            bytes.len()
        ),
        session_present: false,
    }
}

/// What a command takes of the credits.
pub(super) fn size(command: &Command) -> usize {
    let contents = match &command.kind {
        Some(Kind::Send(bytes) | Kind::State(bytes)) => bytes.len(),
        Some(Kind::Publish(publish) | Kind::RawPublish(publish)) => {
            publish.topic.len() + publish.payload.len()
        }
        Some(Kind::Subscribe(subscribe)) => subscribe.topic.len(),
        Some(Kind::Unsubscribe(topic)) => topic.len(),
        Some(Kind::Authenticate(authenticate)) => prost::Message::encoded_len(authenticate),
        Some(Kind::Close(_) | Kind::StartTimer(_)) | None => 0,
    };
    COMMAND + contents
}
