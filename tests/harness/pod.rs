//! A pod as its user has it: the gateway's program, a configuration file, and a handler.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    path::PathBuf,
    process::Command,
};

use bytes::Bytes;
use proto::exproto::{
    CloseSocketRequest, CodeResponse, ConnInfo, ResultCode, SendBytesRequest,
    connection_adapter_client::ConnectionAdapterClient,
};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::{Callback, Clock, Event, Process, TestHandler, free_address, program, until, within};

/// A running pod with one listener, `devices`.
pub struct Pod {
    /// Its handler.
    pub handler: TestHandler,
    /// Its process. `errors` is its log.
    pub process: Process,
    device: SocketAddr,
    ports: Ports,
    file: PathBuf,
    /// Goes with the pod.
    _folder: TempDir,
}

struct Ports {
    adapter: SocketAddr,
    http: SocketAddr,
    handler: SocketAddr,
}

/// A device that the handler was told of.
#[derive(Debug)]
pub struct Told {
    /// The connection.
    pub conn: String,
    /// What is known of it.
    pub info: ConnInfo,
    callback: Callback,
}

impl Told {
    /// The metadata of that name, in their order.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let values = self.callback.metadata.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).collect()
    }

    /// The metadata of that name, or an empty text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.callback.header(name)
    }

    /// The device's address.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn peer(&self) -> String {
        let peer = self.info.peername.as_ref().expect("an address");
        format!("{}:{}", peer.host, peer.port)
    }
}

impl Pod {
    /// A pod whose listener has these settings, written as in a YAML map of one line, without the braces; `name` and
    /// `bind` are there already.
    pub async fn start(listener: &str) -> Self {
        Self::with(listener, "").await
    }

    /// Like `start`, and with more lines for the configuration.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn with(listener: &str, more: &str) -> Self {
        Self::begin(listener, more, |_| ()).await
    }

    /// Like `with`, by a clock that may jump.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn by_clock(clock: &Clock, listener: &str, more: &str) -> Self {
        Self::begin(listener, more, |command| clock.rule(command)).await
    }

    async fn begin(listener: &str, more: &str, change: impl FnOnce(&mut Command)) -> Self {
        let handler = TestHandler::start();
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("gateway.yaml");
        let (device, ports) = (
            free_for_both(),
            Ports {
                adapter: free_address(),
                http: free_address(),
                handler: handler.address(),
            },
        );
        std::fs::write(&file, content(device, &ports, listener, more)).expect("a file");
        let mut command = Command::new(program::gateway());
        command.args(["run", "--config"]).arg(&file);
        change(&mut command);
        let mut process = Process::start(&mut command, "of this repository");
        process.errors.sees("serving").await;
        Self {
            handler,
            process,
            device,
            ports,
            file,
            _folder: folder,
        }
    }

    /// Where devices connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.device
    }

    /// The configuration file.
    #[must_use]
    pub fn file(&self) -> &PathBuf {
        &self.file
    }

    /// Writes the configuration file anew, in one step, as `start` would.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, listener: &str, more: &str) {
        let next = self.file.with_extension("next");
        let content = content(self.device, &self.ports, listener, more);
        std::fs::write(&next, content).expect("a file");
        std::fs::rename(&next, &self.file).expect("a file");
    }

    /// What the next callback, which must be `OnSocketCreated`, tells of the device.
    ///
    /// # Panics
    /// When it is another.
    pub async fn connected(&self) -> Told {
        let callback = self.handler.next().await;
        let Event::Created(info) = callback.event.clone() else {
            panic!("not OnSocketCreated: {callback:?}");
        };
        Told {
            conn: callback.conn.clone(),
            info,
            callback,
        }
    }

    /// The bytes of the next callback, which must be `OnReceivedBytes`.
    ///
    /// # Panics
    /// When it is another.
    pub async fn received(&self) -> Bytes {
        match self.handler.next().await.event {
            Event::Received(bytes) => bytes,
            other => panic!("not OnReceivedBytes: {other:?}"),
        }
    }

    /// Sends the bytes of the next callback, which must be `OnReceivedBytes`, back; and tells them.
    ///
    /// # Panics
    /// When it is another, or the bytes are not taken.
    pub async fn echo(&self) -> Bytes {
        let callback = self.handler.next().await;
        let Event::Received(bytes) = callback.event else {
            panic!("not OnReceivedBytes: {callback:?}");
        };
        self.send(&callback.conn, bytes.clone()).await;
        bytes
    }

    /// Sends bytes to a device.
    ///
    /// # Panics
    /// When they are not taken.
    pub async fn send(&self, conn: &str, bytes: impl Into<Bytes>) {
        let request = SendBytesRequest {
            conn: conn.to_owned(),
            bytes: bytes.into(),
        };
        let mut adapter = self.adapter();
        let answer = within("an answer to Send", adapter.send(request)).await;
        let answer: CodeResponse = answer.expect("the adapter answers").into_inner();
        assert_eq!(answer.code(), ResultCode::Success, "{}", answer.message);
    }

    /// Closes a device's connection.
    ///
    /// # Panics
    /// When there is none.
    pub async fn close(&self, conn: &str) {
        let conn = conn.to_owned();
        let mut adapter = self.adapter();
        let closing = adapter.close(CloseSocketRequest { conn });
        let answer = within("an answer to Close", closing).await;
        let answer: CodeResponse = answer.expect("the adapter answers").into_inner();
        assert_eq!(answer.code(), ResultCode::Success, "{}", answer.message);
    }

    /// A client of the adapter.
    #[must_use]
    pub fn adapter(&self) -> ConnectionAdapterClient<Channel> {
        ConnectionAdapterClient::new(self.adapter_channel())
    }

    /// An HTTP/2 connection to the adapter.
    ///
    /// # Panics
    /// Never: the address is one.
    #[must_use]
    pub fn adapter_channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.ports.adapter));
        endpoint.expect("an address").connect_lazy()
    }

    /// The value of a metric, with its labels as they stand there; 0 if it is not there.
    ///
    /// # Panics
    /// When the pod does not answer.
    pub async fn metric(&self, series: &str) -> u64 {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--noproxy", "*"])
            .arg(format!("http://{}/metrics", self.ports.http));
        let mut curl = Process::start(&mut curl, "curl");
        let all = curl.output.all().await;
        assert!(!all.is_empty(), "no metrics: {}", curl.errors.all().await);
        let line = all.lines().find_map(|line| line.strip_prefix(series));
        line.and_then(|value| value.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Waits until a metric has this value.
    pub async fn counts(&self, series: &str, value: u64) {
        until(series, async || self.metric(series).await == value).await;
    }
}

fn content(device: SocketAddr, ports: &Ports, listener: &str, more: &str) -> String {
    let Ports {
        adapter,
        http,
        handler,
    } = ports;
    format!(
        "listeners:\n- {{name: devices, bind: \"{device}\", {listener}}}\n\
         adapter: {{bind: \"{adapter}\"}}\nhttp: {{bind: \"{http}\"}}\n\
         handler: {{addresses: [\"{handler}\"], backoff_min: 5ms, backoff_max: 50ms}}\n{more}\n"
    )
}

/// A port that is free for TCP and for UDP.
fn free_for_both() -> SocketAddr {
    let free = (0..100).find_map(|_| {
        let socket = TcpListener::bind("127.0.0.1:0").ok()?;
        let address = socket.local_addr().ok()?;
        UdpSocket::bind(address).is_ok().then_some(address)
    });
    free.expect("a free port")
}
