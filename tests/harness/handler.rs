//! A handler that does as the test says: a real gRPC server, on a runtime of its own so that it can be killed.

/// What it is besides.
mod manner;
/// Its service.
mod service;
/// The deprecated one.
mod client_streams;

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use proto::exproto::{
    ConnInfo, Message, connection_handler_server::ConnectionHandlerServer,
    connection_unary_handler_server::ConnectionUnaryHandlerServer,
};
use tokio::{
    runtime::Runtime,
    sync::{Mutex as AsyncMutex, mpsc, oneshot},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Status, metadata::MetadataMap, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};

pub use self::manner::{Answering, Manner};
use self::service::Service;
use crate::within;

/// More callbacks than any test leaves unread.
const UNREAD: usize = 100_000;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// `OnSocketCreated`.
    Created(ConnInfo),
    /// `OnReceivedBytes`.
    Received(Bytes),
    /// `OnTimerTimeout`.
    TimedOut,
    /// `OnReceivedMessages`.
    Messages(Vec<Message>),
    /// `OnSocketClosed`, with the reason.
    Closed(String),
}

/// A callback that the handler was called for.
#[derive(Debug)]
pub struct Callback {
    /// The connection.
    pub conn: String,
    /// What happened.
    pub event: Event,
    /// The gRPC metadata.
    pub metadata: MetadataMap,
    reply: Option<oneshot::Sender<Result<(), Status>>>,
}

impl Callback {
    /// Answers a callback that was held.
    ///
    /// # Panics
    /// When it was answered already.
    pub fn answer(&mut self, outcome: Result<(), Status>) {
        let reply = self.reply.take().expect("a held callback is answered once");
        let _ = reply.send(outcome);
    }

    /// The metadata of that name, or an empty text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.metadata.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// What the service and the test share.
struct Script {
    callbacks: mpsc::Sender<Callback>,
    hold: AtomicBool,
    rules: Mutex<Rules>,
    /// Client streams that the gateway has ended.
    ended: AtomicUsize,
}

/// What holds for every connection in every test: one callback at a time, created first and once (but for repetitions that are marked), closed
/// last and once.
#[derive(Default)]
struct Rules {
    /// By connection: whether it is closed.
    seen: HashMap<String, bool>,
    broken: Vec<String>,
}

impl Script {
    fn stream_ended(&self) {
        self.ended.fetch_add(1, Ordering::SeqCst);
    }

    fn broken(&self, what: String) {
        let mut rules = self.rules.lock().expect("no panic while locked");
        rules.broken.push(what);
    }

    fn check(&self, conn: &str, event: &Event, attempt: &str) {
        let mut rules = self.rules.lock().expect("no panic while locked");
        rules.check(conn, event, attempt);
    }
}

impl Rules {
    fn check(&mut self, conn: &str, event: &Event, attempt: &str) {
        let before = self.seen.get(conn).copied();
        let allowed = match (event, before) {
            (_, Some(true)) => false,
            (Event::Created(_), Some(false)) => attempt != "1",
            (Event::Created(_), None) => true,
            // The handler that was told of the connection is gone; another one hears of its end.
            (Event::Closed(reason), None) => reason == "handler_lost",
            (_, before) => before.is_some(),
        };
        if !allowed {
            let what = format!("{conn}: {event:?}, attempt {attempt}, closed before: {before:?}");
            self.broken.push(what);
        }
        let closed = matches!(event, Event::Closed(_));
        self.seen.insert(conn.to_owned(), closed);
    }
}

/// A running handler. Each callback is answered at once, unless the test holds them.
pub struct TestHandler {
    address: SocketAddr,
    script: Arc<Script>,
    callbacks: AsyncMutex<mpsc::Receiver<Callback>>,
    runtime: Option<Runtime>,
    /// What it is besides; a restart looks here.
    pub manner: Manner,
    health: Option<HealthReporter>,
}

impl Drop for TestHandler {
    fn drop(&mut self) {
        self.kill();
        let rules = self.script.rules.lock().expect("no panic while locked");
        assert!(
            std::thread::panicking() || rules.broken.is_empty(),
            "callbacks that must not be: {:#?}",
            rules.broken
        );
    }
}

impl TestHandler {
    /// A handler on a free port.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// A handler on that port.
    ///
    /// # Panics
    /// When the port is taken.
    #[must_use]
    pub fn start_at(address: SocketAddr) -> Self {
        Self::start_as(address, Manner::default())
    }

    /// A handler on that port that is something besides.
    ///
    /// # Panics
    /// When the port is taken.
    #[must_use]
    pub fn start_as(address: SocketAddr, manner: Manner) -> Self {
        let socket = TcpListener::bind(address).expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        let (sender, callbacks) = mpsc::channel(UNREAD);
        let script = Arc::new(Script {
            callbacks: sender,
            hold: AtomicBool::new(false),
            rules: Mutex::default(),
            ended: AtomicUsize::new(0),
        });
        let mut handler = Self {
            address,
            script,
            callbacks: AsyncMutex::new(callbacks),
            runtime: None,
            manner,
            health: None,
        };
        handler.serve(socket);
        handler
    }

