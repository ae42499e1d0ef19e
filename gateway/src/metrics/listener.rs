//! What is counted for a listener.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use opentelemetry::KeyValue;
use parking_lot::Mutex;

use super::Metrics;
use crate::admission::Refusal;

/// What is counted for a listener.
#[derive(Default)]
pub struct ListenerMetrics {
    accepted: AtomicU64,
    open: AtomicI64,
    received: AtomicU64,
    sent: AtomicU64,
    bad_frames: AtomicU64,
    hellos: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
    refused: Words,
    failed_handshakes: Words,
}

/// Why a datagram was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It is larger than `max_datagram`.
    TooLarge,
    /// Too many of the device's datagrams wait for the handler.
    QueueFull,
    /// A rate of datagrams from devices was exceeded.
    RateIn,
    /// A rate of datagrams to devices was exceeded.
    RateOut,
    /// It came from port 0, which cannot be answered.
    PortZero,
    /// It says that it came from the listener itself.
    OwnAddress,
    /// It belongs to no DTLS session and begins none.
    NoSession,
    /// The system did not take it.
    NotSent,
}

impl Dropped {
    const ALL: [Self; 8] = [
        Self::TooLarge,
        Self::QueueFull,
        Self::RateIn,
        Self::RateOut,
        Self::PortZero,
        Self::OwnAddress,
        Self::NoSession,
        Self::NotSent,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::QueueFull => "queue_full",
            Self::RateIn => "rate_in",
            Self::RateOut => "rate_out",
            Self::PortZero => "port_zero",
            Self::OwnAddress => "own_address",
            Self::NoSession => "no_session",
            Self::NotSent => "not_sent",
        }
    }
}

/// Counts by a word out of a closed set.
#[derive(Default)]
struct Words(Mutex<BTreeMap<&'static str, u64>>);

impl Words {
    fn add(&self, word: &'static str) {
        *self.0.lock().entry(word).or_default() += 1;
    }
}

impl ListenerMetrics {
    /// A device was let in. It counts as open until the answer is dropped.
    pub fn accepted(self: &Arc<Self>) -> Open {
        self.accepted.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
        Open(self.clone())
    }

    /// A device was turned away.
    pub fn refused(&self, refusal: Refusal) {
        self.refused.add(refusal.as_str());
    }

    /// A device did not get through the handshakes, for a reason out of a closed set.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.failed_handshakes.add(reason);
    }

    /// Bytes came from a device.
    pub fn bytes_received(&self, count: usize) {
        self.received.fetch_add(count as u64, Relaxed);
    }

    /// The socket took bytes for a device.
    pub fn bytes_sent(&self, count: usize) {
        self.sent.fetch_add(count as u64, Relaxed);
    }

    /// A device sent what is no frame.
    pub fn bad_frame(&self) {
        self.bad_frames.fetch_add(1, Relaxed);
    }

    /// A DTLS hello without a good cookie was answered with one.
    pub fn hello_answered(&self) {
        self.hellos.fetch_add(1, Relaxed);
    }

    /// A datagram was thrown away.
    pub fn dropped(&self, why: Dropped) {
        self.dropped[why as usize].fetch_add(1, Relaxed);
    }
}

/// An open connection, as counted.
pub struct Open(Arc<ListenerMetrics>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    /// Shows what is counted for a listener. One listener's name must come here once.
    pub fn observe_listener(&self, name: &str, counts: &Arc<ListenerMetrics>) {
        let listener = KeyValue::new("listener", name.to_owned());
        self.observe_totals(&listener, counts);
        self.observe_reasons(&listener, counts);
        let counts = counts.clone();
        let _ = self
            .meter()
            .i64_observable_gauge("exproto_connections")
            .with_description(
                "Connections that are open, or closed but not yet told to the handler.",
            )
            .with_callback(move |gauge| {
                gauge.observe(counts.open.load(Relaxed), std::slice::from_ref(&listener));
            })
            .build();
    }

    fn observe_totals(&self, listener: &KeyValue, counts: &Arc<ListenerMetrics>) {
        type Total = fn(&ListenerMetrics) -> &AtomicU64;
        let totals: [(&'static str, &'static str, Total); 5] = [
            (
                "exproto_connections_accepted",
                "Devices that were let in.",
                |counts| &counts.accepted,
            ),
            (
                "exproto_received_bytes",
                "Bytes read from devices.",
                |counts| &counts.received,
            ),
            (
                "exproto_sent_bytes",
                "Bytes that sockets took for devices.",
                |counts| &counts.sent,
            ),
            (
                "exproto_bad_frames",
                "What devices sent that is no frame of the listener's framing.",
                |counts| &counts.bad_frames,
            ),
            (
                "exproto_dtls_hellos_answered",
                "DTLS hellos that were answered with a cookie, and forgotten.",
                |counts| &counts.hellos,
            ),
        ];
        for (name, what, total) in totals {
            let (counts, listener) = (counts.clone(), listener.clone());
            let _ = self
                .meter()
                .u64_observable_counter(name)
                .with_description(what)
                .with_callback(move |counter| {
                    counter.observe(
                        total(&counts).load(Relaxed),
                        std::slice::from_ref(&listener),
                    );
                })
                .build();
        }
    }

    fn observe_reasons(&self, listener: &KeyValue, counts: &Arc<ListenerMetrics>) {
        type Reasons = fn(&ListenerMetrics) -> &Words;
        let reasons: [(&'static str, &'static str, Reasons); 2] = [
            (
                "exproto_connections_refused",
                "Devices that were turned away, by the limit or rule that they met.",
                |counts| &counts.refused,
            ),
            (
                "exproto_handshakes_failed",
                "Devices that did not get through PROXY protocol, TLS, DTLS or WebSocket, by reason.",
                |counts| &counts.failed_handshakes,
            ),
        ];
        for (name, what, words) in reasons {
            let (counts, listener) = (counts.clone(), listener.clone());
            let _ = self
                .meter()
                .u64_observable_counter(name)
                .with_description(what)
                .with_callback(move |counter| {
                    for (word, count) in &*words(&counts).0.lock() {
                        counter
                            .observe(*count, &[listener.clone(), KeyValue::new("reason", *word)]);
                    }
                })
                .build();
        }
        let (counts, listener) = (counts.clone(), listener.clone());
        let _ = self
            .meter()
            .u64_observable_counter("exproto_datagrams_dropped")
            .with_description("Datagrams from and to devices that were thrown away, by reason.")
            .with_callback(move |counter| {
                for why in Dropped::ALL {
                    let count = counts.dropped[why as usize].load(Relaxed);
                    if count > 0 {
                        counter.observe(
                            count,
                            &[listener.clone(), KeyValue::new("reason", why.as_str())],
                        );
                    }
                }
            })
            .build();
    }
}
