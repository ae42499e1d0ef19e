//! `fanout`: from a publisher in one pod to subscribers in all others, through one Redis. How many messages and
//! deliveries a second, how long one takes, and what it costs Redis; beside programs in the same number that do the same
//! with the `redis` crate and nothing else.
//!
//! In the figure is what lies between pods: a pod's broker, its outbox, the seal, Redis, and the broker of the other pod
//! up to the queue of a connection. Devices, gRPC and handlers are not in it (`pubsub` has those). Each pod is a whole
//! gateway in a process of its own; one queue there subscribes to the topics of all publishers. What a publisher's own
//! pod gets is not counted, on neither side.

/// What the processes tell each other.
pub(crate) mod terms;
/// The processes of one side, as the one that measures sees them.
pub(crate) mod side;
/// Hidden subcommand: one of these processes.
pub(crate) mod member;
/// A gateway in it.
mod pod;
/// The `redis` crate in it.
mod bare;
/// What arrives.
mod arrivals;
/// How much may be under way.
mod credit;

use std::{fmt, num::NonZeroU32, time::Duration};

use anyhow::{Result, ensure};
use exproto_tests::RedisServer;
use serde_json::json;

use self::{
    side::{Kind, Side},
    terms::{Done, Run},
};
use crate::{
    histogram::Histogram,
    report::{Report, median},
    rounds::{Times, microseconds},
    usage,
};

/// How to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Processes of each side. All of them subscribe.
    #[arg(long, value_name = "N", default_value = "4")]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=64))]
    pods: u32,
    /// How many of them publish; half of them if not given.
    #[arg(long, value_name = "N")]
    publishers: Option<NonZeroU32>,
    /// What is published at a time; when, by whom and the how manieth it is stand in it.
    #[arg(long, value_name = "BYTES", default_value = "256")]
    #[arg(value_parser = clap::value_parser!(u32).range(arrivals::HEADER..=1 << 20))]
    payload: u32,
    /// 0, or 1: then each message is kept in a log, on both sides.
    #[arg(long, default_value = "0", value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,
    /// How many messages of a publisher are under way at most, to whoever has the fewest.
    #[arg(long, value_name = "N", default_value = "8192")]
    window: NonZeroU32,
    /// How often each of them publishes in a second where latency is measured.
    #[arg(long, value_name = "N", default_value = "200")]
    rate: NonZeroU32,
    #[command(flatten)]
    times: Times,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let publishers = args.publishers.map_or(args.pods / 2, NonZeroU32::get);
    ensure!(
        publishers <= args.pods,
        "--publishers: there are not more than --pods"
    );
    let redis = RedisServer::start().await;
    let mut sides = [Kind::Pod, Kind::Bare].map(|kind| (kind, None));
    for (kind, side) in &mut sides {
        *side = Some(Side::start(*kind, redis.url(), args.pods, publishers).await?);
    }
    let mut rounds = [Vec::new(), Vec::new()];
    for number in 1..=args.times.rounds.get() {
        for ((kind, side), rounds) in sides.iter_mut().zip(&mut rounds) {
            let Some(side) = side else { continue };
            eprintln!("{kind}, round {number} of {}", args.times.rounds);
            let round = Round::run(side, &redis, &args).await?;
            eprintln!("  {round}");
            rounds.push(round);
        }
    }
    report(&args, publishers, &rounds).print(args.json, "ceiling_ratio");
    for (_, side) in sides {
        if let Some(side) = side {
            side.stop().await?;
        }
    }
    let sum = |count: fn(&Round) -> u64| rounds.iter().flatten().map(count).sum::<u64>();
    let (lost, disordered) = (sum(|round| round.lost), sum(|round| round.disordered));
    ensure!(
        lost + disordered == 0,
        "{lost} deliveries are missing, and {disordered} came twice or too late"
    );
    Ok(())
}

/// The figures of one round of one side.
struct Round {
    messages_per_second: f64,
    deliveries_per_second: f64,
    /// In a second of Redis' CPU time.
    deliveries_per_redis_second: f64,
    /// Of all processes of the side together.
    cpu_us_per_delivery: f64,
    /// At an even rate: p50 and p99, µs.
    paced_us: [f64; 2],
    lost: u64,
    disordered: u64,
}

