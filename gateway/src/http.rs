//! The HTTP port: `/livez`, `/readyz` and `/metrics`. For those who run the pod, not for devices or handlers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};

use crate::{cluster::Cluster, handler::Handlers, metrics::Metrics};

/// What the health of a pod depends on.
pub struct Health {
    handlers: Handlers,
    /// The other pods, where there are others.
    cluster: Option<Cluster>,
    metrics: Arc<Metrics>,
    draining: AtomicBool,
    /// A handler was ready at some time. Before that, a wrong address is more likely than a restart.
    reached: AtomicBool,
}

impl Health {
    /// Ready once a handler is.
    #[must_use]
    pub fn new(handlers: Handlers, cluster: Option<Cluster>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            handlers,
            cluster,
            metrics,
            draining: AtomicBool::new(false),
            reached: AtomicBool::new(false),
        })
    }

    /// From now on not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether new devices should come here, and all there is to say about it.
    ///
    /// A handler that is away for a while makes no pod unready: all pods would be at once, and devices are parked.
    fn ready(&self) -> (bool, Vec<String>) {
        let mut said = self.handlers.troubles();
        let (ready, total) = self.handlers.ready();
        if ready > 0 {
            self.reached.store(true, Ordering::Release);
        }
        let mut is_ready = true;
        if self.draining.load(Ordering::Acquire) {
            is_ready = false;
            said.insert(0, "draining: the pod is shutting down".to_owned());
        } else if !self.reached.load(Ordering::Acquire) {
            is_ready = false;
            said.insert(
                0,
                format!("none of {total} handler endpoints was ever ready"),
            );
        } else if self.cluster.as_ref().is_some_and(Cluster::is_deaf) {
            is_ready = false;
            let deaf = "Redis takes messages of this pod and delivers none to it";
            said.insert(0, deaf.to_owned());
        }
        (is_ready, said)
    }
}

/// The routes.
pub fn router(health: Arc<Health>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn readyz(State(health): State<Arc<Health>>) -> impl IntoResponse {
    let (ready, said) = health.ready();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut body = if ready { "ok\n" } else { "not ready\n" }.to_owned();
    for line in said {
        body.push_str(&line);
        body.push('\n');
    }
    (status, body)
}

async fn metrics(State(health): State<Arc<Health>>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, kind)], health.metrics.render())
}
