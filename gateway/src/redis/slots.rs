//! The slots of Redis Cluster: which one a key is in. They group channels in every mode, so that pods see the same.

use std::fmt;

/// How many there are.
pub const SLOTS: u16 = 16_384;

/// The slot of a key or channel: that of the text between the first braces, where there is some.
#[must_use]
pub fn slot_of(key: &[u8]) -> u16 {
    crc16(tag(key)) % SLOTS
}

fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else {
        return key;
    };
    let rest = &key[open + 1..];
    match rest.iter().position(|&byte| byte == b'}') {
        Some(length @ 1..) => &rest[..length],
        _ => key,
    }
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (crc << 8) ^ TABLE[usize::from((crc >> 8) ^ u16::from(byte))]
    })
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "it is below 256")]
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc << 1) ^ (0x1021 * (crc >> 15));
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// A set of slots.
#[derive(Clone, PartialEq, Eq)]
pub struct Slots(Box<[u64; Self::WORDS]>);

impl Slots {
    const WORDS: usize = SLOTS as usize / 64;

    /// None of them.
    #[must_use]
    pub fn none() -> Self {
        Self(Box::new([0; Self::WORDS]))
    }

    /// All of them, as with one server.
    #[must_use]
    pub fn all() -> Self {
        Self(Box::new([u64::MAX; Self::WORDS]))
    }

    /// Whether the slot is one of them.
    #[must_use]
    pub fn contains(&self, slot: u16) -> bool {
        self.0[usize::from(slot / 64)] >> (slot % 64) & 1 == 1
    }

    /// Whether the slot of this key or channel is one of them.
    #[must_use]
    pub fn hold(&self, key: &[u8]) -> bool {
        self.contains(slot_of(key))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Adds one.
    pub fn insert(&mut self, slot: u16) {
        self.0[usize::from(slot / 64)] |= 1 << (slot % 64);
    }

    /// Adds those.
    pub fn add(&mut self, others: &Self) {
        for (word, other) in self.0.iter_mut().zip(&*others.0) {
            *word |= other;
        }
    }

    /// Takes those away.
    pub fn remove(&mut self, others: &Self) {
        for (word, other) in self.0.iter_mut().zip(&*others.0) {
            *word &= !other;
        }
    }

    /// Keeps only those that are in both.
    pub fn keep(&mut self, others: &Self) {
        for (word, other) in self.0.iter_mut().zip(&*others.0) {
            *word &= other;
        }
    }

    /// Each of them, from the least.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        let filled = (0..).zip(self.0.iter()).filter(|(_, word)| **word != 0);
        filled.flat_map(|(index, word)| {
            let of_word = move |bit: &u16| word >> bit & 1 == 1;
            (0..64).filter(of_word).map(move |bit| index * 64 + bit)
        })
    }
}

impl FromIterator<u16> for Slots {
    fn from_iter<I: IntoIterator<Item = u16>>(slots: I) -> Self {
        let mut all = Self::none();
        for slot in slots {
            all.insert(slot);
        }
        all
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Slots({})", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_slots_that_redis_says() {
        // By CLUSTER KEYSLOT.
        for (key, slot) in [
            ("", 0),
            ("123456789", 12739),
            ("foo", 12182),
            ("{foo}bar", 12182),
            ("x{foo}{bar}", 12182),
            ("foo{}{bar}", 8363),
        ] {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
    }

    #[test]
    fn sets_are_added_and_taken_away() {
        let mut slots: Slots = [0, 63, 64, SLOTS - 1].into_iter().collect();
        assert_eq!(slots.iter().collect::<Vec<_>>(), [0, 63, 64, 16_383]);
        slots.remove(&[63, 64].into_iter().collect());
        assert_eq!(slots.count(), 2);
        slots.keep(&[0, 1].into_iter().collect());
        assert!(slots.contains(0) && slots.count() == 1);
        slots.add(&Slots::all());
        assert_eq!(slots, Slots::all());
    }
}
