//! Telling Redis again what this pod has: before it forgets, and whenever it was away, as it may have lost some of it.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt as _, future::join_all, stream};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{Held, Inner, Unasked, shown};
use crate::{
    backoff::{PAUSE, jittered},
    peers::Silent,
    redis::{Failure, State},
};

/// Clientids that Redis is told of at once.
const AT_ONCE: usize = 128;

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
        if !inner.renew_all().await {
            sleep(jittered(10 * PAUSE)).await;
            continue;
        }
        // Of a pause while this was under way it must be told as well.
        let changed = link.wait_for(|state: &State| *state != seen);
        let _ = timeout(jittered(rest), changed).await;
    }
}

impl Inner {
    /// Tells Redis of all. Whether it has answered for each.
    async fn renew_all(&self) -> bool {
        let all: Vec<Weak<Held>> = self.held.iter().map(|slot| slot.weak()).collect();
        let count = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
        let pause = Duration::from_secs(count.into()) / self.settings.renewals;
        let mut is_told = true;
        for some in all.chunks(AT_ONCE) {
            let held: Vec<_> = some.iter().filter_map(Weak::upgrade).collect();
            let renewed = join_all(held.iter().map(|held| self.renew(held))).await;
            for failure in renewed.into_iter().filter_map(Result::err) {
                is_told &= is_lasting(&failure);
            }
            drop(held);
            sleep(pause).await;
        }
        is_told
    }
}

/// Whether it would fail again; then it is said.
fn is_lasting(failure: &Failure) -> bool {
    let is_foreign = failure.is_foreign();
    if is_foreign {
        tracing::warn!(%failure, "what stands in Redis in place of a clientid's owner was not written by a pod");
    }
    is_foreign
}

/// Tells Redis of clientids that it did not answer for, until it does. Runs for ever.
pub(super) async fn tell_later(inner: Arc<Inner>, untold: mpsc::Receiver<Weak<Held>>) {
    let tell = async |untold: Weak<Held>| {
        loop {
            sleep(jittered(PAUSE)).await;
            let Some(held) = untold.upgrade() else { return };
            match inner.renew(&held).await {
                Ok(()) => return,
                Err(failure) if is_lasting(&failure) => return,
                Err(_) => {}
            }
        }
    };
    received(untold).for_each_concurrent(AT_ONCE, tell).await;
}

fn received<T>(receiver: mpsc::Receiver<T>) -> impl Stream<Item = T> {
    stream::unfold(receiver, async |mut receiver| {
        let next = receiver.recv().await?;
        Some((next, receiver))
    })
}

/// Asks pods again that could not be asked to give up a clientid: until they have, or are gone, or for two leases. Those
/// that cannot be asked even so find out when they tell Redis again. Runs for ever.
pub(super) async fn ask_again(
    inner: Arc<Inner>,
    unasked: mpsc::Receiver<Unasked>,
    lease: Duration,
) {
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
            clientid = shown(clientid),
            "a client may still be connected with a pod that cannot be asked"
        );
    };
    received(unasked).for_each_concurrent(AT_ONCE, ask).await;
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
