//! Calls of a mirror: answered as if they were carried out.

use proto::stream::{Authenticate, Publish, command::Kind};

use super::{Adapter, fields};
use crate::{
    authorization::Access,
    connection::{CallError, Client, Handle, Origin},
    mirror::{Known, Pair, Side},
};

impl Adapter {
    /// The answer to a call of a shadow: what the handler was answered to the same one, where that is known; else what
    /// is wrong with it, if anything is.
    pub(super) fn pretend(&self, handle: &Handle, pair: &Pair, command: &Kind) -> Known {
        let is_closed = pair.comparison.was_closed_by(Side::Mirror);
        if is_closed || handle.alive().is_err() {
            return match command {
                Kind::RawPublish(_) => Ok(None),
                _ => Err(CallError::Gone),
            };
        }
        if needs_client(command) {
            handle.client()?;
        }
        let call = pair.comparison.looks_at(command);
        let known = call.and_then(|call| pair.mirror(call));
        let answer = known.unwrap_or_else(|| self.check(handle, command).map(|()| None));
        match command {
            Kind::Authenticate(request) if answer.is_ok() => handle.pass_for(client(request)),
            Kind::Close(_) if answer.is_ok() => pair.comparison.closed_by(Side::Mirror),
            _ => {}
        }
        answer
    }

    /// What the adapter would say of a command without asking anybody.
    pub(super) fn check(&self, handle: &Handle, command: &Kind) -> Result<(), CallError> {
        match command {
            Kind::Send(bytes) => handle.fits(bytes),
            Kind::Authenticate(request) => {
                fields::who(request.clientinfo.as_ref(), &request.password).map(drop)
            }
            Kind::StartTimer(timer) => fields::interval(timer.interval).map(drop),
            Kind::Publish(letter) | Kind::RawPublish(letter) => self.check_letter(letter),
            Kind::Subscribe(request) => {
                self.filter(&request.topic)?;
                fields::qos(request.qos).map(drop)
            }
            Kind::Unsubscribe(topic) => self.filter(topic).map(drop),
            Kind::Close(_) | Kind::State(_) => Ok(()),
        }
    }

    /// What the adapter would say of a message without asking anybody.
    pub(super) fn check_letter(&self, letter: &Publish) -> Result<(), CallError> {
        self.topic(&letter.topic)?;
        fields::qos(letter.qos).map(drop)
    }
}

/// Whether only a client may ask for that. Without one it is refused, and not compared.
pub(super) fn needs_client(command: &Kind) -> bool {
    matches!(
        command,
        Kind::Publish(_) | Kind::Subscribe(_) | Kind::Unsubscribe(_)
    )
}

/// Whom a shadow passes for. It has no mountpoint: its messages come without.
fn client(request: &Authenticate) -> Client {
    let info = request.clientinfo.clone().unwrap_or_default();
    Client {
        clientid: info.clientid.into(),
        username: info.username,
        mountpoint: String::new(),
        access: Access::default(),
        origin: Origin::default(),
    }
}
