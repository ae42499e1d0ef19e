//! The ceiling: the `redis` crate, one connection that publishes and one that subscribes, and nothing else.

use anyhow::Result;
use bytes::Bytes;
use futures_util::StreamExt as _;
use redis::{Client, Msg, aio::MultiplexedConnection};
use tokio::task::JoinSet;

use super::{
    arrivals::Arrivals,
    member::{Args, BATCH},
};

/// The log of a publisher holds about so many messages, as a pod's do.
const LOGGED: usize = 10_000;

/// What publishes, and what takes what comes.
pub(super) struct Bare {
    connection: MultiplexedConnection,
    channel: String,
    log: String,
    _taking: JoinSet<()>,
}

impl Bare {
    /// Connected, and subscribed to all topics.
    pub(super) async fn start(args: &Args, arrivals: Arrivals) -> Result<Self> {
        let client = Client::open(args.redis())?;
        let mut subscriber = client.get_async_pubsub().await?;
        for topic in args.topics() {
            subscriber.subscribe(channel(&topic)).await?;
        }
        let mut taking = JoinSet::new();
        taking.spawn(async move {
            let batches = subscriber.into_on_message();
            let mut batches = batches.ready_chunks(usize::try_from(BATCH).unwrap_or(1));
            while let Some(batch) = batches.next().await {
                if let Err(error) = arrivals.take(batch.iter().map(Msg::get_payload_bytes)) {
                    eprintln!("{error:#}");
                    std::process::exit(1);
                }
            }
        });
        Ok(Self {
            connection: client.get_multiplexed_async_connection().await?,
            channel: channel(&args.topic()),
            log: format!("bare.log.{}", args.topic()),
            _taking: taking,
        })
    }

    /// All in one piece.
    pub(super) async fn publish(&mut self, payloads: Vec<Bytes>, qos: u8) -> Result<()> {
        let mut piece = redis::pipe();
        for payload in &payloads {
            let payload = &payload[..];
            if qos > 0 {
                let mut keep = redis::cmd("XADD");
                keep.arg(&self.log).arg("MAXLEN").arg("~").arg(LOGGED);
                keep.arg("*").arg("e").arg(payload);
                piece.add_command(keep).ignore();
            }
            piece.publish(&self.channel, payload).ignore();
        }
        piece.query_async::<()>(&mut self.connection).await?;
        Ok(())
    }
}

fn channel(topic: &str) -> String {
    format!("bare.{topic}")
}
