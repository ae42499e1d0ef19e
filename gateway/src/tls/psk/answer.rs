//! What OpenSSL asks during a handshake with a shared key, and what it is told.

use std::sync::LazyLock;

use openssl::{
    error::ErrorStack,
    ex_data::Index,
    ssl::{Ssl, SslRef},
};

use super::PskStore;

/// The identity that a device has named last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The identity.
    pub identity: Vec<u8>,
    /// Whether there is a key for it.
    pub known: bool,
}

/// OpenSSL's number of our place in its objects, of which there is one for a whole process.
static ASKED: LazyLock<Index<Ssl, Asked>> =
    LazyLock::new(|| Ssl::new_ex_index().expect("OpenSSL has memory for one more index"));

/// For `set_psk_server_callback`: writes the key of the identity into `into` and tells its length; 0 where there is
/// none, which OpenSSL answers with the alert `unknown_psk_identity`.
///
/// # Errors
/// Never; OpenSSL's binding wants the type.
pub fn answer(
    store: &PskStore,
    ssl: &mut SslRef,
    identity: Option<&[u8]>,
    into: &mut [u8],
) -> Result<usize, ErrorStack> {
    let identity = identity.unwrap_or_default();
    let key = store.key(identity).unwrap_or_default();
    let room = into.get_mut(..key.len());
    let length = room.map_or(0, |room| {
        room.copy_from_slice(key);
        room.len()
    });
    let asked = Asked {
        identity: identity.to_vec(),
        known: length > 0,
    };
    ssl.set_ex_data(*ASKED, asked);
    Ok(length)
}

/// The identity that the device has named, if it came so far.
#[must_use]
pub fn asked(ssl: &SslRef) -> Option<&Asked> {
    ssl.ex_data(*ASKED)
}
