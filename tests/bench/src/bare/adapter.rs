//! The adapter service with the methods that the ceiling needs: `Send` writes to the socket, there and then, and
//! `Publish` calls the handler.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, PoisonError, RwLock},
};

use proto::exproto::{
    AuthenticateRequest, CloseSocketRequest, CodeResponse, PublishRequest, RawPublishRequest,
    SendBytesRequest, SubscribeRequest, TimerRequest, UnsubscribeRequest,
    connection_adapter_server::ConnectionAdapter,
};
use tokio::net::tcp::OwnedWriteHalf;
use tonic::{Request, Response, Status};

use super::fan_out::FanOut;

/// The adapter service of the bare program.
pub(super) struct Adapter {
    pub(super) writers: Writers,
    pub(super) fan_out: FanOut,
}

type Answer = Result<Response<CodeResponse>, Status>;

#[tonic::async_trait]
impl ConnectionAdapter for Adapter {
    async fn send(&self, request: Request<SendBytesRequest>) -> Answer {
        let SendBytesRequest { conn, bytes } = request.into_inner();
        let writer = self.writers.find(&conn);
        let writer = writer.ok_or_else(|| Status::not_found(conn))?;
        write_all(&writer, &bytes).await?;
        Ok(Response::new(CodeResponse::default()))
    }

    async fn close(&self, _: Request<CloseSocketRequest>) -> Answer {
        unused()
    }

    async fn authenticate(&self, _: Request<AuthenticateRequest>) -> Answer {
        unused()
    }

    async fn start_timer(&self, _: Request<TimerRequest>) -> Answer {
        unused()
    }

    async fn publish(&self, request: Request<PublishRequest>) -> Answer {
        self.fan_out.publish(request.get_ref())?;
        Ok(Response::new(CodeResponse::default()))
    }

    async fn subscribe(&self, _: Request<SubscribeRequest>) -> Answer {
        unused()
    }

    async fn unsubscribe(&self, _: Request<UnsubscribeRequest>) -> Answer {
        unused()
    }

    async fn raw_publish(&self, _: Request<RawPublishRequest>) -> Answer {
        unused()
    }
}

/// The write halves by connection number. The lock is held for a look-up, never while anything waits.
#[derive(Clone, Default)]
pub(super) struct Writers(Arc<RwLock<HashMap<u64, Arc<OwnedWriteHalf>>>>);

impl Writers {
    fn find(&self, conn: &str) -> Option<Arc<OwnedWriteHalf>> {
        let number: u64 = conn.parse().ok()?;
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        map.get(&number).cloned()
    }

    /// Before the handler hears of the connection, so that it is found whenever the handler asks.
    pub(super) fn insert(&self, number: u64, writer: OwnedWriteHalf) {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        map.insert(number, Arc::new(writer));
    }

    /// Ends the connection in the other direction too.
    pub(super) fn remove(&self, number: u64) {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        map.remove(&number);
    }
}

/// Needs no lock: a connection has one callback in flight, and the handler one Send in each.
async fn write_all(writer: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match writer.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => writer.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn unused() -> Answer {
    Err(Status::unimplemented(
        "the ceiling only sends and publishes",
    ))
}
