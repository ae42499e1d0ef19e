//! Records of an established session, under the keys that OpenSSL has agreed on (RFC 5246, sections 5 and 6; RFC 6347,
//! section 4.1; RFC 5288 for GCM, 6655 for CCM, 7905 for ChaCha20). All ciphers are OpenSSL's.

use openssl::{
    cipher::{Cipher, CipherRef},
    cipher_ctx::CipherCtx,
    error::ErrorStack,
    ssl::SslRef,
};
use ring::hmac;

use super::{
    pipe::Sent,
    record::{self, Record},
};
use crate::tls::psk::wipe;

/// What comes after the only handshake of a session.
const EPOCH: u16 = 1;
/// How many numbers of records before the highest are told apart.
const WINDOW: u64 = 64;
/// In front of each record of a cipher that has it.
const EXPLICIT_NONCE: usize = 8;

/// What a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Alert,
    ApplicationData,
    /// Another handshake, or the end of the last one once more.
    Other(u8),
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Alert => 21,
            Self::ApplicationData => 23,
            Self::Other(byte) => byte,
        }
    }
}

impl From<u8> for Kind {
    fn from(byte: u8) -> Self {
        match byte {
            21 => Self::Alert,
            23 => Self::ApplicationData,
            other => Self::Other(other),
        }
    }
}

/// Keys, and the numbers of records in both directions.
pub(super) struct Protection {
    suite: Suite,
    seal: Keys,
    open: Keys,
    /// What records to the device have used up.
    sent: Sent,
    window: Window,
}

/// What a cipher suite means for records.
#[derive(Clone, Copy)]
struct Suite {
    cipher: &'static CipherRef,
    is_ccm: bool,
    tag: usize,
    /// Bytes of the nonce that come from the handshake.
    salt: usize,
    hash: hmac::Algorithm,
}

impl Suite {
    /// By its name with IANA; `None` for those with CBC.
    fn named(name: &str) -> Option<Self> {
        let (cipher, tag, salt) = if name.contains("CHACHA20_POLY1305") {
            (Cipher::chacha20_poly1305(), 16, 12)
        } else if name.contains("AES_128_GCM") {
            (Cipher::aes_128_gcm(), 16, 4)
        } else if name.contains("AES_256_GCM") {
            (Cipher::aes_256_gcm(), 16, 4)
        } else if name.contains("AES_128_CCM") {
            (Cipher::aes_128_ccm(), ccm_tag(name), 4)
        } else if name.contains("AES_256_CCM") {
            (Cipher::aes_256_ccm(), ccm_tag(name), 4)
        } else {
            return None;
        };
        let is_ccm = name.contains("_CCM");
        let hash = if name.ends_with("SHA384") {
            hmac::HMAC_SHA384
        } else {
            hmac::HMAC_SHA256
        };
        Some(Self {
            cipher,
            is_ccm,
            tag,
            salt,
            hash,
        })
    }

    /// `into` gets as many bytes as there are in `plain`, and then the tag.
    fn encrypt(
        &self,
        (key, nonce): (&[u8], &[u8]),
        additional: &[u8],
        plain: &[u8],
        into: &mut [u8],
    ) -> Result<(), ErrorStack> {
        let mut context = CipherCtx::new()?;
        context.encrypt_init(Some(self.cipher), None, None)?;
        context.set_iv_length(nonce.len())?;
        if self.is_ccm {
            context.set_tag_length(self.tag)?;
        }
        context.encrypt_init(None, Some(key), Some(nonce))?;
        if self.is_ccm {
            context.set_data_len(plain.len())?;
        }
        context.cipher_update(additional, None)?;
        let (sealed, tag) = into.split_at_mut(plain.len());
        context.cipher_update(plain, Some(sealed))?;
        context.cipher_final(&mut [])?;
        context.tag(tag)
    }

    /// Fails where the tag is not that of the key, the number and the content.
    fn decrypt(
        &self,
        (key, nonce): (&[u8], &[u8]),
        additional: &[u8],
        (sealed, tag): (&[u8], &[u8]),
    ) -> Result<Vec<u8>, ErrorStack> {
        let mut context = CipherCtx::new()?;
        context.decrypt_init(Some(self.cipher), None, None)?;
        context.set_iv_length(nonce.len())?;
        context.set_tag(tag)?;
        context.decrypt_init(None, Some(key), Some(nonce))?;
        if self.is_ccm {
            context.set_data_len(sealed.len())?;
        }
        context.cipher_update(additional, None)?;
        let mut plain = vec![0; sealed.len()];
        context.cipher_update(sealed, Some(&mut plain))?;
        // CCM has checked the tag already.
        if !self.is_ccm {
            context.cipher_final(&mut [])?;
        }
        Ok(plain)
    }

