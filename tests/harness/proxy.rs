//! A TCP proxy that cuts connections after so many bytes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// A running proxy, until dropped.
pub struct Proxy {
    address: SocketAddr,
    budget: Arc<AtomicU64>,
    cuts: Arc<AtomicUsize>,
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
        let running = tokio::spawn(accept(listener, to, budget.clone(), cuts.clone()));
        Self {
            address,
            budget,
            cuts,
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

    /// How often it has cut.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }
}

async fn accept(
    listener: TcpListener,
    to: SocketAddr,
    budget: Arc<AtomicU64>,
    cuts: Arc<AtomicUsize>,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((from, _)) = accepted {
                    open.spawn(carry(from, to, budget.clone()));
                }
            }
            Some(cut) = open.join_next() => {
                if matches!(cut, Ok(true)) {
                    budget.store(u64::MAX, Ordering::SeqCst);
                    open.shutdown().await;
                    cuts.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }
}

/// Whether it ended because the budget was used up.
async fn carry(from: TcpStream, to: SocketAddr, budget: Arc<AtomicU64>) -> bool {
    let Ok(onward) = TcpStream::connect(to).await else {
        return false;
    };
    // What passes must not wait for what follows.
    let _ = (from.set_nodelay(true), onward.set_nodelay(true));
    let (from_read, from_write) = from.into_split();
    let (to_read, to_write) = onward.into_split();
    tokio::select! {
        cut = copy(from_read, to_write, &budget) => cut,
        cut = copy(to_read, from_write, &budget) => cut,
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, budget: &AtomicU64) -> bool {
    let mut buffer = [0; 4096];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return false;
        };
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
        if to.write_all(&buffer[..passes]).await.is_err() {
            return false;
        }
        if passes < length {
            return true;
        }
    }
}
