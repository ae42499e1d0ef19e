//! `dtls`: handshakes per second through the gateway, without gRPC: DTLS with a certificate and with a shared key, and
//! TLS with the same certificate beside them. Each device shakes hands, echoes one payload, and goes.

use std::{num::NonZeroUsize, process};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::{task::JoinSet, time};

use crate::{
    device::Device,
    generator::{PATIENCE, Target, Window},
    reflect::{ECHO, Reflector},
    report::{Report, median},
    rounds::{Times, microseconds},
    transport::Transport,
    usage,
};

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Devices that shake hands at the same time.
    #[arg(long, value_name = "N", default_value = "32")]
    devices: NonZeroUsize,
    #[command(flatten)]
    times: Times,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

const TRANSPORTS: [Transport; 3] = [Transport::Dtls, Transport::DtlsPsk, Transport::Tls];
/// The first byte of the payload must be `ECHO`.
const PAYLOAD: usize = 64;

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    usage::ensure_open_files(args.devices.get())?;
    let mut reflector = Reflector::gateway(&TRANSPORTS).await?;
    let mut rounds: [Vec<Round>; 3] = Default::default();
    for number in 1..=args.times.rounds.get() {
        for (side, transport) in TRANSPORTS.into_iter().enumerate() {
            eprintln!("{transport}, round {number} of {}", args.times.rounds);
            let device = reflector.devices[side];
            let target = Target {
                transport,
                clients: reflector.clients.clone(),
                device,
                counts: device,
            };
            let round = Round::run(&mut reflector, target, &args).await?;
            eprintln!(
                "  {:.0}/s, CPU per handshake {:.0} µs, generator {:.0} µs",
                round.per_second, round.cpu_us[0], round.cpu_us[1]
            );
            rounds[side].push(round);
        }
    }
    report(&args, &rounds).print(args.json, "tls_ratio");
    reflector.process.stop().await
}

/// The figures of one round.
struct Round {
    per_second: f64,
    /// For each handshake: of the gateway, and of the generator.
    cpu_us: [f64; 2],
}

impl Round {
    async fn run(reflector: &mut Reflector, target: Target, args: &Args) -> Result<Self> {
        let window = args.times.window();
        let pids = [reflector.process.pid, process::id()];
        let work = async {
            tokio::try_join!(
                shake_hands(target, args.devices, window),
                usage::cpu_in(pids, window)
            )
        };
        let (count, cpu) = tokio::select! {
            measured = work => measured?,
            death = reflector.process.death() => return Err(death),
        };
        let count = f64::from(count);
        Ok(Self {
            per_second: count / args.times.duration.as_secs_f64(),
            cpu_us: cpu.map(|time| microseconds(time) / count),
        })
    }
}

/// How many handshakes were done inside of the window.
async fn shake_hands(target: Target, devices: NonZeroUsize, window: Window) -> Result<u32> {
    let mut running = JoinSet::new();
    for _ in 0..devices.get() {
        let target = target.clone();
        running.spawn(async move {
            let mut count = 0;
            loop {
                let once = async {
                    let mut device = Device::open(&target, ECHO.into(), PAYLOAD).await?;
                    // The gateway's side may be done only now.
                    device.echo().await?;
                    device.reset()
                };
                let done = time::timeout(PATIENCE, once).await;
                done.context("a handshake takes too long")??;
                let now = std::time::Instant::now();
                if now >= window.until {
                    return anyhow::Ok(count);
                }
                count += u32::from(window.from <= now);
            }
        });
    }
    let mut all = 0;
    while let Some(count) = running.join_next().await {
        all += count??;
    }
    ensure!(all > 0, "no handshake was done in time to count");
    Ok(all)
}

fn report(args: &Args, rounds: &[Vec<Round>; 3]) -> Report {
    let [dtls, psk, tls] = rounds;
    let figure =
        |rounds: &[Round], figure: fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
    let settings = [
        ("devices", json!(args.devices)),
        ("rounds", json!(args.times.rounds)),
        ("round_seconds", json!(args.times.duration.as_secs_f64())),
    ];
    let per_second = |round: &Round| round.per_second;
    let cpu = |round: &Round| round.cpu_us[0];
    Report::new(&settings)
        .columns(["dtls", "tls"])
        .row(
            "handshakes/s, ECDSA",
            ["ecdsa_per_second", "tls_ecdsa_per_second"],
            [figure(dtls, per_second), figure(tls, per_second)],
        )
        .row(
            "handshakes/s, PSK",
            ["psk_per_second", "tls_psk_per_second"],
            [figure(psk, per_second), None],
        )
        .row(
            "CPU µs each, ECDSA",
            ["gateway_cpu_us_per_ecdsa", "tls_gateway_cpu_us_per_ecdsa"],
            [figure(dtls, cpu), figure(tls, cpu)],
        )
        .row(
            "CPU µs each, PSK",
            ["gateway_cpu_us_per_psk", "tls_gateway_cpu_us_per_psk"],
            [figure(psk, cpu), None],
        )
}
