//! One call of `PublishStream`: reads while there is room, and answers how far it is whenever the caller takes an answer.

use std::sync::Arc;

use futures_util::StreamExt as _;
use proto::gateway::{PublishProgress, PublishRequest};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{Counts, Lanes, status};

pub(super) struct Publishing {
    pub(super) requests: Streaming<PublishRequest>,
    pub(super) lanes: Lanes,
    pub(super) to: mpsc::Sender<Result<PublishProgress, Status>>,
    pub(super) counts: Arc<Counts>,
    pub(super) end: CancellationToken,
}

impl Publishing {
    pub(super) async fn run(mut self) {
        if let Err(status) = self.publish().await {
            // So the caller knows where to go on.
            let published = self.lanes.published();
            let _ = self.to.send(Ok(PublishProgress { published })).await;
            let _ = self.to.send(Err(status)).await;
        }
    }

    /// Until the caller has closed its side and was told of all, or has gone.
    async fn publish(&mut self) -> Result<(), Status> {
        let Self {
            requests,
            lanes,
            to,
            counts,
            end,
        } = self;
        let (mut told, mut is_whole) = (0, false);
        while !(is_whole && lanes.is_empty() && told == lanes.published()) {
            let published = lanes.published();
            tokio::select! {
                biased;
                () = to.closed() => return Ok(()),
                () = end.cancelled() => return Err(status::draining()),
                done = lanes.next() => {
                    counts.count_publish(done.as_ref().err());
                    done?;
                }
                Ok(place) = to.reserve(), if told < published => {
                    place.send(Ok(PublishProgress { published }));
                    told = published;
                }
                request = requests.next(), if !is_whole && lanes.has_room() => match request {
                    Some(Ok(request)) => {
                        let added = lanes.add(request);
                        if added.is_err() {
                            counts.count_publish(added.as_ref().err());
                        }
                        added?;
                    }
                    // The caller has gone, or sent what cannot be read.
                    Some(Err(status)) => return Err(status),
                    None => is_whole = true,
                },
            }
        }
        Ok(())
    }
}
