//! The HTTP of the management API: requests out of connections, with a time for each part of them.

use std::{pin::pin, time::Duration};

use axum::{Router, body::Body};
use futures_util::StreamExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{Management, router};
use crate::door::{Crowd, Door, Opened};

/// How long the head of a request may take to come, and a connection to be silent before it.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection is used; whoever reads answers slowly holds it no longer.
const LIFE: Duration = Duration::from_secs(300);
/// How long its last answer may take after that.
const LAST_ANSWER: Duration = Duration::from_secs(5);
/// The most bytes of a request's head: a clientid in it may have 64 KiB, each of which becomes three.
const LONGEST_HEAD: usize = 256 * 1024;
/// Connections at once. At the limit the oldest gives way.
pub const CONNECTIONS: u32 = 256;

/// Serves until `end`, and then the answers that are under way.
pub async fn serve(mut door: Door, management: Management, end: CancellationToken) {
    let router = router(management);
    let mut conversations = Crowd::new(CONNECTIONS as usize);
    while let Some(Some(Ok(opened))) = end.run_until_cancelled(door.next()).await {
        conversations.spawn(converse(opened, router.clone(), end.clone()));
    }
    conversations.ended().await;
}

async fn converse(opened: Opened, router: Router, end: CancellationToken) {
    let peer = opened.peer().clone();
    let address = peer.address;
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(opened), service);
    let mut connection = pin!(connection);
    let over = async {
        tokio::select! {
            () = end.cancelled() => {}
            () = sleep(LIFE) => {}
        }
    };
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = over => {
            connection.as_mut().graceful_shutdown();
            timeout(LAST_ANSWER, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%address, %error, "a connection to the management API failed");
    }
}
