//! Lines in one direction: each device writes as fast as the gateway reads, and the handler counts what comes.

use std::{fmt, io, process, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    task::JoinSet,
    time::{sleep_until, timeout},
};

use crate::{
    counts,
    generator::{PATIENCE, Window},
    rounds::{Load, microseconds},
    subject::Subject,
    usage,
};

/// Lines that a device hands to its socket at once.
const AT_ONCE: usize = 64;

/// The figures of one round.
pub(crate) struct Lines {
    pub(super) per_second: f64,
    pub(super) cpu_us_per_line: f64,
}

/// One round on the listener `number`.
pub(crate) async fn round(subject: &mut Subject, number: usize, load: &Load) -> Result<Lines> {
    let target = subject.target(number).clone();
    let [server, handler] = subject.pids();
    let pids = [server, handler, process::id()];
    let (connections, payload) = (load.connections.get(), load.payload.get());
    let work = async {
        let mut sockets = Vec::with_capacity(connections);
        for _ in 0..connections {
            let socket = TcpStream::connect(target.device).await?;
            // What the gateway has not read when the time is up goes with it.
            socket.set_zero_linger()?;
            sockets.push(socket);
        }
        let opened = timeout(PATIENCE, counts::wait_for_open(target.counts, connections)).await;
        opened.context("the handler was not told of all connections")??;
        let window = load.times.window();
        let mut line = vec![b'.'; payload];
        line[payload - 1] = b'\n';
        let burst = line.repeat(AT_ONCE);
        let mut devices = JoinSet::new();
        for socket in sockets {
            devices.spawn(write(socket, burst.clone(), window));
        }
        let measured =
            tokio::try_join!(lines_in(target.counts, window), usage::cpu_in(pids, window))?;
        while let Some(done) = devices.join_next().await {
            done??;
        }
        counts::wait_for_open(target.counts, 0).await?;
        Ok(measured)
    };
    let (lines, cpu) = subject.watch(work).await?;
    ensure!(lines > 0, "no line arrived in time to count");
    let count = f64::from(u32::try_from(lines)?);
    Ok(Lines {
        per_second: count / load.times.duration.as_secs_f64(),
        cpu_us_per_line: microseconds(cpu[0]) / count,
    })
}

async fn lines_in(at: std::net::SocketAddr, window: Window) -> Result<usize> {
    sleep_until(window.from.into()).await;
    let before = counts::lines(at).await?;
    sleep_until(window.until.into()).await;
    Ok(counts::lines(at).await? - before)
}

/// Writes until the window closes; what does not go out by then does not matter.
async fn write(mut socket: TcpStream, burst: Vec<u8>, window: Window) -> Result<()> {
    let until = (window.until + Duration::from_millis(100)).into();
    let writing = async {
        loop {
            socket.write_all(&burst).await?;
        }
    };
    let ended: Result<io::Result<()>, _> = tokio::time::timeout_at(until, writing).await;
    match ended {
        Err(_) => Ok(()),
        Ok(ended) => ended.context("the gateway closed a connection"),
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            per_second,
            cpu_us_per_line,
        } = self;
        write!(
            f,
            "{per_second:.0} lines/s; CPU per line {cpu_us_per_line:.2} µs"
        )
    }
}
