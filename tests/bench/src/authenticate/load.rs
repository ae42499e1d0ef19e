//! A closed loop: so many Authenticates in flight, each for another connection, until all have, or until it is time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use proto::exproto::{
    AuthenticateRequest, ClientInfo, ResultCode, connection_adapter_client::ConnectionAdapterClient,
};
use tokio::{task::JoinSet, time};
use tonic::transport::Channel;

use super::{chain::Client, named::Named, stretch::Stretch};
use crate::histogram::Histogram;

/// After so long without an answer a run has failed. Passwords wait for all that are before them.
const PATIENCE: Duration = Duration::from_secs(120);

/// Nothing counts before so many times as many as are in flight were answered.
pub(super) const WARM_UP: usize = 2;

/// Who authenticates, and by what.
pub(super) struct Load {
    pub(super) adapters: Vec<ConnectionAdapterClient<Channel>>,
    /// One for each connection.
    pub(super) clients: Arc<[Client]>,
    pub(super) in_flight: usize,
    /// How long it counts at most.
    pub(super) duration: Duration,
}

/// What the tasks share.
struct Shared {
    requests: Vec<AuthenticateRequest>,
    next: AtomicUsize,
    answered: AtomicUsize,
    warm: usize,
    duration: Duration,
    stretch: Stretch,
    histogram: Histogram,
}

impl Load {
    /// Opens and closes the stretch, and tells the latency of each Authenticate that was answered within it.
    pub(super) async fn run(&self, connections: &[Named], stretch: Stretch) -> Result<Histogram> {
        let requests = connections.iter().zip(&*self.clients);
        let shared = Arc::new(Shared {
            requests: requests.map(request).collect(),
            next: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            warm: WARM_UP * self.in_flight,
            duration: self.duration,
            stretch,
            histogram: Histogram::new(),
        });
        let mut running = JoinSet::new();
        for adapter in self.adapters.iter().cycle().take(self.in_flight) {
            running.spawn(authenticate(adapter.clone(), shared.clone()));
        }
        while let Some(done) = running.join_next().await {
            done??;
        }
        let histogram = Arc::into_inner(shared)
            .context("an Authenticate is still in flight")?
            .histogram;
        ensure!(
            histogram.count() > 0,
            "no Authenticate was answered in time to count"
        );
        Ok(histogram)
    }
}

async fn authenticate(
    mut adapter: ConnectionAdapterClient<Channel>,
    shared: Arc<Shared>,
) -> Result<()> {
    while !shared.stretch.is_over() {
        let Some(request) = shared.requests.get(shared.next.fetch_add(1, Relaxed)) else {
            shared.stretch.close(Instant::now());
            break;
        };
        let began = Instant::now();
        let answer = time::timeout(PATIENCE, adapter.authenticate(request.clone())).await;
        let answer = answer.context("an Authenticate takes too long")??;
        let answer = answer.into_inner();
        ensure!(
            answer.code() == ResultCode::Success,
            "an Authenticate was answered {}: {}",
            answer.code().as_str_name(),
            answer.message
        );
        shared.answered(began, Instant::now());
    }
    Ok(())
}

impl Shared {
    fn answered(&self, began: Instant, ended: Instant) {
        if self.answered.fetch_add(1, Relaxed) + 1 == self.warm {
            self.stretch.open(ended);
            return;
        }
        let Some(open_for) = self.stretch.open_for(ended) else {
            return;
        };
        match open_for.checked_sub(self.duration) {
            None => self.histogram.record(ended - began),
            Some(over) => self.stretch.close(ended.checked_sub(over).unwrap_or(ended)),
        }
    }
}

fn request((connection, client): (&Named, &Client)) -> AuthenticateRequest {
    AuthenticateRequest {
        conn: connection.conn.clone(),
        clientinfo: Some(ClientInfo {
            proto_name: "bench".to_owned(),
            proto_ver: "1".to_owned(),
            clientid: client.name.clone(),
            username: client.name.clone(),
            mountpoint: String::new(),
        }),
        password: client.password.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_before_it_is_warm_or_after_its_time_does_not_count() {
        let shared = Shared {
            requests: Vec::new(),
            next: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            warm: 2,
            duration: Duration::from_secs(10),
            stretch: Stretch::new(),
            histogram: Histogram::new(),
        };
        let start = Instant::now();
        for second in 1..=20 {
            shared.answered(start, start + Duration::from_secs(second));
        }
        assert_eq!(shared.histogram.count(), 9);
        assert_eq!(shared.stretch.length(), Duration::from_secs(10));
    }
}
