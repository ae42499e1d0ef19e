//! A TCP proxy that cuts connections after so many bytes, lets them stall, or crumbles what passes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;

/// A running proxy, until dropped.
pub struct Proxy {
    address: SocketAddr,
    budget: Arc<AtomicU64>,
    cuts: Arc<AtomicUsize>,
    stalled: watch::Sender<bool>,
    swallows: Arc<AtomicBool>,
    pause: Arc<AtomicU64>,
    _running: AbortOnDropHandle<()>,
}

impl Proxy {
    /// A proxy to that address. It cuts nothing yet.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let budget = Arc::new(AtomicU64::new(u64::MAX));
        let cuts = Arc::new(AtomicUsize::new(0));
        let stalled = watch::Sender::new(false);
        let swallows = Arc::new(AtomicBool::new(false));
        let pause = Arc::new(AtomicU64::new(0));
        let carrier = Carrier {
            swallows: swallows.clone(),
            to,
            budget: budget.clone(),
            stalled: stalled.clone(),
            pause: pause.clone(),
        };
        let running = tokio::spawn(accept(listener, carrier, cuts.clone()));
        Self {
            address,
            budget,
            cuts,
            stalled,
            swallows,
            pause,
            _running: AbortOnDropHandle::new(running),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All connections are cut once so many more bytes have passed, in both directions together; new ones are served
    /// as ever.
    pub fn cut_after(&self, bytes: u64) {
        self.budget.store(bytes, Ordering::SeqCst);
    }

    /// Whether bytes wait in it from now on, in both directions, as if the network had gone without a word. Connections
    /// are taken all the same.
    pub fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// Whether what brings messages of Redis' channels is swallowed, and all else passes.
    pub fn swallow_messages(&self, swallows: bool) {
        self.swallows.store(swallows, Ordering::SeqCst);
    }

    /// From now on each piece comes in two, and each of the two after so long.
    pub fn crumble(&self, pause: Duration) {
        let pause = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.pause.store(pause, Ordering::SeqCst);
    }

    /// How often it has cut.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// What each connection needs to know.
#[derive(Clone)]
struct Carrier {
    swallows: Arc<AtomicBool>,
    to: SocketAddr,
    budget: Arc<AtomicU64>,
    stalled: watch::Sender<bool>,
    /// Before each half of a piece, in microseconds.
    pause: Arc<AtomicU64>,
}

async fn accept(listener: TcpListener, carrier: Carrier, cuts: Arc<AtomicUsize>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((from, _)) = accepted {
                    open.spawn(carrier.clone().carry(from));
                }
            }
            Some(cut) = open.join_next() => {
                if matches!(cut, Ok(true)) {
                    carrier.budget.store(u64::MAX, Ordering::SeqCst);
                    open.shutdown().await;
                    cuts.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }
}

impl Carrier {
    /// Whether it ended because the budget was used up.
    async fn carry(self, from: TcpStream) -> bool {
        let Ok(onward) = TcpStream::connect(self.to).await else {
            return false;
        };
        // What passes must not wait for what follows.
        let _ = (from.set_nodelay(true), onward.set_nodelay(true));
        let (from_read, from_write) = from.into_split();
        let (to_read, to_write) = onward.into_split();
        tokio::select! {
            cut = copy(from_read, to_write, &self) => cut,
            cut = copy(to_read, from_write, &self) => cut,
        }
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, carrier: &Carrier) -> bool {
    let budget = &*carrier.budget;
    let mut stalled = carrier.stalled.subscribe();
    let mut buffer = [0; 4096];
    loop {
        let _ = stalled.wait_for(|stalled| !stalled).await;
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return false;
        };
        let _ = stalled.wait_for(|stalled| !stalled).await;
        let brings_messages = || {
            buffer[..length]
                .windows(9)
                .any(|word| word == b"message\r\n")
        };
        if carrier.swallows.load(Ordering::SeqCst) && brings_messages() {
            continue;
        }
        let before = budget.load(Ordering::SeqCst);
        let passes = usize::try_from(before).unwrap_or(usize::MAX).min(length);
        if before != u64::MAX {
            let left = before - passes as u64;
            if budget
                .compare_exchange(before, left, Ordering::SeqCst, Ordering::SeqCst)
                .is_err()
            {
                // The other direction was faster; a cut somewhere is all that is wanted.
                budget.store(0, Ordering::SeqCst);
            }
        }
        let pause = Duration::from_micros(carrier.pause.load(Ordering::SeqCst));
        let halves = buffer[..passes].split_at(passes / 2);
        for half in [halves.0, halves.1] {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            if to.write_all(half).await.is_err() {
                return false;
            }
        }
        if passes < length {
            return true;
        }
    }
}
