//! Each chain as it stands in the configuration, the files that it reads, and what its clients show.

use std::{
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use exproto_gateway::auth::hash::argon2id;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::KeyPair;
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery staple";
/// Of HS256. As long as it has to be.
const SECRET: &[u8] = b"thirty-two bytes of no chance...";
/// No token ends while a benchmark runs.
const VALID: Duration = Duration::from_secs(24 * 3600);

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Chain {
    /// Nobody: the ceiling.
    None,
    /// A file with argon2id, as `exproto-gateway hash` makes it.
    File,
    /// Tokens signed with a secret.
    JwtHs256,
    /// Tokens signed with a key on P-256.
    JwtEs256,
    /// A service that is asked each time.
    Http,
    /// A service whose answers are all remembered.
    HttpCached,
}

impl Chain {
    pub(super) const ALL: [Self; 6] = [
        Self::None,
        Self::File,
        Self::JwtHs256,
        Self::JwtEs256,
        Self::Http,
        Self::HttpCached,
    ];

    /// In reports and JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::File => "file",
            Self::JwtHs256 => "jwt_hs256",
            Self::JwtEs256 => "jwt_es256",
            Self::Http => "http",
            Self::HttpCached => "http_cached",
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A client's clientid and username, and its password.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) password: Arc<str>,
}

/// As many clients as may be there at once, with files for them.
pub(super) struct Accounts {
    count: usize,
    /// The service of the chains that ask one.
    service: SocketAddr,
    users: PathBuf,
    secret: PathBuf,
    public_key: PathBuf,
    pair: KeyPair,
}

impl Accounts {
    /// Puts files for `count` clients into `folder`.
    pub(super) fn create(folder: &Path, count: usize, service: SocketAddr) -> Result<Self> {
        let write = |name: &str, content: &[u8]| -> Result<PathBuf> {
            let path = folder.join(name);
            fs::write(&path, content)
                .with_context(|| format!("cannot write {}", path.display()))?;
            Ok(path)
        };
        // One hash for all: to make as many takes minutes, and to look at one takes as long as at another.
        let hash = argon2id(PASSWORD.as_bytes());
        let users = (0..count).fold(String::new(), |users, number| {
            users + &name(number) + ":" + &hash + "\n"
        });
        let pair = KeyPair::generate()?;
        Ok(Self {
            count,
            service,
            users: write("users", users.as_bytes())?,
            secret: write("jwt.secret", SECRET)?,
            public_key: write("jwt.pem", pair.public_key_pem().as_bytes())?,
            pair,
        })
    }

    /// As a listener's `authentication_chain`.
    pub(super) fn chain(&self, chain: Chain) -> Value {
        let claims = json!({ "sub": "${clientid}" });
        let url = format!("http://{}/", self.service);
        match chain {
            Chain::None => json!([]),
            Chain::File => json!([{ "file": { "path": &self.users } }]),
            Chain::JwtHs256 => {
                json!([{ "jwt": { "secret_file": &self.secret, "claims": claims } }])
            }
            Chain::JwtEs256 => {
                json!([{ "jwt": { "public_key_file": &self.public_key, "claims": claims } }])
            }
            Chain::Http => json!([{ "http": { "url": url } }]),
            Chain::HttpCached => json!([{
                "http": { "url": url, "cache": { "ttl": "24h", "max_entries": self.count } }
            }]),
        }
    }

    /// Every client, with what it shows to the chain.
    pub(super) fn clients(&self, chain: Chain) -> Result<Arc<[Client]>> {
        let key = match chain {
            Chain::JwtHs256 => Some((Algorithm::HS256, EncodingKey::from_secret(SECRET))),
            Chain::JwtEs256 => {
                let pem = self.pair.serialize_pem();
                Some((Algorithm::ES256, EncodingKey::from_ec_pem(pem.as_bytes())?))
            }
            _ => None,
        };
        let expires = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)? + VALID;
        let shared: Arc<str> = PASSWORD.into();
        let client = |number| {
            let name = name(number);
            let password = match &key {
                None => shared.clone(),
                Some((algorithm, key)) => {
                    let claims = json!({ "sub": &name, "exp": expires.as_secs() });
                    jsonwebtoken::encode(&Header::new(*algorithm), &claims, key)?.into()
                }
            };
            Ok(Client { name, password })
        };
        (0..self.count).map(client).collect()
    }
}

fn name(number: usize) -> String {
    format!("client-{number}")
}

#[cfg(test)]
mod tests {
    use config::{Config, Listener};
    use exproto_gateway::auth;

    use super::*;

    #[tokio::test]
    async fn every_chain_is_one_that_the_gateway_takes() {
        let folder = tempfile::tempdir().unwrap();
        let service = SocketAddr::from(([127, 0, 0, 1], 1));
        let accounts = Accounts::create(folder.path(), 2, service).unwrap();
        for chain in Chain::ALL {
            let own = serde_json::from_value(accounts.chain(chain)).unwrap();
            let config = Config {
                listeners: vec![Listener {
                    authentication_chain: Some(own),
                    ..Listener::default()
                }],
                ..Config::default()
            };
            auth::check(&config).unwrap();
        }
    }

    #[test]
    fn each_client_has_a_token_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let service = SocketAddr::from(([127, 0, 0, 1], 1));
        let accounts = Accounts::create(folder.path(), 2, service).unwrap();
        for chain in [Chain::JwtHs256, Chain::JwtEs256] {
            let clients = accounts.clients(chain).unwrap();
            assert_eq!(clients.len(), 2);
            assert_ne!(clients[0].name, clients[1].name);
            assert_ne!(clients[0].password, clients[1].password);
        }
    }
}
