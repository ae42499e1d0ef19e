//! What a listener shows and wants in its handshakes, as its transport has it.

use std::path::PathBuf;

use crate::tls;

/// Certificates and keys of a listener, as read from their files.
pub enum Security {
    /// Nothing: bytes are plain.
    None,
    /// TLS.
    Tls(tls::Secured),
    /// DTLS 1.2.
    Dtls(Box<super::dtls::Server>),
    /// DTLS 1.3.
    #[cfg(feature = "dtls13")]
    Dtls13(crate::dtls13::Context),
}

impl Security {
    /// Reads what the listener's transport needs, for its start: what has expired is used and said.
    pub fn load(listener: &config::Listener) -> Result<Self, tls::Error> {
        Self::read(listener, tls::Secured::load)
    }

    /// Reads it again while something else is in use: what has expired is refused.
    pub fn reload(listener: &config::Listener) -> Result<Self, tls::Error> {
        Self::read(listener, tls::Secured::reload)
    }

    fn read(
        listener: &config::Listener,
        secured: impl Fn(&config::Listener) -> Result<tls::Secured, tls::Error>,
    ) -> Result<Self, tls::Error> {
        Ok(match listener.transport {
            config::Transport::Tls | config::Transport::Wss => Self::Tls(secured(listener)?),
            config::Transport::Dtls => {
                if !listener.tls.certificates.is_empty() {
                    // For its checks, which are the same.
                    secured(listener)?;
                }
                if listener.dtls.versions.contains(&config::DtlsVersion::V1_3) {
                    Self::dtls13(listener)?
                } else {
                    Self::Dtls(Box::new(super::dtls::Server::load(listener)?))
                }
            }
            _ => Self::None,
        })
    }

    #[cfg(feature = "dtls13")]
    fn dtls13(listener: &config::Listener) -> Result<Self, tls::Error> {
        crate::dtls13::Context::load(listener).map(Self::Dtls13)
    }

    #[cfg(not(feature = "dtls13"))]
    fn dtls13(_: &config::Listener) -> Result<Self, tls::Error> {
        Err(tls::Error::NotBuilt)
    }
}

/// The files that [`Security::load`] reads.
#[must_use]
pub fn files(listener: &config::Listener) -> Vec<PathBuf> {
    if listener.transport.is_secure() {
        tls::files(listener)
    } else {
        Vec::new()
    }
}
