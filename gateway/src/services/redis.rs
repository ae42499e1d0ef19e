//! A Redis server that is asked. It is connected to with the first question, and again whenever that is lost.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use redis::{
    ClientTlsConfig, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, TlsCertificates,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use tokio::time::timeout;

use super::{Error, secret};
use crate::tls::pem;

/// Attempts to connect before a question is given up; the next question tries again.
const RETRIES: usize = 1;
/// Questions that may be under way at a time.
const CONCURRENT: usize = 1024;

/// One server, as its settings say. Clones are the same.
#[derive(Clone)]
pub struct Redis {
    manager: ConnectionManager,
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
    pub fn new(config: &config::Redis) -> Result<Self, Error> {
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
        let info = info.set_redis_settings(login);
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
        Ok(Self {
            manager: ConnectionManager::new_lazy_with_config(client, settings).map_err(failed)?,
            address: config.url.to_string().into(),
            timeout: config.timeout,
        })
    }

    /// The files that [`Redis::new`] reads.
    #[must_use]
    pub fn files(config: &config::Redis) -> Vec<PathBuf> {
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
        let mut connection = self.manager.clone();
        let mut command = redis::cmd("HGETALL");
        command.arg(key);
        let answer = timeout(self.timeout, command.query_async(&mut connection)).await;
        let address = || self.address.clone();
        match answer {
            Ok(Ok(fields)) => Ok(fields),
            Ok(Err(source)) => Err(RedisError::Failed {
                address: address(),
                source,
            }),
            Err(_) => Err(RedisError::TimedOut {
                address: address(),
                limit: self.timeout,
            }),
        }
    }
}

fn certificates(config: &config::Redis) -> Result<TlsCertificates, Error> {
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
