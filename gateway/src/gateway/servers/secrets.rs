//! What the adapter and the management API read from files: certificates, and the tokens of their callers. Read for a
//! start, and again when they change; what cannot be used then is said, and what was in use stays.

use std::{path::PathBuf, sync::Arc};

use config::Config;

use super::super::Error;
use crate::{
    callers::Callers,
    door::Security,
    metrics::Metrics,
    tokens::{self, Tokens},
};

const ADAPTER: &str = "adapter";
const MANAGEMENT: &str = "management";
const CALLERS: &str = "adapter.callers";
const MANAGEMENT_TOKENS: &str = "management.token_file";

/// The servers' secrets, as last read.
pub(in crate::gateway) struct Servers {
    adapter: Arc<Security>,
    callers: Option<Arc<Callers>>,
    management: Arc<Security>,
    management_tokens: Option<Arc<Tokens>>,
    metrics: Arc<Metrics>,
}

impl Servers {
    pub(in crate::gateway) fn load(config: &Config, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let servers = Self {
            adapter: Arc::new(adapter(config)?),
            callers: callers(config)?.map(Arc::new),
            management: Arc::new(management(config)?),
            management_tokens: management_tokens(config)?.map(Arc::new),
            metrics,
        };
        let adapter = &config.adapter;
        let tokens = adapter
            .callers
            .iter()
            .any(|caller| caller.token_file.is_some());
        if tokens && adapter.tls.certificate.is_none() && !adapter.bind.is_loopback() {
            tracing::warn!(
                bind = %adapter.bind,
                "the adapter has no TLS: whoever can read the network reads the tokens of its callers; write adapter.tls.certificate"
            );
        }
        Ok(servers)
    }

    /// All that cannot be used.
    pub(in crate::gateway) fn check(config: &Config) -> impl Iterator<Item = Error> {
        let each = [
            adapter(config).map(drop),
            callers(config).map(drop),
            management(config).map(drop),
            management_tokens(config).map(drop),
        ];
        each.into_iter().filter_map(Result::err)
    }

    /// The files of a configuration.
    pub(in crate::gateway) fn files_of(config: &Config) -> impl Iterator<Item = PathBuf> {
        let (adapter, management) = (&config.adapter, &config.management);
        let mut files = adapter.tls.files();
        files.extend(Callers::files(adapter));
        if management.is_on() {
            files.extend(management.tls.files());
            files.extend(management.token_file.clone());
        }
        files.into_iter()
    }

    /// Reads again what has one of these files.
    pub(in crate::gateway) fn refresh(&self, changed: &[PathBuf]) {
        for security in [&self.adapter, &self.management] {
            if security.files().iter().any(|file| changed.contains(file)) {
                let reloaded = security.reload().map_err(anyhow::Error::from);
                self.say("certificates", security.server(), reloaded);
            }
        }
        for (field, tokens) in self.tokens() {
            if tokens.files().iter().any(|file| changed.contains(file)) {
                let reloaded = tokens.reload().map_err(anyhow::Error::from);
                self.say("tokens", field, reloaded);
            }
        }
    }

    fn say(&self, what: &'static str, whose: &str, reloaded: anyhow::Result<()>) {
        self.metrics.reloaded(what, reloaded.is_ok());
        match reloaded {
            Ok(()) => tracing::info!(whose, "took changed {what}"),
            Err(error) => tracing::error!(
                whose,
                error = format!("{error:#}"),
                "cannot use changed {what}; the old ones stay in use"
            ),
        }
    }

    fn tokens(&self) -> impl Iterator<Item = (&'static str, &Tokens)> {
        let callers = self
            .callers
            .iter()
            .map(|callers| (CALLERS, callers.tokens()));
        let management = self.management_tokens.iter();
        callers.chain(management.map(|tokens| (MANAGEMENT_TOKENS, &**tokens)))
    }

    /// The adapter's handshakes.
    pub(super) fn adapter(&self) -> Arc<Security> {
        self.adapter.clone()
    }

    /// Who may call the adapter.
    pub(super) fn callers(&self) -> Option<Arc<Callers>> {
        self.callers.clone()
    }

    /// The handshakes of the management API.
    pub(super) fn management(&self) -> Arc<Security> {
        self.management.clone()
    }

    /// Who may use the management API.
    pub(in crate::gateway) fn management_tokens(&self) -> Option<Arc<Tokens>> {
        self.management_tokens.clone()
    }

    /// What is counted at the servers.
    pub(in crate::gateway) fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }
}

fn adapter(config: &Config) -> Result<Security, Error> {
    let security = Security::load(ADAPTER, &config.adapter.tls, "h2");
    security.map_err(|source| Error::Server {
        server: ADAPTER,
        source,
    })
}

fn callers(config: &Config) -> Result<Option<Callers>, Error> {
    Callers::load(&config.adapter).map_err(|source| Error::Tokens {
        field: CALLERS,
        source,
    })
}

/// Where the API is off, its files need not be there.
fn management(config: &Config) -> Result<Security, Error> {
    let off = config::ServerTls::default();
    let tls = if config.management.is_on() {
        &config.management.tls
    } else {
        &off
    };
    let security = Security::load(MANAGEMENT, tls, "http/1.1");
    security.map_err(|source| Error::Server {
        server: MANAGEMENT,
        source,
    })
}

fn management_tokens(config: &Config) -> Result<Option<Tokens>, Error> {
    let file = config.management.token_file.clone();
    let tokens = file.map(|file| Tokens::load(vec![file])).transpose();
    tokens.map_err(|source: tokens::Error| Error::Tokens {
        field: MANAGEMENT_TOKENS,
        source,
    })
}
