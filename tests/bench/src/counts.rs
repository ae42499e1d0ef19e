//! How many connections a handler was told of, and how a run waits for it to have been told: whoever connects to
//! the handler's second port gets a line of numbers: created, closed, lines that came.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time,
};

use crate::process::POLL;

/// How long callbacks may take to reach the handler after what caused them.
const DELIVERY: Duration = Duration::from_secs(60);

/// Counted by the handler.
#[derive(Default)]
pub(crate) struct Counts {
    /// By `OnSocketCreated`.
    pub(crate) created: AtomicUsize,
    /// By `OnSocketClosed`.
    pub(crate) closed: AtomicUsize,
    /// Lines, by `OnReceivedBytes`.
    pub(crate) lines: AtomicUsize,
}

impl Counts {
    /// Answers whoever connects.
    pub(crate) async fn tell(&self, listener: TcpListener) {
        while let Ok((mut socket, _)) = listener.accept().await {
            // In this order, so that no connection is counted as closed but not as created.
            let closed = self.closed.load(Ordering::SeqCst);
            let created = self.created.load(Ordering::SeqCst);
            let lines = self.lines.load(Ordering::SeqCst);
            // Whoever asked and left will ask again.
            let _ = socket
                .write_all(format!("{created} {closed} {lines}\n").as_bytes())
                .await;
        }
    }
}

/// Waits until the handler that answers at `counts` was told of `open` connections more than have ended.
pub(crate) async fn wait_for_open(counts: SocketAddr, open: usize) -> Result<()> {
    let deadline = Instant::now() + DELIVERY;
    loop {
        let [created, closed, _] = ask(counts).await?;
        if created == closed + open {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "after {DELIVERY:?} the handler was told of {created} connections and of the end of {closed}, \
             but {open} are open"
        );
        time::sleep(POLL).await;
    }
}

/// How many lines the handler that answers at `counts` was told of.
pub(crate) async fn lines(counts: SocketAddr) -> Result<usize> {
    let [.., lines] = ask(counts).await?;
    Ok(lines)
}

async fn ask(counts: SocketAddr) -> Result<[usize; 3]> {
    let mut line = String::new();
    TcpStream::connect(counts)
        .await
        .context("cannot ask the handler for its counts")?
        .read_to_string(&mut line)
        .await?;
    parse(&line).with_context(|| format!("not the handler's counts: {line:?}"))
}

fn parse(line: &str) -> Option<[usize; 3]> {
    let mut numbers = line.split_whitespace();
    let mut next = || numbers.next()?.parse().ok();
    Some([next()?, next()?, next()?])
}
