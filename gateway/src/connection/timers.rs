//! When a connection has waited long enough, for whatever it waits. One sleep serves all.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::Sleep;

/// The keepalive runs out after this many intervals without a byte, as in MQTT.
const KEEPALIVE_FACTOR: f64 = 1.5;

/// What has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The device has been silent for too long.
    Silence,
    /// The device has been silent for 1.5 times the interval of `StartTimer`.
    Keepalive,
    /// Nobody has authenticated the connection.
    Authentication,
    /// What Authenticate granted.
    Expiry,
    /// The socket has taken no byte for too long.
    Send,
}

/// The timers of one connection.
pub(super) struct Timers {
    heard: Instant,
    heard_anything: bool,
    first_byte: Option<Duration>,
    idle: Option<Duration>,
    keepalive: Option<Duration>,
    authentication: Option<Instant>,
    expiry: Option<Instant>,
    /// May be armed for earlier than needed, never for later: moving it for each byte would cost more than waking once.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timers {
    pub(super) fn new(
        now: Instant,
        first_byte: Option<Duration>,
        idle: Option<Duration>,
        authentication: Option<Duration>,
    ) -> Self {
        Self {
            heard: now,
            heard_anything: false,
            first_byte,
            idle,
            keepalive: None,
            authentication: authentication.map(|limit| now + limit),
            expiry: None,
            sleep: None,
        }
    }

    /// The silence is not the device's fault, and counts from now.
    pub(super) fn put_off(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Bytes came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.heard_anything = true;
    }

    /// `StartTimer`: replaces the idle timer and any keepalive before.
    pub(super) fn start_keepalive(&mut self, now: Instant, interval: Duration) {
        self.keepalive = Some(interval.mul_f64(KEEPALIVE_FACTOR));
        self.heard = now;
    }

    pub(super) fn authenticated(&mut self, expiry: Option<Instant>) {
        self.authentication = None;
        self.expiry = expiry;
    }

    /// From now on only the socket is watched: the connection is ending.
    pub(super) fn end(&mut self) {
        self.first_byte = None;
        self.idle = None;
        self.keepalive = None;
        self.authentication = None;
        self.expiry = None;
    }

    /// The next thing to run out, and when. `stalled` is since when the socket takes nothing.
    fn next(&self, stalled: Option<Instant>, send_timeout: Duration) -> Option<(Instant, Due)> {
        let silence = match (self.keepalive, self.heard_anything) {
            (Some(limit), _) => Some((limit, Due::Keepalive)),
            (None, false) => [self.first_byte, self.idle]
                .into_iter()
                .flatten()
                .min()
                .map(|limit| (limit, Due::Silence)),
            (None, true) => self.idle.map(|limit| (limit, Due::Silence)),
        };
        [
            silence.map(|(limit, due)| (self.heard + limit, due)),
            self.authentication.map(|at| (at, Due::Authentication)),
            self.expiry.map(|at| (at, Due::Expiry)),
            stalled.map(|since| (since + send_timeout, Due::Send)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    /// Ready when something has run out.
    pub(super) fn poll_due(
        &mut self,
        stalled: Option<Instant>,
        send_timeout: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Due> {
        let Some((at, due)) = self.next(stalled, send_timeout) else {
            self.sleep = None;
            return Poll::Pending;
        };
        let at = at.into();
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if at < sleep.deadline() {
            sleep.as_mut().reset(at);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if at <= tokio::time::Instant::now() {
                return Poll::Ready(due);
            }
            sleep.as_mut().reset(at);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn next(timers: &Timers, stalled: Option<Instant>) -> Option<(Instant, Due)> {
        timers.next(stalled, 15 * SECOND)
    }

    #[test]
    fn a_silent_device_is_given_the_first_byte_timeout() {
        let start = Instant::now();
        let timers = Timers::new(start, Some(30 * SECOND), None, None);
        assert_eq!(
            next(&timers, None),
            Some((start + 30 * SECOND, Due::Silence))
        );
    }

    #[test]
    fn the_first_byte_ends_the_first_byte_timeout() {
        let start = Instant::now();
        let mut timers = Timers::new(start, Some(30 * SECOND), None, None);
        timers.heard(start);
        assert_eq!(next(&timers, None), None);
    }

    #[test]
    fn the_first_byte_timeout_put_off_is_not_the_first_byte() {
        let start = Instant::now();
        let mut timers = Timers::new(start, Some(30 * SECOND), None, None);
        timers.put_off(start + 30 * SECOND);
        assert_eq!(
            next(&timers, None),
            Some((start + 60 * SECOND, Due::Silence))
        );
    }

    #[test]
    fn a_shorter_idle_timeout_counts_from_the_start() {
        let start = Instant::now();
        let timers = Timers::new(start, Some(30 * SECOND), Some(SECOND), None);
        assert_eq!(next(&timers, None), Some((start + SECOND, Due::Silence)));
    }

    #[test]
    fn start_timer_replaces_the_idle_timer() {
        let start = Instant::now();
        let mut timers = Timers::new(start, Some(SECOND), Some(SECOND), None);
        timers.start_keepalive(start, 4 * SECOND);
        assert_eq!(
            next(&timers, None),
            Some((start + 6 * SECOND, Due::Keepalive))
        );
    }

    #[test]
    fn bytes_put_the_keepalive_off() {
        let start = Instant::now();
        let mut timers = Timers::new(start, None, None, None);
        timers.start_keepalive(start, 4 * SECOND);
        timers.heard(start + 5 * SECOND);
        assert_eq!(
            next(&timers, None),
            Some((start + 11 * SECOND, Due::Keepalive))
        );
    }

    #[test]
    fn the_earliest_wins() {
        let start = Instant::now();
        let mut timers = Timers::new(start, Some(30 * SECOND), None, Some(20 * SECOND));
        assert_eq!(next(&timers, None).unwrap().1, Due::Authentication);
        assert_eq!(next(&timers, Some(start)).unwrap().1, Due::Send);
        timers.authenticated(Some(start + SECOND));
        assert_eq!(next(&timers, None).unwrap().1, Due::Expiry);
    }

    #[test]
    fn an_ending_connection_only_watches_its_socket() {
        let start = Instant::now();
        let mut timers = Timers::new(start, Some(SECOND), Some(SECOND), Some(SECOND));
        timers.end();
        assert_eq!(next(&timers, None), None);
        assert_eq!(next(&timers, Some(start)).unwrap().1, Due::Send);
    }
}