    /// An address where no handler listens. It may be started there later.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn absent() -> Self {
        let mut handler = Self::start();
        handler.kill();
        handler
    }

    fn serve(&mut self, socket: TcpListener) {
        socket.set_nonblocking(true).expect("a TCP socket");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let answering = self.manner.client_streams;
        let streams = answering.map(|answering| {
            ConnectionHandlerServer::new(client_streams::Service {
                script: self.script.clone(),
                answering,
            })
        });
        let calls = answering.is_none().then(|| {
            let service = Service {
                script: self.script.clone(),
                in_flight: Arc::default(),
            };
            ConnectionUnaryHandlerServer::new(service).max_decoding_message_size(64 * 1024 * 1024)
        });
        let (reporter, health) = tonic_health::server::health_reporter();
        let health = self.manner.has_health.then_some(health);
        self.health = health.is_some().then_some(reporter);
        let tls = self.manner.tls();
        runtime.spawn(async move {
            let socket = tokio::net::TcpListener::from_std(socket).expect("a TCP socket");
            let mut server = Server::builder().tcp_nodelay(true);
            if let Some(tls) = tls {
                server = server.tls_config(tls).expect("good files");
            }
            server
                .add_optional_service(calls)
                .add_optional_service(streams)
                .add_optional_service(health)
                .serve_with_incoming(TcpListenerStream::new(socket))
                .await
        });
        self.runtime = Some(runtime);
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it: its sockets close, and what it was doing is not finished.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Starts it again at the same address, without any memory but the test's.
    ///
    /// # Panics
    /// When the port is taken meanwhile.
    pub async fn restart(&mut self) {
        self.kill();
        let socket = within("the port to be free", async {
            loop {
                match bind_again(self.address) {
                    Ok(socket) => break socket,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        })
        .await;
        self.serve(socket);
    }

    /// Where it listens, as the configuration has it.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = match self.manner.certificate {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{}", self.address)
    }

    /// From now on it says that it wants connections, or does not.
    ///
    /// # Panics
    /// When it does not tell how it is.
    pub async fn set_serving(&self, serving: bool) {
        let status = if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        let health = self.health.as_ref().expect("a handler that tells");
        health.set_service_status("", status).await;
    }

    /// From now on the test answers each callback itself, or no more.
    pub fn hold(&self, hold: bool) {
        self.script.hold.store(hold, Ordering::SeqCst);
    }

    /// How many client streams the gateway has ended.
    #[must_use]
    pub fn ended_streams(&self) -> usize {
        self.script.ended.load(Ordering::SeqCst)
    }

    /// The next callback.
    ///
    /// # Panics
    /// When none comes.
    pub async fn next(&self) -> Callback {
        let next = async { self.callbacks.lock().await.recv().await };
        within("a callback", next).await.expect("the script lives")
    }

    /// A callback that has come already.
    #[must_use]
    pub fn try_next(&self) -> Option<Callback> {
        self.callbacks.try_lock().ok()?.try_recv().ok()
    }

    /// The next callback, which must be `OnSocketCreated`; tells the connection.
    ///
    /// # Panics
    /// When it is another.
    pub async fn created(&self) -> String {
        let callback = self.next().await;
        assert!(matches!(callback.event, Event::Created(_)), "{callback:?}");
        callback.conn
    }

    /// The next callback, which must be `OnSocketClosed`; tells the reason.
    ///
    /// # Panics
    /// When it is another.
    pub async fn closed(&self) -> String {
        match self.next().await.event {
            Event::Closed(reason) => reason,
            other => panic!("not OnSocketClosed: {other:?}"),
        }
    }

    /// The next callbacks, which must be `OnReceivedBytes`, until they hold so many bytes.
    ///
    /// # Panics
    /// When another comes.
    pub async fn received(&self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            match self.next().await.event {
                Event::Received(more) => bytes.extend_from_slice(&more),
                other => panic!("not OnReceivedBytes: {other:?}"),
            }
        }
        bytes
    }

    /// The next callbacks, which must be `OnReceivedMessages`, until so many messages came.
    ///
    /// # Panics
    /// When another comes.
    pub async fn messages(&self, count: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        while messages.len() < count {
            match self.next().await.event {
                Event::Messages(more) => messages.extend(more),
                other => panic!("not OnReceivedMessages: {other:?}"),
            }
        }
        messages
    }
}

fn bind_again(address: SocketAddr) -> std::io::Result<TcpListener> {
    // The standard library's sockets may be bound again while old connections linger.
    TcpListener::bind(address)
}
