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

    fn each(&self, show: Show<'_>) {
        for (word, count) in &*self.0.lock() {
            show(*count, Some(word));
        }
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

/// Shows a count, by its reason where it has one.
type Show<'a> = &'a mut dyn FnMut(u64, Option<&'static str>);

/// A counter: its name, what it counts, and its counts.
type Counter = (&'static str, &'static str, fn(&ListenerMetrics, Show<'_>));

const COUNTERS: [Counter; 8] = [
    (
        "exproto_connections_accepted",
        "Devices that were let in.",
        |counts, show| show(counts.accepted.load(Relaxed), None),
    ),
    (
        "exproto_received_bytes",
        "Bytes read from devices.",
        |counts, show| show(counts.received.load(Relaxed), None),
    ),
    (
        "exproto_sent_bytes",
        "Bytes that sockets took for devices.",
        |counts, show| show(counts.sent.load(Relaxed), None),
    ),
    (
        "exproto_bad_frames",
        "What devices sent that is no frame of the listener's framing.",
        |counts, show| show(counts.bad_frames.load(Relaxed), None),
    ),
    (
        "exproto_dtls_hellos_answered",
        "DTLS hellos that were answered with a cookie, and forgotten.",
        |counts, show| show(counts.hellos.load(Relaxed), None),
    ),
    (
        "exproto_connections_refused",
        "Devices that were turned away, by the limit or rule that they met.",
        |counts, show| counts.refused.each(show),
    ),
    (
        "exproto_handshakes_failed",
        "Devices that did not get through PROXY protocol, TLS, DTLS or WebSocket, by reason.",
        |counts, show| counts.failed_handshakes.each(show),
    ),
    (
        "exproto_datagrams_dropped",
        "Datagrams from and to devices that were thrown away, by reason.",
        |counts, show| {
            for why in Dropped::ALL {
                let count = counts.dropped[why as usize].load(Relaxed);
                if count > 0 {
                    show(count, Some(why.as_str()));
                }
            }
        },
    ),
];

impl Metrics {
    /// Shows what is counted for a listener. One listener's name must come here once.
    pub fn observe_listener(&self, name: &str, counts: &Arc<ListenerMetrics>) {
        let listener = KeyValue::new("listener", name.to_owned());
        for (name, what, each) in COUNTERS {
            let (counts, listener) = (counts.clone(), listener.clone());
            let _ = self
                .meter()
                .u64_observable_counter(name)
                .with_description(what)
                .with_callback(move |counter| {
                    each(&counts, &mut |count, reason| {
                        let reason = reason.map(|reason| KeyValue::new("reason", reason));
                        let labels: Vec<_> = [listener.clone()].into_iter().chain(reason).collect();
                        counter.observe(count, &labels);
                    });
                })
                .build();
        }
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
}
