//! Unary calls: each becomes a command of the connection that it names.

use proto::{
    cluster::PeerAnswer,
    exproto::{
        AuthenticateRequest, CloseSocketRequest, CodeResponse, PublishRequest, RawPublishRequest,
        SendBytesRequest, SubscribeRequest, TimerRequest, UnsubscribeRequest,
        connection_adapter_server::ConnectionAdapter,
    },
    stream::{Authenticate, Close, Publish, StartTimer, Subscribe, command::Kind},
};
use tonic::{Extensions, Request, Response, Status, metadata::MetadataMap};

use super::{Adapter, Found, code, fields, metadata};
use crate::{
    callers::OfMirror,
    connection::{CallError, Handle},
    metrics::AdapterMethod,
    mirror::Known,
};

type Answer = Result<Response<CodeResponse>, Status>;

/// Which call it is, and whether a mirror makes it.
struct Call(AdapterMethod, bool);

impl Call {
    fn new(method: AdapterMethod, extensions: &Extensions) -> Self {
        Self(method, extensions.get::<OfMirror>().is_some())
    }
}

impl Adapter {
    /// Finds the connection, makes the call a command of it, and carries that out, or has the pod that has the connection
    /// do so; the first of these that fails is answered. Whatever a mirror calls for a connection that is no shadow is not
    /// carried out.
    async fn call(
        &self,
        Call(method, by_mirror): Call,
        conn: &str,
        command: impl FnOnce(Option<&Handle>) -> Result<Kind, CallError> + Send,
    ) -> Answer {
        let found = match self.find(conn) {
            Ok(Found::There(peers, pod)) => {
                let answer = async { peers.call(&pod, conn, command(None)?, by_mirror).await };
                return Ok(self.passed_on(method, (conn, by_mirror), answer.await));
            }
            Ok(Found::Here(handle)) => Ok(handle),
            Err(error) => Err(error),
        };
        let is_shadow = found.as_ref().is_ok_and(Handle::is_shadow);
        let outcome = async {
            let handle = found?;
            let command = command(Some(&handle))?;
            self.carry_out_for(&handle, command, by_mirror).await
        };
        let (outcome, present) = told(outcome.await);
        let response = self.code(method, (conn, by_mirror || is_shadow), outcome);
        Ok(answer(response, present))
    }

    async fn carry_out_for(&self, handle: &Handle, command: Kind, by_mirror: bool) -> Known {
        if by_mirror && !handle.is_shadow() {
            return self.check(handle, &command).map(|()| None);
        }
        self.carry_out(handle, command).await
    }

    /// What another pod has answered.
    fn passed_on(
        &self,
        method: AdapterMethod,
        caller: (&str, bool),
        answered: Result<PeerAnswer, CallError>,
    ) -> Response<CodeResponse> {
        match answered {
            Ok(PeerAnswer {
                response: Some(response),
                session_present,
                ..
            }) => {
                self.count(method, caller.1, response.code());
                answer(response, session_present)
            }
            Ok(_) => {
                let why = "the pod that has the connection gave no answer".to_owned();
                let unavailable = Err(CallError::Unavailable(why));
                answer(self.code(method, caller, unavailable), None)
            }
            Err(error) => answer(self.code(method, caller, Err(error)), None),
        }
    }
}

impl Adapter {
    /// What another pod has passed on, for a connection of this one.
    pub async fn passed_here(&self, conn: &str, command: Kind, by_mirror: bool) -> PeerAnswer {
        let outcome = match self.find(conn) {
            Ok(Found::Here(handle)) => self.carry_out_for(&handle, command, by_mirror).await,
            // It was passed on to whom the conn names, so nobody has it.
            Ok(Found::There(..)) => Err(CallError::Gone),
            Err(error) => Err(error),
        };
        let (outcome, session_present) = told(outcome);
        PeerAnswer {
            response: Some(code::response(outcome)),
            session_present,
            ..PeerAnswer::default()
        }
    }
}

fn told(outcome: Known) -> (Result<(), CallError>, Option<bool>) {
    match outcome {
        Ok(present) => (Ok(()), present),
        Err(error) => (Err(error), None),
    }
}

