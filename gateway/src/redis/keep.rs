//! Keeps the two connections of a node up: connects, has them looked at, and again after a pause when they end.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::{
    Problem, access::Address, checks::Trial, commands::commands, node::Node, shared::Shared,
    subscriptions::Subscriptions,
};
use crate::{backoff::jittered, metrics::RedisConnection};

/// Starts both tasks of a node.
pub(super) fn keep(shared: &Arc<Shared>, node: &Arc<Node>) {
    for which in [RedisConnection::Commands, RedisConnection::Subscriptions] {
        let keeper = Keeper {
            shared: shared.clone(),
            node: node.clone(),
            which,
            since: Mutex::default(),
        };
        tokio::spawn(keeper.run());
    }
}

struct Keeper {
    shared: Arc<Shared>,
    node: Arc<Node>,
    which: RedisConnection,
    /// Since when the connection stands, or when the last one began.
    since: Mutex<Option<Instant>>,
}

impl Keeper {
    async fn run(self) {
        let left = self.node.left.clone();
        tokio::select! {
            biased;
            () = left.cancelled() => {}
            () = self.keep() => {}
        }
        // Whoever waits for an answer of it learns that none comes.
        self.down();
    }

    async fn keep(&self) {
        let (min, max) = self.shared.backoff;
        let mut pause = min;
        loop {
            let (address, problem) = self.once().await;
            let stood = self.down();
            // Who is cut off again and again is no better off than who is not let in.
            let since = self.since.lock().take();
            if since.is_some_and(|since| since.elapsed() >= max) {
                pause = min;
            }
            self.failed(problem);
            if stood {
                let lost = self.shared.owned(&self.node);
                self.shared.queue.gap(&lost);
            }
            self.shared.report();
            self.shared.refresh.notify_one();
            tokio::select! {
                () = sleep(jittered(pause)) => {}
                // There is somebody else to try.
                () = self.node.moved_from(&address) => sleep(jittered(min)).await,
            }
            pause = (pause * 2).min(max);
        }
    }

    /// One connection from its beginning to its end: to whom, and why it ended.
    async fn once(&self) -> (Address, Problem) {
        if self.which == RedisConnection::Subscriptions {
            // Who is not let in by the checks of the other one shall not listen, either.
            let mut up = self.node.up.subscribe();
            let mut identified = self.shared.identified.subscribe();
            let _ = identified.wait_for(|&identified| identified).await;
            let _ = up.wait_for(|&up| up).await;
        }
        let address = self.node.address().await;
        let ended = |what: &str| Problem::Ended {
            address: address.text(),
            what: what.into(),
        };
        let mut again = self.node.again.subscribe();
        let problem = tokio::select! {
            problem = self.at(&address) => problem,
            Ok(()) = again.changed() => ended("it is made anew"),
            () = self.node.moved_from(&address) => ended("another server is the master now"),
        };
        (address, problem)
    }

    async fn at(&self, address: &Address) -> Problem {
        let shared = &self.shared;
        let (mut wire, greeting) = match shared.access.open(address).await {
            Ok(opened) => opened,
            Err(problem) => return problem,
        };
        let mut trial = Trial {
            wire: &mut wire,
            address,
            access: &shared.access,
            names: &shared.names,
            mode: shared.mode,
            database: shared.database,
            identified: &shared.identified,
        };
        if self.which == RedisConnection::Subscriptions {
            if let Err(problem) = trial.kind(&greeting) {
                return problem;
            }
            let session = shared.new_session();
            self.node.session.store(session, Relaxed);
            self.up(address, &greeting.version);
            let mut subscriptions = Subscriptions::new(shared, &self.node, session, wire);
            return subscriptions.run().await.problem(address.text());
        }
        let passed = timeout(shared.timeout + shared.patience, trial.pass(&greeting)).await;
        let silent = || Problem::Ended {
            address: address.text(),
            what: "it says nothing any more".into(),
        };
        if let Err(problem) = passed.unwrap_or_else(|_| Err(silent())) {
            return problem;
        }
        let (commands, mut driver) = commands(wire, shared.max_in_flight, shared.patience);
        self.node.commands.store(Some(Arc::new(commands)));
        self.up(address, &greeting.version);
        self.node.up.send_replace(true);
        shared.report();
        driver.run().await.problem(address.text())
    }

    fn up(&self, address: &Address, version: &str) {
        self.node.problems.lock()[self.which as usize] = None;
        *self.since.lock() = Some(Instant::now());
        self.shared.metrics.connection(self.which);
        tracing::info!(redis = %address, version, "connected to Redis for {}", self.which.as_str());
    }

    /// Whether subscriptions have ended that stood.
    fn down(&self) -> bool {
        match self.which {
            RedisConnection::Commands => {
                self.node.up.send_replace(false);
                self.node.commands.store(None);
                false
            }
            RedisConnection::Subscriptions => {
                self.node.session.store(0, Relaxed);
                self.node.standing.swap(false, Relaxed)
            }
        }
    }

    /// A problem is said once, however often it is met.
    fn failed(&self, problem: Problem) {
        let mut problems = self.node.problems.lock();
        let what = self.which.as_str();
        if problems.contains(&Some(problem.clone())) {
            tracing::debug!(%problem, "no connection to Redis for {what}");
        } else if problem.is_lasting() {
            tracing::error!(%problem, "no connection to Redis for {what}; this needs a change by somebody");
        } else {
            tracing::warn!(%problem, "no connection to Redis for {what}");
        }
        problems[self.which as usize] = Some(problem);
    }
}
