//! What is shown of the broker.

use std::sync::atomic::Ordering::Relaxed;

use opentelemetry::KeyValue;

use super::Metrics;
use crate::broker::Broker;

impl Metrics {
    /// Shows what the broker counted.
    pub fn observe_broker(&self, broker: &Broker) {
        let meter = self.meter();
        let counted = broker.clone();
        let _ = meter
            .u64_observable_counter("exproto_messages")
            .with_description("Messages: published, delivered to a queue, without subscriber, dropped (QoS 0, queue full), discarded (still queued when the connection or its session ended), offline (QoS 0, session without connection), session_full (QoS 1 and 2, the oldest of a full session), unrepeated (QoS 0, left out of a repetition), redelivered (sent again).")
            .with_callback(move |counter| {
                let stats = counted.stats();
                for (event, count) in [
                    ("published", &stats.published),
                    ("delivered", &stats.delivered),
                    ("unrouted", &stats.unrouted),
                    ("dropped", &stats.dropped_qos0),
                    ("discarded", &stats.discarded),
                    ("offline", &stats.offline_qos0),
                    ("session_full", &stats.session_full),
                    ("unrepeated", &stats.unrepeated),
                    ("redelivered", &stats.redelivered),
                ] {
                    counter.observe(count.load(Relaxed), &[KeyValue::new("event", event)]);
                }
            })
            .build();
        let counted = broker.clone();
        let _ = meter
            .u64_observable_gauge("exproto_subscriptions")
            .with_description("Subscriptions of this pod's clients.")
            .with_callback(move |gauge| {
                gauge.observe(counted.stats().subscriptions.load(Relaxed), &[]);
            })
            .build();
        self.observe_kept(broker);
    }

    /// What the broker keeps for clients that are not there.
    fn observe_kept(&self, broker: &Broker) {
        let meter = self.meter();
        let counted = broker.clone();
        let _ = meter
            .u64_observable_gauge("exproto_sessions")
            .with_description("Persistent sessions whose client is not connected.")
            .with_callback(move |gauge| {
                gauge.observe(counted.stats().sessions.load(Relaxed), &[]);
            })
            .build();
        let counted = broker.clone();
        let _ = meter
            .u64_observable_counter("exproto_sessions_ended")
            .with_description("Persistent sessions that ended without a connection: expired, evicted (for others, at a limit), discarded (by their client or an operator).")
            .with_callback(move |counter| {
                let stats = counted.stats();
                for (reason, count) in [
                    ("expired", &stats.sessions_expired),
                    ("evicted", &stats.sessions_evicted),
                    ("discarded", &stats.sessions_discarded),
                ] {
                    counter.observe(count.load(Relaxed), &[KeyValue::new("reason", reason)]);
                }
            })
            .build();
        let counted = broker.clone();
        let _ = meter
            .u64_observable_gauge("exproto_retained")
            .with_description("Retained messages.")
            .with_callback(move |gauge| {
                counted.forget_old();
                gauge.observe(counted.stats().retained.load(Relaxed), &[]);
            })
            .build();
        let counted = broker.clone();
        let _ = meter
            .u64_observable_gauge("exproto_retained_behind")
            .with_description("Parts of all topics (128) of which this pod may not know yet what other pods retain.")
            .with_callback(move |gauge| {
                gauge.observe(counted.retained().behind() as u64, &[]);
            })
            .build();
        let counted = broker.clone();
        let _ = meter
            .u64_observable_counter("exproto_retained_dropped")
            .with_description("Retained messages of other pods for which this pod had no room.")
            .with_callback(move |counter| {
                counter.observe(counted.stats().retained_dropped.load(Relaxed), &[]);
            })
            .build();
    }
}
