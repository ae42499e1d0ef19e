//! What is compared of a call of the adapter.

use bytes::Bytes;
use proto::stream::{Authenticate, Publish, command::Kind};
use ring::digest::{Context, SHA256};

use crate::metrics::AdapterMethod;

/// A call, as far as it is compared. What it says is not to be logged: it has no `Debug`.
#[derive(Clone)]
pub struct Call {
    /// Which call it is.
    pub method: AdapterMethod,
    pub(super) content: Content,
}

/// What a call says. Neither passwords nor payloads are kept, but for bytes of a stream.
#[derive(Clone)]
pub(super) enum Content {
    /// Some bytes of a stream, which may be cut anywhere.
    Bytes(Bytes),
    /// All that it says, hashed, and how many bytes that is.
    Print([u8; 32], usize),
}

impl Call {
    /// What is compared of the call that this command stands for; `None` where nothing is. `by_bytes`: Sends are bytes
    /// of a stream.
    #[must_use]
    pub fn of(command: &Kind, by_bytes: bool) -> Option<Self> {
        let content = match command {
            Kind::Send(bytes) if by_bytes && bytes.is_empty() => return None,
            Kind::Send(bytes) if by_bytes => Content::Bytes(bytes.clone()),
            Kind::Send(bytes) => Print::new().field(bytes).done(),
            Kind::Close(_) => Print::new().done(),
            Kind::Authenticate(request) => authenticate(request),
            Kind::StartTimer(timer) => Print::new().number(timer.interval).done(),
            Kind::Publish(letter) | Kind::RawPublish(letter) => publish(letter),
            Kind::Subscribe(request) => {
                let print = Print::new().field(request.topic.as_bytes());
                print.number(request.qos).done()
            }
            Kind::Unsubscribe(topic) => Print::new().field(topic.as_bytes()).done(),
            Kind::State(_) => return None,
        };
        let method = AdapterMethod::of(command)?;
        Some(Self { method, content })
    }
}

fn authenticate(request: &Authenticate) -> Content {
    let print = match &request.clientinfo {
        None => Print::new(),
        Some(info) => [
            &info.clientid,
            &info.username,
            &info.proto_name,
            &info.proto_ver,
        ]
        .into_iter()
        .fold(Print::new(), |print, text| print.field(text.as_bytes())),
    };
    let print = print.field(request.password.as_bytes());
    match request.session_expiry {
        Some(seconds) => print.number(seconds).done(),
        None => print.done(),
    }
}

fn publish(letter: &Publish) -> Content {
    let print = Print::new().field(letter.topic.as_bytes());
    let print = print.field(&letter.payload).number(letter.qos);
    print.number(letter.retain.into()).done()
}

/// Fields, hashed one after the other, and their bytes.
struct Print(Context, usize);

impl Print {
    fn new() -> Self {
        Self(Context::new(&SHA256), 0)
    }

    fn field(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self.1 += bytes.len();
        self
    }

    fn number(self, number: u32) -> Self {
        self.field(&number.to_be_bytes())
    }

    fn done(self) -> Content {
        let mut print = [0; 32];
        print.copy_from_slice(self.0.finish().as_ref());
        Content::Print(print, self.1)
    }
}

#[cfg(test)]
mod tests {
    use proto::exproto::ClientInfo;

    use super::*;

    fn print(command: &Kind) -> (AdapterMethod, [u8; 32]) {
        match Call::of(command, false).unwrap() {
            Call {
                method,
                content: Content::Print(print, _),
            } => (method, print),
            Call { .. } => panic!("not hashed"),
        }
    }

    #[test]
    fn whatever_a_call_says_makes_a_difference() {
        let letter = |topic: &str, payload: &'static str, qos, retain| Publish {
            topic: topic.to_owned(),
            payload: payload.into(),
            qos,
            retain,
        };
        let info = |clientid: &str, username: &str, password: &str, session_expiry| {
            Kind::Authenticate(Authenticate {
                clientinfo: Some(ClientInfo {
                    clientid: clientid.to_owned(),
                    username: username.to_owned(),
                    ..ClientInfo::default()
                }),
                password: password.to_owned(),
                session_expiry,
            })
        };
        let all = [
            Kind::Publish(letter("t", "x", 0, false)),
            Kind::RawPublish(letter("t", "x", 0, false)),
            Kind::Publish(letter("tx", "", 0, false)),
            Kind::Publish(letter("t", "x", 1, false)),
            Kind::Publish(letter("t", "x", 0, true)),
            info("a", "b", "c", None),
            info("ab", "", "c", None),
            info("a", "b", "d", None),
            info("a", "b", "c", Some(0)),
            info("a", "b", "c", Some(1)),
            Kind::Send("".into()),
            Kind::Send("x".into()),
        ];
        for (place, one) in all.iter().enumerate() {
            assert_eq!(print(one), print(&one.clone()));
            for other in &all[..place] {
                assert_ne!(print(one), print(other), "{one:?} and {other:?}");
            }
        }
    }
}
