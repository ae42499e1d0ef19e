//! One stream, as it is heard.

use std::{sync::Arc, time::Duration};

use proto::stream::{Attach, Event, GatewayBatch, GatewayHello, event::Kind};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tonic::{Status, Streaming};

use super::{Lane, Link};
use crate::{
    Conn, Handler, Peer,
    conn::Way,
    pods::{Pod, Pods, Replaced},
    server::Ending,
    session::{Callback, Done, Session},
};

/// Nothing heard for so many heartbeats is the end.
const SILENCES: u32 = 3;

/// One stream, as it is heard.
pub(super) struct Listening<F, H> {
    pub(super) pods: Arc<Pods<H>>,
    pub(super) pod: Arc<Pod<H>>,
    pub(super) accept: Arc<F>,
    pub(super) instance: String,
    pub(super) lane: Arc<Lane>,
    pub(super) detached_timeout: Duration,
    pub(super) ending: Ending,
}

impl<F, H> Listening<F, H>
where
    F: Fn(&Conn) -> H + Send + Sync + 'static,
    H: Handler,
{
    pub(super) async fn run(self, batches: Streaming<GatewayBatch>, hello: GatewayHello) {
        let outcome = self.listen(batches, &hello).await;
        if let Err(status) = &outcome {
            tracing::error!(pod = hello.pod, %status, "a stream is ended");
        }
        self.lane.end(outcome);
        self.leave().await;
    }

    async fn listen(
        &self,
        mut batches: Streaming<GatewayBatch>,
        hello: &GatewayHello,
    ) -> Result<(), Status> {
        let heartbeat = Duration::from_millis(hello.heartbeat_ms.into());
        let mut beats = interval(heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut said_goodbye = false;
        loop {
            tokio::select! {
                batch = batches.message() => match batch {
                    Ok(Some(batch)) => {
                        heard = Instant::now();
                        self.lane.together(|| self.take(batch)).map_err(Status::failed_precondition)?;
                    }
                    Ok(None) => return Ok(()),
                    Err(status) => {
                        tracing::warn!(pod = hello.pod, %status, "the stream of a pod broke");
                        return Ok(());
                    }
                },
                _ = beats.tick() => {
                    if heard.elapsed() >= heartbeat * SILENCES {
                        return Err(Status::deadline_exceeded("the gateway gives no sign of life"));
                    }
                    self.lane.beat();
                }
                () = self.pod.replaced.cancelled() => {
                    let fault = "a pod of the same name and another epoch has said hello; give each pod its own name";
                    return Err(Status::failed_precondition(fault));
                }
                () = self.ending.leaving.cancelled(), if !said_goodbye => {
                    said_goodbye = true;
                    self.lane.goodbye("this handler is about to go");
                }
            }
        }
    }

    fn take(&self, batch: GatewayBatch) -> Result<(), String> {
        if batch.hello.is_some() {
            return Err("hello came twice".to_owned());
        }
        for attach in batch.attaches {
            self.attach(&attach);
        }
        for event in batch.events {
            self.event(event);
        }
        for progress in batch.progress {
            if let Some(session) = self.pod.find(progress.conn)
                && let Some(link) = session.conn.link()
            {
                link.progress(self.lane.serial, progress.done);
            }
        }
        if let Some(drain) = batch.drain {
            tracing::info!(within_ms = drain.within_ms, "a gateway pod is about to go");
        }
        Ok(())
    }

    fn attach(&self, attach: &Attach) {
        let replaced = self.pod.replace(attach.conn, |known| {
            let link = known.and_then(|session| session.conn.link());
            if link.is_some_and(|link| link.is_ahead_of(attach)) {
                // It was read late, from a stream that has broken since.
                return None;
            }
            let known = known.filter(|_| attach.instance == self.instance);
            if let Some(link) = known.and_then(|session| session.conn.link()) {
                link.attach(&self.lane, attach);
                return None;
            }
            let link = Link::new(&self.lane, attach);
            let peer = Peer::new(attach);
            Some(Session::new(Conn::new(peer, Way::Stream(link))))
        });
        if let Some(Replaced { old, new }) = replaced {
            if let Some(old) = old {
                old.discard();
            }
            new.open(&*self.accept, Done::Nobody);
        }
    }

    fn event(&self, event: Event) {
        let Event {
            conn, seq, kind, ..
        } = event;
        // Where it is not known, its Attach was read late.
        let Some(session) = self.pod.find(conn) else {
            return;
        };
        let Some(link) = session.conn.link() else {
            return;
        };
        match link.show(self.lane.serial, seq) {
            Ok(true) => {}
            Ok(false) => return,
            Err(fault) => {
                let is_last = matches!(kind, Some(Kind::Closed(_)));
                session.fail((!is_last).then_some(seq), &fault);
                if !is_last {
                    return;
                }
            }
        }
        let callback = match kind {
            Some(Kind::Bytes(bytes)) => Callback::Bytes(bytes),
            Some(Kind::Messages(messages)) => Callback::Messages(messages.messages),
            Some(Kind::TimerTimeout(_)) => Callback::Timer,
            Some(Kind::Result(result)) => {
                link.result(seq, result);
                return;
            }
            Some(Kind::Closed(closed)) => {
                link.close();
                let (pod, ended) = (self.pod.clone(), session.clone());
                let then = Box::new(move || pod.ended(conn, &ended));
                session.run(Callback::Close(closed.reason), Done::LastEvent(seq, then));
                return;
            }
            None => Callback::Nothing,
        };
        session.run(callback, Done::Event(seq));
    }

    /// The stream has ended. Connections that do not come back on another one are given up after a while.
    async fn leave(self) {
        let serial = self.lane.serial;
        let is_left = |session: &Session<H>| {
            let link = session.conn.link();
            link.is_some_and(|link| link.detach(serial))
        };
        let left = self.pod.select(is_left);
        tokio::select! {
            () = sleep(self.detached_timeout) => {}
            // All of them go elsewhere.
            () = self.ending.leaving.cancelled() => return,
            () = self.pod.replaced.cancelled() => return,
        }
        let is_gone = |session: &Session<H>| {
            let link = session.conn.link();
            link.is_some_and(|link| link.is_detached_since(serial))
        };
        for (conn, session) in left {
            if self.pod.remove(conn, &session, is_gone) {
                session.detach();
            }
        }
        self.pods.leave(&self.pod);
    }
}
