//! `redis-failover`: clients of one pod publish without a pause, subscribers at another one take it, and meanwhile their
//! Redis fails over, again and again. Each message has a number, and in the end it is held against each other what was
//! answered SUCCESS and what came: what is lost, came twice or too late, and how long nothing came.
//!
//! The Redis is a master with two replicas and three sentinels, with `min-replicas-to-write 1`, as `docs/scaling.md`
//! has it; then a single server with `appendonly yes`, which is killed and started again. Pods are gateways as their users
//! have them, with handlers over gRPC.

/// What happens to Redis.
mod faults;
/// The handlers: what arrives.
pub(crate) mod inbox;
/// The publishers: what is published.
mod publishing;

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::{sync::watch, time};

use self::{
    faults::{Fault, Redis},
    inbox::{Found, Handler, Inbox},
    publishing::{Published, Publishing},
};
use crate::{
    clients, gateway,
    pod::Pod,
    report::{self, median},
    rounds::seconds,
};

/// What to do, and how often.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How often each thing happens to Redis.
    #[arg(long, value_name = "K", default_value = "2")]
    times: NonZeroUsize,
    /// What happens to it, in this order.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "fail-over,kill,freeze,restart"
    )]
    faults: Vec<Fault>,
    /// Clients that publish with `QoS` 1, each the next message when the one before is answered.
    #[arg(long, value_name = "N", default_value = "16")]
    publishers: NonZeroUsize,
    /// Messages a second with `QoS` 0.
    #[arg(long, value_name = "N", default_value = "500")]
    loose: NonZeroUsize,
    /// For how long all is well in between.
    #[arg(long, value_name = "SECS", default_value = "2", value_parser = seconds)]
    every: Duration,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// The gateway's executable; built from this tree if not given.
    #[arg(long, value_name = "PATH")]
    gateway: Option<PathBuf>,
}

/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of one fault, or of all.
#[derive(Default)]
struct Total {
    found: Found,
    answered: u64,
    unsure: u64,
    loose_sent: u64,
    loose_lost: u64,
    loose_counted: u64,
    /// By fault: for how long nothing came, in ms.
    silent_ms: Vec<f64>,
}

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let executable = gateway::executable(args.gateway.as_deref()).await?;
    let (sentinels, alone): (Vec<_>, Vec<_>) = args
        .faults
        .iter()
        .partition(|fault| fault.is_of_sentinels());
    let mut total = Total::default();
    for faults in [sentinels, alone] {
        if !faults.is_empty() {
            part(&args, &executable, &faults, &mut total).await?;
        }
    }
    print(&args, &total);
    let Found {
        lost,
        duplicated,
        reordered,
        ..
    } = total.found;
    ensure!(
        lost + duplicated + reordered == 0,
        "what was answered SUCCESS must arrive, once and in order"
    );
    Ok(())
}

/// One Redis, and what happens to it.
async fn part(
    args: &Args,
    executable: &std::path::Path,
    faults: &[Fault],
    total: &mut Total,
) -> Result<()> {
    let mut redis = Redis::start(faults[0]).await;
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("key");
    std::fs::write(&key, [7; 32])?;
    let inbox = Arc::new(Inbox::default());
    let mut pods = Vec::new();
    for name in ["a", "b"] {
        let (handler, created) = Handler::new(&inbox);
        let named = (name, key.as_path());
        pods.push(Pod::start(executable, named, &redis.configuration(), handler, created).await?);
    }
    let (Some(mut far), Some(mut near)) = (pods.pop(), pods.pop()) else {
        anyhow::bail!("two pods were started");
    };
    let exact = far.client("exact").await?;
    let wild = far.client("wild").await?;
    let numbers = 0..args.publishers.get();
    let topics = numbers.map(publishing::topic);
    for topic in topics.chain([publishing::LOOSE.to_owned()]) {
        clients::subscribe(far.adapter.clone(), exact.conn.clone(), topic, 1).await?;
    }
    let all = publishing::ALL.to_owned();
    clients::subscribe(far.adapter.clone(), wild.conn.clone(), all, 1).await?;
    near.knows(1).await?;

    let (stop, stopped) = watch::channel(false);
    let publishing = Publishing::start(&mut near, args, &stopped).await?;
    let work = async {
        for fault in faults {
            for number in 1..=args.times.get() {
                time::sleep(args.every).await;
                inbox.longest_pause();
                redis.suffer(*fault).await;
                time::sleep(args.every).await;
                let silent = inbox.longest_pause();
                eprintln!(
                    "{fault} {number} of {}: nothing came for {silent:.1?}",
                    args.times
                );
                total.silent_ms.push(silent.as_secs_f64() * 1e3);
            }
        }
        stop.send_replace(true);
        publishing.done().await
    };
    let published = tokio::select! {
        death = near.death() => return Err(death),
        death = far.death() => return Err(death),
        published = work => published?,
    };
    arrival(&inbox, &published).await;
    let closed = inbox.closed();
    ensure!(
        closed.is_empty(),
        "connections were closed: {}",
        closed.join(", ")
    );
    total.add(&inbox, &published);
    for (pod, series) in [
        (&near, "exproto_shared_messages_total{event=\"dropped\"}"),
        (&far, "exproto_shared_messages_total{event=\"held_up\"}"),
        (&far, "exproto_redis_pushes_dropped_total"),
    ] {
        total.loose_counted += pod.metric(series).await?;
    }
    near.stop().await?;
    far.stop().await
}

/// Waits until all that was answered has come, or nothing comes any more.
async fn arrival(inbox: &Inbox, published: &Published) {
    let began = Instant::now();
    while inbox.compare(published).lost > 0 && began.elapsed() < PATIENCE {
        time::sleep(Duration::from_millis(200)).await;
    }
}

impl Total {
    fn add(&mut self, inbox: &Inbox, published: &Published) {
        self.found.add(&inbox.compare(published));
        self.answered += published.answered();
        self.unsure += published.unsure;
        let (sent, lost) = inbox.loose(published);
        self.loose_sent += sent;
        self.loose_lost += lost;
    }
}

fn print(args: &Args, total: &Total) {
    let faults: Vec<_> = args.faults.iter().map(ToString::to_string).collect();
    let faults = faults.join(", ");
    let worst = total.silent_ms.iter().copied().fold(0.0, f64::max);
    let report = json!({
        "faults": faults,
        "times": args.times,
        "answered_qos1": total.answered,
        "unsure_qos1": total.unsure,
        "delivered_qos1": total.found.delivered,
        "lost_qos1": total.found.lost,
        "duplicated": total.found.duplicated,
        "reordered": total.found.reordered,
        "sent_qos0": total.loose_sent,
        "lost_qos0": total.loose_lost,
        "counted_qos0": total.loose_counted,
        "silent_median_ms": median(total.silent_ms.clone()).map(f64::round),
        "silent_worst_ms": worst.round(),
    });
    report::facts(&report, args.json);
}
