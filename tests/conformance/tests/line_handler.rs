//! A handler of a small protocol of lines, which can be told to break one rule.
//!
//! `login NAME` is answered by `+ok`, `echo TEXT` by the text, `quit` by `+bye` and Close; a message reaches its device
//! as `TOPIC PAYLOAD`.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use exproto_conformance::script::Script;
use proto::exproto::{
    AuthenticateRequest, ClientInfo, CloseSocketRequest, CodeResponse, EmptySuccess,
    PublishRequest, ReceivedBytesRequest, ReceivedMessagesRequest, SendBytesRequest,
    SocketClosedRequest, SocketCreatedRequest, SubscribeRequest, TimerRequest, TimerTimeoutRequest,
    connection_adapter_client::ConnectionAdapterClient,
    connection_unary_handler_server::{ConnectionUnaryHandler, ConnectionUnaryHandlerServer},
};
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

/// Its protocol.
/// Its lines are long, so that few of them fill a callback.
const SCRIPT: &str = r#"
login: [{send: "login d-{n}\n", reply: "+ok\n"}]
clientid: "d-{n}"
exchanges:
- {send: "echo one {n}\n", reply: "one {n}\n"}
- {send: "echo two {n} LONG\n", reply: "two {n} LONG\n"}
messages: [{topic: "down/d-{n}", payload: "stop", reply: "down/d-{n} stop\n"}]
farewell: {send: "quit\n", reply: "+bye\n"}
"#;

/// One rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    RefusesDevices,
    RefusesKicked,
    AnswersInCapitals,
    DropsSingleBytes,
    AnswersThreeLinesAtMost,
    DropsWhatFollowsALine,
    RefusesLargeCallbacks,
    SendsAfterTheEnd,
    DoesNotClose,
    RefusesUnknownEnds,
    RefusesSecondIntroduction,
    AnswersTheNewestDevice,
    SendsOneAtATime,
    RefusesAfterARefusal,
    AuthenticatesAsAnother,
    RemembersTheOlderConnection,
    RefusesTimers,
    TellsNothingOfMessages,
    TakesOneMessageOnly,
    RefusesNoMessages,
    TakesBytesTwice,
    StartsTimersOfZero,
    SubscribesTooEarly,
    IsSlow,
}

/// The script of its protocol.
pub(crate) fn script() -> Script {
    let text = SCRIPT.replace("LONG", &"and so on ".repeat(20));
    Script::parse(&text, "the test's script").unwrap()
}

/// Starts one that calls the adapter at that address; tells where it is.
pub(crate) async fn start(adapter: SocketAddr, fault: Option<Fault>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let channel = Endpoint::from_shared(format!("http://{adapter}")).unwrap();
    let handler = Handler(Arc::new(Inner {
        adapter: ConnectionAdapterClient::new(channel.connect_lazy()),
        fault,
        state: Mutex::default(),
        sending: tokio::sync::Mutex::default(),
    }));
    let service = ConnectionUnaryHandlerServer::new(handler);
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))),
    );
    address
}

struct Handler(Arc<Inner>);

struct Inner {
    adapter: ConnectionAdapterClient<Channel>,
    fault: Option<Fault>,
    state: Mutex<State>,
    sending: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<String, Session>,
    /// All connections that a client ever had.
    clients: HashMap<String, Vec<String>>,
    newest: String,
    refused: bool,
}

#[derive(Clone, Default)]
struct Session {
    begun: Vec<u8>,
    taken: u64,
    name: String,
}

type Answer = Result<Response<EmptySuccess>, Status>;

