//! A whole gateway in this process, whose broker is used directly.

use std::{
    collections::HashMap,
    future::{self, poll_fn},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use config::Config;
use exproto_gateway::{
    Gateway,
    broker::{Broker, Filter, Publication, Qos, Queue, Subscription, Topic, queue},
};
use futures_util::future::{BoxFuture, try_join_all};
use serde_json::json;
use tokio::{task::JoinSet, time};

use super::{
    arrivals::Arrivals,
    member::{Args, BATCH},
    terms::{Answer, Filters, Moment, Order},
};

/// More than the publishers' windows together: what is measured is not how a slow subscriber loses messages.
const LIMITS: queue::Limits = queue::Limits {
    messages: 1 << 22,
    bytes: 1 << 32,
};
/// Subscriptions that are made at once.
const SUBSCRIBED_AT_ONCE: u32 = 1000;

/// The gateway's part of a process.
pub(super) struct Pod {
    broker: Broker,
    topic: Topic,
    from: Arc<str>,
    queue: Arc<Queue>,
    subscriptions: HashMap<Filter, Subscription>,
    _running: JoinSet<()>,
}

impl Pod {
    /// Started, and subscribed to all topics.
    pub(super) async fn start(args: &Args, arrivals: Arrivals) -> Result<Self> {
        let config: Config = serde_json::from_value(configuration(args))?;
        let nobody = |_, _| -> BoxFuture<'static, ()> { Box::pin(future::ready(())) };
        let gateway = Gateway::bind_in_process(config, Arc::new(nobody))?;
        let broker = gateway.broker();
        let mut running = JoinSet::new();
        running.spawn(async move {
            if let Err(error) = gateway.run(future::pending()).await {
                eprintln!("the gateway ended: {error}");
            }
        });
        let queue = broker.queue(LIMITS);
        let taken = queue.clone();
        running.spawn(async move {
            if let Err(error) = take(&taken, &arrivals).await {
                eprintln!("{error:#}");
                std::process::exit(1);
            }
        });
        let mut pod = Self {
            topic: broker.topic(&args.topic())?,
            from: args.name().into(),
            broker,
            queue,
            subscriptions: HashMap::new(),
            _running: running,
        };
        let topics = args.topics().map(|topic| pod.broker.filter(&topic));
        let topics = topics.collect::<Result<Vec<_>, _>>()?;
        pod.subscribe(topics).await?;
        Ok(pod)
    }

    /// Each is accepted before the next one is begun, as one client's are.
    pub(super) async fn publish(&self, payloads: Vec<Bytes>, qos: u8) -> Result<()> {
        let qos = Qos::try_from(u32::from(qos)).context("0 or 1")?;
        let publish = |payload| {
            self.broker.publish(Publication {
                topic: self.topic.clone(),
                qos,
                from: self.from.clone(),
                payload,
                retain: false,
            })
        };
        try_join_all(payloads.into_iter().map(publish)).await?;
        Ok(())
    }

    /// What only pods do.
    pub(super) async fn obey(&mut self, order: Order) -> Result<Answer> {
        match order {
            Order::Subscribe(filters) => {
                for filters in in_parts(&filters) {
                    self.subscribe(self.read(&filters)?).await?;
                }
            }
            Order::Unsubscribe(filters) => {
                for filter in self.read(&filters)? {
                    self.subscriptions.remove(&filter);
                }
            }
            Order::Churn(filters, until) => {
                return Ok(Answer::Changed(self.churn(filters, until).await?));
            }
            Order::Spend(count) => return Ok(Answer::Took(self.spend(count).await?)),
            other => bail!("pods do not do {other:?}"),
        }
        Ok(Answer::Ready)
    }

    /// Subscribes and takes it back, each time to other filters: what is wanted again at once, Redis is told nothing of.
    async fn churn(&mut self, mut filters: Filters, until: Moment) -> Result<u64> {
        let mut changed = 0;
        while Moment::now() < until {
            let some = self.read(&filters)?;
            filters.first += filters.count;
            changed += 2 * some.len() as u64;
            self.subscribe(some.clone()).await?;
            for filter in some {
                self.subscriptions.remove(&filter);
            }
        }
        Ok(changed)
    }

    fn read(&self, filters: &Filters) -> Result<Vec<Filter>> {
        let wildcard = if filters.wildcards { "/+" } else { "" };
        let numbers = filters.first..filters.first + filters.count;
        let texts = numbers.map(|number| format!("{}/{number}{wildcard}", filters.prefix));
        Ok(texts
            .map(|text| self.broker.filter(&text))
            .collect::<Result<_, _>>()?)
    }

    /// Returns once others know.
    async fn subscribe(&mut self, filters: Vec<Filter>) -> Result<()> {
        for filter in &filters {
            let subscription = self
                .broker
                .subscribe(filter.clone(), Qos::AtLeastOnce, &self.queue);
            self.subscriptions.insert(filter.clone(), subscription);
        }
        let known = filters.iter().map(|filter| self.broker.known(filter));
        try_join_all(known).await?;
        Ok(())
    }

    /// How many nanoseconds it takes until so many messages that nobody here wants are on their way.
    async fn spend(&self, count: u32) -> Result<u64> {
        let topic = self.broker.topic("fleet/nobody/position")?;
        let payload = Bytes::from_static(&[b'.'; 64]);
        let mut spent = Duration::ZERO;
        for _ in 0..count / u32::try_from(BATCH)? {
            let began = Instant::now();
            for _ in 0..BATCH {
                let publication = Publication {
                    topic: topic.clone(),
                    qos: Qos::AtMostOnce,
                    from: self.from.clone(),
                    payload: payload.clone(),
                    retain: false,
                };
                self.broker.publish(publication).await?;
            }
            spent += began.elapsed();
            // What was published is sent before there is more of it, and outside of the time that counts.
            time::sleep(Duration::from_millis(5)).await;
        }
        Ok(u64::try_from(spent.as_nanos())?)
    }
}

fn in_parts(filters: &Filters) -> Vec<Filters> {
    let starts = (0..filters.count).step_by(SUBSCRIBED_AT_ONCE as usize);
    let part = |start| Filters {
        first: filters.first + start,
        count: SUBSCRIBED_AT_ONCE.min(filters.count - start),
        ..filters.clone()
    };
    starts.map(part).collect()
}

/// Takes what comes, for ever.
async fn take(queue: &Arc<Queue>, arrivals: &Arrivals) -> Result<()> {
    loop {
        let ready = poll_fn(|cx| queue.poll_ready(cx)).await;
        ensure!(ready == queue::Ready::Messages, "a queue has overflowed");
        let batch = queue.take(usize::try_from(BATCH)?, LIMITS.bytes);
        arrivals.take(batch.messages.iter().map(|message| &message.payload[..]))?;
    }
}

fn configuration(args: &Args) -> serde_json::Value {
    let any = "127.0.0.1:0";
    json!({
        "pod": { "name": args.name() },
        "listeners": [{ "name": "devices", "bind": any }],
        "adapter": { "bind": any },
        "http": { "bind": any },
        "cluster": { "key_file": args.key(), "peers": { "bind": any } },
        "broker": { "kind": "redis" },
        "redis": { "urls": [args.redis()] },
        "log": { "level": "warn" },
    })
}
