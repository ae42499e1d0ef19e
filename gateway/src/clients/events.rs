//! `$SYS/exproto/clients/<clientid>/connected` and `.../disconnected`: published at once by the connection that they
//! tell of, so that they come in order.

use std::{borrow::Cow, fmt::Write as _, sync::Arc};

use serde::Serialize;

use crate::{
    broker::{Broker, Publication, Qos},
    clock,
    connection::{Client, CloseReason, Handle},
};

/// Who publishes them.
const FROM: &str = "exproto";

/// What an event tells, as JSON.
#[derive(Serialize)]
struct Event<'a> {
    clientid: &'a str,
    username: &'a str,
    listener: &'a str,
    /// The device's address and port.
    device: String,
    conn: &'a str,
    pod: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Milliseconds since 1970.
    time: u64,
}

pub(super) fn connected(broker: &Broker, handle: &Handle, client: &Client) {
    publish(broker, handle, client, None);
}

pub(super) fn disconnected(broker: &Broker, handle: &Handle, client: &Client, reason: CloseReason) {
    publish(broker, handle, client, Some(reason.as_str()));
}

fn publish(broker: &Broker, handle: &Handle, client: &Client, reason: Option<&str>) {
    let word = match reason {
        None => "connected",
        Some(_) => "disconnected",
    };
    let clientid = as_level(&client.clientid);
    // A clientid may be longer than a topic, or have so many slashes that it is when they are encoded.
    let Ok(topic) = broker.topic(&format!("$SYS/exproto/clients/{clientid}/{word}")) else {
        tracing::debug!(conn = %handle.id(), "the clientid is too long for a topic: nobody is told of it");
        return;
    };
    let event = Event {
        clientid: &client.clientid,
        username: &client.username,
        listener: handle.listener(),
        device: handle.info().device.to_string(),
        conn: handle.id().as_str(),
        pod: broker.node(),
        reason,
        time: clock::now(),
    };
    let payload = serde_json::to_vec(&event).expect("text and numbers can be written");
    let publication = Publication {
        topic,
        qos: Qos::AtMostOnce,
        from: Arc::from(FROM),
        payload: payload.into(),
        retain: false,
    };
    if let Err(error) = broker.publish_now(publication) {
        tracing::debug!(conn = %handle.id(), %error, "a $SYS event is not published");
    }
}

/// The clientid as one level of a topic: what cannot stand there, and `%`, is percent-encoded.
fn as_level(clientid: &str) -> Cow<'_, str> {
    const SPECIAL: [char; 5] = ['/', '+', '#', '\0', '%'];
    if !clientid.contains(SPECIAL) {
        return Cow::Borrowed(clientid);
    }
    let mut level = String::with_capacity(clientid.len() + 8);
    for character in clientid.chars() {
        if SPECIAL.contains(&character) {
            write!(level, "%{:02X}", u32::from(character)).expect("text can always be appended to");
        } else {
            level.push(character);
        }
    }
    Cow::Owned(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clientid_is_one_level_and_no_wildcard() {
        for (clientid, level) in [
            ("truck-7", "truck-7"),
            ("a/b", "a%2Fb"),
            ("+", "%2B"),
            ("#", "%23"),
            ("100%", "100%25"),
            ("a\0b", "a%00b"),
            ("%2F", "%252F"),
            ("ä", "ä"),
        ] {
            assert_eq!(as_level(clientid), level);
        }
    }
}
