//! UDP devices: each keeps so many echoes under way. One that does not come is counted as lost, and the device goes on.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{net::UdpSocket, task::JoinSet, time};

use super::Args;
use crate::{generator::Window, reflect::ECHO};

/// After so long without any echo, those of a device that are under way are lost.
const LOST: Duration = Duration::from_millis(200);

/// What came back inside of the window, and what did not.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) echoes: u64,
    pub(super) lost: u64,
}

/// Sends and receives until the window closes.
pub(super) async fn run(to: SocketAddr, args: &Args, window: Window) -> Result<Counts> {
    let mut running = JoinSet::new();
    for number in 0..args.devices.get() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(to).await?;
        let bytes = (0_u8..=250).cycle().skip(number % 251);
        let mut echoed: Vec<u8> = bytes.take(args.payload.get()).collect();
        let mut dropped = echoed.clone();
        echoed[0] = ECHO;
        dropped[0] = ECHO + 1;
        let device = Device {
            socket,
            buffer: vec![0; echoed.len() + 1],
            echoed,
            dropped,
            drops: args.echo_every.get() - 1,
            in_flight: args.in_flight.get(),
        };
        running.spawn(device.run(window));
    }
    let mut all = Counts::default();
    while let Some(done) = running.join_next().await {
        let counts = done??;
        all.echoes += counts.echoes;
        all.lost += counts.lost;
    }
    ensure!(all.echoes > 0, "no echo arrived in time to count");
    Ok(all)
}

struct Device {
    socket: UdpSocket,
    buffer: Vec<u8>,
    /// Comes back.
    echoed: Vec<u8>,
    /// Does not.
    dropped: Vec<u8>,
    /// How many of those stand before one that comes back.
    drops: u32,
    in_flight: u32,
}

impl Device {
    async fn run(mut self, window: Window) -> Result<Counts> {
        let mut counts = Counts::default();
        let mut under_way = 0;
        let mut now = Instant::now();
        while now < window.until {
            while under_way < self.in_flight {
                for _ in 0..self.drops {
                    self.send(&self.dropped).await?;
                }
                self.send(&self.echoed).await?;
                under_way += 1;
            }
            let heard = time::timeout(LOST, self.socket.readable()).await;
            now = Instant::now();
            let counts_now = window.from <= now && now < window.until;
            if heard.is_err() {
                if counts_now {
                    counts.lost += u64::from(under_way);
                }
                under_way = 0;
                continue;
            }
            let came = self.receive()?;
            // One that was given up may still come.
            under_way = under_way.saturating_sub(came);
            if counts_now {
                counts.echoes += u64::from(came);
            }
        }
        Ok(counts)
    }

    async fn send(&self, datagram: &[u8]) -> Result<()> {
        let sent = self.socket.send(datagram).await;
        sent.context("cannot send a datagram")?;
        Ok(())
    }

    /// All that has come by now.
    fn receive(&mut self) -> Result<u32> {
        let mut came = 0;
        while came < self.in_flight {
            match self.socket.try_recv(&mut self.buffer) {
                Ok(length) => {
                    ensure!(
                        self.buffer[..length] == self.echoed,
                        "what came back is not what was sent"
                    );
                    came += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("cannot receive an echo"),
            }
        }
        Ok(came)
    }
}
