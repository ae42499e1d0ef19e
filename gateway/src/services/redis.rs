//! A Redis server that is asked. It is connected to with the first question, and again whenever that is lost, has
//! become silent, or was refused.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use redis::{
    ClientTlsConfig, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, TlsCertificates,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::TcpSettings,
};
use socket2::TcpKeepalive;
use tokio::time::{Instant, timeout};

use super::{Error, secret};
use crate::tls::pem;

/// Attempts to connect before a question is given up; the next question tries again.
const RETRIES: usize = 1;
/// Questions that may be under way at a time.
const CONCURRENT: usize = 1024;

/// The least time between two new connections after failures that the library does not mend by itself.
const RENEWAL: Duration = Duration::from_secs(1);
/// The most fields of a hash that are read.
const MOST_FIELDS: usize = 10_000;
/// When the system asks a silent server whether it is there, and how often then.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// One server, as its settings say. Clones are the same.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    client: redis::Client,
    settings: ConnectionManagerConfig,
    manager: ArcSwap<ConnectionManager>,
    /// When it was last replaced.
    renewed: Mutex<Instant>,
    address: Arc<str>,
    timeout: Duration,
}

/// Why Redis has not answered.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// Nothing came in time.
    #[error("Redis at {address} did not answer within {limit:?}")]
    TimedOut {
        /// Whom we asked.
        address: Arc<str>,
        /// How long we waited.
        limit: Duration,
    },
    /// The hash has more fields than are read.
    #[error("the hash in Redis at {address} has {fields} fields; at most {MOST_FIELDS} are read")]
    TooLarge {
        /// Whom we asked.
        address: Arc<str>,
        /// How many it has.
        fields: usize,
    },
    /// It cannot be reached, or refuses.
    #[error("cannot ask Redis at {address}")]
    Failed {
        /// Whom we asked.
        address: Arc<str>,
        /// What the library said.
        source: redis::RedisError,
    },
}

impl Redis {
    /// Reads the files that the settings name; connects to nothing yet. Blocks for as long as they take to read.
    pub fn new(config: &config::RedisServer) -> Result<Self, Error> {
        let failed = |source: redis::RedisError| Error::Client {
            what: "Redis",
            source: source.into(),
        };
        let (host, port) = (config.url.host().to_owned(), config.url.port());
        let address = if config.url.is_secure() {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let mut login = RedisConnectionInfo::default().set_db(config.url.database());
        if let Some(username) = &config.username {
            login = login.set_username(username);
        }
        if let Some(path) = &config.password_file {
            login = login.set_password(secret(path)?);
        }
        let info = address.into_connection_info().map_err(failed)?;
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE);
        let tcp = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(keepalive)
            // A server that takes nothing for so long is gone: its node may have died without a word.
            .set_user_timeout(config.timeout * 2);
        let info = info.set_redis_settings(login).set_tcp_settings(tcp);
        if !config.url.is_secure() && !config.url.is_local() {
            let address = config.url.to_string();
            tracing::warn!(
                address,
                "what Redis is asked and answers can be read and changed on its way; write rediss://"
            );
        }
        let client = if config.url.is_secure() {
            // Redis' client takes whatever provider is there.
            let _ = rustls::crypto::ring::default_provider().install_default();
            redis::Client::build_with_tls(info, certificates(config)?)
        } else {
            redis::Client::open(info)
        };
        let settings = ConnectionManagerConfig::new()
            .set_number_of_retries(RETRIES)
            .set_connection_timeout(Some(config.timeout))
            .set_response_timeout(Some(config.timeout))
            .set_concurrency_limit(CONCURRENT);
        let client = client.map_err(failed)?;
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), settings.clone());
        Ok(Self(Arc::new(Inner {
            client,
            settings,
            manager: ArcSwap::from_pointee(manager.map_err(failed)?),
            renewed: Mutex::new(Instant::now()),
            address: config.url.to_string().into(),
            timeout: config.timeout,
        })))
    }

    /// The files that [`Redis::new`] reads.
    #[must_use]
    pub fn files(config: &config::RedisServer) -> Vec<PathBuf> {
        let certificate = config.certificate.iter();
        certificate
            .flat_map(|each| [&each.chain, &each.key])
            .chain(&config.ca_file)
            .chain(&config.password_file)
            .cloned()
            .collect()
    }

    /// All fields of a hash; empty where there is no such key.
    pub async fn hash(&self, key: &str) -> Result<HashMap<String, String>, RedisError> {
        let mut connection = (**self.0.manager.load()).clone();
        let address = || self.0.address.clone();
        let asked = async {
            let fields: usize = redis::cmd("HLEN")
                .arg(key)
                .query_async(&mut connection)
                .await?;
            if fields > MOST_FIELDS {
                return Ok(Err(fields));
            }
            let mut all = redis::cmd("HGETALL");
            all.arg(key).query_async(&mut connection).await.map(Ok)
        };
        match timeout(self.0.timeout, asked).await {
            Ok(Ok(Ok(fields))) => Ok(fields),
            Ok(Ok(Err(fields))) => Err(RedisError::TooLarge {
                address: address(),
                fields,
            }),
            Ok(Err(source)) => {
                if !is_about_the_question(&source) {
                    self.renew();
                }
                Err(RedisError::Failed {
                    address: address(),
                    source,
                })
            }
            Err(_) => {
                self.renew();
                Err(RedisError::TimedOut {
                    address: address(),
                    limit: self.0.timeout,
                })
            }
        }
    }

    /// The next question gets a new connection. The library keeps one that was refused when it was made, and one that
    /// is silent.
    fn renew(&self) {
        let mut renewed = self.0.renewed.lock();
        if renewed.elapsed() < RENEWAL {
            return;
        }
        *renewed = Instant::now();
        let (client, settings) = (self.0.client.clone(), self.0.settings.clone());
        match ConnectionManager::new_lazy_with_config(client, settings) {
            Ok(manager) => self.0.manager.store(Arc::new(manager)),
            Err(error) => tracing::error!(%error, "cannot make a new connection to Redis"),
        }
    }
}

/// Whether another connection would get the same answer: the key holds something else, or this user may not read it.
fn is_about_the_question(error: &redis::RedisError) -> bool {
    matches!(error.code(), Some("WRONGTYPE" | "NOPERM"))
}

fn certificates(config: &config::RedisServer) -> Result<TlsCertificates, Error> {
    let root_cert = match &config.ca_file {
        Some(path) => {
            // What is wrong with it is said here, and not at the first question.
            let bytes = pem::read(path)?;
            pem::certificates_in(path, &bytes)?;
            Some(bytes)
        }
        None => None,
    };
    let client_tls = match &config.certificate {
        Some(certificate) => {
            let client_cert = pem::read(&certificate.chain)?;
            pem::certificates_in(&certificate.chain, &client_cert)?;
            let client_key = pem::read(&certificate.key)?;
            pem::key_in(&certificate.key, &client_key)?;
            Some(ClientTlsConfig {
                client_cert,
                client_key,
            })
        }
        None => None,
    };
    Ok(TlsCertificates {
        client_tls,
        root_cert,
    })
}
