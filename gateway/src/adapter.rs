//! The `ConnectionAdapter` that handlers call: parse, find the connection, ask it, answer with a code.

/// From a refused call to the code on the wire.
mod code;
/// The calls that come as commands of ordered streams.
mod commands;
/// What calls bring beside their message.
mod metadata;

pub use self::commands::Commands;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proto::exproto::{
    AuthenticateRequest, ClientInfo, CloseSocketRequest, CodeResponse, PublishRequest,
    RawPublishRequest, SendBytesRequest, SubscribeRequest, TimerRequest, TimerType,
    UnsubscribeRequest, connection_adapter_server::ConnectionAdapter,
};
use tonic::{Request, Response, Status};

use crate::{
    auth::{Credentials, Password},
    authorization::{Asker, Authorizer, Denied, Wanted},
    broker::{self, Broker, Filter, Publication, Qos, Topic},
    clients::Clients,
    conn_id::{ConnIds, Place},
    connection::{CallError, Client, Handle},
    metrics::{ADAPTER_METHODS, Metrics},
    registry::Registry,
};

/// A clientid is as long as MQTT lets it be.
const LONGEST_NAME: usize = 65_535;
/// The name of a protocol and its version are words.
const LONGEST_PROTO: usize = 256;
/// The publisher of a `RawPublish`, as in EMQX.
const NOBODY: &str = "exproto";

/// The service.
pub struct Adapter {
    /// Whose names connections have.
    pub ids: Arc<ConnIds>,
    /// Where they are found.
    pub registry: Registry,
    /// Who authenticates them.
    pub clients: Clients,
    /// Who says what they may do.
    pub authorizer: Authorizer,
    /// Who routes what they publish.
    pub broker: Broker,
    /// What counts the calls.
    pub metrics: Arc<Metrics>,
}

