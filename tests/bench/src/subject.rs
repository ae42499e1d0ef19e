//! What is measured, running: the gateway or the bare program, and a handler that belongs to it alone.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Error, Result};
use tempfile::TempDir;
use tokio::time;

use crate::{
    bare, bare_tcp,
    credentials::Credentials,
    gateway,
    generator::Target,
    handler::{self, Service},
    process::{self, Process},
    transport::Transport,
};

/// Which programs a person wants to have measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Selection {
    /// The gateway's executable; built from this tree if not given.
    #[arg(long, value_name = "PATH", conflicts_with = "ceiling_only")]
    gateway: Option<PathBuf>,
    /// Measures no gateway.
    #[arg(long)]
    ceiling_only: bool,
}

impl Selection {
    /// The gateway, if it is to be measured, built if need be; it speaks with its handler by `service`.
    pub(crate) async fn gateway(&self, service: Service) -> Result<Option<Program>> {
        if self.ceiling_only {
            return Ok(None);
        }
        let executable = gateway::executable(self.gateway.as_deref()).await?;
        Ok(Some(Program::Gateway(executable, service)))
    }
}

/// A program to measure.
pub(crate) enum Program {
    /// The gateway, by its executable, and how it speaks with its handler.
    Gateway(PathBuf, Service),
    /// The ceiling.
    Bare,
    /// A TCP server that sends back what it gets, and knows no handler.
    BareTcp,
}

impl Program {
    /// As people and errors call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Gateway(_, Service::Unary | Service::ClientStream) => "gateway",
            Self::Gateway(_, Service::OrderedStream) => "stream",
            Self::Bare => "ceiling",
            Self::BareTcp => "bare tcp",
        }
    }
}

/// A program that runs and is ready.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    targets: Vec<Target>,
    /// The gateway or the bare program.
    server: Process,
    handler: Option<Process>,
    /// Where its handler is, and whom it calls.
    handler_args: Option<handler::Args>,
    /// Holds the configuration; removed when dropped.
    _folder: TempDir,
}

impl Subject {
    /// Starts `program`, after a handler for it. Datagrams' devices are forgotten after `idle`; the ceiling has
    /// TCP alone.
    pub(crate) async fn start(
        program: &Program,
        transports: &[Transport],
        idle: Duration,
    ) -> Result<Self> {
        let name = program.name();
        let [handler, adapter, http, counts, devices @ ..] = process::free_addresses::<9>()?;
        let addresses = gateway::Addresses {
            handler,
            adapter,
            http,
        };
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let credentials = Credentials::create(folder.path())?;
        let targets = transports.iter().zip(devices);
        let targets = targets.map(|(transport, device)| Target {
            transport: *transport,
            clients: credentials.clients.clone(),
            device,
            counts,
        });
        let targets: Vec<Target> = targets.collect();

        let handler_args = handler::Args {
            service: match program {
                Program::Gateway(_, service) => *service,
                Program::Bare | Program::BareTcp => Service::Unary,
            },
            listen: addresses.handler,
            adapter: addresses.adapter,
            counts,
        };
        let handler = match program {
            Program::BareTcp => None,
            _ => Some(handler::start(&handler_args).await?),
        };
        let server = match program {
            Program::Gateway(executable, service) => {
                let listeners = targets
                    .iter()
                    .map(|to| to.transport.listener(to.device, &credentials, idle));
                let config = gateway::config(&addresses, *service, &listeners.collect::<Vec<_>>());
                gateway::start(executable, folder.path(), &config, addresses.http).await?
            }
            Program::Bare => bare::start(devices[0], &addresses).await?,
            Program::BareTcp => bare_tcp::start(devices[0], counts).await?,
        };
        let mut subject = Self::new(name, targets, (server, handler), folder);
        subject.handler_args = Some(handler_args);
        Ok(subject)
    }

    /// Of processes that are ready.
    pub(crate) fn new(
        name: &'static str,
        targets: Vec<Target>,
        (server, handler): (Process, Option<Process>),
        folder: TempDir,
    ) -> Self {
        Self {
            name,
            targets,
            server,
            handler,
            handler_args: None,
            _folder: folder,
        }
    }

    /// Where devices connect, in the order of the transports.
    pub(crate) fn target(&self, number: usize) -> &Target {
        &self.targets[number]
    }

    /// Kills the handler, and waits until it is gone.
    pub(crate) async fn kill_handler(&mut self) -> Result<()> {
        self.handler
            .take()
            .context("there is no handler")?
            .stop()
            .await
    }

    /// Starts it again.
    pub(crate) async fn start_handler(&mut self) -> Result<()> {
        let args = self.handler_args.as_ref().context("it is not known how")?;
        self.handler = Some(handler::start(args).await?);
        Ok(())
    }

    /// The process ids of the server and of its handler, which are one where there is none.
    pub(crate) fn pids(&self) -> [u32; 2] {
        let handler = self.handler.as_ref().unwrap_or(&self.server);
        [self.server.pid, handler.pid]
    }

    /// Does `work`, unless one of the two processes dies: then that is the error.
    pub(crate) async fn watch<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let error = tokio::select! {
            death = self.death() => death,
            done = work => match done {
                Ok(value) => return Ok(value),
                // A process that dies cuts its connections first; its death explains more than they do.
                Err(error) => match time::timeout(Duration::from_millis(500), self.death()).await {
                    Ok(death) => error.context(death),
                    Err(_) => error,
                },
            },
        };
        Err(error.context(format!("measuring the {} failed", self.name)))
    }

    async fn death(&mut self) -> Error {
        let handler = async {
            match &mut self.handler {
                Some(handler) => handler.death().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            death = self.server.death() => death,
            death = handler => death,
        }
    }

    /// Kills both processes and waits until they are gone.
    pub(crate) async fn stop(self) -> Result<()> {
        self.server.stop().await?;
        match self.handler {
            Some(handler) => handler.stop().await,
            None => Ok(()),
        }
    }
}
