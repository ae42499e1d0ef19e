//! Names of connections: opaque to handlers, and impossible to guess or forge.
//!
//! A name says which pod holds the connection, since when that pod runs, and which of its connections it is, under a
//! MAC with the cluster's key. So any pod can tell a good name from an invented one without asking anybody.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::{SecureRandom as _, SystemRandom},
};

use crate::{
    files::{self, Limit},
    seal::begins_with,
};

/// The first byte of every name, so that the layout may change.
const VERSION: u8 = 1;
/// A forger has one chance in 2^96 a try.
const MAC: usize = 12;
/// Version, MAC, start epoch, sequence number; the pod's name follows.
const HEAD: usize = 1 + MAC + 8 + 8;
/// What is signed for a fingerprint. No name begins like it.
const FINGERPRINT: &[u8] = b"exproto: the fingerprint of a cluster's key";
/// Shorter keys are refused: they can be guessed.
const SHORTEST_KEY: usize = 32;
/// The largest file with a key.
const LONGEST_KEY: Limit = Limit::kib(
    64,
    "that is no key, write 32 bytes as of head -c 32 /dev/urandom",
);

/// A connection's name, as callbacks and adapter calls carry it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnId(Arc<str>);

impl ConnId {
    /// The name as text: URL-safe base64.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a well-formed name leads.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// A connection of this process, by its sequence number; it may have ended.
    Here(u64),
    /// A connection of another pod, or of an earlier life of this one: which, as an instance.
    Elsewhere(Arc<str>),
}

/// The name was not made by any pod of this cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "conn is not a name that this cluster gave out; pass on the conn of the callback unchanged"
)]
pub struct Forged;

/// Why no key could be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read.
    #[error("cluster.key_file")]
    File(#[source] files::Error),
    /// The file holds too little.
    #[error(
        "cluster.key_file: {path} holds {found} bytes; at least {SHORTEST_KEY} are needed, \
         for example from: head -c 32 /dev/urandom"
    )]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Bytes in it.
        found: usize,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes for the key of conn ids")]
    NoRandomness,
}

/// Makes and reads the names of one process.
pub struct ConnIds {
    pod: Box<str>,
    epoch: u64,
    key: hmac::Key,
    next: AtomicU64,
}

impl ConnIds {
    /// Names of the pod `pod`, under the key in `key_file`, or under a random one that dies with the process.
    pub fn new(pod: &str, key_file: Option<&Path>) -> Result<Self, KeyError> {
        let secret = match key_file {
            Some(path) => read_key(path)?,
            None => random_key()?,
        };
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(Self {
            pod: pod.into(),
            epoch: u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX),
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            next: AtomicU64::new(1),
        })
    }

    /// When this process started: no two starts of a pod have the same.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// A key for something else, which is the same for all pods of the cluster and tells nothing of theirs.
    #[must_use]
    pub fn key_for(&self, purpose: &str) -> hmac::Key {
        let derived = hmac::sign(&self.key, format!("exproto: {purpose}").as_bytes());
        hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
    }

    /// A new name, and the sequence number in it.
    pub fn mint(&self) -> (ConnId, u64) {
        let sequence = self.next.fetch_add(1, Ordering::Relaxed);
        let mut raw = Vec::with_capacity(HEAD + self.pod.len());
        raw.push(VERSION);
        raw.extend_from_slice(&[0; MAC]);
        raw.extend_from_slice(&self.epoch.to_be_bytes());
        raw.extend_from_slice(&sequence.to_be_bytes());
        raw.extend_from_slice(self.pod.as_bytes());
        let tag = hmac::sign(&self.key, &raw[1 + MAC..]);
        raw[1..=MAC].copy_from_slice(&tag.as_ref()[..MAC]);
        (ConnId(BASE64_URL_SAFE_NO_PAD.encode(raw).into()), sequence)
    }

    /// Checks a name that came from outside.
    pub fn locate(&self, text: &str) -> Result<Place, Forged> {
        let mut raw = [0; 128];
        let length = BASE64_URL_SAFE_NO_PAD
            .decode_slice(text, &mut raw)
            .map_err(|_| Forged)?;
        let raw = &raw[..length];
        if length < HEAD || raw[0] != VERSION {
            return Err(Forged);
        }
        let tag = hmac::sign(&self.key, &raw[1 + MAC..]);
        if !begins_with(&tag, &raw[1..=MAC]) {
            return Err(Forged);
        }
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&raw[at..at + 8]);
            u64::from_be_bytes(bytes)
        };
        let (epoch, pod) = (number(1 + MAC), &raw[HEAD..]);
        if epoch == self.epoch && pod == self.pod.as_bytes() {
            return Ok(Place::Here(number(1 + MAC + 8)));
        }
        let pod = std::str::from_utf8(pod).map_err(|_| Forged)?;
        Ok(Place::Elsewhere(instance(pod, epoch)))
    }

    /// This process, as other pods know it.
    #[must_use]
    pub fn instance(&self) -> Arc<str> {
        instance(&self.pod, self.epoch)
    }
}