impl Round {
    async fn run(side: &mut Side, redis: &RedisServer, args: &Args) -> Result<Self> {
        let load = |pace| Run::after(&args.times, args.payload, args.qos, args.window.get(), pace);
        let full = load(None);
        let pids = side.pids();
        let (done, cpu) = tokio::try_join!(
            side.load(&full),
            usage::cpu_between(full.from, full.until, vec![vec![redis.pid()], pids]),
        )?;
        let total = Total::of(&done)?;
        let paced = Total::of(&side.load(&load(Some(args.rate.get()))).await?)?;
        let (seconds, deliveries) = (args.times.duration.as_secs_f64(), total.delivered);
        let copies = f64::from(args.pods - 1);
        Ok(Self {
            messages_per_second: deliveries / copies / seconds,
            deliveries_per_second: deliveries / seconds,
            deliveries_per_redis_second: deliveries / cpu[0].as_secs_f64(),
            cpu_us_per_delivery: microseconds(cpu[1]) / deliveries,
            paced_us: [50, 99].map(|percent| microseconds(paced.percentile(percent))),
            lost: total.lost + paced.lost,
            disordered: total.disordered + paced.disordered,
        })
    }
}

/// What all processes of a side tell of one load.
struct Total {
    delivered: f64,
    lost: u64,
    disordered: u64,
    latencies: Histogram,
}

impl Total {
    fn of(done: &[Done]) -> Result<Self> {
        let mut total = Self {
            delivered: 0.0,
            lost: 0,
            disordered: 0,
            latencies: Histogram::new(),
        };
        for each in done {
            total.delivered += f64::from(u32::try_from(each.delivered)?);
            total.lost += each.lost;
            total.disordered += each.disordered;
            total.latencies.add(&each.latencies);
        }
        Ok(total)
    }

    fn percentile(&self, percent: u64) -> Duration {
        self.latencies.percentile(percent)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99] = self.paced_us;
        write!(
            f,
            "{:.0} messages/s, {:.0} deliveries/s, {:.0} in a second of Redis' CPU, CPU {:.2} µs each; at a rate p50 \
             {p50:.0} µs, p99 {p99:.0} µs; {} lost, {} disordered",
            self.messages_per_second,
            self.deliveries_per_second,
            self.deliveries_per_redis_second,
            self.cpu_us_per_delivery,
            self.lost,
            self.disordered
        )
    }
}

fn report(args: &Args, publishers: u32, rounds: &[Vec<Round>; 2]) -> Report {
    let mut report = Report::new(&[
        ("pods", json!(args.pods)),
        ("publishers", json!(publishers)),
        ("payload_bytes", json!(args.payload)),
        ("qos", json!(args.qos)),
        ("window", json!(args.window)),
        (
            "messages_per_second_at_a_rate",
            json!(args.rate.get() * publishers),
        ),
        ("rounds", json!(args.times.rounds)),
        ("round_seconds", json!(args.times.duration.as_secs_f64())),
    ]);
    let mut add = |title: &str, key: &str, figure: &dyn Fn(&Round) -> f64| {
        let medians = [0, 1].map(|side: usize| median(rounds[side].iter().map(figure).collect()));
        report.add(title, [key.to_owned(), format!("ceiling_{key}")], medians);
    };
    add("messages/s", "messages_per_second", &|round| {
        round.messages_per_second
    });
    add("deliveries/s", "deliveries_per_second", &|round| {
        round.deliveries_per_second
    });
    add(
        "… in 1 s of Redis' CPU",
        "deliveries_per_redis_cpu_second",
        &|round| round.deliveries_per_redis_second,
    );
    add("CPU per delivery, µs", "cpu_us_per_delivery", &|round| {
        round.cpu_us_per_delivery
    });
    add("at a rate, p50 µs", "paced_p50_us", &|round| {
        round.paced_us[0]
    });
    add("at a rate, p99 µs", "paced_p99_us", &|round| {
        round.paced_us[1]
    });
    report
}
