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
    /// A rate lets something through again.
    Flow,
    /// The handler owes an acknowledgement for too long.
    Handler,
}

/// How long a connection may wait for what, as the configuration has it now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// For its first byte.
    pub first_byte: Option<Duration>,
    /// For its next byte.
    pub idle: Option<Duration>,
    /// For Authenticate.
    pub authentication: Option<Duration>,
    /// For the socket to take something.
    pub send: Duration,
}

/// What else is waited for, apart from the device and the handler.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits {
    /// Since when the socket takes nothing.
    pub(super) stalled: Option<Instant>,
    /// When a rate lets something through again.
    pub(super) flow: Option<Instant>,
    /// Until when the handler may acknowledge something.
    pub(super) handler: Option<Instant>,
}

/// The timers of one connection.
pub(super) struct Timers {
    opened: Instant,
    heard: Instant,
    heard_anything: bool,
    authenticated: bool,
    /// Only the socket is watched: the connection is ending.
    ending: bool,
    keepalive: Option<Duration>,
    expiry: Option<Instant>,
    /// May be armed for earlier than needed, never for later: moving it for each byte would cost more than waking once.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timers {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            opened: now,
            heard: now,
            heard_anything: false,
            authenticated: false,
            ending: false,
            keepalive: None,
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
        self.authenticated = true;
        self.expiry = expiry;
    }

    /// From now on only the socket is watched: the connection is ending.
    pub(super) fn end(&mut self) {
        self.ending = true;
    }

    /// The next thing to run out, and when.
    fn next(&self, patience: &Patience, waits: Waits) -> Option<(Instant, Due)> {
        let socket = [
            waits
                .stalled
                .map(|since| (since + patience.send, Due::Send)),
            waits.flow.map(|at| (at, Due::Flow)),
            waits.handler.map(|at| (at, Due::Handler)),
        ];
        let device = if self.ending {
            [None; 3]
        } else {
            [
                self.silence(patience),
                patience
                    .authentication
                    .filter(|_| !self.authenticated)
                    .map(|limit| (self.opened + limit, Due::Authentication)),
                self.expiry.map(|at| (at, Due::Expiry)),
            ]
        };
        let all = socket.into_iter().chain(device).flatten();
        all.min_by_key(|(at, _)| *at)
    }

    fn silence(&self, patience: &Patience) -> Option<(Instant, Due)> {
        let (limit, due) = match self.keepalive {
            Some(limit) => (Some(limit), Due::Keepalive),
            None if self.heard_anything => (patience.idle, Due::Silence),
            None => {
                let limits = [patience.first_byte, patience.idle];
                (limits.into_iter().flatten().min(), Due::Silence)
            }
        };
        limit.map(|limit| (self.heard + limit, due))
    }

    /// Ready when something has run out.
    pub(super) fn poll_due(
        &mut self,
        patience: &Patience,
        waits: Waits,
        cx: &mut Context<'_>,
    ) -> Poll<Due> {
        let Some((at, due)) = self.next(patience, waits) else {
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

    fn patience(first_byte: Option<u32>, idle: Option<u32>) -> Patience {
        Patience {
            first_byte: first_byte.map(|count| count * SECOND),
            idle: idle.map(|count| count * SECOND),
            authentication: None,
            send: 15 * SECOND,
        }
    }

    fn next(timers: &Timers, patience: &Patience) -> Option<(Instant, Due)> {
        timers.next(patience, Waits::default())
    }

    #[test]
    fn a_silent_device_is_given_the_first_byte_timeout() {
        let start = Instant::now();
        let timers = Timers::new(start);
        assert_eq!(
            next(&timers, &patience(Some(30), None)),
            Some((start + 30 * SECOND, Due::Silence))
        );
    }

    #[test]
    fn the_first_byte_ends_the_first_byte_timeout() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        timers.heard(start);
        assert_eq!(next(&timers, &patience(Some(30), None)), None);
    }

    #[test]
    fn the_first_byte_timeout_put_off_is_not_the_first_byte() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        timers.put_off(start + 30 * SECOND);
        assert_eq!(
            next(&timers, &patience(Some(30), None)),
            Some((start + 60 * SECOND, Due::Silence))
        );
    }

    #[test]
    fn a_shorter_idle_timeout_counts_from_the_start() {
        let start = Instant::now();
        let timers = Timers::new(start);
        assert_eq!(
            next(&timers, &patience(Some(30), Some(1))),
            Some((start + SECOND, Due::Silence))
        );
    }

    #[test]
    fn a_time_that_was_changed_counts_from_the_same_start() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        timers.heard(start);
        assert_eq!(next(&timers, &patience(None, None)), None);
        assert_eq!(
            next(&timers, &patience(None, Some(9))),
            Some((start + 9 * SECOND, Due::Silence))
        );
    }

    #[test]
    fn start_timer_replaces_the_idle_timer() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        timers.start_keepalive(start, 4 * SECOND);
        assert_eq!(
            next(&timers, &patience(Some(1), Some(1))),
            Some((start + 6 * SECOND, Due::Keepalive))
        );
    }

    #[test]
    fn bytes_put_the_keepalive_off() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        timers.start_keepalive(start, 4 * SECOND);
        timers.heard(start + 5 * SECOND);
        assert_eq!(
            next(&timers, &patience(None, None)),
            Some((start + 11 * SECOND, Due::Keepalive))
        );
    }

    #[test]
    fn the_earliest_wins() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let patience = Patience {
            authentication: Some(20 * SECOND),
            ..patience(Some(30), None)
        };
        let stalled = Waits {
            stalled: Some(start),
            ..Waits::default()
        };
        let paused = Waits {
            flow: Some(start + SECOND),
            ..stalled
        };
        assert_eq!(next(&timers, &patience).unwrap().1, Due::Authentication);
        assert_eq!(timers.next(&patience, stalled).unwrap().1, Due::Send);
        assert_eq!(timers.next(&patience, paused).unwrap().1, Due::Flow);
        timers.authenticated(Some(start + SECOND));
        assert_eq!(next(&timers, &patience).unwrap().1, Due::Expiry);
    }

    #[test]
    fn an_ending_connection_only_watches_its_socket() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        timers.end();
        let patience = patience(Some(1), Some(1));
        let stalled = Waits {
            stalled: Some(start),
            ..Waits::default()
        };
        assert_eq!(next(&timers, &patience), None);
        assert_eq!(timers.next(&patience, stalled).unwrap().1, Due::Send);
    }
}
