//! The management API: HTTP and JSON for whoever runs the pod, to look at clients, connections and bans, and to change
//! them. One file for each resource. It asks connections as the adapter does, and never shows a password or a token.

/// Clients: look up, kick.
mod clients;
/// Connections, clients or not: look up, close.
mod connections;
/// Bans: add, list, lift.
mod bans;
/// Who may ask, and how much at once.
mod guard;
/// What a request says, field by field.
mod fields;
/// Parts of long lists.
mod page;
/// Lists of connections, over all pods.
mod lists;
/// The other pods, which are asked as well.
mod pods;
/// What goes wrong.
mod error;
/// The HTTP of it.
mod server;

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, http::Uri, middleware, routing::get};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use self::{error::Error, fields::Fields};
pub use self::{
    pods::LARGEST_ANSWER,
    server::{CONNECTIONS, serve},
};
use crate::{
    admission::Bans, clients::Clients, conn_id::ConnIds, metrics::Metrics, peers::Peers,
    registry::Registry, shared_bans::SharedBans, tokens::Tokens,
};

/// Looks at all connections or bans that may be under way at once; more wait. Each takes a thread.
const SCANS: usize = 2;

/// What the API speaks of. Clones are the same.
#[derive(Clone)]
pub struct Management(Arc<Inner>);

/// What the API speaks of, part by part.
pub struct Subjects {
    /// Whose names connections have.
    pub ids: Arc<ConnIds>,
    /// Where they are found.
    pub registry: Registry,
    /// Who is a client.
    pub clients: Clients,
    /// Who is kept out.
    pub bans: Bans,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The other pods, where there are others.
    pub others: Option<Others>,
}

/// What the API speaks of with several pods.
pub struct Others {
    /// Who asks the others.
    pub peers: Peers,
    /// Who is kept out of all of them.
    pub bans: SharedBans,
}

struct Inner {
    subjects: Subjects,
    /// `None`: whoever got through the handshake may ask.
    tokens: Option<Arc<Tokens>>,
    requests: Semaphore,
    scans: Arc<Semaphore>,
    request_timeout: Duration,
}

impl Management {
    /// For whoever has one of the tokens.
    #[must_use]
    pub fn new(
        subjects: Subjects,
        tokens: Option<Arc<Tokens>>,
        config: &config::Management,
    ) -> Self {
        Self(Arc::new(Inner {
            subjects,
            tokens,
            requests: Semaphore::new(config.max_concurrent_requests as usize),
            scans: Arc::new(Semaphore::new(SCANS)),
            request_timeout: config.request_timeout,
        }))
    }

    fn subjects(&self) -> &Subjects {
        &self.0.subjects
    }

    /// Does what takes long in a thread of its own, even when nobody waits for it any more.
    async fn scan<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Subjects) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.0.scans.clone().acquire_owned().await;
        let turn = turn.map_err(|_| Error::Internal)?;
        let inner = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&inner.subjects)
        });
        done.await.map_err(|_| Error::Internal)
    }
}

/// What is answered; an error is JSON too.
type Answer<T> = Result<Json<T>, Error>;

/// All that can be asked for, by whoever may.
fn router(management: Management) -> Router {
    let guard = middleware::from_fn_with_state(management.clone(), guard::guard);
    resources(management).layer(guard)
}

/// All that can be asked for.
fn resources(management: Management) -> Router {
    Router::new()
        .route("/api/v1", get(index))
        .route("/api/v1/", get(index))
        .route("/api/v1/clients", get(clients::list))
        .route(
            "/api/v1/clients/{clientid}",
            get(clients::show).delete(clients::kick),
        )
        .route("/api/v1/connections", get(connections::list))
        .route(
            "/api/v1/connections/{conn}",
            get(connections::show).delete(connections::close),
        )
        .route("/api/v1/bans", get(bans::list).post(bans::add))
        .route("/api/v1/bans/{who}", get(bans::show).delete(bans::lift))
        .fallback(async || {
            Error::NotFound("there is nothing here; GET /api/v1/ lists what there is".to_owned())
        })
        .method_not_allowed_fallback(async || Error::Method)
        .with_state(management)
}

async fn index(uri: Uri) -> Answer<Value> {
    Fields::of_query(&uri)?.finish()?;
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "resources": {
            "/api/v1/clients": "GET: clients, by page; clientid_prefix, username, listener, network, limit, after",
            "/api/v1/clients/{clientid}": "GET: one client; DELETE: closes its connection (kicked)",
            "/api/v1/connections": "GET: connections, by page; authenticated, listener, network, limit, after",
            "/api/v1/connections/{conn}": "GET: one connection; DELETE: closes it (kicked)",
            "/api/v1/bans": "GET: bans, by page; limit, after; POST: bans {who, until or duration, reason}",
            "/api/v1/bans/{who}": "GET: one ban; DELETE: lifts it",
        },
    })))
}
