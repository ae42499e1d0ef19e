//! What an endpoint's answers tell of it, and what follows from that.

use std::sync::{Arc, atomic::Ordering};

use tokio::time;
use tonic::Code;

use super::{
    super::{Method, health::Heard, lane::Failure, life::Life, misfit, settings::Shared},
    Endpoint, State,
};

impl Endpoint {
    /// A callback was made: a canary is judged by that, as long as it is one.
    pub(in crate::handler) fn judge(&self, has_failed: bool) {
        if let Some(trial) = &self.shared.trial
            && self.left().is_none()
        {
            trial.made(has_failed);
        }
    }

    /// What became of a callback tells how the endpoint is. (Whether a canary is judged by it says the caller.)
    pub(in crate::handler) fn learn(
        &self,
        life: &Arc<Life>,
        method: Method,
        outcome: &Result<(), Failure>,
    ) {
        let why = match outcome {
            Err(Failure::Unreached { .. }) => return,
            Err(Failure::TimedOut(limit)) => {
                format!("{} was not answered within {limit:?}", method.as_str())
            }
            Err(Failure::Lost(why)) => why.clone(),
            Err(Failure::Refused(status)) if status.code() == Code::Unimplemented => {
                misfit::tell(life, method);
                format!("{} was answered UNIMPLEMENTED", method.as_str())
            }
            // It is there; what it thinks of the call is a matter between it and the device.
            Ok(()) | Err(Failure::Refused(_)) => {
                if self.failures.load(Ordering::Relaxed) != 0 {
                    self.failures.store(0, Ordering::Relaxed);
                }
                return;
            }
        };
        let failures = self.failures.fetch_add(1, Ordering::AcqRel) + 1;
        if failures >= self.settings().ejection.after.get() {
            let mut state = self.state.lock();
            if state.is_at(life) && !state.condition.is_ejected() {
                self.eject(
                    &mut state,
                    &why,
                    failures == self.settings().ejection.after.get(),
                );
            }
        }
    }

    /// What it told of itself.
    pub(in crate::handler) fn heard(&self, life: &Arc<Life>, heard: Heard) {
        let mut state = self.state.lock();
        if !state.is_at(life) {
            return;
        }
        let was_open = state.open().is_some();
        match heard {
            Heard::Well => {
                // A question about its health does not make up for callbacks that it leaves unanswered.
                if state.condition.is_well() {
                    // It begins anew.
                    self.failures.store(0, Ordering::Relaxed);
                }
            }
            Heard::NotServing(said) => {
                if state.condition.is_not_serving(said.clone()) {
                    tracing::warn!(
                        endpoint = self.shown,
                        whose = self.whose(),
                        said,
                        "handler endpoint takes no new connections"
                    );
                }
            }
            Heard::Failed(why) => self.failed_to_tell(&mut state, &why),
        }
        if !was_open && state.open().is_some() {
            self.opened(state);
        }
    }

    /// It was asked how it is, and did not say.
    fn failed_to_tell(&self, state: &mut State, why: &str) {
        let (failures, is_new) = state.condition.is_silent();
        let most = self.settings().ejection.after.get();
        // One whose time is over comes back when it answers.
        let is_due = is_new || failures >= most || state.condition.is_ejected();
        if is_due && !state.condition.is_still_ejected() {
            self.eject(state, why, is_new || failures == most);
        }
        if is_new {
            // Where it may not be ejected it has to do.
            let _ = state.condition.is_well();
        }
    }

    /// It gets no new connections for a time, unless too many get none already, which is said the `first` time.
    fn eject(&self, state: &mut State, why: &str, first: bool) {
        let Shared { bench, stats, .. } = &*self.shared;
        let ejected = state
            .condition
            .eject(bench, why.to_owned(), &self.settings().ejection);
        if let Some(lasts) = ejected {
            self.failures.store(0, Ordering::Relaxed);
            stats.ejections.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                endpoint = self.shown,
                whose = self.whose(),
                why,
                ?lasts,
                "handler endpoint is ejected"
            );
            self.told.notify_one();
        } else if first {
            tracing::warn!(
                endpoint = self.shown,
                whose = self.whose(),
                why,
                "the handler fails, and is not ejected: no more may be (handler.ejection.max_share)"
            );
        }
    }

    /// When its ejection ends, if it is ejected in this life.
    pub(in crate::handler) fn ejected_until(&self, life: &Arc<Life>) -> Option<time::Instant> {
        let state = self.state.lock();
        let until = state.condition.ejected_until();
        until.filter(|_| state.is_at(life))
    }

    /// Waits until there is something to look at.
    pub(in crate::handler) async fn told(&self) {
        self.told.notified().await;
    }

    /// It lacks what is called; for a person to read.
    pub(in crate::handler) fn misfit(&self, life: &Arc<Life>, what: String) {
        let mut state = self.state.lock();
        if state.is_at(life) {
            state.misfit = Some(what);
        }
    }
}
