//! What other pods have published: opened, held against what was served already, and delivered here.

use std::{mem, sync::Arc};

use bytes::Bytes;
use proto::cluster::Envelope;
use tokio::time::Instant;

use super::{
    envelope::message,
    log::{Id, Positions},
    names::Partition,
    outbox::BLANK,
    pods::unframed,
    seen::{Copy, Seen},
};
use crate::{
    broker::{Broker, Filter, Message, Qos, Version, others::Pod, topic::MAX_LEVELS},
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

/// Until when those who want a message are waited for, where many come at once; unset where they come as they are
/// published.
pub(super) type Pace = Option<Instant>;

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
    pub(super) async fn by_topic(
        &self,
        topic: &str,
        payload: &Bytes,
        pace: Pace,
    ) -> Result<Came, Broken> {
        if self.is_own(payload) {
            return Ok(Came::Own);
        }
        let (id, envelope) = self.open(payload)?;
        if envelope.topic != topic {
            return Err(Broken::Forged);
        }
        self.serve(id, envelope, &[Copy::Exact], pace).await
    }

    /// A copy came to this pod's inbox.
    pub(super) async fn by_inbox(&self, payload: &Bytes, pace: Pace) -> Result<Came, Broken> {
        let (id, envelope) = self.open(payload)?;
        if envelope.pod == *self.own && envelope.probe > 0 {
            return Ok(Came::Probe(envelope.probe));
        }
        self.serve(id, envelope, &[Copy::Patterns], pace).await
    }

    /// A message was read from a log.
    pub(super) async fn by_log(&self, id: Id, sealed: &Bytes, pace: Pace) -> Result<Came, Broken> {
        let envelope = self.sealer.open(Kind::Message, sealed)?;
        let both = [Copy::Exact, Copy::Patterns];
        self.serve(Some(id), envelope, &both, pace).await
    }

    /// Whether it says that this pod itself has published it, and that it may be lost. Then nothing is to be done, be that
    /// true or not, and its seal need not be looked at. It comes to every pod that subscribes to what it publishes.
    fn is_own(&self, payload: &[u8]) -> bool {
        let sealed = payload.strip_prefix(BLANK).and_then(Sealer::sealed);
        // The first field is the pod.
        let pod = sealed.and_then(|envelope| match envelope {
            [0x0a, length, rest @ ..] => rest.get(..usize::from(*length)),
            _ => None,
        });
        pod == Some(self.own.as_bytes()) && self.own.len() < 0x80
    }

    /// The message that was kept in a log.
    pub(super) fn in_log(&self, sealed: &Bytes) -> Result<Message, Broken> {
        message(self.sealer.open(Kind::Message, sealed)?)
    }

    fn open(&self, payload: &Bytes) -> Result<(Option<Id>, Envelope), Broken> {
        let (id, sealed) = unframed(payload).ok_or(Broken::Foreign)?;
        Ok((id, self.sealer.open(Kind::Message, &sealed)?))
    }

    async fn serve(
        &self,
        id: Option<Id>,
        mut envelope: Envelope,
        copies: &[Copy],
        pace: Pace,
    ) -> Result<Came, Broken> {
        let is_own = envelope.pod == *self.own;
        let shares = mem::take(&mut envelope.shares);
        let number = envelope.retained;
        let message = Arc::new(message(envelope)?);
        let partition = Partition::of(message.topic.as_str());
        let part = partition.index();
        let retained = (number > 0).then_some(Version { part, number });
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
            if let Some(until) = pace {
                self.broker.room(&message.topic, until).await;
            }
            match copy {
                Copy::Exact => self.broker.deliver_exact(&message, retained),
                Copy::Patterns => self.broker.deliver_patterns(&message, &groups, retained),
            }
        }
        Ok(came)
    }
}

#[cfg(test)]
mod tests {
    use ring::hmac;

    use super::*;
    use crate::{
        broker::{RetainedLimits, Settings},
        cluster::{outbox::framed, recovery::OVERLAP},
    };

    fn foreign() -> Foreign {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        let (messages, bytes, age) = (1, 1, None);
        Foreign {
            own: "a.1".into(),
            broker: Broker::memory(Settings {
                node: "a".into(),
                max_payload: 100,
                max_levels: 10,
                retained: RetainedLimits {
                    messages,
                    bytes,
                    age,
                },
            }),
            sealer: Arc::new(Sealer::new(key)),
            seen: Seen::new(OVERLAP, 100),
            positions: Positions::default(),
        }
    }

    #[tokio::test]
    async fn its_own_messages_are_passed_over_and_those_of_others_are_opened() {
        let foreign = foreign();
        let came = async |pod: &str, id: &str, qos| {
            let envelope = Envelope {
                pod: pod.to_owned(),
                topic: "t".to_owned(),
                qos,
                ..Envelope::default()
            };
            let sealed = foreign.sealer.seal(Kind::Message, &envelope);
            let payload = framed(id, &sealed).into();
            foreign.by_topic("t", &payload, None).await
        };
        assert_eq!(came("a.1", "", 0).await, Ok(Came::Own));
        assert_eq!(came("a.1", "5-0", 1).await, Ok(Came::Own));
        for other in ["a.2", "a.10", "b.1", ""] {
            assert_eq!(came(other, "", 0).await, Ok(Came::Delivered), "{other}");
        }
        let forged = [&b" 0123456789abcdef\x0a\x03a.2"[..], b" 0123", b" ", b""];
        for forged in forged {
            let payload = Bytes::from_static(forged);
            assert!(foreign.by_topic("t", &payload, None).await.is_err());
        }
    }
}
