//! What arrives in one process: held against what must come next of each publisher, counted, and told to the publishers,
//! who publish no more than so much ahead of the slowest.

use std::{
    mem,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::watch, task::JoinSet, time};

use super::terms::{Done, Moment, Run};
use crate::histogram::Histogram;

/// The time, the publisher, and the number.
pub(crate) const HEADER: i64 = 20;
/// A publisher is told after so many messages, or after this long.
const TOLD_AFTER: u64 = 256;
const TOLD_EVERY: Duration = Duration::from_millis(5);

/// A payload of that length.
pub(super) fn stamp(publisher: u32, number: u64, length: u32) -> Bytes {
    let mut payload = Vec::with_capacity(length as usize);
    payload.extend_from_slice(&Moment::now().0.to_be_bytes());
    payload.extend_from_slice(&publisher.to_be_bytes());
    payload.extend_from_slice(&number.to_be_bytes());
    payload.resize(length as usize, b'.');
    payload.into()
}

fn read(payload: &[u8]) -> Option<(Moment, usize, u64)> {
    let (time, rest) = payload.split_first_chunk()?;
    let (publisher, rest) = rest.split_first_chunk()?;
    let number = rest.first_chunk()?;
    let publisher = usize::try_from(u32::from_be_bytes(*publisher)).ok()?;
    let time = Moment(u64::from_be_bytes(*time));
    Some((time, publisher, u64::from_be_bytes(*number)))
}

/// Shared by whoever takes messages and whoever asks.
#[derive(Clone)]
pub(super) struct Arrivals(Arc<Mutex<State>>);

struct State {
    own: usize,
    /// The number that comes next, by publisher.
    next: Vec<u64>,
    told: Vec<watch::Sender<u64>>,
    from: Moment,
    until: Moment,
    done: Done,
    latencies: Histogram,
    telling: JoinSet<()>,
}

impl Arrivals {
    /// Of one process.
    pub(super) fn new(own: u32) -> Self {
        Self(Arc::new(Mutex::new(State {
            own: own as usize,
            next: Vec::new(),
            told: Vec::new(),
            from: Moment(0),
            until: Moment(0),
            done: Done::default(),
            latencies: Histogram::new(),
            telling: JoinSet::new(),
        })))
    }

    fn with<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the publishers there from now on how far this process is.
    pub(super) async fn tell(&self, publishers: &[SocketAddr]) -> Result<()> {
        let own = self.with(|state| state.own);
        for (publisher, address) in publishers.iter().enumerate() {
            let (told, far) = watch::channel(0);
            self.with(|state| {
                state.next.push(0);
                state.told.push(told);
            });
            if publisher != own {
                let mut socket = TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                let own = u32::try_from(own)?;
                socket.write_all(&own.to_be_bytes()).await?;
                self.with(|state| state.telling.spawn(keep_telling(socket, far)));
            }
        }
        let arrivals = self.clone();
        let regularly = async move {
            let mut ticks = time::interval(TOLD_EVERY);
            loop {
                ticks.tick().await;
                arrivals.with(|state| state.told_after(1));
            }
        };
        self.with(|state| state.telling.spawn(regularly));
        Ok(())
    }

    /// Begins to count.
    pub(super) fn begin(&self, run: &Run) {
        self.with(|state| {
            (state.from, state.until) = (run.from, run.until);
            state.done = Done::default();
            state.latencies = Histogram::new();
        });
    }

    /// What was counted.
    pub(super) fn done(&self) -> Done {
        self.with(|state| Done {
            latencies: state.latencies.filled(),
            ..mem::take(&mut state.done)
        })
    }

    /// These have come.
    pub(super) fn take<'a>(&self, payloads: impl Iterator<Item = &'a [u8]>) -> Result<()> {
        let now = Moment::now();
        self.with(|state| {
            for payload in payloads {
                state.take(now, payload).context("no message of this run")?;
            }
            state.told_after(TOLD_AFTER);
            Ok(())
        })
    }
}

impl State {
    fn take(&mut self, now: Moment, payload: &[u8]) -> Option<()> {
        let (sent, publisher, number) = read(payload)?;
        if publisher == self.own {
            return Some(());
        }
        let next = self.next.get_mut(publisher)?;
        if number < *next {
            self.done.disordered += 1;
            return Some(());
        }
        self.done.lost += number - *next;
        *next = number + 1;
        if (self.from..self.until).contains(&now) {
            self.done.delivered += 1;
            self.latencies.record(now.since(sent));
        }
        Some(())
    }

    fn told_after(&mut self, least: u64) {
        for (next, told) in self.next.iter().zip(&self.told) {
            told.send_if_modified(|told| {
                let is_due = next - *told >= least;
                if is_due {
                    *told = *next;
                }
                is_due
            });
        }
    }
}

async fn keep_telling(mut publisher: TcpStream, mut far: watch::Receiver<u64>) {
    while far.changed().await.is_ok() {
        let next = *far.borrow_and_update();
        if publisher.write_all(&next.to_be_bytes()).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_left_out_and_what_comes_again_is_counted() {
        let arrivals = Arrivals::new(1);
        arrivals.with(|state| state.next = vec![0, 0]);
        arrivals.begin(&Run {
            from: Moment(0),
            until: Moment(u64::MAX),
            pace: None,
            payload: 32,
            qos: 0,
            window: 1,
        });
        // Its own are not counted.
        let payloads = [(0, 0), (0, 3), (0, 1), (1, 7)];
        let payloads = payloads.map(|(publisher, number)| stamp(publisher, number, 32));
        let payloads = payloads.iter().map(|payload| &payload[..]);
        arrivals.take(payloads).unwrap();
        let done = arrivals.done();
        assert_eq!((done.delivered, done.lost, done.disordered), (2, 2, 1));
        assert!(arrivals.take([&b"short"[..]].into_iter()).is_err());
    }
}