fn answer(response: CodeResponse, present: Option<bool>) -> Response<CodeResponse> {
    let mut answer = Response::new(response);
    if let Some(present) = present {
        metadata::tell_session_present(answer.metadata_mut(), present);
    }
    answer
}

fn authenticate(
    request: AuthenticateRequest,
    metadata: &MetadataMap,
) -> Result<Authenticate, CallError> {
    // What is wrong with the message is said before what is wrong beside it.
    fields::who(request.clientinfo.as_ref(), &request.password)?;
    let expiry = metadata::session_expiry(metadata)?;
    Ok(Authenticate {
        clientinfo: request.clientinfo,
        password: request.password,
        // More than can be written is more than any limit.
        session_expiry: expiry.map(|expiry| u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX)),
    })
}

#[tonic::async_trait]
impl ConnectionAdapter for Adapter {
    async fn send(&self, request: Request<SendBytesRequest>) -> Answer {
        let call = Call::new(AdapterMethod::Send, request.extensions());
        let SendBytesRequest { conn, bytes } = request.into_inner();
        self.call(call, &conn, |_| Ok(Kind::Send(bytes))).await
    }

    async fn close(&self, request: Request<CloseSocketRequest>) -> Answer {
        let call = Call::new(AdapterMethod::Close, request.extensions());
        let conn = request.into_inner().conn;
        self.call(call, &conn, |_| Ok(Kind::Close(Close {}))).await
    }

    async fn authenticate(&self, request: Request<AuthenticateRequest>) -> Answer {
        let (metadata, extensions, mut request) = request.into_parts();
        let call = Call::new(AdapterMethod::Authenticate, &extensions);
        let conn = std::mem::take(&mut request.conn);
        let command =
            |_: Option<&Handle>| Ok(Kind::Authenticate(authenticate(request, &metadata)?));
        self.call(call, &conn, command).await
    }

    async fn start_timer(&self, request: Request<TimerRequest>) -> Answer {
        let call = Call::new(AdapterMethod::StartTimer, request.extensions());
        let TimerRequest {
            conn,
            r#type,
            interval,
        } = request.into_inner();
        let command = |_: Option<&Handle>| {
            fields::timer_type(r#type)?;
            Ok(Kind::StartTimer(StartTimer { interval }))
        };
        self.call(call, &conn, command).await
    }

    async fn publish(&self, request: Request<PublishRequest>) -> Answer {
        let (metadata, extensions, request) = request.into_parts();
        let call = Call::new(AdapterMethod::Publish, &extensions);
        let command = |handle: Option<&Handle>| {
            // What is wrong with the connection is said before what is wrong with the metadata.
            handle.map(Handle::client).transpose()?;
            Ok(Kind::Publish(Publish {
                topic: request.topic,
                qos: request.qos,
                payload: request.payload,
                retain: metadata::retain(&metadata)?,
            }))
        };
        self.call(call, &request.conn, command).await
    }

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Answer {
        let call = Call::new(AdapterMethod::Subscribe, request.extensions());
        let SubscribeRequest { conn, topic, qos } = request.into_inner();
        let command = |_: Option<&Handle>| Ok(Kind::Subscribe(Subscribe { topic, qos }));
        self.call(call, &conn, command).await
    }

    async fn unsubscribe(&self, request: Request<UnsubscribeRequest>) -> Answer {
        let call = Call::new(AdapterMethod::Unsubscribe, request.extensions());
        let UnsubscribeRequest { conn, topic } = request.into_inner();
        let command = |_: Option<&Handle>| Ok(Kind::Unsubscribe(topic));
        self.call(call, &conn, command).await
    }

    async fn raw_publish(&self, request: Request<RawPublishRequest>) -> Answer {
        let (metadata, extensions, request) = request.into_parts();
        let Call(method, by_mirror) = Call::new(AdapterMethod::RawPublish, &extensions);
        let outcome = async {
            let letter = Publish {
                topic: request.topic,
                qos: request.qos,
                payload: request.payload,
                retain: metadata::retain(&metadata)?,
            };
            if by_mirror {
                return self.check_letter(&letter);
            }
            self.publish_raw(letter).await
        };
        let outcome = outcome.await;
        Ok(Response::new(self.code(method, ("", by_mirror), outcome)))
    }
}
