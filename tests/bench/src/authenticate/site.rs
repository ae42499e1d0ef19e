//! The processes: a gateway with a listener for each chain and one for the bystanders, its handler, and the service.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use proto::exproto::connection_adapter_client::ConnectionAdapterClient;
use serde_json::{Value, json};
use tonic::transport::Channel;

use super::{
    chain::{Accounts, Chain, Client},
    service,
};
use crate::{
    credentials::Credentials,
    gateway::{self, Addresses},
    generator::Target,
    grpc,
    handler::{self, Service},
    process::{self, Process},
    subject::Subject,
    transport::Transport,
};

/// All of them, running.
pub(super) struct Site {
    /// Gateway and handler. Its targets are the chains' listeners, and after them the bystanders'.
    pub(super) subject: Subject,
    service: Process,
    adapter: SocketAddr,
    /// By chain.
    clients: Vec<Arc<[Client]>>,
}

impl Site {
    /// Starts them, with `count` clients for each chain.
    pub(super) async fn start(executable: &Path, chains: &[Chain], count: usize) -> Result<Self> {
        let [handler, adapter, http, counts, service, devices @ ..] =
            process::free_addresses::<{ 6 + Chain::ALL.len() }>()?;
        let addresses = Addresses {
            handler,
            adapter,
            http,
        };
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let credentials = Credentials::create(folder.path())?;
        let accounts = Accounts::create(folder.path(), count, service)?;
        let clients: Result<_> = chains
            .iter()
            .map(|chain| accounts.clients(*chain))
            .collect();

        let service = service::start(service).await?;
        let handler = handler::start(&handler::Args {
            service: Service::Unary,
            listen: handler,
            adapter,
            counts,
        })
        .await?;
        // The bystanders' listener is one more without a chain.
        let all = chains.iter().chain([&Chain::None]).zip(devices).enumerate();
        let listeners = all.map(|(number, (chain, device))| {
            let mut listener = Transport::Tcp.listener(device, &credentials, Duration::ZERO);
            listener["name"] = json!(format!("listener-{number}"));
            listener["authentication_chain"] = accounts.chain(*chain);
            listener
        });
        let config = config(&addresses, &listeners.collect::<Vec<_>>(), count);
        let gateway = gateway::start(executable, folder.path(), &config, http).await?;
        let targets = devices[..=chains.len()].iter().map(|device| Target {
            transport: Transport::Tcp,
            clients: credentials.clients.clone(),
            device: *device,
            counts,
        });
        Ok(Self {
            subject: Subject::new(
                "gateway",
                targets.collect(),
                (gateway, Some(handler)),
                folder,
            ),
            service,
            adapter,
            clients: clients?,
        })
    }

    /// Where devices of a chain connect.
    pub(super) fn target(&self, chain: usize) -> Target {
        self.subject.target(chain).clone()
    }

    /// Where the bystanders connect.
    pub(super) fn bystander(&self) -> Target {
        self.target(self.clients.len())
    }

    /// What clients show to a chain.
    pub(super) fn clients(&self, chain: usize) -> Arc<[Client]> {
        self.clients[chain].clone()
    }

    /// As many HTTP/2 connections to the adapter as a handler has.
    pub(super) fn adapters(&self) -> Result<Vec<ConnectionAdapterClient<Channel>>> {
        let endpoint = grpc::endpoint(self.adapter)?;
        let client = |_| ConnectionAdapterClient::new(endpoint.connect_lazy());
        Ok((0..grpc::CHANNELS).map(client).collect())
    }

    /// Kills all and waits until they are gone.
    pub(super) async fn stop(self) -> Result<()> {
        self.subject.stop().await?;
        self.service.stop().await
    }
}

/// Nobody is refused for coming too often.
fn config(addresses: &Addresses, listeners: &[Value], most_waiting: usize) -> Value {
    let mut config = gateway::config(addresses, Service::Unary, listeners);
    config["authentication"] =
        json!({ "failure_rate": "off", "max_waiting_passwords": most_waiting });
    config
}