    /// Bytes of the nonce that stand in the record.
    fn explicit(&self) -> usize {
        if self.salt == 4 { EXPLICIT_NONCE } else { 0 }
    }
}

fn ccm_tag(name: &str) -> usize {
    if name.ends_with("_8") { 8 } else { 16 }
}

/// Of one direction. Overwritten when dropped.
struct Keys {
    key: Vec<u8>,
    salt: Vec<u8>,
}

impl Drop for Keys {
    fn drop(&mut self) {
        wipe(&mut self.key);
        wipe(&mut self.salt);
    }
}

impl Keys {
    fn nonce(&self, number: [u8; 8]) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&number);
        for (byte, salt) in nonce.iter_mut().zip(&self.salt) {
            *byte ^= salt;
        }
        nonce
    }
}

impl Protection {
    /// The protection of a session whose handshake is done: `sent` is what our records have used up, `window` has the
    /// device's. `None` if the cipher has none of this kind.
    pub(super) fn take_over(ssl: &SslRef, sent: Sent, window: Window) -> Option<Self> {
        let suite = Suite::named(ssl.current_cipher()?.standard_name()?)?;
        let (mut master, mut randoms) = ([0; 48], [0; 64]);
        // The server's comes first here.
        let (server, client) = randoms.split_at_mut(32);
        if ssl.server_random(server) != 32 || ssl.client_random(client) != 32 {
            return None;
        }
        if ssl.session()?.master_key(&mut master) != master.len() {
            return None;
        }
        let (key, salt) = (suite.cipher.key_length(), suite.salt);
        let mut block = vec![0; 2 * (key + salt)];
        expand(suite.hash, &master, &randoms, &mut block);
        wipe(&mut master);
        let mut rest = &block[..];
        let mut take = |length| {
            let (part, others) = rest.split_at(length);
            rest = others;
            part.to_vec()
        };
        // Keys of the device, ours, and salts in the same order.
        let (open, seal) = (take(key), take(key));
        let (open_salt, seal_salt) = (take(salt), take(salt));
        wipe(&mut block);
        Some(Self {
            suite,
            seal: Keys {
                key: seal,
                salt: seal_salt,
            },
            open: Keys {
                key: open,
                salt: open_salt,
            },
            sent,
            window,
        })
    }

    /// One record, which is a datagram. `None` once all numbers are used up, after 2^48 records.
    pub(super) fn seal(&mut self, kind: Kind, plain: &[u8]) -> Option<Vec<u8>> {
        if self.sent.next > record::LAST {
            return None;
        }
        let number = number(self.sent.next);
        self.sent.next += 1;
        // Each is used once: it goes on where OpenSSL's end.
        self.sent.nonce = self.sent.nonce.wrapping_add(1);
        let shown = self.sent.nonce.to_be_bytes();
        let (explicit, nonce) = match self.suite.explicit() {
            0 => (&shown[..0], self.seal.nonce(number)),
            length => (&shown[..length], self.seal.nonce(shown)),
        };
        let length = explicit.len() + plain.len() + self.suite.tag;
        let mut datagram = Vec::with_capacity(record::HEADER + length);
        datagram.extend([kind.byte(), 0xfe, 0xfd]);
        datagram.extend(number);
        let length = u16::try_from(length).expect("a record has 16 KiB and a little more");
        datagram.extend(length.to_be_bytes());
        datagram.extend(explicit);
        let start = datagram.len();
        datagram.resize(start + plain.len() + self.suite.tag, 0);
        let additional = additional(kind, number, plain.len());
        let with = (&*self.seal.key, &nonce[..]);
        let into = &mut datagram[start..];
        let sealed = self.suite.encrypt(with, &additional, plain, into);
        sealed.expect("keys and nonces have the lengths of their cipher");
        Some(datagram)
    }

    /// What the records of a datagram carry. Those that are forged, garbled, old or repeated are left out.
    pub(super) fn open(&mut self, datagram: &[u8]) -> Vec<(Kind, Vec<u8>)> {
        let mut opened = Vec::new();
        for record in record::all(datagram) {
            opened.extend(self.open_one(&record));
        }
        opened
    }

