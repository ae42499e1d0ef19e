//! Seeing to what is left of pods that died.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use proto::exproto::SocketClosedRequest;
use tokio::time::{sleep, timeout};

use super::{
    Counts, Settings, With,
    estate::{Estates, Standing},
};
use crate::{
    backoff::jittered,
    connection::CloseReason,
    handler::{Bound, Failure, Method, frame, key_of},
    redis, shared_sessions,
};

/// Between two tries to reach a handler.
const PAUSE: Duration = Duration::from_millis(500);
/// For how many leases other pods have their turn, where one has no room for what is left.
const PASSED: u32 = 4;
/// How often it is tried to note that a handler was told.
const TRIES: u32 = 10;

/// This pod, as it inherits.
pub(super) struct Heir {
    pub(super) estates: Estates,
    pub(super) settings: Settings,
    pub(super) with: With,
    pub(super) counts: Arc<Counts>,
    /// Lives for whose sessions there was no room here, and when that was.
    pub(super) passed: Mutex<HashMap<String, Instant>>,
}

impl Heir {
    /// Sees to one life after another, for ever.
    pub(super) async fn inherit(self) {
        let mut lives = self.with.cluster.lives();
        let link = self.with.cluster.link().state();
        let mut reached = (None, Instant::now());
        while lives.changed().await.is_ok() {
            let silent = lives.borrow_and_update().silent.clone();
            // Where Redis was away, others are silent for that alone, and need their time to be heard.
            let now = link.borrow().clone();
            if reached.0.as_ref() != Some(&now) {
                reached = (Some(now), Instant::now());
            }
            if reached.1.elapsed() < self.with.cluster.lease() {
                continue;
            }
            let own = self.with.cluster.life();
            let is_others = |life: &&String| **life != own && !self.is_passed(life);
            for life in silent.iter().filter(is_others) {
                // Then it goes on where it was, or another pod does.
                if let Err(failure) = self.see_to(life).await {
                    tracing::warn!(life, %failure, "what a dead pod has left is seen to later");
                }
            }
        }
    }

    /// Whether other pods have their turn with that life.
    fn is_passed(&self, life: &str) -> bool {
        let mut passed = self.passed.lock();
        passed.retain(|_, since| since.elapsed() < PASSED * self.with.cluster.lease());
        passed.contains_key(life)
    }

    async fn see_to(&self, life: &str) -> Result<(), redis::Failure> {
        // A name of a pod holds no slash.
        let Some((pod, _)) = life.rsplit_once('/') else {
            tracing::warn!(life, "what stands there is no life of a pod; it is removed");
            return self.estates.bury(life).await;
        };
        let address = self.address(life, pod).await?;
        match self.estates.inherit(life, self.grace(&address)).await? {
            Standing::Stranger => return Ok(()),
            Standing::HeirOfDead => {}
            Standing::Heir if self.lives(pod, address).await => {
                self.counts.answered.fetch_add(1, Relaxed);
                tracing::warn!(pod, "a pod does not reach Redis, and lives");
                return Ok(());
            }
            Standing::Heir => {
                if !self.estates.fence(life, self.settings.keep).await? {
                    return Ok(());
                }
                self.counts.inherited.fetch_add(1, Relaxed);
                tracing::warn!(
                    pod,
                    "a pod has died, or left something; this one sees to its connections and sessions"
                );
            }
        }
        self.estates.close(life, self.settings.keep).await?;
        let (told, taken_over) =
            tokio::join!(self.tell_handlers(life), self.take_over_sessions(life));
        if told? && taken_over? {
            self.estates.bury(life).await?;
        }
        Ok(())
    }

    /// Tells the handlers of all its connections. False where another pod has become the heir meanwhile.
    async fn tell_handlers(&self, life: &str) -> Result<bool, redis::Failure> {
        let hopes = Hopes::new(self.settings.patience);
        let mut cursor = 0;
        loop {
            let page = self.estates.known(life, cursor).await?;
            for conn in &page.forged {
                tracing::warn!(
                    life,
                    conn,
                    "what stands there was not written by that pod; it is passed over"
                );
                self.estates.settle(life, conn).await?;
            }
            if !self.tell(life, &page.known, &hopes).await? {
                return Ok(false);
            }
            cursor = page.next;
            if cursor == 0 {
                return Ok(true);
            }
        }
    }

