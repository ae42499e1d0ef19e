//! Hidden subcommand: one process of a side. It does what it is told until nobody tells it anything any more.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use bytes::Bytes;
use tokio::{net::TcpStream, task, time};

use super::{
    arrivals::{self, Arrivals},
    bare::Bare,
    credit::Credit,
    pod::Pod,
    side::Kind,
    terms::{Answer, Line, Moment, Order, Run},
};

/// Messages that are published at once: as many as a pod sends in one piece.
pub(super) const BATCH: u64 = 512;

/// Which one it is, and who tells it what to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, value_enum)]
    kind: Kind,
    #[arg(long)]
    number: u32,
    #[arg(long)]
    pods: u32,
    #[arg(long)]
    publishers: u32,
    #[arg(long)]
    redis: String,
    /// The cluster's key.
    #[arg(long)]
    key: PathBuf,
    /// Who tells it.
    #[arg(long)]
    control: SocketAddr,
}

impl Args {
    pub(super) fn redis(&self) -> &str {
        &self.redis
    }

    pub(super) fn key(&self) -> &PathBuf {
        &self.key
    }

    /// The name of the process.
    pub(super) fn name(&self) -> String {
        format!("pod-{}", self.number)
    }

    /// What it publishes to.
    pub(super) fn topic(&self) -> String {
        topic(self.number)
    }

    /// What all publish to.
    pub(super) fn topics(&self) -> impl Iterator<Item = String> {
        (0..self.publishers).map(topic)
    }
}

fn topic(publisher: u32) -> String {
    format!("fleet/{publisher}/position")
}

/// What a process publishes and subscribes by.
enum Hub {
    Pod(Pod),
    Bare(Bare),
}

impl Hub {
    async fn publish(&mut self, payloads: Vec<Bytes>, qos: u8) -> Result<()> {
        match self {
            Self::Pod(pod) => pod.publish(payloads, qos).await,
            Self::Bare(bare) => bare.publish(payloads, qos).await,
        }
    }
}

/// Serves until its owner is gone.
pub(crate) async fn run(args: Args) -> Result<()> {
    let mut line = Line::new(TcpStream::connect(args.control).await?)?;
    let arrivals = Arrivals::new(args.number);
    let credit = Credit::listen(args.number, args.pods).await?;
    let hub = match args.kind {
        Kind::Pod => Hub::Pod(Pod::start(&args, arrivals.clone()).await?),
        Kind::Bare => Hub::Bare(Bare::start(&args, arrivals.clone()).await?),
    };
    line.say(&Answer::Here(args.number, credit.address)).await?;
    let mut member = Member {
        args,
        arrivals,
        credit,
        hub,
        published: 0,
    };
    while let Some(order) = line.hear().await? {
        let answer = member.obey(order).await?;
        line.say(&answer).await?;
    }
    Ok(())
}

struct Member {
    args: Args,
    arrivals: Arrivals,
    credit: Credit,
    hub: Hub,
    published: u64,
}

impl Member {
    async fn obey(&mut self, order: Order) -> Result<Answer> {
        Ok(match order {
            Order::Know(publishers) => {
                self.arrivals.tell(&publishers).await?;
                Answer::Ready
            }
            Order::Run(run) => {
                self.arrivals.begin(&run);
                if self.args.number < self.args.publishers {
                    self.publish(&run).await?;
                }
                Answer::Published(self.published)
            }
            Order::Tell => Answer::Told(self.arrivals.done()),
            order => match &mut self.hub {
                Hub::Pod(pod) => pod.obey(order).await?,
                Hub::Bare(_) => bail!("only pods do {order:?}"),
            },
        })
    }

    async fn publish(&mut self, run: &Run) -> Result<()> {
        match run.pace {
            None => self.at_full_speed(run).await?,
            Some(pace) => self.at_a_pace(run, pace).await?,
        }
        self.credit.settled(self.published).await;
        Ok(())
    }

    async fn at_full_speed(&mut self, run: &Run) -> Result<()> {
        while Moment::now() < run.until {
            let room = self.credit.room(self.published, run.window).await?;
            self.batch(room.min(BATCH), run).await?;
            // Whoever sends them has a turn.
            task::yield_now().await;
        }
        Ok(())
    }

    async fn at_a_pace(&mut self, run: &Run, pace: u32) -> Result<()> {
        let mut ticks = time::interval(Duration::from_secs(1) / pace);
        while Moment::now() < run.until {
            ticks.tick().await;
            self.batch(1, run).await?;
        }
        Ok(())
    }

    async fn batch(&mut self, count: u64, run: &Run) -> Result<()> {
        let numbers = self.published..self.published + count;
        let stamp = |number| arrivals::stamp(self.args.number, number, run.payload);
        let payloads = numbers.map(stamp).collect();
        self.published += count;
        self.hub.publish(payloads, run.qos).await
    }
}
