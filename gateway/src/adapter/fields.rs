//! What the fields of calls may hold.

use std::time::Duration;

use proto::exproto::{ClientInfo, TimerType};

use crate::{
    auth::{Credentials, Password},
    broker::{Filter, Qos, topic},
    connection::{CallError, Client, Handle},
};

/// A clientid is as long as MQTT lets it be.
const LONGEST_NAME: usize = 65_535;
/// The name of a protocol and its version are words.
const LONGEST_PROTO: usize = 256;

pub(super) fn qos(number: u32) -> Result<Qos, CallError> {
    Qos::try_from(number).map_err(|error| CallError::Invalid {
        field: "qos",
        problem: error.to_string(),
    })
}

pub(super) fn bad_topic(error: &topic::Error) -> CallError {
    CallError::Invalid {
        field: "topic",
        problem: error.to_string(),
    }
}

pub(super) fn mount(filter: &Filter, client: &Client) -> Result<Filter, CallError> {
    let mounted = filter.mount(&client.mountpoint);
    mounted.map_err(|error| bad_topic(&error))
}

fn at_most(limit: usize, field: &'static str, text: &str) -> Result<(), CallError> {
    if text.len() > limit {
        return Err(CallError::Invalid {
            field,
            problem: format!("{} bytes; at most {limit} are allowed", text.len()),
        });
    }
    Ok(())
}

/// Who wants to be a client, unless something is missing or too long.
pub(super) fn who<'a>(
    clientinfo: Option<&'a ClientInfo>,
    password: &str,
) -> Result<&'a ClientInfo, CallError> {
    let info = clientinfo.ok_or(CallError::Missing("clientinfo"))?;
    if info.clientid.is_empty() {
        return Err(CallError::Missing("clientinfo.clientid"));
    }
    at_most(LONGEST_NAME, "clientinfo.clientid", &info.clientid)?;
    at_most(LONGEST_NAME, "clientinfo.username", &info.username)?;
    at_most(LONGEST_NAME, "password", password)?;
    at_most(LONGEST_PROTO, "clientinfo.proto_name", &info.proto_name)?;
    at_most(LONGEST_PROTO, "clientinfo.proto_ver", &info.proto_ver)?;
    Ok(info)
}

/// What `who` says, of the device at the other end of that connection.
pub(super) fn credentials(
    clientinfo: Option<ClientInfo>,
    password: String,
    handle: &Handle,
) -> Result<Credentials, CallError> {
    who(clientinfo.as_ref(), &password)?;
    let info = clientinfo.unwrap_or_default();
    if !info.mountpoint.is_empty() {
        tracing::debug!(conn = %handle.id(), "clientinfo.mountpoint is ignored: the configuration decides");
    }
    Ok(Credentials {
        clientid: info.clientid,
        username: info.username,
        password: Password::new(password),
        proto_name: info.proto_name,
        proto_ver: info.proto_ver,
        conninfo: handle.info().clone(),
        listener: handle.listener().to_owned(),
    })
}

/// There is one type of timer, the keepalive.
pub(super) fn timer_type(number: i32) -> Result<(), CallError> {
    if TimerType::try_from(number) != Ok(TimerType::Keepalive) {
        return Err(CallError::Invalid {
            field: "type",
            problem: format!("{number} is no timer; use KEEPALIVE (0)"),
        });
    }
    Ok(())
}

pub(super) fn interval(seconds: u32) -> Result<Duration, CallError> {
    if seconds == 0 {
        return Err(CallError::Invalid {
            field: "interval",
            problem: "0 seconds; use 1 or more".to_owned(),
        });
    }
    Ok(Duration::from_secs(seconds.into()))
}