    /// The sessions of its clients go on here. False where another pod has to go on with them.
    async fn take_over_sessions(&self, life: &str) -> Result<bool, redis::Failure> {
        let mut cursor = 0;
        loop {
            cursor = match self.with.sessions.inherit(life, cursor).await {
                Ok(Some(0)) => return Ok(true),
                Ok(Some(next)) => next,
                Ok(None) => {
                    tracing::warn!(
                        life,
                        "no room for more sessions of a pod that is gone (sessions.max_sessions, max_bytes); others take them, or their clients"
                    );
                    self.passed.lock().insert(life.to_owned(), Instant::now());
                    self.estates.leave(life).await?;
                    return Ok(false);
                }
                Err(shared_sessions::Error::Redis(failure)) => return Err(failure),
                Err(error) => {
                    tracing::warn!(life, %error, "sessions of a pod that is gone are taken over later");
                    return Ok(false);
                }
            };
            if self.estates.inherit(life, Duration::ZERO).await? == Standing::Stranger {
                return Ok(false);
            }
        }
    }

    /// Where the pod of that life was called last; empty where it could not be.
    async fn address(&self, life: &str, pod: &str) -> Result<String, redis::Failure> {
        let sealed = self.estates.address(life).await?;
        Ok(sealed.map_or_else(String::new, |sealed| {
            self.with.cluster.address_of(pod, sealed)
        }))
    }

    /// How much longer a pod may be silent: one that cannot be asked might live.
    fn grace(&self, address: &str) -> Duration {
        if address.is_empty() {
            2 * self.with.cluster.lease()
        } else {
            Duration::ZERO
        }
    }

    async fn lives(&self, pod: &str, address: String) -> bool {
        !address.is_empty() && self.with.peers.lives(&pod.into(), address).await
    }

    /// Tells handlers that these connections are closed. False where another pod has become the heir meanwhile.
    async fn tell(
        &self,
        life: &str,
        known: &[(String, String)],
        hopes: &Hopes,
    ) -> Result<bool, redis::Failure> {
        let most = self.settings.concurrent_calls;
        let telling = stream::iter(known).for_each_concurrent(most, |(conn, endpoint)| {
            self.see_to_connection(life, conn, endpoint, hopes)
        });
        let mut telling = pin!(telling);
        // However long that takes.
        while timeout(self.with.cluster.lease(), &mut telling)
            .await
            .is_err()
        {
            if self.estates.inherit(life, Duration::ZERO).await? == Standing::Stranger {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn see_to_connection(&self, life: &str, conn: &str, endpoint: &str, hopes: &Hopes) {
        let count = match self.reach(conn, endpoint, hopes).await {
            Ok(()) => &self.counts.told,
            Err(why) => {
                tracing::warn!(
                    conn,
                    endpoint,
                    why,
                    "a handler may not know that a connection is lost with its pod"
                );
                &self.counts.untold
            }
        };
        count.fetch_add(1, Relaxed);
        // Until then it may be told again, should this pod die as well.
        for _ in 0..TRIES {
            if self.estates.settle(life, conn).await.is_ok() {
                return;
            }
            sleep(jittered(PAUSE)).await;
        }
    }

    /// Tells the handler at that endpoint, or another one where that is not found any more; as long as there is hope.
    async fn reach(&self, conn: &str, endpoint: &str, hopes: &Hopes) -> Result<(), String> {
        let frame = frame(&SocketClosedRequest {
            conn: conn.to_owned(),
            reason: CloseReason::PodLost.as_str().to_owned(),
        });
        let key = key_of(conn.as_bytes());
        loop {
            let why = match self.with.handlers.bind_at(endpoint, key) {
                None => "no handler is ready there".to_owned(),
                Some(bound) => match self.call(bound, key, frame.clone()).await {
                    Ok(()) => {
                        hopes.renew(endpoint);
                        return Ok(());
                    }
                    // It has heard of it, or may have.
                    Err(failure @ (Failure::Refused(_) | Failure::TimedOut(_))) => {
                        return Err(failure.to_string());
                    }
                    Err(failure) => failure.to_string(),
                },
            };
            if hopes.is_over(endpoint) {
                return Err(why);
            }
            sleep(jittered(PAUSE)).await;
        }
    }

    async fn call(&self, mut bound: Bound, key: u64, frame: Bytes) -> Result<(), Failure> {
        let headers = self.settings.headers.clone();
        bound
            .call(key, Method::OnSocketClosed, headers, frame)
            .await?;
        bound.finish().await
    }
}

/// That handlers can be reached: each for a while after it was.
struct Hopes {
    renewed: Mutex<HashMap<String, Instant>>,
    patience: Duration,
}

impl Hopes {
    fn new(patience: Duration) -> Self {
        Self {
            renewed: Mutex::default(),
            patience,
        }
    }

    fn renew(&self, endpoint: &str) {
        let mut renewed = self.renewed.lock();
        renewed.insert(endpoint.to_owned(), Instant::now());
    }

    fn is_over(&self, endpoint: &str) -> bool {
        let mut renewed = self.renewed.lock();
        let since = renewed
            .entry(endpoint.to_owned())
            .or_insert_with(Instant::now);
        since.elapsed() >= self.patience
    }
}
