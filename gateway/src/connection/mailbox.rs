//! Commands on their way to a connection's task: a small bounded queue that costs next to nothing while it is empty.
//!
//! When it is full, whoever brings a command waits; the callers of one connection are bounded by `max_waiting_calls`.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, TryAcquireError};

use super::handle::Command;

/// Commands that wait for the task. Each is done at once, so more would only hide trouble.
const PLACES: usize = 8;

/// The queue. The connection's own waker tells its task of what comes.
pub(super) struct Mailbox {
    state: Mutex<State>,
    places: Semaphore,
    closing: Notify,
}

#[derive(Default)]
struct State {
    commands: VecDeque<Box<Command>>,
    closed: bool,
}

/// Why a command was not taken.
pub(super) enum Refused {
    /// There is no place now.
    Full(Box<Command>),
    /// Nothing is taken any more.
    Closed,
}

impl Mailbox {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            places: Semaphore::new(PLACES),
            closing: Notify::new(),
        }
    }

    /// Puts a command in, if there is a place.
    pub(super) fn try_send(&self, command: Box<Command>) -> Result<(), Refused> {
        match self.places.try_acquire() {
            Ok(place) => {
                place.forget();
                self.push(command)
            }
            Err(TryAcquireError::NoPermits) => Err(Refused::Full(command)),
            Err(TryAcquireError::Closed) => Err(Refused::Closed),
        }
    }

    /// Waits for a place, and puts a command in.
    pub(super) async fn send(&self, command: Box<Command>) -> Result<(), Refused> {
        let place = self.places.acquire().await.map_err(|_| Refused::Closed)?;
        place.forget();
        self.push(command)
    }

    fn push(&self, command: Box<Command>) -> Result<(), Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        state.commands.push_back(command);
        Ok(())
    }

    /// The oldest command.
    pub(super) fn pop(&self) -> Option<Box<Command>> {
        let command = self.state.lock().commands.pop_front()?;
        self.places.add_permits(1);
        Some(command)
    }

    /// From here on nothing is taken; what is in here can still be popped.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
    }

    /// Tells everybody that it is closed: what the connection had has been handed over.
    pub(super) fn seal(&self) {
        self.places.close();
        self.closing.notify_waiters();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.places.is_closed()
    }

    /// Waits until nothing is taken any more, and everybody may know.
    pub(super) async fn closed(&self) {
        let closing = self.closing.notified();
        if !self.is_closed() {
            closing.await;
        }
    }
}
