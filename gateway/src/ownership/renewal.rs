//! Telling Redis again what this pod has: before it forgets, and whenever it was away, as it may have lost some of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{
    StreamExt as _,
    future::{join_all, try_join_all},
    stream,
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{Held, Inner, Unasked};
use crate::{
    backoff::jittered,
    peers::Silent,
    redis::{Failure, State},
};

/// Clientids that Redis is told of at once.
const AT_ONCE: usize = 128;
/// The pause after Redis could not be told.
const PAUSE: Duration = Duration::from_millis(500);

/// Runs for ever.
pub(super) async fn renew(inner: Arc<Inner>) {
    let mut link = inner.table.link().state();
    let rest = inner.settings.ttl / 3;
    loop {
        let seen = link.borrow_and_update().clone();
        if !seen.is_connected() {
            if link.changed().await.is_err() {
                return;
            }
            continue;
        }
        if inner.renew_all().await.is_err() {
            sleep(jittered(PAUSE)).await;
            continue;
        }
        // Of a pause while this was under way it must be told as well.
        let changed = link.wait_for(|state: &State| *state != seen);
        let _ = timeout(jittered(rest), changed).await;
    }
}

impl Inner {
    async fn renew_all(&self) -> Result<(), Failure> {
        let slots = self.held.iter();
        let all: Vec<Arc<Held>> = slots.filter_map(|slot| slot.get()).collect();
        let second = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
        let pause = Duration::from_secs(second.into()) / self.settings.renewals;
        for some in all.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|held| self.renew(held))).await?;
            sleep(pause).await;
        }
        Ok(())
    }
}

/// Asks pods again that could not be asked to give up a clientid: until they have, or are gone, or for two leases. Those
/// that cannot be asked even so find out when they tell Redis again. Runs for ever.
pub(super) async fn ask_again(
    inner: Arc<Inner>,
    unasked: mpsc::Receiver<Unasked>,
    lease: Duration,
) {
    let unasked = stream::unfold(unasked, async |mut unasked| {
        let next = unasked.recv().await?;
        Some((next, unasked))
    });
    let ask = async |unasked: Unasked| {
        let until = Instant::now() + 2 * lease;
        while Instant::now() < until {
            sleep(jittered(PAUSE)).await;
            let Unasked {
                former,
                clientid,
                claim,
            } = &unasked;
            match inner.peers.have_yield(former, clientid, *claim).await {
                Ok(()) | Err(Silent::Gone) => return,
                Err(Silent::Away { .. }) => {}
            }
        }
        let Unasked {
            former, clientid, ..
        } = &unasked;
        tracing::warn!(
            %former,
            %clientid,
            "a client may still be connected with a pod that cannot be asked"
        );
    };
    unasked.for_each_concurrent(AT_ONCE, ask).await;
}

/// Tells Redis which clientids are free. Runs for ever.
pub(super) async fn release(inner: Arc<Inner>, mut free: mpsc::Receiver<(Arc<str>, u64)>) {
    let mut some = Vec::with_capacity(AT_ONCE);
    while free.recv_many(&mut some, AT_ONCE).await > 0 {
        let told = some.drain(..).map(|(clientid, claim)| {
            let inner = &inner;
            async move { inner.table.release(&clientid, claim).await }
        });
        // What it is not told of it forgets by itself, and nobody waits for that.
        if let Some(failure) = join_all(told).await.into_iter().find_map(Result::err) {
            tracing::debug!(%failure, "Redis is not told of clientids that are free");
        }
    }
}
