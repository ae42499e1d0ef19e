//! Keys shared with devices, by identity, as a file tells them. TLS and DTLS use the same.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    hint,
    path::Path,
};

use super::Error;
use crate::files::{self, Limit};

/// What OpenSSL asks during a handshake, and what it is told.
mod answer;
/// TLS with shared keys.
mod context;

pub use self::answer::{Asked, answer, asked};
pub(super) use self::context::context;
pub(crate) use self::context::{CIPHERS, set_ciphers, share_keys};

/// The longest identity: what OpenSSL 1.1 takes, too.
pub const LONGEST_IDENTITY: usize = 128;
/// The longest key in bytes: what OpenSSL 1.1 takes, too.
pub const LONGEST_KEY: usize = 256;

/// The largest file that is read; places in it are numbers of 32 bits.
const LARGEST: Limit = Limit::mib(4095, "keep the file below 4 GiB");

/// The shared keys of a file. A million of them takes some 60 MiB. What it takes to find one tells nobody which
/// identities there are. The memory is overwritten in the end.
pub struct PskStore {
    /// Identity and key of each entry, without anything in between.
    bytes: Vec<u8>,
    /// In the order of their hashes.
    entries: Vec<Entry>,
    hasher: RandomState,
}

struct Entry {
    hash: u64,
    at: u32,
    key: u16,
    identity: u8,
}

impl PskStore {
    /// Reads a file. Blocks for as long as that takes.
    ///
    /// # Errors
    /// The file cannot be read, or one of its lines; the key is not shown.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut text = files::read(path, LARGEST)?;
        let store = Self::parse(&text);
        wipe(&mut text);
        store.map_err(|(line, problem)| Error::Psk {
            path: path.into(),
            line,
            problem,
        })
    }

    /// From the text of a file; errors are lines, from 1.
    fn parse(text: &[u8]) -> Result<Self, (usize, Problem)> {
        // All that is allocated is allocated once: a vector that grows leaves keys behind.
        let lines = text.split(|byte| *byte == b'\n');
        let mut store = Self {
            bytes: Vec::with_capacity(text.len()),
            entries: Vec::with_capacity(lines.clone().count()),
            hasher: RandomState::new(),
        };
        for (place, line) in lines.enumerate() {
            store
                .add(line.trim_ascii())
                .map_err(|problem| (place + 1, problem))?;
        }
        store.sort();
        match store.twin() {
            Some(twin) => Err(line_of_second(text, twin)),
            None => Ok(store),
        }
    }

    fn add(&mut self, line: &[u8]) -> Result<(), Problem> {
        let Some((identity, key)) = split(line)? else {
            return Ok(());
        };
        let entry = Entry {
            hash: self.hasher.hash_one(identity),
            at: u32::try_from(self.bytes.len()).expect("the file's size was looked at"),
            key: u16::try_from(key.len() / 2).map_err(|_| Problem::KeyLength)?,
            identity: u8::try_from(identity.len()).map_err(|_| Problem::IdentityLength)?,
        };
        self.bytes.extend(identity);
        let (pairs, _) = key.as_chunks::<2>();
        for [high, low] in pairs {
            let byte = digit(*high)
                .zip(digit(*low))
                .map(|(high, low)| high << 4 | low);
            self.bytes.push(byte.ok_or(Problem::NotHexadecimal)?);
        }
        self.entries.push(entry);
        Ok(())
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.entries.sort_unstable_by(|one, other| {
            let by_identity = || one.identity(bytes).cmp(other.identity(bytes));
            one.hash.cmp(&other.hash).then_with(by_identity)
        });
    }

    /// An identity that stands in the file twice.
    fn twin(&self) -> Option<&[u8]> {
        let mut pairs = self.entries.windows(2).map(|pair| {
            let [one, other] = pair else { return None };
            let identity = one.identity(&self.bytes);
            (one.hash == other.hash && identity == other.identity(&self.bytes)).then_some(identity)
        });
        pairs.find_map(|twin| twin)
    }

    /// The key of an identity.
    #[must_use]
    pub fn key(&self, identity: &[u8]) -> Option<&[u8]> {
        let hash = self.hasher.hash_one(identity);
        let from = self.entries.partition_point(|entry| entry.hash < hash);
        self.entries[from..]
            .iter()
            .take_while(|entry| entry.hash == hash)
            .find(|entry| entry.identity(&self.bytes) == identity)
            .map(|entry| entry.key(&self.bytes))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Entry {
    fn identity<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.at as usize..][..usize::from(self.identity)]
    }

    fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.at as usize + usize::from(self.identity)..][..usize::from(self.key)]
    }
}

impl fmt::Debug for PskStore {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        write!(to, "PskStore({} keys)", self.len())
    }
}

impl Drop for PskStore {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no colon in it.
    #[error("there is no \":\"; write IDENTITY:KEY, the key in hexadecimal digits")]
    NoColon,
    /// The identity is empty or too long.
    #[error("the identity is empty or longer than {LONGEST_IDENTITY} bytes")]
    IdentityLength,
    /// C would end the identity there.
    #[error("there is a byte of zero in the identity; remove it")]
    Zero,
    /// The key is empty or too long.
    #[error("the key is empty or longer than {LONGEST_KEY} bytes (two digits each)")]
    KeyLength,
    /// There is half a byte too much.
    #[error("the key has an odd number of digits; write two for each byte")]
    Odd,
    /// There is something else in the key.
    #[error("there is something in the key that is no hexadecimal digit")]
    NotHexadecimal,
    /// The identity is there already.
    #[error("the identity stands in line {0} already; remove one of them")]
    Twin(usize),
}

/// Identity, and digits of the key.
type Pair<'a> = (&'a [u8], &'a [u8]);

/// What stands in a line; `None` for a line that means nothing. Identities may have colons in them.
fn split(line: &[u8]) -> Result<Option<Pair<'_>>, Problem> {
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    let colon = line.iter().rposition(|byte| *byte == b':');
    let (identity, key) = line.split_at(colon.ok_or(Problem::NoColon)?);
    let (identity, key) = (identity.trim_ascii_end(), key[1..].trim_ascii_start());
    if identity.is_empty() || identity.len() > LONGEST_IDENTITY {
        Err(Problem::IdentityLength)
    } else if identity.contains(&0) {
        Err(Problem::Zero)
    } else if key.is_empty() || key.len() > 2 * LONGEST_KEY {
        Err(Problem::KeyLength)
    } else if key.len() % 2 != 0 {
        Err(Problem::Odd)
    } else {
        Ok(Some((identity, key)))
    }
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// Looked for only once it is known that there is one, so that no entry has to know its line.
fn line_of_second(text: &[u8], twin: &[u8]) -> (usize, Problem) {
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    let mut same = lines.filter_map(|(place, line)| {
        let (identity, _) = split(line.trim_ascii()).ok()??;
        (identity == twin).then_some(place + 1)
    });
    let (first, second) = (same.next().unwrap_or(1), same.next().unwrap_or(1));
    (second, Problem::Twin(first))
}

/// As well as safe Rust can: the compiler must take it that somebody reads the zeros.
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    hint::black_box(bytes);
}

#[cfg(test)]
mod tests;
