//! One side of a run: the gateway or the ceiling, its handler here, and for the gateway a device for the publisher and
//! for each subscriber.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use proto::exproto::connection_unary_handler_server::ConnectionUnaryHandlerServer;
use tempfile::TempDir;
use tokio::{net::TcpStream, task::JoinSet};

use super::{
    inbox::{Handler, Inbox},
    load::{Publisher, QOS, topic},
};
use crate::{
    bare,
    clients::{self, Adapter, authenticate, connect},
    credentials::Credentials,
    gateway::{self, Addresses},
    generator, grpc,
    handler::Service,
    process::{self, Process},
    subject::Program,
    transport::Transport,
};

/// A program, and whoever publishes and subscribes at it.
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) publisher: Publisher,
    server: Process,
    /// The handler. It ends when this is dropped.
    _serving: JoinSet<()>,
    /// Of the gateway's clients.
    _devices: Vec<TcpStream>,
    /// Holds the configuration; removed when dropped.
    _folder: TempDir,
}

impl Side {
    /// Starts `program`, and has as many subscribe to each topic as `cases` say.
    pub(super) async fn start(program: &Program, cases: &'static [u32]) -> Result<Self> {
        let [handler, adapter, http, device] = process::free_addresses::<4>()?;
        let addresses = Addresses {
            handler,
            adapter,
            http,
        };
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let (inbox, mut created) = Inbox::new();
        let service = ConnectionUnaryHandlerServer::new(Handler(inbox.clone()));
        let incoming = grpc::bind(handler).await?;
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let serving = grpc::server().add_service(service);
            if let Err(error) = serving.serve_with_incoming(incoming).await {
                eprintln!("the handler ended: {error}");
            }
        });

        let mut devices = Vec::new();
        let mut conn = "publisher".to_owned();
        let endpoint = grpc::endpoint(adapter)?;
        let server = match program {
            Program::Gateway(executable, _) => {
                let credentials = Credentials::create(folder.path())?;
                let listener = Transport::Tcp.listener(device, &credentials, Duration::ZERO);
                let config = gateway::config(&addresses, Service::Unary, &[listener]);
                gateway::start(executable, folder.path(), &config, http).await?
            }
            Program::Bare => bare::start(device, &addresses).await?,
            Program::BareTcp => bail!("a TCP echo publishes nothing"),
        };
        let adapter = Adapter::new(endpoint.connect().await?);
        if let Program::Gateway(..) = program {
            let most = cases.iter().max().map_or(0, |most| *most as usize);
            let names;
            (devices, names) = connect(device, 1 + most, &mut created).await?;
            let mut names = names.into_iter();
            conn = names
                .next()
                .context("there is no connection to publish by")?;
            authenticate(adapter.clone(), conn.clone(), "publisher".to_owned()).await?;
            generator::in_turns((0..).zip(names), |(number, conn)| {
                subscribe(adapter.clone(), conn, number, cases)
            })
            .await?;
        }
        Ok(Self {
            name: program.name(),
            publisher: Publisher {
                adapter,
                conn,
                inbox,
            },
            server,
            _serving: serving,
            _devices: devices,
            _folder: folder,
        })
    }

    /// Does `work`, unless the program dies.
    pub(super) async fn watch<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let name = self.name;
        let done = tokio::select! {
            death = self.server.death() => Err(death),
            done = work => done,
        };
        done.with_context(|| format!("measuring the {name} failed"))
    }

    /// Kills the program and waits until it is gone.
    pub(super) async fn stop(self) -> Result<()> {
        self.server.stop().await
    }
}

/// Makes a connection the `number`th subscriber, of those topics that have so many.
async fn subscribe(
    adapter: Adapter,
    conn: String,
    number: u32,
    cases: &'static [u32],
) -> Result<()> {
    authenticate(
        adapter.clone(),
        conn.clone(),
        format!("subscriber-{number}"),
    )
    .await?;
    for subscribers in cases.iter().filter(|subscribers| number < **subscribers) {
        let topic = topic(*subscribers);
        clients::subscribe(adapter.clone(), conn.clone(), topic, QOS).await?;
    }
    Ok(())
}