fn done() -> Response<EmptySuccess> {
    Response::new(EmptySuccess {})
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn unless(&self, fault: Fault) -> Result<(), Status> {
        if self.has(fault) {
            return Err(Status::internal(format!("{fault:?}")));
        }
        Ok(())
    }

    async fn send(&self, conn: &str, text: &str) -> Result<(), Status> {
        if text.is_empty() {
            return Ok(());
        }
        let _one_at_a_time = if self.has(Fault::SendsOneAtATime) {
            Some(self.sending.lock().await)
        } else {
            None
        };
        let conn = if self.has(Fault::AnswersTheNewestDevice) {
            self.state().newest.clone()
        } else {
            conn.to_owned()
        };
        let text = if self.has(Fault::AnswersInCapitals) {
            text.to_uppercase()
        } else {
            text.to_owned()
        };
        let request = SendBytesRequest {
            conn,
            bytes: text.into(),
        };
        let answer: CodeResponse = self.adapter.clone().send(request).await?.into_inner();
        if answer.code != 0 {
            self.state().refused = true;
        }
        Ok(())
    }

    /// The whole lines that these bytes complete.
    fn lines(&self, conn: &str, bytes: &[u8], offset: u64) -> Vec<String> {
        let mut state = self.state();
        let session = state.sessions.entry(conn.to_owned()).or_default();
        let known = usize::try_from(session.taken.saturating_sub(offset)).unwrap();
        let new = if self.has(Fault::TakesBytesTwice) {
            bytes
        } else {
            &bytes[known.min(bytes.len())..]
        };
        if self.has(Fault::DropsSingleBytes) && new.len() == 1 {
            return Vec::new();
        }
        session.taken += new.len() as u64;
        session.begun.extend_from_slice(new);
        let Some(end) = session.begun.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let whole: Vec<u8> = session.begun.drain(..=end).collect();
        if self.has(Fault::DropsWhatFollowsALine) {
            session.begun.clear();
        }
        let mut lines: Vec<String> = String::from_utf8(whole)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        if self.has(Fault::AnswersThreeLinesAtMost) {
            lines.truncate(3);
        }
        lines
    }

    async fn obey(&self, conn: &str, line: &str) -> Result<(), Status> {
        if let Some(name) = line.strip_prefix("login ") {
            self.log_in(conn, name).await
        } else {
            self.send(conn, "+bye\n").await?;
            if !self.has(Fault::DoesNotClose) {
                let conn = conn.to_owned();
                self.adapter
                    .clone()
                    .close(CloseSocketRequest { conn })
                    .await?;
            }
            Ok(())
        }
    }

    async fn log_in(&self, conn: &str, name: &str) -> Result<(), Status> {
        let mut adapter = self.adapter.clone();
        let subscribe = SubscribeRequest {
            conn: conn.to_owned(),
            topic: format!("down/{name}"),
            qos: 0,
        };
        if self.has(Fault::SubscribesTooEarly) {
            adapter.subscribe(subscribe.clone()).await?;
        }
        let clientid = if self.has(Fault::AuthenticatesAsAnother) {
            format!("not-{name}")
        } else {
            name.to_owned()
        };
        let info = ClientInfo {
            proto_name: "lines".to_owned(),
            proto_ver: "1".to_owned(),
            clientid,
            ..ClientInfo::default()
        };
        adapter
            .authenticate(AuthenticateRequest {
                conn: conn.to_owned(),
                clientinfo: Some(info),
                password: String::new(),
            })
            .await?;
        let interval = if self.has(Fault::StartsTimersOfZero) {
            0
        } else {
            60
        };
        adapter
            .start_timer(TimerRequest {
                conn: conn.to_owned(),
                r#type: 0,
                interval,
            })
            .await?;
        adapter.subscribe(subscribe).await?;
        {
            let mut state = self.state();
            let session = state.sessions.entry(conn.to_owned()).or_default();
            name.clone_into(&mut session.name);
            state
                .clients
                .entry(name.to_owned())
                .or_default()
                .push(conn.to_owned());
        }
        self.send(conn, "+ok\n").await
    }

    /// Calls for a connection whose clientid has gone to another.
    async fn remember(&self, conn: &str) -> Result<(), Status> {
        if !self.has(Fault::RemembersTheOlderConnection) {
            return Ok(());
        }
        let olders = {
            let state = self.state();
            let name = state.sessions.get(conn).map(|session| session.name.clone());
            let all = state.clients.get(&name.unwrap_or_default()).cloned();
            all.unwrap_or_default()
        };
        for older in olders.into_iter().filter(|older| older != conn) {
            let publish = PublishRequest {
                conn: older,
                topic: "echoes".to_owned(),
                qos: 0,
                payload: "x".into(),
            };
            self.adapter.clone().publish(publish).await?;
        }
        Ok(())
    }

    /// Calls once more for a connection that has ended, a little after its end was acknowledged.
    async fn haunt(self: Arc<Self>, conn: String) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let _ = self.send(&conn, "boo\n").await;
    }
}

