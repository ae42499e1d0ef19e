//! All handlers of a gateway: the endpoints of the handler, those of its canary, and which of them a connection goes to.

/// What they are like.
mod shown;

use std::{
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use config::HandlerSource;
use hickory_resolver::net::NetError;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    affinity::{Seeker, Wish},
    bound::Bound,
    budget::Budget,
    canary::Canary,
    discovery::{Source, Whose},
    ejection::Bench,
    endpoints::Endpoints,
    secure::Secure,
    settings::{Settings, Shared, Stats},
    stream::Identity,
};
use crate::tls;

/// Why endpoints cannot be found, or spoken to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file with their addresses cannot be used.
    #[error("{field}")]
    List {
        /// The setting that names it.
        field: &'static str,
        /// What is wrong with it.
        source: config::Error,
    },
    /// Certificates or keys cannot be used.
    #[error("handler.tls")]
    Tls(#[from] tls::Error),
    /// Names cannot be asked for.
    #[error(
        "{field}: cannot ask the servers of the system (/etc/resolv.conf); write {field}.nameservers"
    )]
    Dns {
        /// The setting that has the name.
        field: &'static str,
        /// What the resolver said.
        source: Box<NetError>,
    },
}

/// All handlers of a gateway. Clones are the same.
#[derive(Clone)]
pub struct Handlers(Arc<Inner>);

struct Inner {
    main: Endpoints,
    canary: Canary,
    shared: Arc<Shared>,
    /// Nobody is to wait for an endpoint any more.
    given_up: CancellationToken,
}

/// What a new configuration makes of the handlers, ready to be taken.
pub struct Prepared {
    main: Option<Source>,
    canary: Option<(config::Canary, Source)>,
}

