//! One handler address: its lanes, and its lives.
//!
//! A *life* begins when the first lane is up and ends when the handler's memory must be taken for gone: no lane is
//! left, one broke, or the endpoint was taken from the list. A lane that ends in order while another one stands (a
//! server that limits the age of its connections does that) ends no life. A new life begins with new lanes, also at
//! the same address.

/// The lanes, kept up.
mod keeper;
/// What its answers tell.
mod learned;

use std::{
    sync::{Arc, atomic::AtomicU32},
    time::Instant,
};

use http::Uri;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Method, affinity,
    condition::Condition,
    discovery::Target,
    lanes::Lanes,
    life::Life,
    settings::{Settings, Shared},
};

/// One handler address.
pub(super) struct Endpoint {
    target: Target,
    shown: String,
    origin: String,
    seed: u64,
    shared: Arc<Shared>,
    uris: [Uri; Method::ALL.len()],
    lanes: Lanes,
    state: Mutex<State>,
    /// Failures in a row.
    failures: AtomicU32,
    /// It was ejected: whoever tends it has to look again.
    told: Notify,
    /// Ends the tasks when nobody holds the endpoint any more.
    stop: CancellationToken,
}

struct State {
    life: Option<Arc<Life>>,
    standing: usize,
    /// Why no connection stands.
    trouble: Option<String>,
    /// How the life is.
    condition: Condition,
    /// It lacks what is called.
    misfit: Option<String>,
    /// Since when it is no longer found.
    left: Option<Instant>,
}

/// An endpoint that takes a connection.
pub(super) struct Offer {
    pub(super) life: Arc<Life>,
    pub(super) weight: f64,
}

impl State {
    /// The life, if it takes new connections.
    fn open(&self) -> Option<&Arc<Life>> {
        let life = self.life.as_ref()?;
        (self.condition.is_open() && self.left.is_none()).then_some(life)
    }

    fn is_at(&self, life: &Arc<Life>) -> bool {
        let current = self.life.as_ref();
        current.is_some_and(|current| Arc::ptr_eq(current, life))
    }
}

impl Endpoint {
    pub(super) fn start(target: Target, shared: &Arc<Shared>) -> Arc<Self> {
        let (shown, origin) = (target.shown(), target.origin());
        let uris = Method::ALL.map(|method| {
            let path = format!("/{}/{}", shared.settings.service, method.as_str());
            uri(&origin, &path)
        });
        let lanes = shared.settings.lanes;
        let endpoint = Arc::new(Self {
            target,
            seed: affinity::key_of(shown.as_bytes()),
            origin,
            uris,
            lanes: Lanes::new(lanes),
            state: Mutex::new(State {
                life: None,
                standing: 0,
                trouble: Some("not connected yet".to_owned()),
                condition: Condition::new(),
                misfit: None,
                left: None,
            }),
            failures: AtomicU32::new(0),
            told: Notify::new(),
            stop: CancellationToken::new(),
            shared: shared.clone(),
            shown,
        });
        for index in 0..lanes {
            let stop = endpoint.stop.clone();
            let lane = endpoint.clone().keep(index);
            tokio::spawn(async move { stop.run_until_cancelled(lane).await });
        }
        endpoint
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn address(&self) -> &str {
        &self.shown
    }

    /// What it draws its numbers with.
    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Whose it is, for logs.
    pub(super) fn whose(&self) -> &'static str {
        self.shared.whose.as_str()
    }

    /// What it shares with the others of its set.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Whether a connection to it stands.
    pub(super) fn stands(&self) -> bool {
        self.state.lock().life.is_some()
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(super) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    pub(super) fn uri(&self, method: Method) -> Uri {
        self.uris[method as usize].clone()
    }

    pub(super) fn uri_of(&self, path: &str) -> Uri {
        uri(&self.origin, path)
    }

    /// Itself, if it takes another connection.
    pub(super) fn offer(&self) -> Option<Offer> {
        if !self.takes_streams() {
            return None;
        }
        let state = self.state.lock();
        let life = state.open().filter(|life| life.has_room())?;
        Some(Offer {
            life: life.clone(),
            weight: state.condition.weight(self.settings()),
        })
    }

    /// Its life, whether it takes new connections or not.
    pub(super) fn life(&self) -> Option<Arc<Life>> {
        self.state.lock().life.clone()
    }

    /// Whether it takes new connections, be it full or not.
    pub(super) fn is_ready(&self) -> bool {
        self.takes_streams() && self.state.lock().open().is_some()
    }

    /// Not where the ordered stream is spoken, and the handler has said goodbye on all of them.
    fn takes_streams(&self) -> bool {
        self.settings().stream.is_none() || self.lanes.stream(0).is_some()
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.state.lock().condition.is_ejected()
    }

    /// Connections that are bound to it.
    pub(super) fn connections(&self) -> usize {
        let state = self.state.lock();
        state.life.as_ref().map_or(0, |life| life.connections())
    }

    /// How many calls may be under way, and how many are, while it stands.
    pub(super) fn calls(&self) -> Option<(usize, usize)> {
        let life = self.state.lock().life.clone()?;
        Some((life.gate().limit(), life.gate().under_way()))
    }

    /// Why it takes no new connections, or answers none, for a person to read.
    pub(super) fn trouble(&self) -> Option<String> {
        let state = self.state.lock();
        let left = state.left.map(|_| "it is no longer found".to_owned());
        let trouble = state.trouble.clone().or(left);
        let trouble = trouble.or_else(|| state.condition.trouble());
        let trouble = trouble.or_else(|| state.misfit.clone())?;
        Some(format!("{}: {trouble}", self.shown))
    }

    /// A place has become free, for one of those who wait: whoever waits for this set may take any of its places.
    pub(super) fn tell_of_room(&self) {
        self.shared.ready.notify_one();
    }

    /// It is no longer found: it takes no new connections. Tells when that was, unless it was so before.
    pub(super) fn leaves(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        if state.left.is_some() {
            return None;
        }
        let now = Instant::now();
        state.left = Some(now);
        tracing::info!(
            endpoint = self.shown,
            whose = self.whose(),
            "handler endpoint is no longer found; it takes no new connections"
        );
        Some(now)
    }

    /// It is found (again).
    pub(super) fn stays(&self) {
        let mut state = self.state.lock();
        if state.left.take().is_some() {
            tracing::info!(
                endpoint = self.shown,
                whose = self.whose(),
                "handler endpoint is found again"
            );
            if state.open().is_some() {
                drop(state);
                self.shared.ready.notify_waiters();
            }
        }
    }

    /// Since when it is no longer found.
    pub(super) fn left(&self) -> Option<Instant> {
        self.state.lock().left
    }

    /// It was taken from the list for good: its connections lose it.
    pub(super) fn remove(&self) {
        tracing::info!(
            endpoint = self.shown,
            whose = self.whose(),
            "handler endpoint was removed"
        );
        self.stop();
        (self.shared.on_loss)();
    }

    /// Ends the tasks and the connections.
    pub(super) fn stop(&self) {
        self.stop.cancel();
        self.end_life(&mut self.state.lock());
    }
}

fn uri(origin: &str, path: &str) -> Uri {
    let uri = format!("{origin}{path}").parse();
    uri.expect("a parsed address and a plain path make a URI")
}
