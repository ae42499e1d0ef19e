//! What pods ask each other directly: handlers' calls for connections of another pod, whether it lives, and to give up a
//! clientid.
//!
//! Calls and answers are sealed with the cluster's key, and each call is good once, for one pod and for a minute.

/// What was called of late.
mod nonces;
/// The port where others call.
mod server;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use dashmap::DashMap;
use proto::{
    cluster::{
        Manage, Managed, PeerAnswer, PeerCall, Ping, Sealed, Yield, peer_call::Request,
        peer_client::PeerClient,
    },
    stream::{Command, command::Kind},
};
use tokio::time::timeout;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};

pub use self::server::{Local, Server};
use crate::{
    broker::others::Pod,
    clock,
    cluster::{Cluster, Whereabouts},
    conn_id::age,
    connection::CallError,
    management::LARGEST_ANSWER,
    seal::{self, Sealer},
};

/// By how much the clocks of two pods may differ, and how long a call is good.
const GOOD: Duration = Duration::from_secs(60);

/// By how much a sealed message is larger than what it carries, at most.
pub const SEAL: usize = 1024;

/// Pods whose addresses are remembered.
const REMEMBERED: usize = 1_000;

/// The other pods, as handlers' calls are passed on to them. Clones are the same.
#[derive(Clone)]
pub struct Peers(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    sealer: Arc<Sealer>,
    timeout: Duration,
    /// By the address; those of pods that are gone are closed when another is opened.
    channels: DashMap<String, PeerClient<Channel>>,
    /// Where pods were last found: one that Redis has forgotten may live all the same.
    found: DashMap<Pod, String>,
    counts: Arc<Counts>,
}

/// What is counted of calls that were passed on.
#[derive(Debug, Default)]
pub struct Counts {
    /// The other pod answered.
    pub answered: AtomicU64,
    /// It, or the connection, is gone.
    pub gone: AtomicU64,
    /// It could not be reached, or did not answer in time.
    pub failed: AtomicU64,
}

impl Peers {
    /// Calls the pods of this cluster.
    #[must_use]
    pub fn new(cluster: Cluster, sealer: Arc<Sealer>, timeout: Duration) -> Self {
        Self(Arc::new(Inner {
            cluster,
            sealer,
            timeout,
            channels: DashMap::new(),
            found: DashMap::new(),
            counts: Arc::default(),
        }))
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.0.counts
    }

    /// Has a command carried out for the connection `conn` of that pod.
    ///
    /// # Errors
    /// The pod is gone, or cannot be asked; then it may be carried out all the same.
    pub async fn call(
        &self,
        pod: &Pod,
        conn: &str,
        command: Kind,
        by_mirror: bool,
    ) -> Result<PeerAnswer, CallError> {
        let command = Command {
            kind: Some(command),
            ..Command::default()
        };
        let call = PeerCall {
            conn: conn.to_owned(),
            by_mirror,
            request: Some(Request::Command(command)),
            ..PeerCall::default()
        };
        let answer = self.ask(pod, call).await;
        let counts = &self.0.counts;
        let count = match &answer {
            Ok(_) => &counts.answered,
            Err(Silent::Gone) => &counts.gone,
            Err(Silent::Away { .. }) => &counts.failed,
        };
        count.fetch_add(1, Relaxed);
        answer.map_err(|silent| match silent {
            Silent::Gone => CallError::Gone,
            Silent::Away { .. } => {
                CallError::Unavailable(format!("the connection is with {silent}"))
            }
        })
    }

    /// Has that pod give up a clientid, which this one has by a claim. Done when its client there has ended.
    ///
    /// # Errors
    /// The pod is gone, or cannot be asked.
    pub async fn have_yield(&self, pod: &Pod, clientid: &str, claim: u64) -> Result<(), Silent> {
        let clientid = clientid.to_owned();
        let call = PeerCall {
            request: Some(Request::Yield(Yield { clientid, claim })),
            ..PeerCall::default()
        };
        self.ask(pod, call).await.map(drop)
    }

    /// The other pods that live; none where Redis has not told yet.
    #[must_use]
    pub fn others(&self) -> Option<Vec<Pod>> {
        self.0.cluster.others()
    }

    /// Asks that pod what another one's management API was asked.
    ///
    /// # Errors
    /// The pod is gone, or cannot be asked.
    pub async fn manage(&self, pod: &Pod, manage: Manage) -> Result<Managed, Silent> {
        let call = PeerCall {
            request: Some(Request::Manage(manage)),
            ..PeerCall::default()
        };
        Ok(self.ask(pod, call).await?.managed.unwrap_or_default())
    }

    /// Whether a pod that Redis has forgotten lives, and answers where it was called last, be it with no.
    pub async fn lives(&self, pod: &Pod, address: String) -> bool {
        let call = PeerCall {
            request: Some(Request::Ping(Ping {})),
            ..PeerCall::default()
        };
        let Ok(mut client) = self.client(pod, &address) else {
            return false;
        };
        let (_, request) = self.sealed(pod, call);
        match timeout(self.0.timeout, client.call(request)).await {
            Ok(Ok(_)) => true,
            // Else nobody is there, or somebody else.
            Ok(Err(status)) => matches!(
                status.code(),
                Code::PermissionDenied | Code::Unimplemented | Code::ResourceExhausted
            ),
            Err(_) => false,
        }
    }