impl Handlers {
    /// Starts to connect to every endpoint that is known, and to look for others. `whose` they are; `on_loss` is called
    /// each time an endpoint was lost. Within a runtime; blocks while files are read.
    ///
    /// # Errors
    /// What the configuration names and cannot be used.
    pub fn start(
        whose: Whose,
        config: &config::Handler,
        identity: Identity,
        on_loss: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            whose,
            settings: Arc::new(Settings::new(config, identity)),
            secure: Arc::new(Secure::new(&config.tls)),
            bench: Bench::new(config.ejection.max_share),
            budget: Arc::new(Budget::new(&config.retry_budget, Instant::now())),
            ready: Arc::new(Notify::new()),
            on_loss,
            stats: Arc::new(Stats::default()),
            stream_counts: Arc::default(),
            trial: None,
        });
        let handlers = Self(Arc::new(Inner {
            main: Endpoints::new(shared.clone()),
            canary: Canary::start(&shared),
            shared,
            given_up: CancellationToken::new(),
        }));
        let nothing = config::Handler {
            addresses: Vec::new(),
            ..config::Handler::default()
        };
        handlers.configure(handlers.prepare(&nothing, config)?);
        Ok(handlers)
    }

    /// Reads the files for nothing but to see whether they can be used, and tells which cannot.
    #[must_use]
    pub fn check(whose: Whose, config: &config::Handler) -> Vec<Error> {
        let lists = [
            (whose, Some(config.source())),
            (Whose::Canary, config.canary.source()),
        ];
        let lists = lists.into_iter().filter_map(|(whose, source)| {
            let in_file = source.filter(|source| matches!(source, HandlerSource::File(_)))?;
            Some(Source::read(whose, in_file, config.max_endpoints).map(drop))
        });
        let secure = Secure::check(&config.tls).map_err(Error::from);
        let named = config.tls != config::HandlerTls::default();
        let secure = Some(secure).filter(|_| named);
        lists.chain(secure).filter_map(Result::err).collect()
    }

    /// What a new configuration would find is made ready; what can fail does so here, and changes nothing. Blocks while
    /// files are read.
    ///
    /// # Errors
    /// What the configuration names and cannot be used.
    pub fn prepare(
        &self,
        current: &config::Handler,
        new: &config::Handler,
    ) -> Result<Prepared, Error> {
        let most = new.max_endpoints;
        let main = (current.source() != new.source())
            .then(|| Source::read(self.0.shared.whose, new.source(), most))
            .transpose()?;
        let canary = (current.canary != new.canary)
            .then(|| match new.canary.source() {
                Some(source) => Source::read(Whose::Canary, source, most),
                None => Ok(Source::none()),
            })
            .transpose()?;
        if [&main, &canary]
            .into_iter()
            .flatten()
            .any(Source::is_secure)
        {
            self.0.shared.secure.prepare()?;
        }
        Ok(Prepared {
            main,
            canary: canary.map(|source| (new.canary.clone(), source)),
        })
    }

    /// Takes what was prepared. Within a runtime.
    pub fn configure(&self, prepared: Prepared) {
        if let Some(source) = prepared.main {
            self.0.main.find_by(source);
        }
        if let Some((settings, source)) = prepared.canary {
            self.0.canary.configure(settings, source);
        }
    }

    /// Reads again what stands in these files, and tells what was read and what came of it. Blocks while they are read.
    #[must_use]
    pub fn refresh(&self, changed: &[PathBuf]) -> Vec<(&'static str, Result<(), Error>)> {
        let secure = &self.0.shared.secure;
        let secure = secure
            .concerns(changed)
            .then(|| ("certificates", secure.reload().map_err(Error::from)));
        let main = self.0.main.refresh(changed);
        let canary = self.0.canary.endpoints().refresh(changed);
        secure
            .into_iter()
            .chain(main.map(|read| ("handlers", read)))
            .chain(canary.map(|read| ("canary", read)))
            .collect()
    }

    /// Tells handlers that the pod is about to go, where they can be told.
    pub fn drain(&self, within: Duration) {
        self.0.main.drain(within);
        self.0.canary.endpoints().drain(within);
    }

    /// A place at the endpoint that suits best, which is the same as before wherever that still takes connections.
    #[must_use]
    pub fn bind(&self, seeker: Seeker<'_>) -> Option<Bound> {
        let canary = self.0.canary.bind(seeker);
        canary.or_else(|| self.0.main.bind(seeker.wish))
    }

    /// A place at the endpoint of that address, to tell it something; where it is not among those that are found any more,
    /// at another one, which `key` picks.
    #[must_use]
    pub fn bind_at(&self, address: &str, key: u64) -> Option<Bound> {
        let main = self.0.main.at(address);
        let known = main.or_else(|| self.0.canary.endpoints().at(address));
        match known {
            Some(endpoint) => endpoint.life().and_then(Bound::take),
            None => self.0.main.bind(Wish::Key(key)),
        }
    }

    /// As `bind`, but waits until an endpoint takes connections. `None` once everybody has given up.
    pub async fn wait(&self, seeker: Seeker<'_>) -> Option<Bound> {
        let found = async {
            loop {
                let mut ready = pin!(self.0.shared.ready.notified());
                ready.as_mut().enable();
                // Before it is asked, as the canary may be changed meanwhile: that is told to all who wait for `ready`.
                let mut canary_ready = pin!(self.0.canary.ready().notified());
                let may_go_there = self.0.canary.gets(seeker);
                if may_go_there {
                    canary_ready.as_mut().enable();
                }
                if let Some(bound) = self.bind(seeker) {
                    return bound;
                }
                tokio::select! {
                    () = ready => {}
                    () = canary_ready, if may_go_there => {}
                }
            }
        };
        self.0.given_up.run_until_cancelled(found).await
    }

    /// From now on nobody waits for an endpoint: the pod is about to end.
    pub fn give_up(&self) {
        let (ready, total) = self.ready();
        if ready == 0 {
            tracing::warn!(
                total,
                "no handler endpoint is ready; connections end untold"
            );
        }
        self.0.given_up.cancel();
    }

    /// Whether nobody waits any more.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.0.given_up.is_cancelled()
    }
}
