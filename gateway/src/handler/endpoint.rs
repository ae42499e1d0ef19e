//! One handler address: its lanes, and its lives.
//!
//! A *life* begins when the first lane is up and ends when the handler's memory must be taken for gone: no lane is
//! left, or one broke. A lane that ends in order while another one stands (a server that limits the age of its
//! connections does that) ends no life. A new life begins with new lanes, also at the same address.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use config::HandlerAddress;
use futures_util::FutureExt as _;
use h2::client::SendRequest;
use http::{HeaderMap, Uri};
use parking_lot::{Mutex, RwLock};
use tokio::{sync::Notify, time};
use tokio_util::sync::CancellationToken;

use super::{
    Method,
    lane::{self, Failure},
};
use crate::backoff::jittered;

/// HTTP/2 has 2^30 calls in a connection. Lanes are replaced long before, and not all at the same time.
const CALLS_OF_A_LANE: u64 = 1 << 28;

/// A connection that ends sooner than this counts as a failed try.
const SHORT_LIVED: Duration = Duration::from_secs(1);

/// How endpoints are connected to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The service whose methods are called.
    pub service: &'static str,
    /// HTTP/2 connections to each address.
    pub lanes: usize,
    /// A connection that is not up by then is given up.
    pub connect_timeout: Duration,
    /// A call that is not answered by then is given up.
    pub deadline: Duration,
    /// The pause before the first new try to connect; it doubles up to `backoff_max`.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
}

/// One handler address.
pub(super) struct Endpoint {
    address: HandlerAddress,
    shown: String,
    settings: Settings,
    uris: [Uri; Method::ALL.len()],
    lanes: Box<[Slot]>,
    state: Mutex<State>,
    ready: Arc<Notify>,
    on_loss: Arc<dyn Fn() + Send + Sync>,
    /// Ends the tasks when nobody holds the endpoint any more.
    stop: CancellationToken,
}

/// The place of a lane.
#[derive(Default)]
struct Slot {
    /// Set while the lane takes calls.
    send: RwLock<Option<SendRequest<Bytes>>>,
    /// Calls made on it.
    calls: AtomicU64,
    /// Which connection this is; each new one counts up.
    number: AtomicU64,
    /// The lane takes no more calls, or soon will not, and is to be replaced.
    due: Notify,
}

/// A lane that takes a call.
struct Pick {
    index: usize,
    number: u64,
    send: SendRequest<Bytes>,
}

#[derive(Default)]
struct State {
    life: Option<Arc<Life>>,
    standing: usize,
    trouble: Option<String>,
}

/// An endpoint from its first connection until it is lost. What was bound to a lost life must go elsewhere.
pub struct Life {
    endpoint: Arc<Endpoint>,
    lost: AtomicBool,
    over: CancellationToken,
}

impl Life {
    /// Whether the handler that this life stands for is gone, with its memory.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// The address, for logs.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.endpoint.shown
    }

    /// One attempt at one callback. `headers` go along; `key` picks the lane.
    pub async fn call(
        &self,
        key: u64,
        method: Method,
        headers: HeaderMap,
        frame: Bytes,
    ) -> Result<(), Failure> {
        let endpoint = &self.endpoint;
        let lane = endpoint.lane(key).filter(|_| !self.is_lost());
        let Some(Pick {
            index,
            number,
            send,
        }) = lane
        else {
            return Err(Failure::Unreached {
                cause: "no connection stands".to_owned(),
                closing: false,
            });
        };
        let uri = endpoint.uris[method as usize].clone();
        let deadline = endpoint.settings.deadline;
        let outcome = time::timeout(deadline, lane::call(send, uri, headers, frame))
            .await
            .unwrap_or(Err(Failure::TimedOut(deadline)));
        if matches!(outcome, Err(Failure::Unreached { closing: true, .. })) {
            endpoint.replace(index, number);
        }
        outcome
    }
}

impl Endpoint {
    pub(super) fn start(
        address: &HandlerAddress,
        settings: &Settings,
        ready: Arc<Notify>,
        on_loss: Arc<dyn Fn() + Send + Sync>,
    ) -> Arc<Self> {
        let shown = address.to_string();
        let uris = Method::ALL.map(|method| {
            let uri = format!("{shown}/{}/{}", settings.service, method.as_str());
            uri.parse().expect("a parsed address makes a URI")
        });
        let endpoint = Arc::new(Self {
            address: address.clone(),
            uris,
            lanes: (0..settings.lanes).map(|_| Slot::default()).collect(),
            state: Mutex::new(State {
                trouble: Some(format!("{shown}: not connected yet")),
                ..State::default()
            }),
            ready,
            on_loss,
            stop: CancellationToken::new(),
            shown,
            settings: settings.clone(),
        });
        for index in 0..settings.lanes {
            let stop = endpoint.stop.clone();
            let lane = endpoint.clone().keep(index);
            tokio::spawn(async move { stop.run_until_cancelled(lane).await });
        }
        endpoint
    }

    pub(super) fn address(&self) -> &str {
        &self.shown
    }

    pub(super) fn life(&self) -> Option<Arc<Life>> {
        self.state.lock().life.clone()
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.state.lock().trouble.clone()
    }

    /// The lane of `key`, or the next one that stands.
    fn lane(&self, key: u64) -> Option<Pick> {
        let count = self.lanes.len();
        let first = usize::try_from(key % count as u64).unwrap_or_default();
        let pick = (first..first + count).find_map(|index| {
            let index = index % count;
            let send = self.lanes[index].send.read().clone()?;
            let number = self.lanes[index].number.load(Ordering::Acquire);
            Some(Pick {
                index,
                number,
                send,
            })
        })?;
        let calls = self.lanes[pick.index].calls.fetch_add(1, Ordering::Relaxed);
        if calls == CALLS_OF_A_LANE + (CALLS_OF_A_LANE / count as u64) * pick.index as u64 {
            self.replace(pick.index, pick.number);
        }
        Some(pick)
    }

