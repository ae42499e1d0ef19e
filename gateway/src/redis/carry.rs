//! One command on its way: to the node that has its slot, after it where the cluster points elsewhere, and again where
//! it certainly was not carried out, until its time is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use redis::{ServerError, ServerErrorKind, Value};
use tokio::time::{Instant, sleep, timeout};

use super::{Failure, Link, Problem, access::Address, node::Node};
use crate::{backoff::jittered, metrics::RedisOutcome};

/// The pause before a command is sent again that a server was not ready for.
const PAUSE: Duration = Duration::from_millis(20);

/// What a command counts as.
pub(super) fn outcome_of(carried: &Result<Value, Failure>) -> RedisOutcome {
    match carried {
        Ok(_) | Err(Failure::Unexpected(_)) => RedisOutcome::Ok,
        Err(Failure::Refused { .. }) => RedisOutcome::Refused,
        Err(Failure::Away(_)) => RedisOutcome::Away,
        Err(Failure::TimedOut { .. }) => RedisOutcome::TimedOut,
        Err(Failure::Lost) => RedisOutcome::Lost,
    }
}

/// Whether it was certainly not carried out, and another server may do so, or this one later.
pub(super) fn goes_elsewhere(error: &ServerError) -> bool {
    matches!(
        error.kind(),
        Some(
            ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::ReadOnly
        )
    )
}

/// Where a command goes next.
enum Next {
    /// To whoever has the slot by the map.
    Owner,
    /// To that one.
    At(Address),
    /// To that one, which is about to get the slot.
    Asking(Address),
}

impl Link {
    pub(super) async fn carry(&self, slot: u16, packed: Bytes) -> Result<Value, Failure> {
        let begun = Instant::now();
        let sent = AtomicBool::new(false);
        let limit = self.shared.timeout;
        let carried = timeout(limit, self.carry_at_last(slot, packed, &sent)).await;
        let carried = carried.unwrap_or_else(|_| {
            let sent = sent.load(Relaxed);
            Err(Failure::TimedOut { limit, sent })
        });
        let outcome = [outcome_of(&carried)].into_iter();
        self.shared.metrics.commands(outcome, begun.elapsed());
        carried
    }

    /// Until its answer comes, be it from another server than the first one. For as long as that takes.
    pub(super) async fn carry_at_last(
        &self,
        slot: u16,
        packed: Bytes,
        sent: &AtomicBool,
    ) -> Result<Value, Failure> {
        if !*self.shared.identified.borrow() {
            let why = self.shared.map.load().trouble().unwrap_or(Problem::New);
            return Err(Failure::Away(why));
        }
        let mut next = Next::Owner;
        loop {
            let (node, asking) = self.node(slot, &next)?;
            let commands = node.commands.load_full();
            let commands = commands.ok_or_else(|| Failure::Away(node.away()))?;
            let asked = commands.ask(packed.clone(), asking, || sent.store(true, Relaxed));
            let error = match asked.await {
                Ok(Value::ServerError(error)) => error,
                Err(Failure::Away(_)) => return Err(Failure::Away(node.away())),
                other => return other,
            };
            sent.store(false, Relaxed);
            next = self.after(&error).await?;
        }
    }

    fn node(&self, slot: u16, next: &Next) -> Result<(Arc<Node>, bool), Failure> {
        let map = self.shared.map.load();
        let (node, asking) = match next {
            Next::Owner => (None, false),
            Next::At(address) => (map.at(address), false),
            Next::Asking(address) => (map.at(address), true),
        };
        if let Some(node) = node {
            return Ok((node.clone(), asking));
        }
        let owner = map.owner(slot).cloned();
        let nobody = || map.trouble.clone().unwrap_or(Problem::NoOwner { slot });
        Ok((owner.ok_or_else(|| Failure::Away(nobody()))?, false))
    }

    /// Where to go after an error, once there is a point in it.
    async fn after(&self, error: &ServerError) -> Result<Next, Failure> {
        let shared = &self.shared;
        let pointed = || {
            let (_, address) = error.details()?.split_once(' ')?;
            let (host, port) = address.rsplit_once(':')?;
            Some(Address::new(host, port.parse().ok()?))
        };
        match error.kind() {
            Some(ServerErrorKind::Moved) => {
                let mut mapped = shared.mapped.subscribe();
                shared.refresh.notify_one();
                let address = pointed().filter(|address| shared.map.load().at(address).is_some());
                if let Some(address) = address {
                    return Ok(Next::At(address));
                }
                // The map comes soon, or the command's time ends; but this map may be right again already.
                let _ = timeout(PAUSE * 10, mapped.changed()).await;
                Ok(Next::Owner)
            }
            Some(ServerErrorKind::Ask) => {
                let address = pointed().filter(|address| shared.map.load().at(address).is_some());
                if let Some(address) = address {
                    return Ok(Next::Asking(address));
                }
                sleep(jittered(PAUSE)).await;
                Ok(Next::Owner)
            }
            _ if goes_elsewhere(error) => {
                shared.refresh.notify_one();
                sleep(jittered(PAUSE)).await;
                Ok(Next::Owner)
            }
            _ => Err(Failure::refused(error)),
        }
    }
}
