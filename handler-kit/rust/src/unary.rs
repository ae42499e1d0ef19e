//! The services of `emqx.exproto.v1`: callbacks as unary calls, commands as calls of the adapter.

use std::{sync::Arc, time::Duration};

use dashmap::DashMap;
use proto::{
    exproto::{
        AuthenticateRequest, CloseSocketRequest, CodeResponse, ConnInfo, EmptySuccess,
        PublishRequest, RawPublishRequest, ReceivedBytesRequest, ReceivedMessagesRequest,
        ResultCode, SendBytesRequest, SocketClosedRequest, SocketCreatedRequest, SubscribeRequest,
        TimerRequest, TimerTimeoutRequest, TimerType, UnsubscribeRequest,
        connection_adapter_client::ConnectionAdapterClient,
        connection_unary_handler_server::ConnectionUnaryHandler,
    },
    stream::{Authenticate, command::Kind},
};
use tokio::sync::oneshot;
use tonic::{
    Request, Response, Status,
    metadata::{AsciiMetadataValue, KeyAndValueRef, MetadataMap},
    transport::{Channel, Endpoint},
};

use crate::{
    Conn, Error, Handler, Peer, Refusal,
    conn::Way,
    server::Ending,
    session::{Callback, Done, Session},
};

/// How long the adapter may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// A client of the adapter.
#[derive(Clone)]
pub(crate) struct Caller(ConnectionAdapterClient<Channel>);

impl Caller {
    /// Connects when it is first needed, and again whenever that is lost.
    pub(crate) fn new(adapter: &str) -> Result<Self, tonic::transport::Error> {
        let url = if adapter.contains("://") {
            adapter.to_owned()
        } else {
            format!("http://{adapter}")
        };
        let channel = Endpoint::from_shared(url)?.timeout(DEADLINE).connect_lazy();
        Ok(Self(ConnectionAdapterClient::new(channel)))
    }

    /// A command as a call: of Authenticate, whether there was a session before.
    pub(crate) async fn call(&self, conn: &str, kind: Kind) -> Result<bool, Error> {
        let mut adapter = self.0.clone();
        let conn = conn.to_owned();
        let answer = match kind {
            Kind::Send(bytes) => adapter.send(SendBytesRequest { conn, bytes }).await,
            Kind::Close(_) => adapter.close(CloseSocketRequest { conn }).await,
            Kind::Authenticate(request) => {
                adapter.authenticate(authentication(conn, request)).await
            }
            Kind::StartTimer(timer) => {
                let r#type = TimerType::Keepalive.into();
                let interval = timer.interval;
                adapter
                    .start_timer(TimerRequest {
                        conn,
                        r#type,
                        interval,
                    })
                    .await
            }
            Kind::Publish(publish) => {
                let retain = publish.retain.then_some(("exproto-retain", "true"));
                let request = PublishRequest {
                    conn,
                    topic: publish.topic,
                    qos: publish.qos,
                    payload: publish.payload,
                };
                adapter.publish(with(request, retain)).await
            }
            Kind::RawPublish(publish) => {
                let retain = publish.retain.then_some(("exproto-retain", "true"));
                let request = RawPublishRequest {
                    topic: publish.topic,
                    qos: publish.qos,
                    payload: publish.payload,
                };
                adapter.raw_publish(with(request, retain)).await
            }
            Kind::Subscribe(request) => {
                let (topic, qos) = (request.topic, request.qos);
                adapter
                    .subscribe(SubscribeRequest { conn, topic, qos })
                    .await
            }
            Kind::Unsubscribe(topic) => {
                adapter
                    .unsubscribe(UnsubscribeRequest { conn, topic })
                    .await
            }
            Kind::State(_) => {
                return Err(Error::Unsupported(
                    "state is kept with the ordered stream alone: keep it in the object",
                ));
            }
        };
        let answer = answer.map_err(|status| Error::Unreachable(status.to_string()))?;
        outcome(&answer)
    }
}

fn authentication(conn: String, request: Authenticate) -> Request<AuthenticateRequest> {
    let expiry = request.session_expiry.map(|seconds| seconds.to_string());
    let request = AuthenticateRequest {
        conn,
        clientinfo: request.clientinfo,
        password: request.password,
    };
    let expiry = expiry.as_deref();
    with(request, expiry.map(|text| ("exproto-session-expiry", text)))
}

