//! Seeing to what is left of pods that died.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use proto::exproto::SocketClosedRequest;
use tokio::time::{sleep, timeout};

use super::{Counts, Settings, With, estate::Estates};
use crate::{
    backoff::jittered,
    broker::others::Pod,
    conn_id::Place,
    connection::CloseReason,
    handler::{Bound, Failure, Method, frame, key_of},
    redis,
};

/// Between two tries to reach a handler.
const PAUSE: Duration = Duration::from_millis(500);

/// This pod, as it inherits.
pub(super) struct Heir {
    pub(super) estates: Estates,
    pub(super) settings: Settings,
    pub(super) with: With,
    pub(super) counts: Arc<Counts>,
}

impl Heir {
    /// Sees to one life after another, for ever.
    pub(super) async fn inherit(self) {
        let mut lives = self.with.cluster.lives();
        while lives.changed().await.is_ok() {
            let silent = lives.borrow_and_update().silent.clone();
            let own = self.with.cluster.life();
            for life in silent.iter().filter(|life| **life != own) {
                match self.see_to(life).await {
                    Ok(()) => {}
                    // Then it goes on where it was, or another pod does.
                    Err(failure) => {
                        tracing::warn!(life, %failure, "what a dead pod has left is seen to later");
                    }
                }
            }
        }
    }

    async fn see_to(&self, life: &str) -> Result<(), redis::Failure> {
        // A name of a pod holds no slash.
        let Some((pod, _)) = life.rsplit_once('/') else {
            tracing::warn!(life, "what stands there is no life of a pod; it is removed");
            return self.estates.bury(life).await;
        };
        if !self.estates.inherit(life).await? {
            return Ok(());
        }
        if self.answers(life, &pod.into()).await? {
            self.counts.answered.fetch_add(1, Relaxed);
            tracing::warn!(pod, "a pod does not reach Redis, and lives");
            return Ok(());
        }
        if !self.estates.fence(life, self.settings.keep).await? {
            return Ok(());
        }
        tracing::warn!(
            pod,
            "a pod has died; this one tells the handlers of its connections"
        );
        self.counts.inherited.fetch_add(1, Relaxed);
        let hope = Hope::new(self.settings.patience);
        let mut cursor = 0;
        loop {
            let page = self.estates.known(life, cursor).await?;
            if !page.known.is_empty() {
                let conns: Vec<_> = page.known.iter().map(|(conn, _)| conn.as_str()).collect();
                if !self.tell(life, pod, &page.known, &hope).await? {
                    return Ok(());
                }
                self.estates.settle(life, &conns).await?;
            }
            cursor = page.next;
            if cursor == 0 {
                return self.estates.bury(life).await;
            }
        }
    }

    /// Whether the pod of that life answers.
    async fn answers(&self, life: &str, pod: &Pod) -> Result<bool, redis::Failure> {
        let Some(sealed) = self.estates.address(life).await? else {
            return Ok(false);
        };
        let address = self.with.cluster.address_of(pod, sealed);
        Ok(!address.is_empty() && self.with.peers.ping(pod, address).await.is_ok())
    }

    /// Tells handlers that these connections are closed. False where another pod has become the heir meanwhile.
    async fn tell(
        &self,
        life: &str,
        pod: &str,
        known: &[(String, String)],
        hope: &Hope,
    ) -> Result<bool, redis::Failure> {
        let most = self.settings.concurrent_calls;
        let mut telling = pin!(
            stream::iter(known).for_each_concurrent(most, |(conn, endpoint)| self
                .tell_of(pod, conn, endpoint, hope))
        );
        // However long that takes.
        while timeout(self.with.cluster.lease(), &mut telling)
            .await
            .is_err()
        {
            if !self.estates.inherit(life).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn tell_of(&self, pod: &str, conn: &str, endpoint: &str, hope: &Hope) {
        let is_its_own = match self.with.ids.locate(conn) {
            Ok(Place::Elsewhere(other)) => *other == *pod,
            // Of an earlier life of this pod.
            Ok(Place::Here(_)) => *self.with.ids.instance() == *pod,
            Err(_) => false,
        };
        if !is_its_own {
            tracing::warn!(
                conn,
                pod,
                "what stands there is no connection of that pod; it is passed over"
            );
            return;
        }
        let count = match self.reach(conn, endpoint, hope).await {
            Ok(()) => &self.counts.told,
            Err(why) => {
                tracing::warn!(
                    conn,
                    endpoint,
                    why,
                    "no handler was told that a connection is lost with its pod"
                );
                &self.counts.untold
            }
        };
        count.fetch_add(1, Relaxed);
    }

    /// Tells the handler at that endpoint, or another one where that is not found any more; as long as there is hope.
    async fn reach(&self, conn: &str, endpoint: &str, hope: &Hope) -> Result<(), String> {
        let frame = frame(&SocketClosedRequest {
            conn: conn.to_owned(),
            reason: CloseReason::PodLost.as_str().to_owned(),
        });
        let key = key_of(conn.as_bytes());
        loop {
            let why = match self.with.handlers.bind_at(endpoint, key) {
                None => "no handler is ready".to_owned(),
                Some(bound) => match self.call(bound, key, frame.clone()).await {
                    Ok(()) => {
                        hope.renew();
                        return Ok(());
                    }
                    // It has heard of it.
                    Err(failure @ Failure::Refused(_)) => {
                        hope.renew();
                        return Err(failure.to_string());
                    }
                    Err(failure) => failure.to_string(),
                },
            };
            if hope.is_over() {
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

/// That some handler can be reached: for a while after one was.
struct Hope {
    renewed: Mutex<Instant>,
    patience: Duration,
}

impl Hope {
    fn new(patience: Duration) -> Self {
        Self {
            renewed: Mutex::new(Instant::now()),
            patience,
        }
    }

    fn renew(&self) {
        *self.renewed.lock() = Instant::now();
    }

    fn is_over(&self) -> bool {
        self.renewed.lock().elapsed() >= self.patience
    }
}
