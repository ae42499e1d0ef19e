//! TLS to endpoints: what the files said when they were last read.

use std::{io, path::PathBuf, sync::Arc};

use arc_swap::ArcSwapOption;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::discovery::Target;
use crate::tls::{Error, client};

/// TLS to endpoints. Connections that stand are not touched by changed files.
pub(super) struct Secure {
    settings: config::HandlerTls,
    /// Not there before it is needed: trust in the system's authorities takes reading them all.
    current: ArcSwapOption<ClientConfig>,
}

impl Secure {
    pub(super) fn new(settings: &config::HandlerTls) -> Self {
        Self {
            settings: settings.clone(),
            current: ArcSwapOption::empty(),
        }
    }

    /// Reads the files, as they are needed from now on, unless that was done before. What is expired is used all the
    /// same and said loudly.
    pub(super) fn prepare(&self) -> Result<(), Error> {
        if self.current.load().is_none() {
            let (config, expired) = self.read()?;
            for error in expired {
                tracing::error!(%error, "handlers will refuse this gateway");
            }
            self.current.store(Some(Arc::new(config)));
        }
        Ok(())
    }

    /// Whether one of these files is of TLS, and it is in use.
    pub(super) fn concerns(&self, changed: &[PathBuf]) -> bool {
        let files = self.settings.files();
        self.current.load().is_some() && files.iter().any(|file| changed.contains(file))
    }

    /// Reads the files again. What is expired is refused.
    pub(super) fn reload(&self) -> Result<(), Error> {
        let (config, mut expired) = self.read()?;
        if !expired.is_empty() {
            return Err(expired.swap_remove(0));
        }
        self.current.store(Some(Arc::new(config)));
        Ok(())
    }

    /// Reads the files for nothing but to see whether they can be used.
    pub(super) fn check(settings: &config::HandlerTls) -> Result<(), Error> {
        Self::new(settings).read().map(drop)
    }

    fn read(&self) -> Result<(ClientConfig, Vec<Error>), Error> {
        let (ca_file, certificate) = (&self.settings.ca_file, &self.settings.certificate);
        let (mut config, expired) = client::config(ca_file.as_deref(), certificate.as_ref())?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Whoever restarted with other files is looked at anew.
        config.resumption = rustls::client::Resumption::disabled();
        Ok((config, expired))
    }

    /// Shakes hands as the client of `target`.
    pub(super) async fn connect(
        &self,
        target: &Target,
        tcp: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let config = self.current.load_full();
        let config = config.ok_or_else(|| io::Error::other("the files of TLS were not read"))?;
        let name = match &self.settings.server_name {
            Some(name) => name.of_certificate(),
            None => target.certified_name(),
        };
        let server = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config).connect(server, tcp).await;
        stream.map_err(|error| {
            io::Error::new(error.kind(), format!("TLS to \"{name}\" failed: {error}"))
        })
    }
}
