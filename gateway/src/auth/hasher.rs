//! Threads that hash passwords and check signatures: few, with low priority, so that connections that are served do not
//! feel it.
//!
//! Both wait in a queue of `max_waiting_passwords` places; when it is full, whoever comes is told that it is busy.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout};

use super::hash::Hash;

/// How much lower their priority is; the system gives them about a tenth of what a worker gets where both want it.
const NICE: i32 = 10;

/// How long a job waits for its turn and its end. No handler waits longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Something to compute.
type Job = Box<dyn FnOnce() + Send>;

/// The threads. Clones are the same; they end when the last one is dropped.
#[derive(Clone)]
pub(super) struct Hasher(SyncSender<Job>);

/// Too many wait already, or this one has waited for too long.
#[derive(Debug, thiserror::Error)]
#[error("too many passwords and tokens wait to be checked (authentication.max_waiting_passwords)")]
pub(super) struct Busy;

impl Hasher {
    pub(super) fn start(config: &config::Authentication) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads = config
            .hashing_threads
            .map_or((cores / 2).max(1), |threads| threads.0 as usize);
        let (sender, jobs) = sync_channel(config.max_waiting_passwords as usize);
        let jobs = Arc::new(Mutex::new(jobs));
        for number in 0..threads {
            let jobs = jobs.clone();
            thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || work(&jobs))?;
        }
        Ok(Self(sender))
    }

    /// Whether the hash, which parses, is that of the password.
    pub(super) async fn verify(&self, hash: &str, password: &str) -> Result<bool, Busy> {
        let (hash, password) = (hash.to_owned(), password.to_owned());
        let is_right = move || Hash::parse(&hash).is_ok_and(|hash| hash.is_of(password.as_bytes()));
        self.run(is_right).await
    }

    /// Computes something when it is its turn.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move || {
            // Whoever asked may have gone while it waited.
            if !answer.is_closed() {
                let _ = answer.send(compute());
            }
        });
        self.0.try_send(job).map_err(|error: TrySendError<Job>| {
            drop(error);
            Busy
        })?;
        match timeout(PATIENCE, answered).await {
            Ok(Ok(computed)) => Ok(computed),
            _ => Err(Busy),
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    // Of this thread alone, on Linux.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the threads that hash keep their priority");
    }
    loop {
        // One waits for the next job, the others for their turn to wait.
        let job = jobs.lock().recv();
        match job {
            // What went wrong with one hash is no reason to lose the thread; whoever asked is told that it is busy.
            Ok(job) => drop(catch_unwind(AssertUnwindSafe(job))),
            Err(_) => return,
        }
    }
}