    fn open_one(&mut self, record: &Record<'_>) -> Option<(Kind, Vec<u8>)> {
        let is_new = record.epoch == EPOCH && self.window.is_new(record.number);
        if !is_new || record.version != [0xfe, 0xfd] {
            return None;
        }
        let number = number(record.number);
        let explicit = self.suite.explicit();
        let (shown, rest) = record.payload.split_at_checked(explicit)?;
        let sealed = rest.len().checked_sub(self.suite.tag)?;
        let sealed = rest.split_at(sealed);
        // The nonce in the record is what it says, by most senders the number of the record.
        let nonce = if explicit > 0 {
            self.open.nonce(shown.try_into().ok()?)
        } else {
            self.open.nonce(number)
        };
        let kind = Kind::from(record.kind);
        let additional = additional(kind, number, sealed.0.len());
        let with = (&*self.open.key, &nonce[..]);
        let plain = self.suite.decrypt(with, &additional, sealed).ok()?;
        self.window.mark(record.number);
        Some((kind, plain))
    }
}

/// Epoch and number, as they stand in a record.
fn number(of: u64) -> [u8; 8] {
    (u64::from(EPOCH) << 48 | of).to_be_bytes()
}

/// What is protected beside the content.
fn additional(kind: Kind, number: [u8; 8], length: usize) -> [u8; 13] {
    let mut all = [0; 13];
    all[..8].copy_from_slice(&number);
    all[8..11].copy_from_slice(&[kind.byte(), 0xfe, 0xfd]);
    // Longer ones are in no record.
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    all[11..].copy_from_slice(&length.to_be_bytes());
    all
}

/// The pseudo-random function of TLS 1.2 (RFC 5246, section 5), for the keys of records.
fn expand(hash: hmac::Algorithm, secret: &[u8], randoms: &[u8], into: &mut [u8]) {
    let key = hmac::Key::new(hash, secret);
    let seed = [b"key expansion", randoms].concat();
    let mut a = hmac::sign(&key, &seed);
    for part in into.chunks_mut(a.as_ref().len()) {
        let mut context = hmac::Context::with_key(&key);
        context.update(a.as_ref());
        context.update(&seed);
        part.copy_from_slice(&context.sign().as_ref()[..part.len()]);
        a = hmac::sign(&key, a.as_ref());
    }
}

/// Which numbers have come (RFC 6347, section 4.1.2.6).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    highest: u64,
    /// Bit 0 stands for `highest`, bit n for n before it.
    seen: u64,
}

impl Window {
    fn is_new(&self, number: u64) -> bool {
        match self.highest.checked_sub(number) {
            None => true,
            Some(age) => age < WINDOW && self.seen >> age & 1 == 0,
        }
    }

    pub(super) fn mark(&mut self, number: u64) {
        if let Some(age) = self.highest.checked_sub(number) {
            // One that is older than the window is not new anyway.
            self.seen |= u32::try_from(age)
                .ok()
                .and_then(|age| 1_u64.checked_shl(age))
                .unwrap_or(0);
            return;
        }
        let ahead = u32::try_from(number - self.highest).ok();
        let before = ahead.and_then(|ahead| self.seen.checked_shl(ahead));
        self.seen = before.unwrap_or(0) | 1;
        self.highest = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_takes_each_number_once_and_old_ones_never() {
        let mut window = Window::default();
        assert!(window.is_new(0) && window.is_new(10));
        for number in [10, 12, 11, 9, 20, 74] {
            assert!(window.is_new(number), "{number}");
            window.mark(number);
            assert!(!window.is_new(number), "{number}");
        }
        assert!(window.is_new(13) && !window.is_new(12) && !window.is_new(11) && !window.is_new(9));
        window.mark(1000);
        window.mark(3);
        assert!(!window.is_new(74) && !window.is_new(1000 - 64) && window.is_new(1000 - 63));
        window.mark(u64::MAX >> 16);
        assert!(!window.is_new(1000));
    }

    #[test]
    fn suites_are_known_by_their_names() {
        for (name, tag, explicit) in [
            ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 16, 8),
            ("TLS_PSK_WITH_AES_128_CCM_8", 8, 8),
            ("TLS_PSK_WITH_AES_256_CCM", 16, 8),
            ("TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", 16, 0),
        ] {
            let suite = Suite::named(name).unwrap();
            assert_eq!((suite.tag, suite.explicit()), (tag, explicit), "{name}");
        }
        assert!(Suite::named("TLS_PSK_WITH_AES_128_CBC_SHA256").is_none());
    }
}
