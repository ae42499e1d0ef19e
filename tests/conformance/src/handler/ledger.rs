//! What the handler has done to each connection, as the played gateway keeps it.

use std::collections::{BTreeMap, HashMap};

use proto::exproto::{Message, ResultCode};

use crate::board::Board;

/// All connections of a run, and waiting for what becomes of them.
pub type Ledger = Board<State>;

/// What has happened so far.
#[derive(Default)]
pub struct State {
    /// By `conn`.
    pub connections: HashMap<String, Entry>,
    /// Calls that are wrong by themselves: what is wrong, and how often.
    pub bad_calls: BTreeMap<String, usize>,
    /// Calls of Publish, Subscribe, Unsubscribe by nobody: which, and how often.
    pub early_calls: BTreeMap<String, usize>,
    /// Adapter calls in all.
    pub calls: usize,
}

/// One connection.
#[derive(Default)]
pub struct Entry {
    /// All that the handler sent to the device.
    pub sent: Vec<u8>,
    /// Who it is.
    pub clientid: Option<String>,
    /// The handler has started the timer.
    pub has_timer: bool,
    /// Filters, with the QoS that was asked for.
    pub subscriptions: BTreeMap<String, u32>,
    /// Messages that wait for OnReceivedMessages.
    pub pending: Vec<Message>,
    /// The handler has called Close.
    pub close_asked: bool,
    /// Whether its calls are served.
    pub life: Life,
    /// What became of a callback that no check waits for: OnSocketClosed after Close, OnReceivedMessages after Publish.
    pub failure: Option<String>,
    /// Methods that were called for it after that.
    pub late_calls: Vec<&'static str>,
    /// Send is not answered: the device takes nothing.
    pub held: bool,
    /// So many calls of Send wait for it.
    pub waiting: usize,
    /// Send is answered with this.
    pub refused: Option<ResultCode>,
}

/// How far the end of a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// Calls are served.
    #[default]
    Alive,
    /// No call is served any more.
    Gone,
    /// OnSocketClosed was called, and is over.
    Told,
}

impl Entry {
    /// Serves no call any more.
    pub fn leave(&mut self) {
        if self.life == Life::Alive {
            self.life = Life::Gone;
        }
    }

    /// Whether no call is served any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.life != Life::Alive
    }
}

impl Ledger {
    /// Changes the entry of a connection, which is made where there is none.
    pub fn entry<T>(&self, conn: &str, change: impl FnOnce(&mut Entry) -> T) -> T {
        self.write(|state| change(state.connections.entry(conn.to_owned()).or_default()))
    }
}

impl State {
    /// Notes a call that is wrong by itself.
    pub fn bad_call(&mut self, what: String) {
        *self.bad_calls.entry(what).or_default() += 1;
    }
}

/// Faults and how often each was seen, as one line.
#[must_use]
pub fn listed(faults: &BTreeMap<String, usize>) -> String {
    let each = faults
        .iter()
        .map(|(what, count)| format!("{what} ({count} times)"));
    each.collect::<Vec<_>>().join("; ")
}