fn with<T>(message: T, metadata: Option<(&'static str, &str)>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some((name, text)) = metadata
        && let Ok(value) = AsciiMetadataValue::try_from(text)
    {
        request.metadata_mut().insert(name, value);
    }
    request
}

fn outcome(answer: &Response<CodeResponse>) -> Result<bool, Error> {
    match answer.get_ref().code() {
        ResultCode::Success => {
            let present = answer.metadata().get("exproto-session-present");
            Ok(present.is_some_and(|value| value == "true"))
        }
        ResultCode::ConnProcessNotAlive => Err(Error::Gone),
        code => Err(Refusal {
            code,
            message: answer.get_ref().message.clone(),
        }
        .into()),
    }
}

/// The service.
pub(crate) struct Service<F, H> {
    accept: Arc<F>,
    caller: Caller,
    sessions: DashMap<String, Arc<Session<H>>>,
    ending: Ending,
}

impl<F, H> Service<F, H>
where
    F: Fn(&Conn) -> H,
    H: Handler,
{
    pub(crate) fn new(accept: Arc<F>, caller: Caller, ending: Ending) -> Self {
        Self {
            accept,
            caller,
            sessions: DashMap::new(),
            ending,
        }
    }

    async fn run(&self, conn: &str, callback: Callback) -> Result<Response<EmptySuccess>, Status> {
        let session = self.sessions.get(conn).map(|each| each.value().clone());
        let session = session.ok_or_else(|| {
            Status::not_found("this handler does not know the connection: it has been restarted")
        })?;
        self.wait(|done| session.run(callback, done)).await
    }

    /// Begins a callback, and waits for its end.
    async fn wait(&self, begin: impl FnOnce(Done)) -> Result<Response<EmptySuccess>, Status> {
        let _busy = self.ending.busy.token();
        let (reply, answer) = oneshot::channel();
        begin(Done::Call(reply));
        match answer.await {
            Ok(Ok(())) => Ok(Response::new(EmptySuccess {})),
            Ok(Err(error)) => Err(Status::unknown(error)),
            Err(_) => Err(Status::unknown("the callback did not end")),
        }
    }
}

fn peer(id: &str, conninfo: Option<ConnInfo>, metadata: &MetadataMap) -> Peer {
    let text = |name: &str| {
        let value = metadata.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let details = metadata.iter().filter_map(|entry| match entry {
        KeyAndValueRef::Ascii(name, value) => {
            Some((name.as_str().to_owned(), value.as_bytes().to_vec()))
        }
        KeyAndValueRef::Binary(name, value) => {
            let name = name.as_str().trim_end_matches("-bin").to_owned();
            Some((name, value.to_bytes().ok()?.to_vec()))
        }
    });
    let known = [
        "exproto-listener",
        "exproto-transport",
        "exproto-offset",
        "exproto-attempt",
        "exproto-adapter-address",
    ];
    let details =
        details.filter(|(name, _)| name.starts_with("exproto-") && !known.contains(&name.as_str()));
    Peer {
        id: id.to_owned(),
        conninfo: conninfo.unwrap_or_default(),
        listener: text("exproto-listener"),
        transport: text("exproto-transport"),
        details: details.collect(),
        attempt: text("exproto-attempt").parse().unwrap_or(1),
        offset: text("exproto-offset").parse().unwrap_or_default(),
        ..Peer::default()
    }
}

#[tonic::async_trait]
impl<F, H> ConnectionUnaryHandler for Service<F, H>
where
    F: Fn(&Conn) -> H + Send + Sync + 'static,
    H: Handler,
{
    async fn on_socket_created(
        &self,
        request: Request<SocketCreatedRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let (metadata, _, SocketCreatedRequest { conn: id, conninfo }) = request.into_parts();
        let peer = peer(&id, conninfo, &metadata);
        let conn = Conn::new(peer, Way::Unary(self.caller.clone()));
        let session = Session::new(conn);
        if let Some(old) = self.sessions.insert(id, session.clone()) {
            old.discard();
        }
        self.wait(|done| session.open(&*self.accept, done)).await
    }

    async fn on_socket_closed(
        &self,
        request: Request<SocketClosedRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let SocketClosedRequest { conn, reason } = request.into_inner();
        // Whoever hears of the end need not have heard of the beginning.
        match self.sessions.remove(&conn) {
            Some((_, session)) => {
                let callback = Callback::Close(reason);
                self.wait(|done| session.run(callback, done)).await
            }
            None => Ok(Response::new(EmptySuccess {})),
        }
    }

    async fn on_received_bytes(
        &self,
        request: Request<ReceivedBytesRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let ReceivedBytesRequest { conn, bytes } = request.into_inner();
        self.run(&conn, Callback::Bytes(bytes)).await
    }

    async fn on_timer_timeout(
        &self,
        request: Request<TimerTimeoutRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        self.run(&request.into_inner().conn, Callback::Timer).await
    }

    async fn on_received_messages(
        &self,
        request: Request<ReceivedMessagesRequest>,
    ) -> Result<Response<EmptySuccess>, Status> {
        let ReceivedMessagesRequest { conn, messages } = request.into_inner();
        self.run(&conn, Callback::Messages(messages)).await
    }
}