    /// The lane takes no more calls, unless it has been replaced already.
    fn replace(&self, index: usize, number: u64) {
        let slot = &self.lanes[index];
        if slot.number.load(Ordering::Acquire) == number {
            slot.due.notify_one();
        }
    }

    /// Keeps one lane up until the endpoint is stopped.
    async fn keep(self: Arc<Self>, index: usize) {
        let mut opened = None;
        let mut replaces: Option<Arc<Life>> = None;
        let mut pause = self.settings.backoff_min;
        loop {
            let lane = match opened.take() {
                Some(lane) => lane,
                None => self.connect().await,
            };
            let since = Instant::now();
            let life = self.up(index, lane.send, replaces.take().as_ref());
            let mut ended = lane.ended;
            loop {
                tokio::select! {
                    outcome = &mut ended => {
                        self.down(&life, index, outcome.unwrap_or(Ok(())));
                        break;
                    }
                    () = life.over.cancelled() => break,
                    // The new one first, so that the life goes on; the old one ends once its calls are answered.
                    () = self.lanes[index].due.notified() => {
                        *self.lanes[index].send.write() = None;
                        if since.elapsed() < SHORT_LIVED {
                            time::sleep(jittered(pause)).await;
                        }
                        if let Ok(lane) = self.open().await {
                            opened = Some(lane);
                            replaces = Some(life);
                            break;
                        }
                    }
                }
            }
            // A server that takes connections and ends them at once is not tried any faster than one that takes none.
            pause = if since.elapsed() < SHORT_LIVED {
                (pause * 2).min(self.settings.backoff_max)
            } else {
                self.settings.backoff_min
            };
            if opened.is_none() {
                time::sleep(jittered(pause)).await;
            }
        }
    }

    /// Tries until a connection stands.
    async fn connect(&self) -> lane::Open {
        let mut pause = self.settings.backoff_min;
        loop {
            match self.open().await {
                Ok(lane) => return lane,
                Err(error) => self.failed(&error),
            }
            time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(self.settings.backoff_max);
        }
    }

    async fn open(&self) -> io::Result<lane::Open> {
        lane::open(&self.address, self.settings.connect_timeout).await
    }

    /// A lane stands. It belongs to the current life, or begins one.
    fn up(
        self: &Arc<Self>,
        index: usize,
        send: SendRequest<Bytes>,
        replaces: Option<&Arc<Life>>,
    ) -> Arc<Life> {
        let mut state = self.state.lock();
        let slot = &self.lanes[index];
        *slot.send.write() = Some(send);
        slot.calls.store(0, Ordering::Relaxed);
        slot.number.fetch_add(1, Ordering::AcqRel);
        // What was said of the lane before.
        let _ = slot.due.notified().now_or_never();
        let goes_on = match (replaces, &state.life) {
            (Some(old), Some(current)) => Arc::ptr_eq(old, current),
            _ => false,
        };
        if !goes_on {
            state.standing += 1;
        }
        state.trouble = None;
        if let Some(life) = &state.life {
            return life.clone();
        }
        tracing::info!(endpoint = %self.address, "handler endpoint is ready");
        let life = Arc::new(Life {
            endpoint: self.clone(),
            lost: AtomicBool::new(false),
            over: CancellationToken::new(),
        });
        state.life = Some(life.clone());
        drop(state);
        self.ready.notify_waiters();
        life
    }

    /// A lane of `life` has ended; `outcome` is an error where it broke.
    fn down(&self, life: &Arc<Life>, index: usize, outcome: Result<(), h2::Error>) {
        let mut state = self.state.lock();
        if !state
            .life
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, life))
        {
            return;
        }
        let send = self.lanes[index].send.write().take();
        state.standing -= 1;
        let cause = match outcome {
            Err(error) => error.to_string(),
            Ok(()) if send.is_some_and(|send| !lane::was_told_to_go(send)) => {
                "a connection broke".to_owned()
            }
            Ok(()) if state.standing == 0 => "it closed its connections".to_owned(),
            Ok(()) => return,
        };
        tracing::warn!(endpoint = %self.address, cause, "handler endpoint is lost");
        state.trouble = Some(format!("{}: lost: {cause}", self.address));
        self.end_life(&mut state);
        drop(state);
        (self.on_loss)();
    }

    fn end_life(&self, state: &mut State) {
        state.standing = 0;
        for lane in &self.lanes {
            *lane.send.write() = None;
        }
        if let Some(life) = state.life.take() {
            life.lost.store(true, Ordering::Release);
            life.over.cancel();
        }
    }

    /// Said once for as long as it lasts, since it is tried again and again.
    fn failed(&self, error: &io::Error) {
        let mut state = self.state.lock();
        if state.life.is_some() {
            return;
        }
        let trouble = format!("{}: {error}", self.address);
        if state.trouble.as_ref() == Some(&trouble) {
            tracing::debug!(endpoint = %self.address, %error, "cannot connect to the handler");
        } else {
            tracing::warn!(endpoint = %self.address, %error, "cannot connect to the handler; trying again");
        }
        state.trouble = Some(trouble);
    }

    /// Ends the tasks and the connections.
    pub(super) fn stop(&self) {
        self.stop.cancel();
        self.end_life(&mut self.state.lock());
    }
}
