//! What pods tell each other is sealed with the cluster's key: who has not got that can neither forge it nor change it.
//!
//! A sealed text is the first half of an HMAC-SHA256 over its kind and the rest, and then the message in protobuf.

use prost::{Message, bytes::Bytes};
use ring::hmac;

/// Bytes of the HMAC that are kept: who tries has one chance in 2^128.
const TAG: usize = 16;

/// It was not sealed by a pod of this cluster, or is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The seal does not fit.
    #[error(
        "it was not written by a pod of this cluster (or with another cluster.key_file), or was changed on the way"
    )]
    Forged,
    /// The seal fits, and what is under it makes no sense.
    #[error(
        "it was written by a pod of this cluster, but not in a way that this version understands"
    )]
    Foreign,
}

/// What is sealed. Something sealed as one kind is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message on its way to other pods.
    Message = 1,
    /// What a pod wants.
    Change = 2,
    /// Where a pod is called.
    Address = 3,
    /// A call.
    Call = 4,
    /// Its answer.
    Answer = 5,
    /// A ban of all pods.
    Ban = 6,
    /// That a handler knows a connection.
    Known = 7,
    /// How far somebody has come in the logs.
    Position = 8,
    /// What there is of a client's session.
    Session = 9,
    /// A message that waits in it.
    Waiting = 10,
    /// A message that is retained in all pods.
    Retained = 11,
}

/// Seals and opens.
pub struct Sealer(hmac::Key);

impl Sealer {
    /// With a key of its own, made from the cluster's.
    #[must_use]
    pub fn new(key: hmac::Key) -> Self {
        Self(key)
    }

    /// The message, sealed.
    ///
    /// # Panics
    /// Never: a vector takes everything.
    pub fn seal(&self, kind: Kind, message: &impl Message) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(TAG + message.encoded_len());
        sealed.extend_from_slice(&[0; TAG]);
        message.encode(&mut sealed).expect("a vector has room");
        let tag = self.tag(kind, &sealed[TAG..]);
        sealed[..TAG].copy_from_slice(&tag.as_ref()[..TAG]);
        sealed
    }

    /// The message under the seal.
    ///
    /// # Errors
    /// It was not sealed with this key, or is of another kind.
    pub fn open<M: Message + Default>(&self, kind: Kind, sealed: &Bytes) -> Result<M, Broken> {
        if sealed.len() < TAG {
            return Err(Broken::Forged);
        }
        let tag = self.tag(kind, &sealed[TAG..]);
        if !begins_with(&tag, &sealed[..TAG]) {
            return Err(Broken::Forged);
        }
        M::decode(sealed.slice(TAG..)).map_err(|_| Broken::Foreign)
    }

    /// What is sealed, as it is written, without a look at the seal: nobody knows who wrote it.
    #[must_use]
    pub fn sealed(text: &[u8]) -> Option<&[u8]> {
        text.get(TAG..)
    }

    fn tag(&self, kind: Kind, message: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&[kind as u8]);
        context.update(message);
        context.sign()
    }
}

/// Whether the HMAC begins like that; how long it takes does not tell where they differ.
#[must_use]
pub fn begins_with(tag: &hmac::Tag, beginning: &[u8]) -> bool {
    let pairs = tag.as_ref().iter().zip(beginning);
    pairs.fold(0, |difference, (ours, theirs)| difference | (ours ^ theirs)) == 0
}

#[cfg(test)]
mod tests {
    use proto::cluster::{Change, Envelope};

    use super::*;

    fn sealer(key: u8) -> Sealer {
        Sealer::new(hmac::Key::new(hmac::HMAC_SHA256, &[key; 32]))
    }

    #[test]
    fn what_was_sealed_is_opened_and_nothing_else() {
        let envelope = Envelope {
            topic: "a/b".to_owned(),
            payload: Bytes::from_static(b"hello"),
            ..Envelope::default()
        };
        let sealed = sealer(1).seal(Kind::Message, &envelope);
        let whole = Bytes::from(sealed.clone());
        assert_eq!(
            sealer(1).open::<Envelope>(Kind::Message, &whole),
            Ok(envelope)
        );
        assert_eq!(
            sealer(2).open::<Envelope>(Kind::Message, &whole),
            Err(Broken::Forged)
        );
        let other = sealer(1).open::<Envelope>(Kind::Change, &whole);
        assert_eq!(other, Err(Broken::Forged), "as another kind");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            let opened = sealer(1).open::<Envelope>(Kind::Message, &changed.into());
            assert_eq!(opened, Err(Broken::Forged), "byte {at}");
        }
        for length in 0..sealed.len() {
            let cut = whole.slice(..length);
            assert_eq!(
                sealer(1).open::<Envelope>(Kind::Message, &cut),
                Err(Broken::Forged)
            );
        }
    }

    #[test]
    fn a_field_that_a_later_version_added_is_passed_over() {
        let change = Change {
            pod: "a".to_owned(),
            ..Change::default()
        };
        let mut later = change.encode_to_vec();
        // Field 99, a text.
        later.extend_from_slice(&[0x9a, 0x06, 3, b'n', b'e', b'w']);
        let sealed = sealer(1).seal(Kind::Message, &Raw(later));
        assert_eq!(sealer(1).open(Kind::Message, &sealed.into()), Ok(change));
        let nonsense = sealer(1).seal(Kind::Message, &Raw(vec![0xff; 9]));
        assert_eq!(
            sealer(1).open::<Change>(Kind::Message, &nonsense.into()),
            Err(Broken::Foreign)
        );
    }

    /// Bytes as they are.
    #[derive(Debug)]
    struct Raw(Vec<u8>);

    impl Message for Raw {
        fn encode_raw(&self, buffer: &mut impl prost::bytes::BufMut) {
            buffer.put_slice(&self.0);
        }

        fn merge_field(
            &mut self,
            _: u32,
            _: prost::encoding::WireType,
            _: &mut impl prost::bytes::Buf,
            _: prost::encoding::DecodeContext,
        ) -> Result<(), prost::DecodeError> {
            unreachable!("it is only written")
        }

        fn encoded_len(&self) -> usize {
            self.0.len()
        }

        fn clear(&mut self) {}
    }
}