/// How long ago a pod started, by its own clock; `None` for what is no instance.
#[must_use]
pub fn age(instance: &str) -> Option<Duration> {
    let (_, epoch) = instance.rsplit_once('.')?;
    let epoch = u64::from_str_radix(epoch, 16).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(now.saturating_sub(Duration::from_nanos(epoch)))
}

/// A pod in one of its lives: its name, and when it started.
fn instance(pod: &str, epoch: u64) -> Arc<str> {
    format!("{pod}.{epoch:x}").into()
}

/// What tells clusters apart that must not share names: the same for all pods with this key, and of no use to whoever
/// wants the key. Reads the file.
pub fn fingerprint(key_file: &Path) -> Result<String, KeyError> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &read_key(key_file)?);
    let tag = hmac::sign(&key, FINGERPRINT);
    Ok(BASE64_URL_SAFE_NO_PAD.encode(tag))
}

fn read_key(path: &Path) -> Result<Vec<u8>, KeyError> {
    let secret = files::read(path, LONGEST_KEY).map_err(KeyError::File)?;
    if secret.len() < SHORTEST_KEY {
        return Err(KeyError::TooShort {
            path: path.to_owned(),
            found: secret.len(),
        });
    }
    Ok(secret)
}

fn random_key() -> Result<Vec<u8>, KeyError> {
    let mut secret = vec![0; SHORTEST_KEY];
    SystemRandom::new()
        .fill(&mut secret)
        .map_err(|_| KeyError::NoRandomness)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_its_connection() {
        let ids = ConnIds::new("pod-1", None).unwrap();
        let (id, sequence) = ids.mint();
        assert_eq!(ids.locate(id.as_str()), Ok(Place::Here(sequence)));
    }

    #[test]
    fn no_changed_character_is_accepted() {
        let ids = ConnIds::new("pod-1", None).unwrap();
        let good = ids.mint().0.to_string();
        for at in 0..good.len() {
            let mut bad = good.clone().into_bytes();
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            let bad = String::from_utf8(bad).unwrap();
            assert_eq!(ids.locate(&bad), Err(Forged), "{bad}");
        }
    }

    #[test]
    fn what_is_no_name_at_all_is_refused() {
        let ids = ConnIds::new("pod-1", None).unwrap();
        let long = "A".repeat(100_000);
        for bad in ["", "x", "not base64!", "AQ", "g2dkAA1lbXF4", long.as_str()] {
            assert_eq!(ids.locate(bad), Err(Forged), "{bad}");
        }
    }

    #[test]
    fn a_name_of_an_earlier_life_is_good_but_leads_elsewhere() {
        let key = tempfile_with(&[7; 32]);
        let before = ConnIds::new("pod-1", Some(&key)).unwrap();
        let after = ConnIds::new("pod-1", Some(&key)).unwrap();
        assert!(age(&before.instance()).unwrap() < Duration::from_secs(60));
        assert_eq!(age("pod-1"), None);
        let elsewhere = Place::Elsewhere(before.instance());
        assert_eq!(after.locate(before.mint().0.as_str()), Ok(elsewhere));
        std::fs::remove_file(key).unwrap();
    }

    #[test]
    fn the_longest_pod_name_fits() {
        let ids = ConnIds::new(&"p".repeat(63), None).unwrap();
        let (id, sequence) = ids.mint();
        assert_eq!(ids.locate(id.as_str()), Ok(Place::Here(sequence)));
    }

    #[test]
    fn a_short_key_is_refused_with_a_remedy() {
        let key = tempfile_with(b"short");
        let error = ConnIds::new("pod-1", Some(&key)).err().unwrap().to_string();
        assert!(
            error.contains("5 bytes") && error.contains("/dev/urandom"),
            "{error}"
        );
        std::fs::remove_file(key).unwrap();
    }

    #[test]
    fn keys_are_told_apart_by_their_fingerprints() {
        let [one, same, other] = [[7; 32], [7; 32], [8; 32]].map(|key| tempfile_with(&key));
        assert_eq!(fingerprint(&one).unwrap(), fingerprint(&same).unwrap());
        assert_ne!(fingerprint(&one).unwrap(), fingerprint(&other).unwrap());
        for key in [one, same, other] {
            std::fs::remove_file(key).unwrap();
        }
    }

    fn tempfile_with(bytes: &[u8]) -> PathBuf {
        let name = format!("exproto-key-{}-{}", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}
