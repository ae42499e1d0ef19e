//! A gateway in this process, on free ports.

use std::{net::SocketAddr, time::Duration};

use config::Config;
use exproto_gateway::{Gateway, Reloader, shutdown::Drained};
use proto::exproto::connection_adapter_client::ConnectionAdapterClient;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
};
use tonic::transport::{Channel, Endpoint};
use tracing_subscriber::EnvFilter;

use crate::{Device, TestHandler, within};

/// A running gateway. It ends with the test.
pub struct TestGateway {
    device: SocketAddr,
    adapter: SocketAddr,
    http: SocketAddr,
    management: Option<SocketAddr>,
    peers: Option<SocketAddr>,
    reloader: Reloader,
    shutdown: oneshot::Sender<()>,
    running: JoinHandle<Drained>,
}

/// The default configuration on free ports, with a handler there, and with short pauses.
#[must_use]
pub fn config(handlers: &[&TestHandler]) -> Config {
    let any = "127.0.0.1:0".parse().expect("an address");
    let mut config = Config::default();
    config.listeners[0].bind = any;
    // Devices of tests say nothing for as long as a busy machine takes.
    config.listeners[0].first_byte_timeout = None;
    config.adapter.bind = any;
    config.http.bind = any;
    config.management.bind = any;
    config.handler.backoff_min = Duration::from_millis(5);
    config.handler.backoff_max = Duration::from_millis(50);
    config.handler.slow_start = Duration::ZERO;
    config.handler.addresses = handlers
        .iter()
        .map(|handler| handler.url().parse().expect("an address"))
        .collect();
    config
}

/// That configuration, with a rule by which everybody may do everything, also with the topics of the system.
///
/// # Panics
/// When the rules cannot be named.
#[must_use]
pub fn allowing_everything(config: Config) -> Config {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/harness/everything.yaml");
    let text = format!("authorization: {{sources: [{{file: {{path: \"{rules}\"}}}}]}}");
    let read = Config::parse(&text, "test").expect("a good source");
    Config {
        authorization: read.authorization,
        ..config
    }
}

/// That configuration, with these authenticators, as the file has them in its list.
///
/// # Panics
/// When they are not good ones.
#[must_use]
pub fn authenticating(config: Config, chain: &str) -> Config {
    let text = format!("authentication: {{chain: [{chain}]}}");
    let read = Config::parse(&text, "test").expect("a good chain");
    Config {
        authentication: read.authentication,
        ..config
    }
}

impl TestGateway {
    /// A gateway for that handler, with the default configuration.
    pub async fn start(handler: &TestHandler) -> Self {
        Self::with(config(&[handler])).await
    }

    /// A gateway with that configuration.
    ///
    /// # Panics
    /// When it does not start.
    #[expect(clippy::unused_async, reason = "must be called inside a runtime")]
    pub async fn with(config: Config) -> Self {
        // Logs of a test: RUST_LOG=exproto_gateway=debug cargo test … -- --nocapture
        let _ = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::from_default_env())
            .try_init();
        let gateway = Gateway::bind(config).expect("the gateway starts");
        let addresses = gateway.addresses().clone();
        let reloader = gateway.reloader();
        let (shutdown, stop) = oneshot::channel();
        let running = tokio::spawn(async move {
            let drained = gateway.run(async { drop(stop.await) }).await;
            drained.expect("the gateway runs")
        });
        Self {
            device: *addresses.listeners.values().next().expect("a listener"),
            adapter: addresses.adapter,
            http: addresses.http,
            management: addresses.management,
            peers: addresses.peers,
            reloader,
            shutdown,
            running,
        }
    }

    /// Where devices connect.
    #[must_use]
    pub fn device_address(&self) -> SocketAddr {
        self.device
    }

    /// Where the adapter is.
    #[must_use]
    pub fn adapter_address(&self) -> SocketAddr {
        self.adapter
    }

    /// Where other pods call, if there may be others.
    #[must_use]
    pub fn peers_address(&self) -> Option<SocketAddr> {
        self.peers
    }

    /// Where the management API is, if it is on.
    #[must_use]
    pub fn management_address(&self) -> Option<SocketAddr> {
        self.management
    }

    /// What takes a new configuration.
    #[must_use]
    pub fn reloader(&self) -> &Reloader {
        &self.reloader
    }

    /// Takes the configuration in use with a change.
    ///
    /// # Panics
    /// When it is not taken.
    pub fn reconfigure(&self, change: impl FnOnce(&mut Config)) {
        let mut config = (*self.reloader.config()).clone();
        change(&mut config);
        self.reloader.reload(config).expect("a good configuration");
    }

    /// A device that has just connected.
    pub async fn device(&self) -> Device {
        Device::connect(self.device).await
    }

    /// A client of the adapter.
    #[must_use]
    pub fn adapter(&self) -> ConnectionAdapterClient<Channel> {
        ConnectionAdapterClient::new(self.channel())
    }

    /// An HTTP/2 connection to the adapter.
    ///
    /// # Panics
    /// Never: the address is one.
    #[must_use]
    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.adapter))
            .expect("an address")
            .connect_lazy()
    }

    /// What the HTTP port answers: the whole response as text.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn http(&self, path: &str) -> String {
        let get = async {
            let mut socket = TcpStream::connect(self.http).await?;
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            socket.write_all(request.as_bytes()).await?;
            let mut response = String::new();
            socket.read_to_string(&mut response).await?;
            std::io::Result::Ok(response)
        };
        within("an HTTP response", get)
            .await
            .expect("the HTTP port answers")
    }

    /// The value of a metric, with its labels as they stand there; 0 if it is not there.
    pub async fn metric(&self, series: &str) -> u64 {
        let all = self.http("/metrics").await;
        let line = all.lines().find_map(|line| line.strip_prefix(series));
        line.and_then(|value| value.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Waits until a metric has that value or more.
    pub async fn counts(&self, series: &str, least: u64) {
        crate::until(series, async || self.metric(series).await >= least).await;
    }

    /// Waits until a metric has exactly that value.
    pub async fn is(&self, series: &str, value: u64) {
        crate::until(series, async || self.metric(series).await == value).await;
    }

    /// Tells the gateway to end, and waits until it has.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(self) -> Drained {
        let _ = self.shutdown.send(());
        within("the gateway to drain", self.running)
            .await
            .expect("the gateway does not panic")
    }

    /// Tells the gateway to end, and hands out the wait.
    #[must_use]
    pub fn begin_stop(self) -> JoinHandle<Drained> {
        let _ = self.shutdown.send(());
        self.running
    }
}