    /// The call, addressed to that pod, and its nonce.
    fn sealed(&self, pod: &Pod, call: PeerCall) -> (u64, Sealed) {
        let nonce = fastrand::u64(..);
        let call = PeerCall {
            pod: pod.as_ref().to_owned(),
            time: clock::now(),
            nonce,
            ..call
        };
        let sealed = self.0.sealer.seal(seal::Kind::Call, &call).into();
        (nonce, Sealed { sealed })
    }

    /// Makes a call, whose address, time and nonce are still to be filled in.
    async fn ask(&self, pod: &Pod, call: PeerCall) -> Result<PeerAnswer, Silent> {
        let Address { text, is_former } = self.find(pod).await?;
        let (nonce, request) = self.sealed(pod, call);
        let mut client = self.client(pod, &text)?;
        let why = match timeout(self.0.timeout, client.call(request)).await {
            Ok(Ok(answer)) => return self.opened(pod, &text, nonce, &answer.into_inner()),
            // It is another pod by now, or Redis was right.
            Ok(Err(status)) if status.code() == Code::NotFound => return Err(Silent::Gone),
            Ok(Err(_)) | Err(_) if is_former => {
                // It is not waited for again.
                self.0.found.remove(pod);
                return Err(Silent::Gone);
            }
            Ok(Err(status)) => format!("which cannot be asked at {text}: {}", status.message()),
            Err(_) => format!(
                "which does not answer at {text} within {:?}",
                self.0.timeout
            ),
        };
        Err(away(pod, why))
    }

    /// Where that pod is called, as far as anybody knows.
    async fn find(&self, pod: &Pod) -> Result<Address, Silent> {
        let former = self.0.found.get(pod).map(|address| address.clone());
        match (self.0.cluster.find(pod).await, former) {
            (Ok(Whereabouts::At(text)), _) => {
                self.remember(pod, &text);
                Ok(Address {
                    text,
                    is_former: false,
                })
            }
            (Ok(Whereabouts::Gone), Some(text)) => Ok(Address {
                text,
                is_former: true,
            }),
            (Err(_), Some(text)) => Ok(Address {
                text,
                is_former: false,
            }),
            (Ok(Whereabouts::Gone), None) if self.has_just_started(pod) => Err(away(
                pod,
                "which has just started, and is not known to Redis yet; try again",
            )),
            (Ok(Whereabouts::Gone), None) => Err(Silent::Gone),
            (Ok(Whereabouts::Silent), _) => Err(away(
                pod,
                "which has no address for other pods (cluster.peers.advertised_address); call that pod, it is \
                 told in exproto-adapter-address",
            )),
            (Err(failure), None) => Err(away(
                pod,
                format!("and nobody tells where that is: {failure}"),
            )),
        }
    }

    /// The answer to the call of that nonce.
    fn opened(
        &self,
        pod: &Pod,
        address: &str,
        nonce: u64,
        sealed: &Sealed,
    ) -> Result<PeerAnswer, Silent> {
        let opened = self.0.sealer.open(seal::Kind::Answer, &sealed.sealed);
        let answer: PeerAnswer = opened
            .map_err(|broken| away(pod, format!("and what answers at {address}: {broken}")))?;
        if answer.nonce == nonce {
            Ok(answer)
        } else {
            Err(away(pod, format!("and {address} answers another call")))
        }
    }

    fn remember(&self, pod: &Pod, address: &str) {
        let found = &self.0.found;
        if found.get(pod).is_some_and(|known| *known == address) {
            return;
        }
        if found.len() >= REMEMBERED {
            found.clear();
        }
        found.insert(pod.clone(), address.to_owned());
    }

    /// So long as it may not have said yet that it lives.
    fn has_just_started(&self, pod: &Pod) -> bool {
        age(pod).is_some_and(|age| age < self.0.cluster.lease())
    }

    fn client(&self, pod: &Pod, address: &str) -> Result<PeerClient<Channel>, Silent> {
        if let Some(client) = self.0.channels.get(address) {
            return Ok(client.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| {
            away(
                pod,
                format!("which says that it is called at \"{address}\", and that is no address"),
            )
        })?;
        let endpoint = endpoint
            .connect_timeout(self.0.timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(GOOD)
            .keep_alive_while_idle(true);
        let client = PeerClient::new(endpoint.connect_lazy())
            .max_decoding_message_size(LARGEST_ANSWER + SEAL);
        self.0
            .channels
            .retain(|known, _| self.0.cluster.is_known(known));
        self.0.channels.insert(address.to_owned(), client.clone());
        Ok(client)
    }
}

/// Where a pod is called.
struct Address {
    text: String,
    /// Redis has forgotten the pod.
    is_former: bool,
}

fn away(pod: &Pod, why: impl Into<String>) -> Silent {
    Silent::Away {
        pod: pod.clone(),
        why: why.into(),
    }
}

/// Why a pod gives no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silent {
    /// It does not live.
    #[error("a pod that is gone")]
    Gone,
    /// It lives, as far as anybody knows, and cannot be asked, or does not answer in time.
    #[error("pod {pod}, {why}")]
    Away {
        /// Which.
        pod: Pod,
        /// What is in the way.
        why: String,
    },
}
