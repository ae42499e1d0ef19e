//! The kit as a gateway: it calls the handler as devices of the script would have it called, answers the handler's own
//! calls, and says what is wrong.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use proto::exproto::connection_adapter_server::ConnectionAdapterServer;
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};

use crate::{
    check::{self, Choice, Finding},
    patience::Patience,
    reach,
    report::Report,
    script::Script,
};

/// The checks, and what each of them looks at.
mod checks;
/// A device that follows the script.
mod talk;
/// The gateway that the handler sees.
pub mod gateway;
/// One call of the handler.
pub mod callback;
/// The adapter that the handler calls.
mod adapter;
/// What the handler has done to each connection.
pub mod ledger;
/// Topics and filters.
mod topics;

pub use checks::checks;
use gateway::Gateway;

/// The largest call of the adapter that is taken, as `adapter.max_request` of the gateway.
const LARGEST_CALL: usize = 16 * 1024 * 1024;

/// What a run needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the handler listens, `http://host:port`.
    pub handler: String,
    /// What devices say.
    pub script: Script,
    /// How long is waited.
    pub patience: Patience,
    /// How many devices the storm has.
    pub connections: u32,
    /// Which checks run.
    pub choice: Choice,
}

/// All that a check of a handler has.
#[derive(Clone)]
pub struct Stage {
    gateway: Arc<Gateway>,
    script: Arc<Script>,
    patience: Patience,
    connections: u32,
    numbers: Arc<AtomicU32>,
}

impl Stage {
    /// The number of a device that has not been.
    fn number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// A `conn` that has not been, also in no other run, which the same handler may remember.
fn new_conn() -> String {
    format!("conformance-{:016x}", fastrand::u64(..))
}

/// Checks the handler; its adapter is served on `listener`.
pub async fn run(
    settings: Settings,
    listener: TcpListener,
    done: impl FnMut(&Finding),
) -> Result<Report, reach::Error> {
    let checks = checks();
    settings.choice.verify(&checks)?;
    let address = settings.handler;
    let channel = reach::connect("handler", &address, settings.patience).await?;
    let gateway = Gateway::new(channel, settings.patience);
    let serving = serve(gateway.clone(), listener);
    let stage = Stage {
        gateway,
        script: Arc::new(settings.script),
        patience: settings.patience,
        connections: settings.connections,
        numbers: Arc::default(),
    };
    let findings = check::run(&checks, &settings.choice, &stage, done).await;
    serving.abort();
    Ok(Report {
        subject: format!("handler {address}"),
        findings,
    })
}

fn serve(gateway: Arc<Gateway>, listener: TcpListener) -> tokio::task::JoinHandle<()> {
    let service = ConnectionAdapterServer::new(adapter::Adapter(gateway));
    let service = service.max_decoding_message_size(LARGEST_CALL);
    tokio::spawn(async move {
        let server = Server::builder().add_service(service);
        // Only an accept that fails for good ends it; then calls fail, and so do the checks.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let _ = server.serve_with_incoming(incoming).await;
    })
}
