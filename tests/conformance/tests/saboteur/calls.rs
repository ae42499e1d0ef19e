//! The proxy between whoever calls the adapter and the gateway.

use std::sync::Arc;

use proto::exproto::{
    AuthenticateRequest, CloseSocketRequest, CodeResponse, PublishRequest, RawPublishRequest,
    ResultCode, SendBytesRequest, SubscribeRequest, TimerRequest, UnsubscribeRequest,
    connection_adapter_server::ConnectionAdapter,
};
use tonic::{Request, Response, Status};

use super::{Fault, Shared};

pub(super) struct Proxy(pub(super) Arc<Shared>);

type Answer = Result<Response<CodeResponse>, Status>;

fn says(code: ResultCode) -> Response<CodeResponse> {
    Response::new(CodeResponse {
        code: code.into(),
        message: String::new(),
    })
}

impl Proxy {
    /// Another code in place of one, where the gateway has that fault.
    fn instead(&self, fault: Fault, from: ResultCode, to: ResultCode, answer: Answer) -> Answer {
        match answer {
            Ok(given) if self.0.has(fault) && given.get_ref().code() == from => Ok(says(to)),
            answer => answer,
        }
    }
}

#[tonic::async_trait]
impl ConnectionAdapter for Proxy {
    async fn send(&self, request: Request<SendBytesRequest>) -> Answer {
        let mut request = request.into_inner();
        let mut bytes = request.bytes.to_vec();
        let is_storm = bytes.windows(7).any(|part| part == b"-storm-");
        match self.0.fault {
            Some(Fault::SendChanged) => {
                bytes
                    .iter_mut()
                    .filter(|byte| **byte == 255)
                    .for_each(|byte| *byte = 254);
            }
            Some(Fault::SendLost) if bytes == b"50\n" => return Ok(says(ResultCode::Success)),
            Some(Fault::SendInsideRefused) if bytes == b"marco" => {
                return Ok(says(ResultCode::Unknown));
            }
            Some(Fault::LateSendTaken) if bytes == b"too late" => {
                return Ok(says(ResultCode::Success));
            }
            Some(Fault::SendHalved) if bytes.len() > 100_000 => bytes.truncate(bytes.len() / 2),
            Some(Fault::NoConnTaken) if request.conn.is_empty() => {
                return Ok(says(ResultCode::Success));
            }
            Some(Fault::NewerForgotten) if bytes == b"yours" => {
                return Ok(says(ResultCode::Success));
            }
            Some(Fault::FarewellLost) if bytes.starts_with(b"silent") => {
                return Ok(says(ResultCode::Success));
            }
            Some(Fault::StormMixed) if is_storm => bytes.reverse(),
            _ => {}
        }
        request.bytes = bytes.into();
        let answer = self.0.adapter.clone().send(request).await;
        self.instead(
            Fault::BadConnUnknown,
            ResultCode::ParamsTypeError,
            ResultCode::Unknown,
            answer,
        )
    }

    async fn close(&self, request: Request<CloseSocketRequest>) -> Answer {
        let answer = self.0.adapter.clone().close(request.into_inner()).await;
        self.instead(
            Fault::CloseOfGoneTaken,
            ResultCode::ConnProcessNotAlive,
            ResultCode::Success,
            answer,
        )
    }

    async fn authenticate(&self, request: Request<AuthenticateRequest>) -> Answer {
        let mut request = request.into_inner();
        let Some(info) = &mut request.clientinfo else {
            let answer = self.0.adapter.clone().authenticate(request).await;
            let (from, to) = (ResultCode::RequiredParamsMissed, ResultCode::Unknown);
            return self.instead(Fault::NoClientinfoUnknown, from, to, answer);
        };
        if info.clientid.is_empty() && self.0.has(Fault::NoClientidTaken) {
            return Ok(says(ResultCode::Success));
        }
        let known = {
            let mut clientids = self.0.clientids.lock().unwrap();
            clientids.push(info.clientid.clone());
            clientids
                .iter()
                .filter(|each| **each == info.clientid)
                .count()
        };
        if known > 1 && self.0.has(Fault::ClientidChanged) {
            info.clientid.push_str("-2");
        }
        let answer = self.0.adapter.clone().authenticate(request).await;
        let (success, denied) = (ResultCode::Success, ResultCode::PermissionDeny);
        let answer = self.instead(Fault::NobodyLetIn, success, denied, answer);
        self.instead(Fault::AuthenticatedTwice, denied, success, answer)
    }

    async fn start_timer(&self, request: Request<TimerRequest>) -> Answer {
        let request = request.into_inner();
        if request.interval == 0 && self.0.has(Fault::ZeroIntervalTaken) {
            return Ok(says(ResultCode::Success));
        }
        self.0.adapter.clone().start_timer(request).await
    }

    async fn publish(&self, request: Request<PublishRequest>) -> Answer {
        let mut request = request.into_inner();
        if self.0.has(Fault::QosLowered) {
            request.qos = request.qos.min(2);
        }
        if self.0.has(Fault::WildcardTaken) && request.topic.contains('+') {
            return Ok(says(ResultCode::Success));
        }
        self.0.adapter.clone().publish(request).await
    }

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Answer {
        let mut request = request.into_inner();
        if self.0.has(Fault::GroupForgotten)
            && let Some(rest) = request.topic.strip_prefix("$share/")
        {
            request.topic = rest.split_once('/').unwrap().1.to_owned();
        }
        let answer = self.0.adapter.clone().subscribe(request).await;
        self.instead(
            Fault::SubscribeUnknown,
            ResultCode::PermissionDeny,
            ResultCode::Unknown,
            answer,
        )
    }

    async fn unsubscribe(&self, request: Request<UnsubscribeRequest>) -> Answer {
        let request = request.into_inner();
        let mut adapter = self.0.adapter.clone();
        let answer = adapter.unsubscribe(request.clone()).await?;
        if self.0.has(Fault::UnsubscribeForgotten) && answer.get_ref().code() == ResultCode::Success
        {
            let again = SubscribeRequest {
                conn: request.conn,
                topic: request.topic,
                qos: 0,
            };
            adapter.subscribe(again).await?;
        }
        Ok(answer)
    }

    async fn raw_publish(&self, request: Request<RawPublishRequest>) -> Answer {
        let mut request = request.into_inner();
        if self.0.has(Fault::RawQosLowered) {
            request.qos = request.qos.min(2);
        }
        self.0.adapter.clone().raw_publish(request).await
    }
}
