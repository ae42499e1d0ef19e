//! The kit as a handler and as devices: it looks at what a gateway makes of sockets and of adapter calls, and says what
//! is wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use proto::exproto::connection_unary_handler_server::ConnectionUnaryHandlerServer;
use tokio::net::TcpListener;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Server, server::TcpIncoming},
};

use crate::{
    board::Board,
    check::{self, Choice, Finding},
    dialect::Dialect,
    patience::Patience,
    reach,
    report::Report,
};

/// The checks, and what each of them looks at.
mod checks;
/// A device, and what is heard of it.
mod device;
/// The handler that the gateway calls.
pub mod handler;
/// Calls of the gateway's adapter.
pub mod caller;

use caller::Caller;
pub use checks::checks;
use handler::Heard;

/// The largest callback that is taken: more than any gateway should send.
const LARGEST_CALLBACK: usize = 64 * 1024 * 1024;

/// What a run needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where devices connect, `host:port`, by TCP.
    pub gateway: String,
    /// Where the adapter is, `http://host:port`.
    pub adapter: String,
    /// The token of each call, where the adapter wants one.
    pub token: Option<MetadataValue<Ascii>>,
    /// Whose documents count.
    pub dialect: Dialect,
    /// The gateway's own deadline for callbacks.
    pub handler_deadline: Duration,
    /// What the gateway puts before the topics of clients.
    pub mountpoint: String,
    /// The gateway does not see the devices' own addresses.
    pub nat: bool,
    /// How long is waited.
    pub patience: Patience,
    /// How many devices the storm has.
    pub connections: u32,
    /// Which checks run.
    pub choice: Choice,
}

/// All that a check of a gateway has.
#[derive(Clone)]
pub struct Stage {
    heard: Arc<Board<Heard>>,
    caller: Caller,
    gateway: Arc<str>,
    dialect: Dialect,
    handler_deadline: Duration,
    mountpoint: Arc<str>,
    nat: bool,
    patience: Patience,
    connections: u32,
    names: Arc<AtomicU32>,
    /// So that no name comes again in another run, whose clients and messages may still be there.
    run: u32,
}

impl Stage {
    /// A clientid or the beginning of a topic that has not been.
    fn name(&self, what: &str) -> String {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        format!("conformance-{:08x}-{what}-{number}", self.run)
    }
}

/// Checks the gateway; the handler is served on `listener`.
pub async fn run(
    settings: Settings,
    listener: TcpListener,
    done: impl FnMut(&Finding),
) -> Result<Report, reach::Error> {
    let checks = checks();
    settings.choice.verify(&checks)?;
    let channel = reach::connect("adapter", &settings.adapter, settings.patience).await?;
    let stage = Stage {
        heard: Arc::default(),
        caller: Caller::new(channel, settings.token, settings.patience),
        gateway: settings.gateway.as_str().into(),
        dialect: settings.dialect,
        handler_deadline: settings.handler_deadline,
        mountpoint: settings.mountpoint.into(),
        nat: settings.nat,
        patience: settings.patience,
        connections: settings.connections,
        names: Arc::default(),
        run: fastrand::u32(..),
    };
    let serving = serve(&stage, listener);
    let findings = check::run(&checks, &settings.choice, &stage, done).await;
    serving.abort();
    Ok(Report {
        subject: format!("gateway {}", settings.gateway),
        findings,
    })
}

fn serve(stage: &Stage, listener: TcpListener) -> tokio::task::JoinHandle<()> {
    let service = ConnectionUnaryHandlerServer::new(handler::Service {
        heard: stage.heard.clone(),
        caller: stage.caller.clone(),
    });
    let service = service.max_decoding_message_size(LARGEST_CALLBACK);
    tokio::spawn(async move {
        let server = Server::builder().add_service(service);
        // Only an accept that fails for good ends it; then no callback comes, and the checks say so.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let _ = server.serve_with_incoming(incoming).await;
    })
}
