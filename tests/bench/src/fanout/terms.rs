//! What the process that measures and the others tell each other: lines of JSON over one connection for each.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time,
};

use crate::rounds::Times;

/// What a process is to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Publishers are told there how far everybody is. Answered by `Ready`.
    Know(Vec<SocketAddr>),
    /// Answered by `Published`, once all have it.
    Run(Run),
    /// Answered by `Told`.
    Tell,
    /// Subscribes to more. Answered by `Ready`.
    Subscribe(Filters),
    /// Takes these back. Answered by `Ready`.
    Unsubscribe(Filters),
    /// Subscribes and takes back, until then. Answered by `Changed`.
    Churn(Filters, Moment),
    /// Publishes so many of this kind one after the other. Answered by `Took`.
    Spend(u32),
}

/// What a process says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The first: which one it is, and where it is told how far others are.
    Here(u32, SocketAddr),
    Ready,
    /// How many messages.
    Published(u64),
    Told(Done),
    /// How many subscriptions.
    Changed(u64),
    /// How long, in nanoseconds.
    Took(u64),
}

/// A load.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Run {
    /// What arrives from then on counts.
    pub(crate) from: Moment,
    /// Until then; then no more is published.
    pub(crate) until: Moment,
    /// Messages a second of each publisher; as many as go if unset.
    pub(crate) pace: Option<u32>,
    pub(crate) payload: u32,
    pub(crate) qos: u8,
    pub(crate) window: u32,
}

impl Run {
    /// One that begins now, and counts after the warm-up.
    pub(crate) fn after(
        times: &Times,
        payload: u32,
        qos: u8,
        window: u32,
        pace: Option<u32>,
    ) -> Self {
        let from = Moment::now().and(times.warmup);
        Self {
            from,
            until: from.and(times.duration),
            pace,
            payload,
            qos,
            window,
        }
    }
}

/// Filters, numbered: `PREFIX/NUMBER`, with another level `+` where they have wildcards.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Filters {
    pub(crate) prefix: String,
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) wildcards: bool,
}

/// What came to one process in one load.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    /// While it counted.
    pub(crate) delivered: u64,
    /// Numbers that were left out.
    pub(crate) lost: u64,
    /// Numbers that came after higher ones.
    pub(crate) disordered: u64,
    pub(crate) latencies: Vec<(usize, u64)>,
}

/// A time that all processes of the machine understand: nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let since = since.unwrap_or_default().as_nanos();
        Self(u64::try_from(since).unwrap_or(u64::MAX))
    }

    pub(crate) fn and(self, duration: Duration) -> Self {
        let more = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(more))
    }

    /// How long ago that is; zero if it is not over.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub(crate) async fn reached(self) {
        time::sleep(self.since(Self::now())).await;
    }
}

/// One end of such a connection.
pub(crate) struct Line {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Line {
    pub(crate) fn new(socket: TcpStream) -> Result<Self> {
        socket.set_nodelay(true)?;
        let (read, write) = socket.into_split();
        let read = BufReader::new(read);
        Ok(Self { read, write })
    }

    pub(crate) async fn say(&mut self, what: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        Ok(self.write.write_all(&line).await?)
    }

    /// The next line; none at the end.
    pub(crate) async fn hear<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let mut line = String::new();
        if self.read.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let heard = serde_json::from_str(&line);
        Ok(Some(
            heard.with_context(|| format!("not understood: {line}"))?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_never_go_back() {
        let second = Duration::from_secs(1);
        let (early, late) = (Moment(5), Moment(5).and(second));
        assert_eq!(
            (late.since(early), early.since(late)),
            (second, Duration::ZERO)
        );
    }
}
