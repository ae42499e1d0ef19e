//! The `ConnectionAdapter` that handlers call: parse, find the connection, ask it, answer with a code.
//!
//! Whatever comes, as a unary call or as a command of an ordered stream, is a command when it is carried out.

/// From a refused call to the code on the wire.
mod code;
/// Commands, which are carried out for a connection that was found.
mod commands;
/// What calls bring beside their message.
mod metadata;
/// Calls of a mirror.
mod pretence;
/// What the fields of calls may hold.
mod fields;
/// Unary calls, which become commands.
mod requests;

pub use self::commands::Commands;

use std::sync::Arc;

use proto::{
    exproto::{CodeResponse, ResultCode},
    stream::Publish,
};

use self::fields::{bad_topic, mount, qos};
use crate::{
    authorization::{Asker, Authorizer, Denied, Wanted},
    broker::{self, Broker, Filter, Publication, Topic, others::Pod},
    clients::Clients,
    conn_id::{ConnIds, Place},
    connection::{CallError, Client, Handle},
    metrics::{AdapterMethod, Metrics},
    peers::Peers,
    registry::Registry,
};

/// The publisher of a `RawPublish`, as in EMQX.
const NOBODY: &str = "exproto";

/// The service.
pub struct Adapter {
    /// Whose names connections have.
    pub ids: Arc<ConnIds>,
    /// Where they are found.
    pub registry: Registry,
    /// Where the shadows of mirrored connections are found.
    pub shadows: Registry,
    /// Who authenticates them.
    pub clients: Clients,
    /// Who says what they may do.
    pub authorizer: Authorizer,
    /// Who routes what they publish.
    pub broker: Broker,
    /// Who is asked for connections of other pods, where there are others.
    pub peers: Option<Peers>,
    /// What counts the calls.
    pub metrics: Arc<Metrics>,
}

/// A connection that a call names.
enum Found {
    /// It is in this pod.
    Here(Handle),
    /// It is, or was, in that pod.
    There(Peers, Pod),
}

impl Adapter {
    /// The connection of that name, which may be a shadow, or of another pod.
    fn find(&self, conn: &str) -> Result<Found, CallError> {
        if conn.is_empty() {
            return Err(CallError::Missing("conn"));
        }
        match self.ids.locate(conn)? {
            Place::Here(sequence) => {
                let found = self.registry.get(sequence);
                let found = found.or_else(|| self.shadows.get(sequence));
                found.map(Found::Here).ok_or(CallError::Gone)
            }
            Place::Elsewhere(pod) => match &self.peers {
                Some(peers) => Ok(Found::There(peers.clone(), pod)),
                None => Err(CallError::Gone),
            },
        }
    }

    fn topic(&self, text: &str) -> Result<Topic, CallError> {
        if text.is_empty() {
            return Err(CallError::Missing("topic"));
        }
        self.broker.topic(text).map_err(|error| bad_topic(&error))
    }

    fn filter(&self, text: &str) -> Result<Filter, CallError> {
        if text.is_empty() {
            return Err(CallError::Missing("topic"));
        }
        self.broker.filter(text).map_err(|error| bad_topic(&error))
    }

    /// Whether the client may do that; `wanted` is about its own topics, without the mountpoint.
    async fn authorize(
        &self,
        handle: &Handle,
        client: &Client,
        wanted: &Wanted<'_>,
    ) -> Result<(), CallError> {
        let asker = Asker {
            clientid: &client.clientid,
            username: &client.username,
            ip: handle.info().device.ip(),
            listener: handle.listener(),
            is_mounted: !client.mountpoint.is_empty(),
            access: &client.access,
        };
        let denied = match self.authorizer.authorize(&asker, wanted).await {
            // It may have ended while somebody was asked.
            Ok(()) => return handle.alive(),
            Err(denied) => denied,
        };
        Err(match denied {
            Denied::NotAllowed(_) => CallError::Denied(denied.to_string()),
            Denied::Unavailable(_) => CallError::Unavailable(denied.to_string()),
        })
    }

    /// Publish, as the client that the connection is.
    async fn publish_from(&self, handle: &Handle, letter: Publish) -> Result<(), CallError> {
        let client = handle.client()?;
        let (topic, qos) = (self.topic(&letter.topic)?, qos(letter.qos)?);
        let wanted = Wanted::publish(&topic, qos);
        self.authorize(handle, client, &wanted).await?;
        let mounted = topic.mount(&client.mountpoint);
        self.publish(Publication {
            topic: mounted.map_err(|error| bad_topic(&error))?,
            qos,
            from: client.clientid.clone(),
            payload: letter.payload,
            retain: letter.retain,
        })
        .await
    }

    /// `RawPublish`: by nobody.
    async fn publish_raw(&self, letter: Publish) -> Result<(), CallError> {
        self.publish(Publication {
            topic: self.topic(&letter.topic)?,
            qos: qos(letter.qos)?,
            from: NOBODY.into(),
            payload: letter.payload,
            retain: letter.retain,
        })
        .await
    }

    async fn subscribe_to(
        &self,
        handle: &Handle,
        topic: &str,
        number: u32,
    ) -> Result<(), CallError> {
        let client = handle.client()?;
        let (filter, qos) = (self.filter(topic)?, qos(number)?);
        let wanted = Wanted::subscribe(&filter, qos);
        self.authorize(handle, client, &wanted).await?;
        let mounted = mount(&filter, client)?;
        handle.subscribe(mounted.clone(), qos).await?;
        let known = self.broker.known(&mounted).await;
        known.map_err(|away| CallError::Unavailable(away.to_string()))?;
        self.keep_session(handle).await
    }

    async fn unsubscribe_from(&self, handle: &Handle, topic: &str) -> Result<(), CallError> {
        let client = handle.client()?;
        let filter = self.filter(topic)?;
        handle.unsubscribe(mount(&filter, client)?).await?;
        self.keep_session(handle).await
    }

    /// What the client has subscribed outlives this pod, before the handler is told so.
    async fn keep_session(&self, handle: &Handle) -> Result<(), CallError> {
        if !handle.has_session() {
            return Ok(());
        }
        let kept = self
            .clients
            .session_is_kept(&handle.client()?.clientid)
            .await;
        kept.map_err(|away| CallError::Unavailable(away.to_string()))
    }

    async fn publish(&self, publication: Publication) -> Result<(), CallError> {
        self.broker
            .publish(publication)
            .await
            .map_err(|error| match error {
                broker::Error::PayloadTooLarge { .. } => CallError::Invalid {
                    field: "payload",
                    problem: error.to_string(),
                },
                broker::Error::NotRetained(full) => CallError::Limit(full.to_string()),
                broker::Error::Away(away) => CallError::Unavailable(away.to_string()),
            })
    }

    /// The answer to a call, logged, and counted unless a mirror made it.
    fn code(
        &self,
        method: AdapterMethod,
        (conn, by_mirror): (&str, bool),
        outcome: Result<(), CallError>,
    ) -> CodeResponse {
        if let Err(error) = &outcome {
            let method = method.as_str();
            tracing::debug!(method, conn, %error, "adapter call refused");
        }
        let response = code::response(outcome);
        self.count(method, by_mirror, response.code());
        response
    }

    fn count(&self, method: AdapterMethod, by_mirror: bool, code: ResultCode) {
        if !by_mirror {
            self.metrics.adapter_call(method, code);
        }
    }
}
