//! Which endpoint a connection goes to: rendezvous hashing, with weights.
//!
//! Each endpoint draws a number for each key, and the highest wins. So an endpoint that comes takes over the keys for
//! which it draws the highest, and nothing else moves; one that goes leaves its own keys alone to the others. Numbers
//! depend on addresses and keys only: all pods agree, whatever their version.

use std::{cmp::Ordering, net::IpAddr, time::Duration};

/// The share of an endpoint that has just come.
const LEAST_WEIGHT: f64 = 0.1;
/// The seed of shares, which is no endpoint's.
const SHARES: u64 = 0x6361_6e61_7279_0001;

/// What a connection wants of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The one that this key belongs to.
    Key(u64),
    /// The one with the fewest connections; of several, the one that this key belongs to.
    Fewest(u64),
}

/// A connection that looks for its endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Seeker<'a> {
    /// What it wants.
    pub wish: Wish,
    /// The name of its listener.
    pub listener: &'a str,
    /// Where its device is.
    pub ip: IpAddr,
}

/// How well an endpoint suits a wish; the highest wins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Score(f64, f64);

impl Score {
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        let first = self.0.total_cmp(&other.0);
        first.then(self.1.total_cmp(&other.1))
    }
}

impl Wish {
    /// Whether it is among that share of all keys; of a larger share it still is.
    pub(super) fn is_among(self, share: f64) -> bool {
        let (Self::Key(key) | Self::Fewest(key)) = self;
        uniform(mixed(key) ^ SHARES) < share
    }

    /// How well the endpoint of this seed suits, which has so many connections. Weights are above zero.
    pub(super) fn score(self, seed: u64, weight: f64, connections: usize) -> Score {
        match self {
            Self::Key(key) => Score(drawn(seed, key, weight), 0.0),
            Self::Fewest(key) => {
                #[expect(clippy::cast_precision_loss, reason = "there are not 2^52 of them")]
                let fewest = -(connections as f64 + 1.0) / weight;
                Score(fewest, drawn(seed, key, weight))
            }
        }
    }
}

/// The number that an endpoint draws for a key, such that each wins in proportion to its weight.
fn drawn(seed: u64, key: u64, weight: f64) -> f64 {
    weight / -uniform(mixed(key) ^ seed).ln()
}

/// A number between 0 and 1 that these bits come to.
#[expect(clippy::cast_precision_loss, reason = "53 bits are what an f64 holds")]
fn uniform(bits: u64) -> f64 {
    ((mixed(bits) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// The weight of an endpoint that came so long ago.
pub(super) fn weight(since: Duration, slow_start: Duration) -> f64 {
    if since >= slow_start {
        return 1.0;
    }
    (since.as_secs_f64() / slow_start.as_secs_f64()).max(LEAST_WEIGHT)
}

/// What bytes come to as a key or seed: FNV-1a, mixed.
#[must_use]
pub fn key_of(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mixed(hash)
}

/// Spreads what differs in one bit over all 64 (the end of `SplitMix64`).
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const OLD: [(&str, f64); 2] = [("http://a:1", 1.0), ("http://b:1", 1.0)];
    const KEYS: u64 = 30_000;

    fn winner<'a>(endpoints: &[(&'a str, f64)], key: u64) -> &'a str {
        let scored = endpoints.iter().map(|(address, weight)| {
            let score = Wish::Key(key).score(key_of(address.as_bytes()), *weight, 0);
            (score, *address)
        });
        let best = scored.max_by(|(one, _), (other, _)| one.cmp(other));
        best.unwrap().1
    }

    /// How many keys in a hundred the third endpoint takes, and that nothing else moves.
    fn share_of_a_third(weight: f64) -> u64 {
        let new = [OLD[0], OLD[1], ("http://c:1", weight)];
        let moved = (0..KEYS).filter(|&key| {
            let (before, after) = (winner(&OLD, key), winner(&new, key));
            assert!(before == after || after == "http://c:1");
            before != after
        });
        moved.count() as u64 * 100 / KEYS
    }

    #[test]
    fn a_new_endpoint_takes_its_share_and_moves_nothing_else() {
        let share = share_of_a_third(1.0);
        assert!((32..=34).contains(&share), "{share} % moved");
    }

    #[test]
    fn a_slow_start_grows_to_the_whole_share() {
        let period = Duration::from_secs(10);
        let mut before = 0;
        for (seconds, expected) in [
            (0, 4..=5),
            (1, 4..=5),
            (3, 12..=14),
            (5, 19..=21),
            (10, 32..=34),
        ] {
            let weight = weight(Duration::from_secs(seconds), period);
            let share = share_of_a_third(weight);
            assert!(expected.contains(&share), "{share} % after {seconds} s");
            assert!(share >= before);
            before = share;
        }
        assert!((weight(Duration::ZERO, Duration::ZERO) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn keys_are_spread_evenly_over_many() {
        let names: Vec<String> = (0..50).map(|n| format!("http://10.0.0.{n}:9001")).collect();
        let endpoints: Vec<_> = names.iter().map(|name| (name.as_str(), 1.0)).collect();
        let mut counts = HashMap::new();
        for device in 0..KEYS {
            let key = key_of(format!("device-{device}").as_bytes());
            *counts.entry(winner(&endpoints, key)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 50);
        // 600 each; the deviation is about 24.
        assert!(
            counts.values().all(|count| (480..=720).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_share_is_what_it_says_and_a_larger_one_holds_it() {
        let among = |share| {
            let key = |device: u64| key_of(&device.to_be_bytes());
            let devices = (0..KEYS).filter(move |device| Wish::Key(key(*device)).is_among(share));
            devices.collect::<Vec<_>>()
        };
        assert!(among(0.0).is_empty());
        assert_eq!(among(1.0).len() as u64, KEYS);
        let (few, more) = (among(0.05), among(0.2));
        // 1,500 and 6,000; the deviations are about 38 and 69.
        assert!((1_300..1_700).contains(&few.len()), "{}", few.len());
        assert!((5_650..6_350).contains(&more.len()), "{}", more.len());
        assert!(few.iter().all(|device| more.contains(device)));
    }

    #[test]
    fn the_fewest_connections_win_whatever_the_key() {
        for key in 0..100 {
            let score = |address: &str, connections| {
                Wish::Fewest(key).score(key_of(address.as_bytes()), 1.0, connections)
            };
            let (busy, idle) = (score("http://a:1", 8), score("http://b:1", 7));
            assert_eq!(idle.cmp(&busy), Ordering::Greater);
        }
    }

    #[test]
    fn all_versions_agree() {
        // Worked out elsewhere.
        assert_eq!(key_of(b"http://a:1"), 0x8746_954d_c4bb_3c7a);
    }
}
