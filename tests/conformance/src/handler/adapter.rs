//! The adapter that the played gateway hosts: each call is judged, noted in the ledger, and answered as the contract says.

use std::sync::Arc;

use proto::exproto::{
    AuthenticateRequest, CloseSocketRequest, CodeResponse, PublishRequest, RawPublishRequest,
    ResultCode, SendBytesRequest, SubscribeRequest, TimerRequest, UnsubscribeRequest,
    connection_adapter_server::ConnectionAdapter,
};
use tonic::{Request, Response, Status};

use super::{
    gateway::{Gateway, message},
    ledger::{Entry, Life},
    topics,
};

/// Why a call is refused.
type Refusal = (ResultCode, &'static str);

/// The answer to a call.
type Answer = Result<Response<CodeResponse>, Status>;

/// The service.
pub(super) struct Adapter(pub(super) Arc<Gateway>);

impl Adapter {
    /// Finds the connection of a call and does it; what may not be is noted and refused.
    fn serve<T>(
        &self,
        method: &'static str,
        conn: &str,
        serve: impl FnOnce(&mut Entry) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.0.ledger.write(|state| {
            state.calls += 1;
            if conn.is_empty() {
                state.bad_call(format!("{method} without conn"));
                return Err((ResultCode::RequiredParamsMissed, "conn is missing"));
            }
            let Some(entry) = state.connections.get_mut(conn) else {
                state.bad_call(format!("{method} for a conn that never was"));
                return Err((ResultCode::ParamsTypeError, "conn was not given out here"));
            };
            if entry.is_gone() {
                if entry.life == Life::Told {
                    entry.late_calls.push(method);
                }
                return Err((ResultCode::ConnProcessNotAlive, "the connection has ended"));
            }
            serve(entry)
        })
    }

    /// Holds a Send back while its device is said to take nothing.
    async fn wait_for_room(&self, conn: &str) {
        let ledger = &self.0.ledger;
        let is_held = ledger.write(|state| {
            let held = state.connections.get_mut(conn).filter(|entry| entry.held);
            held.map(|entry| entry.waiting += 1).is_some()
        });
        if is_held {
            let released = |entry: &Entry| (!entry.held || entry.is_gone()).then_some(());
            let entry = ledger.until(|state| state.connections.get(conn).and_then(released));
            entry.await;
        }
    }

    /// As `serve`, for what only a client may do.
    fn serve_client<T>(
        &self,
        method: &'static str,
        conn: &str,
        serve: impl FnOnce(&mut Entry, &str) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut early = false;
        let outcome = self.serve(method, conn, |entry| {
            let Some(clientid) = entry.clientid.clone() else {
                early = true;
                return Err((ResultCode::PermissionDeny, "not authenticated"));
            };
            serve(entry, &clientid)
        });
        if early {
            let ledger = &self.0.ledger;
            ledger.write(|state| *state.early_calls.entry(method.to_owned()).or_default() += 1);
        }
        outcome
    }

    /// Refuses what is wrong whatever the connection, and notes it.
    fn insist(
        &self,
        so: bool,
        method: &str,
        problem: &'static str,
        code: ResultCode,
    ) -> Result<(), Refusal> {
        if so {
            return Ok(());
        }
        let ledger = &self.0.ledger;
        ledger.write(|state| state.bad_call(format!("{method}: {problem}")));
        Err((code, problem))
    }

    fn publication(&self, method: &str, topic: &str, qos: u32) -> Result<(), Refusal> {
        let (missing, wrong) = (
            ResultCode::RequiredParamsMissed,
            ResultCode::ParamsTypeError,
        );
        self.insist(!topic.is_empty(), method, "topic is missing", missing)?;
        self.insist(
            topics::is_topic(topic),
            method,
            "topic has wildcards",
            wrong,
        )?;
        self.insist(qos <= 2, method, "qos is above 2", wrong)
    }

    fn subscription(&self, method: &str, filter: &str, qos: u32) -> Result<(), Refusal> {
        let (missing, wrong) = (
            ResultCode::RequiredParamsMissed,
            ResultCode::ParamsTypeError,
        );
        self.insist(!filter.is_empty(), method, "topic is missing", missing)?;
        self.insist(
            topics::is_filter(filter),
            method,
            "topic is no filter of MQTT",
            wrong,
        )?;
        self.insist(qos <= 2, method, "qos is above 2", wrong)
    }

    fn claim(&self, request: &AuthenticateRequest) -> Result<(), Refusal> {
        let missing = ResultCode::RequiredParamsMissed;
        let info = request.clientinfo.as_ref();
        self.insist(
            info.is_some(),
            "Authenticate",
            "clientinfo is missing",
            missing,
        )?;
        let clientid = info.map(|info| info.clientid.as_str()).unwrap_or_default();
        self.insist(
            !clientid.is_empty(),
            "Authenticate",
            "clientinfo.clientid is missing",
            missing,
        )?;
        self.serve("Authenticate", &request.conn, |entry| {
            if entry.clientid.is_some() {
                return Err((ResultCode::PermissionDeny, "authenticated already"));
            }
            entry.clientid = Some(clientid.to_owned());
            Ok(())
        })
    }
}

fn answer(outcome: Result<(), Refusal>) -> Response<CodeResponse> {
    let (code, message) = outcome.err().unwrap_or((ResultCode::Success, ""));
    Response::new(CodeResponse {
        code: code.into(),
        message: message.to_owned(),
    })
}

#[tonic::async_trait]
impl ConnectionAdapter for Adapter {
    async fn send(&self, request: Request<SendBytesRequest>) -> Answer {
        let SendBytesRequest { conn, bytes } = request.into_inner();
        self.wait_for_room(&conn).await;
        Ok(answer(self.serve("Send", &conn, |entry| {
            if let Some(code) = entry.refused {
                return Err((code, "the device takes no bytes"));
            }
            entry.sent.extend_from_slice(&bytes);
            Ok(())
        })))
    }

    async fn close(&self, request: Request<CloseSocketRequest>) -> Answer {
        let conn = request.into_inner().conn;
        let outcome = self.serve("Close", &conn, |entry| {
            // From here on it is as gone as a connection that flushes: no call is served.
            entry.close_asked = true;
            entry.leave();
            Ok(())
        });
        if outcome.is_ok() {
            self.0.end_later(conn, "normal");
        }
        Ok(answer(outcome))
    }

    async fn authenticate(&self, request: Request<AuthenticateRequest>) -> Answer {
        let request = request.into_inner();
        let outcome = self.claim(&request);
        if outcome.is_ok() {
            let clientid = request
                .clientinfo
                .map(|info| info.clientid)
                .unwrap_or_default();
            for older in self.0.others(&clientid, &request.conn) {
                self.0.end_later(older, "discarded");
            }
        }
        Ok(answer(outcome))
    }

    async fn start_timer(&self, request: Request<TimerRequest>) -> Answer {
        let request = request.into_inner();
        let wrong = ResultCode::ParamsTypeError;
        let outcome = self
            .insist(
                request.r#type == 0,
                "StartTimer",
                "type is not KEEPALIVE",
                wrong,
            )
            .and_then(|()| self.insist(request.interval > 0, "StartTimer", "interval is 0", wrong))
            .and_then(|()| {
                self.serve("StartTimer", &request.conn, |entry| {
                    entry.has_timer = true;
                    Ok(())
                })
            });
        Ok(answer(outcome))
    }

    async fn publish(&self, request: Request<PublishRequest>) -> Answer {
        let request = request.into_inner();
        let outcome = self
            .publication("Publish", &request.topic, request.qos)
            .and_then(|()| {
                self.serve_client("Publish", &request.conn, |_, clientid| {
                    Ok(clientid.to_owned())
                })
            })
            .map(|from| {
                let message = message(&from, &request.topic, request.qos, request.payload);
                self.0.publish(&message);
            });
        Ok(answer(outcome))
    }

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Answer {
        let request = request.into_inner();
        let outcome = self
            .subscription("Subscribe", &request.topic, request.qos)
            .and_then(|()| {
                self.serve_client("Subscribe", &request.conn, |entry, _| {
                    entry
                        .subscriptions
                        .insert(request.topic.clone(), request.qos);
                    Ok(())
                })
            });
        Ok(answer(outcome))
    }

    async fn unsubscribe(&self, request: Request<UnsubscribeRequest>) -> Answer {
        let request = request.into_inner();
        let outcome = self
            .subscription("Unsubscribe", &request.topic, 0)
            .and_then(|()| {
                self.serve_client("Unsubscribe", &request.conn, |entry, _| {
                    entry.subscriptions.remove(&request.topic);
                    Ok(())
                })
            });
        Ok(answer(outcome))
    }

    async fn raw_publish(&self, request: Request<RawPublishRequest>) -> Answer {
        let request = request.into_inner();
        self.0.ledger.write(|state| state.calls += 1);
        let outcome = self
            .publication("RawPublish", &request.topic, request.qos)
            .map(|()| {
                let message = message("exproto", &request.topic, request.qos, request.payload);
                self.0.publish(&message);
            });
        Ok(answer(outcome))
    }
}
