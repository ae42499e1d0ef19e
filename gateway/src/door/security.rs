//! What a server that is not for devices shows and wants in handshakes: read once, and again when its files change.

use std::path::PathBuf;

use arc_swap::ArcSwapOption;

use crate::tls::{Error, Secured};

/// The certificate of a server, and which callers' certificates it takes; or nothing, where it speaks plain TCP.
pub struct Security {
    server: &'static str,
    /// As a listener would have it.
    tls: config::Tls,
    secured: ArcSwapOption<Secured>,
}

impl Security {
    /// Reads the files, for a start: what is expired is used all the same, and said. `protocol` is what is spoken
    /// behind the handshake (ALPN).
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn load(
        server: &'static str,
        config: &config::ServerTls,
        protocol: &str,
    ) -> Result<Self, Error> {
        let tls = config.as_listener(protocol);
        let secured = if tls.certificates.is_empty() {
            None
        } else {
            let (secured, expired) = Secured::of_server(&tls)?;
            for error in expired {
                tracing::error!(server, %error, "callers will refuse this server, or it them");
            }
            Some(secured.into())
        };
        Ok(Self {
            server,
            tls,
            secured: ArcSwapOption::new(secured),
        })
    }

    /// Reads the files again; what is expired is refused. Those of before stay where one cannot be used.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
    pub fn reload(&self) -> Result<(), Error> {
        if self.tls.certificates.is_empty() {
            return Ok(());
        }
        let (secured, mut expired) = Secured::of_server(&self.tls)?;
        if !expired.is_empty() {
            return Err(expired.swap_remove(0));
        }
        self.secured.store(Some(secured.into()));
        Ok(())
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        crate::tls::files_of(&self.tls).cloned().collect()
    }

    /// The server's name, as in the configuration.
    #[must_use]
    pub fn server(&self) -> &'static str {
        self.server
    }

    /// What handshakes are made with, if there are any.
    pub(super) fn secured(&self) -> Option<Secured> {
        self.secured.load().as_deref().cloned()
    }
}
