//! What other pods have published: opened, held against what was served already, and delivered here.

use std::{mem, sync::Arc};

use bytes::Bytes;
use proto::cluster::Envelope;

use super::{
    log::{Id, Positions},
    names::Partition,
    pods::unframed,
    seen::{Copy, Seen},
};
use crate::{
    broker::{Broker, Filter, Message, Qos, Topic, others::Pod, topic::MAX_LEVELS},
    seal::{Broken, Kind, Sealer},
};

/// The way of foreign messages to subscribers here.
pub(super) struct Foreign {
    pub(super) own: Pod,
    pub(super) broker: Broker,
    pub(super) sealer: Arc<Sealer>,
    pub(super) seen: Seen,
    pub(super) positions: Positions,
}

/// What came of one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It was delivered to whoever wants it.
    Delivered,
    /// It was served before.
    Again,
    /// It is of this pod itself.
    Own,
    /// It is this pod's question whether messages get through, with its number.
    Probe(u64),
}

impl Foreign {
    /// A copy came over the channel of a topic.
    pub(super) fn by_topic(&self, topic: &str, payload: &Bytes) -> Result<Came, Broken> {
        let (id, envelope) = self.open(payload)?;
        if envelope.topic != topic {
            return Err(Broken::Forged);
        }
        self.serve(id, envelope, &[Copy::Exact])
    }

    /// A copy came to this pod's inbox.
    pub(super) fn by_inbox(&self, payload: &Bytes) -> Result<Came, Broken> {
        let (id, envelope) = self.open(payload)?;
        if envelope.pod == *self.own && envelope.probe > 0 {
            return Ok(Came::Probe(envelope.probe));
        }
        self.serve(id, envelope, &[Copy::Patterns])
    }

    /// A message was read from a log.
    pub(super) fn by_log(&self, id: Id, sealed: &Bytes) -> Result<Came, Broken> {
        let envelope = self.sealer.open(Kind::Message, sealed)?;
        self.serve(Some(id), envelope, &[Copy::Exact, Copy::Patterns])
    }

    /// The message that was kept in a log.
    pub(super) fn in_log(&self, sealed: &Bytes) -> Result<Message, Broken> {
        message(self.sealer.open(Kind::Message, sealed)?)
    }

    fn open(&self, payload: &Bytes) -> Result<(Option<Id>, Envelope), Broken> {
        let (id, sealed) = unframed(payload).ok_or(Broken::Foreign)?;
        Ok((id, self.sealer.open(Kind::Message, &sealed)?))
    }

    fn serve(
        &self,
        id: Option<Id>,
        mut envelope: Envelope,
        copies: &[Copy],
    ) -> Result<Came, Broken> {
        let is_own = envelope.pod == *self.own;
        let shares = mem::take(&mut envelope.shares);
        let message = Arc::new(message(envelope)?);
        let partition = Partition::of(message.topic.as_str());
        match id {
            Some(id) => self.positions.reached(partition, id),
            None if message.qos == Qos::AtMostOnce => {}
            // It would pass by what tells that it came before.
            None => return Err(Broken::Forged),
        }
        if is_own {
            return Ok(Came::Own);
        }
        let own_share = |share: proto::cluster::Share| {
            let is_own = share.pod == *self.own;
            is_own.then(|| Filter::parse(&share.filter, MAX_LEVELS).ok())?
        };
        let groups: Vec<_> = shares.into_iter().filter_map(own_share).collect();
        let mut came = Came::Again;
        for copy in copies {
            let note = |id| self.seen.note(partition, id, &message.id, *copy);
            if !id.is_none_or(note) {
                continue;
            }
            came = Came::Delivered;
            match copy {
                Copy::Exact => self.broker.deliver_exact(&message),
                Copy::Patterns => self.broker.deliver_patterns(&message, &groups),
            }
        }
        Ok(came)
    }
}

fn message(envelope: Envelope) -> Result<Message, Broken> {
    Ok(Message {
        topic: Topic::parse(&envelope.topic, MAX_LEVELS).map_err(|_| Broken::Foreign)?,
        qos: Qos::try_from(envelope.qos).map_err(|_| Broken::Foreign)?,
        node: envelope.node.into(),
        id: envelope.id.into(),
        from: envelope.from.into(),
        payload: envelope.payload,
        timestamp: envelope.timestamp,
    })
}
