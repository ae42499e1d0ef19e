//! A message as pods tell it each other.

use proto::cluster::Envelope;

use crate::{
    broker::{Message, Qos, Topic, topic::MAX_LEVELS},
    seal::Broken,
};

/// The message, for whoever wants it.
pub(crate) fn envelope(message: &Message) -> Envelope {
    Envelope {
        node: message.node.as_ref().to_owned(),
        id: message.id.as_ref().to_owned(),
        qos: message.qos.into(),
        from: message.from.as_ref().to_owned(),
        topic: message.topic.as_str().to_owned(),
        payload: message.payload.clone(),
        timestamp: message.timestamp,
        ..Envelope::default()
    }
}

/// What another pod has told.
///
/// # Errors
/// It makes no sense.
pub(crate) fn message(envelope: Envelope) -> Result<Message, Broken> {
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
