//! What is measured, running: the gateway or the bare program, and a handler that belongs to it alone.

use std::{ffi::OsStr, fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Error, Result};
use tempfile::TempDir;
use tokio::{process::Command, time};

use crate::{
    credentials::Credentials,
    gateway,
    generator::Target,
    process::{self, Process, own},
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
    /// The gateway, if it is to be measured, built if need be.
    pub(crate) async fn gateway(&self) -> Result<Option<Program>> {
        if self.ceiling_only {
            return Ok(None);
        }
        let executable = gateway::executable(self.gateway.as_deref()).await?;
        Ok(Some(Program::Gateway(executable)))
    }
}

/// A program to measure.
pub(crate) enum Program {
    /// The gateway, by its executable.
    Gateway(PathBuf),
    /// The ceiling.
    Bare,
}

impl Program {
    /// As people and errors call it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Gateway(_) => "gateway",
            Self::Bare => "ceiling",
        }
    }
}

/// A program that runs and is ready.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    targets: Vec<Target>,
    /// The gateway or the bare program.
    server: Process,
    handler: Process,
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

        let options = [
            ("--listen", handler.to_string()),
            ("--adapter", adapter.to_string()),
            ("--counts", counts.to_string()),
        ];
        let mut handler_process = Process::spawn("handler", own("handler", &options)?)?;
        handler_process
            .ready(async || process::is_listening(handler).await)
            .await?;

        let mut server;
        match program {
            Program::Gateway(executable) => {
                let path = folder.path().join("gateway.yaml");
                let addresses = gateway::Addresses {
                    handler,
                    adapter,
                    http,
                };
                let listeners: Vec<_> = targets
                    .iter()
                    .map(|to| to.transport.listener(to.device, &credentials, idle))
                    .collect();
                fs::write(&path, gateway::config(&addresses, &listeners))
                    .with_context(|| format!("cannot write {}", path.display()))?;
                let mut command = Command::new(executable);
                command.args([OsStr::new("run"), OsStr::new("--config"), path.as_os_str()]);
                server = Process::spawn(name, command)?;
                server.ready(async || gateway::is_ready(http).await).await?;
            }
            Program::Bare => {
                let options = [
                    ("--device", devices[0].to_string()),
                    ("--handler", handler.to_string()),
                    ("--adapter", adapter.to_string()),
                ];
                server = Process::spawn(name, own("bare", &options)?)?;
                server
                    .ready(async || process::is_listening(adapter).await)
                    .await?;
            }
        }
        Ok(Self {
            name,
            targets,
            server,
            handler: handler_process,
            _folder: folder,
        })
    }

    /// Where devices connect, in the order of the transports.
    pub(crate) fn target(&self, number: usize) -> &Target {
        &self.targets[number]
    }

    /// The process ids of the server and of its handler.
    pub(crate) fn pids(&self) -> [u32; 2] {
        [self.server.pid, self.handler.pid]
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
        tokio::select! {
            death = self.server.death() => death,
            death = self.handler.death() => death,
        }
    }

    /// Kills both processes and waits until they are gone.
    pub(crate) async fn stop(self) -> Result<()> {
        self.server.stop().await?;
        self.handler.stop().await
    }
}
