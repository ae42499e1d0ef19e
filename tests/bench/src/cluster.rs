//! `cluster`: what it costs that pods work as one. Memory of subscriptions, in the pods and in Redis; how fast they come
//! and go; what a publication costs where others have many filters with wildcards; and how much longer an adapter call
//! takes that another pod has to carry out.
//!
//! For the first three, pods are as in `fanout`: whole gateways whose brokers are used directly. Calls go to gateways as
//! their users have them, over gRPC.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use exproto_tests::RedisServer;
use proto::exproto::SendBytesRequest;
use serde_json::{Map, Value, json};
use tokio::time;

use crate::{
    clients::{self, Adapter},
    fanout::{
        side::{Kind, Side},
        terms::{Answer, Filters, Moment, Order},
    },
    gateway,
    generator::PATIENCE,
    histogram::Histogram,
    pod::Pod,
    process::POLL,
    redis_failover::inbox::{Handler, Inbox},
    report,
    rounds::{microseconds, seconds},
    usage,
};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Pods that subscribe.
    #[arg(long, value_name = "N", default_value = "4")]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=64))]
    pods: u32,
    /// Filters without wildcards, each of one pod.
    #[arg(long, value_name = "N", default_value = "1000000")]
    filters: NonZeroU32,
    /// Filters with wildcards, spread over eight pods.
    #[arg(long, value_name = "N", default_value = "10000")]
    wildcards: NonZeroU32,
    /// Publications, with and without them.
    #[arg(long, value_name = "N", default_value = "200000")]
    publications: NonZeroU32,
    /// Adapter calls of each kind.
    #[arg(long, value_name = "N", default_value = "5000")]
    calls: NonZeroU32,
    /// For how long subscriptions come and go.
    #[arg(long, value_name = "SECS", default_value = "5", value_parser = seconds)]
    duration: Duration,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// The gateway's executable; built from this tree if not given.
    #[arg(long, value_name = "PATH")]
    gateway: Option<PathBuf>,
}

/// Pods over which filters with wildcards are spread.
const SPREAD: u32 = 8;

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<()> {
    let executable = gateway::executable(args.gateway.as_deref()).await?;
    let mut figures = Map::new();
    figures.insert("pods".to_owned(), json!(args.pods));
    subscriptions(&args, &mut figures).await?;
    wildcards(&args, &mut figures).await?;
    calls(&args, &executable, &mut figures).await?;
    report::facts(&Value::Object(figures), args.json);
    Ok(())
}

/// Memory of filters without wildcards, and how fast they come and go.
async fn subscriptions(args: &Args, figures: &mut Map<String, Value>) -> Result<()> {
    let redis = RedisServer::start().await;
    let mut side = Side::start(Kind::Pod, redis.url(), args.pods, 1).await?;
    let each = args.filters.get() / args.pods;
    let total = f64::from(each * args.pods);
    let filters = |pod: u32, prefix: &str, count| Filters {
        prefix: format!("{prefix}/{pod}"),
        first: 0,
        count,
        wildcards: false,
    };
    let [pods_before, redis_before] = memory(&side, &redis)?;
    let began = Instant::now();
    let subscribe = |pod| Order::Subscribe(filters(pod, "fleet/vehicle", each));
    side.each((0..args.pods).map(subscribe).collect()).await?;
    let took = began.elapsed();
    let [pods, of_redis] = memory(&side, &redis)?;
    eprintln!("{total} filters after {took:.1?}");
    let until = Moment::now().and(args.duration);
    let churn = |pod| Order::Churn(filters(pod, "fleet/passing", 1000), until);
    let answers = side.each((0..args.pods).map(churn).collect()).await?;
    let mut changes = 0;
    for answer in answers {
        match answer {
            Answer::Changed(count) => changes += count,
            other => bail!("{other:?} is no answer"),
        }
    }
    let per_second = f64::from(u32::try_from(changes)?) / args.duration.as_secs_f64();
    let bytes = |before: u64, after: u64| -> Result<f64> {
        let more = u32::try_from(after.saturating_sub(before) / 1024)?;
        Ok((f64::from(more) * 1024.0 / total).round())
    };
    figures.insert("filters".to_owned(), json!(each * args.pods));
    figures.insert(
        "pod_bytes_per_filter".to_owned(),
        json!(bytes(pods_before, pods)?),
    );
    figures.insert(
        "redis_bytes_per_filter".to_owned(),
        json!(bytes(redis_before, of_redis)?),
    );
    let speed = (total / took.as_secs_f64()).round();
    figures.insert("subscribed_per_second".to_owned(), json!(speed));
    figures.insert("changes_per_second".to_owned(), json!(per_second.round()));
    side.stop().await
}

