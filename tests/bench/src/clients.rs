//! Clients of a gateway: connections of devices that say nothing, whose handler authenticates and subscribes them.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use proto::exproto::{
    AuthenticateRequest, ClientInfo, CodeResponse, ResultCode, SubscribeRequest,
    connection_adapter_client::ConnectionAdapterClient,
};
use tokio::{net::TcpStream, sync::mpsc::Receiver, time};
use tonic::transport::Channel;

use crate::generator::{self, AT_ONCE, PATIENCE};

/// What handlers call.
pub(crate) type Adapter = ConnectionAdapterClient<Channel>;

/// Opens `count` connections; with the names that the handler was told.
pub(crate) async fn connect(
    device: SocketAddr,
    count: usize,
    created: &mut Receiver<String>,
) -> Result<(Vec<TcpStream>, Vec<String>)> {
    let (mut devices, mut names) = (Vec::new(), Vec::new());
    while devices.len() < count {
        let some = AT_ONCE.min(count - devices.len());
        let opened = generator::in_turns(0..some, |_| async move {
            let opened = TcpStream::connect(device).await;
            opened.with_context(|| format!("cannot connect to {device}"))
        });
        devices.extend(opened.await?);
        for _ in 0..some {
            let name = time::timeout(PATIENCE, created.recv()).await;
            let name = name.context("the handler is not told of a connection")?;
            names.push(name.context("the handler has ended")?);
        }
    }
    Ok((devices, names))
}

/// Makes a connection a client.
pub(crate) async fn authenticate(
    mut adapter: Adapter,
    conn: String,
    clientid: String,
) -> Result<()> {
    let request = AuthenticateRequest {
        conn,
        clientinfo: Some(ClientInfo {
            clientid,
            ..ClientInfo::default()
        }),
        password: String::new(),
    };
    ensure_success(&adapter.authenticate(request).await?.into_inner())
}

/// Subscribes a client.
pub(crate) async fn subscribe(
    mut adapter: Adapter,
    conn: String,
    topic: String,
    qos: u32,
) -> Result<()> {
    let request = SubscribeRequest { conn, topic, qos };
    ensure_success(&adapter.subscribe(request).await?.into_inner())
}

pub(crate) fn ensure_success(answer: &CodeResponse) -> Result<()> {
    ensure!(
        answer.code() == ResultCode::Success,
        "the adapter answered {}: {}",
        answer.code().as_str_name(),
        answer.message
    );
    Ok(())
}
