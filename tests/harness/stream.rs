//! A handler of the ordered stream that does as the test says: a real gRPC server, whose every batch the test makes.

use std::{
    collections::VecDeque,
    net::{SocketAddr, TcpListener},
};

use bytes::Bytes;
use config::{Config, HandlerService};
use proto::stream::{
    Ack, Attach, Command, Event, GatewayBatch, GatewayHello, Goodbye, HandlerBatch, HandlerHello,
    Progress, command,
    connection_stream_server::{ConnectionStream, ConnectionStreamServer},
    event,
};
use tokio::{
    runtime::Runtime,
    sync::{Mutex as AsyncMutex, mpsc},
};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use crate::{gateway, within};

/// More streams, or batches, than any test leaves unread.
const UNREAD: usize = 10_000;

/// A running handler.
pub struct StreamHandler {
    address: SocketAddr,
    runs: AsyncMutex<mpsc::Receiver<Run>>,
    runtime: Option<Runtime>,
}

impl Drop for StreamHandler {
    fn drop(&mut self) {
        self.kill();
    }
}

impl StreamHandler {
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
        let socket = TcpListener::bind(address).expect("a free port");
        socket.set_nonblocking(true).expect("a TCP socket");
        let address = socket.local_addr().expect("a bound socket");
        let (sender, runs) = mpsc::channel(UNREAD);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let service = ConnectionStreamServer::new(Service(sender))
            .max_decoding_message_size(64 * 1024 * 1024);
        runtime.spawn(async move {
            let socket = tokio::net::TcpListener::from_std(socket).expect("a TCP socket");
            let server = Server::builder().tcp_nodelay(true).add_service(service);
            server
                .serve_with_incoming(TcpListenerStream::new(socket))
                .await
        });
        Self {
            address,
            runs: AsyncMutex::new(runs),
            runtime: Some(runtime),
        }
    }

    /// A handler on the port of one that was killed.
    pub async fn start_again(address: SocketAddr) -> Self {
        let free = async || TcpListener::bind(address).is_ok();
        crate::until("the port to be free", free).await;
        Self::start_at(address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it: its sockets close.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// A gateway's configuration with this handler, and one stream to it.
    ///
    /// # Panics
    /// Never: the address is one.
    #[must_use]
    pub fn config(&self) -> Config {
        stream_config(&[self.address])
    }

    /// The next stream, before anybody has answered its hello.
    ///
    /// # Panics
    /// When none comes.
    pub async fn run(&self) -> Run {
        let next = async { self.runs.lock().await.recv().await };
        within("a stream", next).await.expect("the service lives")
    }

    /// The next stream, with hellos said by the process `instance`.
    pub async fn greeted(&self, instance: &str) -> Run {
        let mut run = self.run().await;
        run.hello(instance).await;
        run
    }
}

/// The default configuration on free ports with handlers of the ordered stream there, one stream to each.
///
/// # Panics
/// Never: the addresses are some.
#[must_use]
pub fn stream_config(handlers: &[SocketAddr]) -> Config {
    let mut config = gateway::config(&[]);
    config.handler.service = HandlerService::ConnectionStream;
    config.handler.connections_per_endpoint = 1;
    config.handler.addresses = handlers
        .iter()
        .map(|address| address.to_string().parse().expect("an address"))
        .collect();
    config
}

/// One stream, as the test speaks on it.
pub struct Run {
    /// What is said; an error ends the stream.
    pub say: mpsc::Sender<Result<HandlerBatch, Status>>,
    batches: Streaming<GatewayBatch>,
    attaches: VecDeque<Attach>,
    events: VecDeque<Event>,
    progress: VecDeque<Progress>,
    drains: usize,
    beats: usize,
}

impl Run {
    async fn say(&self, batch: HandlerBatch) {
        // Where the stream has ended, the test finds out elsewhere.
        drop(self.say.send(Ok(batch)).await);
    }

    /// Says a batch, whatever it is.
    pub async fn batch(&self, batch: HandlerBatch) {
        self.say(batch).await;
    }

    /// Says hello, and hears the gateway's.
    ///
    /// # Panics
    /// When the gateway says none.
    pub async fn hello(&mut self, instance: &str) -> GatewayHello {
        self.say(HandlerBatch {
            hello: Some(HandlerHello {
                version: 1,
                instance: instance.to_owned(),
                ..HandlerHello::default()
            }),
            ..HandlerBatch::default()
        })
        .await;
        self.heard()
            .await
            .expect("the stream goes on")
            .hello
            .expect("a hello")
    }

    /// The next batch; none where the stream has ended.
    async fn heard(&mut self) -> Option<GatewayBatch> {
        let message = within("a batch", self.batches.message()).await;
        message.ok().flatten()
    }

    /// Hears one batch. Whether there was one.
    async fn hear(&mut self) -> bool {
        let Some(batch) = self.heard().await else {
            return false;
        };
        self.attaches.extend(batch.attaches);
        self.events.extend(batch.events);
        self.progress.extend(batch.progress);
        self.drains += usize::from(batch.drain.is_some());
        self.beats += usize::from(batch.heartbeat != 0);
        true
    }

    /// The next connection.
    ///
    /// # Panics
    /// When the stream ends before.
    pub async fn attach(&mut self) -> Attach {
        loop {
            if let Some(attach) = self.attaches.pop_front() {
                return attach;
            }
            assert!(self.hear().await, "the stream ended");
        }
    }

    /// The next event.
    ///
    /// # Panics
    /// When the stream ends before.
    pub async fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            assert!(self.hear().await, "the stream ended");
        }
    }

    /// Events until their bytes are so many; they must hold nothing else.
    ///
    /// # Panics
    /// When another kind comes.
    pub async fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            match self.event().await.kind {
                Some(event::Kind::Bytes(more)) => bytes.extend_from_slice(&more),
                other => panic!("not bytes: {other:?}"),
            }
        }
        bytes
    }

    /// What was carried out, when the gateway next says something of it.
    ///
    /// # Panics
    /// When the stream ends before.
    pub async fn progress(&mut self) -> Progress {
        loop {
            if let Some(progress) = self.progress.pop_front() {
                return progress;
            }
            assert!(self.hear().await, "the stream ended");
        }
    }

    /// Waits for a sign of life.
    ///
    /// # Panics
    /// When the stream ends before.
    pub async fn beat(&mut self) {
        while self.beats == 0 {
            assert!(self.hear().await, "the stream ended");
        }
        self.beats -= 1;
    }

    /// Waits until the gateway says that it drains.
    ///
    /// # Panics
    /// When the stream ends before.
    pub async fn drain(&mut self) {
        while self.drains == 0 {
            assert!(self.hear().await, "the stream ended");
        }
    }

    /// An event that has come already, or comes with what else is under way.
    #[must_use]
    pub fn try_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Waits until the gateway has ended the stream.
    pub async fn ended(&mut self) {
        while self.hear().await {}
    }

    /// Acknowledges an event and all before it.
    pub async fn ack(&self, conn: u64, seq: u64) {
        self.step(conn, &[], seq).await;
    }

    /// Commands with the numbers from `first`, and an acknowledgement in the same batch, unless it is 0.
    pub async fn step(&self, conn: u64, commands: &[(u64, command::Kind)], ack: u64) {
        let commands = commands.iter();
        let commands = commands.map(|(seq, kind)| Command {
            conn,
            seq: *seq,
            result: false,
            kind: Some(kind.clone()),
        });
        let seq = ack;
        let ack = (ack > 0).then(|| Ack {
            conn,
            seq,
            error: String::new(),
        });
        self.say(HandlerBatch {
            commands: commands.collect(),
            acks: ack.into_iter().collect(),
            ..HandlerBatch::default()
        })
        .await;
    }

    /// A command whose result is asked for.
    pub async fn ask(&self, conn: u64, seq: u64, kind: command::Kind) {
        let kind = Some(kind);
        let result = true;
        self.say(HandlerBatch {
            commands: vec![Command {
                conn,
                seq,
                result,
                kind,
            }],
            ..HandlerBatch::default()
        })
        .await;
    }

    /// Says goodbye.
    pub async fn goodbye(&self) {
        self.say(HandlerBatch {
            goodbye: Some(Goodbye {
                reason: "test".to_owned(),
            }),
            ..HandlerBatch::default()
        })
        .await;
    }
}

/// A command that sends this.
#[must_use]
pub fn send(bytes: impl AsRef<[u8]>) -> command::Kind {
    command::Kind::Send(Bytes::copy_from_slice(bytes.as_ref()))
}

struct Service(mpsc::Sender<Run>);

#[tonic::async_trait]
impl ConnectionStream for Service {
    type RunStream = ReceiverStream<Result<HandlerBatch, Status>>;

    async fn run(
        &self,
        request: Request<Streaming<GatewayBatch>>,
    ) -> Result<Response<Self::RunStream>, Status> {
        let (say, said) = mpsc::channel(UNREAD);
        let run = Run {
            say,
            batches: request.into_inner(),
            attaches: VecDeque::new(),
            events: VecDeque::new(),
            progress: VecDeque::new(),
            drains: 0,
            beats: 0,
        };
        let unread = |_| Status::resource_exhausted("the test takes no streams");
        self.0.try_send(run).map_err(unread)?;
        Ok(Response::new(ReceiverStream::new(said)))
    }
}