/// Of all pods together, and of Redis.
fn memory(side: &Side, redis: &RedisServer) -> Result<[u64; 2]> {
    let mut pods = 0;
    for pid in side.pids() {
        pods += usage::resident_bytes(pid)?;
    }
    Ok([pods, usage::resident_bytes(redis.pid())?])
}

/// A publication that none of them matches, with and without filters of others.
async fn wildcards(args: &Args, figures: &mut Map<String, Value>) -> Result<()> {
    let redis = RedisServer::start().await;
    let mut side = Side::start(Kind::Pod, redis.url(), SPREAD, 1).await?;
    let each = args.wildcards.get() / SPREAD;
    let none = spend(&mut side, args).await?;
    let subscribe = |pod| {
        Order::Subscribe(Filters {
            prefix: "fleet/+".to_owned(),
            first: pod * each,
            count: each,
            wildcards: true,
        })
    };
    side.each((0..SPREAD).map(subscribe).collect()).await?;
    let many = spend(&mut side, args).await?;
    figures.insert("wildcards".to_owned(), json!(each * SPREAD));
    figures.insert("publish_us_without_wildcards".to_owned(), json!(none));
    figures.insert("publish_us_with_wildcards".to_owned(), json!(many));
    side.stop().await
}

/// What one publication takes in the first pod, in µs.
async fn spend(side: &mut Side, args: &Args) -> Result<f64> {
    let count = args.publications.get();
    let answers = side.each(vec![Order::Spend(count)]).await?;
    match answers.first() {
        Some(Answer::Took(nanoseconds)) => {
            let microseconds = microseconds(Duration::from_nanos(*nanoseconds));
            Ok((microseconds / f64::from(count) * 1e3).round() / 1e3)
        }
        other => bail!("{other:?} is no answer"),
    }
}

/// Calls for a connection of the pod that is called, and for one of another pod, by turns.
async fn calls(args: &Args, executable: &Path, figures: &mut Map<String, Value>) -> Result<()> {
    let redis = RedisServer::start().await;
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let key = folder.path().join("key");
    std::fs::write(&key, [7; 32])?;
    let inbox = Arc::new(Inbox::default());
    let (handler, created) = Handler::new(&inbox);
    let urls = json!({ "urls": [redis.url()] });
    let mut owner = Pod::start(executable, ("a", &key), &urls, handler, created).await?;
    let (handler, created) = Handler::new(&inbox);
    let other = Pod::start(executable, ("b", &key), &urls, handler, created).await?;
    let client = owner.client("client").await?;
    known(&other.adapter, &client.conn).await?;
    let latencies = [Histogram::new(), Histogram::new()];
    for _ in 0..args.calls.get() {
        for (adapter, latencies) in [&owner.adapter, &other.adapter].into_iter().zip(&latencies) {
            latencies.record(call(adapter, &client.conn).await?);
        }
    }
    for (whose, latencies) in ["local", "hop"].into_iter().zip(&latencies) {
        for percent in [50, 99] {
            let microseconds = microseconds(latencies.percentile(percent)).round();
            figures.insert(format!("call_{whose}_p{percent}_us"), json!(microseconds));
        }
    }
    owner.stop().await?;
    other.stop().await
}

/// Waits until a pod finds the one that has the connection.
async fn known(adapter: &Adapter, conn: &str) -> Result<()> {
    let began = Instant::now();
    while let Err(error) = call(adapter, conn).await {
        if began.elapsed() > PATIENCE {
            return Err(error);
        }
        time::sleep(POLL).await;
    }
    Ok(())
}

async fn call(adapter: &Adapter, conn: &str) -> Result<Duration> {
    let request = SendBytesRequest {
        conn: conn.to_owned(),
        bytes: vec![b'.'].into(),
    };
    let mut adapter = adapter.clone();
    let began = Instant::now();
    let answer = adapter.send(request).await?;
    let took = began.elapsed();
    clients::ensure_success(&answer.into_inner())?;
    Ok(took)
}
