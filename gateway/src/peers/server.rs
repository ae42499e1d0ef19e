//! The port where other pods call.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use proto::{
    cluster::{Manage, Managed, PeerAnswer, PeerCall, Sealed, peer_call, peer_server::Peer},
    stream::command::Kind,
};
use tonic::{Request, Response, Status};

use super::{GOOD, nonces::Nonces};
use crate::{
    broker::others::Pod,
    clock,
    seal::{self, Sealer},
};

/// Calls that are remembered, so that none is taken twice.
const REMEMBERED: usize = 1_000_000;

/// This pod, as others ask it.
pub trait Local: Send + Sync {
    /// Carries a command out for that connection of this pod, and answers as the adapter would.
    fn carry_out<'a>(
        &'a self,
        conn: &'a str,
        command: Kind,
        by_mirror: bool,
    ) -> BoxFuture<'a, PeerAnswer>;

    /// Another pod has a clientid by that claim: gives it up, unless this one has it by a higher one.
    fn give_up<'a>(&'a self, clientid: &'a str, claim: u64) -> BoxFuture<'a, ()>;

    /// Answers what another pod's management API was asked, for this pod alone.
    fn manage(&self, manage: Manage) -> BoxFuture<'_, Managed>;
}

/// The service.
pub struct Server {
    own: Pod,
    sealer: Arc<Sealer>,
    nonces: Nonces,
    local: Arc<dyn Local>,
}

impl Server {
    /// For calls to this pod.
    #[must_use]
    pub fn new(own: Pod, sealer: Arc<Sealer>, local: Arc<dyn Local>) -> Self {
        Self {
            own,
            sealer,
            nonces: Nonces::new(2 * GOOD, REMEMBERED, Instant::now()),
            local,
        }
    }

    /// The call, if it is one of a pod of this cluster to this one, and new.
    fn admit(&self, sealed: &Sealed) -> Result<PeerCall, Status> {
        let call: PeerCall = self.sealer.open(seal::Kind::Call, &sealed.sealed).map_err(
            |broken| {
                tracing::warn!(%broken, "a call that is not of a pod of this cluster is refused");
                Status::permission_denied(broken.to_string())
            },
        )?;
        if call.pod != *self.own {
            return Err(Status::not_found(format!("this is pod {}", self.own)));
        }
        let apart = Duration::from_millis(clock::now().abs_diff(call.time));
        if apart > GOOD {
            return Err(Status::permission_denied(format!(
                "the call was made {apart:?} ago, or is of a pod whose clock is wrong; clocks may differ by {GOOD:?}"
            )));
        }
        if !self.nonces.note(call.nonce, Instant::now()) {
            return Err(Status::permission_denied("the call came before"));
        }
        Ok(call)
    }
}

impl Server {
    async fn answer(&self, call: PeerCall) -> Result<PeerAnswer, Status> {
        let unknown = || {
            Status::unimplemented(
                "this version does not know what is to be done; it is older than the pod that calls",
            )
        };
        match call.request.ok_or_else(unknown)? {
            peer_call::Request::Command(command) => {
                let command = command.kind.ok_or_else(unknown)?;
                let by_mirror = call.by_mirror;
                Ok(self.local.carry_out(&call.conn, command, by_mirror).await)
            }
            peer_call::Request::Yield(asked) => {
                self.local.give_up(&asked.clientid, asked.claim).await;
                Ok(PeerAnswer::default())
            }
            peer_call::Request::Manage(manage) => Ok(PeerAnswer {
                managed: Some(self.local.manage(manage).await),
                ..PeerAnswer::default()
            }),
            peer_call::Request::Ping(_) => Ok(PeerAnswer::default()),
        }
    }
}

#[tonic::async_trait]
impl Peer for Server {
    async fn call(&self, request: Request<Sealed>) -> Result<Response<Sealed>, Status> {
        let call = self.admit(&request.into_inner())?;
        let nonce = call.nonce;
        let answer = PeerAnswer {
            nonce,
            ..self.answer(call).await?
        };
        Ok(Response::new(Sealed {
            sealed: self.sealer.seal(seal::Kind::Answer, &answer).into(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Local for Nobody {
        fn carry_out<'a>(&'a self, _: &'a str, _: Kind, _: bool) -> BoxFuture<'a, PeerAnswer> {
            Box::pin(async { PeerAnswer::default() })
        }

        fn give_up<'a>(&'a self, _: &'a str, _: u64) -> BoxFuture<'a, ()> {
            Box::pin(async {})
        }

        fn manage(&self, _: Manage) -> BoxFuture<'_, Managed> {
            Box::pin(async { Managed::default() })
        }
    }

    fn sealer(key: u8) -> Arc<Sealer> {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[key; 32]);
        Arc::new(Sealer::new(key))
    }

    fn refused(server: &Server, by: &Sealer, call: &PeerCall) -> Option<String> {
        let sealed = Sealed {
            sealed: by.seal(seal::Kind::Call, call).into(),
        };
        server
            .admit(&sealed)
            .err()
            .map(|status| status.message().to_owned())
    }

    #[test]
    fn calls_of_others_and_old_ones_and_the_same_again_are_refused() {
        let server = Server::new("a.1".into(), sealer(1), Arc::new(Nobody));
        let call = PeerCall {
            pod: "a.1".to_owned(),
            time: clock::now(),
            nonce: 7,
            ..PeerCall::default()
        };
        assert_eq!(refused(&server, &sealer(1), &call), None);
        let again = refused(&server, &sealer(1), &call).unwrap();
        assert_eq!(again, "the call came before");
        let forged = refused(
            &server,
            &sealer(2),
            &PeerCall {
                nonce: 8,
                ..call.clone()
            },
        );
        assert!(
            forged
                .unwrap()
                .contains("not written by a pod of this cluster")
        );
        let other = PeerCall {
            pod: "a.2".to_owned(),
            nonce: 9,
            ..call.clone()
        };
        assert_eq!(
            refused(&server, &sealer(1), &other).unwrap(),
            "this is pod a.1"
        );
        let old = PeerCall {
            time: call.time - 120_000,
            nonce: 10,
            ..call
        };
        assert!(
            refused(&server, &sealer(1), &old)
                .unwrap()
                .contains("clocks may differ by 60s")
        );
    }
}