impl Adapter {
    fn connection(&self, conn: &str) -> Result<Handle, CallError> {
        if conn.is_empty() {
            return Err(CallError::Missing("conn"));
        }
        match self.ids.locate(conn)? {
            Place::Here(sequence) => self.registry.get(sequence).ok_or(CallError::Gone),
            Place::Elsewhere => Err(CallError::Gone),
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
    async fn publish_from(&self, handle: &Handle, letter: Letter<'_>) -> Result<(), CallError> {
        let client = handle.client()?;
        let (topic, qos) = (self.topic(letter.topic)?, qos(letter.qos)?);
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
    async fn publish_raw(&self, letter: Letter<'_>) -> Result<(), CallError> {
        self.publish(Publication {
            topic: self.topic(letter.topic)?,
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
        handle.subscribe(mount(&filter, client)?, qos).await
    }

    async fn unsubscribe_from(&self, handle: &Handle, topic: &str) -> Result<(), CallError> {
        let client = handle.client()?;
        let filter = self.filter(topic)?;
        handle.unsubscribe(mount(&filter, client)?).await
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
            })
    }

    fn answer(
        &self,
        method: &str,
        conn: &str,
        outcome: Result<(), CallError>,
    ) -> Response<CodeResponse> {
        Response::new(self.code(method, conn, outcome))
    }

    /// The answer to a call, logged and counted.
    fn code(&self, method: &str, conn: &str, outcome: Result<(), CallError>) -> CodeResponse {
        if let Err(error) = &outcome {
            tracing::debug!(method, conn, %error, "adapter call refused");
        }
        let response = code::response(outcome);
        if let Some(index) = ADAPTER_METHODS.iter().position(|each| *each == method) {
            self.metrics.adapter_call(index, response.code());
        }
        response
    }
}

/// What is to be published, as it came.
struct Letter<'a> {
    topic: &'a str,
    qos: u32,
    payload: Bytes,
    retain: bool,
}

fn qos(number: u32) -> Result<Qos, CallError> {
    Qos::try_from(number).map_err(|error| CallError::Invalid {
        field: "qos",
        problem: error.to_string(),
    })
}

fn bad_topic(error: &broker::topic::Error) -> CallError {
    CallError::Invalid {
        field: "topic",
        problem: error.to_string(),
    }
}

fn mount(filter: &Filter, client: &Client) -> Result<Filter, CallError> {
    let mounted = filter.mount(&client.mountpoint);
    mounted.map_err(|error| bad_topic(&error))
}

fn name(field: &'static str, text: &str) -> Result<(), CallError> {
    if text.len() > LONGEST_NAME {
        return Err(CallError::Invalid {
            field,
            problem: format!("{} bytes; at most {LONGEST_NAME} are allowed", text.len()),
        });
    }
    Ok(())
}

fn credentials(
    clientinfo: Option<ClientInfo>,
    password: String,
    handle: &Handle,
) -> Result<Credentials, CallError> {
    let info = clientinfo.ok_or(CallError::Missing("clientinfo"))?;
    if info.clientid.is_empty() {
        return Err(CallError::Missing("clientinfo.clientid"));
    }
    name("clientinfo.clientid", &info.clientid)?;
    name("clientinfo.username", &info.username)?;
    name("password", &password)?;
    for (field, text) in [
        ("clientinfo.proto_name", &info.proto_name),
        ("clientinfo.proto_ver", &info.proto_ver),
    ] {
        if text.len() > LONGEST_PROTO {
            return Err(CallError::Invalid {
                field,
                problem: format!("{} bytes; at most {LONGEST_PROTO} are allowed", text.len()),
            });
        }
    }
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

fn keepalive(request: &TimerRequest) -> Result<Duration, CallError> {
    if TimerType::try_from(request.r#type) != Ok(TimerType::Keepalive) {
        return Err(CallError::Invalid {
            field: "type",
            problem: format!("{} is no timer; use KEEPALIVE (0)", request.r#type),
        });
    }
    interval(request.interval)
}

fn interval(seconds: u32) -> Result<Duration, CallError> {
    if seconds == 0 {
        return Err(CallError::Invalid {
            field: "interval",
            problem: "0 seconds; use 1 or more".to_owned(),
        });
    }
    Ok(Duration::from_secs(seconds.into()))
}

#[tonic::async_trait]
impl ConnectionAdapter for Adapter {
    async fn send(
        &self,
        request: Request<SendBytesRequest>,
    ) -> Result<Response<CodeResponse>, Status> {
        let SendBytesRequest { conn, bytes } = request.into_inner();
        let outcome = async { self.connection(&conn)?.send(bytes).await };
        Ok(self.answer("Send", &conn, outcome.await))
    }

    async fn close(
        &self,
        request: Request<CloseSocketRequest>,
    ) -> Result<Response<CodeResponse>, Status> {
        let conn = request.into_inner().conn;
        let outcome = async { self.connection(&conn)?.close().await };
        Ok(self.answer("Close", &conn, outcome.await))
    }

    async fn authenticate(
        &self,
        request: Request<AuthenticateRequest>,
    ) -> Result<Response<CodeResponse>, Status> {
        let (metadata, _, mut request) = request.into_parts();
        let conn = std::mem::take(&mut request.conn);
        let outcome = async {
            let handle = self.connection(&conn)?;
            let credentials = credentials(request.clientinfo, request.password, &handle)?;
            let expiry = metadata::session_expiry(&metadata)?;
            let authenticated = self.clients.authenticate(&handle, credentials, expiry);
            authenticated.await
        };
        let (outcome, present) = match outcome.await {
            Ok(present) => (Ok(()), present),
            Err(error) => (Err(error), None),
        };
        let mut answer = self.answer("Authenticate", &conn, outcome);
        if let Some(present) = present {
            metadata::tell_session_present(answer.metadata_mut(), present);
        }
        Ok(answer)
    }

    async fn start_timer(
        &self,
        request: Request<TimerRequest>,
    ) -> Result<Response<CodeResponse>, Status> {
        let request = request.into_inner();
        let outcome = async {
            let handle = self.connection(&request.conn)?;
            handle.start_timer(keepalive(&request)?).await
        };
        Ok(self.answer("StartTimer", &request.conn, outcome.await))
    }

    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<CodeResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let outcome = async {
            let handle = self.connection(&request.conn)?;
            handle.client()?;
            let letter = Letter {
                topic: &request.topic,
                qos: request.qos,
                payload: request.payload,
                retain: metadata::retain(&metadata)?,
            };
            self.publish_from(&handle, letter).await
        };
        Ok(self.answer("Publish", &request.conn, outcome.await))
    }

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<CodeResponse>, Status> {
        let request = request.into_inner();
        let outcome = async {
            let handle = self.connection(&request.conn)?;
            self.subscribe_to(&handle, &request.topic, request.qos)
                .await
        };
        Ok(self.answer("Subscribe", &request.conn, outcome.await))
    }

    async fn unsubscribe(
        &self,
        request: Request<UnsubscribeRequest>,
    ) -> Result<Response<CodeResponse>, Status> {
        let request = request.into_inner();
        let outcome = async {
            let handle = self.connection(&request.conn)?;
            self.unsubscribe_from(&handle, &request.topic).await
        };
        Ok(self.answer("Unsubscribe", &request.conn, outcome.await))
    }

    async fn raw_publish(
        &self,
        request: Request<RawPublishRequest>,
    ) -> Result<Response<CodeResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let outcome = async {
            let letter = Letter {
                topic: &request.topic,
                qos: request.qos,
                payload: request.payload,
                retain: metadata::retain(&metadata)?,
            };
            self.publish_raw(letter).await
        };
        Ok(self.answer("RawPublish", "", outcome.await))
    }
}
