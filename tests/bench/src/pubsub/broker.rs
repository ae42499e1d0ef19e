//! The broker as a library: one publishes, every queue is emptied, all on one thread; beside queues without a broker.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use bytes::Bytes;
use exproto_gateway::broker::{
    Broker, Publication, Qos, Queue, RetainedLimits, Settings, queue::Limits,
};

use super::load::topic;

/// How long each figure is measured.
const LONG_ENOUGH: Duration = Duration::from_millis(500);
/// As much as a queue may hold, and as much as one callback takes, by default.
const LIMITS: Limits = Limits {
    messages: 1000,
    bytes: 1 << 20,
};
const AT_A_TIME: usize = 100;

/// Of the broker, and of plain queues.
pub(super) async fn deliveries_per_second(subscribers: u32, payload: u32) -> Result<[f64; 2]> {
    let payload = Bytes::from(vec![b'.'; payload as usize]);
    let broker = through_the_broker(subscribers, &payload).await?;
    Ok([broker, through_plain_queues(subscribers, &payload)])
}

async fn through_the_broker(subscribers: u32, payload: &Bytes) -> Result<f64> {
    let broker = Broker::memory(Settings {
        node: "bench".into(),
        max_payload: 1 << 20,
        max_levels: 16,
        retained: RetainedLimits {
            messages: 1,
            bytes: 1,
            age: None,
        },
    });
    let text = topic(subscribers);
    let (topic, filter) = (broker.topic(&text)?, broker.filter(&text)?);
    let queues: Vec<Arc<Queue>> = (0..subscribers).map(|_| broker.queue(LIMITS)).collect();
    let subscribe = |queue| broker.subscribe(filter.clone(), Qos::AtLeastOnce, queue);
    let _subscriptions: Vec<_> = queues.iter().map(subscribe).collect();
    let from: Arc<str> = "publisher".into();
    let began = Instant::now();
    let mut taken = 0;
    while began.elapsed() < LONG_ENOUGH {
        let publication = Publication {
            topic: topic.clone(),
            qos: Qos::AtLeastOnce,
            from: from.clone(),
            payload: payload.clone(),
            retain: false,
        };
        broker.publish(publication).await?;
        for queue in &queues {
            let batch = queue.take(AT_A_TIME, LIMITS.bytes);
            ensure!(batch.messages.len() == 1, "a queue without its message");
            taken += 1;
        }
    }
    Ok(f64::from(taken) / began.elapsed().as_secs_f64())
}

/// What is left without topics, limits and counts: a lock for each queue, and a pointer put in and taken out.
fn through_plain_queues(subscribers: u32, payload: &Bytes) -> f64 {
    let queues = (0..subscribers).map(|_| Mutex::<VecDeque<Arc<Bytes>>>::default());
    let queues: Vec<_> = queues.collect();
    let lock = |queue| Mutex::lock(queue).unwrap_or_else(PoisonError::into_inner);
    let began = Instant::now();
    let mut taken = 0;
    while began.elapsed() < LONG_ENOUGH {
        let message = Arc::new(payload.clone());
        for queue in &queues {
            lock(queue).push_back(message.clone());
        }
        for queue in &queues {
            taken += u32::from(lock(queue).pop_front().is_some());
        }
    }
    f64::from(taken) / began.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_queue_gets_every_message() {
        let speeds = deliveries_per_second(3, 8).await.unwrap();
        assert!(speeds.iter().all(|speed| *speed > 0.0));
    }
}