#[tonic::async_trait]
impl ConnectionUnaryHandler for Handler {
    async fn on_socket_created(&self, request: Request<SocketCreatedRequest>) -> Answer {
        self.0.unless(Fault::RefusesDevices)?;
        let attempt = request
            .metadata()
            .get("exproto-attempt")
            .unwrap()
            .to_str()
            .unwrap();
        if attempt != "1" {
            self.0.unless(Fault::RefusesSecondIntroduction)?;
        }
        let refused = std::mem::take(&mut self.0.state().refused);
        if refused {
            self.0.unless(Fault::RefusesAfterARefusal)?;
        }
        let conn = request.into_inner().conn;
        let mut state = self.0.state();
        state.newest.clone_from(&conn);
        state.sessions.insert(conn, Session::default());
        Ok(done())
    }

    async fn on_received_bytes(&self, request: Request<ReceivedBytesRequest>) -> Answer {
        let offset = request.metadata().get("exproto-offset").unwrap();
        let offset = offset.to_str().unwrap().parse().unwrap();
        let ReceivedBytesRequest { conn, bytes } = request.into_inner();
        if bytes.len() > 16 * 1024 {
            self.0.unless(Fault::RefusesLargeCallbacks)?;
        }
        let mut echoes = String::new();
        for line in self.0.lines(&conn, &bytes, offset) {
            if let Some(text) = line.strip_prefix("echo ") {
                self.0.remember(&conn).await?;
                echoes.extend([text, "\n"]);
            } else {
                self.0.obey(&conn, &line).await?;
            }
        }
        self.0.send(&conn, &echoes).await?;
        Ok(done())
    }

    async fn on_timer_timeout(&self, _: Request<TimerTimeoutRequest>) -> Answer {
        self.0.unless(Fault::RefusesTimers)?;
        Ok(done())
    }

    async fn on_received_messages(&self, request: Request<ReceivedMessagesRequest>) -> Answer {
        let ReceivedMessagesRequest { conn, messages } = request.into_inner();
        if messages.is_empty() {
            self.0.unless(Fault::RefusesNoMessages)?;
        }
        if self.0.has(Fault::TellsNothingOfMessages) {
            return Ok(done());
        }
        let most = if self.0.has(Fault::TakesOneMessageOnly) {
            1
        } else {
            usize::MAX
        };
        let mut told = String::new();
        for message in messages.iter().take(most) {
            let payload = String::from_utf8_lossy(&message.payload);
            told.extend([&*message.topic, " ", &*payload, "\n"]);
        }
        self.0.send(&conn, &told).await?;
        Ok(done())
    }

    async fn on_socket_closed(&self, request: Request<SocketClosedRequest>) -> Answer {
        let SocketClosedRequest { conn, reason } = request.into_inner();
        if reason == "kicked" {
            self.0.unless(Fault::RefusesKicked)?;
            if self.0.has(Fault::IsSlow) {
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        }
        if self.0.state().sessions.remove(&conn).is_none() {
            self.0.unless(Fault::RefusesUnknownEnds)?;
        }
        if self.0.has(Fault::SendsAfterTheEnd) {
            tokio::spawn(self.0.clone().haunt(conn));
        }
        Ok(done())
    }
}
