//! The service that the chain `http` asks: it allows everybody, as fast as it can.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use axum::{Json, Router, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::process::{self, Process, own};

/// Where it listens.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Answers here.
    #[arg(long)]
    listen: SocketAddr,
}

/// Starts one in a process of its own, and waits until it is ready.
pub(super) async fn start(listen: SocketAddr) -> Result<Process> {
    let command = own(
        "authentication-service",
        &[("--listen", listen.to_string())],
    )?;
    let mut process = Process::spawn("authentication service", command)?;
    process
        .ready(async || process::is_listening(listen).await)
        .await?;
    Ok(process)
}

/// Serves until killed.
pub(crate) async fn run(args: Args) -> Result<()> {
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let app = Router::new().route("/", post(allow));
    axum::serve(listener, app).await?;
    Ok(())
}

/// Reads the question, as any such service has to.
async fn allow(Json(_question): Json<Value>) -> Json<Value> {
    Json(json!({ "result": "allow" }))
}
