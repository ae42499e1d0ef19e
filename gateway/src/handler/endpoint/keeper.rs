//! The lanes of an endpoint, kept up; a life begins with the first and ends with the last, or with one that breaks.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;
use tokio::time;

use super::{
    super::{health, lane, life::Life},
    Endpoint, State,
};
use crate::backoff::jittered;

/// A connection that ends sooner than this counts as a failed try.
const SHORT_LIVED: Duration = Duration::from_secs(1);

impl Endpoint {
    /// Keeps one lane up until the endpoint is stopped.
    pub(super) async fn keep(self: Arc<Self>, index: usize) {
        let mut opened = None;
        let mut replaces: Option<Arc<Life>> = None;
        let mut pause = self.settings().backoff_min;
        loop {
            let lane = match opened.take() {
                Some(lane) => lane,
                None => self.connect(index).await,
            };
            let since = Instant::now();
            let life = self.up(index, &lane, replaces.take().as_ref());
            let mut ended = lane.ended;
            loop {
                tokio::select! {
                    outcome = &mut ended => {
                        self.down(&life, index, outcome);
                        break;
                    }
                    () = life.ended() => break,
                    // The new one first, so that the life goes on; the old one ends once its calls are answered.
                    () = self.lanes.due(index) => {
                        drop(self.lanes.close(index));
                        if since.elapsed() < SHORT_LIVED {
                            time::sleep(jittered(pause)).await;
                        }
                        if let Ok(lane) = self.open(index).await {
                            opened = Some(lane);
                            replaces = Some(life);
                            break;
                        }
                    }
                }
            }
            // A server that takes connections and ends them at once is not tried any faster than one that takes none.
            pause = if since.elapsed() < SHORT_LIVED {
                (pause * 2).min(self.settings().backoff_max)
            } else {
                self.settings().backoff_min
            };
            if opened.is_none() {
                time::sleep(jittered(pause)).await;
            }
        }
    }

    /// Tries until a connection stands.
    async fn connect(&self, index: usize) -> lane::Open {
        let mut pause = self.settings().backoff_min;
        loop {
            match self.open(index).await {
                Ok(lane) => return lane,
                Err(error) => self.failed(&error),
            }
            time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(self.settings().backoff_max);
        }
    }

    async fn open(&self, index: usize) -> io::Result<lane::Open> {
        lane::open(&self.target, index, &self.shared).await
    }

    /// A lane stands. It belongs to the current life, or begins one.
    fn up(
        self: &Arc<Self>,
        index: usize,
        lane: &lane::Open,
        replaces: Option<&Arc<Life>>,
    ) -> Arc<Life> {
        let mut state = self.state.lock();
        if self.stop.is_cancelled() {
            // It was taken from the list in the meantime: nothing must begin that nobody ends.
            let over = Life::new(self);
            over.end();
            return over;
        }
        self.lanes.open(index, lane);
        let goes_on = replaces.is_some_and(|old| state.is_at(old));
        if !goes_on {
            state.standing += 1;
        }
        state.trouble = None;
        if let Some(life) = &state.life {
            let life = life.clone();
            drop(state);
            // Its streams may have been about to end, all of them.
            self.shared.ready.notify_waiters();
            return life;
        }
        let life = Life::new(self);
        state.life = Some(life.clone());
        state.condition.begin(self.settings().health.enabled);
        state.misfit = None;
        self.failures.store(0, Ordering::Relaxed);
        if state.open().is_some() {
            self.opened(state);
        }
        let (stop, tended) = (self.stop.clone(), life.clone());
        tokio::spawn(async move {
            let over = tended.clone();
            tokio::select! {
                () = health::tend(tended) => {}
                () = over.ended() => {}
                () = stop.cancelled() => {}
            }
        });
        life
    }

    /// It takes connections from now on.
    pub(super) fn opened(&self, mut state: MutexGuard<'_, State>) {
        state.condition.opens();
        drop(state);
        tracing::info!(
            endpoint = self.shown,
            whose = self.whose(),
            "handler endpoint is ready"
        );
        self.shared.ready.notify_waiters();
    }

    /// A lane of `life` has ended; `outcome` is an error where it broke.
    fn down(&self, life: &Arc<Life>, index: usize, outcome: Result<(), String>) {
        let mut state = self.state.lock();
        if !state.is_at(life) {
            return;
        }
        let send = self.lanes.close(index);
        state.standing -= 1;
        let streams = self.settings().stream.is_some();
        if streams && state.standing > 0 {
            // Its connections go to another stream, and lose nothing.
            if let Err(cause) = outcome {
                tracing::warn!(
                    endpoint = self.shown,
                    whose = self.whose(),
                    cause,
                    "a stream to the handler broke"
                );
            }
            return;
        }
        let cause = match outcome {
            Err(error) => error,
            Ok(()) if streams => {
                tracing::info!(
                    endpoint = self.shown,
                    whose = self.whose(),
                    "handler endpoint has gone"
                );
                state.trouble = Some("it has gone".to_owned());
                self.end_life(&mut state);
                return;
            }
            Ok(()) if send.is_some_and(|send| !lane::was_told_to_go(send)) => {
                "a connection broke".to_owned()
            }
            Ok(()) if state.standing == 0 => "it closed its connections".to_owned(),
            Ok(()) => return,
        };
        tracing::warn!(
            endpoint = self.shown,
            whose = self.whose(),
            cause,
            "handler endpoint is lost"
        );
        state.trouble = Some(format!("lost: {cause}"));
        self.end_life(&mut state);
        drop(state);
        (self.shared.on_loss)();
    }

    pub(super) fn end_life(&self, state: &mut State) {
        state.standing = 0;
        self.lanes.close_all();
        state.condition.end();
        if let Some(life) = state.life.take() {
            life.end();
        }
    }

    /// Said once for as long as it lasts, since it is tried again and again.
    fn failed(&self, error: &io::Error) {
        let mut state = self.state.lock();
        if state.life.is_some() {
            return;
        }
        let trouble = error.to_string();
        if state.trouble.as_ref() == Some(&trouble) {
            tracing::debug!(endpoint = self.shown, whose = self.whose(), %error, "cannot connect to the handler");
        } else {
            tracing::warn!(endpoint = self.shown, whose = self.whose(), %error, "cannot connect to the handler; trying again");
        }
        state.trouble = Some(trouble);
    }
}
